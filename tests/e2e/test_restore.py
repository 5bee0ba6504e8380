"""The restore drill (`make restore-drill`): databases that were restored from a backup converge to the state of the log."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local import backup, postgres
from tests.support.stack import RunningStack
from tests.support.tenant import Tenant, open_rest, open_tenant

pytestmark = [pytest.mark.stack, pytest.mark.slow]
SQL_SERVICES = ("users", "invoicing", "notifier")
LICENCES, EXTRA_LICENCES = 20, 1
BEFORE, AFTER = 15, 15  # people who are hired before and after the backup
FLAGGED, REFUSED = BEFORE + AFTER - LICENCES, (BEFORE + AFTER) // 10 - EXTRA_LICENCES
COUNTS = ("flagged", "revoked", "refused")


def database_of(stack: RunningStack, service: str) -> str:
    return str(stack.addresses["database_urls"][service].rpartition("/")[2])


async def back_up(stack: RunningStack, folder: Path) -> None:
    server = stack.addresses["postgres_url"]
    await asyncio.gather(*(backup.dump(server, database_of(stack, service), folder / service) for service in SQL_SERVICES))


async def restore(stack: RunningStack, folder: Path) -> None:
    server = stack.addresses["postgres_url"]
    await asyncio.gather(*(stack.down(service) for service in SQL_SERVICES))
    for service in SQL_SERVICES:
        database = database_of(stack, service)
        await backup.restore(server, database, folder / service, owner=f"{database}_owner", user=database)
    await asyncio.gather(*(stack.up(service) for service in SQL_SERVICES))


async def owners_of_tables(stack: RunningStack, service: str) -> set[str]:
    connection = await asyncpg.connect(postgres.database_url(stack.addresses["postgres_url"], database_of(stack, service)))
    try:
        return {row["tableowner"] for row in await connection.fetch("select tableowner from pg_tables where schemaname = 'public'")}
    finally:
        await connection.close()


async def shown(tenant: Tenant) -> dict[str, Any]:
    """Return the tenant in all services, without number and positions of the decisions: users asks for the same seats again."""
    statistics, people = await tenant.statistics(), await tenant.people_by_id()
    return {
        "counts": {service: [statistics[service][name] for name in COUNTS] for service in ("users", "seats", "notifier")},
        "hired and active": (statistics["users"]["hired"], statistics["users"]["active"]),
        "people": {
            key: (person["user"], person["status"], [(seat["module"], seat["state"], seat["deadline"]) for seat in person["modules"]])
            for key, person in people.items()
        },
        "seats": await tenant.seats(),
        "pools": await tenant.rest.pages("seats", tenant.stage.path("pools")),
    }


async def test_databases_restored_from_a_backup_converge_to_the_same_state(stack: RunningStack, tmp_path: Path) -> None:
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=LICENCES, extra_licences=EXTRA_LICENCES)
        await tenant.send(tenant.people(BEFORE))
        await tenant.stage.until_idle()
        await back_up(stack, tmp_path)
        await tenant.send(tenant.people(AFTER, first=BEFORE + 1))
        await tenant.stage.until_idle()
        before = await shown(tenant)
        assert before["counts"] == {service: [FLAGGED, 0, REFUSED] for service in ("users", "seats", "notifier")}

        await restore(stack, tmp_path)
        await tenant.stage.until_idle()

        assert await shown(tenant) == before
        for service in SQL_SERVICES:
            assert await owners_of_tables(stack, service) == {f"{database_of(stack, service)}_owner"}, service
            assert await rest.pages(service, "/v1/operator/dead-letters", tenant=tenant.id) == [], service
