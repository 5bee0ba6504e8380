"""The pages of the console, with the REST of the other services in memory. tests/browser has what only a browser shows."""

import asyncio
import base64
import hashlib
import html
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import orjson
import pytest
import pytest_asyncio
from fastapi import Response

from services.console.pages import PAGES as MODULES
from services.console.pages import cookies
from services.console.pages.addresses import page_at
from services.console.pages.headers import CONTENT_SECURITY_POLICY
from services.console.rendering import languages, static_files
from services.console.rendering.languages import CATALOGUES, chosen
from services.console.rendering.problem_texts import TEXTS
from services.console.rest.services import Part
from services.console.settings import Settings
from services.console.sign_in.seals import FORM, Seals
from shared.sealed import seal
from tests.support import translations
from tests.support.console import KEY_OF_CONSOLE, Company, ConsoleBench, Module, console, problem, reply

LICENCES = "/tenants/acme/licences"
STATIC = static_files.FOLDER


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(page: httpx.Response) -> str:
    """Return what a reader sees: the text without tags, with single spaces."""
    body = re.sub(r"<(script|style|title|head)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


async def test_T1_T3_E6_M3_M7_the_page_shows_base_licences_and_modules_in_two_sections_with_their_totals(bench: ConsoleBench) -> None:
    page = words(await bench.signed_in().get("/"))
    assert "Licences 122 of 119 in use" in page
    assert "Modules 71 of 79 in use" in page
    assert "Standard · monthly · 1 Mar 2026 to 31 Mar 2026" in page
    laboratory = page[page.index("Laboratory CHF") : page.index("Planning CHF")]
    assert " ".join(laboratory.split()[1:]) == "CHF 12.00 per month 30 of 27 3 9 Mar 2026 , 4 days left 0 0 0 20 Buy"


@pytest.mark.parametrize("is_free", [True, False])
async def test_nobody_is_told_to_buy_licences_of_a_module_with_free_ones_for_people_who_wait_for_another(
    bench: ConsoleBench, is_free: bool
) -> None:
    """A profile that gives all its modules or none waits in each of them."""
    planning = bench.company.modules["planning"]
    planning.refused, planning.waiting, planning.active = 0, 1, 9 if is_free else planning.bought - planning.held
    page = words(await bench.signed_in().get(LICENCES))
    free = "Planning: 1 person waits A licence is free, but they also wait for another module that they need together with this one. Show"
    free += " them"
    full = "Planning: 1 person waits They get access when a licence is free. Show them Buy licences"
    assert (free in page, full in page, f"{free} Buy" in page) == (is_free, not is_free, False)


async def test_what_needs_attention_stands_at_the_top_the_most_urgent_first(bench: ConsoleBench) -> None:
    bench.company.undelivered = {"emails": 120, "recipients": 2, "addresses": ["u1@acme.example"]}
    bench.company.money.waits |= {"waiting_quotes": 1, "estimates": 2, "overdue_invoices": 1, "overdue_minor": 12_345}
    bench.company.ends_on = "2026-04-01"
    page = words(await bench.signed_in().get(LICENCES))
    titles = [
        "Projects: 3 people are over the limit · 9 Mar 2026 , 4 days left",
        "Laboratory: 3 people are over the limit",
        "The subscription ends on 31 Mar 2026",
        "1 invoice is overdue CHF 123.45 is to be paid. Show the invoices",
        "Laboratory: the renewal puts 7 people over the limit",
        "Planning: 1 person was refused, and licences are free now",
        "1 purchase waits for a second approver",
        "2 estimates of the vendor wait for your approval",
        "120 e-mails could not be delivered",
        "Check the e-mail addresses: u1@acme.example, …",
        "Licences 122 of 119",
    ]
    assert [page.find(each) for each in titles] == sorted(page.find(each) for each in titles)
    assert all(each in page for each in titles)
    assert "From 1 Apr 2026 there are 20 licences. Deactivate people before that day, or increase the number. 3 people are" in page
    assert "licences for 27 people" not in page, "30 people use it: those who are over the limit already use it, too"
    assert "reservation" not in page
    lab = bench.company.modules["lab"]
    lab.held = 2
    page = words(await bench.signed_in().get(LICENCES))
    assert "already, and get the next licences that become free. 2 reservations for invited people end" in page
    lab.leavers = 8
    page = words(await bench.signed_in().get(LICENCES))
    assert "the renewal puts" not in page, "T18: known leavers do not count"
    assert "Laboratory: the renewal ends 1 reservation From 1 Apr 2026 there are 20 licences. The newest reservations" in page
    lab.leavers = 9
    page = words(await bench.signed_in().get(LICENCES))
    assert ("the renewal puts" in page, "the renewal ends" in page) == (False, False)


async def test_free_licences_beside_refused_people_name_the_other_modules_that_are_full(bench: ConsoleBench) -> None:
    browser, also = bench.signed_in(), "People whose profile gives all modules or none also need a free licence of: Laboratory."
    assert also not in words(await browser.get(LICENCES))
    bench.company.modules["lab"].refused = 1
    page = words(await browser.get(LICENCES))
    assert f"Request the seats again for the people who should have access. {also}" in page


async def test_a_subscription_that_ends_says_when_and_offers_only_what_is_still_possible(bench: ConsoleBench) -> None:
    bench.company.ends_on = "2026-04-01"
    browser = bench.signed_in()
    page = await browser.get(LICENCES)
    assert "Ends on 31 Mar 2026 in 26 days" in words(page)
    assert "Next renewal" not in words(page)
    chart = await browser.get(f"{LICENCES}/use")
    assert "the last 90 days, and to the end of the subscription" in words(chart)
    assert ">renewal</text>" not in chart.text
    assert set(re.findall(r"licences/(\w+)/next-period", page.text)) == {"documents"}, "only there licences can be given up at once"
    assert f"{LICENCES}/lab/buy" in page.text
    bench.company.status = "ended"
    page = await browser.get(LICENCES)
    assert "The subscription has ended. The numbers are those of its end." in words(page)
    for gone in ("Ends on", "Next renewal", "The subscription ends on"):
        assert gone not in words(page)
    assert "/buy" not in page.text
    assert "/next-period" not in page.text


async def test_the_chart_goes_to_the_renewal_after_next_that_invoicing_names(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    shown = (await browser.get(f"{LICENCES}?whole=yes")).text
    assert "1 May" in shown
    licences = orjson.loads(bench.company._licences(httpx.Request("GET", "http://x")).content)
    licences |= {"period": {"start": "2026-03-01", "end": "2026-03-25"}, "following_renewal": "2026-04-25"}
    bench.company.answers["GET invoicing /v1/tenants/acme/licences"] = reply(licences)
    bench.company.requests.clear()
    await browser.get(f"{LICENCES}/use")
    (asked,) = [each.url.params["at"] for each in bench.company.requests if each.url.path.endswith("/forecast")]
    assert asked.startswith("2026-04-25T22:00"), "a trial of 24 days is followed by a whole period"


async def test_the_page_asks_each_service_once_and_the_chart_and_the_changes_follow(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(LICENCES)
    bench.company.requests.clear()
    page = await browser.get(LICENCES)
    asked = sorted(f"{each.url.port} {each.url.path.rpartition('/acme/')[2]}" for each in bench.company.requests)
    assert asked == ["8001 statistics/modules", "8003 licences", "8004 emails/undelivered"]
    parts = dict(re.findall(r'id="(\w+)"[^>]* hx-get="([^"]+)" hx-trigger="load, every 10s"', page.text))
    assert parts == {"use": f"{LICENCES}/use?module=projects", "changes": f"{LICENCES}/changes"}
    assert page.text.count(f'<noscript><p><a href="{LICENCES}?whole=yes#') == 2


async def test_what_needs_attention_leads_to_the_page_where_something_can_be_done(bench: ConsoleBench) -> None:
    bench.company.money.waits |= {"waiting_quotes": 1, "overdue_invoices": 1, "overdue_minor": 100}
    bench.company.modules["lab"].waiting = 0
    page = (await bench.signed_in().get(LICENCES)).text
    for link in (
        "people?module=projects&amp;state=flagged",
        "people?module=planning&amp;state=refused",
        "invoices?state=overdue",
        "orders",
    ):
        assert f'href="/tenants/acme/{link}"' in page, link
    without = (await bench.signed_in("bob", rights=("account:read",)).get(LICENCES)).text
    assert "people?module" not in without, "a page that the reader may not see"


async def test_A9_a_company_that_buys_by_request_is_led_to_a_request(bench: ConsoleBench) -> None:
    bench.company.money.ordering = "by_request"
    page = (await bench.signed_in().get(LICENCES)).text
    assert "/tenants/acme/orders/request" in page
    assert "/buy" not in page
    assert "/next-period" not in page
    bench.company.money.ordering = "self_service"
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    for why, link in (("by-request", "orders/request"), ("plan-without-extra-licences", "plan/change")):
        bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = problem(409, why, "Refused.")
        assert link in (await browser.post(f"{LICENCES}/lab/buy", how="add", number="1")).text


async def test_B2_a_plan_without_extra_licences_is_changed_first(bench: ConsoleBench) -> None:
    bench.company.money.allows_extra_licences = False
    page = (await bench.signed_in().get(LICENCES)).text
    assert "/buy" not in page
    assert re.search(r'id="buy-lab" class="button small" href="/tenants/acme/plan/change"', page)
    assert "/next-period" in page, "fewer licences are possible"
    bench.company.contract.plans[0]["allows_extra_licences"] = False
    plan = (await bench.signed_in().get("/tenants/acme/plan")).text
    assert "/buy" not in plan
    assert "/next-period" in plan


async def test_M13_the_history_shows_the_numbers_before_and_after_with_time_and_person(bench: ConsoleBench) -> None:
    page = words(await bench.signed_in().get(f"{LICENCES}?whole=yes"))
    assert "Bought 5 Mar 2026, 09:30 Projects 115 → 119 115 → 119 Ann Müller" in page
    for url in (LICENCES, f"{LICENCES}?whole=yes"):
        assert "Changes of the numbers" not in words(await bench.signed_in("bob", rights=("account:read",)).get(url))


async def test_numbers_of_people_are_grouped_also_in_sentences(bench: ConsoleBench) -> None:
    bench.company.modules["lab"].flagged = 10_000
    bench.company.modules["planning"].refused = 2_000
    bench.company.undelivered = {"emails": 3_000, "recipients": 1, "addresses": ["u1@acme.example"]}
    browser = bench.signed_in()
    page = words(await browser.get(LICENCES))
    for title in ("Laboratory: 10’000 people are over", "Planning: 2’000 people were refused", "3’000 e-mails could not be delivered"):
        assert title in page
    assert "10’000 people are over the limit." in words(await browser.get(f"{LICENCES}/lab/buy")), "a text of a template"


async def test_the_number_of_the_next_period_begins_at_the_minimum_of_the_plan(bench: ConsoleBench) -> None:
    bench.company.modules["lab"].minimum = 5
    browser = bench.signed_in()
    assert "From 5 to 27." in words(await browser.get(f"{LICENCES}/lab/next-period"))
    low = await browser.post(f"{LICENCES}/lab/next-period", number="4", seen="20")
    assert (low.status_code, "Enter a whole number from 5 to 27" in low.text) == (422, True)
    assert bench.company.reductions == {}


async def test_T4_T8_licences_are_bought_after_the_quote_was_approved_and_not_before(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    quote = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    assert "3 licences, 27 of 31 days CHF 31.35 Tax, 8.1% CHF 2.53 On the next invoice, 1 Apr 2026 CHF 33.88" in words(quote)
    assert "CHF 2’052.00 → CHF 2’088.00" in words(quote)
    assert bench.company.modules["lab"].bought == 27, "nothing is bought before the approval"
    (made,) = bench.company.quotes
    done = await browser.post(f"{LICENCES}/lab/quotes/{made}/approve", how="add", number="3")
    assert "The licences were added and can be used now." in words(done)
    assert "30 of 30" in words(done)
    assert "Laboratory: 3 people are over the limit" not in words(done), "the purchase cleared the flags"


async def test_M10_a_purchase_can_state_the_new_total_and_its_errors_stand_beside_the_number(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    low = await browser.post(f"{LICENCES}/lab/buy", how="total", number="27")
    assert (low.status_code, "You have 27 licences already. Enter a higher total." in low.text) == (422, True)
    wrong = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3.5")
    assert 'aria-invalid="true"' in wrong.text
    refused = await browser.post(f"{LICENCES}/lab/buy", how="add", number="1’001")
    assert (refused.status_code, "at most 1,000 licences more" in refused.text, 'value="1’001"' in refused.text) == (422, True, True)
    await browser.post(f"{LICENCES}/lab/buy", how="total", number="30")
    assert [line["quantity"] for quote in bench.company.quotes.values() for line in quote["lines"]] == [3]


async def test_T8_a_quote_that_expired_while_the_dialog_was_open_is_replaced_by_a_new_one(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    path = "/v1/tenants/acme/quotes/q2/approve"
    bench.company.answers[f"POST invoicing {path}"] = problem(409, "quote-expired", "The quote has expired.")
    quote = next(iter(bench.company.quotes))
    bench.company.answers[f"POST invoicing /v1/tenants/acme/quotes/{quote}/approve"] = problem(409, "quote-expired", "It has expired.")
    again = await browser.post(f"{LICENCES}/lab/quotes/{quote}/approve", how="add", number="3")
    assert "The quote that you saw no longer fits" in words(again)
    assert len(bench.company.quotes) == 2
    assert bench.company.modules["lab"].bought == 27


async def test_a_new_total_stays_the_total_when_somebody_else_buys_meanwhile(bench: ConsoleBench) -> None:
    browser, lab = bench.signed_in(), bench.company.modules["lab"]
    await browser.get(f"{LICENCES}/lab/buy")
    shown = await browser.post(f"{LICENCES}/lab/buy", how="total", number="37")
    form = dict(re.findall(r'<input type="hidden" name="(how|number|add)" value="([^"]*)"', shown.text))
    for bought, quantity in ((28, 9), (37, None)):
        quote, lab.bought = list(bench.company.quotes)[-1], bought
        outdated = problem(409, "quote-outdated", "It has changed.")
        bench.company.answers[f"POST invoicing /v1/tenants/acme/quotes/{quote}/approve"] = outdated
        again = await browser.post(f"{LICENCES}/lab/quotes/{quote}/approve", **form)
        if quantity is None:
            assert (again.status_code, "You have 37 licences already. Enter a higher total." in words(again)) == (422, True)
            assert 'value="total" checked' in again.text
        else:
            assert "You then have 37 licences." in words(again)
            assert [line["quantity"] for line in list(bench.company.quotes.values())[-1]["lines"]] == [quantity]
    assert len(bench.company.quotes) == 2


async def test_a_form_that_was_sent_with_other_values_says_in_words_what_to_do(bench: ConsoleBench) -> None:
    detail = "This Idempotency-Key was already used for a different request. Use a new key for each new request."
    bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = problem(422, "idempotency-key-reused", detail)
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    again = await browser.post(f"{LICENCES}/lab/buy", how="add", number="4")
    assert "This form was sent already, with other values. Look whether that did what you want, or open the form again." in words(again)
    assert ("Idempotency-Key" in again.text, 'href="/tenants/acme/orders"' in again.text[again.text.index("<main") :]) == (False, True)


@pytest.mark.parametrize("why", ["quote-outdated", "quote-replaced", "discounts-changed", "price-list-changed", "tax-changed"])
async def test_T8_a_quote_whose_basis_has_changed_is_replaced_by_a_new_one(bench: ConsoleBench, why: str) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    quote = next(iter(bench.company.quotes))
    bench.company.answers[f"POST invoicing /v1/tenants/acme/quotes/{quote}/approve"] = problem(409, why, "It has changed.")
    again = await browser.post(f"{LICENCES}/lab/quotes/{quote}/approve", how="add", number="3")
    assert "The quote that you saw no longer fits" in words(again)
    assert len(bench.company.quotes) == 2


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Another person with the right to buy must approve the purchase too. Nothing is bought until then."),
        ("de", "Eine weitere Person mit Kaufrecht muss den Kauf ebenfalls genehmigen. Bis dahin wird nichts gekauft."),
    ],
)
async def test_the_first_of_two_approvers_is_told_that_nothing_is_bought_yet(bench: ConsoleBench, language: str, text: str) -> None:
    bench.company.needs_second = True
    browser = bench.signed_in()
    browser.http.headers["accept-language"] = language
    await browser.get(f"{LICENCES}/lab/buy")
    await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    done = await browser.post(f"{LICENCES}/lab/quotes/{next(iter(bench.company.quotes))}/approve", how="add", number="3")
    assert (str(done.url).endswith(LICENCES), text in words(done)) == (True, True), done.url
    assert bench.company.modules["lab"].bought == 27


async def test_an_order_that_seats_has_not_decided_is_shown_as_pending(bench: ConsoleBench) -> None:
    bench.company.decides = False
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    done = await browser.post(f"{LICENCES}/lab/quotes/{next(iter(bench.company.quotes))}/approve", how="add", number="3")
    assert "+3 pending" in words(done)
    assert "The order is being carried out." in words(done)


async def test_T12_M15_a_reduction_says_who_would_be_over_the_limit_before_it_is_approved(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/next-period")
    shown = words(await browser.post(f"{LICENCES}/lab/next-period", number="25", seen="20"))
    assert "2 people would be over the limit, if nothing else changes" in shown
    assert "Zora Schmid Bruno Jovanović" in shown
    assert "Deactivate those who no longer need access in time" in shown
    assert "3 people are over the limit already, and get the next licences that become free." in shown
    assert bench.company.modules["lab"].next_period == 20
    done = words(await browser.post(f"{LICENCES}/lab/reductions/{next(iter(bench.company.reductions))}/approve", number="25"))
    assert "The number of the next period was set." in done
    assert bench.company.modules["lab"].next_period == 25
    assert "reservation" not in shown, "nobody is invited to this module"


@pytest.mark.parametrize(
    ("language", "one", "two", "nobody_over"),
    [
        (
            "en",
            "1 reservation for an invited person would end",
            "2 reservations for invited people would end",
            "Nobody would be over the limit.",
        ),
        (
            "de",
            "1 Reservierung für eine eingeladene Person würde enden",
            "2 Reservierungen für eingeladene Personen würden enden",
            "Niemand wäre über der Grenze.",
        ),
    ],
)
async def test_T18_the_dialog_of_a_reduction_says_how_many_reservations_would_end(
    bench: ConsoleBench, language: str, one: str, two: str, nobody_over: str
) -> None:
    browser = bench.signed_in()
    browser.http.headers["accept-language"] = language
    bench.company.modules["planning"].held = 2
    for number, ends, over in ((11, None, False), (10, one, False), (9, two, False), (8, two, True)):
        await browser.get(f"{LICENCES}/planning/next-period")
        shown = words(await browser.post(f"{LICENCES}/planning/next-period", number=str(number)))
        assert [text for text in (one, two) if text in shown] == ([ends] if ends else []), number
        assert (nobody_over not in shown) is over


async def test_E9_the_dialog_of_a_reduction_counts_reservations_of_people_whom_the_reader_does_not_see(bench: ConsoleBench) -> None:
    bench.company.modules["planning"].held = 3
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/planning/next-period")
    shown = await browser.post(f"{LICENCES}/planning/next-period", number="9")
    assert "3 reservations for invited people would end, if nothing else changes" in words(shown)
    assert "People whose reservations would end" in shown.text
    bench.company.names = {"ann": bench.company.names["ann"]}
    await browser.get(f"{LICENCES}/planning/next-period")
    shown = await browser.post(f"{LICENCES}/planning/next-period", number="9")
    assert "3 reservations for invited people would end, if nothing else changes" in words(shown)
    assert "People whose reservations would end" not in shown.text


@pytest.mark.parametrize(
    ("credit", "unbilled", "text"),
    [
        ("now", 0, "by credit note at the end of the day CHF 46.45"),
        ("now", 1_645, "by credit note at the end of the day CHF 30.00 deducted from charges that are on no invoice yet CHF 16.45"),
        ("next_invoice", 0, "on the next invoice CHF 46.45"),
        ("next_invoice", 4_645, "deducted from charges that are on no invoice yet CHF 46.45"),
    ],
)
async def test_M8_a_reduction_at_once_says_on_which_document_its_credit_is(
    bench: ConsoleBench, credit: str, unbilled: int, text: str
) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/next-period")
    without = words(await browser.post(f"{LICENCES}/lab/next-period", number="25", seen="20"))
    (reduction,) = bench.company.reductions.values()
    at_once = reduction | {"takes_effect": "now", "credit_net_minor": 4_645, "unbilled_net_minor": unbilled, "credit": credit}
    bench.company.answers["POST invoicing /v1/tenants/acme/reductions"] = reply(at_once, 201)
    shown = words(await browser.post(f"{LICENCES}/lab/next-period", number="25", seen="20"))
    assert f"Credit for the rest of the period CHF 46.45 {text}" in shown
    assert ("on no invoice yet" in shown) == bool(unbilled)
    assert "next invoice" not in without


async def test_M8_the_form_of_a_number_says_whether_a_reduction_applies_at_once(bench: ConsoleBench) -> None:
    browser, policies, keep = bench.signed_in(), bench.company.settings.policies, "Until then you keep your 27 licences."
    later = ("Close the module at the end of the period", "0 closes the module at the end of the period.")
    now = ("Close the module at once", "0 closes the module at once.")
    policies["lab"]["reduce_at"] = "period_end"
    form = words(await browser.get(f"{LICENCES}/lab/next-period"))
    assert [text in form for text in (keep, *later, *now)] == [True, True, True, False, False]
    policies["lab"]["reduce_at"] = "now"
    form = words(await browser.get(f"{LICENCES}/lab/next-period"))
    assert "A lower number applies at once" in form
    assert [text in form for text in (keep, *later, *now)] == [False, False, False, True, True]


async def test_M8_a_reduction_at_once_begins_at_the_present_licences_also_if_fewer_were_scheduled_before(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    bench.company.settings.policies["lab"]["reduce_at"] = "now"
    page = (await browser.get(f"{LICENCES}/lab/next-period")).text
    assert all(each in page for each in ('name="seen" value="27"', 'name="number" type="text" value="27"'))
    scheduled = await browser.post(f"{LICENCES}/lab/next-period", number="20", seen="27")
    assert "Set to 20" in words(scheduled)
    bench.company.modules["lab"].next_period = 20
    assert "A reduction to 20 is already scheduled for the next period." in words(await browser.get(f"{LICENCES}/lab/next-period"))
    kept = await browser.post(f"{LICENCES}/lab/next-period", number="27", seen="27")
    assert "Set to 27" in words(kept), "T13"
    bench.company.modules["lab"].next_period = 27
    assert "were ordered before" not in words(await browser.get(f"{LICENCES}/lab/next-period"))
    same = await browser.post(f"{LICENCES}/lab/next-period", number="27", seen="27")
    assert "Nothing has changed: the number was the same." in words(same)
    bench.company.modules["lab"].bought = 26
    late = await browser.post(f"{LICENCES}/lab/next-period", number="20", seen="27")
    assert "Somebody else has changed this number to 26 meanwhile. Check it and save again." in words(late)


async def test_T14_M8_a_module_that_closes_at_once_is_not_said_to_close_at_the_end_of_the_period(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/next-period")
    later = words(await browser.post(f"{LICENCES}/lab/next-period", close="yes", seen="20"))
    (reduction,) = bench.company.reductions.values()
    bench.company.answers["POST invoicing /v1/tenants/acme/reductions"] = reply(reduction | {"takes_effect": "now"}, 201)
    now = words(await browser.post(f"{LICENCES}/lab/next-period", close="yes", seen="20"))
    texts = (
        "Close at the end of the period",
        "On that day everybody loses",
        "Close at once",
        "Everybody loses access to Laboratory at once.",
    )
    assert [(text in later, text in now) for text in texts] == [(True, False), (True, False), (False, True), (False, True)]


async def test_T14_the_last_base_module_cannot_be_closed_and_another_module_can(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    assert "This is the last base module" in words(await browser.get(f"{LICENCES}/projects/next-period"))
    assert "Close the module" in words(await browser.get(f"{LICENCES}/lab/next-period"))
    assert "0 closes the module" in words(await browser.get(f"{LICENCES}/lab/next-period"))
    assert "Close Lab" in words(await browser.post(f"{LICENCES}/lab/next-period", number="0", seen="20")), "0 is the same"
    assert (await browser.post(f"{LICENCES}/projects/next-period", number="0")).status_code == 422, "the last base module stays"
    closing = words(await browser.post(f"{LICENCES}/lab/next-period", close="yes", seen="20"))
    assert "On that day everybody loses access to Laboratory." in closing


async def test_of_two_administrators_who_edit_the_same_number_the_second_is_told(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/next-period")
    bench.company.modules["lab"].next_period = 22
    late = await browser.post(f"{LICENCES}/lab/next-period", number="25", seen="20")
    assert (late.status_code, "Somebody else has changed this number to 22 meanwhile." in late.text) == (422, True)
    assert not bench.company.reductions
    assert 'name="seen" value="22"' in late.text, "the next try is about the present number"


async def test_T22_T23_what_a_reader_may_not_do_is_not_shown_and_is_refused(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("account:read",))
    page = await browser.get(LICENCES)
    assert "/buy" not in page.text
    assert "next-period" not in page.text
    assert (await browser.get(f"{LICENCES}/lab/buy")).status_code == 403
    assert (await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")).status_code == 403
    assert (await bench.signed_in("cleo", rights=("users:read",)).get(LICENCES)).status_code == 403
    nobody = await bench.signed_in("dora", rights=("account:buy",)).get("/")
    assert "your roles give you only your own settings" in words(nobody)


@pytest.mark.parametrize(
    ("kind", "reason", "detail", "says"),
    [
        ("order", "expected_differs", {}, "the numbers had changed since the quote"),
        ("order", "error", {}, "The order was refused because of an error, and nothing is charged."),
        ("reduction", "below_use", {"must_free": 4}, "First deactivate 4 people or withdraw their logins."),
        ("reduction", "above_licences", {}, "To have more, buy licences."),
        ("reduction", "last_base_module", {}, "To stop, end the whole subscription."),
        ("reduction", "expected_differs", {}, "the licences had changed meanwhile"),
    ],
)
async def test_A9_a_refused_order_or_reduction_says_why_and_what_to_do(
    bench: ConsoleBench, kind: str, reason: str, detail: dict[str, Any], says: str
) -> None:
    found = bench.company.orders if kind == "order" else bench.company.reductions
    found["r1"] = {"status": "refused", "reason": reason, "detail": detail, "decided_at": "2026-03-05T09:00:00.000Z"}
    assert says in words(await bench.signed_in().get(f"{LICENCES}?{kind}=r1"))


async def test_a_page_of_another_tenant_and_an_unknown_page_are_the_same_404(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    pages = [await browser.get(url) for url in ("/tenants/other/licences", "/nope", f"{LICENCES}/unknown/buy", "/operator/tenants")]
    assert {page.status_code for page in pages} == {404}
    assert len({re.sub(r'value="[^"]*"', "", words(page)) for page in pages}) == 1


@pytest.mark.parametrize("url", [LICENCES, f"{LICENCES}/lab/buy", "/tenants/acme/plan/end"])
async def test_pages_say_that_the_use_of_the_licences_is_missing_while_seats_does_not_answer(bench: ConsoleBench, url: str) -> None:
    browser, missing = bench.signed_in(), "The use of the licences cannot be shown now, because a service does not answer."
    assert missing not in words(await browser.get(url))
    bench.company.uses_known = False
    page = await browser.get(url)
    assert (page.status_code, missing in words(page)) == (200, True)


async def test_a_service_that_is_down_costs_its_part_of_the_page(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(LICENCES)
    bench.company.down = {"users", "notifier", "seats"}
    page = await browser.get(f"{LICENCES}?whole=yes")
    assert page.status_code == 200
    assert "30 of 27" in words(page)
    assert "The number of refused people and the deadlines cannot be shown now" in words(page)
    assert "They keep access as long as nobody else can administer the product." not in words(page), "the deadline is only unknown"
    assert "People who are still over the limit at the deadline lose access." in words(page)
    assert "The changes cannot be shown now" in words(page)
    assert "The forecast cannot be shown now" in words(page)
    assert set(re.findall(r'id="(\w+)"[^>]* hx-trigger="[^"]*every 5s"', page.text)) == {"use", "changes"}, "they ask again"
    bench.company.down = set()
    assert "every" not in (await browser.get(f"{LICENCES}/use")).text
    bench.company.down = {"invoicing"}
    lost = await browser.get(LICENCES)
    assert (lost.status_code, "invoicing" in words(lost)) == (503, True)
    assert (lost.headers["refresh"], "It is loaded again by itself." in words(lost)) == ("15", True)
    part = await browser.http.get(f"{LICENCES}/lab/buy", headers={"hx-request": "true"})
    assert ("refresh" in part.headers, "Try again in a minute." in words(part)) == (False, True)
    unsent = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    assert (unsent.status_code, "does not answer now, so nothing was changed." in words(unsent)) == (503, True)
    assert "refresh" not in unsent.headers, "a form is not sent again by itself"


async def test_a_change_that_a_service_did_not_answer_may_have_been_made_and_the_page_says_so(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = httpx.Response(503)
    changed = words(await browser.post(f"{LICENCES}/lab/buy", how="add", number="3"))
    assert "The service invoicing did not answer. Your change may have been made. Check the page before you send it again." in changed
    bench.company.down = {"invoicing"}
    read = words(await browser.get(LICENCES))
    assert "The page needs the service invoicing, which does not answer now. It is loaded again by itself." in read


async def test_what_a_browser_sends_is_one_part_of_the_path_of_a_request(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    for value in ("..", "o1/../../other?x=1&y#z"):
        asked = len(bench.company.requests)
        await browser.http.get(LICENCES, params={"order": value, "reduction": value})
        paths = [request.url.raw_path for request in bench.company.requests[asked:]]
        wanted = {"..": "%2E%2E"}.get(value, "o1%2F..%2F..%2Fother%3Fx%3D1%26y%23z").encode()
        assert b"/v1/tenants/acme/orders/" + wanted in paths
        assert b"/v1/tenants/acme/reductions/" + wanted in paths
    await browser.get(f"{LICENCES}/lab/buy")
    for kind in ("quotes", "reductions"):
        await browser.post(f"{LICENCES}/lab/{kind}/q1%3Fx/approve", how="add", number="3")
        assert f"/v1/tenants/acme/{kind}/q1%3Fx/approve".encode() in [request.url.raw_path for request in bench.company.requests]
    operator = bench.signed_in("vera", None, ("operator",))
    await operator.get("/operator/tenants/acme/open")
    await operator.post("/operator/tenants/acme%3Fx/open", reason="ticket 4711")
    assert b"/v1/tenants/acme%3Fx/operator-access" in [request.url.raw_path for request in bench.company.requests]


async def test_a_busy_service_is_asked_again_and_meanwhile_the_page_says_so(bench: ConsoleBench) -> None:
    busy = problem(429, "too-many-requests", "Other forecasts are running.", headers={"retry-after": "0"})
    bench.company.answers["GET seats /v1/tenants/acme/forecast"] = busy
    page = await bench.signed_in().get(f"{LICENCES}/use?module=lab")
    assert "The forecast is being computed." in words(page)
    assert 'hx-trigger="every 1s"' in page.text
    assert sum(request.url.path.endswith("/forecast") for request in bench.company.requests) == 2


async def test_a_form_without_its_token_or_from_another_site_changes_nothing(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    other = bench.signed_in("bob")
    await other.get(f"{LICENCES}/lab/buy")
    tokens = re.findall(r'name="_token" value="([^"]+)"', other.last)
    for fields, headers in (
        ({"_token": ""}, {}),
        ({"_token": "x" * 88}, {}),
        ({"_token": tokens[0]}, {}),
        ({}, {"sec-fetch-site": "cross-site"}),
        ({}, {"origin": "https://evil.example"}),
        ({}, {"origin": "null"}),
        ({}, {"origin": "http://[::"}),
        ({"_token": ""}, {"referer": "http://[::"}),
        ({"_token": ""}, {"referer": "http://127.0.0.1:8005//[::"}),
    ):
        page = await browser.get(f"{LICENCES}/lab/buy")
        page = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3", headers=headers, **fields)
        assert (page.status_code, "does not come from a page that you have open" in words(page)) == (403, True), fields
    assert not bench.company.quotes


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", '"punycode"', "undefined"])
async def test_a_form_in_another_encoding_than_browsers_use_is_refused(bench: ConsoleBench, charset: str) -> None:
    browser = bench.signed_in()
    page = await browser.get(f"{LICENCES}/lab/buy")
    token = re.findall(r'name="_token" value="([^"]+)"', page.text)[0]
    fields = {"_token": token, "how": "add", "number": "\\ud800+2AA-"}
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    page = await browser.http.post(f"{LICENCES}/lab/buy", content=f"{parts}--x--\r\n", headers=headers)
    assert (page.status_code, "has to be in UTF-8" in words(page)) == (422, True)


async def test_a_browser_with_cookies_off_is_told_so(bench: ConsoleBench) -> None:
    browser = bench.browser()
    await browser.get("/sign-in")
    browser.http.cookies.clear()
    page = await browser.post("/sign-in/by-link", email="ann@acme.example", next="/")
    assert (page.status_code, "Cookies are off" in words(page)) == (400, True)


async def test_somebody_signs_in_by_link_and_comes_to_the_page_that_was_wanted(bench: ConsoleBench) -> None:
    bench.company.links["secret"] = [{"tenant": "acme", "tenant_name": "Alpenrose AG", "user": "ann", "login": "ann", "name": "Ann"}]
    browser = bench.browser()
    asked = await browser.get(f"{LICENCES}?module=lab")
    assert asked.url.path == "/sign-in"
    sent = await browser.post("/sign-in/by-link", email="ann@acme.example", next=f"{LICENCES}?module=lab")
    assert "an e-mail with a link is on its way" in words(sent)
    await browser.get("/sign-in/link?secret=secret")
    assert bench.company.links, "to open the link changes nothing"
    page = await browser.post("/sign-in/link", secret="secret")
    assert str(page.url).endswith(f"{LICENCES}?module=lab")
    again = await browser.get("/sign-in/link?secret=secret")
    again = await browser.post("/sign-in/link", secret="secret")
    assert "already used or has expired" in words(again)
    cookie = next(each for each in browser.http.cookies.jar if each.name == "seatpool_session")
    assert cookie.has_nonstandard_attr("HttpOnly")
    out = await browser.post("/sign-out", _sign_out=_sign_out(await browser.get(LICENCES)))
    assert "You have signed out." in words(out)
    assert not bench.company.sessions


def _sign_out(page: httpx.Response) -> str:
    found = re.search('name="_sign_out" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("known", [True, False])
async def test_somebody_who_signs_out_while_users_is_down_is_signed_out_in_this_browser(bench: ConsoleBench, known: bool) -> None:
    browser = bench.signed_in()
    page = await browser.get(LICENCES)
    other, of_bob = bench.signed_in(), _sign_out(await bench.signed_in("bob").get("/nope"))
    bench.company.down = {"users"}
    if not known:
        bench.wiring.sessions.forget(browser.http.cookies["seatpool_session"])
    for forged in ("", _token(page), of_bob):
        refused = await browser.post("/sign-out", follow=False, _sign_out=forged)
        assert (refused.status_code, refused.headers.get_list("set-cookie")) == (403, []), "no other site signs anybody out"
    assert (await other.post("/sign-out", follow=False, _sign_out=_sign_out(page))).status_code == 400, "another browser"
    out = await browser.post("/sign-out", follow=False, _sign_out=_sign_out(page))
    assert any(each.startswith('seatpool_session=""') and "Max-Age=0" in each for each in out.headers.get_list("set-cookie"))
    shown = words(await browser.get(out.headers["location"]))
    assert "You have signed out in this browser. A service did not answer, so the session ends by itself" in shown


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "/\t/evil.example", "/\n/evil.example", "/ /evil.example", "/\x1f/e"]
)
async def test_nobody_is_sent_to_another_site(bench: ConsoleBench, address: str) -> None:
    browser = bench.signed_in()
    confirmed = await browser.http.get("/sign-in/confirm", params={"next": address})
    assert confirmed.headers["location"] == "/"
    chosen_language = await browser.post("/language", follow=False, language="en", back=address)
    assert chosen_language.headers["location"] == "/"
    assert (await browser.http.get("/sign-in/confirm", params={"next": f"{LICENCES}?module=lab"})).headers["location"].endswith("=lab")


def _token(page: httpx.Response) -> str:
    found = re.search(r'name="_token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def test_a_person_of_two_tenants_chooses_and_an_operator_comes_to_the_tenants(bench: ConsoleBench) -> None:
    choice = {"tenant": "acme", "tenant_name": "Alpenrose AG", "user": "ann", "login": "ann", "name": "Ann"}
    vendor = {"tenant": None, "tenant_name": "", "user": "vera", "login": "vera@vendor.example", "name": "Vera"}
    bench.company.links["two"] = [choice, choice | {"tenant": "other", "tenant_name": "Other AG"}, vendor]
    browser = bench.browser()
    await browser.get("/sign-in/link?secret=two")
    page = await browser.post("/sign-in/link", secret="two")
    assert [name in words(page) for name in ("Alpenrose AG", "Other AG", "Operators of the vendor")] == [True] * 3
    tenants = await browser.post("/sign-in/choice", ticket="ticket", choice="/vera")
    assert tenants.url.path == "/operator/tenants"
    asked = await browser.get(f"{LICENCES}?x=1")
    assert (asked.url.path, "You have not opened this company" in words(asked)) == ("/operator/tenants/acme/open", True)
    opened = await browser.post("/operator/tenants/acme/open", reason="ticket 4711", next="/tenants/birch/licences")
    assert opened.url.path == LICENCES, "a page of the opened tenant, whatever the form says"
    assert "You read Alpenrose AG as an operator until 10:29 (Europe/Zurich)." in words(opened)
    assert "/buy" not in opened.text
    refused = await browser.get(f"{LICENCES}/lab/buy")
    assert (refused.status_code, "its administrators do everything else" in words(refused)) == (403, True)
    assert "Ask an administrator of your company" not in words(refused)
    token = re.search(r'close">\s*<input type="hidden" name="_token" value="([^"]+)"', opened.text)
    assert token is not None
    closed = await browser.post("/operator/tenants/acme/close", _token=token[1])
    assert closed.url.path == "/operator/tenants"
    assert (await browser.get("/tenants/nobody/licences")).status_code == 404


async def test_an_operator_whose_thirty_minutes_are_over_opens_the_tenant_again_and_goes_on_at_the_same_page(bench: ConsoleBench) -> None:
    browser, page = bench.signed_in("vera", None, ("operator",)), "/tenants/acme/people?status=all"
    await browser.get("/operator/tenants/acme/open")
    await browser.post("/operator/tenants/acme/open", reason="ticket 4711")
    assert "You read Alpenrose AG" in words(await browser.get(page))
    bench.clock.seconds += 1_800
    part = await browser.http.get(page, headers={"hx-request": "true", "hx-current-url": f"http://127.0.0.1:8005{page}"})
    assert part.headers["hx-redirect"] == "/operator/tenants/acme/open?next=/tenants/acme/people%3Fstatus%3Dall"
    over = await browser.get(page)
    assert "the 30 minutes are over" in words(over)
    asked = re.search(r'name="next" value="([^"]+)"', over.text)
    assert asked is not None
    again = await browser.post("/operator/tenants/acme/open", reason="ticket 4711", next=asked[1])
    assert (str(again.url).endswith(page), "You read Alpenrose AG" in words(again)) == (True, True)


async def test_somebody_whose_address_was_changed_confirms_it_after_signing_in(bench: ConsoleBench) -> None:
    bench.company.unconfirmed.add("ann")
    bench.company.links["secret"] = [{"tenant": "acme", "tenant_name": "Alpenrose AG", "user": "ann", "login": "ann", "name": "Ann"}]
    browser = bench.browser()
    await browser.get("/sign-in/link?secret=secret")
    asked = await browser.post("/sign-in/link", secret="secret")
    assert (asked.url.path, "ann@acme.example" in words(asked)) == ("/sign-in/confirm", True)
    done = await browser.post("/sign-in/confirm", login="ann", email="ann@acme.example", next=LICENCES)
    assert (done.url.path, "From now on, you sign in with" in words(done)) == (LICENCES, True)
    assert not bench.company.unconfirmed
    assert (await browser.get("/sign-in/confirm")).url.path == LICENCES, "there is nothing to confirm"


async def test_the_input_of_a_form_whose_session_ended_survives_the_sign_in(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    bench.company.sessions.clear()
    page = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    assert "Your input is kept" in words(page)
    assert not bench.company.quotes
    browser.http.cookies.set("seatpool_session", bench.company.begin_session(), domain="127.0.0.1")
    kept = await browser.get("/resume")
    assert "Your form was not sent" in words(kept)
    assert "How do you state the number? Licences to add Number 3 Send it now" in words(kept), "in the words of the form"
    quote = await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    assert "Buy for CHF 33.88" in words(quote)


def test_a_form_that_is_too_long_to_be_read_again_is_not_kept() -> None:
    seals = Seals([KEY_OF_CONSOLE])
    assert seals.seal({"text": "x" * 70_000}, FORM) is None, "it would be short, but not be read again"
    fits = {"text": "x" * 65_000}
    assert seals.unseal(seals.seal(fits, FORM) or "", FORM) == fits
    packed = base64.urlsafe_b64encode(zlib.compress(orjson.dumps({"text": "x" * 70_000}))).decode()
    assert seals.unseal(seal(packed, KEY_OF_CONSOLE, FORM), FORM) is None


async def test_a_kept_form_is_shown_to_its_own_reader_alone(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/buy")
    bench.company.sessions.clear()
    await browser.post(f"{LICENCES}/lab/buy", how="add", number="3")
    browser.http.cookies.set("seatpool_session", bench.company.begin_session("bob"), domain="127.0.0.1")
    page = await browser.get("/resume")
    assert "somebody else has signed in" in words(page)
    assert "Number 3" not in words(page)


async def test_no_page_has_text_that_runs_or_styles_and_nothing_comes_from_elsewhere(bench: ConsoleBench) -> None:
    bench.company.modules["lab"].name = "<script>alert(1)</script>" + "\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 200
    browser = bench.signed_in()
    for url in ("/", "/sign-in", "/nope", f"{LICENCES}/lab/buy", f"{LICENCES}/lab/next-period", f"{LICENCES}/use?module=lab"):
        page = await browser.get(url)
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script>|javascript:|https?://(?!127)", page.text), url
        assert len(page.content) < 200_000
    assert "<bdi>&lt;script&gt;" in browser.last or "&lt;script&gt;" in browser.last


async def test_htmx_runs_no_code_from_a_page_and_asks_nobody_else(bench: ConsoleBench) -> None:
    page = await bench.browser().get("/sign-in")
    (config,) = re.findall(r"<meta name=\"htmx-config\" content='([^']+)'", page.text)
    switches = orjson.loads(config)
    off = ("includeIndicatorStyles", "allowEval", "allowScriptTags", "historyEnabled")
    assert [switches[name] for name in off] == [False] * len(off)
    assert switches["selfRequestsOnly"] is True


@pytest.mark.parametrize(
    "cookie", [each for each in vars(cookies).values() if isinstance(each, cookies.Cookie)], ids=lambda each: each.plain_name
)
def test_over_https_each_cookie_is_secure_for_this_host_alone_and_out_of_reach_of_scripts(cookie: cookies.Cookie) -> None:
    answer = Response()
    cookie.set(answer, Settings(console_url="https://console.example.com"), "secret")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name == f"__Host-{cookie.plain_name}=secret"
    kept = {f"Max-Age={cookie.seconds}"} if cookie.seconds else set()
    assert set(attributes) == {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} | kept


async def test_static_files_are_kept_by_browsers_and_pages_by_nobody(bench: ConsoleBench) -> None:
    browser = bench.browser()
    page = await browser.get("/sign-in")
    assert page.headers["cache-control"] == "no-store"
    for url in re.findall(r'(?:href|src)="(/static/[^"#]+)', page.text):
        file = await browser.get(url)
        assert (file.status_code, "immutable" in file.headers["cache-control"]) == (200, True)
    assert (await browser.get("/static/0123456789ab/console.css")).status_code == 404


def test_the_files_that_others_wrote_are_those_of_the_check_sums_with_their_licences() -> None:
    lines = [line.split() for line in (STATIC / "licences" / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    vendored = {path.name for path in STATIC.glob("htmx*.js")}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in vendored} == sums
    assert len(list((STATIC / "licences").glob("*.txt"))) == len(vendored)


@pytest.mark.parametrize("path", sorted(CATALOGUES.glob("*.po")), ids=lambda path: path.stem)
def test_every_catalogue_translates_every_text_and_keeps_its_values(path: Path) -> None:
    assert translations.missing(path) == [], "make translations"
    assert translations.wrong_values(path) == []


@pytest.mark.parametrize("path", [translations.CONSOLE / "de.po", translations.EMAILS / "de.po"], ids=["console", "e-mails"])
def test_to_approve_is_one_word_in_german(path: Path) -> None:
    texts = [(str(each.id), str(each.string)) for each in translations.read(path)]
    assert [english for english, german in texts if ("approv" in english.lower()) != ("enehmig" in german)] == []


@pytest.mark.parametrize("why", ["by-request", "budget-exceeded", "second-approver-needed", "quote-approved", "quote-withdrawn"])
async def test_the_refusals_of_a_purchase_are_shown_in_the_language_of_the_reader(bench: ConsoleBench, why: str) -> None:
    browser = bench.signed_in()
    browser.http.headers["accept-language"] = "de"
    await browser.get(f"{LICENCES}/lab/buy")
    bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = problem(409, why, "What the service says, in English.")
    page = words(await browser.post(f"{LICENCES}/lab/buy", how="add", number="3"))
    assert languages.translations()["de"].gettext(TEXTS[why]) in page
    assert "in English" not in page


def test_the_german_pages_do_not_use_words_that_were_replaced() -> None:
    german = (CATALOGUES / "de.po").read_text()
    assert not re.search("Offerte|Module öffnen gleich|freiwillig|Administration Ihrer Firma: Vielleicht", german)


async def test_the_language_is_that_of_the_choice_then_of_the_browser_then_of_the_tenant(bench: ConsoleBench) -> None:
    assert chosen("", "fr;q=0.9, de-AT;q=0.5, en;q=0.1", "") == "de"
    assert chosen("en", "de", "de") == "en"
    assert chosen("", "fr", "de-CH") == "de"
    assert chosen("", "fr", "xx") == "en"
    browser = bench.signed_in()
    german = await browser.get(LICENCES, accept_language="de")
    assert "Lizenzen 122 von 119 belegt" in words(german)
    assert "noch 4 Tage" in words(german)
    assert '<html lang="de" dir="ltr">' in german.text
    english = await browser.post("/language", language="en", back=LICENCES, headers={"accept-language": "de"})
    assert english.url.path == LICENCES
    assert "122 of 119 in use" in words(english)
    assert (await browser.post("/language", language="en", back="//evil.example")).url.host == "127.0.0.1"


async def test_a_page_hears_of_a_change_within_two_seconds_also_of_one_before_it_listened(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    found = re.search(r'data-live="[^"]*seen=(\w+)"', (await browser.get(LICENCES)).text)
    assert found is not None
    reader = await bench.wiring.sessions.reader(bench.company.begin_session())
    assert reader is not None

    async def token() -> str:
        return reader.token

    for _ in range(2):  # the second change comes while the page listens
        stream = bench.wiring.live.events("acme", token, found[1])
        bench.company.modules["lab"].bought += 1
        assert (await anext(stream)).startswith(b"retry:")
        async with asyncio.timeout(10):
            assert b"event: changed" in await anext(stream)
        bench.company.modules["planning"].refused += 1  # what users knows counts too
        async with asyncio.timeout(10):
            assert b"event: changed" in await anext(stream)
        await stream.aclose()


async def test_a_reader_whose_right_was_taken_away_does_not_keep_changes_from_the_others(bench: ConsoleBench) -> None:
    found = re.search(r'data-live="[^"]*seen=(\w+)"', (await bench.signed_in().get(LICENCES)).text)
    assert found is not None
    streams = []
    for rights in (("log:read",), ("account:read",)):
        reader = await bench.wiring.sessions.reader(bench.company.begin_session(rights=rights))
        assert reader is not None
        streams.append(bench.wiring.live.events("acme", AsyncMock(return_value=reader.token), found[1]))
        assert (await anext(streams[-1])).startswith(b"retry:")
    bench.company.modules["lab"].bought += 1
    async with asyncio.timeout(10):
        assert b"event: changed" in await anext(streams[1])
        rest = [each async for each in streams[0]]
        assert rest == [b"event: over\ndata: over\n\n"], "the stream of the other one has ended, and is not opened again"
    await streams[1].aclose()


@pytest.mark.parametrize(("reader", "tenant"), [({"rights": ("log:read",)}, "acme"), ({}, "birch")])
async def test_a_page_whose_reader_may_no_longer_see_it_hears_that_its_numbers_are_over(
    bench: ConsoleBench, reader: dict[str, Any], tenant: str
) -> None:
    stream = await bench.signed_in(**reader).get(f"/tenants/{tenant}/licences/live", accept="text/event-stream")
    assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (stream.text, stream.headers["cache-control"]) == ("event: over\ndata: over\n\n", "no-store")


@pytest.mark.parametrize("failed", ["down", "busy"])
async def test_licences_say_that_undelivered_emails_are_unknown_while_the_notifier_does_not_answer(
    bench: ConsoleBench, failed: str
) -> None:
    shown = "E-mails that could not be delivered"
    assert shown not in words(await bench.signed_in().get(LICENCES))
    if failed == "down":
        bench.company.down.add("notifier")
    else:
        busy = problem(429, "too-many-requests", "Try again.", headers={"retry-after": "1"})
        bench.company.answers["GET notifier /v1/tenants/acme/emails/undelivered"] = busy
    page = words(await bench.signed_in().get(LICENCES))
    assert f"{shown} cannot be shown now" in page if failed == "down" else f"{shown}: this is being computed" in page
    assert "122 of 119 in use" in page
    assert shown not in words(await bench.signed_in(rights=("account:read",)).get(LICENCES)), "its reader sees no e-mails at all"


async def test_a_tenant_without_a_subscription_and_one_with_many_modules_are_shown(bench: ConsoleBench) -> None:
    bench.company.answers["GET invoicing /v1/tenants/acme/licences"] = problem(404, "not-found", "The service found no subscription.")
    assert "There is no subscription yet" in words(await bench.signed_in().get(LICENCES))
    async with console(Company(modules={f"m{n}": Module(f"Module {n}", n < 2, 100_000, 99_000) for n in range(40)})) as many:
        page = await many.signed_in().get(LICENCES)
    assert page.text.count('id="row-') == 40
    assert "99’000 of 100’000" in words(page)


def test_the_console_is_reached_over_https_or_on_this_machine_only() -> None:
    for url in ("http://console.example.com", "https://console.example.com/path", "ftp://127.0.0.1", "console"):
        with pytest.raises(ValueError, match="expected an address"):
            Settings(console_url=url)
    assert Settings(console_url="https://console.example.com/").is_secure
    assert not Settings(console_url="http://127.0.0.1:8005").is_secure


async def test_the_page_about_an_error_has_the_headers_of_every_page(bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("services.console.pages.licences.rows_of", broken)
    page = await bench.signed_in().get(LICENCES)
    assert page.status_code == 500
    assert [page.headers.get(name) for name in ("x-frame-options", "x-content-type-options")] == ["DENY", "nosniff"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_what_opens_a_dialog_in_a_live_part_has_an_id_to_which_the_focus_returns(bench: ConsoleBench) -> None:
    page = await bench.signed_in().get(LICENCES)
    live = page.text[page.text.index('id="numbers"') : page.text.index("</main")]
    links = re.findall(r"<a [^>]*>", live.partition('id="use"')[0])
    ids = [found[1] if (found := re.search(r' id="([^"]+)"', link)) else link for link in links]
    assert {"buy-lab", "next-lab"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert not [each for each in ids if each.startswith("<")]


def _shown_at(page: httpx.Response) -> str:
    found = re.search(r'name="back" value="([^"]*)"', page.text)
    assert found is not None
    return html.unescape(found[1])


async def test_the_language_can_be_changed_on_every_page_also_on_the_answer_to_a_form(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    people = "/tenants/acme/people?status=left&text=z%20y"
    assert _shown_at(await browser.get(people)) == people
    assert _shown_at(await bench.browser().get("/sign-in/link?secret=abc")) == "/sign-in/link?secret=abc"
    filtered = await browser.get(people)
    assert filtered.status_code == 200
    answer = await browser.post("/tenants/acme/people/bulk", headers={"referer": f"http://127.0.0.1:8005{people}"})
    assert _shown_at(answer) == people, "the page on which the form was"
    for referer in ("", "http://127.0.0.1:8005/tenants/acme/people/bulk", "http://evil.example/tenants/acme/log"):
        answer = await browser.post("/tenants/acme/people/bulk", headers={"referer": referer})
        assert _shown_at(answer) == "/tenants/acme/people", "otherwise the page that owns it"
    stranger = bench.browser()
    await stranger.get("/sign-in")
    by_link = await stranger.post("/sign-in/by-link", email="nobody", next="/")
    assert (by_link.status_code, _shown_at(by_link)) == (422, "/sign-in")
    assert (await stranger.post("/language", language="de", back=_shown_at(by_link))).status_code == 200


async def test_a_kept_form_keeps_the_query_of_its_address_until_it_is_sent_or_dropped(bench: ConsoleBench) -> None:
    browser, edit = bench.signed_in(), "/tenants/acme/profiles/edit?profile=staff"
    for dropped in (True, False):
        await browser.get(edit)
        bench.company.sessions.clear()  # the token is refused from now on
        await browser.post(edit, name="Everybody")
        browser.http.cookies.delete("seatpool_session")
        browser.http.cookies.set("seatpool_session", bench.company.begin_session(), domain="127.0.0.1")
        for _ in range(2):
            kept = await browser.get("/resume")
            assert f'action="{edit}"' in kept.text, "also after it was shown, in another language"
        if dropped:
            assert (await browser.post("/resume")).url.path == "/tenants/acme/profiles"
        else:
            await browser.post(edit, _resumed="yes", name="Everybody")
        assert (await browser.get("/resume")).url.path != "/resume", "it is gone"


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/tenants/acme/licences/lab/buy", "/tenants/acme/licences"),
        ("/operator/tenants/birch/set-up", "/operator/tenants"),
        ("/operator/requests/birch/r1", "/operator/requests"),
        ("/operator/catalogue/apply", "/operator/catalogue"),
        ("/nope", "/"),
    ],
)
def test_the_page_to_which_a_form_belongs_exists(address: str, page: str) -> None:
    pages = [route for module in MODULES for route in module.router.routes]
    assert page_at(pages, address, 4) == page


async def test_input_beside_a_file_that_is_too_long_to_be_kept_is_said_to_be_lost(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get("/tenants/acme/people/import")
    bench.company.sessions.clear()
    page = await browser.post("/tenants/acme/people/import", files={"file": ("people.csv", b"x")}, columns="x" * 1600)
    assert ("the input could not be kept" in words(page), "Your other input is kept" in words(page)) == (True, False)


async def test_a_file_that_is_sent_after_the_session_ended_leads_to_the_sign_in(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get("/tenants/acme/people/import")
    for file in (b"x" * 100_000, b"x"):
        bench.company.sessions.clear()
        entered: dict[str, Any] = {"source": "hr/acme", "columns": 'name="Last, first"', "dates": "dmy"}
        page = await browser.post("/tenants/acme/people/import", files={"file": ("people.csv", file)}, **entered)
        kept = "/tenants/acme/people/import?source=hr%2Facme&columns=name%3D%22Last%2C+first%22&dates=dmy"
        assert (page.status_code, page.url.path, page.url.params["next"]) == (200, "/sign-in", kept)
        assert "the file could not be kept" in words(page)
        assert "too long" not in words(page)
        bench.wiring.sessions.forget(browser.http.cookies["seatpool_session"])


async def test_a_service_that_refuses_the_sign_out_keeps_nobody_signed_in_here(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    page = await browser.get(LICENCES)
    bench.company.answers["POST users /v1/token/revoke"] = problem(429, "too-many-requests", "Too many requests.")
    out = await browser.post("/sign-out", follow=False, _sign_out=_sign_out(page))
    assert any(each.startswith('seatpool_session=""') for each in out.headers.get_list("set-cookie"))


async def test_a_download_whose_session_has_ended_leads_to_the_sign_in(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(LICENCES)
    bench.company.answers["GET notifier /v1/tenants/acme/actions"] = problem(401, "invalid-token", "The token has expired.")
    assert (await browser.get("/tenants/acme/log/export.csv")).url.path == "/sign-in"


async def test_an_export_of_people_goes_on_with_a_new_token_when_its_own_expires(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, people = bench.signed_in(), bench.company.people.people
    people |= {f"x{n}": people["u1"] | {"user": f"x{n}", "name": f"Person {n}"} for n in range(250)}
    get, asked = bench.wiring.services.get, []

    async def late(token: str, service: str, path: str, *given: Any, **named: Any) -> Part:
        part = await get(token, service, path, *given, **named)
        if path.endswith("/people"):
            asked.append(token)
            bench.clock.seconds += 290
        return part

    monkeypatch.setattr(bench.wiring.services, "get", late)
    page = await browser.get("/tenants/acme/people/export.csv?status=all")
    assert "Person 249" in page.text
    assert len(set(asked)) == 2, "each page of the list has a token that is valid"


async def test_a_filter_that_is_too_long_is_no_page_that_does_not_exist(bench: ConsoleBench) -> None:
    page = await bench.signed_in().get(f"/tenants/acme/people?text={'x' * 600}")
    assert (page.status_code, "does not exist" in words(page)) == (400, False)


async def test_B13_a_refusal_of_a_reduction_names_the_module(bench: ConsoleBench) -> None:
    bench.company.answers["POST invoicing /v1/tenants/acme/reductions"] = problem(409, "reduction-below-use", "", module="lab", must_free=4)
    browser = bench.signed_in()
    await browser.get(f"{LICENCES}/lab/next-period")
    page = words(await browser.post(f"{LICENCES}/lab/next-period", number="22"))
    assert "More people use Laboratory than there would be licences." in page
