"""The promise of the topics: every later version reads a committed message of each type and version as it was meant."""

import json
from typing import Any

import pytest

from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY, parse
from tests.support import samples

COMMITTED = samples.committed()


def test_each_type_has_its_sample_and_none_is_taken_away() -> None:
    """A type that no version writes any more still exists in topics, which are never deleted."""
    assert {samples.type_of(name) for name in COMMITTED} == REGISTRY.keys(), "a new type: python -m tests.support.samples"


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_a_sample_is_read_whole_and_written_again_as_it_was(name: str) -> None:
    """Every field comes back under its name with its value; optional fields that were added since are not in it."""
    sample = COMMITTED[name]
    type_ = samples.type_of(name)
    payload = parse(type_, json.dumps(sample["body"]).encode())
    assert payload.model_dump(mode="json", exclude_unset=True) == sample["body"]
    assert REGISTRY[type_].model.model_validate_json(json.dumps(sample["body"])) == payload, "and a writer may still write it"
    headers = [(header, value.encode()) for header, value in sample["headers"].items()]
    assert Envelope.from_headers(headers).headers() == headers


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_readers_ignore_what_a_later_writer_adds(name: str) -> None:
    body, type_ = COMMITTED[name]["body"], samples.type_of(name)
    assert parse(type_, json.dumps(_with_news(body)).encode()) == parse(type_, json.dumps(body).encode())


def _with_news(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _with_news(value) for key, value in part.items()} | {"added_later": {"deep": [1]}}
    return [_with_news(item) for item in part] if isinstance(part, list) else part
