"""What would be, by the same rules. A what-if runs on the tenant itself, never on a copy, and every row is put back afterwards. A forecast
may take seconds, so it runs on a state of its own, made from the rows, and decisions go on beside it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from services.seats.domain.deciding import decide, rules_of
from services.seats.domain.rows import Row
from services.seats.domain.state import Tenant, load, pool_state
from services.seats.domain.work import Command, Event, Work


class TooMuch(Exception):
    """The question touches more rows than the cap."""


class Forecast(NamedTuple):
    """`pools`: PoolState bodies at that instant. `events`: what falls due until then, each at its own time, if nothing else changes."""

    at: int
    pools: list[dict[str, Any]]
    events: list[Event]


def forecast(rows: Iterable[tuple[str, Row]], clock_ms: int, at_ms: int, *, offset: int, cap: int = 200_000, rules: int = 1) -> Forecast:
    """How the tenant of these rows (`Tenant.rows`) will look at `at_ms` (its present time at the earliest): each instant at which something
    falls due is a decision of its own, as ticks make them. `offset`: of the next command; what happens comes after all that has happened,
    also where log order decides. Raises TooMuch.
    """
    settle = rules_of(rules).settle
    (tenant,) = load(rows).values()
    now = tenant.now(clock_ms)
    events: list[Event] = []
    changed = 0
    while (due := tenant.due()) is not None and due <= at_ms:
        tenant.begin()
        work = Work(tenant, "forecast", tenant.row.partition, offset, max(due, now), rules, len(events))
        settle(work, cap)
        decision = work.finish()
        events += decision.events
        changed += len(decision.changed)
        if changed > cap:
            raise TooMuch(f"more than {cap} rows change until then")
    return Forecast(max(at_ms, now), [pool_state(tenant.pools[module]) for module in sorted(tenant.pools)], events)


def what_if(tenants: dict[str, Tenant], commands: Sequence[Command], clock_ms: int, cap: int = 10_000, rules: int = 1) -> list[list[Event]]:
    """The decisions on each of these commands, one after the other, if they came now; nothing is changed. Raises TooMuch, or what a
    decision
    raises. All commands are of one tenant; one that does not exist yet may be opened by the first."""
    if len({command.tenant for command in commands}) != 1:
        raise ValueError("the commands of a what-if are of one tenant")
    tenant_id = commands[0].tenant
    existing = tenants.get(tenant_id)
    overlay = {tenant_id: existing} if existing is not None else {}
    answers: list[list[Event]] = []
    undone: dict[str, Row | None] = {}
    try:
        for command in commands:
            answers.append(decide(overlay, command, clock_ms, rules).events)
            tenant = overlay.get(tenant_id)
            if tenant is not None and tenant is existing:
                for key, old in tenant.undo_log().items():
                    undone.setdefault(key, old)  # the oldest of each is what was there before the first command
            if len(undone) > cap:
                raise TooMuch(f"more than {cap} rows change")
        return answers
    finally:
        if existing is not None:
            existing.take_back(undone)
