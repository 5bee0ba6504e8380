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


def charged(page: Page, cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return page.gettext("The price is not known.")
    amount = page.formats.money(cost["net_minor"], cost["currency"])
    if cost["term"] == "annual":
        return page.gettext("You would be charged %(amount)s per year, without tax.", amount=amount)
    return page.gettext("You would be charged %(amount)s per month, without tax.", amount=amount)


async def of_many(page: Page, path: str, body: Mapping[str, Any] | None, form: Form) -> tuple[bool, list[str]]:
    """Return whether the reader of the form knows which licences a change of many people adds, or none can be added, and what to say of
    them. A change that would be refused is left to answer itself."""
    subscription, modules = await page.together(
        page.get("invoicing", "subscription"), page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    )
    if subscription.ok and not _expanding(subscription):
        return True, []
    try:
        found = await page.preview("POST", "users", path, body)
    except Refusal:
        return True, []
    knows = form.knows_cost(found)
    if not found["decided"]:
        return knows, [_unknown(page), *_most(page, subscription, modules)]
    if not found["expansions"]:
        return knows, [page.gettext("No licence would be added by itself.")]
    return knows, [title_of(page, found["expansions"]) + ".", charged(page, found["cost"])]


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
