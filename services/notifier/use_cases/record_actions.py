"""Write events into the action log (T20, M13)."""

from collections.abc import Iterator

from services.notifier.domain.action_log import Entry, actor_of, entries_of
from services.notifier.domain.pool_numbers import CHANGES_POOLS, Changed, pools_changed
from services.notifier.store import action_log as store
from services.notifier.store import erasures
from services.notifier.store.action_log import NewAction
from shared.database import UnitOfWork
from shared.messaging import Message
from shared.schemas import invoicing_v1, seats_v1, users_v1

Event = users_v1.UsersEvent | seats_v1.SeatsEvent | invoicing_v1.InvoicingEvent


async def record_event(uow: UnitOfWork, message: Message[Event]) -> None:
    """Write the entries of one event. Events of the vendor's catalogue belong to no tenant and make none."""
    payload, tenant_id = message.payload, message.envelope.tenant
    if tenant_id is None:
        return
    if isinstance(payload, users_v1.TenantState | seats_v1.TenantOpened):
        await store.add_tenant(uow.connection, tenant_id)
    pools = await _changed_pools(uow, tenant_id, message)
    if isinstance(payload, users_v1.PersonErased):
        await uow.run_pending()  # entries of this batch about the person
        await erasures.erase_from_log(uow.connection, tenant_id, payload.user)
    for action in _actions(tenant_id, message, entries_of(payload, message.envelope, pools)):
        uow.defer(store.APPEND, action)


async def _changed_pools(uow: UnitOfWork, tenant_id: str, message: Message[Event]) -> Changed:
    """Return the pools that the event changed. An event that is in the log already was read again: the stored numbers are those of a later
    event by now."""
    if not isinstance(message.payload, CHANGES_POOLS) or await store.is_logged(uow.connection, tenant_id, message.envelope.id):
        return {}
    changed = pools_changed(message.payload, await store.pool_numbers(uow.connection, tenant_id))
    await store.save_pool_numbers(uow.connection, tenant_id, {module: after for module, (_, after) in changed.items()})
    return changed


def _actions(tenant_id: str, message: Message[Event], entries: list[Entry]) -> Iterator[NewAction]:
    payload, envelope = message.payload, message.envelope
    actor = actor_of(payload)
    position = payload.position if isinstance(payload, seats_v1.SeatsEvent) else None
    for part, entry in enumerate(entries):
        yield NewAction(
            tenant_id=tenant_id,
            event_id=envelope.id,
            part=part,
            at=payload.at,
            actor_kind=actor.kind if actor else None,
            actor_id=actor.id if actor else None,
            type=entry.type,
            event_type=envelope.type,
            user_id=entry.user,
            module=entry.module,
            subject=entry.subject,
            new=entry.new,
            only_if_changed=entry.only_if_changed,
            changes=entry.changes,
            reason=payload.reason,
            details=entry.details,
            position_partition=position.partition if position else None,
            position_offset=position.offset if position else None,
            correlation=envelope.correlation or envelope.id,
        )
