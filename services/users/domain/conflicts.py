"""Conflicts: people who may be somebody else whom the tenant has already."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# A company may give one address to thousands: who is compared with all of them, and names them all, takes the square of their number.
NAMED_MAX: Final = 20


class ConflictReason(StrEnum):
    LOGIN_IN_USE = "login_in_use"
    SEVERAL_PEOPLE = "several_people"  # more than one person has this login, number or e-mail address
    SAME_SOURCE = "same_source"  # the person found has a timeline of this source already
    PRIVILEGED = "privileged"  # found by e-mail address only, and the person found may manage people, settings or purchases
    POSSIBLE_DUPLICATE = "possible_duplicate"  # one of many new people of a source, while as many of another one have no match


@dataclass(frozen=True, slots=True)
class Conflict:
    """A person in conflict takes no seat until somebody decides, or the cause ends. `people` are those who may be meant, at most NAMED_MAX,
    and `by` is what they were found by."""

    reason: str
    by: str = ""
    people: tuple[str, ...] = ()
