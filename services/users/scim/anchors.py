"""Where the next page of a list begins. Clients of SCIM name it by a number, which would skip users when others are deleted meanwhile."""

from collections import OrderedDict
from typing import Final, NamedTuple

ANCHORS_MAX: Final = 10_000
SECONDS_MAX: Final = 600


class List(NamedTuple):
    """A list that a connection reads in pages."""

    tenant: str
    connection: str
    scim_filter: str


class Anchors:
    """The last user of each page that this process has returned lately, by the number at which the next page begins.

    Another process does not know them: there the next page begins at the number, as RFC 7644 says.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[List, int], tuple[float, int]] = OrderedDict()

    def add(self, of: List, next_index: int, arrival: int, now: float) -> None:
        self._known.pop((of, next_index), None)
        self._known[of, next_index] = (now, arrival)
        if len(self._known) > ANCHORS_MAX:
            self._known.popitem(last=False)

    def find(self, of: List, index: int, now: float) -> int | None:
        """Return the arrival of the user after whom the page begins; None if it is not known."""
        found = self._known.get((of, index))
        return found[1] if found is not None and now - found[0] < SECONDS_MAX else None
