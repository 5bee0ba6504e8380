"""Terminations by REST: the last working day, the licences that become free, and taking a termination back."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.seats import domain
from services.users.domain.facts import Fact, FactType
from services.users.domain.known_people import KnownPeople
from services.users.domain.person import Person, Tenant, as_of
from services.users.domain.required_modules import Settings
from services.users.domain.sources import Key, SourceKind, new_source
from services.users.domain.timelines import Period, Report, Timeline
from services.users.use_cases.edit_person import Edit
from services.users.use_cases.terminate_person import Licence, Termination, licences_after
from shared.schemas.seats_v1 import AssignSeats
from tests.support.seats_harness import START, SeatsHarness

HIRED, TODAY = date(2026, 1, 5), date(2026, 3, 2)
TENANT = Tenant("acme", ZoneInfo("UTC"), datetime(2026, 3, 2, 12, tzinfo=UTC), Settings({}, {}), 1)
HIRE = Fact("1", FactType.HIRED, HIRED, 0, {"login": "ann"}, "rest")
BY_REST = {Key("rest", "17"): Timeline(singles=(HIRE,))}
BY_HR = {Key("hr", "17"): Timeline(1, Report((Period(HIRED, None),)))}
DAYS = [TODAY - timedelta(days=5), TODAY, TODAY + timedelta(days=5)]


def edit(timelines: dict[Key, Timeline]) -> Edit:
    sources = {name: new_source(name, kind) for name, kind in (("rest", SourceKind.REST), ("hr", SourceKind.HR))}
    known = KnownPeople(sources, dict.fromkeys(timelines, "p1"), {}, {"p1": dict(timelines)})
    (key,) = timelines
    before = as_of(Person("p1", *key, created_at=TENANT.now), known.stated("p1"), TENANT)
    return Edit(TENANT, before, known, known.stated("p1"), dict(timelines))


def employed(made: Edit, day: date) -> bool:
    record = made.stated.on(day)
    assert record is not None
    return record.employed


@pytest.mark.parametrize("last_day", DAYS, ids=["past", "today", "future"])
@pytest.mark.parametrize("timelines", [BY_REST, BY_HR], ids=["by REST", "by HR"])
def test_M9_a_termination_ends_after_its_last_day_and_can_be_taken_back(timelines: dict[Key, Timeline], last_day: date) -> None:
    made = edit(timelines)
    assert not made.take_leaving_back(), "there is nothing to take back yet"
    made.set_employed(False, last_day + timedelta(days=1))
    assert (employed(made, last_day), employed(made, last_day + timedelta(days=1))) == (True, False)
    assert made.take_leaving_back()
    assert all(employed(made, last_day + timedelta(days=number)) for number in range(30))
    assert not made.take_leaving_back()


def test_a_termination_that_was_followed_by_a_hire_is_history_and_stays() -> None:
    rehired = replace(HIRE, id="3", effective_date=date(2026, 2, 1))
    made = edit({Key("rest", "17"): Timeline(singles=(HIRE, Fact("2", FactType.LEFT, date(2026, 1, 20), 0, {}, "rest"), rehired))})
    assert not made.take_leaving_back()
    assert not employed(made, date(2026, 1, 25))


def leaver(harness: SeatsHarness, licensed: set[str]) -> Any:
    """Return what the licences of ada would become, by the decision of seats on a copy."""
    payload = AssignSeats(user="ada", revision=99, modules=(), created_at=START, reason="left", leaver=True)
    command = domain.Command("what-if-0", "seatpool/users", "acme", payload, 0, harness.offset + 1)
    ((*events,),) = domain.what_if(harness.tenant.rows(), [command], domain.to_ms(harness.now), domain.Budget(1000))
    return licences_after([{"type": event.type, "data": event.body} for event in events], licensed)


def test_A17_M9_the_answer_to_a_termination_tells_which_licences_become_free() -> None:
    harness = SeatsHarness()
    for module, policies in (("time", {}), ("docs", {"terminate_reduces_pool": True, "reduce_at": "now"}), ("plan", {}), ("labs", {})):
        harness.pool(module, 2 if module != "plan" else 1, base=module == "time", **policies)
    harness.assign("ada", "time", "docs", "plan")
    harness.assign("ben", "time", "plan")
    assert harness.seats("plan") == {"ada": "active", "ben": "flagged"}
    expected = {"docs": (Licence.GIVEN_UP, 1), "plan": (Licence.REALLOCATED, 1), "time": (Licence.FREE, 2)}
    found = leaver(harness, {"time", "docs", "plan"})
    assert {module: (each.state, each.next_period) for module, each in found.items()} == expected
    assert list(leaver(harness, {"time"})) == ["time"], "a flagged seat has no licence"
    assert leaver(harness, {"labs"}) == {}, "seats has released no such seat"
    assert Termination(Person("ada", "rest", "17", START), TODAY, found).reduction == {"time": 1}
