"""Bind a source to a topic of its own, and unbind it. Since records have an order within one topic only, both wait until the source's
earlier records are read."""

import asyncio

from services.users.store import hr_sources as store
from services.users.store.hr_sources import HrSource
from shared.database import Database, UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.messaging import Consumer
from shared.schemas import topics
from shared.schemas.topics import HR_EVENTS, Topic

READ_SECONDS_MAX = 5.0  # how long to wait until the records in the topic are read
READ_POLL_SECONDS = 0.1
NAMED_MAX = 20  # sources that a refusal names
TENANTS_READ_MAX = 10_000


async def bind(database: Database, consumer: Consumer, source: str, name: str) -> None:
    """Bind the source. Its row is locked meanwhile, so none of its facts arrives by REST. Raises Invalid for a source that is not on the
    allow-list, Conflict, Transient."""
    topic = topics.hr_topic(name)
    async with database.unit_of_work(None) as uow:
        if await store.get(uow.connection, source) is None:
            raise Invalid("body.source", source, await _listed(uow))
        found, holder = await store.lock(uow.connection, source), await store.of_topic(uow.connection, name)
        if found.topic == name:
            return
        if found.topic is not None:
            raise Conflict("source-bound", f"{source} is already bound to {topics.hr_topic(found.topic).name}. Unbind it first.")
        if holder is not None:
            raise Conflict("topic-bound", f"The topic {topic.name} already belongs to {holder.source}. Choose another name.")
        if not await consumer.is_readable(topic):
            detail = (
                f"The topic {topic.name} does not exist, or was created again after users had read it. Create one with `seatpool hr bind`."
            )
            raise Conflict("topic-missing", detail)
        await _until_read(uow, consumer, found, HR_EVENTS)
        await store.bind(uow.connection, source, name)


async def _listed(uow: UnitOfWork) -> str:
    found, more = await store.page(uow.connection, None, "", NAMED_MAX, TENANTS_READ_MAX)
    names = ", ".join(each.source for each in found) + (", …" if more else "")
    return f"a source on the allow-list ({names or 'it is empty'}). Add the source first: PUT /v1/operator/sources/{{source}}"


async def unbind(database: Database, consumer: Consumer, name: str) -> HrSource:
    """Unbind the source of the topic. Raises NotFound, Conflict, Transient."""
    async with database.unit_of_work(None) as uow:
        holder = await store.of_topic(uow.connection, name)
        found = None if holder is None else await store.lock(uow.connection, holder.source)
        if found is None or found.topic != name:
            raise NotFound("bound topic")
        await _until_read(uow, consumer, found, topics.hr_topic(name))
        await store.bind(uow.connection, found.source, None)
        return found


async def _until_read(uow: UnitOfWork, consumer: Consumer, source: HrSource, topic: Topic) -> None:
    """Wait until the records that the source has written to the topic are read. The source must not write meanwhile."""
    if await store.unsent(uow.connection, source.source):
        raise Conflict(
            "topic-unread", f"Facts of {source.source} that arrived by REST are not in the topic yet. Try again in a few seconds."
        )
    ends = await consumer.ends_of(topic)
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            while not await consumer.has_read(ends):  # noqa: ASYNC110 - another process may be the one that reads
                await asyncio.sleep(READ_POLL_SECONDS)
    except TimeoutError as error:
        detail = f"The topic {topic.name} has records that users has not read yet. Stop {source.source}, wait a few seconds, and try again."
        raise Conflict("topic-unread", detail) from error
