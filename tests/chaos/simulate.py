"""The topics as a run without any fault would leave them, made in memory: what the checker is tried on."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import orjson

from services.seats.engine.producer import Record
from services.seats.replay.replay import Decisions
from shared.kafka import partition_of
from shared.schemas import seats_v1
from shared.schemas.envelope import VENDOR_KEY, Envelope
from shared.schemas.registry import type_of
from tests.chaos.checker import Logged
from tests.chaos.load import START, Known, Load, Sent

PARTITIONS = 2
COMMAND_MS = 20  # between two commands
TICK_EVERY = 50  # commands
_TICK = Envelope("tick", "seatpool/seats", type_of(seats_v1.Tick), START)
START_MS = int(START.timestamp() * 1000)


class Arrived(NamedTuple):
    """As an aiokafka record."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Logs:
    commands: list[Logged] = field(default_factory=list)
    events: list[Logged] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # LogAppendTime of each command
    keys: list[bytes] = field(default_factory=list)


def learn(known: Known, tenant: str, body: dict[str, object]) -> None:
    """Take over what a sender learns from a decision."""
    for pool in body["pools"]:  # type: ignore[attr-defined]
        known.pools[tenant, pool["module"]] = (pool["licences"], pool["next_period"])
    if "period" in body:
        known.periods[tenant] = str(body["period"])


def simulate(seed: int, commands: int) -> dict[int, Logs]:
    known = Known()
    number = 0
    load = Load(
        seed, known, lambda: START + timedelta(milliseconds=number * COMMAND_MS), tenants=6, people=12, big_people=40, partitions=PARTITIONS
    )
    logs = {partition: Logs() for partition in range(PARTITIONS)}
    deciders = {partition: Decisions(partition, PARTITIONS) for partition in range(PARTITIONS)}
    for number in range(commands):
        sent = load.next()
        partition = partition_of(sent.key, PARTITIONS) if sent.partition is None else sent.partition
        _arrive(known, logs[partition], deciders[partition], sent, START_MS + number * COMMAND_MS)
        if number % TICK_EVERY == 0:
            for each in range(PARTITIONS):
                tick = Sent(VENDOR_KEY, b"{}", tuple(_TICK.headers()))
                _arrive(known, logs[each], deciders[each], tick, START_MS + number * COMMAND_MS)
    return logs


def _arrive(known: Known, logs: Logs, decider: Decisions, sent: Sent, at_ms: int) -> None:
    offset = len(logs.commands)
    logs.times.append(at_ms)
    logs.keys.append(sent.key)
    logs.commands.append(Logged(offset, sent.headers, sent.value))
    made: list[Record] = decider.feed(Arrived(decider.partition, offset, at_ms, sent.key, sent.value, sent.headers)) or []
    for _, value, headers, _ in made:
        logs.events.append(Logged(len(logs.events), tuple(headers), value))
        learn(known, dict(headers).get("ce_tenantid", b"").decode(), orjson.loads(value or b"{}"))
