"""Mails as people read them: every kind in every form, in the tenant's zone and locale, and nothing of a name becomes HTML."""

from dataclasses import replace

import pytest

from services.notifier.domain import Kind, Stream
from services.notifier.rendering import LANGUAGES, ROWS_MAX, TEMPLATES, Recipient, table
from tests.support.emails import DATA, EVERY, NAMES, TENANT, mail, notice


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
        ("Asia/Tokyo", "en"): "Friday, November 22, 2013, 6:00:04\u00a0PM (Asia/Tokyo)",
        ("Nowhere/Land", "en_GB"): "Friday, 22 November 2013, 09:00:04 (UTC)",
    }
    for (zone, locale), text in told.items():
        tenant = replace(TENANT, time_zone=zone, locale=locale)
        assert text in mail(Stream.OWN, notice(Kind.FLAGGED, Stream.OWN), tenant=tenant).text


@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=str)
def test_an_e_mail_in_a_locale_without_a_translation_is_english_throughout(stream: Stream, kind: Kind) -> None:
    english = mail(stream, notice(kind, stream), tenant=replace(TENANT, locale="en"))
    for locale in ("de", "de_CH", "ar_EG", "pt-BR", "xx"):
        assert mail(stream, notice(kind, stream), tenant=replace(TENANT, locale=locale)) == english
    assert '<html lang="en">' in english.html


def test_a_translation_has_a_file_for_each_english_one() -> None:
    """Or an e-mail in that language could not be written; English is never filled in between."""
    assert "en" in LANGUAGES
    for language in LANGUAGES:
        assert {path.name for path in (TEMPLATES / language).iterdir()} == {path.name for path in (TEMPLATES / "en").iterdir()}


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
