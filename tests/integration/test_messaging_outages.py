"""Broker or database gone in the middle of work, and back: everything drains, nothing is lost, nothing counts twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local import ports, postgres
from deploy.local.kafka import Broker
from deploy.local.postgres import Server
from deploy.local.supervisor import Supervisor
from shared.database import Database
from shared.kafka import create_topics, make_producer
from shared.messaging import Relay
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.support.messaging import NOON, Rig, facts, left, make_tables
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]

TENANTS = ["acme", "globex", "initech"]


@pytest.fixture
async def own_stack(tmp_path: Path) -> AsyncIterator[tuple[Supervisor, Rig]]:
    """A broker and a server of this test's own, which it may take away."""
    broker = Broker(tmp_path / "kafka", ports.pick(), ports.pick())
    server = Server(tmp_path / "postgres", ports.pick(), durable=True)
    with (tmp_path / "log").open("a") as lines:
        supervisor = Supervisor([broker.part(), server.part()], lambda name, line: print(name, line, file=lines))
        await supervisor.start()
        try:
            kafka = KafkaSettings(kafka_bootstrap=broker.bootstrap, seats_partitions=4)
            await create_topics(kafka)
            await postgres.ensure_role(server.url, "outage", "pw")
            await postgres.ensure_database(server.url, "outage", "outage")
            url = postgres.database_url(server.url, "outage", user="outage", password="pw")
            await make_tables(url)
            database = Database(url, application_name="test")
            producer = make_producer(kafka)
            await producer.start()
            yield supervisor, Rig(database, kafka, producer)
            await producer.stop()
            await database.dispose()
        finally:
            await supervisor.stop()


@pytest.mark.parametrize("gone", ["kafka", "postgres"])
async def test_messages_under_way_during_an_outage_are_processed_after_it(own_stack: tuple[Supervisor, Rig], gone: str) -> None:
    supervisor, rig = own_stack
    name = next(part for part in supervisor.names() if gone in part)
    expected = {tenant: [f"{tenant}-{number}" for number in range(120)] for tenant in TENANTS}
    going_away = asyncio.Event()

    async def publish(tenant: str) -> None:
        """Writers that are refused try again, as a client would; the same message id, as an API's idempotency gives."""
        for number, said in enumerate(expected[tenant]):
            if number == 40:
                going_away.set()
            while True:
                try:
                    async with rig.database.unit_of_work(tenant) as uow:
                        uow.publish(left(said), source="hr/test", tenant=tenant, time=NOON, id=f"m-{said}")
                    break
                except Exception:
                    await asyncio.sleep(0.1)

    async def outage() -> None:
        await going_away.wait()
        await supervisor.down(name)
        await asyncio.sleep(3)  # the outage itself
        supervisor.up(name)

    async with rig.running(rig.consumer(topics.HR_EVENTS, batch_max=20), Relay(database=rig.database, kafka=rig.kafka)):
        await asyncio.gather(outage(), *(publish(tenant) for tenant in TENANTS))
        await wait_until(lambda: _count(rig), what="all facts")
    found = await facts(rig.database)
    assert {tenant: [said for said in found if said.startswith(tenant)] for tenant in TENANTS} == expected


async def _count(rig: Rig) -> bool:
    try:
        return len(await facts(rig.database)) >= 360
    except Exception:
        return False
