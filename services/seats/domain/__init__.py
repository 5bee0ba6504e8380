"""The pure decision core of the seats service: no IO, no clock, no id made inside; standard library and schemas only.

    Command(id, source, tenant, payload, partition, offset)                  made by the engine from envelope and record
    decide(tenants, command, clock_ms, rules=1) -> Decision(events, changed)   `tenants` is {tenant id: Tenant}; a tenant opened is put in
    decide_tick(tenant, tick_id, partition, offset, clock_ms, n, limit, rules=1) -> Decision
                                                                    one tenant's part of a tick; `n` is the number of its first event
    evolve(tenants, tenant_id, event) -> None                       state from decisions alone; then `take_changed(tenant)`
    Event(type, body, n)                  type as in the registry, body a dict of JSON values: orjson.dumps(body) is the record's value;
                                          n is the last part of the event's id
    rejected(...), failed(...), settle_failed(...) -> Event         answers the engine gives when it has no decision
    load(rows) -> dict[tenant id, Tenant]                           after a restore; derived state is a pure function of the rows
    to_json(key, row) / from_json(key, data)                        canonical form for the changelog, REST and verify
    tenant.due() / tenant.tick_due() -> ms | None                   when the next thing falls due (tick_due: None on a test clock)
    check_invariants(tenant, modules) / check_all(tenant)                 InvariantViolation stops the worker
    forecast(rows, clock_ms, at_ms, budget, offset=), what_if(rows, commands, clock_ms, budget)   what would be, on a copy; BudgetExceeded

Times are int milliseconds since 1970 UTC inside, RFC 3339 strings in bodies. Rows are immutable: whoever holds one may keep it.
Everything raises before it changes anything, or the tenant is put back as it was (an undo log of rows) and the exception goes on.

Modules: rows (what is kept), state (what is derived, laws), builder (a decision in the making; flags cleared, queue served), settle
(what falls due, cuts), need (assign_seats, replace_user), pools (invoicing's commands, the clock), policies, deciding (the door),
evolving, asking.

Where rules.md and design.md leave a choice, it was made so:
- The last administrator is the only one seated (active or flagged) in any base module; a flag without a deadline leaves no memory.
- A period or next number of 0 means that the pool closes then; a purchase or another number keeps it, an expansion does not.
- A hold never waits: it is refused where none is free, and the place in the queue stays; one already past is refused (`hold_past`),
  releases stand.
- With `partial`, when a base module waits, the others that would be granted wait too, and are served after it, each by itself.
- `terminate_reduces_pool`: its `reduce_at` is period_end unless said otherwise.
- `expected`: the period always counts, of the pools those that are named. An order is applied once, also under another command id.
- A flag without a deadline goes on without one until a licence clears it, whoever administers by then.
- A remembered flag counts where the pool would flag; where it waits, expands or rejects, that decides.
- Who takes over sits as the source sat, whatever is remembered of the target
  in that module; a need without hold claims a hold that moved.
  Refused, `revoked`, to who stays out of a base module: nothing new would be granted to them either.
- A pool that closes takes its seats without anybody giving them up: no flag is remembered. A revocation before it is, also when the pool is
  opened again.
- A refused replacement uses up both revisions, so that a repeated command cannot succeed later. A rejected command uses up its number.
- The thirtieth day after a flag still counts as within 30 days. A revocation is dated by its settlement, not by its deadline.
- A purchase that restores takes base modules first; nobody is restored to an add-on who is still out of a base module. With the base
  module come back what was lost with it and what was revoked before it, where a licence is free, whichever was bought first. What was
  lost is remembered for this alone: it is asked for again as any module, and not answered `revoked`.
- Where pools need an order, base modules come first, then those opened earlier; names order output alone. Who waits for base modules with
  `partial` stands in the queues of the other modules meanwhile, as long as these have free licences.
"""

from services.seats.domain.decide import RULES, Rules, UnknownRules, decide, decide_tick, due_items_failed, failed, rejected
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
