"""Changes of people on the console, with the REST of the services in memory."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem, reply
from tests.support.console_people import person
from tests.unit.test_console_access import hidden
from tests.unit.test_console_people import PEOPLE, words
from tests.unit.test_console_settings import fields


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def sent(bench: ConsoleBench, method: str) -> list[tuple[str, Any]]:
    """Return the changes that the console has requested of users, without previews."""
    own = "/v1/tenants/acme/people"
    return [
        (each.url.path.removeprefix(own), orjson.loads(each.content) if each.content else None)
        for each in bench.company.requests
        if each.method == method and each.url.path.startswith(own) and "dry_run" not in each.url.params
    ]


async def test_A14_M12_a_person_is_added_after_a_look_at_the_seats_and_the_cost(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PEOPLE}/add")
    fields: dict[str, Any] = {"name": "Eva Noll", "login": "eva", "email": "eva@acme.example", "kind": "employee", "profile": "staff"}
    seen = await browser.post(f"{PEOPLE}/add", step="preview", **fields, invite="yes", reserve="yes")
    text = words(seen)
    assert "Status: Refused Projects refused Planning has a seat Projects : All licences were in use." in text
    assert "1 licence would be added by itself You would be charged CHF 12.00 per month, without tax." in text
    assert sent(bench, "POST") == [], "nobody is added by a look"
    later = words(await browser.post(f"{PEOPLE}/add", step="preview", **fields, invite="yes"))
    assert "The licences are requested when the invitation is accepted. Where no licence is free then, the policy of the module" in later
    form = {**fields, "invite": "yes", "reserve": "yes", "effect": hidden(seen, "effect")}
    other = await browser.post(f"{PEOPLE}/add", step="add", **form | {"profile": "guests"})
    assert "This is not what you saw before. Check it, and then go on." in words(other)
    assert sent(bench, "POST") == [], "the input was changed after the look"
    await browser.post(f"{PEOPLE}/add", step="add", **form)
    ((path, body),) = sent(bench, "POST")
    assert (path, body) == ("", fields | {"invitation": {"reserve": True}})
    taken = await browser.post(f"{PEOPLE}/add", step="add", **fields)
    assert (taken.status_code, "This login belongs to another person" in words(taken), 'value="Eva Noll"' in taken.text) == (
        422,
        True,
        True,
    )
    empty = await browser.post(f"{PEOPLE}/add", name=" ", invite="yes")
    assert (empty.status_code, empty.text.count('aria-invalid="true"')) == (422, 2)


async def test_people_are_deactivated_together_after_a_preview_and_it_is_undone_unless_something_came_between(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    browser = bench.signed_in()
    await browser.get(PEOPLE)
    seen = await browser.post(f"{PEOPLE}/bulk", action="deactivate", user=["ann", "u1", "u6"])
    assert "2 people may no longer log in and give up all seats." in words(seen)
    assert "In use : Planning 9 → 8 of 12 It costs nothing" in words(seen).replace("use:", "use :")
    assert "Dora Left The person has left already." in words(seen)
    assert people["ann"]["status"] == "active"
    done = await browser.post(f"{PEOPLE}/bulk/apply", action="deactivate", user=re.findall(r'name="user" value="([^"]+)"', seen.text))
    assert (people["ann"]["status"], people["u1"]["status"]) == ("inactive", "inactive")
    undo = re.findall(r'name="user" value="([^"]+)"', done.text)
    assert undo == ["ann 4", "u1 4"]
    people["u1"]["version"] += 1  # somebody else
    undone = words(await browser.post(f"{PEOPLE}/bulk/apply", action="activate", undo="yes", user=undo))
    assert "Undone 1 person was changed." in undone
    assert "changed since, so not undone" in undone
    assert "Ann Müller Being decided" in undone, "seats has not answered yet, and may refuse"
    assert (people["ann"]["status"], people["u1"]["status"]) == ("active", "inactive")
    assert (await browser.post(f"{PEOPLE}/bulk", action="nonsense", user="ann")).status_code == 404
    assert (await browser.post(f"{PEOPLE}/bulk", action="deactivate", user=f"ann {'9' * 5000}")).status_code == 200
    assert "Select people in the list first." in words(await browser.post(f"{PEOPLE}/bulk", action="activate"))
    assert "/bulk/refused" in (await browser.get(f"{PEOPLE}?status=refused")).text
    company = bench.company.people
    company.person_expansions = [{"module": "planning", "licences": 3}]
    asked = await browser.post(f"{PEOPLE}/bulk/refused")
    announced = "3 licences would be added by themselves. You would be charged CHF 12.00 per month, without tax."
    assert announced in words(asked), "a module may expand (M12)"
    sent_before = len(sent(bench, "POST"))
    company.person_expansions = [{"module": "planning", "licences": 4}]
    asked = await browser.post(f"{PEOPLE}/bulk/refused", effect=hidden(asked, "effect"))
    assert ("4 licences would be added" in words(asked), len(sent(bench, "POST"))) == (True, sent_before), "somebody else was quicker"
    company.decides = False
    asked = await browser.post(f"{PEOPLE}/bulk/refused", effect=hidden(asked, "effect"))
    assert "that is computed for at most 100 people, and only while the service for seats answers." in words(asked)
    assert "documents: at most 20 licences can be added." in words(asked)
    done = await browser.post(f"{PEOPLE}/bulk/refused", effect=hidden(asked, "effect"))
    assert "The seats of 28 refused people are requested again." in words(done)
    bench.company.settings.policies["documents"]["over_limit"] = "flag"
    assert "The seats of 28 refused people are requested again." in words(await browser.post(f"{PEOPLE}/bulk/refused"))
    assert len(sent(bench, "POST")) == sent_before + 2


async def test_all_refused_people_are_requested_again_where_the_list_has_them(bench: ConsoleBench) -> None:
    """Somebody whose profile gives what is available is active without a module that was refused."""
    browser = bench.signed_in()
    for filters, offered in (("module=planning&state=refused", True), ("status=refused", True), ("state=waiting", False)):
        assert ("/bulk/refused" in (await browser.get(f"{PEOPLE}?{filters}")).text) == offered, filters
    bench.company.settings.policies["documents"]["over_limit"] = "flag"
    bench.company.answers["POST users /v1/tenants/acme/people/reactivate-refused"] = reply({"total": 0}, 202)
    assert "There are no refused people any more, so nothing was requested." in words(await browser.post(f"{PEOPLE}/bulk/refused"))


async def test_a_change_of_people_that_is_sent_twice_is_done_once(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(PEOPLE)
    await browser.post(f"{PEOPLE}/bulk", action="deactivate", user=["ann"], _key="k0")
    await browser.post(f"{PEOPLE}/bulk/apply", action="deactivate", user=["ann"], _key="k1")
    await browser.post(f"{PEOPLE}/u1/access/deactivate", _key="k2")
    await browser.post(f"{PEOPLE}/bulk/refused", _key="k3")
    asked = [each for each in bench.company.requests if each.method == "POST" and "/people/" in each.url.path]
    keys = [each.headers["idempotency-key"] for each in asked if "reactivate" not in each.url.path or "dry_run" not in each.url.params]
    assert (keys[0] != "k0", keys[1:]) == (True, ["k1", "k2", "k3"]), "a look has a key of its own"


async def test_M12_an_edit_that_adds_licences_by_itself_announces_them_before_anything_is_changed(bench: ConsoleBench) -> None:
    bench.company.people.expanding_profile = "guests"
    browser, url = bench.signed_in(), f"{PEOPLE}/u1/edit"
    form: dict[str, Any] = fields(await browser.get(url)) | {"profile": "guests"}
    announced = await browser.post(url, **form)
    assert "1 licence would be added by itself You would be charged CHF 12.00 per month, without tax." in words(announced)
    assert sent(bench, "PATCH") == [], "nothing is changed by a look"
    await browser.post(url, **form, step="save", effect=hidden(announced, "effect"))
    assert sent(bench, "PATCH") == [("/u1", {"profile": "guests"})]


async def test_M12_an_activation_that_adds_licences_by_itself_since_it_was_looked_at_is_announced_first(bench: ConsoleBench) -> None:
    """Somebody else has taken the free licence meanwhile."""
    people = bench.company.people.people
    people["u1"]["status"] = people["u2"]["status"] = "inactive"
    browser, one, more = bench.signed_in(), f"{PEOPLE}/u2/access/activate", [{"module": "planning", "licences": 1}]
    announced = "This is not what you saw before. Check it, and then go on."
    single = await browser.get(one)
    seen = await browser.post(f"{PEOPLE}/bulk", action="activate", user=["u1"])
    bench.company.people.bulk_expansions = more
    other = await browser.post(f"{PEOPLE}/bulk/apply", action="activate", user=["u1"], effect=hidden(seen, "effect"))
    alone = await browser.post(one, effect=hidden(single, "effect"))
    for page in (other, alone):
        assert "1 licence would be added by itself You would be charged CHF 12.00 per month, without tax." in words(page)
        assert announced in words(page)
    assert sent(bench, "POST") == [], "nothing is changed by a look"
    form: dict[str, Any] = {"action": "activate", "user": ["u1"], "effect": hidden(other, "effect")}
    for _ in range(2):  # also if it is sent twice
        assert "Activated" in words(await browser.post(f"{PEOPLE}/bulk/apply", **form))
    await browser.post(one, effect=hidden(alone, "effect"))
    assert (people["u1"]["status"], people["u2"]["status"]) == ("active", "active")


async def test_M12_an_undo_that_adds_licences_by_itself_announces_them(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    await browser.get(PEOPLE)
    done = await browser.post(f"{PEOPLE}/bulk/apply", action="deactivate", user=["ann", "u1"])
    people.bulk_expansions = [{"module": "planning", "licences": 2}]
    form: dict[str, Any] = {"action": "activate", "undo": "yes", "user": re.findall(r'name="user" value="([^"]+)"', done.text)}
    people.people["u1"]["version"] += 1  # somebody else
    announced = await browser.post(f"{PEOPLE}/bulk/apply", **form)
    assert "2 licences would be added by themselves" in words(announced)
    assert "This is not what you saw before" not in words(announced), "nothing was shown before"
    assert people.people["ann"]["status"] == "inactive"
    again = re.findall(r'name="(undo|user|effect)" value="([^"]+)"', announced.text)
    assert [value for name, value in again if name != "effect"] == ["yes", "ann 4"], "the undo is still one"
    form |= {"user": ["ann 4"], "effect": hidden(announced, "effect")}
    assert "Undone" in words(await browser.post(f"{PEOPLE}/bulk/apply", **form))
    assert people.people["ann"]["status"] == "active"


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("POST", "u2/reactivate", {"module": "planning"}),
        ("POST", "u6/reactivate", {"module": ""}),
        ("DELETE", "u1/terminate/withdraw", {}),
        ("DELETE", "u1/overrides/department/remove", {}),
        ("DELETE", "u1/overrides/email/remove", {}),
        ("POST", "u7/separate", {}),
        ("POST", "u5/separate", {"source": "rest", "external_id": "c"}),
        ("POST", "u7/link", {"to": "ann"}),
        ("POST", "u1/replace", {"to": "u2", "text": "bruno", "afterwards": "blocked"}),
    ],
)
async def test_M12_a_button_of_a_person_that_adds_licences_by_itself_asks_before_it_does(
    bench: ConsoleBench, method: str, path: str, form: dict[str, Any]
) -> None:
    browser, url, people = bench.signed_in(), f"{PEOPLE}/{path}", bench.company.people
    people.person_expansions = [{"module": "planning", "licences": 1}]
    await browser.get(PEOPLE)
    asked = await browser.post(url, **form)
    assert "1 licence would be added by itself Person " in words(asked)
    assert "You would be charged CHF 12.00 per month, without tax. Go on Cancel" in words(asked)
    assert sent(bench, method) == [], "nothing is changed by a look"
    again = {name: value for name, value in fields(asked).items() if not name.startswith("_")}
    assert again == form | {"effect": hidden(asked, "effect")}, "the question keeps what it is about"
    await browser.post(url, **again)
    assert len(sent(bench, method)) == 1


async def test_M12_another_address_by_which_a_conflict_ends_is_announced_like_another_profile(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    form: dict[str, Any] = fields(await browser.get(f"{PEOPLE}/u7/edit")) | {"email": "own@acme.example"}
    people.person_expansions = [{"module": "planning", "licences": 1}]
    asked = await browser.post(f"{PEOPLE}/u7/edit", **form)
    assert "1 licence would be added by itself" in words(asked)
    assert sent(bench, "PATCH") == []
    await browser.post(f"{PEOPLE}/u7/edit", **form, step="save", effect=hidden(asked, "effect"))
    assert sent(bench, "PATCH") == [("/u7", {"email": "own@acme.example"})]


async def test_M12_a_change_of_a_person_whose_effect_seats_cannot_say_is_asked_first(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    unknown = "because a service does not answer. Where no licence is free, the policy of the module decides: licences may be added"
    form: dict[str, Any] = fields(await browser.get(f"{PEOPLE}/u1/edit")) | {"profile": "guests"}
    people.decides = False
    edit = await browser.post(f"{PEOPLE}/u1/edit", **form)
    button = await browser.post(f"{PEOPLE}/u2/reactivate", module="planning")
    assert unknown in words(edit)
    assert unknown in words(button)
    assert (sent(bench, "PATCH"), sent(bench, "POST")) == ([], [])
    await browser.post(f"{PEOPLE}/u1/edit", **form, step="save", effect=hidden(edit, "effect"))
    await browser.post(f"{PEOPLE}/u2/reactivate", module="planning", effect=hidden(button, "effect"))
    assert (len(sent(bench, "PATCH")), len(sent(bench, "POST"))) == (1, 1)


async def test_M12_an_activation_and_an_undo_whose_effect_seats_cannot_say_are_asked_first(bench: ConsoleBench) -> None:
    browser, people, one = bench.signed_in(), bench.company.people, f"{PEOPLE}/u2/access/activate"
    unknown = "because a service does not answer. Where no licence is free, the policy of the module decides: licences may be added"
    people.people["u1"]["status"] = people.people["u2"]["status"] = "inactive"
    single = await browser.get(one)
    seen = await browser.post(f"{PEOPLE}/bulk", action="activate", user=["u1"])
    people.decides = False
    undo: dict[str, Any] = {"action": "activate", "undo": "yes", "user": ["u1"]}
    asked = [
        await browser.post(f"{PEOPLE}/bulk/apply", action="activate", user=["u1"], effect=hidden(seen, "effect")),
        await browser.post(f"{PEOPLE}/bulk/apply", **undo),
        await browser.post(one, effect=hidden(single, "effect")),
    ]
    assert [unknown in words(page) for page in asked] == [True, True, True]
    assert sent(bench, "POST") == []
    await browser.post(f"{PEOPLE}/bulk/apply", **undo, effect=hidden(asked[1], "effect"))
    await browser.post(one, effect=hidden(asked[2], "effect"))
    assert (people.people["u1"]["status"], people.people["u2"]["status"]) == ("active", "active")


async def test_M12_a_person_is_not_added_if_seats_can_no_longer_say_what_the_look_said(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    await browser.get(f"{PEOPLE}/add")
    form: dict[str, Any] = {"name": "Eva Noll", "login": "eva", "kind": "employee"}
    free: dict[str, Any] = {"decided": True, "status": "active", "modules": [], "not_subscribed": [], "expansions": [], "cost": None}
    bench.company.answers["POST users /v1/tenants/acme/people"] = reply(free)
    looked = await browser.post(f"{PEOPLE}/add", step="preview", **form)
    del bench.company.answers["POST users /v1/tenants/acme/people"]
    people.decides = False
    asked = await browser.post(f"{PEOPLE}/add", step="add", effect=hidden(looked, "effect"), **form)
    assert "the policy of the module decides: licences may be added and charged. You can go on" in words(asked)
    assert sent(bench, "POST") == []
    await browser.post(f"{PEOPLE}/add", step="add", effect=hidden(asked, "effect"), **form)
    assert len(sent(bench, "POST")) == 1


async def test_a_person_who_is_added_by_a_form_that_is_sent_again_is_answered_like_the_first_time(bench: ConsoleBench) -> None:
    """Users knows the form by its key, and its preview does not: the login is in use since the first time."""
    browser = bench.signed_in()
    await browser.get(f"{PEOPLE}/add")
    form: dict[str, Any] = {"name": "Eva Noll", "login": "eva", "kind": "employee"}
    effect = hidden(await browser.post(f"{PEOPLE}/add", step="preview", **form), "effect")
    for _ in range(2):
        await browser.post(f"{PEOPLE}/add", step="add", effect=effect, _key="k1", **form)
    asked = [each for each in bench.company.requests if each.method == "POST" and each.url.path == "/v1/tenants/acme/people"]
    keys = [each.headers["idempotency-key"] for each in asked if "dry_run" not in each.url.params]
    assert keys == ["k1", "k1"], "users is asked both times, and answers both"


async def test_data_are_changed_only_where_they_differ_and_not_over_somebody_elses_change(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    browser = bench.signed_in()
    form = await browser.get(f"{PEOPLE}/u1/edit")
    assert "A source reports this person." in form.text
    same: dict[str, Any] = {
        name: people["u1"][name] or "" for name in ("name", "login", "email", "job_title", "department", "profile", "kind", "valid_to")
    }
    assert "Nothing has changed." in words(await browser.post(f"{PEOPLE}/u1/edit", **same, seen='"3"'))
    await browser.get(f"{PEOPLE}/u1/edit")
    await browser.post(f"{PEOPLE}/u1/edit", **(same | {"department": "", "job_title": "Lead"}), seen='"3"')
    assert sent(bench, "PATCH") == [("/u1", {"department": None, "job_title": "Lead"})]
    people["u1"] |= {"version": 9, "profile": "staff:guests"}  # of two groups
    assert '<option value="staff:guests" selected>' in (await browser.get(f"{PEOPLE}/u1/edit")).text
    people["u1"]["profile"] = "staff"
    await browser.get(f"{PEOPLE}/u1/edit")
    stale = await browser.post(f"{PEOPLE}/u1/edit", **(same | {"name": "Zora S."}), seen='"3"')
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (422, True)
    await browser.post(f"{PEOPLE}/u1/overrides/department/remove")
    assert people["u1"]["overrides"] == {}


async def test_A17_a_person_leaves_after_a_look_at_the_licences_and_comes_back(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    browser = bench.signed_in()
    await browser.get(f"{PEOPLE}/ann/terminate")
    seen = await browser.post(f"{PEOPLE}/ann/terminate", last_day="2026-03-31")
    assert "Projects the licence becomes free Lab somebody else gets the licence Free licences stay paid." in words(seen)
    assert people["ann"]["last_day"] is None
    again = await browser.post(f"{PEOPLE}/ann/terminate", last_day="2026-04-30", step="save", effect=hidden(seen, "effect"))
    assert people["ann"]["last_day"] is None, "another day is another look"
    assert 'value="2026-04-30"' in again.text
    bench.company.people.lab_of_leaver = "given_up"
    other = await browser.post(f"{PEOPLE}/ann/terminate", last_day="2026-04-30", step="save", effect=hidden(again, "effect"))
    assert people["ann"]["last_day"] is None, "other licences are another look"
    assert (
        "This is not what you saw before. Check it, and then go on. Projects the licence becomes free Lab the licence is given up"
        in words(other)
    )
    await browser.post(f"{PEOPLE}/ann/terminate", last_day="2026-04-30", step="save", effect=hidden(other, "effect"))
    assert people["ann"]["last_day"] == "2026-04-30"
    await browser.post(f"{PEOPLE}/ann/terminate/withdraw")
    assert people["ann"]["last_day"] is None
    assert (await browser.post(f"{PEOPLE}/ann/terminate", last_day="tomorrow")).status_code == 422


async def test_A22_A17_somebody_replaces_a_person_or_takes_over_what_the_person_owns(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    found = await browser.get(f"{PEOPLE}/u1/replace?text=bruno")
    assert re.findall(r'name="to" value="([^"]+)"', found.text) == ["u2"]
    assert re.findall(r'name="to" value="([^"]+)"', (await browser.get(f"{PEOPLE}/u1/replace?text=ann")).text) == ["u7"], "Ann has a seat"
    assert "Nobody who matches can take over." in words(await browser.get(f"{PEOPLE}/u1/replace?text=zora"))
    assert re.findall(r'name="to" value="([^"]+)"', (await browser.get(f"{PEOPLE}/u1/hand-over?text=ann")).text) == ["ann", "u7"]
    assert "Choose a person." in words(await browser.post(f"{PEOPLE}/u1/replace", text="bruno"))
    shown = await browser.post(f"{PEOPLE}/u1/replace", to="u2", afterwards="blocked")
    assert "This person takes over the seats." in words(shown)
    await browser.get(f"{PEOPLE}/u1/hand-over?text=bruno")
    await browser.post(f"{PEOPLE}/u1/hand-over", to="u2")
    assert bench.company.people.people["u1"]["hand_over"]["heir"] == "u2"
    assert "Choose a person." in words(await browser.post(f"{PEOPLE}/u1/hand-over", text="bruno"))
    assert "Let nobody take over" in words(await browser.get(f"{PEOPLE}/u1/hand-over"))
    await browser.post(f"{PEOPLE}/u1/hand-over", nobody="yes")
    assert bench.company.people.people["u1"]["hand_over"]["heir"] is None
    assert "Let nobody take over" not in words(await browser.get(f"{PEOPLE}/u1/hand-over"))
    assert sent(bench, "POST") == [("/u1/replace", {"to": "u2", "afterwards": "blocked"})]


async def test_a_search_for_who_takes_over_says_that_more_people_match_than_it_shows(bench: ConsoleBench) -> None:
    """In a large company, those who can take over may come after all that were examined."""
    browser, people = bench.signed_in(), bench.company.people.people
    people |= {f"m{number}": person(f"m{number}", f"Many {number:03}") for number in range(201)}
    more = "More people match. Enter more of the name."
    for page in ("replace", "hand-over"):
        shown = await browser.get(f"{PEOPLE}/u1/{page}?text=many")
        assert (shown.text.count('name="to"'), more in words(shown)) == (10, True), page
        few = await browser.get(f"{PEOPLE}/u1/{page}?text=many 00")
        assert (few.text.count('name="to"'), more in words(few)) == (10, False), page
    bench.company.people.seated = {f"m{number}" for number in range(200)}
    text = words(await browser.get(f"{PEOPLE}/u1/replace?text=many"))
    assert "Nobody among the first 200 people who match can take over. Enter more of the name." in text
    assert "Nobody who matches can take over." not in text


async def test_an_activation_says_that_something_else_still_blocks_the_person(bench: ConsoleBench) -> None:
    person = bench.company.people.people["u2"]
    person |= {"status": "inactive", "obstacle": {"reason": "login_blocked", "detail": "scim/okta blocks the login."}}
    browser, still = bench.signed_in(), "The person still gets no access: the login is missing, has ended, or a source blocks it"
    asked = words(await browser.get(f"{PEOPLE}/u2/access/activate"))
    assert f"The block that was set here ends. {still}" in asked
    assert "the seats are requested again" not in asked
    assert still in words(await browser.post(f"{PEOPLE}/bulk", action="activate", user=["u2"]))
    done = words(await browser.post(f"{PEOPLE}/u2/access/activate"))
    assert (still in done, "The person was activated." in done) == (True, False)
    again = words(await browser.post(f"{PEOPLE}/u2/reactivate", module=""))
    assert (still in again, "The seats were requested again." in again) == (True, False)


async def test_the_other_changes_of_a_person_ask_what_has_to_be_asked(bench: ConsoleBench) -> None:
    people = bench.company.people.people
    browser = bench.signed_in()
    page = words(await browser.get(f"{PEOPLE}/u2"))
    assert "All licences were in use. Request again" in page
    await browser.post(f"{PEOPLE}/u2/reactivate", module="planning")
    await browser.get(f"{PEOPLE}/u5")
    await browser.post(f"{PEOPLE}/u5/invite", reserve="no")
    await browser.get(f"{PEOPLE}/u2/access/deactivate")
    await browser.post(f"{PEOPLE}/u2/access/deactivate")
    assert people["u2"]["status"] == "inactive"
    people["u6"]["profile"] = None
    left = words(await browser.get(f"{PEOPLE}/u6"))
    assert "The person takes no seat in this status." in left
    assert "no profile" not in left, "a profile would change nothing"
    await browser.get(f"{PEOPLE}/u6/erase")
    unsure = await browser.post(f"{PEOPLE}/u6/erase")
    assert (unsure.status_code, "Confirm that you want to erase the data." in words(unsure)) == (422, True)
    assert people["u6"]["name"] == "Dora Left"
    await browser.post(f"{PEOPLE}/u6/erase", sure="yes")
    assert people["u6"]["erased_at"]
    people["u8"] = person("u8", "Ann M.", status="conflict", conflict=people["u7"]["conflict"])
    unclear = words(await browser.get(f"{PEOPLE}/u7"))
    assert "Who is this? Another employed person has the same login. This may be somebody whom you have already" in unclear
    assert "This is Ann Müller This is somebody else" in unclear
    await browser.post(f"{PEOPLE}/u7/link", to="ann")
    await browser.get(f"{PEOPLE}/u8")
    await browser.post(f"{PEOPLE}/u8/separate")
    assert ("u7" in people, people["u8"]["status"]) == (False, "active")
    assert [path for path, _ in sent(bench, "POST")] == [
        "/u2/reactivate", "/u5/invite", "/bulk-changes", "/u6/erase", "/u7/link", "/u8/separate",
    ]  # fmt: skip


async def test_an_entry_that_was_linked_by_mistake_is_separated_where_its_timeline_is_shown(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people.people
    assert "Separate this entry" not in words(await browser.get(f"{PEOPLE}/u5")), "nothing else is stated about the person"
    people["u5"]["timelines"].append({"source": "hr/acme", "external_id": "E-u5"})
    several = await browser.get(f"{PEOPLE}/u5")
    entry = re.search(r'name="source" value="rest"><input type="hidden" name="external_id" value="([^"]+)"', several.text)
    assert entry is not None
    people["n1"] = person("n1", "Zora S.")
    url = "/v1/tenants/acme/people/u5/separate"
    bench.company.answers[f"POST users {url}"] = httpx.Response(200, json=people["n1"] | {"decided": True, "expansions": []})
    done = await browser.post(f"{PEOPLE}/u5/separate", source="rest", external_id=entry[1])
    assert (done.url.path, "The two entries are separate now." in words(done)) == (f"{PEOPLE}/n1", True)
    (asked,) = [each for each in bench.company.requests if each.url.path == url and "dry_run" not in each.url.params]
    assert orjson.loads(asked.content) == {"source": "rest", "external_id": entry[1]}
    bench.company.answers[f"POST users {url}"] = problem(409, "only-source", "Nothing else is stated about the person.")
    refused = await browser.post(f"{PEOPLE}/u5/separate", source="hr/acme", external_id="E-u5")
    assert refused.url.path == f"{PEOPLE}/u5"
    assert "are separate now" not in words(refused)


async def test_T23_a_reader_sees_no_change_and_can_request_none(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("users:read",))
    for path in ("", "/u1", "/u6", "/u7"):
        text = (await browser.get(f"{PEOPLE}{path}")).text
        assert not re.search(r'/people/[^"]*"( data-dialog| class="button|><input)|/bulk|/add"', text.replace("export.csv", "")), path
    for path in ("/add", "/u1/edit", "/u1/access/deactivate", "/u1/terminate", "/u1/replace", "/u1/hand-over", "/u6/erase"):
        assert (await browser.get(PEOPLE + path)).status_code == 403
        assert (await browser.post(PEOPLE + path)).status_code == 403
    for path in ("/bulk", "/bulk/apply", "/u7/link", "/u7/separate", "/u2/reactivate", "/u5/invite", "/u1/overrides/name/remove"):
        assert (await browser.post(PEOPLE + path)).status_code == 403
    assert sent(bench, "POST") == []


async def test_differences_of_many_people_say_that_the_numbers_are_those_of_one_page(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    said = "These numbers cover only the 500 people who were compared for this page of the list. hr/acme 500 employed"
    assert said not in words(await browser.get(f"{PEOPLE}/checks"))
    assert said in words(await browser.get(f"{PEOPLE}/checks?cursor=c"))
    people.differences_next = "c"
    assert said in words(await browser.get(f"{PEOPLE}/checks"))


async def test_conflicts_duplicates_waiting_changes_and_differences_are_decided_on_one_page(bench: ConsoleBench) -> None:
    browser, people = bench.signed_in(), bench.company.people
    text = words(await browser.get(f"{PEOPLE}/checks"))
    for said in (
        "Changes of hr/acme wait 41 people would lose access.",
        "Possible duplicates from hr/acme This source added many people who match nobody.",
        "Anne Mueller u7@acme.example · Research · hr/acme E-u7 Another employed person has the same login. Ann Müller ann@acme.example ·",
        "hr/acme 500 employed All sources together 500 employed 498 require modules Seats 497 people have a seat",
        "Bruno Jovanović Refused hr/acme : no longer employed One source has ended the employment, and another has not. Projects The",
        "If the other source ends the employment as well, the seats are given up. Without this difference: no modules",
        "2 more people differ whom your roles do not show.",
    ):
        assert said in text.replace("acme:", "acme :"), said
    applying, duplicates = f"{PEOPLE}/checks/held/apply?source=hr/acme", f"{PEOPLE}/checks/duplicates?source=hr/acme"
    people.person_expansions = [{"module": "planning", "licences": 2}]
    people.reductions = [
        {"module": "projects", "licences": 8, "reduce_at": "period_end"},
        {"module": "planning", "licences": 1, "reduce_at": "now"},
    ]
    asked = await browser.get(applying)
    announced = "Planning: 2 licences would be added by themselves. You would be charged CHF 12.00 per month, without tax."
    announced += " Projects: 8 licences of leavers would be given back at the end of the period. Planning: 1 licence of leavers would be"
    announced += " given back at once. That saves CHF 6.00 per month, without tax."
    for question in (applying, duplicates):
        assert announced in words(await browser.get(question)), "M12"
        assert announced in words(await browser.post(question, confirm="41")), "a page that said less does not go on"
    assert (people.held != [], people.sources[0]["duplicates_held"]) == (True, True)
    assert "Who would lose access Dora Left (4711-0) , 4711-1 ," in words(asked)
    assert "and 21 more Who would get access 4811-0 , Emil New (4811-1) ," in words(asked)
    assert "and 2 more 41 people lose access and give up their seats. If one of them should keep access" in words(asked)
    assert f"22 people get access. {announced}" in words(asked)
    assert 'name="confirm" value="41"' in asked.text
    assert "41 people keep access." in words(await browser.get(applying.replace("apply", "discard")))
    endless = await browser.post(applying, confirm="9" * 5000)
    assert (endless.status_code, people.held != []) == (409, True)
    stale = await browser.post(applying, confirm="40")
    assert (stale.status_code, "The number of people who would lose access has changed." in words(stale)) == (409, True)
    assert 'name="confirm" value="41"' in stale.text, "the question is asked again with the present number"
    await browser.post(applying, confirm="41", effect=hidden(asked, "effect"))
    twice = await browser.post(applying, confirm="41")
    assert (twice.status_code, "The form is about something that no longer exists" in words(twice)) == (404, True)
    seen = await browser.get(duplicates)
    assert "they take two seats" in words(seen)
    for unknown in ("..", ".", "", "nope", "a%2F..%2Fb", "%F0%9F%A6%8A"):
        for path in ("held/apply", "held/discard", "duplicates"):
            assert (await browser.get(f"{PEOPLE}/checks/{path}?source={unknown}")).status_code == 404, (path, unknown)
    await browser.post(duplicates, effect=hidden(seen, "effect"))
    assert (people.held, people.sources[0]["duplicates_held"]) == ([], False)
    assert sent(bench, "POST") == []
    assert (await bench.signed_in("bob", rights=("users:read",)).get(f"{PEOPLE}/checks")).status_code == 403


async def test_requests_that_the_guard_of_scim_stopped_are_let_through_after_a_look_at_the_people(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{PEOPLE}/checks/scim/okta"
    listed = await browser.get(f"{PEOPLE}/checks")
    assert f'href="{url}" data-dialog' in (await browser.get("/tenants/acme/access/scim/okta")).text
    assert "Requests of the SCIM connection okta were stopped 12 people would lose access." in words(listed)
    assert (await browser.get(f"{PEOPLE}/checks/scim/entra")).status_code == 404, "nothing of it was stopped"
    asked = await browser.get(url)
    assert "Who would lose access Zora Schmid , Bruno" in words(asked)
    assert ("and 10 more" in words(asked), 'name="confirm" value="12"' in asked.text) == (True, True)
    stale = await browser.post(url, confirm="11")
    assert (stale.status_code, "The number of people who would lose access has changed." in words(stale)) == (409, True)
    done = await browser.post(url, confirm="12")
    assert "The requests are let through when the identity provider repeats them." in words(done)
    assert bench.company.access.connections["okta"]["would_end"] == 0


async def test_a_preview_that_is_still_being_computed_is_asked_for_again(bench: ConsoleBench) -> None:
    rest = "POST users /v1/tenants/acme/people/bulk-changes"
    busy = problem(429, "too-many-requests", "Too many what-if questions.", headers={"retry-after": "3"})
    browser, one = bench.signed_in(), f"{PEOPLE}/u1/access/deactivate"
    await browser.get(PEOPLE)
    bench.company.answers[rest] = busy
    waits = await browser.post(f"{PEOPLE}/bulk", action="deactivate", user=["ann", "u1"])
    assert (waits.status_code, "The preview is being computed" in words(waits)) == (200, True)
    assert 'data-send-after="3"' in waits.text
    again = dict(re.findall(r'name="(action)" value="([^"]*)"', waits.text)) | {
        "user": re.findall(r'name="user" value="([^"]*)"', waits.text)
    }
    assert again == {"action": "deactivate", "user": ["ann", "u1"]}
    page, dialog = await browser.get(one), await browser.get(one, hx_request="true")
    assert (page.headers["refresh"], "The preview is being computed" in words(page)) == ("3", True)
    assert f'hx-get="{one}" hx-trigger="load delay:3s" hx-target="#dialog-content"' in dialog.text
    assert "refresh" not in dialog.headers
    assert "Die Vorschau wird berechnet" in words(await browser.get(one, accept_language="de"))
    del bench.company.answers[rest]
    assert "Deactivate people" in words(await browser.post(f"{PEOPLE}/bulk", **again))
    assert sent(bench, "POST") == []


@pytest.mark.parametrize(
    ("rest", "address", "form"),
    [
        ("POST users /v1/tenants/acme/people", "/people/add", {"name": "Eve", "step": "preview"}),
        ("POST users /v1/tenants/acme/people/u1/terminate", "/people/u1/terminate", {"last_day": "2026-03-31"}),
        ("PUT users /v1/tenants/acme/profiles/staff", "/profiles/edit?profile=staff", {"name": "Staff", "step": "preview"}),
        ("PUT users /v1/tenants/acme/department-mapping", "/profiles/department", {"department": "Sales", "step": "preview"}),
    ],
)
async def test_every_preview_is_asked_for_again_with_the_input_until_it_is_computed(
    bench: ConsoleBench, rest: str, address: str, form: dict[str, Any]
) -> None:
    busy = problem(429, "too-many-requests", "Too many what-if questions.", headers={"retry-after": "3"})
    browser, url = bench.signed_in(), f"/tenants/acme{address}"
    await browser.get(url)
    bench.company.answers[rest] = busy
    page = await browser.post(url, **form)
    dialog = await browser.post(url, headers={"hx-request": "true"}, **form)
    assert "The preview is being computed" in words(page)
    assert f'<form method="post" action="{url}" class="actions" data-send-after="3">' in page.text
    assert f'hx-post="{url}" hx-target="#dialog-content"' in dialog.text
    assert 'hx-trigger="submit, load delay:3s"' in dialog.text
    for shown in (page, dialog):
        main = shown.text.partition("<main")[2] or shown.text
        kept = dict(re.findall(r'type="hidden" name="([a-z]\w*)" value="([^"]*)"', main))
        assert kept == form, "the input stays"
    del bench.company.answers[rest]
    computed = await browser.post(url, **form)
    assert (computed.status_code, "The preview is being computed" in words(computed)) == (200, False)


@pytest.mark.parametrize(
    ("state", "pending", "says"),
    [
        ("refused", False, "The seats were requested again, and refused in: Planning. The table says why."),
        ("granted", False, "The seats were requested again."),
        ("refused", True, "The seats were requested again. Being decided."),
    ],
)
async def test_a_request_for_a_seat_says_what_came_of_it(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch, state: str, pending: bool, says: str
) -> None:
    monkeypatch.setattr("services.console.pages.change_person.DECIDED_SECONDS", 0)
    browser, person = bench.signed_in(), bench.company.people.people["u2"]
    await browser.get(f"{PEOPLE}/u2")
    person["pending"] = pending
    for each in person["modules"]:
        each["state"] = state if each["module"] == "planning" else "refused"
    page = words(await browser.post(f"{PEOPLE}/u2/reactivate", module="planning"))
    assert says in page
    assert ("and refused in" in page) == (state == "refused" and not pending)
