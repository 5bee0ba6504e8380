"""A leaving or a move on a later day, and the command that tells it to seats ahead of time."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.users.domain.local_days import local_midnight
from services.users.domain.merging import NO_OVERRIDES, Employment, Overrides, Stated, days_ahead, stated, takes_leaving_back
from services.users.domain.person import Cause, Person, Revision, Tenant, as_of, is_leaver, revise
from services.users.domain.required_modules import Account, Profile, Release, Settings
from services.users.domain.sources import Key, SourceKind, new_source
from services.users.domain.timelines import Entry, Period, Report, Timeline, report_of
from shared.schemas.base import Actor
from shared.schemas.hr_v1 import DatedAttributes, EmploymentPeriod, PersonTimeline
from shared.schemas.seats_v1 import DatedRelease
from tests.support.hr_timelines import a_timeline
from tests.support.seats_harness import SeatsHarness

HIRED = date(2026, 1, 5)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
SETTINGS = Settings(
    profiles={"makers": Profile(("documents", "time")), "planners": Profile(("planning", "time")), "readers": Profile(("time",))},
    departments={"Makers": "makers", "Planners": "planners", "Readers": "readers"},
    subscribed={"documents": (), "planning": (), "time": ()},
)
TENANT = Tenant("acme", COPENHAGEN, NOON, SETTINGS, 1)
ANN = {"login": "ann", "department": "Makers"}
CAUSE = Cause(Actor(kind="source", id="hr"))
NEW = Person("p1", "hr", "17", created_at=NOON)


def of(*periods: tuple[date, date | None], overrides: Overrides = NO_OVERRIDES, **since: dict[str, Any]) -> Stated:
    """`since`: values by day, as in `on_2026_04_01={"department": "Readers"}`."""
    later = (Entry(date.fromisoformat(day.removeprefix("on_").replace("_", "-")), values) for day, values in since.items())
    report = Report(tuple(Period(*period) for period in periods), (Entry(HIRED, ANN), *later))
    return stated({Key("hr", "17"): Timeline(1, report)}, {"hr": new_source("hr", SourceKind.HR)}, overrides)


def release(of_: Stated, *, tenant: Tenant = TENANT, account: Account | None = None) -> Release | None:
    return as_of(replace(NEW, account=account or Account()), of_, tenant).standing.required.release


def revised(before: Person, of_: Stated, tenant: Tenant = TENANT) -> Revision:
    return revise(before, as_of(before, of_, tenant), at=tenant.now, cause=CAUSE)


LEAVES = of((HIRED, date(2026, 3, 31)))
MIDNIGHT = datetime(2026, 3, 31, 22, tzinfo=UTC)  # summer time began on 29 March


def test_M9_a_leaving_is_sent_ahead_with_the_first_instant_of_the_next_local_day() -> None:
    assert release(LEAVES) == Release(MIDNIGHT, (), leaver=True)
    assert release(LEAVES, tenant=replace(TENANT, zone=ZoneInfo("UTC"))) == Release(datetime(2026, 4, 1, tzinfo=UTC), (), leaver=True)
    assert release(of((HIRED, None))) is None
    command = revised(NEW, LEAVES).command
    assert command is not None
    assert command.release == DatedRelease(at=MIDNIGHT, modules=(), leaver=True)
    assert (command.modules, command.leaver) == (("documents", "time"), False)


@pytest.mark.parametrize(
    ("changed", "kept"), [({"department": "Readers"}, ("time",)), ({"department": "Planners"}, ("time",)), ({"department": "Nobody"}, ())]
)
def test_a_move_that_takes_modules_away_is_sent_ahead_without_those_that_it_adds(changed: dict[str, Any], kept: tuple[str, ...]) -> None:
    assert release(of((HIRED, None), on_2026_04_01=changed)) == Release(MIDNIGHT, kept, leaver=False)


def test_a_change_that_takes_nothing_away_is_not_sent_ahead() -> None:
    assert release(of((HIRED, None), on_2026_04_01={"job_title": "Chief"})) is None
    assert release(of((HIRED, date(2026, 3, 31)), (date(2026, 4, 1), None))) is None, "the old row ends the day before the next begins"
    assert release(LEAVES, account=Account(given_profile="unknown")) is None, "who requires nothing gives nothing up"


def test_only_the_first_day_counts_and_the_command_of_that_day_has_the_next() -> None:
    both = of((HIRED, date(2026, 4, 10)), on_2026_04_01={"department": "Readers"})
    assert release(both) == Release(MIDNIGHT, ("time",), leaver=False)
    first = revised(NEW, both).person
    command = revised(first, both, replace(TENANT, now=MIDNIGHT)).command
    assert command is not None
    assert (command.modules, command.release) == (("time",), DatedRelease(at=MIDNIGHT + timedelta(days=10), modules=(), leaver=True))


def test_a_release_is_sent_when_it_becomes_known_moves_or_is_taken_back_and_only_then() -> None:
    hired = revised(NEW, of((HIRED, None))).person
    told = revised(hired, LEAVES)
    assert told.command is not None
    assert (told.command.revision, told.event) == (2, None), "readers of users.events see no change before the day"
    assert revised(told.person, LEAVES).command is None
    moved = revised(told.person, of((HIRED, date(2026, 4, 30)))).command
    assert moved is not None
    assert moved.release == DatedRelease(at=MIDNIGHT + timedelta(days=30), modules=(), leaver=True)
    back = revised(told.person, of((HIRED, None))).command
    assert back is not None
    assert (back.modules, back.release) == (("documents", "time"), None)


def test_the_command_of_the_day_follows_with_the_leaver() -> None:
    told = revised(NEW, LEAVES).person
    assert told.reconsider_on == date(2026, 4, 1)
    command = revised(told, LEAVES, replace(TENANT, now=MIDNIGHT)).command
    assert command is not None
    assert (command.modules, command.leaver, command.release) == ((), True, None)


def test_A20_the_end_of_a_login_is_sent_ahead_only_if_it_releases_the_seats() -> None:
    ends = of((HIRED, None), on_2026_02_01={"valid_to": date(2026, 3, 31)})
    assert release(ends) is None
    releases = replace(TENANT, settings=replace(SETTINGS, release_on_expiry=True))
    assert release(ends, tenant=releases) == Release(MIDNIGHT, (), leaver=False)


def test_a_leaving_that_an_administrator_has_set_for_a_later_day_is_sent_ahead() -> None:
    overrides = Overrides(employment=Employment(False, date(2026, 4, 1)))
    assert release(of((HIRED, None), overrides=overrides)) == Release(MIDNIGHT, (), leaver=True)
    assert days_ahead(of((HIRED, None), overrides=Overrides({"valid_to": date(2026, 3, 31)})), date(2026, 3, 2)) == [date(2026, 4, 1)]


def test_T17_M9_a_reduction_for_the_day_after_somebodys_last_day_flags_nobody() -> None:
    """4 licences, a reduction to 3 for 1 April, and the last working day is 31 March."""
    seats = SeatsHarness()
    seats.now = NOON
    seats.pool("time", 4, base=True)
    seats.schedule("april", MIDNIGHT)
    account = Account(given_profile="readers")
    people = [replace(NEW, user=f"p{number}", account=account) for number in range(4)]
    for person in people:
        command = revised(person, LEAVES if person is people[0] else of((HIRED, None))).command
        assert command is not None
        seats.send(command, "seatpool/users")
    seats.next_period(time=3)
    seats.now = MIDNIGHT
    assert seats.tick() == ["seats_released p0 (left)", "period_started (period_began)"]
    assert seats.licences("time") == (3, 3)
    assert seats.seats("time") == dict.fromkeys(("p1", "p2", "p3"), "active")


@settings(max_examples=100)
@given(st.integers(0, 2**64).map(Random))
def test_until_the_release_nobody_gives_a_module_up_and_then_what_it_says(seed: Random) -> None:
    """Each day is computed alone, from everything that is stated."""
    drawn = a_timeline(seed, TODAY)
    known = DatedAttributes(since=HIRED, login="ann", department="Makers")
    employment = seed.choice((drawn.employment, (EmploymentPeriod(starts_on=HIRED),)))
    payload = PersonTimeline(external_id="17", employment=employment, attributes=(known, *drawn.attributes[:2]))
    timeline = Timeline(1, report_of(payload))
    stated_ = stated({Key("hr", "17"): timeline}, {"hr": new_source("hr", SourceKind.HR)})

    def on(day: date) -> tuple[str, ...]:
        then = replace(TENANT, now=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        return as_of(NEW, stated_, then).standing.required.modules

    found, today = release(stated_), on(TODAY)
    for day in (TODAY + timedelta(days=number) for number in range(1, 400)):
        kept = tuple(module for module in today if module in on(day))
        if found is not None and local_midnight(day, COPENHAGEN) == found.at:
            assert kept == found.modules != today
            return
        assert kept == today
    assert found is None or found.at > local_midnight(day, COPENHAGEN)


TODAY = date(2026, 3, 2)
GONE = of((HIRED, date(2026, 2, 20)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (GONE, of((HIRED, None)), True),
        (GONE, of((HIRED, date(2026, 3, 31))), True),
        (GONE, of((HIRED, date(2026, 2, 25))), False),
        (GONE, of((HIRED, date(2026, 2, 20)), (date(2026, 3, 1), None)), False),
        (GONE, of((HIRED, date(2026, 2, 25)), (date(2026, 3, 1), None)), False),
        (
            of((HIRED, date(2026, 1, 20)), (date(2026, 2, 1), date(2026, 2, 20))),
            of((HIRED, date(2026, 1, 20)), (date(2026, 2, 1), None)),
            True,
        ),
        (of((HIRED, date(2026, 3, 1))), of((HIRED, None)), True),
        (LEAVES, of((HIRED, None)), False),
        (of((HIRED, None)), of((HIRED, None)), False),
    ],
    ids=[
        "end gone",
        "end later",
        "left later",
        "hired again",
        "hired later",
        "second end gone",
        "left today",
        "leaves later",
        "never left",
    ],
)
def test_M9_a_leaving_is_taken_back_if_the_person_was_employed_on_all_days_since(before: Stated, after: Stated, expected: bool) -> None:
    assert takes_leaving_back(before, after, TODAY) is expected


def test_M9_the_command_of_a_leaver_can_be_taken_back_and_the_one_that_takes_it_back_says_so() -> None:
    hired = revised(NEW, of((HIRED, None))).person
    assert not is_leaver(hired)
    left = revised(hired, GONE)
    assert left.command is not None
    assert (left.command.leaver, left.command.reversible) == (True, True)
    assert is_leaver(left.person)
    told = revised(hired, LEAVES)
    assert told.command is not None
    assert (told.command.leaver, told.command.reversible) == (False, True)
    assert is_leaver(told.person), "its release may have been applied before users changes the person"
    back = revise(left.person, as_of(left.person, of((HIRED, None)), TENANT), at=NOON, cause=CAUSE, leaving_withdrawn=True).command
    assert back is not None
    assert back.leaving_withdrawn
