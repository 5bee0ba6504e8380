"""Forms of the console about what somebody else has changed meanwhile: they show the present values, and can be sent again."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem
from tests.unit.test_console_settings import fields, words

OWN = "/tenants/acme"
PERSON = {
    "name": "Zora S.", "login": "u1", "email": "u1@acme.example", "job_title": "Analyst", "department": "Research", "profile": "staff",
    "kind": "employee",
}  # fmt: skip
COMPANY = {"name": "Alpenrose", "locale": "de-CH", "contact_email": "it@acme.example", "erase_after_months": "24"}
PROFILE: dict[str, Any] = {"step": "save", "name": "Everybody", "modules": ["projects"]}
PROVIDER: dict[str, Any] = {
    "issuer": "https://login.acme.example", "client_id": "c1", "match_claims": ["email"], "trust_email": False, "required": True,
    "emergency_links": True, "has_secret": True, "entered_by": "u2", "entered_at": "2026-03-05T09:00:00.000Z",
}  # fmt: skip
CONNECTION = {"on_full": "refuse", "deactivation": "suspends"}


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


@pytest.mark.parametrize(
    ("path", "refused", "mark", "given", "shown"),
    [
        ("/people/u1/edit", "PATCH users /v1/tenants/acme/people/u1", "seen", PERSON, "Name Zora Schmid"),
        ("/access/people/u1", "PUT users /v1/tenants/acme/people/u1/roles", "etag", {"roles": ["owner"], "sees": "all"}, "Roles Auditor"),
        (
            "/access/roles/auditor/edit",
            "PATCH users /v1/tenants/acme/roles/auditor",
            "etag",
            {"name": "Revision", "rights": ["log:read"]},
            "Name Auditor Rights see licences, plan and invoices, read the action log",
        ),
        ("/settings/company", "PATCH users /v1/tenants/acme", "etag", COMPANY, "Name Alpenrose AG"),
        ("/profiles/edit?profile=staff", "PUT users /v1/tenants/acme/profiles/staff", "seen", PROFILE, "Name Staff Modules"),
        (
            "/access/scim/okta",
            "PUT users /v1/tenants/acme/scim-connections/okta",
            "version",
            CONNECTION,
            "Add the person without a licence",
        ),
    ],
)
async def test_a_form_that_was_refused_as_stale_shows_what_differs_and_is_saved_when_it_is_sent_again(
    bench: ConsoleBench, path: str, refused: str, mark: str, given: dict[str, Any], shown: str
) -> None:
    browser = bench.signed_in()
    await browser.get(OWN + path)
    bench.company.answers[refused] = problem(412, "precondition-failed", "It was changed.")
    stale = await browser.post(OWN + path, **given | {mark: '"0"' if mark != "version" else "0"})
    text = words(stale)
    assert (stale.status_code, "Somebody else has changed this meanwhile." in text) == (422, True)
    stored = text.partition("Stored now")[2]
    assert shown in stored
    assert "Analyst" not in stored, "only what differs"
    found = re.search(rf'name="{mark}" value="([^"]+)"', stale.text)
    assert found is not None
    del bench.company.answers[refused]
    again = await browser.post(OWN + path, **given | {mark: unescape(found[1])})
    assert again.status_code == 200
    last = [each for each in bench.company.requests if each.method in ("PATCH", "PUT")][-1]
    assert last.headers["if-match"].strip('"') not in ("", "0")


async def test_policies_that_somebody_else_has_changed_keep_the_input_and_are_saved_when_sent_again(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{OWN}/settings/policies/lab"
    form = fields(await browser.get(url))
    bench.company.settings.policies["lab"] |= {"flag_cap": 7}
    stale = await browser.post(url, **form | {"warn": "share", "warn_number": "80"})
    assert (stale.status_code, fields(stale)["warn_number"]) == (422, "80")
    assert "People over the limit at once 7" in words(stale).partition("Stored now")[2]
    done = await browser.post(url, **fields(stale))
    assert "The policies of Lab were changed." in words(done)
    assert bench.company.settings.sent == [{"modules": {"lab": {"flag_cap": 5, "warn_at": "80%"}}}]


async def test_two_forms_about_different_parts_of_the_policies_do_not_make_each_other_stale(bench: ConsoleBench) -> None:
    browser, charging, lab = bench.signed_in(), f"{OWN}/settings/charging", f"{OWN}/settings/policies/lab"
    of_charging, of_lab = fields(await browser.get(charging)), fields(await browser.get(lab))
    assert (await browser.post(f"{OWN}/settings/policies/projects", **fields(await browser.get(f"{OWN}/settings/policies/projects")) | {
        "warn": "share", "warn_number": "70"})).status_code == 200  # fmt: skip
    assert "The settings were changed." in words(await browser.post(charging, **of_charging | {"charge_when": "now"}))
    assert "The policies of Lab were changed." in words(await browser.post(lab, **of_lab | {"warn": "share", "warn_number": "80"}))
    stale = await browser.post(charging, **of_charging | {"charge_when": "threshold"})
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (422, True)


@pytest.mark.parametrize(
    ("path", "given", "shown"),
    [
        (
            "/access/identity-provider",
            {"issuer": PROVIDER["issuer"], "client_id": "other", "client_secret": "s"},
            "Client id somebody-else",
        ),
        ("/profiles/department?department=Sales+%3Cb%3E", {"profile": "", "step": "save"}, "Profile Staff"),
    ],
)
async def test_a_whole_setting_that_somebody_else_has_changed_is_not_overwritten(
    bench: ConsoleBench, path: str, given: dict[str, Any], shown: str
) -> None:
    """The input is kept, the present values are shown, and the form can be sent again."""
    browser, url, company = bench.signed_in(), OWN + path, bench.company
    form = fields(await browser.get(url)) | given
    company.access.provider = {"draft": None, "effective": PROVIDER | {"client_id": "somebody-else"}}
    company.people.departments["Sales <b>"] = "staff"
    before = len([each for each in company.requests if each.method in ("PUT", "PATCH")])
    stale = await browser.post(url, **form)
    assert (stale.status_code, shown in words(stale).partition("Stored now")[2]) == (409, True)
    changes = [each for each in company.requests if each.method in ("PUT", "PATCH")]
    assert len(changes) == before
    again = fields(stale)
    assert {name: again[name] for name in given if name not in ("step", "client_secret")} == {
        name: value for name, value in given.items() if name not in ("step", "client_secret")
    }
    assert (await browser.post(url, **again | given)).status_code == 200


@pytest.mark.parametrize(
    ("path", "given", "shown"),
    [
        ("/settings/billing", {"company": "Alpenrose GmbH"}, "Purchase order PO 18"),
        ("/settings/charging", {"charge_when": "now"}, "Licences are given back With a credit note at once."),
    ],
)
async def test_a_setting_of_invoicing_is_changed_with_the_etag_that_its_form_was_shown_with(
    bench: ConsoleBench, path: str, given: dict[str, Any], shown: str
) -> None:
    """Invoicing compares it, so that nothing is overwritten between the reading and the writing of the console itself."""
    browser, url, settings = bench.signed_in(), OWN + path, bench.company.settings
    form = fields(await browser.get(url)) | given
    assert settings.billing is not None
    settings.billing["purchase_order"] = "PO 18"
    settings.charging["credit_when"] = "now"
    held = (dict(settings.billing), dict(settings.charging))
    stale = await browser.post(url, **form)
    assert (stale.status_code, shown in words(stale).partition("Stored now")[2]) == (422, True), words(stale)
    assert (settings.billing, settings.charging) == held
    again = fields(stale)
    assert {name: again[name] for name in given} == given
    assert again["etag"] != form["etag"]
    assert (await browser.post(url, **again)).status_code == 200
    assert (settings.billing["company"], settings.charging["charge_when"]) != (held[0]["company"], held[1]["charge_when"])


async def test_the_first_billing_details_do_not_overwrite_those_that_somebody_else_has_entered(bench: ConsoleBench) -> None:
    browser, settings = bench.signed_in(), bench.company.settings
    entered, settings.billing = settings.billing, None
    form = fields(await browser.get(f"{OWN}/settings/billing"))
    settings.billing = entered
    given = {"company": "Other", "street": "1 Street", "city": "Zug", "country": "CH", "email": "i@acme.example"}
    stale = await browser.post(f"{OWN}/settings/billing", **form | given)
    assert (stale.status_code, settings.billing) == (422, entered)
    assert "Somebody else has changed this meanwhile." in words(stale)


async def test_a_new_profile_does_not_replace_one_with_the_same_id(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{OWN}/profiles/edit")
    taken = await browser.post(f"{OWN}/profiles/edit", **PROFILE | {"profile": "staff"})
    assert (taken.status_code, "There is a profile with this id already." in words(taken)) == (422, True)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/profiles/edit?profile=staff", {"name": "Everybody", "modules": ["projects"]}),
        ("/profiles/edit", {"profile": "new", "name": "New", "modules": ["projects"]}),
        ("/profiles/department?department=Sales+%3Cb%3E", {"profile": "staff"}),
        ("/settings/company", {"name": "Alpenrose"}),
        ("/access/roles/auditor/edit", {"name": "Revision"}),
    ],
)
async def test_a_form_that_is_sent_twice_blames_nobody_else(bench: ConsoleBench, path: str, change: dict[str, Any]) -> None:
    browser, url = bench.signed_in(), OWN + path
    form = fields(await browser.get(url)) | change | {"step": "save"}
    assert (await browser.post(url, **form)).status_code == 200
    stale = problem(412, "precondition-failed", "It was changed.")
    bench.company.answers["PATCH users /v1/tenants/acme/roles/auditor"] = stale
    twice = await browser.post(url, **form)
    text = words(twice)
    assert "Somebody else has changed this meanwhile." not in text
    assert ("This is stored already, so nothing was changed" in text, "Stored now" in text) == (True, False)
