"""REST of invoicing: decode, call, encode. Rules are in the domain, transactions in `ordering`."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel

from services.invoicing import catalogue, reads, store, vendor
from services.invoicing.context import Context, check_idle
from services.invoicing.inputs import TAX_FIELDS, BillingDetailsBody, ModuleBody, PlanBody, QuoteBody, SubscriptionBody
from services.invoicing.store import Tenant
from services.invoicing.views import (
    BillingDetailsView,
    ChargeView,
    InvoiceView,
    ModuleView,
    OrderView,
    PlanView,
    QuoteView,
    ResumedView,
    StatisticsView,
    SubscriptionView,
    subscription_view,
)
from shared.database import UnitOfWork
from shared.errors import Forbidden, NotFound, Transient
from shared.idle import IdleCheck
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceIssued
from shared.web import (
    Cursor,
    Limit,
    Page,
    Principal,
    access,
    actor_of,
    answer,
    authenticated,
    decode_cursor,
    encode_cursor,
    operator,
    refusals,
)
from shared.web.auth import OPERATOR
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.openapi import Responses
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

WAIT_MAX_S = 10
TENANT_WAIT_S = 5  # for users' event about a tenant that was just made
PDF_WAIT_S = 5
LOOK_EVERY_S = 0.05
T = TypeVar("T")

TenantId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
IdPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
ModulePath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Reader = Annotated[Principal, Depends(access("account:read"))]
Buyer = Annotated[Principal, Depends(access("account:buy"))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]
Operator = Annotated[Principal, Depends(operator())]
Anybody = Annotated[Principal, Depends(authenticated)]
Prefer = Annotated[str | None, Header(description="`wait=5`: answer when it is decided, or after so many seconds (10 at most).")]


def wait_seconds(prefer: str | None) -> float:
    """Of RFC 7240's `wait`; 0: not at all."""
    match = re.search(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])", prefer or "")
    return min(int(match[1]), WAIT_MAX_S) if match else 0


def _decided(view: type[BaseModel]) -> Responses:
    return {200: {"model": view, "description": "Decided within the time that `Prefer: wait` gave."}}


def routers(context: Context) -> list[APIRouter]:
    tags = ("account", "purchases", "invoices", "state")
    made = [APIRouter(route_class=CheckedRoute, tags=["catalogue"])]
    made += [APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=[tag]) for tag in tags]
    _Catalogue(context).add(made[0])
    _Account(context).add(made[1])
    _Purchases(context).add(made[2])
    _Invoices(context).add(made[3])
    _add_state(context, made[4])
    return made


class _Routes:
    def __init__(self, context: Context) -> None:
        self.context, self.database, self.ordering = context, context.database, context.ordering

    async def until(self, seconds: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """The first answer of `look` that is not None, or None after so many seconds (one look at least)."""
        end = self.context.clock.monotonic() + seconds
        while True:
            found = await look()
            if found is not None or self.context.clock.monotonic() >= end:
                return found
            await asyncio.sleep(LOOK_EVERY_S)

    async def await_tenant(self, tenant: str) -> None:
        """A tenant that users has just made is known here a moment later: whoever made it need not know that. Raises NotFound."""

        async def look() -> Tenant | None:
            async with self.database.unit_of_work(tenant) as uow:
                found = await store.tenant(uow.connection, tenant)
            return found if found is not None and found.time_zone is not None else None

        if await self.until(TENANT_WAIT_S, look) is None:
            raise NotFound("tenant")


class _Catalogue(_Routes):
    def add(self, router: APIRouter) -> None:
        router.put("/v1/modules/{module}", responses=refusals(409), summary="Define a module")(self.put_module)
        router.get("/v1/modules", summary="The modules")(self.list_modules)
        router.put("/v1/plans/{plan}", responses=refusals(409), summary="Define a plan and its price list")(self.put_plan)
        router.get("/v1/plans", summary="The plans and their prices (A10)")(self.list_plans)

    async def put_module(self, module: ModulePath, body: ModuleBody, principal: Operator) -> ModuleView:
        async with self.database.unit_of_work(None) as uow:
            await vendor.define_module(uow, module, body, actor_of(principal), self.context.clock.now())
            found = (await catalogue.modules(uow.connection))[module]
        return ModuleView.model_validate(found)

    async def list_modules(self, principal: Anybody) -> Page[ModuleView]:
        async with self.database.unit_of_work(None) as uow:
            return Page(items=[ModuleView.model_validate(module) for module in (await catalogue.modules(uow.connection)).values()])

    async def put_plan(self, plan: IdPath, body: PlanBody, principal: Operator) -> PlanView:
        async with self.database.unit_of_work(None) as uow:
            return PlanView.of(await vendor.define_plan(uow, plan, body, actor_of(principal), self.context.clock.now()))

    async def list_plans(self, principal: Anybody) -> Page[PlanView]:
        async with self.database.unit_of_work(None) as uow:
            return Page(items=[PlanView.of(plan) for plan in await catalogue.plans(uow.connection)])


class _Account(_Routes):
    def add(self, router: APIRouter) -> None:
        router.put("/billing-details", responses=refusals(409), summary="Change who is billed, and how it is taxed")(self.put_details)
        router.get("/billing-details", summary="Who is billed")(self.get_details)
        decided = _decided(SubscriptionView) | refusals(409)
        router.post("/subscription", summary="Start the subscription", status_code=202, response_model=SubscriptionView, responses=decided)(
            self.start
        )
        router.post("/subscription/resume", summary="Send seats anew what it did not do for it", status_code=202, responses=refusals(409))(
            self.resume
        )
        router.get("/subscription", summary="Plan, period, licences of each module now and in the next period")(self.get)

    async def put_details(self, tenant: TenantId, body: BillingDetailsBody, principal: Buyer) -> BillingDetailsView:
        """The buyer sets company, address, recipient and VAT ID. How the tenant is taxed is for the vendor's operator."""
        forbidden = next((name for name in TAX_FIELDS if name in body.model_fields_set and not principal.may(OPERATOR)), None)
        if forbidden is not None:
            detail = f"body.{forbidden} needs the right {OPERATOR}. Leave it out; the tax that applies to you stays as it is."
            raise Forbidden("no-right", detail, right=OPERATOR, field=f"body.{forbidden}")
        await self.await_tenant(tenant)
        async with self.database.unit_of_work(tenant) as uow:
            await self.ordering.change_billing_details(uow, tenant, body, actor_of(principal))
            found = await store.details(uow.connection, tenant)
        assert found is not None
        return BillingDetailsView.of(found)

    async def get_details(self, tenant: TenantId, principal: Reader) -> BillingDetailsView:
        async with self.database.unit_of_work(tenant) as uow:
            found = await store.details(uow.connection, tenant)
        if found is None:
            raise NotFound("billing details")
        return BillingDetailsView.of(found)

    async def start(
        self,
        request: Request,
        tenant: TenantId,
        body: SubscriptionBody,
        principal: TenantOperator,
        key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response:
        """202 with `pending` until seats has opened every pool; nothing is sent to seats before it knows the tenant."""
        await self.await_tenant(tenant)

        async def act() -> Response:
            await self.ordering.start_subscription(uow, tenant, body, actor_of(principal))
            return answer(await self.view(uow, tenant), 202, {"location": f"/v1/tenants/{tenant}/subscription"})

        async def read(_: str) -> Response:
            return answer(await self.view(uow, tenant))

        async with self.database.unit_of_work(tenant) as uow:
            response = await idempotent(uow, request, principal, key, act, read)

        async def look() -> SubscriptionView | None:
            async with self.database.unit_of_work(tenant) as uow:
                found = await self.view(uow, tenant)
            return found if found.status != "pending" else None

        seconds = wait_seconds(prefer)
        decided = await self.until(seconds, look) if seconds else None
        return answer(decided, 200) if decided is not None else response

    async def resume(self, tenant: TenantId, principal: TenantOperator) -> ResumedView:
        """Pools and the next period that seats rejected or failed at, after the cause is mended. Nothing is sent twice by asking twice."""
        async with self.database.unit_of_work(tenant) as uow:
            return ResumedView(sent=await self.ordering.resume(uow, tenant))

    async def view(self, uow: UnitOfWork, tenant: str) -> SubscriptionView:
        c = uow.connection
        found, contract = await store.subscription(c, tenant), await store.contract(c, tenant)
        if found is None or contract is None:
            raise NotFound("subscription")
        plan = await catalogue.plan(c, contract.plan)
        assert plan is not None
        return subscription_view(found, contract, await store.modules(c, tenant), await store.reported(c, tenant), plan)

    async def get(self, tenant: TenantId, principal: Reader) -> SubscriptionView:
        async with self.database.unit_of_work(tenant) as uow:
            return await self.view(uow, tenant)


class _Purchases(_Routes):
    def add(self, router: APIRouter) -> None:
        quoted = refusals(409)
        router.post("/quotes", summary="Ask what more licences cost", status_code=201, response_model=QuoteView, responses=quoted)(
            self.quote
        )
        router.get("/quotes/{quote}", summary="A quote")(self.get_quote)
        decided = _decided(OrderView) | refusals(409)
        router.post("/quotes/{quote}/approve", summary="Buy what was quoted", status_code=202, response_model=OrderView, responses=decided)(
            self.approve
        )
        router.get("/orders/{order}", summary="What became of an order")(self.get_order)

    async def quote(self, request: Request, tenant: TenantId, body: QuoteBody, principal: Buyer, key: IdempotencyKey = None) -> Response:
        """Nothing changes before it is approved. Priced for the tenant's local day and the price list in force."""

        async def act() -> Response:
            made = await self.ordering.make_quote(uow, tenant, body, actor_of(principal))
            found = await store.tenant(uow.connection, tenant)
            assert found is not None
            return answer(QuoteView.of(found, made, None), 201, {"location": f"/v1/tenants/{tenant}/quotes/{made.quote}"})

        async def read(made: str) -> Response:
            return answer(await self.quote_view(uow, tenant, made))

        async with self.database.unit_of_work(tenant) as uow:
            return await idempotent(uow, request, principal, key, act, read)

    async def get_quote(self, tenant: TenantId, quote: IdPath, principal: Reader) -> QuoteView:
        async with self.database.unit_of_work(tenant) as uow:
            return await self.quote_view(uow, tenant, quote)

    async def quote_view(self, uow: UnitOfWork, tenant: str, quote: str) -> QuoteView:
        found, about = await store.quote(uow.connection, tenant, quote), await store.tenant(uow.connection, tenant)
        order = await store.order_of_quote(uow.connection, tenant, quote)
        if found is None or about is None:
            raise NotFound("quote")
        return QuoteView.of(about, found[0], order["order"] if order else None)

    async def approve(
        self, request: Request, tenant: TenantId, quote: IdPath, principal: Buyer, key: IdempotencyKey = None, prefer: Prefer = None
    ) -> Response:
        """The order goes to seats, which decides. Approving again gives the same order."""
        ordered = ""

        async def act() -> Response:
            nonlocal ordered
            ordered = await self.ordering.approve_quote(uow, tenant, quote, actor_of(principal))
            shown = await self.order_view(uow, tenant, ordered)
            return answer(shown, 202, {"location": shown.status_url})

        async def read(order: str) -> Response:
            return answer(await self.order_view(uow, tenant, order))

        async with self.database.unit_of_work(tenant) as uow:
            response = await idempotent(uow, request, principal, key, act, read)
            if not ordered:  # the first answer again
                found = await store.order_of_quote(uow.connection, tenant, quote)
                assert found is not None
                ordered = found["order"]
        decided = await self.decided(tenant, ordered, wait_seconds(prefer)) if prefer else None
        return answer(decided, 200) if decided is not None else response

    async def order_view(self, uow: UnitOfWork, tenant: str, order: str) -> OrderView:
        found = await store.order(uow.connection, tenant, order)
        if found is None:
            raise NotFound("order")
        return OrderView.of(tenant, found, await reads.invoice_of_order(uow.connection, tenant, order))

    async def decided(self, tenant: str, order: str, seconds: float) -> OrderView | None:
        async def look() -> OrderView | None:
            async with self.database.unit_of_work(tenant) as uow:
                found = await self.order_view(uow, tenant, order)
            return found if found.status != "pending" else None

        return await self.until(seconds, look)

    async def get_order(self, tenant: TenantId, order: IdPath, principal: Reader, prefer: Prefer = None) -> OrderView:
        decided = await self.decided(tenant, order, wait_seconds(prefer))
        if decided is not None:
            return decided
        async with self.database.unit_of_work(tenant) as uow:
            return await self.order_view(uow, tenant, order)


class _Invoices(_Routes):
    def add(self, router: APIRouter) -> None:
        router.get("/invoices", summary="The invoices, oldest first")(self.list)
        router.get("/invoices/{invoice}", summary="An invoice's data")(self.get)
        pdf: dict[int | str, Any] = {200: {"content": {"application/pdf": {}}, "description": "As it was issued."}}
        router.get("/invoices/{invoice}/pdf", summary="An invoice as PDF/A", response_class=Response, responses=pdf)(self.pdf)
        router.get("/charges", summary="The ledger of changes, oldest first")(self.charges)

    async def list(self, tenant: TenantId, principal: Reader, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[InvoiceView]:
        (after,) = decode_cursor(cursor, int) or (0,)
        async with self.database.unit_of_work(tenant) as uow:
            await reads.check_tenant(uow.connection, tenant)
            found = await reads.invoice_page(uow.connection, tenant, after, limit)
        items = [InvoiceView.of(tenant, InvoiceIssued.model_validate_json(invoice["payload"])) for invoice in found]
        return Page(items=items, next=encode_cursor(found[-1]["place"]) if len(found) == limit else None)

    async def get(self, tenant: TenantId, invoice: IdPath, principal: Reader) -> InvoiceView:
        async with self.database.unit_of_work(tenant) as uow:
            found = await reads.invoice(uow.connection, tenant, invoice)
        if found is None:
            raise NotFound("invoice")
        return InvoiceView.of(tenant, found)

    async def pdf(self, tenant: TenantId, invoice: IdPath, principal: Reader) -> Response:
        """Made in the moments after the invoice is issued, and kept: the same bytes ever after."""

        async def look() -> Any:
            async with self.database.unit_of_work(tenant) as uow:
                found = await reads.pdf(uow.connection, tenant, invoice)
            if found is None:
                raise NotFound("invoice")
            return found if found["pdf"] is not None else None

        found = await self.until(PDF_WAIT_S, look)
        if found is None:
            raise Transient("the PDF is not made yet")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", found["number"])
        headers = {"content-disposition": f'inline; filename="{name}.pdf"', "etag": f'"{found["sha256"]}"'}
        return Response(found["pdf"], media_type="application/pdf", headers=headers)

    async def charges(self, tenant: TenantId, principal: Reader, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ChargeView]:
        (after,) = decode_cursor(cursor, int) or (0,)
        async with self.database.unit_of_work(tenant) as uow:
            await reads.check_tenant(uow.connection, tenant)
            found = await reads.charge_page(uow.connection, tenant, after, limit)
        items = [ChargeView.of(ChargeBooked.model_validate_json(charge["payload"]), charge["invoice"]) for charge in found]
        return Page(items=items, next=encode_cursor(found[-1]["place"]) if len(found) == limit else None)


def _add_state(context: Context, router: APIRouter) -> None:
    @router.get("/statistics", summary="Counts and sums of this tenant")
    async def statistics(tenant: TenantId, principal: Reader) -> StatisticsView:
        async with context.database.unit_of_work(tenant) as uow:
            await reads.check_tenant(uow.connection, tenant)
            found = await reads.statistics(uow.connection, tenant)
            contract = await store.contract(uow.connection, tenant)
        shown = {name: found[name] for name in StatisticsView.model_fields if name != "currency"}
        return StatisticsView(**shown, currency=contract.currency if contract else None)

    @router.get("/idle", summary="Is everything done up to the tenant's time?")
    async def show_idle(tenant: TenantId, principal: TenantOperator) -> IdleCheck:
        return await check_idle(context, tenant)
