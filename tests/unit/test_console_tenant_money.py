"""The operator's pages about the money of a tenant, with the REST of invoicing in memory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.console import Browser, ConsoleBench, console, problem
from tests.support.console_tenant_money import TenantMoneyRest, discount
from tests.unit.test_console_operator import words

MONEY = "/operator/tenants/acme/money"
REST = "invoicing /v1/tenants/acme"
ENDED = "The subscription of Alpenrose AG has ended, so nothing about it can be changed. What is open can still be paid."


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def operator(bench: ConsoleBench) -> tuple[Browser, TenantMoneyRest]:
    return bench.signed_in("vera", None, ("operator",)), bench.company.tenant_money


async def test_the_money_of_a_tenant_is_reached_from_the_list_and_exists_for_no_customer(bench: ConsoleBench) -> None:
    browser, _ = operator(bench)
    assert f'href="{MONEY}"' in (await browser.get("/operator/tenants")).text
    page = words(await browser.get(MONEY))
    for shown in ("Unpaid CHF 2,422.94", "Invoice R-0003", "Record a payment", "Subscription", "Plan Standard", "End it at once"):
        assert shown in page, shown
    assert "R-0001" not in page, "it is paid"
    assert (await browser.get("/operator/tenants/nobody/money")).status_code == 404
    customer = bench.signed_in()
    for path in ("", "/invoices/i3/pay", "/payments/p1/take-back", "/discounts/grant", "/discounts/d1/withdraw", "/end"):
        assert (await customer.get(MONEY + path)).status_code == 404, path


async def test_a_payment_is_recorded_once_and_at_most_what_is_open(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    url = f"{MONEY}/invoices/i3/pay"
    asked = await browser.get(url)
    assert 'value="879.27"' in asked.text, "all that is open is suggested"
    assert 'value="2026-03-05"' in asked.text, "today, in the tenant's time zone"
    for amount, says in (("much", "of at most CHF 879.27"), ("1,000.00", "of at most CHF 879.27"), ("-1", "of at most CHF 879.27")):
        wrong = await browser.post(url, amount=amount, paid_on="2026-03-05", reference="")
        assert (wrong.status_code, says in words(wrong)) == (422, True), amount
    wrong = await browser.post(url, amount="1.00", paid_on="2026-03-06", reference="")
    assert "Enter today or an earlier day." in words(wrong)
    for day in ("x", "", "2026-02-30"):
        wrong = await browser.post(url, amount="1.00", paid_on=day, reference="")
        assert (wrong.status_code, "Enter a day, for example 2026-03-31." in words(wrong)) == (422, True), day
    assert rest.sent == []
    last = browser.last
    done = words(await browser.post(url, amount="800.00", paid_on="2026-03-04", reference="<b>Bank</b>"))
    assert "The payment of CHF 800.00 for R-0003 was recorded." in done
    browser.last = last
    await browser.post(url, amount="800.00", paid_on="2026-03-04", reference="<b>Bank</b>")
    body = {"invoice": "i3", "amount_minor": 80_000, "currency": "CHF", "paid_on": "2026-03-04", "reference": "<b>Bank</b>"}
    assert rest.sent == [("payment", body)], "a form that is sent twice books once"
    bench.company.money.documents["i3"]["open_minor"] = 0
    late = words(await browser.get(url))
    assert "no payment can be recorded" in late
    assert "Record it" not in late
    assert (await browser.get(f"{MONEY}/invoices/none/pay")).status_code == 404


async def test_a_payment_is_taken_back_with_a_reason_and_not_offered_again(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    url = f"{MONEY}/payments/p1/take-back"
    assert "CHF 1,000.00 of 4 Mar 2026 for R-0003 no longer counts." in words(await browser.get(url))
    for reason in ("", "x" * 201):
        wrong = await browser.post(url, reason=reason)
        assert (wrong.status_code, "Enter a reason of at most 200 characters." in words(wrong)) == (422, True)
    assert "What it paid is open again." in words(await browser.post(url, reason="wrong invoice"))
    assert rest.sent == [("take-back", {"reason": "wrong invoice"})]
    again = words(await browser.get(url))
    assert "taken back already: wrong invoice" in again
    assert "Take it back" not in again


async def test_a_credit_note_is_kept_and_what_overdue_invoices_lead_to_is_set(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    bench.company.money.documents["c1"] |= {"state": "open", "open_minor": 500}
    page = words(await browser.get(MONEY))
    assert "Record a payout" in page
    assert "is kept for later invoices" in words(await browser.post(f"{MONEY}/invoices/c1/keep"))
    stale = await browser.post(f"{MONEY}/overdue-action", overdue_action="no_purchases", seen="operator_decides")
    assert (stale.status_code, "Somebody else has changed this meanwhile." in words(stale)) == (409, True)
    assert '<option value="no_purchases" selected>' in stale.text, "the input stays"
    assert [name for name, _ in rest.sent] == ["keep"]
    saved = await browser.post(f"{MONEY}/overdue-action", overdue_action="no_purchases", seen="none")
    assert "The setting for overdue invoices was saved" in words(saved)
    assert rest.sent == [("keep", {"invoice": "c1"}), ("overdue-action", {"action": "no_purchases"})]
    bench.company.answers[f"POST {REST}/invoices/c1/keep"] = problem(409, "credit-not-open", "Nothing is left.")
    refused = await browser.post(f"{MONEY}/invoices/c1/keep")
    assert (refused.status_code, "Documents with something open" in words(refused)) == (409, True), "the refusal is on the page"


async def test_a_discount_is_granted_only_after_it_was_seen_what_it_changes(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    url = f"{MONEY}/discounts/grant"
    fields: dict[str, Any] = {
        "module": "lab",
        "kind": "percent",
        "value": "10",
        "from_day": "",
        "until_day": "",
        "periods": "3",
        "text": "",
    }
    await browser.get(url)
    wrongs = (
        {"value": ""}, {"kind": "amount", "value": "x"}, {"kind": "amount", "value": "1.005"}, {"periods": "0"}, {"periods": "121"},
        {"until_day": "2026-06-01"}, {"text": "x" * 101}, {"value": "0"},
    )  # fmt: skip
    for wrong in wrongs:
        assert (await browser.post(url, **(fields | wrong))).status_code == 422, wrong
    seen = await browser.post(url, **fields)
    assert "Next period, without tax CHF 2,052.00 → CHF 1,846.80" in words(seen)
    assert rest.sent == []
    done = words(await browser.post(url, **fields, step="grant"))
    assert "The discount was granted." in done
    assert rest.sent == [("grant", {"module": "lab", "text": "", "percent": "10", "periods": 3})]
    await browser.get(url)
    await browser.post(url, **(fields | {"module": "", "kind": "amount", "value": "1’000.50", "periods": ""}), step="grant")
    assert rest.sent[-1][1] == {"module": None, "text": "", "amount_minor": 100_050}
    bench.company.status = "ended"
    ended = words(await browser.get(url))
    assert ENDED in ended
    assert "Show what it changes" not in ended


@pytest.mark.parametrize("path", ["discounts/grant", "discounts/d1/withdraw", "end"])
async def test_a_question_about_a_subscription_that_has_ended_has_no_form_and_leads_to_a_new_one(bench: ConsoleBench, path: str) -> None:
    browser, rest = operator(bench)
    rest.discounts.append(discount("d1"))
    bench.company.status = "ended"
    asked = await browser.get(f"{MONEY}/{path}")
    assert ENDED in words(asked)
    assert 'href="/operator/tenants/acme/set-up"' in asked.text
    assert f'action="{MONEY}' not in asked.text
    assert 'href="/operator/tenants/acme/set-up"' in (await browser.get(MONEY)).text


async def test_a_discount_is_withdrawn_after_a_question(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    rest.discounts += [discount("d1", text="for the start"), discount("d2", status="ended")]
    page = await browser.get(MONEY)
    assert f"{MONEY}/discounts/d1/withdraw" in page.text
    assert f"{MONEY}/discounts/d2/withdraw" not in page.text
    assert "What was charged with it stays." in words(await browser.get(f"{MONEY}/discounts/d1/withdraw"))
    assert "The discount was withdrawn." in words(await browser.post(f"{MONEY}/discounts/d1/withdraw"))
    assert rest.sent == [("withdraw", {"discount": "d1"})]
    assert "no longer applies" in words(await browser.get(f"{MONEY}/discounts/d1/withdraw"))


async def test_a_subscription_is_ended_at_once_only_after_its_consequences_were_confirmed(bench: ConsoleBench) -> None:
    browser, rest = operator(bench)
    bench.company.uses_known = False
    assert "The use of the licences cannot be shown now" in words(await browser.get(f"{MONEY}/end"))
    bench.company.uses_known = True
    asked = words(await browser.get(f"{MONEY}/end"))
    assert "cannot be shown" not in asked
    assert "Projects 122 seats are lost" in asked
    assert "Credited at once for the days from today on, without tax CHF 1,787.23" in asked
    assert "Invoiced at once" not in asked
    rest.of_the_end = {"credit_net_minor": 0, "charge_net_minor": 4_200}
    waits = words(await browser.get(f"{MONEY}/end"))
    assert "minus the credit for the days from today on, without tax CHF 42.00" in waits
    assert "Credited at once" not in waits
    incomplete: tuple[dict[str, Any], ...] = ({"reason": "", "confirmed": "yes"}, {"reason": "fraud"})
    for fields in incomplete:
        assert (await browser.post(f"{MONEY}/end", **fields)).status_code == 422
    assert rest.sent == []
    assert "is being ended" in words(await browser.post(f"{MONEY}/end", reason="fraud", confirmed="yes"))
    assert rest.sent == [("end", {"reason": "fraud"})]
    bench.company.answers[f"POST {REST}/subscription/end"] = problem(409, "subscription-ended", "The subscription has ended.")
    await browser.get(f"{MONEY}/end")
    late = await browser.post(f"{MONEY}/end", reason="fraud", confirmed="yes")
    assert late.status_code == 409
    bench.company.status = "ended"
    assert ENDED in words(await browser.get(f"{MONEY}/end"))
    assert "End it at once" not in words(await browser.get(MONEY))
