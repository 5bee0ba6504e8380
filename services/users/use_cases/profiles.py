"""Define a profile. Each change is followed by a re-evaluation of all people."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.users.store import tenants as store
from services.users.store.tenants import ProfileRow, TenantRow
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.bulk_reevaluation import Limits
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ProfileDefined


def profile_event(profile: ProfileRow, at: datetime, actor: Actor, **more: Any) -> ProfileDefined:
    said: dict[str, Any] = {"profile": profile.profile, "name": profile.name, "modules": profile.modules, "partial": profile.partial}
    return ProfileDefined(at=at, actor=actor, **said | more)


async def put_profile(
    tenant: str, uow: UnitOfWork, row: TenantRow, profile: ProfileRow, actor: Actor, at: datetime, limits: Limits
) -> ProfileRow:
    """Define a profile or replace it; the same again changes nothing. Call under `lock`. Raises Conflict when it is one too many, and
    Refused when it is one too many of this day."""
    known = next(iter(await store.profiles(tenant, uow.connection, profile.profile)), None)
    if known is None and await store.count_profiles(tenant, uow.connection) >= limits.profiles:
        detail = f"The tenant already has {limits.profiles} profiles, which is the limit. Replace a profile that you no longer need."
        raise Conflict("too-many-profiles", detail, profiles_max=limits.profiles)
    if known is not None and replace(profile, version=known.version) == known:
        return known
    profile = replace(profile, version=known.version + 1 if known else 1)
    await store.put_profile(tenant, uow.connection, profile)
    await bulk_reevaluation.request(tenant, uow, row, actor, limits)
    uow.publish(profile_event(profile, at, actor), source=USERS, tenant=tenant, time=at, subject=profile.profile)
    return profile
