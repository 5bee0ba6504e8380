"""The tenants as users and seats tell of them, and the number of the last command to seats."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, column, exists, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import row, run
from shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant: str
    name: str | None
    time_zone: str | None  # none: users' event about it has not been read yet
    locale: str
    clock: str | None
    support_contact: str
    opened: bool
    test_time: datetime | None
    advancing_to: datetime | None
    period: str | None


_TENANT_EXISTS = select(exists().select_from(table("tenants")).where(column("tenant_id") == bindparam("tenant")))
_TENANT = (
    "SELECT tenant_id AS tenant, name, time_zone, locale, clock, support_contact, opened, test_time, advancing_to, period FROM tenants"
)


async def find(c: AsyncConnection, tenant_id: str, *, lock: bool = False) -> Tenant | None:
    """`lock`: until the transaction ends nobody else of this tenant draws a number, starts a subscription, or approves a quote."""
    found = await row(c, f"{_TENANT} WHERE tenant_id = :t" + (" FOR UPDATE" if lock else ""), t=tenant_id)
    return Tenant(**found) if found else None


async def is_known(c: AsyncConnection, tenant_id: str) -> bool:
    """Has seats or users told of it?"""
    return bool((await c.execute(_TENANT_EXISTS, {"tenant": tenant_id})).scalar_one())


async def put(
    c: AsyncConnection, tenant_id: str, *, name: str, time_zone: str, locale: str, clock: str, support_contact: str, at: datetime
) -> None:
    """What users says of it. Which of users' and seats' first event is read first is open, so the row may be there already."""
    await run(
        c,
        """INSERT INTO tenants (tenant_id, name, time_zone, locale, clock, support_contact, test_time)
           VALUES (:t, :name, :zone, :locale, :clock, :contact, CASE WHEN :clock = 'test' THEN CAST(:at AS timestamptz) END)
           ON CONFLICT (tenant_id) DO UPDATE SET name = :name, time_zone = :zone, locale = :locale, clock = :clock,
               support_contact = :contact, test_time = coalesce(tenants.test_time, excluded.test_time)""",
        t=tenant_id,
        name=name,
        zone=time_zone,
        locale=locale,
        clock=clock,
        contact=support_contact,
        at=at,
    )


async def note_opened(c: AsyncConnection, tenant_id: str, at: datetime, *, test: bool) -> None:
    """Seats knows the tenant from here on."""
    await run(
        c,
        """INSERT INTO tenants (tenant_id, opened, test_time) VALUES (:t, true, :at)
           ON CONFLICT (tenant_id) DO UPDATE SET opened = true, test_time = greatest(tenants.test_time, excluded.test_time)""",
        t=tenant_id,
        at=at if test else None,
    )


async def note_time(c: AsyncConnection, tenant_id: str, at: datetime) -> None:
    """A test clock as seats answered it last; it never goes back."""
    await run(c, "UPDATE tenants SET test_time = greatest(test_time, :at) WHERE tenant_id = :t", t=tenant_id, at=at)


async def note_advancing(c: AsyncConnection, tenant_id: str, to: datetime | None) -> None:
    await run(
        c,
        "INSERT INTO tenants (tenant_id, advancing_to) VALUES (:t, :to) ON CONFLICT (tenant_id) DO UPDATE SET advancing_to = :to",
        t=tenant_id,
        to=to,
    )


async def note_period(c: AsyncConnection, tenant_id: str, period: str | None) -> None:
    await run(c, "UPDATE tenants SET period = :period WHERE tenant_id = :t AND period IS DISTINCT FROM :period", t=tenant_id, period=period)


async def draw_number(c: AsyncConnection, tenant_id: str, *, above: int = 0) -> int:
    """The next number of a command to seats. The row stays locked until the commit: numbers go out in the order they were drawn."""
    found = await row(
        c,
        "UPDATE tenants SET last_number = greatest(last_number, :above) + 1 WHERE tenant_id = :t RETURNING last_number",
        t=tenant_id,
        above=above,
    )
    assert found is not None, "numbers are drawn for known tenants"
    return int(found["last_number"])


async def check(c: AsyncConnection, tenant_id: str) -> None:
    """For reads that would answer anybody's tenant with nothing in it. Raises NotFound until users or seats has said something of it."""
    if await find(c, tenant_id) is None:
        raise NotFound("tenant")
