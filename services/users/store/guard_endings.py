"""The people whose access a source has ended lately without a confirmation, for the guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, Text, and_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, json_rows, names_of, recordset, replacing, table_of
from shared.database.unit_of_work import lock_number


@dataclass(frozen=True, slots=True)
class GuardEnding:
    source: str
    external_id: str
    ended_at: datetime  # the tenant's time


GUARD_ENDINGS: Final = table_of("guard_endings", GuardEnding, tenant_id=str)

_E: Final = GUARD_ENDINGS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_AT: Final = bindparam("at", type_=DateTime(timezone=True))
_OF_SOURCE: Final = and_(_E.tenant_id == _TENANT, _E.source == bindparam("of_source", type_=Text))
_SINCE: Final = select(_E.external_id).where(_OF_SOURCE, _E.ended_at > _AT)
_GIVEN: Final = recordset(GuardEnding)
_ADD: Final = replacing(
    insert(GUARD_ENDINGS).from_select(["tenant_id", *names_of(GuardEnding)], select(_TENANT, *columns_of(GuardEnding, _GIVEN))),
    GuardEnding,
    "tenant_id",
    "source",
    "external_id",
)
_FORGET: Final = delete(GUARD_ENDINGS).where(_OF_SOURCE, _E.ended_at <= _AT)
_LOCK: Final = select(func.pg_advisory_xact_lock(bindparam("number", type_=BigInteger)))


async def lock(connection: AsyncConnection, tenant_id: str, source: str) -> None:
    """Let every other transaction that counts endings of this source wait until this one ends."""
    await connection.execute(_LOCK, {"number": lock_number("guard", tenant_id, source)})


async def since(connection: AsyncConnection, tenant_id: str, source: str, at: datetime) -> frozenset[str]:
    """Return the external ids of the people whose access the source has ended after this time."""
    found = await connection.execute(_SINCE, {"tenant": tenant_id, "of_source": source, "at": at})
    return frozenset(found.scalars())


async def add(connection: AsyncConnection, tenant_id: str, source: str, external_ids: Sequence[str], at: datetime) -> None:
    rows = [GuardEnding(source, external_id, at) for external_id in external_ids]
    if rows:
        await connection.execute(_ADD, {"tenant": tenant_id, "rows": json_rows(rows)})


async def forget(connection: AsyncConnection, tenant_id: str, source: str, up_to: datetime) -> None:
    """Forget the endings up to this time."""
    await connection.execute(_FORGET, {"tenant": tenant_id, "of_source": source, "at": up_to})
