"""Pools when the next period begins, if no command comes until then: what the renewal finds."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.seats.domain.closing import close
from services.seats.domain.decision import DecisionBuilder
from services.seats.domain.due_items import apply_numbers, apply_until_period, number_at_start
from services.seats.domain.reduction import reduction_plan
from services.seats.domain.state import Pool


class PoolAtRenewal(NamedTuple):
    """A pool when the period begins: the seats in use and the licences before the new number applies, whose holds that number cancels,
    and whom it flags."""

    in_use: int
    licences: int
    cancelled: Sequence[str] = ()
    flagged: Sequence[str] = ()


def schedule_numbers(builder: DecisionBuilder, numbers: Iterable[tuple[str, int]]) -> None:
    """Set the next period's numbers. A pool that was to close goes on."""
    tenant = builder.tenant
    for module, number in numbers:
        tenant.put_pool(module, tenant.pools[module].row._replace(next_period=number, numbered=builder.offset, former_next=None))


def pools_at_renewal(builder: DecisionBuilder, numbers: Sequence[tuple[str, int]]) -> dict[str, PoolAtRenewal]:
    """Return these pools as the next period finds them if it has these numbers of licences. Nothing changes.

    Everything that falls due until then is applied first, by the same code as when it really happens: leavers give up their seats, graces
    and holds end, flags are cleared and the queue is served. While no period is scheduled, the pools are those of the present, without
    those that close when it begins: an administrator may have a seat there.
    """
    tenant = builder.tenant
    with tenant.trial():
        schedule_numbers(builder, numbers)
        ahead = DecisionBuilder(tenant, builder.command, builder.partition, builder.offset, builder.at, builder.rules, builder.n)
        is_scheduled = bool(tenant.row.scheduled)
        if is_scheduled:
            apply_until_period(ahead)
        found = {module: _used(tenant.pools[module]) for module, _ in numbers}
        begins_with = {module: number_at_start(tenant.pools[module]) for module in found}
        if is_scheduled:
            apply_numbers(ahead)
        else:
            for module in [module for module, pool in sorted(tenant.pools.items()) if not number_at_start(pool)]:
                close(ahead, module)
        return {module: _reduced(ahead, module, pool, begins_with[module]) for module, pool in found.items()}


def _used(pool: Pool) -> PoolAtRenewal:
    return PoolAtRenewal(pool.in_use, pool.row.licences)


def _reduced(builder: DecisionBuilder, module: str, pool: PoolAtRenewal, number: int) -> PoolAtRenewal:
    cancelled, flagged, last = reduction_plan(builder, builder.tenant.pools[module], number)
    return pool._replace(cancelled=cancelled, flagged=flagged if last is None else [*flagged, last])
