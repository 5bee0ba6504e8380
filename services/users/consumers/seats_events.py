"""The decisions of seats."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from prometheus_client import Counter

from services.users.consumers.message_tenant import OfTenant, load_tenant, peek_tenant
from services.users.domain import person as rules
from services.users.domain.module_states import Decided, decided, not_done
from services.users.domain.person import Cause
from services.users.store import people as people_store
from services.users.store import people_lookups, pools, reevaluations
from services.users.store import tenants as tenants_store
from services.users.store.pools import CountsRow
from services.users.use_cases import known_people, people, refused_people, replace_person, subscription
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.people import SEATS_ACTOR, Decision
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging import Handler, Message
from shared.schemas import seats_v1
from shared.schemas.base import Payload
from shared.schemas.position import DecisionId
from shared.schemas.topics import SEATS_EVENTS, Topic

log = structlog.get_logger(__name__)

COMMANDS_NOT_DONE = Counter("seatpool_users_commands_not_done", "Commands that seats rejected or failed at")

ANSWERS: Final = (seats_v1.SeatsAssigned, seats_v1.SeatsQueued, seats_v1.SeatsRefused)
SEAT_CHANGES: Final = (
    seats_v1.SeatFlagged,
    seats_v1.SeatFlagCleared,
    seats_v1.SeatGranted,
    seats_v1.SeatRevoked,
    seats_v1.SeatReleased,
    seats_v1.HoldExpired,
    seats_v1.HoldCancelled,
)
# Of these, only the counts of the pools matter here.
COUNTS: Final = (
    seats_v1.LicencesAdded,
    seats_v1.LicencesReduced,
    seats_v1.PoolExpanded,
    seats_v1.PoolReduced,
    seats_v1.PoolRestored,
    seats_v1.PeriodStarted,
)
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {
    SEATS_EVENTS: (
        seats_v1.PolicyChanged,
        seats_v1.PoolCloseScheduled,
        seats_v1.OrderRefused,
        seats_v1.ReductionRefused,
        seats_v1.ReductionScheduled,
        seats_v1.PeriodScheduled,
        seats_v1.PoolNearLimit,
        seats_v1.PoolAtLimit,
        seats_v1.WarningArmed,
        seats_v1.ReductionKept,
        seats_v1.SettleFailed,
    )
}


class SeatsEvents:
    """`wake` is called when there is work for a background job (a bulk re-evaluation)."""

    def __init__(self, tenants: Tenants, wake: Callable[[], None]) -> None:
        self._tenants, self._wake = tenants, wake

    def handlers(self) -> dict[type[Payload], Handler]:
        return {model: partial(handler, self) for model, handler in HANDLERS.items()}

    async def on_answer(self, uow: UnitOfWork, message: Message[seats_v1.NeedAnswered]) -> None:
        event = message.payload
        self._gather(uow, message, event, event.user, decided(event), event.revision, event.need.modules)

    async def on_seat_change(self, uow: UnitOfWork, message: Message[seats_v1.SeatEvent]) -> None:
        event = message.payload
        self._gather(uow, message, event, event.user, decided(event), 0, None)

    async def on_seats_released(self, uow: UnitOfWork, message: Message[seats_v1.SeatsReleased]) -> None:
        event = message.payload
        self._gather(uow, message, event, event.user, (), 0, event.required)

    async def on_seats_moved(self, uow: UnitOfWork, message: Message[seats_v1.SeatsMoved]) -> None:
        event = message.payload
        self._gather(uow, message, event, event.from_user, (), event.from_revision, ())
        self._gather(uow, message, event, event.user, decided(event), event.revision, event.need.modules)

    def _gather(
        self,
        uow: UnitOfWork,
        message: Message,
        event: seats_v1.PersonEvent,
        user: str,
        decided: Sequence[Decided],
        revision: int,
        required: tuple[str, ...] | None,
    ) -> None:
        decision_id = DecisionId.parse(message.envelope.id)
        decision = Decision(user, decision_id, decided, event.at, event.reason, message.envelope, revision, required)
        uow.gather(self._apply_decisions, OfTenant(message.tenant, decision))
        self._gather_counts(uow, message, event)

    def _gather_counts(self, uow: UnitOfWork, message: Message, event: seats_v1.SeatsEvent) -> None:
        if event.pools:
            uow.gather(self._note_counts, OfTenant(message.tenant, (DecisionId.parse(message.envelope.id), event.pools)))

    async def _note_counts(self, uow: UnitOfWork, gathered: Sequence[OfTenant[tuple[DecisionId, Sequence[seats_v1.PoolState]]]]) -> None:
        """Save the counts after the last of these decisions, which are of one tenant and in their order."""
        last = {
            pool.module: CountsRow(
                pool.module, pool.licences, pool.active, pool.flagged, pool.held, pool.waiting, pool.available, at.offset, at.n
            )
            for at, pools_ in (each.item for each in gathered)
            for pool in pools_
        }
        tenant = await self._tenants.peek(gathered[0].tenant, uow)
        before = await pools.counts(uow.connection, gathered[0].tenant)
        await pools.note_counts(uow.connection, gathered[0].tenant, list(last.values()))
        if tenant is not None:
            await refused_people.tell_of_free_licences(tenant, uow, before, last)

    async def on_counts(self, uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
        self._gather_counts(uow, message, message.payload)

    async def _apply_decisions(self, uow: UnitOfWork, gathered: Sequence[OfTenant[Decision]]) -> None:
        """Apply decisions of one tenant: they were gathered in its scope."""
        tenant = await self._tenants.peek(gathered[0].tenant, uow)
        if tenant is None:
            raise Poison("unknown-tenant", f"there is no tenant {gathered[0].tenant!r}", rule="ce_tenantid: a known tenant")
        await people.apply_decisions(tenant, uow, [each.item for each in gathered])

    async def on_tenant_opened(self, uow: UnitOfWork, message: Message[seats_v1.TenantOpened]) -> None:
        await tenants_store.set_open(uow.connection, message.tenant)

    async def on_pool_opened(self, uow: UnitOfWork, message: Message[seats_v1.PoolOpened]) -> None:
        event = message.payload
        tenant = await peek_tenant(self._tenants, uow, message)
        cause = reevaluations.cause_of(SEATS_ACTOR, message.envelope)
        await subscription.pool_opened(tenant, uow, event.module, event.base, DecisionId.parse(message.envelope.id), cause)
        self._gather_counts(uow, message, event)
        self._wake()

    async def on_pool_closed(self, uow: UnitOfWork, message: Message[seats_v1.PoolClosed]) -> None:
        tenant = await peek_tenant(self._tenants, uow, message)
        cause = reevaluations.cause_of(SEATS_ACTOR, message.envelope)
        await subscription.pool_closed(tenant, uow, message.payload.module, DecisionId.parse(message.envelope.id), cause)
        self._wake()

    async def on_clock_settled(self, uow: UnitOfWork, message: Message[seats_v1.ClockSettled]) -> None:
        await tenants_store.set_time(uow.connection, message.tenant, message.payload.at)

    async def on_command_ignored(self, uow: UnitOfWork, message: Message[seats_v1.CommandIgnored]) -> None:
        """Send the required modules again, with a higher revision, if seats has seen a higher one than ours, for example after a restored
        backup of this database. Of a replacement that was ignored, both people send theirs."""
        event = message.payload
        if event.reason != seats_v1.Reason.STALE or event.user is None or event.last_revision is None:
            return
        tenant = await load_tenant(self._tenants, uow, message)
        users = {event.user, *await people_lookups.users_of_command(uow.connection, tenant.tenant, event.command)}
        found = await people_store.lock_many(uow.connection, tenant.tenant, sorted(users), tenant.today)
        known = await known_people.of_users(tenant, uow, list(found.values()))  # who was never employed is no leaver (M9)
        cause = Cause(SEATS_ACTOR, seats_v1.Reason.CHANGED.value)
        for before in known.people.values():
            above = event.last_revision if before.user == event.user else 0
            is_last = before.command_id == event.command or (before.user == event.user and before.revision <= above)
            if before.record is not None and is_last:  # else, a later command was sent already
                (after,) = await known_people.as_of_today(tenant, uow, [before])
                revision = rules.revise(before, after, at=tenant.now, cause=cause, resend=True, above=above)
                await people.save(tenant, uow, revision, message.envelope)

    async def on_replacement_refused(self, uow: UnitOfWork, message: Message[seats_v1.ReplacementRefused]) -> None:
        tenant = await load_tenant(self._tenants, uow, message)
        await replace_person.on_refused(tenant, uow, message.payload, message.envelope)

    async def on_command_not_done(self, uow: UnitOfWork, message: Message[seats_v1.CommandRejected | seats_v1.CommandFailed]) -> None:
        """The person stays pending, which is counted and raises an alert after a minute; the log and a note with the person say why."""
        event = message.payload
        if message.envelope.tenant is None:
            return  # seats found no tenant in the command that it rejected; each command of users names one
        COMMANDS_NOT_DONE.inc()
        log.error("command_not_done", command=event.command, reason=event.reason, position=message.envelope.id)
        tenant = await self._tenants.peek(message.envelope.tenant, uow)
        if tenant is not None:
            await people.note_not_done(tenant, uow, event.command, not_done(event, DecisionId.parse(message.envelope.id)))


HANDLERS: Mapping[type[Payload], Callable[[SeatsEvents, UnitOfWork, Message[Any]], Awaitable[None]]] = {
    **dict.fromkeys(ANSWERS, SeatsEvents.on_answer),
    **dict.fromkeys(SEAT_CHANGES, SeatsEvents.on_seat_change),
    **dict.fromkeys(COUNTS, SeatsEvents.on_counts),
    seats_v1.SeatsMoved: SeatsEvents.on_seats_moved,
    seats_v1.ReplacementRefused: SeatsEvents.on_replacement_refused,
    seats_v1.SeatsReleased: SeatsEvents.on_seats_released,
    seats_v1.TenantOpened: SeatsEvents.on_tenant_opened,
    seats_v1.PoolOpened: SeatsEvents.on_pool_opened,
    seats_v1.PoolClosed: SeatsEvents.on_pool_closed,
    seats_v1.ClockSettled: SeatsEvents.on_clock_settled,
    seats_v1.CommandIgnored: SeatsEvents.on_command_ignored,
    seats_v1.CommandRejected: SeatsEvents.on_command_not_done,
    seats_v1.CommandFailed: SeatsEvents.on_command_not_done,
}
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {SEATS_EVENTS: tuple(HANDLERS)}
