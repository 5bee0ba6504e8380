"""Settings of purchases: the monthly budget, and which purchases a second person approves."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form, mark_of
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering.purchase_texts import SECOND_APPROVER, PurchaseTexts
from services.console.rest.problems import Refusal
from shared.schemas.rights import SETTINGS_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/settings/purchases", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(SETTINGS_MANAGE))]
BUDGET_MINOR_MAX: Final = 2**53 - 1
OF_REST: Final = {"monthly_budget_minor": "budget"}


async def _present(page: Page) -> tuple[Mapping[str, Any], str]:
    """Return the present settings and the currency. Raises NotThere without a subscription, which has the currency."""
    settings, subscription = await page.together(page.get("invoicing", "purchase-settings"), page.get("invoicing", "subscription"))
    if subscription.missing:
        raise NotThere
    return settings.need(), subscription.need()["currency"]


def _form_of(page: Page, found: Mapping[str, Any], currency: str) -> Form:
    budget = found["monthly_budget_minor"]
    seen = mark_of({name: found[name] for name in ("second_approver", "monthly_budget_minor")})
    shown = "" if budget is None else page.formats.amount(budget, currency)
    return Form.of(second_approver=found["second_approver"], budget=shown, seen=seen)


def _present_texts(page: Page, found: Mapping[str, Any], currency: str) -> dict[str, tuple[str, str]]:
    """Return the label and the present value of each field of the form."""
    budget, who = found["monthly_budget_minor"], found["second_approver"]
    return {
        "budget": (page.gettext("Monthly budget"), page.gettext("no limit") if budget is None else page.formats.money(budget, currency)),
        "second_approver": (page.gettext("Who approves"), page.word(SECOND_APPROVER, who)),
    }


def _shown(page: Page, currency: str, form: Form, status: int = 200) -> Response:
    texts = PurchaseTexts(page.gettext, page.formats, currency)
    return page.render("settings_purchases.html", status, form=form, currency=currency, texts=texts)


@router.get("")
async def ask_rules(page: Managing) -> Response:
    """Ask for the budget, and when a second person approves."""
    found, currency = await _present(page)
    return _shown(page, currency, _form_of(page, found, currency))


@router.post("")
async def change_rules(page: Managing) -> Response:
    """Change the rules, if nobody else has changed them since they were shown."""
    (found, currency), form = await _present(page), page.form
    if form.is_outdated(_form_of(page, found, currency), _present_texts(page, found, currency)):
        return _shown(page, currency, form, 409)
    budget = None
    if form["budget"]:
        example = page.formats.amount(100_000, currency)
        text = page.gettext("Enter an amount such as %(example)s, or nothing.", example=example)
        budget = form.amount("budget", text, currency, page.formats.locale, most=BUDGET_MINOR_MAX)
    elif form["second_approver"] == "above_budget":
        form.errors["budget"] = page.gettext("Enter the budget above which a second person approves.")
    if form["second_approver"] not in SECOND_APPROVER:
        form.errors["second_approver"] = page.gettext("Choose who approves.")
    if form.ok:
        try:
            body = {"second_approver": form["second_approver"], "monthly_budget_minor": budget}
            await page.send("PUT", "invoicing", "purchase-settings", body)
        except Refusal as refusal:
            form.refuse(refusal.problem, OF_REST)
    if not form.ok:
        return _shown(page, currency, form, 422)
    text = page.gettext("The rules for purchases were changed. They apply to approvals from now on.")
    return page.redirect(page.url("settings#purchases"), text)
