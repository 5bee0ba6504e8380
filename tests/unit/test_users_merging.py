"""One person of several timelines: which source decides what, and what administrators override."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.users.domain.erasure import Erased, hires_known_until, is_new_statement
from services.users.domain.facts import Fact, FactType, Record
from services.users.domain.guard import ends_or_blocks
from services.users.domain.merging import NO_OVERRIDES, OVERRIDE, Employment, Origin, Overrides, Stated, left_since, origins, stated
from services.users.domain.person import Cause, Person, Tenant, as_of, revise, source_actor
from services.users.domain.required_modules import Account, Profile, Settings
from services.users.domain.sources import Key, Source, SourceKind, Sources, new_source
from services.users.domain.status import Status, standing
from services.users.domain.timelines import Entry, Period, Report, Timeline

TODAY = date(2026, 11, 27)
SINCE = date(2026, 1, 5)
TENANT = Tenant("acme", ZoneInfo("UTC"), datetime(2026, 11, 27, 12, tzinfo=UTC), Settings({}, {}), 1)


def sources(*names: str) -> Sources:
    """In order of creation."""
    kinds = {"okta": SourceKind.SCIM, "entra": SourceKind.SCIM, "rest": SourceKind.REST}
    return {name: replace(new_source(name, kinds.get(name, SourceKind.HR)), arrival=number) for number, name in enumerate(names)}


SOURCES = sources("okta", "hr/one", "rest", "entra", "hr/two")


def reported(*periods: tuple[str, str | None], **values: Any) -> Timeline:
    found = tuple(Period(date.fromisoformat(start), date.fromisoformat(end) if end else None) for start, end in periods)
    return Timeline(1, Report(found, (Entry(SINCE, values),) if values else ()))


EMPLOYED = ("2026-01-05", None)
ENDED = ("2026-01-05", "2026-11-20")


def who(
    timelines: Mapping[str, Timeline], overrides: Overrides = NO_OVERRIDES, known: Sources = SOURCES, on: date = TODAY
) -> Record | None:
    return of(timelines, overrides, known).on(on)


def of(timelines: Mapping[str, Timeline], overrides: Overrides = NO_OVERRIDES, known: Sources = SOURCES) -> Stated:
    return stated({Key(source, "17"): timeline for source, timeline in timelines.items()}, known, overrides)


def test_each_value_comes_from_the_first_source_that_states_it() -> None:
    hr = reported(EMPLOYED, name="Ann", department="Makers")
    okta = reported(EMPLOYED, name="Ann Smith", login="ann@acme.example", email="ann@acme.example")
    rest = reported(EMPLOYED, name="A.", job_title="Maker", login="ann")
    record = who({"rest": rest, "okta": okta, "hr/two": hr})
    assert record == Record(True, "ann@acme.example", "ann@acme.example", "Ann", "Maker", "Makers")


def test_HR_systems_go_in_order_of_creation_unless_the_tenant_sets_another_order() -> None:
    two = {"hr/one": reported(EMPLOYED, name="One"), "hr/two": reported(EMPLOYED, name="Two")}
    assert (who(two) or Record(False)).name == "One"
    other: dict[str, Source] = {**SOURCES, "hr/two": replace(SOURCES["hr/two"], position=1)}
    assert (who(two, known=other) or Record(False)).name == "Two"


@pytest.mark.parametrize(
    ("timelines", "employed"),
    [
        ({"hr/one": ENDED, "hr/two": EMPLOYED}, True),
        ({"hr/one": ENDED, "hr/two": ENDED}, False),
        ({"hr/one": ENDED, "okta": EMPLOYED}, False),  # an identity system never brings a leaver back
        ({"hr/one": EMPLOYED, "okta": ENDED}, True),
        ({"hr/one": ("2027-01-04", None), "okta": EMPLOYED}, None),
        ({"rest": EMPLOYED, "okta": ENDED}, True),
        ({"rest": ENDED, "okta": EMPLOYED}, False),
        ({"rest": ENDED, "hr/one": EMPLOYED}, True),
        ({"rest": EMPLOYED, "hr/one": ENDED}, False),
        ({"okta": EMPLOYED}, True),
        ({"okta": ENDED, "entra": EMPLOYED}, True),
        ({"okta": ENDED}, False),
    ],
)
def test_HR_decides_on_employment_then_REST_and_identity_systems_only_where_no_other_knows_the_person(
    timelines: Mapping[str, tuple[str, str | None]], employed: bool | None
) -> None:
    record = who({source: reported(period) for source, period in timelines.items()})
    assert (None if record is None else record.employed) is employed


@pytest.mark.parametrize("others", [{}, {"okta": reported(EMPLOYED)}])
def test_M5_a_person_without_any_employment_in_the_deciding_sources_has_left_and_keeps_the_values(others: Mapping[str, Timeline]) -> None:
    found = of({"hr/one": reported(login="ann", name="Ann"), **others})
    assert (found.on(TODAY), found.never_employed) == (Record(False, "ann", name="Ann"), True)
    assert found.on(date(2020, 1, 1)) == Record(False)
    assert left_since(found, TODAY) is None


def test_M5_the_values_of_a_person_without_any_employment_are_those_of_the_source() -> None:
    found = origins(of({"hr/one": reported(login="ann", name="Ann")}), TODAY)
    assert {name: (each.value, each.source) for name, each in found.items()} == {
        "login": ("ann", "hr/one"),
        "name": ("Ann", "hr/one"),
        "employed": (False, "hr/one"),
    }


def test_M5_a_person_of_whom_a_source_states_nothing_any_more_has_left_unless_the_timeline_belongs_to_another_person() -> None:
    assert of({"hr/one": Timeline(2)}).on(TODAY) == Record(False)
    assert of({}).on(TODAY) is None
    back = Overrides({"name": "Ann"}, Employment(employed=True, since=TODAY))
    assert of({"hr/one": Timeline(2)}, back).on(TODAY) == Record(True, name="Ann")


def test_one_source_that_blocks_the_login_blocks_it() -> None:
    hr, okta = reported(EMPLOYED, login="ann"), reported(EMPLOYED, login_allowed=False)
    assert who({"hr/one": hr, "okta": okta}) == Record(True, "ann", login_allowed=False)
    assert who({"hr/one": hr, "okta": reported(ENDED, login_allowed=False)}) == Record(True, "ann"), "the resource was deleted"


def test_a_source_that_has_ended_a_person_states_nothing_about_somebody_whom_another_one_employs() -> None:
    record = who({"hr/one": reported(ENDED, department="Makers", name="Ann"), "hr/two": reported(EMPLOYED, name="Ann Smith")})
    assert record == Record(True, name="Ann Smith")
    left = who({"hr/one": reported(ENDED, department="Makers", name="Ann"), "okta": reported(EMPLOYED, name="Ann Smith", login="ann")})
    assert left == Record(False, "ann", name="Ann", department="Makers"), "a leaver keeps the values"


def test_an_override_wins_over_all_sources_also_when_it_is_empty() -> None:
    timelines = {"hr/one": reported(EMPLOYED, login="ann", name="Ann"), "okta": reported(EMPLOYED, login="ann@acme.example")}
    assert who(timelines, Overrides({"login": "", "name": "Anna"})) == Record(True, name="Anna")


def test_a_leaver_who_was_taken_back_stays_until_the_source_states_another_end() -> None:
    back = Overrides(employment=Employment(True, TODAY, date(2026, 11, 21)))
    for period, employed, kept in ((ENDED, True, True), (("2026-01-05", "2026-11-19"), False, False), (EMPLOYED, True, False)):
        found = of({"hr/one": reported(period)}, back)
        assert (found.overrides.employment is not None) is kept
        record = found.on(TODAY)
        assert record is not None
        assert record.employed is employed


def test_somebody_made_a_leaver_by_REST_stays_one_until_the_source_says_so_too() -> None:
    gone = Overrides(employment=Employment(False, TODAY))
    for end in (None, "2027-03-31"):
        found = of({"hr/one": reported(("2026-01-05", end))}, gone)
        assert found.overrides == gone
        assert (found.on(TODAY) or Record(True)).employed is False
    assert of({"hr/one": reported(ENDED)}, gone).overrides.employment is None


@pytest.mark.parametrize("timeline", [reported(ENDED, login="ann"), reported(login="ann")])
def test_M9_somebody_whom_only_an_administrator_employs_is_a_leaver_after_the_end_that_one_has_set(timeline: Timeline) -> None:
    last = TODAY + timedelta(days=10)
    ended = replace(of({"hr/one": timeline}), overrides=Overrides(employment=Employment(True, TODAY, None, last)))
    person = as_of(Person("u", "hr/one", "17", TENANT.now), ended, TENANT)
    assert (person.standing.status, person.reconsider_on) == (Status.ACTIVE, last + timedelta(days=1))
    later = replace(TENANT, now=TENANT.now + timedelta(days=11))
    gone = as_of(person, ended, later)
    assert (gone.standing.status, gone.never_employed, gone.reconsider_on) == (Status.LEFT, False, None)
    assert gone.left_on == last + timedelta(days=1)


def test_the_last_day_that_an_administrator_has_set_holds_also_if_the_source_employs_the_person_again() -> None:
    set_here = Overrides(employment=Employment(True, TODAY, date(2026, 11, 21), date(2026, 12, 31)))
    for period, kept in (
        (ENDED, set_here.employment),
        (EMPLOYED, Employment(False, date(2027, 1, 1))),
        (("2026-01-05", "2027-03-31"), Employment(False, date(2027, 1, 1))),
        (("2026-01-05", "2026-12-15"), None),
    ):
        found = of({"hr/one": reported(period)}, set_here)
        assert found.overrides.employment == kept
        assert [(found.on(day) or Record(False)).employed for day in (TODAY, date(2027, 1, 1))] == [True, False]


def test_an_end_that_an_administrator_has_set_for_a_later_day_holds_from_that_day() -> None:
    later = TODAY + timedelta(days=10)
    timelines, overrides = {"hr/one": reported(EMPLOYED, login="ann")}, Overrides(employment=Employment(False, later))
    person = as_of(Person("u", "hr/one", "17", TENANT.now), of(timelines, overrides), TENANT)
    assert person.record is not None
    assert (person.record.employed, person.reconsider_on, person.overrides) == (True, later, overrides)
    assert (who(timelines, overrides, on=later) or Record(True)).employed is False


def test_the_guard_counts_people_and_not_timelines() -> None:
    hr, okta = reported(EMPLOYED), reported(EMPLOYED, login="ann")
    before = of({"hr/one": hr, "okta": okta})
    assert ends_or_blocks(before, of({"hr/one": reported(ENDED), "okta": okta}), TENANT, Account())
    assert not ends_or_blocks(before, of({"hr/one": reported(EMPLOYED, login="a"), "okta": reported(ENDED)}), TENANT, Account())
    two = {"hr/one": reported(EMPLOYED, login="ann"), "hr/two": reported(EMPLOYED)}
    assert ends_or_blocks(of(two), of(two | {"hr/one": reported(ENDED, login="ann")}), TENANT, Account()), "the login is gone"
    assert not ends_or_blocks(of(two), of(two | {"hr/two": reported(ENDED)}), TENANT, Account())


def test_a_later_fact_of_any_source_is_a_day_on_which_the_person_changes() -> None:
    hired = Fact("1", FactType.HIRED, SINCE, 0, {"login": "ann"}, "hr/one")
    moved = Fact("2", FactType.CHANGED, TODAY + timedelta(days=3), 0, {"department": "Makers"}, "hr/two")
    timelines = {"hr/one": Timeline(singles=(hired,)), "hr/two": Timeline(singles=(replace(hired, source="hr/two"), moved))}
    assert as_of(Person("u", "hr/one", "17", TENANT.now), of(timelines), TENANT).reconsider_on == moved.effective_date


def test_the_origin_of_each_value_is_its_source_and_what_it_hides() -> None:
    hr, okta = reported(EMPLOYED, name="Ann", login="ann"), reported(EMPLOYED, name="Ann Smith", login="ann", department="Makers")
    found = origins(of({"hr/one": hr, "okta": okta}, Overrides({"department": None})), TODAY)
    assert found == {
        "name": Origin("Ann", "hr/one", (("okta", "Ann Smith"),)),
        "login": Origin("ann", "hr/one", ()),
        "department": Origin(None, OVERRIDE, (("okta", "Makers"),)),
        "employed": Origin(True, "hr/one", ()),
    }
    gone = origins(of({"hr/one": hr, "hr/two": reported(ENDED, name="A.")}, Overrides(employment=Employment(False, TODAY))), TODAY)
    assert (gone["employed"], gone["name"].source) == (Origin(False, OVERRIDE, (("hr/one", True),)), "hr/one")


def test_a_person_of_several_groups_requires_the_modules_of_all_their_profiles() -> None:
    one, two = Profile(("time", "documents")), Profile(("time", "planning"), partial=True)
    subscribed = {"time": (), "documents": (), "planning": ()}
    settings = Settings({"one": one, "two": two, "three": replace(one, partial=True)}, {"Makers": "two"}, subscribed=subscribed)
    record = Record(True, "ann", department="Makers")

    def required(**account: Any) -> tuple[str | None, tuple[str, ...], bool]:
        found = standing(record, Account(**account), settings, TODAY)
        return found.profile, found.required.modules, found.required.partial

    assert required() == ("two", ("planning", "time"), True)
    assert required(group_profiles=("one", "two")) == ("one:two", ("documents", "planning", "time"), False)
    assert required(group_profiles=("three", "two")) == ("three:two", ("documents", "planning", "time"), True)
    assert required(group_profiles=("one", "two"), given_profile="one") == ("one", ("documents", "time"), False)
    assert required(group_profiles=("gone", "two")) == ("gone:two", ("planning", "time"), True)


@pytest.mark.parametrize(
    ("periods", "since"),
    [
        ([("2026-01-05", "2026-02-28")], date(2026, 3, 1)),
        ([("2025-01-05", "2025-02-28"), ("2026-01-05", "2026-08-31")], date(2026, 9, 1)),
        ([("2026-01-05", "2027-02-28")], None),
        ([("2026-01-05", None)], None),
        ([("2027-01-05", None)], None),
    ],
)
def test_the_retention_counts_from_the_last_day_of_employment_however_late_a_source_reports_it(
    periods: list[tuple[str, str | None]], since: date | None
) -> None:
    stating = of({"one": reported(*periods, login="ann")})
    assert left_since(stating, TODAY) == since
    person = as_of(Person("u1", "one", "1", TENANT.now), stating, TENANT)
    assert person.left_on == since
    before = replace(person, left_on=TODAY)
    corrected = revise(before, as_of(before, stating, TENANT), at=TENANT.now, cause=Cause(source_actor("one")))
    assert (corrected.person.left_on, corrected.changed) == (since, True), "a corrected end counts as well, so the person is stored"


@pytest.mark.parametrize(
    ("kept", "hired_on", "is_new"),
    [
        ([("hired", "2025-01-01"), ("left", "2025-07-01")], "2025-01-01", False),
        ([("hired", "2025-01-01"), ("left", "2025-07-01")], "2025-06-30", False),
        ([("hired", "2025-01-01"), ("left", "2025-07-01")], "2025-07-01", True),
        ([("hired", "2025-07-01"), ("left", "2025-07-01")], "2025-07-01", False),  # who did not come
        ([("hired", "2025-07-01"), ("left", "2025-07-01")], "2025-07-02", True),
    ],
)
def test_a_hire_after_the_last_day_of_an_erased_person_is_new_and_what_a_source_repeats_is_not(
    kept: list[tuple[str, str]], hired_on: str, is_new: bool
) -> None:
    facts = [Fact(str(number), FactType(what), date.fromisoformat(day), 0) for number, (what, day) in enumerate(kept)]
    erased = Erased("u1", hires_known_until(date(2025, 7, 1), facts))
    hire = Fact("x", FactType.HIRED, date.fromisoformat(hired_on), 0)
    assert is_new_statement(hire, erased, TODAY) is is_new
