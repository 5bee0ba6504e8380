"""What-if and forecast: the same rules on a copy that is made from the tenant's rows, so that decisions can continue meanwhile.

One budget holds for the whole question and is checked inside each decision, so the time of a question is limited by what it may change.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from services.seats.domain.decide import rules_of
from services.seats.domain.decision import Command, DecisionBuilder, Event
from services.seats.domain.rows import Row
from services.seats.domain.state import Budget, Tenant, load, pool_state


class Forecast(NamedTuple):
    """`pools` are PoolState bodies at that instant. `events` are those of the due items until then, each at its own time, if nothing else
    changes."""

    at: int
    pools: list[dict[str, Any]]
    events: list[Event]


def forecast(rows: Iterable[tuple[str, Row]], clock_ms: int, at_ms: int, budget: Budget, *, offset: int, rules: int = 1) -> Forecast:
    """Return the tenant of these rows (`Tenant.rows`) as it will be at `at_ms`, or at its present time if that is later.

    Each instant with due items is a decision of its own, as in ticks. `offset` is that of the next command, so that these events come
    after all earlier ones in log order. Raises BudgetExceeded.
    """
    apply_due_items = rules_of(rules).apply_due_items
    tenant = _copy(rows, budget)
    now = tenant.now(clock_ms)
    events: list[Event] = []
    while (due := tenant.due()) is not None and due <= at_ms:
        tenant.begin()
        builder = DecisionBuilder(tenant, "forecast", tenant.row.partition, offset, max(due, now), rules, len(events))
        apply_due_items(builder, budget.limit)
        events += builder.finish().events
    return Forecast(max(at_ms, now), [pool_state(tenant.pools[module]) for module in sorted(tenant.pools)], events)


def what_if(
    rows: Iterable[tuple[str, Row]], commands: Sequence[Command], clock_ms: int, budget: Budget, *, rules: int = 1
) -> list[list[Event]]:
    """Decide these commands on a copy of the tenant, one after the other, as if they came now, and return the events of each decision.

    Raises BudgetExceeded, or what a decision raises; the copy is then of no use.
    """
    decide, tenant = rules_of(rules).decide, _copy(rows, budget)
    answers = []
    for command in commands:
        tenant.begin()
        answers.append(decide({tenant.id: tenant}, command, clock_ms, rules).events)
    return answers


def _copy(rows: Iterable[tuple[str, Row]], budget: Budget) -> Tenant:
    (tenant,) = load(rows).values()
    tenant.budget = budget
    return tenant
