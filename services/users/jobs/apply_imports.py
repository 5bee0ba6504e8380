"""Apply imports. Each chunk of people is one transaction, so a process that ends in between loses nothing."""

from dataclasses import replace

import structlog

from services.users.domain import imports as rules
from services.users.domain.imports import Kind
from services.users.domain.known_people import KnownPeople
from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.sources import Key
from services.users.domain.timelines import Reported, Statement, from_json
from services.users.jobs.alarm import Alarm
from services.users.store import imports as store
from services.users.store.imports import ImportRow, StagedPerson
from services.users.use_cases import known_people, people
from services.users.use_cases.imports import APPLIED
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.people import Received
from shared.database import Database

log = structlog.get_logger(__name__)

CHUNK = 250  # people in one transaction
POLL_SECONDS = 0.5  # for an import that another process was asked to apply


class ApplyImports:
    """Applies confirmed imports, some people in each transaction."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_chunks(self.run_chunk, POLL_SECONDS)

    async def run_chunk(self, tenant: str | None) -> bool:
        """Apply the next people of the oldest import; return False if there is none that no other process applies."""
        async with self._database.unit_of_work(tenant) as uow:
            taken = await store.take(uow.connection, tenant)
            if taken is None:
                return False
            tenant_id, row = taken
            await uow.scope(tenant_id)
            found = await self._tenants.load(tenant_id, uow)
            assert found is not None, "an import belongs to a tenant"
            kinds = [kind.value for kind in APPLIED if kind is not Kind.ABSENT or row.absent == "leave"]
            staged = await store.next_to_apply(uow.connection, tenant_id, row.import_id, kinds, CHUNK)
            if not staged:
                await store.raise_versions(uow.connection, tenant_id, row)
                await store.save(uow.connection, tenant_id, replace(row, status="applied"))
                log.info("import_applied", tenant=tenant_id, source=row.source, version=row.version, people=row.done)
                return True
            absent = [Key(row.source, person.external_id) for person in staged if person.kind == Kind.ABSENT]
            known = await known_people.load(found, uow, absent) if absent else None
            received = [_received(found, row, person, known) for person in staged]
            await people.apply_statements(found, uow, received, together=True)
            await store.set_done(uow.connection, tenant_id, row.import_id, [person.position for person in staged])
            await store.save(uow.connection, tenant_id, replace(row, done=row.done + len(staged)))
            return True


def _received(tenant: Tenant, row: ImportRow, person: StagedPerson, absent: KnownPeople | None) -> Received:
    if person.report is None:
        assert absent is not None, "a person without a report is absent"
        timeline = absent.timeline(Key(row.source, person.external_id))
        statement: Statement = rules.absence(timeline, row.source, row.version, tenant.today, f"absent-{row.import_id}")
    else:
        statement = Reported(row.version, from_json(person.report))
    return Received(row.source, person.external_id, statement, Cause(source_actor(row.source)), None)
