"""The subscribed modules of a tenant: what seats and invoicing publish about them, and the re-evaluation of people that follows."""

from dataclasses import replace

from services.users.domain.person import Tenant
from services.users.domain.subscription import Pool, subscribed_modules
from services.users.store import catalogue, pools, reevaluations
from services.users.store import tenants as tenants_store
from services.users.store.catalogue import ModuleRow
from services.users.store.reevaluations import Cause, ReevaluationKind
from services.users.store.tenants import Lock
from shared.database import UnitOfWork
from shared.schemas.position import DecisionId


async def pool_opened(tenant: Tenant, uow: UnitOfWork, module: str, base: bool, decision_id: DecisionId, cause: Cause) -> None:
    """Record that seats opened a pool. The people who require its module request it, unless the subscription is not active yet."""
    await _record(tenant.tenant, uow, Pool(module, base, True, decision_id), cause)


async def pool_closed(tenant: Tenant, uow: UnitOfWork, module: str, decision_id: DecisionId, cause: Cause) -> None:
    """Record that seats closed a pool. Its module is not required any more."""
    known = {pool.module: pool for pool in await pools.all_of(uow.connection, tenant.tenant)}
    base = known[module].base if module in known else True
    await _record(tenant.tenant, uow, Pool(module, base, False, decision_id), cause)


async def _record(tenant: str, uow: UnitOfWork, pool: Pool, cause: Cause) -> None:
    before = await pools.lock_subscription(uow.connection, tenant)
    if not await pools.save(uow.connection, tenant, pool):
        return
    others = any(each.open for each in await pools.all_of(uow.connection, tenant) if each.module != pool.module)
    after = before.with_pool(pool.decision_id, opens=pool.open, others_are_open=others)
    await pools.save_subscription(uow.connection, tenant, after)
    if after.is_active:
        kind = ReevaluationKind.POOL_OPENED if pool.open else ReevaluationKind.POOL_CLOSED
        await reevaluations.add(uow.connection, tenant, kind, cause, pool.module if before.is_active else None)


async def activated(tenant: Tenant, uow: UnitOfWork, decision_id: DecisionId, cause: Cause) -> None:
    """Record that the subscription is active. The people request all of their modules at once, when all pools are known here."""
    before = await pools.lock_subscription(uow.connection, tenant.tenant)
    after = before.with_activation(decision_id)
    if after == before:
        return
    await pools.save_subscription(uow.connection, tenant.tenant, after)
    if after.is_active:
        await reevaluations.add(uow.connection, tenant.tenant, ReevaluationKind.POOL_OPENED, cause)


async def module_defined(uow: UnitOfWork, module: ModuleRow, cause: Cause) -> None:
    """Record a module of the catalogue. If it requires other modules than before, people with it are evaluated again. Call in the scope of
    no tenant."""
    known = await catalogue.requires(uow.connection)
    await catalogue.save(uow.connection, module)
    if known.get(module.module, ()) != module.requires:
        tenants = await pools.tenants_of(uow.connection, module.module)
        await reevaluations.add_many(uow.connection, tenants, ReevaluationKind.CATALOGUE, cause, module.module)


async def apply(tenant: str, uow: UnitOfWork) -> None:
    """Let the subscribed modules be those that are recorded. Call in a transaction that holds and awaits no person's row."""
    row = await tenants_store.get(uow.connection, tenant, Lock.EXCLUSIVE)
    assert row is not None, "only tenants that exist are recorded"
    known, requires = await pools.all_of(uow.connection, tenant), await catalogue.requires(uow.connection)
    subscribed = subscribed_modules(await pools.subscription(uow.connection, tenant), known, requires)
    if subscribed != {module: tuple(needs) for module, needs in row.subscribed.items()}:
        await tenants_store.save(uow.connection, replace(row, subscribed=subscribed, config_version=row.config_version + 1))
