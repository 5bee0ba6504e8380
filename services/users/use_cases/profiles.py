"""Define a profile. Each change is followed by a re-evaluation of all people."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.users.store import catalogue
from services.users.store import profiles as store
from services.users.store.profiles import ProfileRow
from services.users.store.tenants import StoredTenant
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.bulk_reevaluation import Limits
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.fields import common_fields
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ProfileDefined


def profile_event(profile: ProfileRow, at: datetime, actor: Actor, **more: Any) -> ProfileDefined:
    return ProfileDefined(at=at, actor=actor, **common_fields(profile, ProfileRow, ProfileDefined), **more)


def _check_requires(modules: Collection[str], requires: Mapping[str, Collection[str]]) -> None:
    for module in modules:
        if lacking := sorted(set(requires.get(module, ())) - set(modules)):
            raise Invalid("body.modules", module, f"this module only together with the modules that it requires: {', '.join(lacking)}")


async def check_requires(uow: UnitOfWork, profile: ProfileRow) -> None:
    """Raise Invalid without a module that another one requires."""
    _check_requires(profile.modules, await catalogue.requires(uow.connection))


async def put_profile(
    tenant: str, uow: UnitOfWork, row: StoredTenant, profile: ProfileRow, actor: Actor, at: datetime, limits: Limits
) -> tuple[ProfileRow, str | None]:
    """Define a profile or replace it; return it with the id of the re-evaluation. The same definition again changes nothing.

    Call under `lock`. Raises Invalid without a module that another one requires, Conflict above the number of profiles, and Refused above
    the limit of the day.
    """
    await check_requires(uow, profile)
    known = await store.get(uow.connection, tenant, profile.profile)
    if known is None and await store.count(uow.connection, tenant) >= limits.profiles:
        detail = f"The tenant already has {limits.profiles} profiles, which is the limit. Replace a profile that you no longer need."
        raise Conflict("too-many-profiles", detail, profiles_max=limits.profiles)
    if known is not None and replace(profile, version=known.version) == known:
        return known, None
    profile = replace(profile, version=known.version + 1 if known else 1)
    await store.save(uow.connection, tenant, profile)
    reevaluation = await bulk_reevaluation.request(tenant, uow, row, actor, limits)
    uow.publish(profile_event(profile, at, actor), source=USERS, tenant=tenant, time=at, subject=profile.profile)
    return profile, reevaluation
