"""Real workers on the real broker: what the topics hold after restarts, kills, poison and rebalances. Both lanes keep the same promises."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from services.seats.engine.failstop import Exit
from services.seats.engine.lane import Lane
from services.seats.replay.replay import Replay
from shared.record_batches import BATCH_BYTES_MAX
from shared.schemas import seats_v1, topics
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.schemas.topics import Topic
from shared.settings import KafkaSettings
from tests.support.seats import NOON, Commands, WorkerProcess, answered, commands_to, decisions, supervised, tenant_in, verified
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
MakeWorker = Callable[..., WorkerProcess]


@pytest.fixture(params=list(Lane), ids=str)
def make_worker(kafka_settings: KafkaSettings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeWorker]:
    made: list[WorkerProcess] = []

    def make(name: str = "worker") -> WorkerProcess:
        made.append(WorkerProcess.make(kafka_settings, tmp_path, name, seats_lane=request.param))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


async def test_every_command_is_answered_once_and_the_table_equals_the_replay_also_after_kill_9(
    kafka_settings: KafkaSettings, make_worker: MakeWorker
) -> None:
    worker = make_worker()
    worker.start()
    async with commands_to(kafka_settings) as commands:
        position = await commands.open("acme", licences=5)
        for number in range(20):
            position = await commands.assign("acme", f"u{number}", "time")
        await answered(kafka_settings, position)
        worker.kill()
        for number in range(20, 40):
            position = await commands.assign("acme", f"u{number}", "time")
        worker.start()
        # Killed again while it decides what came meanwhile.
        await wait_until(lambda: len(worker.logged("owns")) == 2, what="the take-over")
        for number in range(40, 60):
            position = await commands.assign("acme", f"u{number}", "time")
        worker.kill()
        worker.start()
        found = await answered(kafka_settings, position)
    answers = [decision for decision in found if decision.body["role"] == "answer"]
    assert [decision.body["position"]["offset"] for decision in answers] == list(range(62))
    assigned = [decision for decision in answers if decision.name == "seats_assigned"]
    assert [seat["state"] for decision in assigned for seat in decision.body["modules"]] == ["active"] * 5 + ["flagged"] * 55
    report = await verified(kafka_settings)
    assert report["verified"], report


async def test_a_clean_stop_hands_over_at_once(kafka_settings: KafkaSettings, make_worker: MakeWorker) -> None:
    worker = make_worker()
    worker.start()
    async with commands_to(kafka_settings) as commands:
        await answered(kafka_settings, await commands.open("acme"))
        assert worker.stop() == 0
        worker.start()
        await answered(kafka_settings, await commands.assign("acme", "u1", "time"))
    assert worker.stop() == 0
    entries = [orjson.loads(line) for line in worker.log.read_bytes().splitlines()]
    chatter = [entry for entry in entries if entry["level"] == "info" and (entry["event"].startswith("[^") or "faust" in entry["logger"])]
    assert chatter == [], "what Faust and mode say of their own parts"
    assert len(worker.logged("owns")) >= 2, "what an operator looks for is there"


async def send_unreadable(commands: Commands, topic: Topic, partition: int) -> None:
    """Send a batch of two records that holds more than any reader unpacks."""
    builder = BatchBuilder(1 << 30, 4)
    for value in (bytes(BATCH_BYTES_MAX), b""):
        builder.append(timestamp=None, key=None, value=value, headers=[])
    await (await commands.producer.send_batch(builder, commands.kafka.topic_name(topic), partition=partition))


async def test_malformed_records_on_the_command_topic_are_answered_with_their_positions_and_the_next_ones_decided(
    kafka_settings: KafkaSettings, make_worker: MakeWorker
) -> None:
    assign = type_of(seats_v1.AssignSeats)
    headers = Envelope("c1", "seatpool/users", assign, NOON, tenant="acme").headers()
    too_long = orjson.dumps({"user": "u1", "revision": 1, "reason": "x" * 895_000, "modules": [], "created_at": "2026-01-01T00:00:00Z"})
    never_drawn = b'{"user":"u1","reason":"x","modules":[],"created_at":"2026-01-01T00:00:00Z","revision":0}'
    async with supervised(make_worker()), commands_to(kafka_settings) as commands:
        partition, first = await commands.open("acme")
        poison: tuple[tuple[str, str, bytes, bytes | None, list[tuple[str, bytes]]], ...] = (
            ("unreadable", "body", b"acme", b"\xff{", headers),
            ("unreadable", "revision", b"acme", never_drawn, headers),
            ("unreadable", "body", b"acme", None, headers),
            ("unreadable", "envelope", b"acme", b"{}", []),
            ("unreadable", "ce_tenantid", b"acme", b"{}", Envelope("c2", "x", assign, NOON).headers()),
            ("unreadable", "ce_tenantid", b"a|b", b"{}", Envelope("c2", "x", assign, NOON, tenant="a|b").headers()),
            ("unknown_type", "ce_type", b"acme", b"{}", Envelope("c3", "x", "seatpool.seats.v1.dance", NOON, tenant="acme").headers()),
            ("wrong_source", "ce_source", b"acme", b"{}", Envelope("c6", "seatpool/invoicing", assign, NOON, tenant="acme").headers()),
            ("wrong_partition", "key", b"other", b"{}", Envelope("c4", "x", assign, NOON, tenant="acme").headers()),
            (
                "wrong_partition",
                "key",
                tenant_in((partition + 1) % 4, 4).encode(),
                b"{}",
                Envelope("c5", "x", assign, NOON, tenant=tenant_in((partition + 1) % 4, 4)).headers(),
            ),
        )
        for _, _, key, value, given in poison:
            await commands.raw(key, value, given, partition)
        await commands.raw(b"acme", too_long, headers, partition)
        await send_unreadable(commands, topics.SEATS_COMMANDS, partition)
        found = await answered(kafka_settings, await commands.assign("acme", "u1", "time"))
        await send_unreadable(commands, topics.SEATS_EVENTS, partition)
    after = [decision for decision in found if decision.body["position"]["offset"] > first]
    assert (after[-4].name, after.pop(-4).body["reason"]) == ("command_failed", "too_large")
    assert [(d.name, d.body["reason"], d.body.get("field")) for d in after] == [
        *[("command_rejected", reason, field) for reason, field, *_ in poison],
        *[("command_rejected", "unreadable", "batch")] * 2,
        ("seats_assigned", "hired", None),
    ]
    assert [d.body["position"]["offset"] for d in after] == [*range(first + 1, first + 11), *range(first + 12, first + 15)]
    report = await verified(kafka_settings)
    assert (report["verified"], report["foreign"]) == (True, 2), report
    replay = Replay(kafka_settings)
    assert await replay.compare("acme") > 0
    assert "acme|u1" in await replay.state("acme")


async def test_two_workers_share_the_partitions_and_one_takes_over_those_of_the_other(
    kafka_settings: KafkaSettings, make_worker: MakeWorker
) -> None:
    one, two = make_worker("one"), make_worker("two")
    tenants = [tenant_in(partition, 4) for partition in range(4)]
    one.start()
    async with commands_to(kafka_settings) as commands:
        for tenant in tenants:
            await answered(kafka_settings, await commands.open(tenant))
        async with supervised(two):
            await wait_until(lambda: two.owns(2), what="a half each")
            for user in range(20):
                for tenant in tenants:
                    await commands.assign(tenant, f"u{user}", "time")
                if user == 10:
                    one.kill()
            for tenant in tenants:
                await answered(kafka_settings, await commands.assign(tenant, "last", "time"))
            await _one_stands_still(kafka_settings, commands, one, tenants)
    report = await verified(kafka_settings)
    assert report["verified"], report
    assert report["tenants"] == 4


async def _one_stands_still(kafka: KafkaSettings, commands: Commands, one: WorkerProcess, tenants: list[str]) -> None:
    """A process that was stopped finds when it wakes up that it was away, and ends before it writes."""
    lives = len(one.logged("owns"))
    one.start()
    await wait_until(lambda: len(one.logged("owns")) > lives and one.owns(2), what="a half again")
    one.signal(signal.SIGSTOP)
    for tenant in tenants:
        await answered(kafka, await commands.assign(tenant, "while-away", "time"))
    one.signal(signal.SIGCONT)
    await wait_until(lambda: one.process is not None and one.process.poll() == Exit.PAUSED, what="its end")


async def test_a_tick_applies_due_items_where_no_command_comes(kafka_settings: KafkaSettings, make_worker: MakeWorker) -> None:
    """T6: revoked at its deadline, also when nobody does anything."""
    async with supervised(make_worker()), commands_to(kafka_settings) as commands:
        await commands.open("acme", licences=1, grace="PT1S")
        await commands.assign("acme", "u1", "time")
        partition, _ = await commands.assign("acme", "u2", "time")

        async def revoked() -> list[str]:
            return [d.body["user"] for d in await decisions(kafka_settings, partition) if d.name == "seat_revoked"]

        assert await wait_until(revoked) == ["u2"]
    assert (await verified(kafka_settings))["verified"]
