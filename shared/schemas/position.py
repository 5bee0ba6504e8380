"""The decision id: where an event of seats stands in the log of commands."""

import re
from dataclasses import dataclass
from typing import Final, Self

from shared.schemas.topics import SEATS_COMMANDS

OFFSET_MAX: Final = 2**63 - 1
N_MAX: Final = 2**24 - 1
PARTITION_MAX: Final = 2**31 - 1

_NUMBER = r"(0|[1-9][0-9]{0,18})"  # no leading zeros; 19 digits are the longest number below 2^63
_ID = re.compile(rf"{re.escape(SEATS_COMMANDS.name)}/{_NUMBER}/{_NUMBER}/{_NUMBER}")


@dataclass(frozen=True, slots=True, order=True)
class DecisionId:
    """`seats.commands.v1/<partition>/<offset>/<n>`: the n-th event of the decision about the command at (partition, offset).

    The deployment's topic prefix is no part of it. Ids of one partition are ordered as the log is.
    """

    partition: int
    offset: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for any text that `str` of no decision id gives."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:100]!r} is no decision id `{SEATS_COMMANDS.name}/<partition>/<offset>/<n>`")
        found = cls(*map(int, match.groups()))
        if found.partition > PARTITION_MAX or found.offset > OFFSET_MAX or found.n > N_MAX:
            raise ValueError(f"{text[:100]!r} is no decision id: a number is too large")
        return found

    def __str__(self) -> str:
        return f"{SEATS_COMMANDS.name}/{self.partition}/{self.offset}/{self.n}"

    @property
    def place(self) -> tuple[int, int]:
        """(command offset, n): its order within the partition."""
        return self.offset, self.n
