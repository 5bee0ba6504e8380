"""Facts about a person, and the person that they make as of a day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft

SEQUENCE_MAX: Final = 2**63 - 1  # what a column holds
REST_SOURCE: Final = "rest"  # of the people and changes that come through this service's own door


class Kind(StrEnum):
    EMPLOYEE = "employee"
    EXTERNAL = "external"  # takes no seat (M6)
    SERVICE = "service"  # takes no seat (M6)


class FactType(StrEnum):
    HIRED = "hired"
    CHANGED = "changed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a person. `given` holds only the fields that it sets."""

    id: str
    type: FactType
    effective_date: date
    sequence: int
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[date, int, str]:
        return (self.effective_date, self.sequence, self.id)


@dataclass(frozen=True, slots=True)
class Record:
    """What the facts up to a day make of a person."""

    employed: bool
    login: str = ""
    email: str = ""
    name: str = ""
    job_title: str = ""
    department: str | None = None
    kind: str = Kind.EMPLOYEE
    valid_to: date | None = None  # last day on which the login works


RECORD_FIELDS: Final = tuple(f.name for f in fields(Record) if f.name != "employed")


def problem_of(payload: HrFact) -> str | None:
    """The rule that a readable fact breaks, naming the field; None if none."""
    if payload.sequence > SEQUENCE_MAX:
        return f"sequence: at most {SEQUENCE_MAX} expected (got {payload.sequence})"
    for name in ("external_id", *RECORD_FIELDS):
        if "\0" in str(getattr(payload, name, "")):
            return f"{name}: a text without NUL expected"
    kind = getattr(payload, "kind", None)
    if kind is not None and kind not in tuple(Kind):
        return f"kind: one of {', '.join(Kind)} expected (got {kind!r})"
    if isinstance(payload, PersonHired) and not payload.login.strip():
        return "login: must not be empty"
    if isinstance(payload, PersonChanged) and payload.login is not None and not payload.login.strip():
        return "login: must not be empty"
    return None


def fact_of(payload: HrFact, id: str) -> Fact:  # noqa: A002 - the field's own name
    """An empty department takes the person out of theirs; what is None is not given."""
    given = {name: value for name in RECORD_FIELDS if (value := getattr(payload, name, None)) is not None}
    match payload:
        case PersonHired():
            type_ = FactType.HIRED
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
    return Fact(id, type_, payload.effective_date, payload.sequence, given)


def fold(facts: Iterable[Fact], today: date) -> Record | None:
    """The person as of `today`: all facts effective by then, in the order (effective date, sequence, id), each once, whatever the order
    of their arrival. None while nobody has been hired: a change or a leaving before the first hire has no person to speak of."""
    record: Record | None = None
    for fact in sorted({f.id: f for f in facts if f.effective_date <= today}.values(), key=lambda f: f.order):
        if fact.type is FactType.HIRED:
            record = Record(employed=True, **fact.given)
        elif record is not None:
            record = replace(record, employed=record.employed and fact.type is not FactType.LEFT, **fact.given)
    return record


def reconsider_on(facts: Iterable[Fact], record: Record | None, today: date) -> date | None:
    """The next local day on which this person can change by the passing of time alone: a fact falls due, or the login ends."""
    days = [fact.effective_date for fact in facts if fact.effective_date > today]
    if record is not None and record.valid_to is not None and record.valid_to >= today and record.valid_to < date.max:
        days.append(record.valid_to + timedelta(days=1))
    return min(days, default=None)
