"""Do what is due at an instant, and not at the start of a day: invitations end, and people are reminded of the end of a grace. Each chunk
of people is one transaction."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.jobs.alarm import Alarm
from services.users.store import tenants as tenants_store
from services.users.use_cases import invitations, reminders
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database

CHUNK = 100  # people in one transaction
LOOK_EVERY_SECONDS = 5


class DueInstants:
    """Does what is due at an instant, by the time of each tenant."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, self._with_work, self.run_chunk, LOOK_EVERY_SECONDS)

    async def _with_work(self, connection: AsyncConnection) -> Sequence[str]:
        return await tenants_store.with_due_instants(connection, self._tenants.clock.now())

    async def run_chunk(self, tenant: str) -> bool:
        """Do what is due first; return False if nothing is due."""
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.load(tenant, uow)
            return found is not None and (await invitations.expire(found, uow, CHUNK) or await reminders.remind(found, uow, CHUNK)) > 0
