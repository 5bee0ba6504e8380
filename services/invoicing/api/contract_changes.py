"""Changes of a running subscription: its policies and its plan."""

from functools import partial

from fastapi import APIRouter, Depends, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, SettingsManager, TenantId, Wired, answer_in_time, decided_in_time
from services.invoicing.api.quotes import quote_view
from services.invoicing.api.requests import AddedModule, PoliciesBody
from services.invoicing.api.responses.contract_changes import ContractChangeView, PoliciesView
from services.invoicing.api.responses.quotes import QuoteView
from services.invoicing.domain.policies import about_money
from services.invoicing.use_cases.added_modules import quote_module
from services.invoicing.use_cases.decided_policies import decided_policies
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.ordering import check_direct_buying
from services.invoicing.use_cases.policies import change_policies
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.errors import Forbidden, NotFound
from shared.schemas.rights import ACCOUNT_BUY, OPERATOR
from shared.schemas.seats_v1 import OverLimit
from shared.web import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Principal,
    access,
    actor_of,
    answer,
    check_if_match,
    decode_cursor,
    encode_cursor,
    etag,
    refusals,
)
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer, wait_for, wait_seconds
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription", tags=["account"])
READ = [Depends(access("account:read"))]


def _check_money(principal: Principal, body: PoliciesBody) -> None:
    fields = [f"modules.{module}.{name}" for module, given in sorted(body.modules.items()) for name in about_money(given)]
    fields += sorted(body.model_fields_set & {"charge_when", "credit_when"})
    if fields and not principal.may(ACCOUNT_BUY):
        detail = (
            f"{', '.join(fields)}: a change of these policies needs the right {ACCOUNT_BUY}, because they change what is charged. Your "
            "access token does not have this right. Leave them out, or ask somebody who may buy licences."
        )
        raise Forbidden("no-right", detail, right=ACCOUNT_BUY)


async def _view(uow: UnitOfWork, tenant: str, change: str) -> ContractChangeView:
    found = await store.contract_changes.find(uow.connection, tenant, change)
    if found is None:
        raise NotFound("change")
    return ContractChangeView.of(tenant, found)


async def _decided(wiring: Wiring, tenant: str, change: str) -> ContractChangeView | None:
    """Return the change if it is decided."""
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await _view(uow, tenant, change)
    return found if found.status not in ("offered", "pending") else None


async def _policies(uow: UnitOfWork, tenant: str) -> PoliciesView:
    """Return the policies. Raises NotFound."""
    found = await store.subscriptions.need(uow.connection, tenant)
    return PoliciesView.of(found.contract, await decided_policies(uow, tenant))


def _changed_alone(body: PoliciesBody) -> list[str | None]:
    """Return the only part of the policies that a change is about: a pool, or None for the subscription's own; nothing for several."""
    parts: list[str | None] = [*body.modules, *([None] if body.model_fields_set - {"modules"} else [])]
    return parts if len(parts) == 1 else []


@router.get("/policies", response_model=PoliciesView, summary="Get the policies of the subscription and its pools", dependencies=READ)
async def get_policies(wiring: Wired, tenant: TenantId) -> Response:
    """Changes that seats has not answered yet are counted."""
    async with wiring.database.unit_of_work(tenant) as uow:
        shown = await _policies(uow, tenant)
    return answer(shown.with_etags(), headers={"etag": etag(shown.mark())})


@router.patch(
    "/policies",
    summary="Change the policies of the subscription and its pools",
    status_code=202,
    response_model=ContractChangeView,
    responses=decided_in_time(ContractChangeView) | refusals(409, 412),
)
async def patch_policies(
    wiring: Wired, tenant: TenantId, body: PoliciesBody, principal: SettingsManager, prefer: Prefer = None, if_match: IfMatch = None
) -> Response:
    """Policies that you leave out keep their values. A changed policy applies to later decisions only: flags keep their deadlines, people
    who wait continue to wait, and nothing is bought for them. If you send `If-Match`, it is checked: it is the ETag of
    `GET …/subscription/policies`. A change of one pool alone may send the ETag of this pool from `module_etags`, and a change of the
    subscription's own policies alone `own_etag`; both fit although others have changed the rest.

    Policies about money also need the right account:buy: `over_limit` = `expand`, `expand_cap`, `reduce_at`, `reduce_below_use`,
    `terminate_reduces_pool`, `charge_when` and `credit_when`."""
    _check_money(principal, body)
    if body.price_notice is not None and not principal.may(OPERATOR):
        detail = f"Only a token with the right {OPERATOR} may set body.price_notice. Leave it out; then it stays as it is."
        raise Forbidden("no-right", detail, right=OPERATOR, field="body.price_notice")
    expands = any(each.over_limit == OverLimit.EXPAND or each.expand_cap is not None for each in body.modules.values())
    async with wiring.database.unit_of_work(tenant) as uow:
        if if_match is not None:
            await lock_tenant(uow, tenant, wiring.clock)
            present = await _policies(uow, tenant)
            check_if_match(if_match, present.mark(), *map(present.mark_of, _changed_alone(body)))
        if expands and not principal.may(OPERATOR):
            await check_direct_buying(uow, tenant, wiring.clock)  # an expansion buys without an estimate
        made = await change_policies(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        shown = await _view(uow, tenant, made)
    response = answer(shown, 202, {"location": shown.status_url})
    return await answer_in_time(wiring, prefer, response, partial(_decided, wiring, tenant, made))


@router.post("/modules", summary="Request a quote for another module", status_code=201, response_model=QuoteView, responses=refusals(409))
async def post_module(
    wiring: Wired, request: Request, tenant: TenantId, body: AddedModule, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The licences are priced for the rest of the period, like a purchase. Approve the quote like any other; then seats opens the pool. To
    close a module, reduce it to 0 licences (`POST …/reductions`)."""

    async def act() -> Response:
        await check_direct_buying(uow, tenant, wiring.clock)
        made = await quote_module(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        shown = await quote_view(uow, tenant, made.quote, wiring.clock)
        return answer(shown, 201, {"location": f"/v1/tenants/{tenant}/quotes/{made.quote}"})

    async def read(made: str) -> Response:
        return answer(await quote_view(uow, tenant, made, wiring.clock))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.get("/changes", summary="List the changes of the subscription, oldest first", dependencies=READ)
async def list_changes(wiring: Wired, tenant: TenantId, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ContractChangeView]:
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.contract_changes.page(uow.connection, tenant, after, limit)
    items = [ContractChangeView.of(tenant, each) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get("/changes/{change}", summary="Get a change of the subscription", dependencies=READ)
async def get_change(wiring: Wired, tenant: TenantId, change: IdPath, prefer: Prefer = None) -> ContractChangeView:
    decided = await wait_for(wiring.clock, wait_seconds(prefer), partial(_decided, wiring, tenant, change))
    if decided is not None:
        return decided
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, change)
