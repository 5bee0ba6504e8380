"""The pages about orders, quotes and requests, with the REST of invoicing in memory."""

import ast
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.console.pages.licence_refusals import WHY_NO_ORDER
from tests.support.console import ConsoleBench, console, problem, reply
from tests.support.console_orders import order, request
from tests.unit.test_console_pages import words

ORDERS = "/tenants/acme/orders"
REST = "invoicing /v1/tenants/acme"
BUY = "/tenants/acme/licences/lab/buy"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def numbers(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields whose names are not names of Python."""
    return fields


async def quoted(bench: ConsoleBench) -> str:
    """Request a quote for three licences, and return its id."""
    browser = bench.signed_in()
    await browser.get(BUY)
    await browser.post(BUY, how="add", number="3")
    return list(bench.company.quotes)[-1]


async def test_M13_purchases_show_the_numbers_before_and_after_who_approved_them_and_their_invoice(bench: ConsoleBench) -> None:
    page = await bench.signed_in().get(ORDERS)
    assert "Projects , Lab 4 Mar 2026, 10:00 115 → 119 25 → 27 Bought Ann Müller CHF 123.45 Invoice" in words(page)
    assert "/tenants/acme/invoices/i3" in page.text
    assert "Lab 4 Mar 2026, 10:00 27 → 30 Being decided" in words(page)
    assert "Planning 4 Mar 2026, 10:00 12 → 13 Refused erp" in words(page)
    bench.company.ordering.orders = [order(f"n{n}", "completed", ("lab", n, n + 1)) for n in range(30)]
    browser = bench.signed_in()
    assert f"{ORDERS}?cursor=25" in (await browser.get(ORDERS)).text
    assert "29 → 30" in words(await browser.get(f"{ORDERS}?cursor=25"))
    bench.company.ordering.orders = []
    assert "Nothing was bought yet" in words(await browser.get(ORDERS))


async def test_A9_every_request_to_the_vendor_is_reachable_by_pages(bench: ConsoleBench) -> None:
    bench.company.ordering.requests = {f"r{n}": request(f"r{n}", "requested", {"module": "lab", "add": n + 1}) for n in range(21)}
    browser = bench.signed_in()
    first, second = await browser.get(ORDERS), await browser.get(f"{ORDERS}?requests=20")
    assert f"{ORDERS}?requests=20#requests-head" in first.text
    assert f"{ORDERS}/requests/r20" not in first.text
    assert f"{ORDERS}/requests/r20" in second.text
    assert f'href="{ORDERS}#requests-head"' in second.text


async def test_the_budget_and_the_rule_of_approval_are_shown_with_what_is_used(bench: ConsoleBench) -> None:
    bench.company.contract.second_approver, bench.company.contract.monthly_budget_minor = "above_budget", 50_000
    page = words(await bench.signed_in().get(ORDERS))
    assert "Who approves two people, above the monthly budget Monthly budget CHF 500.00 Added this month CHF 360.00 CHF 140.00 left" in page
    bench.company.contract.monthly_budget_minor = 30_000
    assert "CHF 60.00 above the budget" in words(await bench.signed_in().get(ORDERS))


async def test_a_quote_is_approved_or_withdrawn_on_its_page_and_shows_who_did_it(bench: ConsoleBench) -> None:
    quote = await quoted(bench)
    browser = bench.signed_in()
    assert "+3 Lab valid until 5 Mar 2026, 23:59 Can be approved Ann Müller CHF 33.88 Review" in words(await browser.get(ORDERS))
    page = words(await browser.get(f"{ORDERS}/quotes/{quote}"))
    assert "3 licences of Lab Can be approved" in page
    assert "requested 5 Mar 2026, 09:00 Ann Müller" in page
    done = await browser.post(f"{ORDERS}/quotes/{quote}/approve")
    assert "The licences were added and can be used now." in words(done)
    address = done.url.raw_path.decode()
    assert "?order=" in address
    bench.clock.at += timedelta(minutes=10)
    assert "The licences were added" not in words(await browser.get(address)), "a bookmark or a late reload shows no old result"
    other = await quoted(bench)
    await browser.get(f"{ORDERS}/quotes/{other}")
    gone = words(await browser.post(f"{ORDERS}/quotes/{other}/withdraw"))
    assert "The quote is withdrawn." in gone
    assert "Approve for" not in gone


async def test_the_history_of_a_quote_says_in_a_sentence_why_it_became_no_order(bench: ConsoleBench) -> None:
    quote = await quoted(bench)
    step = {"state": "expired", "at": "2026-03-06T08:00:00.000Z", "by": {"kind": "system", "id": "invoicing"}, "detail": {}}
    shown = bench.company.quotes[quote]
    shown["history"] = [*shown["history"], step | {"detail": {"reason": "period_changed"}}, step | {"detail": {"reason": "other_code"}}]
    for language, known, unknown in (
        ("en", "Another period had begun.", "because of an error"),
        ("de", "Eine andere Periode hatte begonnen.", "wegen eines Fehlers"),
    ):
        page = words(await bench.signed_in().get(f"{ORDERS}/quotes/{quote}", accept_language=language))
        assert (known in page, unknown in page, "period_changed" in page, "other_code" in page) == (True, True, False, False)


async def test_the_first_approval_stands_where_it_was_given_also_if_the_quote_is_issued_again_for_a_later_day(bench: ConsoleBench) -> None:
    shown = bench.company.quotes[quote := await quoted(bench)]
    shown["history"].append(shown["history"][0] | {"state": "waiting_for_approval"})
    shown["approvals"] = [{"by": {"kind": "user", "id": "ann"}, "at": "2026-03-05T08:00:00.000Z", "gross_minor": 1}]

    async def history() -> list[str]:
        text = words(await bench.signed_in().get(f"{ORDERS}/quotes/{quote}")).rpartition("History")[2]
        return re.findall("requested|approved by the first person|waits for a second approver|issued again for this day", text)

    assert await history() == ["requested", "approved by the first person", "waits for a second approver"]
    shown["replaces"] = "q0"
    assert await history() == ["approved by the first person", "issued again for this day", "waits for a second approver"]


def test_each_refusal_of_a_quote_that_is_priced_again_has_a_sentence() -> None:
    """The refusals of wrong input cannot happen: the items were priced before."""
    tree = ast.parse((Path(__file__).parents[2] / "services/invoicing/domain/quote.py").read_text())
    made = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "Refusal"]
    found = {each.args[0].value for each in made if isinstance(each.args[0], ast.Constant)}
    of_input = {"use-a-reduction", "total-not-above-present", "module-repeated", "subscription-pending"}
    of_approval = {"quote-expired", "quote-outdated", "tax-changed", "discounts-changed"}
    assert {str(each).replace("-", "_") for each in found - of_input - of_approval} <= WHY_NO_ORDER.keys()


async def test_two_people_approve_and_each_sees_what_their_own_approval_does(bench: ConsoleBench) -> None:
    bench.company.needs_second = True
    quote = await quoted(bench)
    browser = bench.signed_in()
    first = words(await browser.get(f"{ORDERS}/quotes/{quote}"))
    assert "After your approval it waits for another person with the right to buy." in first
    waits = words(await browser.post(f"{ORDERS}/quotes/{quote}/approve"))
    assert "Your approval is recorded." in waits
    assert "Waits for a second approver" in waits
    assert "You have approved this purchase. Another person with the right to buy has to approve it too." in waits
    assert "Approve for" not in waits
    assert "Waits for a second approver" in words(await browser.get(ORDERS))
    bench.company.answers[f"POST {REST}/quotes/{quote}/approve"] = problem(
        409, "second-approver-needed", "You have approved this quote already.", requested_by="ann"
    )
    again = await browser.post(f"{ORDERS}/quotes/{quote}/approve")
    assert (again.status_code, "Another person with the right to buy must approve this purchase." in words(again)) == (409, True)
    bench.company.quotes[quote]["approvals"][0]["by"]["id"] = "bob"
    assert "You have requested this purchase." in words(await browser.get(f"{ORDERS}/quotes/{quote}"))
    bench.company.quotes[quote] |= {"state": "open", "approvals": []}
    over = await browser.get(f"{ORDERS}/quotes/{quote}")
    assert "exceeds what is left of your company's monthly budget, and nobody can approve it" in words(over)
    assert "settings#purchases" in over.text
    bench.company.quotes[quote] |= {"state": "replaced", "your_approval": None, "replaced_by": "q9"}
    assert f"{ORDERS}/quotes/q9" in (await browser.get(f"{ORDERS}/quotes/{quote}")).text, "a link of an e-mail leads to the newest quote"


@pytest.mark.parametrize("why", ["quote-expired", "quote-outdated", "price-list-changed"])
async def test_T8_a_quote_that_expired_meanwhile_is_requested_again_with_one_click(bench: ConsoleBench, why: str) -> None:
    quote = await quoted(bench)
    browser = bench.signed_in()
    await browser.get(f"{ORDERS}/quotes/{quote}")
    bench.company.answers[f"POST {REST}/quotes/{quote}/approve"] = problem(409, why, "It no longer fits.")
    refused = await browser.post(f"{ORDERS}/quotes/{quote}/approve")
    assert (refused.status_code, f"{ORDERS}/quotes/{quote}/renew" in refused.text) == (409, True)
    bench.company.quotes[quote] |= {"state": "expired", "your_approval": None}
    listed = await browser.get(ORDERS)
    assert "Expired" in words(listed)
    new = words(await browser.post(f"{ORDERS}/quotes/{quote}/renew"))
    assert "This is the new quote, at the present price." in new
    assert "Can be approved" in new
    assert len(bench.company.quotes) == 2
    assert bench.company.modules["lab"].bought == 27


async def test_a_quote_that_was_replaced_leads_to_the_new_one(bench: ConsoleBench) -> None:
    old, new = await quoted(bench), await quoted(bench)
    browser = bench.signed_in()
    await browser.get(f"{ORDERS}/quotes/{old}")
    bench.company.answers[f"POST {REST}/quotes/{old}/approve"] = problem(409, "quote-replaced", "There is a newer quote.", quote=new)
    page = await browser.post(f"{ORDERS}/quotes/{old}/approve")
    assert (page.url.path, "There is a newer quote, at the price of today." in words(page)) == (f"{ORDERS}/quotes/{new}", True)


async def test_A9_A11_a_request_is_sent_estimated_and_approved(bench: ConsoleBench) -> None:
    bench.company.contract.by_request = True
    browser = bench.signed_in()
    form = await browser.get(f"{ORDERS}/request")
    assert 'value="Alpenrose AG"' in form.text
    assert 'value="ann@acme.example"' in form.text
    contact: dict[str, Any] = {"company": "Alpenrose AG", "name": "Ann", "email": "ann@acme.example", "phone": "", "message": "Soon <b>"}
    nothing = await browser.post(f"{ORDERS}/request", **contact)
    assert (nothing.status_code, "Enter at least one number to add or to reduce." in words(nothing)) == (422, True)
    both = await browser.post(f"{ORDERS}/request", **contact, **numbers({"add-lab": "5", "reduce-lab": "2", "add-projects": "-1"}))
    assert both.status_code == 422
    assert "Enter a number to add or one to reduce, not both." in words(both)
    assert "Enter a whole number from 1 to" in words(both)
    wrong = await browser.post(f"{ORDERS}/request", **contact | {"email": "nobody"}, **numbers({"add-lab": "5"}))
    assert (wrong.status_code, "a text of at most 500 characters" in words(wrong), 'value="5"' in wrong.text) == (422, True, True)
    sent = words(await browser.post(f"{ORDERS}/request", **contact, **numbers({"add-lab": "5", "reduce-documents": "10"})))
    assert "The request is sent." in sent
    assert "Waits for the vendor" in sent
    assert "Lab +5 documents −10" in sent
    assert "Soon &lt;b&gt;" in sent
    estimate = words(await browser.get(f"{ORDERS}/requests/r2"))
    assert "Lab +5 CHF 10.00 each for a period" in estimate
    assert "The vendor says: A price for you." in estimate
    assert "For the rest of the period, if approved today CHF 43.55 Tax CHF 3.53 Total CHF 47.08" in estimate
    assert "Less on the next day, without tax CHF 1.61" in estimate
    assert "Credited for the reduction, without tax CHF 9.00" in estimate
    assert "The whole subscription, from the next period on CHF 2’052.00 → CHF 2’102.00" in estimate, (
        "before: as it is without the estimate"
    )
    assert "of which for the scheduled reduction that this purchase cancels CHF 10.00 with tax CHF 2’272.26" in estimate
    assert "Discount: the whole subscription, for 3 periods 10%" in estimate
    assert "Discount: Lab , until 30 Jun 2026 ( Thanks ) CHF 20.00 for each period" in estimate
    done = words(await browser.post(f"{ORDERS}/requests/r2/approve"))
    assert "The estimate is approved." in done
    again = await browser.post(f"{ORDERS}/requests/r2/approve")
    assert (again.status_code, "The request is closed already." in words(again)) == (409, True)
    assert "Declined by the vendor" in words(await browser.get(f"{ORDERS}/requests/r0"))
    assert "Not sold any more" in words(await browser.get(f"{ORDERS}/requests/r0"))
    await browser.get(f"{ORDERS}/requests/r1")
    assert "The request is withdrawn." in words(await browser.post(f"{ORDERS}/requests/r1/withdraw"))


async def test_an_estimate_that_needs_a_second_approver_says_that_nothing_is_bought_yet(bench: ConsoleBench) -> None:
    bench.company.ordering.needs_second = True
    browser = bench.signed_in()
    await browser.get(f"{ORDERS}/requests/r2")
    assert "Nothing is bought until then." in words(await browser.post(f"{ORDERS}/requests/r2/approve"))


async def test_a_quote_and_an_estimate_are_not_offered_for_approval_while_an_overdue_invoice_blocks_purchases(bench: ConsoleBench) -> None:
    quote, says = await quoted(bench), "Nothing can be bought until the overdue invoices are paid."
    bench.company.needs_second = True
    browser, paths = bench.signed_in(), (f"{ORDERS}/quotes/{quote}", f"{ORDERS}/requests/r2")
    for blocked in (True, False):
        bench.company.money.blocked = blocked
        for page in [words(await browser.get(path)) for path in paths]:
            assert (says in page, "Approve for" in page, "ithdraw" in page) == (blocked, not blocked, True)
    bench.company.money.blocked, bench.company.quotes[quote]["state"] = True, "expired"
    page = words(await browser.get(paths[0]))
    assert (says in page, "Request a new quote" in page) == (True, False)
    for blocked in (True, False):
        bench.company.money.blocked = blocked
        page = words(await browser.get(ORDERS))
        assert (says in page, "New quote" in page) == (blocked, not blocked)


async def test_an_estimate_that_only_reduces_can_be_approved_while_purchases_are_blocked(bench: ConsoleBench) -> None:
    bench.company.money.blocked = True
    path = f"GET {REST}/purchase-requests/r2"
    found = bench.company.ordering.requests["r2"]
    bench.company.answers[path] = reply(found | {"items": [found["items"][0] | {"add": 0, "reduce": 3}]})
    page = words(await bench.signed_in().get(f"{ORDERS}/requests/r2"))
    assert ("Nothing can be bought" in page, "Approve" in page) == (False, True)


async def test_T22_T23_a_reader_without_the_right_to_buy_reads_only(bench: ConsoleBench) -> None:
    quote = await quoted(bench)
    browser = bench.signed_in("bob", rights=("account:read",))
    for path in (ORDERS, f"{ORDERS}/quotes/{quote}", f"{ORDERS}/requests/r2"):
        page = await browser.get(path)
        assert page.status_code == 200
        assert all(each not in page.text for each in ("/approve", "/withdraw", "/renew", f'{ORDERS}/request"'))
    for path in (f"quotes/{quote}/approve", f"quotes/{quote}/withdraw", f"quotes/{quote}/renew", "requests/r2/approve", "request"):
        assert (await browser.post(f"{ORDERS}/{path}")).status_code == 403
    assert (await browser.get(f"{ORDERS}/request")).status_code == 403
    assert (await browser.get(f"{ORDERS}/quotes/absent")).status_code == 404
    assert (await browser.get(f"{ORDERS}/requests/absent")).status_code == 404
    assert (await browser.get(f"/tenants/other/orders/quotes/{quote}")).status_code == 404


async def test_a_part_that_is_missing_costs_only_itself(bench: ConsoleBench) -> None:
    for path in ("quotes", "purchase-requests", "purchase-settings"):
        bench.company.answers[f"GET {REST}/{path}"] = httpx.Response(503)
    page = words(await bench.signed_in().get(ORDERS))
    for part in ("The quotes", "The requests", "The rules for purchases"):
        assert f"{part} cannot be shown now" in page
    assert "115 → 119" in page


async def test_who_buys_where_two_people_approve_is_told_so_before_and_a_purchase_above_the_budget_has_no_button(
    bench: ConsoleBench,
) -> None:
    browser = bench.signed_in()
    buy = "/tenants/acme/licences/lab/buy"
    await browser.get(buy)
    assert "Buy for CHF 33.88" in words(await browser.post(buy, how="add", number="3"))
    bench.company.needs_second = True
    asked = words(await browser.post(buy, how="add", number="3"))
    assert "Your company wants two people to approve this purchase." in asked
    assert ("Approve for CHF 33.88" in asked, "Buy for" in asked) == (True, False)
    bench.company.answers["POST invoicing /v1/tenants/acme/quotes"] = httpx.Response(
        201, json=next(reversed(bench.company.quotes.values())) | {"your_approval": "not_possible"}
    )
    above = await browser.post(buy, how="add", number="4")
    assert "The purchase exceeds what is left of your company's monthly budget" in words(above)
    assert ("/approve" in above.text, "Change the number" in words(above)) == (False, True)


async def test_the_quotes_of_one_approval_have_links_of_different_texts(bench: ConsoleBench) -> None:
    request = bench.company.ordering.requests["r2"]
    request["quotes"] = ["q1"]
    assert "Quote of the approval" in words(await bench.signed_in().get(f"{ORDERS}/requests/r2"))
    request["quotes"] = ["q1", "q2"]
    assert "Quote 1 of the approval Quote 2 of the approval" in words(await bench.signed_in().get(f"{ORDERS}/requests/r2"))
