"""Commands that seats answered with a rejection or a failure, for the operator's list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, names_of, one, recordset, table_of


@dataclass(frozen=True, slots=True)
class RejectedCommand:
    event_id: str
    tenant_id: str  # empty: the command names no tenant
    type: str
    command: str
    partition: int
    command_offset: int
    reason: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NumberedRejection(RejectedCommand):
    seq: int
    created_at: datetime
    discarded_at: datetime | None
    discarded_by: str | None
    discard_reason: str | None


TABLE = table_of("rejected_commands", NumberedRejection)
_TENANT = bindparam("tenant", type_=Text)
_DISCARDED = bindparam("discarded", type_=Boolean)
_GIVEN = recordset(RejectedCommand)
SAVE = (
    insert(TABLE)
    .from_select(names_of(RejectedCommand), select(*columns_of(RejectedCommand, _GIVEN)).order_by(_GIVEN.c.place))
    .on_conflict_do_nothing()
)
_LISTED = (
    select(*columns_of(NumberedRejection, TABLE))
    .where(
        TABLE.c.seq > bindparam("after"),
        _TENANT.is_(None) | (TABLE.c.tenant_id == _TENANT),
        _DISCARDED.is_(None) | (TABLE.c.discarded_at.is_not(None) == _DISCARDED),
    )
    .order_by(TABLE.c.seq)
    .limit(bindparam("limit", type_=BigInteger))
)
_COUNT_OPEN = select(func.count()).select_from(TABLE).where(TABLE.c.discarded_at.is_(None))
_ONE = select(*columns_of(NumberedRejection, TABLE)).where(TABLE.c.seq == bindparam("wanted"))
_ONE_LOCKED = _ONE.with_for_update()
_DISCARD = (
    update(TABLE)
    .where(TABLE.c.seq == bindparam("wanted"))
    .values(discarded_at=func.now(), discarded_by=bindparam("who"), discard_reason=bindparam("why"))
)


async def rejected_commands(
    connection: AsyncConnection, tenant_id: str | None, after: int, limit: int, *, discarded: bool | None
) -> Sequence[NumberedRejection]:
    """Return the rejected commands of a tenant, or of all tenants (None), oldest first: those that were discarded, those that were not, or
    all (None)."""
    values = {"tenant": tenant_id, "after": after, "limit": limit, "discarded": discarded}
    return await many(connection, _LISTED, NumberedRejection, **values)


async def count_open(connection: AsyncConnection) -> int:
    """Return how many rejected commands of all tenants no operator has discarded."""
    return int((await connection.execute(_COUNT_OPEN)).scalar_one())


async def rejected_command(connection: AsyncConnection, seq: int, *, lock: bool = False) -> NumberedRejection | None:
    """Return a rejected command. With `lock`, two calls about it run one after the other."""
    return await one(connection, _ONE_LOCKED if lock else _ONE, NumberedRejection, wanted=seq)


async def discard(connection: AsyncConnection, seq: int, *, reason: str, by: str) -> None:
    await connection.execute(_DISCARD, {"wanted": seq, "who": by, "why": reason})
