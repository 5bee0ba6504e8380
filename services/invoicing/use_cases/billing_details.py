"""Who is billed, and how it is taxed."""

from dataclasses import asdict

from services.invoicing import store
from services.invoicing.api.requests import BillingDetailsBody
from services.invoicing.domain.formats import wrong_format
from services.invoicing.domain.money import Tax
from services.invoicing.domain.tax import tax_in_force, wrong_tax
from services.invoicing.settings import Settings
from services.invoicing.store.billing_details import BillingDetails
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish_fact
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Invalid
from shared.schemas.base import Actor, Change
from shared.schemas.invoicing_v1 import BillingDetailsChanged


async def change_billing_details(
    uow: UnitOfWork, tenant_id: str, body: BillingDetailsBody, actor: Actor, *, settings: Settings, clock: Clock
) -> None:
    """Save a new version, unless nothing changes. The event has the tax only: names and addresses stay in the database. Raises Invalid."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    before = await store.billing_details.in_force(uow.connection, tenant_id)
    taxed_before = Tax(before.tax_category, before.tax_rate_percent) if before else None
    tax = tax_in_force(body.tax_category, body.tax_rate_percent, taxed_before, settings.seller_tax_rate_percent)
    wrong = wrong_tax(tax, body.vat_id, body.country, settings.seller_vat_id)
    if wrong is not None:
        raise Invalid(f"body.{wrong.field}", wrong.value, wrong.expected)
    buyer, countries = body.model_dump(), (settings.seller_country, body.country)
    wrong = wrong_format(body.document_format, tax.category, seller=asdict(settings.seller), buyer=buyer, countries=countries)
    if wrong is not None:
        raise Invalid(f"body.{wrong.field}", wrong.value, wrong.expected)
    fields = body.model_dump() | {"tax_category": tax.category, "tax_rate_percent": tax.rate_percent}
    if before is not None and all(getattr(before, name) == value for name, value in fields.items()):
        return
    changed = [name for name, value in fields.items() if before is None or getattr(before, name) != value]
    open_fields = ("country", "tax_category", "tax_rate_percent")
    event = BillingDetailsChanged(
        at=at,
        actor=actor,
        version=ids.new_id(),
        tax_category=tax.category,
        tax_rate_percent=tax.rate_percent,
        changes=tuple(
            Change(field=name, old=getattr(before, name) if before else None, new=fields[name])
            if name in open_fields
            else Change(field=name)
            for name in changed
        ),
    )
    details = BillingDetails(version=event.version, changed_at=at, **fields)
    await store.billing_details.add(uow.connection, tenant_id, details)
    await publish_fact(uow, tenant_id, event, subject=event.version)
