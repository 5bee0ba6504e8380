"""Connections with `on_full: refuse`: a user for whom no licence is free is not created, and nobody is reactivated without one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from scim2_models import ForbiddenException
from scim2_server.responses import ScimResponse

from services.users.domain.module_states import ModuleState
from services.users.scim.storage import Storage
from services.users.scim.users import Asked, Users
from services.users.store import module_states
from services.users.store import people as people_store
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.clock import Clock
from shared.errors import SeatpoolError, Transient
from shared.schemas.seats_v1 import AssignSeats, SeatState

WAIT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
_GRANTED: Final = (ModuleState.ACTIVE, ModuleState.FLAGGED, ModuleState.HELD)


class Previewed(SeatpoolError):
    """The request would ask seats for licences: the transaction ends without a change, and seats is asked what would happen."""

    def __init__(self, command: AssignSeats) -> None:
        super().__init__("previewed")
        self.command = command


class Undecided(Transient):
    """Seats has not decided in time. The repetition of the request continues the same attempt."""


Run = Callable[[Callable[[Storage], Awaitable[Any]]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Refusing:
    """Serves requests of a connection that refuses what it has no licence for. `run` runs its argument in a transaction."""

    run: Run
    seats: SeatsQuestions
    clock: Clock
    tenant: str

    async def serve(self, handle: Callable[[Storage], Awaitable[ScimResponse]]) -> ScimResponse:
        """Serve a request. Raises ForbiddenException if no licence is free, and Undecided."""
        asked: list[Asked] = []

        async def preview(storage: Storage) -> ScimResponse:
            response = await handle(storage)
            if (found := storage.users.asked) and not found[-1].is_repeated:
                raise Previewed(found[-1].command)
            asked.extend(found)
            return response

        async def change(storage: Storage) -> ScimResponse:
            response = await handle(storage)
            asked.extend(storage.users.asked)
            return response

        try:
            response: ScimResponse = await self.run(preview)
        except Previewed as previewed:
            await self._check(previewed.command)
            response = await self.run(change)
        for each in asked:
            await self._settle(each)
        return response

    async def _check(self, command: AssignSeats) -> None:
        """Ask seats what would happen. Raises ForbiddenException, Transient."""
        decisions = await self.seats.what_if(self.tenant, [command])
        if decisions is None:
            raise Transient("seats did not answer what would happen")
        answers = [
            event["data"]
            for event in decisions[0]
            if "modules" in event["data"] and event["data"].get("user", command.user) == command.user
        ]
        lacking = {
            seat["module"]: seat.get("reason") or answer.get("reason", "")
            for answer in answers
            for seat in answer["modules"]
            if seat["state"] in (SeatState.REFUSED, SeatState.WAITING, SeatState.REVOKED)
        }
        if lacking:
            raise _refused(lacking)

    async def _settle(self, asked: Asked) -> None:
        """Wait for the decision, and take the change back if there is no licence. Raises ForbiddenException, Undecided."""
        until = self.clock.monotonic() + WAIT_SECONDS
        while (lacking := await self.run(lambda storage: _lacking(storage.users, asked))) is None:
            if self.clock.monotonic() >= until:
                raise Undecided(f"seats has not decided about {asked.resource_id}")
            await asyncio.sleep(POLL_SECONDS)

        async def end(storage: Storage) -> None:
            await storage.users.end_attempt(asked, take_back=bool(lacking))

        await self.run(end)
        if lacking:
            raise _refused(lacking)


async def _lacking(users: Users, asked: Asked) -> dict[str, str] | None:
    """Return the modules that the person has not got, with the reasons; None while seats has not decided."""
    tenant, connection = users.tenant, users.uow.connection
    person = await people_store.get(connection, tenant.tenant, asked.command.user, tenant.today)
    if person is None or person.answered < asked.command.revision:
        return None
    states = (await module_states.load(connection, tenant.tenant, [person.user]))[person.user]
    required = person.standing.required.modules
    return {
        module: (states[module].reason or "") if module in states else ""
        for module in required
        if module not in states or states[module].state not in _GRANTED
    }


def _refused(lacking: dict[str, str]) -> ForbiddenException:
    modules = ", ".join(f"{module} ({reason})" if reason else module for module, reason in sorted(lacking.items()))
    return ForbiddenException(
        detail=f"No licence is free for {modules}. Buy licences or deactivate somebody, and then repeat the request. Nobody was changed."
    )
