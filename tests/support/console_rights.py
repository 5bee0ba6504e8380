"""The access checks of the services' own routes, for the console's REST in memory, which refuses what a service would refuse."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from shared.errors import Forbidden
from shared.web.auth import PERSON, Principal, access_checks, authenticated
from tests.support.apps import all_apps


def _routes_of(app: FastAPI) -> Iterator[Any]:
    for route in app.routes:
        yield from getattr(getattr(route, "original_router", None), "routes", [route])


@cache
def _routes() -> list[tuple[str, str, re.Pattern[str], list[Any]]]:
    return [
        (service, method, route.path_regex, [check for check in access_checks(route.dependant) if check is not authenticated])
        for service, app in all_apps().items()
        for route in _routes_of(app)
        if getattr(route, "include_in_schema", False)
        for method in route.methods
    ]


async def refused(service: str, method: str, path: str, claims: Mapping[str, Any]) -> Forbidden | None:
    """Return why the service refuses this to a session, by the access check of its own route."""
    for of, by, pattern, checks in _routes():
        if (of, by) == (service, method) and (found := pattern.match(path)):
            departments = frozenset(claims["departments"]) if claims.get("departments") else None
            principal = Principal(claims["subject"], claims["tenant"], frozenset(claims["rights"]), PERSON, departments)
            request = Request({"type": "http", "headers": [], "path_params": found.groupdict()})
            try:
                for check in checks:
                    await check(request, principal)
            except Forbidden as forbidden:
                return forbidden
            return None
    return None
