"""A changed profile of 5,000 people to the decisions stored, also when users is killed in between, and the list of a large tenant.

`python -m tests.bench.people_bench [--people 5000] [--listed 100000]`, part of `make bench`. A stack of its own, durable as in production
(fsync on).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import httpx
import orjson

from shared.clock import SystemClock
from shared.web import encode_cursor
from tests.bench.import_bench import ANSWERED, POLL_SECONDS, SECONDS_MAX, database_of
from tests.bench.scim_bench import latency
from tests.support.stack import RunningStack
from tests.support.tenant import ADD_ON, BASE, Tenant, open_rest, open_tenant

PEOPLE = 5_000
LISTED = 100_000
TIMES = 200
SEATED = "SELECT count(*) FROM person_modules WHERE tenant_id = $1 AND module = $2 AND state = 'active'"
FILL = """
    INSERT INTO people (tenant_id, user_id, source, external_id, employed, login, login_key, email, name, job_title, status, created_at)
    SELECT $1, 'fill-' || n, 'hr/fill', n::text, true, 'u' || n, 'u' || n, 'u' || n || '@acme.example', 'Person Number ' || n, 'Engineer',
        'active', now()
    FROM generate_series(1, $2::int) n
"""


@dataclass(frozen=True, slots=True)
class PeopleFigures:
    people: int
    accepted_seconds: float  # until the change of the profile was answered
    stored_seconds: float  # until users had stored the last decision
    stored_seconds_with_a_kill: float  # of the change back and forth, while users was killed in the middle of it
    listed: int
    milliseconds: Mapping[str, Mapping[str, float]]  # of the list
    comparisons: Mapping[str, Mapping[str, float]]  # all pages about the `people` of one tenant
    cores: int
    load_before: float


async def change_profile(tenant: Tenant, database: asyncpg.Connection, modules: list[str], people: int) -> tuple[float, float]:
    """Return the seconds until the change was accepted, and until all people have the add-on, or none has."""
    clock, wanted = SystemClock(), people if ADD_ON in modules else 0
    began = clock.monotonic()
    await tenant.rest.put("users", tenant.stage.path("profiles/everybody"), {"name": "Everybody", "modules": modules, "partial": False})
    accepted = clock.monotonic() - began
    async with asyncio.timeout(SECONDS_MAX):
        while await database.fetchval(SEATED, tenant.id, ADD_ON) != wanted:
            await asyncio.sleep(POLL_SECONDS)
    return accepted, clock.monotonic() - began


async def kill_users(stack: RunningStack, tenant: Tenant, people: int) -> None:
    """Kill users when a quarter of the people is done. It has a connection of its own: one has room for one statement at a time."""
    database = await asyncpg.connect(database_of(stack, "users"))
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while await database.fetchval(SEATED, tenant.id, ADD_ON) < people // 4:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await database.close()
    stack.kill("users")


async def middle_page(http: httpx.AsyncClient, url: str, headers: Mapping[str, str], listed: int, key: str) -> dict[str, float]:
    """Return the milliseconds of the page that follows half of the people in this order."""
    middle = f"u{listed // 2}" if key == "login" else f"person number {listed // 2}"
    return await latency(http, url, headers, TIMES, sort=key, cursor=encode_cursor(key, middle, 2**62))


async def all_pages(tenant: Tenant, name: str, **parameters: str) -> dict[str, float]:
    """Return how long the pages of a comparison take together, and the slowest one."""
    clock, cursor = SystemClock(), None
    taken: list[float] = []
    while not taken or cursor is not None:
        began = clock.monotonic()
        page = await tenant.rest.get("users", tenant.stage.path(name), limit=200, cursor=cursor, **parameters)
        taken.append(clock.monotonic() - began)
        cursor = page["next"]
    return {"pages": len(taken), "seconds": round(sum(taken), 1), "slowest_milliseconds": round(max(taken) * 1000)}


async def measure(stack: RunningStack, people: int, listed: int) -> PeopleFigures:
    load, clock = os.getloadavg()[0], SystemClock()
    database = await asyncpg.connect(database_of(stack, "users"))
    try:
        async with await open_rest(stack) as rest, httpx.AsyncClient(timeout=60) as http:
            large = await open_tenant(stack, rest, licences=1, extra_licences=1)
            await database.execute(FILL, large.id, listed)
            await database.execute("VACUUM ANALYZE people")
            url = f"{stack.addresses['services']['users']}{large.stage.path('people')}"
            headers = {"authorization": f"Bearer {await stack.token(scope='operator', ttl_seconds='3600')}"}
            asked: dict[str, dict[str, str]] = {
                "first page of 50": {},
                "text of one person": {"text": f"number {listed // 3}"},
                "text of nobody": {"text": "no such person"},
                "first page of 50 by name": {"sort": "name"},
                "text of one person, by name": {"sort": "name", "text": f"number {listed // 3}"},
            }
            found = {what: await latency(http, url, headers, TIMES, **parameters) for what, parameters in asked.items()}
            found |= {f"page in the middle by {key}": await middle_page(http, url, headers, listed, key) for key in ("login", "-name")}
            tenant = await open_tenant(stack, rest, licences=people, extra_licences=people)
            await tenant.send([fact.model_copy(update={"department": "Everybody"}) for fact in tenant.people(people)])
            async with asyncio.timeout(SECONDS_MAX):
                while await database.fetchval(ANSWERED, tenant.id) < people:
                    await asyncio.sleep(POLL_SECONDS)
            comparisons = {
                "differences": await all_pages(tenant, "differences"),
                "matches": await all_pages(tenant, "matches", source=tenant.source),
                "matches, as if for the first time": await all_pages(tenant, "matches", source=tenant.source, dry_run="true"),
            }
            accepted, stored = await change_profile(tenant, database, [BASE, ADD_ON], people)
            await change_profile(tenant, database, [BASE], people)
            began = clock.monotonic()
            killing = asyncio.create_task(kill_users(stack, tenant, people))
            await change_profile(tenant, database, [BASE, ADD_ON], people)
            with_kill = clock.monotonic() - began
            await killing
    finally:
        await database.close()
    return PeopleFigures(
        people=people,
        accepted_seconds=round(accepted, 2),
        stored_seconds=round(stored, 1),
        stored_seconds_with_a_kill=round(with_kill, 1),
        listed=listed,
        milliseconds=found,
        comparisons=comparisons,
        cores=os.cpu_count() or 0,
        load_before=round(load, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--listed", type=int, default=LISTED)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seatpool-bench-", ignore_cleanup_errors=True) as folder:
        stack = RunningStack(Path(folder) / "stack", durable=True).start()
        try:
            figures = asyncio.run(measure(stack, given.people, given.listed))
        finally:
            stack.stop()
    sys.stdout.buffer.write(orjson.dumps(asdict(figures), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
