"""The history of licences and use: what decisions say about the local days, and what readers see of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter

from services.invoicing import store
from services.invoicing.domain.calendar import add_days, local_day
from services.invoicing.store.pool_days import PoolDay
from services.invoicing.store.renewal_forecasts import Excess
from services.invoicing.use_cases.locked_tenants import time_of
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.seats_v1 import PoolState

UTC = "UTC"  # until the event of users about the tenant is read


@dataclass(frozen=True, slots=True)
class Use:
    """The pools as one decision left them. `confirmed`: the decision's own e-mail says whom it would flag."""

    tenant: str
    at: datetime
    offset: int
    n: int
    pools: Sequence[PoolState]
    confirmed: bool


async def note_use(uow: UnitOfWork, uses: Sequence[Use]) -> None:
    """Save what the decisions of a batch say, in their order."""
    zones: dict[str, str] = {}
    limits = await store.renewal_forecasts.limits(uow.connection, list({use.tenant for use in uses}))
    days: dict[tuple[str, str, date], PoolDay] = {}
    excesses: dict[tuple[str, str], Excess] = {}
    for use in uses:
        if use.tenant not in zones:
            found = await store.tenants.find(uow.connection, use.tenant)
            zones[use.tenant] = found.time_zone if found is not None and found.time_zone else UTC
        day = local_day(use.at, zones[use.tenant])
        for pool in use.pools:
            in_use = pool.active + pool.flagged + pool.held
            key = use.tenant, pool.module, day
            before = days.get(key)
            highest = max(in_use, before.highest) if before else in_use
            days[key] = PoolDay(*key, pool.licences, in_use, highest, use.offset, use.n)
            # Seats that are flagged already are not flagged again, and without a scheduled reduction or plan a renewal flags nobody.
            following = min(pool.next_period, limits.get((use.tenant, pool.module), pool.next_period))
            excess = pool.active + pool.held - following
            if not use.confirmed and 0 < following < pool.licences and excess > 0:
                excesses[use.tenant, pool.module] = Excess(use.tenant, pool.module, excess, use.at)
    for tenant in zones:
        await store.pool_days.note(uow.connection, tenant, [day for day in days.values() if day.tenant_id == tenant])
    if excesses:
        await store.renewal_forecasts.note_excess(uow.connection, list(excesses.values()))


async def use_history(
    uow: UnitOfWork, tenant_id: str, days: int, after: str, most: int, clock: Clock
) -> list[tuple[str, Sequence[PoolDay]]]:
    """Return the last `days` local days of each module, up to today; days before the module had a pool are left out. Raises NotFound."""
    tenant = await store.tenants.find(uow.connection, tenant_id)
    if tenant is None:
        raise NotFound("tenant")
    today = local_day(time_of(tenant, clock), tenant.time_zone or UTC)
    first = add_days(today, 1 - days)
    modules = await store.pool_days.modules(uow.connection, tenant_id, after, most)
    found = await store.pool_days.since(uow.connection, tenant_id, modules, first)
    return [(module, list(_filled(list(rows), first, today))) for module, rows in groupby(found, key=attrgetter("module"))]


def _filled(rows: Sequence[PoolDay], first: date, today: date) -> Iterator[PoolDay]:
    """Return every day from `first` to today. A day begins with the use of the day before."""
    by_day = {row.day: row for row in rows}
    last = next((row for row in rows if row.day < first), None)
    day = first
    while day <= today:
        row = by_day.get(day)
        if row is not None:
            last = replace(row, highest=max(row.highest, last.in_use if last else 0))
        elif last is not None:
            last = replace(last, day=day, highest=last.in_use)
        if last is not None:
            yield last
        day += timedelta(days=1)
