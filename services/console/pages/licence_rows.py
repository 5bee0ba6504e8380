"""The rows of the page of the licences, and what needs attention. The numbers are those of the services."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.pages.page import Page
from services.console.rest.services import Part, url_part
from shared.schemas.rights import ACCOUNT_BUY


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
    minimum: int
    flagged_at_renewal: int | None
    cancelled_at_renewal: int | None  # reservations
    unit_price_minor: int | None
    pending: int  # licences of orders that seats has not decided yet
    keeps_access: bool  # nobody else can administer the product, so who is over the limit has no deadline
    may_reduce: bool  # False: the subscription ends before a reduction would take effect

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
    people: str = ""  # the address of the list of the people concerned


@dataclass(frozen=True, slots=True)
class Buying:
    """Whether this reader can have more licences now, and how: a direct purchase, a request to the vendor, or another plan first (B2)."""

    may: bool
    by_request: bool
    needs_other_plan: bool


def buying_of(licences: Mapping[str, Any], page: Page) -> Buying:
    """Return how this reader can have more licences."""
    found = licences["buying"]
    by_request = found["ordering"] == "by_request"
    may = page.may(ACCOUNT_BUY) and licences["status"] == "active"
    return Buying(may=may, by_request=by_request, needs_other_plan=not by_request and not found["allows_extra_licences"])


def rows_of(licences: Mapping[str, Any], counts: Part) -> list[Row]:
    """Return the modules in the order of the service: base modules first."""
    by_module = {each["module"]: each for each in counts.value["modules"]} if counts.ok else {}
    return [_row(each, by_module.get(each["module"]), counts.ok) for each in licences["modules"]]


def _row(found: Mapping[str, Any], counted: Mapping[str, Any] | None, known: bool) -> Row:
    own = (
        "module", "name", "base", "bought", "in_use", "active", "flagged", "held", "waiting", "available", "next_period", "minimum",
        "flagged_at_renewal", "cancelled_at_renewal", "unit_price_minor", "may_reduce",
    )  # fmt: skip
    return Row(
        **{name: found[name] for name in own},
        refused=(counted["refused"] if counted else 0) if known else None,
        nearest_deadline=counted["nearest_deadline"] if counted else None,
        pending=sum(each["add"] for each in found["pending_orders"]),
        keeps_access=counted is not None and counted["flagged"] > 0 and counted["nearest_deadline"] is None,
    )


def sections_of(rows: Sequence[Row], page: Page) -> list[Section]:
    """Return the two sections (T3). A section without a module is left out."""
    titles = ((True, page.gettext("Licences")), (False, page.gettext("Modules")))
    found = [Section(title, base, [row for row in rows if row.base == base]) for base, title in titles]
    return [section for section in found if section.rows]


def attention_of(rows: Sequence[Row], licences: Mapping[str, Any], emails: Part, buying: Buying, page: Page) -> list[Attention]:
    """Return what needs attention: the most urgent first."""
    found: list[Attention] = []
    for row in rows:
        found += _over_limit(row, page, buying)
    if licences["status"] == "active" and licences["ends_on"]:
        found.append(_ending(licences["ends_on"], page))
    found += _overdue(licences, page)
    for row in rows:
        full = [other.name for other in rows if other is not row and other.refused and not other.available]
        found += _of_module(row, licences["period"]["end"], page, buying, full)
    found += _to_approve(licences["buying"]["open_items"], page)
    if emails.ok and emails.value["emails"]:
        found.append(_undelivered(emails.value, page))
    return found


def _over_limit(row: Row, page: Page, buying: Buying) -> Iterator[Attention]:
    if not row.over:
        return
    title = page.ngettext(
        "%(name)s: %(num)s person is over the limit", "%(name)s: %(num)s people are over the limit", row.over, name=row.name
    )
    text = page.gettext(
        "People who are still over the limit at the deadline lose access. Buy licences or deactivate people before the deadline."
    )
    if row.keeps_access:
        text = page.gettext("They keep access as long as nobody else can administer the product. Buy licences or deactivate people.")
    url, label = _buy(row, page, buying)
    people = _people(row, page, "flagged")
    yield Attention("bad", "warning", title, text, url, label, dialog=not buying.by_request, deadline=row.nearest_deadline, people=people)


def _buy(row: Row, page: Page, buying: Buying) -> tuple[str, str]:
    """Return where licences are bought, asked for, or become possible by another plan."""
    if not buying.may:
        return "", ""
    if buying.by_request:
        return page.url("orders/request"), page.gettext("Send a request")
    if buying.needs_other_plan:
        return page.url("plan/change"), page.gettext("Change the plan or term")
    return page.url(f"licences/{row.module}/buy"), page.gettext("Buy licences")


def _overdue(licences: Mapping[str, Any], page: Page) -> Iterator[Attention]:
    buying = licences["buying"]
    open_items = buying["open_items"]
    if count := open_items["overdue_invoices"]:
        title = page.ngettext("%(num)s invoice is overdue", "%(num)s invoices are overdue", count)
        text = page.gettext("%(amount)s is to be paid.", amount=page.formats.money(open_items["overdue_minor"], licences["currency"]))
        if buying["purchases_blocked"]:
            text += " " + page.gettext("Nothing can be bought until then.")
        yield Attention("bad", "invoices", title, text, page.url("invoices?state=overdue"), page.gettext("Show the invoices"))


def _to_approve(open_items: Mapping[str, Any], page: Page) -> Iterator[Attention]:
    quotes, estimates = open_items["waiting_quotes"], open_items["estimates"]
    titles = (
        page.ngettext("%(num)s purchase waits for a second approver", "%(num)s purchases wait for a second approver", quotes),
        page.ngettext(
            "%(num)s estimate of the vendor waits for your approval", "%(num)s estimates of the vendor wait for your approval", estimates
        ),
    )
    for count, title in zip((quotes, estimates), titles, strict=True):
        if count:
            text = page.gettext("Nothing is bought before the approval.")
            yield Attention("warning", "orders", title, text, page.url("orders"), page.gettext("Show the orders"))


def _at_renewal(row: Row, renewal: str, page: Page) -> tuple[str, str]:
    """Return what the renewal does to people and to reservations, which end first."""
    day, following, cancelled = page.formats.day(renewal), page.formats.number(row.next_period), row.cancelled_at_renewal or 0
    if not row.flagged_at_renewal:
        title = page.ngettext(
            "%(name)s: the renewal ends %(num)s reservation", "%(name)s: the renewal ends %(num)s reservations", cancelled, name=row.name
        )
        text = page.gettext(
            "From %(day)s there are %(next)s licences. The newest reservations of invited people end then. Deactivate people before "
            "that day, or increase the number.",
            day=day,
            next=following,
        )
        return title, text
    title = page.ngettext(
        "%(name)s: the renewal puts %(num)s person over the limit",
        "%(name)s: the renewal puts %(num)s people over the limit",
        row.flagged_at_renewal,
        name=row.name,
    )
    text = page.gettext(
        "From %(day)s there are %(next)s licences. Deactivate people before that day, or increase the number.", day=day, next=following
    )
    already = page.ngettext(
        "%(num)s person is over the limit already, and gets the next licence that becomes free.",
        "%(num)s people are over the limit already, and get the next licences that become free.",
        row.over,
    )
    ends = page.ngettext(
        "%(num)s reservation for an invited person ends as well.", "%(num)s reservations for invited people end as well.", cancelled
    )
    return title, " ".join([text, *([already] if row.over else []), *([ends] if cancelled else [])])


def _ending(ends_on: str, page: Page) -> Attention:
    title = page.gettext("The subscription ends on %(day)s", day=page.formats.day(page.last_day(ends_on)))
    text = page.gettext("Until then everything works. After that day nobody can use the product.")
    return Attention("bad", "clock", title, text, page.url("plan"), page.gettext("Plan and subscription"))


def _of_module(row: Row, renewal: str, page: Page, buying: Buying, full: Sequence[str]) -> Iterator[Attention]:
    """`full`: the other modules that refused people and have no free licence."""
    if row.flagged_at_renewal or row.cancelled_at_renewal:
        title, text = _at_renewal(row, renewal, page)
        can = buying.may and not buying.by_request and row.may_reduce
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
            "%(num)s licence is free. Request the seats again for the people who should have access.",
            "%(num)s licences are free. Request the seats again for the people who should have access.",
            row.available,
        )
        if full:
            names = ", ".join(full)
            also = page.gettext("People whose profile gives all modules or none also need a free licence of: %(names)s.", names=names)
            text = f"{text} {also}"
        yield Attention("info", "people", title, text, people=_people(row, page, "refused"))
    elif row.refused:
        title = page.ngettext("%(name)s: %(num)s person was refused", "%(name)s: %(num)s people were refused", row.refused, name=row.name)
        url, label = _buy(row, page, buying)
        people = _people(row, page, "refused")
        text = page.gettext("No licence was free for them.")
        yield Attention("warning", "people", title, text, url, label, dialog=not buying.by_request, people=people)
    elif row.waiting:
        title = page.ngettext("%(name)s: %(num)s person waits", "%(name)s: %(num)s people wait", row.waiting, name=row.name)
        url, label = ("", "") if row.available else _buy(row, page, buying)
        text = page.gettext("They get access when a licence is free.")
        if row.available:
            text = page.gettext("A licence is free, but they also wait for another module that they need together with this one.")
        people = _people(row, page, "waiting")
        yield Attention("warning", "clock", title, text, url, label, dialog=not buying.by_request, people=people)


def _people(row: Row, page: Page, state: str) -> str:
    """Return the address of the list of these people, if this reader may see it."""
    return page.url(f"people?module={url_part(row.module)}&state={state}") if page.has_page("people") else ""


def _undelivered(found: Mapping[str, Any], page: Page) -> Attention:
    """Name the addresses, so that somebody can correct them."""
    title = page.ngettext("%(num)s e-mail could not be delivered", "%(num)s e-mails could not be delivered", found["emails"])
    addresses = found["addresses"]
    named = ", ".join(addresses) + (", …" if found["recipients"] > len(addresses) else "")
    text = page.gettext("Somebody may not know of a deadline. Check the e-mail addresses: %(addresses)s", addresses=named)
    people = page.url(f"people?text={url_part(addresses[0])}&status=all") if page.has_page("people") else ""
    return Attention("warning", "mail", title, text, people=people)
