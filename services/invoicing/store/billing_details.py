"""Who is billed, and how it is taxed: a row for each version."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tables import billing_details
from shared.database.rows import columns, one


@dataclass(frozen=True, slots=True)
class BillingDetails:
    version: str
    company: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None
    email: str
    tax_category: str
    tax_rate_percent: str
    changed_at: datetime


_OWN = billing_details.c.tenant_id == bindparam("tenant")
_VERSION = select(*columns(BillingDetails, billing_details)).where(_OWN, billing_details.c.version == bindparam("version"))
_LATEST = select(*columns(BillingDetails, billing_details)).where(_OWN).order_by(billing_details.c.number.desc()).limit(1)
_ADD = insert(billing_details).values(number=select(func.coalesce(func.max(billing_details.c.number), 0) + 1).where(_OWN).scalar_subquery())


async def find(c: AsyncConnection, tenant_id: str, version: str) -> BillingDetails | None:
    return await one(c, _VERSION, BillingDetails, tenant=tenant_id, version=version)


async def in_force(c: AsyncConnection, tenant_id: str) -> BillingDetails | None:
    return await one(c, _LATEST, BillingDetails, tenant=tenant_id)


async def add(c: AsyncConnection, tenant_id: str, details: BillingDetails) -> None:
    await c.execute(_ADD, {"tenant": tenant_id, "tenant_id": tenant_id} | asdict(details))
