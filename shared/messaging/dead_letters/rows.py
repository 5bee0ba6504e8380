"""The rows of dead letters: messages that could not be processed, and those of the same tenant that wait behind one.

Of a tenant that is blocked, the first row is `open` (a person has to act) or `ready` (the consumer processes it next); all others wait.
Nothing here is ever published again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, bindparam, exists, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import UnitOfWork
from shared.database.tables import dead_letters as table
from shared.database.unit_of_work import lock_number
from shared.errors import Poison
from shared.messaging.message import Record
from shared.schemas import topics
from shared.schemas.envelope import Envelope

BEHIND = Poison("behind-dead-letter", "an earlier message of this tenant is a dead letter")
_LONGEST_DETAIL = 2000


class Status(StrEnum):
    OPEN = "open"
    WAITING = "waiting"  # behind an open one of its tenant
    READY = "ready"  # the one before it is done or discarded: the consumer processes it
    DONE = "done"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row without the record that it keeps."""

    id: int
    consumer_group: str
    topic: str
    partition: int
    record_offset: int
    records: int
    tenant: str | None
    type: str | None
    source: str | None
    message_id: str | None
    reason: str
    detail: str
    blocks: bool
    status: str
    attempts: int
    created_at: datetime
    done_at: datetime | None
    discarded_at: datetime | None
    discarded_by: str | None
    discard_reason: str | None


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A dead letter to add. `records`: see `batch.Item`."""

    record: Record
    records: int
    envelope: Envelope | None
    poison: Poison
    tenant: str | None
    blocks: bool
    status: Status


def _has(*statuses: Status) -> ColumnElement[bool]:
    """Written out, not as parameters: only so does the planner see that a partial index fits."""
    return table.c.status.in_([literal_column(f"'{status}'") for status in statuses])


_COLUMNS = [table.c[field.name] for field in fields(DeadLetter)]
_IS_QUEUED = (table.c.blocks, _has(Status.OPEN, Status.WAITING, Status.READY))
_OF_TENANT = (table.c.consumer_group == bindparam("of_group"), table.c.tenant == bindparam("of_tenant"), *_IS_QUEUED)

_TENANTS = func.unnest(bindparam("tenants", type_=ARRAY(Text))).column_valued("t")
_BLOCKED = select(_TENANTS).where(exists().where(table.c.consumer_group == bindparam("group"), table.c.tenant == _TENANTS, *_IS_QUEUED))
_LOCK_TENANTS = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"
_IDENTITIES = (
    func.unnest(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
    .table_valued("source", "id")
    .render_derived(name="i")
)
_KNOWN = (
    select(table.c.source, table.c.message_id, table.c.blocks)
    .join(_IDENTITIES, (table.c.source == _IDENTITIES.c.source) & (table.c.message_id == _IDENTITIES.c.id))
    .where(table.c.consumer_group == bindparam("group"), table.c.topic == bindparam("topic"), table.c.reason != BEHIND.reason)
)
_ADDED = [
    table.c[name]
    for name in (
        "consumer_group", "topic", "partition", "record_offset", "records", "timestamp_ms", "tenant", "type", "source", "message_id",
        "reason", "detail", "key", "headers", "value", "blocks", "status",
    )
]  # fmt: skip
# Not as JSON, as most rows are written: a poll may bring 64 MB of values, which are no text.
_NEW = (
    func.unnest(*(bindparam(column.name, type_=ARRAY(column.type)) for column in _ADDED))
    .table_valued(*(column.name for column in _ADDED), with_ordinality="place")
    .render_derived(name="n")
)
_ADD = insert(table).from_select(_ADDED, select(*(_NEW.c[column.name] for column in _ADDED)).order_by(_NEW.c.place))
_COUNT_OPEN = select(func.count()).where(table.c.consumer_group == bindparam("group"), _has(Status.OPEN))
_COUNTS = (
    select(table.c.status, func.count().label("letters")).where(_has(Status.OPEN, Status.WAITING, Status.READY)).group_by(table.c.status)
)
_READY = select(table.c.tenant).where(table.c.consumer_group == bindparam("group"), _has(Status.READY)).distinct().order_by(table.c.tenant)
_IS_READY = select(exists().where(table.c.consumer_group == bindparam("group"), table.c.tenant == bindparam("tenant"), _has(Status.READY)))
_FIRST = select(func.min(table.c.id)).where(*_OF_TENANT)
_COUNT_BEHIND = select(func.count()).where(*_OF_TENANT, table.c.id > bindparam("letter"))
_LISTED = (
    select(*_COLUMNS)
    .where(
        table.c.id > bindparam("after"),
        (table.c.tenant == bindparam("tenant")) | bindparam("tenant", type_=Text).is_(None),
        (table.c.status == bindparam("status")) | bindparam("status", type_=Text).is_(None),
    )
    .order_by(table.c.id)
    .limit(bindparam("limit"))
)
_GET = select(*_COLUMNS, table.c.timestamp_ms, table.c.key, table.c.headers, table.c.value).where(table.c.id == bindparam("letter"))
_GET_LOCKED = _GET.with_for_update()
_ONE = table.c.id == bindparam("letter")
_DONE = update(table).where(_ONE).values(status=Status.DONE, done_at=func.now(), attempts=table.c.attempts + 1)
_FAILED = (
    update(table).where(_ONE).values(status=Status.OPEN, reason=bindparam("why"), detail=bindparam("said"), attempts=table.c.attempts + 1)
)
_DISCARDED = (
    update(table)
    .where(_ONE)
    .values(status=Status.DISCARDED, discarded_at=func.now(), discarded_by=bindparam("who"), discard_reason=bindparam("why"))
)
_MAKE_READY = update(table).where(table.c.id == _FIRST.scalar_subquery(), _has(Status.WAITING)).values(status=Status.READY)


async def blocked_tenants(uow: UnitOfWork, group: str, tenants: Collection[str]) -> set[str]:
    """Return the tenants whose messages have to wait behind a dead letter.

    Asked again under the tenants' locks: the end of a tenant's queue holds the same lock, so no message is put behind a queue that has
    just ended and that nobody would look at again.
    """
    found = await _blocked(uow, group, tenants)
    if found:
        await lock_tenants(uow, group, found)
        found = await _blocked(uow, group, found)
    return found


async def _blocked(uow: UnitOfWork, group: str, tenants: Collection[str]) -> set[str]:
    if not tenants:
        return set()
    return set((await uow.connection.execute(_BLOCKED, {"group": group, "tenants": list(tenants)})).scalars())


async def lock_tenants(uow: UnitOfWork, group: str, tenants: Collection[str]) -> None:
    # Sorted, so that two transactions never wait for each other crosswise.
    locks = sorted(lock_number("dead-letters", group, tenant) for tenant in tenants)
    await uow.connection.exec_driver_sql(_LOCK_TENANTS, (locks,))


async def is_blocked(uow: UnitOfWork, group: str, tenant: str) -> bool:
    """Tell whether the tenant is blocked. Lock it first: of two dead letters in two transactions, the later waits behind the earlier."""
    await lock_tenants(uow, group, [tenant])
    return bool(await _blocked(uow, group, [tenant]))


Identity = tuple[str, str, bool]  # (source, id, blocks)


async def known(uow: UnitOfWork, group: str, records: Collection[Record]) -> set[Identity]:
    """The dead letters that there are with the source and id of one of these records, which are all of one topic.

    One that blocks is never taken for a repetition of one that does not, or anybody could hide a message of a topic's owner behind another.
    """
    of_topics, found = {record.topic.name for record in records}, {identity for record in records if (identity := record.identity())}
    if not found:
        return set()
    (topic,) = of_topics
    values = {"group": group, "topic": topic, "sources": [source for source, _ in found], "ids": [id_ for _, id_ in found]}
    return {(row.source, row.message_id, row.blocks) for row in await uow.connection.execute(_KNOWN, values)}


async def add(uow: UnitOfWork, group: str, letters: Sequence[NewLetter]) -> None:
    """Add dead letters in their order, with one statement."""
    if letters:
        rows = [_row(group, letter) for letter in letters]
        await uow.connection.execute(_ADD, {column.name: [row[column.name] for row in rows] for column in _ADDED})


def _row(group: str, letter: NewLetter) -> dict[str, Any]:
    record, (source, message_id) = letter.record, letter.record.identity() or (None, None)
    return {
        "consumer_group": group,
        "topic": record.topic.name,
        "partition": record.partition,
        "record_offset": record.offset,
        "records": letter.records,
        "timestamp_ms": record.timestamp_ms,
        "tenant": letter.tenant,
        "type": letter.envelope.type if letter.envelope else None,
        "source": source,
        "message_id": message_id,
        "reason": letter.poison.reason,
        "detail": storable(letter.poison.detail),
        "key": record.key,
        "headers": record.stored_headers(),
        "value": record.value,
        "blocks": letter.blocks,
        "status": letter.status,
    }


def storable(text: str) -> str:
    """PostgreSQL's text holds no NUL, and a detail may quote one."""
    return text.replace("\0", "\\0")[:_LONGEST_DETAIL]


async def count_open(uow: UnitOfWork, group: str) -> int:
    """Count the open dead letters of all tenants."""
    return int((await uow.connection.execute(_COUNT_OPEN, {"group": group})).scalar_one())


async def count_behind(uow: UnitOfWork, letter: DeadLetter) -> int:
    """Return how many messages wait behind this one."""
    if not letter.blocks:
        return 0
    values = {"of_group": letter.consumer_group, "of_tenant": letter.tenant, "letter": letter.id}
    return int((await uow.connection.execute(_COUNT_BEHIND, values)).scalar_one())


async def counts(uow: UnitOfWork) -> dict[str, int]:
    """Return how many messages of all groups are open, waiting and ready."""
    return {row.status: row.letters for row in (await uow.connection.execute(_COUNTS)).all()}


async def ready_tenants(uow: UnitOfWork, group: str) -> Sequence[str]:
    return (await uow.connection.execute(_READY, {"group": group})).scalars().all()


async def is_ready(uow: UnitOfWork, group: str, tenant: str) -> bool:
    """Tell whether the consumer still has to process messages that waited."""
    return bool((await uow.connection.execute(_IS_READY, {"group": group, "tenant": tenant})).scalar_one())


async def listed(uow: UnitOfWork, tenant: str | None, status: str | None, *, after: int, limit: int) -> list[DeadLetter]:
    """Return dead letters, oldest first, from `after` (an id) on. None: of any tenant, of any status."""
    values = {"tenant": tenant, "status": status, "after": after, "limit": limit}
    return [DeadLetter(*row) for row in await uow.connection.execute(_LISTED, values)]


async def get(connection: AsyncConnection, letter_id: int, *, lock: bool = False) -> tuple[DeadLetter, Record] | None:
    """Return the dead letter. With `lock`, two calls about one letter run one after the other."""
    row = (await connection.execute(_GET_LOCKED if lock else _GET, {"letter": letter_id})).one_or_none()
    if row is None:
        return None
    *columns, timestamp_ms, key, headers, value = row
    letter = DeadLetter(*columns)
    topic = topics.named(letter.topic)
    return letter, Record(topic, letter.partition, letter.record_offset, timestamp_ms, key, Record.read_headers(headers), value)


async def first_of(uow: UnitOfWork, group: str, tenant: str) -> int | None:
    """Return the id of the dead letter behind which the tenant's others wait."""
    first: int | None = (await uow.connection.execute(_FIRST, {"of_group": group, "of_tenant": tenant})).scalar_one()
    return first


async def mark_done(uow: UnitOfWork, letter: DeadLetter) -> None:
    await uow.connection.execute(_DONE, {"letter": letter.id})
    await _go_on_behind(uow, letter)


async def mark_failed(uow: UnitOfWork, letter: DeadLetter, poison: Poison) -> None:
    await uow.connection.execute(_FAILED, {"letter": letter.id, "why": poison.reason, "said": storable(poison.detail)})


async def mark_discarded(uow: UnitOfWork, letter: DeadLetter, *, reason: str, by: str) -> None:
    await uow.connection.execute(_DISCARDED, {"letter": letter.id, "why": reason, "who": by})
    await _go_on_behind(uow, letter)


async def _go_on_behind(uow: UnitOfWork, letter: DeadLetter) -> None:
    if letter.blocks:
        await uow.connection.execute(_MAKE_READY, {"of_group": letter.consumer_group, "of_tenant": letter.tenant})
