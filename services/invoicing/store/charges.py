"""The ledger of charges."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import many, table_of
from shared.schemas.invoicing_v1 import ChargeBooked


@dataclass(frozen=True, slots=True)
class StoredCharge:
    place: int
    payload: str
    invoices: tuple[str, ...]

    @property
    def event(self) -> ChargeBooked:
        return ChargeBooked.model_validate_json(self.payload)


CHARGES = table_of("charges", tenant_id=str, charge=str, place=int, order=str, payload=str)
INVOICE_CHARGES = table_of("invoice_charges", tenant_id=str, charge=str, invoice=str)

ON_INVOICE = and_(INVOICE_CHARGES.c.tenant_id == CHARGES.c.tenant_id, INVOICE_CHARGES.c.charge == CHARGES.c.charge)

_OWN = CHARGES.c.tenant_id == bindparam("tenant")
_IDS = select(CHARGES.c.charge).where(_OWN)
_ADD = insert(CHARGES)
_INVOICES = func.array(select(INVOICE_CHARGES.c.invoice).where(ON_INVOICE).order_by(INVOICE_CHARGES.c.invoice).scalar_subquery())
_PAGE = (
    select(CHARGES.c.place, CHARGES.c.payload, _INVOICES.label("invoices"))
    .where(_OWN, CHARGES.c.place > bindparam("after"))
    .order_by(CHARGES.c.place)
    .limit(bindparam("limit"))
)


async def ids(connection: AsyncConnection, tenant_id: str) -> set[str]:
    return set((await connection.execute(_IDS, {"tenant": tenant_id})).scalars())


async def add(connection: AsyncConnection, tenant_id: str, charge: ChargeBooked) -> None:
    values = {"tenant_id": tenant_id, "charge": charge.charge, "order": charge.order, "payload": charge.model_dump_json()}
    await connection.execute(_ADD, values)


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredCharge]:
    return await many(connection, _PAGE, StoredCharge, tenant=tenant_id, after=after, limit=limit)
