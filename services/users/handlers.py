"""What users does with the messages it reads: upstream facts about people, and the decisions of seats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from prometheus_client import Counter

from services.users import domain, people
from services.users import person as rules
from services.users.context import Tenants
from services.users.domain import Decided
from services.users.people import Decision, Said
from services.users.person import Cause, Tenant
from services.users.store import hr_sources, reviews
from services.users.store import people as people_store
from services.users.store import tenants as tenants_store
from services.users.store.reviews import ReviewKind
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging import Handler, Message
from shared.schemas import hr_v1, seats_v1
from shared.schemas.base import Payload
from shared.schemas.position import DecisionId
from shared.schemas.topics import HR_EVENTS, SEATS_EVENTS

log = structlog.get_logger(__name__)

GROUP = "users"
TOPICS = (HR_EVENTS, SEATS_EVENTS)
COMMANDS_NOT_DONE = Counter("seatpool_users_commands_not_done", "Commands that seats rejected or failed at")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Of(Generic[T]):
    """What is gathered for the end of the batch, and whose it is."""

    tenant: str
    item: T


def _tenant_of(message: Message) -> str:
    if message.envelope.tenant is None:
        raise Poison("tenant", "ce_tenantid is missing", rule="ce_tenantid: present")
    return message.envelope.tenant


class Handlers:
    """`wake` is called when there is work for the timers (a review)."""

    def __init__(self, tenants: Tenants, wake: Callable[[], None]) -> None:
        self._tenants, self._wake = tenants, wake

    def table(self) -> Mapping[type[Payload], Handler]:
        facts: list[type[Payload]] = [hr_v1.PersonHired, hr_v1.PersonChanged, hr_v1.PersonLeft]
        answers: list[type[Payload]] = [seats_v1.SeatsAssigned, seats_v1.SeatsQueued, seats_v1.SeatsRefused]
        consequences: list[type[Payload]] = [
            seats_v1.SeatFlagged,
            seats_v1.SeatFlagCleared,
            seats_v1.SeatGranted,
            seats_v1.SeatRevoked,
            seats_v1.SeatReleased,
            seats_v1.HoldExpired,
            seats_v1.HoldCancelled,
        ]
        return {
            **dict.fromkeys(facts, self.on_fact),
            **dict.fromkeys(answers, self.on_need_answered),
            **dict.fromkeys(consequences, self.on_seat_changed),
            seats_v1.SeatsMoved: self.on_seats_moved,
            seats_v1.TenantOpened: self.on_tenant_opened,
            seats_v1.PoolOpened: self.on_pool_opened,
            seats_v1.ClockSettled: self.on_clock_settled,
            seats_v1.CommandIgnored: self.on_command_ignored,
            seats_v1.CommandRejected: self.on_command_not_done,
            seats_v1.CommandFailed: self.on_command_not_done,
        }

    async def _load(self, message: Message, uow: UnitOfWork) -> Tenant:
        tenant = await self._tenants.load(_tenant_of(message), uow)
        if tenant is None:
            raise Poison("unknown-tenant", f"there is no tenant {message.envelope.tenant!r}", rule="ce_tenantid: a known tenant")
        return tenant

    # ---------------------------------------------------------------------------------------------------- upstream facts

    async def on_fact(self, uow: UnitOfWork, message: Message) -> None:
        payload, envelope = message.payload, message.envelope
        assert isinstance(payload, hr_v1.HrFact)
        permission = await self._tenants.permission(_tenant_of(message), uow, envelope.source)
        if message.topic != (right := hr_sources.topic_of(permission.topic)):
            detail = f"{envelope.source!r} writes to {right.name}, and not to {message.topic.name}"
            raise Poison("wrong_topic", detail, rule="ce_source: bound to this topic")
        if not permission.allowed:
            detail = f"{envelope.source!r} is not on the allow-list for tenant {envelope.tenant!r}"
            raise Poison("source", detail, rule="ce_source: on the tenant's allow-list")
        if problem := domain.problem_of(payload):
            raise Poison("rule", problem, rule=problem.partition(" (got ")[0])
        await self._load(message, uow)
        fact = domain.fact_of(payload, envelope.id)
        cause = Cause(rules.source_actor(envelope.source), fact=fact.type)
        uow.gather(self._take_facts, _Of(_tenant_of(message), Said(envelope.source, payload.external_id, fact, cause, envelope)))

    async def _take_facts(self, uow: UnitOfWork, gathered: Sequence[_Of[Said]]) -> None:
        """All of one tenant: they are gathered in its scope."""
        tenant = await self._tenants.load(gathered[0].tenant, uow)
        assert tenant is not None, "loaded for each message"
        await people.take_facts(tenant, uow, [each.item for each in gathered])

    # ------------------------------------------------------------------------------------------------ decisions of seats

    async def on_need_answered(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.NeedAnswered)
        self._gather(uow, message, event, event.user, domain.decided(event), event.revision, event.need.modules)

    async def on_seat_changed(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.SeatEvent)
        self._gather(uow, message, event, event.user, domain.decided(event), 0, None)

    async def on_seats_moved(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.SeatsMoved)
        self._gather(uow, message, event, event.from_user, (), event.from_revision, ())
        self._gather(uow, message, event, event.user, domain.decided(event), event.revision, event.need.modules)

    def _gather(
        self,
        uow: UnitOfWork,
        message: Message,
        event: seats_v1.PersonEvent,
        user: str,
        decided: Sequence[Decided],
        revision: int,
        need: tuple[str, ...] | None,
    ) -> None:
        place = DecisionId.parse(message.envelope.id)
        decision = Decision(user, place, decided, event.at, event.reason, message.envelope, revision, need)
        uow.gather(self._take_decisions, _Of(_tenant_of(message), decision))

    async def _take_decisions(self, uow: UnitOfWork, gathered: Sequence[_Of[Decision]]) -> None:
        """All of one tenant: they are gathered in its scope."""
        tenant = await self._tenants.peek(gathered[0].tenant, uow)
        if tenant is None:
            raise Poison("unknown-tenant", f"there is no tenant {gathered[0].tenant!r}", rule="ce_tenantid: a known tenant")
        await people.take_decisions(tenant, uow, [each.item for each in gathered])

    async def on_tenant_opened(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.TenantOpened)
        await tenants_store.opened(_tenant_of(message), uow.connection)

    async def on_pool_opened(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.PoolOpened)
        await self._load(message, uow)  # of a tenant that is not here (this database was set back, say) there is nobody to review
        cause = reviews.cause_of(people.SEATS_ACTOR, message.envelope)
        await reviews.add(_tenant_of(message), uow.connection, ReviewKind.POOL_OPENED, cause, event.module)
        self._wake()

    async def on_clock_settled(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.ClockSettled)
        await tenants_store.set_time(_tenant_of(message), uow.connection, event.at)

    async def on_command_ignored(self, uow: UnitOfWork, message: Message) -> None:
        """A stale revision: seats has seen a higher one (this database was set back, say), so the need is said anew, above it."""
        event = message.payload
        assert isinstance(event, seats_v1.CommandIgnored)
        if event.reason != seats_v1.Reason.STALE or event.user is None or event.last_revision is None:
            return
        tenant = await self._load(message, uow)
        before = await people_store.lock(tenant.tenant, uow.connection, event.user, tenant.today)
        if before is None or before.record is None or before.revision > event.last_revision:
            return  # a later command is under way already
        cause = Cause(people.SEATS_ACTOR, seats_v1.Reason.CHANGED.value)
        after = rules.stand(before, tenant)
        revision = rules.revise(before, after, at=tenant.now, cause=cause, anew=True, above=event.last_revision)
        await people.save(tenant, uow, revision, message.envelope)

    async def on_command_not_done(self, uow: UnitOfWork, message: Message) -> None:
        """The person stays pending, which is counted and alerted after a minute; the log and a note with the person say why."""
        event = message.payload
        assert isinstance(event, seats_v1.CommandRejected | seats_v1.CommandFailed)
        COMMANDS_NOT_DONE.inc()
        log.error("command_not_done", command=event.command, reason=event.reason, position=message.envelope.id)
        tenant = await self._tenants.peek(message.envelope.tenant, uow) if message.envelope.tenant is not None else None
        if tenant is not None:
            user = event.user if isinstance(event, seats_v1.CommandRejected) else None
            note = domain.not_done(event, DecisionId.parse(message.envelope.id))
            await people.take_not_done(tenant, uow, event.command, user, note)
