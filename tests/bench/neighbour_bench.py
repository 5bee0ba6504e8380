"""How long one tenant waits while another asks for as much as it can: p99 alone and beside 40 parallel expensive requests, in one run.

`python -m tests.bench.neighbour_bench [--seconds 30]`, part of `make bench`. Figures of one run only can be compared. The load is a process
of its own, which repeats what was refused at once, as no polite client would.
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
from tests.bench.speed import percentile
from tests.support.seats import ROOT
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, Tenant, open_rest, open_tenant

GOAL_MS = 250
PEOPLE, LOG_ENTRIES, DEPARTMENTS = 1_000, 32_000, 10_000
ALONE_SECONDS, BESIDE_SECONDS = 10.0, 30.0
PAUSE_SECONDS = 0.01  # of the tenant that is measured, between two requests to one service
RIGHTS = "account:read users:read users:manage log:read settings:manage"
PARALLEL = {"people": 14, "log as CSV": 10, "departments": 8, "what-if": 8}
SERVICE_OF = {"people": "users", "departments": "users", "log as CSV": "notifier", "what-if": "seats"}

_MORE_LOG = """
INSERT INTO actions (tenant_id, event_id, part, at, actor_kind, actor_id, type, event_type, user_id, module, changes, reason, details,
                     correlation)
SELECT $1, 'bench-' || n, 0, date_trunc('milliseconds', now()), 'client', 'bench', 'person_added', 'person_added', 'u' || n, NULL,
       '[["status", null, "active"]]', 'hired', '{}', 'bench' FROM generate_series(1, $2::int) AS n
"""


@dataclass(frozen=True, slots=True)
class Waited:
    """Milliseconds, over all services and by service."""

    requests: int
    p50: float
    p99: float
    p99_by_service: Mapping[str, float]

    @classmethod
    def of(cls, found: Mapping[str, list[float]]) -> "Waited":
        every = [ms for times in found.values() for ms in times]
        by_service = {service: round(percentile(times, 0.99), 1) for service, times in found.items()}
        return cls(len(every), round(percentile(every, 0.5), 1), round(percentile(every, 0.99), 1), by_service)


@dataclass(frozen=True, slots=True)
class NeighbourFigures:
    alone_ms: Waited
    beside_ms: Waited
    goal_p99_ms: int
    met: bool
    load: Mapping[str, int]  # "<request> <status>" -> how often it was answered so
    cores: int
    load_before: float


async def measure(stack: RunningStack, seconds: float) -> NeighbourFigures:
    load_before = os.getloadavg()[0]
    async with await open_rest(stack) as rest:
        loud, quiet = [await open_tenant(stack, rest, licences=PEOPLE) for _ in range(2)]
        await loud.send(loud.people(PEOPLE))
        await quiet.send(quiet.people(20))
        await asyncio.gather(loud.stage.until_idle(), quiet.stage.until_idle())
        departments = {f"department {number} of a large company": "everybody" for number in range(DEPARTMENTS - 2)}
        await loud.rest.put("users", loud.stage.path("department-mapping"), departments | {"Everybody": "everybody", "Makers": "makers"})
        await loud.stage.until_idle()
        await fill_log(stack, loud)
        alone = await waited(stack, quiet, ALONE_SECONDS)
        loading = asyncio.create_task(run_load(stack, loud, seconds))
        await asyncio.sleep(1)  # until its process has begun
        beside = await waited(stack, quiet, seconds - 2)
        answered = await loading
    return NeighbourFigures(
        alone_ms=Waited.of(alone),
        beside_ms=Waited.of(beside),
        goal_p99_ms=GOAL_MS,
        met=Waited.of(beside).p99 < GOAL_MS,
        load=answered,
        cores=os.cpu_count() or 0,
        load_before=round(load_before, 2),
    )


async def fill_log(stack: RunningStack, tenant: Tenant) -> None:
    notifier = await asyncpg.connect(database_of(stack, "notifier"))
    try:
        await notifier.execute(_MORE_LOG, tenant.id, LOG_ENTRIES)
        await notifier.execute("ANALYZE actions")
    finally:
        await notifier.close()


async def waited(stack: RunningStack, tenant: Tenant, seconds: float) -> dict[str, list[float]]:
    """Ask each service again and again, one request at a time each."""
    person = (await tenant.stage.people())[0]["user"]
    at, clock = f"/v1/tenants/{tenant.id}", SystemClock()
    paths = {
        "users": [f"{at}/people?limit=20", f"{at}/people/{person}", f"{at}"],
        "seats": [f"{at}/access/{person}/{BASE}", f"{at}/pools"],
        "invoicing": [f"{at}/subscription"],
        "notifier": [f"{at}/actions?limit=20"],
    }
    until, found = clock.monotonic() + seconds, dict[str, list[float]]()

    async def ask(service: str) -> None:
        async with await stack.http(service, tenant=tenant.id, scope=RIGHTS) as http:
            while clock.monotonic() < until:
                for path in paths[service]:
                    began = clock.monotonic()
                    (await http.get(path)).raise_for_status()
                    found.setdefault(service, []).append((clock.monotonic() - began) * 1000)
                    await asyncio.sleep(PAUSE_SECONDS)

    await asyncio.gather(*map(ask, paths))
    return found


async def run_load(stack: RunningStack, tenant: Tenant, seconds: float) -> dict[str, int]:
    asked = {
        "services": stack.addresses["services"],
        "tenant": tenant.id,
        "token": await stack.token(tenant=tenant.id, scope=RIGHTS, ttl_seconds="3600"),
        "seconds": seconds,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.neighbour_bench", "--load"), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate(orjson.dumps(asked))
    answered: dict[str, int] = orjson.loads(out)
    return answered


async def load(asked: Mapping[str, Any]) -> dict[str, int]:
    clock, answered = SystemClock(), Counter[str]()
    until, at = clock.monotonic() + asked["seconds"], f"/v1/tenants/{asked['tenant']}"
    what_if = {"commands": [{"type": "close_pool", "data": {"module": BASE, "at": "now"}}]}
    requests: dict[str, tuple[str, str, Any]] = {
        "people": ("GET", f"{at}/people?limit=200", None),
        "departments": ("GET", f"{at}/department-mapping", None),
        "log as CSV": ("GET", f"{at}/actions?format=csv", None),
        "what-if": ("POST", f"{at}/what-if", what_if),
    }

    async def repeat(http: httpx.AsyncClient, what: str) -> None:
        method, path, body = requests[what]
        while clock.monotonic() < until:
            async with http.stream(method, asked["services"][SERVICE_OF[what]] + path, json=body) as answer:
                async for _ in answer.aiter_raw():
                    pass
            answered[f"{what} {answer.status_code}"] += 1

    limits, headers = httpx.Limits(max_connections=None), {"Authorization": f"Bearer {asked['token']}"}
    async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as http:
        await asyncio.gather(*(repeat(http, what) for what, parallel in PARALLEL.items() for _ in range(parallel)))
    return dict(sorted(answered.items()))


def run(seconds: float = BESIDE_SECONDS) -> NeighbourFigures:
    with tempfile.TemporaryDirectory(prefix="seatpool-bench-", ignore_cleanup_errors=True) as folder:
        stack = RunningStack(Path(folder) / "stack", durable=True).start()
        try:
            return asyncio.run(measure(stack, seconds))
        finally:
            stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=BESIDE_SECONDS)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    figures: Any = asyncio.run(load(orjson.loads(sys.stdin.buffer.read()))) if given.load else asdict(run(given.seconds))
    sys.stdout.buffer.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
