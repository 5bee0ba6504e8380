"""Another plan or term: what it costs and changes, who would be over the limit, and the approval (B2, B6)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import TERMS, need_running, other_plans, plan_named
from services.console.pages.reduce_licences import concerned
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ACCOUNT_BUY

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/plan", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
# Refusals of an approval after which the same change only needs a new offer.
OUTDATED: Final = ("quote-expired", "quote-outdated")


async def _ask(page: Page, form: Form | None, status: int = 200) -> Response:
    subscription, plans, modules = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found = subscription.need()
    need_running(found)
    return page.render(
        "plan_change.html",
        status,
        subscription=found,
        plan=plan_named(plans, found["plan"]),
        offered=[(plan, term, in_order(prices, modules)) for plan, term, prices in other_plans(plans, found)],
        names=module_names(modules),
        form=form,
    )


@router.get("/change")
async def ask_plan(page: Buying) -> Response:
    """Ask for the plan and the term."""
    return await _ask(page, None)


@router.post("/change")
async def show_consequences(page: Buying) -> Response:
    """Show what the change costs and changes. Nothing is changed yet."""
    form = page.form
    plan, _, term = form["choice"].rpartition("|")
    if not plan or term not in TERMS:
        form.errors["choice"] = page.gettext("Choose a plan and a term.")
        return await _ask(page, form, 422)
    try:
        offer = await _offer(page, {"plan": plan, "term": term, "takes_effect": form["when"] or None}, form.key)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"plan": "choice", "term": "choice", "takes_effect": "when"})
        return await _ask(page, form, 422)
    return await _show(page, offer, renewed=False)


async def _offer(page: Page, body: Mapping[str, Any], key: str) -> Any:
    return await page.send("POST", "invoicing", "subscription/plan-changes", body, key=key or None)


async def _show(page: Page, offer: Mapping[str, Any], *, renewed: bool, status: int = 200) -> Response:
    plans, modules = await page.together(
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX), page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    )
    return page.render(
        "plan_change_offer.html",
        status,
        offer=offer,
        plans={each["plan"]: each["name"] for each in plans.value["items"]} if plans.ok else {},
        names=module_names(modules),
        flagged=await concerned(page, offer["would_flag"]),
        cancelled=await concerned(page, offer["would_cancel"]),
        renewed=renewed,
    )


@router.post("/changes/{change}/approve")
async def approve(page: Buying, change: str) -> Response:
    """Change the plan, or schedule the change. An offer that no longer fits is replaced by a new one, which is approved again."""
    form = page.form
    try:
        done = await page.send("POST", "invoicing", f"subscription/plan-changes/{url_part(change)}/approve", key=form.key or None)
    except Refusal as refusal:
        wanted = {name: form[name] for name in ("plan", "term", "takes_effect")}
        if refusal.problem.type not in OUTDATED or not all(wanted.values()):
            raise
        return await _show(page, await _offer(page, wanted, ""), renewed=True, status=409)
    if done["status"] == "scheduled":
        text = page.gettext(
            "The change is scheduled for %(day)s. Until then you can withdraw it.", day=page.formats.day(done["takes_effect_on"])
        )
        return page.redirect(page.url("plan"), text)
    return page.redirect(page.url("plan"), page.gettext("The subscription has the new plan."))
