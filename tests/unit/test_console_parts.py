"""All pages of the console share labels, languages, numbers, deadlines, and lists to choose from."""

import hashlib
import html
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.console.rendering import languages
from services.console.rendering.environment import TEMPLATES
from services.console.rendering.field_labels import DATES, LABELS, NOT_ENTERED, shown_fields
from services.console.rendering.log_sentences import CODES
from services.console.rendering.static_files import FOLDER
from tests.support.console import ABOUT, ConsoleBench, console, problem
from tests.support.console_pages import ADMINISTRATOR, IN_MEMORY, OPERATOR, PAGES, TESTER, furnish

OWN = "/tenants/acme"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text[text.index("<main") :]).replace("&#39;", "'").split())


def test_every_field_of_a_form_has_a_label_for_the_page_of_a_kept_form() -> None:
    patterns = (
        r'm\.(?:field|select|textarea|checkbox)\((?:form|none), "([a-z_]+)',
        r'<(?:input|button|select)\b[^>]*\bname="([a-z_]+)',
        r'radios\("([a-z_]+)',
    )
    filters = r'\{% call m\.filters.*?\{% endcall %\}|<form method="get".*?</form>'
    for path in TEMPLATES.glob("*.html"):
        text = re.sub(filters, "", path.read_text(), flags=re.DOTALL)
        named = {name for pattern in patterns for name in re.findall(pattern, text)}
        unknown = {name for name in named if not name.startswith("_") and name not in LABELS and name not in NOT_ENTERED}
        assert unknown == set(), f"{path.name}: add them to rendering/field_labels.py"


def test_every_field_for_a_day_is_shown_as_a_day_on_a_kept_form() -> None:
    fields = {
        found
        for path in TEMPLATES.glob("*.html")
        for found in re.findall(r'([a-z_]+)"(?:, gettext\([^)]*\))?, type="date"', path.read_text())
    }
    assert fields == {*DATES}


@pytest.mark.parametrize(("language", "shown"), [("en", "30 Apr 2026"), ("de", "30.04.2026")])
async def test_a_day_of_a_kept_form_is_written_as_its_reader_writes_it(bench: ConsoleBench, language: str, shown: str) -> None:
    browser = bench.signed_in()
    await browser.get(f"{OWN}/people/u1")
    bench.company.sessions.clear()
    await browser.post(f"{OWN}/people/u1/terminate", last_day="2026-04-30")
    browser.http.cookies.delete("seatpool_session")
    browser.http.cookies.set("seatpool_session", bench.company.begin_session(), domain="127.0.0.1")
    text = words((await browser.get("/resume", accept_language=language)).text)
    assert (shown in text, "2026-04-30" in text) == (True, False)


def test_the_discounts_of_a_kept_form_are_shown_one_by_one() -> None:
    kept = {"d0-kind": ["percent"], "d0-value": ["10"], "d1-kind": ["amount"], "d1-value": ["600"], "d1-periods": [""], "count-time": ["6"]}
    assert shown_fields(kept, str, {"module": {"time": "Time"}}) == [
        ("Discount 1: Kind", "percentage"),
        ("Discount 1: Value", "10"),
        ("Discount 2: Kind", "amount for each period"),
        ("Discount 2: Value", "600"),
        ("Licences (Time)", "6"),
    ]


OPTION = re.compile(r'<option value="([^"]+)"[^>]*>(.*?)</option>', re.DOTALL)
CHOICE = re.compile(r'<input type="(?:radio|checkbox)" name="([a-z0-9_-]+)" value="([^"]+)"[^>]*> <span>(.*?)</span>', re.DOTALL)
OFFERED = 3  # of a list of all countries


def plain(text: str) -> str:
    """Return the words of a choice, without its hint, and without a day or a currency."""
    words_ = html.unescape(re.sub(r"<[^>]+>", " ", re.split(r'<span class="(?:hint|muted|sub)|<code', text)[0]))
    return " ".join(words_.split()).replace(" ,", ",").partition(", on ")[0].removesuffix(", CHF")


FORM = re.compile(r'<form [^>]*method="post" action="(/(?:tenants|operator)[^"]*)"(?! enctype).*?</form>', re.DOTALL)


async def test_every_form_that_can_be_kept_says_what_it_is_about(bench: ConsoleBench) -> None:
    furnish(bench.company)
    readers = {ADMINISTRATOR: bench.signed_in(), OPERATOR: bench.signed_in("vera", tenant=None, rights=(OPERATOR,))}
    readers[TESTER] = bench.signed_in(clock="test")
    found = 0
    for page in [each for each in PAGES if each.reader in readers]:
        forms_of_page = set[tuple[str, ...]]()
        for form in FORM.finditer((await readers[page.reader].get(page.path(IN_MEMORY))).text):
            if form[1].endswith("/close"):
                continue  # of the banner of an opened company
            found += 1
            said = tuple(ABOUT.findall(form[0]))
            assert any(each.strip() for each in said), f"{page.name}: {form[1]}"
            assert said not in forms_of_page, f"{page.name}: two forms that do different things say the same: {said}"
            forms_of_page.add(said)
    assert found > 60


def forms(page: str) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """Yield where each form of a page is sent, and by field the words of the values that its reader can choose. A form with a file is not
    kept."""
    for action, form in re.findall(r'<form method="post" action="([^"]+)"(?! enctype)(.*?)</form>', page, re.DOTALL):
        found: dict[str, dict[str, str]] = {}
        for name, options in re.findall(r'<select id="[^"]+" name="([a-z0-9_-]+)".*?>(.*?)</select>', form, re.DOTALL):
            found[name] = {html.unescape(value): plain(text) for value, text in OPTION.findall(options)[:OFFERED]}
        for name, value, text in CHOICE.findall(form):
            if value != "yes":
                found.setdefault(name, {})[html.unescape(value)] = plain(text)
        if found := {name: values for name, values in found.items() if values and name not in (*NOT_ENTERED, "user")}:
            yield html.unescape(action), found


async def test_a_kept_form_shows_each_choice_in_the_words_of_its_page(bench: ConsoleBench) -> None:
    """The form is sent while nobody is signed in, and the browser keeps it."""
    furnish(bench.company)
    checked = set()
    sessions = {
        ADMINISTRATOR: bench.company.begin_session(),
        OPERATOR: bench.company.begin_session("vera", None, ("operator",)),
    }
    held = dict(bench.company.sessions)
    for page in [each for each in PAGES if each.reader in sessions]:
        browser = bench.browser(seatpool_session=sessions[page.reader])
        shown = (await browser.get(page.path(IN_MEMORY))).text
        for action, found in forms(shown):
            sent: dict[str, Any]
            for turn in range(max(map(len, found.values()))):
                sent = {name: list(values)[turn] for name, values in found.items() if turn < len(values)}
                bench.company.sessions.clear()
                bench.wiring.sessions.forget(sessions[page.reader])
                browser.last = shown
                await browser.post(action, **sent)
                bench.company.sessions |= held
                browser.http.cookies.delete("seatpool_session")
                browser.http.cookies.set("seatpool_session", sessions[page.reader], domain="127.0.0.1")
                kept = html.unescape(words((await browser.get("/resume")).text))
                for name, value in sent.items():
                    known = {found[name][value], CODES.get(name, {}).get(value, found[name][value])}  # or the shorter words of the log
                    assert any(each in kept for each in known), (
                        f"{page.name}: {name} = {value} is {found[name][value]!r} on the page: {kept}"
                    )
                    checked.add(name)
    assert {"country", "profile", "choice", "roles", "rights", "warn", "template", "document_format"} <= checked


@pytest.mark.parametrize(
    ("page", "form", "said"),
    [
        ("people/u1/terminate", "", "Zora Schmid › Set the last working day Person Bruno Jovanović"),
        ("people/u6/erase", "", "Dora Left › Erase the personal data"),
        ("access/clients/client-1/secrets/s1/delete", "", "› Revoke the secret s1?"),
        ("access/scim/okta/tokens/t1/delete", "", "okta › Revoke the token t1?"),
        ("people/u1", "people/u1/terminate/withdraw", "Zora Schmid › Take the leaving back"),
        ("access/roles/auditor/delete", "", "Auditor › Delete the role?"),
        ("people/checks/held/apply?source=hr/acme", "", "› Apply the changes?"),
        ("people/u1/hand-over?text=bruno", "people/u1/hand-over", "Zora Schmid › Who takes over Person Bruno Jovanović"),
        ("people/u1", "people/u1/overrides/department/remove", "Zora Schmid › Department › Remove"),
        ("orders/quotes/q1", "orders/quotes/q1/withdraw", "› Quote › Withdraw"),
        ("orders/requests/r2", "orders/requests/r2/approve", "+5 Lab, −10 documents › Request to the vendor › Approve for CHF 47.08"),
        ("settings", "settings/digests", "Settings › Switch digests off"),
    ],
)
async def test_a_kept_form_says_what_it_does_and_about_whom(bench: ConsoleBench, page: str, form: str, said: str) -> None:
    """Also if the session ends again before it is sent."""
    furnish(bench.company)
    browser = bench.signed_in()
    await browser.get(f"{OWN}/{page}")
    for _ in range(2):
        bench.company.sessions.clear()
        await browser.post(f"{OWN}/{form or page}", to="u2")
        browser.http.cookies.delete("seatpool_session")
        browser.http.cookies.set("seatpool_session", bench.company.begin_session(), domain="127.0.0.1")
        assert said in words((await browser.get("/resume")).text)


async def test_input_is_kept_although_what_its_form_is_about_is_too_long_for_a_cookie(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{OWN}/people/u1/terminate")
    bench.company.sessions.clear()
    long = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(200))
    sent = await browser.post(f"{OWN}/people/u1/terminate", last_day="2026-04-30", _about=long)
    assert "Your input is kept" in words(sent.text)
    browser.http.cookies.set("seatpool_session", bench.company.begin_session(), domain="127.0.0.1")
    assert "Last working day 30 Apr 2026" in words((await browser.get("/resume")).text)


@pytest.mark.parametrize("form", ["erase", "terminate", "edit", "access/deactivate", "replace", "hand-over"])
async def test_a_form_about_a_person_that_is_a_page_says_who_it_is(bench: ConsoleBench, form: str) -> None:
    """Without scripts it is no dialog on the person's page."""
    main = (await bench.signed_in().get(f"{OWN}/people/u1/{form}")).text.partition("<main")[2].partition("<form")[0]
    assert "Zora Schmid" in main


def test_a_kept_form_about_several_people_says_what_happens_to_them() -> None:
    shown = shown_fields({"action": ["deactivate"], "user": ["ann", "ben"]}, str, {})
    assert shown == [("What to do", "Deactivate people"), ("People", "2")]


def test_a_kept_form_of_a_test_clock_says_how_far_the_clock_is_advanced() -> None:
    assert shown_fields({"by": ["week"]}, str, {}) == [("How far", "A week")]


def test_the_stylesheet_fits_languages_that_are_written_from_right_to_left() -> None:
    text = (FOLDER / "console.css").read_text()
    assert re.findall(r"(?:margin|padding|border)-(?:left|right)|text-align: (?:left|right)|[{; ](?:left|right):", text) == []
    assert (languages.direction("en"), languages.direction("ar")) == ("ltr", "rtl")


@pytest.mark.parametrize("code", list(languages.translations()))
def test_countries_are_listed_by_their_names_and_none_is_missing(code: str) -> None:
    found = languages.names_of_countries(code)
    names = [name for _, name in found]
    assert {"AT", "CH", "XI"} <= {country for country, _ in found}
    assert names[-1] in ("Zypern", "Zimbabwe"), "not Österreich"
    assert all(name != country for country, name in found if country in ("AT", "XI"))


async def test_every_page_says_the_direction_of_its_language_and_writes_numbers_as_the_country_does(bench: ConsoleBench) -> None:
    bench.company.modules["lab"].active = 12_000
    page = await bench.signed_in().get(f"{OWN}/plan/end")
    assert '<html lang="en" dir="ltr">' in page.text
    assert "12’003 seats are lost" in words(page.text)


async def test_the_time_of_a_test_clock_is_right_on_every_page_also_on_that_of_an_error(bench: ConsoleBench) -> None:
    bench.clock.at += timedelta(minutes=3)  # the wall clock goes on, the company's stands still
    browser = bench.signed_in(clock="test")
    for url in (f"{OWN}/people", f"{OWN}/nope"):
        assert "Test clock: it is 5 Mar 2026, 10:00 for this company." in " ".join((await browser.get(url)).text.split())


async def test_while_users_does_not_answer_no_page_says_a_wrong_time_of_a_test_clock(bench: ConsoleBench) -> None:
    """Its deadlines would be wrong as well."""
    bench.clock.at += timedelta(minutes=3)
    browser = bench.signed_in(clock="test")
    assert (await browser.get(f"{OWN}/licences")).status_code == 200
    bench.company.down = {"users"}
    page = await browser.get(f"{OWN}/licences")
    assert (page.status_code, "Test clock: it is" in page.text) == (503, False)
    assert "The page needs the service users, which does not answer now." in words(page.text)


@pytest.mark.parametrize("reader", [ADMINISTRATOR, OPERATOR])
async def test_one_question_that_a_service_does_not_answer_makes_no_page_fail(bench: ConsoleBench, reader: str) -> None:
    """It costs its part of the page, or the page says which service does not answer."""
    furnish(bench.company)
    browser = bench.signed_in() if reader == ADMINISTRATOR else bench.signed_in("vera", tenant=None, rights=(OPERATOR,))
    ports = {8001: "users", 8002: "seats", 8003: "invoicing", 8004: "notifier"}
    failed, answered = [], problem(503, "unavailable", "not now")
    for page in (each for each in PAGES if each.reader == reader):
        path = page.path(IN_MEMORY)
        bench.company.requests.clear()
        usual = (await browser.get(path)).status_code
        asked = {f"{each.method} {ports[each.url.port or 0]} {each.url.path}" for each in bench.company.requests}
        for question in sorted(asked - {"POST users /v1/token"}):
            bench.company.answers = {question: answered}
            failed += [(path, question)] if (await browser.get(path)).status_code not in (usual, 503) else []
        bench.company.answers = {}
    assert failed == []


async def test_a_deadline_that_has_passed_is_not_said_to_be_near(bench: ConsoleBench) -> None:
    bench.company.access.connections["okta"]["tokens"][0]["expires_at"] = "2026-03-04T09:00:00.000Z"
    page = words((await bench.signed_in().get(f"{OWN}/access/scim/okta")).text)
    assert "4 Mar 2026 , has passed" in page


async def test_a_form_that_is_only_saved_keeps_a_value_that_is_in_none_of_its_lists(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    assert bench.company.settings.billing is not None
    bench.company.settings.billing["country"] = "XI"
    assert '<option value="XI" selected>Northern Ireland</option>' in (await browser.get(f"{OWN}/settings/billing")).text
    bench.company.people.departments["Sales"] = "a-profile-of-page-two"
    page = (await browser.get(f"{OWN}/profiles/department?department=Sales")).text
    assert '<option value="a-profile-of-page-two" selected>a-profile-of-page-two</option>' in page
    page = (await browser.get(f"{OWN}/people?status=all&module=closed&profile=gone")).text
    assert page.count('value="closed" selected') == page.count('value="gone" selected') == 1


async def test_notes_about_a_person_are_in_the_language_of_the_reader(bench: ConsoleBench) -> None:
    detail = "Department 'Lab' is not in the department mapping, so this person has no profile and takes no seat."
    bench.company.people.people["u1"]["notes"] = [{"type": "unknown_department", "detail": detail}, {"type": "later", "detail": "New."}]
    page = words((await bench.signed_in().get(f"{OWN}/people/u1", accept_language="de")).text)
    assert "Die Abteilung steht nicht unter Profile und Abteilungen." in page
    assert "New." in page


async def test_the_page_that_says_that_users_does_not_answer_does_not_ask_it_again(bench: ConsoleBench) -> None:
    """Each question can take as long as the time limit, and the reader waits for both."""
    bench.company.answers["POST users /v1/token"] = problem(503, "unavailable", "Later.")
    page = await bench.signed_in().get(f"{OWN}/licences")
    assert (page.status_code, "users" in words(page.text)) == (503, True)
    assert [each.url.path for each in bench.company.requests] == ["/v1/token"]


async def test_a_session_that_has_begun_is_kept_although_users_stops_answering(bench: ConsoleBench) -> None:
    bench.company.links["secret"] = [{"tenant": "acme", "tenant_name": "Alpenrose AG", "user": "ann", "login": "ann", "name": "Ann"}]
    browser = bench.browser()
    await browser.get("/sign-in/link?secret=secret")
    bench.company.answers["POST users /v1/token"] = problem(503, "unavailable", "Later.")
    assert (await browser.post("/sign-in/link", secret="secret")).status_code == 503, "the page that it leads to needs users"
    del bench.company.answers["POST users /v1/token"]
    assert (await browser.get(f"{OWN}/licences")).url.path == f"{OWN}/licences"
