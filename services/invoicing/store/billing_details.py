"""Who is billed, and how it is taxed: a row for each version."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, table_of


@dataclass(frozen=True, slots=True)
class BillingDetails:
    version: str
    company: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None
    organisation_number: str | None
    email: str  # where invoices, credit notes and reminders are sent
    copy_to_administrators: bool  # of the same e-mails
    document_format: str
    buyer_reference: str
    purchase_order: str
    electronic_address: str
    tax_category: str
    tax_rate_percent: str
    rate_country: str | None
    tax_rule: str
    tax_reason: str
    changed_at: datetime


BILLING_DETAILS = table_of("billing_details", BillingDetails, tenant_id=str, number=int)

_OWN = BILLING_DETAILS.c.tenant_id == bindparam("tenant")
_VERSION = select(*columns_of(BillingDetails, BILLING_DETAILS)).where(_OWN, BILLING_DETAILS.c.version == bindparam("version"))
_LATEST = select(*columns_of(BillingDetails, BILLING_DETAILS)).where(_OWN).order_by(BILLING_DETAILS.c.number.desc()).limit(1)
_BEFORE = (
    select(*columns_of(BillingDetails, BILLING_DETAILS))
    .where(
        _OWN,
        BILLING_DETAILS.c.number
        < select(BILLING_DETAILS.c.number).where(_OWN, BILLING_DETAILS.c.version == bindparam("version")).scalar_subquery(),
    )
    .order_by(BILLING_DETAILS.c.number.desc())
    .limit(1)
)
_ADD = insert(BILLING_DETAILS).values(number=select(func.coalesce(func.max(BILLING_DETAILS.c.number), 0) + 1).where(_OWN).scalar_subquery())


async def find(connection: AsyncConnection, tenant_id: str, version: str) -> BillingDetails | None:
    return await one(connection, _VERSION, BillingDetails, tenant=tenant_id, version=version)


async def before(connection: AsyncConnection, tenant_id: str, version: str) -> BillingDetails | None:
    """Return the version that this one replaced; None for the first."""
    return await one(connection, _BEFORE, BillingDetails, tenant=tenant_id, version=version)


async def in_force(connection: AsyncConnection, tenant_id: str) -> BillingDetails | None:
    return await one(connection, _LATEST, BillingDetails, tenant=tenant_id)


async def add(connection: AsyncConnection, tenant_id: str, details: BillingDetails) -> None:
    await connection.execute(_ADD, {"tenant": tenant_id, "tenant_id": tenant_id} | asdict(details))
