"""Requests to the vendor: what to add or reduce, the vendor's estimate, and its approval (A9, A11)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.licence_refusals import step_reason
from services.console.pages.licences import names_of
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.plan import are_blocked, need_running, plan_named
from services.console.pages.route import PageRoute
from services.console.rest.problems import Problem, Refusal
from services.console.rest.services import url_part
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.rights import ACCOUNT_BUY, ACCOUNT_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/orders", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
NAMED_MAX: Final = 20
FIELDS: Final = {"company": "company", "contact.name": "name", "contact.email": "email", "contact.phone": "phone", "message": "message"}


async def _ask(page: Page, form: Form, status: int = 200) -> Response:
    subscription, plans, modules = await page.together(
        page.get("invoicing", "subscription"),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found, plan = subscription.need(), plan_named(plans, subscription.need()["plan"])
    plans.need()
    has = {each["module"]: each["licences"] for each in in_order(found["modules"], modules)}
    more = [each["module"] for each in plan["prices"] if each["term"] == found["term"] and each["module"] not in has] if plan else []
    rows = [(module, has.get(module)) for module in (*has, *more)]
    return page.render("purchase_request_form.html", status, rows=rows, names=module_names(modules), form=form)


@router.get("/request")
async def ask_request(page: Buying) -> Response:
    """Ask what to add or reduce. Company and contact are those that are known."""
    details, me, subscription = await page.together(
        page.get("invoicing", "billing-details"), page.get("users", "/v1/me"), page.get("invoicing", "subscription")
    )
    if subscription.ok:
        need_running(subscription.value)
    company = details.value["company"] if details.ok else page.reader.tenant_name
    email = me.value["email"] if me.ok else ""
    form = Form.of(company=company, name=page.reader.name, email=email)
    return await _ask(page, form)


@router.post("/request")
async def send_request(page: Buying) -> Response:
    """Send the request to the vendor."""
    form = page.form
    form.text("company", page.gettext("Enter the name of your company."))
    form.text("name", page.gettext("Enter the name of a person to contact."))
    form.text("email", page.gettext("Enter the e-mail address of the contact."), most=254)
    items = _items(page, form)
    if form.ok and not items:
        form.errors["items"] = page.gettext("Enter at least one number to add or to reduce.")
    if not form.ok:
        return await _ask(page, form, 422)
    contact = {"name": form["name"], "email": form["email"], "phone": form["phone"]}
    body = {"company": form["company"], "contact": contact, "message": form["message"], "items": items}
    try:
        made = await page.send("POST", "invoicing", "purchase-requests", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem, FIELDS)
        return await _ask(page, form, 422)
    text = page.gettext("The request is sent. The vendor answers with an estimate; nothing changes before you approve it.")
    return page.redirect(page.url(f"orders/requests/{made['request']}"), text)


def _items(page: Page, form: Form) -> list[dict[str, Any]]:
    """Return what the form asks for: one number for each module that has any."""
    error = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(LICENCES_MAX))
    items: list[dict[str, Any]] = []
    for name in form.own_fields():
        kind, _, module = name.partition("-")
        if kind not in ("add", "reduce") or not module or not form[name]:
            continue
        number = form.integer(name, error, least=1, most=LICENCES_MAX)
        if any(each["module"] == module for each in items):
            form.errors[name] = page.gettext("Enter a number to add or one to reduce, not both.")
        items.append({"module": module, kind: number})
    return items


async def _show(page: Page, request: str, status: int = 200, problem: Problem | None = None) -> Response:
    found, modules, owed = await page.together(
        page.get("invoicing", f"purchase-requests/{url_part(request)}"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", "balance"),
    )
    shown: Mapping[str, Any] = found.need()
    people = [each["by"]["id"] for each in shown["history"] if each["by"]["kind"] == "user"]
    return page.render(
        "purchase_request.html",
        status,
        request=shown,
        names=module_names(modules),
        people=await names_of(page, people, NAMED_MAX),
        problem=problem,
        is_blocked=are_blocked(owed) and any(item["add"] for item in shown["items"]),
        why=lambda step: step_reason(step, page),
    )


@router.get("/requests/{request}")
async def show_request(page: Reading, request: str) -> Response:
    """Show a request, the estimate, and what an approval costs today."""
    return await _show(page, request)


@router.post("/requests/{request}/approve")
async def approve(page: Buying, request: str) -> Response:
    """Approve the estimate: the licences are ordered with the amount of today."""
    try:
        done = await page.send("POST", "invoicing", f"purchase-requests/{url_part(request)}/approve", key=page.form.key or None)
    except Refusal as refusal:
        return await _show(page, request, 409, refusal.problem)
    if len(done["quotes"]) > len(done["orders"]):
        text = page.gettext(
            "Your approval is recorded. Another person with the right to buy must approve the purchase too. Nothing is bought until then."
        )
        return page.redirect(page.url("orders"), text, "warning")
    text = page.gettext("The estimate is approved. The licences change in a moment.")
    return page.redirect(page.url(f"orders/requests/{url_part(request)}"), text)


@router.post("/requests/{request}/withdraw")
async def withdraw(page: Buying, request: str) -> Response:
    """Withdraw the request: its estimate cannot be approved any more."""
    try:
        await page.send("POST", "invoicing", f"purchase-requests/{url_part(request)}/withdraw", key=page.form.key or None)
    except Refusal as refusal:
        return await _show(page, request, 409, refusal.problem)
    return page.redirect(page.url(f"orders/requests/{url_part(request)}"), page.gettext("The request is withdrawn."))
