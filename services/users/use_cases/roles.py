"""Define roles, and give them to people."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.users.domain import person as rules
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.roles import BUILT_IN, OWNER
from services.users.store import people as people_store
from services.users.store import reevaluations, scim_groups
from services.users.store import roles as store
from services.users.store import tenants as tenants_store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.roles import RoleRow
from services.users.store.tenants import StoredTenant
from services.users.use_cases import known_people, people, rights
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Change
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import RoleDefined, RoleDeleted

ROLES_MAX: Final = 100  # of a tenant, without the built-in ones


async def create_role(uow: UnitOfWork, tenant: StoredTenant, role: RoleRow, cause: Cause, at: datetime) -> RoleRow:
    """Add a role. Call under the tenant's lock. Raises Conflict, Forbidden."""
    _check_definer(cause, role.rights)
    if role.role in BUILT_IN or await store.get(uow.connection, tenant.tenant_id, role.role) is not None:
        raise Conflict("role-exists", f"A role with the id {role.role} already exists. Choose another id, or change that role.")
    if await store.count(uow.connection, tenant.tenant_id) >= ROLES_MAX:
        detail = f"The tenant already has {ROLES_MAX} roles of its own, which is the limit. Delete a role that nobody holds."
        raise Conflict("too-many-roles", detail, roles_max=ROLES_MAX)
    await _save(uow, tenant, None, role, cause, at)
    return role


async def change_role(uow: UnitOfWork, tenant: StoredTenant, before: RoleRow, after: RoleRow, cause: Cause, at: datetime) -> RoleRow:
    """Change a role; the people who hold it are evaluated again soon after. Call under the tenant's lock. Raises Forbidden."""
    _check_definer(cause, tuple(set(before.rights) ^ set(after.rights)))
    if after == before:
        return before
    after = replace(after, version=before.version + 1)
    await _save(uow, tenant, before, after, cause, at)
    if after.rights != before.rights:
        again = reevaluations.cause_of(cause.actor, None)
        await reevaluations.add(uow.connection, tenant.tenant_id, ReevaluationKind.ROLE_CHANGED, again, after.role)
    return after


async def delete_role(uow: UnitOfWork, tenant: StoredTenant, role: RoleRow, cause: Cause, at: datetime) -> None:
    """Delete a role that nobody holds and no group gives. Call under the tenant's lock. Raises Conflict, Forbidden."""
    _check_definer(cause, role.rights)
    if holders := await people_store.count_with_role(uow.connection, tenant.tenant_id, role.role):
        detail = f"So many people hold the role {role.role}: {holders}. First take it from them (`GET …/people?role=` lists them)."
        raise Conflict("role-in-use", detail, people=holders)
    if groups := await scim_groups.count_with_role(uow.connection, tenant.tenant_id, role.role):
        detail = f"So many SCIM groups give the role {role.role}: {groups}. First give them another one (`PUT …/groups/{{group}}`)."
        raise Conflict("role-in-use", detail, groups=groups)
    await store.remove(uow.connection, tenant.tenant_id, role.role)
    await tenants_store.save(uow.connection, replace(tenant, config_version=tenant.config_version + 1))
    uow.publish(RoleDeleted(at=at, actor=cause.actor, role=role.role), source=USERS, tenant=tenant.tenant_id, time=at)


async def own_role(uow: UnitOfWork, tenant: str, role: str) -> RoleRow:
    """Return a role that can be changed. Raises NotFound, and Conflict for a built-in one."""
    if role in BUILT_IN:
        raise Conflict("role-built-in", f"The role {role} is built in and cannot be changed. Add a role of your own instead.")
    found = await store.get(uow.connection, tenant, role)
    if found is None:
        raise NotFound("role")
    return found


async def give_roles(
    tenant: Tenant,
    uow: UnitOfWork,
    before: Person,
    roles: tuple[str, ...],
    *,
    own_department: bool,
    departments: tuple[str, ...] | None,
    cause: Cause,
) -> Person:
    """Replace the roles and the viewset of the person. Call under the person's lock. Raises Invalid, Forbidden."""
    if unknown := [role for role in roles if role not in BUILT_IN and role not in tenant.settings.roles]:
        raise Invalid("body.roles", ", ".join(unknown), "ids of roles (`GET …/roles` lists them)")
    if OWNER in roles and (own_department or departments is not None):
        raise Invalid("body.viewset", "own" if own_department else list(departments or ()), "null, because an owner sees all people")
    account = replace(before.account, roles=roles, own_department=own_department, departments=departments)
    (after,) = await known_people.as_of_today(tenant, uow, [replace(before, account=account)])
    rights.check_change(tenant, before, after, cause)
    return await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), None)


async def set_digests(tenant: Tenant, uow: UnitOfWork, before: Person, digests: bool, cause: Cause) -> None:
    """Set whether the person gets digests by e-mail. Call under the person's lock."""
    after = replace(before, account=replace(before.account, digests=digests))
    await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), None)


def _check_definer(cause: Cause, changed: tuple[str, ...]) -> None:
    """Raise Forbidden unless the sender may change what a role allows: a role can be held by people whom a viewset hides."""
    if cause.authority is None:
        return
    rights.check_sees_everybody(cause.authority)
    rights.check_covered(cause.authority, changed, "The change is about")


async def _save(uow: UnitOfWork, tenant: StoredTenant, before: RoleRow | None, after: RoleRow, cause: Cause, at: datetime) -> None:
    await store.save(uow.connection, tenant.tenant_id, after)
    await tenants_store.save(uow.connection, replace(tenant, config_version=tenant.config_version + 1))
    old = before or RoleRow(after.role, "", (), 0)
    values = (("name", old.name, after.name), ("rights", ", ".join(old.rights), ", ".join(after.rights)))
    changes = tuple(Change(field=field, old=was or None, new=now) for field, was, now in values if was != now)
    event = RoleDefined(at=at, actor=cause.actor, changes=changes, role=after.role, name=after.name, rights=after.rights)
    uow.publish(event, source=USERS, tenant=tenant.tenant_id, time=at, subject=after.role)
