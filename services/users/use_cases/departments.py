"""Replace the department mapping. Each change is followed by a re-evaluation of all people."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from services.users.store import departments as store
from services.users.store.tenants import StoredTenant
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.bulk_reevaluation import Limits
from shared.database import UnitOfWork
from shared.schemas.base import Actor, Change
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import DepartmentMapped

EVENTS_AT_ONCE = 100  # events of one change of the mapping, after which other requests are served


async def put_mapping(
    tenant: str, uow: UnitOfWork, row: StoredTenant, departments: Mapping[str, str | None], actor: Actor, at: datetime, limits: Limits
) -> str | None:
    """Replace the whole mapping; return the id of the re-evaluation. The same mapping again changes nothing.

    Call under `lock`. Raises Refused above the limit of the day.
    """
    before = await store.mapping(uow.connection, tenant)
    if before == departments:
        return None
    await store.replace(uow.connection, tenant, departments)
    reevaluation = await bulk_reevaluation.request(tenant, uow, row, actor, limits)
    for number, department in enumerate(sorted({*before, *departments})):
        if number % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        old, new = before.get(department), departments.get(department)
        if (department in before, old) != (department in departments, new):
            changes = (Change(field="profile", old=old, new=new),)
            event = DepartmentMapped(at=at, actor=actor, changes=changes, department=department, profile=new)
            uow.publish(event, source=USERS, tenant=tenant, time=at)
    return reevaluation
