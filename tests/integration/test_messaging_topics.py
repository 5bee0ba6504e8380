"""Topics are made by an explicit step from one list, which checks what is there already."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from shared.kafka import Ends, TopicsDiffer, create_topics, partition_of, started
from shared.kafka_clients import ClientTaskEnded, tasks_of
from shared.messaging.watchdog import Stalled
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.support.messaging import Rig, left
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack


async def test_creating_topics_twice_creates_them_once(kafka_settings: KafkaSettings) -> None:
    assert await create_topics(kafka_settings) == []


async def test_two_processes_that_create_topics_at_once_agree(kafka_bootstrap: str) -> None:
    kafka = KafkaSettings(kafka_bootstrap=kafka_bootstrap, kafka_topic_prefix="both.", seats_partitions=2)
    created = await asyncio.gather(create_topics(kafka), create_topics(kafka))
    assert set().union(*created) == {kafka.topic_name(topic) for topic in topics.TOPICS}


async def test_a_topic_with_other_partitions_is_named_and_left_alone(kafka_settings: KafkaSettings) -> None:
    """More partitions would send a tenant's next commands to another worker than the last."""
    name = kafka_settings.topic_name(topics.SEATS_COMMANDS)
    async with started(AIOKafkaAdminClient(**kafka_settings.client_options())) as admin:
        await admin.create_partitions({name: NewPartitions(total_count=6)})

        async def has_six() -> bool:
            (described,) = await admin.describe_topics([name])
            return len(described["partitions"]) == 6

        await wait_until(has_six, what="the broker tells of them")
    with pytest.raises(TopicsDiffer, match=f"{name} has 6 partitions, expected 4"):
        await create_topics(kafka_settings)


async def test_a_topic_whose_retention_is_too_short_is_named(kafka_settings: KafkaSettings) -> None:
    name = kafka_settings.topic_name(topics.SEATS_EVENTS)
    async with started(AIOKafkaAdminClient(**kafka_settings.client_options())) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000"})])

        async def differs() -> bool:
            try:
                await create_topics(kafka_settings)
            except TopicsDiffer as error:
                return f"{name}: retention.ms is 1000, expected -1" in str(error)
            return False

        await wait_until(differs, what="the difference is named")


@pytest.mark.parametrize(("key", "partition"), [(b"acme", 0), (b"globex", 3), (b"initech", 2), (b"", 1)])
async def test_keys_have_the_partitions_of_kafkas_default(rig: Rig, key: bytes, partition: int) -> None:
    """The producer's own choice beside ours, which `at_end` and the relay count on."""
    sent = await rig.producer.send_and_wait(rig.kafka.topic_name(topics.HR_EVENTS), b"{}", key=key)
    assert (sent.partition, partition_of(key, 4)) == (partition, partition)


async def test_the_watchdog_ends_a_consumer_that_has_messages_and_does_nothing_and_the_next_one_goes_on(rig: Rig) -> None:
    async def hang(_message: object) -> None:
        await asyncio.Event().wait()

    rig.handled.before = hang
    await rig.send(left("p1"))
    async with rig.running(rig.consumer(stall_seconds=1.0)) as (task,):
        with pytest.raises(Stalled, match="1 messages wait"):
            await asyncio.wait_for(asyncio.shield(task), 60)
    rig.handled.before = None
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(1) == ["p1"]


async def test_a_task_of_the_client_that_ends_ends_the_consumer(rig: Rig) -> None:
    consumer = rig.consumer()
    async with rig.running(consumer) as (running,):
        await rig.send(left("p1"))
        await rig.until_facts(1)
        tasks = tasks_of(consumer._reader)
        assert [task.done() for task in tasks] == [False, False, False]
        tasks[1].cancel()
        with pytest.raises(ClientTaskEnded, match="_fetch_requests_routine"):
            await asyncio.wait_for(asyncio.shield(running), 60)


async def test_a_task_that_is_cancelled_while_a_client_starts_leaves_no_connection_open(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[AIOKafkaConnection] = []
    asked, go, send = asyncio.Event(), asyncio.Event(), AIOKafkaConnection.send

    async def held(connection: AIOKafkaConnection, request: Any, **options: Any) -> Any:
        connections.append(connection)
        if isinstance(request, MetadataRequest):
            asked.set()
            await go.wait()
        return await send(connection, request, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", held)
    ends = Ends(kafka_settings)
    question = asyncio.create_task(ends.of([TopicPartition("some", 0)]))
    await asked.wait()
    question.cancel()
    asyncio.get_running_loop().call_soon(go.set)
    with pytest.raises(asyncio.CancelledError):
        await question
    assert [connection for connection in connections if connection.connected()] == []
