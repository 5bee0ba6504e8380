"""Check that every answer of a service in this process has a status that its OpenAPI document names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Scope

from shared.web.app import Edge


@contextmanager
def every_status_documented() -> Iterator[None]:
    note, documents = Edge._note, dict[str, dict[str, Any]]()

    def paths_of(app: FastAPI) -> dict[str, Any]:
        """Return the documented paths of the service. They are the same in each of its applications, and take half a second to make."""
        if app.title not in documents:
            documents[app.title] = app.openapi()["paths"]
        return documents[app.title]

    def checking(scope: Scope, status: int, seconds: float) -> None:
        note(scope, status, seconds)
        app, path, method = scope.get("app"), getattr(scope.get("route"), "path_format", ""), scope["method"].lower()
        if app is not None and app.title.startswith("Seatpool "):
            named = paths_of(app).get(path, {}).get(method, {}).get("responses", {})
            assert not named or str(status) in named, f"{method.upper()} {path} answered {status}, and its document names {[*named]}"

    Edge._note = staticmethod(checking)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Edge._note = staticmethod(note)  # type: ignore[method-assign]
