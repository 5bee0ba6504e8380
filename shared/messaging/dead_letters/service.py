"""The operator's side of dead letters: list and show them, process one again, discard one."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from shared.database import Database, UnitOfWork
from shared.errors import Conflict, NotFound
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import rows, waiting
from shared.messaging.dead_letters.rows import DeadLetter, Status
from shared.messaging.message import Record
from shared.schemas.base import format_instant

log = structlog.get_logger(__name__)

GENUINE = (
    "The owner of this topic wrote this message, and this version can read it. "
    "If you discard it, the data of this service no longer matches the log."
)


class DeadLetters:
    """The dead letters of one service. `retry` can run the handlers of `consumers`, which need not be running here."""

    def __init__(self, database: Database, consumers: Sequence[Consumer]) -> None:
        self._database = database
        self._consumers = {consumer.group.name: consumer for consumer in consumers}

    async def list(
        self, tenant: str | None = None, status: str | None = Status.OPEN, *, after: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return dead letters, oldest first, from `after` (an id) on. None: of all tenants, of every status."""
        async with self._database.unit_of_work(None) as uow:
            return [listed(letter) for letter in await rows.listed(uow, tenant, status, after=after, limit=limit)]

    async def counts(self) -> dict[str, int]:
        """Return how many of all tenants are open, waiting and ready."""
        async with self._database.unit_of_work(None) as uow:
            return await rows.counts(uow)

    async def show(self, letter_id: int) -> dict[str, Any]:
        """Return everything about a dead letter, with its original bytes. Raises NotFound, Transient."""
        async with self._database.unit_of_work(None) as uow:
            letter, record = await self._get(uow, letter_id)
            behind = await rows.count_behind(uow, letter)
        return await self._shown(letter, record) | {"waiting_behind": behind}

    async def retry(self, letter_id: int) -> dict[str, Any]:
        """Run the handler on the stored bytes, past watermark and inbox; nothing is published again.

        Returns the letter: `done`, or still `open` with the reason. Of a blocked tenant only the first can be retried (Conflict otherwise);
        what waits behind it is processed by the consumer. Raises NotFound, Conflict, Transient.
        """
        async with self._database.unit_of_work(None) as uow:
            _, record = await self._get(uow, letter_id)
        # Read before the transaction: it may have to ask the broker.
        async with self._resolving(letter_id) as (uow, letter):
            consumer = self._consumers[letter.consumer_group]
            (item,) = await consumer.read([record])
            await waiting.process(consumer.group, uow, letter, item)
            again, _ = await self._get(uow, letter_id)
        return listed(again)

    async def discard(self, letter_id: int, *, reason: str, by: str, genuine: bool = False) -> dict[str, Any]:
        """Give the message up: the row stays, positions and watermarks do not change, and it cannot be retried any more. What waits
        behind it is processed by the consumer. Raises NotFound, Transient, and Conflict also for a genuine message without `genuine`."""
        async with self._database.unit_of_work(None) as uow:
            letter, record = await self._get(uow, letter_id)
        refused = not genuine and await self._is_genuine(letter, record)
        async with self._resolving(letter_id) as (uow, letter):
            if refused:
                raise Conflict("genuine", f"{GENUINE} Remove the cause and retry the message, or discard it with `genuine`.")
            await rows.mark_discarded(uow, letter, reason=reason, by=by)
            about = {"group": letter.consumer_group, "id": letter_id, "tenant": letter.tenant}
            log.warning("dead_letter_discarded", **about, by=by, why=reason, genuine=genuine)
            again, _ = await self._get(uow, letter_id)
        return listed(again)

    async def _get(self, uow: UnitOfWork, letter_id: int) -> tuple[DeadLetter, Record]:
        found = await rows.get(uow.connection, letter_id)
        if found is None or found[0].consumer_group not in self._consumers:
            raise NotFound("dead letter")
        return found

    @asynccontextmanager
    async def _resolving(self, letter_id: int) -> AsyncIterator[tuple[UnitOfWork, DeadLetter]]:
        """Open a transaction in which this letter is open and nobody else can resolve it."""
        async with self._database.unit_of_work(None) as uow:
            letter, _ = await self._get(uow, letter_id)
            if letter.blocks and letter.tenant is not None:
                await rows.lock_tenants(uow, letter.consumer_group, [letter.tenant])
            locked = await rows.get(uow.connection, letter_id, lock=True)
            if locked is None:
                raise NotFound("dead letter")
            letter = locked[0]
            match letter.status:
                case Status.READY:
                    raise Conflict(
                        "dead-letter-next",
                        f"The service processes message {letter_id} next, by itself. If it fails, it is open again: look then.",
                    )
                case Status.WAITING:
                    first = await rows.first_of(uow, letter.consumer_group, letter.tenant or "")
                    raise Conflict(
                        "parked-behind", f"Message {letter_id} waits behind dead letter {first}. Retry or discard {first} first."
                    )
                case Status.DONE | Status.DISCARDED:
                    raise already_closed(letter_id, letter.status)
            yield uow, letter

    async def _is_genuine(self, letter: DeadLetter, record: Record) -> bool:
        consumer = self._consumers[letter.consumer_group]
        (item,) = await consumer.read([record])
        return consumer.group.is_genuine(item)

    async def _shown(self, letter: DeadLetter, record: Record) -> dict[str, Any]:
        genuine = await self._is_genuine(letter, record)
        return listed(letter) | {
            "genuine": genuine,
            "note": GENUINE if genuine else None,
            "headers": [[name, None if value is None else value.decode(errors="replace")] for name, value in record.headers],
            "key_base64": _base64(record.key),
            "value_base64": _base64(record.value),
        }


def already_closed(letter_id: int, status: str) -> Conflict:
    """Return the refusal of a dead letter that was processed or discarded before."""
    return Conflict("not-parked", f"Dead letter {letter_id} already has the status {status}, so you cannot retry or discard it.")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def listed(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as REST lists it."""
    return {
        "id": letter.id,
        "group": letter.consumer_group,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.record_offset,
        "records": letter.records,
        "tenant": letter.tenant,
        "type": letter.type,
        "source": letter.source,
        "message_id": letter.message_id,
        "reason": letter.reason,
        "detail": letter.detail,
        "blocks": letter.blocks,
        "status": letter.status,
        "attempts": letter.attempts,
        "created_at": format_instant(letter.created_at),
        "done_at": format_instant(letter.done_at) if letter.done_at else None,
        "discarded_at": format_instant(letter.discarded_at) if letter.discarded_at else None,
        "discarded_by": letter.discarded_by,
        "discard_reason": letter.discard_reason,
    }
