"""A decision of more rows than one frame takes, and a worker that dies between two of its frames."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.kafka import make_producer, started
from shared.schemas import seats_v1, topics
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.settings import KafkaSettings
from tests.support.seats import NOON, WorkerProcess, answered, commands_to, decisions, verified
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
PEOPLE, LEFT, FRAME_ROWS = 3_000, 100, 1_000
ASSIGN = type_of(seats_v1.AssignSeats)


@pytest.fixture
def workers(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[tuple[WorkerProcess, WorkerProcess]]:
    """One that ends between the first two parts of the first command in parts, and a sound one."""
    dying = WorkerProcess.make(kafka_settings, tmp_path, "dying", seats_faults="between_parts:1", seats_frame_rows=FRAME_ROWS)
    sound = WorkerProcess.make(kafka_settings, tmp_path, "sound", seats_frame_rows=FRAME_ROWS)
    yield dying, sound
    dying.kill()
    sound.kill()


async def hire_all(kafka: KafkaSettings, tenant: str) -> None:
    topic = kafka.topic_name(topics.SEATS_COMMANDS)
    async with started(make_producer(kafka, linger_ms=5)) as producer:
        futures = []
        for number in range(PEOPLE):
            payload = seats_v1.AssignSeats(user=f"u{number}", revision=1, reason="hired", modules=("time",), created_at=NOON)
            envelope = Envelope(f"hire-{number}", "seatpool/users", ASSIGN, NOON, tenant=tenant)
            futures.append(await producer.send(topic, payload.model_dump_json().encode(), key=envelope.key, headers=envelope.headers()))
        for future in futures:
            await future


async def test_a_reduction_that_flags_more_people_than_a_frame_holds_survives_a_crash_between_two_frames(
    kafka_settings: KafkaSettings, workers: tuple[WorkerProcess, WorkerProcess]
) -> None:
    """T17: a reduction below use flags the newest; here 2,900 of them, in three frames."""
    dying, sound = workers
    async with commands_to(kafka_settings) as commands:
        await commands.open("acme", licences=PEOPLE, grace="P7D")
        await hire_all(kafka_settings, "acme")
        position = await commands.send(
            "acme",
            seats_v1.ReduceLicences(
                number=commands.next_number(),
                order="cut",
                items=(seats_v1.LicenceCount(module="time", quantity=PEOPLE - LEFT),),
                expected=seats_v1.Expected(),
            ),
        )
        dying.start()
        await wait_until(lambda: dying.process is not None and dying.process.poll() == 99, seconds=120, what="its death between two frames")
        sound.start()
        await wait_until(lambda: sound.logged("completing"), what="the completion of the cut")
        after = await commands.assign("acme", "one-more", "time")
        await answered(kafka_settings, after)
    flagged = [d for d in await decisions(kafka_settings, position[0]) if d.name == "seat_flagged"]
    assert len(flagged) == PEOPLE - LEFT
    assert {d.body["position"]["offset"] for d in flagged} == {position[1]}
    report = await verified(kafka_settings)
    assert report["verified"], report
