"""The forms of the token endpoint (`application/x-www-form-urlencoded`)."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from shared.errors import Refused
from shared.schemas.faults import field_of, once_per_field
from shared.web.input_limits import faults
from shared.web.route import FORM

F = TypeVar("F", bound=BaseModel)

FIELDS_MAX = 20


def form_document(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the part of the API document that describes a form of one of these models."""
    schemas = [model.model_json_schema() for model in models]
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}}}}


def parse_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a form. Raises Refused."""
    try:
        # Keep blank values: without them, a blank field would count as one that was left out, which can mean more.
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise _invalid({"body": f"a form of UTF-8 text with at most {FIELDS_MAX} fields"}) from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _invalid({"body": "each field at most once"})
    if found := faults(form, "body"):
        raise _invalid({fault["field"]: fault["expected"] for fault in found})
    return form


def check_form(form: Mapping[str, str], model: type[F]) -> F:
    """Return the form as a model. Raises Refused, which names every wrong field but no value: one of them is a secret."""
    try:
        return model.model_validate(form)
    except ValidationError as error:
        raise _invalid({f"body.{field_of(e)}": e["expected"] for e in once_per_field(error.errors())}) from None


def _invalid(expected: Mapping[str, str]) -> Refused:
    """Return the refusal of fields; `expected` says for each what is expected."""
    errors = [{"field": field, "value": None, "expected": words} for field, words in expected.items()]
    detail = f"These fields are not valid: {', '.join(expected)}. For each of them, `errors` says what is expected."
    return Refused("invalid", detail, errors=errors)
