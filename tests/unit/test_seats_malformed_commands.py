"""Malformed values in each field of a command: the command is answered once, and its events and rows can be written and read."""

import copy
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from services.seats.replay.replay import Decisions, canonical
from shared.kafka import partition_of
from shared.schemas.registry import REGISTRY
from shared.schemas.topics import SEATS_COMMANDS
from tests.support import samples

PARTITION = partition_of(b"acme", 4)
SAMPLES = {name: sample for name, sample in samples.committed().items() if REGISTRY[samples.type_of(name)].topic is SEATS_COMMANDS}
ANSWERED = sorted(name for name in SAMPLES if not name.endswith((".tick", ".rules_activated")))
NUMBERS = [0, -1, 2**31, 2**63 - 1, -(2**63) + 1, 2**63, -(2**63), 2**70, 10**4299, 1.5, 1e308]
TEXTS = ["", "\0", "a\nb", "a|b", "#tenant", "\u2603", "x" * 101, "P1M", "P1Y", "1772323200", "2026-02-30T00:00:00Z", "2026-03-01"]
TIMES = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00"]
ODD: list[Any] = [*NUMBERS, *TEXTS, *TIMES, None, True, [], {}, [["a"]], {"a": 10**4299}]


class Log:
    """One partition's commands, decided one after the other as a worker decides them."""

    def __init__(self) -> None:
        self.decisions, self.offset = Decisions(PARTITION, 4), 0

    def send(self, name: str, value: bytes) -> list[dict[str, Any]]:
        said = SAMPLES[name]["headers"] | {"ce_id": f"c{self.offset}", "ce_source": REGISTRY[samples.type_of(name)].sources[0]}
        headers = [(header, text.encode()) for header, text in said.items()]
        record = {"partition": PARTITION, "offset": self.offset, "timestamp": 1_772_323_200_000 + self.offset, "key": b"acme"}
        made = self.decisions.feed(SimpleNamespace(headers=headers, value=value, **record))
        self.offset += 1
        assert made is not None
        for _, body, attributes, _ in made:
            REGISTRY[dict(attributes)["ce_type"].decode()].model.model_validate_json(body or b"")
        canonical(self.decisions.rows)
        return [orjson.loads(body or b"") for _, body, _, _ in made]


def variants(body: Any) -> Iterator[Any]:
    """The body with each of its parts, at any depth, replaced by each odd value, or left out."""
    parts = list(enumerate(body)) if isinstance(body, list) else list(body.items()) if isinstance(body, dict) else []
    for key, part in parts:
        for odd in ODD:
            yield _with(body, key, odd)
        less = copy.deepcopy(body)
        del less[key]
        yield less
        for varied in variants(part):
            yield _with(body, key, varied)


def _with(body: Any, key: Any, value: Any) -> Any:
    changed = copy.copy(body)
    changed[key] = value
    return changed


@pytest.mark.parametrize("name", ANSWERED)
def test_a_command_with_any_value_in_a_field_is_answered_once(name: str) -> None:
    log = Log()
    for before in ("open_tenant", "open_pool", "assign_seats"):
        log.send(f"seatpool.seats.v1.{before}", json.dumps(SAMPLES[f"seatpool.seats.v1.{before}"]["body"]).encode())
    for body in variants(SAMPLES[name]["body"]):
        value = json.dumps(body).encode()
        answers = [event for event in log.send(name, value) if event["role"] == "answer"]
        assert [answer["reason"] != "error" for answer in answers] == [True], value[:500]
