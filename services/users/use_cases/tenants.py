"""Create and change a tenant. A change that affects which modules people require is followed by a re-evaluation of all people."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.users.store import reevaluations
from services.users.store import tenants as store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.tenants import Lock, StoredTenant, TenantRow
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.fields import common_fields, common_names
from shared.schemas.base import Actor, Change
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import OpenTenant
from shared.schemas.users_v1 import TenantChanged, TenantCreated, TenantState

_SHOWN = common_names(TenantRow, TenantState)


async def lock(tenant: str, uow: UnitOfWork) -> StoredTenant:
    """Return the tenant, locked for a change of its configuration. Raises NotFound, and Conflict while its test clock is advancing."""
    row = await store.get(uow.connection, tenant, Lock.EXCLUSIVE)
    if row is None:
        raise NotFound("tenant")
    if row.advancing_to is not None:
        raise Conflict(
            "clock-advancing", "The test clock of this tenant is advancing, so changes are refused. Try again when its state is `ready`."
        )
    return row


def tenant_event(model: type[TenantState], row: TenantRow, at: datetime, actor: Actor, **more: Any) -> TenantState:
    return model(at=at, actor=actor, **common_fields(row, TenantRow, TenantState), **more)


async def create_tenant(uow: UnitOfWork, row: StoredTenant, actor: Actor, at: datetime) -> bool:
    """Add a tenant, and publish its event and `open_tenant`; return False if there is a tenant with this id."""
    if not await store.add(uow.connection, row):
        return False
    tenant = row.tenant_id
    uow.publish(tenant_event(TenantCreated, row, at, actor), source=USERS, tenant=tenant, time=at)
    number = await store.draw_number(uow.connection, tenant)
    uow.publish(OpenTenant(number=number, clock=row.clock, at=row.at), source=USERS, tenant=tenant, time=at)
    return True


async def change_tenant(uow: UnitOfWork, before: StoredTenant, after: StoredTenant, actor: Actor, at: datetime) -> StoredTenant:
    """Save and publish a changed tenant. Call under `lock`."""
    tenant = before.tenant_id
    if after == before:
        return before
    after = replace(after, version=before.version + 1)
    reconsider = (after.time_zone, after.release_on_expiry) != (before.time_zone, before.release_on_expiry)
    if reconsider:
        after = replace(after, config_version=before.config_version + 1)
        await reevaluations.add(uow.connection, tenant, ReevaluationKind.SETTINGS, reevaluations.cause_of(actor, None))
    await store.save(uow.connection, after)
    changes = tuple(
        Change(field=name, old=getattr(before, name), new=getattr(after, name))
        for name in _SHOWN
        if getattr(before, name) != getattr(after, name)
    )
    uow.publish(tenant_event(TenantChanged, after, at, actor, changes=changes), source=USERS, tenant=tenant, time=at)
    return after
