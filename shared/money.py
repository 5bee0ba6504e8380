"""Amounts for people: from minor units and a currency to text in the reader's locale. No floats: `Decimal` from integers.

Minor units are ISO 4217's. CLDR's digits, which babel formats with by default, are those of daily use and differ for some currencies (an
amount of 1250 IQD minor units is 1.250, not 1250), so they are not used for amounts.
"""

import re
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date
from babel.numbers import get_currency_symbol, parse_pattern

_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
# ISO 4217, every currency that has not two.
_MINOR_UNITS = (
    dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),  # noqa: SIM905 - a table
        0,
    )
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    | dict.fromkeys(("CLF", "UYW"), 4)
)


@cache
def _currencies() -> frozenset[str]:
    """Return the currencies that are legal tender of a country, and those that only contracts use. Neither historical ones nor codes that
    are no money (XXX, XTS, gold) are among them."""
    kept = {code for periods in get_global("territory_currencies").values() for code, _, end, tender in periods if tender and end is None}
    return frozenset(kept | _MINOR_UNITS.keys())


def is_currency(code: str) -> bool:
    """Tell whether this is the code of a currency that is in use."""
    return code in _currencies()


def minor_of(text: str, currency: str) -> int | None:
    """Return an amount such as 12.50 in minor units; None: it is no amount of this currency."""
    if not _AMOUNT.fullmatch(text):
        return None
    minor = Decimal(text).scaleb(minor_units(currency))
    return int(minor) if minor == minor.to_integral_value() else None


def minor_units(currency: str) -> int:
    """Return the number of decimal places of an amount: EUR 2, JPY 0, KWD 3."""
    return _MINOR_UNITS.get(currency, 2)


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    return Decimal(amount_minor).scaleb(-minor_units(currency))


_ENGLISH = Locale("en", "GB")


@lru_cache(maxsize=256)
def locale_of(name: str) -> Locale:
    """`da`, `de-DE`, `pt_BR`; English for what is unknown, so that no e-mail or invoice fails because of a tenant's setting. English
    without a country is British: `9 March 2026, 09:00`, as the texts are. A tenant in the United States has `en-US`."""
    try:
        found = Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return _ENGLISH
    return _ENGLISH if str(found) == "en" else found


def format_amount(amount_minor: int, currency: str, locale: str) -> str:
    """Return the amount with the currency, as the locale writes it: `€31.20`, `31,20 €`, `￥1,200`."""
    where = locale_of(locale)
    pattern = str(where.currency_formats["standard"].pattern)
    if get_currency_symbol(currency, where)[-1].isalpha():
        pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")  # letters and digits are set apart: KWD 1.250, but €1.25
    return _written(to_decimal(amount_minor, currency), pattern, where, minor_units(currency), currency)


def format_number(amount_minor: int, currency: str, locale: str) -> str:
    """Return the amount without the currency, for columns whose head names it."""
    where = locale_of(locale)
    return _written(to_decimal(amount_minor, currency), str(where.decimal_formats[None].pattern), where, minor_units(currency))


@lru_cache(maxsize=10_000)
def format_count(count: int, locale: str) -> str:
    """`10,000`. A page has a hundred of them, and babel takes 25 µs for each."""
    where = locale_of(locale)
    return _written(Decimal(count), str(where.decimal_formats[None].pattern), where, 0)


def format_percent(rate_percent: str, locale: str) -> str:
    """`25%`, `8,1 %`: with all the decimal places that a rate can have."""
    where = locale_of(locale)
    pattern = parse_pattern(str(where.percent_formats[None].pattern))
    pattern.frac_prec = (0, 4)
    return str(pattern.apply(Decimal(rate_percent) / 100, where))


def _written(amount: Decimal, like: str, where: Locale, places: int, currency: str | None = None) -> str:
    pattern = parse_pattern(like)
    pattern.frac_prec = (places, places)
    return str(pattern.apply(amount, where, currency=currency, currency_digits=False))


def format_day(day: date, locale: str) -> str:
    return str(format_date(day, format="long", locale=locale_of(locale)))


def format_short_day(day: date, locale: str) -> str:
    return str(format_date(day, format="medium", locale=locale_of(locale)))
