"""Numbers, amounts and dates as the reader's language and the tenant's country write them, in the tenant's time zone. Pages without a
tenant, such as those of the operator, have times in UTC, and say so.

The times of a company are those of its clock. What lives outside of it is in real time: tokens and secrets, requests of an identity
provider, what the mail server did. On the pages of a company with a test clock, the filters that begin with `real_` say so.
"""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval, format_skeleton, format_time, format_timedelta, get_date_format, get_datetime_format

from shared.money import format_amount, format_count, format_number, format_percent
from shared.money import locale_of as known_locale

SECONDS_OF_A_DAY = 86_400
UTC_NAME = "UTC"


@dataclass(frozen=True, slots=True)
class Formats:
    """`locale`: language and country, for example `de_CH`. `time_zone`: the tenant's; None on a page without a tenant. `now`: the tenant's
    time, which a test clock may have moved. Then `real_now` is the real time, and `real_words` are what marks it."""

    locale: str
    time_zone: str | None
    now: datetime
    real_now: datetime | None = None
    real_words: str = ""

    @property
    def language(self) -> str:
        return self.locale.partition("_")[0]

    @property
    def today(self) -> date:
        return self.local(self.now).date()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone or UTC_NAME)

    def local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)

    def money(self, amount_minor: int, currency: str) -> str:
        return format_amount(amount_minor, currency, self.locale)

    def amount(self, amount_minor: int, currency: str) -> str:
        """Return the amount without its currency, as `Form.amount` reads it."""
        return format_number(amount_minor, currency, self.locale)

    def number(self, count: int) -> str:
        return format_count(count, self.locale)

    def percent(self, rate: str) -> str:
        return format_percent(rate, self.locale)

    def day(self, day: date | datetime | str) -> str:
        """Return `1 Mar 2026`."""
        return str(format_date(self._day(day), format="medium", locale=self.locale))

    def short_day(self, day: date | datetime | str) -> str:
        """Return `1 Mar` (`Mar 1` in the United States), for axes."""
        return str(format_skeleton("MMMd", self._day(day), locale=self.locale))

    def days(self, first: date | str, last: date | str) -> str:
        """Return `1–31 Mar 2026`, with the month as `day` writes it: `01.–31.03.2026` in German."""
        has_name = "MMM" in str(get_date_format("medium", locale=self.locale).pattern)
        return str(format_interval(self._day(first), self._day(last), "yMMMd" if has_name else "yMd", locale=self.locale))

    def moment(self, at: datetime | str) -> str:
        """Return `1 Mar 2026, 09:00`, or `1 Mar 2026, 09:00 UTC` on a page without a tenant."""
        together = str(get_datetime_format("medium", locale=self.locale))
        return together.replace("{0}", self.clock(at)).replace("{1}", self.day(as_moment(at)))

    def clock(self, at: datetime | str) -> str:
        found = str(format_time(self.local(as_moment(at)), format="short", locale=self.locale))
        return found if self.time_zone else f"{found} {UTC_NAME}"

    def real_moment(self, at: datetime | str) -> str:
        """Return a moment of real time, marked on a page of a tenant with a test clock."""
        return self._marked(self.moment(at))

    def real_day(self, day: date | datetime | str) -> str:
        """Return a day of real time, marked in the same way."""
        return self._marked(self.day(day))

    def real_clock(self, at: datetime | str) -> str:
        """Return a time of day of real time, marked in the same way."""
        return self._marked(self.clock(at))

    def real_days_left(self, at: datetime | str) -> int:
        """Return the full days until a moment of real time."""
        return self._days_between(self.real_now or self.now, as_moment(at))

    def _marked(self, shown: str) -> str:
        return f"{shown} ({self.real_words})" if self.real_now else shown

    def span(self, length: timedelta) -> str:
        """Return `3 minutes`."""
        return str(format_timedelta(length, threshold=2, locale=self.locale))

    def days_left(self, at: datetime | str) -> int:
        """Return the full days until a deadline, rounded up; 0 when it has passed."""
        return self._days_between(self.now, as_moment(at))

    @staticmethod
    def _days_between(now: datetime, at: datetime) -> int:
        return max(0, math.ceil((at - now) / timedelta(seconds=SECONDS_OF_A_DAY)))

    def _day(self, day: date | datetime | str) -> date:
        if isinstance(day, str):
            day = date.fromisoformat(day) if len(day) == len("2026-01-31") else as_moment(day)
        return self.local(day).date() if isinstance(day, datetime) else day


def as_moment(at: datetime | str) -> datetime:
    """Return a time of REST. One without a zone is in UTC."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def locale_of(language: str, tenants: str, browsers: str = "") -> str:
    """Return the reader's language with a country: the tenant's, where babel knows the two together, or else the browser's. German in
    `de-CH` is `de_CH`."""
    tenant = tenants.replace("-", "_")
    territory = tenant.partition("_")[2][-2:].upper()
    browser = browsers.partition(",")[0].partition(";")[0].strip().replace("-", "_")
    for name in (
        f"{language}_{territory}" if territory else "",
        browser if browser.partition("_")[0] == language and "_" in browser else "",
    ):
        try:
            if name:
                return str(Locale.parse(name))
        except (UnknownLocaleError, ValueError):
            continue
    return str(known_locale(language))
