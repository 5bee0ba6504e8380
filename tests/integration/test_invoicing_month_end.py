"""The renewals of many tenants: they are invoiced together, and one whose history is wrong is parked alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest

from services.invoicing.settings import Settings
from services.invoicing.wiring import make_wiring
from shared.clock import SystemClock
from shared.database import Database
from shared.settings import KafkaSettings
from tests.support.invoicing import NOVEMBER, running_bench, settings_of
from tests.support.month_end import MODULES, begin_periods, copy_tenant
from tests.support.statements import counted_statements
from tests.support.wait import wait_until
from tests.support.wire import background

pytestmark = pytest.mark.stack
# What each tenant has for itself.
OWN = ("tenant_id", "place", "sequence", "number", "invoice", "payload", "id", "command", "reference", "command_offset", "n", "partition")
MORE = ("created_at", "issued_at", "sent_at", "answered_at", "charge")
# A second subscription, although the first one has not ended.
SECOND = """
INSERT INTO facts (tenant_id, id, type, payload)
SELECT tenant_id, 'second', type, replace(payload, '"subscription":"', '"subscription":"second-')
FROM facts WHERE tenant_id = $1 AND type LIKE '%subscription_started'
"""
TENANTS, WRONG, ALONE = [f"customer-{number}" for number in range(60)], "customer-17", "customer-alone"


@pytest.fixture
def url(make_database: Callable[[str], str]) -> str:
    return make_database("invoicing")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT set_config('seatpool.tenant', '*', false)")
    yield connection
    await connection.close()


async def test_T11_T16_a_month_end_is_invoiced_in_sets_and_parks_a_wrong_history_alone(
    connection: Any, url: str, kafka_settings: KafkaSettings
) -> None:

    async def count(table: str) -> int:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))

    async with running_bench(settings_of(url, kafka_settings)) as bench:
        await bench.catalogue(**MODULES)
        modules = [{"module": module, "licences": 10} for module in MODULES]
        template = await bench.subscribed(NOVEMBER, {}, "2013-11-01", billed_until="2013-12-01", modules=modules)
        await copy_tenant(url, template, [*TENANTS, ALONE], kafka_settings.seats_partitions)
    await connection.execute(SECOND, WRONG)
    await begin_periods(kafka_settings, [ALONE])
    # The bench has ended, whose stand-in for seats would read commands without content.
    async with _consuming(settings_of(url, kafka_settings)) as database:
        await wait_until(lambda: _is(count("invoices"), 1), what="the renewal of one tenant alone")
        with counted_statements(database) as statements:
            await begin_periods(kafka_settings, TENANTS)
            await wait_until(lambda: _is(count("invoices"), len(TENANTS)), what="the renewals of all others")
            await wait_until(lambda: _is(count("dead_letters"), 1), what="the dead letter")
    letter = await connection.fetchrow("SELECT tenant, reason, blocks FROM dead_letters")
    assert tuple(letter) == (WRONG, "history", True)
    assert {row["tenant_id"] for row in await connection.fetch("SELECT tenant_id FROM invoices")} == {*TENANTS, ALONE} - {WRONG}
    numbers = await connection.fetch("SELECT sequence FROM invoices ORDER BY sequence")
    assert [row["sequence"] for row in numbers] == list(range(1, len(TENANTS) + 1)), "no number is missing"
    assert len(statements) < 15 * len(TENANTS), "one after the other, a renewal takes more than 30 statements"
    alone, *together = [await _stored(connection, tenant) for tenant in (ALONE, *TENANTS) if tenant != WRONG]
    assert alone
    assert all(each == alone for each in together), "a tenant gets together what it gets alone"


@asynccontextmanager
async def _consuming(settings: Settings) -> AsyncIterator[Database]:
    """Run the consumer of invoicing and nothing else."""
    database = Database(settings.database_url.get_secret_value(), application_name="test", pool_size=8)
    wiring = make_wiring(settings, SystemClock(), database, None)  # type: ignore[arg-type]  # nobody asks seats here
    try:
        async with background(wiring.consumer.run()):
            yield database
    finally:
        await database.dispose()


async def _is(count: Any, expected: int) -> bool:
    return bool(await count == expected)


async def _stored(connection: Any, tenant: str) -> list[Any]:
    """Return what the renewal stored, without the tenant's number, ids and place in the log."""
    found: list[Any] = []
    for table in ("invoices", "charges", "receivables", "due_actions", "pool_days", "subscriptions", "tenants", "commands", "facts"):
        rows = await connection.fetch(f"SELECT to_jsonb(t) AS row FROM {table} t WHERE tenant_id = $1", tenant)
        for row in rows:
            values = orjson.loads(row["row"])
            text = values.get("document") or ""
            values["document"] = text.replace(str(values.get("number")), "NUMBER")
            kept = {key: value for key, value in values.items() if key not in (*OWN, *MORE)}
            found.append((table, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)))
    return sorted(found)
