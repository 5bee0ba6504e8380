"""The size of events: the rules limit their lists, and an event that is still too large fails its command and not the worker."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from services.seats import domain
from services.seats.decider import DomainDecider, RowCodec
from services.seats.domain import pools
from services.seats.domain.rows import Scheduled
from services.seats.engine.commands import CommandReader
from services.seats.engine.engine import Engine
from services.seats.engine.events import VALUE_BYTES_MAX
from services.seats.engine.partition import Partition
from services.seats.engine.pause import PauseDetector
from services.seats.replay.replay import Decisions, canonical
from shared.clock import FixedClock
from shared.schemas import seats_v1
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.registry import entry_of
from tests.chaos.simulate import Arrived
from tests.support.fake_seats import NAMES, FakeBroker
from tests.support.seats_harness import START, SeatsHarness
from tests.support.seats_rows import person

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = domain.to_ms(NOON)
LONG = "x" * (VALUE_BYTES_MAX + 1)  # a reason of the sender, which the decision repeats


def arrived(*payloads: tuple[Payload, int]) -> list[Arrived]:
    """Return commands of one tenant in one partition, each so many seconds after noon."""
    made = []
    for offset, (payload, second) in enumerate(payloads):
        entry = entry_of(type(payload))
        envelope = Envelope(f"c{offset}", entry.sources[0], entry.name, NOON, tenant="acme")
        value = payload.model_dump_json().encode()
        made.append(Arrived(0, offset, NOON_MS + second * 1000, b"acme", value, tuple(envelope.headers())))
    return made


def need(user: str, revision: int, reason: str = "hired", module: str = "time") -> seats_v1.AssignSeats:
    return seats_v1.AssignSeats(user=user, revision=revision, modules=(module,), created_at=NOON, reason=reason)


async def test_a_decision_too_large_for_a_record_is_undone_and_answered_and_the_next_command_is_decided() -> None:
    records = arrived(
        (seats_v1.OpenTenant(number=1, clock="real"), 0),
        (seats_v1.OpenPool(number=2, module="time", base=True, licences=1, policies=seats_v1.Policies(grace="PT1S")), 0),
        (need("ada", 1), 0),
        (need("ben", 1), 0),
        (need("cid", 1, LONG), 2),  # ben's grace is over: that, too, is taken back
        (need("cid", 2), 2),
        (seats_v1.OpenPool(number=3, module="docs", base=False, licences=9), 2),
        (need("eve", 1, LONG, "docs"), 2),  # decided the short way
        (need("eve", 1, module="docs"), 2),
    )
    broker, clock = FakeBroker(), FixedClock(NOON)
    engine = Engine(
        topics=NAMES,
        reader=CommandReader(1),
        make_decider=DomainDecider,
        codec=RowCodec(),
        sender=broker,
        read_decisions=broker.read_decisions,
        clock=clock,
        pause=PauseDetector(clock),
    )
    await engine.take_over({0: Partition()})
    await engine.on_records([(0, records)])
    answers = [(id_.removeprefix("seats.commands.v1/0/"), body["reason"]) for id_, body in broker.decisions(0)]
    expected = [("4/0", "too_large"), ("5/0", "grace_expired"), ("5/1", "hired"), ("6/0", "opened"), ("7/0", "too_large"), ("8/0", "hired")]
    assert answers[-6:] == expected
    alone = Decisions(0, 1)
    made = [record for arrived_ in records for record in alone.feed(arrived_) or []]
    assert made == [stored.record for stored in broker.logs[NAMES.events, 0]]
    assert canonical(alone.rows) == canonical(engine.live[0].durable.rows)


def test_T18_an_answer_names_a_limited_number_of_people_over_all_its_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones of those that the cut would take; and how many in all."""
    monkeypatch.setattr(pools, "NAMED_MAX", 5)
    harness = SeatsHarness()
    for module in ("docs", "plan"):
        harness.pool(module, 7)
    for user in ("ada", "ben", "cid", "dan"):
        harness.assign(user, "docs", "plan")
    for user in ("eve", "fay", "gus"):
        harness.assign(user, "docs", "plan", hold_until=START + timedelta(days=1))
    harness.next_period(docs=1, plan=3)
    assert harness.event("reduction_scheduled")["would_cancel"] == [
        {"module": "docs", "users": ["gus", "fay"], "count": 3},
        {"module": "plan", "users": ["gus", "fay"], "count": 3},
    ]
    assert harness.event("reduction_scheduled")["would_flag"] == [
        {"module": "docs", "users": ["dan", "cid"], "count": 3},
        {"module": "plan", "users": ["dan"], "count": 1},
    ]


def test_a_tenant_has_at_most_a_thousand_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "POOLS_MAX", 1)
    harness = SeatsHarness()
    harness.pool("docs", 1)
    assert harness.pool("plan", 1) == ["command_rejected (invalid_count)"]
    assert harness.event("command_rejected")["field"] == "module"


def test_a_tenant_has_at_most_a_hundred_scheduled_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SCHEDULED_MAX", 2)
    harness = SeatsHarness()
    for days in (1, 2):
        assert harness.schedule(f"p{days}", START + timedelta(days=days)) == ["period_scheduled (scheduled)"]
    assert harness.schedule("p3", START + timedelta(days=3)) == ["command_rejected (invalid_value)"]
    assert harness.schedule("p2", START + timedelta(days=3)) == ["period_scheduled (scheduled)"]  # the same one at another time


def test_the_largest_event_of_due_items_fits_a_record() -> None:
    """No command that could be answered stands behind it, so it has to: a period that begins for as many pools as there may be."""
    tenant = "t" * 100
    modules = [f"{n:063}" for n in range(pools.POOLS_MAX)]
    licences = LICENCES_MAX
    policies = {"reduce_below_use": "block", "warn_at": "0", "warned": True, "free_since": domain.to_ms(START)}
    rows: dict[str, domain.Row] = {
        domain.pool_key(tenant, module): domain.PoolRow(True, licences, 1, **policies)  # type: ignore[arg-type]
        for module in modules
    }
    scheduled = Scheduled(domain.to_ms(START), "p" * 100, 5)
    rows[domain.tenant_key(tenant)] = domain.TenantRow(False, 0, 0, "q" * 100, (scheduled,))
    for user in ("a" * 100, "b" * 100):
        seats = {module: domain.Seat("active", 7) for module in modules}
        rows[domain.user_key(tenant, user)] = person(seats)
    state = domain.load(rows.items())[tenant]
    decision = domain.decide_tick(state, "i" * 100, 0, 9, domain.to_ms(START + timedelta(hours=1)))
    assert len(decision.events[0].body["reduction_limited"]) == pools.POOLS_MAX
    sizes = [len(orjson.dumps(event.body)) for event in decision.events]
    assert max(sizes) == sizes[0] < VALUE_BYTES_MAX * 2 // 3
