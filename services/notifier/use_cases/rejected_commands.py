"""The operator's list of dead letters, together with the commands that seats rejected or could not decide.

A rejected command is no dead letter: it stays in the log, answered, and its position is what a person needs. It cannot be processed again;
its sender has to send a new one. It is open until an operator discards it, with a reason: nobody else knows that the cause is removed.
"""

import builtins
from typing import Any, NoReturn

import structlog

from services.notifier.store import rejected_commands as store
from services.notifier.store.rejected_commands import NumberedRejection, RejectedCommand
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.messaging import DeadLetters
from shared.messaging.dead_letters.rows import DeadLetter, Status
from shared.messaging.dead_letters.service import already_closed, listed
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.topics import SEATS_COMMANDS

log = structlog.get_logger(__name__)

FIRST_ID = 10**15  # ids from here on are rejected commands; below 2^53, so that every JSON reader keeps them whole
GROUP = "seats"
Rejection = seats_v1.CommandRejected | seats_v1.CommandFailed | seats_v1.SettleFailed


def record(uow: UnitOfWork, envelope: Envelope, event: Rejection) -> None:
    """Keep the answer of seats for the operator's list."""
    command = RejectedCommand(
        event_id=envelope.id,
        tenant_id=envelope.tenant or "",
        type=envelope.type,
        command=event.command,
        partition=event.position.partition,
        command_offset=event.position.offset,
        reason=event.reason,
        detail=rejection(event),
        at=event.at,
    )
    uow.defer(store.SAVE, command)


def rejection(event: Rejection) -> str:
    """Return what a person needs to know to correct the command."""
    if isinstance(event, seats_v1.CommandRejected):
        return event.wrong()
    return f"the decision failed with an internal error; find error id {event.error_id} in the log of the seats worker"


class DeadLettersWithRejected(DeadLetters):
    """The dead letters, and behind them the commands that seats rejected."""

    async def list(
        self, tenant: str | None = None, status: str | None = Status.OPEN, *, after: int = 0, limit: int = 100
    ) -> builtins.list[dict[str, Any]]:
        """Dead letters first, then rejected commands, each oldest first."""
        items = await super().list(tenant, status, after=after, limit=limit) if after < FIRST_ID else []
        if len(items) < limit and status in (Status.OPEN, Status.DISCARDED, None):
            discarded = None if status is None else status == Status.DISCARDED
            async with self._database.unit_of_work(None) as uow:
                rejected = await store.rejected_commands(
                    uow.connection, tenant, max(after - FIRST_ID, 0), limit - len(items), discarded=discarded
                )
            items += [_shown(row) for row in rejected]
        return items

    async def counts(self) -> dict[str, int]:
        async with self._database.unit_of_work(None) as uow:
            rejected = await store.count_open(uow.connection)
        found = await super().counts()
        return found | {Status.OPEN: found.get(Status.OPEN, 0) + rejected}

    async def show(self, letter_id: int) -> dict[str, Any]:
        if letter_id <= FIRST_ID:
            return await super().show(letter_id)
        return _shown(await self._rejected(letter_id)) | {
            "note": "Seats has already answered this command, so it cannot be retried. Correct the command at its sender and send a new "
            "one. Then discard this one.",
            "genuine": False,
            "waiting_behind": 0,
            "headers": [],  # the log keeps the command
            "key_base64": None,
            "value_base64": None,
        }

    async def retry(self, letter_id: int) -> dict[str, Any]:
        """Refused for a rejected command: an answered command is never decided again."""
        return await (super().retry(letter_id) if letter_id <= FIRST_ID else self._refuse(letter_id))

    async def discard(self, letter_id: int, *, reason: str, by: str, genuine: bool = False) -> dict[str, Any]:
        """A rejected command leaves the list of what is open. Nothing waits behind it."""
        if letter_id <= FIRST_ID:
            return await super().discard(letter_id, reason=reason, by=by, genuine=genuine)
        seq = letter_id - FIRST_ID
        async with self._database.unit_of_work(None) as uow:
            found = await store.rejected_command(uow.connection, seq, lock=True)
            if found is None:
                raise NotFound("dead letter")
            if found.discarded_at is not None:
                raise already_closed(letter_id, Status.DISCARDED)
            await store.discard(uow.connection, seq, reason=reason, by=by)
            log.warning("rejected_command_discarded", id=letter_id, tenant=found.tenant_id, by=by, why=reason)
        return _shown(await self._rejected(letter_id))

    async def _rejected(self, letter_id: int) -> NumberedRejection:
        async with self._database.unit_of_work(None) as uow:
            found = await store.rejected_command(uow.connection, letter_id - FIRST_ID)
        if found is None:
            raise NotFound("dead letter")
        return found

    async def _refuse(self, letter_id: int) -> NoReturn:
        found = await self._rejected(letter_id)
        raise Conflict(
            "command-answered",
            f"seats has already answered this command ({found.type.rpartition('.')[2]}) and decides each command only once. "
            "Correct the command at its sender and send a new one.",
            position={"partition": found.partition, "offset": found.command_offset},
        )


def _shown(row: NumberedRejection) -> dict[str, Any]:
    """Every field of a dead letter, so that a reader needs no second shape."""
    letter = DeadLetter(
        id=FIRST_ID + row.seq,
        consumer_group=GROUP,
        topic=SEATS_COMMANDS.name,
        partition=row.partition,
        record_offset=row.command_offset,
        records=1,
        tenant=row.tenant_id or None,
        type=row.type,
        source=None,
        message_id=row.event_id,
        reason=row.reason,
        detail=row.detail,
        blocks=False,
        status=Status.DISCARDED if row.discarded_at else Status.OPEN,
        attempts=0,
        created_at=row.created_at,
        done_at=None,
        discarded_at=row.discarded_at,
        discarded_by=row.discarded_by,
        discard_reason=row.discard_reason,
    )
    return listed(letter) | {"command": row.command}
