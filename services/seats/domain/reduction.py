"""Reductions: a pool gets fewer licences than its people use."""

from collections.abc import Iterable
from typing import Any

from services.seats.domain.decision import DecisionBuilder
from services.seats.domain.rows import ACTIVE, HELD, Reduced, UserRow
from services.seats.domain.state import Pool
from services.seats.domain.transitions import LeaverReduction
from shared.schemas.seats_v1 import Reason, ReduceAt


def reduction_order(builder: DecisionBuilder, pool: Pool) -> tuple[list[tuple[int, str]], list[tuple[int, int, int, str]]]:
    """Return (holds, active seats) of a pool in the order in which a reduction takes them: the newest hold first; the most recently
    created person first, and of those created at one time the one whose seat was decided last."""
    module = pool.module
    holds: list[tuple[int, str]] = []
    active: list[tuple[int, int, int, str]] = []
    for user, row in builder.tenant.users.items():
        seat = row.seats.get(module)
        if seat is None:
            continue
        if seat.state == ACTIVE:
            active.append((row.created_at, seat.seq, seat.again, user))
        elif seat.state == HELD:
            holds.append((seat.seq, user))
    holds.sort(reverse=True)
    active.sort(reverse=True)
    return holds, active


def reduction_plan(builder: DecisionBuilder, pool: Pool, licences: int) -> tuple[list[str], list[str], str | None]:
    """Return the holds to cancel, the people to flag, and the last administrator if nobody else can be flagged, if the pool had only
    `licences`.

    The last administrator of a base module is passed over unless nobody else is left. That flag has no deadline.
    """
    over = pool.active + pool.held - licences
    if over <= 0:
        return [], [], None
    holds, active = reduction_order(builder, pool)
    cancelled = [user for _, user in holds[:over]]
    over -= len(cancelled)
    last = None
    if pool.row.base and len(builder.tenant.administrators) == 1:
        (last,) = builder.tenant.administrators
    flagged = [user for *_, user in active[: over + 1] if user != last][:over]
    return cancelled, flagged, last if len(flagged) < over else None


def reduce(builder: DecisionBuilder, module: str, reason: str) -> None:
    """Reduce active and held seats to the licences: cancel the newest holds first, then flag the newest people with a full grace."""
    pool = builder.tenant.pools[module]
    cancelled, flagged, last = reduction_plan(builder, pool, pool.row.licences)
    for user in cancelled:
        builder.release("hold_cancelled", user, module, reason)
    for user in flagged:
        builder.flag(user, module, reason)
    if last is not None:
        builder.flag_until(last, module, None, Reason.LAST_ADMINISTRATOR)


def reduce_for_leaver(builder: DecisionBuilder, row: UserRow, released: Iterable[str]) -> tuple[LeaverReduction, ...]:
    """M9: remove the licence of a leaver's active seat before flags and the queue get it. The last licence stays. `row` is the leaver's,
    with the seats that are released. Return what was reduced."""
    tenant, reduced = builder.tenant, list[LeaverReduction]()
    for module in released:
        pool = tenant.pools[module].row
        if not pool.terminate_reduces_pool or row.seats[module].state != ACTIVE:
            continue
        if pool.reduce_at == "now":
            if pool.licences <= 1:
                continue
            licences = pool.licences - 1
            changed = pool._replace(licences=licences, next_period=min(pool.next_period, licences))
        else:
            if pool.next_period <= 1:
                continue
            changed = pool._replace(next_period=pool.next_period - 1)
        tenant.put_pool(module, changed)
        builder.emit("pool_reduced", Reason.TERMINATED, (module,), module=module, by=1, reduce_at=pool.reduce_at)
        reduced.append(LeaverReduction(module, pool.licences - changed.licences, pool.next_period - changed.next_period))
    return tuple(reduced)


def take_reductions_back(builder: DecisionBuilder, user: str, reduced: Iterable[Reduced]) -> bool:
    """M9: give the pools back what a leaving reduced that is taken back. Where a purchase, a reduction, a closing or a new period has set
    the numbers since, they stay. Return whether a pool has more licences now."""
    tenant, more = builder.tenant, False
    for module, licences, next_period, offset in reduced:
        pool = tenant.pools.get(module)
        if pool is None:
            continue
        about: dict[str, Any] = {"module": module, "by": 1, "reduce_at": str(ReduceAt.NOW if licences else ReduceAt.PERIOD_END)}
        if pool.row.numbered >= offset:
            builder.emit("reduction_kept", Reason.LEAVING_WITHDRAWN, (module,), user, **about)
            continue
        row, total = pool.row, pool.row.licences + licences
        tenant.put_pool(module, row._replace(licences=total, next_period=min(row.next_period + next_period, total)))
        builder.emit("pool_restored", Reason.LEAVING_WITHDRAWN, (module,), **about)
        more |= licences > 0
    return more
