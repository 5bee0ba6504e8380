"""The golden samples: one message of each type and version as it is stored in a topic. A committed sample never changes.

`python -m tests.support.samples` drafts one for each type that has none, every field filled, for its author to read and correct. It
never overwrites a sample: samples are the promise to readers and writers. Content that is added to a type later gets a sample of its own,
`<type>+<field>.json`.
"""

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.schemas import generate
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY, Entry

FOLDER = Path(__file__).parents[1] / "contract" / "samples"
NOON = datetime(2013, 11, 15, 12, tzinfo=UTC)
WORDS: dict[str, Any] = {
    "module": "documents", "modules": ["documents", "time"], "requires": ["time"], "blocked_by": ["time"], "released": ["planning"],
    "user": "p-17", "users": ["p-17"], "from_user": "p-16", "to_user": "p-17", "external_id": "17", "login": "ann.lund", "name": "Ann Lund",
    "email": "ann.lund@acme.example", "contact_email": "licences@acme.example", "support_contact": "support@vendor.example",
    "job_title": "Engineer", "department": "Engineering", "profile": "engineers", "time_zone": "Europe/Copenhagen", "locale": "da",
    "clock": "test", "over_limit": "flag", "grace": "P7D", "reduce_below_use": "block", "warn_at": "90%", "reduce_at": "period_end",
    "term": "monthly", "currency": "EUR", "tax_category": "S", "tax_rate_percent": "25", "rate_percent": "25", "category": "S",
    "charge_when": "now", "charge": "now", "text_key": "proration", "number": "INV-2013-00001", "period": "2013-11",
    "next_period_id": "2013-12", "reason": "hired", "asked": "hired", "role": "answer", "state": "flagged", "status": "active",
    "kind": "employee", "field": "name", "old": "Ann Berg", "new": "Ann Lund", "value": "-1", "expected": "1 or more",
    "source": "seatpool/users", "command": "0197a1f0-0000-7000-8000-000000000001", "decision": "seats.commands.v1/3/1042/1",
    "instead": "close_pool", "error_id": "3-1042", "plan": "standard", "subscription": "sub-1", "order": "ord-1", "quote": "quo-1",
    "invoice": "inv-1", "orders": ["ord-1"], "charges": ["chg-1"], "to_day": "2013-12-01", "due_on": "2013-11-29",
    "period_end": "2013-12-01", "billed_until": "2013-12-01", "deadline": "2013-11-22T09:00:00.000Z",
    "hold_until": "2013-11-20T09:00:00.000Z", "free_since": "2013-11-01T09:00:00.000Z", "version": "bd-1", "billing_details": "bd-1",
    "second_approver": "always",
    "action": "no_purchases", "payment": "pay-1", "direction": "received", "credit_note": "inv-2", "overdue_action": "no_purchases",
}  # fmt: skip
FORMATS = {"date": "2013-11-15", "date-time": "2013-11-15T09:00:00.000Z", "email": "ann.lund@acme.example"}
OF_ACTOR = {"kind": "user", "id": "admin-1"}


def value_of(schema: dict[str, Any], root: dict[str, Any], name: str, numbers: Iterator[int]) -> Any:
    """Return a value by the field's name where that says more than its type. Numbers differ, so that none passes for another."""
    if "$ref" in schema:
        part = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return OF_ACTOR if part["title"] == "Actor" else value_of(part, root, name, numbers)
    if "anyOf" in schema:
        return value_of(next(each for each in schema["anyOf"] if each.get("type") != "null"), root, name, numbers)
    match schema["type"]:
        case "object":
            return {field: value_of(part, root, field, numbers) for field, part in schema["properties"].items()}
        case "array":
            words = WORDS.get(name) if schema["items"].get("type") == "string" else None
            return words if isinstance(words, list) else [value_of(schema["items"], root, name, numbers)]
        case "integer":
            return next(numbers)
        case "boolean":
            return True
    word = FORMATS.get(schema.get("format", "")) if name not in WORDS else WORDS[name]
    word = word if isinstance(word, str) else "time"
    return word if re.search(schema.get("pattern", ""), word) else "time"


def draft(entry: Entry) -> dict[str, Any]:
    schema = generate.schema_of(entry)
    body = value_of(schema, schema, "", itertools.count(1))
    envelope = Envelope(
        id="0197a1f0-0000-7000-8000-000000000002",
        source=entry.sources[0] if entry.sources else "hr/acme",
        type=entry.name,
        time=NOON,
        tenant="acme",
        subject=body.get("user") or body.get("external_id"),
        correlation="0197a1f0-0000-7000-8000-000000000000",
        causation="0197a1f0-0000-7000-8000-000000000001",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    return {"headers": {header: value.decode() for header, value in envelope.headers()}, "body": body}


def type_of(name: str) -> str:
    """Return the type of a sample. `<type>+release` is a sample of that type with content that was added later."""
    return name.partition("+")[0]


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def committed() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, entry in REGISTRY.items():
        if not path_of(name).exists():
            path_of(name).write_text(json.dumps(draft(entry), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
