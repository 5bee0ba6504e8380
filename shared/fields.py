"""Fields that travel through several layers: a value is passed on by the name of its field."""

from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import BaseModel


@cache
def field_names(of: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of a pydantic model or a dataclass, in their order."""
    return tuple(of.model_fields) if issubclass(of, BaseModel) else tuple(field.name for field in fields(of))


@cache
def common_names(source: type, target: type) -> tuple[str, ...]:
    """Return the names of the fields that both classes have, in the order of `source`."""
    return tuple(name for name in field_names(source) if name in field_names(target))


def common_fields(given: object, source: type, target: type) -> dict[str, Any]:
    """Return the values of `given`, an instance of `source`, for the fields that both classes have."""
    return {name: getattr(given, name) for name in common_names(source, target)}
