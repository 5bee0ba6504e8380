"""Every route of every service decides who may call it before it reads the first byte of a body."""

import asyncio
import base64
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from joserfc.jwk import OKPKey
from starlette.types import Message

from shared.errors import Conflict, NotFound
from shared.schemas.rights import ABOUT_PEOPLE, TENANT_RIGHTS
from shared.schemas.rights import RIGHTS as EVERY_RIGHT
from shared.web import access, refusals
from shared.web.route import CheckedRoute
from tests.support.apps import KEY, all_apps, bearer, forged

APPS = all_apps()
SIGN_IN = ("links", "links/use", "links/choose", "identity-provider", "identity-provider/complete")
OPEN = {
    ("users", "POST", "/v1/token"),
    ("users", "POST", "/v1/invitations/accept"),
    ("users", "POST", "/v1/invitations/show"),
    ("users", "GET", "/.well-known/jwks.json"),
}
OPEN |= {("users", "POST", "/v1/token/revoke"), *(("users", "POST", f"/v1/sign-in/{last}") for last in SIGN_IN)}
ANY_TOKEN = {("invoicing", "GET", "/v1/modules"), ("invoicing", "GET", "/v1/plans"), ("users", "GET", "/v1/me")}


class Route(NamedTuple):
    service: str
    method: str
    path: str


def routes() -> Iterator[Route]:
    for service, app in APPS.items():
        for path, operations in app.openapi()["paths"].items():
            yield from (Route(service, method.upper(), path) for method in operations)


ROUTES = [route for route in routes() if route not in OPEN]


async def asked(route: Route, authorization: str | None, *sent: bytes, media_type: str = "application/json") -> tuple[int, int]:
    """The status of the answer, and how much of the body was asked for. What is not `sent` of an announced body never comes."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", b"1000")]
    headers += [(b"authorization", authorization.encode())] if authorization else []
    path = re.sub(r"\{(\w+)[^}]*\}", lambda name: "mine" if name[1] == "tenant" else "7", route.path)
    scope: dict[str, Any] = {
        "type": "http",
        "method": route.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    scope |= {"root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "http_version": "1.1", "asgi": {}}
    parts, answered, reads = list(sent), [], 0

    async def receive() -> Message:
        nonlocal reads
        reads += 1
        if not parts:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    async with asyncio.timeout(10):
        await APPS[route.service](scope, receive, send)
    return answered[0], reads


def test_there_are_routes_of_all_services() -> None:
    assert {route.service for route in ROUTES} == {"users", "seats", "invoicing", "notifier"}
    assert len(ROUTES) > 50


@pytest.mark.parametrize("route", ROUTES, ids="-".join)
async def test_access_is_decided_before_the_first_byte_of_a_body(route: Route) -> None:
    for authorization in (None, "Bearer x.y.z", "Basic YTpi"):
        assert await asked(route, authorization) == (401, 0)
    assert await asked(route, None, b'{"broken') == (401, 0)
    if route in ANY_TOKEN:
        return
    if "{tenant}" in route.path:
        assert await asked(route, bearer("other", *EVERY_RIGHT)) == (404, 0), "a token of another tenant"
        assert await asked(route, bearer("mine")) == (403, 0), "a token without the right"
    else:
        assert await asked(route, bearer("mine", *EVERY_RIGHT)) == (403, 0), "a token of one tenant at the vendor's own route"


def served(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (router := getattr(route, "original_router", None)) is not None:
            yield from served(router.routes)


def dependencies(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies(each)


def test_no_request_waits_for_a_thread() -> None:
    """FastAPI runs a function that is not async in a thread, which takes longer than all other checks of a request."""
    routes = [route for app in APPS.values() for route in served(app.routes)]
    called = [call for route in routes for call in (route.endpoint, *dependencies(route.dependant))]
    in_threads = {
        str(call) for call in called if not (inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__))
    }
    assert (in_threads, len(called) > 500) == (set(), True)


def granted(route: Route) -> str:
    return bearer("mine" if "{tenant}" in route.path else None, *EVERY_RIGHT)


def has_body(route: Route) -> bool:
    return "requestBody" in APPS[route.service].openapi()["paths"][route.path][route.method.lower()]


CHANGING = [route for route in ROUTES if route.method != "GET"]


@pytest.mark.parametrize("route", CHANGING, ids="-".join)
async def test_every_route_refuses_a_body_that_is_not_announced_as_json(route: Route) -> None:
    for media_type in (
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/problem+json",
    ):
        assert await asked(route, granted(route), b"{}", media_type=media_type) == (415, 0), media_type


@pytest.mark.parametrize("route", [route for route in CHANGING if not has_body(route)], ids="-".join)
async def test_a_route_that_needs_no_body_refuses_every_json_but_an_empty_object(route: Route) -> None:
    for body in (b'{"broken', b'{"a": 1}', b"[]", b"null", b"0", b'""', b"{}{}", b"[" * 100, b'"\\u0000"', b"\xff"):
        assert await asked(route, granted(route), body) == (422, 1), body
    assert await asked(route, granted(route), b"x" * 2**20, b"x", b"never read") == (413, 2)
    for body in (b"", b"{}", b" {\r\n\t} "):
        assert (await asked(route, granted(route), body))[0] not in (413, 415, 422), body


@pytest.mark.parametrize("service", APPS)
async def test_every_route_refuses_a_query_parameter_that_its_document_does_not_list(service: str) -> None:
    refused, listed = {}, {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APPS[service]), base_url="http://test") as client:
        for route in (route for route in routes() if route.service == service):
            operation = APPS[service].openapi()["paths"][route.path][route.method.lower()]
            names = sorted(each["name"] for each in operation.get("parameters", []) if each["in"] == "query")
            listed[route] = f"this route has only {', '.join(names)}" if names else "this route has none"
            path = re.sub(r"\{(\w+)[^}]*\}", lambda name: "mine" if name[1] == "tenant" else "7", route.path)
            headers = {"authorization": granted(route)}
            answer = await client.request(route.method, path, params={"kin": "a secret"}, headers=headers, json={})
            assert "a secret" not in answer.text
            refused[route] = [(answer.status_code, each["field"], each["expected"]) for each in answer.json()["errors"]]
    assert refused == {route: [(422, "query.kin", f"a query parameter of this route; {text}")] for route, text in listed.items()}


@pytest.mark.parametrize("service", APPS)
def test_every_document_says_what_bodies_a_route_refuses(service: str) -> None:
    for path, operations in APPS[service].openapi()["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert ("415" in answers) == (method != "get"), (method, path)
            assert ("needs no body" in answers["422"]["description"]) == (method != "get" and "requestBody" not in operation), (
                method,
                path,
            )


@pytest.mark.parametrize("service", APPS)
async def test_A13_every_service_but_seats_names_the_support_contact_of_the_tokens_tenant(service: str) -> None:
    """seats keeps no contacts."""
    app = all_apps()[service]

    @app.get("/v1/tenants/{tenant}/refusals/{status}", dependencies=[Depends(access("account:read"))], responses=refusals(409))
    async def refuse(tenant: str, status: int) -> None:
        raise NotFound("thing") if status == 404 else Conflict("conflict", "It is there already.")

    named = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for status, token in ((403, bearer("mine")), (404, bearer("mine", "account:read")), (409, bearer("mine", "account:read"))):
            for tenant in ("mine", "other"):
                answer = await client.get(f"/v1/tenants/{tenant}/refusals/{status}", headers={"authorization": token})
                assert answer.status_code == (status if tenant == "mine" else 404)
                named[tenant, status] = answer.json().get("support_contact")
    contact = None if service == "seats" else "help@mine.example"
    assert named == {("mine", status): contact for status in (403, 404, 409)} | {("other", status): None for status in (403, 404, 409)}


async def test_the_form_for_a_token_is_read_to_16_kb() -> None:
    form = "application/x-www-form-urlencoded"
    route = Route("users", "POST", "/v1/token")
    assert await asked(route, None, b"grant_type=x", media_type=form) == (422, 1)
    assert await asked(route, None, *[b"a=" + b"b" * 1022] * 16, b"b", b"never read", media_type=form) == (413, 17)
    assert await asked(route, None) == (415, 0)


def all_routes(app: FastAPI) -> Iterator[Any]:
    for route in app.routes:
        yield from getattr(getattr(route, "original_router", None), "routes", [route])


@pytest.mark.parametrize("service", APPS)
def test_every_route_in_a_document_is_of_the_class_that_checks_access_first(service: str) -> None:
    found = [route for route in all_routes(APPS[service]) if getattr(route, "include_in_schema", False)]
    assert len(found) >= 7
    assert [route.path for route in found if not isinstance(route, CheckedRoute)] == []


# These routes apply the viewset of a token, or name nobody. All other routes about people are refused to a token with a viewset.
PERSON = "/v1/tenants/{tenant}/people/{user}"
WITH_VIEWSET = {
    ("notifier", "GET", "/v1/tenants/{tenant}/actions"),
    ("notifier", "GET", "/v1/tenants/{tenant}/emails"),
    ("notifier", "GET", "/v1/tenants/{tenant}/emails/undelivered"),
    ("notifier", "GET", "/v1/tenants/{tenant}/emails/{email}"),
    ("users", "GET", "/v1/tenants/{tenant}/department-mapping"),
    ("users", "GET", "/v1/tenants/{tenant}/profiles"),
    ("users", "GET", "/v1/tenants/{tenant}/roles"),
    ("users", "GET", "/v1/tenants/{tenant}/roles/{role}"),
    ("users", "GET", "/v1/tenants/{tenant}/differences"),
    ("users", "GET", "/v1/tenants/{tenant}/matches"),
    *(("users", method, "/v1/tenants/{tenant}/people") for method in ("GET", "POST")),
    ("users", "POST", "/v1/tenants/{tenant}/people/bulk-changes"),
    *(("users", method, PERSON) for method in ("GET", "PATCH")),
    *(("users", method, f"{PERSON}/roles") for method in ("GET", "PUT")),
    ("users", "PUT", f"{PERSON}/digests"),
    *(("users", "GET", f"{PERSON}/{last}") for last in ("why", "data", "timelines")),
    *(("users", "POST", f"{PERSON}/{last}") for last in ("reactivate", "invite", "replace", "terminate", "erase")),
    ("users", "GET", f"{PERSON}/owned-items"),
    *(("users", "PUT", f"{PERSON}/{last}") for last in ("owned-items/{kind}", "heir")),
    ("users", "DELETE", f"{PERSON}/terminate"),
    *(("users", method, f"{PERSON}/sessions") for method in ("GET", "DELETE")),
    ("users", "DELETE", f"{PERSON}/sessions/{{session}}"),
    ("users", "POST", f"{PERSON}/sign-in/confirm"),
}
SEATS_ABOUT_PEOPLE = {"/seats", "/why/{user}", "/forecast", "/what-if", "/access/{user}", "/access/{user}/{module}"}


async def test_E9_a_route_about_people_applies_a_viewset_or_is_refused_to_a_token_with_one() -> None:
    token = bearer("mine", *TENANT_RIGHTS, departments=["Makers"])
    for route in ROUTES:
        operation = APPS[route.service].openapi()["paths"][route.path][route.method.lower()]
        rights = {right for scheme in operation.get("security", ()) for named in scheme.values() for right in named}
        about_people = bool(rights & ABOUT_PEOPLE) or route.path.removeprefix("/v1/tenants/{tenant}") in SEATS_ABOUT_PEOPLE
        if "{tenant}" in route.path and "operator" not in rights:
            status, _ = await asked(route, token, b"{}")
            assert (status == 403) == (about_people and route not in WITH_VIEWSET), route
    assert {(route.service, route.method, route.path) for route in ROUTES} >= WITH_VIEWSET


async def test_T22_T23_no_route_accepts_a_token_that_is_expired_forged_or_of_another_issuer() -> None:
    public, body = KEY.as_dict(private=False)["x"], bearer(None, "operator").rpartition(".")[0]
    bad = {
        "expired": forged(iat=1, exp=2),
        "forged": forged(OKPKey.generate_key("Ed25519", {"kid": "k1"}, private=True)),
        "changed": forged().replace(".", ".e30", 1),
        "without a signature": f"{body}.",
        "signed with the public key": body + "." + base64.urlsafe_b64encode(str(public).encode()).decode().rstrip("="),
        "other issuer": forged(iss="https://login.example.com/acme"),
        "other audience": forged(aud="another product"),
        "a person of no tenant": forged(kind="user"),
        "rights that are no list": forged(rights="operator"),
        "a viewset that is no list": forged(departments="Makers"),
    }
    accepted = {(route, name) for route in ROUTES for name, token in bad.items() if (await asked(route, token)) != (401, 0)}
    assert accepted == set()
    assert [route for route in ROUTES if (await asked(route, forged(), b"{}"))[0] == 401] == [], "the same token without a fault"
