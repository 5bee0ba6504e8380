"""The open amount of each document, and the set-offs of credit notes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, Text, and_, bindparam, case, cast, func, insert, select, update
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
_TODAY = bindparam("today", type_=Date)
STATES: Mapping[str, Any] = {
    "open": _R.open_minor > 0,
    "part_paid": and_(_R.open_minor > 0, _R.open_minor < _R.gross_minor),
    "paid": _R.open_minor == 0,
    "overdue": and_(_R.kind == INVOICE, _R.open_minor > 0, _R.due_on < _TODAY),
}
_PAGES = {state: _PAGE.where(only) for state, only in STATES.items()}

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


async def overdue(connection: AsyncConnection, now: datetime, after: tuple[date, str, str] | None, limit: int) -> list[Overdue]:
    """Return overdue invoices of all tenants, the longest overdue first."""
    if after is None:
        return await many(connection, _OVERDUE, Overdue, now=now, limit=limit)
    place = dict(zip(("after_due", "after_tenant", "after_invoice"), after, strict=True))
    return await many(connection, _OVERDUE_AFTER, Overdue, now=now, limit=limit, **place)
