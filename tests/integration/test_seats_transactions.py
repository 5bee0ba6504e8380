"""Transactions on the command topic: what was aborted is decided by nobody, and markers end no worker, in both lanes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiokafka import TopicPartition

from services.seats.engine.faust.consumer import SeatsThread
from services.seats.engine.lane import Lane
from services.seats.replay.replay import Replay
from shared.kafka import make_reader, started
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.support.keys import bearer, published_keys
from tests.support.seats import Commands, WorkerProcess, answered, commands_to, supervised, verified
from tests.support.transactions import transaction, transactional
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack


async def idle(worker: WorkerProcess) -> dict[str, Any] | None:
    """Return the worker's idle check of the tenant, once the worker has read to the end of the topic."""
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.get(f"{worker.url}/v1/tenants/acme/idle", headers=bearer(None, "operator"))
        except httpx.TransportError:
            return None
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == 200 and found["idle"] else None


@pytest.mark.parametrize("lane", list(Lane))
async def test_worker_replay_and_verify_skip_markers_and_aborted_commands(
    kafka_settings: KafkaSettings, tmp_path: Path, lane: Lane
) -> None:
    with published_keys() as users_url:
        worker = WorkerProcess.make(kafka_settings, tmp_path, seats_lane=lane, users_url=users_url)
        try:
            async with transactional(kafka_settings) as producer, commands_to(kafka_settings) as commands, supervised(worker):
                partition, _ = await commands.open("acme", licences=9)
                end = await _all_kinds_of_transactions(kafka_settings, producer)
                found = await wait_until(lambda: idle(worker), what="the end of the topic")
                assert found is not None
                assert found["position"]["offset"] < end - 1, "nothing is decided at the end"
                async with httpx.AsyncClient(timeout=30) as client:  # a position without a command can be waited for as well
                    url = f"{worker.url}/v1/tenants/acme/pools/time?after={partition}-{end - 1}"
                    assert (await client.get(url, headers=bearer("acme", "account:read"))).status_code == 200
                worker.stop()  # and it starts again in front of the last marker
                await answered(kafka_settings, await commands.assign("acme", "u9", "time"))
        finally:
            worker.kill()
    assert worker.logged("fail_stop") == []
    report = await verified(kafka_settings)
    assert report["verified"], report
    replay = Replay(kafka_settings)
    assert await replay.compare("acme") > 0
    users = sorted(key.partition("|")[2] for key in await replay.state("acme") if key.partition("|")[2].startswith(("u", "ghost")))
    assert users == ["u1", "u2", "u3", "u4", "u9"]


class Passed:
    """In place of the engine: what the client's thread tells it."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.hidden: dict[int, int] = {}

    def passed_over(self, partition: int, begin: int, end: int) -> None:
        self.offsets += range(begin, end)


async def test_a_poll_that_is_cut_in_front_of_a_marker_leaves_no_gap_to_the_engine(kafka_settings: KafkaSettings) -> None:
    """With the real client, wherever polls are cut, each offset is a record's or is told as passed over, once."""
    async with transactional(kafka_settings) as producer, commands_to(kafka_settings) as commands:
        partition, first = await commands.open("acme")
        end = await _all_kinds_of_transactions(kafka_settings, producer)
    tp = TopicPartition(kafka_settings.topic_name(topics.SEATS_COMMANDS), partition)
    async with started(make_reader(kafka_settings, group_id=None)) as client:
        client.assign([tp])
        for max_records in (1, 2, 3, 4, None):
            client.seek(tp, first)
            thread: Any = SeatsThread.__new__(SeatsThread)
            thread.app = SimpleNamespace(engine=Passed())
            thread.consumer = SimpleNamespace(_is_changelog_tp=lambda _: False, flow_active=True)
            found: list[int] = []
            while await client.position(tp) < end:
                polled = await thread._fetch_records(client, {tp}, timeout=1.0, max_records=max_records)
                found += [record.offset for record in polled.get(tp, ())]
            passed = thread.app.engine.offsets
            assert sorted(found + passed) == list(range(first, end)), (max_records, found, passed)
            assert len(found) == 1 + 4, "the last of the pool's two commands, and what was committed"


async def _all_kinds_of_transactions(kafka: KafkaSettings, producer: Any) -> int:
    """Committed, aborted, without a record, and a marker as the last entry. Returns the end of the partition."""
    commands = Commands(kafka, producer)
    async with transaction(producer):
        for user in ("u1", "u2", "u3"):
            await commands.assign("acme", user, "time")
    async with transaction(producer, commit=False):
        await commands.assign("acme", "ghost-1", "time")
        await commands.assign("acme", "ghost-2", "time")
    async with transaction(producer):
        pass
    async with transaction(producer):
        await commands.assign("acme", "u4", "time")
    async with transaction(producer, commit=False):
        _, last = await commands.assign("acme", "ghost-3", "time")
    return last + 2
