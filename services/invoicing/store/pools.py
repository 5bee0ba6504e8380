"""The pools as seats last reported them."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import BigInteger, Integer, Text, bindparam, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.quote import Pool
from shared.database.row_classes import columns_of, many, names_of, recordset, table_of
from shared.schemas.seats_v1 import PoolState


@dataclass(frozen=True, slots=True)
class ReportedPool:
    module: str
    licences: int
    next_period: int
    former_next_period: int | None = None


NUMBERS = names_of(ReportedPool, but=("module",))
POOLS = table_of("pools", ReportedPool, tenant_id=str, partition=int, command_offset=int, n=int)

_GIVEN = recordset(ReportedPool)
_INSERT = insert(POOLS).from_select(
    ["tenant_id", *names_of(ReportedPool), "partition", "command_offset", "n"],
    select(
        bindparam("tenant", type_=Text),
        *(_GIVEN.c[name] for name in names_of(ReportedPool)),
        bindparam("at_partition", type_=Integer),
        bindparam("at_offset", type_=BigInteger),
        bindparam("at_n", type_=Integer),
    ),
)
_NEW = _INSERT.excluded
_NOTE = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "module"],
    set_={name: _NEW[name] for name in (*NUMBERS, "partition", "command_offset", "n")},
    where=(tuple_(POOLS.c.command_offset, POOLS.c.n) < tuple_(_NEW.command_offset, _NEW.n))
    & or_(*(POOLS.c[name].is_distinct_from(_NEW[name]) for name in NUMBERS)),
)
# A pool without a licence was closed.
_REPORTED = (
    select(*columns_of(ReportedPool, POOLS)).where(POOLS.c.tenant_id == bindparam("tenant"), POOLS.c.licences > 0).order_by(POOLS.c.module)
)


async def note(connection: AsyncConnection, tenant_id: str, reported: Sequence[PoolState], position: tuple[int, int, int]) -> None:
    """Save the pools as a decision reports them; a pool that reflects a later decision already is left alone."""
    if reported:
        partition, offset, n = position
        rows = orjson.dumps(
            [ReportedPool(pool.module, pool.licences, pool.next_period, pool.former_next_period) for pool in reported]
        ).decode()
        await connection.execute(_NOTE, {"tenant": tenant_id, "rows": rows, "at_partition": partition, "at_offset": offset, "at_n": n})


async def reported(connection: AsyncConnection, tenant_id: str) -> dict[str, Pool]:
    """Return the pools that are open."""
    found = await many(connection, _REPORTED, ReportedPool, tenant=tenant_id)
    return {pool.module: Pool(pool.licences, pool.next_period, pool.former_next_period) for pool in found}
