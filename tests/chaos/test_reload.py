"""A decision knows nothing of when its worker was started: state that was read back from its rows decides exactly as state that was not."""

import random
from functools import lru_cache

import orjson
import pytest

from services.seats.decider import RowCodec
from services.seats.engine.decider import Published
from services.seats.replay.replay import Decisions, Evolution, canonical
from shared.schemas.envelope import Envelope
from tests.chaos.simulate import PARTITIONS, Arrived, Logs, simulate

RELOAD_CHANCE = 0.05


SEEDS = pytest.mark.parametrize("seed", range(8), scope="module")  # all tests of one seed follow one another


@lru_cache(maxsize=1)
def history(seed: int) -> dict[int, Logs]:
    return simulate(seed, 1200)


def reloaded(decisions: Decisions) -> Decisions:
    """Return the state that a new owner loads from the rows."""
    codec, again = RowCodec(), Decisions(decisions.partition, PARTITIONS)
    again.take_over({key: codec.decode(key, row) for key, row in shuffled(canonical(decisions.rows))}, decisions)
    return again


def shuffled(rows: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Compaction leaves rows in the order of their last change, not of their first."""
    items = list(rows.items())
    random.Random(len(items)).shuffle(items)
    return items


@SEEDS
def test_decisions_are_the_same_bytes_whenever_the_state_was_read_back(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    for partition, logs in history(seed).items():
        decisions, made = Decisions(partition, PARTITIONS), []
        for number, command in enumerate(logs.commands):
            if chance.random() < RELOAD_CHANCE:
                decisions = reloaded(decisions)
            record = Arrived(partition, number, logs.times[number], logs.keys[number], command.value or b"", command.headers)
            made += decisions.feed(record) or []
        assert [(headers, value) for _, value, headers, _ in made] == [(list(e.headers), e.value) for e in logs.events]


@SEEDS
def test_the_state_evolved_over_the_decisions_is_the_state_that_was_decided(seed: int) -> None:
    print(f"seed {seed}")
    for partition, logs in history(seed).items():
        evolution = Evolution()
        for event in logs.events:
            evolution.feed(Envelope.from_headers(event.headers), orjson.loads(event.value or b""))
        decisions = Decisions(partition, PARTITIONS)
        for number, command in enumerate(logs.commands):
            decisions.feed(Arrived(partition, number, logs.times[number], logs.keys[number], command.value or b"", command.headers))
        assert canonical(evolution.rows()) == canonical(decisions.rows)


@SEEDS
def test_a_command_of_which_some_rows_are_written_is_completed_from_its_decisions(seed: int) -> None:
    """Any prefix of its rows, as a crash between two frames leaves it."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    for partition, logs in history(seed).items():
        decisions = Decisions(partition, PARTITIONS)
        for number, command in enumerate(logs.commands):
            before = dict(decisions.rows)
            record = Arrived(partition, number, logs.times[number], logs.keys[number], command.value or b"", command.headers)
            made = decisions.feed(record) or []
            changed = decisions.last_changed
            if len(changed) > 1 and chance.random() < 0.3:
                written = chance.randrange(1, len(changed))
                partial = before | dict(list(changed.items())[:written])
                published = [Published(Envelope.from_headers(headers), orjson.loads(value or b"")) for _, value, headers, _ in made]
                completed = reloaded_rows(partition, partial).complete(published)
                final = {key: row for key, row in (partial | completed).items() if row is not None}
                assert canonical(final) == canonical(decisions.rows), f"{partition}/{number}, {written} of {len(changed)} rows written"


def reloaded_rows(partition: int, rows: dict[str, object]) -> Decisions:
    again = Decisions(partition, PARTITIONS)
    again.take_over({key: row for key, row in rows.items() if row is not None}, again)
    return again
