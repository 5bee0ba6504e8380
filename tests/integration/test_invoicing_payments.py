"""The vendor's operator records payments by REST; credit notes are set off; the balance and the lists follow."""

import asyncio
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.invoicing.domain.balance import balance_of
from services.invoicing.jobs.due_actions import DueActions
from services.invoicing.store import receivables
from services.invoicing.use_cases.idle import check_idle
from shared import ids
from shared.clock import FixedClock
from shared.schemas import invoicing_v1, seats_v1
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import PaymentReminded
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, NOVEMBER, Bench, running_bench, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
READ: dict[str, Any] = {"rights": ["account:read"]}
BUY: dict[str, Any] = {"rights": ["account:buy"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200)
        yield bench


async def invoiced(bench: Bench, licences: int = 10) -> tuple[str, dict[str, Any]]:
    """Return a tenant whose first period is invoiced with 150.00, and the invoice."""
    modules = [{"module": "time", "licences": licences, "policies": {"reduce_at": "now"}}]
    tenant = await bench.subscribed(NOVEMBER, {}, "2013-11-01", credit_when="now", modules=modules)
    return tenant, (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices"))["items"][0]


def payment(invoice: dict[str, Any], amount_minor: int, **more: Any) -> dict[str, Any]:
    return {"invoice": invoice["invoice"], "amount_minor": amount_minor, "currency": "EUR", "paid_on": "2013-11-15"} | more


async def numbers(bench: Bench, tenant: str, state: str) -> list[str]:
    found = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices?state={state}", tenant=tenant, **READ)
    return [each["number"] for each in found["items"]]


async def test_part_payments_settle_an_invoice_and_a_wrong_one_is_taken_back(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    path = f"/v1/tenants/{tenant}/payments"
    assert (invoice["gross_minor"], invoice["open_minor"], invoice["state"]) == (15_000, 15_000, "open")
    key = ids.new_id()
    made = [await bench.ok("POST", path, payment(invoice, 5_000, reference="Bank 17"), idempotency_key=key) for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0]["direction"], made[0]["reference"], made[0]["recorded_by"]["id"]) == ("received", "Bank 17", "operator")
    assert [await numbers(bench, tenant, state) for state in ("open", "part_paid", "paid")] == [[invoice["number"]]] * 2 + [[]]
    rest = await bench.ok("POST", path, payment(invoice, 10_000))
    assert await numbers(bench, tenant, "paid") == [invoice["number"]]
    problem = await bench.refused("POST", path, payment(invoice, 1), 422)
    assert (problem["errors"][0]["field"], "nothing is open" in problem["detail"]) == ("body.amount_minor", True)
    for _ in range(2):
        back = await bench.ok("POST", f"{path}/{rest['payment']}/take-back", {"reason": "another customer's money"})
        assert back["taken_back_because"] == "another customer's money"
    balance = await bench.ok("GET", f"/v1/tenants/{tenant}/balance", tenant=tenant, **READ)
    assert (balance["open_minor"], balance["balance_minor"], balance["balance"]) == (10_000, 10_000, "€100.00")
    listed = await bench.ok("GET", f"{path}?invoice={invoice['invoice']}", tenant=tenant, **READ)
    assert [(each["amount_minor"], each["taken_back_at"] is None) for each in listed["items"]] == [(5_000, True), (10_000, False)]
    recorded = await bench.events(tenant, invoicing_v1.PaymentRecorded)
    assert [(each.amount_minor, each.actor.id) for each in recorded] == [(5_000, "operator"), (10_000, "operator")]
    assert len(await bench.events(tenant, invoicing_v1.PaymentTakenBack)) == 1


async def test_a_payment_that_cannot_be_is_refused_by_field_and_books_nothing(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    path = f"/v1/tenants/{tenant}/payments"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"amount_minor": 15_001}, "amount_minor"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 10**30}, "amount_minor"),
        ({"amount_minor": 12.5}, "amount_minor"),
        ({"currency": "DKK"}, "currency"),
        ({"currency": "ABC"}, "currency"),
        ({"paid_on": "2013-11-16"}, "paid_on"),
        ({"paid_on": "2013-02-30"}, "paid_on"),
        ({"invoice": "inv-of-another-tenant"}, "invoice"),
    ]
    for change, field in wrong:
        problem = await bench.refused("POST", path, payment(invoice, 100) | change, 422)
        assert problem["errors"][0]["field"] == f"body.{field}", change
    assert (await bench.call("POST", path, payment(invoice, 100), tenant=tenant, rights=["account:buy"])).status_code == 403
    assert (await bench.ok("GET", path))["items"] == []
    assert (await bench.refused("POST", f"{path}/absent/take-back", {"reason": "x"}, 404))["type"] == "not-found"


async def test_a_credit_note_is_set_off_and_its_rest_is_paid_out_or_kept(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    path = f"/v1/tenants/{tenant}"
    await bench.ok("POST", f"{path}/payments", payment(invoice, 14_000))
    offer = await bench.ok("POST", f"{path}/reductions", {"items": [{"module": "time", "total": 4}]}, tenant=tenant, **BUY)
    await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    credit = (await bench.ok("GET", f"{path}/invoices"))["items"][1]
    assert (credit["kind"], credit["gross_minor"], credit["open_minor"]) == ("credit_note", 4_800, 3_800)
    (off,) = await bench.events(tenant, invoicing_v1.CreditSetOff)
    assert (off.credit_note, off.invoice, off.amount_minor) == (credit["invoice"], invoice["invoice"], 1_000)
    for document, other in ((invoice, credit), (credit, invoice)):
        shown = await bench.ok("GET", f"{path}/invoices/{document['invoice']}")
        assert (shown["set_off_minor"], shown["next_reminder_on"]) == (1_000, None)
        relations = {each["relation"]: (each["number"], each["amount_minor"]) for each in shown["related"]}
        corrects = "corrected_by" if document is invoice else "corrects"
        assert relations == {corrects: (other["number"], None), "set_off": (other["number"], 1_000)}
    newest = await bench.ok("GET", f"{path}/invoices?order=newest_first&limit=1")
    assert [(each["number"], each["set_off_minor"]) for each in newest["items"]] == [(credit["number"], 1_000)]
    second = await bench.ok("GET", f"{path}/invoices?order=newest_first&limit=1&cursor={newest['next']}")
    assert [each["number"] for each in second["items"]] == [invoice["number"]]
    balance = await bench.ok("GET", f"{path}/balance")
    assert (balance["open_minor"], balance["credit_minor"], balance["balance_minor"]) == (0, 3_800, -3_800)
    out = await bench.ok("POST", f"{path}/payments", payment(credit, 800))
    assert out["direction"] == "paid_out"
    assert (await bench.refused("POST", f"{path}/invoices/{invoice['invoice']}/keep", {}))["type"] == "not-a-credit-note"
    for _ in range(2):
        kept = await bench.ok("POST", f"{path}/invoices/{credit['invoice']}/keep", {})
        assert (kept["state"], kept["open_minor"]) == ("kept", 3_000)
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 8, tzinfo=UTC))
    renewal = (await bench.ok("GET", f"{path}/invoices"))["items"][2]
    assert (renewal["gross_minor"], renewal["open_minor"], renewal["state"]) == (6_000, 3_000, "part_paid")
    # The stored numbers are the fold of the events.
    events = await bench.events(tenant, Payload)
    folded = {name: each.open_minor for name, each in balance_of(events).documents.items()}
    async with bench.wiring.database.unit_of_work(tenant) as uow:
        stored = await receivables.page(uow.connection, tenant, 0, 100)
    assert folded == {each.invoice: each.open_minor for each in stored}


async def test_an_overdue_invoice_is_in_the_list_of_the_operator(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    other, _ = await invoiced(bench)
    await bench.advance_clock(tenant, datetime(2013, 11, 29, 22, 59, tzinfo=UTC))
    assert await numbers(bench, tenant, "overdue") == []
    await bench.advance_clock(tenant, datetime(2013, 11, 29, 23, tzinfo=UTC))  # midnight in Copenhagen
    assert await numbers(bench, tenant, "overdue") == [invoice["number"]]
    waits = (await bench.ok("GET", f"/v1/tenants/{tenant}/licences", tenant=tenant, **READ))["buying"]["open_items"]
    assert (waits["overdue_invoices"], waits["overdue_minor"]) == (1, 15_000)
    first = await bench.ok("GET", "/v1/overdue-invoices?limit=1")
    items = first["items"]
    while first["next"]:
        first = await bench.ok("GET", f"/v1/overdue-invoices?limit=1&cursor={first['next']}")
        items += first["items"]
    assert {each["tenant"]: each["days_overdue"] for each in items}.get(tenant) == 1
    assert other not in {each["tenant"] for each in items}
    assert (await bench.call("GET", "/v1/overdue-invoices", tenant=tenant, **READ)).status_code == 403
    assert (await bench.refused("GET", "/v1/overdue-invoices?cursor=W10", status=422))["errors"][0]["field"] == "query.cursor"


async def reminded(bench: Bench, tenant: str) -> list[tuple[int, str, int]]:
    return [(each.step, each.at.date().isoformat(), each.open_minor) for each in await bench.events(tenant, PaymentReminded)]


async def test_reminders_follow_the_test_clock_and_end_when_the_invoice_is_paid(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    first = datetime(2013, 12, 1, 23, tzinfo=UTC)
    await bench.advance_clock(tenant, first - timedelta(seconds=1))
    assert await reminded(bench, tenant) == []
    idle = await check_idle(bench.wiring.database, bench.wiring.consumer, bench.wiring.clock, tenant)
    assert idle.next_due == first, "a test clock stops at the day of the first reminder"
    await bench.ok("POST", f"/v1/tenants/{tenant}/payments", payment(invoice, 1_000))
    for _ in range(2):
        await bench.advance_clock(tenant, first)
        assert await reminded(bench, tenant) == [(1, "2013-12-01", 14_000)], "the local day is 2 December"
    rest = await bench.ok("POST", f"/v1/tenants/{tenant}/payments", payment(invoice, 14_000))
    await bench.advance_clock(tenant, datetime(2013, 12, 20, tzinfo=UTC))
    assert [each for each in await reminded(bench, tenant) if each[0] == 2] == []
    await bench.ok("POST", f"/v1/tenants/{tenant}/payments/{rest['payment']}/take-back", {"reason": "wrong invoice"})
    await bench.advance_clock(tenant, datetime(2014, 2, 20, tzinfo=UTC))
    mine = [each for each in await bench.events(tenant, PaymentReminded) if each.invoice == invoice["invoice"]]
    assert [(each.step, each.last) for each in mine] == [(1, False), (2, False)], "after a break, one reminder and not all at once"


async def test_a_tenant_whose_credits_cover_all_is_not_reminded(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    path = f"/v1/tenants/{tenant}"
    paid = await bench.ok("POST", f"{path}/payments", payment(invoice, 15_000))
    offer = await bench.ok("POST", f"{path}/reductions", {"items": [{"module": "time", "total": 1}]}, tenant=tenant, **BUY)
    await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    await bench.advance_clock(tenant, datetime(2013, 12, 3, 8, tzinfo=UTC))
    (_, credit, renewal) = (await bench.ok("GET", f"{path}/invoices"))["items"]
    assert (credit["open_minor"] > renewal["open_minor"] > 0, paid["direction"]) == (True, "received")
    await bench.advance_clock(tenant, datetime(2013, 12, 20, 8, tzinfo=UTC))
    assert await reminded(bench, tenant) == []
    await bench.ok("POST", f"{path}/payments", payment(credit, credit["open_minor"]))
    await bench.advance_clock(tenant, datetime(2013, 12, 24, 8, tzinfo=UTC))
    assert [each[0] for each in await reminded(bench, tenant)] == [1]


async def test_on_a_real_clock_any_number_of_workers_remind_once(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", clock="real")
    day = replace(bench.wiring, clock=FixedClock(datetime(2013, 12, 2, 8, tzinfo=UTC)))
    for _ in range(2):
        await asyncio.gather(*(DueActions(day).run_once() for _ in range(3)))
    assert await reminded(bench, tenant) == [(1, "2013-12-02", 15_000)]


async def overdue(bench: Bench, action: str) -> tuple[str, dict[str, Any]]:
    """Return a tenant that was reminded three times of an invoice, and the invoice."""
    modules = [{"module": "time", "licences": 10, "policies": {"over_limit": "expand", "expand_cap": 20}}]
    tenant = await bench.subscribed(NOVEMBER, {}, "2013-11-01", modules=modules)
    shown = await bench.ok("PUT", f"/v1/tenants/{tenant}/overdue-action", {"action": action})
    assert (shown["overdue_action"], shown["purchases_blocked"]) == (action, False)
    for day in (2, 13, 27):
        await bench.advance_clock(tenant, datetime(2013, 12, day, 8, tzinfo=UTC))
    return tenant, (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices"))["items"][0]


async def caps(bench: Bench, tenant: str) -> list[int | None]:
    return [command.policies.expand_cap for command in await bench.commands(tenant, seats_v1.SetPolicy)]


async def test_with_no_purchases_an_overdue_invoice_refuses_purchases_and_expansions_until_it_is_paid(bench: Bench) -> None:
    tenant, invoice = await overdue(bench, "no_purchases")
    path, items = f"/v1/tenants/{tenant}", {"items": [{"module": "time", "add": 1}]}
    (blocked,) = await bench.events(tenant, invoicing_v1.PurchasesBlocked)
    assert [each.invoice for each in blocked.invoices] == [invoice["invoice"]]
    assert [each.step for each in await bench.events(tenant, PaymentReminded) if each.last] == [3]
    problem = await bench.refused("POST", f"{path}/quotes", items, tenant=tenant, **BUY)
    assert (problem["type"], problem["invoices"][0]["number"]) == ("invoice-overdue", invoice["number"])
    assert f"{invoice['number']} was due on 29 November 2013, and €150.00 of it are still open" in problem["detail"]
    assert await caps(bench, tenant) == [0], "seats rejects expansions by itself"
    changed = {"modules": {"time": {"expand_cap": 30, "warn_at": "80%"}}}
    await bench.ok(
        "PATCH", f"{path}/subscription/policies", changed, tenant=tenant, rights=["settings:manage", "account:buy"], prefer="wait=10"
    )
    shown = (await bench.ok("GET", f"{path}/subscription"))["modules"][0]["policies"]
    assert (shown["expand_cap"], shown["warn_at"]) == (30, "80%"), "the own cap is shown, and holds when the balance is settled"
    assert await caps(bench, tenant) == [0, 0]
    await bench.ok("POST", f"{path}/payments", payment(invoice, 14_999))
    assert (await bench.ok("GET", f"{path}/balance"))["purchases_blocked"], "a part payment settles nothing"
    await bench.ok("POST", f"{path}/payments", payment(invoice, 1))
    assert len(await bench.events(tenant, invoicing_v1.PurchasesUnblocked)) == 1
    await bench.until_settled(tenant)
    assert await caps(bench, tenant) == [0, 0, 30]
    await bench.ok("POST", f"{path}/quotes", items, tenant=tenant, **BUY)


async def test_no_cap_is_sent_for_a_subscription_that_has_ended(bench: Bench) -> None:
    tenant, invoice = await overdue(bench, "no_purchases")
    path = f"/v1/tenants/{tenant}"
    await bench.ok("POST", f"{path}/subscription/end", {"reason": "no payment"}, prefer="wait=10")
    await bench.until_settled(tenant)
    await bench.ok("POST", f"{path}/payments", payment(invoice, 15_000))
    await bench.until_settled(tenant)
    assert await caps(bench, tenant) == [0]
    limits = await bench.events(tenant, invoicing_v1.ExpansionLimited)
    assert [each.limited_by for each in limits] == ["overdue_invoice", ""], "refusals no longer name the invoice"


async def test_with_operator_decides_nothing_is_refused_before_the_operator_switches_it_on(bench: Bench) -> None:
    tenant, invoice = await overdue(bench, "operator_decides")
    path, items = f"/v1/tenants/{tenant}", {"items": [{"module": "time", "add": 1}]}
    (decide,) = await bench.events(tenant, invoicing_v1.OverdueDecisionDue)
    assert [each.number for each in decide.invoices] == [invoice["number"]]
    quote = await bench.ok("POST", f"{path}/quotes", items, tenant=tenant, **BUY)
    shown = await bench.ok("PUT", f"{path}/overdue-action", {"action": "no_purchases"})
    assert shown["purchases_blocked"]
    assert (await bench.refused("POST", quote["approve_url"], {}, tenant=tenant, **BUY))["type"] == "invoice-overdue"
    assert not (await bench.ok("PUT", f"{path}/overdue-action", {"action": "none"}))["purchases_blocked"]
    await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    assert (await bench.call("PUT", f"{path}/overdue-action", {"action": "none"}, tenant=tenant, **BUY)).status_code == 403
    changes = [each.changes[0] for each in await bench.events(tenant, invoicing_v1.OverdueActionChanged)]
    assert [(each.old, each.new) for each in changes][1:] == [("operator_decides", "no_purchases"), ("no_purchases", "none")]


async def test_the_documents_of_a_range_are_exported_and_verified(bench: Bench) -> None:
    tenant, invoice = await invoiced(bench)
    path, march = f"/v1/tenants/{tenant}/exports", "from=2013-11-01&to=2013-11-30"
    await bench.ok("POST", f"/v1/tenants/{tenant}/payments", payment(invoice, 5_000))
    table = await bench.call("GET", f"{path}/csv?{march}", tenant=tenant, **READ)
    (row,) = csv.DictReader(io.StringIO(table.text, newline=""))
    assert (row["number"], row["company"], row["gross"], row["open"]) == (invoice["number"], "Acme A/S", "150.00", "100.00")
    assert (await bench.call("GET", f"{path}/csv?from=2013-12-01&to=2013-12-31", tenant=tenant, **READ)).text.count("\n") == 1
    batch = await bench.call("GET", f"{path}/datev?{march}", tenant=tenant, **READ)
    assert batch.content.startswith(b'"EXTF";700;21;"Buchungsstapel";13;')
    assert invoice["number"].encode() in batch.content
    found = await bench.call("GET", f"{path}/zip?{march}", tenant=tenant, **READ)
    with zipfile.ZipFile(io.BytesIO(found.content)) as files:
        assert f"{invoice['number']}.pdf" in files.namelist()
    everybody = await bench.call("GET", f"/v1/exports/csv?{march}")
    assert (everybody.status_code, everybody.text.count("\n")) == (200, 1 + await real_documents(bench)), "no test documents"
    assert (await bench.call("GET", f"/v1/exports/csv?{march}", tenant=tenant, **READ)).status_code == 403
    for wrong in ("from=2013-11-30&to=2013-11-01", "from=2012-01-01&to=2013-11-30", "from=2013-11-01", "from=x&to=2013-11-01"):
        assert (await bench.call("GET", f"{path}/csv?{wrong}", tenant=tenant, **READ)).status_code == 422
    assert (await bench.call("GET", f"{path}/datev?from=2013-11-01&to=2014-01-01", tenant=tenant, **READ)).status_code == 422
    verified = await bench.ok("GET", f"/v1/tenants/{tenant}/verification")
    assert verified == {"documents": 1, "pdfs": 1, "different": 0, "differences": []}
    await bench.execute("UPDATE receivables SET open_minor = 1 WHERE tenant_id = $1", tenant)
    (difference,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/verification"))["differences"]
    assert (difference["number"], difference["what"]) == (invoice["number"], "1 are open, and its payments leave 10000")


async def real_documents(bench: Bench) -> int:
    ((count,),) = await bench.execute("SELECT count(*) FROM invoices WHERE series = 'real' AND tenant_id <> ''")
    return int(count)
