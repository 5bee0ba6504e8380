"""The local days of a tenant."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


def local_today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of `day` in `zone`; where a change of the clock leaves out midnight, the instant of that change."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
