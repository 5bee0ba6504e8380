"""The policies of pools as they will be when seats has answered every change."""

from typing import Final

from services.invoicing import store
from services.invoicing.domain.policies import merged, of_new_module
from shared.database import UnitOfWork
from shared.schemas.seats_v1 import Policies

POLICIES: Final = "policies"  # the kind of a change of policies


async def decided_policies(uow: UnitOfWork, tenant_id: str) -> dict[str, Policies]:
    """Return the policies of each module, with the changes that seats has not answered yet: a later change begins with them, so that each
    can be set back, and a plan has to fit them."""
    modules = await store.subscriptions.modules(uow.connection, tenant_id)
    known = {each.module: Policies.model_validate_json(each.policies) for each in modules}
    for change in await store.contract_changes.pending(uow.connection, tenant_id, POLICIES):
        for module, command in change.content["commands"].items():
            if module in known:
                after = merged(known[module], Policies(**command["policies"]))
                removed = dict.fromkeys(command["unset"])
                known[module] = after.model_copy(update={**removed, "expand_cap": command["own_cap"]})
    return known


async def policies_of_new_module(uow: UnitOfWork, tenant_id: str) -> Policies:
    """Return the policies of a module that the subscription gets without policies of its own."""
    known = await decided_policies(uow, tenant_id)
    modules = await store.subscriptions.modules(uow.connection, tenant_id)
    return of_new_module([known[each.module] for each in sorted(modules, key=lambda each: each.module) if each.base])
