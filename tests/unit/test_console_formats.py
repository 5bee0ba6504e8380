"""How the console writes times for a reader, and reads the numbers and amounts that a reader enters."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.console.pages.forms import Form, minor_of, whole_number
from services.console.pages.new_tenant import LOCALES
from services.console.pages.settings import LANGUAGES
from services.console.rendering.formats import Formats, locale_of

AT = datetime(2026, 3, 17, 19, 7, 5, tzinfo=UTC)


def formats(locale: str) -> Formats:
    return Formats(locale, "Europe/Copenhagen", AT)


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_moment_has_the_day_and_no_seconds_in_each_locale_of_a_tenant(language: str) -> None:
    for tenants in (*LANGUAGES, *LOCALES, "sv-FI", ""):
        written = formats(locale_of(language, tenants)).moment(AT)
        assert ("17" in written, "05" in written, "2026" in written) == (True, False, True), (tenants, written)
        assert written.endswith(formats(locale_of(language, tenants)).clock(AT)), (tenants, written)
    assert formats("en_DK").moment(AT) == "17 Mar 2026, 20.07"
    assert formats("en_US").moment(AT).replace("\u202f", " ") == "Mar 17, 2026, 8:07 PM"


def test_a_time_on_a_page_without_a_tenant_says_that_it_is_in_utc() -> None:
    assert Formats("en_GB", None, AT).moment(AT) == "17 Mar 2026, 19:07 UTC"
    assert Formats("de", None, AT).moment(AT) == "17.03.2026, 19:07 UTC"


def test_real_time_is_marked_where_a_test_clock_has_another_one_and_days_are_counted_in_it() -> None:
    later = AT + timedelta(days=250)
    tested = Formats("en_GB", "UTC", AT, later, "real time")
    assert tested.real_moment(AT) == "17 Mar 2026, 19:07 (real time)"
    assert tested.real_day("2026-11-30") == "30 Nov 2026 (real time)"
    assert tested.real_clock(AT) == "19:07 (real time)"
    assert (tested.days_left(later), tested.real_days_left(later + timedelta(days=3))) == (250, 3)
    real = Formats("en_GB", "UTC", AT)
    assert (real.real_moment(AT), real.real_day("2026-11-30")) == (real.moment(AT), real.day("2026-11-30"))
    assert real.real_days_left(later) == 250


def test_days_are_written_as_the_country_writes_them() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 31)
    written = {locale: (formats(locale).short_day(last), formats(locale).days(first, last)) for locale in ("en_GB", "en_US", "de")}
    assert written == {
        "en_GB": ("31 Mar", "1–31 Mar 2026"),
        "en_US": ("Mar 31", "Mar 1\u2009–\u200931, 2026"),
        "de": ("31. März", "01.–31.03.2026"),
    }


@pytest.mark.parametrize(
    ("locale", "currency", "text", "minor"),
    [
        ("en_GB", "EUR", "1,250", 125_000),
        ("en_GB", "EUR", "1.250", None),  # three decimals, or a German thousands separator
        ("en_GB", "EUR", "0.500", None),
        ("de", "EUR", "1.250", 125_000),
        ("de", "EUR", "1,250", None),
        ("de", "EUR", "1.250,50", 125_050),
        ("de", "EUR", "1,250.50", None),
        ("de_CH", "CHF", "1'250.50", 125_050),
        ("de_CH", "CHF", "1’250", 125_000),
        ("fr", "EUR", "1 250,50", 125_050),
        ("en_DK", "DKK", "1.250", 125_000),
        ("en_GB", "EUR", "12,50", 1250),
        ("de", "EUR", "12.5", 1250),
        ("en_GB", "KWD", "1.250", 1250),
        ("de", "KWD", "1,250", 1250),
        ("en_GB", "JPY", "1.250", None),
        ("en_GB", "JPY", "1,250", 1250),
        ("en_GB", "EUR", "12 50", None),
        ("en_GB", "EUR", "NaN", None),
        ("en_GB", "EUR", "-1", None),
        ("en_GB", "EUR", "1e3", None),
        ("en_GB", "EUR", "9" * 5000, None),
        ("en_GB", "EUR", "", None),
    ],
)
def test_an_amount_is_read_as_the_readers_language_writes_it_and_refused_if_it_could_be_another(
    locale: str, currency: str, text: str, minor: int | None
) -> None:
    assert minor_of(text, currency, locale) == minor


def test_an_amount_that_a_form_suggests_is_read_as_the_same_amount() -> None:
    for tenants in (*LANGUAGES, *LOCALES, "en-IN"):
        for language in ("en", "de"):
            there = formats(locale_of(language, tenants))
            for currency in ("EUR", "JPY", "KWD"):
                assert minor_of(there.amount(123_456_789, currency), currency, there.locale) == 123_456_789, (tenants, language, currency)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000", 1000), ("1,000", 1000), ("1'000", 1000), ("1.250", 1250), ("1 250 000", 1_250_000), ("+5", 5), ("007", 7),
        ("0.500", None), ("00.500", None), ("1,250.500", None), ("1000.500", None), ("1.5", None), ("1.2500", None),
        ("9" * 5000, None), ("", None),
    ],
)  # fmt: skip
def test_a_count_is_a_whole_number_with_separators_only_where_thousands_have_them(text: str, number: int | None) -> None:
    form = Form.of(count=text)
    read = form.integer("count", "wrong", least=1, most=10**9)
    assert (read if form.ok else None) == number


def test_a_number_that_a_form_carries_is_short_and_of_digits() -> None:
    found = [whole_number(each) for each in ("17", "0", "", "-1", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 5000)]
    assert found == [17, 0, None, None, None, None]
