"""Kafka clients as every service makes them, and the explicit step that creates the topics. Imports no database, so seats and the
command line use it alone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import stamina
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    TopicAlreadyExistsError,
)
from aiokafka.partitioner import murmur2

from shared import kafka_clients, record_batches
from shared.errors import SeatpoolError, Transient
from shared.schemas.topics import TOPICS, Topic
from shared.settings import KafkaSettings

log = structlog.get_logger(__name__)

# Before any client is made, also Faust's: bounded codecs, and neither a batch that cannot be read nor a broken connection ends a reader.
record_batches.replace_in_aiokafka()
kafka_clients.replace_in_aiokafka()

START_TIMEOUT_SECONDS = 120  # how long a start waits for a broker
STOP_TIMEOUT_SECONDS = 5
PARTITIONS_TIMEOUT_SECONDS = 30
ENDS_TIMEOUT_SECONDS = 20
MIN_IN_SYNC = 2
_NO_METADATA = "Unable to get cluster metadata"  # of AIOKafkaClient.fetch_all_metadata, when no broker answers


class TopicsDiffer(SeatpoolError):
    """A topic exists with other partitions or settings than the list says. Only a person should correct that."""


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition as Kafka's default does: murmur2 of the key, made positive, modulo the number of partitions."""
    return (int(murmur2(key)) & 0x7FFFFFFF) % partitions


def make_producer(kafka: KafkaSettings, **options: Any) -> AIOKafkaProducer:
    """Return a producer: idempotent, acks=all, murmur2. It is not started. After a failed send make a new one: its sequence numbers may
    have been used."""
    options = {"enable_idempotence": True, "acks": "all", "linger_ms": 0, "max_batch_size": 256 * 1024} | options
    return AIOKafkaProducer(**kafka.client_options(), **options)


def make_reader(kafka: KafkaSettings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that never commits, never guesses where to start, and sees no record of an open or aborted transaction. The end
    of a partition is then the beginning of its first open transaction. The consumer is not started."""
    options = {"enable_auto_commit": False, "auto_offset_reset": "none", "isolation_level": "read_committed"} | options
    return AIOKafkaConsumer(*topics, **kafka.client_options(), **options)


@asynccontextmanager
async def started(client: Any, timeout_seconds: float | None = START_TIMEOUT_SECONDS) -> AsyncIterator[Any]:
    """Start a client, and stop it at the end of the block. Wait for a broker that does not answer yet. Raises Transient."""
    try:
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=timeout_seconds):
            with attempt:
                try:
                    await start(client)
                except (KafkaConnectionError, OSError) as error:
                    raise Transient(f"broker: {error}") from error
        yield client
    finally:
        await stop(client)


async def start(client: Any) -> None:
    """Start the client. A task that is cancelled meanwhile waits for the end of the start: aiokafka leaves the connection of a start open
    that was given up half way, and no `stop` closes it."""
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await starting
        raise


async def stop(client: Any) -> None:
    """Stop the client, but do not wait for a broker that is gone: what was not acknowledged is sent or read again anyway."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
    except (KafkaError, TimeoutError) as error:
        log.warning("client_stop_failed", error=repr(error))


async def create_topics(kafka: KafkaSettings, topics: tuple[Topic, ...] = TOPICS) -> list[str]:
    """Create missing topics, check the others, and return the names of the created ones. Raises TopicsDiffer."""
    async with started(AIOKafkaAdminClient(**kafka.client_options())) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if kafka.topic_name(topic) not in existing]
        if missing:
            # Another process may create the same topics at the same time: then they are checked below like any others.
            response = await admin.create_topics([_new_topic(kafka, topic) for topic in missing])
            for name, code, *_ in response.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise SeatpoolError(f"topic {name} was not created: error {code}")
        await _wait_until_known(admin, kafka, topics)
        await _check(admin, kafka, topics)
    log.info("topics_checked", created=[topic.name for topic in missing], existing=len(topics) - len(missing))
    return [kafka.topic_name(topic) for topic in missing]


def _new_topic(kafka: KafkaSettings, topic: Topic) -> NewTopic:
    return NewTopic(kafka.topic_name(topic), kafka.partitions(topic), kafka.kafka_replication, topic_configs=_config(kafka, topic))


def _config(kafka: KafkaSettings, topic: Topic) -> dict[str, str]:
    return topic.config() | {"min.insync.replicas": str(min(MIN_IN_SYNC, kafka.kafka_replication))}


async def _wait_until_known(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: tuple[Topic, ...]) -> None:
    """Wait until every broker knows the topics: a topic is created before that."""
    wanted = {kafka.topic_name(topic) for topic in topics}
    async with asyncio.timeout(PARTITIONS_TIMEOUT_SECONDS):
        while True:
            described = await admin.describe_topics(sorted(wanted))
            if wanted <= {t["topic"] for t in described if t["error_code"] == 0 and t["partitions"]}:
                return
            await asyncio.sleep(0.05)  # the broker sends no notice when it is done


async def _check(admin: AIOKafkaAdminClient, kafka: KafkaSettings, topics: tuple[Topic, ...]) -> None:
    differences = []
    described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics([kafka.topic_name(t) for t in topics])}
    resources = [ConfigResource(ConfigResourceType.TOPIC, kafka.topic_name(topic)) for topic in topics]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for resource in response.resources:
            configs[resource[3]] = {entry[0]: entry[1] for entry in resource[4]}
    for topic in topics:
        name = kafka.topic_name(topic)
        if described[name] != kafka.partitions(topic):
            differences.append(f"{name} has {described[name]} partitions, expected {kafka.partitions(topic)}")
        differences += [
            f"{name}: {key} is {configs[name].get(key)}, expected {value}"
            for key, value in _config(kafka, topic).items()
            if configs[name].get(key) != value
        ]
    if differences:
        raise TopicsDiffer("; ".join(differences))


def is_transient(error: KafkaError) -> bool:
    """Tell whether a retry can help. aiokafka marks only errors of the broker as retriable, not those of its own client."""
    no_metadata = type(error) is KafkaError and _NO_METADATA in str(error)
    return bool(error.retriable) or isinstance(error, KafkaConnectionError | KafkaTimeoutError | KafkaUnavailableError) or no_metadata


@contextmanager
def translated() -> Iterator[None]:
    """Raise the transient errors of Kafka as Transient."""
    try:
        yield
    except IllegalStateError as error:
        raise Transient(f"broker: the partition is being taken away: {error}") from error
    except KafkaError as error:
        if is_transient(error):
            raise Transient(f"broker: {error!r}") from error
        raise
    except asyncio.CancelledError as error:
        # aiokafka cancels the requests that it gives up (Fetcher._proc_offset_requests). Taken for our own cancellation, it would leave
        # a partition or the whole group unread, and nobody would notice.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Transient("broker: the client gave up a request") from error


class Ends:
    """Where partitions end. By a client of its own, kept for the next question: a broker answers each connection in order, so the
    reader's question would wait for its long poll, and a new client for each would cost more than the question. After a question that
    was not answered the next one has a new client, so no client that is broken for good stays."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client: AIOKafkaConsumer | None = None
        self._questions: Counter[AIOKafkaConsumer] = Counter()  # under way
        self._starting = asyncio.Lock()

    async def of(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset that the next record of each partition will have. Raises Transient."""
        if not partitions:
            return {}
        async with self._asked() as client:
            ends: dict[TopicPartition, int] = await client.end_offsets(list(partitions))
            return ends

    async def knows(self, topic: str) -> bool:
        """Tell whether a topic of this name exists. Raises Transient."""
        async with self._asked() as client:
            return topic in await client.topics()

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[AIOKafkaConsumer]:
        try:
            with translated():
                async with asyncio.timeout(ENDS_TIMEOUT_SECONDS), self._question(await self._started()) as client:
                    yield client
        except TimeoutError as error:
            raise Transient("broker: no answer in time") from error

    @asynccontextmanager
    async def _question(self, client: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
        self._questions[client] += 1
        try:
            yield client
        except BaseException:
            if client is self._client:
                self._client = None
            raise
        finally:
            self._questions[client] -= 1
            if client is not self._client and not self._questions[client]:
                del self._questions[client]
                await stop(client)

    async def _started(self) -> AIOKafkaConsumer:
        async with self._starting:  # two questions at once start one client
            if self._client is None:
                client = make_reader(self._kafka)
                try:
                    await start(client)
                except BaseException:
                    await stop(client)
                    raise
                self._client = client
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await stop(client)
