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
    duplicates_held: bool = False  # its new people who match nobody wait for a confirmation
    duplicates_confirmed: int = 0  # so many people without a match were there at the last confirmation
    arrival: int = 0  # drawn when it is created


Sources = Mapping[str, Source]


def may_be_duplicates(source: Source, unmatched: Mapping[str, int], employed: int) -> str | None:
    """Return another source that has as many people without a match as this one, if this one has too many for a coincidence.

    `unmatched`: by source, the employed people whom no other source knows.
    """
    found = unmatched.get(source.source, 0) - source.duplicates_confirmed
    if source.duplicates != Duplicates.HOLD or found <= max(PEOPLE_DEFAULT, employed * PERCENT_DEFAULT // 100):
        return None
    others = {name: number for name, number in unmatched.items() if name != source.source and number >= found}
    return max(others, key=lambda name: others[name], default=None)


class Key(NamedTuple):
    """What identifies a timeline within a tenant."""

    source: str
    external_id: str


def source_of(sources: Sources, name: str) -> Source:
    """Return the source; one that is not known yet is an HR system after all others."""
    return sources.get(name) or new_source(name, SourceKind.REST if name == REST_SOURCE else SourceKind.HR)


def new_source(name: str, kind: SourceKind) -> Source:
    return Source(name, kind, POSITIONS[kind], arrival=2**62)
