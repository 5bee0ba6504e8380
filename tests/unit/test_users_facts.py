"""The fold of facts: late ones of another day or sequence end in the same state."""

import os
import random
import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.users.domain.facts import Fact, FactType, Record, fact_of, fold, next_change, problem_of
from services.users.domain.local_days import local_midnight, local_today
from shared.schemas.hr_v1 import PersonChanged, PersonHired, PersonLeft

D = date(2026, 3, 2)


def hired(id_: str = "h", day: date = D, sequence: int = 0, **given: object) -> Fact:
    return Fact(id_, FactType.HIRED, day, sequence, {"login": "ann", "email": "ann@acme.example"} | given)


def changed(id_: str, day: date = D, sequence: int = 0, **given: object) -> Fact:
    return Fact(id_, FactType.CHANGED, day, sequence, given)


def left(id_: str, day: date = D, sequence: int = 0) -> Fact:
    return Fact(id_, FactType.LEFT, day, sequence)


@pytest.mark.parametrize("round_", range(20))
def test_facts_of_different_days_and_sequences_end_in_the_same_state_in_any_order_of_arrival(round_: int) -> None:
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    print(f"seed {seed}: again with SEED={seed} pytest {__file__} -k any_order_of_arrival")
    rng = random.Random(seed + round_)
    facts = [_random_fact(rng, number) for number in range(rng.randint(1, 12))]
    days = [D + timedelta(days=n) for n in range(-1, 8)]
    assert [fold(rng.sample(facts, len(facts)), day) for day in days] == [fold(facts, day) for day in days]


def _random_fact(rng: random.Random, number: int) -> Fact:
    id_, day, sequence = f"{rng.randint(0, 999):03}-{number}", D + timedelta(days=rng.randint(0, 5)), number
    department = rng.choice(["Makers", "Planners", None])
    match rng.choice("hccl"):
        case "h":
            return hired(id_, day, sequence, department=department)
        case "c":
            choices: list[dict[str, Any]] = [{"department": department}, {"name": f"n{number}"}]
            return changed(id_, day, sequence, **rng.choice(choices))
        case _:
            return left(id_, day, sequence)


def test_facts_hold_in_the_order_of_effective_date_then_sequence_then_arrival() -> None:
    facts = [changed("a", D, 1, name="second"), changed("z", D, 0, name="first"), hired("0", D - timedelta(days=1), name="zero")]
    assert fold(facts, D) == Record(True, "ann", "ann@acme.example", "second")
    assert fold([hired("0"), changed("b", name="b"), changed("a", name="a")], D) == Record(True, "ann", "ann@acme.example", "a")


def test_a_fact_of_a_later_day_is_applied_on_that_day() -> None:
    facts = [hired(), changed("c", D + timedelta(days=3), department="Makers")]
    before, after = fold(facts, D + timedelta(days=2)), fold(facts, D + timedelta(days=3))
    assert before is not None
    assert before.department is None
    assert after is not None
    assert after.department == "Makers"
    assert next_change(facts, before, D) == D + timedelta(days=3)
    assert next_change(facts, after, D + timedelta(days=3)) is None


def test_facts_before_the_first_hire_describe_nobody() -> None:
    early = [changed("c", D - timedelta(days=1), name="x"), left("l", D - timedelta(days=1))]
    assert fold(early, D) is None
    assert fold([*early, hired()], D) == Record(True, "ann", "ann@acme.example")


def test_a_leaver_can_be_hired_again() -> None:
    facts = [hired("1", name="Ann"), left("2", D + timedelta(days=1)), hired("3", D + timedelta(days=2))]
    gone = fold(facts, D + timedelta(days=1))
    assert gone is not None
    assert not gone.employed
    assert gone.name == "Ann"
    assert fold(facts, D + timedelta(days=2)) == Record(True, "ann", "ann@acme.example")


def test_a_person_whose_login_ends_is_evaluated_again_on_the_next_day() -> None:
    record = Record(True, valid_to=D)
    assert next_change([], record, D) == D + timedelta(days=1)
    assert next_change([], record, D + timedelta(days=1)) is None
    assert next_change([], Record(True, valid_to=date.max), D) is None


def test_only_the_given_fields_change() -> None:
    fact = fact_of(PersonChanged(external_id="1", effective_date=D, name="Ann B", department=""), "id")
    assert fact.given == {"name": "Ann B", "department": None}
    hire = fact_of(PersonHired(external_id="1", effective_date=D, login="ann", email="ann@acme.example"), "id")
    assert hire.given == {
        "login": "ann",
        "email": "ann@acme.example",
        "name": "",
        "job_title": "",
        "department": None,
        "kind": "employee",
        "valid_to": None,
    }
    assert fact_of(PersonLeft(external_id="1", effective_date=D, reason="moved away"), "id").given == {}


def test_a_hire_without_login_and_address_is_a_person_without_them_and_a_change_withdraws_them() -> None:
    bare = PersonHired(external_id="1", effective_date=D)
    assert problem_of(bare) is None
    hire, changes = fact_of(bare, "h"), PersonChanged(external_id="1", effective_date=D + timedelta(days=1), login=" ", email="")
    record = fold([hire], D)
    assert record is not None
    assert (record.employed, record.login, record.email) == (True, "", "")
    known = replace(hire, given={**hire.given, "login": "ann", "email": "ann@acme.example"})
    assert problem_of(changes) is None
    after = fold([known, fact_of(changes, "c")], D + timedelta(days=1))
    assert after is not None
    assert (after.login, after.email) == ("", "")
    again = replace(fact_of(bare, "again"), effective_date=D + timedelta(days=2))
    hired_again = fold([known, again], D + timedelta(days=2))
    assert hired_again is not None
    assert hired_again.login == "", "a hire says all"


def test_a_fact_that_breaks_a_rule_names_the_field() -> None:
    strange = PersonHired(external_id="1", effective_date=D, login="ann", email="ann@acme.example", kind="robot")
    assert (problem_of(strange) or "").startswith("kind: expected one of employee, external, service")
    assert problem_of(PersonLeft(external_id="1", effective_date=D)) is None
    unseen = PersonChanged(external_id="1", effective_date=D, name="\u202e")
    assert problem_of(unseen) == "name: expected a name with a character that can be seen"
    assert (problem_of(PersonLeft(external_id="1", effective_date=D, sequence=2**63)) or "").startswith("sequence: expected at most")


@given(zone=st.sampled_from(sorted(available_timezones())), day=st.dates(date(1970, 1, 2), date(2037, 12, 30)))
def test_local_midnight_is_the_first_instant_of_the_day(zone: str, day: date) -> None:
    tz = ZoneInfo(zone)
    midnight = local_midnight(day, tz)
    assert local_today(midnight, tz) >= day  # later only where a zone left out the whole day
    assert local_today(midnight - timedelta(seconds=1), tz) < day


def test_midnight_in_copenhagen() -> None:
    assert local_midnight(D, ZoneInfo("Europe/Copenhagen")) == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert local_midnight(date(2026, 7, 1), ZoneInfo("Europe/Copenhagen")) == datetime(2026, 6, 30, 22, tzinfo=UTC)
