"""People as reports: everything that the files say about a person, as `POST …/imports` takes it (`PersonReported` without its version)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import orjson

from shared.hr_files.company import Person

PEOPLE_AT_ONCE = 1_000
BYTES_AT_ONCE = 900_000  # a request may have 1 MiB


def report_of(person: Person) -> dict[str, Any]:
    """An entry states only what differs from the one before. What the first leaves out, the source does not state at all."""
    attributes: list[dict[str, Any]] = []
    before: Mapping[str, Any] = {}
    for entry in person.entries:
        changed = {name: _plain(value) for name, value in entry.values.items() if value != before.get(name)}
        if changed or not attributes:
            attributes.append({"since": entry.since.isoformat(), **changed})
        before = entry.values
    employment = [{"starts_on": each.first.isoformat(), "ends_on": each.last.isoformat() if each.last else None} for each in person.periods]
    return {"external_id": person.external_id, "employment": employment, "attributes": attributes}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def in_parts(people: Sequence[Person]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield parts that fit into a request, each with the index of its first person."""
    first, part, size = 0, list[dict[str, Any]](), 0
    for index, person in enumerate(people):
        report = report_of(person)
        length = len(orjson.dumps(report)) + 1
        if part and (len(part) == PEOPLE_AT_ONCE or size + length > BYTES_AT_ONCE):
            yield first, part
            first, part, size = index, [], 0
        part.append(report)
        size += length
    if part:
        yield first, part
