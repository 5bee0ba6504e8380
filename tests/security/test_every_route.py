"""Every route of every service, as its own document lists it: a token, the token's tenant, the right that the document names, and no status
that the document does not."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import OKPKey

from cli.names import SERVICES
from shared.schemas import rights
from tests.support.stack import RunningStack
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]

RIGHTS = set(rights.RIGHTS)
OPEN = {
    ("users", "POST", "/v1/token"),
    ("users", "POST", "/v1/token/revoke"),
    ("users", "POST", "/v1/invitations/accept"),
    ("users", "POST", "/v1/invitations/show"),
    ("users", "POST", "/v1/sign-in/links"),
    ("users", "POST", "/v1/sign-in/links/use"),
    ("users", "POST", "/v1/sign-in/links/choose"),
    ("users", "POST", "/v1/sign-in/identity-provider"),
    ("users", "POST", "/v1/sign-in/identity-provider/complete"),
    ("users", "GET", "/.well-known/jwks.json"),
}
# A10: every token may read the price list, and what it says itself.
ANY_TOKEN = {("invoicing", "GET", "/v1/modules"), ("invoicing", "GET", "/v1/plans"), ("users", "GET", "/v1/me")}
READING = {"account:read", "users:read", "log:read"}
CHANGES_NOTHING = {("seats", "POST", "/v1/tenants/{tenant}/what-if")}


@dataclass(frozen=True, slots=True)
class Route:
    service: str
    method: str
    path: str
    right: str | None  # None: any token will do
    document: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.service, self.method, self.path

    @property
    def of_a_tenant(self) -> bool:
        return "{tenant}" in self.path


@dataclass(frozen=True, slots=True)
class Doors:
    stack: RunningStack
    http: httpx.AsyncClient
    routes: list[Route]

    def guarded(self) -> Iterator[Route]:
        return (route for route in self.routes if route.key not in OPEN)

    async def token(self, tenant: str | None, *rights: str) -> dict[str, str]:
        form = {"subject": "ann"} | ({"tenant": tenant} if tenant else {})
        return {"authorization": f"Bearer {await self.stack.token(scope=' '.join(rights), **form)}"}

    async def ask(self, route: Route, headers: dict[str, str], tenant: str = "mine") -> int:
        path = re.sub(r"\{(\w+)\}", lambda name: tenant if name[1] == "tenant" else "7", route.path)
        url = self.stack.addresses["services"][route.service] + path
        answer = await self.http.request(route.method, url, headers=headers, json=None if route.method == "GET" else {})
        assert str(answer.status_code) in route.document["responses"], f"{route.key} answered {answer.status_code}, which no document names"
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json", route.key
        return answer.status_code


@pytest_asyncio.fixture
async def doors(stack: RunningStack) -> AsyncIterator[Doors]:
    async with httpx.AsyncClient(timeout=30) as http:
        routes = []
        for service in SERVICES:
            document = (await http.get(f"{stack.addresses['services'][service]}/openapi.json")).json()
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    named = [right for scheme in operation.get("security", []) for names in scheme.values() for right in names]
                    assert len(named) < 2, path
                    routes.append(Route(service, method.upper(), path, named[0] if named else None, operation))
        yield Doors(stack, http, routes)


async def test_every_route_of_every_service_asks_for_a_token(doors: Doors) -> None:
    garbage = [{}, {"authorization": "Bearer x.y.z"}, {"authorization": "Basic YTpi"}]
    answers = {(route.key, number): await doors.ask(route, headers) for route in doors.guarded() for number, headers in enumerate(garbage)}
    assert {key: status for key, status in answers.items() if status != 401} == {}
    assert {route.service for route in doors.guarded()} == set(SERVICES)
    assert len(answers) > 3 * 50


async def test_no_route_of_every_service_accepts_an_expired_or_forged_token(doors: Doors) -> None:
    """tests/unit/test_web_access.py has the other faults of a token; these two need the keys that users really publishes. For the
    other services, the token of a revoked session ends as an expired one: tests/security/test_users_access.py."""
    fleeting = {"authorization": f"Bearer {await doors.stack.token(scope='operator', ttl_seconds='1')}"}
    published = (await doors.http.get(f"{doors.stack.addresses['services']['users']}/.well-known/jwks.json")).json()["keys"]
    own = OKPKey.generate_key("Ed25519", {"kid": published[-1]["kid"]}, private=True)
    claims = {"iss": "seatpool", "aud": "seatpool", "sub": "x", "rights": ["operator"], "kind": "client", "iat": 1, "exp": 9_999_999_999}
    forged = jwt.encode({"alg": "Ed25519", "kid": published[-1]["kid"]}, claims, own, algorithms=["Ed25519"])
    assert {route.key for route in doors.guarded() if await doors.ask(route, {"authorization": f"Bearer {forged}"}) != 401} == set()
    first = next(doors.guarded())

    async def expired() -> bool:
        return await doors.ask(first, fleeting) == 401

    await wait_until(expired, what="the end of the token")
    assert {route.key for route in doors.guarded() if await doors.ask(route, fleeting) != 401} == set()


async def test_every_tenant_route_of_every_service_is_hidden_from_another_tenant(doors: Doors) -> None:
    headers = await doors.token("other", *RIGHTS)
    assert {route.key for route in doors.guarded() if route.of_a_tenant and await doors.ask(route, headers) != 404} == set()
    vendors = [route for route in doors.guarded() if not route.of_a_tenant and route.key not in ANY_TOKEN]
    assert {route.key for route in vendors if await doors.ask(route, headers) != 403} == set(), "the vendor's own routes"


async def test_T22_T23_T24_M1_every_route_of_every_service_needs_its_right(doors: Doors) -> None:
    for right in sorted(RIGHTS):
        headers = await doors.token("mine", right)
        for route in doors.guarded():
            needed = route.right is not None and right not in (route.right, "operator")
            vendors = not route.of_a_tenant and route.right is not None
            status = await doors.ask(route, headers)
            assert (status == 403) == (needed or vendors), f"{route.key} answered {status} to who has {right}"


async def test_T22_M1_every_route_that_changes_something_needs_more_than_a_right_to_read(doors: Doors) -> None:
    assert {route.key for route in doors.guarded() if route.right is None} == ANY_TOKEN
    assert {route.right for route in doors.guarded()} - {None} == RIGHTS
    changing = [route for route in doors.guarded() if route.method != "GET" and route.key not in CHANGES_NOTHING]
    assert {route.key for route in changing if route.right in READING} == set()
