"""The policies with which seats opens a pool: the tenant's own, with a cap of expansions that overdue invoices and the budget allow."""

from collections.abc import Collection
from datetime import datetime

from services.invoicing import store
from services.invoicing.domain.expand_caps import effective_cap
from services.invoicing.use_cases.budget import opening_limits
from shared.database import UnitOfWork
from shared.schemas.seats_v1 import Policies


async def opening_policies(uow: UnitOfWork, tenant_id: str, modules: Collection[str], at: datetime) -> dict[str, Policies]:
    """Return the policies to send for the pools of these modules. Their caps count as sent; a higher one is sent when the pool is open."""
    rows = await store.subscriptions.modules(uow.connection, tenant_id)
    limits = await opening_limits(uow, tenant_id, rows, modules, at)
    overdue = 0 if (await store.overdue.find(uow.connection, tenant_id)).blocked else None
    found = dict[str, Policies]()
    for row in rows:
        if row.module in modules:
            own = Policies.model_validate_json(row.policies)
            cap = effective_cap(own, [overdue, limits.get(row.module)])
            if cap is not None:
                await store.subscriptions.set_sent_cap(uow.connection, tenant_id, row.module, cap)
            found[row.module] = own if cap is None else own.model_copy(update={"expand_cap": cap})
    return found


async def note_pool_policies(uow: UnitOfWork, tenant_id: str, module: str, policies: Policies) -> None:
    """Save the policies of a pool as seats has them now, but with the tenant's own cap: seats can know a lower one."""
    rows = await store.subscriptions.modules(uow.connection, tenant_id)
    own = next((Policies.model_validate_json(row.policies).expand_cap for row in rows if row.module == module), None)
    if own is not None:
        policies = policies.model_copy(update={"expand_cap": own})
    await store.subscriptions.set_policies(uow.connection, tenant_id, module, policies)
