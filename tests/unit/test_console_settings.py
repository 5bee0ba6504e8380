"""The console's pages of the settings, with the REST of the services in memory."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.console.rendering.formats import Formats
from services.console.rendering.policy_texts import PolicyTexts
from shared.schemas.rights import TENANT_RIGHTS
from tests.support.console import ConsoleBench, console, problem
from tests.support.console_settings import preview
from tests.support.messaging import NOON

SETTINGS = "/tenants/acme/settings"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the page itself."""
    body = page.text[page.text.index("<main") :]
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


def fields(page: httpx.Response) -> dict[str, Any]:
    """Return the form of the page as a browser would send it."""
    form = page.text[page.text.index('<form method="post" action="/tenants') :]
    form = form[: form.index("</form>")]
    found = dict(
        re.findall(
            r'<input [^>]*name="([^"]+)" (?:type="\w+" )?value="([^"]*)"(?=[^>]*>)',
            re.sub(r"<input type=\"(?:radio|checkbox)[^>]*>", "", form),
        )
    )
    found |= dict(re.findall(r'<input type="(?:radio|checkbox)" name="([^"]+)" value="([^"]*)" checked', form))
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        found |= {name: chosen[1] if chosen else ""}
    return {name: unescape(value) for name, value in found.items()}


async def test_M8_M9_M12_E8_every_policy_is_said_in_plain_words_with_an_example_in_the_numbers_of_the_module(bench: ConsoleBench) -> None:
    text = words(await bench.signed_in().get(SETTINGS))
    assert (
        "You have 119 licences, all are in use, and person number 120 is hired: the person works at once, marked in red, and has 7 days"
        in text
    )
    assert "36 hours" in text
    assert "Somebody who comes over the limit today loses access on 12 Mar 2026, unless a licence is free before." in text
    assert "You have 27 licences: up to 32 people can work, and the next one is refused." in text
    assert "You have 119 licences: the administrators get an e-mail when 108 of them are in use." in text
    assert "You have 27 licences: the administrators get an e-mail when 24 of them are in use." in text
    assert "licence number 41 is added and charged. Above 60 licences people are refused." in text
    assert "One of your 12 people leaves: you keep 12 licences until the period ends, and renew 11." in text
    assert "All 40 licences are in use, and you reduce to 39: it is refused until one person is deactivated." in text
    german = words(await bench.signed_in().get(SETTINGS, accept_language="de"))
    assert "Example" not in german


async def test_T3_modules_are_listed_in_the_order_of_the_page_of_the_licences_on_every_page(bench: ConsoleBench) -> None:
    """Base modules first, then by name; the catalogue and the services list them by their ids."""
    browser = bench.signed_in()
    bench.company.people.people["u1"]["modules"].sort(key=lambda each: each["module"] == "projects")
    for url, pattern in (
        (SETTINGS, r"<h3><bdi>(\w+)</bdi></h3>"),
        ("/tenants/acme/profiles/edit", r'name="modules" value="(\w+)"'),
        ("/tenants/acme/people", r'<option value="(projects|lab|planning)">'),
        ("/tenants/acme/people/u1", r'<tr[^>]*><th scope="row"><bdi>(Projects|Lab|Planning)</bdi>'),
        ("/tenants/acme/log", r'<option value="(projects|lab|planning)">'),
    ):
        found = [name.lower() for name in re.findall(pattern, (await browser.get(url)).text)]
        assert found[0] == "projects", url
        known = [name for name in found if name in ("projects", "lab", "planning")]
        assert known == [name for name in ("projects", "lab", "planning") if name in known], url
        assert len(known) > 1, url


async def test_only_the_policies_that_differ_are_sent_and_stale_values_are_not_saved(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{SETTINGS}/policies/lab"
    page = await browser.get(url)
    form = fields(page)
    assert (form["grace"], form["grace_unit"], form["warn"], form["warn_number"]) == ("36", "hours", "left", "3")
    done = await browser.post(url, **form | {"grace": "2", "grace_unit": "days", "flag_cap": "", "warn": "share", "warn_number": "80"})
    assert "The policies of Lab were changed." in words(done)
    assert bench.company.settings.sent == [{"modules": {"lab": {"grace": "P2D", "flag_cap": None, "warn_at": "80%"}}}]
    stale = await browser.post(url, **form)
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (422, True)
    assert len(bench.company.settings.sent) == 1
    unchanged = await browser.get(url)
    assert "Nothing was changed." in words(await browser.post(url, **fields(unchanged)))


async def test_M12_a_policy_that_is_refused_says_why_beside_its_field(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{SETTINGS}/policies/planning"
    form = fields(await browser.get(url))
    refused = await browser.post(url, **form | {"over_limit": "expand"})
    assert (refused.status_code, "the largest number of licences" in refused.text) == (422, True)
    wrong = await browser.post(url, **form | {"grace": "many"})
    assert (wrong.status_code, 'value="many"' in wrong.text) == (422, True)


async def test_policies_about_money_are_shown_but_not_changed_without_the_right_to_buy(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in("bob", rights=("account:read", "settings:manage")), f"{SETTINGS}/policies/lab"
    page = await browser.get(url)
    assert 'value="expand"' not in page.text
    assert 'name="expand_cap"' not in page.text
    assert "Only people with the right to buy can change this" in page.text
    assert "You reduce 27 licences to 26: you keep 27 until the period ends" in words(page)
    await browser.post(url, **fields(page) | {"over_limit": "wait", "leaver": "yes", "expand_cap": "99", "reduce_at": "now"})
    assert bench.company.settings.sent == [{"modules": {"lab": {"over_limit": "wait"}}}], "forged fields about money are not sent"
    charging = await browser.get(f"{SETTINGS}/charging")
    assert 'name="charge_when"' not in charging.text
    reader = bench.signed_in("carl", rights=("account:read",))
    assert f"{SETTINGS}/policies" not in (await reader.get(SETTINGS)).text
    assert [(await reader.get(f"{SETTINGS}/{each}")).status_code for each in ("policies/lab", "company", "billing", "charging")] == [
        403
    ] * 4


async def test_a_right_that_is_lost_while_the_form_is_open_is_not_used_and_the_form_says_so(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{SETTINGS}/policies/lab"
    form = fields(await browser.get(url))
    path = "PATCH invoicing /v1/tenants/acme/subscription/policies"
    bench.company.answers[path] = problem(403, "no-right", "This request needs the right settings:manage.")
    lost = await browser.post(url, **form | {"over_limit": "wait"})
    assert (lost.status_code, "Your roles do not allow this." in words(lost)) == (422, True)
    assert bench.company.settings.sent == []


@pytest.mark.parametrize("path", ["policies/lab", "charging", "company", "billing", "digests"])
async def test_a_forged_form_changes_no_setting(bench: ConsoleBench, path: str) -> None:
    browser = bench.signed_in()
    await browser.get(SETTINGS)
    answer = await browser.post(f"{SETTINGS}/{path}", _token="forged", digests="no")
    assert answer.status_code == 403
    assert not [each for each in bench.company.requests if each.method in ("PUT", "PATCH")]


async def test_billing_details_are_changed_and_a_wrong_vat_id_is_refused_beside_its_field(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{SETTINGS}/billing"
    form = fields(await browser.get(url))
    assert (form["country"], form["copy_to_administrators"]) == ("CH", "yes")
    wrong = await browser.post(url, **form | {"vat_id": "wrong"})
    assert (wrong.status_code, 'id="e-vat_id"' in wrong.text, "is not a VAT ID of CH" in wrong.text) == (422, True, True)
    browser.http.headers["accept-language"] = "de"
    german = words(await browser.post(url, **form | {"vat_id": "wrong"}))
    assert "'wrong' ist keine USt-IdNr. dieses Landes (CH). Prüfen Sie die Buchstaben und Ziffern." in german
    browser.http.headers["accept-language"] = "en"
    missing = await browser.post(url, **form | {"city": ""})
    assert (missing.status_code, 'id="e-city"' in missing.text) == (422, True)
    done = await browser.post(url, **form | {"vat_id": "", "document_format": "peppol_bis"})
    assert "Peppol BIS Billing" in words(done)
    assert bench.company.settings.billing is not None
    assert bench.company.settings.billing["vat_id"] is None
    bench.company.settings.billing = None
    assert "There are no billing details yet." in words(await browser.get(SETTINGS))


async def test_the_company_is_changed_only_if_nobody_else_has_changed_it_meanwhile(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{SETTINGS}/company"
    form = fields(await browser.get(url))
    done = await browser.post(url, **form | {"locale": "da-DK", "erase_after_months": "0", "release_on_expiry": "yes"})
    assert "Danish (Denmark)" in words(done)
    stale = await browser.post(url, **form)
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (422, True)
    assert bench.company.settings.tenant["locale"] == "da-DK"


async def test_M12_a_setting_whose_effect_is_not_known_for_everybody_is_asked_first(bench: ConsoleBench) -> None:
    browser, url, settings = bench.signed_in(), f"{SETTINGS}/company", bench.company.settings
    settings.preview = preview(0) | {"complete": False, "decided": False}
    seen = await browser.post(url, **fields(await browser.get(url)) | {"release_on_expiry": "yes"})
    assert "Only the first 31 people were examined." in words(seen)
    assert settings.tenant["release_on_expiry"] is False
    await browser.post(url, **fields(seen) | {"step": "save"})
    assert settings.tenant["release_on_expiry"] is True


async def test_M12_a_setting_of_the_company_by_which_licences_are_added_shows_them_before_it_is_saved(bench: ConsoleBench) -> None:
    browser, url, settings = bench.signed_in(), f"{SETTINGS}/company", bench.company.settings
    settings.preview = preview(3, added=2)
    form = fields(await browser.get(url)) | {"release_on_expiry": "yes"}
    seen = await browser.post(url, **form)
    text = words(seen)
    assert "3 people would require other modules. Lab 27 licences 27 → 30 Lab 3 has a seat" in text
    assert "2 licences would be added by themselves You would be charged CHF 10.00 per month, without tax." in text
    assert settings.tenant["release_on_expiry"] is False
    settings.preview = preview(3, added=3)  # somebody else has taken the free licence meanwhile
    again = await browser.post(url, **fields(seen) | {"step": "save"})
    assert "This is not what you saw before. Check it, and then go on. " in words(again)
    settings.preview = preview(3)
    again = await browser.post(url, **fields(again) | {"step": "save"})
    settings.preview |= {"decided": False}  # seats cannot say any more
    again = await browser.post(url, **fields(again) | {"step": "save"})
    assert "This is not what you saw before. Check it, and then go on. " in words(again)
    assert settings.tenant["release_on_expiry"] is False
    assert "The settings were changed." in words(await browser.post(url, **fields(again) | {"step": "save"}))
    assert settings.tenant["release_on_expiry"] is True
    asked = [each for each in bench.company.requests if "dry_run" in each.url.params]
    await browser.post(url, **fields(await browser.get(url)) | {"name": "Alpenrose"})
    assert settings.tenant["name"] == "Alpenrose"
    assert [each for each in bench.company.requests if "dry_run" in each.url.params] == asked, "another field concerns no seats"


@pytest.mark.parametrize("right", TENANT_RIGHTS)
async def test_a_reader_with_any_right_switches_the_own_digests_off(bench: ConsoleBench, right: str) -> None:
    browser = bench.signed_in("carl", rights=(right,))
    assert ("Policies of the modules" in words(await browser.get(SETTINGS))) == (right == "account:read"), "nobody else may see them"
    done = await browser.post(f"{SETTINGS}/digests", digests="no")
    assert "You get e-mails only about deadlines and your own seats." in words(done)
    assert bench.company.settings.digests is False


async def test_a_test_clock_is_advanced_by_a_day_a_week_to_what_falls_due_and_to_the_renewal(bench: ConsoleBench) -> None:
    browser, url, clock = bench.signed_in(clock="test"), f"{SETTINGS}/clock", bench.company.settings.clock
    text = words(await browser.get(url))
    assert "To what falls due next: 9 Mar 2026, 10:00" in text
    assert "To the renewal: 1 Apr 2026, 00:00" in text
    for name, value, to in (
        ("by", "day", "2026-03-06T09:00:00.000Z"),
        ("by", "week", "2026-03-12T09:00:00.000Z"),
        ("to", "2026-03-31T22:00:00.000Z", "2026-03-31T22:00:00.000Z"),
    ):
        clock["state"] = "ready"
        await browser.get(url)
        page = await browser.post(url, **dict[str, Any]({name: value}))
        assert (clock["to"], "Being advanced to" in words(page)) == (to, True)
    assert (await bench.signed_in().get(url)).status_code == 404, "a real clock"
    wrong = await browser.post(url, to="tomorrow")
    assert (wrong.status_code, "because the time is not possible" in words(wrong)) == (422, True)


async def test_the_budget_and_the_second_approver_are_changed_in_settings_where_orders_and_refusals_lead(bench: ConsoleBench) -> None:
    browser, url, rules = bench.signed_in(), f"{SETTINGS}/purchases", bench.company.contract
    assert f'href="{SETTINGS}#purchases"' in (await browser.get("/tenants/acme/orders")).text
    assert "One person approves each purchase." in words(await browser.get(SETTINGS))
    page = await browser.get(url)
    assert "CHF 300.00 of the budget are left this month. A purchase that adds CHF 400.00 to the price of a period is refused." in words(
        page
    )
    form = fields(page)
    without = await browser.post(url, **form | {"second_approver": "above_budget"})
    assert (without.status_code, "Enter the budget above which a second person approves." in words(without)) == (422, True)
    done = words(await browser.post(url, **form | {"second_approver": "above_budget", "budget": "1'000.50"}))
    assert (rules.second_approver, rules.monthly_budget_minor) == ("above_budget", 100_050)
    assert "The rules for purchases were changed." in done
    assert "CHF 640.50 of the budget are left this month. A purchase that adds CHF 100.00 to the price of a period needs one" in done
    stale = await browser.post(url, **form)
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (409, True)
    assert fields(stale)["budget"] == "", "the input stays"
    assert "Stored now" in words(stale)
    assert "Monthly budget CHF 1’000.50 Who approves A purchase above the budget needs a second person." in words(stale)
    wrong = await browser.post(url, **fields(stale) | {"budget": "1.000,50"})
    assert (wrong.status_code, "Enter an amount such as 1’000.00, or nothing." in words(wrong)) == (422, True)
    assert "Nothing was" not in words(await browser.post(url, **fields(stale) | {"budget": "", "second_approver": "always"}))
    assert (rules.second_approver, rules.monthly_budget_minor) == ("always", None)
    german = words(await bench.signed_in().get(url, accept_language="de"))
    assert "Monatsbudget in CHF" in german
    assert "Example" not in german
    assert (await bench.signed_in(rights=("account:read", "account:buy")).get(url)).status_code == 403


async def test_a_purchase_above_the_budget_leads_to_the_rules_only_for_who_may_change_them(bench: ConsoleBench) -> None:
    url = "/tenants/acme/licences/lab/buy"
    bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = problem(409, "budget-exceeded", "Above the budget.")
    for rights, leads in ((("account:read", "account:buy"), False), (("account:read", "account:buy", "settings:manage"), True)):
        browser = bench.signed_in(rights=rights)
        await browser.get(url)
        refused = await browser.post(url, number="3", way="add")
        assert "exceeds what is left of the monthly budget" in words(refused)
        assert (f'href="{SETTINGS}#purchases"' in refused.text) is leads


def test_a_percentage_of_a_policy_is_in_the_form_of_the_readers_country() -> None:
    def english(text: str, **values: Any) -> str:
        return text % values

    def many(one: str, other: str, num: int, **values: Any) -> str:
        return (one if num == 1 else other) % {"num": num, **values}

    for locale, shown in (("de_DE", "90\u00a0%"), ("de_CH", "90%"), ("en_GB", "90%")):
        texts = PolicyTexts(english, many, Formats(locale, None, NOON), 10, {"warn_at": "90%", "over_limit": "flag"}).all()
        assert f"When {shown} of the licences are in use" in [each.value for each in texts]


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        (12, "licence number 11 is added and charged. Above 12 licences people are refused."),
        (None, "licence number 11 is added and charged. Above 11 licences people are refused."),
        (10, "person number 11 is hired: the person is refused and cannot log in."),
    ],
)
def test_M12_the_example_of_an_expansion_adds_no_licence_above_the_largest_number(cap: int | None, said: str) -> None:
    def english(text: str, **values: Any) -> str:
        return text % values

    def many(one: str, other: str, num: int, **values: Any) -> str:
        return (one if num == 1 else other) % {"num": num, **values}

    policies = {"over_limit": "expand", "expand_cap": cap}
    found = {each.name: each for each in PolicyTexts(english, many, Formats("en_GB", None, NOON), 10, policies).all()}
    assert said in found["over_limit"].example
