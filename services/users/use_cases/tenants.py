"""Create and change a tenant. A change of what decides people's needs is followed by a re-evaluation of all people."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.users.store import reevaluations
from services.users.store import tenants as store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.tenants import TenantRow
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.base import Actor, Change
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import OpenTenant
from shared.schemas.users_v1 import TenantChanged, TenantCreated, TenantState

_SHOWN = ("name", "time_zone", "locale", "contact_email", "support_contact")


async def lock(tenant: str, uow: UnitOfWork) -> TenantRow:
    """The tenant, locked for a change of its configuration. Raises NotFound, and Conflict while its test clock is advancing."""
    row = await store.get(tenant, uow.connection, "FOR UPDATE OF t")
    if row is None:
        raise NotFound("tenant")
    if row.advancing_to is not None:
        raise Conflict(
            "clock-advancing", "The test clock of this tenant is advancing, so changes are refused. Try again when its state is `ready`."
        )
    return row


def tenant_event(model: type[TenantState], row: TenantRow, at: datetime, actor: Actor, **more: Any) -> TenantState:
    return model(at=at, actor=actor, clock=row.clock, **{name: getattr(row, name) for name in _SHOWN} | more)


async def create_tenant(tenant: str, uow: UnitOfWork, row: TenantRow, actor: Actor, at: datetime) -> bool:
    """The tenant, its event and `open_tenant` in one transaction; False when there is one of this id."""
    if not await store.insert(tenant, uow.connection, row):
        return False
    uow.publish(tenant_event(TenantCreated, row, at, actor), source=USERS, tenant=tenant, time=at)
    number = await store.draw_number(tenant, uow.connection)
    uow.publish(OpenTenant(number=number, clock=row.clock, at=row.at), source=USERS, tenant=tenant, time=at)
    return True


async def change_tenant(tenant: str, uow: UnitOfWork, before: TenantRow, after: TenantRow, actor: Actor, at: datetime) -> TenantRow:
    """Call under `lock`."""
    if after == before:
        return before
    after = replace(after, version=before.version + 1)
    reconsider = (after.time_zone, after.release_on_expiry) != (before.time_zone, before.release_on_expiry)
    if reconsider:
        after = replace(after, config_version=before.config_version + 1)
        await reevaluations.add(tenant, uow.connection, ReevaluationKind.SETTINGS, reevaluations.cause_of(actor, None))
    await store.update(tenant, uow.connection, after)
    changes = tuple(
        Change(field=name, old=getattr(before, name), new=getattr(after, name))
        for name in _SHOWN
        if getattr(before, name) != getattr(after, name)
    )
    uow.publish(tenant_event(TenantChanged, after, at, actor, changes=changes), source=USERS, tenant=tenant, time=at)
    return after
