"""The discounts of a tenant's subscriptions, also those that hold no more."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Text, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import Discount


@dataclass(frozen=True, slots=True)
class NewDiscount:
    discount: str
    subscription: str
    currency: str
    terms: str  # the discount, as JSON
    granted_at: datetime
    granted_by: str  # the actor, as JSON


@dataclass(frozen=True, slots=True)
class StoredDiscount:
    place: int
    discount: str
    subscription: str
    currency: str
    terms: str
    granted_at: datetime
    granted_by: str
    withdrawn_at: datetime | None
    withdrawn_by: str | None

    @property
    def content(self) -> Discount:
        return Discount.model_validate_json(self.terms)


DISCOUNTS = table_of("discounts", StoredDiscount, tenant_id=str)

_D = DISCOUNTS.c
_OWN = _D.tenant_id == bindparam("tenant")
_ONE = _OWN & (_D.discount == bindparam("of_discount"))
_ALL = select(*columns_of(StoredDiscount, DISCOUNTS))
_FIND = _ALL.where(_ONE)
_GRANTED = _ALL.where(_OWN, _D.subscription == bindparam("of_subscription"), _D.withdrawn_at.is_(None)).order_by(_D.place)
_PAGE = _ALL.where(_OWN, _D.place > bindparam("after")).order_by(_D.place).limit(bindparam("most"))
_ADD = insert(DISCOUNTS)
_WITHDRAW = update(DISCOUNTS).where(_ONE).values(withdrawn_at=bindparam("at"), withdrawn_by=bindparam("actor", type_=Text))


async def add(connection: AsyncConnection, tenant_id: str, new: NewDiscount) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(new))


async def find(connection: AsyncConnection, tenant_id: str, discount: str) -> StoredDiscount | None:
    return await one(connection, _FIND, StoredDiscount, tenant=tenant_id, of_discount=discount)


async def of_subscription(connection: AsyncConnection, tenant_id: str, subscription: str) -> tuple[Discount, ...]:
    """Return the discounts that nobody has withdrawn, by the order in which they were granted."""
    found = await many(connection, _GRANTED, StoredDiscount, tenant=tenant_id, of_subscription=subscription)
    return tuple(each.content for each in found)


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredDiscount]:
    return await many(connection, _PAGE, StoredDiscount, tenant=tenant_id, after=after, most=limit)


async def withdraw(connection: AsyncConnection, tenant_id: str, discount: str, at: datetime, actor: Actor) -> None:
    await connection.execute(_WITHDRAW, {"tenant": tenant_id, "of_discount": discount, "at": at, "actor": actor.model_dump_json()})
