"""Do what is due at an instant, and not at the start of a day: invitations end. Each chunk of people is one transaction."""

from services.users.jobs.alarm import Alarm, chunks_of_each
from services.users.store import tenants as tenants_store
from services.users.use_cases import invitations
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database

CHUNK = 100  # people in one transaction
LOOK_EVERY_SECONDS = 5


class DueInstants:
    """Ends invitations whose time has come, by the time of their tenant."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat(self._look, LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        async with self._database.unit_of_work(None) as uow:
            tenants = await tenants_store.with_due_instants(uow.connection, self._tenants.clock.now())
        await chunks_of_each(tenants, self.run_chunk)

    async def run_chunk(self, tenant: str) -> bool:
        """Do what is due first; return False if nothing is due."""
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.load(tenant, uow)
            return found is not None and await invitations.expire(found, uow, CHUNK) > 0
