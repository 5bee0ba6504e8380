"""Erase the personal data of people who left long ago, as far as their tenant wants it. Each chunk of people is one transaction."""

from services.users.domain.person import Cause
from services.users.jobs.alarm import Alarm
from services.users.store import erasures, imports
from services.users.store import people as people_store
from services.users.store import tenants as tenants_store
from services.users.use_cases.erasure import RETENTION_ACTOR, erase
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database

CHUNK = 20  # people in one transaction
LOOK_EVERY_SECONDS = 60


class Retention:
    """Erases leavers, by the time of each tenant. While an import of a tenant is not finished, its leavers wait."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, tenants_store.with_retention, self.run_chunk, LOOK_EVERY_SECONDS)

    async def run_chunk(self, tenant: str) -> bool:
        """Erase the next people; return False if there is nobody to erase."""
        async with self._database.unit_of_work(tenant) as uow:
            row = await tenants_store.get(uow.connection, tenant)
            if row is None or row.erase_after_months == 0 or await imports.unfinished(uow.connection, tenant):
                return False
            found = await self._tenants.load(tenant, uow)
            assert found is not None, "its row was just read"
            users = await erasures.due(uow.connection, tenant, row.erase_after_months, found.today, CHUNK)
            await uow.lock(people_store.CLAIMS, tenant)
            for person in (await people_store.lock_many(uow.connection, tenant, sorted(users), found.today)).values():
                await erase(found, uow, person, Cause(RETENTION_ACTOR, "retention"))
            return bool(users)
