"""The calls of the README lead from an empty stack to the first seat."""

import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.clock import SystemClock
from tests.support.stack import RunningStack
from tests.support.tenant import kafka_of, new_tenant_id
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]
README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("## From an empty stack to the first seat")[2].partition("\n## ")[0]
SHELL = re.search(r"```sh\n(.*?)```", SECTION, re.DOTALL)[1]  # type: ignore[index]


def calls(tenant: str) -> list[tuple[str, str, str, str]]:
    """(method, service, path, body) of each line that begins with `call`, in the words of a shell, for another tenant."""
    text = SHELL.replace("$(date -u +%F)", SystemClock().now().date().isoformat()).replace("acme", tenant)
    found = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("call ")]
    return [(words[0], words[1], words[2], words[3] if len(words) > 3 else "") for words in found]


async def test_the_calls_of_the_readme_give_a_person_a_seat(stack: RunningStack) -> None:
    tenant = new_tenant_id(kafka_of(stack))
    wanted = calls(tenant)
    assert [method for method, *_ in wanted] == ["PUT", "PUT", "POST", "PUT", "PUT", "POST", "POST", "GET"]
    headers = {"Authorization": f"Bearer {await stack.token(scope='operator')}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:

        async def call(method: str, service: str, path: str, body: str) -> httpx.Response | None:
            """The answer, or None where curl tries again."""
            more = {"Idempotency-Key": f"first-{path}"} | ({"Content-Type": "application/json"} if body else {})
            response = await http.request(method, stack.addresses["services"][service] + path, content=body or None, headers=more)
            return response if response.is_success else None

        for words in wanted[:-1]:
            await wait_until(partial(call, *words), what=" ".join(words[:3]))

        async def seats() -> list[dict[str, Any]]:
            answer = await call(*wanted[-1])
            return answer.json()["items"] if answer is not None else []

        found = await wait_until(seats, what="the first seat")
    assert [seat["state"] for seat in found] == ["active"]
