"""FastAPI's document with what it cannot know: the refusals of each route, as problem+json under the statuses that it really gives."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.web.problems import MEDIA_TYPE, TITLES, Problem

Responses = dict[int | str, dict[str, Any]]


def refusals(*statuses: int) -> Responses:
    """For `responses=` of a route: what its own rules refuse with. What follows from tokens, bodies and parameters is added for all."""
    return {status: {"description": TITLES[status]} for status in statuses}


def document_of(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= model.pop("$defs", {}) | {"Problem": model}
        for path, operations in document.get("paths", {}).items():
            for method, operation in operations.items():
                _name_refusals(method, path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _name_refusals(method: str, path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status in {*map(int, responses), *_of_every_route(method, path, operation)}:
        if status >= 400:
            content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            responses[str(status)] = {"description": TITLES[status], "content": content}
    if method != "get" and "requestBody" not in operation:
        responses["422"]["description"] += ". This route needs no body: send none, or an empty JSON object."
    operation["responses"] = dict(sorted(responses.items()))


def _of_every_route(method: str, path: str, operation: dict[str, Any]) -> Iterator[int]:
    """422: queries and paths are checked for what nobody can keep, whatever they are called. 429: a tenant asks too much at once. 503: keys
    or database are away."""
    yield from (422, 500)
    security = operation.get("security", [])
    if security:
        yield from (401, 429, 503)
    if any(right for scheme in security for right in scheme.values()):
        yield 403
    if "{tenant}" in path:
        yield 404
    if method != "get":
        yield from (413, 415)
    if "requestBody" in operation:
        yield 400
