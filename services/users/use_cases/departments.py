"""Replace the department mapping. Each change is followed by a re-evaluation of all people."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from services.users.store import tenants as store
from services.users.store.tenants import TenantRow
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.bulk_reevaluation import Limits
from shared.database import UnitOfWork
from shared.schemas.base import Actor, Change
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import DepartmentMapped

EVENTS_AT_ONCE = 100  # of one change of the mapping; other requests come between


async def put_mapping(
    tenant: str, uow: UnitOfWork, row: TenantRow, departments: Mapping[str, str | None], actor: Actor, at: datetime, limits: Limits
) -> None:
    """Replace the whole mapping; the same again changes nothing. Call under `lock`. Raises Refused when it is one too many of this day."""
    before = await store.mapping(tenant, uow.connection)
    if before == departments:
        return
    await store.replace_mapping(tenant, uow.connection, departments)
    await bulk_reevaluation.request(tenant, uow, row, actor, limits)
    for place, department in enumerate(sorted({*before, *departments})):
        if place % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        old, new = before.get(department), departments.get(department)
        if (department in before, old) != (department in departments, new):
            changes = (Change(field="profile", old=old, new=new),)
            event = DepartmentMapped(at=at, actor=actor, changes=changes, department=department, profile=new)
            uow.publish(event, source=USERS, tenant=tenant, time=at)
