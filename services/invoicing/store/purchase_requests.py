"""Requests for purchases and reductions, with the vendor's estimate. The contact data stay here: events carry the id of the request."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tenants import TENANTS
from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.base import Actor, Payload, format_instant
from shared.schemas.invoicing_v1 import Discount, RequestItem

REQUESTED: Final = "requested"
ESTIMATED: Final = "estimated"
APPROVED: Final = "approved"
DECLINED: Final = "declined"  # by the vendor
WITHDRAWN: Final = "withdrawn"  # by the customer
EXPIRED: Final = "expired"  # nobody approved the estimate until its date
_ITEMS = TypeAdapter(tuple[RequestItem, ...])


class OfferedDiscount(Payload):
    """A discount of an estimate. With `periods`, its days are counted from the day of the approval."""

    content: Discount
    periods: int | None = None


_DISCOUNTS = TypeAdapter(tuple[OfferedDiscount, ...])


@dataclass(frozen=True, slots=True)
class NewRequest:
    """Who asks for what. `items` and `history` are JSON."""

    request: str
    state: str
    company: str
    contact_name: str
    contact_email: str
    contact_phone: str
    message: str
    items: str
    history: str


@dataclass(frozen=True, slots=True)
class PurchaseRequest(NewRequest):
    """A request as it is stored. `outcome` is JSON: the quotes, orders and reductions of its approval."""

    place: int = 0
    note: str = ""
    valid_until: date | None = None
    outcome: str = "{}"
    discounts: str = "[]"  # that the estimate fixes, as JSON

    @property
    def wanted(self) -> tuple[RequestItem, ...]:
        """Return what is asked for, or what the estimate fixes."""
        return _ITEMS.validate_json(self.items)

    @property
    def offered_discounts(self) -> tuple[OfferedDiscount, ...]:
        return _DISCOUNTS.validate_json(self.discounts)

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = orjson.loads(self.history)
        return found

    @property
    def ordered(self) -> Mapping[str, Sequence[str]]:
        found: Mapping[str, Sequence[str]] = orjson.loads(self.outcome)
        return found


@dataclass(frozen=True, slots=True)
class TenantRequest(PurchaseRequest):
    """A request of any tenant, with the tenant's name."""

    tenant_id: str = ""
    name: str | None = None


REQUESTS = table_of("purchase_requests", PurchaseRequest, tenant_id=str, created_at=datetime)

_R = REQUESTS.c
_OWN = _R.tenant_id == bindparam("tenant")
_ADD = insert(REQUESTS)
_SELECT = select(*columns_of(PurchaseRequest, REQUESTS)).where(_OWN)
_FIND = _SELECT.where(_R.request == bindparam("of_request"))
_ESTIMATED = _SELECT.where(_R.state == ESTIMATED).order_by(_R.place)
_PAGE = _SELECT.where(_R.place < bindparam("before")).order_by(_R.place.desc()).limit(bindparam("limit"))
_IN_STATE = _PAGE.where(_R.state == bindparam("of_state"))
# The places of all tenants are one sequence.
_OF_ALL = (
    select(*columns_of(TenantRequest, REQUESTS, TENANTS))
    .join(TENANTS, TENANTS.c.tenant_id == _R.tenant_id)
    .where(_R.place < bindparam("before"))
    .order_by(_R.place.desc())
    .limit(bindparam("limit"))
)
_OF_ALL_IN_STATE = _OF_ALL.where(_R.state == bindparam("of_state"))
_CHANGED = ("state", "items", "note", "valid_until", "outcome", "discounts", "history")
_CHANGE = update(REQUESTS).where(_OWN, _R.request == bindparam("of_request")).values({name: bindparam(f"new_{name}") for name in _CHANGED})


def items_json(items: Sequence[RequestItem]) -> str:
    return _ITEMS.dump_json(tuple(items)).decode()


def discounts_json(discounts: Sequence[OfferedDiscount]) -> str:
    return _DISCOUNTS.dump_json(tuple(discounts)).decode()


def step_json(known: Sequence[Mapping[str, Any]], state: str, at: datetime, actor: Actor, **detail: Any) -> str:
    """Return the history with one more step."""
    step = {"state": state, "at": format_instant(at), "by": actor.model_dump(), "detail": detail}
    return orjson.dumps([*known, step]).decode()


async def add(connection: AsyncConnection, tenant_id: str, new: NewRequest) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(new))


async def find(connection: AsyncConnection, tenant_id: str, request: str) -> PurchaseRequest | None:
    return await one(connection, _FIND, PurchaseRequest, tenant=tenant_id, of_request=request)


async def estimated(connection: AsyncConnection, tenant_id: str) -> list[PurchaseRequest]:
    """Return the requests with an estimate that waits for the customer, the oldest first."""
    return await many(connection, _ESTIMATED, PurchaseRequest, tenant=tenant_id)


async def page(connection: AsyncConnection, tenant_id: str, before: int, limit: int, state: str | None) -> list[PurchaseRequest]:
    """Return requests, the newest first."""
    statement, more = (_PAGE, {}) if state is None else (_IN_STATE, {"of_state": state})
    return await many(connection, statement, PurchaseRequest, tenant=tenant_id, before=before, limit=limit, **more)


async def page_of_all(connection: AsyncConnection, before: int, limit: int, state: str | None) -> list[TenantRequest]:
    """Return requests of all tenants, the newest first."""
    statement, more = (_OF_ALL, {}) if state is None else (_OF_ALL_IN_STATE, {"of_state": state})
    return await many(connection, statement, TenantRequest, before=before, limit=limit, **more)


async def change(connection: AsyncConnection, tenant_id: str, changed: PurchaseRequest) -> None:
    """Save the state, the estimate and the outcome of a request."""
    values = {f"new_{name}": getattr(changed, name) for name in _CHANGED}
    await connection.execute(_CHANGE, {"tenant": tenant_id, "of_request": changed.request} | values)
