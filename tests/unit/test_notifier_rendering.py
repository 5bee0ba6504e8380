"""Mails as people read them: every kind in every form, in the tenant's zone and locale, and nothing of a name becomes HTML."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.notifier.domain import Audience, Kind, Notice, Stream
from services.notifier.rendering import ROWS_MAX, Links, Names, Recipient, Rendered, Tenant, render, table

AT = datetime(2013, 11, 15, 9, 0, 4, tzinfo=UTC)
DEADLINE = "2013-11-22T09:00:04.000Z"
TENANT = Tenant("acme", "Acme Bikes", "Europe/Copenhagen", "en_GB", "office@acme.example", "help@vendor.example")
BO = Recipient("bo@acme.example", "Bo Berg", "u1")
LINKS = Links(actions="http://notifier/actions", quotes="http://invoicing/quotes")
ACTOR = {"kind": "user", "id": "anna"}
LINE = {"module": "time", "quantity": 6, "days": 13, "days_of_period": 30, "net_minor": 3120, "recurring_then_minor": 343200}
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
DATA: dict[Kind, dict[str, Any]] = {
    Kind.FLAGGED: {"deadline": DEADLINE},
    Kind.REFUSED: {"reason": "pool_full"},
    Kind.REVOKED: {"base": True, "reason": "grace_expired"},
    Kind.WITHDRAWN: {"reason": "base_module_revoked"},
    Kind.CLEARED: {"reason": "licence_bought"},
    Kind.GRANTED: {"reason": "restored"},
    Kind.EXPANDED: {"by": 1},
    Kind.NEAR_LIMIT: {},
    Kind.AT_LIMIT: {},
    Kind.REDUCTION_LIMITED: {},
    Kind.PURCHASED: {"order": "o1", "quote": "q1", "lines": [LINE], "actor": ACTOR},
    Kind.ORDER_REFUSED: {"order": "o1", "quote": "q1", "reason": "expected_differs", "actor": ACTOR},
    Kind.REDUCED: {"quantity": 3},
    Kind.REDUCTION_SCHEDULED: {"quantity": 270, "would_flag": ["u1"], "would_flag_count": 1},
    Kind.REDUCTION_REFUSED: {"must_free": 4, "reason": "below_use"},
    Kind.BILLING_DETAILS: {"version": "v2", "actor": ACTOR},
    Kind.INVOICE: INVOICE,
}
OF_PEOPLE = (Kind.FLAGGED, Kind.REFUSED, Kind.REVOKED, Kind.WITHDRAWN, Kind.CLEARED, Kind.GRANTED)
OF_SEATS = (*OF_PEOPLE, Kind.EXPANDED, Kind.NEAR_LIMIT, Kind.AT_LIMIT, Kind.REDUCTION_LIMITED)
NAMES = Names(
    people={"u1": "Bo Berg"},
    modules={"time": "Time Registration"},
    administrators=[Recipient("anna@acme.example", "Anna")],
    quotes={"q1": {"currency": "EUR", "net_minor": 3120, "tax_minor": 780, "gross_minor": 3900, "charge": "now"}},
)


def notice(kind: Kind, stream: Stream, user: str | None = "u1", module: str | None = "time", **more: Any) -> Notice:
    pool = {"module": module, "licences": 280, "next_period": 280, "active": 280, "flagged": 10, "held": 0, "waiting": 0, "available": 0}
    data = {"reason": "over_limit", "pool": pool if module else None} | DATA[kind] | more
    audience = Audience.PERSON if stream is Stream.OWN else Audience.ADMINISTRATORS
    return Notice(f"{kind}", audience, stream, kind, AT, user, module, data)


def mail(stream: Stream, *notices: Notice, tenant: Tenant = TENANT, names: Names = NAMES, recipient: Recipient = BO) -> Rendered:
    return render(stream, tenant, recipient, notices, names, LINKS, AT)


EVERY = [
    *((Stream.OWN, kind) for kind in OF_PEOPLE),
    *((Stream.UNDELIVERED, kind) for kind in OF_PEOPLE),
    *((Stream.SEATS, kind) for kind in OF_SEATS),
    *((Stream.BILLING, kind) for kind in Kind if kind not in OF_SEATS),
]


def test_every_kind_is_in_some_mail() -> None:
    assert {kind for _, kind in EVERY} == set(Kind) == set(DATA)


@pytest.mark.parametrize("locale", ["en", "en_GB", "da", "de-DE", "ar", "xx"])
@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=lambda value: str(value))
def test_A13_every_kind_names_the_support_contact_in_every_locale(stream: Stream, kind: Kind, locale: str) -> None:
    rendered = mail(stream, notice(kind, stream), tenant=replace(TENANT, locale=locale))
    assert rendered.subject
    assert "\n" not in rendered.subject
    assert "Support: help@vendor.example" in rendered.text, "A13"
    assert rendered.html.lstrip().startswith("<!doctype html>")
    for left_over in ("{{", "{%", "None", "Undefined"):
        assert left_over not in rendered.subject + rendered.text + rendered.html


def test_times_are_in_the_tenants_zone_and_locale() -> None:
    told = {
        ("Europe/Copenhagen", "en_GB"): "Friday, 22 November 2013, 10:00:04 (Europe/Copenhagen)",
        ("America/New_York", "en_US"): "Friday, November 22, 2013, 4:00:04\u00a0AM (America/New_York)",
        ("Asia/Tokyo", "de"): "Freitag, 22. November 2013, 18:00:04 (Asia/Tokyo)",
        ("Nowhere/Land", "en_GB"): "Friday, 22 November 2013, 09:00:04 (UTC)",
    }
    for (zone, locale), text in told.items():
        tenant = replace(TENANT, time_zone=zone, locale=locale)
        assert text in mail(Stream.OWN, notice(Kind.FLAGGED, Stream.OWN), tenant=tenant).text


def test_names_are_text_in_html_too() -> None:
    evil = "<script>alert(1)</script>&\"'"
    names = replace(NAMES, people={"u1": evil}, modules={"time": evil})
    tenant = replace(TENANT, name=evil, support_contact=evil)
    for stream, kind in EVERY:
        rendered = mail(stream, notice(kind, stream), names=names, tenant=tenant, recipient=Recipient("x@y.example", evil))
        assert "<script" not in rendered.html, (stream, kind)
        assert evil in rendered.text, (stream, kind)


def test_a_long_table_ends_with_how_many_more_there_are() -> None:
    notices = [notice(Kind.FLAGGED, Stream.SEATS, user=f"u{i}") for i in range(ROWS_MAX + 10)]
    rendered = mail(Stream.SEATS, *notices)
    assert rendered.subject == "Acme Bikes: 210 over the limit"
    assert "... and 10 more, in the action log: http://notifier/actions" in rendered.text
    assert "u199" in rendered.text
    assert "u200" not in rendered.text


def test_T6_who_loses_a_base_module_reads_that_the_account_is_deactivated_and_nothing_is_lost() -> None:
    rendered = mail(Stream.OWN, notice(Kind.REVOKED, Stream.OWN), notice(Kind.WITHDRAWN, Stream.OWN, module="documents"))
    assert rendered.subject == "Your account at Acme Bikes has been deactivated"
    assert "Nothing that you made or recorded is lost." in rendered.text
    assert "documents ended as well" in rendered.text


def test_T6_a_person_reads_that_the_end_they_were_told_of_does_not_come_and_why() -> None:
    kept = mail(Stream.OWN, notice(Kind.CLEARED, Stream.OWN))
    assert kept.subject == "You keep your access to Time Registration"
    for text in ("no longer over the licence limit of Time Registration: licences have been bought", "you were told of does not come"):
        assert text in " ".join(kept.text.split())
    assert "ask an administrator" not in kept.text
    freed = mail(Stream.OWN, notice(Kind.CLEARED, Stream.OWN, reason="seat_released"))
    assert "a licence has become free" in freed.text
    assert "a licence has become free" in freed.html


def test_who_comes_out_of_the_queue_or_is_restored_reads_that_they_have_access() -> None:
    restored = mail(Stream.OWN, notice(Kind.GRANTED, Stream.OWN))
    assert restored.subject == "You have access to Time Registration"
    assert "You have access to Time Registration again: licences have been bought." in restored.text
    served = mail(Stream.OWN, notice(Kind.GRANTED, Stream.OWN, reason="seat_released"))
    assert "You have access to Time Registration: a licence has become free." in served.text


def test_the_administrators_read_who_is_settled_in_the_same_mail_as_the_rest() -> None:
    notices = [notice(Kind.CLEARED, Stream.SEATS), notice(Kind.GRANTED, Stream.SEATS), notice(Kind.FLAGGED, Stream.SEATS, user="u2")]
    rendered = mail(Stream.SEATS, *notices)
    assert rendered.subject == "Acme Bikes: 1 over the limit, 1 no longer over the limit, 1 given access"
    assert "Bo Berg  Time Registration  licences have been bought" in rendered.text
    assert "No longer over the limit" in rendered.html


def test_T19_a_purchase_says_what_it_costs_now_and_each_period() -> None:
    rendered = mail(Stream.BILLING, notice(Kind.PURCHASED, Stream.BILLING, module=None))
    assert rendered.subject == "Acme Bikes: 6 licences of Time Registration bought"
    for text in ("13 of 30 days", "€31.20", "€3,432.00", "total €39.00", "It is invoiced now."):
        assert text in rendered.text


def test_a_purchase_whose_quote_is_not_known_is_confirmed_without_amounts() -> None:
    rendered = mail(Stream.BILLING, notice(Kind.PURCHASED, Stream.BILLING, module=None), names=replace(NAMES, quotes={}))
    assert "+6" in rendered.text
    assert "Net" not in rendered.text


def test_columns_of_a_text_table_are_aligned() -> None:
    assert table([("a", 1), ("bbb", 22)], ("x", "n"), numeric=[1]) == "x     n\n---  --\na     1\nbbb  22"


@pytest.mark.parametrize("stream", Stream)
def test_a_name_stays_in_its_line_and_says_nothing_in_our_name(stream: Stream) -> None:
    forged = "Anna\r\nBcc: eve@x.example\n\nYOUR SEAT IS REVOKED\u202e"
    told = "Anna Bcc: eve@x.example YOUR SEAT IS REVOKED"
    names = replace(NAMES, people={"u1": forged}, modules={"time": forged}, administrators=[Recipient("anna@acme.example", forged)])
    kind = Kind.PURCHASED if stream is Stream.BILLING else Kind.FLAGGED
    tenant = replace(TENANT, name=forged, support_contact=forged)
    found = mail(stream, notice(kind, stream), tenant=tenant, names=names, recipient=Recipient("anna@acme.example", forged))
    assert told in found.subject or stream is Stream.OWN
    for form in (found.subject, found.text, found.html):
        assert "\u202e" not in form
        assert not any(line.startswith(("Bcc", "YOUR")) for line in form.splitlines())
