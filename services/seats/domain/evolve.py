"""State from decisions alone: the rows after `evolve` over the events of a decision are the rows that `decide` made."""

from collections.abc import Callable, Iterable
from typing import Any

from services.seats.domain.closing import forget_periods
from services.seats.domain.decision import ANSWER, PREFIX, Event
from services.seats.domain.instants import from_instant
from services.seats.domain.policies import merged
from services.seats.domain.rows import EVENTS_BITS, Changed, OrderRow, PoolRow, TenantRow, sequence
from services.seats.domain.state import Tenant
from services.seats.domain.transitions import When, apply, from_body, numbered, period_scheduled, period_started
from shared.schemas.policies import POLICY_NAMES

Body = dict[str, Any]


def evolve(tenants: dict[str, Tenant], tenant_id: str, event: Event) -> None:
    """Apply one event. Events come in order of (command offset, n). Unknown events and those without an effect on rows change nothing."""
    name, body = event.type.removeprefix(PREFIX), event.body
    if name == "tenant_opened":
        row = TenantRow(test_clock=body["clock"] == "test", time=from_instant(body["at"]), partition=body["position"]["partition"])
        tenants[tenant_id] = tenant = Tenant(tenant_id, row)
        tenant.put_tenant(row)
        _number(tenant, body)
        return
    tenant_ = tenants.get(tenant_id)
    if tenant_ is None:
        return
    offset = body["position"]["offset"]
    seq = sequence(offset, event.n)
    for change in from_body(name, body):
        when = When(body["command"], offset, from_instant(body["at"]), seq)
        tenant_.put_user(change.user, apply(tenant_.users.get(change.user), change, when))
    effect = EVENTS_OF_TENANTS.get(name)
    if effect is not None:
        effect(tenant_, body, seq)
    _concerning_all(tenant_, body)


def _concerning_all(tenant: Tenant, body: Body) -> None:
    """Apply what every event can contain: the pools afterwards, and the number of the command that it answers."""
    _sync_pools(tenant, body["pools"])
    if "number" in body and body["role"] == ANSWER:
        _number(tenant, body)


def take_changed(tenant: Tenant) -> Changed:
    """Return the rows changed since the last call or the last decision."""
    changed = tenant.changed()
    tenant.begin()
    return changed


def complete(tenants: dict[str, Tenant], tenant_id: str, events: Iterable[Event]) -> Changed:
    """Return the rows that a crash between two frames of one command left unwritten, made from the published decisions of that command for
    this tenant (`events`). People whose row has the command's offset were written before the crash."""
    tenant = tenants.get(tenant_id)
    written: set[str] = set()
    if tenant is not None:
        tenant.begin()
    for index, event in enumerate(events):
        offset = event.body["position"]["offset"]
        if index == 0 and tenant is not None:
            written = {user for user, row in tenant.users.items() if row.offset == offset}
        _resume(tenants, tenant_id, event, written)
    return take_changed(tenants[tenant_id]) if tenant_id in tenants else {}


def _resume(tenants: dict[str, Tenant], tenant_id: str, event: Event, written: set[str]) -> None:
    """Apply the event as `evolve` does, but keep the rows that were written before the crash: they include this event and later ones."""
    body, tenant = event.body, tenants.get(tenant_id)
    if tenant is None or not {body.get("user"), body.get("from_user")} & written:
        evolve(tenants, tenant_id, event)
    elif "from_user" in body:
        kept = {user: tenant.users[user] for user in (body["user"], body["from_user"]) if user in written}
        evolve(tenants, tenant_id, event)
        for user, row in kept.items():
            tenant.put_user(user, row)
    else:
        _concerning_all(tenant, body)


# Events about tenants and pools --------------------------------------------------------------------------------------


def _number(tenant: Tenant, body: Body) -> None:
    tenant.put_tenant(numbered(tenant.row, body["source"], body["number"], body["command"]))


def _sync_pools(tenant: Tenant, states: list[Body]) -> None:
    for state in states:
        pool = tenant.pools.get(state["module"])
        if pool is None:
            continue
        free_since = state.get("free_since")
        row = pool.row._replace(
            licences=state["licences"],
            next_period=state["next_period"],
            warned=state.get("warned", False),
            free_since=None if free_since is None else from_instant(free_since),
            former_next=state.get("former_next_period"),
        )
        if row != pool.row:
            tenant.put_pool(pool.module, row)


def _pool_opened(tenant: Tenant, body: Body, seq: int) -> None:
    given = {field: value for field in POLICY_NAMES if (value := body["policies"].get(field)) is not None}
    tenant.put_pool(
        body["module"], merged(PoolRow(base=body["base"], licences=0, next_period=0, numbered=seq >> EVENTS_BITS, opened=seq), given)
    )


def _policy_changed(tenant: Tenant, body: Body, seq: int) -> None:
    given = {field: body["policies"].get(field) for field in POLICY_NAMES}  # all policies: one that is not there is unset
    tenant.put_pool(body["module"], merged(tenant.pools[body["module"]].row, given))


def _pool_closed(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_pool(body["module"], None)
    forget_periods(tenant)


def _set_numbers(tenant: Tenant, modules: Iterable[str], seq: int) -> None:
    """Note that the numbers were set, which `pools` of the event show. A pool that a later event of the same command closes may be gone:
    its removal was written before the crash."""
    for module in modules:
        pool = tenant.pools.get(module)
        if pool is not None:
            tenant.put_pool(module, pool.row._replace(numbered=seq >> EVENTS_BITS))


def _reduction_scheduled(tenant: Tenant, body: Body, seq: int) -> None:
    _set_numbers(tenant, [item["module"] for item in body["items"]], seq)


def _pool_close_scheduled(tenant: Tenant, body: Body, seq: int) -> None:
    _set_numbers(tenant, [body["module"]], seq)


def _ordered(tenant: Tenant, body: Body, seq: int) -> None:
    _reduction_scheduled(tenant, body, seq)
    tenant.put_order(body["order"], OrderRow(body["command"], body["position"]["offset"]))


def _period_scheduled(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_tenant(period_scheduled(tenant.row, body["next_period_id"], from_instant(body["starts_at"]), seq))


def _period_started(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_tenant(period_started(tenant.row, body["period"]))
    _set_numbers(tenant, [item["module"] for item in body["licences"]], seq)


def _clock_settled(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_tenant(tenant.row._replace(time=from_instant(body["at"])))


EVENTS_OF_TENANTS: dict[str, Callable[[Tenant, Body, int], None]] = {
    "pool_opened": _pool_opened,
    "policy_changed": _policy_changed,
    "pool_closed": _pool_closed,
    "licences_added": _ordered,
    "licences_reduced": _ordered,
    "reduction_scheduled": _reduction_scheduled,
    "pool_close_scheduled": _pool_close_scheduled,
    "period_scheduled": _period_scheduled,
    "period_started": _period_started,
    "clock_settled": _clock_settled,
}

# Their pools and numbers are copied like those of every event. They change nothing else.
EVENTS_WITHOUT_EFFECT = frozenset(
    {
        "command_failed",
        "command_ignored",
        "command_rejected",
        "order_refused",
        "pool_at_limit",
        "pool_expanded",
        "pool_near_limit",
        "pool_reduced",
        "pool_restored",
        "reduction_kept",
        "reduction_refused",
        "settle_failed",
        "warning_armed",
    }
)
