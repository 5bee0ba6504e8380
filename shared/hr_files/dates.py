"""Dates as HR systems write them. Only ISO dates are read unless another order is declared: 03/02/2026 is two different days."""

import calendar
import re
from contextlib import suppress
from datetime import date, timedelta
from enum import StrEnum

YEAR_MIN = 1800  # payroll systems write 1800-01-01 for "since ever"
OPEN_YEAR_MIN = 2900  # 2999-12-31, 9999-12-31 and the like stand for an open end


class DateOrder(StrEnum):
    """The order of day, month and year. An ISO date is read in each of them."""

    ISO = "iso"
    DMY = "dmy"
    MDY = "mdy"
    YMD = "ymd"


class EndDates(StrEnum):
    """What an end date names: the last day, or the first day on which the row does not hold any more."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


_ISO = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")
_DECLARED = {
    DateOrder.DMY: re.compile(r"(?P<day>[0-9]{1,2})([./-])(?P<month>[0-9]{1,2})\2(?P<year>[0-9]{4})"),
    DateOrder.MDY: re.compile(r"(?P<month>[0-9]{1,2})([./-])(?P<day>[0-9]{1,2})\2(?P<year>[0-9]{4})"),
    DateOrder.YMD: re.compile(r"(?P<year>[0-9]{4})([./-])(?P<month>[0-9]{1,2})\2(?P<day>[0-9]{1,2})"),
}
_MIDNIGHT = re.compile(r"[T ](00:00(:00(\.0+)?)?|0?0:00(:00)?|12:00(:00)? ?AM)$")  # a spreadsheet adds it to a day
_ZONE = re.compile(r"(?<=\d) ?(Z|[+-]\d{2}:?\d{2})$")  # Workday adds it to a day, others to midnight: the day is meant as it is written
_WITH_ZONE = re.compile(r"(\d{4}-\d{2}-\d{2})([T ][0-9:.]+)? ?(Z|[+-]\d{2}:?\d{2})")
_TIME = re.compile(r"[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?[AP]M)?$")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = {
    DateOrder.DMY: re.compile(r"(?P<day>[0-9]{1,2})[ .-]+(?P<month>[A-Za-z]{3,9})[ .,-]+(?P<year>[0-9]{4})"),
    DateOrder.MDY: re.compile(r"(?P<month>[A-Za-z]{3,9})[ .-]+(?P<day>[0-9]{1,2})[ .,-]+(?P<year>[0-9]{4})"),
}
_DAY_NUMBER = re.compile(r"[34][0-9]{4}")
_ZERO = re.compile(r"[0./ :T-]*0[0./ :T-]*")
_EXAMPLES = {
    DateOrder.ISO: "2026-03-31 (another order: --dates dmy)",
    DateOrder.DMY: "31.03.2026",
    DateOrder.MDY: "03/31/2026",
    DateOrder.YMD: "2026/03/31",
}


def parse_day(text: str, order: DateOrder) -> date:
    """Return the day. Raises ValueError with what is wrong and what is expected."""
    day = _parse(text, order)
    if day.year >= OPEN_YEAR_MIN:
        raise ValueError(f"a date before the year {OPEN_YEAR_MIN} expected (got {text!r}); only an end can be that late")
    return day


def parse_last_day(text: str, order: DateOrder, ends: EndDates) -> date | None:
    """Return the last day that an end date stands for; None: open. Raises ValueError."""
    end = parse_end(text, order)
    return end - timedelta(days=1) if end and ends is EndDates.EXCLUSIVE else end


def parse_end(text: str, order: DateOrder) -> date | None:
    """Return the day, or None where the cell is empty or its year is 2900 or later, at any time of the day. Raises ValueError."""
    if not text:
        return None
    with suppress(ValueError):  # the text as it is written is read below
        if _parse(_TIME.sub("", _ZONE.sub("", text)), order).year >= OPEN_YEAR_MIN:
            return None
    end = _parse(text, order)
    return None if end.year >= OPEN_YEAR_MIN else end


def _parse(text: str, order: DateOrder) -> date:
    if _ZERO.fullmatch(text):
        raise ValueError(f"{text!r} is no date; leave the cell empty where there is none")
    if not text:
        raise ValueError("a date expected (the cell is empty)")
    bare = _MIDNIGHT.sub("", _ZONE.sub("", text) if _WITH_ZONE.fullmatch(text) else text)
    if found := _ISO.fullmatch(bare):
        year, month, day = found[1], found[3], found[4]
    elif order in _DECLARED and (found := _DECLARED[order].fullmatch(bare)):
        year, month, day = found["year"], found["month"], found["day"]
    elif order in _NAMED and (found := _NAMED[order].fullmatch(bare)) and (number := _month(found["month"])):
        year, month, day = found["year"], str(number), found["day"]
    else:
        hint = "; a spreadsheet shows this day number as a date when the column has a date format" if _DAY_NUMBER.fullmatch(text) else ""
        raise ValueError(f"a date such as {_EXAMPLES[order]} expected (got {text[:60]!r}){hint}")
    try:
        result = date(int(year), int(month), int(day))
    except ValueError as error:
        raise ValueError(f"there is no such day as {text!r} in the order {order.value}") from error
    if result.year < YEAR_MIN:
        raise ValueError(f"a date in or after {YEAR_MIN} expected (got {text!r})")
    return result


def _month(name: str) -> int | None:
    """Return the number of an English month by its name or by the first three letters of it."""
    found = [number for number in range(1, 13) if name.casefold() in (_MONTHS[number - 1], calendar.month_name[number].casefold())]
    return found[0] if found else 9 if name.casefold() == "sept" else None
