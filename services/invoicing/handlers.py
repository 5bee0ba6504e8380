"""What invoicing does with what users and seats say. Each handler runs in the consumer's transaction and the tenant's scope."""

from collections.abc import Mapping
from datetime import datetime

import orjson
import structlog
from prometheus_client import Counter

from services.invoicing import catalogue, store
from services.invoicing.accounting import Accountant, say, say_fact
from services.invoicing.domain.calendar import Period, Term, local_day, period_at
from services.invoicing.domain.history import decision_order
from services.invoicing.domain.invoices import SYSTEM
from services.invoicing.ordering import open_pools, schedule_period, send_again
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging import Handler, Message
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Change, Payload
from shared.schemas.invoicing_v1 import OrderCompleted, SubscriptionStarted, TermsApplied
from shared.schemas.topics import SEATS_EVENTS, USERS_EVENTS

log = structlog.get_logger(__name__)

GROUP = "invoicing"
TOPICS = (SEATS_EVENTS, USERS_EVENTS)
COMMANDS_NOT_DONE = Counter("seatpool_invoicing_commands_not_done", "Commands that seats rejected or failed at")
# With those that have a handler of their own: every event that tells of a change of a pool's licences or next period.
PROJECTED: tuple[type[seats_v1.SeatsEvent], ...] = (
    seats_v1.PoolClosed,
    seats_v1.PoolCloseScheduled,
    seats_v1.LicencesReduced,
    seats_v1.ReductionScheduled,
    seats_v1.PoolReduced,
)

# Decisions that change licences or money.
LEDGER: tuple[type[seats_v1.SeatsEvent], ...] = (
    seats_v1.PoolOpened,
    seats_v1.LicencesAdded,
    seats_v1.PoolExpanded,
    seats_v1.PeriodStarted,
    *PROJECTED,
)


def tenant_of(message: Message) -> str:
    if message.envelope.tenant is None:
        raise Poison("envelope", "ce_tenantid is missing", rule="ce_tenantid: present")
    return message.envelope.tenant


class Handlers:
    def __init__(self, accountant: Accountant) -> None:
        self._accountant = accountant

    def all(self) -> Mapping[type[Payload], Handler]:
        return {
            users_v1.TenantCreated: self.on_tenant,
            users_v1.TenantChanged: self.on_tenant,
            users_v1.TenantRepublished: self.on_tenant,
            users_v1.ClockAdvancing: self.on_clock_advancing,
            users_v1.ClockReady: self.on_clock_ready,
            seats_v1.TenantOpened: self.on_tenant_opened,
            seats_v1.ClockSettled: self.on_clock_settled,
            seats_v1.PoolOpened: self.on_pool_opened,
            seats_v1.LicencesAdded: self.on_licences_added,
            seats_v1.OrderRefused: self.on_order_refused,
            seats_v1.PoolExpanded: self.on_pool_expanded,
            seats_v1.PeriodStarted: self.on_period_started,
            seats_v1.PeriodScheduled: self.on_answered,
            seats_v1.CommandIgnored: self.on_command_ignored,
            seats_v1.CommandRejected: self.on_command_rejected,
            seats_v1.CommandFailed: self.on_command_failed,
            **dict.fromkeys(PROJECTED, self.on_pools),
        }

    # ------------------------------------------------------------------------------------------------------------ users

    async def on_tenant(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, users_v1.TenantState)
        await store.put_tenant(
            uow.connection,
            tenant_of(message),
            name=event.name,
            time_zone=event.time_zone,
            locale=event.locale,
            clock=event.clock,
            support_contact=event.support_contact,
            at=event.at,
        )

    async def on_clock_advancing(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, users_v1.ClockAdvancing)
        await store.note_advancing(uow.connection, tenant_of(message), event.to)

    async def on_clock_ready(self, uow: UnitOfWork, message: Message) -> None:
        await store.note_advancing(uow.connection, tenant_of(message), None)

    # ------------------------------------------------------------------------------------------------- tenants and pools

    async def on_tenant_opened(self, uow: UnitOfWork, message: Message) -> None:
        event, tenant = message.payload, tenant_of(message)
        assert isinstance(event, seats_v1.TenantOpened)
        await store.note_opened(uow.connection, tenant, event.at, test=event.clock == seats_v1.Clock.TEST)
        contract = await store.contract(uow.connection, tenant)
        if contract is not None:  # asked for before seats knew the tenant
            await open_pools(uow, tenant, event.at, cause=message.envelope)

    async def on_clock_settled(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.ClockSettled)
        await store.note_time(uow.connection, tenant_of(message), event.at)

    async def on_pools(self, uow: UnitOfWork, message: Message) -> None:
        await self._project(uow, message)

    async def on_pool_opened(self, uow: UnitOfWork, message: Message) -> None:
        """The last one makes the subscription active, and its first period is invoiced unless it counts as billed."""
        event, tenant = message.payload, tenant_of(message)
        assert isinstance(event, seats_v1.PoolOpened)
        await self._project(uow, message)
        await self._answered(uow, message)
        contract = await store.contract(uow.connection, tenant)
        if contract is None:
            return
        await store.add_fact(uow.connection, tenant, message.envelope.id, event)
        if await store.set_opened(uow.connection, tenant, event.module):
            await store.set_subscription(uow.connection, tenant, "active")
            await self._accountant.settle(uow, tenant, message.envelope)
            period = Period(contract.period_start, contract.period_end)
            await schedule_period(uow, tenant, contract, period, event.at, cause=message.envelope)

    async def _project(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.SeatsEvent)
        await store.note_pools(uow.connection, tenant_of(message), event.pools, decision_order(message.envelope.id))

    async def _answered(self, uow: UnitOfWork, message: Message) -> tuple[str, str] | None:
        """(kind, reference) of the command of ours that this answers for the first time."""
        event = message.payload
        assert isinstance(event, seats_v1.SeatsEvent)
        if message.envelope.tenant is None:
            return None  # seats found no tenant in what it rejected, and each of our commands names one
        found = await store.answer_command(uow.connection, tenant_of(message), event.command, message.envelope.type)
        return (found["kind"], found["reference"]) if found else None

    # ------------------------------------------------------------------------------------------------------------ orders

    async def on_licences_added(self, uow: UnitOfWork, message: Message) -> None:
        """Books the charge of an approved order; charged `now`, its invoice is issued in this transaction."""
        event, tenant = message.payload, tenant_of(message)
        assert isinstance(event, seats_v1.LicencesAdded)
        await self._project(uow, message)
        await self._answered(uow, message)
        decided = await store.decide_order(uow.connection, tenant, event.order, "completed", "", "{}", event.at)
        if decided is None:
            known = await store.order(uow.connection, tenant, event.order)
            if known is None or known["status"] != "completed":
                raise Poison(
                    "order", f"licences were added for order {event.order}, which invoicing {'refused' if known else 'has not sent'}"
                )
            return
        quote_id, approver = decided
        found = await store.quote(uow.connection, tenant, quote_id)
        assert found is not None
        quote, before = found[0], {pool.module: pool.licences for pool in found[1].pools}
        completed = OrderCompleted(
            at=event.at,
            actor=approver,
            reason="licences_bought",
            changes=tuple(
                Change(field=f"{line.module}.licences", old=before[line.module], new=before[line.module] + line.quantity)
                for line in quote.lines
            ),
            order=event.order,
            quote=quote.quote,
            lines=quote.lines,
        )
        await store.add_fact(uow.connection, tenant, message.envelope.id, event)
        say(uow, tenant, completed, cause=message.envelope, subject=event.order)
        await self._accountant.settle(uow, tenant, message.envelope)

    async def on_order_refused(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.OrderRefused)
        await self._project(uow, message)
        await self._answered(uow, message)
        detail = {"expected": event.expected.model_dump(mode="json"), "actual": event.actual.model_dump(mode="json")}
        await self._refuse(uow, message, event.order, event.reason, event.at, detail)

    async def _refuse(self, uow: UnitOfWork, message: Message, order: str, reason: str, at: datetime, detail: Mapping[str, object]) -> None:
        tenant = tenant_of(message)
        decided = await store.decide_order(uow.connection, tenant, order, "refused", reason, orjson.dumps(detail).decode(), at)
        if decided is not None:
            quote, approver = decided
            refused = invoicing_v1.OrderRefused(at=at, actor=approver, reason=reason, order=order, quote=quote)
            say(uow, tenant, refused, cause=message.envelope, subject=order)

    # ----------------------------------------------------------------------------------------------- periods, expansions

    async def on_pool_expanded(self, uow: UnitOfWork, message: Message) -> None:
        await self._project(uow, message)
        if await self._apply_terms(uow, message) is not None:
            await self._accountant.settle(uow, tenant_of(message), message.envelope)

    async def on_period_started(self, uow: UnitOfWork, message: Message) -> None:
        """T11 T16: the renewal is invoiced by the licences that the decision names; the next period is scheduled."""
        event, tenant = message.payload, tenant_of(message)
        assert isinstance(event, seats_v1.PeriodStarted)
        await self._project(uow, message)
        await store.note_period(uow.connection, tenant, event.period)
        contract = await self._apply_terms(uow, message)
        if contract is None:
            return
        period = period_at(contract.period_start, Term(contract.term), local_day(event.starts_at, contract.time_zone))
        await store.set_period(uow.connection, tenant, period.start, period.end)
        await self._accountant.settle(uow, tenant, message.envelope)
        await schedule_period(uow, tenant, contract, period, event.at, cause=message.envelope)

    async def _apply_terms(self, uow: UnitOfWork, message: Message) -> SubscriptionStarted | None:
        """Nobody approved a price for this decision: says which price list and billing details are taken, and keeps both as facts."""
        event, tenant = message.payload, tenant_of(message)
        assert isinstance(event, seats_v1.SeatsEvent)
        contract = await store.contract(uow.connection, tenant)
        if contract is None:
            return None
        plan = await catalogue.plan(uow.connection, contract.plan)
        details = await store.details(uow.connection, tenant)
        assert plan is not None
        assert details is not None
        terms = TermsApplied(
            at=event.at,
            actor=SYSTEM,
            decision=message.envelope.id,
            subscription=contract.subscription,
            plan=plan.plan,
            plan_version=plan.version,
            billing_details=details["version"],
        )
        await say_fact(uow, tenant, terms, cause=message.envelope)
        await store.add_fact(uow.connection, tenant, message.envelope.id, event)
        return contract

    # ------------------------------------------------------------------------------------------- answers that are no yes

    async def on_answered(self, uow: UnitOfWork, message: Message) -> None:
        await self._project(uow, message)
        await self._answered(uow, message)

    async def on_command_ignored(self, uow: UnitOfWork, message: Message) -> None:
        """A number that seats has seen already: this database was restored from an older copy. The command goes out anew above it."""
        event = message.payload
        assert isinstance(event, seats_v1.CommandIgnored)
        if event.reason != seats_v1.Reason.STALE:
            return  # the same command id again: it has its answer
        answered = await self._answered(uow, message)
        if answered is not None:
            await send_again(uow, tenant_of(message), *answered, event.at, above=event.last_number or 0, cause=message.envelope)

    async def on_command_rejected(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.CommandRejected)
        await self._not_done(uow, message, event, {"field": event.field, "value": event.value, "expected": event.expected})

    async def on_command_failed(self, uow: UnitOfWork, message: Message) -> None:
        event = message.payload
        assert isinstance(event, seats_v1.CommandFailed)
        await self._not_done(uow, message, event, {"error_id": event.error_id})

    async def _not_done(self, uow: UnitOfWork, message: Message, event: seats_v1.SeatsEvent, detail: Mapping[str, object]) -> None:
        answered = await self._answered(uow, message)
        if answered is None:
            return  # somebody else's command
        kind, reference = answered
        COMMANDS_NOT_DONE.inc()
        log.error(
            "command-refused",
            kind=kind,
            reference=reference,
            reason=event.reason,
            field=detail.get("field"),
            error_id=detail.get("error_id"),
        )
        match kind:
            case "add_licences":
                await self._refuse(uow, message, reference, event.reason, event.at, detail)
            case "open_pool":
                await store.set_subscription(uow.connection, tenant_of(message), "failed", f"{reference}: {event.reason}")
            case _:
                pass  # counted and logged: no period begins before somebody has mended the cause and resumed the subscription
