"""The faults of a value that a model refused, for any number of faults."""

from typing import Any

from pydantic import ValidationError

FAULTS_MAX = 20
COUNTED_MAX = 1000  # pydantic makes an object of a kilobyte of every fault at once; a body of 1 MiB can have a million


def first_faults(error: ValidationError) -> list[dict[str, Any]]:
    """Return the first of `error.errors()`; if there are too many, one fault that says how many."""
    if error.error_count() > COUNTED_MAX:
        return [{"type": "missing", "loc": (), "msg": f"Expected a valid value, not {error.error_count()} faults", "input": None}]
    return [dict(fault) for fault in error.errors(include_url=False, include_context=False)[:FAULTS_MAX]]
