"""The sources of a tenant: what kind each is, and which of them goes first."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from services.users.domain.facts import REST_SOURCE

PEOPLE_DEFAULT: Final = 5  # of the guard
PERCENT_DEFAULT: Final = 2


class SourceKind(StrEnum):
    HR = "hr"
    SCIM = "scim"
    REST = "rest"


class MatchBy(StrEnum):
    """What a person is recognised by whom another source knows already."""

    LOGIN = "login"
    EMPLOYEE_NUMBER = "employee_number"
    EMAIL = "email"


class Duplicates(StrEnum):
    """The treatment of new people of a source who may be duplicates of the people of another source."""

    HOLD = "hold"  # they take no seats until somebody confirms them
    ALLOW = "allow"


POSITIONS: Final[Mapping[str, int]] = {SourceKind.HR: 10, SourceKind.SCIM: 20, SourceKind.REST: 30}


@dataclass(frozen=True, slots=True)
class Source:
    """A source with a lower position goes first; of equal ones, the one that was created first."""

    source: str
    kind: str = SourceKind.HR
    position: int = POSITIONS[SourceKind.HR]
    match_by: tuple[str, ...] = tuple(MatchBy)
    duplicates: str = Duplicates.HOLD
    guard_people: int = PEOPLE_DEFAULT
    guard_percent: int = PERCENT_DEFAULT
    arrival: int = 0  # drawn when it is created


Sources = Mapping[str, Source]


class Key(NamedTuple):
    """What identifies a timeline within a tenant."""

    source: str
    external_id: str


def source_of(sources: Sources, name: str) -> Source:
    """Return the source; one that is not known yet is an HR system after all others."""
    return sources.get(name) or new_source(name, SourceKind.REST if name == REST_SOURCE else SourceKind.HR)


def new_source(name: str, kind: SourceKind) -> Source:
    return Source(name, kind, POSITIONS[kind], arrival=2**62)
