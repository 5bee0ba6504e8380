"""The operator's list of what could not be handled, with the commands that seats rejected or could not decide.

Those are no dead letters: the command stands in the log for ever, answered, and its position is what a person needs. They cannot be run
again, only sent anew by whoever sent them.
"""

import builtins
from typing import Any, NoReturn

from services.notifier.store import action_log as log_store
from services.notifier.store import recipients as store
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.messaging import DeadLetters
from shared.messaging.dead_letters.rows import Status
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.topics import SEATS_COMMANDS

FIRST_ID = 10**15  # ids from here on are rejected commands; below 2^53, so that every JSON reader keeps them whole
GROUP = "seats"
Rejection = seats_v1.CommandRejected | seats_v1.CommandFailed | seats_v1.SettleFailed


async def record(uow: UnitOfWork, envelope: Envelope, event: Rejection) -> None:
    """Keep the answer of seats for the operator's list."""
    await store.save_rejected(uow, envelope.tenant, envelope.id, envelope.type, event, rejection(event))


def rejection(event: Rejection) -> str:
    """Return what a person needs to know to correct the command."""
    if isinstance(event, seats_v1.CommandRejected):
        return event.wrong()
    return f"the decision failed with an internal error; find error id {event.error_id} in the log of the seats worker"


class DeadLettersWithRejected(DeadLetters):
    async def list(
        self, tenant: str | None = None, status: str | None = Status.OPEN, *, after: int = 0, limit: int = 100
    ) -> builtins.list[dict[str, Any]]:
        """Dead letters first, then rejected commands, each oldest first."""
        items = await super().list(tenant, status, after=after, limit=limit) if after < FIRST_ID else []
        if len(items) < limit and status in (Status.OPEN, None):
            async with self._database.unit_of_work(None) as uow:
                rejected = await log_store.rejected(uow, tenant, max(after - FIRST_ID, 0), limit - len(items))
            items += [_shown(row) for row in rejected]
        return items

    async def show(self, letter_id: int) -> dict[str, Any]:
        if letter_id <= FIRST_ID:
            return await super().show(letter_id)
        return _shown(await self._rejected(letter_id)) | {
            "note": "Seats has already answered this command, so it can be neither retried nor discarded. "
            "Correct the command at its sender and send a new one."
        }

    async def retry(self, letter_id: int) -> dict[str, Any]:
        """Refused for a rejected command: an answered command is never decided again."""
        return await (super().retry(letter_id) if letter_id <= FIRST_ID else self._refuse(letter_id))

    async def discard(self, letter_id: int, *, reason: str, by: str, genuine: bool = False) -> dict[str, Any]:
        """Refused for a rejected command: nothing waits behind it."""
        if letter_id <= FIRST_ID:
            return await super().discard(letter_id, reason=reason, by=by, genuine=genuine)
        return await self._refuse(letter_id)

    async def _rejected(self, letter_id: int) -> dict[str, Any]:
        async with self._database.unit_of_work(None) as uow:
            found = await log_store.rejected(uow, None, letter_id - FIRST_ID - 1, 1)
        if not found or found[0]["seq"] != letter_id - FIRST_ID:
            raise NotFound("dead letter")
        return found[0]

    async def _refuse(self, letter_id: int) -> NoReturn:
        found = await self._rejected(letter_id)
        raise Conflict(
            "command-answered",
            f"seats has already answered this command ({found['type'].rpartition('.')[2]}) and decides each command only once. "
            "Correct the command at its sender and send a new one.",
            position={"partition": found["partition"], "offset": found["offset"]},
        )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in row.items() if key not in ("seq", "command")}
    return fields | {
        "id": FIRST_ID + row["seq"],
        "group": GROUP,
        "topic": SEATS_COMMANDS.name,
        "command": row["command"],
        "status": Status.OPEN,
        "attempts": 0,
        "done_at": None,
    }
