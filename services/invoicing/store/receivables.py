"""The open amount of each document, and the set-offs of credit notes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ARRAY, Date, Text, and_, any_, bindparam, case, cast, func, insert, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.account import INVOICE
from services.invoicing.domain.balance import Balance, Receivable, SetOff
from services.invoicing.store.invoices import INVOICES
from services.invoicing.store.tenants import TENANTS
from shared.database.row_classes import columns_of, many, table_of
from shared.schemas.invoicing_v1 import InvoiceIssued


@dataclass(frozen=True, slots=True)
class ListedInvoice(Receivable):
    """A document with what is open of it. `payload` is the issued document."""

    payload: str = ""

    @property
    def event(self) -> InvoiceIssued:
        return InvoiceIssued.model_validate_json(self.payload)


@dataclass(frozen=True, slots=True)
class Overdue:
    """An overdue invoice of any tenant. `today` is the tenant's local day."""

    tenant_id: str
    name: str | None
    invoice: str
    number: str
    currency: str
    due_on: date
    today: date
    gross_minor: int
    open_minor: int
    reminders: int


@dataclass(frozen=True, slots=True)
class Related:
    """Another document that a document has to do with: `corrects`, `corrected_by` or `set_off`. `amount_minor` was set off."""

    relation: str
    invoice: str
    number: str
    kind: str
    amount_minor: int | None
    at: datetime | None


RECEIVABLES = table_of("receivables", Receivable, tenant_id=str)
SET_OFFS = table_of("set_offs", SetOff, tenant_id=str, place=int, at=datetime)

_R = RECEIVABLES.c
_OWN = _R.tenant_id == bindparam("tenant")
_COLUMNS = columns_of(Receivable, RECEIVABLES)
_KEPT = select(RECEIVABLES.c.invoice).where(_OWN, _R.kept, _R.open_minor > 0).exists()
_ADD = insert(RECEIVABLES)
_ANY_KEPT = select(_KEPT)
_OPEN = select(*_COLUMNS).where(_OWN, _R.open_minor > 0).order_by(_R.place)
_FIND = select(*_COLUMNS).where(_OWN, _R.invoice == bindparam("of_invoice"))
_CHANGE = (
    update(RECEIVABLES)
    .where(_OWN, _R.invoice == bindparam("of_invoice"))
    .values({name: bindparam(f"new_{name}") for name in ("open_minor", "kept", "reminders")})
)
_ADD_SET_OFF = insert(SET_OFFS)
_SET_OFFS = select(*columns_of(SetOff, SET_OFFS)).where(SET_OFFS.c.tenant_id == bindparam("tenant")).order_by(SET_OFFS.c.place)

_JOINED = RECEIVABLES.join(INVOICES, and_(INVOICES.c.tenant_id == _R.tenant_id, INVOICES.c.invoice == _R.invoice))
_LISTED = select(*columns_of(ListedInvoice, RECEIVABLES, INVOICES)).select_from(_JOINED).where(_OWN)
_ONE_LISTED = _LISTED.where(_R.invoice == bindparam("of_invoice"))
_PAGE = _LISTED.where(_R.place > bindparam("after")).order_by(_R.place).limit(bindparam("limit"))
_PAGE_NEWEST = _LISTED.where(_R.place < bindparam("before")).order_by(_R.place.desc()).limit(bindparam("limit"))
_TODAY = bindparam("today", type_=Date)
STATES: Mapping[str, Any] = {
    "open": _R.open_minor > 0,
    "part_paid": and_(_R.open_minor > 0, _R.open_minor < _R.gross_minor),
    "paid": _R.open_minor == 0,
    "overdue": and_(_R.kind == INVOICE, _R.open_minor > 0, _R.due_on < _TODAY),
}
_PAGES = {state: _PAGE.where(only) for state, only in STATES.items()}
_PAGES_NEWEST = {state: _PAGE_NEWEST.where(only) for state, only in STATES.items()}

RELATED_MAX = 100  # of each relation
_S = SET_OFFS.c
_INVOICE = bindparam("of_invoice", type_=Text)
_OTHER = case((_S.invoice == _INVOICE, _S.credit_note), else_=_S.invoice)
_NONE = (null().label("amount_minor"), null().label("at"))
_SET_OFF_AGAINST = (
    select(literal("set_off").label("relation"), _R.invoice, _R.number, _R.kind, _S.amount_minor, _S.at)
    .select_from(SET_OFFS.join(RECEIVABLES, and_(_R.tenant_id == _S.tenant_id, _R.invoice == _OTHER)))
    .where(_S.tenant_id == bindparam("tenant"), or_(_S.invoice == _INVOICE, _S.credit_note == _INVOICE))
    .order_by(_S.place)
    .limit(RELATED_MAX)
)
_CORRECTED = (
    select(literal("corrects").label("relation"), _R.invoice, _R.number, _R.kind, *_NONE)
    .where(_OWN, _R.invoice == any_(bindparam("corrects", type_=ARRAY(Text))))
    .order_by(_R.place)
)
_CORRECTED_BY = (
    select(literal("corrected_by").label("relation"), _R.invoice, _R.number, _R.kind, *_NONE)
    .where(_OWN, any_(_R.corrects) == _INVOICE)
    .order_by(_R.place)
    .limit(RELATED_MAX)
)
_INVOICES = any_(bindparam("invoices", type_=ARRAY(Text)))
_SET_OFF_SUMS = select(_S.invoice, _S.credit_note, _S.amount_minor).where(
    _S.tenant_id == bindparam("tenant"), or_(_S.invoice == _INVOICES, _S.credit_note == _INVOICES)
)

# The local day of each tenant: a test clock has a time of its own.
_NOW = bindparam("now", type_=TIMESTAMP(timezone=True))
_TIME = case((TENANTS.c.clock == "test", func.coalesce(TENANTS.c.test_time, _NOW)), else_=_NOW)
_LOCAL_DAY = cast(func.timezone(func.coalesce(TENANTS.c.time_zone, "UTC"), _TIME), Date)
DAYS = select(TENANTS.c.tenant_id, TENANTS.c.name, _LOCAL_DAY.label("today")).subquery("days")
_OVERDUE = (
    select(*columns_of(Overdue, RECEIVABLES, DAYS))
    .select_from(RECEIVABLES.join(DAYS, DAYS.c.tenant_id == _R.tenant_id))
    .where(_R.kind == INVOICE, _R.open_minor > 0, _R.due_on < DAYS.c.today)
    .order_by(_R.due_on, _R.tenant_id, _R.invoice)
    .limit(bindparam("limit"))
)
_AFTER = (bindparam("after_due", type_=Date), bindparam("after_tenant", type_=Text), bindparam("after_invoice", type_=Text))
_OVERDUE_AFTER = _OVERDUE.where(func.row(_R.due_on, _R.tenant_id, _R.invoice) > func.row(*_AFTER))


async def add(connection: AsyncConnection, tenant_id: str, new: Receivable) -> bool:
    """Save what is open of a new document; return whether a kept credit waits for an invoice."""
    values = {name: value for name, value in asdict(new).items() if name != "place"}
    await connection.execute(_ADD, {"tenant_id": tenant_id} | values)
    return bool((await connection.execute(_ANY_KEPT, {"tenant": tenant_id})).scalar_one())


async def open_balance(connection: AsyncConnection, tenant_id: str) -> Balance:
    """Return the documents of which something is open."""
    return Balance({each.invoice: each for each in await many(connection, _OPEN, Receivable, tenant=tenant_id)})


async def find(connection: AsyncConnection, tenant_id: str, invoice: str) -> Receivable | None:
    found = await many(connection, _FIND, Receivable, tenant=tenant_id, of_invoice=invoice)
    return found[0] if found else None


async def change(connection: AsyncConnection, tenant_id: str, changed: Receivable) -> None:
    """Save what payments, set-offs and reminders change of a document."""
    new = {f"new_{name}": getattr(changed, name) for name in ("open_minor", "kept", "reminders")}
    await connection.execute(_CHANGE, {"tenant": tenant_id, "of_invoice": changed.invoice} | new)


async def add_set_off(connection: AsyncConnection, tenant_id: str, set_off: SetOff, at: datetime) -> None:
    await connection.execute(_ADD_SET_OFF, {"tenant_id": tenant_id, "at": at} | asdict(set_off))


async def set_offs(connection: AsyncConnection, tenant_id: str) -> list[SetOff]:
    return await many(connection, _SET_OFFS, SetOff, tenant=tenant_id)


async def listed(connection: AsyncConnection, tenant_id: str, invoice: str) -> ListedInvoice | None:
    found = await many(connection, _ONE_LISTED, ListedInvoice, tenant=tenant_id, of_invoice=invoice)
    return found[0] if found else None


async def page(
    connection: AsyncConnection, tenant_id: str, after: int, limit: int, state: str | None = None, today: date | None = None
) -> list[ListedInvoice]:
    """Return documents in the order of their issue. `today` is needed for the overdue ones."""
    statement = _PAGE if state is None else _PAGES[state]
    more = {"today": today} if state == "overdue" else {}
    return await many(connection, statement, ListedInvoice, tenant=tenant_id, after=after, limit=limit, **more)


async def newest(
    connection: AsyncConnection, tenant_id: str, before: int, limit: int, state: str | None = None, today: date | None = None
) -> list[ListedInvoice]:
    """Return documents, those that were issued last first. `today` is needed for the overdue ones."""
    statement = _PAGE_NEWEST if state is None else _PAGES_NEWEST[state]
    more = {"today": today} if state == "overdue" else {}
    return await many(connection, statement, ListedInvoice, tenant=tenant_id, before=before, limit=limit, **more)


async def set_off_sums(connection: AsyncConnection, tenant_id: str, invoices: Sequence[str]) -> dict[str, int]:
    """Return how much of each of these documents was set off; those of which nothing was are left out."""
    sums: dict[str, int] = {}
    for row in await connection.execute(_SET_OFF_SUMS, {"tenant": tenant_id, "invoices": list(invoices)}):
        for document in (row.invoice, row.credit_note):
            sums[document] = sums.get(document, 0) + row.amount_minor
    return sums


async def related(connection: AsyncConnection, tenant_id: str, found: Receivable) -> list[Related]:
    """Return the documents that this one corrects, those that correct it, and what it was set off against."""
    parts = (
        await many(connection, _CORRECTED, Related, tenant=tenant_id, corrects=list(found.corrects)) if found.corrects else [],
        await many(connection, _CORRECTED_BY, Related, tenant=tenant_id, of_invoice=found.invoice),
        await many(connection, _SET_OFF_AGAINST, Related, tenant=tenant_id, of_invoice=found.invoice),
    )
    return [each for part in parts for each in part]


async def overdue(connection: AsyncConnection, now: datetime, after: tuple[date, str, str] | None, limit: int) -> list[Overdue]:
    """Return overdue invoices of all tenants, the longest overdue first."""
    if after is None:
        return await many(connection, _OVERDUE, Overdue, now=now, limit=limit)
    place = dict(zip(("after_due", "after_tenant", "after_invoice"), after, strict=True))
    return await many(connection, _OVERDUE_AFTER, Overdue, now=now, limit=limit, **place)
