"""The group of recipients and notifications. It keeps a projection: a message that cannot be processed becomes a dead letter alone."""

from collections.abc import Mapping
from datetime import datetime

from services.notifier.domain.notifications import notifications_of
from services.notifier.email import sign_in_emails
from services.notifier.store import catalogue, notifications, recipients
from services.notifier.use_cases import rejected_commands
from services.notifier.use_cases.erase_person import erase_person
from services.notifier.use_cases.rejected_commands import Rejection
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.messaging import Handler, Message
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Payload
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS, Topic

GROUP = "notifier"


async def on_tenant(uow: UnitOfWork, message: Message[users_v1.TenantState]) -> None:
    await recipients.save_tenant(uow.connection, message.tenant, message.payload, message.offset)


async def on_person(uow: UnitOfWork, message: Message[users_v1.PersonState]) -> None:
    uow.defer(recipients.SAVE_PERSON, recipients.person_row(message.tenant, message.payload))


async def on_clock(uow: UnitOfWork, message: Message[seats_v1.TenantOpened | seats_v1.ClockSettled]) -> None:
    """Save the tenant's time: on a test clock it is the time of the last answer of seats."""
    payload = message.payload
    clock = payload.clock if isinstance(payload, seats_v1.TenantOpened) else seats_v1.Clock.TEST
    await recipients.save_clock(uow.connection, message.tenant, clock, payload.at)


async def on_module(uow: UnitOfWork, message: Message[invoicing_v1.ModuleDefined]) -> None:
    await catalogue.save_module(uow.connection, message.payload)


async def on_quote(uow: UnitOfWork, message: Message[invoicing_v1.QuoteIssued]) -> None:
    await catalogue.save_quote(uow.connection, message.tenant, message.payload)


async def on_plan(uow: UnitOfWork, message: Message[invoicing_v1.PlanDefined]) -> None:
    await catalogue.save_plan(uow.connection, message.payload)


async def on_subscription(uow: UnitOfWork, message: Message[invoicing_v1.SubscriptionStarted]) -> None:
    await catalogue.save_subscription(uow.connection, message.tenant, message.payload)


async def on_terms_applied(uow: UnitOfWork, message: Message[invoicing_v1.TermsApplied]) -> None:
    """Save the price list of a renewal: other terms wait for one."""
    await catalogue.set_price_list(uow.connection, message.tenant, message.payload.plan_version)


async def on_limit(uow: UnitOfWork, message: Message[invoicing_v1.ExpansionLimited]) -> None:
    await catalogue.save_limit(uow.connection, message.tenant, message.payload.module, message.payload.limited_by)


async def on_pool_opened(uow: UnitOfWork, message: Message[seats_v1.PoolOpened]) -> None:
    await catalogue.open_pool(uow.connection, message.tenant, message.payload)


async def on_rejection(uow: UnitOfWork, message: Message[Rejection]) -> None:
    rejected_commands.record(uow, message.envelope, message.payload)


def on_sign_in_link(clock: Clock) -> Handler:
    """Queue the e-mail at once, beside the digests: the person waits for it. A link that has expired is not sent."""

    async def handle(uow: UnitOfWork, message: Message[users_v1.SignInLinkRequested]) -> None:
        now = clock.now()
        if message.payload.expires_at > now:
            await sign_in_emails.queue_link(uow.connection, message.tenant, message.payload, message.envelope.id, now)

    return handle


def on_operator_link(clock: Clock) -> Handler:
    """Queue the e-mail to an operator of the vendor at once."""

    async def handle(uow: UnitOfWork, message: Message[users_v1.OperatorLinkRequested]) -> None:
        now = clock.now()
        if message.payload.expires_at > now:
            await sign_in_emails.queue_operators_link(uow.connection, message.payload, message.envelope.id, now)

    return handle


def on_emergency_link(clock: Clock, first_start: datetime) -> Handler:
    """Queue an e-mail to each owner at once. A rebuilt notifier sends nothing old."""

    async def handle(uow: UnitOfWork, message: Message[users_v1.EmergencyLinkUsed]) -> None:
        if message.timestamp_ms >= round(first_start.timestamp() * 1000):
            await sign_in_emails.queue_emergency(uow.connection, message.tenant, message.payload, message.envelope.id, clock.now())

    return handle


def on_unconfirmed(clock: Clock, first_start: datetime) -> Handler:
    """Queue an e-mail to the address before at once. A rebuilt notifier sends nothing old."""

    async def handle(uow: UnitOfWork, message: Message[users_v1.SignInUnconfirmed]) -> None:
        if message.timestamp_ms >= round(first_start.timestamp() * 1000):
            await sign_in_emails.queue_unconfirmed(uow.connection, message.tenant, message.payload, message.envelope.id, clock.now())

    return handle


HANDLERS: Mapping[Topic, Mapping[type[Payload], Handler]] = {
    USERS_EVENTS: {
        users_v1.TenantCreated: on_tenant,
        users_v1.TenantChanged: on_tenant,
        users_v1.TenantRepublished: on_tenant,
        users_v1.PersonAdded: on_person,
        users_v1.PersonChanged: on_person,
        users_v1.PersonLeft: on_person,
        users_v1.PersonRepublished: on_person,
        users_v1.PersonErased: erase_person,
    },
    SEATS_EVENTS: {
        seats_v1.TenantOpened: on_clock,
        seats_v1.ClockSettled: on_clock,
        seats_v1.CommandRejected: on_rejection,
        seats_v1.CommandFailed: on_rejection,
        seats_v1.SettleFailed: on_rejection,
        seats_v1.PoolOpened: on_pool_opened,
    },
    INVOICING_EVENTS: {
        invoicing_v1.ModuleDefined: on_module,
        invoicing_v1.QuoteIssued: on_quote,
        invoicing_v1.PlanDefined: on_plan,
        invoicing_v1.SubscriptionStarted: on_subscription,
        invoicing_v1.TermsApplied: on_terms_applied,
        invoicing_v1.ExpansionLimited: on_limit,
    },
}
# The types that `notifications_of` makes notifications of.
NOTIFIED: Mapping[Topic, tuple[type[Payload], ...]] = {
    USERS_EVENTS: (
        users_v1.ChangesStopped,
        users_v1.ConflictFound,
        users_v1.PossibleDuplicates,
        users_v1.LastOwnerLost,
        users_v1.ScimTokenEnding,
        users_v1.PersonInvited,
        users_v1.InvitationExpired,
        users_v1.LicencesFree,
        users_v1.GraceEnding,
        users_v1.HandOverDue,
    ),
    SEATS_EVENTS: (
        seats_v1.SeatsAssigned,
        seats_v1.SeatsQueued,
        seats_v1.SeatsRefused,
        seats_v1.SeatsMoved,
        seats_v1.SeatFlagged,
        seats_v1.SeatRevoked,
        seats_v1.SeatReleased,
        seats_v1.SeatFlagCleared,
        seats_v1.HoldCancelled,
        seats_v1.SeatGranted,
        seats_v1.PoolNearLimit,
        seats_v1.PoolAtLimit,
        seats_v1.PoolExpanded,
        seats_v1.PeriodStarted,
        seats_v1.LicencesReduced,
        seats_v1.ReductionKept,
        seats_v1.ReductionScheduled,
        seats_v1.PoolReduced,
        seats_v1.PoolCloseScheduled,
        seats_v1.PoolRestored,
        seats_v1.PoolClosed,
        seats_v1.ReductionRefused,
    ),
    INVOICING_EVENTS: (
        invoicing_v1.OrderCompleted,
        invoicing_v1.OrderRefused,
        invoicing_v1.ReductionOrdered,
        invoicing_v1.SecondApprovalNeeded,
        invoicing_v1.QuoteExpired,
        invoicing_v1.QuoteWithdrawn,
        invoicing_v1.PurchaseSettingsChanged,
        invoicing_v1.PurchaseRequestChanged,
        invoicing_v1.BillingDetailsChanged,
        invoicing_v1.PoliciesChanged,
        invoicing_v1.ContractChanged,
        invoicing_v1.PlanChangeScheduled,
        invoicing_v1.PlanChangeWithdrawn,
        invoicing_v1.PlanChangeDropped,
        invoicing_v1.TrialEndingSoon,
        invoicing_v1.DiscountGranted,
        invoicing_v1.DiscountWithdrawn,
        invoicing_v1.InvoiceIssued,
        invoicing_v1.RenewalForecast,
        invoicing_v1.PriceChangeAnnounced,
        invoicing_v1.PriceChangeWithdrawn,
        invoicing_v1.PaymentReminded,
        invoicing_v1.OverdueDecisionDue,
        invoicing_v1.PurchasesBlocked,
        invoicing_v1.PurchasesUnblocked,
        invoicing_v1.SubscriptionEnding,
        invoicing_v1.SubscriptionEndingSoon,
        invoicing_v1.SubscriptionKept,
        invoicing_v1.SubscriptionEnded,
    ),
}
# E-mails that are not part of a digest.
AT_ONCE: Mapping[Topic, tuple[type[Payload], ...]] = {
    USERS_EVENTS: (
        users_v1.SignInLinkRequested,
        users_v1.OperatorLinkRequested,
        users_v1.EmergencyLinkUsed,
        users_v1.SignInUnconfirmed,
    )
}
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {
    topic: (*HANDLERS[topic], *NOTIFIED[topic], *AT_ONCE.get(topic, ())) for topic in HANDLERS
}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {
    USERS_EVENTS: (
        users_v1.ProfileDefined,
        users_v1.DepartmentMapped,
        users_v1.IdentityProviderChanged,
        users_v1.SignInConfirmed,
        users_v1.RoleDefined,
        users_v1.RoleDeleted,
        users_v1.TenantOpenedByOperator,
        users_v1.ApiClientChanged,
        users_v1.ApiClientRevoked,
        users_v1.ScimConnectionChanged,
        users_v1.ScimConnectionRemoved,
        users_v1.ScimTokenChanged,
        users_v1.ScimGroupMapped,
        users_v1.PersonLinked,
        users_v1.PersonSeparated,
        users_v1.ClockAdvancing,
        users_v1.ClockReady,
    ),
    SEATS_EVENTS: (
        seats_v1.PolicyChanged,
        seats_v1.ReplacementRefused,
        seats_v1.LicencesAdded,  # the administrators are notified of `order_completed`, which has the price
        seats_v1.OrderRefused,  # and of invoicing's `order_refused`
        seats_v1.PeriodScheduled,
        seats_v1.CommandIgnored,
        seats_v1.SeatsReleased,
        seats_v1.HoldExpired,
        seats_v1.WarningArmed,
    ),
    INVOICING_EVENTS: (
        invoicing_v1.SubscriptionActivated,
        invoicing_v1.QuoteApproved,
        invoicing_v1.DayCharged,
        invoicing_v1.ModuleAdded,  # they are notified of `order_completed`
        invoicing_v1.ChargeBooked,
        invoicing_v1.OverdueActionChanged,
        invoicing_v1.PaymentRecorded,
        invoicing_v1.PaymentTakenBack,
        invoicing_v1.CreditSetOff,
        invoicing_v1.CreditKept,
    ),
}


def handlers(clock: Clock, first_start: datetime) -> dict[type[Payload], Handler]:
    """Records whose real time is before `first_start`, the first start of this database, make no notifications."""
    first_start_ms = round(first_start.timestamp() * 1000)

    async def on_notified(uow: UnitOfWork, message: Message) -> None:
        tenant = message.envelope.tenant
        if tenant is None or message.timestamp_ms < first_start_ms:
            return
        for each in notifications_of(message.payload, message.envelope.id):
            uow.defer(notifications.SAVE_NOTIFICATION, notifications.notification_row(tenant, each, clock.now()))

    async def on_contract_changed(uow: UnitOfWork, message: Message[invoicing_v1.ContractChanged]) -> None:
        event = message.payload
        if event.plan is not None and event.plan_version is not None and event.term is not None:
            await catalogue.change_subscription(uow.connection, message.tenant, event.plan, event.plan_version, event.term)
        await on_notified(uow, message)

    async def on_pool_closed(uow: UnitOfWork, message: Message[seats_v1.PoolClosed]) -> None:
        await catalogue.close_pool(uow.connection, message.tenant, message.payload.module)
        await on_notified(uow, message)

    found = {model: handler for of_topic in HANDLERS.values() for model, handler in of_topic.items()}
    found[users_v1.SignInLinkRequested] = on_sign_in_link(clock)
    found[users_v1.OperatorLinkRequested] = on_operator_link(clock)
    found[users_v1.EmergencyLinkUsed] = on_emergency_link(clock, first_start)
    found[users_v1.SignInUnconfirmed] = on_unconfirmed(clock, first_start)
    found |= {model: on_notified for models in NOTIFIED.values() for model in models}
    return found | {invoicing_v1.ContractChanged: on_contract_changed, seats_v1.PoolClosed: on_pool_closed}
