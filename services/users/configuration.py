"""Changes of what decides people's needs: tenants, profiles, the department mapping. Each is followed by a review of all people."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from services.users.context import SOURCE
from services.users.store import reviews
from services.users.store import tenants as store
from services.users.store.reviews import ReviewKind
from services.users.store.tenants import ProfileRow, TenantRow
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound, Refused
from shared.schemas.base import Actor, Change, format_instant
from shared.schemas.seats_v1 import OpenTenant
from shared.schemas.users_v1 import DepartmentMapped, ProfileDefined, TenantChanged, TenantCreated, TenantState

EVENTS_AT_ONCE = 100  # of one change of the mapping; other requests come between
_SHOWN = ("name", "time_zone", "locale", "contact_email", "support_contact")


async def lock(tenant: str, uow: UnitOfWork) -> TenantRow:
    """The tenant, locked for a change of its configuration. Raises NotFound, and Conflict while its test clock is advancing."""
    row = await store.get(tenant, uow.connection, "FOR UPDATE OF t")
    if row is None:
        raise NotFound("tenant")
    if row.advancing_to is not None:
        raise Conflict("clock-advancing", "The tenant's test clock is advancing; writes are taken again when it is ready.")
    return row


def tenant_event(model: type[TenantState], row: TenantRow, at: datetime, actor: Actor, **more: Any) -> TenantState:
    return model(at=at, actor=actor, clock=row.clock, **{name: getattr(row, name) for name in _SHOWN} | more)


def profile_event(profile: ProfileRow, at: datetime, actor: Actor, **more: Any) -> ProfileDefined:
    said: dict[str, Any] = {"profile": profile.profile, "name": profile.name, "modules": profile.modules, "partial": profile.partial}
    return ProfileDefined(at=at, actor=actor, **said | more)


async def create_tenant(tenant: str, uow: UnitOfWork, row: TenantRow, actor: Actor, at: datetime) -> bool:
    """The tenant, its event and `open_tenant` in one transaction; False when there is one of this id."""
    if not await store.insert(tenant, uow.connection, row):
        return False
    uow.publish(tenant_event(TenantCreated, row, at, actor), source=SOURCE, tenant=tenant, time=at)
    number = await store.draw_number(tenant, uow.connection)
    uow.publish(OpenTenant(number=number, clock=row.clock, at=row.at), source=SOURCE, tenant=tenant, time=at)
    return True


async def change_tenant(tenant: str, uow: UnitOfWork, before: TenantRow, after: TenantRow, actor: Actor, at: datetime) -> TenantRow:
    """Call under `lock`."""
    if after == before:
        return before
    after = replace(after, version=before.version + 1)
    reconsider = (after.time_zone, after.release_on_expiry) != (before.time_zone, before.release_on_expiry)
    if reconsider:
        after = replace(after, config_version=before.config_version + 1)
        await reviews.add(tenant, uow.connection, ReviewKind.SETTINGS, reviews.cause_of(actor, None))
    await store.update(tenant, uow.connection, after)
    changes = tuple(
        Change(field=name, old=getattr(before, name), new=getattr(after, name))
        for name in _SHOWN
        if getattr(before, name) != getattr(after, name)
    )
    uow.publish(tenant_event(TenantChanged, after, at, actor, changes=changes), source=SOURCE, tenant=tenant, time=at)
    return after


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tenant may do. `now` is the real time, also for a test clock: the work is done on a real day."""

    profiles: int
    reevaluations_per_day: int
    now: datetime


async def put_profile(
    tenant: str, uow: UnitOfWork, row: TenantRow, profile: ProfileRow, actor: Actor, at: datetime, limits: Limits
) -> ProfileRow:
    """Define a profile or replace it; the same again changes nothing. Call under `lock`. Raises Conflict when it is one too many, and
    Refused when it is one too many of this day."""
    known = next(iter(await store.profiles(tenant, uow.connection, profile.profile)), None)
    if known is None and await store.count_profiles(tenant, uow.connection) >= limits.profiles:
        detail = f"A tenant has at most {limits.profiles} profiles; replace one that is not needed."
        raise Conflict("too-many-profiles", detail, profiles_max=limits.profiles)
    if known is not None and replace(profile, version=known.version) == known:
        return known
    profile = replace(profile, version=known.version + 1 if known else 1)
    await store.put_profile(tenant, uow.connection, profile)
    await _changed(tenant, uow, row, actor, limits)
    uow.publish(profile_event(profile, at, actor), source=SOURCE, tenant=tenant, time=at, subject=profile.profile)
    return profile


async def put_mapping(
    tenant: str, uow: UnitOfWork, row: TenantRow, departments: Mapping[str, str | None], actor: Actor, at: datetime, limits: Limits
) -> None:
    """Replace the whole mapping; the same again changes nothing. Call under `lock`. Raises Refused when it is one too many of this day."""
    before = await store.mapping(tenant, uow.connection)
    if before == departments:
        return
    await store.replace_mapping(tenant, uow.connection, departments)
    await _changed(tenant, uow, row, actor, limits)
    for place, department in enumerate(sorted({*before, *departments})):
        if place % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        old, new = before.get(department), departments.get(department)
        if (department in before, old) != (department in departments, new):
            changes = (Change(field="profile", old=old, new=new),)
            event = DepartmentMapped(at=at, actor=actor, changes=changes, department=department, profile=new)
            uow.publish(event, source=SOURCE, tenant=tenant, time=at)


async def _changed(tenant: str, uow: UnitOfWork, row: TenantRow, actor: Actor, limits: Limits) -> None:
    """Every person is evaluated anew, and may be published with all modules of the profile: that is limited by the day."""
    if not await reviews.spend(tenant, uow.connection, limits.now.date(), limits.reevaluations_per_day):
        midnight = (limits.now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        raise Refused(
            "too-many-requests",
            f"Each change of a profile or of the department mapping evaluates all people of the tenant anew, and a tenant has"
            f" {limits.reevaluations_per_day} such evaluations a day. Send this change at {format_instant(midnight)} or later.",
            retry_after_seconds=ceil((midnight - limits.now).total_seconds()),
            reevaluations_per_day=limits.reevaluations_per_day,
            available_at=format_instant(midnight),
        )
    await store.update(tenant, uow.connection, replace(row, config_version=row.config_version + 1))
    await reviews.add(tenant, uow.connection, ReviewKind.SETTINGS, reviews.cause_of(actor, None))
