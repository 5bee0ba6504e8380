"""Due items: dated releases, graces, holds, threshold resets and periods whose time has come."""

from services.seats.domain.closing import close
from services.seats.domain.decision import DecisionBuilder
from services.seats.domain.instants import instant
from services.seats.domain.reduction import reduce, reduce_for_leaver
from services.seats.domain.rows import ACTIVE, FLAGGED, HELD, shared_names
from services.seats.domain.state import GRACE, HOLD, PERIOD, RELEASE, Due, Pool, pool_rank
from services.seats.domain.transitions import ReleasedAsDated, Revoked, period_started, to_body
from shared.schemas.seats_v1 import Reason, ReduceBelowUse

NO_LIMIT = 1 << 62


def apply_due_items(builder: DecisionBuilder, limit: int = NO_LIMIT) -> int:
    """Apply what is due by the tenant's time, in order of due time, and return how many items were applied, at most `limit`.

    At one instant dated releases come first, then holds expire, then graces end, then thresholds are reset, then the period begins; after
    that log order counts (of the release, the hold, the flag, the pool, the scheduling). Names do not matter: the holds of one person and
    one command expire together, a person's other modules are revoked before the base modules, and the rest follows the order in which the
    pools were opened.
    """
    tenant, count = builder.tenant, 0
    while count < limit:
        due = tenant.due()
        if due is None or due > builder.at:
            return count
        # The entry stays on the heap. The change makes it invalid, and it is still there if the decision is undone.
        _fall_due(builder, tenant.due_heap[0])
        count += 1
    return count


def apply_until_period(builder: DecisionBuilder) -> None:
    """Apply what falls due before the next scheduled period, each item at its own time."""
    while (due := builder.tenant.due()) is not None:
        entry = builder.tenant.due_heap[0]
        builder.move_to(max(due, builder.at))
        if entry[1] == PERIOD:
            return
        _fall_due(builder, entry)


def _fall_due(builder: DecisionBuilder, entry: Due) -> None:
    at, kind, seq, _, _, user, module = entry
    tenant = builder.tenant
    if kind == RELEASE:
        _release_as_dated(builder, user)
    elif kind == HOLD:
        _end_holds(builder, user, at, seq)
    elif kind == GRACE:
        _end_grace(builder, user, _first_grace(builder, user, module, at))
    elif kind == PERIOD:
        start_period(builder)
    else:
        tenant.put_pool(module, tenant.pools[module].row._replace(warned=False, free_since=None))
        builder.emit("warning_armed", Reason.THRESHOLD_RESET, (module,), module=module)


def _release_as_dated(builder: DecisionBuilder, user: str) -> None:
    """Release what the person no longer requires from this instant on. A leaver reduces pools as with `assign_seats` (M9); the command
    that follows on the day finds no seat, so it does not reduce them again."""
    row = builder.tenant.users[user]
    release = row.release
    assert release is not None
    required = shared_names(module for module in row.required if module in release.modules)
    released = sorted(module for module in row.seats if module not in required)
    reduced = reduce_for_leaver(builder, row, released) if release.leaver else ()
    change = ReleasedAsDated(user, required, tuple(released), release.leaver, reduced)
    builder.put(change)
    builder.emit("seats_released", Reason.LEFT if release.leaver else Reason.CHANGED, released, **to_body(change))
    builder.reallocate(Reason.SEAT_RELEASED)


def _end_holds(builder: DecisionBuilder, user: str, at: int, seq: int) -> None:
    """Release what one command reserved until one instant, all of it together."""
    seats = builder.tenant.users[user].seats
    for module in sorted(module for module, seat in seats.items() if seat.state == HELD and (seat.deadline, seat.seq) == (at, seq)):
        builder.release("hold_expired", user, module, Reason.HOLD_EXPIRED)
    builder.reallocate(Reason.LICENCE_FREE)


def _first_grace(builder: DecisionBuilder, user: str, module: str, at: int) -> str:
    """Return the module whose grace of this person ends first at that instant. Other modules come before base modules, which take them
    along."""
    pools = builder.tenant.pools
    if not pools[module].row.base:
        return module
    others = [
        (seat.seq, seat.again, pools[other].row.opened, other)
        for other, seat in builder.tenant.users[user].seats.items()
        if seat.state == FLAGGED and seat.deadline == at and not pools[other].row.base
    ]
    return min(others)[3] if others else module


def is_last_administrator(builder: DecisionBuilder, user: str, administrator: bool) -> bool:
    """Would the tenant have no administrator with an active or flagged seat of a base module, without this person?"""
    return administrator and not (builder.tenant.administrators - {user})


def newest_active(builder: DecisionBuilder, module: str, but: str) -> str | None:
    """Return the most recently created person who is active in the pool; of those created at one time, the one whose seat was decided
    last."""
    newest = max(
        (
            (row.created_at, seat.seq, seat.again, user)
            for user, row in builder.tenant.users.items()
            if user != but and (seat := row.seats.get(module)) is not None and seat.state == ACTIVE
        ),
        default=None,
    )
    return newest[3] if newest is not None else None


def _end_grace(builder: DecisionBuilder, user: str, module: str) -> None:
    tenant = builder.tenant
    row, pool = tenant.users[user], tenant.pools[module]
    if pool.row.base and is_last_administrator(builder, user, row.administrator):
        other = newest_active(builder, module, user)
        if other is None:
            builder.flag_until(user, module, None, Reason.LAST_ADMINISTRATOR)
            return
        builder.clear(user, module, Reason.LAST_ADMINISTRATOR)
        builder.flag(other, module, Reason.LAST_ADMINISTRATOR)
        return
    revoke(builder, user, module)


def revoke(builder: DecisionBuilder, user: str, module: str) -> None:
    """Revoke the seat after its grace. A person who is revoked in a base module loses all other seats in the same decision."""
    tenant = builder.tenant
    row, base = tenant.users[user], tenant.pools[module].row.base
    flagged_at = row.seats[module].since
    change = Revoked(user, module)
    builder.put(change)
    builder.emit("seat_revoked", Reason.GRACE_EXPIRED, (module,), **to_body(change), base=base, flagged_at=instant(flagged_at))
    if base:
        for other in sorted(tenant.users[user].seats, key=lambda other: tenant.pools[other].rank):
            builder.release("seat_released", user, other, Reason.BASE_MODULE_REVOKED)
    builder.reallocate(Reason.SEAT_RELEASED)


def start_period(builder: DecisionBuilder) -> None:
    """Start the next period with its numbers of licences, and reduce the seats to them."""
    apply_numbers(builder)
    for pool in sorted(builder.tenant.pools.values(), key=pool_rank):
        reduce(builder, pool.module, Reason.REDUCTION)
    builder.reallocate(Reason.LICENCE_FREE)


def number_at_start(pool: Pool) -> int:
    """Return the licences with which the next period begins, if it begins with these seats."""
    row = pool.row
    if row.next_period and row.reduce_below_use == ReduceBelowUse.BLOCK:
        return max(row.next_period, min(pool.in_use, row.licences))
    return row.next_period


def apply_numbers(builder: DecisionBuilder) -> None:
    """Apply the next period's numbers of licences, under `block` never below the seats in use. Close the pools whose number is 0."""
    tenant = builder.tenant
    begun = tenant.row.scheduled[0]
    tenant.put_tenant(period_started(tenant.row, begun.period))
    limited, closing, licences, former = [], [], [], []
    for module in sorted(tenant.pools):
        pool = tenant.pools[module]
        row = pool.row
        number = number_at_start(pool)
        if number == 0:
            closing.append(module)
            continue
        if number > row.next_period:
            limited.append(module)
        if number != row.licences:
            former.append({"module": module, "quantity": row.licences})
        tenant.put_pool(module, row._replace(licences=number, next_period=number, numbered=builder.offset))
        licences.append({"module": module, "quantity": number})
    reason = Reason.REDUCTION_LIMITED if limited else Reason.PERIOD_BEGAN
    # Invoices use these numbers. The pools of an event show the end of the whole decision, including an expansion after this event.
    builder.emit(
        "period_started",
        reason,
        sorted(tenant.pools),
        starts_at=instant(begun.starts_at),
        licences=licences,
        former=former,
        reduction_limited=limited,
    )
    for module in closing:
        builder.emit("pool_closed", Reason.PERIOD_BEGAN, (module,), module=module)
        close(builder, module)
