"""The ledger of charges."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tables import charges, invoice_charges
from shared.database.rows import columns, many
from shared.schemas.invoicing_v1 import ChargeBooked


@dataclass(frozen=True, slots=True)
class StoredCharge:
    place: int
    payload: str
    invoice: str | None

    @property
    def event(self) -> ChargeBooked:
        return ChargeBooked.model_validate_json(self.payload)


ON_INVOICE = and_(invoice_charges.c.tenant_id == charges.c.tenant_id, invoice_charges.c.charge == charges.c.charge)

_OWN = charges.c.tenant_id == bindparam("tenant")
_IDS = select(charges.c.charge).where(_OWN)
_ADD = insert(charges)
_PAGE = (
    select(*columns(StoredCharge, charges, invoice_charges))
    .select_from(charges.outerjoin(invoice_charges, ON_INVOICE))
    .where(_OWN, charges.c.place > bindparam("after"))
    .order_by(charges.c.place)
    .limit(bindparam("limit"))
)


async def ids(c: AsyncConnection, tenant_id: str) -> set[str]:
    return set((await c.execute(_IDS, {"tenant": tenant_id})).scalars())


async def add(c: AsyncConnection, tenant_id: str, charge: ChargeBooked) -> None:
    values = {"tenant_id": tenant_id, "charge": charge.charge, "order": charge.order, "payload": charge.model_dump_json()}
    await c.execute(_ADD, values)


async def page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredCharge]:
    return await many(c, _PAGE, StoredCharge, tenant=tenant_id, after=after, limit=limit)
