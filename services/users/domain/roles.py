"""Roles, which are named sets of rights, and what a person who holds some of them may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shared.schemas.rights import ACCOUNT_BUY, ACCOUNT_READ, LOG_READ, TENANT_RIGHTS, USERS_MANAGE, USERS_READ

OWNER: Final = "owner"


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    rights: tuple[str, ...]


BUILT_IN: Final[Mapping[str, Role]] = {
    OWNER: Role("Owner", TENANT_RIGHTS),
    "licence-manager": Role("Licence manager", (ACCOUNT_READ, ACCOUNT_BUY, USERS_READ, LOG_READ)),
    "people-manager": Role("People manager", (ACCOUNT_READ, USERS_READ, USERS_MANAGE, LOG_READ)),
    "reader": Role("Reader", (ACCOUNT_READ, USERS_READ, LOG_READ)),
}
ADMINISTRATOR_ROLES: Final = ("licence-manager", "people-manager")  # what the shorthand `administrator: true` gives
_OF_ADMINISTRATORS: Final = frozenset({ACCOUNT_BUY, USERS_MANAGE})
Roles = Mapping[str, Role]  # the tenant's own ones by their ids


def in_order(rights: Iterable[str]) -> tuple[str, ...]:
    """Return each of the rights once, in the order in which they are listed everywhere."""
    given = set(rights)
    return tuple(right for right in TENANT_RIGHTS if right in given)


def rights_of_roles(roles: Iterable[str], own: Roles) -> tuple[str, ...]:
    """Return the rights of these roles together. A role that does not exist has none."""
    found = (BUILT_IN.get(role) or own.get(role) for role in roles)
    return in_order(right for role in found if role is not None for right in role.rights)


def is_administrator(rights: Iterable[str]) -> bool:
    """Return whether seats counts a person with these rights as an administrator (the last one is never revoked)."""
    return not _OF_ADMINISTRATORS.isdisjoint(rights)


def with_shorthand(roles: tuple[str, ...], administrator: bool, own: Roles) -> tuple[str, ...]:
    """Return the roles after `administrator` of a request: true gives two roles to a person who is none, and false takes away each role
    that makes the person one."""
    if administrator == is_administrator(rights_of_roles(roles, own)):
        return roles
    if administrator:
        return tuple(sorted({*roles, *ADMINISTRATOR_ROLES}))
    return tuple(role for role in roles if not is_administrator(rights_of_roles([role], own)))


def departments_of(viewset: tuple[str, ...] | None, own_department: bool, department: str | None) -> frozenset[str] | None:
    """Return the departments whose people a person sees; None: all people. `own_department` is the one that the person is in now."""
    if own_department:
        return frozenset() if department is None else frozenset({department})
    return None if viewset is None else frozenset(viewset)


@dataclass(frozen=True, slots=True)
class Authority:
    """The rights and the viewset of the sender of a request: nobody gives more than this. `user`: the sender, if it is a person."""

    rights: frozenset[str]
    departments: frozenset[str] | None = None
    user: str | None = None

    def covers(self, rights: Iterable[str]) -> bool:
        return self.rights.issuperset(rights)

    def sees(self, department: str | None) -> bool:
        return self.departments is None or department in self.departments
