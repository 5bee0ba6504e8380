"""Apply imports. Each chunk of people is one transaction, so a process that ends in between loses nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import structlog

from services.users.domain import imports as rules
from services.users.domain.facts import fold
from services.users.domain.imports import Kind
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import login_key
from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.sources import Key
from services.users.domain.timelines import Reported, Statement, from_json
from services.users.jobs.alarm import Alarm
from services.users.store import erasures
from services.users.store import imports as store
from services.users.store.imports import ImportRow, StagedPerson
from services.users.use_cases import imports, known_people, people
from services.users.use_cases.imports import APPLIED, TOGETHER_MAX
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.people import Received
from shared.database import Database, UnitOfWork
from shared.errors import Transient

log = structlog.get_logger(__name__)

CHUNK = 250  # people in one transaction
POLL_SECONDS = 0.5  # for an import that another process was asked to apply


class ApplyImports:
    """Applies confirmed imports, some people in each transaction."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, store.with_applying, self.run_chunk, POLL_SECONDS)

    async def run_chunk(self, tenant: str) -> bool:
        """Apply the next people of the tenant's oldest import; return False if there is none that no other process applies.

        An error that is not transient ends the import: it would come again, and the source could not be imported any more.
        """
        row: ImportRow | None = None
        try:
            async with self._database.unit_of_work(tenant) as uow:
                row = await store.take(uow.connection, tenant)
                if row is not None:
                    await self._apply_chunk(tenant, uow, row)
        except (Transient, MemoryError):
            raise
        except Exception as error:
            if row is None:
                raise
            log.exception("import_failed", tenant=tenant, source=row.source, import_id=row.import_id)
            async with self._database.unit_of_work(tenant) as uow:
                await imports.fail(tenant, uow, row.import_id, type(error).__name__)
        return row is not None

    async def _apply_chunk(self, tenant: str, uow: UnitOfWork, row: ImportRow) -> None:
        found = await self._tenants.load(tenant, uow)
        assert found is not None, "an import belongs to a tenant"
        kinds = [kind.value for kind in APPLIED if kind is not Kind.ABSENT or row.absent == "leave"]
        staged = await store.next_to_apply(uow.connection, tenant, row.import_id, kinds, CHUNK)
        if not staged:
            await store.raise_versions(uow.connection, tenant, row)
            await erasures.empty_import(uow.connection, tenant, row.import_id, row.source)
            await store.save(uow.connection, tenant, replace(row, status="applied"))
            log.info("import_applied", tenant=tenant, source=row.source, version=row.version, people=row.done)
            return
        staged = await self._with_holders(found, uow, row, kinds, staged)
        absent = [Key(row.source, person.external_id) for person in staged if person.kind == Kind.ABSENT]
        known = await known_people.load(found, uow, absent) if absent else None
        received = [each for person in staged if (each := _received(found, row, person, known)) is not None]
        await people.apply_statements(found, uow, received, together=True)
        await store.set_done(uow.connection, tenant, row.import_id, [person.position for person in staged])
        await store.save(uow.connection, tenant, replace(row, done=row.done + len(staged)))

    async def _with_holders(
        self, tenant: Tenant, uow: UnitOfWork, row: ImportRow, kinds: Sequence[str], staged: list[StagedPerson]
    ) -> list[StagedPerson]:
        """Return the people with those of the import who have a login that one of them is given: they may give it up, so they are applied
        together."""
        added, looked_at = staged, {person.external_id for person in staged}
        while added and len(staged) <= TOGETHER_MAX:
            claimed = [key for person in added if (key := _login_of(person, tenant.today))]
            holders = await store.holders(uow.connection, tenant.tenant, row.source, claimed) - looked_at
            looked_at |= holders
            added = await store.to_apply(uow.connection, tenant.tenant, row.import_id, kinds, sorted(holders)) if holders else []
            staged = [*staged, *added]
        return staged


def _login_of(person: StagedPerson, today: date) -> str | None:
    record = fold(from_json(person.report).facts, today) if person.report is not None else None
    return login_key(record.login) if record is not None and record.employed else None


def _received(tenant: Tenant, row: ImportRow, person: StagedPerson, absent: KnownPeople | None) -> Received | None:
    if person.report is None:
        assert absent is not None, "a person without a report is absent"
        timeline = absent.timeline(Key(row.source, person.external_id))
        if not rules.is_absent(timeline, row.source, row.begun_at, tenant.today):
            return None
        statement: Statement = imports.absence(tenant, row, timeline)
    else:
        statement = Reported(row.version, from_json(person.report), row.begun_at)
    return Received(row.source, person.external_id, statement, Cause(source_actor(row.source)), None)
