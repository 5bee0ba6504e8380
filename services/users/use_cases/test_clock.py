"""Begin an advance of a test clock."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.users.store import tenants as store
from services.users.store.tenants import Lock, StoredTenant
from shared.database import Database
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ClockAdvancing

# An advance goes through every period on the way, refuses changes meanwhile and cannot be cancelled: a wrong year must not begin one.
ADVANCE_MAX = timedelta(days=3660)


async def begin(tenant: str, database: Database, to: datetime, actor: Actor) -> StoredTenant:
    """Begin an advance. Raises NotFound, Conflict (a real clock, or an advance under way to another time), Invalid (not after
    now, or too far)."""
    async with database.unit_of_work(tenant) as uow:
        # Exclusive: changes that hold the row shared end first, and later ones see that the clock is advancing.
        row = await store.get(uow.connection, tenant, Lock.EXCLUSIVE)
        if row is None:
            raise NotFound("tenant")
        if row.clock != "test" or row.at is None:
            raise Conflict(
                "not-a-test-clock",
                "This tenant has a real clock. You can advance the time only of a tenant that was opened with a test clock.",
            )
        if row.status != "open":
            raise Conflict("tenant-opening", "seats has not opened this tenant yet. Try again when the status of the tenant is `open`.")
        if row.advancing_to == to:
            return row
        if row.advancing_to is not None:
            to_ = row.advancing_to.isoformat()
            raise Conflict("clock-advancing", f"The clock is already advancing to {to_}. Wait until its state is `ready`.", to=to_)
        if to <= row.at:
            raise Invalid("body.to", to.isoformat(), f"a time after the present time of the tenant, {row.at.isoformat()}")
        if to - row.at > ADVANCE_MAX:
            raise Invalid(
                "body.to",
                to.isoformat(),
                f"a time at most {ADVANCE_MAX.days} days after the present time of the tenant, {row.at.isoformat()}",
            )
        row = replace(row, advancing_to=to)
        await store.save(uow.connection, row)
        begun = await store.set_step(uow.connection, tenant, expected=row.step, sent_to=None)
        assert begun, "steps are counted only while the clock advances"
        assert row.at is not None
        uow.publish(ClockAdvancing(at=row.at, actor=actor, to=to), source=USERS, tenant=tenant, time=row.at)
    return row
