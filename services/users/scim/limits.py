"""Limits of what one request of SCIM may ask for. Their bodies are limited, but each operation, path and filter costs far more than its
characters."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scim2_models import InvalidFilterException, InvalidPathException, InvalidValueException, PayloadTooLargeException

OPERATIONS_MAX: Final = 1_000  # of the PATCH of a request, or of all of them in a bulk request
FILTER_CHARACTERS_MAX: Final = 4_000
PATHS_CHARACTERS_MAX: Final = 100_000  # of all operations
ATTRIBUTES_MAX: Final = 100


def check_operations(value: Any, *, is_bulk: bool) -> None:
    """Raise a SCIMException for a PATCH with too many operations, or with paths that are too long."""
    characters = 0
    for number, operation in enumerate(_operations(value, is_bulk=is_bulk), start=1):
        if number > OPERATIONS_MAX:
            raise PayloadTooLargeException(detail=f"Operations: at most {OPERATIONS_MAX} operations of PATCH expected in one request.")
        lengths = [len(path) for path in _named(operation, "path") if isinstance(path, str)]
        characters += sum(lengths)
        if max(lengths, default=0) > FILTER_CHARACTERS_MAX or characters > PATHS_CHARACTERS_MAX:
            detail = f"path: at most {FILTER_CHARACTERS_MAX} characters expected, and {PATHS_CHARACTERS_MAX} in all operations together."
            raise InvalidPathException(detail=detail)


def _operations(value: Any, *, is_bulk: bool) -> Iterator[Any]:
    """Yield the operations of a PATCH, or of each PATCH of a bulk request."""
    for operations in _named(value, "operations"):
        for operation in operations if isinstance(operations, list) else ():
            if is_bulk:
                for data in _named(operation, "data"):
                    yield from _operations(data, is_bulk=False)
            else:
                yield operation


def _named(value: Any, name: str) -> Iterator[Any]:
    """Yield the values of an attribute: SCIM compares names without regard to case, so there may be several."""
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key.lower() == name)


def check_search(payload: Any) -> None:
    """Raise a SCIMException for a filter that is too long, or for too many attributes, in the query or the body of a request."""
    for name, value in payload.items() if isinstance(payload, Mapping) else ():
        if name.lower() == "filter" and isinstance(value, str) and len(value) > FILTER_CHARACTERS_MAX:
            raise InvalidFilterException(
                detail=f"filter: at most {FILTER_CHARACTERS_MAX} characters expected (got {len(value)}). Send several requests."
            )
        if name.lower() in ("attributes", "excludedattributes"):
            names = value.count(",") + 1 if isinstance(value, str) else len(value) if isinstance(value, list) else 0
            if names > ATTRIBUTES_MAX:
                raise InvalidValueException(detail=f"{name}: at most {ATTRIBUTES_MAX} attributes expected (got {names}).")
