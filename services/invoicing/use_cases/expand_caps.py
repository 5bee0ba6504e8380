"""The expand caps that seats knows. Each is the lowest of the tenant's own cap and of what else limits expansions."""

from datetime import datetime
from functools import partial
from typing import Final

from services.invoicing import store
from services.invoicing.domain.expand_caps import effective_cap
from services.invoicing.use_cases.seats_commands import send
from shared.database import UnitOfWork
from shared.schemas.envelope import Envelope
from shared.schemas.seats_v1 import Policies, SetPolicy

SET_CAP: Final = "set_expand_cap"  # kind of the command; its reference is the module


async def effective_policies(uow: UnitOfWork, tenant_id: str, module: str, own: Policies) -> Policies:
    """Return policies of a module as seats has to know them, for a command that changes policies; its cap counts as sent."""
    cap = effective_cap(own, await _limits(uow, tenant_id, module))
    if cap is None:
        return own
    await store.subscriptions.set_sent_cap(uow.connection, tenant_id, module, cap)
    return own.model_copy(update={"expand_cap": cap})


async def send_caps(uow: UnitOfWork, tenant_id: str, at: datetime, *, cause: Envelope | None = None) -> None:
    """Send seats each cap that differs from the one sent last."""
    for module in await store.subscriptions.modules(uow.connection, tenant_id):
        own = Policies.model_validate_json(module.policies)
        cap = effective_cap(own, await _limits(uow, tenant_id, module.module))
        known = own.expand_cap if module.sent_cap is None else module.sent_cap
        if cap is not None and cap != known and module.opened:
            await _send(uow, tenant_id, module.module, cap, at, cause=cause)


async def send_cap_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send the cap of a module again, as it is now."""
    assert kind == SET_CAP
    for module in await store.subscriptions.modules(uow.connection, tenant_id):
        cap = effective_cap(Policies.model_validate_json(module.policies), await _limits(uow, tenant_id, reference))
        if module.module == reference and cap is not None:
            await _send(uow, tenant_id, reference, cap, at, above=above, cause=cause)


async def _send(
    uow: UnitOfWork, tenant_id: str, module: str, cap: int, at: datetime, *, above: int = 0, cause: Envelope | None = None
) -> None:
    await store.subscriptions.set_sent_cap(uow.connection, tenant_id, module, cap)
    make = partial(SetPolicy, module=module, policies=Policies(expand_cap=cap))
    await send(uow, tenant_id, make, kind=SET_CAP, reference=module, time=at, above=above, cause=cause)


async def _limits(uow: UnitOfWork, tenant_id: str, module: str) -> list[int | None]:
    """Return what limits the expansion of a module beside its own cap. A new limit is one more element."""
    overdue = await store.overdue.find(uow.connection, tenant_id)
    return [0 if overdue.blocked else None]
