"""State from decisions alone: the rows after `evolve` over the events of a decision are the rows that `decide` made."""

from collections.abc import Callable, Iterable
from typing import Any

from services.seats.domain.decision import ANSWER, PREFIX, Event
from services.seats.domain.instants import from_instant
from services.seats.domain.policies import merged
from services.seats.domain.rows import (
    ACTIVE,
    FLAGGED,
    HELD,
    STATES,
    Changed,
    Number,
    OrderRow,
    PoolRow,
    Revoked,
    Scheduled,
    Seat,
    TenantRow,
    UserRow,
    sequence,
    shared_names,
)
from services.seats.domain.state import Tenant
from services.seats.domain.transitions import lost_with_base, remembered, revised, seated, still_out, unseated
from shared.schemas.policies import POLICY_NAMES
from shared.schemas.seats_v1 import Reason

Body = dict[str, Any]


def evolve(tenants: dict[str, Tenant], tenant_id: str, event: Event) -> None:
    """One event, in order of (command offset, n). Events without an effect on state, and unknown ones, change nothing."""
    name, body = event.type.removeprefix(PREFIX), event.body
    if name == "tenant_opened":
        row = TenantRow(body["clock"] == "test", from_instant(body["at"]), body["position"]["partition"])
        tenants[tenant_id] = tenant = Tenant(tenant_id, row)
        tenant.put_tenant(row)
        _number(tenant, body)
        return
    tenant_ = tenants.get(tenant_id)
    if tenant_ is None:
        return
    branch = _BRANCHES.get(name)
    if branch is not None:
        branch(tenant_, body, sequence(body["position"]["offset"], event.n))
    _concerning_all(tenant_, body)


def _concerning_all(tenant: Tenant, body: Body) -> None:
    """What any event says besides what its type is for: the pools afterwards, and the number of a command it answers."""
    _sync_pools(tenant, body["pools"])
    if "number" in body and body["role"] == ANSWER:
        _number(tenant, body)


def take_changed(tenant: Tenant) -> Changed:
    """The rows changed since the last call (or the last decision)."""
    changed = tenant.changed()
    tenant.begin()
    return changed


def complete(tenants: dict[str, Tenant], tenant_id: str, events: Iterable[Event]) -> Changed:
    """After a crash between two frames of one command: the rows that are still to be written, made from the decisions published before the
    first frame. `events`: all of that command for this tenant. People whose row bears the command's offset were written before the
    crash."""
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
    """As `evolve`, but for the people whose rows were written: those are what this event and all after it made of them."""
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


# Branches --------------------------------------------------------------------------------------------------------------


def _number(tenant: Tenant, body: Body) -> None:
    source = body["source"]
    others = (entry for entry in tenant.row.numbers if entry.source != source)
    number = Number(source, body["number"], body["command"])
    tenant.put_tenant(tenant.row._replace(numbers=tuple(sorted((*others, number)))))


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
        )
        if row != pool.row:
            tenant.put_pool(pool.module, row)


def _pool_opened(tenant: Tenant, body: Body, seq: int) -> None:
    given = {field: value for field in POLICY_NAMES if (value := body["policies"].get(field)) is not None}
    tenant.put_pool(body["module"], merged(PoolRow(body["base"], 0, 0, opened=seq), given))


def _policy_changed(tenant: Tenant, body: Body, seq: int) -> None:
    given = {field: body["policies"].get(field) for field in POLICY_NAMES}  # all of them: what is not there is unset
    tenant.put_pool(body["module"], merged(tenant.pools[body["module"]].row, given))


def _pool_closed(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_pool(body["module"], None)


def _ordered(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_order(body["order"], OrderRow(body["command"], body["position"]["offset"]))


def _period_scheduled(tenant: Tenant, body: Body, seq: int) -> None:
    others = tuple(entry for entry in tenant.row.scheduled if entry.period != body["next_period_id"])
    entry = Scheduled(from_instant(body["starts_at"]), body["next_period_id"], seq)
    tenant.put_tenant(tenant.row._replace(scheduled=tuple(sorted((*others, entry)))))


def _period_started(tenant: Tenant, body: Body, seq: int) -> None:
    rest = tuple(entry for entry in tenant.row.scheduled if entry.period != body["period"])
    tenant.put_tenant(tenant.row._replace(period=body["period"], scheduled=rest))


def _clock_settled(tenant: Tenant, body: Body, seq: int) -> None:
    tenant.put_tenant(tenant.row._replace(time=from_instant(body["at"])))


def _assignment_answered(tenant: Tenant, body: Body, seq: int) -> None:
    user = body["user"]
    old = tenant.users.get(user)
    row = _with_required_modules(old, body, body["revision"], body.get("released", ()))
    tenant.put_user(user, _shown_seats(row, body, seq))


def _with_required_modules(old: UserRow | None, body: Body, revision: int, released: Iterable[str]) -> UserRow:
    """The row with the need as answered, and without what was released."""
    need, at, offset = body["need"], from_instant(body["at"]), body["position"]["offset"]
    modules, reactivate = shared_names(need["modules"]), need.get("reactivate", ())
    row = unseated(old, released, offset) if old is not None else UserRow(modules, {}, revision, "", offset, 0)
    return row._replace(
        required=modules,
        revision=revision,
        command=body["command"],
        offset=offset,
        created_at=from_instant(need["created_at"]),
        administrator=need.get("administrator", False),
        priority=need.get("priority", 0),
        partial=need.get("partial", False),
        revoked=still_out(row.revoked, modules, reactivate),
        flags=remembered(row.flags, at),
        lost=still_out(row.lost, modules, reactivate),
    )


def _shown_seats(row: UserRow, body: Body, seq: int) -> UserRow:
    """The row with exactly the seats the answer shows; what it shows unchanged keeps its place in the log."""
    offset, seats = row.offset, {}
    for shown in body["modules"]:
        module = shown["module"]
        if shown["state"] not in STATES:
            continue
        current = row.seats.get(module)
        if current is None or current.state != shown["state"] or "order" in shown:
            current = _shown_seat(row, shown, seq, current)
        seats[module] = current
    fresh = {module: seat for module, seat in seats.items() if row.seats.get(module) is not seat}
    row = row._replace(seats={module: seat for module, seat in seats.items() if module not in fresh})
    for module in row.required:
        if module in fresh:
            row = seated(row, shared_names((module,))[0], fresh[module], offset)
    return row


def _shown_seat(row: UserRow, shown: Body, seq: int, current: Seat | None) -> Seat:
    state = STATES[shown["state"]]
    since = from_instant(shown["since"]) if shown.get("since") is not None else 0
    deadline = from_instant(shown["deadline"]) if shown.get("deadline") is not None else None
    again = 0
    if shown.get("order") is not None:
        seq, again = shown["order"], shown.get("again", 0)
    elif current is not None and current.state == HELD and state == ACTIVE:
        seq = current.seq  # taken up
    elif state == FLAGGED and deadline is not None:
        kept = next((flag for flag in row.flags if flag.module == shown["module"] and flag.since == since), None)
        if kept is not None:
            seq, again = kept.seq, seq
    return Seat(state, seq, since, deadline, again)


def _seats_moved(tenant: Tenant, body: Body, seq: int) -> None:
    source, offset, at = tenant.users[body["from_user"]], body["position"]["offset"], from_instant(body["at"])
    gone = unseated(source, source.seats, offset)
    gone = gone._replace(
        flags=remembered(gone.flags, at), required=(), revision=body["from_revision"], command=body["command"], revoked=(), lost=()
    )
    tenant.put_user(body["from_user"], gone)
    row = _with_required_modules(tenant.users.get(body["user"]), body, body["revision"], body.get("released", ()))
    tenant.put_user(body["user"], _shown_seats(row, body, seq))


def _replacement_refused(tenant: Tenant, body: Body, seq: int) -> None:
    offset, at = body["position"]["offset"], from_instant(body["at"])
    for user, revision in ((body["from_user"], body["from_revision"]), (body["user"], body["revision"])):
        tenant.put_user(user, revised(tenant.users.get(user), revision, body["command"], offset, at))


def _seat(tenant: Tenant, body: Body, seat: Seat) -> None:
    offset = body["position"]["offset"]
    # Whoever takes over a place in the queue may be served before the answer says who that is.
    row = tenant.users.get(body["user"]) or revised(None, 0, "", offset, from_instant(body["at"]))
    tenant.put_user(body["user"], seated(row, shared_names((body["module"],))[0], seat, offset))


def _seat_flagged(tenant: Tenant, body: Body, seq: int) -> None:
    current = tenant.users[body["user"]].seats[body["module"]]
    deadline = from_instant(body["deadline"]) if body.get("deadline") is not None else None
    if current.state == FLAGGED:
        _seat(tenant, body, current._replace(deadline=deadline))  # the last administrator's flag loses its deadline, not its age
    else:
        _seat(tenant, body, Seat(FLAGGED, seq, from_instant(body["at"]), deadline))


def _seat_flag_cleared(tenant: Tenant, body: Body, seq: int) -> None:
    flag = tenant.users[body["user"]].seats[body["module"]]
    _seat(tenant, body, Seat(ACTIVE, flag.seq, again=flag.again))


def _seat_granted(tenant: Tenant, body: Body, seq: int) -> None:
    _seat(tenant, body, Seat(ACTIVE, seq))


def _seat_revoked(tenant: Tenant, body: Body, seq: int) -> None:
    user, module = body["user"], body["module"]
    row = unseated(tenant.users[user], (module,), body["position"]["offset"])
    others = tuple(entry for entry in row.revoked if entry.module != module)
    entry = Revoked(shared_names((module,))[0], from_instant(body["at"]), seq)
    tenant.put_user(user, row._replace(revoked=tuple(sorted((*others, entry)))))


def _seat_gone(tenant: Tenant, body: Body, seq: int) -> None:
    user, module, offset = body["user"], body["module"], body["position"]["offset"]
    row = tenant.users[user]
    if body["reason"] == Reason.BASE_MODULE_REVOKED:
        row = lost_with_base(row, shared_names((module,))[0], from_instant(body["at"]), seq, offset)
    elif body["reason"] == Reason.POOL_CLOSED:
        row = row._replace(seats={m: seat for m, seat in row.seats.items() if m != module}, offset=offset)
    else:
        row = unseated(row, (module,), offset)
    tenant.put_user(user, row)


_BRANCHES: dict[str, Callable[[Tenant, Body, int], None]] = {
    "pool_opened": _pool_opened,
    "policy_changed": _policy_changed,
    "pool_closed": _pool_closed,
    "licences_added": _ordered,
    "licences_reduced": _ordered,
    "period_scheduled": _period_scheduled,
    "period_started": _period_started,
    "clock_settled": _clock_settled,
    "seats_assigned": _assignment_answered,
    "seats_queued": _assignment_answered,
    "seats_refused": _assignment_answered,
    "seats_moved": _seats_moved,
    "replacement_refused": _replacement_refused,
    "seat_flagged": _seat_flagged,
    "seat_flag_cleared": _seat_flag_cleared,
    "seat_granted": _seat_granted,
    "seat_revoked": _seat_revoked,
    "seat_released": _seat_gone,
    "hold_expired": _seat_gone,
    "hold_cancelled": _seat_gone,
}
