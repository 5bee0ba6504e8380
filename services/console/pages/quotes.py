"""A quote: what it costs, who approved it, and its approval, withdrawal or renewal (T8, B5, B9)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.licence_refusals import step_reason
from services.console.pages.licences import names_of
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import are_blocked
from services.console.pages.route import PageRoute
from services.console.rendering.policy_texts import PolicyTexts
from services.console.rest.problems import Problem, Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ACCOUNT_BUY, ACCOUNT_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/orders/quotes/{quote}", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
NAMED_MAX: Final = 20


async def _show(page: Page, quote: str, status: int = 200, problem: Problem | None = None) -> Response:
    found, subscription, modules, owed = await page.together(
        page.get("invoicing", f"quotes/{url_part(quote)}"),
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", "balance"),
    )
    shown = found.need()
    people = [each["by"]["id"] for each in (*shown["history"], *shown["approvals"]) if each["by"]["kind"] == "user"]
    return page.render(
        "quote.html",
        status,
        quote=shown,
        history=_history(shown),
        names=module_names(modules),
        people=await names_of(page, people, NAMED_MAX),
        next_invoice_on=subscription.value["next_invoice_on"] if subscription.ok else None,
        problem=problem,
        is_blocked=are_blocked(owed),
        rule=_rule_when_full(shown, page),
        why=lambda step: step_reason(step, page),
    )


def _rule_when_full(quote: Mapping[str, Any], page: Page) -> str | None:
    """Return what happens to people for whom the new module has no free licence, in words."""
    if quote["policies"] is None:
        return None
    policies = {name: value for name, value in quote["policies"].items() if value is not None}
    return PolicyTexts(page.gettext, page.ngettext, page.formats, quote["lines"][0]["quantity"], policies).all()[0].value


def _history(quote: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what happened to the quote, with the first of two approvals where it was given: before the quote waited for the second one.
    One that is issued again for a later day has the approval of an earlier day, which comes first."""
    steps: list[Mapping[str, Any]] = list(quote["history"])
    waits = next((place for place, step in enumerate(steps) if step["state"] == "waiting_for_approval"), None)
    if waits is not None:
        place = 0 if quote["replaces"] else waits
        steps[place:place] = [{"state": "first_approval", **each} for each in quote["approvals"][:1]]
    return steps


@router.get("")
async def show_quote(page: Reading, quote: str) -> Response:
    """Show the quote, what happened to it, and what this reader can do with it."""
    return await _show(page, quote)


@router.post("/approve")
async def approve(page: Buying, quote: str) -> Response:
    """Approve the quote. A quote that no longer fits is shown with the reason, and can be requested again with one click."""
    try:
        done = await page.send("POST", "invoicing", f"quotes/{url_part(quote)}/approve", key=page.form.key or None, wait_seconds=2)
    except Refusal as refusal:
        newer = refusal.problem.extra.get("quote")
        if refusal.problem.type == "quote-replaced" and isinstance(newer, str):
            return page.redirect(page.url(f"orders/quotes/{url_part(newer)}"), page.why(refusal.problem), "warning")
        return await _show(page, quote, 409, refusal.problem)
    if done["order"] is None:
        text = page.gettext(
            "Your approval is recorded. Another person with the right to buy must approve the purchase too. Nothing is bought until then."
        )
        return page.redirect(page.url(f"orders/quotes/{url_part(quote)}"), text, "warning")
    if done["status"] == "refused":
        return page.redirect(
            page.url(f"orders/quotes/{url_part(quote)}"), page.gettext("The order was refused. Nothing was bought."), "bad"
        )
    return page.redirect(page.url(f"licences?order={url_part(done['order'])}"))


@router.post("/withdraw")
async def withdraw(page: Buying, quote: str) -> Response:
    """Withdraw the quote: nobody can approve it any more."""
    try:
        await page.send("POST", "invoicing", f"quotes/{url_part(quote)}/withdraw", key=page.form.key or None)
    except Refusal as refusal:
        return await _show(page, quote, 409, refusal.problem)
    return page.redirect(page.url(f"orders/quotes/{url_part(quote)}"), page.gettext("The quote is withdrawn."))


@router.post("/renew")
async def renew(page: Buying, quote: str) -> Response:
    """Request a new quote with the same items."""
    try:
        again = await request_again(page, (await page.get("invoicing", f"quotes/{url_part(quote)}")).need())
    except Refusal as refusal:
        return await _show(page, quote, 409, refusal.problem)
    return page.redirect(page.url(f"orders/quotes/{again['quote']}"), page.gettext("This is the new quote, at the present price."))


async def request_again(page: Page, quote: Any) -> Any:
    """Return a new quote with the items of this one, at the present price."""
    if quote["new_module"] is not None:
        (line,) = quote["lines"]
        body: dict[str, Any] = {"module": line["module"], "licences": line["quantity"], "policies": quote["policies"]}
        return await page.send("POST", "invoicing", "subscription/modules", body, key=page.form.key or None)
    items = [{"module": line["module"], "add": line["quantity"]} for line in quote["lines"]]
    return await page.send("POST", "invoicing", "quotes", {"items": items}, key=page.form.key or None)
