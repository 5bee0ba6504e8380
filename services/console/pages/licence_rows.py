"""The rows of the page of the licences, and what needs attention. The numbers are those of the services."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.pages.page import Page
from services.console.rest.services import Part, url_part
from shared.schemas.rights import ACCOUNT_BUY

UNDELIVERED_DAYS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """A module. What only seats or users knows is None while they do not answer."""

    module: str
    name: str
    base: bool
    bought: int
    in_use: int | None
    active: int | None
    flagged: int | None
    held: int | None
    waiting: int | None
    available: int | None
    refused: int | None
    nearest_deadline: str | None
    next_period: int
    flagged_at_renewal: int | None
    unit_price_minor: int | None
    pending: int  # licences of orders that seats has not decided yet

    @property
    def closes(self) -> bool:
        return self.next_period == 0

    @property
    def over(self) -> int:
        return self.flagged or 0


@dataclass(frozen=True, slots=True)
class Section:
    """Base licences, or modules, with their totals."""

    title: str
    base: bool
    rows: Sequence[Row]

    @property
    def bought(self) -> int:
        return sum(row.bought for row in self.rows)

    @property
    def in_use(self) -> int | None:
        return None if any(row.in_use is None for row in self.rows) else sum(row.in_use or 0 for row in self.rows)


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should do. tone: bad, warning or info."""

    tone: str
    icon: str
    title: str
    text: str
    url: str = ""
    label: str = ""
    dialog: bool = False
    deadline: str | None = None


def rows_of(licences: Mapping[str, Any], counts: Part) -> list[Row]:
    """Return the modules in the order of the service: base modules first."""
    by_module = {each["module"]: each for each in counts.value["modules"]} if counts.ok else {}
    return [_row(each, by_module.get(each["module"]), counts.ok) for each in licences["modules"]]


def _row(found: Mapping[str, Any], counted: Mapping[str, Any] | None, known: bool) -> Row:
    own = ("module", "name", "base", "bought", "in_use", "active", "flagged", "held", "waiting", "available", "next_period")
    return Row(
        **{name: found[name] for name in own},
        flagged_at_renewal=found["flagged_at_renewal"],
        unit_price_minor=found["unit_price_minor"],
        refused=(counted["refused"] if counted else 0) if known else None,
        nearest_deadline=counted["nearest_deadline"] if counted else None,
        pending=sum(each["add"] for each in found["pending_orders"]),
    )


def sections_of(rows: Sequence[Row], page: Page) -> list[Section]:
    """Return the two sections (T3). A section without a module is left out."""
    titles = ((True, page.gettext("Licences")), (False, page.gettext("Modules")))
    found = [Section(title, base, [row for row in rows if row.base == base]) for base, title in titles]
    return [section for section in found if section.rows]


def attention_of(rows: Sequence[Row], licences: Mapping[str, Any], subscription: Part, emails: Part, page: Page) -> list[Attention]:
    """Return what needs attention: the most urgent first."""
    found: list[Attention] = []
    for row in rows:
        found += _over_limit(row, page)
    if subscription.ok and subscription.value.get("ends_on"):
        found.append(_ending(subscription.value["ends_on"], page))
    for row in rows:
        found += _of_module(row, licences["period"]["end"], page)
    if emails.ok and emails.value["items"]:
        found.append(_undelivered(len(emails.value["items"]), page))
    return found


def _over_limit(row: Row, page: Page) -> Iterator[Attention]:
    if not row.over:
        return
    title = page.ngettext(
        "%(name)s: %(num)s person is over the limit", "%(name)s: %(num)s people are over the limit", row.over, name=row.name
    )
    text = page.gettext("Who is still over the limit at the deadline loses access. Buy licences or deactivate people before.")
    if row.nearest_deadline is None:
        text = page.gettext("They keep access as long as nobody else can administer the product. Buy licences or deactivate people.")
    url, label = _buy(row, page)
    yield Attention("bad", "warning", title, text, url, label, dialog=True, deadline=row.nearest_deadline)


def _buy(row: Row, page: Page) -> tuple[str, str]:
    return (page.url(f"licences/{row.module}/buy"), page.gettext("Buy licences")) if page.may(ACCOUNT_BUY) else ("", "")


def _ending(ends_on: str, page: Page) -> Attention:
    title = page.gettext("The subscription ends on %(day)s", day=page.formats.day(ends_on))
    text = page.gettext("Until then everything works. After that day nobody can use the product.")
    return Attention("bad", "clock", title, text)


def _of_module(row: Row, renewal: str, page: Page) -> Iterator[Attention]:
    if row.flagged_at_renewal:
        title = page.ngettext(
            "%(name)s: the renewal puts %(num)s person over the limit",
            "%(name)s: the renewal puts %(num)s people over the limit",
            row.flagged_at_renewal,
            name=row.name,
        )
        text = page.gettext(
            "From %(day)s there are %(next)s licences for %(active)s people. Deactivate people before, or raise the number.",
            day=page.formats.day(renewal),
            next=page.formats.number(row.next_period),
            active=page.formats.number(row.next_period + row.flagged_at_renewal),
        )
        can = page.may(ACCOUNT_BUY)
        url = page.url(f"licences/{row.module}/next-period") if can else ""
        yield Attention("warning", "clock", title, text, url, page.gettext("Change the number") if can else "", dialog=True)
    if row.refused and row.available:
        title = page.ngettext(
            "%(name)s: %(num)s person was refused, and licences are free now",
            "%(name)s: %(num)s people were refused, and licences are free now",
            row.refused,
            name=row.name,
        )
        text = page.ngettext(
            "%(num)s licence is free. Reactivate the people who should have access.",
            "%(num)s licences are free. Reactivate the people who should have access.",
            row.available,
        )
        yield Attention("info", "people", title, text, _people(row, page, "refused"), page.gettext("Show them"))
    elif row.refused:
        title = page.ngettext("%(name)s: %(num)s person was refused", "%(name)s: %(num)s people were refused", row.refused, name=row.name)
        url, label = _buy(row, page)
        yield Attention("warning", "people", title, page.gettext("No licence was free for them."), url, label, dialog=True)
    elif row.waiting:
        title = page.ngettext("%(name)s: %(num)s person waits", "%(name)s: %(num)s people wait", row.waiting, name=row.name)
        url, label = _buy(row, page)
        yield Attention("warning", "clock", title, page.gettext("They get access when a licence is free."), url, label, dialog=True)


def _people(row: Row, page: Page, state: str) -> str:
    """Return the address of the list of these people, if this reader may see it."""
    return page.url(f"people?module={url_part(row.module)}&state={state}") if page.has_page("people") else ""


def _undelivered(count: int, page: Page) -> Attention:
    title = page.ngettext("%(num)s e-mail could not be delivered", "%(num)s e-mails could not be delivered", count)
    text = page.gettext("Somebody may not know of a deadline. Check the e-mail addresses.")
    return Attention("warning", "mail", title, text)
