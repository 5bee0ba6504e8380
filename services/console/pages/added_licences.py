"""Licences that a change adds by itself, and what they cost: it is said before the change (M12)."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page
from services.console.pages.people import LISTED_MAX
from services.console.rest.problems import Refusal
from services.console.rest.services import Part


def title_of(page: Page, expansions: Sequence[Mapping[str, Any]]) -> str:
    more = sum(each["licences"] for each in expansions)
    return page.ngettext("%(num)s licence would be added by itself", "%(num)s licences would be added by themselves", more)


def of_modules(page: Page, expansions: Sequence[Mapping[str, Any]], modules: Part) -> list[str]:
    """Return how many licences would be added to each module."""
    names = module_names(modules)
    return [
        page.ngettext(
            "%(module)s: %(num)s licence would be added by itself.", "%(module)s: %(num)s licences would be added by themselves.",
            each["licences"], module=names.get(each["module"], each["module"]),
        )
        for each in in_order(expansions, modules)
    ]  # fmt: skip


def charged(page: Page, cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return page.gettext("The price is not known.")
    amount = page.formats.money(cost["net_minor"], cost["currency"])
    if cost["term"] == "annual":
        return page.gettext("You would be charged %(amount)s per year, without tax.", amount=amount)
    return page.gettext("You would be charged %(amount)s per month, without tax.", amount=amount)


async def of_many(page: Page, path: str, body: Mapping[str, Any] | None, form: Form, *, leavers: bool = False) -> tuple[bool, list[str]]:
    """Return whether the reader of the form knows which licences a change of many people adds, or none can be added, and what to say of
    them, and of those that people give back if there may be `leavers`. A change that would be refused is left to answer itself."""
    subscription, modules = await _subscribed(page)
    if not (_can_expand(subscription) or (leavers and _can_shrink(subscription))):
        return True, []
    try:
        found = await page.preview("POST", "users", path, body)
    except Refusal:
        return True, []
    return form.knows_cost(found) or not _can_expand(subscription), _told(page, found, subscription, modules)


async def of_preview(page: Page, found: Mapping[str, Any]) -> list[str]:
    """Return what to say of the licences that a change of many people adds, and of those that leavers give back, by its preview."""
    subscription, modules = await _subscribed(page)
    return _told(page, found, subscription, modules) if _can_expand(subscription) or _can_shrink(subscription) else []


async def _subscribed(page: Page) -> tuple[Part, Part]:
    subscription, modules = await page.together(
        page.get("invoicing", "subscription"), page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    )
    return subscription, modules


def _can_expand(subscription: Part) -> bool:
    """Tell whether a module may add licences by itself; also if it is not known."""
    return not subscription.ok or bool(_expanding(subscription))


def _can_shrink(subscription: Part) -> bool:
    """Tell whether leavers give licences of a module back (M9)."""
    return subscription.ok and any(each["policies"].get("terminate_reduces_pool") for each in subscription.value["modules"])


def _told(page: Page, found: Mapping[str, Any], subscription: Part, modules: Part) -> list[str]:
    if not found["decided"]:
        return [_unknown(page), *_most(page, subscription, modules)] if _can_expand(subscription) else []
    said = [page.gettext("No licence would be added by itself.")]
    if found["expansions"]:
        said = [*of_modules(page, found["expansions"], modules), charged(page, found["cost"])]
    return said + given_back(page, found, modules)


def given_back(page: Page, found: Mapping[str, Any], modules: Part) -> list[str]:
    """Return which licences leavers give back (M9), and what that saves."""
    names, said = module_names(modules), []
    for each in in_order(found["reductions"], modules):
        more, about = each["licences"], {"module": names.get(each["module"], each["module"])}
        if each["reduce_at"] == "now":
            text = page.ngettext(
                "%(module)s: %(num)s licence of leavers would be given back at once.",
                "%(module)s: %(num)s licences of leavers would be given back at once.", more, **about,
            )  # fmt: skip
        else:
            text = page.ngettext(
                "%(module)s: %(num)s licence of leavers would be given back at the end of the period.",
                "%(module)s: %(num)s licences of leavers would be given back at the end of the period.", more, **about,
            )  # fmt: skip
        said.append(text)
    if said and found["saving"] is not None:
        amount = page.formats.money(found["saving"]["net_minor"], found["saving"]["currency"])
        if found["saving"]["term"] == "annual":
            said.append(page.gettext("That saves %(amount)s per year, without tax.", amount=amount))
        else:
            said.append(page.gettext("That saves %(amount)s per month, without tax.", amount=amount))
    return said


def _expanding(subscription: Part) -> list[Mapping[str, Any]]:
    return [each for each in subscription.value["modules"] if each["policies"].get("over_limit") == "expand"]


def _unknown(page: Page) -> str:
    return page.gettext(
        "Where no licence is free, licences may be added and charged. How many, and the price, cannot be said before: "
        "that is computed for at most 100 people, and only while the service for seats answers."
    )


def _most(page: Page, subscription: Part, modules: Part) -> list[str]:
    """Return how many licences can be added at most, by module; nothing for a reader who does not see the subscription."""
    names, said = module_names(modules), []
    for each in in_order(_expanding(subscription), modules) if subscription.ok else ():
        more = max(0, each["policies"].get("expand_cap", each["licences"]) - each["licences"])
        text = page.ngettext(
            "%(module)s: at most %(num)s licence can be added.", "%(module)s: at most %(num)s licences can be added.", more,
            module=names.get(each["module"], each["module"]),
        )  # fmt: skip
        said.append(text)
    return said
