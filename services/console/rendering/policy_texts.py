"""The policies in plain words, each with an example in the numbers of the module. The rules themselves are those of seats and invoicing."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from services.console.rendering.formats import Formats
from services.console.rendering.known_texts import word_of
from shared.schemas.policies import duration_ms
from shared.translations import N_

Gettext = Callable[..., str]
UNITS: Final = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}
_ISO: Final = {"days": "P{}D", "hours": "PT{}H", "minutes": "PT{}M", "seconds": "PT{}S"}
UNIT_NAMES: Final = {"days": N_("days"), "hours": N_("hours"), "minutes": N_("minutes"), "seconds": N_("seconds")}
EXAMPLE_LICENCES: Final = 10
_WARN_AT: Final = re.compile(r"[0-9]{1,9}%?")

OVER_LIMIT: Final = {
    "reject": N_("Refuse the person."),
    "flag": N_("Let the person work over the limit for a time."),
    "wait": N_("Let the person wait for the next free licence."),
    "expand": N_("Add a licence, which is charged."),
}
REDUCE_BELOW_USE: Final = {
    "flag_newest": N_("The newest people are over the limit."),
    "block": N_("The reduction is refused."),
}
REDUCE_AT: Final = {"now": N_("At once."), "period_end": N_("With the next period.")}
LEAVER: Final = {"no": N_("The licence stays, and is free for somebody else."), "yes": N_("The licence is given back.")}
CHARGE_WHEN: Final = {
    "threshold": N_("At once if the next invoice is more than 30 days away, otherwise with it."),
    "now": N_("At once, with an invoice of its own."),
    "next_invoice": N_("With the next invoice."),
}
OVERDUE_ACTIONS: Final = {
    "none": N_("reminders only"),
    "operator_decides": N_("after the last reminder you get an e-mail and decide"),
    "no_purchases": N_("after the last reminder nothing can be bought until the invoices are paid"),
}
CREDIT_WHEN: Final = {
    "threshold": N_("With a credit note at once if the next invoice is more than 30 days away, otherwise with it."),
    "next_invoice": N_("With the next invoice."),
    "now": N_("With a credit note at once."),
}


def split_duration(iso: str) -> tuple[int, str]:
    """Return a duration as a whole number of the largest unit that fits: P1W is 7 days."""
    total = duration_ms(iso) or 0
    unit = next(unit for unit, size in UNITS.items() if total % size == 0)
    return total // UNITS[unit], unit


def joined_duration(number: int, unit: str) -> str:
    """Return the duration as REST takes it."""
    return _ISO[unit].format(number)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a module: what it decides, the present value in words, and an example."""

    name: str
    title: str
    value: str
    example: str
    about_money: bool = False


class PolicyTexts:
    """The texts for one reader. `licences`: how many the module has; the examples count from there."""

    def __init__(self, gettext: Gettext, ngettext: Gettext, formats: Formats, licences: int, policies: Mapping[str, Any]) -> None:
        self.gettext, self.ngettext, self._formats = gettext, ngettext, formats
        self._count, self._policies = licences or EXAMPLE_LICENCES, policies

    def all(self) -> list[Policy]:
        """Return every policy of the module."""
        found = [self._over_limit()]
        if self._policies.get("over_limit") == "flag":
            found += [self._grace(), self._flag_cap()]
        return [*found, self._warn_at(), self._leaver(), self._reduce_at(), self._below_use()]

    def duration(self, iso: str) -> str:
        """Return a duration in words; one that nobody can read as it is."""
        if duration_ms(iso) is None:
            return iso
        number, unit = split_duration(iso)
        if unit == "days":
            return self.ngettext("%(num)s day", "%(num)s days", number)
        if unit == "hours":
            return self.ngettext("%(num)s hour", "%(num)s hours", number)
        minutes = math.ceil(number / 60) if unit == "seconds" else number
        return self.ngettext("%(num)s minute", "%(num)s minutes", minutes)

    @property
    def _numbers(self) -> dict[str, str]:
        number = self._formats.number
        return {"count": number(self._count), "next": number(self._count + 1), "fewer": number(self._count - 1)}

    def _over_limit(self) -> Policy:
        value, cap = self._policies.get("over_limit", "flag"), self._policies.get("expand_cap")
        full = value == "expand" and cap is not None and cap <= self._count  # nothing is added any more
        example = {
            "reject": N_(
                "You have %(count)s licences, all are in use, and person number %(next)s is hired: the person is refused and cannot "
                "log in. The administrators get an e-mail."
            ),
            "flag": N_(
                "You have %(count)s licences, all are in use, and person number %(next)s is hired: the person works at once, marked in "
                "red, and has %(grace)s until a licence must be free."
            ),
            "wait": N_(
                "You have %(count)s licences, all are in use, and person number %(next)s is hired: the person waits, and gets the next "
                "licence that becomes free."
            ),
            "expand": N_(
                "You have %(count)s licences, all are in use, and person number %(next)s is hired: licence number %(next)s is added and "
                "charged. Above %(cap)s licences people are refused."
            ),
        }.get("reject" if full else value, "")
        values = self._numbers | {
            "grace": self.duration(self._policies.get("grace", "P7D")),
            "cap": self._formats.number(self._count + 1 if cap is None else cap),
        }
        shown = word_of(value, OVER_LIMIT, self.gettext)
        if value == "expand" and cap is not None:
            shown = self.gettext("Add a licence, which is charged, up to %(cap)s licences.", **values)
        return Policy(
            "over_limit", self.gettext("No licence is free"), shown, self.gettext(example, **values) if example else "", value == "expand"
        )

    def _grace(self) -> Policy:
        value, title = self._policies.get("grace", "P7D"), self.gettext("Time over the limit")
        if duration_ms(value) is None:
            return Policy("grace", title, value, "")
        number, unit = split_duration(value)
        ends = self._formats.day(self._formats.now + timedelta(days=number)) if unit == "days" else self.duration(value)
        text = (
            self.gettext("Somebody who comes over the limit today loses access on %(day)s, unless a licence is free before.", day=ends)
            if unit == "days"
            else self.gettext("Somebody who comes over the limit now loses access in %(time)s, unless a licence is free before.", time=ends)
        )
        return Policy("grace", title, self.duration(value), text)

    def _flag_cap(self) -> Policy:
        cap, title = self._policies.get("flag_cap"), self.gettext("People over the limit at once")
        if cap is None:
            text = self.gettext(
                "You have %(count)s licences: any number of further people can be hired and work for a time.", **self._numbers
            )
            return Policy("flag_cap", title, self.gettext("Any number"), text)
        values = self._numbers | {"cap": self._formats.number(cap), "total": self._formats.number(self._count + cap)}
        text = self.gettext("You have %(count)s licences: up to %(total)s people can work, and the next one is refused.", **values)
        return Policy("flag_cap", title, self.gettext("At most %(cap)s", **values), text)

    def _warn_at(self) -> Policy:
        value, title = self._policies.get("warn_at"), self.gettext("Warning that licences run out")
        if value is None:
            text = self.gettext("You get an e-mail only when all %(count)s licences are in use.", **self._numbers)
            return Policy("warn_at", title, self.gettext("No warning before"), text)
        if not _WARN_AT.fullmatch(value):  # of a later release
            return Policy("warn_at", title, value, "")
        share = value.endswith("%")
        used = math.ceil(self._count * int(value[:-1]) / 100) if share else max(0, self._count - int(value))
        written = self._formats.percent(value[:-1]) if share else ""
        values = self._numbers | {"share": written, "left": value, "used": self._formats.number(used)}
        shown = (
            self.gettext("When %(share)s of the licences are in use", **values)
            if share
            else self.ngettext("When %(num)s licence is left", "When %(num)s licences are left", int(value))
        )
        text = self.gettext("You have %(count)s licences: the administrators get an e-mail when %(used)s of them are in use.", **values)
        return Policy("warn_at", title, shown, text)

    def _leaver(self) -> Policy:
        on = bool(self._policies.get("terminate_reduces_pool"))
        example = N_("One of your %(count)s people leaves: you keep %(count)s licences, and one of them is free.")
        if on:
            example = {
                "now": N_("One of your %(count)s people leaves: you have %(fewer)s licences from then on, and the rest is credited."),
            }.get(
                str(self._policies.get("reduce_at")),
                N_("One of your %(count)s people leaves: you keep %(count)s licences until the period ends, and renew %(fewer)s."),
            )
        text = self.gettext(example, **self._numbers)
        value = LEAVER["yes"] if on else LEAVER["no"]
        return Policy("terminate_reduces_pool", self.gettext("Somebody leaves"), self.gettext(value), text, True)

    def _reduce_at(self) -> Policy:
        value = self._policies.get("reduce_at", "period_end")
        example = {
            "now": N_("You reduce %(count)s licences to %(fewer)s: there are %(fewer)s at once, and the rest of the period is credited."),
            "period_end": N_("You reduce %(count)s licences to %(fewer)s: you keep %(count)s until the period ends, and renew %(fewer)s."),
        }.get(value)
        text = self.gettext(example, **self._numbers) if example else ""
        shown = word_of(value, REDUCE_AT, self.gettext)
        return Policy("reduce_at", self.gettext("A reduction takes effect"), shown, text, True)

    def _below_use(self) -> Policy:
        value = self._policies.get("reduce_below_use", "flag_newest")
        example = {
            "block": N_("All %(count)s licences are in use, and you reduce to %(fewer)s: it is refused until one person is deactivated."),
            "flag_newest": N_(
                "All %(count)s licences are in use, and you reduce to %(fewer)s: the person who was added last is over the limit."
            ),
        }.get(value)
        text = self.gettext(example, **self._numbers) if example else ""
        shown = word_of(value, REDUCE_BELOW_USE, self.gettext)
        title = self.gettext("You reduce below what is in use")
        return Policy("reduce_below_use", title, shown, text, True)
