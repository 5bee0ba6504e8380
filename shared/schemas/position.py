"""Positions and decision ids: the only place that parses and prints them."""

import re
from dataclasses import dataclass
from typing import Final, Self

from pydantic import Field

from shared.schemas.base import Payload
from shared.schemas.topics import SEATS_COMMANDS

OFFSET_MAX: Final = 2**63 - 1
N_MAX: Final = 2**24 - 1
PARTITION_MAX: Final = 2**31 - 1

_NUMBER = r"(0|[1-9][0-9]{0,18})"  # no leading zeros; 19 digits are the longest number below 2^63
_POSITION = re.compile(rf"{_NUMBER}-{_NUMBER}")
_ID = re.compile(rf"{re.escape(SEATS_COMMANDS.name)}/{_NUMBER}/{_NUMBER}/{_NUMBER}")


class Position(Payload):
    """The position of a decision is the partition and the offset of its command. As text it is `<partition>-<offset>`, such as 3-1042."""

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for any text that `str` of no position gives."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:100]!r} is no position `<partition>-<offset>`")
        partition, offset = map(int, match.groups())
        if partition > PARTITION_MAX or offset > OFFSET_MAX:
            raise ValueError(f"{text[:100]!r} is no position: a number is too large")
        return cls(partition=partition, offset=offset)

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True, order=True)
class DecisionId:
    """A decision id is `seats.commands.v1/<partition>/<offset>/<n>`. It names the n-th event of the decision about the command there.

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

    @staticmethod
    def common(partition: int, offset: int) -> str:
        """Return what the ids of all events of one decision begin with: `seats.commands.v1/<partition>/<offset>`, before `/<n>`."""
        return f"{SEATS_COMMANDS.name}/{partition}/{offset}"

    def __str__(self) -> str:
        return f"{self.common(self.partition, self.offset)}/{self.n}"

    @property
    def key(self) -> str:
        """`<partition>-<offset>-<n>`, which may be a part of another id."""
        return f"{self.partition}-{self.offset}-{self.n}"

    @property
    def position(self) -> Position:
        return Position(partition=self.partition, offset=self.offset)

    @property
    def order(self) -> tuple[int, int]:
        """(command offset, n): its order within the partition."""
        return self.offset, self.n
