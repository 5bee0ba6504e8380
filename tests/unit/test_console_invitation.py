"""The console's page of an invitation, with the REST of users in memory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem
from tests.unit.test_console_access import hidden, words

URL = "/invitation?token="


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


async def test_A6_the_link_says_who_invites_to_what_and_only_the_button_accepts(bench: ConsoleBench) -> None:
    browser, invitations = bench.browser(), bench.company.invitations
    for _ in range(3):  # programs that check e-mails
        page = await browser.get(f"{URL}open")
    assert "You are invited Alpenrose AG invites you to use its software. Name Carla Rossi Login carla" in words(page)
    assert "Modules Projects , Laboratory <b> Your licences are reserved until 12 Mar 2026, 10:00." in words(page)
    assert invitations.accepted == []
    form: dict[str, Any] = {"token": hidden(page, "token"), "_token": hidden(page, "_token")}
    done = await browser.post("/invitation", **form)
    assert (invitations.accepted, done.url.path, done.headers["refresh"]) == (["open"], "/invitation", "2")
    assert "You have accepted the invitation Alpenrose AG Your access is being decided." in words(done)
    again = await browser.post("/invitation", **form)
    assert ("You have accepted the invitation" in words(again), invitations.accepted) == (True, ["open"])
    assert "seatpool_session" not in browser.http.cookies, "an invitation is no sign-in"


async def test_A6_the_link_names_the_person_who_invites_and_the_time_of_a_test_clock(bench: ConsoleBench) -> None:
    found = bench.company.invitations.found["open"]
    assert "Test clock" not in words(await bench.browser().get(f"{URL}open"))
    found |= {"invited_by": "Ann <b>", "test_time": "2026-03-05T09:00:00.000Z"}
    page = words(await bench.browser().get(f"{URL}open"))
    assert "Test clock: it is 5 Mar 2026, 10:00 for this company." in page
    assert "Ann <b> of Alpenrose AG invites you to use its software." in page


async def test_an_invitation_without_modules_speaks_of_no_licence(bench: ConsoleBench) -> None:
    page = await bench.browser().get(f"{URL}new owner")
    assert "You can accept until 12 Mar 2026, 10:00. Accept the invitation" in words(page)


TEXTS = {
    "full": ("You are invited", "No licence is reserved: you get access if one is available when you accept."),
    "active": ("You have accepted the invitation", "You have access now.", "carla", "Sign in to manage licences and people"),
    "owner": ("You have accepted the invitation Alpenrose AG Sign in to manage licences and people",),
    "waiting": ("You have accepted the invitation", "Laboratory <b> waiting", "so you wait for one."),
    "refused": ("You have accepted the invitation", "No licence is available for you, so you have no access yet."),
    "flagged": ("You have accepted the invitation", "You have access, although all licences are in use."),
    "expired": ("The invitation has expired", "It could be accepted until 12 Mar 2026, 10:00."),
    "replaced": ("There is a newer invitation", "Use the link in the newest e-mail."),
    "readdressed": ("The e-mail address was changed", "so this link no longer works.", "ask an administrator of the company to invite you"),
    "withdrawn": ("The invitation was withdrawn", "You cannot accept it any more."),
}


@pytest.mark.parametrize("token", TEXTS)
async def test_A6_what_became_of_an_invitation_is_said_and_a_link_that_ended_accepts_nothing(bench: ConsoleBench, token: str) -> None:
    browser = bench.browser()
    page = await browser.get(URL + token)
    for text in TEXTS[token]:
        assert text in words(page)
    assert ("Accept the invitation" in page.text) == (token == "full")
    assert ("<script>alert" in page.text, "refresh" in page.headers) == (False, False)
    if token == "full":
        return
    await browser.get(f"{URL}open")
    sent = await browser.post("/invitation", token=token)
    assert (TEXTS[token][0] in words(sent), bench.company.invitations.accepted) == (True, [])


async def test_a_link_that_is_unknown_incomplete_or_tried_too_often_says_what_to_do(bench: ConsoleBench) -> None:
    browser = bench.browser()
    for address in ("/invitation", URL, f"{URL}nope", URL + "x" * 200, f"{URL}%F0%9F%A6%8A"):
        page = await browser.get(address)
        assert (page.status_code, "This invitation is not known" in words(page)) == (404, True), address
    german = await browser.get(f"{URL}expired", accept_language="de")
    assert "Die Einladung ist abgelaufen" in words(german)
    for empty in ("", "nope"):
        await browser.get(f"{URL}open")
        assert (await browser.post("/invitation", token=empty)).status_code == 404
    await browser.get(f"{URL}open")
    bench.company.answers["POST users /v1/invitations/accept"] = problem(409, "clock-advancing", "The test clock is being advanced.")
    later = await browser.post("/invitation", token="open")
    assert (later.status_code, "Try again when it is ready." in words(later), "Accept the invitation" in later.text) == (409, True, True)
    bench.company.answers["POST users /v1/invitations/show"] = problem(429, "too-many-requests", "The token was wrong too many times.")
    often = await browser.get(f"{URL}open")
    assert (often.status_code, "too many requests" in words(often)) == (429, True)
    bench.company.down = {"users"}
    assert (await browser.get(f"{URL}open")).status_code == 503


async def test_a_form_of_another_site_accepts_no_invitation(bench: ConsoleBench) -> None:
    browser = bench.browser()
    assert (await browser.post("/invitation", token="open")).status_code == 400, "a browser without cookies"
    await browser.get(f"{URL}open")
    forged = await browser.post("/invitation", token="open", headers={"sec-fetch-site": "cross-site"})
    assert (forged.status_code, bench.company.invitations.accepted) == (403, [])
