"""Facts for the texts about buying: modules, plans, quotes, the tenant's subscription, and its open pools."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, names_of, one, replacing, table_of
from shared.schemas import invoicing_v1, seats_v1


@dataclass(frozen=True, slots=True)
class ModuleRow:
    module: str
    name: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    plan: str
    version: int
    name: str
    currency: str
    allows_extra_licences: bool
    prices: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    tenant_id: str
    plan: str
    plan_version: int
    term: str


@dataclass(frozen=True, slots=True)
class OpenPoolRow:
    tenant_id: str
    module: str
    base: bool


@dataclass(frozen=True, slots=True)
class ExpansionLimit:
    """What keeps seats from expanding a module up to the tenant's own cap; empty: nothing."""

    tenant_id: str
    module: str
    limited_by: str


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """The price that the confirmation of a purchase states."""

    tenant_id: str
    quote: str
    currency: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    charge: str
    credit_net_minor: int = 0


MODULES = table_of("modules", ModuleRow)
PLANS = table_of("plans", PlanRow)
SUBSCRIPTIONS = table_of("subscriptions", SubscriptionRow)
OPEN_POOLS = table_of("open_pools", OpenPoolRow)
QUOTES = table_of("quotes", QuoteRow)
EXPANSION_LIMITS = table_of("expansion_limits", ExpansionLimit)

_TENANT = bindparam("tenant", type_=Text)
_SAVE_MODULE = replacing(insert(MODULES), ModuleRow, "module")
_SAVE_PLAN = insert(PLANS).on_conflict_do_nothing()
_SAVE_SUBSCRIPTION = replacing(insert(SUBSCRIPTIONS), SubscriptionRow, "tenant_id")
_SAVE_QUOTE = insert(QUOTES).on_conflict_do_nothing()
_OPEN_POOL = insert(OPEN_POOLS).on_conflict_do_nothing()
_CLOSE_POOL = delete(OPEN_POOLS).where(OPEN_POOLS.c.tenant_id == _TENANT, OPEN_POOLS.c.module == bindparam("of_module"))
_SAVE_LIMIT = replacing(insert(EXPANSION_LIMITS), ExpansionLimit, "tenant_id", "module")
_LIMITS = select(*columns_of(ExpansionLimit, EXPANSION_LIMITS)).where(EXPANSION_LIMITS.c.tenant_id == _TENANT)
_MODULES = select(*columns_of(ModuleRow, MODULES))
_PLANS = select(*columns_of(PlanRow, PLANS)).ext(distinct_on(PLANS.c.plan)).order_by(PLANS.c.plan, PLANS.c.version.desc())
_PLAN = select(*columns_of(PlanRow, PLANS)).where(PLANS.c.plan == bindparam("of_plan"), PLANS.c.version == bindparam("of_version"))
_SUBSCRIPTION = select(*columns_of(SubscriptionRow, SUBSCRIPTIONS)).where(SUBSCRIPTIONS.c.tenant_id == _TENANT)
_SET_PRICE_LIST = update(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.tenant_id == _TENANT)
_SET_PRICE_LIST = _SET_PRICE_LIST.values(plan_version=bindparam("version", type_=BigInteger))
_POOLS = select(*columns_of(OpenPoolRow, OPEN_POOLS)).where(OPEN_POOLS.c.tenant_id == _TENANT)
_QUOTES = select(*columns_of(QuoteRow, QUOTES)).where(
    QUOTES.c.tenant_id == _TENANT, QUOTES.c.quote == any_(bindparam("quotes", type_=ARRAY(Text)))
)


async def save_module(connection: AsyncConnection, module: invoicing_v1.ModuleDefined) -> None:
    await connection.execute(_SAVE_MODULE, asdict(ModuleRow(module.module, module.name)))


async def save_plan(connection: AsyncConnection, plan: invoicing_v1.PlanDefined) -> None:
    await connection.execute(_SAVE_PLAN, plan.model_dump(mode="json", include=set(names_of(PlanRow))))


async def save_subscription(connection: AsyncConnection, tenant_id: str, subscription: invoicing_v1.SubscriptionStarted) -> None:
    await change_subscription(connection, tenant_id, subscription.plan, subscription.plan_version, subscription.term)


async def change_subscription(connection: AsyncConnection, tenant_id: str, plan: str, version: int, term: str) -> None:
    """Save another plan or term of the tenant's subscription."""
    await connection.execute(_SAVE_SUBSCRIPTION, asdict(SubscriptionRow(tenant_id, plan, version, term)))


async def set_price_list(connection: AsyncConnection, tenant_id: str, version: int) -> None:
    """Save the price list that the subscription has from a renewal on."""
    await connection.execute(_SET_PRICE_LIST, {"tenant": tenant_id, "version": version})


async def save_quote(connection: AsyncConnection, tenant_id: str, quote: invoicing_v1.QuoteIssued) -> None:
    given = quote.model_dump(mode="json", include=set(names_of(QuoteRow)))
    await connection.execute(_SAVE_QUOTE, given | {"tenant_id": tenant_id})


async def open_pool(connection: AsyncConnection, tenant_id: str, pool: seats_v1.PoolOpened) -> None:
    await connection.execute(_OPEN_POOL, asdict(OpenPoolRow(tenant_id, pool.module, pool.base)))


async def close_pool(connection: AsyncConnection, tenant_id: str, module: str) -> None:
    await connection.execute(_CLOSE_POOL, {"tenant": tenant_id, "of_module": module})


async def module_names(connection: AsyncConnection) -> dict[str, str]:
    return {row.module: row.name for row in await connection.execute(_MODULES)}


async def plans(connection: AsyncConnection) -> Sequence[PlanRow]:
    """Return the plans with their newest price lists."""
    return await many(connection, _PLANS, PlanRow)


async def plan(connection: AsyncConnection, name: str, version: int) -> PlanRow | None:
    """Return the plan with this version of its price list."""
    return await one(connection, _PLAN, PlanRow, of_plan=name, of_version=version)


async def subscription(connection: AsyncConnection, tenant_id: str) -> SubscriptionRow | None:
    return await one(connection, _SUBSCRIPTION, SubscriptionRow, tenant=tenant_id)


async def open_pools(connection: AsyncConnection, tenant_id: str) -> Sequence[OpenPoolRow]:
    return await many(connection, _POOLS, OpenPoolRow, tenant=tenant_id)


async def quotes(connection: AsyncConnection, tenant_id: str, ids: Collection[str]) -> dict[str, QuoteRow]:
    if not ids:
        return {}
    return {row[1]: QuoteRow(*row) for row in await connection.execute(_QUOTES, {"tenant": tenant_id, "quotes": list(ids)})}


async def save_limit(connection: AsyncConnection, tenant_id: str, module: str, limited_by: str) -> None:
    await connection.execute(_SAVE_LIMIT, asdict(ExpansionLimit(tenant_id, module, limited_by)))


async def limits(connection: AsyncConnection, tenant_id: str) -> dict[str, str]:
    """Return what limits the expansions of each module that something limits."""
    found = await many(connection, _LIMITS, ExpansionLimit, tenant=tenant_id)
    return {each.module: each.limited_by for each in found if each.limited_by}
