"""E-mails as people read them: each kind in text and HTML, in the tenant's time zone and locale; no name becomes HTML."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.notifier.consumers.notifications import NOTIFIED
from services.notifier.domain.notifications import Audience, Kind, Notification, Stream, is_moot, notifications_of, still_valid
from services.notifier.email.message import LINK_PLACEHOLDER
from services.notifier.email.rendering import CATALOGUES, ROWS_MAX, TEMPLATES, Links, Names, Recipient, Words, render_alone, table
from shared.buying import Buying, Plan, buying_of
from shared.schemas import registry, seats_v1, users_v1
from shared.schemas.base import Actor, Payload
from shared.schemas.invoicing_v1 import UnitPrice
from shared.schemas.topics import INVOICING_EVENTS
from tests.support import samples, translations
from tests.support.emails import AT, BO, DATA, EVERY, LINE, LINKS, NAMES, OF_PEOPLE, TENANT, email, notification, with_console
from tests.support.messaging import NOON
from tests.support.seats_harness import SeatsHarness


def test_every_kind_of_notification_is_in_an_e_mail() -> None:
    assert {kind for _, kind in EVERY} == set(Kind) == set(DATA)


@pytest.mark.parametrize("locale", ["en", "en_GB", "da", "de-DE", "ar", "xx"])
@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=lambda value: str(value))
def test_A13_every_kind_names_the_support_contact_in_every_locale(stream: Stream, kind: Kind, locale: str) -> None:
    rendered = email(stream, notification(kind, stream), tenant=replace(TENANT, locale=locale))
    assert rendered.subject
    assert "\n" not in rendered.subject
    assert "Support: help@vendor.example" in rendered.text, "A13"
    assert rendered.html.lstrip().startswith("<!doctype html>")
    for left_over in ("{{", "{%", "None", "Undefined"):
        assert left_over not in rendered.subject + rendered.text + rendered.html


@pytest.mark.parametrize("minimal", [False, True])
@pytest.mark.parametrize("model", NOTIFIED[INVOICING_EVENTS], ids=lambda model: model.__name__)
def test_each_event_of_invoicing_makes_an_e_mail_that_can_be_rendered(model: type[Payload], minimal: bool) -> None:
    """Minimal: the event has none of its optional fields, which a writer may leave out."""
    body = samples.committed()[registry.type_of(model)]["body"]
    optional = [name for name, field in model.model_fields.items() if not field.is_required()] if minimal else []
    event = registry.parse(registry.type_of(model), orjson.dumps({name: value for name, value in body.items() if name not in optional}))
    for each in notifications_of(event, "e1"):
        assert email(each.stream, each).subject


def words(text: str) -> str:
    """The words of a text, to compare: without marks, and with the same case."""
    return " ".join(re.findall(r"[\w@:/%+-]+(?:[.][\w@:/%+-]+)*", text.lower()))


def pieces(text: str) -> list[str]:
    """The sentences of a plain text, and the cells of its tables."""
    found = re.split(r"\n(?=\n|  - )|\n(?=\S)|(?<=[.:])\s|(?<=\S)  +(?=\S)", re.sub(r"^[- ]+$", "", text, flags=re.MULTILINE))
    return [piece.removeprefix("- ").rstrip(":") for piece in map(words, found) if piece]


def html_words(html: str) -> str:
    linked = re.sub(r'<a href="(?:mailto:)?([^"]*)"[^>]*>(.*?)</a>', r"\2 \1", html.partition("<body")[2])
    return words(unescape(re.sub(r"<[^>]*>", " ", linked)))


MANY = [(stream, kinds) for stream, kinds in [
    (Stream.OWN, OF_PEOPLE),
    (Stream.OWN, (Kind.WITHDRAWN, Kind.REFUSED)),
    (Stream.OWN, (Kind.WITHDRAWN, Kind.FLAGGED)),
    (Stream.SEATS, OF_PEOPLE),
]]  # fmt: skip


@pytest.mark.parametrize("links", [LINKS, with_console("https://vendor.example")], ids=["REST", "console"])
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(("stream", "kinds"), [*((stream, (kind,)) for stream, kind in EVERY), *MANY], ids=str)
def test_the_text_and_the_html_of_an_e_mail_say_the_same(stream: Stream, kinds: tuple[Kind, ...], allowed: bool, links: Links) -> None:
    names = replace(NAMES, buying=Buying(allowed, "Standard", () if allowed else ("Large",)))
    found = email(stream, *(notification(kind, stream) for kind in kinds), names=names, links=links)
    html = html_words(found.html)
    assert [piece for piece in pieces(found.text) if piece not in html] == []
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", found.html, re.DOTALL)
    assert heading is not None
    assert words(unescape(heading[1])) == words(found.subject.removeprefix("Acme Bikes: ")), "the heading is the subject"


@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=str)
def test_each_e_mail_of_a_tenant_with_a_test_clock_says_that_it_is_a_rehearsal(stream: Stream, kind: Kind) -> None:
    for clock in ("real", "test"):
        found = email(stream, notification(kind, stream), tenant=replace(TENANT, clock=clock))
        for written in (found.text, found.html):
            assert ("This e-mail is a rehearsal on a test clock." in written) is (clock == "test")


def test_times_are_in_the_time_zone_and_the_locale_of_the_tenant() -> None:
    times = {
        ("Europe/Copenhagen", "en_GB"): "Friday, 22 November 2013, 10:00:04 (Europe/Copenhagen)",
        ("America/New_York", "en_US"): "Friday, November 22, 2013, 4:00:04\u00a0AM (America/New_York)",
        ("Asia/Tokyo", "en"): "Friday, 22 November 2013, 18:00:04 (Asia/Tokyo)",
        ("Nowhere/Land", "en_GB"): "Friday, 22 November 2013, 09:00:04 (UTC)",
    }
    for (zone, locale), text in times.items():
        tenant = replace(TENANT, time_zone=zone, locale=locale)
        assert text in email(Stream.OWN, notification(Kind.FLAGGED, Stream.OWN), tenant=tenant).text


@pytest.mark.parametrize(("stream", "kind"), EVERY, ids=str)
def test_an_e_mail_in_a_locale_without_a_catalogue_is_english_throughout(stream: Stream, kind: Kind) -> None:
    english = email(stream, notification(kind, stream), tenant=replace(TENANT, locale="en"))
    for locale in ("ar_EG", "pt-BR", "xx"):
        assert email(stream, notification(kind, stream), tenant=replace(TENANT, locale=locale)) == english
    assert '<html lang="en">' in english.html


@pytest.mark.parametrize("path", sorted(CATALOGUES.glob("*.po")), ids=lambda path: path.stem)
def test_every_text_of_the_e_mails_is_translated_and_keeps_its_values(path: Path) -> None:
    assert translations.missing(path) == [], "make translations"
    assert translations.wrong_values(path) == []


def test_the_templates_of_the_e_mails_have_no_text_that_is_not_in_the_catalogues() -> None:
    """A text is in `_(…)`. What is left of a template without its tags has no letters."""
    for path in sorted(TEMPLATES.rglob("*.j2")):
        left = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}|<style>.*?</style>|<[^>]*>|&\w+;", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"[a-zA-Z]", left), (path.name, left.split())


@pytest.mark.parametrize(("stream", "kind"), [each for each in EVERY if each[0] is not Stream.OVERDUE], ids=str)
def test_an_e_mail_has_no_english_text_in_a_language_with_a_catalogue(stream: Stream, kind: Kind) -> None:
    english = {line for line in email(stream, notification(kind, stream)).text.splitlines() if len(line.split()) > 3 and line.endswith(".")}
    for path in sorted(CATALOGUES.glob("*.po")):
        found = email(stream, notification(kind, stream), tenant=replace(TENANT, locale=path.stem))
        assert english & set(found.text.splitlines()) == set()
        assert f'<html lang="{path.stem}">' in found.html


def test_the_vendors_operators_read_english() -> None:
    for stream, kind in ((Stream.OVERDUE, Kind.PURCHASES_BLOCKED), (Stream.REQUESTS, Kind.PURCHASE_REQUEST)):
        told = replace(notification(kind, stream), audience=Audience.OPERATOR)
        assert '<html lang="en">' in email(stream, told, tenant=replace(TENANT, locale="de_DE")).html


def test_a_reminder_is_in_the_language_of_the_tenant() -> None:
    texts = {
        "en_GB": ("last reminder for invoice 2013-0001", "€14.00 of invoice 2013-0001 (€39.00) has not been paid yet."),
        "de_DE": ("letzte Zahlungserinnerung zur Rechnung 2013-0001", "sind noch 14,00\u00a0€ offen. Die Rechnung wurde am 18. November"),
        "da": (
            "sidste påmindelse om faktura 2013-0001",
            "Der mangler stadig 14,00\u00a0€ af faktura 2013-0001, som lyder på 39,00\u00a0€ i alt. Fakturaen",
        ),
    }
    for locale, (subject, text) in texts.items():
        found = email(Stream.REMINDERS, notification(Kind.PAYMENT_REMINDER, Stream.REMINDERS), tenant=replace(TENANT, locale=locale))
        assert found.subject == f"Acme Bikes: {subject}"
        assert text in found.text.replace("\n", " ")
        assert f'<html lang="{locale[:2]}">' in found.html


def test_a_name_is_never_html() -> None:
    evil = "<script>alert(1)</script>&\"'"
    names = replace(NAMES, people={"u1": evil}, modules={"time": evil})
    tenant = replace(TENANT, name=evil, support_contact=evil)
    for stream, kind in EVERY:
        rendered = email(stream, notification(kind, stream), names=names, tenant=tenant, recipient=Recipient("x@y.example", evil))
        assert "<script" not in rendered.html, (stream, kind)
        assert evil in rendered.text, (stream, kind)


def test_a_long_table_ends_with_the_number_of_rows_left_out() -> None:
    notifications = [notification(Kind.FLAGGED, Stream.SEATS, user=f"u{i}") for i in range(ROWS_MAX + 10)]
    rendered = email(Stream.SEATS, *notifications)
    assert rendered.subject == "Acme Bikes: 210 seats over the limit"
    assert "... and 10 more. The action log contains all of them: http://notifier/actions" in rendered.text
    assert "u199" in rendered.text
    assert "u200" not in rendered.text


def test_M12_the_expansions_of_an_import_are_one_sentence_for_each_module() -> None:
    found = [notification(Kind.EXPANDED, Stream.SEATS, user=None, module=module) for _ in range(60) for module in ("time", "documents")]
    rendered = email(Stream.SEATS, *found)
    assert rendered.subject.count("was expanded by 60 licences") == rendered.text.count("was expanded by 60 licences") == 2
    assert rendered.html.count("according to its over-limit policy") == 2
    assert len(rendered.subject) < 120


def test_T6_a_person_who_loses_a_base_module_reads_that_the_account_is_deactivated_and_nothing_is_lost() -> None:
    rendered = email(Stream.OWN, notification(Kind.REVOKED, Stream.OWN), notification(Kind.WITHDRAWN, Stream.OWN, module="documents"))
    assert rendered.subject == "Your account at Acme Bikes has been deactivated"
    assert "Nothing that you made or recorded is lost." in rendered.text
    assert "Your access to documents ended on Friday, 15 November 2013, 10:00:04 (Europe/Copenhagen)" in rendered.text


def test_T6_a_person_whose_flag_is_cleared_reads_that_they_keep_access_and_why() -> None:
    kept = email(Stream.OWN, notification(Kind.CLEARED, Stream.OWN))
    assert kept.subject == "You keep your access to Time Registration"
    for text in (
        "no longer over the licence limit of Time Registration. Licences were bought.",
        "Please ignore the end date in our earlier e-mail.",
    ):
        assert text in " ".join(kept.text.split())
    assert "ask an administrator" not in kept.text
    freed = email(Stream.OWN, notification(Kind.CLEARED, Stream.OWN, reason="seat_released"))
    assert "A licence has become available" in freed.text
    assert "A licence has become available" in freed.html


def test_a_person_from_the_queue_or_restored_reads_that_they_have_access() -> None:
    restored = email(Stream.OWN, notification(Kind.GRANTED, Stream.OWN))
    assert restored.subject == "You have access to Time Registration again"
    assert "You have access to Time Registration again. Licences were bought." in restored.text
    served = email(Stream.OWN, notification(Kind.GRANTED, Stream.OWN, reason="seat_released"))
    assert "You have access to Time Registration. A licence has become available." in served.text


def test_the_subject_of_an_e_mail_about_several_modules_names_all_that_it_is_true_of() -> None:
    def subject(*given: tuple[Kind, str, dict[str, Any]]) -> str:
        return email(Stream.OWN, *(notification(kind, Stream.OWN, module=module, **more) for kind, module, more in given)).subject

    both = [(Kind.GRANTED, module, {"reason": "seat_released"}) for module in ("time", "documents")]
    assert subject(*both) == "You have access to Time Registration, documents"
    other = (Kind.GRANTED, "analysis", {"reason": "restored"})
    assert subject(*both, other) == "You have access to Time Registration, documents", "it is not said of one that is restored"
    flagged: list[tuple[Kind, str, dict[str, Any]]] = [(Kind.FLAGGED, "time", {}), (Kind.FLAGGED, "documents", {})]
    assert subject(*flagged, *both).startswith("Your access to Time Registration, documents ends on ")
    later = (Kind.FLAGGED, "documents", {"deadline": "2014-01-01T00:00:00Z"})
    assert subject(flagged[0], later).startswith("Your access to Time Registration ends on "), "the other one ends at another time"
    assert subject(*[(Kind.WITHDRAWN, module, {}) for module in "abcd"]) == "Your access to a, b, c and more has ended"


def test_the_administrators_read_of_cleared_flags_in_the_same_e_mail() -> None:
    notifications = [
        notification(Kind.CLEARED, Stream.SEATS),
        notification(Kind.GRANTED, Stream.SEATS),
        notification(Kind.FLAGGED, Stream.SEATS, user="u2"),
    ]
    rendered = email(Stream.SEATS, *notifications)
    assert rendered.subject == "Acme Bikes: 1 seat over the limit, 1 no longer over the limit, 1 granted"
    assert "Bo Berg  Time Registration  Licences were bought." in rendered.text
    assert "No longer over the limit" in rendered.html


def test_T19_the_confirmation_of_a_purchase_states_the_price_now_and_for_each_period() -> None:
    rendered = email(Stream.BILLING, notification(Kind.PURCHASED, Stream.BILLING, module=None))
    assert rendered.subject == "Acme Bikes: 6 licences of Time Registration bought"
    for text in ("13 of the 30 days of this period", "€31.20", "€3,432.00", "total €39.00", "The invoice is issued now."):
        assert text in rendered.text


def test_an_e_mail_lists_modules_as_the_page_licences_does_base_modules_first() -> None:
    lines = [LINE | {"module": module} for module in ("documents", "analysis", "time")]
    bought = email(Stream.BILLING, notification(Kind.PURCHASED, Stream.BILLING, module=None, lines=lines))
    for text in (bought.subject, bought.text):
        assert re.findall("Time Registration|documents|analysis", text)[:3] == ["Time Registration", "analysis", "documents"]
    both = [notification(Kind.REVOKED, Stream.OWN, module=module) for module in ("documents", "time")]
    assert email(Stream.OWN, *both).subject == email(Stream.OWN, *reversed(both)).subject


def test_the_confirmation_of_a_purchase_names_the_people_who_are_still_deactivated_and_how_to_bring_them_back() -> None:
    names = replace(NAMES, deactivated=[f"Person {number}" for number in range(250)])
    rendered = email(Stream.BILLING, notification(Kind.PURCHASED, Stream.BILLING, module=None), names=names)
    for form in (rendered.text, rendered.html):
        assert all(text in form for text in ("Person 0", "Person 199", "50 more", "http://users/people/reactivate-refused?include=revoked"))
        assert "Person 200" not in form
    assert "deactivated" not in email(Stream.BILLING, notification(Kind.PURCHASED, Stream.BILLING, module=None)).text


def test_T6_a_reminder_states_when_the_access_ends() -> None:
    for stream, subject in ((Stream.OWN, "Reminder: your access"), (Stream.SEATS, "1 seat about to be revoked")):
        rendered = email(stream, notification(Kind.GRACE_ENDING, stream))
        assert subject in rendered.subject
        assert "22 November 2013, 10:00" in rendered.text or "22 Nov 2013, 10:00" in rendered.text


def test_a_purchase_is_confirmed_without_amounts_if_its_quote_is_unknown() -> None:
    rendered = email(Stream.BILLING, notification(Kind.PURCHASED, Stream.BILLING, module=None), names=replace(NAMES, quotes={}))
    assert "+6" in rendered.text
    assert "Net" not in rendered.text


def test_the_columns_of_a_plain_text_table_are_aligned() -> None:
    assert table([("a", 1), ("bbb", 22)], ("x", "n"), numeric=[1]) == "x     n\n---  --\na     1\nbbb  22"


@pytest.mark.parametrize("stream", Stream)
def test_a_name_cannot_add_lines_to_an_e_mail(stream: Stream) -> None:
    forged = "Anna\r\nBcc: eve@x.example\n\nYOUR SEAT IS REVOKED\u202e"
    told = "Anna Bcc: eve@x.example YOUR SEAT IS REVOKED"
    names = replace(NAMES, people={"u1": forged}, modules={"time": forged}, administrators=[Recipient("anna@acme.example", forged)])
    kind = {
        Stream.BILLING: Kind.PURCHASED,
        Stream.INVOICES: Kind.INVOICE,
        Stream.BILLING_DETAILS: Kind.BILLING_DETAILS,
        Stream.SUBSCRIPTION: Kind.KEPT,
        Stream.PEOPLE: Kind.CHANGES_STOPPED,
        Stream.INVITATION: Kind.INVITED,
        Stream.OWNERS: Kind.LAST_OWNER_LOST,
    }.get(stream, Kind.FLAGGED)
    tenant = replace(TENANT, name=forged, support_contact=forged)
    found = email(stream, notification(kind, stream), tenant=tenant, names=names, recipient=Recipient("anna@acme.example", forged))
    assert told in found.subject or stream is Stream.OWN
    for form in (found.subject, found.text, found.html):
        assert "\u202e" not in form
        assert not any(line.startswith(("Bcc", "YOUR")) for line in form.splitlines())


def refused_in(harness: SeatsHarness, user: str, *modules: str, **rest: Any) -> list[Notification]:
    """The notifications of the real decision on what the person needs."""
    harness.assign(user, *modules, **rest)
    return [
        each for event in harness.events for each in notifications_of(registry.parse(event.type, orjson.dumps(event.body)), f"e{event.n}")
    ]


def words_of(notifications: list[Notification], stream: Stream, buying: Buying, pools: dict[str, bool]) -> str:
    """Subject, text and the HTML's text of one e-mail, each on one line."""
    names = Names(modules={"core": "Core", "docs": "Documents", "plan": "Planning"}, buying=buying, pools=pools)
    found = email(stream, *(each for each in notifications if each.stream is stream), names=names)
    plain = re.sub(r"<[^>]+>", " ", found.html)
    return "\n".join(" ".join(part.split()) for part in (found.subject, found.text, plain))


ALLOWED = Buying(True, "Standard")
NOT_ALLOWED = Buying(False, "Small", ("Large", "Medium"))
WHY = {
    # name of the case: (what the person requires, each refused module with the words that say why)
    "its own pool is full": (
        ("core", "plan"),
        {"Planning": "All licences of Planning are in use.", "Core": "It is only granted together with Planning."},
    ),
    "another module is not in the subscription": (
        ("core", "docs", "none"),
        {"Documents": "It is only granted together with none. The subscription does not include none."},
    ),
    "its base module is full": (
        ("full", "docs"),
        {"Documents": "It can only be used together with full. All licences of full are in use."},
    ),
}


@pytest.mark.parametrize("case", WHY)
@pytest.mark.parametrize("stream", [Stream.OWN, Stream.SEATS])
def test_a_refusal_names_the_module_that_caused_it(case: str, stream: Stream) -> None:
    harness = SeatsHarness()
    harness.pool("core", 5, base=True)
    harness.pool("full", 1, base=True, over_limit="reject")
    harness.pool("docs", 5)
    harness.pool("plan", 1, over_limit="reject")
    harness.assign("first", "plan", "full")
    modules, expected = WHY[case]
    notifications = refused_in(harness, "u1", *modules)
    told = words_of(notifications, stream, ALLOWED, {"core": True, "full": True, "docs": False, "plan": False})
    for module, words in expected.items():
        assert told.count(words) >= 2, (module, words, told)
    assert ("licences of Documents are in use" in told, "licences of Core are in use" in told) == (False, False), "some are free"


@pytest.mark.parametrize("kind", [Kind.FLAGGED, Kind.REFUSED, Kind.REVOKED, Kind.NEAR_LIMIT, Kind.AT_LIMIT])
def test_E10_B2_an_e_mail_explains_buying_only_if_the_plan_allows_it_and_otherwise_names_plans_that_do(kind: Kind) -> None:
    for stream in (Stream.OWN, Stream.SEATS) if kind in OF_PEOPLE else (Stream.SEATS,):
        told = {
            buying: words_of([notification(kind, stream)], stream, buying, {"time": True}) for buying in (ALLOWED, NOT_ALLOWED, Buying())
        }
        buys = {buying: bool(re.search(r"\b(buy|bought|quote)", words, re.IGNORECASE)) for buying, words in told.items()}
        assert buys == {ALLOWED: True, NOT_ALLOWED: False, Buying(): False}
        if kind is not Kind.FLAGGED or stream is Stream.SEATS:
            assert told[NOT_ALLOWED].count("The plan Small does not allow extra licences. These plans do: Large, Medium.") == 2


def test_B2_a_refused_order_does_not_suggest_a_new_quote_if_the_plan_allows_no_extra_licences() -> None:
    refused = notification(Kind.ORDER_REFUSED, Stream.BILLING, module=None)
    asks = {buying: words_of([refused], Stream.BILLING, buying, {}).lower().count("post http") for buying in (ALLOWED, NOT_ALLOWED)}
    assert asks == {ALLOWED: 2, NOT_ALLOWED: 0}


def test_an_e_mail_does_not_suggest_licences_of_a_module_outside_the_subscription() -> None:
    harness = SeatsHarness()
    harness.pool("core", 5, base=True)
    told = words_of(refused_in(harness, "u1", "core", "docs", partial=True), Stream.SEATS, ALLOWED, {"core": True})
    assert "The subscription does not include Documents." in told
    assert told.count("To add a module to the subscription, contact support.") == 2
    assert not re.search(r"\b(buy|quote)", told, re.IGNORECASE)


def test_a_refusal_before_the_subscription_starts_makes_no_e_mail() -> None:
    harness = SeatsHarness()
    notifications = refused_in(harness, "u1", "core", "docs")
    assert [each.kind for each in notifications] == [Kind.REFUSED] * 4
    assert [is_moot(each, set()) for each in notifications] == [True] * 4, "no pool is open"
    assert [is_moot(each, {"core", "docs"}) for each in notifications] == [True] * 4, "both have opened: the decision is made again"
    assert [is_moot(each, {"core"}) for each in notifications] == [True, True, False, False], "documents is missing in the subscription"
    harness.pool("core", 1, base=True, over_limit="reject")
    harness.assign("first", "core")
    assert not any(is_moot(each, {"core"}) for each in refused_in(harness, "u2", "core"))


def test_B2_only_plans_with_the_tenants_modules_term_and_currency_are_suggested() -> None:
    def plan(name: str, *modules: str, extra: bool = True, currency: str = "EUR", term: str = "monthly") -> Plan:
        return Plan(name, name.title(), currency, extra, [UnitPrice(module=module, term=term, amount_minor=1) for module in modules])

    plans = [
        plan("small", "core", extra=False),
        plan("large", "core", "docs"),
        plan("other", "docs"),
        plan("dollar", "core", currency="USD"),
        plan("yearly", "core", term="annual"),
    ]
    assert buying_of(plans[0], "monthly", plans, {"core"}) == Buying(False, "Small", ("Large",))
    assert buying_of(plans[1], "monthly", plans, {"core"}) == Buying(True, "Large")
    former = (plan("small", "core"), plan("large", "core", extra=False))  # lists from which the subscription has not changed yet
    assert buying_of(former[0], "monthly", plans, {"core"}) == Buying(True, "Small")
    assert buying_of(former[1], "monthly", plans, {"core"}) == Buying(False, "Large")
    assert buying_of(None, "monthly", plans, {"core"}) == Buying()


def test_an_e_mail_about_stopped_changes_says_how_many_people_they_would_end_and_what_to_do() -> None:
    waiting = email(Stream.PEOPLE, notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, user=None, module=None))
    assert waiting.subject == "Acme Bikes: changes from hr/acme were stopped"
    assert (
        "would end the access of 300 people. Without a confirmation, at most 6 people can lose access within an hour. Nobody was changed."
        in waiting.text
    )
    assert 'confirm the number of people, 300: POST http://users/held-events/confirm {"confirm": 300, "source": "hr/acme"}' in waiting.text
    assert 'POST http://users/held-events/discard {"source": "hr/acme"}' in waiting.text
    assert 'POST http://users/held-events/confirm {"confirm": 300, "source": "hr/acme"}</code>' in waiting.html
    odd = notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, user=None, module=None, source='hr/"a\n<b>')
    assert r'discard {"source": "hr/\"a\n\u003cb\u003e"}' in email(Stream.PEOPLE, odd).text, "the body is JSON for any name of a source"
    slow = email(Stream.PEOPLE, notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, user=None, module=None, would_end=1, ended=6))
    assert "would end the access of 1 person. In the hour before, 6 people already lost access. Without a confirmation," in slow.text
    assert "within an hour. These changes were not applied." in slow.text
    imported = email(Stream.PEOPLE, notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, user=None, module=None, import_id="i1"))
    assert "import them again and confirm the number of people, 300: seatpool hr import … --confirm 300" in imported.text
    assert "held-events" not in imported.text + imported.html
    of_scim = email(Stream.PEOPLE, notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, user=None, module=None, source="scim/okta"))
    for form in (of_scim.text, of_scim.html.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"')):
        assert 'POST http://users/scim-connections/okta/confirm {"confirm": <number>}' in form
        assert "held-events" not in form


def test_the_e_mail_about_conflicts_names_both_people_and_says_what_to_do() -> None:
    conflict = notification(Kind.CONFLICT_FOUND, Stream.PEOPLE, module=None, conflict="login_in_use", by="login", may_be=["u1", "u9"])
    found = email(Stream.PEOPLE, conflict)
    assert found.subject == "Acme Bikes: 1 person in conflict"
    for form in (found.text, found.html):
        assert "may be the same person as another one of Acme Bikes" in form
        assert "GET http://users/people?status=conflict" in form, "the requests below need the ids of the people"
        assert "The login is in use" in form
        assert "u9" in form
        assert "http://users/people/" in form
        assert "/separate" in form
    again = notification(Kind.CONFLICT_FOUND, Stream.PEOPLE, module=None, conflict="several_people", by="email", may_be=["u8", "u9"])
    both = email(Stream.PEOPLE, conflict, again)
    assert both.subject == "Acme Bikes: 1 person in conflict", "the last conflict of a person counts"
    for form in (both.text, both.html):
        assert "u8" in form
        assert "The login is in use" not in form


def test_the_e_mail_about_possible_duplicates_says_how_to_confirm_them() -> None:
    numbers = {"source": "scim/okta", "people": 500, "other_source": "hr/acme", "other_people": 501}
    found = email(Stream.PEOPLE, notification(Kind.POSSIBLE_DUPLICATES, Stream.PEOPLE, user=None, module=None, **numbers))
    assert found.subject == "Acme Bikes: possible duplicates from scim/okta"
    for form in (found.text, found.html):
        assert "scim/okta has added 500 people whom no other source knows. At the same time, scim/okta does not know 501 people of" in form
        assert 'POST http://users/possible-duplicates/confirm {"source": "scim/okta"}' in form


def test_the_e_mail_about_a_scim_token_says_what_stops_and_how_to_renew_it() -> None:
    ending = email(Stream.PEOPLE, notification(Kind.SCIM_ACCESS_ENDING, Stream.PEOPLE, user=None, module=None))
    assert ending.subject == "Acme Bikes: the token of the SCIM connection okta ends"
    for form in (ending.text, ending.html.replace("&#34;", '"')):
        assert "people who leave keep theirs" in form
        assert "POST http://users/scim-connections/okta/tokens" in form


def test_beside_a_test_clock_e_mails_mark_what_ends_in_real_time() -> None:
    """A sign-in link and a token end at the times that they name, wherever the test clock is."""
    rehearsed = replace(TENANT, clock="test")
    link = render_alone("sign_in", rehearsed, **SIGN_IN["sign_in"])
    given = notification(Kind.SCIM_ACCESS_ENDING, Stream.PEOPLE, user=None, module=None)
    token, real = email(Stream.PEOPLE, given, tenant=rehearsed), email(Stream.PEOPLE, given)
    for form in ("text", "html"):
        assert "All times are those of the test clock" not in getattr(link, form)
        assert "(Europe/Copenhagen) (real time). After that" in getattr(token, form)
        assert "real time" not in getattr(real, form)


def test_the_e_mail_about_the_last_owner_says_how_to_appoint_another() -> None:
    lost = email(Stream.OWNERS, notification(Kind.LAST_OWNER_LOST, Stream.OWNERS))
    assert lost.subject == "Acme Bikes: the last owner can no longer sign in"
    assert "Bo Berg was the last owner of Acme Bikes who could sign in." in lost.text
    assert "seatpool owners add <e-mail address> --tenant acme" in lost.text


SIGN_IN: dict[str, dict[str, Any]] = {
    "sign_in": {"link": LINK_PLACEHOLDER, "expires_at": AT},
    "sign_in_unconfirmed": {"by": "hr/<b>Lund", "at": AT, "new_login": "a", "new_email": "a@x.example"},
    "emergency_link": {"name": "Ann <b>Lund</b>\nBcc: x@evil.example", "signed_in_at": AT},
}


@pytest.mark.parametrize("locale", ["en_GB", "da", "xx"])
@pytest.mark.parametrize("template", SIGN_IN)
def test_A13_e_mails_about_signing_in_say_when_and_whom_to_ask(template: str, locale: str) -> None:
    rendered = render_alone(template, replace(TENANT, locale=locale), **SIGN_IN[template])
    assert rendered.subject.startswith("Acme Bikes: ")
    assert "\n" not in rendered.subject
    for form in (rendered.text, rendered.html):
        assert "help@vendor.example" in form
        assert "(Europe/Copenhagen)" in form
        assert not [left_over for left_over in ("{{", "{%", "None", "Undefined") if left_over in form]
    assert "<b>Lund" not in rendered.html
    assert (LINK_PLACEHOLDER in rendered.text, LINK_PLACEHOLDER in rendered.html) == (template == "sign_in",) * 2


def test_licences_that_are_free_several_times_beside_refused_people_are_told_once_in_a_digest() -> None:
    def free(available: int, module: str = "time") -> Notification:
        event = users_v1.LicencesFree(at=NOON, actor=Actor(kind="system", id="users"), module=module, available=available, refused=60)
        (found,) = notifications_of(event, f"e{available}{module}")
        return found

    valid = still_valid([free(1), free(2), free(5, "documents"), free(3)])
    assert [(each.module, each.data["available"]) for each in valid] == [("documents", 5), ("time", 3)]
    found = email(Stream.PEOPLE, *valid)
    assert "licences are available for people who were refused" in found.subject
    assert re.search(r"Time Registration +3 +60", found.text)
    assert "/people/reactivate-refused" in found.text
    assert "/people/reactivate-refused" in found.html
    caution = "Somebody who needs several modules may be refused again while another one is full."
    assert caution in " ".join(found.text.split())
    assert "licences may be added and charged" in " ".join(found.text.split())


def test_M9_the_administrators_get_a_prepared_quote_for_licences_that_do_not_come_back_with_the_people() -> None:
    decision: dict[str, Any] = {"command": "c", "position": {"partition": 0, "offset": 1}, "role": "command", "rules": 1}

    def kept(user: str) -> Notification:
        about: dict[str, Any] = {"user": user, "module": "time", "by": 1, "reduce_at": "period_end"}
        event = seats_v1.ReductionKept(**decision, **about, at=NOON, reason="leaving_withdrawn")
        (found,) = notifications_of(event, f"e-{user}")
        assert found.audience is Audience.ADMINISTRATORS
        return found

    found = email(Stream.SEATS, kept("p1"), kept("p2"))
    assert "Time Registration stays reduced by 2 licences" in found.subject
    for form in (found.text, unescape(found.html)):
        assert f'To buy them again: POST {LINKS.quotes} {{"items": [{{"add": 2, "module": "time"}}]}}' in re.sub(r"<[^>]+>", "", form)


def test_the_administrators_are_told_that_a_reduction_cancelled_the_reservations_of_invitations() -> None:
    def cancelled(user: str) -> Notification:
        decision: dict[str, Any] = {"command": "c", "position": {"partition": 0, "offset": 1}, "role": "command", "rules": 1}
        event = seats_v1.HoldCancelled(**decision, at=NOON, reason="reduced", user=user, module="time")
        (found,) = notifications_of(event, f"e-{user}")
        return found

    found = email(Stream.PEOPLE, cancelled("p1"), cancelled("p2"))
    assert "reservations for invited people were cancelled" in found.subject
    for form in (found.text, found.html):
        assert "Their invitations stay valid." in form
        assert "Time Registration" in form


def test_T14_an_e_mail_about_the_end_names_the_last_day_and_not_the_day_after_it() -> None:
    for kind in (Kind.ENDING, Kind.ENDING_SOON):
        found = email(Stream.SUBSCRIPTION, notification(kind, Stream.SUBSCRIPTION))
        assert all("30 November 2013" in form and "1 December" not in form for form in (found.subject, found.text, found.html))


def test_a_changed_grace_is_shown_in_words() -> None:
    found = email(Stream.BILLING, notification(Kind.CONTRACT_CHANGED, Stream.BILLING))
    assert all("7 days" in form and "14 days" in form and "P14D" not in form for form in (found.text, found.html))
    assert Words.of("en_GB", "UTC").duration("PT36H1S") == "1 day, 12 hours, 1 second"


def test_an_e_mail_about_another_plan_names_both_plans() -> None:
    changes = [{"field": "plan", "old": "basic", "new": "gone"}]
    found = email(Stream.BILLING, notification(Kind.CONTRACT_CHANGED, Stream.BILLING, changes=changes))
    assert all("Basic" in form and "gone" in form and "basic" not in form for form in (found.text, found.html))


def test_an_e_mail_about_other_prices_says_from_which_day_and_what_a_period_costs_then() -> None:
    found = email(Stream.BILLING, notification(Kind.PRICE_CHANGE, Stream.BILLING))
    assert "your prices change on 1 December 2013" in found.subject
    for form in (found.text, found.html):
        assert all(amount in form for amount in ("€120.00", "€130.00", "€162.50"))


def test_an_e_mail_about_prices_that_are_taken_back_says_what_was_announced_and_what_applies() -> None:
    found = email(Stream.BILLING, notification(Kind.PRICE_CHANGE_WITHDRAWN, Stream.BILLING))
    assert "the change announced for 1 December 2013 does not take place" in found.subject
    for form in (found.text, found.html):
        assert all(amount in form for amount in ("€130.00", "€120.00", "€150.00"))


def test_an_e_mail_about_other_conditions_names_each_and_no_price() -> None:
    limits = [{"field": "allows_extra_licences", "old": True, "new": False}, {"field": "time.maximum", "old": None, "new": 12}]
    policy = [{"field": "time.over_limit", "old": "expand", "new": "reject"}]
    found = email(Stream.BILLING, notification(Kind.PRICE_CHANGE, Stream.BILLING, changes=[*limits, *policy]))
    assert "the conditions of your plan change on 1 December 2013" in found.subject
    for form in (found.text, found.html):
        words = ("The plan allows extra licences", "Time Registration: Most licences", "licences are added", "no access")
        assert all(word in form for word in words)
        assert "€" not in form
    changed = email(Stream.BILLING, notification(Kind.CONTRACT_CHANGED, Stream.BILLING, changes=policy, price=None, reason="price_list"))
    assert all("The new price list of your plan no longer allows" in " ".join(form.split()) for form in (changed.text, changed.html))


def test_T19_M8_an_e_mail_about_a_reduction_says_what_it_saves_and_when() -> None:
    found = email(Stream.BILLING, notification(Kind.REDUCED, Stream.BILLING), notification(Kind.REDUCTION_ORDERED, Stream.BILLING))
    for form in (found.text, re.sub(r"<[^>]+>", "", found.html)):
        told = " ".join(form.split())
        assert "you get back €34.84 net. Of this, €11.61 is on a credit note" in told
        assert "€23.23 is deducted from charges that are on no invoice yet." in told
        assert "The next period costs €24.00 net (€30.00 with tax) instead of €60.00 net." in told
    by_leaver = email(Stream.BILLING, notification(Kind.REDUCED, Stream.BILLING)).text
    assert "You get back what you were charged for them for the rest of the period" in " ".join(by_leaver.split())


def test_T19_what_a_refused_reduction_would_have_saved_is_not_told() -> None:
    ordered = notification(Kind.REDUCTION_ORDERED, Stream.BILLING)
    refused = notification(Kind.REDUCTION_REFUSED, Stream.BILLING, module="time")
    assert still_valid([ordered, refused]) == [refused]
    assert still_valid([ordered]) == [ordered]


def test_an_e_mail_about_a_scheduled_plan_says_how_to_withdraw_it() -> None:
    found = email(Stream.BILLING, notification(Kind.PLAN_SCHEDULED, Stream.BILLING))
    assert all("POST http://invoicing/plan-changes/c1/withdraw" in form for form in (found.text, found.html))


@pytest.mark.parametrize(
    ("locale", "ends", "nobody_over"),
    [
        ("en", "{}: 3 reservations for invited people will then end", "reservations end at the next renewal"),
        ("de", "{}: Dann enden 3 Reservierungen für eingeladene Personen", "Reservierungen enden bei der nächsten Verlängerung"),
        ("da", "{}: Så ophører 3 reservationer for inviterede personer", "reservationer ophører ved næste fornyelse"),
    ],
)
def test_T18_M15_e_mails_about_a_reduction_say_how_many_reservations_end(locale: str, ends: str, nobody_over: str) -> None:
    def sent(kind: Kind, **data: Any) -> Any:
        return email(Stream.BILLING, notification(kind, Stream.BILLING, **data), tenant=replace(TENANT, locale=locale))

    time, documents = ends.format(NAMES.modules["time"]), ends.format("documents")
    assert time in sent(Kind.REDUCTION_SCHEDULED, would_cancel_count=3).text
    assert time not in sent(Kind.REDUCTION_SCHEDULED, would_cancel_count=0).text
    for kind in (Kind.RENEWAL_FORECAST, Kind.PLAN_SCHEDULED):
        assert documents in sent(kind).text
        assert documents in sent(kind, would_flag=[]).text, "also where nobody is over the limit"
        assert documents not in sent(kind, would_cancel=[]).text
    assert nobody_over in sent(Kind.RENEWAL_FORECAST, would_flag=[]).subject
    assert nobody_over not in sent(Kind.RENEWAL_FORECAST).subject


def test_T18_an_e_mail_from_before_reservations_were_counted_is_still_sent() -> None:
    """The notifier keeps a notification for a while before it sends it."""
    for kind, field in (
        (Kind.REDUCTION_SCHEDULED, "would_cancel_count"),
        (Kind.RENEWAL_FORECAST, "would_cancel"),
        (Kind.PLAN_SCHEDULED, "would_cancel"),
    ):
        told = notification(kind, Stream.BILLING)
        before = replace(told, data={name: value for name, value in told.data.items() if name != field})
        assert "reservation" not in email(Stream.BILLING, before).text


def test_E8_a_module_that_has_reached_its_limit_is_not_said_to_be_near_it() -> None:
    near, reached = (notification(kind, Stream.SEATS) for kind in (Kind.NEAR_LIMIT, Kind.AT_LIMIT))
    both = email(Stream.SEATS, near, reached, notification(Kind.NEAR_LIMIT, Stream.SEATS, module="documents"))
    assert "Time Registration has reached its limit" in both.text
    for form in (both.subject, both.text):
        assert form.count("is near its limit") == 1, "only the other module is near it"
    assert "Time Registration is near its limit" in email(Stream.SEATS, near).subject


def test_A6_the_refusal_of_an_expansion_names_what_limits_it() -> None:
    refused = notification(Kind.REFUSED, Stream.SEATS, reason="expand_cap")
    by_cap = email(Stream.SEATS, refused).text
    assert "the maximum number of licences is reached" in " ".join(by_cap.split())
    by_budget = " ".join(email(Stream.SEATS, refused, names=replace(NAMES, limits={"time": "monthly_budget"})).text.split())
    assert "All licences of Time Registration are in use, and the monthly budget for purchases allows no further licences" in by_budget


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("requested", "Nothing is ordered yet."),
        ("estimated", "You can approve it up to and including 15 December 2013."),
        ("approved", "You get the confirmation of the order in another e-mail."),
        ("declined", "The vendor declined your request. Reason: too late"),
        ("withdrawn", "The request was withdrawn by"),
        ("expired", "Nobody approved the estimate up to and including 15 December 2013, so it has expired."),
    ],
)
def test_A9_each_state_of_a_request_is_told_in_text_and_html(state: str, says: str) -> None:
    found = email(Stream.REQUESTS, notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS, state=state, reason="too late"))
    assert says in " ".join(found.text.split())
    assert words(" ".join(html_words(found.html).split())).find(words(says)) >= 0


def test_a_reason_without_a_full_stop_does_not_run_into_the_next_sentence() -> None:
    text = email(Stream.REQUESTS, notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS, state="declined", reason="too late")).text
    assert "Reason: too late\n" in text


def test_a_request_is_told_to_the_customer_and_to_the_vendor_in_different_texts() -> None:
    for state, customer, vendor in (
        ("requested", "you get another e-mail then", "seatpool requests estimate r1 --tenant acme"),
        ("estimated", "Every person with the right to buy licences can approve it.", "You sent an estimate to Acme Bikes."),
    ):
        told = notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS, state=state)
        forms = [email(Stream.REQUESTS, replace(told, audience=each)).text for each in (Audience.ADMINISTRATORS, Audience.OPERATOR)]
        assert [[text in form for text in (customer, vendor)] for form in forms] == [[True, False], [False, True]]
        notes = [f"{who} wrote: Thank you. For your 20 new people." for who in ("The vendor", "You")]
        said = [[note in " ".join(form.split()) for note in notes] for form in forms]
        assert said == ([[True, False], [False, True]] if state == "estimated" else [[False, False]] * 2)
    earlier = notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS)
    del earlier.data["note"]  # of an event that an earlier release wrote
    assert "wrote:" not in email(Stream.REQUESTS, earlier).text
    estimate = replace(notification(Kind.PURCHASE_REQUEST, Stream.REQUESTS), audience=Audience.REQUEST_CONTACT)
    text = " ".join(email(Stream.REQUESTS, estimate).text.split())
    assert "The estimate includes this discount: 10% on the whole subscription." in text
    assert "to you, as its contact." in text


@pytest.mark.parametrize("kind", [Kind.PLAN_SCHEDULED, Kind.PLAN_WITHDRAWN, Kind.PLAN_DROPPED], ids=str)
def test_an_e_mail_about_a_change_of_plan_has_the_name_of_the_plan(kind: Kind) -> None:
    text = " ".join(email(Stream.BILLING, notification(kind, Stream.BILLING)).text.split())
    assert "plan Basic (monthly)" in text
    assert "plan basic" not in text


def test_what_one_page_of_the_console_does_has_one_link() -> None:
    for stream, kind, page in (
        (Stream.BILLING, Kind.APPROVAL_NEEDED, "orders/quotes/q1"),
        (Stream.PEOPLE, Kind.CONFLICT_FOUND, "people?status=conflict"),
    ):
        assert email(stream, notification(kind, stream), links=with_console("https://v.example")).text.count(page) == 1


def test_the_e_mail_about_a_second_approval_says_who_can_give_it() -> None:
    for approved_by, who in (("anna", "except anna, who requested it"), ("u1", "except Bo Berg, who has already approved it")):
        needed = notification(Kind.APPROVAL_NEEDED, Stream.BILLING, approved_by={"kind": "user", "id": approved_by})
        assert who in email(Stream.BILLING, needed).text
    reminder = notification(Kind.APPROVAL_NEEDED, Stream.BILLING, replaces="q0", last_day="2013-11-30")
    assert "It can be approved up to and including 30 November 2013. After that" in " ".join(email(Stream.BILLING, reminder).text.split())


@pytest.mark.parametrize(("kind", "id_"), [("operator", "01J0"), ("client", "operator")])
def test_an_e_mail_to_a_customer_says_that_it_was_the_vendor_and_not_by_which_account(kind: str, id_: str) -> None:
    changed = notification(Kind.PURCHASE_SETTINGS, Stream.BILLING, actor={"kind": kind, "id": id_}, changes=[])
    assert "The rules were changed by an operator of the vendor on" in " ".join(email(Stream.BILLING, changed).text.split())


def test_rules_for_purchases_that_the_plan_decides_are_shown_so() -> None:
    changes = [{"field": "ordering", "old": "by_request", "new": None}, {"field": "monthly_budget_minor", "old": 100_000, "new": None}]
    found = email(Stream.BILLING, notification(Kind.PURCHASE_SETTINGS, Stream.BILLING, changes=changes)).text
    assert re.search(r"How licences are bought +by request to the vendor +as the plan says", found)
    assert re.search(r"Monthly budget +€1,000.00 +no limit", found)


def test_an_e_mail_about_a_discount_says_nothing_of_a_next_period_that_is_not_known() -> None:
    for kind in (Kind.DISCOUNT_GRANTED, Kind.DISCOUNT_WITHDRAWN):
        found = email(Stream.BILLING, notification(kind, Stream.BILLING, next_before=None, next_after=None))
        assert "next period" not in found.text + found.html


def test_with_a_console_no_e_mail_asks_a_customer_for_a_rest_call() -> None:
    of_scim = notification(Kind.CHANGES_STOPPED, Stream.PEOPLE, source="scim/okta")
    for stream, kind, told in (*((stream, kind, notification(kind, stream)) for stream, kind in EVERY), (Stream.PEOPLE, "scim", of_scim)):
        found = email(stream, told, links=with_console("https://console.example"))
        assert not re.search(r"\b(GET|POST|PUT|DELETE) http", found.text), (stream, kind)
    quote = email(Stream.BILLING, notification(Kind.APPROVAL_NEEDED, Stream.BILLING), links=with_console("https://console.example"))
    assert "To approve it or to withdraw it: https://console.example/tenants/acme/orders/quotes/q1" in quote.text


def test_a_subject_names_what_happened_several_times_once() -> None:
    changed = [replace(notification(Kind.CONTRACT_CHANGED, Stream.BILLING), key=key) for key in ("a", "b")]
    assert email(Stream.BILLING, *changed).subject == "Acme Bikes: subscription changed"


def test_an_amount_of_later_periods_says_that_discounts_are_not_deducted() -> None:
    for kind in (Kind.PURCHASED, Kind.APPROVAL_NEEDED):
        text = " ".join(email(Stream.BILLING, notification(kind, Stream.BILLING)).text.split())
        assert "Net amount of all licences in each later period, before discounts" in text


@pytest.mark.parametrize(("stream", "kind"), [(Stream.INVOICES, Kind.INVOICE), (Stream.REMINDERS, Kind.PAYMENT_REMINDER)])
def test_an_administrator_reads_that_the_e_mail_about_an_invoice_is_a_copy(stream: Stream, kind: Kind) -> None:
    told = notification(kind, stream)
    copy, address = Recipient("ada@acme.example", "Ada", "u9", copy=True), Recipient("pay@acme.example", "")
    to_administrator, to_address = email(stream, told, recipient=copy).text, email(stream, told, recipient=address).text
    assert "This copy of an e-mail to the invoice e-mail address of Acme Bikes was sent automatically to you as an administrator" in (
        to_administrator
    )
    assert "This e-mail was sent automatically to the invoice e-mail address of Acme Bikes" in to_address


def test_a_person_without_a_name_is_named_by_the_address_once() -> None:
    names = replace(NAMES, administrators=[Recipient("ada@acme.example", "", "u9")])
    text = email(Stream.OWN, notification(Kind.FLAGGED, Stream.OWN), names=names).text
    assert text.count("ada@acme.example") == 1


@pytest.mark.parametrize("locale", ["en_GB", "de_DE", "da_DK"])
def test_the_first_owner_is_invited_to_administer_and_told_to_ask_the_vendor(locale: str) -> None:
    """Nobody of the company could help: the other administrators are invited by this person."""
    tenant, invited = replace(TENANT, locale=locale), notification(Kind.INVITED, Stream.INVITATION, reserved=False)
    alone = email(Stream.INVITATION, invited, tenant=tenant, names=replace(NAMES, administrators=[BO]))
    one_of_many = email(Stream.INVITATION, invited, tenant=tenant)
    words_of_owners = {"en_GB": "first owner", "de_DE": "erste Inhaber", "da_DK": "første person med rollen Owner"}[locale]
    assert words_of_owners in alone.text
    assert alone.text.count("help@vendor.example") == 2, "whom to ask, beside the line of the support"
    assert "office@acme.example" not in alone.text
    assert words_of_owners not in one_of_many.text
    assert "anna@acme.example" in one_of_many.text


@pytest.mark.parametrize(
    ("locale", "subject", "closes", "lose"),
    [
        ("en", "closing of Time tracking scheduled", "closes when the next period starts", "{} people then lose access."),
        (
            "de",
            "Schließung von Time tracking geplant",
            "schließt, wenn die nächste Periode beginnt",
            "verlieren dann {} Personen den Zugang.",
        ),
        ("da", "lukning af Time tracking planlagt", "lukker, når den næste periode begynder", "mister {} personer så adgangen."),
    ],
)
def test_T19_an_e_mail_about_a_closing_says_that_the_module_closes_and_how_many_people_lose_access(
    locale: str, subject: str, closes: str, lose: str
) -> None:
    pool = {"module": "time", "licences": 10, "active": 7, "flagged": 2, "waiting": 0, "held": 1, "available": 0, "next_period": 0}
    closing = notification(Kind.REDUCTION_SCHEDULED, Stream.BILLING, quantity=0, would_flag=[], would_flag_count=0, pool=pool)
    found = email(Stream.BILLING, closing, tenant=replace(TENANT, locale=locale))
    subject = subject.replace("Time tracking", NAMES.modules["time"])
    assert subject in found.subject
    assert (closes in found.text, lose.format(9) in " ".join(found.text.split())) == (True, True)
    assert not re.search("0 (licences|Lizenzen|licenser)", found.text)
