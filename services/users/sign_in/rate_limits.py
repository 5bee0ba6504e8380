"""Limits of attempts in a time, counted in memory. Each process counts for itself."""

import ipaddress
import math
from collections.abc import Hashable
from typing import Final

from shared.errors import Refused

CALLERS_MAX: Final = 10_000
WINDOW_SECONDS: Final = 60
_IPV6_PREFIX: Final = 64  # one customer of a provider has so many addresses at least


class RateLimit:
    """The number of attempts per caller in a window, which begins with the first of them. If there are very many callers, the one with the
    oldest window is forgotten first, so memory is limited.

    Where only failures count, `wait_seconds` or `check` is asked before, and `count` is called after a failure. A caller who guesses from
    another address then locks nobody out.
    """

    def __init__(self, most: int, window_seconds: int = WINDOW_SECONDS) -> None:
        self._most, self._window_seconds = most, window_seconds
        self._counts: dict[Hashable, tuple[float, int]] = {}

    def take(self, caller: Hashable, now: float) -> None:
        """Count an attempt. Raises Refused("too-many-requests") if it is one too many; that one is not counted."""
        self.check(caller, now)
        self.count(caller, now)

    def check(self, caller: Hashable, now: float) -> None:
        """Raise Refused("too-many-requests") if the caller has to wait."""
        if wait := self.wait_seconds(caller, now):
            raise Refused("too-many-requests", f"There were too many attempts. Try again in {wait} seconds.", retry_after_seconds=wait)

    def wait_seconds(self, caller: Hashable, now: float) -> int:
        """Return the seconds until the next attempt is allowed; 0 if it is allowed now."""
        began, count = self._window(caller, now)
        return math.ceil(began + self._window_seconds - now) if count >= self._most else 0

    def count(self, caller: Hashable, now: float) -> None:
        """Count an attempt."""
        began, count = self._window(caller, now)
        if count == 0:
            self._counts.pop(caller, None)
            if len(self._counts) >= CALLERS_MAX:
                del self._counts[next(iter(self._counts))]
        self._counts[caller] = (began, count + 1)

    def _window(self, caller: Hashable, now: float) -> tuple[float, int]:
        began, count = self._counts.get(caller, (now, 0))
        # A clock that was set back begins a new window too.
        return (began, count) if began <= now < began + self._window_seconds else (now, 0)


def network_of(address: str) -> str:
    """Return the part of an address that stands for one caller: of IPv6 the network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False)) if parsed.version == 6 else address
