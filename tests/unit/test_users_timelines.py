"""The timeline of a source about a person: corrections, withdrawals, versions, and imports that follow each other."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.users.domain.facts import Fact, FactType, Record, fold
from services.users.domain.guard import Endings, GuardLimit, ends_or_blocks, works
from services.users.domain.imports import absence, is_absent
from services.users.domain.merging import Part, Stated
from services.users.domain.person import Person, Tenant, as_of
from services.users.domain.required_modules import NO_MODULES, Account, Profile, Settings
from services.users.domain.sources import SourceKind
from services.users.domain.status import Status, standing
from services.users.domain.timelines import (
    Outcome,
    Report,
    Reported,
    Timeline,
    from_json,
    given_from_json,
    given_to_json,
    problem_in,
    report_of,
    to_json,
    with_fact,
    with_report,
    with_statement,
    without_fact,
)
from shared.schemas.hr_v1 import DatedAttributes, EmploymentPeriod, PersonTimeline
from tests.support.hr_timelines import a_company_and_its_edit, a_day, a_timeline

TODAY = date(2026, 11, 27)
SEEDS = st.integers(0, 2**64).map(Random)  # values drawn one by one by Hypothesis take thirty times as long
HIRED = date(2026, 1, 5)
HR = "hr/acme"
SETTINGS = Settings(
    {"makers": Profile(("time", "documents")), "planners": Profile(("time", "planning"), partial=True), "guests": Profile(())},
    {"Makers": "makers", "Planners": "planners", "Guests": "guests"},
    subscribed={"time": (), "documents": (), "planning": ()},
)
TENANT = Tenant("acme", ZoneInfo("UTC"), datetime(2026, 11, 27, 12, tzinfo=UTC), SETTINGS, 1)
ANN: dict[str, Any] = {"login": "ann", "email": "ann@acme.example", "name": "Ann", "department": "Makers"}


def day(text: str) -> date:
    return date.fromisoformat(text)


def report(*periods: tuple[str, str | None], attributes: Mapping[str, Mapping[str, Any]] | None = None) -> Report:
    """`attributes`: by day; default: Ann's since she was hired."""
    entries = {"2026-01-05": ANN} if attributes is None else attributes
    return report_of(
        PersonTimeline(
            external_id="17",
            employment=tuple(EmploymentPeriod(starts_on=day(start), ends_on=day(end) if end else None) for start, end in periods),
            attributes=tuple(DatedAttributes(since=day(since), **values) for since, values in entries.items()),
        )
    )


def after(*reports: Report) -> Timeline:
    timeline = Timeline()
    for version, each in enumerate(reports, start=1):
        timeline, outcome = with_report(timeline, HR, Reported(version, each))
        assert outcome in (Outcome.TAKEN, Outcome.UNCHANGED)
    return timeline


def now(*reports: Report, on: date = TODAY) -> Record | None:
    return fold(after(*reports).facts, on)


EMPLOYED = report(("2026-01-05", None))
ENDED = report(("2026-01-05", "2026-11-20"))


@pytest.mark.parametrize(
    ("second", "employed"),
    [
        (EMPLOYED, True),
        (report(("2026-01-05", "2027-06-30")), True),
        (report(("2026-01-05", "2026-11-20"), ("2026-11-25", None)), True),
        (report(("2026-01-05", "2026-11-26")), False),
        (report(("2026-01-05", "2026-11-27")), True),  # the last day is included
    ],
)
def test_a_report_corrects_takes_back_or_moves_a_leaving(second: Report, employed: bool) -> None:
    record = now(ENDED, second)
    assert record is not None
    assert record.employed is employed


def test_a_person_who_left_is_employed_again_in_a_new_period() -> None:
    record = now(report(("2020-01-01", "2025-06-30")), report(("2020-01-01", "2025-06-30"), ("2026-10-01", None)))
    assert record is not None
    assert record.employed


def test_nobody_is_employed_before_a_start_that_was_postponed() -> None:
    timeline = after(report(("2026-11-20", None)), report(("2027-01-04", None)))
    assert [fold(timeline.facts, on) is not None for on in (TODAY, day("2027-01-03"), day("2027-01-04"))] == [False, False, True]


@pytest.mark.parametrize("second", [{}, {"2027-02-01": {"department": "Planners"}}])
def test_a_move_that_is_cancelled_or_postponed_leaves_the_person_in_the_old_department(second: dict[str, dict[str, str]]) -> None:
    moved = report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-11-10": {"department": "Planners"}})
    corrected = report(("2026-01-05", None), attributes={"2026-01-05": ANN} | second)
    record = now(moved, corrected)
    assert record is not None
    assert record.department == "Makers"


def test_the_later_report_decides_each_value_for_a_thousand_people() -> None:
    for number in range(1000):
        first, second = (
            report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"email": f"{name}{number}@acme.example"}}) for name in "ab"
        )
        record = now(first, second)
        assert record is not None
        assert record.email == f"b{number}@acme.example"


@pytest.mark.parametrize("next_start", ["2026-06-30", "2026-07-01"])
def test_a_row_that_ends_when_the_next_begins_or_the_day_before_is_no_leaving(next_start: str) -> None:
    joined = report(("2026-01-05", "2026-06-30"), (next_start, None))
    assert joined.periods == EMPLOYED.periods
    assert now(joined) == now(EMPLOYED)


@pytest.mark.parametrize("end", ["2900-01-01", "2999-12-31", "9999-12-31"])
def test_an_end_in_the_year_2900_or_later_is_an_open_end(end: str) -> None:
    assert report(("2026-01-05", end)) == EMPLOYED
    assert report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"valid_to": day(end)}}) == EMPLOYED


def test_a_value_that_is_null_or_empty_is_withdrawn_and_one_that_is_absent_stays() -> None:
    withdrawn = {"login": "", "email": None, "department": "", "may_log_in": False}
    record = now(report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-11-01": withdrawn}))
    assert record == Record(True, "", "", "Ann", "", None, login_allowed=False)
    allowed: dict[str, dict[str, Any]] = {"2026-11-20": {"may_log_in": None, "kind": "external"}, "2026-11-21": {"kind": None}}
    record = now(report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"may_log_in": False}} | allowed))
    assert record == Record(True, "ann", "ann@acme.example", "Ann", "", "Makers")


def test_reports_that_say_the_same_are_equal() -> None:
    again: dict[str, dict[str, Any]] = {"2026-03-01": {"login": "ann"}, "2026-02-01": {"department": "Makers"}}
    entries = {"2026-01-05": ANN | {"job_title": ""}} | again
    same = report(("2026-07-01", None), ("2026-01-05", "2026-06-30"), ("2026-02-01", "2026-03-01"), attributes=entries)
    assert same == EMPLOYED
    assert same.digest == EMPLOYED.digest
    assert report(("2026-01-06", None)).digest != EMPLOYED.digest


def test_an_equal_timeline_changes_nothing_but_the_version() -> None:
    timeline, outcome = with_report(after(EMPLOYED), HR, Reported(7, report(("2026-01-05", None))))
    assert (timeline, outcome) == (Timeline(7, EMPLOYED), Outcome.UNCHANGED)


@pytest.mark.parametrize(
    ("version", "content", "expected"),
    [(1, ENDED, Outcome.STALE), (2, EMPLOYED, Outcome.STALE), (2, ENDED, Outcome.CONFLICT), (3, ENDED, Outcome.TAKEN)],
)
def test_a_version_that_is_not_above_the_last_one_is_ignored_and_with_other_content_it_is_a_conflict(
    version: int, content: Report, expected: Outcome
) -> None:
    before = after(ENDED, EMPLOYED)
    timeline, outcome = with_report(before, HR, Reported(version, content))
    assert outcome is expected
    assert (timeline == before) == (expected is not Outcome.TAKEN)


def single(id_: str, type_: FactType, on: str, sequence: int = 0, source: str = HR, **values: Any) -> Fact:
    return Fact(id_, type_, day(on), sequence, values, source)


def stated(timeline: Timeline, *facts: Fact) -> Timeline:
    for fact in facts:
        timeline, _ = with_fact(timeline, fact)
    return timeline


def test_facts_of_one_day_hold_in_the_order_of_sequence_and_then_of_arrival() -> None:
    hire = single("z", FactType.HIRED, "2026-01-05", **ANN)
    first, second = (single(id_, FactType.CHANGED, "2026-02-01", email=f"{id_}@acme.example") for id_ in "ba")
    numbered = single("c", FactType.CHANGED, "2026-02-01", 1, name="Last")
    early = single("d", FactType.CHANGED, "2026-02-01", name="First")
    record = fold(stated(Timeline(), hire, first, second, numbered, early).facts, TODAY)
    assert record is not None
    assert (record.email, record.name) == ("a@acme.example", "Last")


def test_a_fact_that_is_stated_again_is_the_latest_of_its_day() -> None:
    hire = single("1", FactType.HIRED, "2026-01-05", **ANN)
    a, b = (single(id_, FactType.CHANGED, "2026-02-01", name=id_) for id_ in "ab")
    timeline = stated(Timeline(), hire, a, b, a)
    record = fold(timeline.facts, TODAY)
    assert record is not None
    assert (record.name, len(timeline.singles)) == ("a", 3)
    assert with_fact(timeline, a) == (timeline, Outcome.UNCHANGED)


@pytest.mark.parametrize("order", [0, 1])
def test_a_leaving_and_a_hire_of_one_day_are_a_transfer(order: int) -> None:
    hire = single("1", FactType.HIRED, "2026-01-05", **ANN)
    leave, rehire = single("2", FactType.LEFT, "2026-11-20"), single("3", FactType.HIRED, "2026-11-20", **ANN | {"department": "Planners"})
    record = fold(stated(Timeline(), hire, *((leave, rehire) if order else (rehire, leave))).facts, TODAY)
    assert record == Record(True, "ann", "ann@acme.example", "Ann", "", "Planners")


def test_a_person_who_is_hired_and_leaves_on_one_day_has_left() -> None:
    hire, leave = single("1", FactType.HIRED, "2026-11-20", **ANN), single("2", FactType.LEFT, "2026-11-20")
    record = fold(stated(Timeline(), hire, leave).facts, TODAY)
    assert record is not None
    assert not record.employed


def test_a_withdrawn_fact_was_never_stated() -> None:
    hire, leave = single("1", FactType.HIRED, "2026-01-05", **ANN), single("2", FactType.LEFT, "2026-11-20")
    both = stated(Timeline(), hire, leave)
    assert without_fact(both, HR, "2") == (stated(Timeline(), hire), Outcome.TAKEN)
    assert without_fact(both, HR, "3") == (both, Outcome.UNKNOWN)
    assert without_fact(both, "hr/other", "2") == (both, Outcome.UNKNOWN)


def test_a_report_replaces_the_facts_of_its_source_and_no_edits_by_rest() -> None:
    leave, edit = single("1", FactType.LEFT, "2026-11-20"), single("2", FactType.CHANGED, "2026-11-21", source="rest", name="Edited")
    timeline, outcome = with_report(stated(after(EMPLOYED), leave, edit), HR, Reported(2, EMPLOYED))
    assert (timeline, outcome) == (Timeline(2, EMPLOYED, (edit,)), Outcome.TAKEN)
    record = fold(timeline.facts, TODAY)
    assert record is not None
    assert (record.employed, record.name) == (True, "Edited")


def test_an_import_does_not_replace_the_facts_that_arrived_since_it_began() -> None:
    before, later = single("1", FactType.CHANGED, "2026-11-01", name="Old"), single("2", FactType.LEFT, "2026-11-20")
    known = stated(after(EMPLOYED), replace(before, arrival=7), replace(later, arrival=8))
    timeline, _ = with_report(known, HR, Reported(2, EMPLOYED, begun_at=7))
    assert timeline == Timeline(2, EMPLOYED, (later,))
    record = fold(timeline.facts, TODAY)
    assert record is not None
    assert not record.employed, "it holds after the report"
    assert not is_absent(known, HR, 7, TODAY)
    hired = stated(Timeline(), replace(single("3", FactType.HIRED, "2026-11-01", **ANN), arrival=8))
    assert (is_absent(hired, HR, 7, TODAY), is_absent(hired, HR, 8, TODAY)) == (False, True)


def test_a_fact_after_a_report_is_added_to_it() -> None:
    timeline = stated(after(EMPLOYED), single("1", FactType.CHANGED, "2026-01-05", department="Planners"))
    record = fold(timeline.facts, TODAY)
    assert record is not None
    assert (record.department, record.login) == ("Planners", "ann")


@pytest.mark.parametrize(("restated", "department"), [("Makers", "Planners"), ("Guests", "Guests")])
def test_a_fact_between_two_entries_holds_until_the_report_changes_the_value(restated: str, department: str) -> None:
    history = {"2026-01-05": ANN, "2026-11-20": ANN | {"name": "Ann Smith", "department": restated}}
    reported = after(report(("2026-01-05", None), attributes=history))
    record = fold(stated(reported, single("1", FactType.CHANGED, "2026-11-10", department="Planners")).facts, TODAY)
    assert record is not None
    assert (record.name, record.department) == ("Ann Smith", department)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"external_id": " "}, "external_id: expected a text"),
        ({"external_id": "a\0"}, "external_id: expected a text"),
        (
            {"employment": (EmploymentPeriod(starts_on=TODAY, ends_on=TODAY - timedelta(days=1)),)},
            "employment.0.ends_on: expected a day not before",
        ),
        ({"attributes": (DatedAttributes(since=TODAY, kind="robot"),)}, "attributes.0.kind: expected one of employee"),
        ({"attributes": (DatedAttributes(since=TODAY, name="a\0"),)}, "attributes.0.name: expected a text without NUL"),
        (
            {"attributes": (DatedAttributes(since=TODAY, name="\u202e\u200b"),)},
            "attributes.0.name: expected a name with a character that can be seen",
        ),
        ({"attributes": (DatedAttributes(since=TODAY, name=" "),)}, None),
        ({"external_id": "A 17/3 ü"}, None),
    ],
)
def test_a_report_that_breaks_a_rule_names_the_field(wrong: dict[str, Any], said: str | None) -> None:
    problem = problem_in(PersonTimeline(**{"external_id": "17", "employment": (), "attributes": ()} | wrong))
    assert problem == said or (said is not None and (problem or "").startswith(said))


# ------------------------------------------------------------------------------------------------------------------ the guard


def alone(facts: Collection[Fact]) -> Stated:
    return Stated((Part(HR, SourceKind.HR, tuple(facts)),))


@pytest.mark.parametrize(
    ("before", "later", "counts"),
    [
        (EMPLOYED, ENDED, True),
        (EMPLOYED, report(("2026-01-05", "2027-06-30")), True),
        (report(("2026-01-05", "2027-06-30")), report(("2026-01-05", "2026-12-31")), True),
        (EMPLOYED, report(("2027-01-04", None)), True),
        (EMPLOYED, report(), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"may_log_in": False}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-12-01": {"login": None}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"valid_to": day("2026-11-01")}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"valid_to": day("2027-03-31")}}), True),
        (EMPLOYED, EMPLOYED, False),
        (ENDED, ENDED, False),
        (ENDED, report(("2026-01-05", "2026-11-10")), False),
        (ENDED, report(("2026-01-05", "2026-11-20"), ("2026-11-25", "2026-12-31")), False),
        (report(), report(("2026-01-05", "2026-12-31")), False),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"department": "Planners"}}), False),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN | {"department": "Guests"}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-12-01": {"department": None}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-12-01": {"department": "Mispelt"}}), True),
        (EMPLOYED, report(("2026-01-05", None), attributes={"2026-01-05": ANN, "2026-12-01": {"kind": "external"}}), True),
        (report(attributes={"2026-01-05": ANN | {"department": "Guests"}}), report(), False),
    ],
)
def test_the_guard_counts_a_person_who_works_on_a_day_before_and_no_longer_after(before: Report, later: Report, counts: bool) -> None:
    assert ends_or_blocks(alone(before.facts), alone(later.facts), TENANT, Account()) is counts


def test_the_guard_reads_a_long_timeline_in_linear_time() -> None:
    """The event loop stands still meanwhile, for all tenants. Four thousand facts took 17 s when each day was computed from all facts."""
    changes = [Fact(str(number), FactType.CHANGED, TODAY + timedelta(number), 0, {"name": str(number)}, HR) for number in range(4000)]
    facts = [Fact("hire", FactType.HIRED, HIRED, 0, ANN, HR), *changes]
    begin = process_time()
    assert not ends_or_blocks(alone(facts), alone(facts), TENANT, Account())
    assert process_time() - begin < 1


@settings(max_examples=100)
@given(SEEDS)
def test_the_guard_compares_the_person_of_each_day(seed: Random) -> None:
    before, later = (report_of(a_timeline(seed, TODAY)).facts for _ in range(2))
    days = [TODAY + timedelta(number) for number in range(-1, 900)]

    def has(facts: Collection[Fact], on: date) -> tuple[bool, bool]:
        record = fold(facts, on)
        return works(record, on), standing(record, Account(), SETTINGS, on).required != NO_MODULES

    found = [zip(has(before, on), has(later, on), strict=True) for on in days if on >= TODAY]
    ended = any(old and not new for each in found for old, new in each)
    assert ends_or_blocks(alone(before), alone(later), TENANT, Account()) is ended


def test_the_guard_stops_at_more_than_five_people_or_two_percent() -> None:
    assert [GuardLimit().of(employed) for employed in (0, 10, 299, 300, 1000)] == [5, 5, 5, 6, 20]
    assert GuardLimit(people=0, percent=10).of(50) == 5


@pytest.mark.parametrize(
    ("ended", "would_end", "stops"),
    [
        ("", "abcde", False),
        ("", "abcdef", True),
        ("abcde", "f", True),  # one by one, it is the sixth
        ("abcde", "e", False),  # somebody who came back meanwhile
        ("abcdef", "", False),
    ],
)
def test_the_guard_counts_those_who_would_lose_access_with_those_of_the_last_hour(ended: str, would_end: str, stops: bool) -> None:
    assert Endings(frozenset(ended), frozenset(would_end), GuardLimit().of(10)).need_confirmation is stops


# -------------------------------------------------------------------------------------------------------- the rule of imports


def states(timeline: Timeline) -> list[Any]:
    """Status, values and required modules on each day on which anything changes, and today."""
    days = sorted({TODAY, *(fact.effective_date for fact in timeline.facts)})
    return [(on, fold(timeline.facts, on), standing(fold(timeline.facts, on), Account(), SETTINGS, on)) for on in days]


@settings(max_examples=2000)
@given(SEEDS)
def test_importing_a_company_twice_leaves_everybody_as_the_second_import_alone(rng: Random) -> None:
    first, second = a_company_and_its_edit(rng, TODAY)
    for key, person in second.items():
        both = after(*(report_of(company[key]) for company in (first, second) if key in company))
        assert states(both) == states(after(report_of(person)))


@settings(max_examples=500)
@given(SEEDS)
def test_a_report_is_stored_and_read_as_it_was(rng: Random) -> None:
    found = report_of(a_timeline(rng, TODAY))
    assert from_json(to_json(found)) == found
    assert from_json(to_json(found)).digest == found.digest
    for entry in found.entries:
        assert given_from_json(given_to_json(entry.given)) == entry.given


@settings(max_examples=500)
@given(SEEDS)
def test_the_normal_form_says_what_the_report_says(rng: Random) -> None:
    """The periods and the values of a day, read from the report without any normal form."""
    timeline, on = a_timeline(rng, TODAY), a_day(rng, TODAY)
    record = fold(report_of(timeline).facts, on)
    employed = any(each.starts_on <= on and (each.ends_on is None or on <= each.ends_on) for each in timeline.employment)
    assert (record is not None and record.employed) is employed
    if record is not None:
        values: dict[str, Any] = {}
        for entry in sorted(timeline.attributes, key=lambda each: each.since):
            if entry.since <= on:
                values |= {name: getattr(entry, name) for name in entry.model_fields_set}
        assert record.department == (values.get("department") or None)
        assert record.login == (values.get("login") or "")
        assert record.login_allowed is (values.get("may_log_in") is not False)


# ------------------------------------------------------------------------------------------------------------------ absence


@pytest.mark.parametrize(
    ("periods", "kept"),
    [
        ([("2026-01-05", None)], [("2026-01-05", "2026-11-26")]),
        ([("2026-01-05", "2026-12-31"), ("2027-06-01", None)], [("2026-01-05", "2026-11-26")]),
        ([("2025-01-01", "2025-12-31"), ("2026-11-27", None)], [("2025-01-01", "2025-12-31"), ("2026-11-26", "2026-11-26")]),
        ([("2026-11-27", None)], [("2026-11-26", "2026-11-26")]),
    ],
)
def test_M9_a_person_missing_from_a_complete_import_leaves_today_also_one_who_starts_today(
    periods: list[tuple[str, str | None]], kept: list[tuple[str, str]]
) -> None:
    employed = Timeline(1, report(*periods, attributes={periods[0][0]: ANN}))
    assert is_absent(employed, HR, 5, TODAY)
    statement = absence(employed, HR, 2, 5, TODAY, "f")
    ended, outcome = with_statement(employed, HR, statement)
    assert (outcome, ended.report.periods) == (Outcome.TAKEN, report(*((first, last) for first, last in kept)).periods)
    found = as_of(Person("u1", HR, "17", TENANT.now), alone(ended.facts), TENANT)
    assert (found.standing.status, found.never_employed) == (Status.LEFT, False)
    assert found.left_on == day(kept[-1][1]) + timedelta(days=1)
