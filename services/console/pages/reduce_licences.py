"""The number of the next period: who would be over the limit, what it costs, and the approval (T2, T12, T14, T18, M15)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.buy_licences import module_of
from services.console.pages.forms import Form
from services.console.pages.licences import names_of
from services.console.pages.page import Page, needs
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ACCOUNT_BUY

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/licences/{module}", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
NAMED_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class Concerned:
    """People whom a reduction would flag, or whose reservations it would cancel: how many, and the names of those whom the reader sees."""

    count: int
    names: Mapping[str, str]


async def concerned(page: Page, modules: Sequence[Mapping[str, Any]] | None) -> Concerned:
    """Return the people of all these modules; None: seats could not answer."""
    users = [user for each in modules or () for user in each["users"]]
    return Concerned(sum(each["count"] for each in modules or ()), await names_of(page, users, NAMED_MAX))


async def _reducible(page: Page, module: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the licences, and the module with the `number` that a reduction changes: the present one if it applies `at_once`, else that of
    the next period. `scheduled`: it takes back fewer licences for the next period. Raises what `module_of` raises."""
    licences, found = await module_of(page, module)
    subscription = await page.get("invoicing", "subscription")
    modules = subscription.value["modules"] if subscription.ok else []
    at_once = any(each["module"] == module and each["policies"].get("reduce_at") == "now" for each in modules)
    number, is_fewer = found["bought"] if at_once else found["next_period"], found["next_period"] < found["bought"]
    return licences, {**found, "at_once": at_once, "number": number, "scheduled": at_once and is_fewer and not licences["ends_on"]}


def _show(page: Page, licences: Mapping[str, Any], module: Mapping[str, Any], form: Form, status: int = 200) -> Response:
    can_close = _can_close(licences, module)
    return page.render("licences_next_period.html", status, licences=licences, module=module, form=form, can_close=can_close)


def _can_close(licences: Mapping[str, Any], module: Mapping[str, Any]) -> bool:
    """Return whether the module can be closed: the last base module that goes on cannot."""
    others = [each for each in licences["modules"] if each["base"] and each["module"] != module["module"] and each["next_period"]]
    return not module["base"] or bool(others)


@router.get("/next-period")
async def ask_number(page: Buying, module: str) -> Response:
    """Ask for the number of the next period."""
    licences, found = await _reducible(page, module)
    return _show(page, licences, found, Form.of(number=found["number"], seen=found["number"]))


@router.post("/next-period")
async def show_consequences(page: Buying, module: str) -> Response:
    """Show who would be over the limit, whose reservations would end, and the price. Nothing is changed yet."""
    licences, found = await _reducible(page, module)
    form, bought = page.form, found["bought"]
    if form["close"] or (form["number"].strip() == "0" and _can_close(licences, found)):
        number = 0
    else:
        error = page.gettext(
            "Enter a whole number from %(least)s to %(bought)s, the licences that you have now.",
            least=page.formats.number(found["minimum"]),
            bought=page.formats.number(bought),
        )
        number = form.integer("number", error, least=found["minimum"], most=bought)
    if form.ok and form["seen"] not in ("", str(found["number"])):
        form.errors["number"] = page.gettext(
            "Somebody else has changed this number to %(number)s meanwhile. Check it and save again.",
            number=page.formats.number(found["number"]),
        )
    if not form.ok:
        return _show(page, licences, found, _seen_now(form, found), 422)
    if number == found["number"] and not found["scheduled"]:
        return page.redirect(page.url("licences"), page.gettext("Nothing has changed: the number was the same."))
    try:
        body = {"items": [{"module": module, "total": number}]}
        reduction = await page.send("POST", "invoicing", "reductions", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"items.0.total": "number"})
        return _show(page, licences, found, form, 422)
    return page.render(
        "licences_reduction.html",
        licences=licences,
        module=found,
        reduction=reduction,
        flagged=await concerned(page, reduction["would_flag"]),
        cancelled=await concerned(page, reduction["would_cancel"]),
        number=number,
    )


def _seen_now(form: Form, module: Mapping[str, Any]) -> Form:
    """Return the form with the number that the reader sees now, so that the next try is about it."""
    again = Form.of(number=form["number"], seen=module["number"])
    again.errors = form.errors
    return again


@router.post("/reductions/{reduction}/approve")
async def approve(page: Buying, module: str, reduction: str) -> Response:
    """Set the number."""
    try:
        await page.send(
            "POST",
            "invoicing",
            f"reductions/{url_part(reduction)}/approve",
            key=page.form.key or None,
            wait_seconds=0 if page.is_partial else 2,
        )
    except Refusal as refusal:
        licences, found = await _reducible(page, module)
        form = Form.of(number=page.form["number"] or found["number"], seen=found["number"])
        form.refuse(refusal.problem)
        return _show(page, licences, found, form, 409)
    return page.redirect(page.url(f"licences?reduction={url_part(reduction)}"))
