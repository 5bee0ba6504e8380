"""The ledger of charges."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, table_of
from shared.schemas.invoicing_v1 import ChargeBooked


@dataclass(frozen=True, slots=True)
class StoredCharge:
    place: int
    payload: str
    invoice: str | None

    @property
    def event(self) -> ChargeBooked:
        return ChargeBooked.model_validate_json(self.payload)


CHARGES = table_of("charges", tenant_id=str, charge=str, place=int, order=str, payload=str)
INVOICE_CHARGES = table_of("invoice_charges", tenant_id=str, charge=str, invoice=str)

ON_INVOICE = and_(INVOICE_CHARGES.c.tenant_id == CHARGES.c.tenant_id, INVOICE_CHARGES.c.charge == CHARGES.c.charge)

_OWN = CHARGES.c.tenant_id == bindparam("tenant")
_IDS = select(CHARGES.c.charge).where(_OWN)
_ADD = insert(CHARGES)
_PAGE = (
    select(*columns_of(StoredCharge, CHARGES, INVOICE_CHARGES))
    .select_from(CHARGES.outerjoin(INVOICE_CHARGES, ON_INVOICE))
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
