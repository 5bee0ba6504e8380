"""A month-end: many tenants with the rows of one, and the decisions that begin the period of each."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from shared.kafka import make_producer, partition_of
from shared.schemas import topics
from shared.schemas.envelope import Envelope
from shared.schemas.position import Position
from shared.schemas.registry import entry_of
from shared.schemas.seats_v1 import LicenceCount, PeriodStarted
from shared.settings import KafkaSettings

MODULES = {"time": 1200, "documents": 2000, "planning": 900}
DECEMBER = datetime(2013, 11, 30, 23, tzinfo=UTC)
COPIED = ("tenants", "billing_details", "subscriptions", "subscription_modules", "pools", "facts")


async def copy_tenant(url: str, template: str, tenants: Sequence[str], partitions: int) -> None:
    """Give each tenant the rows of the template. The ids of decisions name the tenant's own partition."""
    database = await asyncpg.connect(url)
    try:
        await database.execute("SELECT set_config('seatpool.tenant', '*', false)")
        for table in COPIED:
            rows = [dict(row) for row in await database.fetch(f"SELECT * FROM {table} WHERE tenant_id = $1 ", template)]
            copied = [_of(tenant, row, partitions) for tenant in tenants for row in rows]
            columns = [column for column in copied[0] if column != "place"]
            records = [tuple(each[column] for column in columns) for each in copied]
            listed, places = ", ".join(f'"{column}"' for column in columns), ", ".join(f"${n}" for n in range(1, len(columns) + 1))
            await database.executemany(f"INSERT INTO {table} ({listed}) VALUES ({places})", records)
        await database.execute("ANALYZE")
    finally:
        await database.close()


def _of(tenant: str, row: dict[str, Any], partitions: int) -> dict[str, Any]:
    partition = partition_of(tenant.encode(), partitions)
    copied = row | {"tenant_id": tenant}
    if "partition" in row:
        copied |= {"partition": partition, "command_offset": 0}
    if str(row.get("id", "")).startswith("seats.commands.v1/"):
        copied["id"] = f"seats.commands.v1/{partition}/0/{row['place']}"
    return copied


async def begin_periods(kafka: KafkaSettings, tenants: Sequence[str]) -> None:
    """Write the decisions that begin the period of each tenant, as seats does. Their commands exist."""
    producer = make_producer(kafka, linger_ms=5, max_batch_size=500_000)
    await producer.start()
    try:
        for first in range(0, len(tenants), 2_000):
            some = tenants[first : first + 2_000]
            commands = [await producer.send(kafka.topic_name(topics.SEATS_COMMANDS), *_command(tenant)) for tenant in some]
            sent = await asyncio.gather(*commands)
            events = []
            for tenant, record in zip(some, sent, strict=True):
                place = Position(partition=record.partition, offset=record.offset)
                events.append(await producer.send(kafka.topic_name(topics.SEATS_EVENTS), **_event(tenant, place)))
            await asyncio.gather(*events)
    finally:
        await producer.stop()


def _command(tenant: str) -> tuple[bytes, bytes]:
    return b"{}", tenant.encode()


def _event(tenant: str, place: Position) -> dict[str, Any]:
    licences = tuple(LicenceCount(module=module, quantity=10) for module in sorted(MODULES))
    common: dict[str, Any] = {"command": f"c-{tenant}", "position": place, "role": "settled", "rules": 1, "reason": "period_began"}
    event = PeriodStarted(**common, at=DECEMBER, starts_at=DECEMBER, period="2013-12-01", licences=licences)
    entry = entry_of(PeriodStarted)
    event_id = f"seats.commands.v1/{place.partition}/{place.offset}/0"
    envelope = Envelope(id=event_id, source=entry.sources[0], type=entry.name, time=DECEMBER, tenant=tenant)
    return {"value": event.model_dump_json().encode(), "key": tenant.encode(), "headers": envelope.headers(), "partition": place.partition}
