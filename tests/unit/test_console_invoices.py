"""The pages about invoices, with the REST of invoicing in memory."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.console import ConsoleBench, console, problem, reply
from tests.unit.test_console_pages import words

INVOICES = "/tenants/acme/invoices"
REST = "GET invoicing /v1/tenants/acme"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


async def test_the_list_shows_documents_the_balance_and_the_next_invoice(bench: ConsoleBench) -> None:
    page = words(await bench.signed_in().get(INVOICES))
    assert "Open invoices CHF 2’422.94 2 invoices, first due on 3 Mar 2026 of which overdue CHF 1’543.67 1 invoice" in page
    assert "1 Mar 2026 due 31 Mar 2026 CHF 1’762.45 tax CHF 142.76 CHF 1’905.21 CHF 879.27 Partly paid CHF 25.94 set off" in page
    assert "C-0001 Credit note 2 Mar 2026 CHF-24.00 tax CHF-1.94 CHF-25.94 CHF 0.00 Set off" in page
    assert "1 Feb 2026 due 3 Mar 2026 CHF 1’428.00 tax CHF 115.67 CHF 1’543.67 CHF 1’543.67 Overdue" in page
    assert "Next invoice as it would be today; nothing is issued yet Date 1 Apr 2026 in 27 days Net CHF 1’764.00" in page
    assert "Lab licences of the period 1–30 Apr 2026 20 CHF 12.00 CHF 240.00" in page
    overdue = words(await bench.signed_in().get(f"{INVOICES}?state=overdue"))
    assert "R-0002" in overdue
    assert "R-0003" not in overdue


async def test_a_page_of_an_invoice_shows_lines_payments_set_offs_and_reminders(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    page = words(await browser.get(f"{INVOICES}/i3"))
    assert "Lab licences of the period 1–31 Mar 2026 27 CHF 12.00 CHF 324.00 CHF 12.00 discount deducted" in page
    assert "Planning adjustment: changes since the last invoice 1–31 Mar 2026 2 – CHF 10.45" in page
    assert "4 Mar 2026 Bank &lt;17&gt; received CHF 1’000.00" in page
    assert "taken back another customer's money CHF 1’000.00" in page
    assert "C-0001 set off on 2 Mar 2026 CHF 25.94" in page
    overdue = words(await browser.get(f"{INVOICES}/i2"))
    assert "CHF 1’543.67 was due on 3 Mar 2026 and is not paid." in overdue
    assert "Reminders of payment 1 sent the next on 17 Mar 2026" in overdue
    assert "C-0001 corrects this invoice" in overdue
    credit = words(await browser.get(f"{INVOICES}/c1"))
    assert "R-0002 corrected by this credit note" in credit
    paid = await browser.get(f"{INVOICES}/i1")
    assert "invoices/i1/pdf" in paid.text
    assert "invoices/i1/xml" not in paid.text, "a document without XML offers none"


async def test_the_files_pass_through_the_console_with_the_readers_token(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    pdf = await browser.get(f"{INVOICES}/i3/pdf")
    assert (pdf.content, pdf.headers["content-type"]) == (b"%PDF-1.7 invoice", "application/pdf")
    assert pdf.headers["content-disposition"] == 'inline; filename="R-0003.pdf"'
    xml = await browser.get(f"{INVOICES}/i3/xml")
    assert (xml.content, xml.headers["content-disposition"]) == (b"<Invoice/>", 'attachment; filename="R-0003.xml"')
    sent = next(each for each in bench.company.requests if each.url.path.endswith("/pdf"))
    assert sent.headers["authorization"].startswith("Bearer ")
    assert "Bearer" not in str(pdf.headers)


async def test_what_is_left_of_a_credit_note_is_no_person_who_left(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.post("/language", language="de", back=INVOICES)
    credit = words(await browser.get(f"{INVOICES}/c1"))
    assert "Noch übrig" in credit
    assert "Ausgetreten" not in credit


@pytest.mark.parametrize("path", ["/i9", "/i9/pdf", "/i9/xml", "/..%2F..%2Fbalance"])
async def test_an_invoice_of_another_tenant_or_an_invented_one_is_not_found(bench: ConsoleBench, path: str) -> None:
    browser = bench.signed_in()
    assert (await browser.get(INVOICES + path)).status_code == 404
    assert (await browser.get(f"/tenants/other/invoices{path}")).status_code == 404


async def test_T22_a_reader_without_account_read_sees_no_invoice(bench: ConsoleBench) -> None:
    browser = bench.signed_in("cleo", rights=("users:read",))
    for path in (INVOICES, f"{INVOICES}/i3", f"{INVOICES}/i3/pdf"):
        assert (await browser.get(path)).status_code == 403


async def test_a_part_that_is_missing_costs_only_itself(bench: ConsoleBench) -> None:
    browser, answers = bench.signed_in(), bench.company.answers
    answers[f"{REST}/balance"] = httpx.Response(503)
    answers[f"{REST}/invoices/upcoming"] = problem(429, "too-many-requests", "Busy.", headers={"retry-after": "60"})
    page = await browser.get(INVOICES)
    assert page.status_code == 200
    assert "The balance cannot be shown now, because a service does not answer." in words(page)
    assert "The next invoice: this is being computed. Reload the page in a moment." in words(page)
    assert "R-0003" in page.text
    answers[f"{REST}/invoices/upcoming"] = problem(409, "subscription-ended", "The subscription ended on 1 March 2026.")
    assert "The subscription has ended, so no further invoice is issued for a period." in words(await browser.get(INVOICES))
    bench.company.down.add("invoicing")
    assert (await browser.get(INVOICES)).status_code == 503
    assert (await browser.get(f"{INVOICES}/i3/pdf")).status_code == 503


async def test_a_company_without_an_invoice_or_with_nothing_to_charge_is_told_so(bench: ConsoleBench) -> None:
    bench.company.money.documents.clear()
    bench.company.money.upcoming_kind = None
    page = words(await bench.signed_in().get(INVOICES))
    assert "There is no invoice yet" in page
    assert "Nothing would be charged on 1 Apr 2026, so no invoice would be issued." in page
    assert "Balance" not in page


@pytest.mark.parametrize(("kind", "net_minor"), [("invoice", -9_600), ("credit_note", 9_600)])
async def test_M14_the_next_invoice_says_what_a_credit_on_it_has_waited_for(bench: ConsoleBench, kind: str, net_minor: int) -> None:
    text = "A negative amount is a credit that waits for this invoice: the licences were given back before an invoice charged them"
    browser, upcoming = bench.signed_in(), f"{REST}/invoices/upcoming"
    assert text not in words(await browser.get(INVOICES))
    found = bench.company.money.upcoming()
    bench.company.answers[upcoming] = reply(found | {"kind": kind, "lines": [found["lines"][0] | {"net_minor": net_minor}]})
    assert f"CHF-96.00 {text}" in words(await browser.get(INVOICES))


async def test_blocked_purchases_are_named_and_pages_go_on(bench: ConsoleBench) -> None:
    bench.company.money.blocked = True
    for number in range(30):
        bench.company.money.documents[f"n{number}"] = bench.company.money.documents["i1"] | {
            "invoice": f"n{number}",
            "number": f"R-1{number:03}",
        }
    browser = bench.signed_in()
    page = await browser.get(INVOICES)
    assert "Nothing can be bought until the overdue invoices are paid." in words(page)
    assert f"{INVOICES}?cursor=25" in page.text
    assert "R-1029" in (await browser.get(f"{INVOICES}?cursor=25")).text
