"""Add a module to the subscription: the number, then the quote as for every purchase (B1, T8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import more_modules, need_purchases, need_running, plan_named
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.rights import ACCOUNT_BUY

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/plan/modules", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]


@dataclass(frozen=True, slots=True)
class _Offer:
    """The modules that the plan sells beside those of the subscription, with the licences that the plan allows of each."""

    subscription: Mapping[str, Any]
    sold: Sequence[Mapping[str, Any]]
    names: Mapping[str, str]

    def range_of(self, module: str) -> tuple[int, int]:
        """Return the fewest and the most licences of a module; of an unknown one, the widest range."""
        found: Mapping[str, Any] = next((each for each in self.sold if each["module"] == module), {})
        return found.get("least", 1), found.get("most") or LICENCES_MAX


async def _offer(page: Page) -> _Offer:
    subscription, plans, modules = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found, plan = subscription.need(), plan_named(plans, subscription.need()["plan"])
    plans.need()
    need_running(found)
    limits = {each["module"]: {"least": each["minimum"], "most": each["maximum"]} for each in plan["limits"]} if plan else {}
    prices = in_order(more_modules(plan, found), modules)
    sold = [dict(each) | limits.get(each["module"], {"least": 1, "most": None}) for each in prices]
    return _Offer(found, sold, module_names(modules))


def _show(page: Page, offer: _Offer, form: Form, status: int = 200) -> Response:
    return page.render("plan_add_module.html", status, subscription=offer.subscription, sold=offer.sold, names=offer.names, form=form)


@router.get("/add")
async def ask_module(page: Buying) -> Response:
    """Ask which module, and how many licences."""
    offer = await _offer(page)
    if (balance := await page.get("invoicing", "balance")).ok:
        need_purchases(balance.value)
    return _show(page, offer, Form.of(licences=min((each["least"] for each in offer.sold), default=1)))


@router.post("/add")
async def quote_module(page: Buying) -> Response:
    """Ask for the quote and lead to it. Nothing is bought yet."""
    form, offer = page.form, await _offer(page)
    least, most = offer.range_of(form["module"])
    numbers = {"least": page.formats.number(least), "most": page.formats.number(most)}
    error = page.gettext("Enter a whole number from %(least)s to %(most)s.", **numbers)
    licences = form.integer("licences", error, least=least, most=most)
    form.text("module", page.gettext("Choose a module."))
    if not form.ok:
        return _show(page, offer, form, 422)
    try:
        body = {"module": form["module"], "licences": licences}
        quote = await page.send("POST", "invoicing", "subscription/modules", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return _show(page, offer, form, 422)
    return page.redirect(page.url(f"orders/quotes/{quote['quote']}"))
