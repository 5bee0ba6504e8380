"""Requests about a tenant: the owner answers from memory, every other worker asks the owner, and all refuse while the owner changes."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse

from services.seats.api.owner_routing import HOP, OwnerRoute, OwnerRouting

OWN, OTHER = "http://one:1", "http://two:2"


def worker(*, ready: bool, owns: bool, owner: str | None) -> Any:
    live = {0: object()} if owns else {}
    return SimpleNamespace(
        settings=SimpleNamespace(seats_partitions=1),
        ready=ready,
        engine=SimpleNamespace(live=live),
        owner_url=lambda partition: owner,
        advertised_url=OWN,
    )


async def asked(it: Any, headers: Any = None) -> httpx.Response:
    """What the worker `one` answers; a forwarded request is answered by `two`, or by nobody there."""

    router = APIRouter(route_class=OwnerRoute)

    @router.get("/v1/tenants/{tenant}/pools", response_class=PlainTextResponse)
    async def from_memory(tenant: str, after: str = "") -> PlainTextResponse:
        return PlainTextResponse("from memory")

    def two(request: httpx.Request) -> httpx.Response:
        if it.down:
            raise httpx.ConnectError("nobody there")
        it.headers = request.headers
        said = {"x-correlation-id": "w1", "x-content-type-options": "nosniff", "cache-control": "no-store", "etag": "1"}
        return httpx.Response(200, text=f"two was asked for {request.url.raw_path.decode()}, hop {request.headers[HOP]}", headers=said)

    app = FastAPI()
    app.include_router(router)
    app.state.owner_routing = OwnerRouting(it)
    app.state.owner_routing._client = httpx.AsyncClient(transport=httpx.MockTransport(two))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=OWN) as client:
        return await client.get("/v1/tenants/acme/pools?after=0-1", headers=headers)


async def test_the_owner_answers_from_its_memory() -> None:
    assert (await asked(worker(ready=True, owns=True, owner=OWN))).text == "from memory"


async def test_every_other_worker_asks_the_owner() -> None:
    it = worker(ready=True, owns=False, owner=OTHER)
    it.down = False
    assert (await asked(it)).text == "two was asked for /v1/tenants/acme/pools?after=0-1, hop 1"


async def test_headers_are_forwarded_unchanged_and_each_workers_own_headers_appear_once() -> None:
    it = worker(ready=True, owns=False, owner=OTHER)
    it.down = False
    odd = {"x-odd": "\u00e9".encode("latin-1"), "authorization": b"Bearer t", "transfer-encoding": b"chunked"}
    answer = await asked(it, odd)
    assert answer.status_code == 200
    forwarded = dict(it.headers.raw)
    assert (forwarded[b"x-odd"], forwarded[b"authorization"]) == (b"\xe9", b"Bearer t")
    assert b"transfer-encoding" not in forwarded
    assert "etag" in answer.headers
    assert not {"x-correlation-id", "x-content-type-options", "cache-control"} & answer.headers.keys()


@pytest.mark.parametrize(
    ("it", "headers"),
    [
        pytest.param(worker(ready=False, owns=True, owner=OWN), {}, id="rebalancing, though the state is still there"),
        pytest.param(worker(ready=False, owns=False, owner=OTHER), {}, id="rebalancing"),
        pytest.param(worker(ready=True, owns=False, owner=None), {}, id="nobody is known to own it"),
        pytest.param(worker(ready=True, owns=False, owner=OWN), {}, id="assigned to this one, not restored yet"),
        pytest.param(worker(ready=True, owns=False, owner=OTHER), {HOP: "1"}, id="two workers take each other for the owner"),
        pytest.param(worker(ready=True, owns=False, owner=OTHER), {}, id="the owner cannot be reached"),
    ],
)
async def test_while_the_owner_changes_every_worker_refuses_and_says_when_to_try_again(it: Any, headers: dict[str, str]) -> None:
    it.down = True
    answer = await asked(it, headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:seatpool:problem:unavailable"
