"""The languages of the pages: English, and each one that has a catalogue, `translations/<language>.po`."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from typing import Final
from unicodedata import normalize

from babel import Locale, UnknownLocaleError
from babel.core import get_global

from shared.countries import NORTHERN_IRELAND, countries
from shared.translations import ENGLISH, N_, translations_in

CATALOGUES: Final = Path(__file__).parents[1] / "translations"
DEFAULT: Final = ENGLISH
_QUALITY = re.compile(r";\s*q=([0-9.]{1,5})")


def translations() -> Mapping[str, NullTranslations]:
    """Return the texts of each language, by its code."""
    return translations_in(CATALOGUES)


def names() -> Mapping[str, str]:
    """Return the name of each language in that language, by its code."""
    return {code: (Locale.parse(code).get_display_name(code) or code).capitalize() for code in translations()}


def name_of(locale: str, code: str) -> str:
    """Return a language, with a country if it has one, in the language `code`: `de-CH` is Swiss High German."""
    try:
        return str(Locale.parse(locale.replace("-", "_")).get_display_name(code) or locale)
    except (UnknownLocaleError, ValueError):
        return locale


def direction(code: str) -> str:
    """Return in which direction a language is written: ltr or rtl."""
    return str(Locale.parse(code).text_direction)


@cache
def names_of_countries(code: str) -> Sequence[tuple[str, str]]:
    """Return the countries with their names in a language, in the order of the names: Österreich stands beside Oman."""
    named = Locale.parse(code).territories
    found = [(country, named.get(country, country)) for country in countries()]
    northern_ireland = (NORTHERN_IRELAND, translations()[code].gettext(N_("Northern Ireland")))
    return sorted([*found, northern_ireland], key=lambda each: "".join(filter(str.isalnum, normalize("NFKD", each[1]))).casefold())


def country_of(time_zone: str) -> str:
    """Return the country in which a time zone is, or an empty text for a zone of no country, such as UTC."""
    found = str(get_global("zone_territories").get(get_global("zone_aliases").get(time_zone, time_zone), ""))
    return found if found in countries() else ""


def chosen(cookie: str, accepted: str, locale: str) -> str:
    """Return the language of a page: the reader's choice, or else what the browser asks for, or else that of the tenant."""
    for wanted in (cookie, *_in_order(accepted), locale):
        code = wanted.replace("_", "-").partition("-")[0].lower()
        if code in translations():
            return code
    return DEFAULT


def _in_order(accepted: str) -> list[str]:
    """Return the languages of an Accept-Language header, the preferred one first."""
    found: list[tuple[float, str]] = []
    for each in accepted[:500].split(","):
        quality = _QUALITY.search(each)
        try:
            weight = float(quality[1]) if quality else 1.0
        except ValueError:
            continue
        found.append((-weight, each.partition(";")[0].strip()))
    return [name for _, name in sorted(found, key=lambda each: each[0]) if name]
