"""Periods keep their anchor day, and days are the tenant's."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.invoicing.domain.calendar import Period, Term, anchor_of, boundary, local_day, period_at, start_of_day
from services.invoicing.domain.plan_change import anchor_with

DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))
TERMS = st.sampled_from(Term)


@pytest.mark.parametrize(
    ("term", "anchor", "expected"),
    [
        (Term.MONTHLY, date(2013, 1, 31), [date(2013, 1, 31), date(2013, 2, 28), date(2013, 3, 31), date(2013, 4, 30)]),
        (Term.MONTHLY, date(2012, 1, 30), [date(2012, 1, 30), date(2012, 2, 29), date(2012, 3, 30)]),
        (Term.MONTHLY, date(2013, 11, 1), [date(2013, 11, 1), date(2013, 12, 1), date(2014, 1, 1)]),
        (Term.ANNUAL, date(2012, 2, 29), [date(2012, 2, 29), date(2013, 2, 28), date(2014, 2, 28), date(2015, 2, 28), date(2016, 2, 29)]),
    ],
)
def test_the_anchor_day_is_kept(term: Term, anchor: date, expected: list[date]) -> None:
    assert [boundary(anchor, term, count) for count in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("start", "term", "billing_day", "starts"),
    [
        (date(2026, 2, 28), Term.MONTHLY, 31, [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]),
        (date(2026, 2, 28), Term.MONTHLY, 29, [date(2026, 2, 28), date(2026, 3, 29), date(2026, 4, 29)]),
        (date(2026, 2, 28), Term.MONTHLY, None, [date(2026, 2, 28), date(2026, 3, 28), date(2026, 4, 28)]),
        (date(2026, 2, 28), Term.ANNUAL, 29, [date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29)]),
        (date(2026, 4, 30), Term.MONTHLY, 30, [date(2026, 4, 30), date(2026, 5, 30), date(2026, 6, 30)]),
    ],
)
def test_a_contract_that_is_taken_over_in_a_short_month_keeps_its_day(
    start: date, term: Term, billing_day: int | None, starts: list[date]
) -> None:
    anchor = anchor_of(start, term, billing_day)
    assert anchor is not None
    found = [period_at(anchor, term, start)]
    while len(found) < len(starts):
        found.append(period_at(anchor, term, found[-1].end))
    assert [period.start for period in found] == starts


@pytest.mark.parametrize(
    ("start", "term", "billing_day"),
    [(date(2026, 2, 27), Term.MONTHLY, 31), (date(2026, 4, 30), Term.MONTHLY, 29), (date(2026, 4, 30), Term.ANNUAL, 31)],
)
def test_a_billing_day_on_which_no_period_can_have_begun_is_refused(start: date, term: Term, billing_day: int) -> None:
    assert anchor_of(start, term, billing_day) is None


@pytest.mark.parametrize(
    ("start", "term", "starts"),
    [
        (date(2026, 2, 28), Term.ANNUAL, [date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29)]),
        (date(2026, 6, 30), Term.ANNUAL, [date(2026, 6, 30), date(2027, 6, 30)]),
        (date(2026, 2, 28), Term.MONTHLY, [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]),
    ],
)
def test_periods_of_another_term_keep_the_31st_as_far_as_their_months_have_it(start: date, term: Term, starts: list[date]) -> None:
    anchor = anchor_with(term, start, 31)
    found = [period_at(anchor, term, start)]
    while len(found) < len(starts):
        found.append(period_at(anchor, term, found[-1].end))
    assert [period.start for period in found] == starts


@given(anchor=DAYS, term=TERMS, day=DAYS)
def test_every_day_lies_in_exactly_one_period(anchor: date, term: Term, day: date) -> None:
    period = period_at(anchor, term, day)
    assert day in period
    following = period_at(anchor, term, period.end)
    assert following.start == period.end
    assert day not in following
    assert period_at(anchor, term, period.start) == period == period_at(anchor, term, period.end - timedelta(days=1))
    assert period.remaining(day) == (period.end - day).days >= 1


def test_T10_the_day_of_approval_counts() -> None:
    assert Period(date(2013, 11, 1), date(2013, 12, 1)).remaining(date(2013, 11, 18)) == 13


def test_B7_a_day_is_a_local_day_of_the_tenant() -> None:
    at = datetime(2013, 11, 17, 23, 30, tzinfo=UTC)
    assert local_day(at, "Europe/Copenhagen") == date(2013, 11, 18)
    assert local_day(at, "America/New_York") == date(2013, 11, 17)
    assert local_day(at, "Pacific/Kiritimati") == date(2013, 11, 18)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Copenhagen", date(2013, 12, 1), datetime(2013, 11, 30, 23, tzinfo=UTC)),
        ("Europe/Copenhagen", date(2014, 7, 1), datetime(2014, 6, 30, 22, tzinfo=UTC)),
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight is jumped over: the day begins at 1:00
        ("America/Havana", date(2013, 11, 3), datetime(2013, 11, 3, 4, tzinfo=UTC)),  # 0:00 comes twice: the first
        ("Asia/Kathmandu", date(2014, 1, 1), datetime(2013, 12, 31, 18, 15, tzinfo=UTC)),
    ],
)
def test_a_local_day_begins_at_its_first_instant(zone: str, day: date, expected: datetime) -> None:
    assert start_of_day(day, zone) == expected
    assert local_day(expected, zone) == day
    assert local_day(expected - timedelta(milliseconds=1), zone) < day


@given(zone=st.sampled_from(sorted(available_timezones())), day=st.dates(date(1990, 1, 1), date(2035, 12, 31)))
def test_days_and_instants_agree_in_every_zone(zone: str, day: date) -> None:
    begin = start_of_day(day, zone)
    assert local_day(begin - timedelta(milliseconds=1), zone) < day
    # A zone that moved over the date line left a whole day out; there the instant is the next day's first.
    assert local_day(begin, zone) - day in (timedelta(0), timedelta(days=1))
