"""The pages about plan and subscription, with the REST of invoicing in memory."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem
from tests.unit.test_console_pages import words

PLAN = "/tenants/acme/plan"
REST = "invoicing /v1/tenants/acme/subscription"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


async def test_M2_M3_the_plan_its_prices_and_what_changes_are_on_one_page(bench: ConsoleBench) -> None:
    contract = bench.company.contract
    contract.coming = [{"from_day": "2026-05-01", "version": 2, "prices": [{"module": "lab", "unit_price_minor": 1_300}]}]
    granted = {"subscription": "s1", "module": "lab", "percent": "12.5", "amount_minor": None, "currency": "CHF", "from_day": "2026-01-01"}
    contract.discounts = [granted | {"until_day": "2026-07-01", "text": "Pilot <b>", "status": "active"}, granted | {"status": "ended"}]
    contract.trial_until = "2026-03-20"
    page = words(await bench.signed_in().get(PLAN))
    assert "Standard · monthly · 1 Mar 2026 to 31 Mar 2026" in page
    assert "Next renewal 1 Apr 2026 in 27 days Next period, without tax CHF 2’052.00" in page
    assert "Lab module 27 20 CHF 12.00 CHF 13.00 Buy" in page
    assert "from 1 May 2026" in page
    assert "documents module 40 closes CHF 12.00" in page
    assert "12.5% Pilot &lt;b&gt; Lab 1 Jan 2026 to 30 Jun 2026" in page
    assert page.count("12.5%") == 1, "a discount that has ended is not shown"
    assert "The trial ends on 19 Mar 2026 Nothing is charged for the time until then, that day included." in page


async def test_B2_another_plan_is_changed_after_its_consequences_were_shown_and_can_be_withdrawn(bench: ConsoleBench) -> None:
    browser, contract = bench.signed_in(), bench.company.contract
    asked = words(await browser.get(f"{PLAN}/change"))
    assert "You have Standard, monthly." in asked
    assert "Standard , yearly" in asked
    assert "Standard , monthly Projects" not in asked, "the present plan is not offered"
    assert "Abroad" not in asked, "the currency of a subscription cannot be changed"
    assert "up to 50: CHF 11.00; then CHF 9.00 (5 included)" in asked
    offer = words(await browser.post(f"{PLAN}/change", choice="small|monthly", when=""))
    assert "The change takes effect with the next period, on 1 Apr 2026." in offer
    assert "CHF 2’052.00 → CHF 1’161.00" in offer
    assert "The plan does not sell Planning." in offer
    assert "Lab: the plan allows at most 10 licences. You have 20 for the next period." in offer
    assert "Lab no longer expands over its limit" in offer
    assert "40 people would be over the limit" in offer
    assert "Zora Schmid Bruno Jovanović and 38 more" in offer
    assert "3 reservations for invited people would end, if nothing else changes" in offer
    assert contract.scheduled is None, "nothing is changed before the approval"
    done = words(await browser.post(f"{PLAN}/changes/change-1/approve", plan="small", term="monthly", takes_effect="period_end"))
    assert "The change is scheduled for 1 Apr 2026." in done
    assert "From 1 Apr 2026: Small, monthly CHF 2’052.00 → CHF 1’161.00 for a period" in done
    back = words(await browser.post(f"{PLAN}/changes/change-1/withdraw"))
    assert "The change of plan is withdrawn." in back
    again = await browser.post(f"{PLAN}/changes/change-1/withdraw")
    assert (again.url.path, "This change is not scheduled any more." in words(again)) == (PLAN, True)


async def test_an_upgrade_takes_effect_now_and_shows_what_is_paid_now(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PLAN}/change")
    offer = words(await browser.post(f"{PLAN}/change", choice="volume|monthly", when=""))
    assert "The difference for the rest of the period CHF 100.00 Tax CHF 8.10 To pay, by invoice at the end of the day CHF 108.10" in offer
    assert "The first amount" not in offer, "both amounts are for a month"
    done = words(await browser.post(f"{PLAN}/changes/change-1/approve", plan="volume", term="monthly", takes_effect="now"))
    assert "The subscription has the new plan." in done
    assert "Volume · monthly" in done


async def test_an_offer_of_another_term_says_for_which_time_each_amount_is(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PLAN}/change")
    offer = words(await browser.post(f"{PLAN}/change", choice="standard|annual", when=""))
    assert "The first amount is for a month, the second one for a year." in offer


@pytest.mark.parametrize("why", ["quote-expired", "quote-outdated"])
async def test_an_offer_that_no_longer_fits_is_replaced_by_a_new_one(bench: ConsoleBench, why: str) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PLAN}/change")
    await browser.post(f"{PLAN}/change", choice="small|monthly", when="")
    bench.company.answers[f"POST {REST}/plan-changes/change-1/approve"] = problem(409, why, "It has expired.")
    again = await browser.post(f"{PLAN}/changes/change-1/approve", plan="small", term="monthly", takes_effect="period_end")
    assert (again.status_code, "The offer that you saw no longer fits" in words(again)) == (409, True)
    assert "changes/change-2/approve" in again.text
    assert bench.company.contract.scheduled is None


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (("plan-minimum", {"module": "lab", "minimum": 30}), "The plan allows no fewer than 30 licences of Lab."),
        (
            ("reduction-below-use", {"module": "lab", "must_free": 4}),
            "More people use Lab than there would be licences. Seats that have to be freed first: 4.",
        ),
        (("plan-without-base-module", {"modules": ["projects"]}), "The plan sells none of your base modules"),
        (("plan-change-scheduled", {"change": "c"}), "Another change of plan is scheduled already."),
        (("order-pending", {}), "An order is being decided."),
        (("by-request", {}), "Your company adds and reduces licences by request."),
        (("a-new-reason", {}), "Said by the service."),
    ],
)
async def test_what_a_plan_change_is_refused_for_stands_above_the_form(
    bench: ConsoleBench, refused: tuple[str, dict[str, Any]], said: str
) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PLAN}/change")
    bench.company.answers[f"POST {REST}/plan-changes"] = problem(409, refused[0], "Said by the service.", **refused[1])
    page = await browser.post(f"{PLAN}/change", choice="small|monthly", when="period_end")
    assert (page.status_code, said in words(page)) == (422, True)
    assert 'value="small|monthly" checked' in page.text
    nothing = await browser.post(f"{PLAN}/change", choice="|daily", when="")
    assert (nothing.status_code, "Choose a plan and a term." in words(nothing)) == (422, True)


async def test_T14_the_end_shows_people_and_money_before_and_can_be_taken_back(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    asked = words(await browser.get(f"{PLAN}/end"))
    assert "31 Mar 2026 is the last day." in asked
    assert "Projects 122 seats are lost Laboratory 30 seats are lost" in asked
    assert "No longer charged for each period, without tax CHF 2’052.00" in asked
    assert "Open invoices, which stay payable CHF 2’422.94" in asked
    assert bench.company.ends_on is None
    sent = next(each for each in bench.company.requests if each.url.path.endswith("/upcoming"))
    assert sent.url.params["if_ended"] == "true"
    long = await browser.post(f"{PLAN}/end", reason="x" * 201)
    assert (long.status_code, "Write at most 200 characters." in words(long), bench.company.ends_on) == (422, True, None)
    done = words(await browser.post(f"{PLAN}/end", reason="We move."))
    assert "The subscription ends on 31 Mar 2026. Until then you can take this back." in done
    assert bench.company.contract.reason == "We move."
    assert "Ends on 31 Mar 2026" in done
    assert "Change the plan or term" not in done
    offered = re.findall(r"licences/(\w+)/next-period", (await browser.get(PLAN)).text)
    assert set(offered) <= {"documents"}, "there is no next period, except where licences can be given up at once"
    bench.company.contract.keeps_at_once = False
    assert "The ending is being taken back." in words(await browser.post(f"{PLAN}/keep"))
    bench.company.contract.keeps_at_once = True
    kept = words(await browser.post(f"{PLAN}/keep"))
    assert "The subscription goes on." in kept
    bench.company.answers[f"DELETE {REST}/ending"] = problem(409, "subscription-not-ending", "There is no ending to take back.")
    refused = await browser.post(f"{PLAN}/keep")
    assert (refused.url.path, "so there is no ending to take back." in words(refused)) == (PLAN, True)


async def test_a_module_is_added_by_a_quote_that_is_approved(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    asked = await browser.get(f"{PLAN}/modules/add")
    assert 'value="time"' in asked.text
    assert 'value="lab"' not in asked.text, "a module that the subscription has is not offered"
    wrong = await browser.post(f"{PLAN}/modules/add", licences="0")
    assert (wrong.status_code, "Choose a module." in words(wrong), "Enter a whole number from 1" in words(wrong)) == (422, True, True)
    quote = await browser.post(f"{PLAN}/modules/add", module="time", licences="3")
    assert "3 licences of time" in words(quote)
    assert "new module" in words(quote)
    assert "Everybody whose profile has the module requires a licence of it, once it is open." in words(quote)
    assert "If no licence is free: Refuse the person." in words(quote)
    assert "time" not in bench.company.modules
    (made,) = bench.company.quotes
    done = words(await browser.post(f"/tenants/acme/orders/quotes/{made}/approve"))
    assert "The licences were added and can be used now." in done


async def test_a_quote_for_a_module_that_is_requested_again_has_the_same_policies(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{PLAN}/modules/add")
    await browser.post(f"{PLAN}/modules/add", module="time", licences="3")
    (made,) = bench.company.quotes
    waits = {"over_limit": "wait", "expand_cap": None}
    bench.company.quotes[made] |= {"state": "expired", "your_approval": None, "policies": waits}
    await browser.post(f"/tenants/acme/orders/quotes/{made}/renew")
    assert [quote["policies"] for quote in bench.company.quotes.values()] == [waits, waits]


async def test_what_the_plan_does_not_sell_is_not_offered(bench: ConsoleBench) -> None:
    browser, contract = bench.signed_in(), bench.company.contract
    page = await browser.get(PLAN)
    assert ("plan/modules/add" in page.text, "plan/change" in page.text) == (True, True)
    only = contract.plans[0] | {"prices": [each for each in contract.plans[0]["prices"] if each["module"] in bench.company.modules]}
    contract.plans = [only | {"prices": [each for each in only["prices"] if each["term"] == "monthly"]}]
    page = await browser.get(PLAN)
    assert ("plan/modules/add" in page.text, "plan/change" in page.text) == (False, False), (
        "the dialogs could only say that there is nothing"
    )


async def test_a_module_is_added_with_no_fewer_licences_than_the_plan_allows(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    bench.company.contract.plans[0]["limits"] = [{"module": "time", "minimum": 5, "maximum": None}]
    asked = await browser.get(f"{PLAN}/modules/add")
    assert ("CHF 8.00 · at least 5" in words(asked), 'name="licences" type="text" value="5"' in asked.text) == (True, True)
    few = await browser.post(f"{PLAN}/modules/add", module="time", licences="4")
    assert (few.status_code, "Enter a whole number from 5 to 10" in words(few)) == (422, True)


@pytest.mark.parametrize(
    "path",
    [
        "plan/change",
        "plan/end",
        "plan/modules/add",
        "licences/lab/buy",
        "licences/lab/next-period",
        "orders/request",
        "settings/policies/lab",
        "settings/charging",
    ],
)
async def test_a_form_about_a_subscription_that_has_ended_says_so(bench: ConsoleBench, path: str) -> None:
    bench.company.status = "ended"
    page = await bench.signed_in().get(f"/tenants/acme/{path}")
    said = words(page)
    assert (page.status_code, "The subscription has ended, so nothing can be changed." in said) == (409, True)
    assert ("<h1>The subscription has ended</h1>" in page.text, "This did not work" in said) == (True, False)
    assert "<form" not in page.text[page.text.index("<main") :]


@pytest.mark.parametrize("path", ["licences/lab/buy", "plan/modules/add"])
async def test_no_number_is_asked_for_while_nothing_can_be_bought(bench: ConsoleBench, path: str) -> None:
    bench.company.money.blocked = True
    page = await bench.signed_in().get(f"/tenants/acme/{path}")
    said = words(page)
    assert (page.status_code, "An invoice is overdue. Nothing can be bought until it is paid." in said) == (409, True)
    assert ("<h1>Purchases are blocked</h1>" in page.text, "This did not work" in said) == (True, False)
    assert 'href="/tenants/acme/invoices">Go to the invoices</a>' in page.text
    assert "<form" not in page.text[page.text.index("<main") :]


async def test_A9_a_company_that_buys_by_request_is_led_to_a_request(bench: ConsoleBench) -> None:
    bench.company.contract.by_request = True
    page = await bench.signed_in().get(PLAN)
    assert "by request to the vendor" in words(page)
    assert "plan/change" not in page.text
    assert "plan/modules/add" not in page.text


async def test_T22_T23_a_reader_without_the_right_to_buy_changes_nothing(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("account:read",))
    page = await browser.get(PLAN)
    assert "Standard · monthly" in words(page)
    assert all(each not in page.text for each in ("plan/change", "plan/end", "plan/modules/add", "/buy", "next-period"))
    for path in ("change", "end", "modules/add"):
        assert (await browser.get(f"{PLAN}/{path}")).status_code == 403
    for path in ("change", "end", "keep", "modules/add", "changes/c/approve", "changes/c/withdraw"):
        assert (await browser.post(f"{PLAN}/{path}")).status_code == 403
    assert (await bench.signed_in("cleo", rights=("users:read",)).get(PLAN)).status_code == 403


async def test_without_a_subscription_the_page_shows_plans_and_the_contact(bench: ConsoleBench) -> None:
    bench.company.contract.exists = False
    page = words(await bench.signed_in().get(PLAN))
    assert "There is no subscription yet" in page
    assert "Your contact: help@vendor.example" in page
    assert "Small this plan sells no extra licences Projects : CHF 9.00" in page


async def test_a_service_that_is_down_costs_its_part(bench: ConsoleBench) -> None:
    bench.company.answers[f"GET {REST}/discounts"] = problem(503, "unavailable", "down")
    bench.company.answers["GET invoicing /v1/plans"] = problem(503, "unavailable", "down")
    page = await bench.signed_in().get(PLAN)
    assert (page.status_code, "The discounts cannot be shown now" in words(page), "standard · monthly" in words(page)) == (200, True, True)
    bench.company.answers["GET invoicing /v1/tenants/acme/balance"] = problem(503, "unavailable", "down")
    end = words(await bench.signed_in().get(f"{PLAN}/end"))
    assert "The balance cannot be shown now" in end
