"""The sessions that the console keeps in memory."""

from typing import Any

import pytest

from services.console.rest.problems import Unavailable
from services.console.sign_in.sessions import Sessions
from shared.clock import FixedClock
from shared.errors import Transient
from tests.support.messaging import NOON


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
