"""The input of a form, and what is wrong with it.

form = page.form
number = form.integer("number", least=1, most=100)
if form.ok: …
return page.render("buy.html", form=form)      # the macros show each value, and each error beside its field
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import orjson
from babel.numbers import NumberFormatError, parse_decimal
from starlette.datastructures import UploadFile

from services.console.rest.problems import Problem
from shared.money import minor_units

TOKEN: Final = "_token"  # noqa: S105 - the name of a field
KEY: Final = "_key"
ABOUT: Final = "_about"  # whom a form is about, and what it does
RESUMED: Final = "_resumed"  # in a form that was kept while its reader signed in
STORED: Final = "stored-already"  # nobody else has changed what the form is about: it was sent twice, or somebody else wanted the same
_NOT_STORED: Final = {"step", "effect", "known"}
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)  # times around a later or an earlier day may be none
FIELDS_MAX: Final = 500
DIGITS_MAX: Final = 12
_DIGITS = re.compile(rf"[0-9]{{1,{DIGITS_MAX}}}")
_INTEGER = re.compile(rf"[+-]?[0-9]{{1,{DIGITS_MAX}}}")
# The first group does not begin with a zero, and all separators are the same: 0.500 and 1,250.500 are no whole numbers.
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:(['’.,\s\u00a0\u202f])[0-9]{3}(?:\1[0-9]{3}){0,2})")

_AMOUNT = re.compile(r"[0-9][0-9.,]{0,19}")
_WITH_DECIMALS = re.compile(r"[0-9]+[.,][0-9]{1,2}")  # in no language is this a thousands separator
_THOUSANDS = re.compile(r"(?<=[0-9])['’\s\u00a0\u202f](?=[0-9]{3}(?![0-9]))")  # in no language are these a decimal separator


def whole_number(text: str) -> int | None:
    """Return a number of digits alone, such as one that the console has put into a form; None for everything else."""
    return int(text) if _DIGITS.fullmatch(text) else None


def minor_of(text: str, currency: str, locale: str) -> int | None:
    """Return an amount that a reader has entered, in minor units; None for one that could mean two amounts. `1,250` has a thousands
    separator where the language has it, or else three decimals, which only few currencies have."""
    text = _THOUSANDS.sub("", text)
    if not _AMOUNT.fullmatch(text):
        return None
    if _WITH_DECIMALS.fullmatch(text):
        amount = Decimal(text.replace(",", "."))
    else:
        try:
            amount = parse_decimal(text, locale=locale, strict=True)
        except NumberFormatError:
            return None
    units = minor_units(currency)
    return int(amount.scaleb(units)) if -int(amount.as_tuple().exponent) <= units else None


def mark_of(values: Mapping[str, Any] | None) -> str:
    """Return a mark of present values, by which a form sees that somebody else has changed them since it was shown."""
    return hashlib.sha256(orjson.dumps(values and dict(values), option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]


def added_by(preview: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the licences that a change adds by itself (M12), by the answer to `dry_run`. While seats cannot say, that is what it says."""
    return list(preview["expansions"]) if preview["decided"] else [{"decided": False}]


class Form:
    """Fields by name. A name that is there several times keeps all its values."""

    def __init__(self, fields: Mapping[str, list[str]] | None = None, files: Mapping[str, UploadFile] | None = None) -> None:
        self._fields = dict(fields or {})
        self.files = dict(files or {})
        self.errors: dict[str, str] = {}
        self.problem: Problem | None = None  # a refusal that belongs to no field
        self.present: dict[str, str] | None = None  # values that somebody else has changed meanwhile, by their labels
        self.effect = ""  # a mark of what the page says that the input leads to
        self.leads_elsewhere = False  # the reader wanted to go on, but has seen another effect

    @classmethod
    def of(cls, **values: object) -> "Form":
        """Return a form as it is first shown."""
        return cls({name: [str(value)] for name, value in values.items() if value is not None})

    @property
    def ok(self) -> bool:
        return not self.errors and self.problem is None

    @property
    def key(self) -> str:
        """Return the Idempotency-Key of the form: a form that is sent twice does its work once."""
        return self[KEY]

    def __getitem__(self, name: str) -> str:
        """Return the value, without spaces around it; empty if it was not sent."""
        return (self._fields.get(name) or [""])[-1].strip()

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def all(self, name: str) -> list[str]:
        return [each for each in self._fields.get(name, []) if each]

    def own_fields(self) -> dict[str, list[str]]:
        """Return the fields without those of the console."""
        return {name: values for name, values in self._fields.items() if not name.startswith("_")}

    def text(self, name: str, error: str = "", *, most: int = 200) -> str:
        """Return a text. `error` is shown if it is missing or has more than `most` characters."""
        value = self[name]
        if error and not 0 < len(value) <= most:
            self.errors[name] = error
        return value

    def integer(self, name: str, error: str, *, least: int, most: int) -> int:
        """Return a whole number, also written as 1,000 or 1'000, but not as 0.500. `error` is shown if it is none or out of range."""
        value = self[name]
        if grouped := _GROUPED.fullmatch(value):
            value = value.replace(grouped[1], "")
        number = int(value) if _INTEGER.fullmatch(value) else None
        if number is None or not least <= number <= most:
            self.errors[name] = error
            return least
        return number

    def amount(self, name: str, error: str, currency: str, locale: str, *, most: int) -> int:
        """Return an amount in minor units, written as the locale writes it: 1,000.50 or 1.000,50. `error` is shown if it is none."""
        amount = minor_of(self[name], currency, locale)
        if amount is None or amount > most:
            self.errors[name] = error
            return 0
        return amount

    def goes_on(self, given: Mapping[str, Any], preview: Mapping[str, Any] | None = None) -> bool:
        """Tell whether the reader saw what the input leads to, and wants it. The input can still be changed after a preview, and so can
        what it is about: then the page shows the effect first. `preview`: the answer to `dry_run`, if licences may be added."""
        shown, self.effect = self["effect"], mark_of({"given": dict(given), "added": preview and added_by(preview)})
        wanted = self["step"] in ("add", "save")
        self.leads_elsewhere = wanted and shown not in ("", self.effect)
        return wanted and not self.leads_elsewhere

    def knows_cost(self, preview: Mapping[str, Any]) -> bool:
        """Tell whether no licence is added by itself (M12), or the reader saw just these, or that seats cannot say. Otherwise the page
        shows that first. `preview`: the answer to `dry_run`."""
        added = added_by(preview)
        shown, self.effect = self["effect"], mark_of({"added": added})
        self.leads_elsewhere = bool(added) and shown not in ("", self.effect)
        return not added or shown == self.effect

    def is_outdated(self, present: "Form", texts: Mapping[str, tuple[str, str]]) -> bool:
        """Tell whether somebody else has changed what the form is about since it was shown: the field `seen` of both differs. The form can
        then be sent again, as `go_on_from` says."""
        if self["seen"] == present["seen"]:
            return False
        self.problem = Problem("precondition-failed", 412, "")
        self.go_on_from(present, "seen", texts)
        return True

    def go_on_from(self, present: "Form", mark: str, texts: Mapping[str, tuple[str, str]], *, also: Sequence[str] = ()) -> None:
        """Let the form be sent again after somebody else has changed what it is about: the input stays, the field `mark` takes its present
        value, and the page shows the present values that differ from the input. `texts` has the label and the present value of each field,
        as a reader reads them. If nothing differs, the form says that it is stored already, and blames nobody. `also` are further fields
        that are not stored."""
        self._fields[mark] = present.all(mark)
        self.present = dict(text for name, text in texts.items() if self._lines(name) != present._lines(name))
        if self.problem is not None and self.problem.is_stale and self.is_stored_as(present, mark, *also):
            self.problem = Problem(STORED, 409, "")

    def is_stored_as(self, present: "Form", *but: str) -> bool:
        """Tell whether the input is what is stored. `but` are fields that are not stored by this form."""
        compared = {*self.own_fields(), *present.own_fields()} - _NOT_STORED - {*but}
        return all(self._lines(name) == present._lines(name) for name in compared)

    def _lines(self, name: str) -> set[str]:
        return {line.strip() for value in self.all(name) for line in value.splitlines()} - {""}

    def refuse(self, problem: Problem, fields: Mapping[str, str] | None = None) -> None:
        """Show a service's refusal: beside the fields that it names, or above the form. `fields` maps a path of the request, such as
        `items.0.total`, to the field of the form; by default its last word is the field's name."""
        placed = False
        for fault in problem.errors:
            path = fault.field.removeprefix("body.")
            name = (fields or {}).get(path, path.rpartition(".")[2])
            if name in self._fields:
                self.errors.setdefault(name, fault.expected)
                placed = True
        if not placed:
            self.problem = problem


def day_of(text: str) -> date:
    """Return the day that a reader has entered, such as 2026-03-31. Raises ValueError, also for one that nothing can be done with."""
    day = date.fromisoformat(text)
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(text)
    return day
