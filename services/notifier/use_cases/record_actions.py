"""Write events into the action log (T20, M13)."""

from typing import Any

from services.notifier.domain.action_log import actor_of, entries_of
from services.notifier.domain.pool_numbers import CHANGES_POOLS, Changed, pools_changed
from services.notifier.store import recipients as store
from shared.database import UnitOfWork
from shared.messaging import Message
from shared.schemas import seats_v1, users_v1


async def record_event(uow: UnitOfWork, message: Message[Any]) -> None:
    """Write the entries of one event. Events of the vendor's catalogue belong to no tenant and make none."""
    payload = message.payload
    if message.envelope.tenant is None:
        return
    if isinstance(payload, users_v1.TenantState | seats_v1.TenantOpened):
        await store.add_logged_tenant(uow, message.envelope.tenant)
    pools = await _pools_of(uow, message)
    entries = entries_of(payload, message.envelope, pools)
    if entries:
        store.save_actions(uow, message, entries, at=payload.at, actor=actor_of(payload), reason=payload.reason)


async def _pools_of(uow: UnitOfWork, message: Message[Any]) -> Changed:
    """Return the pools that the event changed. An event that is in the log already was read again: the stored numbers are those of a later
    event by now."""
    tenant, event_id = message.tenant, message.envelope.id
    if not isinstance(message.payload, CHANGES_POOLS) or await store.is_logged(uow, tenant, event_id):
        return {}
    changed = pools_changed(message.payload, await store.pool_numbers(uow, tenant))
    await store.save_pool_numbers(uow, tenant, {module: after for module, (_, after) in changed.items()})
    return changed
