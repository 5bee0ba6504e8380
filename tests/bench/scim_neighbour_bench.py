"""How long `/livez` and another tenant wait while one tenant asks SCIM for as much as it can: ten clients for each kind of request.

`python -m tests.bench.scim_neighbour_bench [--seconds 10] [--people 100000] [--members 50000] [--only TEXT]`. Only figures of one run can
be compared. The load is a process of its own, which repeats what was refused at once, as no polite client would.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from shared.clock import SystemClock
from tests.bench.import_bench import database_of
from tests.bench.scim_bench import FILL, FILL_GROUP, GROUP, PATCH, USER, connect
from tests.bench.speed import percentile
from tests.support.seats import ROOT
from tests.support.stack import RunningStack
from tests.support.tenant import open_rest, open_tenant

GOAL_MS = 250
CLIENTS, SECONDS, PAUSE_SECONDS = 10, 10.0, 0.01
PEOPLE, MEMBERS = 100_000, 50_000


@dataclass(frozen=True, slots=True)
class Waited:
    requests: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, found: list[float]) -> "Waited":
        return cls(len(found), round(percentile(found, 0.5), 1), round(percentile(found, 0.99), 1), round(max(found), 1))


def requests_of(group: str, groups: list[str], members: int) -> dict[str, tuple[str, str, Any]]:
    """Return what the load asks for."""
    every = [{"value": f"r{number}"} for number in range(1, 2 * members, 2)]
    added = [{"value": f"r{number}"} for number in range(2 * members + 1, 2 * members + 201, 2)]
    texts = " or ".join(f'nickName co "{number}a"' for number in range(190))
    operations = [{"op": "replace", "path": "displayName", "value": f"Person {number}"} for number in range(1000)]
    return {
        "group": ("GET", f"/Groups/{group}", None),
        "group attributes=members": ("GET", f"/Groups/{group}?attributes=members", None),
        "groups": ("GET", "/Groups", None),
        "groups attributes=members": ("GET", "/Groups?attributes=members", None),
        "group add 100": (
            "PATCH",
            f"/Groups/{group}",
            {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": added}]},
        ),
        "group replace all": (
            "PATCH",
            f"/Groups/{group}",
            {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "members", "value": every}]},
        ),
        "group PUT": ("PUT", f"/Groups/{group}", {"schemas": [GROUP], "displayName": "Everybody", "members": every}),
        "group PATCH attributes=members": (
            "PATCH",
            f"/Groups/{groups[0]}?attributes=members",
            {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "Other"}]},
        ),
        "users page 200": ("GET", "/Users?count=200", None),
        "users last page": ("GET", "/Users?startIndex=99801&count=200", None),
        "users attributes": ("GET", "/Users?count=200&attributes=userName,emails,name", None),
        "users long filter": (
            "POST",
            "/Users/.search",
            {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": texts},
        ),
        "users evaluated": ("GET", '/Users?filter=userName co "u1" and groups.display eq "x"', None),
        "users 1000 evaluated": ("GET", '/Users?filter=userName co "999" and meta.version ne "x"', None),
        "user 1000 operations": ("PATCH", "/Users/r1", {"schemas": [PATCH], "Operations": operations}),
        "bulk of 100 users": (
            "POST",
            "/Bulk",
            {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": [
                    {"method": "PUT", "path": f"/Users/r{n}", "data": {"schemas": [USER], "userName": f"u{n}", "displayName": f"P {n}"}}
                    for n in range(1, 200, 2)
                ],
            },
        ),
    }


async def measure(stack: RunningStack, seconds: float, people: int, members: int, only: str) -> dict[str, Any]:
    load_before = os.getloadavg()[0]
    database = await asyncpg.connect(database_of(stack, "users"))
    url = f"{stack.addresses['services']['users']}/scim/v2"
    try:
        async with await open_rest(stack) as rest, httpx.AsyncClient(timeout=30) as http:
            loud, quiet = [await open_tenant(stack, rest, licences=30) for _ in range(2)]
            headers, quiets = await connect(loud), await connect(quiet)
            await quiet.send(quiet.people(20))
            await quiet.stage.until_idle()
            for statement in FILL:
                await database.execute(statement, loud.id, people)
            groups = []
            for number in range(5):
                body = orjson.dumps({"schemas": [GROUP], "displayName": f"Group {number}"})
                groups.append((await http.post(f"{url}/Groups", content=body, headers=headers)).json()["id"])
                await database.execute(FILL_GROUP, loud.id, groups[-1], members)
            await database.execute("UPDATE scim_groups SET members = $2 WHERE group_id = ANY($1)", groups, members)
            await database.execute("VACUUM ANALYZE people, timelines, scim_users, scim_members")
            found: dict[str, Any] = {
                "alone": {what: asdict(Waited.of(each)) for what, each in (await waited(stack, quiet, quiets, seconds)).items()}
            }
            for what, asked in requests_of(groups[-1], groups, members).items():
                if only and only not in what:
                    continue
                loading = asyncio.create_task(run_load(stack, url, headers, asked, seconds))
                await asyncio.sleep(1)  # until its process has begun
                beside = await waited(stack, quiet, quiets, seconds - 2)
                found[what] = {each: asdict(Waited.of(times)) for each, times in beside.items()} | {"load": await loading}
                sys.stderr.write(
                    f"{what}: "
                    + " | ".join(f"{k} {v['p50']}/{v['p99']}/{v['most']}" if "p50" in v else str(v) for k, v in found[what].items())
                    + "\n"
                )
    finally:
        await database.close()
    return {"beside": found, "goal_ms": GOAL_MS, "cores": os.cpu_count() or 0, "load_before": round(load_before, 2)}


async def waited(stack: RunningStack, quiet: Any, headers: Mapping[str, str], seconds: float) -> dict[str, list[float]]:
    """Ask again and again, one request at a time each."""
    clock, found = SystemClock(), dict[str, list[float]]()
    until = clock.monotonic() + seconds

    async def ask(http: httpx.AsyncClient, what: str, path: str, headers: Mapping[str, str]) -> None:
        while clock.monotonic() < until:
            began = clock.monotonic()
            try:
                (await http.get(path, headers=headers)).raise_for_status()
            except httpx.HTTPError:
                found.setdefault(what, []).append(30_000)
                continue
            found.setdefault(what, []).append((clock.monotonic() - began) * 1000)
            await asyncio.sleep(PAUSE_SECONDS)

    async with await stack.http("users", tenant=quiet.id, scope="users:read") as rest:
        base = stack.addresses["services"]["users"]
        async with httpx.AsyncClient(timeout=30, base_url=base) as http:
            await asyncio.gather(
                ask(http, "livez", "/livez", {}),
                ask(http, "scim", "/scim/v2/Users?count=1", headers),
                ask(rest, "rest", f"/v1/tenants/{quiet.id}/people?limit=20", {}),
            )
    return found


async def run_load(
    stack: RunningStack, url: str, headers: Mapping[str, str], asked: tuple[str, str, Any], seconds: float
) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.scim_neighbour_bench", "--load"), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate(orjson.dumps({"url": url, "headers": headers, "asked": asked, "seconds": seconds}))
    answered: dict[str, Any] = orjson.loads(out)
    return answered


async def load(given: Mapping[str, Any]) -> dict[str, Any]:
    clock, answered, taken = SystemClock(), Counter[str](), list[float]()
    until = clock.monotonic() + given["seconds"]
    method, path, body = given["asked"]
    content = None if body is None else orjson.dumps(body)

    async def repeat(http: httpx.AsyncClient) -> None:
        while clock.monotonic() < until:
            began = clock.monotonic()
            try:
                async with http.stream(method, given["url"] + path, content=content, headers=given["headers"]) as answer:
                    async for _ in answer.aiter_raw():
                        pass
            except httpx.HTTPError as error:
                answered[type(error).__name__] += 1
                continue
            answered[str(answer.status_code)] += 1
            if answer.status_code < 300:
                taken.append((clock.monotonic() - began) * 1000)

    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as http:
        await asyncio.gather(*(repeat(http) for _ in range(CLIENTS)))
    return dict(answered) | ({"ms": asdict(Waited.of(taken))} if taken else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--only", default="")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        figures = asyncio.run(load(orjson.loads(sys.stdin.buffer.read())))
    else:
        with tempfile.TemporaryDirectory(prefix="seatpool-bench-", ignore_cleanup_errors=True) as folder:
            stack = RunningStack(Path(folder) / "stack", durable=True).start()
            try:
                figures = asyncio.run(measure(stack, given.seconds, given.people, given.members, given.only))
            finally:
                stack.stop()
    sys.stdout.buffer.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
