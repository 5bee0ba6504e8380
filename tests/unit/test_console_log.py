"""The console's page of the action log, with the REST of the notifier in memory."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import get_args

import httpx
import pytest
import pytest_asyncio

from services.console.rendering import languages
from services.console.rendering.difference_texts import CONFLICTS
from services.console.rendering.formats import Formats
from services.console.rendering.log_sentences import CODES, FIELDS, KINDS, SENTENCES, Words, actor, changes, sentence
from services.invoicing.api.purchase_requests import State
from services.notifier.domain import action_log
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.registry import REGISTRY
from shared.text import join_list
from tests.support.console import ConsoleBench, console
from tests.support.console_access import change, entry

LOG = "/tenants/acme/log"
LEAVER = "terminate_reduces_pool"
ANSWERS = (seats_v1.NeedAnswered, seats_v1.SeatsMoved, seats_v1.SeatsReleased)  # their entries are those of the seats


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the list itself."""
    body = page.text[page.text.index("<main") :]
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


def test_T20_every_event_that_makes_an_entry_of_the_log_has_a_sentence() -> None:
    events = (seats_v1.SeatsEvent, users_v1.UsersEvent, invoicing_v1.InvoicingEvent)
    quiet = (*action_log._SILENT, *ANSWERS)
    made = [each for each in REGISTRY.values() if issubclass(each.model, events) and not issubclass(each.model, quiet)]
    types = {each.name.rpartition(".")[2] for each in made}
    assert types | set(action_log._TYPE_OF_STATE.values()) | {"seat_moved", "seat_changed"} == set(SENTENCES)
    assert max(len(entries) for _, entries in KINDS.values()) <= 30, "REST takes 30 types at a time"


@pytest.mark.parametrize("text", ["2026-02-30", "0000-00-00", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T9Z", "1" * 40])
@pytest.mark.parametrize("name", ["reason", "name", "department", "a_field_of_a_later_version", "licences", "percent", "price"])
async def test_a_text_that_looks_like_a_day_that_no_calendar_has_is_shown_as_it_is(bench: ConsoleBench, name: str, text: str) -> None:
    """A person, a department or a reason can be called so: the page of the log must not fail for everybody."""
    bench.company.access.entries = [
        entry("person_changed", "u2", reason=text, details={name: text}, **change({name: text}, {name: "other"})),
        entry("role_defined", details={"role": text}),
    ]
    page = await bench.signed_in().get(LOG)
    assert page.status_code == 200
    assert words(page).count(text) >= 2


async def test_an_entry_about_a_conflict_names_its_reason(bench: ConsoleBench) -> None:
    said = {}
    for reason in (*CONFLICTS, "a_later_reason"):
        bench.company.access.entries = [entry("conflict_found", "u1", details={"conflict": reason, "by": "login", "people": ["u2"]})]
        page = words(await bench.signed_in().get(LOG))
        said[reason] = page[page.index("Zora Schmid") - 60 : page.index("Zora Schmid") + 90]
    assert len(set(said.values())) == len(said)
    assert "Zora Schmid has the login of another employed person." in said["login_in_use"]
    assert "Zora Schmid may be somebody whom you have already." in said["a_later_reason"]


async def test_the_people_of_a_page_of_the_log_are_named_with_one_request(bench: ConsoleBench) -> None:
    await bench.signed_in().get(LOG)
    asked = [each.url for each in bench.company.requests if each.url.path.startswith("/v1/tenants/acme/people")]
    assert [(url.params["status"], len(url.params.get_list("user")) > 1) for url in asked] == [("all", True)]


async def test_E9_an_actor_whom_the_reader_does_not_see_is_a_person_whose_entries_nobody_can_list(bench: ConsoleBench) -> None:
    hidden = {"kind": "user", "id": "hidden"}
    bench.company.access.entries = [
        entry("role_defined", details={"role": "reader"}, actor=hidden),
        entry("role_defined", details={"role": "reader"}),
    ]
    page = await bench.signed_in().get(LOG)
    assert words(page).count("A person") == 1
    assert ("by=hidden" in page.text, "by=ann" in page.text) == (False, True)


async def test_T20_each_entry_says_who_did_what_when_and_why_in_a_sentence(bench: ConsoleBench) -> None:
    page = await bench.signed_in().get(LOG)
    text = words(page)
    assert "5 Mar 2026, 09:30 Licences of Projects were bought. Licences : 115 to 119" in text.replace("→", "to")
    flagged = "2 Mar 2026, 10:00 Zora Schmid is over the limit in Lab . State : no seat → over the limit All licences were in use, and the"
    assert flagged in text
    assert "A person left. HR system acme" in text, "somebody who was erased, or whom the reader does not see"
    assert "The role Auditor was defined. Rights : see licences, plan and invoices; read the action log Ann Müller" in text
    assert "The test clock was advanced. Time : 1 Mar 2026, 09:00 → 8 Mar 2026, 09:00 Seatpool" in text
    assert "The vendor opened this company to read it. Vera Vogt ticket 4711 An operator of the vendor" in text
    budget = "Monthly budget : CHF 1’250.00 Second approver : one person → two people, above the monthly budget"
    assert budget in text, "in the currency, and in words"
    assert "Lab: Time over the limit : 7 days → 36 hours Lab: No licence is free : Refuse the person. →" in text
    assert "Documents whose total is 0.00 : yes → no" in text
    assert "First day without the subscription : 1 Apr 2026" in text
    assert "An entry of the type something_of_a_later_version." in text
    assert "<script>alert" not in page.text
    german = words(await bench.signed_in().get(LOG, accept_language="de"))
    assert "Zora Schmid ist in Lab über der Grenze." in german


def test_the_policies_of_a_new_pool_and_the_fields_of_an_access_setting_are_named_as_on_their_pages() -> None:
    german = languages.translations()["de"].gettext
    reads = Words(german, Formats("de", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), lambda text: text.strip("PD") + " Tage", {})
    policies = "over_limit=flag, grace=P7D, terminate_reduces_pool=False"
    after = {"policies": policies, "trust_email": False, "on_full": "refuse"}
    assert changes({"type": "policies_changed", "from": {}, "to": after, "details": {}}, reads) == [
        (
            "Regeln",
            "",
            f"Keine Lizenz ist frei: {german(CODES['over_limit']['flag'])}; Zeit über der Grenze: 7 Tage; {german(FIELDS[LEAVER])}: nein",
        ),
        ("Der E-Mail-Adresse auch ohne „email_verified“ glauben", "", "nein"),
        ("Eine neue Person, und keine Lizenz ist frei", "", "Mit einem Fehler antworten"),
    ]


def test_T20_a_change_of_policies_lists_only_the_policies_that_changed_in_words() -> None:
    reads = Words(str, Formats("en-GB", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), lambda text: text.strip("PD") + " days", {})
    before = {"policies": "over_limit=flag, grace=P7D, reduce_at=now, flag_cap=5, terminate_reduces_pool=False"}
    after = {"policies": "over_limit=flag, grace=P14D, reduce_at=now, terminate_reduces_pool=True, warn_at=90%"}
    assert changes({"type": "policies_changed", "from": before, "to": after, "details": {}}, reads) == [
        (FIELDS["grace"], "7 days", "14 days"),
        (FIELDS["flag_cap"], "5", ""),
        (FIELDS[LEAVER], "no", "yes"),
        (FIELDS["warn_at"], "", "90%"),
    ]
    assert changes({"type": "policies_changed", "from": before, "to": before, "details": {}}, reads) == []


def test_T20_a_change_of_a_list_names_only_what_was_added_and_removed() -> None:
    named = {"users:read": "see people", "log:read": "read the action log", "account:read": "see licences"}
    reads = Words(str, Formats("en-GB", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), str, named)
    before = {"rights": "account:read, users:read", "roles": "owner", "departments": "Sales"}
    after = {"rights": "account:read, log:read", "roles": "owner, reader", "departments": None}
    assert changes({"type": "policies_changed", "from": before, "to": after, "details": {}}, reads) == [
        ("Rights", "", "added: read the action log; removed: see people"),
        ("Roles", "", "added: reader"),
        ("Departments", "Sales", ""),
    ]


async def test_documents_and_quotes_are_named_with_their_kind_and_number(bench: ConsoleBench) -> None:
    bench.company.access.entries = [
        entry("quote_approved", details={"quote": "q1"}),
        entry("quote_issued", module="lab", details={"quote": "q1", "quantity": 2}),
        entry("quote_issued", module="projects", details={"quote": "q1", "quantity": 4}),
        entry("quote_approved", details={"quote": "of-another-page"}),
        entry(
            "quote_approved", details={"quote": "q9", "bought": [{"module": "lab", "licences": 3}, {"module": "projects", "licences": 1}]}
        ),
        entry("second_approval_needed", details={"quote": "q9", "lines": [{"module": "lab", "quantity": 3, "net_minor": 1}]}),
        entry("order_completed", module="lab", details={"order": "o1", "quantity": 2}),
        entry("invoice_issued", details={"number": "R-7", "kind": "invoice"}),
        entry("invoice_issued", details={"number": "R-8", "kind": "credit_note"}),
    ]
    text = words(await bench.signed_in().get(LOG))
    for said in (
        "A quote was approved: Lab +2, Projects +4 .",
        "A quote was approved: Lab +3, Projects +1 .",
        "A purchase waits for a second approval: Lab +3 .",
        "A quote for Lab was requested: + 2 .",
        "A quote was approved. Ann",
        "The order of Lab was completed: + 2 .",
        "The invoice R-7 was issued.",
        "The credit note R-8 was issued.",
    ):
        assert said in text, said


async def test_codes_of_tax_countries_languages_and_plans_are_in_words_in_both_languages(bench: ConsoleBench) -> None:
    tax = {"country": "IE", "tax_category": "S", "tax_rate_percent": "8.1", "rate_country": "CH", "tax_rule": "seller_rate"}
    bench.company.access.entries = [
        entry("billing_details_changed", **change(dict.fromkeys((*tax, "city", "email")), tax | {"city": None, "email": None})),
        entry("tenant_changed", **change({"locale": "de-CH"}, {"locale": "en-IE"})),
        entry("overdue_action_changed", **change({"overdue_action": "none"}, {"overdue_action": "no_purchases"})),
        entry("contract_changed", **change({"plan": "standard", "price_notice": "P30D"}, {"plan": "small", "price_notice": "P60D"})),
        entry("discount_granted", details={"currency": "CHF"}, **change({}, {"discount.percent": "12.5", "discount.module": "lab"})),
        entry("day_charged", details={"day": "2026-03-04"}),
        entry("api_client_changed", details={"name": "ERP"}, **change({"secrets": "s1"}, {"secrets": "s1, s2"})),
    ]
    text, german = words(await bench.signed_in().get(LOG)), words(await bench.signed_in().get(LOG, accept_language="de"))
    for said in (
        "Changed : City, E-mail address Country : Ireland Tax category : with tax Tax rate : 8.1% Country of the tax rate : Switzerland",
        "Tax rule : the vendor's rate, because there is no VAT ID",
        "Language and country : German (Switzerland) → English (Ireland)",
        "If invoices are overdue : reminders only → after the last reminder nothing can be bought until the invoices are paid",
        "Plan : Standard → Small Notice of other prices : 30 days → 60 days",
        "Discount : 12.5% Discount on : Lab",
        "What changed on 4 Mar 2026 was charged.",
        "The API client ERP changed. Secrets : 1 → 2",
    ):
        assert said in text, said
    assert "Geändert : Ort, E-Mail-Adresse Land : Irland" in german
    for code in ("seller_rate", "Tax", "IE", "CH", "no_purchases", "P30D", "standard", "Ireland", "2026-03"):
        assert f" {code} " not in german, code


def test_a_department_with_a_comma_stays_one_department_in_the_log() -> None:
    reads = Words(str, Formats("en-GB", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), str, {})
    before, after = join_list(["Sales", "Research, development"]), join_list(["Sales", 'The "A, B" team'])
    assert changes({"type": "person_changed", "from": {"departments": before}, "to": {"departments": after}, "details": {}}, reads) == [
        ("Departments", "", 'added: The "A, B" team; removed: Research, development')
    ]


async def test_a_new_request_to_the_vendor_was_made_and_did_not_change(bench: ConsoleBench) -> None:
    made = entry("purchase_request_changed") | change({}, {"request.state": "requested"})
    estimated = entry("purchase_request_changed") | change({"request.state": "requested"}, {"request.state": "estimated"})
    bench.company.access.entries = [estimated, made]
    text = words(await bench.signed_in().get(LOG))
    assert "A request to the vendor was made. State : requested" in text
    assert "The vendor sent an estimate for a request. State : requested → estimate made" in text
    assert "request to the vendor changed" not in text


@pytest.mark.parametrize("state", get_args(get_args(get_args(State)[0])[0]))
def test_each_state_of_a_request_to_the_vendor_has_words_in_the_log(state: str) -> None:
    german = languages.translations()["de"].gettext
    reads = Words(german, Formats("de", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), str, {})
    ((_, _, shown),) = changes({"type": "policies_changed", "from": {}, "to": {"request.state": state}, "details": {}}, reads)
    assert shown != state
    assert shown == german(CODES["state"][state])
    of_state = {"type": "purchase_request_changed", "details": {}, "to": {"request.state": state}}
    assert (
        sentence(of_state, Words(str, Formats("en-GB", "Europe/Berlin", datetime(2026, 3, 2, tzinfo=UTC)), str, {}), "", "")
        != SENTENCES["purchase_request_changed"]
    )


async def test_people_who_were_erased_are_called_a_person(bench: ConsoleBench) -> None:
    bench.company.people.people["u1"] |= {"name": "", "login": None, "email": None, "erased_at": "2026-03-05T09:00:00.000Z"}
    bench.company.people.people["ann"] |= {"name": "", "login": None, "email": None, "erased_at": "2026-03-05T09:00:00.000Z"}
    text = words(await bench.signed_in().get(LOG))
    assert "A person is over the limit in Lab" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("kind=invoices", {"type": list(KINDS["invoices"][1])}),
        ("person=Zora", {"user": ["u1"]}),
        ("person=u2", {"user": ["u2"]}),
        ("by=automatic", {"actor": ["rules"]}),
        ("by=hr%2Facme", {"actor": ["hr/acme"]}),
        ("module=lab", {"module": ["lab"]}),
        ("since=2026-03-02&until=2026-03-02", {"from": ["2026-03-01T23:00:00.000Z"], "to": ["2026-03-02T23:00:00.000Z"]}),
    ],
)
async def test_T20_the_log_is_filtered_and_exported_by_date_kind_person_actor_and_module(
    bench: ConsoleBench, query: str, sent: dict[str, list[str]]
) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LOG}?{query}")
    exported = await browser.get(f"{LOG}/export.csv?{query}")
    assert exported.headers["content-disposition"] == 'attachment; filename="actions.csv"'
    shown, file = [each for each in bench.company.requests if each.url.path.endswith("/actions")]
    assert {name: shown.url.params.get_list(name) for name in sent} == sent
    assert {name: file.url.params.get_list(name) for name in (*sent, "format")} == sent | {"format": ["csv"]}


async def test_a_filter_that_means_nobody_several_people_or_no_day_is_refused_beside_its_field(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    nobody = await browser.get(f"{LOG}?person=xyz")
    assert (nobody.status_code, "Nobody has this name." in nobody.text) == (422, True)
    several = await browser.get(f"{LOG}?person=o&module=lab")
    assert "Which person do you mean?" in several.text
    assert f'href="{LOG}?person=u2&amp;module=lab"' in several.text
    for query in ("since=yesterday", "since=0001-01-01", "since=1969-12-31", "until=9999-12-31", "until=3000-01-01"):
        day = await browser.get(f"{LOG}?{query}")
        assert (day.status_code, "Enter a date, for example" in day.text) == (422, True), query
    assert not [each for each in bench.company.requests if each.url.path.endswith("/actions")], "a wrong filter shows no entries"
    bench.company.people.people["u3"]["name"] = bench.company.people.people["u2"]["name"] = "Kim Namesake"
    chosen = await browser.get(f"{LOG}?person=u2")
    assert 'name="person" value="Kim Namesake"' in chosen.text
    assert '<input type="hidden" name="person_id" value="u2">' in chosen.text
    again = await browser.get(f"{LOG}?person=Kim+Namesake&person_id=u2&module=lab")
    assert again.status_code == 200, "the one who was chosen stays chosen when another filter changes"
    assert (await browser.get(f"{LOG}?person=Kim+Namesake&person_id=u1")).status_code == 422, "another text means another person"


async def test_T20_the_link_of_a_program_leads_to_its_own_entries_not_to_those_of_a_person_with_a_similar_name(bench: ConsoleBench) -> None:
    bench.company.people.people["u2"]["name"] = "Alicia Ci"
    bench.company.access.entries = [entry("person_left", "u1") | {"actor": {"kind": "client", "id": "ci"}}]
    browser = bench.signed_in()
    (link,) = re.findall(r'href="(/tenants/acme/log\?by=[^"]*)"', (await browser.get(LOG)).text)
    bench.company.requests.clear()
    page = await browser.get(link.replace("&amp;", "&"))
    asked = [each.url.params["actor"] for each in bench.company.requests if each.url.path.endswith("/actions")]
    assert asked == ["ci"]
    assert '<input type="hidden" name="by_id" value="ci">' in page.text, "it stays when another filter changes"


async def test_the_log_goes_on_by_cursor_with_its_filters_and_says_when_it_is_empty(bench: ConsoleBench) -> None:
    bench.company.access.entries = [entry("person_left", "u1") for _ in range(31)]
    browser = bench.signed_in()
    first = await browser.get(f"{LOG}?kind=people")
    assert f'href="{LOG}?kind=people&amp;cursor=30"' in first.text
    second = await browser.get(f"{LOG}?kind=people&cursor=30")
    assert (second.text.count("<tr>"), "Next page" in second.text) == (2, False)
    bench.company.access.entries = []
    assert "The log is empty" in (await browser.get(LOG)).text
    assert "No entry matches" in (await browser.get(f"{LOG}?kind=people")).text


async def test_a_reader_without_the_right_to_the_log_is_neither_shown_it_nor_its_export(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("account:read",))
    assert LOG not in (await browser.get("/tenants/acme/licences")).text
    assert (await browser.get(LOG)).status_code == 403
    assert (await browser.get(f"{LOG}/export.csv")).status_code == 403


@pytest.mark.parametrize(
    ("kind", "id_", "shown"),
    [
        ("operator", "01J0", "An operator of the vendor"),
        ("client", "erp", "erp"),
        ("client", "operator", "An operator of the vendor"),
        ("system", "rules", "Seatpool"),
        ("source", "hr:acme", "HR system acme"),
    ],
)
def test_an_actor_that_is_no_person_of_the_tenant_is_named_by_what_it_is(kind: str, id_: str, shown: str) -> None:
    assert actor({"kind": kind, "id": id_}, lambda text, **values: text % values) == shown


async def test_an_entry_of_an_added_module_names_the_module_and_a_person_without_a_name_fits_each_sentence(bench: ConsoleBench) -> None:
    bench.company.access.entries = [
        entry("module_added", details={"module": "lab", "licences": 5}),
        entry("person_erased", "gone"),
        entry("person_changed", "gone"),
        entry("person_left", "gone"),
    ]
    english = words(await bench.signed_in().get(LOG))
    german = words(await bench.signed_in().get(LOG, accept_language="de"))
    for text, sentences in (
        (
            english,
            ("The module Lab was added.", "The data of a person was erased.", "The data of an unknown person changed.", "A person left."),
        ),
        (
            german,
            ("Das Modul Lab wurde hinzugefügt.", "Die Daten einer Person wurden gelöscht.", "Die Daten von Unbekannt wurden geändert."),
        ),
    ):
        assert [each for each in sentences if each not in text] == []
