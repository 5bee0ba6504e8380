"""Decisions on commands and ticks: due items first, then the command. A decision is applied completely or not at all."""

from collections.abc import Callable
from typing import Any, NamedTuple

from services.seats.domain import assignment, pools
from services.seats.domain.decision import ANSWER, CONSEQUENCE, DUE_ITEM, PREFIX, Command, Decision, DecisionBuilder, Event
from services.seats.domain.due_items import apply_due_items
from services.seats.domain.fast_path import grant_at_once
from services.seats.domain.instants import INSTANT_MAX, instant, to_ms
from services.seats.domain.rows import TenantRow
from services.seats.domain.state import Tenant
from services.seats.domain.transitions import numbered
from shared.schemas import seats_v1
from shared.schemas.seats_v1 import AssignSeats, Clock, Numbered, OpenTenant, Reason

Handler = Callable[[DecisionBuilder, Any], None]


class Rules(NamedTuple):
    """One version of the rules: how a command is decided, and how due items are applied."""

    decide: Callable[[dict[str, Tenant], Command, int, int], Decision]
    apply_due_items: Callable[[DecisionBuilder, int], int]


HANDLERS: dict[type, Handler] = {
    seats_v1.AssignSeats: assignment.assign_seats,
    seats_v1.ReplaceUser: assignment.replace_user,
    seats_v1.OpenPool: pools.open_pool,
    seats_v1.SetPolicy: pools.set_policy,
    seats_v1.ClosePool: pools.close_pool,
    seats_v1.AddLicences: pools.add_licences,
    seats_v1.ReduceLicences: pools.reduce_licences,
    seats_v1.ScheduleReduction: pools.schedule_reduction,
    seats_v1.SchedulePeriod: pools.schedule_period,
    seats_v1.ClockAdvanced: pools.clock_advanced,
}


class UnknownRules(Exception):
    """This release does not contain the rules version. The worker stops."""


def rules_of(version: int) -> Rules:
    try:
        return RULES[version]
    except KeyError:
        raise UnknownRules(f"rules version {version}; this release knows {sorted(RULES)}") from None


def decide(tenants: dict[str, Tenant], command: Command, clock_ms: int, rules: int = 1) -> Decision:
    """Decide one command and apply the decision to `tenants`. `clock_ms` is the partition's clock.

    Raises UnknownRules, and InvariantViolation if the state is wrong (the worker stops). Any other exception is an error inside the
    decision; the tenant is then restored as it was.
    """
    version = rules_of(rules)
    tenant = tenants.get(command.tenant)
    if tenant is not None:
        tenant.begin()
    try:
        return version.decide(tenants, command, clock_ms, rules)
    except Exception:
        if tenant is not None:
            tenant.restore()
        else:
            tenants.pop(command.tenant, None)
        raise


def decide_1(tenants: dict[str, Tenant], command: Command, clock_ms: int, rules: int = 1) -> Decision:
    """Decide by rules version 1: apply the items due by the tenant's time, then the command."""
    tenant, payload = tenants.get(command.tenant), command.payload
    if tenant is None:
        if isinstance(payload, OpenTenant):
            return _open_tenant(tenants, command, payload, clock_ms, rules)
        text = "open_tenant first"
        event = rejected(command, None, clock_ms, Reason.UNKNOWN_TENANT, "tenant", command.tenant, text, rules)
        return Decision([event], {})
    at = tenant.now(clock_ms)
    if type(payload) is AssignSeats:
        decision = grant_at_once(tenant, command, payload, at, rules)
        if decision is not None:
            return decision
    builder = DecisionBuilder(tenant, command.id, command.partition, command.offset, at, rules)
    due = tenant.due()
    if due is not None and due <= builder.at:
        apply_due_items(builder)
    builder.role = CONSEQUENCE
    if not isinstance(payload, Numbered):
        HANDLERS[type(payload)](builder, payload)
    elif not _ignored(builder, command, payload.number):
        _decide_numbered(builder, command, payload)
    due = tenant.due()
    if due is not None and due <= builder.at:
        apply_due_items(builder)  # a period that is scheduled for a time in the past
    return builder.finish()


def _open_tenant(tenants: dict[str, Tenant], command: Command, payload: OpenTenant, clock_ms: int, rules: int) -> Decision:
    test = payload.clock == Clock.TEST
    wrong: tuple[Reason, str, str, str] | None = None
    if payload.clock not in (Clock.TEST, Clock.REAL):
        wrong = (Reason.INVALID_VALUE, "clock", payload.clock, "real or test")
    elif test and (payload.at is None or not 0 <= to_ms(payload.at) <= INSTANT_MAX):
        wrong = (Reason.INVALID_TIME, "at", str(payload.at), "the first time of a test clock, 1970 to 2200")
    if wrong is not None:
        return Decision([rejected(command, None, clock_ms, *wrong, rules)], {})
    time = to_ms(payload.at) if test and payload.at is not None else clock_ms
    tenant = Tenant(command.tenant, TenantRow(test_clock=test, time=time, partition=command.partition))
    tenants[command.tenant] = tenant
    builder = DecisionBuilder(tenant, command.id, command.partition, command.offset, time, rules)
    tenant.put_tenant(numbered(tenant.row, command.source, payload.number, command.id))
    body = builder.answer("tenant_opened", Reason.OPENED, (), clock=payload.clock)
    body |= {"source": command.source, "number": payload.number}
    return builder.finish()


def _ignored(builder: DecisionBuilder, command: Command, number: int) -> bool:
    """Ignore a number that is not above the last one of its sender: the command was decided before, or a newer one was."""
    last = next((entry for entry in builder.tenant.row.numbers if entry.source == command.source), None)
    if last is None or number > last.number:
        return False
    reason = Reason.DUPLICATE if last.command == command.id else Reason.STALE
    order = getattr(command.payload, "order", None)
    builder.answer("command_ignored", reason, (), last_number=last.number, order=order)
    return True


def _decide_numbered(builder: DecisionBuilder, command: Command, payload: Numbered) -> None:
    tenant = builder.tenant
    tenant.put_tenant(numbered(tenant.row, command.source, payload.number, command.id))
    if isinstance(payload, OpenTenant):
        pools.reject(builder, pools.Wrong(Reason.TENANT_EXISTS, "tenant", command.tenant, "a tenant that is not open yet"))
    else:
        HANDLERS[type(payload)](builder, payload)
    answer = next(event for event in reversed(builder.events) if event.body["role"] == ANSWER)
    answer.body.update(source=command.source, number=payload.number)


def decide_tick(
    tenant: Tenant, tick: str, partition: int, offset: int, clock_ms: int, n: int = 0, limit: int = 10_000, rules: int = 1
) -> Decision:
    """Apply one tenant's due items in a tick: at most `limit`; the next tick applies the rest. `n` is the number of events already made at
    this offset.

    A tick applies nothing on a test clock. Raises the same as `decide`.
    """
    version = rules_of(rules)
    tenant.begin()
    if tenant.row.test_clock:
        return Decision([], {})
    try:
        builder = DecisionBuilder(tenant, tick, partition, offset, clock_ms, rules, n)
        version.apply_due_items(builder, limit)
        return builder.finish()
    except Exception:
        tenant.restore()
        raise


# Answers of the engine ---------------------------------------------------------------------------------------------------


def _plain(command: str, partition: int, offset: int, role: str, at: int, rules: int, reason: str, period: str | None) -> dict[str, Any]:
    position = {"partition": partition, "offset": offset}
    body: dict[str, Any] = {
        "command": command,
        "position": position,
        "role": role,
        "at": instant(at),
        "rules": rules,
        "reason": str(reason),
    }
    body["pools"] = []
    if period is not None:
        body["period"] = period
    return body


def rejected(
    command: Command,
    tenant: Tenant | None,
    clock_ms: int,
    reason: str,
    field: str | None = None,
    value: str | None = None,
    expected: str | None = None,
    rules: int = 1,
) -> Event:
    """Answer a command that cannot be understood. No due item is applied and no number is used up."""
    at, period = (tenant.now(clock_ms), tenant.row.period) if tenant is not None else (clock_ms, None)
    body = _plain(command.id, command.partition, command.offset, ANSWER, at, rules, reason, period)
    for name, text in (("field", field), ("value", value), ("expected", expected)):
        if text is not None:
            body[name] = text[:200]
    fields = vars(command.payload) if command.payload is not None else {}
    for name in ("user", "order"):
        known = fields.get(name)
        if known is not None:
            body[name] = known
    return Event(PREFIX + "command_rejected", body)


def failed(tenant: Tenant | None, command: Command, clock_ms: int, error_id: str, rules: int = 1, reason: Reason = Reason.ERROR) -> Event:
    """Answer a command whose decision raised an error or does not fit a record. The tenant is as it was before."""
    at, period = (tenant.now(clock_ms), tenant.row.period) if tenant is not None else (clock_ms, None)
    body = _plain(command.id, command.partition, command.offset, ANSWER, at, rules, reason, period)
    body["error_id"] = error_id
    return Event(PREFIX + "command_failed", body)


def due_items_failed(tenant: Tenant, tick: str, partition: int, offset: int, clock_ms: int, n: int, error_id: str, rules: int = 1) -> Event:
    """Record that the due items of this tenant could not be applied. The tick continues with the other tenants."""
    body = _plain(tick, partition, offset, DUE_ITEM, tenant.now(clock_ms), rules, Reason.ERROR, tenant.row.period)
    body["error_id"] = error_id
    return Event(PREFIX + "settle_failed", body, n)


RULES: dict[int, Rules] = {1: Rules(decide_1, apply_due_items)}

# Fields of events that only inform, by type: releases with the same rules did not write them at first.
INFORMATION = {PREFIX + "period_started": frozenset({"former"}), PREFIX + "reduction_scheduled": frozenset({"would_cancel"})}
