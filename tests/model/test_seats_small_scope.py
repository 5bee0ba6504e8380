"""Every sequence of up to seven commands out of fourteen, over two people and one licence, for each policy: by distinct states.

Two states are the same if no later command can distinguish them: log positions count by their order, times by their distance from now.
Each transition is compared with the reference model, the invariants, evolve and the changed rows. The numbers of states and transitions
are asserted: a change of a rule changes them, and the author of the change sees how much moved.
"""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from services.seats import domain
from tests.model.harness import TENANT, Harness
from tests.model.reference_model import DAY, Command

DEPTH, ENDING_DEPTH, RENEWAL_DEPTH = 7, 5, 5
GRACE = 4 * DAY
State = tuple[Any, ...]
POLICIES: dict[str, dict[str, object]] = {
    "flag": {"over_limit": "flag"},
    "flag at most 0": {"over_limit": "flag", "flag_cap": 0},
    "reject": {"over_limit": "reject"},
    "expand": {"over_limit": "expand", "expand_cap": 2},
    "wait": {"over_limit": "wait"},
    "block": {"over_limit": "flag", "reduce_below_use": "block"},
    "leavers take their licence along": {"over_limit": "wait", "terminate_reduces_pool": True, "reduce_at": "now"},
}


def need(user: str, modules: list[str], **rest: object) -> Callable[[Harness], Command]:
    def command(harness: Harness) -> Command:
        fields = {"created_at": 0, "administrator": user == "ada", "priority": 0, "reactivate": [], "hold_until": None, "partial": False}
        fields["suspended"] = False
        base = {"type": "assign_seats", "user": user, "revision": harness.offset + 10, "reason": "changed", "leaver": not modules}
        base["reversible"] = not modules
        return {**base, "modules": modules, **fields, **{k: v(harness) if callable(v) else v for k, v in rest.items()}}

    return command


def ordered(type_: str, **rest: object) -> Callable[[Harness], Command]:
    def command(harness: Harness) -> Command:
        pool = harness.reference.pools.get("time", {"licences": 0, "next": 0})
        expected = (harness.reference.period, [("time", pool["licences"], pool["next"])])
        order = {} if type_ == "schedule_reduction" else {"order": f"o{harness.offset}"}
        numbered = {"type": type_, "number": harness.offset + 10, **order}
        return {**numbered, "items": [("time", 1)], "expected": expected, **({"approved_at": harness.clock} if rest else {})}

    return command


def replace(harness: Harness) -> Command:
    revision = harness.offset + 10
    to = {k: v for k, v in need("ben", ["time"])(harness).items() if k not in ("type", "user", "revision", "reason", "leaver")}
    people = {"from_user": "ada", "from_revision": revision, "to_user": "ben", "to_revision": revision}
    return {"type": "replace_user", **people, "to": to, "reason": "changed"}


ALPHABET: dict[str, Callable[[Harness], Command] | int] = {
    "ada needs it": need("ada", ["time"]),
    "ada gives it up": need("ada", []),
    "ada is reactivated": need("ada", ["time"], reactivate=["time"]),
    "ben needs it, urgently": need("ben", ["time"], priority=1),
    "ben leaves": need("ben", []),
    "ben will leave": need("ben", ["time"], release=lambda harness: {"at": harness.clock + GRACE // 2, "modules": [], "leaver": True}),
    "ben's leaving is taken back": need("ben", ["time"], leaving_withdrawn=True),
    "ben is invited": need("ben", ["time"], hold_until=lambda harness: harness.clock + GRACE),
    "ben is reactivated": need("ben", ["time"], reactivate=["time"]),
    "ben takes over": replace,
    "one is bought": ordered("add_licences", approved=True),
    "one is cut": ordered("reduce_licences"),
    "half a grace passes": GRACE // 2,
    "a month passes": 31 * DAY,
}


def closed(*, ending: bool) -> Callable[[Harness], Command]:
    def command(harness: Harness) -> Command:
        return {"type": "close_pool", "number": harness.offset + 10, "module": "time", "at": "period_end", "ending": ending}

    return command


def period(harness: Harness) -> Command:
    """It begins in half a grace."""
    named = {"number": harness.offset + 10, "period": f"p{harness.offset}"}
    return {"type": "schedule_period", **named, "starts_at": harness.clock + GRACE // 2}


ENDING: dict[str, Callable[[Harness], Command] | int] = {
    **{name: ALPHABET[name] for name in ("ada needs it", "ada gives it up", "ben needs it, urgently", "one is bought", "one is cut")},
    "the subscription is to end": closed(ending=True),
    "the pool is to close by itself": closed(ending=False),
    "one licence in the next period": ordered("schedule_reduction"),
    "a period is scheduled": period,
    "half a grace passes": GRACE // 2,
}


# Two licences: half a grace from now, a leaver and the next period fall due at one instant.
RENEWAL: dict[str, Callable[[Harness], Command] | int] = {
    **{name: ALPHABET[name] for name in ("ada needs it", "ben needs it, urgently", "ben will leave", "ben is invited")},
    "cid needs it": need("cid", ["time"]),
    **{name: ENDING[name] for name in ("one licence in the next period", "a period is scheduled", "half a grace passes")},
}
OF_RENEWAL: dict[str, dict[str, object]] = {
    "flag_newest": {"over_limit": "wait"},
    "block": {"over_limit": "flag", "reduce_below_use": "block"},
    "leavers take their licence along": {"over_limit": "flag", "terminate_reduces_pool": True, "reduce_at": "period_end"},
}


def opened(policies: dict[str, object], licences: int = 1) -> Harness:
    harness = Harness(Counter())
    harness.run({"type": "open_tenant", "number": 1, "clock": "real", "at": 0}, "t")
    settings = {"base": True, "licences": licences, "policies": {**policies, "grace": GRACE}}
    pool = {"type": "open_pool", "number": 2, "module": "time", **settings}
    harness.run(pool, "p")
    return harness


def fork(harness: Harness) -> Harness:
    other = Harness(Counter())
    other.reference, other.store = copy.deepcopy(harness.reference), dict(harness.store)
    other.live, other.replica = domain.load(other.store.items()), domain.load(other.store.items())
    other.offset, other.clock = harness.offset, harness.clock
    return other


def state(harness: Harness) -> State:
    """What a later command can tell apart."""
    tenant, now = harness.live[TENANT], harness.clock
    orders = {(seat.seq, seat.again) for row in tenant.users.values() for seat in row.seats.values()}
    orders |= {(flag.seq, 0) for row in tenant.users.values() for flag in row.flags}
    orders |= {(revoked.seq, 0) for row in tenant.users.values() for revoked in row.revoked}
    rank = {order: n for n, order in enumerate(sorted(orders))}
    people = []
    for user, row in sorted(tenant.users.items()):
        placed = [(m, s.state, rank[s.seq, s.again], s.since, s.deadline) for m, s in row.seats.items()]
        seats = [(*place, since and since - now, deadline and deadline - now) for *place, since, deadline in placed]
        flags = [(f.since - now, rank[f.seq, 0], f.deadline - now) for f in row.flags if now - f.since <= 30 * DAY]
        revoked = [(r.at - now if r.at == now else -1, rank[r.seq, 0]) for r in row.revoked]
        release = row.release and (row.release.at - now, row.release.modules, row.release.leaver)
        reduced = [
            (each.licences, each.next_period, each.offset > tenant.pools["time"].row.numbered) for each in row.reduced if tenant.pools
        ]
        people.append(
            (user, row.required, release, tuple(reduced), row.administrator, row.priority, tuple(seats), tuple(flags), tuple(revoked))
        )
    scheduled = [entry.starts_at - now for entry in tenant.row.scheduled]
    pool = tenant.pools["time"].row if tenant.pools else None
    numbers = (pool.licences, pool.next_period, pool.former_next) if pool is not None else None
    return numbers, tuple(scheduled), tenant.row.period is None, tuple(people)


def explore(
    policies: dict[str, object], depth: int, alphabet: dict[str, Callable[[Harness], Command] | int], licences: int = 1
) -> tuple[int, int, int]:
    """(states, transitions, events of all transitions)"""
    start = opened(policies, licences)
    seen, front, transitions, events = {state(start)}, [start], 0, 0
    for _ in range(depth):
        following = []
        for harness in front:
            for action in alphabet.values():
                after = fork(harness)
                if isinstance(action, int):
                    events += len(after.tick(1000, to=after.clock + action))
                else:
                    events += len(after.run(action(after), f"c{after.offset}"))
                transitions += 1
                reached = state(after)
                if reached not in seen:
                    seen.add(reached)
                    following.append(after)
        front = following
    return len(seen), transitions, events


EXPECTED = {
    "flag": (493, 4774, 4785),
    "flag at most 0": (346, 3556, 3462),
    "reject": (346, 3556, 3462),
    "expand": (338, 3402, 3420),
    "wait": (407, 4088, 4084),
    "block": (493, 4774, 4770),
    "leavers take their licence along": (514, 5152, 5372),
}


EXPECTED_OF_RENEWAL = {
    "flag_newest": (480, 2072, 2188),
    "block": (415, 1880, 2035),
    "leavers take their licence along": (426, 1912, 2109),
}


EXPECTED_OF_ENDING = (311, 1680, 1752)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_short_sequence_of_commands_is_decided_as_by_the_reference_model(policy: str) -> None:
    assert explore(POLICIES[policy], DEPTH, ALPHABET) == EXPECTED[policy]


def test_every_short_sequence_around_the_end_of_a_subscription_is_decided_as_by_the_reference_model() -> None:
    assert explore(POLICIES["expand"], ENDING_DEPTH, ENDING) == EXPECTED_OF_ENDING


@pytest.mark.parametrize("policy", OF_RENEWAL)
def test_T18_every_short_sequence_around_a_renewal_is_decided_as_by_the_reference_model(policy: str) -> None:
    """Each confirmation of a reduction names whom the renewal flags in the reference model, and in the forecast of the domain."""
    assert explore(OF_RENEWAL[policy], RENEWAL_DEPTH, RENEWAL, 2) == EXPECTED_OF_RENEWAL[policy]
