"""Switches the rules version (design, section 2): a `rules_activated` record in each partition, from which on commands are decided so."""

import argparse
import asyncio
import sys

import orjson

from services.seats.domain import RULES
from services.seats.engine.events import SOURCE
from services.seats.settings import Settings
from shared.clock import SystemClock
from shared.ids import new_id
from shared.kafka import make_producer, started
from shared.schemas import seats_v1, topics
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.settings import KafkaSettings, load


async def activate(kafka: KafkaSettings, rules: int) -> dict[int, int]:
    """Returns the offset of the record in each partition. Activated twice, the second one changes nothing."""
    payload = seats_v1.RulesActivated(rules=rules)
    envelope = Envelope(id=new_id(), source=SOURCE, type=type_of(seats_v1.RulesActivated), time=SystemClock().now())
    topic, value = kafka.topic_name(topics.SEATS_COMMANDS), payload.model_dump_json().encode()
    offsets = {}
    async with started(make_producer(kafka)) as producer:
        for partition in range(kafka.seats_partitions):
            sent = await producer.send_and_wait(topic, value, key=envelope.key, headers=envelope.headers(), partition=partition)
            offsets[partition] = sent.offset
    return offsets


def run_activate(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="seatpool activate-rules", description=__doc__)
    parser.add_argument("rules", type=int, help="the version; all workers have to run a release that knows it, and stop where they do not")
    rules = parser.parse_args(arguments).rules
    if rules not in RULES:  # the log is for ever: no worker of this release would come past that record
        sys.exit(f"this release does not know rules {rules}, only {', '.join(map(str, sorted(RULES)))}")
    offsets = asyncio.run(activate(load(Settings), rules))
    sys.stdout.write(orjson.dumps({"rules": rules, "from": {str(p): offset for p, offset in offsets.items()}}).decode() + "\n")
