"""Instants: milliseconds since 1970 UTC in the domain, RFC 3339 text in messages."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from shared.schemas.base import format_instant

DAY_MS = 24 * 60 * 60 * 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT_MAX = 7_258_118_400_000  # 2200-01-01: a later one is an error of the sender, and a deadline after it must still be a date


def to_ms(value: datetime) -> int:
    delta = value - EPOCH
    return delta.days * DAY_MS + delta.seconds * 1000 + delta.microseconds // 1000


def instant(ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds, as every message writes an instant. The text up to the second is cached."""
    second, millis = divmod(ms, 1000)
    return _second(second) + _MILLIS[millis]


@lru_cache(maxsize=16_384)
def _second(second: int) -> str:
    return format_instant(EPOCH + timedelta(seconds=second))[:-4]


_MILLIS = [f"{millis:03d}Z" for millis in range(1000)]


@lru_cache(maxsize=65_536)
def from_instant(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))
