"""Buy licences of a module: the number, the quote, the approval (B1, B4, T7, T8, M10)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.plan import need_purchases, need_running
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.rights import ACCOUNT_BUY

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/licences/{module}", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
# Refusals of an approval after which the same order only needs a new price.
OUTDATED: Final = ("quote-expired", "quote-outdated", "quote-replaced", "discounts-changed", "price-list-changed", "tax-changed")


async def module_of(page: Page, module: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the licences, and the module of the address. Raises NotThere, and Refusal if the subscription has ended."""
    licences = (await page.get("invoicing", "licences")).need()
    need_running(licences)
    found = next((each for each in licences["modules"] if each["module"] == module), None)
    if found is None:
        raise NotThere
    return licences, found


@router.get("/buy")
async def ask_number(page: Buying, module: str) -> Response:
    """Ask how many licences. The suggestion is the number of people over the limit."""
    licences, found = await module_of(page, module)
    need_purchases(licences["buying"])
    form = Form.of(how="add", number=max(1, found["flagged"] or found["waiting"] or 1))
    return page.render("licences_buy.html", licences=licences, module=found, form=form)


@router.post("/buy")
async def show_quote(page: Buying, module: str) -> Response:
    """Show what the licences cost. Nothing is bought yet."""
    licences, found = await module_of(page, module)
    return await _priced(page, licences, found, page.form, page.form.key)


async def _priced(
    page: Page, licences: Mapping[str, Any], found: Mapping[str, Any], form: Form, key: str, *, renewed: bool = False
) -> Response:
    """Show the quote of the number in the form: a new total, or licences to add to those of now."""
    error = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(LICENCES_MAX))
    number = form.integer("number", error, least=1, most=LICENCES_MAX)
    total = number if form["how"] == "total" else found["bought"] + number
    if form.ok and total <= found["bought"]:
        text = page.gettext("You have %(bought)s licences already. Enter a higher total.", bought=page.formats.number(found["bought"]))
        form.errors["number"] = text
    if not form.ok:
        return page.render("licences_buy.html", 422, licences=licences, module=found, form=form)
    try:
        items = [{"module": found["module"], "add": total - found["bought"]}]
        quote = await page.send("POST", "invoicing", "quotes", {"items": items}, key=key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"items.0.add": "number", "items.0.total": "number"})
        return page.render("licences_buy.html", 422, licences=licences, module=found, form=form)
    return page.render(
        "licences_quote.html", 409 if renewed else 200, licences=licences, module=found, quote=quote, form=form, renewed=renewed
    )


@router.post("/quotes/{quote}/approve")
async def approve(page: Buying, module: str, quote: str) -> Response:
    """Buy, or be the first of two who approve. A quote that no longer fits is replaced by a new one, which is approved again."""
    try:
        # A browser without scripts sees no live number, so it waits a moment for the decision.
        order = await page.send(
            "POST", "invoicing", f"quotes/{url_part(quote)}/approve", key=page.form.key or None, wait_seconds=0 if page.is_partial else 2
        )
    except Refusal as refusal:
        licences, found = await module_of(page, module)
        form = Form.of(how=page.form["how"] or "add", number=page.form["number"] or 1)
        if refusal.problem.type in OUTDATED and "number" in page.form:
            return await _priced(page, licences, found, form, "", renewed=True)
        form.refuse(refusal.problem)
        return page.render("licences_buy.html", 409, licences=licences, module=found, form=form)
    if order["order"] is None:
        text = page.gettext(
            "Your approval is recorded. Another person with the right to buy must approve the purchase too. Nothing is bought until then."
        )
        return page.redirect(page.url("licences"), text, "warning")
    return page.redirect(page.url(f"licences?order={order['order']}"))
