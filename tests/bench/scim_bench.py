"""SCIM: users created per second with the decisions of seats following, and lists and filters of a large tenant.

`python -m tests.bench.scim_bench [--creates 2000] [--people 100000]`. A stack of its own, durable as in production (fsync on).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import httpx
import orjson

from shared.clock import SystemClock
from tests.bench.import_bench import ANSWERED, POLL_SECONDS, SECONDS_MAX, database_of
from tests.bench.processor import difference, processor_seconds
from tests.support.stack import RunningStack
from tests.support.tenant import Tenant, open_rest, open_tenant

CREATES = 2000
PEOPLE = 100_000
CLIENTS = 8  # requests at a time; a process answers 10 of a tenant
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MEMBERS, OTHERS = 50_000, 100
CONNECTION = "okta"
FILL_GROUP = """
    INSERT INTO scim_members (tenant_id, connection, group_id, resource_id)
    SELECT $1, 'okta', $2, 'r' || n FROM generate_series(1, $3::int) n
"""
# Half of the people are resources of the connection, the others only an HR system knows.
FILL = (
    """
    INSERT INTO people (tenant_id, user_id, source, external_id, employed, login, login_key, email, name, status, created_at)
    SELECT $1, 'fill-' || n, 'hr/fill', n::text, true, 'u' || n, 'u' || n, 'u' || n || '@acme.example', 'Person Number ' || n, 'active',
        now()
    FROM generate_series(1, $2::int) n
    """,
    """
    INSERT INTO timelines (tenant_id, source, external_id, user_id, version, digest, report, created_at, reported_at)
    SELECT $1, 'scim/okta', 'r' || n, 'fill-' || n, 0, '', '{}', now(), now() FROM generate_series(1, $2::int, 2) n
    """,
    """
    INSERT INTO scim_users
        (tenant_id, connection, resource_id, user_name_key, emails, active, document, version, created_at, modified_at, attempt)
    SELECT $1, 'okta', 'r' || n, 'u' || n, ARRAY['u' || n || '@acme.example'], true,
        jsonb_build_object('userName', 'u' || n, 'displayName', 'Person Number ' || n, 'active', true, 'emails',
            jsonb_build_array(jsonb_build_object('value', 'u' || n || '@acme.example', 'type', 'work', 'primary', true))),
        1, now(), now(), false
    FROM generate_series(1, $2::int, 2) n
    """,
)


@dataclass(frozen=True, slots=True)
class ScimFigures:
    creates: int
    creates_per_second: int
    created_seconds: float
    stored_seconds: float  # until users had stored the last decision
    processor_ms: Mapping[str, float]  # that each process of the stack, and this client, used for a create, its decision included
    people: int
    milliseconds: Mapping[str, Mapping[str, float]]  # of requests to the large tenant
    group_seconds: float  # to add 100 members to a group of 50,000, the slowest of some
    beside_group: Mapping[str, float]  # milliseconds of other requests of the tenant meanwhile
    cores: int
    load_before: float


async def connect(tenant: Tenant) -> dict[str, str]:
    """Return the headers of a new connection."""
    path = f"/v1/tenants/{tenant.id}/scim-connections/{CONNECTION}"
    await tenant.rest.put("users", path, {})
    issued = await tenant.rest.post("users", f"{path}/tokens", {})
    return {"authorization": f"Bearer {issued['secret']}", "content-type": "application/scim+json"}


async def create(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str], count: int) -> None:
    """Create so many users. The client runs on the cores that it measures: httpx takes ten times as long as aiohttp for a request."""
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            body = {
                "schemas": [USER, ENTERPRISE],
                "userName": f"p{number}@company.example",
                "externalId": f"00u{number}",
                "displayName": f"Person {number}",
                "name": {"givenName": "Person", "familyName": str(number)},
                "emails": [{"value": f"p{number}@company.example", "type": "work", "primary": True}],
                "active": True,
                ENTERPRISE: {"department": "Everybody"},
            }
            async with http.post(f"{url}/Users", data=orjson.dumps(body), headers=headers) as answer:
                assert answer.status == 201, await answer.text()

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(client())


async def latency(http: httpx.AsyncClient, url: str, headers: Mapping[str, str], times: int, **parameters: str) -> dict[str, float]:
    """Return the milliseconds of so many requests one after the other, after five that do not count."""
    clock, taken = SystemClock(), []
    for _ in range(times + 5):
        began = clock.monotonic()
        answer = await http.get(url, params=parameters, headers=headers)
        taken.append((clock.monotonic() - began) * 1000)
        assert answer.status_code == 200, answer.text
    found = sorted(taken[5:])
    return {"p50": round(found[len(found) // 2], 1), "p99": round(found[min(len(found) - 1, len(found) * 99 // 100)], 1)}


async def change_group(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str], database: asyncpg.Connection, tenant: str
) -> tuple[float, dict[str, float]]:
    """Return how long it takes to add 100 members to a group of 50,000, and how long other requests wait meanwhile."""
    clock, body = SystemClock(), {"schemas": [GROUP], "displayName": "Everybody"}
    group = (await http.post(f"{url}/Groups", content=orjson.dumps(body), headers=headers)).json()["id"]
    await database.execute(FILL_GROUP, tenant, group, MEMBERS)
    await database.execute("UPDATE scim_groups SET members = $2 WHERE group_id = $1", group, MEMBERS)
    taken: list[float] = []
    others = asyncio.create_task(latency(http, f"{url}/Users", headers, OTHERS, count="1"))
    while not others.done():
        first = MEMBERS + 1 + 200 * len(taken)
        added = [{"value": f"r{number}"} for number in range(first, first + 200, 2)]
        operations = [{"op": "add", "path": "members", "value": added}]
        began = clock.monotonic()
        content = orjson.dumps({"schemas": [PATCH], "Operations": operations})
        answer = await http.patch(f"{url}/Groups/{group}", content=content, headers=headers)
        taken.append(clock.monotonic() - began)
        assert answer.status_code == 204, answer.text
    return round(max(taken), 2), await others


async def measure(stack: RunningStack, creates: int, people: int) -> ScimFigures:
    clock, load = SystemClock(), os.getloadavg()[0]
    database = await asyncpg.connect(database_of(stack, "users"))
    url = f"{stack.addresses['services']['users']}/scim/v2"
    try:
        async with await open_rest(stack) as rest, httpx.AsyncClient(timeout=60) as http:
            tenant = await open_tenant(stack, rest, licences=creates, extra_licences=creates)
            headers, used = await connect(tenant), processor_seconds(stack.pids())
            began = clock.monotonic()
            async with aiohttp.ClientSession() as creator:
                await create(creator, url, headers, creates)
            created = clock.monotonic() - began
            async with asyncio.timeout(SECONDS_MAX):
                while await database.fetchval(ANSWERED, tenant.id) < creates:
                    await asyncio.sleep(POLL_SECONDS)
            stored = clock.monotonic() - began
            used = difference(used, processor_seconds(stack.pids()), creates)
            large = await open_tenant(stack, rest, licences=1, extra_licences=1)
            headers = await connect(large)
            for statement in FILL:
                await database.execute(statement, large.id, people)
            await database.execute("VACUUM ANALYZE people, timelines, scim_users")
            asked: dict[str, tuple[int, dict[str, Any]]] = {
                "first page of 100": (200, {"startIndex": "1", "count": "100"}),
                "userName eq": (200, {"filter": f'userName eq "u{people // 2}"'}),
                "userName co": (50, {"filter": f'userName co "{people // 3}"'}),
                "displayName co": (50, {"filter": f'displayName co "number {people // 3}"'}),
                "last page of 100": (50, {"startIndex": str(people - 99), "count": "100"}),
            }
            found = {what: await latency(http, f"{url}/Users", headers, times, **parameters) for what, (times, parameters) in asked.items()}
            group_seconds, beside_group = await change_group(http, url, headers, database, large.id)
    finally:
        await database.close()
    return ScimFigures(
        creates=creates,
        creates_per_second=round(creates / created),
        created_seconds=round(created, 1),
        stored_seconds=round(stored, 1),
        processor_ms=used,
        people=people,
        milliseconds=found,
        group_seconds=group_seconds,
        beside_group=beside_group,
        cores=os.cpu_count() or 0,
        load_before=round(load, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creates", type=int, default=CREATES)
    parser.add_argument("--people", type=int, default=PEOPLE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seatpool-bench-", ignore_cleanup_errors=True) as folder:
        stack = RunningStack(Path(folder) / "stack", durable=True).start()
        try:
            figures = asyncio.run(measure(stack, given.creates, given.people))
        finally:
            stack.stop()
    sys.stdout.buffer.write(orjson.dumps(asdict(figures), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
