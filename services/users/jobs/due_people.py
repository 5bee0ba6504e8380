"""Change people because time passes: a fact falls due, or a login ends. Each chunk of people is one transaction."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.jobs.alarm import Alarm
from services.users.store import tenants as tenants_store
from services.users.use_cases import people
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database

CHUNK = 500  # people in one transaction
DUE_EVERY_SECONDS = 15  # on real clocks: how late a fact that falls due at midnight may be applied


class DuePeople:
    """Changes people because time has passed, for example at the start of a dated fact."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, self._with_work, self.run_chunk, DUE_EVERY_SECONDS)

    async def _with_work(self, connection: AsyncConnection) -> Sequence[str]:
        return await tenants_store.with_due_people(connection, self._tenants.clock.now())

    async def run_chunk(self, tenant: str) -> bool:
        """Change the next people because time has passed; return False if there is nobody to change."""
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.load(tenant, uow)
            if found is None:
                return False
            return await people.change_due(found, uow, CHUNK) > 0
