"""Notifications to the subject, text and HTML of an e-mail.

Each e-mail is one template for text and HTML, put together from the parts in `templates/text/` or `templates/html/`. English is in the
templates; each other language is a catalogue in `translations/`. An e-mail has one language: numbers and dates follow the tenant's locale
if its language has a catalogue; otherwise the whole e-mail is in English. The vendor's operators read English. Times are the tenant's own:
on a test clock the times of that clock, in the tenant's time zone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_decimal
from babel.units import format_unit
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context

from services.notifier.domain.notifications import (
    Audience,
    Kind,
    Notification,
    Stream,
    causes,
    is_module_missing,
    is_refused_for_itself,
    licence_helps,
)
from services.notifier.store.catalogue import QuoteRow
from services.notifier.store.recipients import TenantRow
from shared.buying import Buying
from shared.money import format_amount, format_percent, locale_of
from shared.schemas.policies import duration_ms
from shared.schemas.seats_v1 import Reason
from shared.templates import CompiledOnce
from shared.text import one_line
from shared.translations import ENGLISH, N_, translations_in
from shared.web.auth import is_vendor

TEMPLATES = Path(__file__).parent / "templates"
CATALOGUES = Path(__file__).parent / "translations"
COMPILED = {"text": CompiledOnce(), "html": CompiledOnce()}
MARKER = "_token_of_the_invitation_"  # the e-mail is stored with it, and sent with the token in its place
HIDDEN = N_("a person whom you do not see")  # for a reader with a viewset
ROWS_MAX = 200  # of a table in an e-mail; the others are in the action log
TEMPLATE = {
    Stream.OWN: "person",
    Stream.SEATS: "seats",
    Stream.BILLING: "billing",
    Stream.REQUESTS: "requests",
    Stream.INVOICES: "invoices",
    Stream.REMINDERS: "reminders",
    Stream.OVERDUE: "overdue",
    Stream.BILLING_DETAILS: "billing_details",
    Stream.SUBSCRIPTION: "subscription",
    Stream.PEOPLE: "people",
    Stream.INVITATION: "invitation",
    Stream.OWNERS: "owners",
    Stream.UNDELIVERED: "undelivered",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    email: str
    name: str
    user: str | None = None
    copy: bool = False  # of an e-mail to the invoice e-mail address


@dataclass(frozen=True, slots=True)
class Names:
    """What an e-mail needs beside its notifications: the names behind ids (an unknown id is shown as it is), and what can be bought."""

    people: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)
    administrators: Sequence[Recipient] = ()
    quotes: Mapping[str, QuoteRow] = field(default_factory=dict)
    buying: Buying = field(default_factory=Buying)
    deactivated: Sequence[str] = ()  # people, for the e-mail of a purchase
    changes: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # version of the billing details -> its changed fields
    limits: Mapping[str, str] = field(default_factory=dict)  # module -> what keeps it from being expanded up to its own cap
    pools: Mapping[str, bool] = field(default_factory=dict)  # module that has an open pool -> is it a base module


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses for the reader; each may be empty."""

    console: str = ""  # the pages of the tenant; if it is empty, e-mails name REST calls
    operator_console: str = ""
    licences_page: str = ""
    actions: str = ""
    quotes: str = ""
    requests: str = ""  # for licences
    held_events: str = ""
    scim_connections: str = ""
    people: str = ""
    ending: str = ""  # DELETE takes the ending of the subscription back
    plan_changes: str = ""
    possible_duplicates: str = ""
    accept_page: str = ""  # with MARKER
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


def render(
    stream: Stream, tenant: TenantRow, recipient: Recipient, notifications: Sequence[Notification], names: Names, links: Links, at: datetime
) -> Rendered:
    """Render the e-mail; `at` is the tenant's time. The text template begins with the line of the subject and an empty line."""
    for_vendor = notifications[0].audience is Audience.OPERATOR
    words = Words.of(english(tenant.locale) if for_vendor else tenant.locale, tenant.time_zone)
    tenant = replace(tenant, name=one_line(tenant.name), support_contact=one_line(tenant.support_contact))
    recipient = replace(recipient, name=one_line(recipient.name))
    context: dict[str, Any] = {
        "language": words.language,
        "tenant": tenant,
        "recipient": recipient,
        "links": links,
        "at": at,
        "rows_max": ROWS_MAX,
        "for_vendor": for_vendor,
        "for_contact": notifications[0].audience is Audience.REQUEST_CONTACT,
        "counts": Counter(str(notification.kind) for notification in notifications),
        "administrators": [replace(each, name=one_line(each.name)) for each in names.administrators if each.email != recipient.email],
        "is_administrator": any(each.email == recipient.email for each in names.administrators),
        "quotes": names.quotes,
        "changes": names.changes,
        "deactivated": [one_line(each) for each in names.deactivated],
        "buying": names.buying,
        "licences_help": any(licence_helps(notification) for notification in notifications),
        "module_missing": any(is_module_missing(notification) for notification in notifications),
        "causes": lambda notification: _causes(notification, names),
        "pools": _in_order(_pools(notifications), names),
        "in_order": lambda found: _in_order(found, names),
        "notifications": _by_kind(notifications),
        "one_line": one_line,
        "token": MARKER,
        "person": lambda user: words.gettext(HIDDEN) if names.people.get(user) == HIDDEN else one_line(names.people.get(user) or user),
        "module": lambda module: one_line(names.modules.get(module) or module),
        "plan_name": lambda plan: one_line(names.plans.get(plan) or plan),
    }
    return _rendered(words, TEMPLATE[stream], tenant, context)


def render_alone(template: str, tenant: TenantRow, **values: Any) -> Rendered:
    """Render an e-mail that is no digest, from the template of this name."""
    words = Words.of(tenant.locale, tenant.time_zone)
    tenant = replace(tenant, name=one_line(tenant.name), support_contact=one_line(tenant.support_contact))
    return _rendered(words, template, tenant, {"language": words.language, "tenant": tenant, "one_line": one_line, **values})


def _rendered(words: "Words", name: str, tenant: TenantRow, context: Mapping[str, Any]) -> Rendered:
    subject, _, text = words.text(name).render(context).lstrip().partition("\n")
    heading = subject.removeprefix(f"{tenant.name}: ")
    html = words.html(name).render({**context, "subject": subject, "heading": heading[:1].upper() + heading[1:]})
    return Rendered(subject=subject, text=_tidy(text), html=html)


def _causes(notification: Notification, names: Names) -> list[tuple[str, str]]:
    """Return what a refusal comes from. What limits the expansions of a module takes the place of its cap.

    A module that requires a base module is refused because of the base modules among them, if these are known.
    """
    found = [
        (module, names.limits.get(module, reason) if reason == Reason.EXPAND_CAP else reason) for module, reason in causes(notification)
    ]
    if notification.data["reason"] == Reason.BASE_MODULE_REFUSED:
        return [cause for cause in found if names.pools.get(cause[0])] or found
    return found


def _by_kind(notifications: Iterable[Notification]) -> dict[str, list[Notification]]:
    found: dict[str, list[Notification]] = {str(kind): [] for kind in Kind}
    for notification in notifications:
        found[notification.kind].append(notification)
    # A conflict is told again when its reason changes, or somebody else may be meant: the last one counts.
    found[Kind.CONFLICT_FOUND] = list({each.user: each for each in found[Kind.CONFLICT_FOUND]}.values())
    return found


def _pools(notifications: Iterable[Notification]) -> list[dict[str, Any]]:
    """Return the last state of each pool that the notifications name. A pool without licences is closed, or was never open."""
    pools = {
        notification.data["pool"]["module"]: notification.data["pool"] for notification in notifications if notification.data.get("pool")
    }
    return [pool for pool in pools.values() if pool["licences"]]


def _in_order(found: Iterable[Any], names: Names) -> list[Any]:
    """Return what is about modules in the order of the page Licences: base modules first, then by their names. Each is a module, a
    notification, a value with its module, or the module and what belongs to it."""

    def place(each: Any) -> tuple[bool, str, str]:
        if isinstance(each, Notification):
            module = each.module
        else:
            module = each if isinstance(each, str) else each["module"] if isinstance(each, Mapping) else each[0]
        return not names.pools.get(module or ""), names.modules.get(module or "", ""), module or ""

    return sorted(found, key=place)


def _tidy(text: str) -> str:
    """Remove trailing blanks and repeated empty lines, which conditional parts of a template leave."""
    lines: list[str] = []
    for line in (line.rstrip() for line in text.strip().splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines) + "\n"


class Words:
    """The templates and texts of one language, with the formats of one locale and time zone."""

    def __init__(self, locale: Locale, zone: ZoneInfo) -> None:
        self._locale, self._zone = locale, zone
        self._translations = translations_in(CATALOGUES)[locale.language]
        self._text = self._environment("text")
        self._html = self._environment("html")

    def _environment(self, form: str) -> Environment:
        environment = Environment(
            loader=FileSystemLoader([TEMPLATES / form, TEMPLATES]),
            autoescape=form == "html",  # noqa: S701 - plain text is not escaped
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=COMPILED[form],
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        environment.install_gettext_translations(self._translations, newstyle=True)  # type: ignore[attr-defined]
        environment.tests |= {"helped_by_a_licence": licence_helps, "refused_for_itself": is_refused_for_itself, "duration": is_duration}
        environment.tests["share"] = is_share
        environment.tests["vendor"] = is_vendor
        formats: dict[str, Callable[..., str]] = {
            "instant": self.instant,
            "moment": self.moment,
            "day": self.day,
            "day_before": lambda value: self.day(date.fromisoformat(value) - timedelta(days=1)),
            "duration": self.duration,
            "number": lambda value: format_decimal(value, locale=self._locale),
            "country": lambda code: self._locale.territories.get(code, code),
            "percent": lambda rate: format_percent(rate, str(self._locale)),
            "money": lambda minor, currency: format_amount(minor, currency, str(self._locale)),
            "table": table,
        }
        environment.filters |= {name: _when_rendered(each) for name, each in formats.items()}
        return environment

    @staticmethod
    def of(locale: str, time_zone: str) -> "Words":
        """Return the texts and formats of a locale and time zone. An unknown one does not stop an e-mail: English and UTC are used, and the
        zone is named beside each time. A locale without a catalogue is English throughout, dates and amounts included."""
        found = locale_of(locale)
        try:
            zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        return _words(str(found) if found.language in translations_in(CATALOGUES) else ENGLISH, zone)

    @property
    def language(self) -> str:
        return str(self._locale.language)

    def gettext(self, text: str) -> str:
        return self._translations.gettext(text)

    def text(self, name: str) -> Template:
        return self._text.get_template(f"{name}.j2")

    def html(self, name: str) -> Template:
        return self._html.get_template(f"{name}.j2")

    def instant(self, value: datetime | str) -> str:
        """Return `Friday, 22 November 2013, 09:00 (Europe/Copenhagen)`."""
        local = self._local(value)
        return f"{format_date(local.date(), 'full', locale=self._locale)}, {self._time(local)} ({self._zone.key})"

    def moment(self, value: datetime | str) -> str:
        """Return `Fri, 22 Nov 2013, 09:00`, for tables and subjects, whose e-mail names the zone elsewhere."""
        local = self._local(value)
        return f"{format_skeleton('yMMMEd', local, tzinfo=self._zone, locale=self._locale)}, {self._time(local)}"

    def _local(self, value: datetime | str) -> datetime:
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(self._zone)

    def _time(self, local: datetime) -> str:
        """Return the time, with seconds only when there are any: deadlines are exact to the second."""
        style: Literal["medium", "short"] = "medium" if local.second else "short"
        return format_time(local, style, tzinfo=self._zone, locale=self._locale).replace("\u202f", "\u00a0")

    def day(self, value: date | str) -> str:
        return format_date(date.fromisoformat(value) if isinstance(value, str) else value, "long", locale=self._locale)

    def duration(self, value: str) -> str:
        """Return `1 day, 12 hours` for `PT36H`."""
        seconds, parts = (duration_ms(value) or 0) // 1000, []
        for unit, size in _UNITS:
            count, seconds = divmod(seconds, size)
            if count:
                parts.append(format_unit(count, f"duration-{unit}", locale=self._locale))
        return ", ".join(parts)


_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def is_duration(value: object) -> bool:
    return isinstance(value, str) and duration_ms(value) is not None


def is_share(value: object) -> bool:
    """Tell whether a value is a percentage, as `warn_at` can be."""
    return isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal()


def english(locale: str) -> str:
    """Return the locale if it is English, or else plain English."""
    return locale if locale_of(locale).language == ENGLISH else ENGLISH


def _when_rendered(function: Callable[..., str]) -> Callable[..., str]:
    """Return the filter as one that Jinja never calls when it compiles a template, which is done once for all locales and time zones."""

    @pass_context
    def apply(_: object, *arguments: Any, **named: Any) -> str:
        return function(*arguments, **named)

    return apply


@lru_cache(maxsize=256)
def _words(locale: str, zone: ZoneInfo) -> Words:
    return Words(locale_of(locale), zone)


def table(rows: Sequence[Sequence[object]], titles: Sequence[str], numeric: Sequence[int] = ()) -> str:
    """Return the table with aligned columns, for plain text; those in `numeric` are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in [titles, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    rule = ["-" * width for width in widths]

    def line(row: Sequence[str]) -> str:
        padded = [cell.rjust(widths[i]) if i in numeric else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in [cells[0], rule, *cells[1:]])
