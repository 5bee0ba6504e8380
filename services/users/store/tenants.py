"""Tenants, their clocks, profiles, department mapping, and the allow-list of upstream sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.required_modules import Profile, Settings


@dataclass(frozen=True, slots=True)
class TenantRow:
    tenant: str
    name: str
    time_zone: str
    locale: str
    clock: str
    contact_email: str
    support_contact: str
    release_on_expiry: bool
    config_version: int
    version: int
    advancing_to: datetime | None
    created_at: datetime
    status: str = "opening"
    at: datetime | None = None  # a test clock's time
    sent_to: datetime | None = None  # the last instant a test clock was told to go to
    step: int = 0
    ready_sent: bool = False


_SELECT = """
SELECT t.tenant_id, t.name, t.time_zone, t.locale, t.clock, t.contact_email, t.support_contact, t.release_on_expiry, t.config_version,
       t.version, t.advancing_to, t.created_at, c.status, c.at, c.sent_to, c.step, c.ready_sent
FROM tenants t JOIN tenant_clocks c ON c.tenant_id = t.tenant_id
"""


async def insert(tenant: str, connection: AsyncConnection, row: TenantRow) -> bool:
    """False, and nothing done, when there is a tenant of this id."""
    result = await connection.exec_driver_sql(
        "INSERT INTO tenants (tenant_id, name, time_zone, locale, clock, contact_email, support_contact, release_on_expiry, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id) DO NOTHING",
        (
            tenant,
            row.name,
            row.time_zone,
            row.locale,
            row.clock,
            row.contact_email,
            row.support_contact,
            row.release_on_expiry,
            row.created_at,
        ),
    )
    if result.rowcount == 0:
        return False
    await connection.exec_driver_sql("INSERT INTO tenant_clocks (tenant_id, at) VALUES ($1, $2)", (tenant, row.at))
    return True


async def get(tenant: str, connection: AsyncConnection, lock: str = "") -> TenantRow | None:
    """`lock`: "FOR SHARE OF t" while people's needs are worked out from the configuration, "FOR UPDATE OF t" to change it: nobody then
    works with settings that are being replaced, and whoever was at it is in the database before the review of people begins."""
    assert lock in ("", "FOR SHARE OF t", "FOR UPDATE OF t"), lock
    row = (await connection.exec_driver_sql(f"{_SELECT} WHERE t.tenant_id = $1 {lock}", (tenant,))).one_or_none()
    return None if row is None else TenantRow(*tuple(row))


async def page(tenant: str | None, connection: AsyncConnection, after: str, limit: int) -> list[TenantRow]:
    """Tenants by id; `tenant` None: all that the scope lets through."""
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE ($1::text IS NULL OR t.tenant_id = $1) AND t.tenant_id > $2 ORDER BY t.tenant_id LIMIT $3", (tenant, after, limit)
    )
    return [TenantRow(*tuple(row)) for row in result]


async def update(tenant: str, connection: AsyncConnection, row: TenantRow) -> None:
    """Call under the tenant's exclusive lock."""
    await connection.exec_driver_sql(
        "UPDATE tenants SET name = $2, time_zone = $3, locale = $4, contact_email = $5, support_contact = $6, release_on_expiry = $7,"
        " config_version = $8, version = $9, advancing_to = $10 WHERE tenant_id = $1",
        (
            tenant,
            row.name,
            row.time_zone,
            row.locale,
            row.contact_email,
            row.support_contact,
            row.release_on_expiry,
            row.config_version,
            row.version,
            row.advancing_to,
        ),
    )


async def with_due_work(connection: AsyncConnection, now: datetime) -> list[str]:
    """Tenants with somebody to reconsider on a day that has begun somewhere on Earth (UTC+14), by the tenant's own time; `now` is that of
    the real clocks. Whether it has begun in the tenant's zone is for whoever looks at it to say."""
    result = await connection.exec_driver_sql(
        "SELECT tenant_id FROM tenant_clocks c WHERE EXISTS (SELECT FROM people p WHERE p.tenant_id = c.tenant_id"
        " AND p.reconsider_on <= (coalesce(c.at, $1) AT TIME ZONE 'UTC' + interval '14 hours')::date) ORDER BY tenant_id",
        (now,),
    )
    return [row.tenant_id for row in result]


async def advancing(connection: AsyncConnection) -> list[str]:
    result = await connection.exec_driver_sql("SELECT tenant_id FROM tenants WHERE advancing_to IS NOT NULL ORDER BY tenant_id")
    return [row.tenant_id for row in result]


# --------------------------------------------------------------------------------------------------------------- clocks


async def draw_number(tenant: str, connection: AsyncConnection) -> int:
    """The next number of a command, drawn under the lock of the tenant's clock row: numbers commit in the order of their drawing."""
    result = await connection.exec_driver_sql(
        "UPDATE tenant_clocks SET last_number = last_number + 1 WHERE tenant_id = $1 RETURNING last_number", (tenant,)
    )
    number: int = result.scalar_one()
    return number


async def opened(tenant: str, connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("UPDATE tenant_clocks SET status = 'open' WHERE tenant_id = $1", (tenant,))


async def set_time(tenant: str, connection: AsyncConnection, at: datetime) -> None:
    """Never back: an old decision that is handled again changes nothing."""
    await connection.exec_driver_sql("UPDATE tenant_clocks SET at = $2 WHERE tenant_id = $1 AND at < $2", (tenant, at))


async def set_step(tenant: str, connection: AsyncConnection, *, expected: int, sent_to: datetime | None, ready_sent: bool = False) -> bool:
    """One step further. False when another coordinator has taken it already: the steps are counted for this comparison alone."""
    result = await connection.exec_driver_sql(
        "UPDATE tenant_clocks SET step = step + 1, sent_to = $2, ready_sent = $3 WHERE tenant_id = $1 AND step = $4",
        (tenant, sent_to, ready_sent, expected),
    )
    return result.rowcount == 1


# ------------------------------------------------------------------------------------------------------- configuration


async def settings(tenant: str, connection: AsyncConnection, *, release_on_expiry: bool) -> Settings:
    profiles = await connection.exec_driver_sql("SELECT profile, modules, partial FROM profiles WHERE tenant_id = $1", (tenant,))
    return Settings(
        {row.profile: Profile(tuple(row.modules), row.partial) for row in profiles}, await mapping(tenant, connection), release_on_expiry
    )


@dataclass(frozen=True, slots=True)
class ProfileRow:
    profile: str
    name: str
    modules: tuple[str, ...]
    partial: bool
    version: int


async def profiles(tenant: str, connection: AsyncConnection, profile: str | None = None) -> list[ProfileRow]:
    result = await connection.exec_driver_sql(
        "SELECT profile, name, modules, partial, version FROM profiles WHERE tenant_id = $1 AND ($2::text IS NULL OR profile = $2)"
        " ORDER BY profile",
        (tenant, profile),
    )
    return [ProfileRow(row.profile, row.name, tuple(row.modules), row.partial, row.version) for row in result]


async def profile_page(tenant: str, connection: AsyncConnection, after: str, limit: int) -> list[ProfileRow]:
    """By id."""
    result = await connection.exec_driver_sql(
        "SELECT profile, name, modules, partial, version FROM profiles WHERE tenant_id = $1 AND profile > $2 ORDER BY profile LIMIT $3",
        (tenant, after, limit),
    )
    return [ProfileRow(row.profile, row.name, tuple(row.modules), row.partial, row.version) for row in result]


async def count_profiles(tenant: str, connection: AsyncConnection) -> int:
    count: int = (await connection.exec_driver_sql("SELECT count(*) FROM profiles WHERE tenant_id = $1", (tenant,))).scalar_one()
    return count


async def put_profile(tenant: str, connection: AsyncConnection, row: ProfileRow) -> None:
    await connection.exec_driver_sql(
        "INSERT INTO profiles (tenant_id, profile, name, modules, partial, version) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (tenant_id, profile) DO UPDATE SET name = $3, modules = $4, partial = $5, version = $6",
        (tenant, row.profile, row.name, list(row.modules), row.partial, row.version),
    )


async def mapping(tenant: str, connection: AsyncConnection) -> dict[str, str | None]:
    result = await connection.exec_driver_sql(
        "SELECT department, profile FROM department_mapping WHERE tenant_id = $1 ORDER BY department", (tenant,)
    )
    return {row.department: row.profile for row in result}


async def mapping_json(tenant: str, connection: AsyncConnection) -> str:
    """As `mapping`, written by the database: 10,000 rows would hold up this process."""
    result = await connection.exec_driver_sql(
        "SELECT coalesce(json_object_agg(department, profile ORDER BY department), '{}')::text"
        " FROM department_mapping WHERE tenant_id = $1",
        (tenant,),
    )
    text: str = result.scalar_one()
    return text


async def replace_mapping(tenant: str, connection: AsyncConnection, departments: Mapping[str, str | None]) -> None:
    await connection.exec_driver_sql("DELETE FROM department_mapping WHERE tenant_id = $1", (tenant,))
    await connection.exec_driver_sql(
        "INSERT INTO department_mapping (tenant_id, department, profile) SELECT $1, d, p FROM unnest($2::text[], $3::text[]) AS m (d, p)",
        (tenant, list(departments), list(departments.values())),
    )
