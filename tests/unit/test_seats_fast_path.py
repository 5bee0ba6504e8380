"""The fast path decides the same as the general path, to the byte, and ordinary commands take it."""

import importlib
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.seats import domain
from services.seats.decider import RowCodec
from services.seats.domain.fast_path import grant_at_once
from shared.schemas import seats_v1
from shared.schemas.base import Payload, format_instant
from tests.support.seats_harness import START

# The package exports a function of the same name, which hides this module.
DECIDE = importlib.import_module("services.seats.domain.decide")
MODULES = ("time", "documents", "plans")
USERS = [f"u{number}" for number in range(12)]
MARKS = [None, "90%", "50%", "100%", "1", "3"]
OVER_LIMITS = ["flag", "flag", "reject", "expand", "wait"]
MINUTE_MS = 60_000


def released(draw: random.Random) -> seats_v1.DatedRelease:
    at = START + timedelta(minutes=draw.choice([-1, 1, 30, 90]))
    return seats_v1.DatedRelease(at=at, modules=tuple(draw.sample(MODULES, draw.randint(0, 2))), leaver=draw.random() < 0.5)


def history(seed: int) -> list[tuple[Payload, int]]:
    """Commands of one tenant, each so many ms after the one before."""
    draw = random.Random(seed)
    numbers = iter(range(1, 10_000))
    made: list[tuple[Payload, int]] = [(seats_v1.OpenTenant(number=next(numbers), clock="real"), 0)]
    leaving: dict[str, Any] = {"terminate_reduces_pool": draw.random() < 0.5, "reduce_at": draw.choice(["now", "period_end"])}
    for place, module in enumerate(MODULES):
        policies = seats_v1.Policies(warn_at=draw.choice(MARKS), over_limit=draw.choice(OVER_LIMITS), grace="PT1H", **leaving)
        licences = draw.randint(1, 8)
        made.append((seats_v1.OpenPool(number=next(numbers), module=module, base=place == 0, licences=licences, policies=policies), 0))
    made.append((seats_v1.SchedulePeriod(number=next(numbers), period="p1", starts_at=START + timedelta(minutes=20)), 0))
    revisions: Counter[str] = Counter()
    for _ in range(60):
        user = draw.choice(USERS)
        revisions[user] += draw.choice([1, 1, 1, 0])
        needed: dict[str, Any] = {
            "modules": tuple(draw.sample(MODULES, draw.randint(0, 3))),
            "created_at": START - timedelta(milliseconds=draw.randint(0, 10**10)),
            "administrator": draw.random() < 0.2,
            "priority": draw.choice([0, 0, 3]),
            "partial": draw.random() < 0.2,
            "suspended": draw.random() < 0.2,
            "hold_until": START + timedelta(minutes=90) if draw.random() < 0.1 else None,
            "release": released(draw) if draw.random() < 0.2 else None,
        }
        needed |= {"reason": draw.choice(["hired", "left"]), "leaver": draw.random() < 0.5}
        needed |= {"reversible": draw.random() < 0.5, "leaving_withdrawn": draw.random() < 0.3}
        assign = seats_v1.AssignSeats(user=user, revision=max(1, revisions[user]), **needed)
        made.append((assign, draw.choice([0, 1, MINUTE_MS, 30 * MINUTE_MS])))
    return made


def decided(commands: list[tuple[Payload, int]]) -> list[tuple[list[tuple[str, bytes, int, str | None]], dict[str, bytes | None]]]:
    tenants: dict[str, domain.Tenant] = {}
    made, clock_ms, codec = [], domain.to_ms(START), RowCodec()
    for offset, (payload, later_ms) in enumerate(commands):
        clock_ms += later_ms
        command = domain.Command(f"c{offset}", "seatpool/test", "acme", payload, 0, offset)
        decision = domain.decide(tenants, command, clock_ms)
        events = [(event.type, orjson.dumps(event.body), event.n, event.user) for event in decision.events]
        made.append((events, {key: None if row is None else codec.encode(key, row) for key, row in decision.changed.items()}))
        domain.check_all(tenants["acme"])
    return made


@pytest.mark.parametrize("seed", range(150))
def test_both_paths_decide_the_same_bytes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, taken = history(seed), Counter[bool]()

    def counted(*args: Any) -> domain.Decision | None:
        decision = grant_at_once(*args)
        taken[decision is not None] += 1
        return decision

    monkeypatch.setattr(DECIDE, "grant_at_once", counted)
    fast = decided(commands)
    monkeypatch.setattr(DECIDE, "grant_at_once", lambda *_: None)
    assert fast == decided(commands)
    assert taken[False], "some commands take the general path"
    assert taken[True] or seed != 0, "and some the fast path"


def test_an_ordinary_hire_takes_the_fast_path_and_the_last_licence_does_not() -> None:
    tenants: dict[str, domain.Tenant] = {}
    opened = [
        seats_v1.OpenTenant(number=1, clock="real"),
        seats_v1.OpenPool(number=2, module="time", base=True, licences=3, policies=seats_v1.Policies(warn_at="90%")),
    ]
    for offset, payload in enumerate(opened):
        domain.decide(tenants, domain.Command(f"c{offset}", "seatpool/test", "acme", payload, 0, offset), 0)
    tenant, ways = tenants["acme"], []
    leaves = seats_v1.DatedRelease(at=START, leaver=True)
    for offset, (user, dated) in enumerate([("ada", None), ("ben", leaves), ("cid", None)], start=2):
        hire = seats_v1.AssignSeats(user=user, revision=1, reason="hired", modules=("time",), created_at=START, release=dated)
        tenant.begin()
        before = dict(tenant.rows())
        decision = grant_at_once(tenant, domain.Command(f"c{offset}", "seatpool/test", "acme", hire, 0, offset), hire, 0, 1)
        ways.append(decision is not None)
        if decision is not None:
            tenant.rollback()
            assert dict(tenant.rows()) == before, "an answer too large is taken back"
        domain.decide(tenants, domain.Command(f"c{offset}", "seatpool/test", "acme", hire, 0, offset), 0)
    assert ways == [True, True, False]


@pytest.mark.parametrize("ms", [0, 1, 999, 1000, 59_999, 86_399_999, 86_400_000, 951_782_400_000, 1_772_366_400_123, 7_258_118_400_000, -1])
def test_an_instant_is_written_as_in_every_message(ms: int) -> None:
    assert domain.instant(ms) == format_instant(START + timedelta(milliseconds=ms - domain.to_ms(START)))
    assert domain.from_instant(domain.instant(ms)) == ms
