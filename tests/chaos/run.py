"""One chaos run, from the empty broker to the verdict."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from services.seats.replay.log_reader import LogReader
from services.seats.replay.replay import Replay
from shared.kafka import Ends
from shared.schemas import topics
from shared.schemas.topics import Topic
from shared.settings import KafkaSettings
from tests.chaos.checker import Findings, Logged, check_partition
from tests.chaos.harness import ChaosHarness, Sending, follow, make_topics, own_broker, real_load
from tests.chaos.load import Known

DRAIN_SECONDS_MAX = 180.0
VERDICT = ("unanswered", "conflicting", "missing", "unknown", "differing", "state_differs", "bound_broken", "grace_renewed", "passed_over")


async def run(
    *, seconds: float, seed: int, rate: float, workers: int = 3, partitions: int = 4, keep: Path | None = None, **settings: object
) -> dict[str, Any]:
    """The JSON of the last line; `ok` says whether nothing was found."""
    folder = keep or Path(tempfile.mkdtemp(prefix="seatpool-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        async with own_broker(folder) as (broker, bootstrap):
            kafka = KafkaSettings(kafka_bootstrap=bootstrap, kafka_topic_prefix="chaos.", seats_partitions=partitions)
            await make_topics(kafka)
            harness = ChaosHarness(kafka, folder, broker, seed)
            began = time.monotonic()
            sent, drained = await _play(harness, seconds, rate, workers, settings)
            report = await judge(kafka, Counter(unsettled=0 if drained else 1))
            elapsed = round(time.monotonic() - began, 1)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    ok = not any(report[law] for law in VERDICT) and drained
    kills = sum(harness.counts.values()) + harness.exits[99]
    said = {"ok": ok, "seed": seed, "seconds": elapsed, "sent": sent, "kills": kills, "drained": drained}
    return said | {"faults": dict(harness.counts), "exits": {str(code): n for code, n in sorted(harness.exits.items())}, **report}


async def _play(harness: ChaosHarness, seconds: float, rate: float, workers: int, settings: dict[str, object]) -> tuple[int, bool]:
    known = Known()
    sending = Sending(harness.kafka, real_load(harness.seed, known, harness.kafka), rate)
    harness.set_up(workers, **settings)
    helpers = [asyncio.create_task(harness.keep()), asyncio.create_task(follow(harness.kafka, known))]
    load = asyncio.create_task(sending.run())
    try:
        await harness.play(seconds)
        sending.stopping = True
        await load
        harness.calm()
        return sending.sent, await _drained(harness.kafka)
    finally:
        for task in (*helpers, load):
            task.cancel()
        await asyncio.gather(*helpers, load, return_exceptions=True)
        harness.stop()


async def _drained(kafka: KafkaSettings) -> bool:
    """Every command decided and its frame written."""
    replay = Replay(kafka)
    end = time.monotonic() + DRAIN_SECONDS_MAX
    ends = await _ends(kafka, topics.SEATS_COMMANDS)  # ticks that come later are settled or not
    left = set(ends)
    while left and time.monotonic() < end:
        for partition in sorted(left):
            _, marker = await replay.table(partition)
            if marker.decided >= ends[partition] - 1:
                left.discard(partition)
        await asyncio.sleep(0.5)
    return not left


async def _ends(kafka: KafkaSettings, topic: Topic) -> dict[int, int]:
    ends = Ends(kafka)
    try:
        found = await ends.of([TopicPartition(kafka.topic_name(topic), number) for number in range(kafka.seats_partitions)])
    finally:
        await ends.close()
    return {tp.partition: end for tp, end in found.items()}


async def judge(kafka: KafkaSettings, counts: Counter[str]) -> dict[str, Any]:
    """The independent checker for the laws, the replay for the rest."""
    history = LogReader(kafka)
    shown: list[str] = []
    report = await Replay(kafka).verify()
    counts += report.counts
    shown += report.differences
    counts["commands"] = counts["events"] = 0
    for partition, end in (await _ends(kafka, topics.SEATS_CHANGELOG)).items():
        findings = await _check(history, partition)
        counts += findings.counts
        shown += findings.shown
        counts["changelog_written"] += end
        counts["changelog_kept"] += [1 async for _ in history.records(kafka.topic_name(topics.SEATS_CHANGELOG), partition, 0)].count(1)
    names = (*VERDICT, "commands", "decisions", "repeated", "rows", "changelog_written", "changelog_kept")
    return {name: counts[name] for name in names} | {"differences": shown}


async def _check(history: LogReader, partition: int) -> Findings:
    commands = [Logged(r.offset, tuple(r.headers), r.value) async for r in history.records(history.commands, partition, 0)]
    events = [Logged(r.offset, tuple(r.headers), r.value) async for r in history.records(history.events, partition, 0)]
    # Ticks that came after everything was drained may not be decided yet.
    decided = {int(event.header("ce_id").split("/")[2]) for event in events}
    last = max(decided, default=-1)
    tail = [command for command in commands if command.offset > last and not command.header("ce_type").endswith(".tick")]
    return check_partition(commands if tail else commands[: last + 1], events, partition)
