"""Add a module to the subscription: the number, then the quote as for every purchase (B1, T8)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import plan_named
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.rights import ACCOUNT_BUY

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/plan/modules", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]


async def _ask(page: Page, form: Form, status: int = 200) -> Response:
    subscription, plans, modules = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found, plan = subscription.need(), plan_named(plans, subscription.need()["plan"])
    has = {each["module"] for each in found["modules"]}
    sold = [each for each in plan["prices"] if each["term"] == found["term"] and each["module"] not in has] if plan else []
    return page.render(
        "plan_add_module.html", status, subscription=found, sold=in_order(sold, modules), names=module_names(modules), form=form
    )


@router.get("/add")
async def ask_module(page: Buying) -> Response:
    """Ask which module, and how many licences."""
    return await _ask(page, Form.of(licences=1))


@router.post("/add")
async def quote_module(page: Buying) -> Response:
    """Ask for the quote and lead to it. Nothing is bought yet."""
    form = page.form
    error = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(LICENCES_MAX))
    licences = form.integer("licences", error, least=1, most=LICENCES_MAX)
    form.text("module", page.gettext("Choose a module."))
    if not form.ok:
        return await _ask(page, form, 422)
    try:
        body = {"module": form["module"], "licences": licences}
        quote = await page.send("POST", "invoicing", "subscription/modules", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _ask(page, form, 422)
    return page.redirect(page.url(f"orders/quotes/{quote['quote']}"))
