"""What the notifier does with each event: recipients and notices in one group, the action log in another.

The first group is a projection: a message that cannot be read becomes a dead letter alone. The log is kept in order: behind a dead letter
the rest of that tenant waits, so that `from` of each entry stays what was.
"""

from datetime import datetime
from typing import Any

from services.notifier import store
from services.notifier.action_log import actor_of, entries_of
from services.notifier.domain import notices_of
from services.notifier.pool_numbers import CHANGES_POOLS, Changed, pools_changed
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.messaging import Handler, Message
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Payload
from shared.schemas.registry import REGISTRY
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS, Topic

TOPICS: tuple[Topic, ...] = (USERS_EVENTS, SEATS_EVENTS, INVOICING_EVENTS)
MAIL_GROUP = "notifier"
LOG_GROUP = "notifier-action-log"


class Notifications:
    """Handlers of the first group. `mark` is the first start of this database: records older than it (their real time) mail nothing."""

    def __init__(self, clock: Clock, mark: datetime) -> None:
        self._clock = clock
        self._mark_ms = round(mark.timestamp() * 1000)

    def handlers(self) -> dict[type[Payload], Handler]:
        found: dict[type[Payload], Handler] = {
            users_v1.TenantCreated: self.on_tenant,
            users_v1.TenantChanged: self.on_tenant,
            users_v1.TenantRepublished: self.on_tenant,
            users_v1.PersonAdded: self.on_person,
            users_v1.PersonChanged: self.on_person,
            users_v1.PersonLeft: self.on_person,
            users_v1.PersonRepublished: self.on_person,
            seats_v1.TenantOpened: self.on_clock,
            seats_v1.ClockSettled: self.on_clock,
            seats_v1.CommandRejected: self.on_rejected,
            seats_v1.CommandFailed: self.on_rejected,
            seats_v1.SettleFailed: self.on_rejected,
            invoicing_v1.ModuleDefined: self.on_module,
            invoicing_v1.QuoteIssued: self.on_quote,
            invoicing_v1.PlanDefined: self.on_plan,
            invoicing_v1.SubscriptionStarted: self.on_subscription,
            seats_v1.PoolOpened: self.on_pool,
            seats_v1.PoolClosed: self.on_pool,
        }
        return found | dict.fromkeys(_NOTABLE, self.on_notable)

    async def on_tenant(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, users_v1.TenantState)
        assert message.envelope.tenant is not None
        await store.save_tenant(uow, message.envelope.tenant, message.payload, message.offset)

    async def on_person(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, users_v1.PersonState)
        assert message.envelope.tenant is not None
        store.save_person(uow, message.envelope.tenant, message.payload)

    async def on_clock(self, uow: UnitOfWork, message: Message) -> None:
        """A tenant's time on a test clock is what seats last answered."""
        payload = message.payload
        assert isinstance(payload, seats_v1.TenantOpened | seats_v1.ClockSettled)
        assert message.envelope.tenant is not None
        clock = payload.clock if isinstance(payload, seats_v1.TenantOpened) else seats_v1.Clock.TEST
        await store.save_clock(uow, message.envelope.tenant, clock, payload.at)

    async def on_module(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, invoicing_v1.ModuleDefined)
        await store.save_module(uow, message.payload)

    async def on_quote(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, invoicing_v1.QuoteIssued)
        assert message.envelope.tenant is not None
        await store.save_quote(uow, message.envelope.tenant, message.payload)

    async def on_plan(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, invoicing_v1.PlanDefined)
        await store.save_plan(uow, message.payload)

    async def on_subscription(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, invoicing_v1.SubscriptionStarted)
        assert message.envelope.tenant is not None
        await store.save_subscription(uow, message.envelope.tenant, message.payload)

    async def on_pool(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, seats_v1.PoolOpened | seats_v1.PoolClosed)
        assert message.envelope.tenant is not None
        await store.save_pool(uow, message.envelope.tenant, message.payload)

    async def on_rejected(self, uow: UnitOfWork, message: Message) -> None:
        payload, envelope = message.payload, message.envelope
        assert isinstance(payload, seats_v1.CommandRejected | seats_v1.CommandFailed | seats_v1.SettleFailed)
        await store.save_rejected(uow, envelope.tenant, envelope.id, envelope.type, payload, rejection(payload))

    async def on_notable(self, uow: UnitOfWork, message: Message) -> None:
        tenant = message.envelope.tenant
        if tenant is None or message.timestamp_ms < self._mark_ms:
            return
        notices = notices_of(message.payload, message.envelope.id)
        if notices:
            store.save_notices(uow, tenant, notices, self._clock.now())


# The types of which `notices_of` makes notices.
_NOTABLE: tuple[type[Payload], ...] = (
    seats_v1.SeatsAssigned,
    seats_v1.SeatsQueued,
    seats_v1.SeatsRefused,
    seats_v1.SeatsMoved,
    seats_v1.SeatFlagged,
    seats_v1.SeatRevoked,
    seats_v1.SeatReleased,
    seats_v1.SeatFlagCleared,
    seats_v1.SeatGranted,
    seats_v1.PoolNearLimit,
    seats_v1.PoolAtLimit,
    seats_v1.PoolExpanded,
    seats_v1.PeriodStarted,
    seats_v1.LicencesReduced,
    seats_v1.ReductionScheduled,
    seats_v1.ReductionRefused,
    invoicing_v1.OrderCompleted,
    invoicing_v1.OrderRefused,
    invoicing_v1.BillingDetailsChanged,
    invoicing_v1.InvoiceIssued,
)


def rejection(payload: seats_v1.CommandRejected | seats_v1.CommandFailed | seats_v1.SettleFailed) -> str:
    """What a person needs to mend it."""
    if isinstance(payload, seats_v1.CommandRejected):
        return payload.wrong()
    return f"the decision failed with an internal error; find error id {payload.error_id} in the log of the seats worker"


def log_handlers() -> dict[type[Payload], Handler]:
    """Every event of the three topics passes through the log."""
    return {entry.model: on_action for entry in REGISTRY.values() if entry.topic in TOPICS}


async def on_action(uow: UnitOfWork, message: Message) -> None:
    payload: Any = message.payload
    if message.envelope.tenant is None:
        return  # the vendor's catalogue is no tenant's log
    if isinstance(payload, users_v1.TenantState | seats_v1.TenantOpened):
        await store.add_logged_tenant(uow, message.envelope.tenant)
    pools = await _pools_of(uow, message)
    entries = entries_of(payload, message.envelope, pools)
    if entries:
        store.save_actions(uow, message, entries, at=payload.at, actor=actor_of(payload), reason=payload.reason)


async def _pools_of(uow: UnitOfWork, message: Message) -> Changed:
    """The pools that the event changed. One that is in the log already is read again: its numbers are those of a later event by now."""
    tenant, event_id = message.envelope.tenant, message.envelope.id
    assert tenant is not None
    if not isinstance(message.payload, CHANGES_POOLS) or await store.is_logged(uow, tenant, event_id):
        return {}
    changed = pools_changed(message.payload, await store.pool_numbers(uow, tenant))
    await store.save_pool_numbers(uow, tenant, {module: after for module, (_, after) in changed.items()})
    return changed
