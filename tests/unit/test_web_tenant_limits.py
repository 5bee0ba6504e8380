"""No tenant takes a whole process: what of one tenant is answered at once is counted, from its access to the end of its answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import StreamingResponse
from joserfc.jwk import KeySet

from shared.errors import Conflict
from shared.settings import CommonSettings
from shared.web import Verifier, access
from shared.web.app import create_app
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import COSTLY_MAX, COSTLY_OF_VENDOR_MAX, REQUESTS_MAX, costly, costly_when
from tests.support.apps import KEY, all_apps, bearer
from tests.unit.test_web_access import all_routes

COSTLY = {
    ("users", "GET", "/v1/tenants/{tenant}/department-mapping"),
    ("users", "PUT", "/v1/tenants/{tenant}/department-mapping"),
    ("users", "PATCH", "/v1/tenants/{tenant}"),
    ("users", "PUT", "/v1/tenants/{tenant}/profiles/{profile}"),
    ("users", "POST", "/v1/tenants/{tenant}/hr-events"),
    ("users", "PUT", "/v1/tenants/{tenant}/imports/{import}/people/{first}"),
    ("users", "GET", "/v1/tenants/{tenant}/held-events/{source:path}"),
    ("users", "POST", "/v1/tenants/{tenant}/held-events/confirm"),
    ("users", "POST", "/v1/tenants/{tenant}/people/reactivate-refused"),
    ("users", "POST", "/v1/tenants/{tenant}/possible-duplicates/confirm"),
    ("users", "POST", "/v1/tenants/{tenant}/imports/{import}/check"),
    ("users", "POST", "/v1/tenants/{tenant}/people/bulk-changes"),
    ("users", "PUT", "/v1/tenants/{tenant}/scim-connections/{connection}/groups/{group}"),
    ("users", "DELETE", "/v1/tenants/{tenant}/scim-connections/{connection}"),
    ("users", "GET", "/v1/tenants/{tenant}/people/{user}/data"),
    ("users", "GET", "/v1/tenants/{tenant}/differences"),
    ("users", "GET", "/v1/tenants/{tenant}/matches"),
    ("seats", "GET", "/v1/tenants/{tenant}/forecast"),
    ("seats", "POST", "/v1/tenants/{tenant}/what-if"),
    ("notifier", "GET", "/v1/tenants/{tenant}/actions"),
    ("invoicing", "GET", "/v1/plans"),
    ("invoicing", "GET", "/v1/plans/{plan}/versions"),
    ("invoicing", "GET", "/v1/catalog"),
    ("invoicing", "PUT", "/v1/catalog"),
    ("invoicing", "GET", "/v1/exports/{format}"),
    ("invoicing", "GET", "/v1/tenants/{tenant}/exports/{format}"),
    ("invoicing", "GET", "/v1/tenants/{tenant}/verification"),
}


class Sample:
    """A service whose answers come when they are let go."""

    def __init__(self) -> None:
        self.go, self.answering = asyncio.Event(), 0
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self._app(), raise_app_exceptions=False), base_url="http://test")

    def _app(self) -> FastAPI:
        async def ready() -> bool:
            return True

        app = create_app(title="sample", settings=CommonSettings(), ready=ready, verifier=Verifier(keys=lambda: KeySet([KEY])))
        router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", dependencies=[Depends(access("account:read"))])
        router.get("/plain")(self.plain)
        router.post("/plain")(self.take)
        router.get("/large")(self.large)
        router.get("/list")(self.listed)
        router.get("/refused")(self.refused)
        router.get("/broken")(self.broken)
        app.include_router(router)
        return app

    async def plain(self) -> None:
        self.answering += 1
        await self.go.wait()

    async def take(self, body: dict[str, Any]) -> None: ...

    @costly
    async def large(self) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            self.answering += 1
            yield b"begun, "
            await self.go.wait()
            yield b"ended"

        return StreamingResponse(parts())

    @costly_when(lambda request: "csv" in request.query_params)
    async def listed(self, csv: str = "", x: str = "") -> None: ...

    async def refused(self) -> None:
        raise Conflict("never", "Never.")

    async def broken(self) -> None:
        raise RuntimeError("a bug")

    async def ask(self, path: str, tenant: str = "acme", *, vendor: bool = False, **options: Any) -> httpx.Response:
        token = bearer(None, "operator") if vendor else bearer(tenant, "account:read")
        method = "POST" if options else "GET"
        return await self.http.request(method, f"/v1/tenants/{tenant}/{path}", headers={"authorization": token}, **options)

    async def running(self, path: str, count: int, **who: Any) -> list[asyncio.Task[httpx.Response]]:
        """So many requests, each being answered."""
        self.answering = 0
        tasks = [asyncio.ensure_future(self.ask(path, **who)) for _ in range(count)]
        while self.answering < count:
            await asyncio.sleep(0)
        return tasks

    async def status(self, path: str, *tenant: str, **who: Any) -> int:
        return (await self.ask(path, *tenant, **who)).status_code


@pytest.fixture
async def sample() -> AsyncIterator[Sample]:
    sample = Sample()
    async with sample.http:
        yield sample


async def test_ten_requests_of_one_tenant_are_answered_at_once_and_others_are_not_kept_waiting(sample: Sample) -> None:
    running = await sample.running("plain", REQUESTS_MAX)
    refused = await sample.ask("list")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (refused.json()["type"], refused.json()["at_once_max"]) == ("urn:seatpool:problem:too-many-requests", 10)
    assert await sample.status("list", "other") == 200
    running += await sample.running("plain", REQUESTS_MAX, vendor=True)
    assert await sample.status("list", vendor=True) == 200, "the vendor's own requests are not limited, unless they are costly"
    sample.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*running)} == {200}
    assert await sample.status("list") == 200


async def test_four_costly_requests_are_answered_at_once_until_the_last_byte_of_a_stream(sample: Sample) -> None:
    running = await sample.running("large", COSTLY_MAX)
    assert [await sample.status(path) for path in ("large", "list?csv", "list")] == [429, 429, 200]
    sample.go.set()
    assert {answer.text for answer in await asyncio.gather(*running)} == {"begun, ended"}
    assert await sample.status("list?csv") == 200


async def test_tokens_for_all_tenants_have_a_limit_of_their_own_for_costly_requests(sample: Sample) -> None:
    running = await sample.running("large", COSTLY_OF_VENDOR_MAX, vendor=True)
    refused = await sample.ask("large", vendor=True)
    assert (refused.status_code, refused.headers["retry-after"], refused.json()["at_once_max"]) == (429, "1", 16)
    assert "with tokens for all tenants" in refused.json()["detail"]
    assert [await sample.status("list?csv", vendor=vendor) for vendor in (True, False)] == [429, 200], "tenants have their own places"
    sample.go.set()
    await asyncio.gather(*running)
    assert await sample.status("list?csv", vendor=True) == 200


async def test_a_request_too_many_is_refused_before_its_body_is_read(sample: Sample) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was asked for")
        yield b""

    running = await sample.running("plain", REQUESTS_MAX)
    assert await sample.status("plain", content=never()) == 429
    sample.go.set()
    await asyncio.gather(*running)


async def test_a_request_that_is_refused_or_fails_no_longer_counts(sample: Sample) -> None:
    for path, status in (("refused", 409), ("broken", 500), ("list?x=%00", 422), ("nothing", 404)):
        assert {await sample.status(path) for _ in range(2 * REQUESTS_MAX)} == {status}
    assert await sample.status("list") == 200


def test_every_route_with_large_answers_or_bodies_is_costly() -> None:
    apps = all_apps()
    found = {
        (service, method, f"{route.path}")
        for service, app in apps.items()
        for route in all_routes(app)
        if hasattr(getattr(route, "endpoint", None), "costly")
        for method in route.methods
    }
    scim = {
        ("users", method, route.path) for route in all_routes(apps["users"]) if route.path.startswith("/scim/") for method in route.methods
    }
    assert found == COSTLY | scim
