"""Requests of all tenants for more or fewer licences, which an operator answers with an estimate or declines (A9, A11)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from services.console.pages.forms import Form
from services.console.pages.operator import OperatorPage
from services.console.pages.page import Page
from services.console.pages.route import PageRoute
from services.console.rendering.navigation import N_
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.policies import LICENCES_MAX

router = APIRouter(route_class=PageRoute, prefix="/operator/requests", include_in_schema=False)

STATES: Final = {
    "requested": N_("waits for your estimate"),
    "estimated": N_("waits for the approval"),
    "approved": N_("approved"),
    "declined": N_("declined"),
    "withdrawn": N_("withdrawn"),
    "expired": N_("expired"),
}
TONES: Final = {"requested": "warning", "estimated": "info", "approved": "good", "declined": "", "withdrawn": "", "expired": ""}
SHOWN: Final = 50
PRICE_MAX: Final = 10**9 - 1  # in minor units


@router.get("")
async def list_requests(
    page: OperatorPage,
    state: Annotated[str, Query(max_length=20)] = "requested",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show the requests in a state; first those that wait for an estimate."""
    state = state if state in (*STATES, "all") else "requested"
    query: dict[str, Any] = {"state": "" if state == "all" else state, "cursor": cursor, "limit": SHOWN}
    requests, names = await page.together(page.get("invoicing", "/v1/operator/requests", **query), page.get("invoicing", "/v1/modules"))
    return page.render(
        "operator_requests.html",
        requests=requests.need()["items"],
        names=_names(names.value) if names.ok else {},
        next=requests.value["next"],
        states=STATES,
        tones=TONES,
        state=state,
        cursor=cursor,
    )


def _names(modules: Mapping[str, Any]) -> dict[str, str]:
    return {each["module"]: each["name"] for each in modules["items"]}


@router.get("/{tenant}/{request}")
async def show_request(page: OperatorPage, tenant: str, request: str) -> Response:
    """Show a request with the form of its estimate, filled with what is asked for and the prices of the price list."""
    return await _show(page, tenant, request, None)


async def _show(page: Page, tenant: str, request: str, form: Form | None, status: int = 200) -> Response:
    path = f"/v1/tenants/{url_part(tenant)}"
    found, licences, modules, company = await page.together(
        page.get("invoicing", f"{path}/purchase-requests/{url_part(request)}"),
        page.get("invoicing", f"{path}/licences"),
        page.get("invoicing", "/v1/modules"),
        page.get("users", path),
    )
    currency = found.need()["currency"] or (licences.value["currency"] if licences.ok else "EUR")
    known = {each["module"]: each for each in licences.value["modules"]} if licences.ok else {}
    if form is None:
        form = Form.of(valid_until=None, **_suggested(page, found.value["items"], known, currency))
    return page.render(
        "operator_request.html",
        status,
        request=found.value,
        tenant=tenant,
        tenant_name=company.value["name"] if company.ok else tenant,
        names=_names(modules.value) if modules.ok else {},
        known=known,
        currency=currency,
        states=STATES,
        tones=TONES,
        form=form,
    )


def _suggested(page: Page, items: Any, known: Mapping[str, Any], currency: str) -> dict[str, object]:
    """Return the first values of the form: the numbers that were asked for, and the prices of today's list."""
    values: dict[str, object] = {}
    for each in items:
        values[f"count-{each['module']}"] = each["add"] or each["reduce"]
        price = each["unit_price_minor"]
        price = known.get(each["module"], {}).get("unit_price_minor") if price is None else price
        if each["add"] and price is not None:
            values[f"price-{each['module']}"] = page.formats.amount(price, currency)
    return values


@router.post("/{tenant}/{request}/estimate")
async def estimate(page: OperatorPage, tenant: str, request: str) -> Response:
    """Answer with an estimate. The customer gets an e-mail and can approve it."""
    form, items = page.form, []
    for module in form.all("module"):
        count = _count(page, module)
        item: dict[str, Any] = {"module": module, form[f"kind-{module}"]: count}
        if form[f"kind-{module}"] == "add" and form[f"price-{module}"]:
            item["unit_price_minor"] = _price(page, module, form["currency"])
        items.append(item)
    body = {"items": items, "note": form["note"]} | ({"valid_until": form["valid_until"]} if form["valid_until"] else {})
    return await _answer(page, tenant, request, "PUT", "estimate", body, page.gettext("The estimate was sent to the customer."))


def _count(page: Page, module: str) -> int:
    error = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(LICENCES_MAX))
    return page.form.integer(f"count-{module}", error, least=1, most=LICENCES_MAX)


def _price(page: Page, module: str, currency: str) -> int:
    """Return a price in minor units, read as the reader's language writes it; 12,50 is the same as 12.50."""
    error = page.gettext("Enter a price such as %(example)s, or nothing.", example=page.formats.amount(1250, currency))
    return page.form.amount(f"price-{module}", error, currency, page.formats.locale, most=PRICE_MAX)


@router.post("/{tenant}/{request}/decline")
async def decline(page: OperatorPage, tenant: str, request: str) -> Response:
    """Decline the request. The customer gets the reason."""
    reason = page.form.text("reason", page.gettext("Enter a reason of at most 200 characters. The customer gets it."))
    return await _answer(page, tenant, request, "POST", "decline", {"reason": reason}, page.gettext("The request was declined."))


async def _answer(page: Page, tenant: str, request: str, method: str, what: str, body: Any, done: str) -> Response:
    form, path = page.form, f"/v1/tenants/{url_part(tenant)}/purchase-requests/{url_part(request)}/{what}"
    if form.ok:
        try:
            await page.send(method, "invoicing", path, body, key=form.key or None)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    if not form.ok:
        return await _show(page, tenant, request, form, 422)
    return page.redirect("/operator/requests", done)
