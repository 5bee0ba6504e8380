"""The purchases and invoices that wait for a person of a tenant."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import BigInteger, Date, Text, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.account import INVOICE
from services.invoicing.store.purchase_requests import ESTIMATED, REQUESTS
from services.invoicing.store.quotes import QUOTES, WAITING
from services.invoicing.store.receivables import RECEIVABLES
from shared.database.row_classes import names_of, one


@dataclass(frozen=True, slots=True)
class OpenItems:
    waiting_quotes: int
    estimates: int
    overdue_invoices: int
    overdue_minor: int


_TENANT = bindparam("tenant", type_=Text)
_R = RECEIVABLES.c
_OVERDUE = (_R.tenant_id == _TENANT, _R.kind == INVOICE, _R.open_minor > 0, _R.due_on < bindparam("today", type_=Date))
_PARTS = {
    "waiting_quotes": select(func.count()).where(QUOTES.c.tenant_id == _TENANT, QUOTES.c.state == WAITING),
    "estimates": select(func.count()).where(REQUESTS.c.tenant_id == _TENANT, REQUESTS.c.state == ESTIMATED),
    "overdue_invoices": select(func.count()).where(*_OVERDUE),
    "overdue_minor": select(cast(func.coalesce(func.sum(_R.open_minor), 0), BigInteger)).where(*_OVERDUE),
}
_OF_TENANT = select(*(_PARTS[name].scalar_subquery().label(name) for name in names_of(OpenItems)))


async def of_tenant(connection: AsyncConnection, tenant_id: str, today: date) -> OpenItems:
    """Return what waits. `today` is the tenant's local day."""
    found = await one(connection, _OF_TENANT, OpenItems, tenant=tenant_id, today=today)
    assert found is not None
    return found
