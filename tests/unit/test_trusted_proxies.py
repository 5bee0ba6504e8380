"""The address of a request is taken from the proxies that the settings name, and from nobody else."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import ValidationError

from deploy.local import ports
from shared.runtime import serve
from shared.settings import CommonSettings
from tests.support.wait import wait_until

app = FastAPI()


@app.get("/")
async def show_address(request: Request) -> str:
    assert request.client is not None
    return request.client.host


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        ("", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.7, 127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.0/8", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1,203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.1"),
    ],
)
async def test_a_forwarded_address_counts_from_a_trusted_proxy_only(
    trusted: str, forwarded: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own, which is not asked
    settings = CommonSettings(port=ports.pick(), trusted_proxies=trusted)
    server = asyncio.create_task(serve(app, settings))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", headers={"x-forwarded-for": forwarded}) as http:

            async def asked() -> str | None:
                try:
                    return str((await http.get("/")).json())
                except httpx.ConnectError:
                    return None

            assert await wait_until(asked, what="the server") == seen
    finally:
        server.cancel()
        await asyncio.wait({server})


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.1,", "10.0.0.1/8", "10.0.0"])
def test_a_text_that_is_no_address_and_no_network_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match="expected addresses or networks"):
        CommonSettings(trusted_proxies=wrong)
