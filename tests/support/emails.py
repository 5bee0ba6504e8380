"""A notification of every kind, and the e-mails with them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.notifier.domain.notifications import Audience, Kind, Notification, Stream
from services.notifier.email.billed import FieldChange
from services.notifier.email.rendering import MARKER, Links, Names, Recipient, Rendered, render
from services.notifier.store.catalogue import QuoteRow
from services.notifier.store.recipients import TenantRow
from shared.buying import Buying

AT = datetime(2013, 11, 15, 9, 0, 4, tzinfo=UTC)
DEADLINE = "2013-11-22T09:00:04.000Z"
TENANT = TenantRow("acme", "Acme Bikes", "Europe/Copenhagen", "en_GB", "real", "office@acme.example", "help@vendor.example", read_to=0)
BO = Recipient("bo@acme.example", "Bo Berg", "u1")
LINKS = Links(
    actions="http://notifier/actions",
    quotes="http://invoicing/quotes",
    requests="http://invoicing/purchase-requests",
    ending="http://invoicing/ending",
    plan_changes="http://invoicing/plan-changes",
    held_events="http://users/held-events",
    scim_connections="http://users/scim-connections",
    people="http://users/people",
    possible_duplicates="http://users/possible-duplicates",
    accept="http://users/accept",
)
ACTOR = {"kind": "user", "id": "anna"}
LINE = {"module": "time", "quantity": 6, "days": 13, "days_of_period": 30, "net_minor": 3120, "recurring_then_minor": 343200}
WOULD_FLAG = {"module": "time", "users": ["u1"], "count": 2}
WOULD_CANCEL = {"module": "documents", "users": ["u2", "u3", "u4"], "count": 3}
INVOICE = {
    "invoice": "i1",
    "number": "2013-0001",
    "issued_on": "2013-11-18",
    "due_on": "2013-12-18",
    "currency": "EUR",
    "lines": [LINE | {"from_day": "2013-11-18", "to_day": "2013-12-01"}],
    "taxes": [{"category": "S", "rate_percent": "25", "basis_minor": 3120, "tax_minor": 780}],
    "net_minor": 3120,
    "tax_minor": 780,
    "gross_minor": 3900,
}
OVERDUE = {"currency": "EUR", "invoices": [{"invoice": "i1", "number": "2013-0001", "due_on": "2013-12-18", "open_minor": 1400}]}
PRICE = {
    "currency": "EUR",
    "charge": "now",
    "now": {"net_minor": 1066, "tax_minor": 267, "gross_minor": 1333},
    "next_before": {"net_minor": 10_000, "tax_minor": 2500, "gross_minor": 12_500},
    "next_after": {"net_minor": 12_000, "tax_minor": 3000, "gross_minor": 15_000},
}
NEXT_AFTER = PRICE["next_after"]
TERMS = {
    "discount": "d1",
    "module": "time",
    "percent": "12.5",
    "amount_minor": None,
    "from_day": "2013-12-01",
    "until_day": "2014-12-01",
    "text": "introduction",
}
DISCOUNT = {
    "currency": "EUR",
    "discount": TERMS,
    "next_before": NEXT_AFTER,
    "next_after": PRICE["next_before"],
    "actor": ACTOR,
}
DATA: dict[Kind, dict[str, Any]] = {
    Kind.FLAGGED: {"deadline": DEADLINE},
    Kind.GRACE_ENDING: {"deadline": DEADLINE},
    Kind.REFUSED: {"reason": "pool_full"},
    Kind.REVOKED: {"base": True, "reason": "grace_expired"},
    Kind.WITHDRAWN: {"reason": "base_module_revoked"},
    Kind.CLEARED: {"reason": "licence_bought"},
    Kind.GRANTED: {"reason": "restored"},
    Kind.EXPANDED: {"by": 1},
    Kind.NEAR_LIMIT: {},
    Kind.AT_LIMIT: {},
    Kind.REDUCTION_LIMITED: {},
    Kind.REDUCTION_KEPT: {"by": 1},
    Kind.PURCHASED: {"order": "o1", "quote": "q1", "lines": [LINE], "actor": ACTOR},
    Kind.ORDER_REFUSED: {"order": "o1", "quote": "q1", "reason": "expected_differs", "actor": ACTOR},
    Kind.APPROVAL_NEEDED: {
        "quote": "q1",
        "requested_by": ACTOR,
        "approved_by": ACTOR,
        "approved_gross_minor": 4000,
        "replaces": None,
        "lines": [LINE],
        "currency": "EUR",
        "net_minor": 3120,
        "tax_minor": 780,
        "gross_minor": 3900,
        "charge": "now",
        "expires_at": DEADLINE,
        "actor": ACTOR,
    },
    Kind.QUOTE_EXPIRED: {"requested_by": ACTOR, "reason": "period_changed", "actor": ACTOR},
    Kind.QUOTE_WITHDRAWN: {"requested_by": ACTOR, "actor": ACTOR},
    Kind.PURCHASE_REQUEST: {
        "request": "r1",
        "state": "estimated",
        "items": [
            {"module": "time", "add": 6, "reduce": 0, "unit_price_minor": 1100},
            {"module": "time", "add": 0, "reduce": 2, "unit_price_minor": None},
        ],
        "discounts": [
            {"discount": "d1", "module": None, "percent": "10", "amount_minor": None, "from_day": "2013-11-15", "until_day": None}
        ],
        "note": "Thank you.\nFor your 20 new people.",
        "valid_until": "2013-12-15",
        "currency": "EUR",
        "orders": [],
        "reductions": [],
        "reason": "",
        "actor": ACTOR,
    },
    Kind.PURCHASE_SETTINGS: {
        "changes": [
            {"field": "second_approver", "old": "none", "new": "always"},
            {"field": "monthly_budget_minor", "old": None, "new": 100_000},
        ],
        "currency": "EUR",
        "actor": ACTOR,
    },
    Kind.REDUCED: {"quantity": 3},
    Kind.RESTORED: {"quantity": 3},
    Kind.RESTORED_NEXT: {"quantity": 280},
    Kind.CLOSED: {"reason": "pool_closed"},
    Kind.RENEWED: {"before": 290, "quantity": 280, "starts_at": DEADLINE},
    Kind.REDUCTION_ORDERED: {
        "takes_effect": "now",
        "items": [{"module": "time", "before": 5, "total": 2}],
        "price": {
            "currency": "EUR",
            "next_period_before": {"net_minor": 6000, "tax_minor": 1500, "gross_minor": 7500},
            "next_period_after": {"net_minor": 2400, "tax_minor": 600, "gross_minor": 3000},
            "credit_net_minor": 3484,
            "unbilled_net_minor": 2323,
            "credit": "now",
        },
        "actor": {"kind": "user", "id": "u1"},
    },
    Kind.REDUCTION_SCHEDULED: {"quantity": 270, "would_flag": ["u1"], "would_flag_count": 1, "would_cancel_count": 2},
    Kind.PRICE_CHANGE: {
        "takes_effect_on": "2013-12-01",
        "currency": "EUR",
        "before": {"net_minor": 12_000, "tax_minor": 3000, "gross_minor": 15_000},
        "after": {"net_minor": 13_000, "tax_minor": 3250, "gross_minor": 16_250},
        "changes": [{"field": "time.price", "old": 12_000, "new": 13_000}],
        "actor": ACTOR,
    },
    Kind.PRICE_CHANGE_WITHDRAWN: {
        "takes_effect_on": "2013-12-01",
        "currency": "EUR",
        "before": {"net_minor": 13_000, "tax_minor": 3250, "gross_minor": 16_250},
        "after": {"net_minor": 12_000, "tax_minor": 3000, "gross_minor": 15_000},
        "changes": [{"field": "time.price", "old": 13_000, "new": 12_000}],
        "actor": ACTOR,
    },
    Kind.RENEWAL_FORECAST: {
        "begins_on": "2013-12-01",
        "days": 7,
        "would_flag": [WOULD_FLAG],
        "would_cancel": [WOULD_CANCEL],
        "actor": ACTOR,
    },
    Kind.REDUCTION_REFUSED: {"must_free": 4, "reason": "below_use"},
    Kind.BILLING_DETAILS: {"version": "v2", "actor": ACTOR},
    Kind.CONTRACT_CHANGED: {
        "change": "c1",
        "price": PRICE,
        "day": "2013-11-15",
        "actor": ACTOR,
        "changes": [
            {"field": "time.grace", "old": "P7D", "new": "P14D"},
            {"field": "time.expand_cap", "old": None, "new": 300},
            {"field": "zero_invoices", "old": False, "new": True},
        ],
    },
    Kind.PLAN_SCHEDULED: {
        "change": "c1",
        "plan": "basic",
        "term": "monthly",
        "takes_effect_on": "2013-12-01",
        "closes": ["documents"],
        "reduces": [{"module": "time", "before": 280, "total": 200}],
        "would_flag": [{"module": "time", "users": ["u1"], "count": 3}],
        "would_cancel": [WOULD_CANCEL],
        "changes": [
            {"field": "plan", "old": "standard", "new": "basic"},
            {"field": "time.over_limit", "old": "expand", "new": "reject"},
        ],
        "price": PRICE,
        "actor": ACTOR,
    },
    Kind.DISCOUNT_GRANTED: DISCOUNT | {"discount": TERMS | {"percent": None, "amount_minor": 50000, "module": None, "until_day": None}},
    Kind.DISCOUNT_WITHDRAWN: DISCOUNT | {"next_before": NEXT_AFTER, "next_after": NEXT_AFTER},
    Kind.PLAN_WITHDRAWN: {"plan": "basic", "term": "monthly", "actor": ACTOR},
    Kind.PLAN_DROPPED: {"plan": "basic", "term": "monthly", "modules": ["time"], "reason": "below_use", "actor": ACTOR},
    Kind.INVOICE: INVOICE,
    Kind.PAYMENT_REMINDER: {name: INVOICE[name] for name in ("invoice", "number", "issued_on", "due_on", "currency", "gross_minor")}
    | {"open_minor": 1400, "step": 3, "steps": 3, "last": True, "follows": "no_purchases"},
    Kind.PURCHASES_BLOCKED: OVERDUE,
    Kind.PURCHASES_UNBLOCKED: {},
    Kind.OVERDUE_DECISION: OVERDUE,
    Kind.ENDING: {"ends_on": "2013-12-01", "reason": "we move", "actor": ACTOR},
    Kind.ENDING_SOON: {"ends_on": "2013-12-01", "days": 7, "reason": "", "actor": ACTOR},
    Kind.TRIAL_ENDING: {"ends_on": "2013-12-01", "days": 7, "currency": "EUR", "first_period": NEXT_AFTER, "actor": ACTOR},
    Kind.KEPT: {"modules": [{"module": "time", "licences": 280, "next_period": 270}], "reason": "", "actor": ACTOR},
    Kind.ENDED: {"ended_on": "2013-12-01", "at_once": True, "reason": "no payment", "actor": ACTOR},
    Kind.INVITED: {"expires_at": DEADLINE, "reserved": True},
    Kind.INVITATION_EXPIRED: {"expires_at": DEADLINE},
    Kind.HOLD_CANCELLED: {},
    Kind.LICENCES_FREE: {"available": 3, "refused": 60},
    Kind.HAND_OVER: {"heir": None, "items": [{"kind": "projects", "count": 3, "labels": ["Bridge"]}]},
    Kind.CHANGES_STOPPED: {"source": "hr/acme", "would_end": 300, "limit": 6, "import_id": None, "ended": 0},
    Kind.CONFLICT_FOUND: {"conflict": "login_in_use", "by": "login", "may_be": ["u1"]},
    Kind.POSSIBLE_DUPLICATES: {"source": "scim/okta", "people": 500, "other_source": "hr/acme", "other_people": 501},
    Kind.SCIM_ACCESS_ENDING: {"connection": "okta", "token": "t1", "expires_at": DEADLINE},
    Kind.LAST_OWNER_LOST: {},
}
OF_PEOPLE = (Kind.FLAGGED, Kind.GRACE_ENDING, Kind.REFUSED, Kind.REVOKED, Kind.WITHDRAWN, Kind.CLEARED, Kind.GRANTED)
OF_SEATS = (*OF_PEOPLE, Kind.EXPANDED, Kind.NEAR_LIMIT, Kind.AT_LIMIT, Kind.REDUCTION_LIMITED, Kind.REDUCTION_KEPT)
OF_ADMINISTRATION = (
    Kind.CHANGES_STOPPED,
    Kind.INVITATION_EXPIRED,
    Kind.HOLD_CANCELLED,
    Kind.LICENCES_FREE,
    Kind.CONFLICT_FOUND,
    Kind.POSSIBLE_DUPLICATES,
    Kind.HAND_OVER,
    Kind.SCIM_ACCESS_ENDING,
)
OF_SUBSCRIPTION = (Kind.ENDING, Kind.ENDING_SOON, Kind.TRIAL_ENDING, Kind.KEPT, Kind.ENDED)
OF_OPERATOR = (Kind.PURCHASES_BLOCKED, Kind.PURCHASES_UNBLOCKED, Kind.OVERDUE_DECISION)
ALONE = (
    Kind.INVITED,
    Kind.LAST_OWNER_LOST,
    Kind.INVOICE,
    Kind.PAYMENT_REMINDER,
    Kind.BILLING_DETAILS,
    Kind.PURCHASE_REQUEST,
    *OF_OPERATOR,
    *OF_SUBSCRIPTION,
)  # not with others in an e-mail
NAMES = Names(
    people={"u1": "Bo Berg"},
    modules={"time": "Time Registration"},
    plans={"basic": "Basic"},
    administrators=[Recipient("anna@acme.example", "Anna")],
    buying=Buying(True, "Standard"),
    changes={"v2": (FieldChange("email", "old@acme.example", "new@acme.example"), FieldChange("vat_id", None, "DK12345674"))},
    pools={"time": True, "documents": False},
    quotes={"q1": QuoteRow("acme", "q1", "EUR", net_minor=3120, tax_minor=780, gross_minor=3900, charge="now")},
)


def notification(kind: Kind, stream: Stream, user: str | None = "u1", module: str | None = "time", **more: Any) -> Notification:
    pool = {"module": module, "licences": 280, "next_period": 280, "active": 280, "flagged": 10, "held": 0, "waiting": 0, "available": 0}
    data = {"reason": "over_limit", "pool": pool if module else None} | DATA[kind] | more
    audience = Audience.PERSON if stream in (Stream.OWN, Stream.INVITATION) else Audience.ADMINISTRATORS
    audience = Audience.BILLED if stream in (Stream.INVOICES, Stream.REMINDERS, Stream.BILLING_DETAILS) else audience
    audience = Audience.SUBSCRIPTION if stream is Stream.SUBSCRIPTION else audience
    audience = Audience.OPERATOR if stream is Stream.OVERDUE else audience
    return Notification(f"{kind}", audience, stream, kind, AT, user, module, data)


def email(
    stream: Stream,
    *notifications: Notification,
    tenant: TenantRow = TENANT,
    names: Names = NAMES,
    recipient: Recipient = BO,
    links: Links = LINKS,
) -> Rendered:
    return render(stream, tenant, recipient, notifications, names, links, AT)


def with_console(address: str) -> Links:
    return replace(
        LINKS,
        console=f"{address}/tenants/acme",
        operator_console=f"{address}/operator",
        licences_page=f"{address}/tenants/acme/licences",
        accept_page=f"{address}/invitation?token={MARKER}",
    )


EVERY = [
    (Stream.REQUESTS, Kind.PURCHASE_REQUEST),
    (Stream.OWNERS, Kind.LAST_OWNER_LOST),
    *((Stream.OWN, kind) for kind in OF_PEOPLE),
    *((Stream.UNDELIVERED, kind) for kind in OF_PEOPLE),
    *((Stream.SEATS, kind) for kind in OF_SEATS),
    *((Stream.BILLING, kind) for kind in Kind if kind not in (*OF_SEATS, *OF_ADMINISTRATION, *ALONE)),
    *((Stream.PEOPLE, kind) for kind in OF_ADMINISTRATION),
    (Stream.INVITATION, Kind.INVITED),
    (Stream.INVOICES, Kind.INVOICE),
    (Stream.REMINDERS, Kind.PAYMENT_REMINDER),
    *((Stream.OVERDUE, kind) for kind in OF_OPERATOR),
    (Stream.BILLING_DETAILS, Kind.BILLING_DETAILS),
    *((Stream.SUBSCRIPTION, kind) for kind in OF_SUBSCRIPTION),
]
