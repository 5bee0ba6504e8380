"""The commands of invoicing and of the clock: pools, licences, periods and time."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from services.seats.domain.closing import close
from services.seats.domain.decision import DUE_ITEM, DecisionBuilder
from services.seats.domain.due_items import apply_due_items
from services.seats.domain.instants import DAY_MS, INSTANT_MAX, instant, to_ms
from services.seats.domain.policies import given_in, merged, shown, wrong_policies, wrong_together, wrong_unset
from services.seats.domain.reduction import reduce
from services.seats.domain.renewal import pools_at_renewal, schedule_numbers
from services.seats.domain.rows import OrderRow, PoolRow
from services.seats.domain.state import Pool, Tenant, pool_rank
from services.seats.domain.transitions import period_scheduled
from shared.schemas.base import format_instant
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.seats_v1 import (
    AddLicences,
    ClockAdvanced,
    CloseAt,
    ClosePool,
    Expected,
    LicenceCount,
    OpenPool,
    Reason,
    ReduceBelowUse,
    ReduceLicences,
    SchedulePeriod,
    ScheduleReduction,
    SetPolicy,
)

SCHEDULED_MAX = 100
POOLS_MAX = 1000  # of one tenant: the event of a period that begins names them all and must fit a record
NAMED_MAX = 1000  # people whom an answer names as flagged, and as many whose reservations are cancelled
TERMINATE = "close_pool with at=period_end ends the module; at least one licence stays until then"
END = "end the whole subscription: close_pool of each of its pools with ending=true"


class Wrong(NamedTuple):
    """Why a command is rejected: the field, its value, and what is allowed."""

    reason: Reason
    field: str
    value: str
    expected: str


def reject(builder: DecisionBuilder, wrong: Wrong, order: str | None = None) -> None:
    reason, field, value, expected = wrong
    builder.answer("command_rejected", reason, (), field=field, value=value[:200], expected=expected, order=order)


def wrong_counts(items: tuple[LicenceCount, ...], least: int) -> Wrong | None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not least <= item.quantity <= LICENCES_MAX:
            return Wrong(Reason.INVALID_COUNT, f"items.{index}.quantity", str(item.quantity), f"{least} to {LICENCES_MAX}")
        if item.module in seen:
            return Wrong(Reason.INVALID_COUNT, f"items.{index}.module", item.module, "each module once")
        seen.add(item.module)
    return None if items else Wrong(Reason.INVALID_COUNT, "items", "[]", "at least one module")


def items_json(items: tuple[LicenceCount, ...]) -> list[dict[str, Any]]:
    return [{"module": item.module, "quantity": item.quantity} for item in items]


# Pools -----------------------------------------------------------------------------------------------------------------


def open_pool(builder: DecisionBuilder, payload: OpenPool) -> None:
    """Decide `open_pool`."""
    tenant, module = builder.tenant, payload.module
    if module in tenant.pools:
        return reject(builder, Wrong(Reason.POOL_EXISTS, "module", module, "a module without a pool; add_licences adds to one"))
    if len(tenant.pools) >= POOLS_MAX:
        return reject(builder, Wrong(Reason.INVALID_COUNT, "module", module, f"at most {POOLS_MAX} modules with a pool"))
    if not 1 <= payload.licences <= LICENCES_MAX:
        return reject(builder, Wrong(Reason.INVALID_COUNT, "licences", str(payload.licences), f"1 to {LICENCES_MAX}"))
    wrong = wrong_policies(payload.policies)
    if wrong is not None:
        return reject(builder, Wrong(*wrong))
    opened = PoolRow(
        base=payload.base, licences=payload.licences, next_period=payload.licences, numbered=builder.offset, opened=builder.next_seq()
    )
    row = merged(opened, given_in(payload.policies))
    wrong = wrong_together(row)
    if wrong is not None:
        return reject(builder, Wrong(*wrong))
    tenant.put_pool(module, row)
    builder.answer("pool_opened", Reason.OPENED, (module,), module=module, base=payload.base, policies=shown(row))
    return None


def unknown_module(module: str) -> Wrong:
    return Wrong(Reason.UNKNOWN_MODULE, "module", module, "a module with an open pool")


def set_policy(builder: DecisionBuilder, payload: SetPolicy) -> None:
    pool = builder.tenant.pools.get(payload.module)
    if pool is None:
        return reject(builder, unknown_module(payload.module))
    wrong = wrong_policies(payload.policies) or wrong_unset(payload.unset, payload.policies)
    if wrong is not None:
        return reject(builder, Wrong(*wrong))
    row = merged(pool.row, given_in(payload.policies) | dict.fromkeys(payload.unset))
    wrong = wrong_together(row)
    if wrong is not None:
        return reject(builder, Wrong(*wrong))
    builder.tenant.put_pool(payload.module, row)
    builder.answer("policy_changed", Reason.POLICY_SET, (payload.module,), module=payload.module, policies=shown(row))
    return None


def close_pool(builder: DecisionBuilder, payload: ClosePool) -> None:
    """Decide `close_pool`, now or at the end of the period. With `ending`, the pool remembers the next period's number of before."""
    tenant, module = builder.tenant, payload.module
    pool = tenant.pools.get(module)
    if pool is None:
        return reject(builder, unknown_module(module))
    if payload.at not in (CloseAt.PERIOD_END, CloseAt.NOW):
        return reject(builder, Wrong(Reason.INVALID_VALUE, "at", payload.at, "now or period_end"))
    if pool.row.base and not payload.ending and not any(other.row.base and other.row.next_period for other in _others(tenant, module)):
        builder.answer("reduction_refused", Reason.LAST_BASE_MODULE, (module,), module=module, instead=END)
    elif payload.at == CloseAt.PERIOD_END:
        row = pool.row
        former = None if not payload.ending else row.next_period if row.former_next is None else row.former_next
        tenant.put_pool(module, row._replace(next_period=0, numbered=builder.offset, former_next=former))
        builder.answer("pool_close_scheduled", Reason.SCHEDULED, (module,), module=module)
    else:
        builder.answer("pool_closed", Reason.POOL_CLOSED, (module,), module=module)
        close(builder, module)
        builder.reallocate(Reason.SEAT_RELEASED)
    return None


def _others(tenant: Tenant, module: str) -> Iterator[Pool]:
    return (pool for pool in tenant.pools.values() if pool.module != module)


# Licences --------------------------------------------------------------------------------------------------------------


def actual(builder: DecisionBuilder, items: tuple[LicenceCount, ...]) -> dict[str, Any]:
    """Return the values that are compared with `expected`, as they are."""
    pools = [(item.module, builder.tenant.pools[item.module].row) for item in items if item.module in builder.tenant.pools]
    shown_pools = [{"module": module, "licences": row.licences, "next_period": row.next_period} for module, row in pools]
    return {"period": builder.tenant.row.period, "pools": shown_pools}


def still_holds(builder: DecisionBuilder, expected: Expected) -> bool:
    """Does the period agree, and the licences and the next period's number of every named pool? Pools that are not named do not matter."""
    if expected.period != builder.tenant.row.period:
        return False
    for pool in expected.pools:
        found = builder.tenant.pools.get(pool.module)
        if found is None or (found.row.licences, found.row.next_period) != (pool.licences, pool.next_period):
            return False
    return True


def was_applied(builder: DecisionBuilder, order: str) -> bool:
    """Was the order applied before? An order is applied once, also if its sender repeats it in another command."""
    if order not in builder.tenant.orders:
        return False
    builder.answer("command_ignored", Reason.DUPLICATE, (), order=order)
    return True


def why_refused(builder: DecisionBuilder, items: tuple[LicenceCount, ...], expected: Expected) -> Reason | None:
    if any(item.module not in builder.tenant.pools for item in items):
        return Reason.UNKNOWN_MODULE
    return None if still_holds(builder, expected) else Reason.EXPECTED_DIFFERS


def add_licences(builder: DecisionBuilder, payload: AddLicences) -> None:
    """Add the licences. They first restore people who were revoked since the approval, then clear flags, then serve the queue."""
    tenant, items = builder.tenant, payload.items
    if was_applied(builder, payload.order):
        return None
    wrong = wrong_counts(items, 1)
    if wrong is None:
        for index, item in enumerate(items):
            pool = tenant.pools.get(item.module)
            if pool is not None and pool.row.licences + item.quantity > LICENCES_MAX:
                wrong = Wrong(Reason.INVALID_COUNT, f"items.{index}.quantity", str(item.quantity), f"at most {LICENCES_MAX} in all")
    if wrong is not None:
        return reject(builder, wrong, payload.order)
    refused = why_refused(builder, items, payload.expected)
    modules = [item.module for item in items]
    if refused is not None:
        known = [module for module in modules if module in tenant.pools]
        expected = payload.expected.model_dump(mode="json")
        builder.answer("order_refused", refused, known, order=payload.order, expected=expected, actual=actual(builder, items))
        return None
    for item in items:
        row = tenant.pools[item.module].row
        total = row.licences + item.quantity
        following = 0 if row.ending else total  # T21, but a subscription that ends goes on ending
        tenant.put_pool(item.module, row._replace(licences=total, next_period=following, numbered=builder.offset))
    tenant.put_order(payload.order, OrderRow(builder.command, builder.offset))
    approved = to_ms(payload.approved_at)
    fields: dict[str, Any] = {"order": payload.order, "items": items_json(items), "approved_at": instant(approved)}
    builder.answer("licences_added", Reason.ORDERED, modules, **fields)
    _restore(builder, modules, approved)
    builder.reallocate(Reason.LICENCE_BOUGHT)
    return None


def _restore(builder: DecisionBuilder, bought: Container[str], approved: int) -> None:
    """Restore the seats of people who were revoked since the approval and still require the module, the oldest revocation first, then log
    order.

    Base modules come before the others, and nobody gets another module while revoked in a base module. A person who gets a base module
    back also gets what was lost with it or revoked before it, where a licence is free: that licence may have been bought first.
    """
    tenant, back = builder.tenant, set[str]()
    out: dict[tuple[bool, Pool], list[tuple[int, int, str]]] = {}
    for user, row in tenant.users.items():
        for entries in (row.revoked, row.lost) if row.revoked or row.lost else ():
            for module, at, seq in entries:
                if module in tenant.pools:
                    pool = tenant.pools[module]
                    # Base modules that were lost come after base modules that were revoked.
                    out.setdefault((pool.row.base and entries is row.lost, pool), []).append((at, seq, user))
    for with_base, pool in sorted(out, key=lambda key: (not key[1].row.base, key[0], key[1].row.opened)):
        for at, _, user in sorted(out[with_base, pool]):
            if pool.free <= 0:
                break
            if (user in back or (pool.module in bought and at >= approved)) and not _out_of_base(tenant, user, pool.module):
                builder.grant(user, pool.module, Reason.RESTORED)
                if pool.row.base:
                    back.add(user)


def _out_of_base(tenant: Tenant, user: str, but: str) -> bool:
    """Is the person revoked in a base module other than `but`, or did the person lose one together with it?"""
    row, pools = tenant.users[user], tenant.pools
    entries = row.revoked if pools[but].row.base else (*row.revoked, *row.lost)
    return any(entry.module != but and entry.module in pools and pools[entry.module].row.base for entry in entries)


def reduce_licences(builder: DecisionBuilder, payload: ReduceLicences) -> None:
    """Reduce all the pools or none of them, then cancel holds and flag people pool by pool."""
    tenant, items = builder.tenant, payload.items
    if was_applied(builder, payload.order):
        return None
    wrong = wrong_counts(items, 1)
    if wrong is not None:
        return reject(builder, wrong, payload.order)
    totals = [(item.module, tenant.pools[item.module].row.licences - item.quantity) for item in items if item.module in tenant.pools]
    if _refuse_reduction(builder, items, payload.expected, totals, payload.order):
        return None
    for module, licences in totals:
        pool = tenant.pools[module]
        if _refuse_below_use(builder, module, licences, pool.in_use, pool.row.licences, payload.order):
            return None
    for module, licences in totals:
        row = tenant.pools[module].row
        tenant.put_pool(module, row._replace(licences=licences, next_period=min(row.next_period, licences), numbered=builder.offset))
    tenant.put_order(payload.order, OrderRow(builder.command, builder.offset))
    builder.answer("licences_reduced", Reason.ORDERED, [module for module, _ in totals], order=payload.order, items=items_json(items))
    for pool in sorted((tenant.pools[module] for module, _ in totals), key=pool_rank):
        reduce(builder, pool.module, Reason.REDUCTION)
    return None


def _refuse_reduction(
    builder: DecisionBuilder, items: tuple[LicenceCount, ...], expected: Expected, totals: list[tuple[str, int]], order: str | None
) -> bool:
    """Answer with the first reason against the reduction, if there is one. `totals` has the requested number for each module."""
    refused = why_refused(builder, items, expected)
    if refused is not None:
        shown_expected = expected.model_dump(mode="json")
        module = next((item.module for item in items if item.module not in builder.tenant.pools), None)
        builder.answer("reduction_refused", refused, (), order=order, module=module, expected=shown_expected, actual=actual(builder, items))
        return True
    for module, number in totals:
        if number == 0:
            builder.answer("reduction_refused", Reason.TERMINATE_INSTEAD, (module,), order=order, module=module, instead=TERMINATE)
            return True
        if not 0 < number <= builder.tenant.pools[module].row.licences:
            builder.answer("reduction_refused", Reason.ABOVE_LICENCES, (module,), order=order, module=module)
            return True
    return False


def _refuse_below_use(builder: DecisionBuilder, module: str, number: int, in_use: int, licences: int, order: str | None = None) -> bool:
    """B12 B13: under `block`, answer that the number is below the seats in use, if it is."""
    row = builder.tenant.pools[module].row
    # An ending that is taken back restores a number that was allowed once; under `block` the period begins with those in use.
    if row.reduce_below_use != ReduceBelowUse.BLOCK or row.ending or number >= min(in_use, licences):
        return False
    builder.answer("reduction_refused", Reason.BELOW_USE, (module,), order=order, module=module, must_free=in_use - number)
    return True


def schedule_reduction(builder: DecisionBuilder, payload: ScheduleReduction) -> None:
    """T2 T12 T18: set the next period's number to any number from 1 to the present licences, as often as you like. The answer names whom
    the renewal would flag, and whose holds it would cancel. It also takes back that a pool closes."""
    tenant, items = builder.tenant, payload.items
    wrong = wrong_counts(items, 0)
    if wrong is not None:
        return reject(builder, wrong)
    numbers = [(item.module, item.quantity) for item in items]
    if _refuse_reduction(builder, items, payload.expected, numbers, None):
        return None
    found = pools_at_renewal(builder, numbers)
    if any(_refuse_below_use(builder, module, number, found[module].in_use, found[module].licences) for module, number in numbers):
        return None
    kept = [module for module, _ in numbers if tenant.pools[module].row.ending]
    schedule_numbers(builder, numbers)
    would_flag = _named({module: found[module].flagged for module, _ in numbers})
    would_cancel = _named({module: found[module].cancelled for module, _ in numbers})
    fields: dict[str, Any] = {
        "items": items_json(items),
        "would_flag": would_flag,
        "would_cancel": would_cancel or None,
        "kept": kept or None,
    }
    builder.answer("reduction_scheduled", Reason.SCHEDULED, [module for module, _ in numbers], **fields)
    return None


def _named(people: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the people of each module for an answer: all are counted, and equally many of each module are named."""
    named_each = NAMED_MAX // len(people)
    return [{"module": module, "users": users[:named_each], "count": len(users)} for module, users in people.items() if users]


# Time ------------------------------------------------------------------------------------------------------------------


def schedule_period(builder: DecisionBuilder, payload: SchedulePeriod) -> None:
    """Schedule a period, or move it to its new time. One that should have begun by now begins in the same decision."""
    tenant, starts_at, given = builder.tenant, to_ms(payload.starts_at), format_instant(payload.starts_at)
    others = tuple(entry for entry in tenant.row.scheduled if entry.period != payload.period)
    if payload.period == tenant.row.period:
        return reject(builder, Wrong(Reason.INVALID_VALUE, "period", payload.period, "a period that has not begun"))
    if not -100 * 366 * DAY_MS < starts_at <= INSTANT_MAX:
        return reject(builder, Wrong(Reason.INVALID_TIME, "starts_at", given, "a time from 1870 to 2200"))
    if len(others) >= SCHEDULED_MAX:
        return reject(builder, Wrong(Reason.INVALID_VALUE, "period", payload.period, f"at most {SCHEDULED_MAX} periods scheduled"))
    if any(entry.starts_at == starts_at for entry in others):
        return reject(builder, Wrong(Reason.INVALID_TIME, "starts_at", given, "a time at which no other period begins"))
    tenant.put_tenant(period_scheduled(tenant.row, payload.period, starts_at, builder.next_seq()))
    builder.answer("period_scheduled", Reason.SCHEDULED, (), next_period_id=payload.period, starts_at=instant(starts_at))
    return None


def clock_to(builder: DecisionBuilder, payload: ClockAdvanced) -> Wrong | None:
    """Check the new time before due items are applied, because the command defines the time."""
    tenant, to = builder.tenant, to_ms(payload.to)
    if not tenant.row.test_clock:
        return Wrong(Reason.NOT_A_TEST_CLOCK, "to", str(payload.to), "a tenant opened on a test clock")
    if not tenant.row.time <= to <= INSTANT_MAX:
        return Wrong(Reason.INVALID_TIME, "to", str(payload.to), f"{instant(tenant.row.time)} to {instant(INSTANT_MAX)}")
    return None


def clock_advanced(builder: DecisionBuilder, payload: ClockAdvanced) -> None:
    wrong = clock_to(builder, payload)
    if wrong is not None:
        return reject(builder, wrong)
    to = to_ms(payload.to)
    builder.tenant.put_tenant(builder.tenant.row._replace(time=to))
    builder.move_to(to)
    builder.role = DUE_ITEM
    apply_due_items(builder)
    builder.answer("clock_settled", Reason.CLOCK_ADVANCED, ())
    return None
