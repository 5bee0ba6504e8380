"""The settings of a tenant about its purchases."""

from dataclasses import asdict

from services.invoicing import store
from services.invoicing.store.purchase_settings import PurchaseSettings
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.schemas.base import Actor, changes_between
from shared.schemas.invoicing_v1 import PurchaseSettingsChanged


async def change_purchase_settings(uow: UnitOfWork, tenant_id: str, settings: PurchaseSettings, actor: Actor, *, clock: Clock) -> None:
    """Save the settings. They hold for approvals from now on. Raises NotFound, Conflict."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    known = await store.purchase_settings.find(uow.connection, tenant_id)
    if known == settings:
        return
    await store.purchase_settings.put(uow.connection, tenant_id, settings)
    changes = changes_between(asdict(known), asdict(settings))
    publish(uow, tenant_id, PurchaseSettingsChanged(at=at, actor=actor, changes=changes, **asdict(settings)))
