"""Plan and subscription: plan, term, prices, discounts, what is scheduled, and the end (M2, M3, T14)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rest.problems import Problem, Refusal
from services.console.rest.services import Part, url_part
from shared.schemas.rights import ACCOUNT_BUY, ACCOUNT_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/plan", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
REASON_MAX: Final = 200
TERMS: Final = ("monthly", "annual")


def more_modules(plan: Mapping[str, Any] | None, subscription: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the prices of the modules that the plan sells beside those of the subscription."""
    has = {each["module"] for each in subscription["modules"]}
    return [each for each in plan["prices"] if each["term"] == subscription["term"] and each["module"] not in has] if plan else []


def other_plans(plans: Part, subscription: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str, list[Mapping[str, Any]]]]:
    """Return the plans and terms to which the subscription can change, with their prices."""
    found = [
        (plan, term, [price for price in plan["prices"] if price["term"] == term])
        for plan in plans.need()["items"]
        for term in TERMS
        if plan["currency"] == subscription["currency"] and (plan["plan"], term) != (subscription["plan"], subscription["term"])
    ]
    return [each for each in found if each[2]]


def need_running(subscription: Mapping[str, Any]) -> None:
    """Raise Refusal if the subscription has ended: whatever a form about it asks for would be refused."""
    if subscription["status"] == "ended":
        raise Refusal(Problem("subscription-ended", 409, ""))


def need_purchases(owed: Mapping[str, Any]) -> None:
    """Raise Refusal if nothing can be bought until an overdue invoice is paid: a form would ask for a number in vain. `owed`: the balance,
    or how the company buys."""
    if owed["purchases_blocked"]:
        raise Refusal(Problem("invoice-overdue", 409, ""))


def are_blocked(owed: Part) -> bool:
    """Return whether purchases are blocked as far as the page knows. `owed`: the balance."""
    return owed.ok and bool(owed.value["purchases_blocked"])


def plan_named(plans: Part, plan: str) -> Any:
    """Return a plan of the catalogue as REST shows it; None if it is not sold any more, or the catalogue cannot be read."""
    return next((each for each in plans.value["items"] if each["plan"] == plan), None) if plans.ok else None


@router.get("")
async def show_plan(page: Reading) -> Response:
    """Show the subscription; without one, the plans that there are."""
    subscription, plans, modules, discounts, settings = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", "subscription/discounts", limit=LISTED_MAX),
        page.get("invoicing", "purchase-settings"),
    )
    names = module_names(modules)
    if subscription.missing:
        return page.render("plan_none.html", plans=plans, names=names)
    found = subscription.need()
    change = found["scheduled_plan_change"]
    scheduled = await page.get("invoicing", f"subscription/plan-changes/{url_part(change)}") if change else page.no_part()
    current = [each for each in discounts.value["items"] if each["status"] in ("planned", "active")] if discounts.ok else []
    plan = plan_named(plans, found["plan"])
    return page.render(
        "plan.html",
        subscription=found,
        plan=plan,
        sells_more=not plans.ok or bool(more_modules(plan, found)),
        can_change=not plans.ok or bool(other_plans(plans, found)),
        plans=plans,
        names=names,
        modules=in_order(found["modules"], modules),
        discounts=discounts,
        current=[each for each in current if each["subscription"] == found["subscription"]],
        scheduled=scheduled,
        by_request=settings.ok and settings.value["ordering_in_force"] == "by_request",
    )


@router.post("/changes/{change}/withdraw")
async def withdraw_change(page: Buying, change: str) -> Response:
    """Take a scheduled change of plan back."""
    try:
        await page.send("POST", "invoicing", f"subscription/plan-changes/{url_part(change)}/withdraw", key=page.form.key or None)
    except Refusal as refusal:
        return page.redirect(page.url("plan"), page.why(refusal.problem), "bad")
    return page.redirect(page.url("plan"), page.gettext("The change of plan is withdrawn. The present plan goes on."))


async def _show_end(page: Page, form: Form | None, status: int = 200) -> Response:
    subscription, licences, upcoming, balance = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "licences"),
        page.get("invoicing", "invoices/upcoming", if_ended="true"),
        page.get("invoicing", "balance"),
    )
    need_running(subscription.need())
    names = {each["module"]: each["name"] for each in licences.value["modules"]} if licences.ok else {}
    return page.render(
        "plan_end.html",
        status,
        subscription=subscription.need(),
        licences=licences,
        upcoming=upcoming,
        balance=balance,
        names=names,
        form=form,
    )


@router.get("/end")
async def ask_end(page: Buying) -> Response:
    """Show what the end of the subscription means for people and money. Nothing is ended yet."""
    return await _show_end(page, None)


@router.post("/end")
async def end(page: Buying) -> Response:
    """End the subscription with its period."""
    form = page.form
    if len(form["reason"]) > REASON_MAX:
        form.errors["reason"] = page.gettext("Write at most %(most)s characters.", most=REASON_MAX)
        return await _show_end(page, form, 422)
    try:
        body = {"reason": form["reason"]}
        found = await page.send("POST", "invoicing", "subscription/ending", body, key=form.key or None, wait_seconds=2)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show_end(page, form, 409)
    day = page.formats.day(page.last_day(found["ends_on"] or found["period"]["end"]))
    return page.redirect(page.url("plan"), page.gettext("The subscription ends on %(day)s. Until then you can take this back.", day=day))


@router.post("/keep")
async def keep(page: Buying) -> Response:
    """Take the ending back."""
    try:
        found = await page.send("DELETE", "invoicing", "subscription/ending", wait_seconds=3)
    except Refusal as refusal:
        return page.redirect(page.url("plan"), page.why(refusal.problem), "bad")
    if found["ends_on"] is not None:
        return page.redirect(page.url("plan"), page.gettext("The ending is being taken back. Reload the page in a moment."), "warning")
    return page.redirect(page.url("plan"), page.gettext("The subscription goes on. Each module has its former number again."))
