"""The settings of a tenant about its purchases."""

from dataclasses import asdict, replace
from datetime import datetime

from services.invoicing import store
from services.invoicing.store.purchase_settings import PurchaseSettings
from services.invoicing.use_cases.budget import set_new_month
from services.invoicing.use_cases.expand_caps import follow_budget, send_caps
from services.invoicing.use_cases.locked_tenants import lock_tenant, time_of
from services.invoicing.use_cases.publishing import publish
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.schemas.base import Actor, changes_between
from shared.schemas.invoicing_v1 import PurchaseSettingsChanged


async def change_purchase_settings(
    uow: UnitOfWork, tenant_id: str, second_approver: str, monthly_budget_minor: int | None, actor: Actor, *, clock: Clock
) -> None:
    """Save the settings of the tenant. They hold for approvals from now on. Raises NotFound, Conflict."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    known = await store.purchase_settings.find(uow.connection, tenant_id)
    changed = replace(known, second_approver=second_approver, monthly_budget_minor=monthly_budget_minor)
    await _change(uow, tenant_id, known, changed, at, actor)


async def change_ordering(uow: UnitOfWork, tenant_id: str, ordering: str | None, actor: Actor, *, clock: Clock) -> None:
    """Save how the tenant buys; None: as its plan says. Raises NotFound, Conflict."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    known = await store.purchase_settings.find(uow.connection, tenant_id)
    await _change(uow, tenant_id, known, replace(known, ordering=ordering), at, actor)


async def _change(uow: UnitOfWork, tenant_id: str, known: PurchaseSettings, settings: PurchaseSettings, at: datetime, actor: Actor) -> None:
    if known == settings:
        return
    await store.purchase_settings.put(uow.connection, tenant_id, settings)
    changes = changes_between(asdict(known), asdict(settings))
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    currency = contract.currency if contract is not None else None
    publish(uow, tenant_id, PurchaseSettingsChanged(at=at, actor=actor, changes=changes, currency=currency, **asdict(settings)))
    await set_new_month(uow, tenant_id, at)
    await send_caps(uow, tenant_id, at)


async def begin_month(uow: UnitOfWork, tenant_id: str, *, clock: Clock) -> None:
    """Let modules expand within the budget of the month that begins."""
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    if tenant is not None:
        at = time_of(tenant, clock)
        await set_new_month(uow, tenant_id, at)
        await follow_budget(uow, tenant_id, at)
