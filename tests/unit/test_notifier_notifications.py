"""Which event makes which notification, and for whom: the whole table, without IO."""

from collections import Counter
from datetime import date, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from services.notifier.consumers import action_log, notifications
from services.notifier.domain.notifications import Audience, Kind, Notification, Stream, is_moot, notifications_of, still_valid
from services.notifier.use_cases.rejected_commands import rejection
from shared.clock import SystemClock
from shared.errors import Poison
from shared.messaging import Message
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.position import Position
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS, Topic
from tests.support.emails import email
from tests.support.notifier import ANNA, NOON, active, flagged, invoice_issued, person_added, pool_of, refused, tenant_created

POSITION = Position(partition=1, offset=7)
DECISION: dict[str, Any] = {"command": "c1", "position": POSITION, "role": "answer", "at": NOON, "rules": 1, "reason": "hired"}
EVENT = "seats.commands.v1/1/7/0"


def assigned(*seats: seats_v1.ModuleSeat, kind: type[seats_v1.NeedAnswered] = seats_v1.SeatsAssigned) -> seats_v1.NeedAnswered:
    need = seats_v1.Need(modules=tuple(seat.module for seat in seats), created_at=NOON)
    return kind(**DECISION, user="u1", revision=1, need=need, modules=seats, pools=tuple(pool_of(seat.module) for seat in seats))


def notified(payload: Payload) -> set[tuple[str, str, str, str | None, str | None]]:
    return {
        (notification.audience, notification.stream, notification.kind, notification.user, notification.module)
        for notification in notifications_of(payload, EVENT)
    }


def test_A3_T5_an_answer_makes_notifications_of_flagged_and_refused_seats_only() -> None:
    both = {(Audience.PERSON, Stream.OWN), (Audience.ADMINISTRATORS, Stream.SEATS)}
    expected = {(*who, kind, "u1", module) for who in both for kind, module in ((Kind.FLAGGED, "time"), (Kind.REFUSED, "planning"))}
    assert notified(assigned(active("documents"), flagged(), refused())) == expected
    assert notified(assigned(active(), active("documents"))) == set()
    assert notified(assigned(refused(), kind=seats_v1.SeatsRefused)) == {(*who, Kind.REFUSED, "u1", "planning") for who in both}


def test_each_reminder_of_a_scim_token_that_ends_is_an_e_mail_of_its_own_to_the_administrators() -> None:
    ending: dict[str, Any] = {
        "at": NOON,
        "actor": Actor(kind="system", id="users"),
        "connection": "okta",
        "token": "t1",
        "expires_at": NOON,
    }
    made = [notifications_of(users_v1.ScimTokenEnding(**ending, days=days), f"event-{days}") for days in (30, 7)]
    for (found,) in made:
        assert (found.audience, found.stream, found.kind) == (Audience.ADMINISTRATORS, Stream.PEOPLE, Kind.SCIM_ACCESS_ENDING)
        assert (found.data["connection"], found.data["token"]) == ("okta", "t1")
    assert len({found.key for (found,) in made}) == 2, "the second one is no repetition of the first"


def test_a_seat_that_was_revoked_earlier_is_not_notified_as_refused() -> None:
    assert notified(assigned(seats_v1.ModuleSeat(module="time", state="revoked", reason="revoked"))) == set()


def test_T6_a_flag_is_notified_once_and_a_later_flag_again() -> None:
    deadline = NOON + timedelta(days=7)
    consequence = seats_v1.SeatFlagged(**DECISION, user="u1", module="time", deadline=deadline)
    answered = {notification.key for notification in notifications_of(assigned(flagged(deadline=deadline)), EVENT)}
    assert {notification.key for notification in notifications_of(consequence, "another")} == answered
    later = {notification.key for notification in notifications_of(assigned(flagged(deadline=deadline + timedelta(seconds=1))), EVENT)}
    assert not later & answered


def test_a_flag_without_a_deadline_is_notified_for_each_event() -> None:
    event = seats_v1.SeatFlagged(**DECISION, user="u1", module="time", deadline=None)
    first, second = ({notification.key for notification in notifications_of(event, event_id)} for event_id in ("a", "b"))
    assert not first & second


def test_T6_person_and_administrators_are_notified_when_a_flag_is_cleared_or_a_seat_is_granted() -> None:
    both = {(Audience.PERSON, Stream.OWN), (Audience.ADMINISTRATORS, Stream.SEATS)}
    seat: dict[str, Any] = {"user": "u1", "module": "time"}
    cleared = seats_v1.SeatFlagCleared(**DECISION | {"reason": "licence_bought"}, **seat)
    assert notified(cleared) == {(*who, Kind.CLEARED, "u1", "time") for who in both}
    for reason in ("seat_released", "restored"):
        granted = seats_v1.SeatGranted(**DECISION | {"reason": reason}, **seat)
        assert notified(granted) == {(*who, Kind.GRANTED, "u1", "time") for who in both}
        assert {notification.data["reason"] for notification in notifications_of(granted, EVENT)} == {reason}


@pytest.mark.parametrize(
    ("happened", "valid"),
    [
        ("flagged", "flagged"),
        ("cleared", "cleared"),
        ("flagged cleared", ""),
        ("flagged cleared flagged", "flagged#2"),
        ("cleared flagged", "flagged"),
        ("cleared flagged cleared", "cleared#2"),
        ("flagged revoked", "flagged revoked"),
        ("revoked granted", "granted"),
        ("flagged revoked granted", "granted"),
        ("granted flagged revoked", "flagged revoked"),
        ("flagged refused cleared at_limit", "at_limit"),
        ("refused refused", "refused#2"),
        ("grace_ending", "grace_ending"),
        ("grace_ending grace_ending", "grace_ending#2"),
        ("flagged grace_ending", "flagged"),
        ("grace_ending cleared", "cleared"),
        ("cleared grace_ending", "cleared"),
        ("grace_ending revoked", "revoked"),
    ],
)
def test_an_e_mail_contains_only_what_is_still_valid_of_each_seat(happened: str, valid: str) -> None:
    def notification(kind: str, number: int, module: str = "time") -> Notification:
        user = None if kind == Kind.AT_LIMIT else "u1"
        key = f"{kind}#{number}" if number > 1 else kind
        return Notification(f"{module} {key}", Audience.ADMINISTRATORS, Stream.SEATS, Kind(kind), NOON, user, module)

    kinds = happened.split()
    notifications = [notification(kind, kinds[: place + 1].count(kind)) for place, kind in enumerate(kinds)]
    other = notification("flagged", 1, "documents")
    assert [one.key for one in still_valid([other, *notifications])] == ["documents flagged", *(f"time {key}" for key in valid.split())]


def test_T6_person_and_administrators_are_reminded_before_a_grace_ends() -> None:
    event = users_v1.GraceEnding(at=NOON, actor=ANNA, user="u1", module="time", deadline=NOON)
    assert notified(event) == {
        (*who, Kind.GRACE_ENDING, "u1", "time") for who in ((Audience.PERSON, Stream.OWN), (Audience.ADMINISTRATORS, Stream.SEATS))
    }


def test_A6_E8_the_administrators_are_notified_of_a_reached_limit_with_the_numbers_of_the_pool() -> None:
    event = seats_v1.PoolAtLimit(**DECISION, module="time", pools=(pool_of("time"),))
    (notification,) = notifications_of(event, EVENT)
    assert (notification.audience, notification.kind, notification.data["pool"]["licences"]) == (
        Audience.ADMINISTRATORS,
        Kind.AT_LIMIT,
        280,
    )


def test_T18_a_scheduled_reduction_names_who_would_be_flagged() -> None:
    would = (seats_v1.WouldFlag(module="time", users=("u1", "u2"), count=2),)
    items = (seats_v1.LicenceCount(module="time", quantity=278), seats_v1.LicenceCount(module="documents", quantity=9))
    would_cancel = (seats_v1.WouldCancel(module="documents", users=("u3",), count=1),)
    event = seats_v1.ReductionScheduled(**DECISION, items=items, would_flag=would, would_cancel=would_cancel)
    time, documents = notifications_of(event, EVENT)
    assert [each.data["would_cancel_count"] for each in (time, documents)] == [0, 1], "whose reservation it is, is not in the e-mail"
    assert (time.data["would_flag"], time.data["would_flag_count"], time.data["quantity"]) == (["u1", "u2"], 2, 278)
    assert (documents.data["would_flag"], documents.data["would_flag_count"]) == ([], 0)
    assert time.stream is Stream.BILLING


def test_T19_A12_purchases_reductions_and_changed_billing_details_are_confirmed() -> None:
    who: dict[str, Any] = {"at": NOON, "actor": ANNA}
    items = (seats_v1.LicenceCount(module="time", quantity=3),)
    by_now = seats_v1.LicencesReduced(**DECISION, order="o1", items=items)
    at_the_end = seats_v1.ReductionScheduled(**DECISION, items=items)
    bought = invoicing_v1.OrderCompleted(**who, order="o1", quote="q1", lines=())
    details = invoicing_v1.BillingDetailsChanged(**who, version="v2", tax_rate_percent="25")
    found = {type(event): notified(event) for event in (by_now, at_the_end, bought, details)}
    billing = (Audience.ADMINISTRATORS, Stream.BILLING)
    assert found == {
        seats_v1.LicencesReduced: {(*billing, Kind.REDUCED, None, "time")},
        seats_v1.ReductionScheduled: {(*billing, Kind.REDUCTION_SCHEDULED, None, "time")},
        invoicing_v1.OrderCompleted: {(*billing, Kind.PURCHASED, None, None)},
        invoicing_v1.BillingDetailsChanged: {(Audience.BILLED, Stream.BILLING_DETAILS, Kind.BILLING_DETAILS, None, None)},
    }


def test_T19_a_number_that_a_leaver_or_the_closing_of_a_module_lowers_is_confirmed() -> None:
    def reduced(n: int, licences: int, next_period: int, former: int | None = None, **fields: Any) -> list[Notification]:
        pool = pool_of("time", licences).model_copy(update={"next_period": next_period, "former_next_period": former})
        model = seats_v1.PoolReduced if "by" in fields else seats_v1.PoolCloseScheduled
        return notifications_of(model(**DECISION | {"pools": (pool,)}, module="time", **fields), f"seats.commands.v1/0/1/{n}")

    leavers = [one for n in range(300) for one in reduced(n, 999 - n, 999 - n, by=1, reduce_at="now")]
    later = [one for n in range(300, 600) for one in reduced(n, 700, 999 - n, by=1, reduce_at="period_end")]
    assert {each.kind for each in leavers} == {Kind.REDUCED}
    sent = still_valid([*leavers, *later])
    assert [(each.kind, each.data["quantity"]) for each in sent if each.kind is not Kind.REDUCED] == [(Kind.REDUCTION_SCHEDULED, 400)]
    for form in (found := email(Stream.BILLING, *sent)).text, found.html:
        assert form.count("was reduced by 300 licences") == 1
        assert all(words in form for words in ("700 licences", "400 licences"))
    (closing,) = reduced(600, 4, 0)
    assert (closing.kind, closing.data["quantity"]) == (Kind.REDUCTION_SCHEDULED, 0)
    assert reduced(601, 4, 0, former=4) == [], "the subscription ends, which has its own e-mail"


def test_T19_a_leaving_taken_back_a_closed_module_and_the_numbers_of_a_renewal_are_confirmed() -> None:
    def told(model: type[seats_v1.SeatsEvent], n: int, next_period: int = 700, **fields: Any) -> list[Notification]:
        pool = pool_of("time", 700).model_copy(update={"next_period": next_period})
        return notifications_of(model(**DECISION | {"pools": (pool,)}, **fields), f"seats.commands.v1/0/1/{n}")

    later: dict[str, Any] = {"module": "time", "by": 1, "reduce_at": "period_end"}
    now = later | {"reduce_at": "now"}
    back = [one for n in range(3) for one in told(seats_v1.PoolRestored, n, **now)]
    lowered = [one for n in range(3, 6) for one in told(seats_v1.PoolReduced, n, 702 - n, **later)]
    again = [one for n in range(6, 9) for one in told(seats_v1.PoolRestored, n, 692 + n, **later)]
    closed = told(seats_v1.PoolClosed, 9, module="documents")
    counts = {name: seats_v1.LicenceCount(module=name, quantity=5) for name in ("time", "planning", "documents")}
    former = tuple(counts[name].model_copy(update={"quantity": 9}) for name in ("time", "planning"))
    begun = told(
        seats_v1.PeriodStarted, 10, starts_at=NOON, licences=tuple(counts.values()), former=former, reduction_limited=("planning",)
    )
    assert [(each.kind, each.module) for each in begun] == [(Kind.REDUCTION_LIMITED, "planning"), (Kind.RENEWED, "time")]
    sent = still_valid([*begun[1:], *back, *lowered, *again, *closed])
    assert [each.kind for each in sent] == [Kind.RENEWED, *[Kind.RESTORED] * 3, Kind.RESTORED_NEXT, Kind.CLOSED]
    words: tuple[str, ...] = (
        "no longer reduced by 3 licences",
        "It now has 700 licences",
        "will have 700 licences when the next period starts",
    )
    words = (*words, "documents was closed on", "A new period started")
    text = email(Stream.BILLING, *sent).text
    assert [word for word in words if word not in text] == []
    assert "Time Registration has 5 licences in the new period" in email(Stream.BILLING, *begun[1:]).subject
    assert still_valid([*lowered, *begun[1:]]) == begun[1:], "a leaver of the last day: the period has begun with the number"
    assert still_valid([*begun[1:], *lowered]) == [*begun[1:], lowered[-1]]
    assert not is_moot(closed[0], {"time"})
    assert is_moot(closed[0], ()), "the subscription has ended, which has its own e-mail"


def test_T14_the_end_of_a_subscription_is_announced_reminded_of_and_confirmed() -> None:
    who: dict[str, Any] = {"at": NOON, "actor": ANNA, "subscription": "s1"}
    day = date(2013, 12, 1)
    found = {
        event: notified(event)
        for event in (
            invoicing_v1.SubscriptionEnding(**who, ends_on=day),
            invoicing_v1.SubscriptionEndingSoon(**who, ends_on=day, days=7),
            invoicing_v1.SubscriptionKept(**who, modules=()),
            invoicing_v1.SubscriptionEnded(**who, ended_on=day, decision="d", billing_details="v1"),
        )
    }
    audience = (Audience.SUBSCRIPTION, Stream.SUBSCRIPTION)
    kinds = (Kind.ENDING, Kind.ENDING_SOON, Kind.KEPT, Kind.ENDED)
    assert list(found.values()) == [{(*audience, kind, None, None)} for kind in kinds]
    assert notified(invoicing_v1.SubscriptionEnding(**who, ends_on=day, at_once=True)) == set(), "the e-mail about the end follows"
    both = [each for event in list(found)[:3] for each in notifications_of(event, type(event).__name__)]
    assert [each.kind for each in still_valid(both)] == [Kind.KEPT], "an ending that is taken back at once is not announced"


def test_T14_an_ending_that_is_taken_back_is_no_reduction_unless_people_would_be_flagged() -> None:
    items = (seats_v1.LicenceCount(module="time", quantity=3), seats_v1.LicenceCount(module="docs", quantity=1))
    would_flag = (seats_v1.WouldFlag(module="docs", users=("bo",), count=1),)
    would_cancel = (seats_v1.WouldCancel(module="docs", users=("hal",), count=1),)
    for concerned in ({"would_flag": would_flag}, {"would_cancel": would_cancel}):
        taken_back = seats_v1.ReductionScheduled(**DECISION, items=items, **concerned, kept=("time", "docs"))
        assert notified(taken_back) == {(Audience.ADMINISTRATORS, Stream.BILLING, Kind.REDUCTION_SCHEDULED, None, "docs")}


@pytest.mark.parametrize("concerned", [{}, {"would_flag_count": 1}, {"would_cancel_count": 1}])
def test_T18_a_later_number_replaces_one_that_would_concern_nobody(concerned: dict[str, int]) -> None:
    def scheduled(key: str, **data: Any) -> Notification:
        return Notification(key, Audience.ADMINISTRATORS, Stream.BILLING, Kind.REDUCTION_SCHEDULED, NOON, module="time", data=data)

    first, second = scheduled("first", **concerned), scheduled("second")
    assert still_valid([first, second]) == ([first, second] if concerned else [second])


def test_T19_an_invoice_is_sent_to_the_invoice_address() -> None:
    (notification,) = notifications_of(invoice_issued(), "i")
    assert (notification.audience, notification.stream, notification.kind) == (Audience.BILLED, Stream.INVOICES, Kind.INVOICE)


@pytest.mark.parametrize("payload", [tenant_created(), person_added("p1"), person_added("p1", kind=users_v1.PersonRepublished)], ids=type)
def test_events_of_users_make_no_notifications(payload: users_v1.UsersEvent) -> None:
    assert notifications_of(payload, "x") == []


@pytest.mark.parametrize("group", [notifications, action_log], ids=lambda group: group.GROUP)
@pytest.mark.parametrize("topic", [USERS_EVENTS, SEATS_EVENTS, INVOICING_EVENTS], ids=lambda topic: topic.name)
def test_a_consumer_group_handles_or_ignores_each_type_of_a_topic(group: ModuleType, topic: Topic) -> None:
    """Handlers are found by the exact class of the event, so a new type is in neither list until somebody decides about it."""
    named = [*group.HANDLED[topic], *group.IGNORED[topic]]
    assert Counter(named) == Counter(entry.model for entry in REGISTRY.values() if entry.topic is topic)


async def test_an_event_without_its_tenant_becomes_a_dead_letter_and_stops_no_consumer() -> None:
    uow: Any = SimpleNamespace(connection=None, defer=None)  # nothing is written
    for payload in (tenant_created(), person_added("p1")):
        envelope = Envelope(id="e1", source="seatpool/users", type=type_of(type(payload)), time=NOON)
        handler = notifications.HANDLERS[USERS_EVENTS][type(payload)]
        with pytest.raises(Poison, match="ce_tenantid is missing"):
            await handler(uow, Message(envelope, payload, USERS_EVENTS, 0, 0, 0))


def test_every_handled_type_has_a_handler() -> None:
    assert set(notifications.handlers(SystemClock(), NOON)) == {model for models in notifications.HANDLED.values() for model in models}
    assert set(action_log.handlers()) == {model for models in action_log.HANDLED.values() for model in models}


def test_every_type_that_is_answered_like_an_assignment_makes_notifications() -> None:
    answers = {entry.model for entry in REGISTRY.values() if issubclass(entry.model, seats_v1.NeedAnswered)}
    assert answers <= set(notifications.NOTIFIED[SEATS_EVENTS])


@pytest.mark.parametrize(
    ("field", "value", "expected", "detail"),
    [
        ("licences", "0", "1 to 10000000", "licences is '0', expected 1 to 10000000"),
        ("revision", "0", "Input should be greater than or equal to 1", "revision is '0', expected a number greater than or equal to 1"),
        ("at", "x", "Value error, an instant of UTC expected", "at is 'x', expected an instant of UTC"),
        ("envelope", None, "ce_specversion is None, expected '1.0'", "envelope: ce_specversion is None, expected '1.0'"),
        ("user", None, "Field required", "user: Field required"),
    ],
)
def test_the_reason_of_a_rejected_command_names_field_value_and_what_is_allowed(
    field: str, value: str | None, expected: str, detail: str
) -> None:
    wrong: dict[str, Any] = {"reason": "unreadable", "field": field, "value": value, "expected": expected}
    position = Position(partition=0, offset=1)
    assert rejection(seats_v1.CommandRejected(command="c1", position=position, role="answer", at=NOON, rules=1, **wrong)) == detail


def test_A9_a_request_tells_customer_and_vendor_but_not_that_its_estimate_can_be_approved_again() -> None:
    made = invoicing_v1.PurchaseRequestChanged(at=NOON, actor=ANNA, request="r1", state="estimated", items=())
    assert {each.audience for each in notifications_of(made, "e1")} == {
        Audience.ADMINISTRATORS,
        Audience.OPERATOR,
        Audience.REQUEST_CONTACT,
    }
    assert notifications_of(made.model_copy(update={"reason": "period_changed"}), "e2") == []
    expired = made.model_copy(update={"state": "expired"})
    assert len(notifications_of(expired, "e3")) == 3
    assert notifications_of(expired.model_copy(update={"reason": "subscription_ended"}), "e4") == [], "the end has an e-mail"


def test_a_purchase_that_waits_for_its_second_approver_writes_once_and_reminds_once() -> None:
    amounts: dict[str, Any] = {
        "lines": (SimpleNamespace(module="time", quantity=1),),
        "currency": "EUR",
        "net_minor": 1,
        "tax_minor": 0,
        "gross_minor": 1,
        "approved_gross_minor": 1,
        "charge": "now",
    }

    def waits(**more: Any) -> invoicing_v1.SecondApprovalNeeded:
        who: dict[str, Any] = {"actor": ANNA, "requested_by": ANNA, "approved_by": ANNA}
        return invoicing_v1.SecondApprovalNeeded.model_construct(at=NOON, quote="q1", expires_at=NOON, **amounts, **who, **more)

    days = [waits(), waits(replaces="q0"), waits(replaces="q1", reminds=True), waits(replaces="q2")]
    assert [[each.kind for each in notifications_of(day, EVENT)] for day in days] == [
        [Kind.APPROVAL_NEEDED],
        [],
        [Kind.APPROVAL_NEEDED],
        [],
    ]
