"""Publish tenants and people again, for a reader that was rebuilt."""

from functools import partial

from services.users.domain.person import Tenant
from services.users.store import profiles, reevaluations
from services.users.store import tenants as store
from services.users.store.reevaluations import ReevaluationKind
from services.users.use_cases.profiles import profile_event
from services.users.use_cases.tenants import tenant_event
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import TenantRepublished

PAGE = 500


async def request_republication(tenant: str | None, uow: UnitOfWork, actor: Actor) -> int:
    """Request that a background job publishes all tenants, or one, again; return how many. Raises NotFound."""
    cause = reevaluations.cause_of(actor, None)
    tenants, after = 0, ""
    while rows := await store.page(uow.connection, tenant, after, PAGE):
        await reevaluations.add_many(uow.connection, [row.tenant_id for row in rows], ReevaluationKind.REPUBLISH, cause)
        tenants, after = tenants + len(rows), rows[-1].tenant_id
    if tenant is not None and tenants == 0:
        raise NotFound("tenant")
    return tenants


async def republish_tenant(tenant: Tenant, uow: UnitOfWork, actor: Actor) -> None:
    row = await store.get(uow.connection, tenant.tenant)
    assert row is not None
    publish = partial(uow.publish, source=USERS, tenant=tenant.tenant, time=tenant.now)
    publish(tenant_event(TenantRepublished, row, tenant.now, actor, reason="republished"))
    for profile in await profiles.all_of(uow.connection, tenant.tenant):
        publish(profile_event(profile, tenant.now, actor, reason="republished"))
