"""Payments, the balance of a tenant, and overdue invoices."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, TenantId, TenantOperator, Wired, today_of
from services.invoicing.api.invoices import invoice_view
from services.invoicing.api.requests import OverdueActionBody, PaymentBody, TakeBackBody
from services.invoicing.api.responses.invoices import InvoiceView
from services.invoicing.api.responses.payments import BalanceView, OverdueInvoiceView, PaymentView
from services.invoicing.use_cases.balance import keep_credit, record_payment, take_back_payment
from services.invoicing.use_cases.overdue import set_overdue_action
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.errors import Invalid, NotFound
from shared.schemas.base import Id
from shared.web import Cursor, Limit, Page, access, actor_of, answer, decode_cursor, encode_cursor, operator, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, tags=["payments"])
OF_TENANT = "/v1/tenants/{tenant}"
OfInvoice = Annotated[Id | None, Query(description="Only payments of this invoice or credit note.")]


async def _view(uow: UnitOfWork, tenant: str, payment: str) -> PaymentView:
    found = await store.payments.find(uow.connection, tenant, payment)
    if found is None:
        raise NotFound("payment")
    return PaymentView.of(found)


@router.post(f"{OF_TENANT}/payments", summary="Record a payment", status_code=201, response_model=PaymentView, responses=refusals(409))
async def post_payment(
    wiring: Wired, request: Request, tenant: TenantId, body: PaymentBody, principal: TenantOperator, key: IdempotencyKey = None
) -> Response:
    """A payment can be a part of what is open. For a credit note, it is a payout to the customer. Only the vendor's operator records
    payments."""

    async def act() -> Response:
        made = await record_payment(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return answer(await _view(uow, tenant, made), 201, {"location": f"/v1/tenants/{tenant}/payments/{made}"})

    async def read(made: str) -> Response:
        return answer(await _view(uow, tenant, made))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.get(f"{OF_TENANT}/payments", summary="List the payments, oldest first", dependencies=[Depends(access("account:read"))])
async def list_payments(
    wiring: Wired, tenant: TenantId, invoice: OfInvoice = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[PaymentView]:
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.payments.page(uow.connection, tenant, after, limit, invoice)
    items = [PaymentView.of(payment) for payment in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get(f"{OF_TENANT}/payments/{{payment}}", summary="Get a payment", dependencies=[Depends(access("account:read"))])
async def get_payment(wiring: Wired, tenant: TenantId, payment: IdPath) -> PaymentView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, payment)


@router.post(f"{OF_TENANT}/payments/{{payment}}/take-back", summary="Take back a wrong payment", responses=refusals(409))
async def post_take_back(wiring: Wired, tenant: TenantId, payment: IdPath, body: TakeBackBody, principal: TenantOperator) -> PaymentView:
    """The payment stays listed, but no longer counts. If you repeat the request, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await take_back_payment(uow, tenant, payment, body.reason, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return await _view(uow, tenant, payment)


@router.post(f"{OF_TENANT}/invoices/{{invoice}}/keep", summary="Keep the rest of a credit note for later invoices", responses=refusals(409))
async def post_keep(wiring: Wired, tenant: TenantId, invoice: IdPath, principal: TenantOperator) -> InvoiceView:
    """The rest is set off against open invoices and those that are issued later, the oldest first. To pay it out instead, record a payment
    of the credit note."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await keep_credit(uow, tenant, invoice, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return await invoice_view(uow, tenant, invoice, wiring.clock)


async def _balance(wiring: Wiring, uow: UnitOfWork, tenant: str) -> BalanceView:
    today = await today_of(uow, tenant, wiring.clock)
    about = await store.tenants.find(uow.connection, tenant)
    contract = await store.subscriptions.contract(uow.connection, tenant)
    balance = await store.receivables.open_balance(uow.connection, tenant)
    overdue = await store.overdue.find(uow.connection, tenant)
    assert about is not None
    return BalanceView.of(balance, overdue, today, contract.currency if contract else None, about.locale)


@router.get(f"{OF_TENANT}/balance", summary="Get the balance of a tenant", dependencies=[Depends(access("account:read"))])
async def get_balance(wiring: Wired, tenant: TenantId) -> BalanceView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _balance(wiring, uow, tenant)


@router.put(f"{OF_TENANT}/overdue-action", summary="Set what an overdue invoice leads to", responses=refusals(409))
async def put_overdue_action(wiring: Wired, tenant: TenantId, body: OverdueActionBody, principal: TenantOperator) -> BalanceView:
    """It holds at once, also for invoices whose last reminder was sent already. Seats that exist are never touched."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await set_overdue_action(uow, tenant, body.action, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return await _balance(wiring, uow, tenant)


@router.get("/v1/overdue-invoices", summary="List the overdue invoices of all tenants", dependencies=[Depends(operator())])
async def list_overdue(wiring: Wired, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[OverdueInvoiceView]:
    """The longest overdue are first. An invoice is overdue when its due date is over in the tenant's time zone."""
    after = decode_cursor(cursor, str, str, str)
    async with wiring.database.unit_of_work(None) as uow:
        found = await store.receivables.overdue(uow.connection, wiring.clock.now(), _place(after), limit)
    last = found[-1] if len(found) == limit else None
    items = [OverdueInvoiceView.of(each) for each in found]
    return Page(items=items, next=encode_cursor(last.due_on.isoformat(), last.tenant_id, last.invoice) if last else None)


def _place(after: tuple[str, str, str] | None) -> tuple[date, str, str] | None:
    if after is None:
        return None
    try:
        return date.fromisoformat(after[0]), after[1], after[2]
    except ValueError as error:
        raise Invalid("query.cursor", after[0], "the `next` of an earlier page") from error
