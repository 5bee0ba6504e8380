"""One transaction, which stores the state and its messages, or neither."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import ids
from shared.database.tenancy import SETTING, SYSTEM
from shared.errors import Poison
from shared.observability import tracing
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.topics import Topic

NOTIFY_CHANNEL = "seatpool_outbox"
SHARDS = 64
_ROWS_AT_ONCE = 1000  # encoding more at once would delay other requests

# One statement for both. Another transaction with rows of the same key waits here until this one ends, so ids of one key are drawn in
# commit order. The keys are sorted, so that two transactions never wait for each other.
_LOCK_KEYS = f"SELECT pg_advisory_xact_lock(k), pg_notify('{NOTIFY_CHANNEL}', '') FROM unnest($1::bigint[]) AS k"  # noqa: S608 - a constant
_INSERT = """
INSERT INTO outbox (shard, topic, key, tenant, headers, value)
SELECT shard, topic, key, tenant, headers, value
FROM unnest($1::smallint[], $2::text[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[])
     WITH ORDINALITY AS r (shard, topic, key, tenant, headers, value, place)
ORDER BY place
"""
_LOCK = "SELECT pg_advisory_xact_lock($1)"
_SET_SCOPE = f"SELECT set_config('{SETTING}', $1, true)"


class _OutboxRow(NamedTuple):
    shard: int
    topic: str
    key: bytes
    tenant: str | None
    headers: bytes
    value: bytes


def lock_number(*parts: str | bytes) -> int:
    """Return a signed 64-bit number for an advisory lock, the same in every process."""
    digest = hashlib.blake2b(b"\0".join(part.encode() if isinstance(part, str) else part for part in parts), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)


BatchWork = Callable[["UnitOfWork", Sequence[Any]], Awaitable[None]]


class UnitOfWork:
    """`Database.unit_of_work` creates it. It is not for concurrent use: it has one connection, with one statement at a time."""

    def __init__(self, connection: AsyncConnection, *, scope: str | None = None) -> None:
        """`scope`: the tenant whose rows alone the connection shows."""
        self.connection = connection
        self._scope = scope
        self._outbox: list[_OutboxRow] = []
        self._deferred: list[tuple[Executable, object]] = []
        self._gathered: dict[tuple[str | None, BatchWork], list[Any]] = {}
        self._locks: frozenset[int] = frozenset()
        self.rollbacks = 0  # to a savepoint: each releases the locks taken since, so values read under them are no longer valid

    async def scope(self, tenant: str | None) -> None:
        """From here on, show only rows of this tenant; with None, those of all tenants (work of the system)."""
        wanted = SYSTEM if tenant is None else tenant
        if wanted != self._scope:
            await self.connection.exec_driver_sql(_SET_SCOPE, (wanted,))
            self._scope = wanted

    async def lock(self, *name: str) -> None:
        """Let other transactions that take the lock of this name wait until this one ends."""
        number = lock_number(*name)
        if number not in self._locks:
            await self.connection.exec_driver_sql(_LOCK, (number,))
            self._locks |= {number}

    def publish(
        self,
        payload: Payload,
        *,
        source: str,
        tenant: str | None,
        time: datetime,
        subject: str | None = None,
        cause: Envelope | None = None,
        id: str | None = None,  # noqa: A002 - CloudEvents' own name
        topic: Topic | None = None,
    ) -> Envelope:
        """Send the message after the commit, in the order of publishing among those of its key (the tenant).

        `topic` replaces the topic of the type, for a source that is bound to a topic of its own (`topics.hr_topic`). `time` is the tenant's
        time of the event. `cause` is the message that is being handled: it gives the correlation, or else the request does. Raises
        Poison("too-large"): the message that caused it becomes a dead letter.
        """
        entry = registry.entry_of(type(payload))
        topic = topic or entry.topic
        envelope = Envelope(
            id=id or ids.new_id(),
            source=source,
            type=entry.name,
            time=time,
            tenant=tenant,
            subject=subject,
            correlation=(cause.correlation or cause.id) if cause else tracing.current_correlation(),
            causation=cause.id if cause else None,
            traceparent=(cause.traceparent if cause else None) or tracing.current_traceparent(),
        )
        value = payload.model_dump_json().encode()
        if len(value) >= topic.max_message_bytes - 4096:
            raise Poison("too-large", f"a {entry.name} of {len(value)} bytes cannot be sent: {topic.name} takes no such message")
        headers = orjson.dumps([(name, text.decode()) for name, text in envelope.headers()])
        self._outbox.append(_OutboxRow(shard_of(envelope.key), topic.name, envelope.key, tenant, headers, value))
        return envelope

    def published_to(self, topic: Topic) -> list[Payload]:
        """Return what was published to the topic, in a transaction that is rolled back to show what it would lead to."""
        rows = [row for row in self._outbox if row.topic == topic.name]
        return [registry.REGISTRY[dict(orjson.loads(row.headers))["ce_type"]].model.model_validate_json(row.value) for row in rows]

    def defer(self, statement: Executable, row: object) -> None:
        """Write `row`, an instance of a row class, at the end of the transaction, with all others of this `statement` in one round trip.

        The statement takes them as a JSON array in the order of deferring (`row_classes.recordset`). Statements run in the order of their
        first row, in the system's scope, so a row names its tenant itself. An error that a row causes fails the batch, as with `gather`.
        """
        self._deferred.append((statement, row))

    def gather(self, work: BatchWork, item: object) -> None:
        """Run `work` once for all items gathered in this scope, in their order, at the end of the transaction or savepoint.

        So reading and writing many rows takes one round trip for the batch, not one for each message. An error fails the batch: the
        consumer then repeats it with a savepoint for each message, in which `work` gets the items of that message only.
        """
        self._gathered.setdefault((self._scope, work), []).append(item)

    async def run_pending(self) -> None:
        """Run the gathered work and write the deferred rows now: an error that the data causes is raised here, not at the end."""
        await self.run_gathered()
        await self._write_deferred()

    def take_over(self, other: "UnitOfWork") -> None:
        """Publish and write here what another one has collected."""
        self._outbox += other._outbox
        self._deferred += other._deferred

    async def run_gathered(self) -> None:
        """Run the gathered work, and what it gathers itself."""
        while self._gathered:
            gathered, self._gathered = self._gathered, {}
            for (scope, work), items in gathered.items():
                await self.scope(None if scope == SYSTEM else scope)
                await work(self, items)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Roll back the rows, messages and scope of the block if an exception leaves it; the exception reaches the caller."""
        scope, collected, deferred, gathered, locks = self._scope, len(self._outbox), self._deferred, self._gathered, self._locks
        self._deferred, self._gathered = [], {}
        # All savepoints have one name: an inner one hides the outer one until it ends, and one name is one prepared statement.
        await self.connection.exec_driver_sql("SAVEPOINT s")
        try:
            yield
            await self.run_pending()
        except Exception:
            await self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT s")
            await self.connection.exec_driver_sql("RELEASE SAVEPOINT s")
            self._scope, self._locks = scope, locks
            self.rollbacks += 1
            del self._outbox[collected:]
            raise
        finally:
            self._deferred, self._gathered = deferred, gathered
        await self.connection.exec_driver_sql("RELEASE SAVEPOINT s")

    async def flush(self) -> None:
        """Run the gathered work, write the deferred rows, and then insert the published messages, so that their keys are locked briefly."""
        await self.run_pending()
        if not self._outbox:
            return
        locks = sorted({lock_number("outbox", key) for key in {row.key for row in self._outbox}})
        await self.connection.exec_driver_sql(_LOCK_KEYS, (locks,))
        for begin in range(0, len(self._outbox), _ROWS_AT_ONCE):
            columns = tuple(list(column) for column in zip(*self._outbox[begin : begin + _ROWS_AT_ONCE], strict=True))
            await self.connection.exec_driver_sql(_INSERT, columns)
        self._outbox.clear()

    async def _write_deferred(self) -> None:
        if not self._deferred:
            return
        by_statement: dict[Executable, list[object]] = {}
        for statement, row in self._deferred:
            by_statement.setdefault(statement, []).append(row)
        self._deferred.clear()
        await self.scope(None)
        for statement, rows in by_statement.items():
            data = orjson.dumps(rows)
            if b"\\u0000" in data:
                data = orjson.dumps(_without_nul(orjson.loads(data)))
            await self.connection.execute(statement, {"rows": data.decode()})


def _without_nul(value: object) -> object:
    """Return the value without NUL characters, which PostgreSQL's texts cannot hold."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case _:
            return value


@lru_cache(maxsize=1_024)  # of a tenant, for each message
def shard_of(key: bytes) -> int:
    return lock_number("shard", key) % SHARDS
