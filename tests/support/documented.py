"""Check that every answer of a service in this process has a status that its OpenAPI document names."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from shared.web.app import Edge


@contextmanager
def every_status_documented() -> Iterator[None]:
    note = Edge._note

    def checking(scope: Scope, status: int, seconds: float) -> None:
        note(scope, status, seconds)
        app, path, method = scope.get("app"), getattr(scope.get("route"), "path_format", ""), scope["method"].lower()
        if app is not None and app.title.startswith("Seatpool "):
            named = app.openapi()["paths"].get(path, {}).get(method, {}).get("responses", {})
            assert not named or str(status) in named, f"{method.upper()} {path} answered {status}, and its document names {[*named]}"

    Edge._note = staticmethod(checking)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Edge._note = staticmethod(note)  # type: ignore[method-assign]
