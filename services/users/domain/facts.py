"""Facts about a person, and the person that they make as of a day."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final

from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft
from shared.text import is_unseen_name

SEQUENCE_MAX: Final = 2**63 - 1  # what a column holds
REST_SOURCE: Final = "rest"  # the source of people and changes that REST adds


class Kind(StrEnum):
    EMPLOYEE = "employee"
    EXTERNAL = "external"  # takes no seat (M6)
    SERVICE = "service"  # takes no seat (M6)


KINDS: Final = frozenset(Kind)


class FactType(StrEnum):
    HIRED = "hired"
    CHANGED = "changed"
    LEFT = "left"
    EMPLOYED = "employed"  # a period of a report begins; unlike a hire, it leaves all other values as they are


BEGINNINGS: Final = (FactType.HIRED, FactType.EMPLOYED)


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a person. `given` holds only the fields that it sets."""

    id: str
    type: FactType
    effective_date: date
    sequence: int
    given: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    arrival: int = field(default=0, compare=False)  # its number in order of arrival; 0 until it is stored

    @property
    def order(self) -> tuple[date, int]:
        """Facts of one day and sequence hold in the order of their arrival: sort stably."""
        return (self.effective_date, self.sequence)


@dataclass(frozen=True, slots=True)
class Record:
    """A person's record on a day, computed from the facts up to that day."""

    employed: bool
    login: str = ""
    email: str = ""
    name: str = ""
    job_title: str = ""
    department: str | None = None
    kind: str = Kind.EMPLOYEE
    valid_to: date | None = None  # last day on which the login works
    login_allowed: bool = True
    employee_number: str = ""  # in the HR system, as another source knows it


RECORD_FIELDS: Final = tuple(f.name for f in fields(Record) if f.name != "employed")


@cache
def _record_fields(model: type[HrFact]) -> tuple[str, ...]:
    """Return the fields of the record that a fact can give: pydantic takes 10 µs to look for a field that a model does not have."""
    return tuple(name for name in RECORD_FIELDS if name in model.model_fields)


def problem_of(payload: HrFact) -> str | None:
    """Return the rule that a readable fact breaks, with the name of the field; None if it breaks none."""
    if payload.sequence > SEQUENCE_MAX:
        return f"sequence: expected at most {SEQUENCE_MAX} (got {payload.sequence})"
    if not payload.external_id.strip():
        return "external_id: expected a text that is not empty"
    for name in ("external_id", *_record_fields(type(payload))):
        if "\0" in str(getattr(payload, name)):
            return f"{name}: expected a text without NUL"
    if is_unseen_name(getattr(payload, "name", None) or ""):
        return "name: expected a name with a character that can be seen"
    kind = getattr(payload, "kind", None)
    if kind is not None and kind not in KINDS:
        return f"kind: expected one of {', '.join(Kind)} (got {kind!r})"
    return None


def fact_of(payload: HrFact, id: str, source: str = "") -> Fact:  # noqa: A002 - the field's own name
    """Return the fact of a message. An empty department takes the person out of theirs; a field that is None is not given."""
    given = {name: value for name in _record_fields(type(payload)) if (value := getattr(payload, name)) is not None}
    if not given.get("login", "").strip() and "login" in given:
        given["login"] = ""  # the person has none
    match payload:
        case PersonHired():
            type_ = FactType.HIRED
            given = {"login": "", "email": ""} | given
            given.setdefault("department", None)
            given.setdefault("valid_to", None)
        case PersonChanged():
            type_ = FactType.CHANGED
        case PersonLeft():
            type_, given = FactType.LEFT, {}
        case _:
            raise TypeError(type(payload).__name__)
    if given.get("department") == "":
        given["department"] = None
    return Fact(payload.fact or id, type_, payload.effective_date, payload.sequence, given, source)


def fold(facts: Iterable[Fact], today: date) -> Record | None:
    """Return the person as of `today`: all facts that are effective by then, by effective date, sequence and the order given.

    None if nobody has been employed by then: a change or a leaving before that describes no person. A hire on the day on which an employed
    person leaves is a transfer, whichever of the two came first.
    """
    return next(fold_by_day((fact for fact in facts if fact.effective_date <= today), (today,)))


def fold_by_day(facts: Iterable[Fact], days: Iterable[date], *, known: bool = False) -> Iterator[Record | None]:
    """Yield the person as of each of these days, which ascend, as `fold` does. Each fact is read once, however many days there are.
    `known`: changes describe a person who is not employed, also before any employment."""
    values: dict[str, Any] = {}
    employed = False
    transfer: tuple[date, int] | None = None
    left = iter(sorted(facts, key=lambda fact: fact.order))
    fact = next(left, None)
    for day in days:
        while fact is not None and fact.effective_date <= day:
            match fact.type:
                case FactType.HIRED | FactType.EMPLOYED:
                    transfer = fact.order if employed else None
                    values = dict(fact.given) if fact.type is FactType.HIRED else {**values, **fact.given}
                    employed = known = True
                case FactType.LEFT:
                    employed = employed and transfer == fact.order
                case FactType.CHANGED:
                    values |= fact.given
            fact = next(left, None)
        yield Record(employed, **values) if known else None


def next_change(facts: Iterable[Fact], record: Record | None, today: date) -> date | None:
    """Return the next local day on which time alone can change this person: a fact becomes effective, or the login ends."""
    days = [fact.effective_date for fact in facts if fact.effective_date > today]
    if record is not None and record.valid_to is not None and record.valid_to >= today and record.valid_to < date.max:
        days.append(record.valid_to + timedelta(days=1))
    return min(days, default=None)
