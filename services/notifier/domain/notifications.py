"""Notifications: which event concerns whom.

An event makes notifications. The notifications of one recipient that are due together are a digest, which is sent as one e-mail
(`email/digests.py`). A person is notified of each thing that happens to a seat of their own. The administrators are notified of all of
it, in three streams, so that 20 flags of an import are one e-mail with a table, and an invoice does not get lost among them:

    person           flagged, reminded of the end of the grace, refused, revoked, withdrawn, no longer over the limit, granted (from the
                     queue, or after a revocation)
    administrators   seats: the same, and expanded, near and at the limit, a reduction that was limited by use
                     billing: purchases, reductions, refused orders, changes of the subscription (T19)
                     people: changes of a source that the guard stopped, invitations that expired or whose reservation was
                     cancelled, licences that are free while people are refused

    billed           invoices, credit notes and reminders: to the invoice e-mail address, with a copy to the administrators unless the
                     billing details say no. Changed billing details (A12): to the old and the new address, and to the administrators

    operator         what overdue invoices lead to: purchases that are refused, or that are to be decided about

    subscription     that the subscription ends, or goes on after all: to the contact address, the owners and the invoice e-mail address

    contact          the last owner can no longer sign in (also to the vendor's operators)

An invitation is an e-mail of its own to the person, with a link.

Where the notifications of one digest contradict each other, the last one counts (`still_valid`). Republished events describe a state
that is known already, so they make no notifications.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Payload, format_instant
from shared.schemas.seats_v1 import PoolState, Reason, SeatsEvent, SeatState


class Audience(StrEnum):
    PERSON = "person"
    ADMINISTRATORS = "administrators"
    BILLED = "billed"  # the invoice e-mail address, and the administrators who may buy
    OPERATOR = "operator"  # the vendor's operators
    SUBSCRIPTION = "subscription"  # the contact address, the owners, and the invoice e-mail address
    CONTACT = "contact"  # the contact address of the tenant, and the vendor's operators
    REQUEST_CONTACT = "request_contact"  # the person whom a request for licences names


class Stream(StrEnum):
    """Notifications of one stream are combined into one digest."""

    OWN = "own"  # a person's own seats
    SEATS = "seats"
    BILLING = "billing"
    REQUESTS = "requests"  # for licences, and their estimates
    INVOICES = "invoices"
    REMINDERS = "reminders"
    OVERDUE = "overdue"  # what overdue invoices lead to
    BILLING_DETAILS = "billing_details"
    SUBSCRIPTION = "subscription"  # its end
    PEOPLE = "people"
    INVITATION = "invitation"
    OWNERS = "owners"
    UNDELIVERED = "undelivered"  # for a person whose e-mail address did not become known in time


class Kind(StrEnum):
    FLAGGED = "flagged"
    GRACE_ENDING = "grace_ending"  # a reminder
    REFUSED = "refused"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"  # released with a revoked base module or a closed pool
    CLEARED = "cleared"  # no longer over the limit: the announced end date is void
    GRANTED = "granted"  # from the queue, or restored by a purchase
    EXPANDED = "expanded"
    NEAR_LIMIT = "near_limit"
    AT_LIMIT = "at_limit"
    REDUCTION_LIMITED = "reduction_limited"
    REDUCTION_KEPT = "reduction_kept"  # although the leaving that reduced the module was taken back
    PURCHASED = "purchased"
    ORDER_REFUSED = "order_refused"
    APPROVAL_NEEDED = "approval_needed"  # of a second approver
    QUOTE_EXPIRED = "quote_expired"  # while it waited for a second approver
    QUOTE_WITHDRAWN = "quote_withdrawn"  # as well
    PURCHASE_REQUEST = "purchase_request"  # a request for licences took a new state
    PURCHASE_SETTINGS = "purchase_settings"  # who approves purchases
    REDUCED = "reduced"
    RESTORED = "licences_restored"  # a leaving that reduced them was taken back
    RESTORED_NEXT = "next_number_restored"  # as well, of the next period
    CLOSED = "module_closed"  # and the subscription goes on
    RENEWED = "renewed"  # a period began with another number
    REDUCTION_ORDERED = "reduction_ordered"  # by whom, and what it saves
    REDUCTION_SCHEDULED = "reduction_scheduled"
    REDUCTION_REFUSED = "reduction_refused"
    RENEWAL_FORECAST = "renewal_forecast"
    PRICE_CHANGE = "price_change"  # another price list from a renewal on
    PRICE_CHANGE_WITHDRAWN = "price_change_withdrawn"  # it does not take place
    BILLING_DETAILS = "billing_details"
    CONTRACT_CHANGED = "contract_changed"  # policies, plan or term of the subscription
    PLAN_SCHEDULED = "plan_scheduled"  # for the next period
    PLAN_WITHDRAWN = "plan_withdrawn"
    PLAN_DROPPED = "plan_dropped"  # it did not fit any more when the period began
    DISCOUNT_GRANTED = "discount_granted"
    DISCOUNT_WITHDRAWN = "discount_withdrawn"
    INVOICE = "invoice"
    PAYMENT_REMINDER = "payment_reminder"  # of an overdue invoice
    PURCHASES_BLOCKED = "purchases_blocked"  # until overdue invoices are paid
    PURCHASES_UNBLOCKED = "purchases_unblocked"
    OVERDUE_DECISION = "overdue_decision"  # of the operator, after the last reminder
    ENDING = "subscription_ending"
    ENDING_SOON = "subscription_ending_soon"  # a reminder
    TRIAL_ENDING = "trial_ending_soon"  # a reminder
    KEPT = "subscription_kept"  # the ending was taken back
    ENDED = "subscription_ended"
    SCIM_ACCESS_ENDING = "scim_access_ending"
    LAST_OWNER_LOST = "last_owner_lost"
    CHANGES_STOPPED = "changes_stopped"  # by the guard of users
    LICENCES_FREE = "licences_free"  # while people are refused
    CONFLICT_FOUND = "conflict_found"
    POSSIBLE_DUPLICATES = "possible_duplicates"
    INVITED = "invited"
    INVITATION_EXPIRED = "invitation_expired"
    HOLD_CANCELLED = "hold_cancelled"  # a reduction took a licence that an invitation reserved
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Notification:
    """One event for one audience. `key` is derived from the event's id, so that an event that is read twice is sent once."""

    key: str
    audience: Audience
    stream: Stream
    kind: Kind
    at: datetime  # the tenant's time
    user: str | None = None
    module: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


_KINDS: Mapping[type[seats_v1.SeatEvent], Kind] = {
    seats_v1.SeatReleased: Kind.WITHDRAWN,
    seats_v1.SeatFlagCleared: Kind.CLEARED,
    seats_v1.SeatGranted: Kind.GRANTED,
}


def notifications_of(payload: Payload, event_id: str) -> list[Notification]:
    """Return all notifications of one event; most events have none."""
    match payload:
        case seats_v1.NeedAnswered() | seats_v1.SeatsMoved():
            return _answered(payload, event_id)
        case seats_v1.SeatFlagged():
            return _seat(payload, Kind.FLAGGED, _flag_key(payload.user, payload.module, payload.deadline, event_id), payload.deadline)
        case seats_v1.SeatRevoked():
            return _seat(payload, Kind.REVOKED, event_id, base=payload.base)
        case seats_v1.SeatReleased() | seats_v1.SeatFlagCleared() | seats_v1.SeatGranted():
            return _seat(payload, _KINDS[type(payload)], event_id)
        case seats_v1.PoolNearLimit() | seats_v1.PoolAtLimit() | seats_v1.PoolExpanded():
            return [_pool_notification(payload, event_id)]
        case seats_v1.ReductionKept():
            return [_for_administrators(payload, event_id, Stream.SEATS, Kind.REDUCTION_KEPT, payload.module, by=payload.by)]
        case seats_v1.HoldCancelled():
            key, audience = f"administrators|{event_id}", Audience.ADMINISTRATORS
            return [Notification(key, audience, Stream.PEOPLE, Kind.HOLD_CANCELLED, payload.at, payload.user, payload.module)]
        case seats_v1.LicencesReduced() | seats_v1.PoolReduced() | seats_v1.PoolCloseScheduled():
            return _reduced(payload, event_id)
        case seats_v1.PoolRestored() | seats_v1.PoolClosed() | seats_v1.PeriodStarted():
            return _number_changed(payload, event_id)
        case seats_v1.ReductionScheduled():
            return _reduction_scheduled(payload, event_id)
        case seats_v1.ReductionRefused():
            return [
                _for_administrators(
                    payload,
                    event_id,
                    Stream.BILLING,
                    Kind.REDUCTION_REFUSED,
                    payload.module,
                    must_free=payload.must_free,
                    reason=payload.reason,
                )
            ]
        case invoicing_v1.PurchaseRequestChanged():
            return _requested(payload, event_id)
        case invoicing_v1.InvoicingEvent():
            return _invoicing(payload, event_id)
        case users_v1.UsersEvent():
            return _users(payload, event_id)
        case _:
            return []


def _users(payload: users_v1.UsersEvent, event_id: str) -> list[Notification]:
    key = f"administrators|{event_id}"
    match payload:
        case users_v1.ChangesStopped():
            data = payload.model_dump(mode="json", include={"source", "would_end", "limit", "import_id", "ended"})
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.CHANGES_STOPPED, payload.at, data=data)]
        case users_v1.LicencesFree():
            data = payload.model_dump(mode="json", include={"available", "refused"})
            module = payload.module
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.LICENCES_FREE, payload.at, module=module, data=data)]
        case users_v1.ConflictFound():
            data = {"conflict": payload.conflict, "by": payload.by, "may_be": list(payload.people)}
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.CONFLICT_FOUND, payload.at, payload.user, data=data)]
        case users_v1.PossibleDuplicates():
            data = payload.model_dump(mode="json", include={"source", "people", "other_source", "other_people"})
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.POSSIBLE_DUPLICATES, payload.at, data=data)]
        case users_v1.GraceEnding():
            data = {"deadline": format_instant(payload.deadline)}
            return _both(event_id, Kind.GRACE_ENDING, payload.at, payload.user, payload.module, data)
        case users_v1.ScimTokenEnding():
            data = payload.model_dump(mode="json", include={"connection", "token", "expires_at"})
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.SCIM_ACCESS_ENDING, payload.at, data=data)]
        case users_v1.LastOwnerLost():
            return [Notification(key, Audience.CONTACT, Stream.OWNERS, Kind.LAST_OWNER_LOST, payload.at, payload.user)]
        case users_v1.HandOverDue():
            data = payload.model_dump(mode="json", include={"heir", "items"})
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.HAND_OVER, payload.at, payload.user, data=data)]
        case users_v1.PersonInvited():
            # The end identifies the invitation: it can be published several times.
            key = f"person|invited|{payload.user}|{format_instant(payload.expires_at)}"
            data = payload.model_dump(mode="json", include={"expires_at", "reserved"})
            return [Notification(key, Audience.PERSON, Stream.INVITATION, Kind.INVITED, payload.at, payload.user, data=data)]
        case users_v1.InvitationExpired():
            data = payload.model_dump(mode="json", include={"expires_at"})
            return [Notification(key, Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.INVITATION_EXPIRED, payload.at, payload.user, data=data)]
        case _:
            return []


_ENDINGS = frozenset({Kind.FLAGGED, Kind.GRACE_ENDING, Kind.REFUSED, Kind.REVOKED, Kind.WITHDRAWN})
_RECOVERED = frozenset({Kind.CLEARED, Kind.GRANTED})
_OF_NEXT_PERIOD = frozenset({Kind.REDUCTION_SCHEDULED, Kind.RESTORED_NEXT})


def still_valid(notifications: Sequence[Notification]) -> list[Notification]:
    """Return the notifications of one digest that are still valid; they are given in the order of their events.

    A seat can end and recover within one digest: only what happened last is sent. What happened several times is sent once. A flag that
    was set and cleared between two e-mails was never announced, so neither is its end.
    """
    by_seat: dict[tuple[str, str | None], list[Notification]] = {}
    for notification in notifications:
        if notification.user is not None and notification.kind in _ENDINGS | _RECOVERED:
            by_seat.setdefault((notification.user, notification.module), []).append(notification)
    outdated = {notification.key for notification in [each for each in notifications if each.kind is Kind.INVITED][:-1]}
    # Of a subscription's end, only what was said last holds.
    outdated |= {notification.key for notification in [each for each in notifications if each.stream is Stream.SUBSCRIPTION][:-1]}
    free = [notification for notification in notifications if notification.kind is Kind.LICENCES_FREE]
    last_free = {notification.module: notification.key for notification in free}
    outdated |= {notification.key for notification in free if notification.key != last_free[notification.module]}
    for of_seat in by_seat.values():
        # A reminder says nothing beside another notification of the same seat, which says the same or is later.
        if others := [notification for notification in of_seat if notification.kind is not Kind.GRACE_ENDING]:
            outdated |= {notification.key for notification in of_seat if notification.kind is Kind.GRACE_ENDING}
            of_seat = others
        last = of_seat[-1]
        opposite = _ENDINGS if last.kind in _RECOVERED else _RECOVERED
        valid_from = 1 + max((place for place, notification in enumerate(of_seat) if notification.kind in opposite), default=-1)
        if last.kind is Kind.CLEARED and of_seat[0].kind is Kind.FLAGGED:
            valid_from = len(of_seat)
        outdated |= {notification.key for notification in of_seat[:valid_from]}
        last_of = {notification.kind: notification.key for notification in of_seat}
        outdated |= {notification.key for notification in of_seat if notification.key != last_of[notification.kind]}
    refused = [notification for notification in notifications if notification.kind is Kind.REDUCTION_REFUSED]
    outdated |= {
        each.key
        for each in notifications
        if each.kind is Kind.REDUCTION_ORDERED and {item["module"] for item in each.data["items"]} & {other.module for other in refused}
    }
    # A later number of the next period takes the place of one that would concern nobody: many leavers of one digest are one sentence. So
    # does the number with which that period has begun.
    numbers = [notification for notification in notifications if notification.kind in (*_OF_NEXT_PERIOD, Kind.RENEWED)]
    last_number = {notification.module: notification.key for notification in numbers}
    scheduled = [each for each in numbers if each.kind in _OF_NEXT_PERIOD and not _concerns(each)]
    outdated |= {each.key for each in scheduled if each.key != last_number[each.module]}
    return [notification for notification in notifications if notification.key not in outdated]


def _concerns(notification: Notification) -> bool:
    """Tell whether the number of the next period would put somebody over the limit, or end a reservation."""
    return any(notification.data.get(name) for name in ("would_flag_count", "would_cancel_count"))


# Refused because of another module of the same answer; every other reason is the module's own.
_BECAUSE_OF_ANOTHER = frozenset({Reason.BASE_MODULE_REFUSED, Reason.OTHER_MODULE_REFUSED})
_FULL = frozenset({Reason.POOL_FULL, Reason.FLAG_CAP, Reason.EXPAND_CAP, Reason.GRACE_USED})


def is_refused_for_itself(notification: Notification) -> bool:
    return notification.data["reason"] not in _BECAUSE_OF_ANOTHER


def causes(notification: Notification) -> list[tuple[str, str]]:
    """Return the modules that a refusal comes from, with their reasons: the module itself, or the others that it was refused with."""
    if is_refused_for_itself(notification):
        return [(notification.module or "", str(notification.data["reason"]))]
    return [(cause["module"], cause["reason"]) for cause in notification.data.get("because_of", ())]


def is_moot(notification: Notification, open_pools: Collection[str]) -> bool:
    """Tell whether a refusal concerns nobody: it came from modules without a pool, and either the tenant has no pool at all (people are set
    up before the subscription starts), or those pools have opened since then and the decision is made again. A module that was closed with
    all others is told by the e-mail about the end of the subscription."""
    if notification.kind is Kind.CLOSED:
        return not open_pools
    if notification.kind is not Kind.REFUSED:
        return False
    found = causes(notification)
    if not found or any(reason != Reason.UNKNOWN_MODULE for _, reason in found):
        return False
    return not open_pools or all(module in open_pools for module, _ in found)


def is_module_missing(notification: Notification) -> bool:
    """Tell whether a refusal comes from a module that the subscription does not include."""
    return notification.kind is Kind.REFUSED and any(reason == Reason.UNKNOWN_MODULE for _, reason in causes(notification))


def licence_helps(notification: Notification) -> bool:
    """Tell whether one more licence would change what the notification says."""
    match notification.kind:
        case Kind.REFUSED:
            return any(reason in _FULL for _, reason in causes(notification))
        case Kind.WITHDRAWN:
            return bool(notification.data["reason"] != Reason.POOL_CLOSED)
        case _:
            return notification.kind in (Kind.FLAGGED, Kind.GRACE_ENDING, Kind.REVOKED, Kind.NEAR_LIMIT, Kind.AT_LIMIT)


def _pool_of(pools: Iterable[PoolState], module: str | None) -> dict[str, Any] | None:
    return next((pool.model_dump(mode="json") for pool in pools if pool.module == module), None)


def _flag_key(user: str, module: str, deadline: datetime | None, event_id: str) -> str:
    """Return a key that is the same for each answer while the flag lasts: its deadline identifies it (grace is not renewed, T6)."""
    return f"flagged|{user}|{module}|{format_instant(deadline) if deadline else event_id}"


def _for_administrators(payload: SeatsEvent, key: str, stream: Stream, kind: Kind, module: str | None, **data: Any) -> Notification:
    data = {"pool": _pool_of(payload.pools, module), "reason": payload.reason} | data
    return Notification(
        key=f"administrators|{key}", audience=Audience.ADMINISTRATORS, stream=stream, kind=kind, at=payload.at, module=module, data=data
    )


def _both(key: str, kind: Kind, at: datetime, user: str, module: str, data: dict[str, Any]) -> list[Notification]:
    """What happens to a seat concerns its person and the administrators."""
    return [
        Notification(f"person|{key}", Audience.PERSON, Stream.OWN, kind, at, user, module, data),
        Notification(f"administrators|{key}", Audience.ADMINISTRATORS, Stream.SEATS, kind, at, user, module, data),
    ]


def _seat(payload: seats_v1.SeatEvent, kind: Kind, key: str, deadline: datetime | None = None, **more: Any) -> list[Notification]:
    data = {"reason": payload.reason, "pool": _pool_of(payload.pools, payload.module)} | more
    if kind is Kind.FLAGGED:
        data["deadline"] = format_instant(deadline) if deadline else None
    return _both(key, kind, payload.at, payload.user, payload.module, data)


_ASKED_AGAIN = (Reason.REQUESTED_AGAIN, Reason.REACTIVATED)


def _answered(payload: seats_v1.NeedAnswered | seats_v1.SeatsMoved, event_id: str) -> list[Notification]:
    """Return notifications of each module that is over the limit or refused. A granted module needs none. That no licence could be reserved
    for an invitation concerns the administrators only: the person has not been invited."""
    found: list[Notification] = []
    because_of = [
        {"module": seat.module, "reason": seat.reason or payload.reason}
        for seat in payload.modules
        if seat.state in (SeatState.REFUSED, SeatState.REVOKED) and seat.reason not in _BECAUSE_OF_ANOTHER
    ]
    for seat in payload.modules:
        data: dict[str, Any] = {"reason": seat.reason or payload.reason, "pool": _pool_of(payload.pools, seat.module)}
        if seat.state == SeatState.FLAGGED:
            data["deadline"] = format_instant(seat.deadline) if seat.deadline else None
            key = _flag_key(payload.user, seat.module, seat.deadline, f"{event_id}|{seat.module}")
            found += _both(key, Kind.FLAGGED, payload.at, payload.user, seat.module, data)
        elif seat.state == SeatState.REFUSED:
            if isinstance(payload, seats_v1.NeedAnswered) and (payload.asked or payload.reason) in _ASKED_AGAIN:
                data["again"] = True
            if seat.reason in _BECAUSE_OF_ANOTHER:
                data["because_of"] = because_of
            both = _both(f"{event_id}|{seat.module}", Kind.REFUSED, payload.at, payload.user, seat.module, data)
            found += both if payload.need.hold_until is None else both[1:]
    return found


def _pool_notification(payload: seats_v1.PoolNearLimit | seats_v1.PoolAtLimit | seats_v1.PoolExpanded, event_id: str) -> Notification:
    match payload:
        case seats_v1.PoolExpanded():
            return _for_administrators(payload, event_id, Stream.SEATS, Kind.EXPANDED, payload.module, by=payload.by)
        case seats_v1.PoolAtLimit():
            return _for_administrators(payload, event_id, Stream.SEATS, Kind.AT_LIMIT, payload.module)
        case _:
            return _for_administrators(payload, event_id, Stream.SEATS, Kind.NEAR_LIMIT, payload.module)


def _reduction_scheduled(payload: seats_v1.ReductionScheduled, event_id: str) -> list[Notification]:
    """T18: the notification names who would be flagged if nothing else changes, and says how many reservations would end. That a
    subscription goes on after all has an e-mail of its own, with the numbers."""
    flags = {would.module: would for would in payload.would_flag}
    cancels = {would.module: would.count for would in payload.would_cancel}
    return [
        _for_administrators(
            payload,
            f"{event_id}|{item.module}",
            Stream.BILLING,
            Kind.REDUCTION_SCHEDULED,
            item.module,
            quantity=item.quantity,
            would_flag=list(flags[item.module].users) if item.module in flags else [],
            would_flag_count=flags[item.module].count if item.module in flags else 0,
            would_cancel_count=cancels.get(item.module, 0),
        )
        for item in payload.items
        if item.module in flags or item.module in cancels or item.module not in payload.kept
    ]


def _reduced(payload: seats_v1.LicencesReduced | seats_v1.PoolReduced | seats_v1.PoolCloseScheduled, event_id: str) -> list[Notification]:
    """T19: somebody reduced licences, a leaver lowered a number, or a module is to close. A subscription that ends has its own e-mail."""
    if isinstance(payload, seats_v1.LicencesReduced):
        return [
            _for_administrators(payload, f"{event_id}|{item.module}", Stream.BILLING, Kind.REDUCED, item.module, quantity=item.quantity)
            for item in payload.items
        ]
    key, pool = f"{event_id}|{payload.module}", next((each for each in payload.pools if each.module == payload.module), None)
    if isinstance(payload, seats_v1.PoolReduced) and payload.reduce_at == seats_v1.ReduceAt.NOW:
        return [_for_administrators(payload, key, Stream.BILLING, Kind.REDUCED, payload.module, quantity=payload.by)]
    if pool is None or pool.former_next_period is not None:
        return []
    nobody: dict[str, Any] = {"would_flag": [], "would_flag_count": 0, "would_cancel_count": 0}
    return [
        _for_administrators(payload, key, Stream.BILLING, Kind.REDUCTION_SCHEDULED, payload.module, quantity=pool.next_period, **nobody)
    ]


def _number_changed(payload: seats_v1.PoolRestored | seats_v1.PoolClosed | seats_v1.PeriodStarted, event_id: str) -> list[Notification]:
    """T19: a leaving was taken back, a module was closed, or a period began."""
    if isinstance(payload, seats_v1.PeriodStarted):
        return _period_started(payload, event_id)
    if isinstance(payload, seats_v1.PoolClosed):
        return [_for_administrators(payload, event_id, Stream.BILLING, Kind.CLOSED, payload.module)]
    pool = next((each for each in payload.pools if each.module == payload.module), None)
    if payload.reduce_at == seats_v1.ReduceAt.NOW:
        return [_for_administrators(payload, event_id, Stream.BILLING, Kind.RESTORED, payload.module, quantity=payload.by)]
    if pool is None or pool.former_next_period is not None:
        return []
    return [_for_administrators(payload, event_id, Stream.BILLING, Kind.RESTORED_NEXT, payload.module, quantity=pool.next_period)]


def _period_started(payload: seats_v1.PeriodStarted, event_id: str) -> list[Notification]:
    """T19: the numbers that the renewal changed. A number that the use limited has a notification of its own."""
    before = {item.module: item.quantity for item in payload.former}
    return [
        _for_administrators(payload, f"{event_id}|{module}", Stream.SEATS, Kind.REDUCTION_LIMITED, module)
        for module in payload.reduction_limited
    ] + [
        _for_administrators(
            payload,
            f"{event_id}|{item.module}",
            Stream.BILLING,
            Kind.RENEWED,
            item.module,
            before=before[item.module],
            quantity=item.quantity,
            starts_at=format_instant(payload.starts_at),
        )
        for item in payload.licences
        if item.module in before and item.module not in payload.reduction_limited
    ]


_OVERDUE: dict[type[invoicing_v1.InvoicingEvent], Kind] = {
    invoicing_v1.PurchasesBlocked: Kind.PURCHASES_BLOCKED,
    invoicing_v1.PurchasesUnblocked: Kind.PURCHASES_UNBLOCKED,
    invoicing_v1.OverdueDecisionDue: Kind.OVERDUE_DECISION,
}


_OF_PLAN_CHANGE = {"change", "plan", "term", "takes_effect_on", "closes", "reduces", "price", "changes", "modules"}
_OF_PLAN_CHANGE |= {"would_flag", "would_cancel"}
_OF_PRICES = {"takes_effect_on", "currency", "before", "after", "changes"}
_OF_DISCOUNT = {"discount", "currency", "next_before", "next_after"}


# What the administrators are told of orders, of the subscription and of a next period: the kind, and the fields that the e-mail shows.
_TOLD: dict[type[invoicing_v1.InvoicingEvent], tuple[Kind, set[str]]] = {
    invoicing_v1.OrderCompleted: (Kind.PURCHASED, {"order", "quote", "lines"}),
    invoicing_v1.OrderRefused: (Kind.ORDER_REFUSED, {"order", "quote"}),
    invoicing_v1.ReductionOrdered: (Kind.REDUCTION_ORDERED, {"takes_effect", "items", "price"}),
    invoicing_v1.SecondApprovalNeeded: (
        Kind.APPROVAL_NEEDED,
        {
            "quote",
            "requested_by",
            "approved_by",
            "approved_gross_minor",
            "replaces",
            "lines",
            "currency",
            "net_minor",
            "tax_minor",
            "gross_minor",
            "charge",
            "expires_at",
            "last_day",
        },
    ),
    invoicing_v1.QuoteExpired: (Kind.QUOTE_EXPIRED, {"requested_by"}),
    invoicing_v1.QuoteWithdrawn: (Kind.QUOTE_WITHDRAWN, {"requested_by"}),
    invoicing_v1.PurchaseSettingsChanged: (Kind.PURCHASE_SETTINGS, {"changes", "currency"}),
    invoicing_v1.PoliciesChanged: (Kind.CONTRACT_CHANGED, {"change", "changes", "price", "day"}),
    invoicing_v1.ContractChanged: (Kind.CONTRACT_CHANGED, {"change", "changes", "price", "day"}),
    invoicing_v1.PlanChangeScheduled: (Kind.PLAN_SCHEDULED, _OF_PLAN_CHANGE),
    invoicing_v1.PlanChangeWithdrawn: (Kind.PLAN_WITHDRAWN, _OF_PLAN_CHANGE),
    invoicing_v1.PlanChangeDropped: (Kind.PLAN_DROPPED, _OF_PLAN_CHANGE),
    invoicing_v1.DiscountGranted: (Kind.DISCOUNT_GRANTED, _OF_DISCOUNT),
    invoicing_v1.DiscountWithdrawn: (Kind.DISCOUNT_WITHDRAWN, _OF_DISCOUNT),
    invoicing_v1.RenewalForecast: (Kind.RENEWAL_FORECAST, {"begins_on", "days", "would_flag", "would_cancel"}),
    invoicing_v1.PriceChangeAnnounced: (Kind.PRICE_CHANGE, _OF_PRICES),
    invoicing_v1.PriceChangeWithdrawn: (Kind.PRICE_CHANGE_WITHDRAWN, _OF_PRICES),
}


def _requested(payload: invoicing_v1.PurchaseRequestChanged, event_id: str) -> list[Notification]:
    """Return what the customer and the vendor are told of a request for licences. An estimate that can be approved again has no e-mail of
    its own: its quote has expired or was withdrawn, or its order was refused, and that has one. Nor has one that expires with its
    subscription, whose end has one."""
    if (payload.state == "estimated" and payload.reason) or (payload.state, payload.reason) == ("expired", "subscription_ended"):
        return []
    fields = {"request", "state", "items", "discounts", "note", "valid_until", "currency", "orders", "reductions"}
    data = payload.model_dump(mode="json", include=fields) | {"reason": payload.reason, "actor": payload.actor.model_dump()}
    return [
        Notification(f"{audience}|{event_id}", audience, Stream.REQUESTS, Kind.PURCHASE_REQUEST, payload.at, data=data)
        for audience in (Audience.ADMINISTRATORS, Audience.OPERATOR, Audience.REQUEST_CONTACT)
    ]


def _invoicing(payload: invoicing_v1.InvoicingEvent, event_id: str) -> list[Notification]:
    audience, stream = Audience.ADMINISTRATORS, Stream.BILLING
    more: dict[str, Any] = {}
    match payload:
        case invoicing_v1.BillingDetailsChanged():
            audience, stream = Audience.BILLED, Stream.BILLING_DETAILS
            kind, fields = Kind.BILLING_DETAILS, {"version"}
        case invoicing_v1.QuoteWithdrawn(waited=False):
            return []  # nobody waited for it
        case invoicing_v1.ReductionOrdered(price=None):
            return []  # an earlier release ordered it
        case invoicing_v1.SecondApprovalNeeded(replaces=str(), reminds=False):
            return []  # the same purchase with the amount of another day
        case invoicing_v1.SubscriptionEnding(at_once=True):
            return []  # the e-mail about the end itself follows
        case invoicing_v1.SubscriptionEnding():
            audience, stream, kind, fields = Audience.SUBSCRIPTION, Stream.SUBSCRIPTION, Kind.ENDING, {"ends_on"}
        case invoicing_v1.SubscriptionEndingSoon():
            audience, stream, kind, fields = Audience.SUBSCRIPTION, Stream.SUBSCRIPTION, Kind.ENDING_SOON, {"ends_on", "days"}
        case invoicing_v1.TrialEndingSoon():
            audience, stream, kind = Audience.SUBSCRIPTION, Stream.SUBSCRIPTION, Kind.TRIAL_ENDING
            fields = {"ends_on", "days", "currency", "first_period"}
        case invoicing_v1.SubscriptionKept():
            audience, stream, kind, fields = Audience.SUBSCRIPTION, Stream.SUBSCRIPTION, Kind.KEPT, {"modules"}
        case invoicing_v1.SubscriptionEnded():
            audience, stream, kind, fields = Audience.SUBSCRIPTION, Stream.SUBSCRIPTION, Kind.ENDED, {"ended_on", "at_once"}
        case invoicing_v1.InvoiceIssued():
            audience, stream, kind = Audience.BILLED, Stream.INVOICES, Kind.INVOICE
            fields = {
                "invoice",
                "kind",
                "number",
                "issued_on",
                "due_on",
                "orders",
                "currency",
                "lines",
                "taxes",
                "net_minor",
                "tax_minor",
                "gross_minor",
            }
        case invoicing_v1.PaymentReminded():
            audience, stream, kind = Audience.BILLED, Stream.REMINDERS, Kind.PAYMENT_REMINDER
            fields = {"invoice", "number", "step", "steps", "issued_on", "due_on", "currency", "gross_minor", "open_minor"}
            more = {"last": payload.last, "follows": payload.overdue_action if payload.last else "none"}
        case invoicing_v1.PurchasesBlocked() | invoicing_v1.PurchasesUnblocked() | invoicing_v1.OverdueDecisionDue():
            audience, stream, kind = Audience.OPERATOR, Stream.OVERDUE, _OVERDUE[type(payload)]
            fields = {"invoices", "currency"}
        case _ if type(payload) in _TOLD:
            kind, fields = _TOLD[type(payload)]
        case _:
            return []
    data = payload.model_dump(mode="json", include=fields) | {"reason": payload.reason, "actor": payload.actor.model_dump()} | more
    return [
        Notification(f"{audience}|{event_id}", audience, stream, kind, payload.at, data=data),
    ]
