"""The pages that a reader may see, in the order of the navigation.

To add a page, add one line to TENANT_PAGES or OPERATOR_PAGES. `title` is a text of the catalogues (N_ marks it for them).
"""

from dataclasses import dataclass
from typing import Final

from services.console.sign_in.sessions import Reader
from shared.schemas.rights import ACCOUNT_READ, LOG_READ, OPERATOR, ROLES_MANAGE, TENANT_RIGHTS, USERS_READ
from shared.translations import N_ as N_


@dataclass(frozen=True, slots=True)
class Entry:
    """A page. `rights`: any of them opens it. `path`: behind `/tenants/<tenant>/` or `/operator/`."""

    title: str
    path: str
    icon: str
    rights: tuple[str, ...]


SETTINGS: Final = "settings"  # everybody has their own there
TENANT_PAGES: Final = (
    Entry(N_("Licences"), "licences", "licences", (ACCOUNT_READ,)),
    Entry(N_("People"), "people", "people", (USERS_READ,)),
    Entry(N_("Plan and subscription"), "plan", "plan", (ACCOUNT_READ,)),
    Entry(N_("Orders"), "orders", "orders", (ACCOUNT_READ,)),
    Entry(N_("Invoices"), "invoices", "invoices", (ACCOUNT_READ,)),
    Entry(N_("Profiles and departments"), "profiles", "profiles", (USERS_READ,)),
    Entry(N_("Roles and access"), "access", "roles", (ROLES_MANAGE,)),
    Entry(N_("Action log"), "log", "log", (LOG_READ,)),
    Entry(N_("Settings"), SETTINGS, "settings", TENANT_RIGHTS),
)
OPERATOR_PAGES: Final[tuple[Entry, ...]] = (
    Entry(N_("Tenants"), "tenants", "tenants", (OPERATOR,)),
    Entry(N_("Catalogue"), "catalogue", "catalogue", (OPERATOR,)),
    Entry(N_("Requests"), "requests", "requests", (OPERATOR,)),
    Entry(N_("Dead letters"), "dead-letters", "dead-letters", (OPERATOR,)),
    Entry(N_("Status"), "status", "status", (OPERATOR,)),
)


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation, as a page shows it."""

    title: str
    url: str
    icon: str


def links_for(reader: Reader, tenant: str | None) -> list[Link]:
    """Return the pages that this reader may see; `tenant`: the one that is shown."""
    if tenant is None:
        return [Link(each.title, f"/operator/{each.path}", each.icon) for each in OPERATOR_PAGES if reader.is_operator]
    return [
        Link(each.title, f"/tenants/{tenant}/{each.path}", each.icon)
        for each in TENANT_PAGES
        if any(reader.may(right) for right in each.rights)
    ]
