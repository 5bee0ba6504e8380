"""Look at the statements of sources that are held: count who would lose access, and apply those that may be applied."""

from datetime import timedelta

import structlog

from services.users.jobs.alarm import Alarm
from services.users.store import held_statements as store
from services.users.store.held_statements import RELEASING
from services.users.use_cases import held_statements
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database, UnitOfWork
from shared.errors import Transient

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
QUIET = timedelta(seconds=1)  # so long after the last statement of a source, no more are expected to follow
LONGEST = timedelta(seconds=30)  # a source that never pauses is looked at after this time


class HeldStatements:
    """Evaluates the statements of sources that are held, and applies those that may be applied."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_chunks(self.run_chunk, POLL_SECONDS)

    async def run_chunk(self, tenant: str | None) -> bool:
        """Look at the statements of one source, or apply the next of them; return False if there is nothing to do."""
        due: tuple[str, str] | None = None
        try:
            async with self._database.unit_of_work(tenant) as uow:
                due = await store.lock_due(uow.connection, tenant, QUIET, LONGEST)
                if due is None:
                    return False
                await self._look_at(*due, uow)
        except (Transient, MemoryError):
            raise
        except Exception:
            if due is None:
                raise
            # It would come again, and nobody would look at any other source.
            log.exception("held_statements_failed", tenant=due[0], source=due[1])
            async with self._database.unit_of_work(due[0]) as uow:
                await held_statements.stop(uow, *due)
        return True

    async def _look_at(self, tenant_id: str, source: str, uow: UnitOfWork) -> None:
        await uow.scope(tenant_id)
        found = await self._tenants.load(tenant_id, uow)
        held = await store.get(uow.connection, tenant_id, source)
        assert found is not None, "held statements belong to a tenant"
        assert held is not None, "it is locked"
        if held.status == RELEASING:
            await held_statements.release(found, uow, held)
        else:
            await held_statements.evaluate(found, uow, held)
            log.info("held_statements_evaluated", tenant=tenant_id, source=source)
