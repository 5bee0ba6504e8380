"""Look at the statements of sources that are held: count who would lose access, and apply those that may be applied."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

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
        await self._alarm.repeat_for_tenants(self._database, self._with_work, self.run_chunk, POLL_SECONDS)

    async def _with_work(self, connection: AsyncConnection) -> Sequence[str]:
        return await store.with_due(connection, QUIET, LONGEST)

    async def run_chunk(self, tenant: str) -> bool:
        """Look at the statements of one source, or apply the next of them; return False if there is nothing to do."""
        source: str | None = None
        try:
            async with self._database.unit_of_work(tenant) as uow:
                source = await store.lock_due(uow.connection, tenant, QUIET, LONGEST)
                if source is None:
                    return False
                await self._look_at(tenant, source, uow)
        except (Transient, MemoryError):
            raise
        except Exception:
            if source is None:
                raise
            # It would come again, and nobody would look at the tenant's other sources.
            log.exception("held_statements_failed", tenant=tenant, source=source)
            async with self._database.unit_of_work(tenant) as uow:
                await held_statements.stop(uow, tenant, source)
        return True

    async def _look_at(self, tenant_id: str, source: str, uow: UnitOfWork) -> None:
        found = await self._tenants.load(tenant_id, uow)
        held = await store.get(uow.connection, tenant_id, source)
        assert found is not None, "held statements belong to a tenant"
        assert held is not None, "it is locked"
        if held.status == RELEASING:
            await held_statements.release(found, uow, held)
        else:
            await held_statements.evaluate(found, uow, held)
            log.info("held_statements_evaluated", tenant=tenant_id, source=source)
