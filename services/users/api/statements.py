"""Read what sources state about people in the body of a request, item by item."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from services.users.api.responses import FieldProblem
from services.users.domain.timelines import problem_in
from shared.schemas.base import Payload
from shared.schemas.faults import field_of, first_faults, once_per_field
from shared.schemas.hr_v1 import PersonTimeline
from shared.text import HIDDEN_REFUSED, UNCLEAR_REFUSED, has_hidden, has_unclear
from shared.web.input_limits import cut, faults

FIELDS_MAX = 100  # of one item
ITEMS_AT_ONCE = 50  # the event loop does other work after so many
_SHOWN = ("name", "job_title", "department")  # the texts of a person that readers see, beside the login

T = TypeVar("T")
P = TypeVar("P", bound=Payload)


def read_as(model: type[P], content: dict[str, Any], name: str) -> P | list[FieldProblem]:
    """Return the statement, or everything that is wrong with it."""
    if len(content) > FIELDS_MAX:
        return [FieldProblem(field=name, expected=f"at most {FIELDS_MAX} fields")]
    if unreadable := faults(content, name):
        return [FieldProblem(field=fault["field"].removeprefix(f"{name}."), expected=fault["expected"]) for fault in unreadable]
    try:
        statement = model.model_validate_json(orjson.dumps(content))
    except ValidationError as error:
        return [FieldProblem(field=cut(field_of(e)) or name, expected=e["expected"]) for e in once_per_field(first_faults(error))]
    if problem := problem_in(statement):
        field, _, expected = problem.partition(": ")
        return [FieldProblem(field=field, expected=expected.removeprefix("expected "))]
    return _misleading(statement) or statement


def _misleading(statement: Payload) -> list[FieldProblem]:
    """Return the texts that may mislead readers, as REST refuses them everywhere; those of the topics keep their meaning."""
    stated: list[tuple[str, Payload]] = [("", statement)]
    if isinstance(statement, PersonTimeline):
        stated = [(f"attributes.{number}.", entry) for number, entry in enumerate(statement.attributes)]
    found: list[FieldProblem] = []
    for place, part in stated:
        shown = [(name, getattr(part, name, None) or "") for name in _SHOWN]
        found += [FieldProblem(field=f"{place}{name}", expected=HIDDEN_REFUSED) for name, text in shown if has_hidden(text)]
        if has_unclear(getattr(part, "login", None) or ""):
            found.append(FieldProblem(field=f"{place}login", expected=UNCLEAR_REFUSED))
    return found


async def read_each(items: Sequence[dict[str, Any]], read: Callable[[dict[str, Any]], T]) -> list[T]:
    """Read in slices: a thousand items with ninety unknown fields each take a second."""
    found: list[T] = []
    for number, item in enumerate(items, start=1):
        found.append(read(item))
        if number % ITEMS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found
