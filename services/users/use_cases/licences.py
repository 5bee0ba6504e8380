"""What a tenant has and can buy: the counts of its pools, and what helps a person who was refused (A6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.users.domain.person import Tenant
from services.users.store import catalogue, pools
from services.users.store.pools import CountsRow
from shared.buying import Buying, buying_of
from shared.database import UnitOfWork
from shared.schemas.seats_v1 import Reason


@dataclass(frozen=True, slots=True)
class Licences:
    """The pools by module as seats last reported them, and whether the tenant's plan allows extra licences."""

    pools: Mapping[str, CountsRow]
    buying: Buying
    limits: Mapping[str, str] = field(default_factory=dict)  # by module: what keeps it from being expanded


async def load(tenant: Tenant, uow: UnitOfWork) -> Licences:
    counts = await pools.counts(uow.connection, tenant.tenant)
    terms, limits = await pools.terms(uow.connection, tenant.tenant), await pools.limits(uow.connection, tenant.tenant)
    if terms is None:
        return Licences(counts, Buying(), limits)
    own = await catalogue.plan(uow.connection, terms.plan, terms.plan_version)
    return Licences(counts, buying_of(own, terms.term, await catalogue.plans(uow.connection), list(counts)), limits)


# Why a module is not expanded although its own cap allows it.
LIMITED_BY: Final[Mapping[str, str]] = {
    "monthly_budget": " The monthly budget for purchases allows no further expansion this month.",
    "overdue_invoice": " No module is expanded until an overdue invoice is paid.",
}


def how_to_buy(tenant: str, buying: Buying) -> str:
    """Return how to get more licences (E10), or that the plan has to be upgraded first (B2)."""
    if buying.allowed is not False:
        return (
            f"To buy licences, request a quote and approve it: POST /v1/tenants/{tenant}/quotes (invoicing). You are charged only after "
            "you approve it."
        )
    others = f" These plans do: {', '.join(buying.others)}." if buying.others else ""
    return f"The plan {buying.plan} does not allow extra licences.{others} To change the plan, contact support."


def limit_and_use(module: str, licences: int, in_use: int) -> str:
    limit = "1 licence" if licences == 1 else f"{licences} licences"
    used = "1 seat is in use" if in_use == 1 else f"{in_use} seats are in use"
    return f"{module} has {limit}, and {used}"


def warning(tenant: str, licences: Licences, module: str, reason: str | None) -> str | None:
    """Return the warning of a refusal: the pool, its limit and use, and what helps (A6)."""
    pool = licences.pools.get(module)
    if pool is None:
        return None
    shown = limit_and_use(module, pool.licences, pool.in_use)
    if reason in (Reason.OTHER_MODULE_REFUSED, Reason.BASE_MODULE_REFUSED):
        return f"{shown}. The module was refused because another module of the person was refused: see the warning of that module."
    limited = LIMITED_BY.get(licences.limits.get(module, ""), "") if reason == Reason.EXPAND_CAP else ""
    return f"{shown}.{limited} Deactivate people who no longer need access. {how_to_buy(tenant, licences.buying)}"
