"""Requests of all tenants for more or fewer licences, which an operator answers with an estimate or declines (A9, A11)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from services.console.pages.discount_forms import discount_of
from services.console.pages.forms import Form
from services.console.pages.licence_refusals import step_reason
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
DISCOUNTS_MAX: Final = 10  # of an estimate


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


async def _show(page: Page, tenant: str, request: str, form: Form | None, status: int = 200, preview: Any = None) -> Response:
    path = f"/v1/tenants/{url_part(tenant)}"
    found, licences, subscription, modules, company = await page.together(
        page.get("invoicing", f"{path}/purchase-requests/{url_part(request)}"),
        page.get("invoicing", f"{path}/licences"),
        page.get("invoicing", f"{path}/subscription"),
        page.get("invoicing", "/v1/modules"),
        page.get("users", path),
    )
    had: Mapping[str, Any] = {"currency": "EUR", "modules": []} if licences.missing else licences.need()
    currency, known = found.need()["currency"] or had["currency"], {each["module"]: each for each in had["modules"]}
    if form is None:
        form = Form.of(valid_until=None, **_suggested(page, found.value, known, currency))
    names = _names(modules.value) if modules.ok else {}
    both = list(dict.fromkeys([*known, *(each["module"] for each in found.value["items"])]))
    return page.render(
        "operator_request.html",
        status,
        request=found.value,
        tenant=tenant,
        tenant_name=company.value["name"] if company.ok else tenant,
        names=names,
        known=known,
        has_ended=subscription.ok and subscription.value["status"] == "ended",
        coming=subscription.value["coming_prices"] if subscription.ok else [],
        discount_modules=[(each, names.get(each, each)) for each in both],
        discount_rows=min(len(found.value["discounts"]) + 1, DISCOUNTS_MAX),
        preview=preview,
        currency=currency,
        states=STATES,
        tones=TONES,
        why=lambda step: step_reason(step, page),
        form=form,
    )


def _suggested(page: Page, request: Mapping[str, Any], known: Mapping[str, Any], currency: str) -> dict[str, object]:
    """Return the first values of the form: the numbers that were asked for, the prices of today's list, and the discounts of the last
    estimate."""
    values: dict[str, object] = {}
    for place, each in enumerate(request["discounts"]):
        value = each["percent"] or page.formats.amount(each["amount_minor"], currency)
        values |= {f"d{place}-kind": "percent" if each["percent"] else "amount", f"d{place}-value": value, f"d{place}-text": each["text"]}
        values |= {f"d{place}-module": each["module"] or "", f"d{place}-periods": each["periods"] or ""}
        values |= {f"d{place}-until_day": each["until_day"]} if each["until_day"] and not each["periods"] else {}
    for each in request["items"]:
        values[f"count-{each['module']}"] = each["add"] or each["reduce"]
        price = each["unit_price_minor"]
        price = known.get(each["module"], {}).get("unit_price_minor") if price is None else price
        if each["add"] and price is not None:
            values[f"price-{each['module']}"] = page.formats.amount(price, currency)
    return values


@router.post("/{tenant}/{request}/estimate")
async def estimate(page: OperatorPage, tenant: str, request: str) -> Response:
    """Show what the estimate costs; with the second button, send it. The customer gets an e-mail and can approve it."""
    form, items, fields = page.form, [], dict[str, str]()
    for place, module in enumerate(form.all("module")):
        fields |= {f"items.{place}.{name}": f"count-{module}" for name in ("add", "reduce")}
        fields[f"items.{place}.unit_price_minor"] = f"price-{module}"
        count = _count(page, module)
        item: dict[str, Any] = {"module": module, form[f"kind-{module}"]: count}
        if form[f"kind-{module}"] == "add" and form[f"price-{module}"]:
            item["unit_price_minor"] = _price(page, module, form["currency"])
        items.append(item)
    body: dict[str, Any] = {"items": items, "note": form["note"], "discounts": []}
    body |= {"valid_until": form["valid_until"]} if form["valid_until"] else {}
    for row in (f"d{number}-" for number in range(DISCOUNTS_MAX) if form[f"d{number}-value"]):
        fields |= {f"discounts.{len(body['discounts'])}.{name}": f"{row}value" for name in ("percent", "amount_minor")}
        fields |= {f"discounts.{len(body['discounts'])}.{name}": row + name for name in ("module", "periods", "until_day", "text")}
        body["discounts"].append(discount_of(page, form["currency"], row))
    if form["step"] == "send":
        return await _answer(page, tenant, request, "PUT", "estimate", body, page.gettext("The estimate was sent to the customer."), fields)
    preview = await _send(page, tenant, request, "PUT", "estimate", body, fields, {"dry_run": "true"}) if form.ok else None
    return await _show(page, tenant, request, form, 200 if form.ok else 422, preview)


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


async def _send(
    page: Page, tenant: str, request: str, method: str, what: str, body: Any, fields: Mapping[str, str], query: Mapping[str, str]
) -> Any:
    """Send the answer, or ask what it costs. A refusal is shown in the form, beside the field that it names."""
    form, path = page.form, f"/v1/tenants/{url_part(tenant)}/purchase-requests/{url_part(request)}/{what}"
    try:
        return await page.send(method, "invoicing", path, body, query=query, key=form.key or None)
    except Refusal as refusal:
        named = fields.get(str(refusal.problem.extra.get("field", "")).removeprefix("body."))
        if named is not None:
            form.errors[named] = page.why(refusal.problem)
        else:
            form.refuse(refusal.problem, fields)


async def _answer(
    page: Page, tenant: str, request: str, method: str, what: str, body: Any, done: str, fields: Mapping[str, str] = MappingProxyType({})
) -> Response:
    form = page.form
    if form.ok:
        await _send(page, tenant, request, method, what, body, fields, {})
    if not form.ok:
        return await _show(page, tenant, request, form, 422)
    return page.redirect("/operator/requests", done)
