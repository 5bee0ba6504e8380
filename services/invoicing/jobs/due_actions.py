"""Do what is due at an instant. Any number of processes can run this job: each action is done once, also after a kill."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from services.invoicing import store
from services.invoicing.store.due_actions import DueAction
from services.invoicing.use_cases.due_actions import ASKING, HANDLERS, DueHandler
from services.invoicing.wiring import Wiring
from shared.errors import Poison, Transient

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.5  # the stops of a test clock wait for it
ACTIONS_MAX = 100  # in one look
RETRY_SECONDS = 60.0  # until an action that failed is tried again; it delays no other


@dataclass(slots=True)
class DueActions:
    """Does what is due, by the time of each tenant."""

    wiring: Wiring
    handlers: Mapping[str, DueHandler] = field(default_factory=lambda: HANDLERS)
    _retry_at: dict[tuple[str, str, str], float] = field(default_factory=dict)  # monotonic, of the actions that failed

    async def run(self) -> None:
        """Look again and again until cancelled. After a transient error, try again."""
        while True:
            try:
                done = await self.run_once()
            except Transient as error:
                log.warning("job_temporarily_failed", error=str(error))
                done = 0
            if not done:
                await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def run_once(self) -> int:
        """Do what is due now, and return how many actions this process did. Raises Transient when the database is not available."""
        clock = self.wiring.clock
        async with self.wiring.database.unit_of_work(None) as uow:
            found = await store.due_actions.due(uow.connection, clock.now(), ACTIONS_MAX + len(self._retry_at))
        return sum([await self._try(action) for action in found])

    async def _try(self, action: DueAction) -> bool:
        key, clock = (action.tenant_id, action.kind, action.reference), self.wiring.clock
        if clock.monotonic() < self._retry_at.get(key, 0):
            return False
        try:
            ask = ASKING.get(action.kind)
            handle = self.handlers[action.kind] if ask is None else await ask(self.wiring, action)
            async with self.wiring.database.unit_of_work(action.tenant_id) as uow:
                taken = await store.due_actions.take(uow.connection, action)
                if taken:
                    await handle(self.wiring, uow, action)
        except MemoryError:
            raise
        except Exception as error:  # of this tenant
            bug = None if isinstance(error, Poison | Transient) else error
            log.error("due_action_failed", tenant=action.tenant_id, kind=action.kind, error=str(error), exc_info=bug)
            self._retry_at[key] = clock.monotonic() + RETRY_SECONDS
            return False
        self._retry_at.pop(key, None)
        return taken
