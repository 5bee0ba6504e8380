"""Delete imports that nobody has used for 30 days: they hold personal data, also if nobody has applied them."""

from services.users.jobs.alarm import Alarm
from services.users.store import imports
from shared.database import Database

LOOK_EVERY_SECONDS = 600


class OldImports:
    def __init__(self, database: Database, alarm: Alarm) -> None:
        self._database, self._alarm = database, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, imports.with_old, self.run_chunk, LOOK_EVERY_SECONDS)

    async def run_chunk(self, tenant: str) -> bool:
        """Delete the old imports of the tenant; return False, since then there is none left."""
        async with self._database.unit_of_work(tenant) as uow:
            await imports.forget_old(uow.connection, tenant)
        return False
