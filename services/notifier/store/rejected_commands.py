"""Commands that seats answered with a rejection or a failure, for the operator's list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Text, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, names_of, recordset, table_of


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


TABLE = table_of("rejected_commands", NumberedRejection)
_TENANT = bindparam("tenant", type_=Text)
_GIVEN = recordset(RejectedCommand)
SAVE = (
    insert(TABLE)
    .from_select(names_of(RejectedCommand), select(*columns_of(RejectedCommand, _GIVEN)).order_by(_GIVEN.c.place))
    .on_conflict_do_nothing()
)
_LISTED = (
    select(*columns_of(NumberedRejection, TABLE))
    .where(TABLE.c.seq > bindparam("after"), _TENANT.is_(None) | (TABLE.c.tenant_id == _TENANT))
    .order_by(TABLE.c.seq)
    .limit(bindparam("limit", type_=BigInteger))
)


async def rejected_commands(connection: AsyncConnection, tenant_id: str | None, after: int, limit: int) -> Sequence[NumberedRejection]:
    """Return the rejected commands of a tenant, or of all tenants (None), oldest first."""
    found = await connection.execute(_LISTED, {"tenant": tenant_id, "after": after, "limit": limit})
    return [NumberedRejection(*row) for row in found]
