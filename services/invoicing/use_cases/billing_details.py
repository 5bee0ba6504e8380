"""Who is billed, and how it is taxed."""

from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from datetime import date

from services.invoicing import store
from services.invoicing.api.requests import BillingDetailsBody
from services.invoicing.domain.formats import wrong_format
from services.invoicing.domain.money import Tax
from services.invoicing.domain.tax import Given, Taxed, Wrong, home_rate, tax_in_force, treatment, wrong_tax
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
    taxed = _taxed(body, before, settings, at.date())
    tax = Tax(taxed.tax_category, taxed.tax_rate_percent)
    wrong = wrong_tax(tax, body.vat_id, body.country, settings.seller_vat_id)
    if wrong is not None:
        raise Invalid(f"body.{wrong.field}", wrong.value, wrong.expected)
    buyer, countries = body.model_dump(), (settings.seller_country, body.country)
    wrong = wrong_format(body.document_format, tax.category, seller=asdict(settings.seller), buyer=buyer, countries=countries)
    if wrong is not None:
        raise Invalid(f"body.{wrong.field}", wrong.value, wrong.expected)
    fields = body.model_dump() | asdict(taxed)
    if before is not None and all(getattr(before, name) == value for name, value in fields.items()):
        return
    changed = [name for name, value in fields.items() if before is None or getattr(before, name) != value]
    open_fields = ("country", *asdict(taxed))
    event = BillingDetailsChanged(
        at=at,
        actor=actor,
        version=ids.new_id(),
        tax_category=tax.category,
        tax_rate_percent=tax.rate_percent,
        rate_country=taxed.rate_country,
        tax_rule=taxed.tax_rule,
        reason=taxed.tax_reason,
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


def _taxed(body: BillingDetailsBody, before: BillingDetails | None, settings: Settings, day: date) -> Taxed:
    """Return the tax by the rules, or as an operator has set it. Raises Invalid."""
    by_rules = treatment(settings.taxed_seller, body.country, body.postcode, body.vat_id)
    taxed_before = Taxed(**{field.name: getattr(before, field.name) for field in dataclass_fields(Taxed)}) if before else None
    given = Given(body.tax_category, body.tax_rate_percent, body.tax_reason)
    found = tax_in_force(given, taxed_before, by_rules, day, home_rate(settings.taxed_seller, day))
    if isinstance(found, Wrong):
        raise Invalid(f"body.{found.field}", found.value, found.expected)
    return found
