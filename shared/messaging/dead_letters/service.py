"""The operator's side of dead letters: list them, and run the group's handler on the stored bytes again."""

import base64
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import RowMapping, select

from shared.database import Database
from shared.database.tables import dead_letters as table
from shared.errors import Conflict, NotFound, Poison
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import rows
from shared.messaging.group import Group
from shared.schemas.base import format_instant

log = structlog.get_logger(__name__)

RETRIED_AT_ONCE = 500  # a transaction each


class DeadLetters:
    """Of one service: `consumers` are those whose handlers `retry` can run (they need not be running here)."""

    def __init__(self, database: Database, consumers: Sequence[Consumer]) -> None:
        self._database = database
        self._groups = {consumer.group.name: consumer.group for consumer in consumers}

    async def list(
        self, tenant: str | None = None, status: str | None = "open", *, after: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Oldest first, from `after` (an id) on; status None: those that were done, too."""
        statement = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        if tenant is not None:
            statement = statement.where(table.c.tenant == tenant)
        if status is not None:
            statement = statement.where(table.c.status == status)
        async with self._database.unit_of_work(None) as uow:
            found = (await uow.connection.execute(statement)).all()
        return [_shown(row._mapping) for row in found]

    async def retry(self, letter_id: int) -> dict[str, Any]:
        """Run the handler on the stored bytes, past watermark and inbox; nothing is published again.

        Where a dead letter blocks its tenant, only the tenant's first can be retried (Conflict otherwise), and those behind it follow in
        order until one fails. Returns {"done": [ids], "failed": id | None, "reason", "detail", "next": id | None}; `next` is to be retried
        in a call of its own, so that none takes longer than its caller waits. Raises NotFound, Conflict, Transient.
        """
        done: list[int] = []
        current: int | None = letter_id
        while current is not None and len(done) < RETRIED_AT_ONCE:
            following, poison = await self._retry_one(current, first=not done)
            if poison is not None:
                return {"done": done, "failed": current, "reason": poison.reason, "detail": poison.detail, "next": None}
            done.append(current)
            current = following
        return {"done": done, "failed": None, "reason": None, "detail": None, "next": current}

    async def _retry_one(self, letter_id: int, *, first: bool) -> tuple[int | None, Poison | None]:
        """(the next one of the same tenant, if it has to follow; why this one failed, if it did). One transaction."""
        async with self._database.unit_of_work(None) as uow:
            group, tenant = await self._group_of(uow, letter_id)
            in_order = group.blocks_tenant and tenant is not None
            if in_order:
                assert tenant is not None
                # The consumer asks under the same lock whether the tenant still has a dead letter.
                await rows.lock_tenants(uow, group.name, [tenant])
                if first and (head := await rows.first_of(uow, group.name, tenant)) != letter_id:
                    raise Conflict("parked-behind", f"Dead letter {head} of this tenant is older and has to be retried first.")
            row = await rows.get(uow, letter_id)
            if row is None or row["status"] != "open":
                raise Conflict("not-parked", f"Dead letter {letter_id} is done already.")
            poison = await _run(group, uow, row)
            await uow.scope(None)
            if poison is not None:
                await rows.mark_failed(uow, letter_id, poison)
                return None, poison
            await rows.mark_done(uow, letter_id)
            log.info("dead-letter-retried", group=group.name, id=letter_id, tenant=tenant)
            return (await rows.first_of(uow, group.name, tenant, after=letter_id) if in_order and tenant else None), None

    async def _group_of(self, uow: Any, letter_id: int) -> tuple[Group, str | None]:
        statement = select(table.c.consumer_group, table.c.tenant).where(table.c.id == letter_id)
        row = (await uow.connection.execute(statement)).one_or_none()
        if row is None or row.consumer_group not in self._groups:
            raise NotFound("dead letter")
        return self._groups[row.consumer_group], row.tenant


async def _run(group: Group, uow: Any, row: RowMapping) -> Poison | None:
    item = await group.read(rows.record_of(row))
    try:
        if item.poison is not None:
            raise item.poison
        if item.message is None:
            raise Poison("unknown-type", f"this version handles no {item.envelope.type if item.envelope else 'such message'}")
        await group.handle(uow, item.message, savepoint=True)
    except Poison as poison:
        return poison
    return None


def _shown(row: RowMapping) -> dict[str, Any]:
    value: bytes | None = row["value"]
    return {
        "id": row["id"],
        "group": row["consumer_group"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["record_offset"],
        "tenant": row["tenant"],
        "type": row["type"],
        "message_id": row["message_id"],
        "reason": row["reason"],
        "detail": row["detail"],
        "status": row["status"],
        "attempts": row["attempts"],
        "created_at": format_instant(row["created_at"]),
        "done_at": format_instant(row["done_at"]) if row["done_at"] else None,
        "value_base64": base64.b64encode(value).decode() if value is not None else None,
    }
