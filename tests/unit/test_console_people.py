"""The console's pages of people and of one person, with the REST of the services in memory."""

import csv
import io
import re
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem
from tests.support.console_people import HOSTILE, MADE_ID, person

PEOPLE = "/tenants/acme/people"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the page itself."""
    body = page.text[page.text.index("<main") :]
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


async def test_E7_E9_the_list_says_who_loses_access_when_how_many_can_be_added_and_how_many_are_hidden(bench: ConsoleBench) -> None:
    bench.company.people.hidden = 12
    page = await bench.signed_in().get(PEOPLE)
    text = words(page)
    assert "Projects no licence is free 122 of 119 in use 3 over the limit Planning 3 more can be added 9 of 12 in use" in text
    assert "Zora Schmid u1 Over the limit Projects has a seat Lab over the limit · 9 Mar 2026 , 4 days left" in text
    assert "Bruno Jovanović u2 Refused Projects refused Planning refused" in text
    assert "12 more people are hidden, because your roles show you only some departments. They count all the same." in text
    assert "Dora Left" not in text, "M5: people who have left are not listed"
    assert "<script>alert" not in page.text
    assert f"<bdi>{'Ñ' * 200}</bdi>" in page.text


async def test_the_filters_sorting_and_pages_are_those_of_rest_and_stay_in_the_addresses(bench: ConsoleBench) -> None:
    for number in range(60):
        bench.company.people.people[f"n{number}"] = person(f"n{number}", f"Person {number}")
    browser = bench.signed_in()
    page = await browser.get(f"{PEOPLE}?text=person&status=active&module=lab&state=flagged&profile=staff&department=R%26D&sort=-name")
    asked = next(each.url.params for each in bench.company.requests if each.url.path.endswith("/people"))
    assert dict(asked) == {
        "text": "person", "status": "active", "module": "lab", "seat_state": "flagged", "profile": "staff", "department": "R&D",
        "sort": "-name", "limit": "50",
    }  # fmt: skip
    following = re.search(r'href="([^"]+cursor=50)"', page.text)
    assert following is not None
    assert "department=R%26D" in following[1]
    second = await browser.get(following[1].replace("&amp;", "&"))
    assert "Person 59" in second.text
    assert "First page" in second.text
    bench.company.requests.clear()
    await browser.get(f"{PEOPLE}?status=nonsense&sort=nonsense")
    asked = next(each.url.params for each in bench.company.requests if each.url.path.endswith("/people"))
    assert dict(asked) == {"sort": "name", "limit": "50"}


async def test_an_empty_list_and_one_without_matches_say_what_to_do(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    assert "Nobody matches" in words(await browser.get(f"{PEOPLE}?text=nobody+at+all"))
    bench.company.people.people.clear()
    assert "There is nobody yet" in words(await browser.get(PEOPLE))


async def test_the_list_is_shown_without_the_services_that_only_add_names(bench: ConsoleBench) -> None:
    bench.company.down.add("invoicing")
    assert "planning refused" in words(await bench.signed_in().get(PEOPLE))


async def test_the_export_has_everybody_who_matches_and_no_value_that_a_spreadsheet_takes_for_a_formula(bench: ConsoleBench) -> None:
    for number in range(250):
        bench.company.people.people[f"n{number}"] = person(f"n{number}", f"Person {number}")
    for user, name in (("f", '=HYPERLINK("http://evil.example")'), ("g", "x;=1+1"), ("h", "\uff1d1+1")):
        bench.company.people.people[user] = person(user, name)
    answer = await bench.signed_in().get(f"{PEOPLE}/export.csv?status=all")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == len(bench.company.people.people)
    by_user = {row["user"]: row for row in rows}
    assert by_user["u1"]["modules"] == "lab: flagged; projects: active"
    assert by_user["u1"]["deadline"] == "2026-03-09T09:00:00.000Z"
    assert by_user["u3"]["name"] == HOSTILE
    assert by_user["f"]["name"].startswith("'=")
    assert (by_user["g"]["name"], by_user["h"]["name"]) == ("x;'=1+1", "'\uff1d1+1")
    assert "attachment" in answer.headers["content-disposition"]


async def test_T22_the_pages_of_people_need_the_right_and_the_tenant(bench: ConsoleBench) -> None:
    assert (await bench.signed_in("bob", rights=("account:read",)).get(PEOPLE)).status_code == 403
    assert (await bench.signed_in().get("/tenants/other/people")).status_code == 404


async def test_a_person_page_says_why_in_sentences_and_which_source_each_value_comes_from(bench: ConsoleBench) -> None:
    bench.company.emails = [{"subject": "You are over the limit", "to": "u1@acme.example", "state": "failed", "sent_at": None,
                             "stream": "own", "at": "2026-03-02T09:00:00.000Z"}]  # fmt: skip
    text = words(await bench.signed_in().get(f"{PEOPLE}/u1"))
    for said in (
        "Zora Schmid Over the limit · Analyst · Research · Profile Staff",
        "The last day of the employment is 30 Jun 2026. The seats are given up after it.",
        "Lab over the limit 9 Mar 2026 , 4 days left All licences were in use, and the module allows people over the limit for a time.",
        "2 Mar 2026, 10:00 Lab: over the limit. The person loses access on 9 Mar 2026.",
        "The person was added. Lab: the person has a seat. Projects: the person has a seat. A licence was free. Planning: the seat was",
        "To hand over projects 4 Ålesund, &lt;b&gt;Zug&lt;/b&gt; Who takes over nobody yet",
        "Department Research set by an administrator Remove Sales &lt;b&gt; ( hr/acme )",
        "Name Zora Schmid hr/acme Zora S. ( scim/okta )",
        "1 Jul 2026 No longer employed. Set by an administrator. 2 Jan 2026 Changed. Name: Zora Schmid Department: Sales &lt;b&gt;",
        "You are over the limit u1@acme.example not delivered",
    ):
        assert said in text, said
    more = await bench.signed_in().get(f"{PEOPLE}/u5")
    assert f"{PEOPLE}/u5?facts=2#timeline-head" in more.text
    assert "added here" in words(more)
    assert MADE_ID not in words(more), "an id that the service made tells the reader nothing"
    assert "1 Jul 2026" in words(await bench.signed_in().get(f"{PEOPLE}/u5?facts=2"))


async def test_A6_right_after_an_invitation_the_page_says_that_the_e_mail_is_on_its_way_and_then_lists_it(bench: ConsoleBench) -> None:
    url, browser = f"{PEOPLE}/u5", bench.signed_in()
    invitation = bench.company.people.people["u5"]["invitation"]
    none, coming = "No e-mail was sent to this person.", "The invitation is on its way. It is listed here in a moment."
    waiting = "The invitation is sent as soon as its licences are reserved."
    sent = words(await browser.get(url))
    assert (none in sent, coming in sent) == (False, True)
    invitation["state"] = "requested"
    requested = words(await browser.get(url))
    assert (none in requested, coming in requested, waiting in requested) == (False, False, True)
    assert "The invitation is not sent yet: its licences are being reserved." in requested
    assert "Until then its licences are reserved" not in requested, "they are not yet"
    invitation["state"] = "sent"
    email = {"subject": "Invitation", "to": "u5@acme.example", "state": "sent", "stream": "invitation", "at": "2026-03-05T09:00:00.000Z"}
    bench.company.emails = [email | {"sent_at": "2026-03-05T09:00:03.000Z"}]
    listed = words(await browser.get(url))
    assert (none in listed, coming in listed, "Invitation u5@acme.example sent" in listed) == (False, False, True)
    bench.company.emails = []
    invitation["state"] = "refused"
    assert none in words(await browser.get(url))


async def test_with_a_test_clock_the_time_at_which_an_e_mail_was_really_sent_stands_apart_and_is_marked(bench: ConsoleBench) -> None:
    email = {"subject": "Over the limit", "to": "u1@acme.example", "state": "sent", "stream": "own", "at": "2026-03-02T09:00:00.000Z"}
    bench.company.emails = [email | {"sent_at": "2026-11-28T13:00:00.000Z"}]
    page = await bench.signed_in(clock="test").get(f"{PEOPLE}/u1")
    tested = words(page)
    assert "sent 2 Mar 2026, 10:00 sent 28 Nov 2026, 14:00 (real time)" in tested
    assert "Times that do not follow the test clock are marked as real time." in page.text
    assert "hx-swap-oob" not in page.text
    parts = {"hx-request": "true"}
    part = await bench.signed_in(clock="test").http.get("/tenants/acme/licences/numbers", headers=parts)
    assert 'id="test-clock"' in part.text.partition("hx-swap-oob")[0], "a part that is loaded again brings the time along"
    assert "test-clock" not in (await bench.signed_in().http.get("/tenants/acme/licences/numbers", headers=parts)).text
    real = words(await bench.signed_in().get(f"{PEOPLE}/u1"))
    assert "sent 28 Nov 2026, 14:00" in real
    assert "real time" not in real


async def test_a_person_of_another_tenant_or_nobody_is_a_404_and_a_service_that_is_down_costs_its_part(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    assert (await browser.get("/tenants/other/people/u1")).status_code == 404
    assert (await browser.get(f"{PEOPLE}/nobody")).status_code == 404
    fault = {"field": "path.user", "value": "no id", "expected": "an id"}
    bench.company.answers["GET users /v1/tenants/acme/people/no id"] = problem(422, "invalid", "Not valid.", errors=[fault])
    for path in ("/no%20id", "/no%20id/edit"):
        rubbish = await browser.get(f"{PEOPLE}{path}")
        assert (rubbish.status_code, "errors" in words(rubbish)) == (404, False), "what cannot be an id is no person"
    fault = {"field": "query.cursor", "value": "x", "expected": "the `next` of a page"}
    bench.company.answers["GET users /v1/tenants/acme/people"] = problem(422, "invalid", "Not valid.", errors=[fault])
    cursor = await browser.get(f"{PEOPLE}?cursor=x")
    assert (cursor.status_code, "query.cursor" in words(cursor), "does not take" in words(cursor)) == (400, False, True)
    bench.company.down = {"notifier", "invoicing"}
    assert "The e-mails cannot be shown now" in words(await browser.get(f"{PEOPLE}/u1"))
    hostile = await browser.get(f"{PEOPLE}/u3")
    assert "<script>alert" not in hostile.text
    assert "\u202e" in hostile.text, "the override stays in the name, and `bdi` keeps it there"
    assert (await browser.get(f"{PEOPLE}/u1/data.json")).json()["person"]["user"] == "u1"
    assert (await bench.signed_in("bob", rights=("users:read",)).get(f"{PEOPLE}/u1/data.json")).status_code == 403


async def test_a_page_does_not_say_that_licences_are_reserved_after_a_reduction_ended_that(bench: ConsoleBench) -> None:
    invited, browser = bench.company.people.people["u5"], bench.signed_in()
    assert "Until then its licences are reserved." in words(await browser.get("/tenants/acme/people/u5"))
    invited["modules"] = [each | {"state": "revoked", "reason": "licences_reduced"} for each in invited["modules"]]
    ended = await browser.get("/tenants/acme/people/u5")
    assert "Licences are requested when it is accepted." in words(ended)
    assert 'name="reserve" value="yes"' in ended.text, "a new invitation reserves them again"


async def test_an_invitation_that_expired_is_sent_again_with_a_reservation_unless_somebody_wants_none(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), "/tenants/acme/people/u5"
    bench.company.people.people["u5"]["invitation"] |= {"state": "expired", "reserved": False}
    asked = await browser.get(url)
    assert re.findall(r'<input type="checkbox" name="reserve" value="yes" checked>', asked.text)
    for reserve, reserves in (("yes", True), ("", False)):
        await browser.post(f"{url}/invite", reserve=reserve)
        sent = next(each for each in reversed(bench.company.requests) if each.url.path.endswith("/u5/invite"))
        assert orjson.loads(sent.content) == {"reserve": reserves}


async def test_people_of_one_name_are_told_apart_where_somebody_has_to_decide(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    people["u2"] |= {"name": "Anne Mueller", "department": "Sales", "source": "scim/okta", "external_id": "okta-2"}
    people["u1"] |= {"name": "Anne Mueller", "email": ""}
    people["u7"]["conflict"] |= {"people": ["u1", "u2", "hidden"]}
    people["u2"] |= {"in_conflict": ["u7"]}
    browser = bench.signed_in()
    seen = words(await browser.get("/tenants/acme/people/u7"))
    assert "Anne Mueller u1 · Research · hr/acme E-u1 This is Anne Mueller" in seen
    assert "Anne Mueller u2@acme.example · Sales · scim/okta okta-2 This is Anne Mueller" in seen
    assert "hidden This is hidden" in seen, "whom the reader does not see"
    assert "Anne Mueller u7@acme.example · Research · hr/acme E-u7" in words(await browser.get("/tenants/acme/people/u2"))
    listed = words(await browser.get("/tenants/acme/people/checks"))
    assert "Anne Mueller u1 · Research · hr/acme E-u1 Anne Mueller u2@acme.example · Sales · scim/okta okta-2" in listed


async def test_a_page_of_a_person_without_a_login_says_so_also_in_a_conflict(bench: ConsoleBench) -> None:
    people, browser, says = bench.company.people.people, bench.signed_in(), "The person has no login"
    for user in ("u7", "u6", "u1"):
        assert says not in words(await browser.get(f"/tenants/acme/people/{user}"))
        people[user]["login"] = None
        assert (says in words(await browser.get(f"/tenants/acme/people/{user}"))) == (user != "u6"), "who has left needs none"


@pytest.mark.parametrize("user", ["u1", "u7"])
async def test_the_data_of_somebody_who_has_not_left_cannot_be_erased_and_the_page_says_what_to_do_first(
    bench: ConsoleBench, user: str
) -> None:
    page = await bench.signed_in().get(f"/tenants/acme/people/{user}/erase")
    assert "Only the data of people who have left can be erased. Set the last working day first." in words(page)
    assert (f'href="/tenants/acme/people/{user}/terminate"' in page.text, 'name="sure"' in page.text) == (True, False)


async def test_a_page_says_what_holds_of_an_invitation_without_a_reservation_and_of_a_last_day_that_comes(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    people["u5"] |= {"modules": [], "profile": "staff"}
    people["u5"]["invitation"] |= {"reserved": False}
    people["u1"] |= {"overrides": {"employed": False}, "last_day": "2026-06-30"}
    browser = bench.signed_in()
    invited, leaver = [words(await browser.get(f"/tenants/acme/people/{user}")) for user in ("u5", "u1")]
    assert "No seat is requested before the invitation is accepted." in invited
    assert "The profile has no modules." not in invited
    assert "An administrator has set when the employment ends, instead of what the sources state." in leaver


@pytest.mark.parametrize(
    ("reason", "partial", "used", "is_short"),
    [
        ("other_module_refused", False, 12, True),
        ("base_module_refused", False, 12, True),
        ("other_module_refused", False, 11, False),
        ("pool_full", True, 12, False),
    ],
    ids=["all or none, another module is full", "all or none, the base module is full", "all or none, both are free", "each module alone"],
)
async def test_a_refused_person_is_not_told_to_try_again_while_another_module_of_the_profile_is_full(
    bench: ConsoleBench, reason: str, partial: bool, used: int, is_short: bool
) -> None:
    person = bench.company.people.people["u2"]
    bench.company.people.profiles[person["profile"]]["partial"] = partial
    planning, projects = person["modules"]
    planning["pool"] = {"limit": 12, "licences": 12, "in_use": used}
    projects |= {"reason": reason, "pool": {"limit": 3, "licences": 3, "in_use": 2}}
    text = words(await bench.signed_in().get(f"{PEOPLE}/u2"))
    assert "A licence is free now. " in text
    assert ("The person also needs a licence of Planning, and none is free." in text) == is_short


async def test_a_person_who_waits_reads_which_module_is_full_and_which_is_not(bench: ConsoleBench) -> None:
    modules = [{"module": name, "state": "waiting", "reason": "pool_full"} for name in ("projects", "planning")]
    data = {"user": "u3", "at": "2026-03-02T09:00:00.000Z", "modules": modules, "blocked_by": ["projects"]}
    chain = [{"decisions": [{"type": "seatpool.seats.v1.seats_queued", "data": data}]}]
    why = {"user": "u3", "chain": chain, "complete": True}
    bench.company.answers["GET users /v1/tenants/acme/people/u3/why"] = httpx.Response(200, json=why)
    text = words(await bench.signed_in().get(f"{PEOPLE}/u3"))
    assert "Projects: the person waits for a licence. All licences were in use." in text
    free = "A licence was free. The person waits for another module of the profile: Projects."
    assert f"Planning: the person waits for a licence. {free}" in text


@pytest.mark.parametrize("state", ["refused", "revoked", "withdrawn"])
async def test_a_refused_person_is_told_to_get_the_base_module_first_if_the_profile_gives_what_is_available(
    bench: ConsoleBench, state: str
) -> None:
    person = bench.company.people.people["u2"]
    bench.company.people.profiles[person["profile"]]["partial"] = True
    planning, projects = person["modules"]
    planning |= {"reason": "base_module_refused", "pool": {"limit": 12, "licences": 12, "in_use": 2}}
    projects |= {"state": state, "reason": "pool_full", "pool": {"limit": 3, "licences": 3, "in_use": 3}}
    text = words(await bench.signed_in().get(f"{PEOPLE}/u2"))
    assert "A licence is free now. The person also needs a licence of Projects, and none is free." in text
