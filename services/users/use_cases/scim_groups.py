"""Change what SCIM groups give to their members."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from services.users.domain import person as rules
from services.users.domain.facts import FactType
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.roles import BUILT_IN, OWNER
from services.users.store import people as people_store
from services.users.store import reevaluations
from services.users.store import scim_groups as store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.scim_groups import GroupRow
from services.users.store.scim_users import View
from services.users.use_cases import group_members, known_people, people
from shared.database import UnitOfWork
from shared.errors import Invalid
from shared.schemas.base import changes_between
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ScimGroupMapped

AT_ONCE_MAX: Final = 500  # people who are changed in the transaction of a request; more are changed in the background


async def members_changed(tenant: Tenant, uow: UnitOfWork, view: View, members: Collection[str], cause: Cause) -> None:
    """Give people what their groups give them, after these were added to a group with a profile or a role, or removed from it."""
    if len(members) > AT_ONCE_MAX:
        await reevaluations.add(uow.connection, tenant.tenant, ReevaluationKind.GROUPS, reevaluations.cause_of(cause.actor, None))
        return
    await people_changed(tenant, uow, await store.people_of(uow.connection, view, members), cause)


async def people_changed(tenant: Tenant, uow: UnitOfWork, users: Collection[str], cause: Cause) -> dict[str, Person]:
    """Give these people what their groups give them; return those who change."""
    locked = await people_store.lock_many(uow.connection, tenant.tenant, sorted(users), tenant.today)
    before = [person for person in locked.values() if person.record is not None]
    after = await known_people.as_of_today(tenant, uow, await group_members.with_groups(tenant, uow, before))
    cause = replace(cause, fact=FactType.CHANGED)
    revisions = [rules.revise(old, new, at=tenant.now, cause=cause) for old, new in zip(before, after, strict=True) if old != new]
    return {person.user: person for person in await people.save_all(tenant, uow, revisions, None)}


def with_mapping(tenant: Tenant, before: GroupRow, profile: str | None, role: str | None) -> GroupRow:
    """Return the group with another profile and role. Raises Invalid."""
    if profile is not None and profile not in tenant.settings.profiles:
        raise Invalid("body.profile", profile, "a profile of this tenant, or null")
    if role is not None and (role == OWNER or (role not in BUILT_IN and role not in tenant.settings.roles)):
        raise Invalid("body.role", role, "the id of a role other than owner, or null (`GET …/roles` lists them)")
    return replace(before, profile=profile, role=role)


async def put_mapping(tenant: Tenant, uow: UnitOfWork, view: View, before: GroupRow, after: GroupRow, cause: Cause) -> None:
    """Let a locked group give its members what `after` says."""
    if after != before:
        await store.save(uow.connection, view, after)
        changes = changes_between({"profile": before.profile, "role": before.role}, {"profile": after.profile, "role": after.role})
        event = ScimGroupMapped(at=tenant.now, actor=cause.actor, changes=changes, connection=view.connection, group=before.display_name)
        uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
        members = await store.member_ids(uow.connection, view, before.group_id, AT_ONCE_MAX + 1)
        await members_changed(tenant, uow, view, members, cause)
