"""Signing keys of the whole product: a rotation that nobody notices, and a revocation that every service follows."""

import base64

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.names import SERVICES
from services.users.sign_in.keys import READ_EVERY_SECONDS
from shared.web.auth import FETCH_EVERY_SECONDS, FETCH_TIMEOUT_SECONDS
from tests.support.stack import RunningStack
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]
REFUSED_EVERYWHERE_SECONDS = 10  # users reads its folder, and a service asks users, which has a moment to answer
assert READ_EVERY_SECONDS + FETCH_EVERY_SECONDS + FETCH_TIMEOUT_SECONDS < REFUSED_EVERYWHERE_SECONDS
BUSY = 4  # so many times longer on a machine that does other things


def kid_of(token: str) -> str:
    header = token.partition(".")[0]
    return str(orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def seatpool(stack: RunningStack, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"SEATPOOL_STATE_DIR": str(stack.folder), "COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_rotation_ends_no_token_and_all_four_services_refuse_a_revoked_key_within_ten_seconds(stack: RunningStack) -> None:
    async with httpx.AsyncClient(timeout=30) as http:

        async def answers(token: str) -> dict[str, int]:
            """Return 401, or the route's answer to a caller with access."""
            headers = {"authorization": f"Bearer {token}"}
            urls = {service: f"{stack.addresses['services'][service]}/v1/tenants/nobody/statistics" for service in SERVICES}
            return {service: (await http.get(url, headers=headers)).status_code for service, url in urls.items()}

        async def token_of_another_key(than: str) -> str | None:
            token = await stack.token(scope="operator")
            return token if kid_of(token) != kid_of(than) else None

        old = await stack.token(scope="operator")
        seatpool(stack, "keys", "rotate")
        refused: list[int] = []

        async def rotated() -> str | None:
            new = await token_of_another_key(old)
            seen = [*(await answers(old)).values(), *(await answers(new or old)).values()]
            refused.extend(status for status in seen if status == 401)
            return new

        new = await wait_until(rotated, seconds=BUSY * REFUSED_EVERYWHERE_SECONDS, what="a token of the new key")
        assert refused == [], "the old and the new token, from the first one on"

        # The current one: the next one replaces it at once, and the services get themselves other tokens.
        seatpool(stack, "keys", "revoke", kid_of(new))

        async def refused_everywhere() -> bool:
            return set((await answers(new)).values()) == {401}

        await wait_until(refused_everywhere, seconds=BUSY * REFUSED_EVERYWHERE_SECONDS, what="the revoked key to be refused everywhere")
        for token in (old, await stack.token(scope="operator")):
            assert 401 not in (await answers(token)).values()
        listed = seatpool(stack, "keys", "list")
        assert f"{kid_of(new)} │ revoked" in listed
        assert f"{kid_of(old)} │ previous" in listed


async def test_while_users_is_away_the_last_keys_stay_in_use(stack: RunningStack) -> None:
    headers = {"authorization": f"Bearer {await stack.token(scope='operator')}"}
    async with httpx.AsyncClient(timeout=30, headers=headers) as http:

        async def refused() -> list[str]:
            urls = [f"{stack.addresses['services'][service]}/v1/tenants/nobody/statistics" for service in SERVICES[1:]]
            return [url for url in urls if (await http.get(url)).status_code in (401, 503)]

        async def known() -> bool:
            return not await refused()

        await wait_until(known, what="the keys to be known to every service")
        await stack.down("users")
        try:
            assert await refused() == []
        finally:
            await stack.up("users")
