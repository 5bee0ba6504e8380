"""Check whether this service has processed everything of a tenant up to the tenant's time."""

from datetime import date

from services.users.domain.local_days import local_midnight
from services.users.store import erasures, held_statements, imports, module_states, people, reevaluations, tenants
from services.users.use_cases.locked_tenants import Tenants
from shared.database import Database, UnitOfWork
from shared.errors import NotFound
from shared.idle import IdleCheck
from shared.messaging import Consumer, unsent


class OwnIdleCheck:
    """The idle check of users itself."""

    def __init__(self, database: Database, tenants: Tenants, consumer: Consumer) -> None:
        self._database, self._tenants, self._consumer = database, tenants, consumer

    async def __call__(self, tenant: str) -> IdleCheck:
        """Return the answer of this service. Raises NotFound, Transient.

        The topics are checked first: when a message counts as read, its effects are in the database.
        """
        # Statements that arrive by REST go from the outbox to a topic that this service reads.
        sending = await unsent(self._database, tenant) > 0
        at_end = await self._consumer.at_end(tenant)
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.peek(tenant, uow)
            if found is None:
                raise NotFound("tenant")
            reevaluations_open = await reevaluations.count(uow.connection, tenant)
            applying = await imports.applying(uow.connection, tenant)
            holding = await held_statements.unsettled(uow.connection, tenant)
            day = await people.next_day(uow.connection, tenant)
            erase_on = await self._erase_on(uow, tenant)
            instants = (await people.next_invitation(uow.connection, tenant), await module_states.next_reminder(uow.connection, tenant))
        instant = min((each for each in instants if each is not None), default=None)
        day = min((each for each in (day, erase_on) if each is not None), default=None)
        midnight = local_midnight(day, found.zone) if day is not None else None
        due = min((each for each in (midnight, instant) if each is not None), default=None)
        waiting = {
            "topics": not at_end,
            "reevaluations": reevaluations_open > 0,
            "imports": applying > 0,
            "held": holding > 0,
            "due": (day is not None and day <= found.today) or (instant is not None and instant <= found.now),
            "outbox": sending or await unsent(self._database, tenant) > 0,
        }
        waiting_for = (name for name, waits in waiting.items() if waits)
        return IdleCheck.of(found.now, waiting_for, due, self._consumer.positions(tenant), day, instant)

    async def _erase_on(self, uow: UnitOfWork, tenant: str) -> date | None:
        """Return the day on which the next leaver is erased; None while an import keeps them waiting (jobs/retention)."""
        row = await tenants.get(uow.connection, tenant)
        if row is None or row.erase_after_months == 0 or await imports.unfinished(uow.connection, tenant):
            return None
        return await erasures.next_day(uow.connection, tenant, row.erase_after_months)
