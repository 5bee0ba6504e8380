"""Remind people and administrators before a grace ends."""

from dataclasses import replace

from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import Tenant
from services.users.domain.reminders import next_reminder
from services.users.store import module_states
from services.users.store import people as people_store
from shared.database import UnitOfWork
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import GraceEnding

_ACTOR = Actor(kind="system", id="users")


async def remind(tenant: Tenant, uow: UnitOfWork, limit: int) -> int:
    """Publish the reminders that are due; return for how many people. Of reminders that are late, only the last is published."""
    due = await module_states.with_due_reminders(uow.connection, tenant.tenant, tenant.now, limit)
    people = await people_store.lock_many(uow.connection, tenant.tenant, sorted(due), tenant.today)
    seats = await module_states.load(uow.connection, tenant.tenant, list(people))
    reminded: dict[tuple[str, str], Seat] = {}
    for user, module, seat in ((each, module, seat) for each in due for module, seat in seats.get(each, {}).items()):
        if seat.remind_at is None or seat.remind_at > tenant.now:
            continue
        reminded[user, module] = replace(seat, remind_at=next_reminder(seat.deadline, tenant.now))
        if seat.state is ModuleState.FLAGGED and seat.deadline is not None and tenant.now < seat.deadline:
            event = GraceEnding(at=tenant.now, actor=_ACTOR, user=user, module=module, deadline=seat.deadline)
            uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=user)
    await module_states.save(uow.connection, tenant.tenant, reminded)
    return len(due)
