"""The profiles and roles that people have from their SCIM groups."""

from collections.abc import Sequence
from dataclasses import replace

from services.users.domain.confirmation import as_identity_systems_state
from services.users.domain.logins import login_key
from services.users.domain.merging import Stated, record_of
from services.users.domain.person import Person, Tenant
from services.users.domain.roles import rights_of_roles
from services.users.domain.sources import SourceKind
from services.users.store import scim_groups as store
from services.users.store.scim_groups import Mapped
from services.users.use_cases import known_people
from shared.database import UnitOfWork
from shared.schemas.rights import TENANT_RIGHTS


async def with_groups(tenant: Tenant, uow: UnitOfWork, found: Sequence[Person]) -> list[Person]:
    """Return the people with the profiles and roles of their present groups. Call under their locks."""
    groups = await store.mapped_to(uow.connection, tenant.tenant, [person.user for person in found])
    now = [mapped(person, groups.get(person.user, Mapped())) for person in found]
    first = [after for before, after in zip(found, now, strict=True) if _gets_rights(tenant, before, after)]
    if not first:
        return now
    known = await known_people.of_users(tenant, uow, first)
    return [_described(tenant, each, known.stated(each.user)) if each.user in known.people else each for each in now]


def _gets_rights(tenant: Tenant, before: Person, after: Person) -> bool:
    """Return whether groups give the person the first role, or rights for which the login and the address do not count yet."""
    if not set(after.account.group_roles) - set(before.account.group_roles):
        return bool(after.account.group_roles) and not before.account.all_roles
    rights = rights_of_roles(after.account.all_roles, tenant.settings.roles)
    return not before.account.all_roles or not set(rights) <= {*before.standing.rights, *before.confirmed_rights}


def _described(tenant: Tenant, person: Person, of: Stated) -> Person:
    """Return somebody to whom a group gives a role: the login and the e-mail address that the identity system states count for
    sign-in. It has found somebody whose login it does not state by the login."""
    found = [record for part in of.parts if part.kind == SourceKind.SCIM and (record := record_of(part, tenant.today)) is not None]
    if person.record is None or person.is_unconfirmed:
        return person
    own = login_key(person.record.login)
    login = as_identity_systems_state(own, [login_key(record.login) for record in found if record.login] or [own])
    email = as_identity_systems_state(person.record.email, [record.email for record in found])
    return replace(person, confirmed_login=login, confirmed_email=email, confirmed_rights=TENANT_RIGHTS)


def mapped(person: Person, given: Mapped) -> Person:
    """Return the person with what groups give."""
    if (person.account.group_profiles, person.account.group_roles) == (given.profiles, given.roles):
        return person
    return replace(person, account=replace(person.account, group_profiles=given.profiles, group_roles=given.roles))
