"""The catalogue and the subscriptions of invoicing: which modules a module requires, what a plan allows, and when a tenant's modules can be
used."""

from collections.abc import Callable, Mapping
from typing import Final

from services.users.consumers.message_tenant import peek_tenant
from services.users.store import catalogue, pools, reevaluations
from services.users.store.catalogue import ModuleRow
from services.users.use_cases import subscription
from services.users.use_cases.locked_tenants import Tenants
from shared.database import UnitOfWork
from shared.messaging import Handler, Message
from shared.schemas import invoicing_v1
from shared.schemas.base import Actor, Payload
from shared.schemas.position import DecisionId
from shared.schemas.topics import INVOICING_EVENTS, Topic

ACTOR: Final = Actor(kind="system", id="invoicing")
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {
    INVOICING_EVENTS: (
        invoicing_v1.ModuleDefined,
        invoicing_v1.PlanDefined,
        invoicing_v1.SubscriptionStarted,
        invoicing_v1.SubscriptionActivated,
        invoicing_v1.ContractChanged,
        invoicing_v1.TermsApplied,
        invoicing_v1.ExpansionLimited,
    )
}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {
    INVOICING_EVENTS: (
        invoicing_v1.BillingDetailsChanged,
        invoicing_v1.PriceChangeAnnounced,
        invoicing_v1.PriceChangeWithdrawn,
        # Seats closes the pools of a subscription that ends, and users reads that.
        invoicing_v1.SubscriptionEnding,
        invoicing_v1.SubscriptionEndingSoon,
        invoicing_v1.RenewalForecast,
        invoicing_v1.SubscriptionKept,
        invoicing_v1.SubscriptionEnded,
        invoicing_v1.QuoteIssued,
        invoicing_v1.QuoteApproved,
        invoicing_v1.QuoteWithdrawn,
        invoicing_v1.SecondApprovalNeeded,
        invoicing_v1.QuoteExpired,
        invoicing_v1.PurchaseSettingsChanged,
        invoicing_v1.PurchaseRequestChanged,
        invoicing_v1.OrderCompleted,
        invoicing_v1.OrderRefused,
        invoicing_v1.DayCharged,
        invoicing_v1.ReductionOrdered,
        invoicing_v1.ModuleAdded,  # users reads of seats that the pool is open
        invoicing_v1.PoliciesChanged,
        invoicing_v1.PlanChangeScheduled,
        invoicing_v1.PlanChangeWithdrawn,
        invoicing_v1.PlanChangeDropped,
        invoicing_v1.TrialEndingSoon,
        invoicing_v1.DiscountGranted,
        invoicing_v1.DiscountWithdrawn,
        invoicing_v1.ChargeBooked,
        invoicing_v1.InvoiceIssued,
        invoicing_v1.PaymentRecorded,
        invoicing_v1.PaymentTakenBack,
        invoicing_v1.CreditSetOff,
        invoicing_v1.CreditKept,
        invoicing_v1.PaymentReminded,
        invoicing_v1.OverdueActionChanged,
        invoicing_v1.OverdueDecisionDue,
        invoicing_v1.PurchasesBlocked,
        invoicing_v1.PurchasesUnblocked,
    )
}


class InvoicingEvents:
    """`wake` is called when there is work for a background job (a bulk re-evaluation)."""

    def __init__(self, tenants: Tenants, wake: Callable[[], None]) -> None:
        self._tenants, self._wake = tenants, wake

    def handlers(self) -> dict[type[Payload], Handler]:
        return {
            invoicing_v1.ModuleDefined: self.on_module_defined,
            invoicing_v1.PlanDefined: self.on_plan_defined,
            invoicing_v1.SubscriptionStarted: self.on_started,
            invoicing_v1.SubscriptionActivated: self.on_activated,
            invoicing_v1.ContractChanged: self.on_changed,
            invoicing_v1.TermsApplied: self.on_terms_applied,
            invoicing_v1.ExpansionLimited: self.on_limited,
        }

    async def on_module_defined(self, uow: UnitOfWork, message: Message[invoicing_v1.ModuleDefined]) -> None:
        cause = reevaluations.cause_of(ACTOR, message.envelope)
        event = message.payload
        await subscription.module_defined(uow, ModuleRow(event.module, event.name, tuple(sorted(event.requires))), cause)
        self._wake()

    async def on_plan_defined(self, uow: UnitOfWork, message: Message[invoicing_v1.PlanDefined]) -> None:
        await catalogue.save_plan(uow.connection, message.payload)

    async def on_started(self, uow: UnitOfWork, message: Message[invoicing_v1.SubscriptionStarted]) -> None:
        event = message.payload
        await pools.save_terms(uow.connection, message.tenant, pools.TermsRow(event.plan, event.plan_version, event.term))

    async def on_changed(self, uow: UnitOfWork, message: Message[invoicing_v1.ContractChanged]) -> None:
        """Save another plan or term; a change of policies has neither."""
        event = message.payload
        if event.plan is not None and event.plan_version is not None and event.term is not None:
            await pools.save_terms(uow.connection, message.tenant, pools.TermsRow(event.plan, event.plan_version, event.term))

    async def on_terms_applied(self, uow: UnitOfWork, message: Message[invoicing_v1.TermsApplied]) -> None:
        """Save the price list of a renewal: other terms wait for one."""
        await pools.set_price_list(uow.connection, message.tenant, message.payload.plan_version)

    async def on_limited(self, uow: UnitOfWork, message: Message[invoicing_v1.ExpansionLimited]) -> None:
        """Save what limits the expansions of a module, so that a refusal can name it."""
        await pools.save_limit(uow.connection, message.tenant, message.payload.module, message.payload.limited_by)

    async def on_activated(self, uow: UnitOfWork, message: Message[invoicing_v1.SubscriptionActivated]) -> None:
        tenant = await peek_tenant(self._tenants, uow, message)
        cause = reevaluations.cause_of(ACTOR, message.envelope)
        await subscription.activated(tenant, uow, DecisionId.parse(message.payload.decision), cause)
        self._wake()
