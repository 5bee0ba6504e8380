"""Batches of records: a group handles each record, skips it, drops it as repeated, or keeps it as dead letter. Knows no Kafka client."""

import traceback
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import UnitOfWork
from shared.database.errors import is_of_the_data, is_transient, sqlstate
from shared.database.together import TenantsRefused, work_together
from shared.errors import Poison, Refused, Transient
from shared.messaging import inbox
from shared.messaging.dead_letters import rows as dead_letters
from shared.messaging.dead_letters.rows import NewLetter, Status
from shared.messaging.message import Handler, Message, Record
from shared.observability import metrics
from shared.observability.tracing import continued
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.topics import Topic

log = structlog.get_logger(__name__)

Admit = Callable[[Envelope, Topic], Awaitable[None]]
TenantExists = Callable[[AsyncConnection, str], Awaitable[bool]]

TENANTS_TOGETHER = 100  # more at once would delay requests to the same process


class HandlerRefused(Exception):
    """A handler refused a message that was handled without a savepoint: the batch is rolled back and taken again, carefully."""

    def __init__(self, tenants: frozenset[str] | None = None) -> None:
        """`tenants`: those with which care is needed; None: with all."""
        super().__init__("a message was refused")
        self.tenants = tenants


@dataclass(slots=True)
class Item:
    """One record on its way through a batch: exactly one of message, poison and skipped is set.

    It can also stand for a run of `records` equal ones at consecutive offsets, none of which has a readable source and id. They cannot be
    told apart, so the result of the first holds for all. One megabyte can hold a million of them.
    """

    record: Record
    envelope: Envelope | None = None
    message: Message | None = None
    poison: Poison | None = None
    skipped: str | None = None  # why: unknown-type | not-wanted
    order: tuple[int, int] | None = None  # of a decision that was read and that agrees with its id: (command offset, n)
    may_block: bool = True  # its tenant, as a dead letter
    records: int = 1

    def takes(self, record: Record) -> bool:
        """Is this record the next one of the run?"""
        first = self.record
        return (
            self.envelope is None
            and record.offset == first.offset + self.records
            and (record.key, record.headers, record.value) == (first.key, first.headers, first.value)
            and first.identity() is None
        )

    def refuse(self, poison: Poison, *, may_block: bool = True) -> None:
        self.poison, self.message, self.order, self.may_block = poison, None, None, may_block

    @property
    def tenant(self) -> str | None:
        return self.envelope.tenant if self.envelope else self.record.tenant_of_key()

    @property
    def inbox_key(self) -> inbox.Key | None:
        if self.envelope is None or not self.record.topic.outbox_fed:
            return None
        # A message that another writer sent to another topic in the name of a bound source is refused, and does not count as the source's.
        topic = self.record.topic
        source = self.envelope.source if topic.like is None else f"{topic.name} {self.envelope.source}"
        return source, self.envelope.id


@dataclass(frozen=True, slots=True)
class Care:
    """The tenants whose messages get a savepoint each."""

    tenants: frozenset[str] | None = frozenset()  # None: all

    def more(self, refused: HandlerRefused) -> "Care":
        return Care(None if self.tenants is None or refused.tenants is None else self.tenants | refused.tenants)

    def __contains__(self, item: Item) -> bool:
        return self.tenants is None or item.tenant in self.tenants


@dataclass(slots=True)
class Tally:
    """The result of a batch. It is counted after the commit, because a repeated batch would count twice."""

    handled: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    dead: list[NewLetter] = field(default_factory=list)

    def skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def keep(self, item: Item, poison: Poison, *, blocks: bool = False, status: Status = Status.OPEN) -> None:
        self.dead.append(NewLetter(item.record, item.records, item.envelope, poison, item.tenant, blocks, status))

    def handle(self, type_: str) -> None:
        self.handled[type_] = self.handled.get(type_, 0) + 1


@dataclass(slots=True)
class _Letters:
    """The dead letters that concern a batch: those of its tenants, and those before it."""

    blocked: set[str]
    known: set[dead_letters.Identity]
    exists: dict[str, bool] = field(default_factory=dict)  # tenants that were asked for

    def is_repeated(self, record: Record, *, blocks: bool) -> bool:
        """Tell whether there is a dead letter of the same source and id, and remember this one."""
        found = record.identity()
        if found is None:
            return False
        identity = (*found, blocks)
        repeated = identity in self.known
        self.known.add(identity)
        return repeated


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise as Poison what a handler or the database refuses, and the errors that the data causes."""
    try:
        yield
    except Refused as error:
        raise Poison(error.type, error.detail, rule=f"refused: {error.type}") from error
    except DBAPIError as error:
        if is_of_the_data(error):
            raise Poison("database", str(error.orig), rule=f"SQLSTATE {sqlstate(error)}") from error
        raise
    except (Poison, Transient, MemoryError, SQLAlchemyError, ConnectionError, TimeoutError):
        raise
    except Exception as error:
        raise _failed("failed", error) from error


def _tenant_of(item: Item) -> str:
    return item.tenant or ""


def _failed(reason: str, error: Exception) -> Poison:
    """Return the error as Poison: it would come again after every restart. Its text may quote the message."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Poison(reason, repr(error), rule=f"{type(error).__name__} at {last.filename}:{last.lineno}")


class Group:
    """A consumer group: its topics and handlers.

    `tenant_exists`: given where the order of a tenant's messages matters (invoices, the action log): messages behind a dead letter of an
    existing tenant wait. `genuine`: the types that an operator does not discard by mistake (default: all handled ones). `together`: the
    messages of different tenants in a batch are handled together (`shared.database.together`).
    """

    def __init__(
        self,
        name: str,
        topics: Sequence[Topic],
        handlers: Mapping[type[Payload], Handler],
        admit: Admit | None = None,
        *,
        tenant_exists: TenantExists | None = None,
        genuine: Collection[type[Payload]] | None = None,
        together: bool = False,
    ) -> None:
        for model in handlers:
            assert registry.entry_of(model).topic in topics, f"{name} handles {model.__name__} and does not read its topic"
        self.name, self.topics, self.admit, self.tenant_exists = name, tuple(topics), admit, tenant_exists
        self.handlers = {registry.type_of(model): handler for model, handler in handlers.items()}
        self._genuine = tuple(handlers if genuine is None else genuine)
        self._together = together

    async def read(self, record: Record) -> Item:
        """Decode a record without the database: an unreadable one is poison, and a type without a handler is skipped undecoded."""
        item = Item(record)
        try:
            item.envelope = envelope = record.envelope()
            if record.topic.source is not None and envelope.source != record.topic.source:
                detail = f"ce_source is {envelope.source!r}, expected {record.topic.source!r}, the owner of {record.topic.name}"
                raise Poison("wrong_source", detail, rule="ce_source: the topic's owner")
            entry = registry.REGISTRY.get(envelope.type)
            if entry is None:
                item.skipped = "unknown-type"
            elif entry.topic.name != (record.topic.like or record.topic.name):
                raise Poison("topic", f"{envelope.type} belongs on {entry.topic.name}", rule="ce_type: a type of this topic")
            elif envelope.type not in self.handlers:
                item.skipped = "not-wanted"
            else:
                await self._read_wanted(item, envelope)
        except Poison as poison:
            item.refuse(poison, may_block=item.may_block)
        except (Transient, MemoryError):
            raise
        except Exception as error:
            item.refuse(_failed("unreadable", error), may_block=item.may_block)
        return item

    async def _read_wanted(self, item: Item, envelope: Envelope) -> None:
        record = item.record
        if record.key != envelope.key:
            tenant = "ce_tenantid is missing" if envelope.tenant is None else f"ce_tenantid is {envelope.tenant!r}"
            detail = f"key is {record.key!r}, but {tenant}: both have to be the id of the tenant"
            raise Poison("key", detail, rule="key: ce_tenantid")
        id_ = None
        if not record.topic.outbox_fed and (id_ := record.decision_id()) is None:
            detail = f"id is {envelope.id!r}, expected that of a decision about a command of partition {record.partition}"
            raise Poison("position", detail, rule="ce_id: a decision id of this partition")
        message = record.message(envelope)
        if id_ is not None:
            position = getattr(message.payload, "position", None)
            if position != id_.position:
                item.may_block = False
                raise Poison("position", f"position is {position!r}, the id says {id_}", rule="position: that of ce_id")
        if self.admit is not None:
            await self.admit(envelope, record.topic)
        item.message, item.order = message, id_.order if id_ else None

    def names_command(self, item: Item) -> int | None:
        """Return the offset of the command that a decision names, if the command must exist: the decision would move the watermark, or
        block a tenant because it cannot be read."""
        if item.order is not None:
            return item.order[0]
        may_block = self.tenant_exists is not None and item.poison is not None and item.may_block
        if not may_block or item.record.topic.outbox_fed or item.record.blocked_tenant() is None:
            return None
        id_ = item.record.decision_id()
        return id_.offset if id_ is not None else None

    def is_genuine(self, item: Item) -> bool:
        """Tell whether the owner of its topic wrote this message, this version can read it, and its type matters here."""
        return item.message is not None and item.record.topic.source is not None and isinstance(item.message.payload, self._genuine)

    async def apply(
        self, uow: UnitOfWork, items: Sequence[Item], watermark: tuple[int, int], *, care: Care
    ) -> tuple[tuple[int, int], Tally]:
        """Handle a batch of one partition within the transaction; returns the watermark after it.

        The first pass takes no savepoints, because a savepoint costs two round trips for every message and one message in many thousands is
        refused; a handler that refuses ends that pass (HandlerRefused), and the next one takes a savepoint for each message of its tenant.
        """
        tally = Tally()
        todo, watermark = await self._not_seen(uow, items, watermark, tally)
        # With care any of them may become a dead letter.
        known = await dead_letters.known(uow, self.name, [item.record for item in todo if item in care or item.poison])
        letters = _Letters(await self._blocked_tenants(uow, todo), known)
        await self._handle_all(uow, todo, letters, tally, care)
        try:
            with _refusals():
                await uow.run_pending()
        except Poison as error:
            raise HandlerRefused from error
        await uow.scope(None)
        await dead_letters.add(uow, self.name, tally.dead)
        await inbox.add(uow, self.name, [key for item in todo if (key := item.inbox_key)])
        return watermark, tally

    async def _handle_all(self, uow: UnitOfWork, todo: Sequence[Item], letters: _Letters, tally: Tally, care: Care) -> None:
        """Handle the messages tenant by tenant, each in its order: between tenants there is none, and each change of the scope is a round
        trip."""
        together: dict[str, list[Item]] = {}
        for tenant, group in groupby(sorted(todo, key=_tenant_of), key=_tenant_of):
            some = list(group)
            if self._together and tenant not in ("", *letters.blocked) and not any(item.poison or item in care for item in some):
                together[tenant] = some
                continue
            for item in some:
                await self._handle_or_keep(uow, item, letters, tally, careful=item in care)
        tenants = list(together)
        for begin in range(0, len(tenants), TENANTS_TOGETHER):
            some_tenants = tenants[begin : begin + TENANTS_TOGETHER]
            try:
                await work_together(uow, {tenant: partial(self._handle_in_order, together[tenant], tally) for tenant in some_tenants})
            except TenantsRefused as refused:
                raise HandlerRefused(refused.tenants) from refused

    async def _handle_in_order(self, items: Sequence[Item], tally: Tally, uow: UnitOfWork) -> None:
        """Handle the messages of one tenant. Raises TenantsRefused."""
        try:
            for item in items:
                assert item.message is not None
                await self.handle(uow, item.message, savepoint=False)
                tally.handle(item.message.envelope.type)
            with _refusals():
                await uow.run_gathered()
        except Poison as error:
            raise TenantsRefused(frozenset()) from error

    async def _not_seen(
        self, uow: UnitOfWork, items: Sequence[Item], watermark: tuple[int, int], tally: Tally
    ) -> tuple[list[Item], tuple[int, int]]:
        """Return the records that are left to handle, and the watermark after the batch."""
        seen = await inbox.known(uow, self.name, {key for item in items if (key := item.inbox_key) and not item.skipped})
        todo = []
        for item in items:
            if item.skipped:
                tally.skip(item.skipped)
                continue
            if (key := item.inbox_key) is not None:
                if key in seen:
                    tally.skip("repeated")
                    continue
                seen.add(key)
            elif item.order is not None:
                if item.order <= watermark:
                    tally.skip("repeated")
                    continue
                watermark = item.order
            todo.append(item)
        return todo, watermark

    async def _blocked_tenants(self, uow: UnitOfWork, items: Sequence[Item]) -> set[str]:
        if self.tenant_exists is None:
            return set()
        return await dead_letters.blocked_tenants(uow, self.name, {item.tenant for item in items if item.tenant})

    async def _handle_or_keep(self, uow: UnitOfWork, item: Item, letters: _Letters, tally: Tally, *, careful: bool) -> None:
        if item.poison is None and item.tenant in letters.blocked:
            tally.keep(item, dead_letters.BEHIND, blocks=True, status=Status.WAITING)
            return
        poison = item.poison
        if poison is None:
            assert item.message is not None
            try:
                await self.handle(uow, item.message, savepoint=careful)
            except Poison as error:
                if not careful:
                    raise HandlerRefused from error
                poison = error
            else:
                tally.handle(item.message.envelope.type)
                return
        tenant = await self._tenant_to_block(uow, item, letters)
        if letters.is_repeated(item.record, blocks=tenant is not None):
            tally.skip("repeated")
        elif tenant is None:
            tally.keep(item, poison)
        else:
            waits = tenant in letters.blocked or await dead_letters.is_blocked(uow, self.name, tenant)
            letters.blocked.add(tenant)
            tally.keep(item, poison, blocks=True, status=Status.WAITING if waits else Status.OPEN)

    async def _tenant_to_block(self, uow: UnitOfWork, item: Item, letters: _Letters) -> str | None:
        """Return the tenant whose later messages wait behind this one."""
        if self.tenant_exists is None or not item.may_block:
            return None
        tenant = item.record.blocked_tenant()
        if tenant is None:
            return None
        if tenant not in letters.exists:
            await uow.scope(None)
            letters.exists[tenant] = await self.tenant_exists(uow.connection, tenant)
        return tenant if letters.exists[tenant] else None

    async def handle(self, uow: UnitOfWork, message: Message, *, savepoint: bool) -> None:
        """Run the handler in the message's scope, trace and log context. What it or the database refuses is Poison."""
        envelope = message.envelope
        handler = self.handlers[envelope.type]
        with continued(envelope.traceparent, tenant=envelope.tenant, correlation=envelope.correlation or envelope.id, message=envelope.id):
            try:
                with _refusals():
                    await uow.scope(envelope.tenant)
                    if savepoint:
                        async with uow.savepoint():
                            await handler(uow, message)
                    else:
                        await handler(uow, message)
            except DBAPIError as error:
                if not is_transient(error):
                    log.exception("handler_failed", topic=message.topic.name, partition=message.partition, offset=message.offset)
                raise

    def count(self, topic: Topic, tally: Tally) -> None:
        """Count and log what a committed batch did."""
        for type_, number in tally.handled.items():
            metrics.HANDLED.labels(self.name, type_).inc(number)
        for why, number in tally.skipped.items():
            metrics.SKIPPED.labels(self.name, why).inc(number)
        for letter in tally.dead:
            metrics.DEAD_LETTERS.labels(self.name, topic.name, letter.poison.reason).inc(letter.records)
            log.warning(
                "dead_letter",
                group=self.name,
                topic=topic.name,
                partition=letter.record.partition,
                offset=letter.record.offset,
                records=letter.records,
                tenant=letter.tenant,
                type=letter.envelope.type if letter.envelope else None,
                reason=letter.poison.reason,
                rule=letter.poison.rule,  # not the detail: it may quote what the message holds
            )
