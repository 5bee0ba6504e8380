"""The sessions that the console keeps in memory."""

import asyncio
from typing import Any

import pytest

from services.console.rest.problems import Unavailable
from services.console.sign_in.sessions import Sessions
from shared.clock import FixedClock
from shared.errors import Transient
from tests.support.messaging import NOON
from tests.support.wait import wait_until


class Services:
    async def send(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"access_token": "token", "expires_in": 300}


class VerifierWithoutKeys:
    async def verify(self, _: str) -> None:
        raise Transient("keys: users cannot be reached")


async def test_keys_that_cannot_be_fetched_are_a_service_that_is_down_and_no_error_of_the_console() -> None:
    services: Any = Services()
    verifier: Any = VerifierWithoutKeys()
    with pytest.raises(Unavailable) as raised:
        await Sessions(services, verifier, FixedClock(NOON)).reader("secret")
    assert raised.value.service == "users"


class ServicesWithoutAnswer:
    def __init__(self) -> None:
        self.asked, self.over = 0, asyncio.Event()

    async def send(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked += 1
        await self.over.wait()
        raise Unavailable("users", sent=True)


async def test_requests_of_one_session_wait_together_while_users_does_not_answer() -> None:
    """Each of them would otherwise wait for the time limits of all before it. A later request asks again."""
    services: Any = ServicesWithoutAnswer()
    verifier: Any = VerifierWithoutKeys()
    sessions = Sessions(services, verifier, FixedClock(NOON))
    requests = [asyncio.create_task(sessions.reader("secret")) for _ in range(6)]
    await wait_until(lambda: services.asked == 1, what="the exchange of the session")
    services.over.set()
    assert [type(each) for each in await asyncio.gather(*requests, return_exceptions=True)] == [Unavailable] * 6
    assert services.asked == 1
    with pytest.raises(Unavailable):
        await sessions.reader("secret")
    assert services.asked == 2
