"""`make schemas`: a JSON Schema for each message type, committed in `json/`, for those who read or write topics in other languages.

Within v1 only optional fields may be added: `breaks` says what a new schema breaks for readers and writers of the old one, and generating
refuses to overwrite a schema with a breaking change.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.schemas.registry import REGISTRY, Entry

FOLDER = Path(__file__).parent / "json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema_of(entry: Entry) -> Schema:
    """Return the schema for readers: they ignore unknown fields, so that an optional field may be added."""
    schema = entry.model.model_json_schema(mode="validation")
    _open(schema)
    return {"$schema": DIALECT, "$id": f"urn:seatpool:schema:{entry.name}", "x-topic": entry.topic.name} | schema


def _open(part: object) -> None:
    if isinstance(part, dict):
        if part.get("additionalProperties") is False:
            del part["additionalProperties"]
        for value in part.values():
            _open(value)
    elif isinstance(part, list):
        for value in part:
            _open(value)


def render(schema: Schema) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def committed() -> dict[str, Schema]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what the new schema breaks for readers and writers that know the old one; empty if only optional fields were added."""
    return list(_breaks(_resolved(old, old), _resolved(new, new), "body"))


def _breaks(old: Any, new: Any, at: str) -> Iterator[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{at}: was {old!r}, is {new!r}"
        return
    if "properties" in old:
        yield from _object_breaks(old, new, at)
    for key in sorted((old.keys() | new.keys()) - {"properties", "required", "title", "description", "default"}):
        if key not in old or key not in new:
            yield f"{at}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
        elif key == "anyOf" and len(old[key]) == len(new[key]):
            for number, (before, after) in enumerate(zip(old[key], new[key], strict=True)):
                yield from _breaks(before, after, f"{at}|{number}")
        else:
            yield from _breaks(old[key], new[key], f"{at}.{key}" if isinstance(old[key], dict) else f"{at}: {key}")


def _object_breaks(old: Schema, new: Schema, at: str) -> Iterator[str]:
    before, after = old["properties"], new.get("properties", {})
    for name in sorted(before.keys() - after.keys()):
        yield f"{at}.{name}: was removed"
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(required_after - required_before):
        yield f"{at}.{name}: is required now"
    for name in sorted((required_before - required_after) & after.keys()):
        yield f"{at}.{name}: is optional now, and its readers count on it"
    for name in sorted(before.keys() & after.keys()):
        yield from _breaks(before[name], after[name], f"{at}.{name}")


def _resolved(part: Any, root: Schema) -> Any:
    """Replace references by what they name (no message refers to itself)."""
    if isinstance(part, list):
        return [_resolved(item, root) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        return _resolved(root["$defs"][name] | {key: value for key, value in part.items() if key != "$ref"}, root)
    return {key: _resolved(value, root) for key, value in part.items() if key not in ("$defs", "$schema", "$id")}


def problems(old: dict[str, Schema], new: dict[str, Schema]) -> list[str]:
    found = [f"{name}: the type was removed" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        found += [f"{name}: {each}" for each in breaks(old[name], new[name])]
    return found


def generated() -> dict[str, Schema]:
    return {name: schema_of(entry) for name, entry in REGISTRY.items()}


def main() -> int:
    """Write new schemas. `--unreleased` also writes breaking changes, which are allowed before the first release."""
    new = generated()
    found = problems(committed(), new)
    if found and "--unreleased" not in sys.argv[1:]:
        sys.stderr.write(
            "not written, within v1 only optional fields may be added (before the first release: --unreleased):\n"
            + "".join(f"  {each}\n" for each in found)
        )
        return 1
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.stem not in new:
            path.unlink()
    for name, schema in new.items():
        path_of(name).write_text(render(schema))
    return 0


if __name__ == "__main__":
    sys.exit(main())
