"""`python -m tests.chaos.scim [--people 300] [--kills 8] [--seed n]`: kill users and seats under the load of a SCIM client.

The client searches and creates users, blocks some and lets some in again, and repeats what was not answered, as identity providers do.
Then nothing may be lost or double: each user exists once and as it was last answered, each command has one decision, and a replay of the
log finds nothing above the pool. Prints one JSON line; exit code 1 on any finding.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.bench.scim_bench import ENTERPRISE, PATCH, USER, connect
from tests.chaos.run import VERDICT, judge
from tests.support.log import seat_log
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, Tenant, kafka_of, open_rest, open_tenant

CLIENTS = 8
RETRY_SECONDS = 0.2
SECONDS_MAX = 300
KILLED = ("users", "seats")
ADDRESS = "p{}@company.example"


@dataclass
class Client:
    """An identity provider, with what it last set for each of its users."""

    http: httpx.AsyncClient
    url: str
    headers: Mapping[str, str]
    chance: random.Random
    active: dict[str, bool] = field(default_factory=dict)  # by userName
    unanswered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None, **parameters: str) -> httpx.Response:
        """Repeat a request that changes nothing when it is repeated, until it is answered."""
        while True:
            if (answer := await self._once(method, path, body, **parameters)) is not None:
                return answer
            await asyncio.sleep(RETRY_SECONDS)

    async def _once(self, method: str, path: str, body: Any = None, **parameters: str) -> httpx.Response | None:
        content = None if body is None else orjson.dumps(body)
        try:
            answer = await self.http.request(method, f"{self.url}{path}", content=content, headers=self.headers, params=parameters)
        except httpx.HTTPError as error:
            self.unanswered[type(error).__name__] += 1
            return None
        if answer.status_code in (429, 503):
            self.unanswered[str(answer.status_code)] += 1
            return None
        return answer

    async def found(self, user_name: str) -> list[dict[str, Any]]:
        answer = await self.call("GET", "/Users", filter=f'userName eq "{user_name}"')
        return list(answer.json()["Resources"])

    async def add(self, user_name: str) -> str:
        """Search, create, and search again where the answer is missing."""
        body = {"schemas": [USER, ENTERPRISE], "userName": user_name, "active": True, ENTERPRISE: {"department": "Everybody"}}
        while True:
            if known := await self.found(user_name):
                return str(known[0]["id"])
            answer = await self._once("POST", "/Users", body)
            if answer is not None and answer.status_code == 201:
                return str(answer.json()["id"])
            if answer is not None and answer.status_code != 409:
                self.wrong.append(f"{user_name}: {answer.status_code} {answer.text[:200]}")

    async def serve(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            user_name = ADDRESS.format(number)
            resource = await self.add(user_name)
            self.active[user_name] = True
            changes = self.chance.choice([(), (), (False,), (False, True)])
            for active in changes:
                operation = {"op": "replace", "path": "active", "value": active}
                answer = await self.call("PATCH", f"/Users/{resource}", {"schemas": [PATCH], "Operations": [operation]})
                if answer.status_code != 200:
                    self.wrong.append(f"{user_name}: {answer.status_code} {answer.text[:200]}")
                self.active[user_name] = active


async def disturb(stack: RunningStack, client: Client, people: int, kills: int) -> dict[str, int]:
    """Kill a part each time that some more users are there; return how often each was killed."""
    killed: Counter[str] = Counter()
    for number in range(kills):
        while len(client.active) < people * (number + 1) // (kills + 1):
            await asyncio.sleep(0.05)
        part = KILLED[number % len(KILLED)]
        await asyncio.sleep(client.chance.random() / 4)
        stack.kill(part)
        killed[part] += 1
    return dict(killed)


async def check(stack: RunningStack, tenant: Tenant, client: Client, licences: int) -> dict[str, Any]:
    log = await seat_log(kafka_of(stack), tenant.id)
    listed: list[dict[str, Any]] = []
    while not listed or len(listed) % 200 == 0:
        page = (await client.call("GET", "/Users", startIndex=str(len(listed) + 1), count="200")).json()["Resources"]
        listed += page
        if not page:
            break
    names = Counter(each["userName"] for each in listed)
    differing = [each["userName"] for each in listed if each["active"] is not client.active.get(each["userName"])]
    seats = [seat for seat in await tenant.stage.pages("seats", "seats", module=BASE) if seat["state"] != "waiting"]
    working = sum(client.active.values())
    return {
        "lost": sorted(client.active.keys() - names.keys()),
        "double": sorted(name for name, count in names.items() if count > 1),
        "differing_users": sorted(differing),
        "log": [*log.unanswered, *log.answered_twice, *log.conflicting],
        "wrong_answers": client.wrong,
        "seats_of_others": abs(len(seats) - working),
        "above_the_pool": max(0, sum(seat["state"] == "active" for seat in seats) - licences),
    }


async def run(stack: RunningStack, people: int, kills: int, seed: int) -> dict[str, Any]:
    licences = people // 2
    async with await open_rest(stack) as rest, httpx.AsyncClient(timeout=30) as http:
        tenant = await open_tenant(stack, rest, licences=licences)
        url = f"{stack.addresses['services']['users']}/scim/v2"
        client = Client(http, url, await connect(tenant), random.Random(seed))
        await rest.put("users", tenant.stage.path("guard/scim/okta"), {"people": people})
        numbers = iter(range(people))
        async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
            disturbing = group.create_task(disturb(stack, client, people, kills))
            for _ in range(CLIENTS):
                group.create_task(client.serve(numbers))
        await stack.until_ready()
        await tenant.stage.until_idle()
        found = await check(stack, tenant, client, licences)
        verdict = await judge(kafka_of(stack), Counter())
    ok = not any(found.values()) and not any(verdict[law] for law in VERDICT)
    said = {"ok": ok, "seed": seed, "people": people, "active": sum(client.active.values()), "licences": licences}
    return said | {"kills": disturbing.result(), "requests_repeated": dict(client.unanswered)} | found | verdict


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.scim", description=__doc__)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="seatpool-chaos-", ignore_cleanup_errors=True) as folder:
        stack = RunningStack(Path(folder) / "stack", durable=True).start()
        try:
            verdict = asyncio.run(run(stack, given.people, given.kills, seed))
        finally:
            stack.stop()
    sys.stdout.write(orjson.dumps(verdict).decode() + "\n")
    sys.exit(0 if verdict["ok"] else 1)


if __name__ == "__main__":
    main()
