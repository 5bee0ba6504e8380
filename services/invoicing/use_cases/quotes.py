"""Quotes: what more licences cost, before anybody orders them."""

from datetime import date, datetime, timedelta

from services.invoicing import store
from services.invoicing.api.requests import QuoteBody
from services.invoicing.domain.calendar import local_day
from services.invoicing.domain.price_lists import RenewalLists, of_each_plan, own_list
from services.invoicing.domain.quote import Item, Refusal, Situation, expected, price
from services.invoicing.settings import Settings
from services.invoicing.store.tenants import Tenant
from services.invoicing.use_cases.issue_invoices import read_account
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.overdue import check_purchase
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.scheduled_plans import following_plan
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import BillingDetailsChanged, QuoteIssued


def refuse(refusal: Refusal) -> Conflict:
    return Conflict(refusal.type, refusal.detail, **refusal.extra)


def ended(on: date) -> Conflict:
    text = (
        f"The subscription ended on {on}. Its invoices and its history stay readable; nothing can be bought or changed any more. "
        "To use the modules again, ask the vendor to start a new subscription."
    )
    return Conflict("subscription-ended", text, ended_on=on.isoformat())


async def situation_of(uow: UnitOfWork, tenant: Tenant, at: datetime) -> Situation:
    """Load everything that a price depends on. Raises Conflict if there is no subscription, or no more."""
    c = uow.connection
    found, details = await store.subscriptions.find(c, tenant.tenant_id), await store.billing_details.in_force(c, tenant.tenant_id)
    if found is None or details is None:
        raise Conflict("no-subscription", "The tenant has no subscription. Start one before you request a quote.")
    contract, ending = found.contract, await store.endings.find(c, tenant.tenant_id)
    if found.status == "ended" and ending is not None:
        raise ended(ending.ends_on)
    versions, day = await store.catalogue.all_versions(c), local_day(at, contract.time_zone)
    own = [listed for listed in versions if listed.plan == contract.plan]
    announced = await store.price_lists.announced(c, tenant.tenant_id, contract.plan)
    return Situation(
        contract=contract,
        plan=own_list(own, contract.plan_version, contract.term, day),
        plans=of_each_plan(versions, day),
        next_lists=RenewalLists(own, contract.plan_version, contract.term, announced),
        details=BillingDetailsChanged(
            at=details.changed_at,
            actor=Actor(kind="system", id="invoicing"),
            version=details.version,
            tax_category=details.tax_category,
            tax_rate_percent=details.tax_rate_percent,
            rate_country=details.rate_country,
        ),
        account=await read_account(uow, tenant.tenant_id),
        pools=await store.pools.reported(c, tenant.tenant_id),
        period=tenant.period,
        at=at,
        ends_on=ending.ends_on if ending is not None else None,
        following=await following_plan(uow, tenant.tenant_id, contract),
        undecided=tuple(quote for _, quote in await store.orders.pending(c, tenant.tenant_id)),
        requires={name: module.requires for name, module in (await store.catalogue.modules(c)).items()},
    )


async def make_quote(uow: UnitOfWork, tenant_id: str, body: QuoteBody, actor: Actor, *, settings: Settings, clock: Clock) -> QuoteIssued:
    """Price the wanted licences and save the quote (T8, B5, B9). Raises Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    await check_purchase(uow, tenant_id)
    situation = await situation_of(uow, tenant, at)
    items = [Item(item.module, add=item.add, total=item.total) for item in body.items]
    valid = timedelta(seconds=settings.quote_valid_seconds)
    quote = price(situation, items, quote=ids.new_id(), actor=actor, valid=valid)
    if isinstance(quote, Refusal):
        raise refuse(quote)
    await store.quotes.add(uow.connection, tenant_id, quote, expected(situation, [line.module for line in quote.lines]))
    publish(uow, tenant_id, quote, subject=quote.quote)
    return quote
