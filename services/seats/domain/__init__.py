"""The decisions of seats, as pure functions: no IO, no clock, and no ids are created. They import the standard library and the schemas
only.

    Command(id, source, tenant, payload, partition, offset)      the engine makes it from envelope and record
    decide(tenants, command, clock_ms, rules=1) -> Decision      `tenants` is {tenant id: Tenant}; a tenant that is opened is added
    decide_tick(tenant, tick_id, ..., n, limit) -> Decision      one tenant's part of a tick; `n` is the number of its first event
    evolve(tenants, tenant_id, event)                            state from decisions alone; then `take_changed(tenant)`
    Event(type, body, n)                                         orjson.dumps(body) is the record's value; n ends the decision id
    rejected(...), failed(...), due_items_failed(...) -> Event   answers of the engine when there is no decision
    load(rows) -> dict[tenant id, Tenant]                        after a restore; what is derived is a pure function of the rows
    to_json(key, row), from_json(key, data)                      the canonical form for the changelog, REST and verify
    tenant.due(), tenant.tick_due() -> ms | None                 when the next item is due (tick_due: None on a test clock)
    check_invariants(tenant, modules), check_all(tenant)         InvariantViolation stops the worker
    forecast(...), what_if(...)                                  on a copy and within a budget; BudgetExceeded

Times are milliseconds since 1970 UTC inside, and RFC 3339 texts in bodies. Rows are immutable and can be kept. If a decision raises an
exception, the tenant is restored as it was before it.

docs/rules.md lists under "Decided by the engine" what the specification leaves open, each with the test that shows the answer.
"""

from services.seats.domain.decide import INFORMATION, RULES, Rules, UnknownRules, decide, decide_tick, due_items_failed, failed, rejected
from services.seats.domain.decision import Command, Decision, Event
from services.seats.domain.evolve import complete, evolve, take_changed
from services.seats.domain.instants import from_instant, instant, to_ms
from services.seats.domain.row_codec import from_json, to_json
from services.seats.domain.rows import Changed, OrderRow, PoolRow, Row, Seat, TenantRow, UserRow, order_key, pool_key, tenant_key, user_key
from services.seats.domain.simulation import Forecast, forecast, what_if
from services.seats.domain.state import (
    Budget,
    BudgetExceeded,
    InvariantViolation,
    Pool,
    Tenant,
    check_all,
    check_invariants,
    load,
    pool_state,
)

__all__ = [
    "INFORMATION",
    "RULES",
    "Budget",
    "BudgetExceeded",
    "Changed",
    "Command",
    "Decision",
    "Event",
    "Forecast",
    "InvariantViolation",
    "OrderRow",
    "Pool",
    "PoolRow",
    "Row",
    "Rules",
    "Seat",
    "Tenant",
    "TenantRow",
    "UnknownRules",
    "UserRow",
    "check_all",
    "check_invariants",
    "complete",
    "decide",
    "decide_tick",
    "due_items_failed",
    "evolve",
    "failed",
    "forecast",
    "from_instant",
    "from_json",
    "instant",
    "load",
    "order_key",
    "pool_key",
    "pool_state",
    "rejected",
    "take_changed",
    "tenant_key",
    "to_json",
    "to_ms",
    "user_key",
    "what_if",
]
