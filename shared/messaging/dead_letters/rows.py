"""The rows of dead letters. A dead letter keeps its reason and its original bytes, and is never published again."""

from collections.abc import Collection

from sqlalchemy import RowMapping, func, select, update

from shared.database import UnitOfWork
from shared.database.tables import dead_letters as table
from shared.database.unit_of_work import lock_number
from shared.errors import Poison
from shared.messaging.message import Record
from shared.schemas.envelope import Envelope
from shared.schemas.topics import TOPICS

_BLOCKED = "SELECT DISTINCT tenant FROM dead_letters WHERE consumer_group = $1 AND status = 'open' AND tenant = ANY($2)"
_LOCK_TENANTS = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"
_ADD = """
INSERT INTO dead_letters (consumer_group, topic, partition, record_offset, timestamp_ms, tenant, type, message_id,
                             reason, detail, key, headers, value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (consumer_group, topic, partition, record_offset) DO NOTHING
"""
_LONGEST_DETAIL = 2000


async def blocked_tenants(uow: UnitOfWork, group: str, tenants: Collection[str]) -> set[str]:
    """Those with a dead letter, behind which their later messages have to wait.

    Asked again under the tenants' locks: a retry that empties a tenant's queue holds the same lock, so no message is put behind a queue
    that has just ended and that nobody would look at again.
    """
    found = await _blocked(uow, group, tenants)
    if found:
        await lock_tenants(uow, group, found)
        found = await _blocked(uow, group, found)
    return found


async def _blocked(uow: UnitOfWork, group: str, tenants: Collection[str]) -> set[str]:
    if not tenants:
        return set()
    return set((await uow.connection.exec_driver_sql(_BLOCKED, (group, list(tenants)))).scalars())


async def lock_tenants(uow: UnitOfWork, group: str, tenants: Collection[str]) -> None:
    # Sorted, so that two transactions never wait for each other crosswise.
    locks = sorted(lock_number("dead-letters", group, tenant) for tenant in tenants)
    await uow.connection.exec_driver_sql(_LOCK_TENANTS, (locks,))


async def add(uow: UnitOfWork, group: str, record: Record, envelope: Envelope | None, poison: Poison) -> None:
    values = (
        group,
        record.topic.name,
        record.partition,
        record.offset,
        record.timestamp_ms,
        envelope.tenant if envelope else record.tenant(),
        envelope.type if envelope else None,
        envelope.id if envelope else None,
        poison.reason,
        storable(poison.detail),
        record.key,
        record.stored_headers(),
        record.value,
    )
    await uow.connection.exec_driver_sql(_ADD, values)


def storable(text: str) -> str:
    """PostgreSQL's text holds no NUL, and a detail may quote one."""
    return text.replace("\0", "\\0")[:_LONGEST_DETAIL]


async def count(uow: UnitOfWork, group: str) -> int:
    """Of all tenants."""
    statement = select(func.count()).where(table.c.consumer_group == group, table.c.status == "open")
    return int((await uow.connection.execute(statement)).scalar_one())


async def get(uow: UnitOfWork, letter_id: int) -> RowMapping | None:
    """Locked: two retries of one message run its handler once."""
    row = (await uow.connection.execute(select(table).where(table.c.id == letter_id).with_for_update())).one_or_none()
    return row._mapping if row else None


async def first_of(uow: UnitOfWork, group: str, tenant: str, after: int = 0) -> int | None:
    """The oldest dead letter of the tenant in this group, behind `after` (an id)."""
    mine = (table.c.consumer_group == group, table.c.status == "open", table.c.tenant == tenant, table.c.id > after)
    first: int | None = (await uow.connection.execute(select(table.c.id).where(*mine).order_by(table.c.id).limit(1))).scalar_one_or_none()
    return first


async def mark_done(uow: UnitOfWork, letter_id: int) -> None:
    await uow.connection.execute(
        update(table).where(table.c.id == letter_id).values(status="done", done_at=func.now(), attempts=table.c.attempts + 1)
    )


async def mark_failed(uow: UnitOfWork, letter_id: int, poison: Poison) -> None:
    await uow.connection.execute(
        update(table)
        .where(table.c.id == letter_id)
        .values(reason=poison.reason, detail=storable(poison.detail), attempts=table.c.attempts + 1)
    )


def record_of(row: RowMapping) -> Record:
    topic = next(topic for topic in TOPICS if topic.name == row["topic"])
    headers = Record.read_headers(row["headers"])
    return Record(topic, row["partition"], row["record_offset"], row["timestamp_ms"], row["key"], headers, row["value"])
