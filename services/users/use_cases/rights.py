"""What people may do, and who may give it to whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.local_days import local_today
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.required_modules import Account
from services.users.domain.roles import Authority, rights_of_roles
from services.users.store import people, roles, tenants
from services.users.use_cases.locked_tenants import own_roles
from shared.errors import Forbidden
from shared.schemas.rights import ROLES_MANAGE, TENANT_RIGHTS


@dataclass(frozen=True, slots=True)
class Granted:
    """What a person may do. `departments`: only the people of these are visible; None: all people are."""

    rights: frozenset[str]
    roles: tuple[str, ...]
    departments: frozenset[str] | None
    may_sign_in: bool


NOTHING: Final = Granted(frozenset(), (), None, may_sign_in=False)


async def rights_of(connection: AsyncConnection, tenant_id: str, user_id: str, now: datetime) -> Granted:
    """Return what the person may do; `now` is the time of the real clocks.

    The roles are read as they are defined now, so that a right that a role has lost is missing in the next token, although the people who
    hold the role are evaluated again one after the other.
    """
    row = await tenants.get(connection, tenant_id)
    if row is None:
        return NOTHING
    person = await people.get(connection, tenant_id, user_id, local_today(row.at or now, ZoneInfo(row.time_zone)))
    if person is None:
        return NOTHING
    rights = frozenset(rights_of_roles(person.account.all_roles, own_roles(await roles.all_of(connection, tenant_id))))
    rights &= {*person.standing.rights, *person.confirmed_rights}  # others count when the person is evaluated again
    return Granted(rights, person.account.all_roles, person.departments, may_sign_in=bool(rights) and person.standing.may_sign_in)


def check_change(tenant: Tenant, before: Person, after: Person, cause: Cause) -> None:
    """Raise Forbidden if the sender of a request may not make this change of a person's roles, viewset, login or e-mail address.

    A change of roles needs `roles:manage`, and nobody gives or takes rights that they do not have. A login or an e-mail address lets its
    owner sign in, so only a sender with all rights of the person may change these.
    """
    authority = cause.authority
    if authority is None:
        return
    if _roles(before.account) != _roles(after.account):
        if not authority.covers([ROLES_MANAGE]):
            detail = f"A change of roles needs the right {ROLES_MANAGE}. Ask an owner to change them."
            raise Forbidden("no-right", detail, right=ROLES_MANAGE)
        moved = (set(before.account.roles) ^ set(after.account.roles)) | (set(before.account.all_roles) ^ set(after.account.all_roles))
        if _viewset(before.account) != _viewset(after.account):
            moved = {*before.account.all_roles, *after.account.all_roles}
        check_covered(authority, rights_of_roles(moved, tenant.settings.roles), "The roles that you give or take have")
        _check_viewset(authority, after)
    old, new = before.record, after.record
    if new is not None and (old is None or old.department != new.department) and not authority.sees(new.department):
        detail = (
            "You see only the people of some departments (`departments`), and with this change the person would be in none of them. Set "
            "one of yours as `department`. If another source decides it (a conflict ends, people are linked, or an override is removed), "
            "ask somebody who sees all people."
        )
        raise Forbidden("wider-than-own", detail, departments=sorted(authority.departments or ()))
    if old is not None and new is not None and (old.login, old.email) != (new.login, new.email):
        check_covered(authority, before.standing.rights, "The person whose login or e-mail address you change has")


def check_same_human(people: Iterable[Person], cause: Cause) -> None:
    """Raise Forbidden if the sender of a request lacks some of the rights of these people, so may not decide whether they are one human.

    It decides which sources describe a person, and thus with which login and e-mail address the person signs in from then on.
    """
    if cause.authority is not None:
        for person in people:
            check_covered(cause.authority, person.standing.rights, "A person whom you link or separate has")


def check_all_rights(authority: Authority, what: str) -> None:
    """Raise Forbidden unless the sender of a request has every right of a tenant, as owners have.

    An identity provider says who signs in, and an identity system who is in a group with a role: either could say it about anybody.
    """
    check_sees_everybody(authority)
    check_covered(authority, TENANT_RIGHTS, f"{what} can give people")


def check_sees_everybody(authority: Authority) -> None:
    """Raise Forbidden if the sender of a request has a viewset: roles and API clients concern people outside it too."""
    if authority.departments is not None:
        raise Forbidden("wider-than-own", "Only people without a viewset may make this change. Ask an owner for it.")


def check_covered(authority: Authority, rights: tuple[str, ...], subject: str) -> None:
    """Raise Forbidden if the sender of a request lacks some of the rights."""
    if missing := [right for right in rights if right not in authority.rights]:
        detail = f"{subject} rights that your access token does not have: {', '.join(missing)}. Ask an owner for this change."
        raise Forbidden("wider-than-own", detail, rights=missing)


def _check_viewset(authority: Authority, after: Person) -> None:
    wanted = after.departments
    if authority.departments is not None and after.account.all_roles and (wanted is None or not wanted <= authority.departments):
        detail = "These roles would show people whom you do not see. Give a viewset (`viewset`) of departments of your own viewset."
        raise Forbidden("wider-than-own", detail, departments=sorted(authority.departments))


def _roles(account: Account) -> tuple[object, ...]:
    return (account.roles, account.group_roles, _viewset(account))


def _viewset(account: Account) -> tuple[object, ...]:
    return (account.own_department, account.departments)
