"""Random timelines, and companies that are edited: what an HR system reports, and what it reports later."""

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Any

from shared.schemas.hr_v1 import DatedAttributes, EmploymentPeriod, PersonTimeline

_VALUES: Mapping[str, tuple[Any, ...]] = {
    "login": ("ann", "bob", "", None),
    "email": ("a@acme.example", "b@acme.example", "", None),
    "name": ("Ann", "Bob", ""),
    "department": ("Makers", "Planners", "Guests", "Nowhere", "", None),
    "kind": ("employee", "external", None),
    "valid_to": (None, -3, 0, 3),  # days from today
    "may_log_in": (True, False, None),
}


def a_day(rng: Random, today: date) -> date:
    return today + timedelta(days=rng.choice((-400, -200, -3, -2, -1, 0, 1, 2, 3, 200)))


def a_period(rng: Random, today: date) -> EmploymentPeriod:
    start = a_day(rng, today)
    return EmploymentPeriod(starts_on=start, ends_on=rng.choice((None, max(start, a_day(rng, today)))))


def some_attributes(rng: Random, today: date, who: str) -> DatedAttributes:
    """Logins are the person's own: who has one that two people use depends on who had it first."""
    values = {name: rng.choice(values) for name, values in _VALUES.items() if rng.random() < 0.4}
    if values.get("valid_to") is not None:
        values["valid_to"] = today + timedelta(days=values["valid_to"])
    if values.get("login"):
        values["login"] += f"-{who}"
    return DatedAttributes(since=a_day(rng, today), **values)


def a_timeline(rng: Random, today: date, who: str = "17") -> PersonTimeline:
    return PersonTimeline(
        external_id=who,
        employment=tuple(a_period(rng, today) for _ in range(rng.randint(0, 3))),
        attributes=tuple(some_attributes(rng, today, who) for _ in range(rng.randint(1, 5))),
    )


def an_edit(rng: Random, before: PersonTimeline, today: date) -> PersonTimeline:
    """The person with periods and entries dropped, added and changed."""
    other = a_timeline(rng, today, before.external_id)
    return PersonTimeline(
        external_id=before.external_id,
        employment=(*(each for each in before.employment if rng.random() < 0.7), *other.employment[: rng.randint(0, 2)]),
        attributes=(*(each for each in before.attributes if rng.random() < 0.7), *other.attributes[: rng.randint(0, 2)]),
    )


def a_company_and_its_edit(rng: Random, today: date, people: int = 4) -> tuple[dict[int, PersonTimeline], dict[int, PersonTimeline]]:
    """People by number. Some of the first company are missing from the second, and one is new."""
    first = {key: a_timeline(rng, today, f"p{key}") for key in range(rng.randint(1, people) if people < 10 else people)}
    second = {key: rng.choice((person, an_edit(rng, person, today))) for key, person in first.items() if rng.random() < 0.8}
    return first, second | {len(first): a_timeline(rng, today, f"p{len(first)}")}
