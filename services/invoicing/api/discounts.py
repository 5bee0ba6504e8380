"""Discounts of a subscription. Only the operator grants and withdraws them."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, TenantId, TenantOperator, Wired, today_of
from services.invoicing.api.requests import DiscountBody
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.discounts import StoredDiscount
from services.invoicing.use_cases import discounts
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Instant
from shared.schemas.invoicing_v1 import Amounts, Discount
from shared.web import Cursor, Limit, Page, access, actor_of, answer, decode_cursor, encode_cursor, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription/discounts", tags=["account"])
READ = [Depends(access("account:read"))]


class DiscountView(BaseModel):
    """A discount. A percentage holds for what is supplied on its days; an amount once for each period that begins on them."""

    discount: str
    subscription: str
    module: str | None = Field(description="null: the whole subscription.")
    percent: str | None
    amount_minor: int | None = Field(description="The net amount for each period.")
    currency: str
    from_day: date
    until_day: date | None = Field(description="The first day without it; null: it has no end.")
    text: str
    status: str = Field(description="planned (it holds later), active, ended or withdrawn")
    granted_at: Instant | None = Field(description="null in the answer to a dry run.")
    withdrawn_at: Instant | None
    next_before: Amounts | None = Field(None, description="With `dry_run`, the price of the next period without the discount.")
    next_after: Amounts | None = Field(None, description="With `dry_run`, the price of the next period with the discount.")

    @classmethod
    def of(cls, found: StoredDiscount, today: date) -> "DiscountView":
        status = _status(found.content, today)
        return cls(
            **found.content.model_dump(),
            subscription=found.subscription,
            currency=found.currency,
            status=status if found.withdrawn_at is None else "withdrawn",
            granted_at=found.granted_at,
            withdrawn_at=found.withdrawn_at,
        )

    @classmethod
    def of_preview(cls, found: discounts.DiscountPreview) -> "DiscountView":
        """Return a discount that is not granted."""
        contract, terms = found.situation.contract, found.discount
        return cls(
            **terms.model_dump(),
            subscription=contract.subscription,
            currency=contract.currency,
            status=_status(terms, local_day(found.situation.at, contract.time_zone)),
            granted_at=None,
            withdrawn_at=None,
            next_before=found.before,
            next_after=found.after,
        )


def _status(terms: Discount, today: date) -> str:
    return "planned" if today < terms.from_day else "ended" if terms.until_day is not None and today >= terms.until_day else "active"


async def _view(uow: UnitOfWork, tenant: str, discount: str, wiring: Wired) -> DiscountView:
    found = await store.discounts.find(uow.connection, tenant, discount)
    if found is None:
        raise NotFound("discount")
    return DiscountView.of(found, await today_of(uow, tenant, wiring.clock))


@router.post(
    "",
    summary="Grant a discount",
    status_code=201,
    response_model=DiscountView,
    responses={200: {"model": DiscountView, "description": "A dry run: nothing is granted."}, **refusals(409)},
    dependencies=[Depends(access("operator"))],
)
async def post_discount(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    body: DiscountBody,
    principal: TenantOperator,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Grant nothing, and return what the discount would change.")] = False,
) -> Response:
    """It holds for licences that are added and for periods that begin from now on; nothing that is charged already changes. Percentages
    come before amounts, and earlier discounts before later ones. An amount counts once for each period, is spread over its lines, and no
    line falls below zero. Discounts of a new subscription are part of its start (`POST …/subscription`)."""

    if dry_run:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await discounts.preview(uow, tenant, body, settings=wiring.settings, clock=wiring.clock)
            return answer(DiscountView.of_preview(found))

    async def act() -> Response:
        made = await discounts.grant(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return answer(await _view(uow, tenant, made, wiring), 201, {"location": f"/v1/tenants/{tenant}/subscription/discounts/{made}"})

    async def read(made: str) -> Response:
        return answer(await _view(uow, tenant, made, wiring))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.get("", summary="List the discounts of the tenant, oldest first", dependencies=READ)
async def list_discounts(wiring: Wired, tenant: TenantId, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[DiscountView]:
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(tenant) as uow:
        today = await today_of(uow, tenant, wiring.clock)
        found = await store.discounts.page(uow.connection, tenant, after, limit)
    items = [DiscountView.of(each, today) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get("/{discount}", summary="Get a discount", dependencies=READ)
async def get_discount(wiring: Wired, tenant: TenantId, discount: IdPath) -> DiscountView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, discount, wiring)


@router.delete("/{discount}", summary="Withdraw a discount", responses=refusals(409), dependencies=[Depends(access("operator"))])
async def delete_discount(wiring: Wired, tenant: TenantId, discount: IdPath, principal: TenantOperator) -> DiscountView:
    """It no longer holds for licences that are added and for periods that begin. What was charged with it stays, and is credited with it.
    If you withdraw it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await discounts.withdraw(uow, tenant, discount, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return await _view(uow, tenant, discount, wiring)
