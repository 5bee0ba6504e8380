"""The pools of a tenant, as seats opened and closed them, and the activation of the subscription."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, not_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.subscription import Pool, Subscription
from shared.database.row_classes import columns_of, json_rows, many, names_of, one, recordset, replacing, table_of
from shared.schemas.position import DecisionId


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool, and the decision that it reflects."""

    module: str
    base: bool
    open: bool
    partition: int
    record_offset: int
    n: int


@dataclass(frozen=True, slots=True)
class CountsRow:
    """The counts of a pool after the decision at (`counted_offset`, `counted_n`)."""

    module: str
    licences: int
    active: int
    flagged: int
    held: int
    waiting: int
    available: int
    counted_offset: int
    counted_n: int

    @property
    def in_use(self) -> int:
        return self.active + self.flagged + self.held


@dataclass(frozen=True, slots=True)
class ExpansionLimit:
    """What keeps seats from expanding a module up to the tenant's own cap; empty: nothing."""

    module: str
    limited_by: str


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """`Subscription`, with decision ids as text."""

    since: str | None
    seen: str | None
    activated: str | None


@dataclass(frozen=True, slots=True)
class TermsRow:
    """The plan, the version of its price list, and the term of the tenant's contract."""

    plan: str
    plan_version: int
    term: str


POOLS: Final = table_of("pools", PoolRow, CountsRow, tenant_id=str)
SUBSCRIPTIONS: Final = table_of("subscriptions", SubscriptionRow, tenant_id=str, plan=str, plan_version=int, term=str)
EXPANSION_LIMITS: Final = table_of("expansion_limits", ExpansionLimit, tenant_id=str)

_TENANT: Final = bindparam("tenant", type_=Text)
_OWN: Final = POOLS.c.tenant_id == _TENANT
_INSERT: Final = insert(POOLS)
_SAVE: Final = replacing(
    _INSERT,
    PoolRow,
    "tenant_id",
    "module",
    where=tuple_(POOLS.c.record_offset, POOLS.c.n) < tuple_(_INSERT.excluded.record_offset, _INSERT.excluded.n),
)
_ALL: Final = select(*columns_of(PoolRow, POOLS)).where(_OWN).order_by(POOLS.c.module)
_ADD_ONS: Final = select(POOLS.c.module).where(_OWN, not_(POOLS.c.base))
_TENANTS_OF: Final = select(POOLS.c.tenant_id).where(POOLS.c.module == bindparam("of_module", type_=Text)).order_by(POOLS.c.tenant_id)

_GIVEN: Final = recordset(CountsRow)
_NOTE_COUNTS: Final = (
    update(POOLS)
    .where(
        _OWN,
        POOLS.c.module == _GIVEN.c.module,
        tuple_(POOLS.c.counted_offset, POOLS.c.counted_n) < tuple_(_GIVEN.c.counted_offset, _GIVEN.c.counted_n),
    )
    .values({name: _GIVEN.c[name] for name in names_of(CountsRow, but=("module",))})
)
_COUNTS: Final = select(*columns_of(CountsRow, POOLS)).where(_OWN, POOLS.c.open).order_by(POOLS.c.module)

_SAVE_LIMIT: Final = replacing(insert(EXPANSION_LIMITS), ExpansionLimit, "tenant_id", "module")
_LIMITS: Final = select(*columns_of(ExpansionLimit, EXPANSION_LIMITS)).where(EXPANSION_LIMITS.c.tenant_id == _TENANT)

_BEGIN: Final = insert(SUBSCRIPTIONS)
# The update of an existing row locks it, and changes nothing.
_LOCK: Final = _BEGIN.on_conflict_do_update(index_elements=["tenant_id"], set_={"tenant_id": _BEGIN.excluded.tenant_id}).returning(
    *columns_of(SubscriptionRow, SUBSCRIPTIONS)
)
_GET: Final = select(*columns_of(SubscriptionRow, SUBSCRIPTIONS)).where(SUBSCRIPTIONS.c.tenant_id == _TENANT)
_SAVE_SUBSCRIPTION: Final = replacing(insert(SUBSCRIPTIONS), SubscriptionRow, "tenant_id")
_TERMS: Final = select(*columns_of(TermsRow, SUBSCRIPTIONS)).where(SUBSCRIPTIONS.c.tenant_id == _TENANT, SUBSCRIPTIONS.c.plan.is_not(None))
_SET_LIST: Final = (
    update(SUBSCRIPTIONS)
    .where(SUBSCRIPTIONS.c.tenant_id == _TENANT, SUBSCRIPTIONS.c.plan_version != bindparam("version", type_=BigInteger))
    .values(plan_version=bindparam("version", type_=BigInteger))
)
_SAVE_TERMS: Final = _BEGIN.on_conflict_do_update(
    index_elements=["tenant_id"], set_={name: _BEGIN.excluded[name] for name in names_of(TermsRow)}
)


async def save(connection: AsyncConnection, tenant_id: str, pool: Pool) -> bool:
    """Save a pool as a decision made it; return False, and change nothing, if a later decision about it is known."""
    at = pool.decision_id
    row = PoolRow(pool.module, pool.base, pool.open, at.partition, at.offset, at.n)
    return (await connection.execute(_SAVE, {"tenant_id": tenant_id} | asdict(row))).rowcount == 1


async def all_of(connection: AsyncConnection, tenant_id: str) -> list[Pool]:
    """Return the pools, also those that were closed."""
    rows = await many(connection, _ALL, PoolRow, tenant=tenant_id)
    return [Pool(row.module, row.base, row.open, DecisionId(row.partition, row.record_offset, row.n)) for row in rows]


async def add_ons(connection: AsyncConnection, tenant_id: str) -> frozenset[str]:
    """Return the modules that are known not to be base modules."""
    return frozenset((await connection.execute(_ADD_ONS, {"tenant": tenant_id})).scalars())


async def note_counts(connection: AsyncConnection, tenant_id: str, counts: Sequence[CountsRow]) -> None:
    """Save the counts of pools; those of an older decision change nothing."""
    if counts:
        await connection.execute(_NOTE_COUNTS, {"tenant": tenant_id, "rows": json_rows(counts)})


async def counts(connection: AsyncConnection, tenant_id: str) -> dict[str, CountsRow]:
    """Return the counts of the open pools by module, as seats last reported them."""
    return {row.module: row for row in await many(connection, _COUNTS, CountsRow, tenant=tenant_id)}


async def save_terms(connection: AsyncConnection, tenant_id: str, terms: TermsRow) -> None:
    """Save the plan, the price list and the term of the tenant's contract."""
    await connection.execute(_SAVE_TERMS, {"tenant_id": tenant_id} | asdict(terms))


async def set_price_list(connection: AsyncConnection, tenant_id: str, version: int) -> None:
    """Save the version of the price list that the tenant's contract has now."""
    await connection.execute(_SET_LIST, {"tenant": tenant_id, "version": version})


async def terms(connection: AsyncConnection, tenant_id: str) -> TermsRow | None:
    """Return the terms of the tenant's contract, if they are known."""
    return await one(connection, _TERMS, TermsRow, tenant=tenant_id)


async def tenants_of(connection: AsyncConnection, module: str) -> Sequence[str]:
    """Return the tenants that have or had a pool of the module. Call in the scope of no tenant."""
    return list((await connection.execute(_TENANTS_OF, {"of_module": module})).scalars())


async def lock_subscription(connection: AsyncConnection, tenant_id: str) -> Subscription:
    """Return the subscription, locked: of two transactions that read the two topics, the second one sees what the first one wrote."""
    found = await connection.execute(_LOCK, {"tenant_id": tenant_id})
    return _subscription(SubscriptionRow(*found.one()))


async def subscription(connection: AsyncConnection, tenant_id: str) -> Subscription:
    (row,) = await many(connection, _GET, SubscriptionRow, tenant=tenant_id) or [SubscriptionRow(None, None, None)]
    return _subscription(row)


async def save_subscription(connection: AsyncConnection, tenant_id: str, subscription: Subscription) -> None:
    """Save the subscription. Call under its lock."""
    since, seen, activated = (None if id_ is None else str(id_) for id_ in (subscription.since, subscription.seen, subscription.activated))
    row = SubscriptionRow(since, seen, activated)
    await connection.execute(_SAVE_SUBSCRIPTION, {"tenant_id": tenant_id} | asdict(row))


def _subscription(row: SubscriptionRow) -> Subscription:
    since, seen, activated = (None if text is None else DecisionId.parse(text) for text in (row.since, row.seen, row.activated))
    return Subscription(since, seen, activated)


async def save_limit(connection: AsyncConnection, tenant_id: str, module: str, limited_by: str) -> None:
    await connection.execute(_SAVE_LIMIT, {"tenant_id": tenant_id} | asdict(ExpansionLimit(module, limited_by)))


async def limits(connection: AsyncConnection, tenant_id: str) -> dict[str, str]:
    """Return what limits the expansions of each module that something limits."""
    found = await many(connection, _LIMITS, ExpansionLimit, tenant=tenant_id)
    return {each.module: each.limited_by for each in found if each.limited_by}
