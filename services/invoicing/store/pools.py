"""The pools as seats last reported them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.quote import Pool
from services.invoicing.store.queries import rows
from shared.schemas.seats_v1 import PoolState

_NOTE_POOLS = """
INSERT INTO pools (tenant_id, module, licences, next_period, partition, command_offset, n)
SELECT $1, module, licences, next_period, $5, $6, $7 FROM unnest($2::text[], $3::int[], $4::int[]) AS p (module, licences, next_period)
ON CONFLICT (tenant_id, module) DO UPDATE SET licences = excluded.licences, next_period = excluded.next_period,
    partition = excluded.partition, command_offset = excluded.command_offset, n = excluded.n
WHERE (pools.command_offset, pools.n) < (excluded.command_offset, excluded.n)
  AND (pools.licences, pools.next_period) IS DISTINCT FROM (excluded.licences, excluded.next_period)
"""


async def note(c: AsyncConnection, tenant_id: str, pools: Sequence[PoolState], position: tuple[int, int, int]) -> None:
    """As a decision reports them; what reflects a later decision already is left alone."""
    if pools:
        columns = [p.module for p in pools], [p.licences for p in pools], [p.next_period for p in pools]
        await c.exec_driver_sql(_NOTE_POOLS, (tenant_id, *columns, *position))


async def reported(c: AsyncConnection, tenant_id: str) -> dict[str, Pool]:
    found = await rows(c, "SELECT module, licences, next_period FROM pools WHERE tenant_id = :t ORDER BY module", t=tenant_id)
    return {pool["module"]: Pool(pool["licences"], pool["next_period"]) for pool in found}
