"""The guarantees of invoicing in every failure: nothing twice, no gap, no issued invoice changed, everything rebuildable."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

import facturx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from pypdf import PdfReader
from sqlalchemy.exc import DBAPIError

from services.invoicing import store
from services.invoicing.domain.account import Account, rebuild
from services.invoicing.jobs.due_actions import DueActions
from services.invoicing.jobs.end_days import end_days_of_all
from services.invoicing.jobs.unanswered_commands import count_unanswered
from services.invoicing.store.due_actions import DueAction
from services.invoicing.use_cases import issue_invoices
from services.invoicing.use_cases.balance import note_issued
from services.invoicing.use_cases.idle import check_idle
from services.invoicing.use_cases.issue_invoices import NUMBER_DIGITS, book_and_issue
from services.invoicing.use_cases.seats_questions import ReadPools
from shared import ids
from shared.clock import FixedClock
from shared.database import UnitOfWork
from shared.errors import Transient
from shared.schemas import invoicing_v1, seats_v1, topics, users_v1
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import InvoiceIssued
from shared.schemas.position import Position
from shared.schemas.rights import TENANT_RIGHTS
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, DETAILS, NOVEMBER, ROOT, Bench, running_bench, settings_of
from tests.support.wait import wait_until
from tests.support.wire import Sent, until_relayed

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
EXPAND = {"over_limit": "expand", "expand_cap": 20}
BUY: dict[str, Any] = {"rights": ["account:buy"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


async def subscribed(bench: Bench, **more: Any) -> str:
    return await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", **{"billed_until": "2013-12-01"} | more)


async def dead_letters(bench: Bench, tenant: str) -> list[dict[str, Any]]:
    return list((await bench.ok("GET", f"/v1/operator/dead-letters?tenant={tenant}&status=all"))["items"])


async def test_a_repeated_request_and_a_second_approval_buy_once(bench: Bench) -> None:
    tenant = await subscribed(bench)
    items = {"items": [{"module": "time", "add": 1}]}
    key = ids.new_id()
    path = f"/v1/tenants/{tenant}/quotes"
    quotes = [await bench.ok("POST", path, items, tenant=tenant, **BUY, idempotency_key=key) for _ in range(2)]
    assert quotes[0] == quotes[1]
    other = {"items": [{"module": "time", "add": 2}]}
    problem = await bench.refused("POST", path, other, 422, tenant=tenant, **BUY, idempotency_key=key)
    assert problem["type"] == "idempotency-key-reused"
    approve = f"{path}/{quotes[0]['quote']}/approve"
    approvals = [bench.ok("POST", approve, {}, tenant=tenant, **BUY, idempotency_key=key + "-a") for _ in range(2)]
    first, repeated = await asyncio.gather(*approvals)
    assert first == repeated
    assert (await bench.refused("POST", approve, {}, tenant=tenant, **BUY, idempotency_key=key + "-b"))["order"] == first["order"]
    await bench.until_settled(tenant)
    assert len(await bench.commands(tenant, seats_v1.AddLicences)) == 1
    assert (await bench.statistics(tenant))["invoices"] == 1


async def test_invoice_numbers_have_no_gap_although_transactions_fail_and_tenants_buy_at_the_same_time(bench: Bench) -> None:
    tenants = [await subscribed(bench) for _ in range(3)]

    async def lose() -> None:
        async with bench.wiring.database.unit_of_work(None) as uow:
            await store.invoices.draw_number(uow.connection, "test")
            raise RuntimeError("this transaction is lost")

    with pytest.raises(RuntimeError, match="lost"):
        await lose()
    await asyncio.gather(*(bench.buy(tenant, {"module": "time", "add": n}) for n, tenant in enumerate(tenants, 1)))
    rows = await bench.execute("SELECT series, sequence FROM invoices ORDER BY sequence")
    assert [sequence for series, sequence in rows if series == "test"] == list(range(1, len(rows) + 1))
    last = await bench.execute("SELECT last FROM number_series WHERE series = 'test'")
    assert last[0][0] == len(rows)


@pytest.mark.parametrize("seed", range(3))
async def test_invoice_numbers_have_no_gap_in_random_histories_in_which_work_fails_after_a_number_was_drawn(
    bench: Bench, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several tenants buy, reduce, renew and end at once. Transactions are lost, and a renewal becomes a dead letter that is retried."""
    failed, broken, faults = Counter[str](), set[str](), Random(seed)

    async def fail_often(uow: UnitOfWork, tenant: str, settings: Any, invoice: InvoiceIssued, *rest: Any) -> None:
        await note_issued(uow, tenant, settings, invoice, *rest)
        if tenant in broken:
            raise RuntimeError("a bug")
        if failed[invoice.invoice] < 2 and faults.random() < 0.5:
            failed[invoice.invoice] += 1
            raise Transient("the connection to the database was lost")

    async def live(tenant: str, random: Random) -> None:
        at = NOVEMBER
        for _ in range(6):
            licences = bench.pools[tenant].licences["time"]
            match random.choice(["buy", "reduce", "time", "time"] if licences > 1 else ["buy"]):
                case "buy":
                    await bench.buy(tenant, {"module": "time", "add": random.randint(1, 3)})
                case "reduce":
                    total = {"items": [{"module": "time", "total": random.randint(max(1, licences // 2), licences - 1)}]}
                    await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", total, tenant=tenant, **BUY, prefer="wait=10")
                case _:
                    at += random.randint(1, 25) * A_DAY
                    await bench.advance_clock(tenant, at)
            await bench.until_settled(tenant)

    async def buy(tenant: str) -> None:
        for add in (1, 2):
            await bench.buy(tenant, {"module": "time", "add": add})

    modules = [{"module": "time", "licences": 10, "policies": {"reduce_at": "now"}}]
    test = [await subscribed(bench, modules=modules, credit_when="now") for _ in range(3)]
    real = await subscribed(bench, clock="real")
    monkeypatch.setattr(issue_invoices, "note_issued", fail_often)
    await asyncio.gather(buy(real), *(live(tenant, Random(f"{seed}-{n}")) for n, tenant in enumerate(test)))
    assert failed.total() >= 3

    broken.add(test[0])
    (renewal, _), *_ = bench.pools[test[0]].scheduled
    await bench.send(seats_v1.ClockAdvanced(number=1, to=renewal), test[0])
    await asyncio.gather(*(bench.advance_clock(tenant, bench.pools[tenant].scheduled[0][0]) for tenant in test[1:]))
    letters = await wait_until(lambda: dead_letters(bench, test[0]), what="the renewal to fail")
    monkeypatch.undo()
    await bench.ok("POST", f"/v1/operator/dead-letters/{letters[0]['id']}/retry")
    await bench.until_settled(test[0], at=renewal)
    for tenant in test:
        await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/end", {"reason": "another company"}, prefer="wait=10")
        await bench.until_settled(tenant)

    rows = await bench.execute("SELECT series, sequence, number FROM invoices ORDER BY sequence")
    last = dict(await bench.execute("SELECT series, last FROM number_series"))
    by_series = {series: [row for row in rows if row[0] == series] for series in {row[0] for row in rows}}
    assert by_series.keys() == {"real", "test", "test-credit"}
    for series, documents in by_series.items():
        assert [sequence for _, sequence, _ in documents] == list(range(1, last[series] + 1)), series
        assert all(int(number[-NUMBER_DIGITS:]) == sequence for _, sequence, number in documents)
    assert len({number for *_, number in rows}) == len(rows)


async def test_two_workers_draw_numbers_of_several_series_without_a_deadlock(bench: Bench) -> None:
    database = bench.wiring.database

    async def draw_both() -> None:
        async with database.unit_of_work(None) as uow:
            for series in ("other-credit", "other"):
                await store.invoices.draw_number(uow.connection, series)

    async def waits() -> bool:
        return bool((await bench.execute("SELECT count(*) FROM pg_locks WHERE NOT granted"))[0][0])

    async with database.unit_of_work(None) as uow:
        await store.invoices.draw_number(uow.connection, "other")
        second = asyncio.create_task(draw_both())
        await wait_until(waits, what="the second worker to wait for the first one")
        await store.invoices.draw_number(uow.connection, "other-credit")
    await second
    rows = await bench.execute("SELECT series, last FROM number_series WHERE series LIKE 'other%' ORDER BY series")
    assert [tuple(row) for row in rows] == [("other", 2), ("other-credit", 2)]


async def test_a_second_run_issues_no_invoice_again(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.buy(tenant, {"module": "time", "add": 1})
    async with bench.wiring.database.unit_of_work(tenant) as uow:
        assert await book_and_issue(uow, tenant, bench.wiring.settings, None) == []
    decided = [read for read in await bench.topic(topics.SEATS_EVENTS, tenant) if isinstance(read.payload, seats_v1.LicencesAdded)]
    await bench.send(decided[0].payload, tenant, message_id=decided[0].envelope.id, source="seatpool/seats")  # a zombie's repetition
    await bench.until_settled(tenant)
    assert (await bench.statistics(tenant))["invoices"] == 1
    assert len(await bench.events(tenant, invoicing_v1.ChargeBooked)) == 1
    assert await dead_letters(bench, tenant) == []


async def test_a_quote_becomes_a_fact_only_when_it_is_approved(bench: Bench) -> None:
    """The account is computed from all facts at each quote and decision, so many quotes must not make it slow."""

    async def facts() -> int:
        ((count,),) = await bench.execute("SELECT count(*) FROM facts WHERE tenant_id = $1", tenant)
        return int(count)

    tenant = await subscribed(bench)
    before = await facts()
    asked = {"items": [{"module": "time", "add": 1}]}
    quotes = [await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", asked) for _ in range(3)]
    assert await facts() == before
    order = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quotes[-1]['quote']}/approve", {}, prefer="wait=10")
    assert order["status"] == "completed"
    assert await facts() == before + 3, "the quote, its approval, the decision"


async def test_an_issued_invoice_never_changes(bench: Bench) -> None:
    tenant = await subscribed(bench)
    _, order = await bench.buy(tenant, {"module": "time", "add": 1})
    url = f"/v1/tenants/{tenant}/invoices/{order['invoice']}/pdf"
    before = (await bench.call("GET", url)).content
    assert await bench.execute("SELECT * FROM pdfs_to_make WHERE tenant_id = $1", tenant) == []
    for statement in (
        "UPDATE invoices SET net_minor = 1",
        "DELETE FROM invoices",
        "UPDATE invoice_pdfs SET pdf = '', xml = ''",
        "DELETE FROM invoice_charges",
        "UPDATE charges SET payload = ''",
        "DELETE FROM facts",
    ):
        with pytest.raises(DBAPIError, match="never changed"):
            await bench.execute(statement)
    await bench.bill(tenant, company="Another name")
    assert (await bench.call("GET", url)).content == before
    assert facturx.get_xml_from_pdf(before) == ("factur-x.xml", (await bench.call("GET", url.replace("/pdf", "/xml"))).content)


async def test_what_was_issued_can_be_rebuilt_from_the_topics_byte_for_byte(bench: Bench) -> None:
    tenant = await subscribed(bench, charge_when="threshold", billed_until=None)
    await bench.buy(tenant, {"module": "time", "add": 3})
    await bench.bill(tenant, tax_rate_percent="24")
    await bench.advance_clock(tenant, datetime(2013, 12, 9, tzinfo=UTC))
    await bench.buy(tenant, {"module": "time", "total": 20})
    await bench.advance_clock(tenant, datetime(2014, 1, 2, tzinfo=UTC))
    said = [read for read in await bench.topic(topics.INVOICING_EVENTS) if read.envelope.tenant in (tenant, None)]
    decided = await bench.topic(topics.SEATS_EVENTS, tenant)
    rebuilt = rebuild((read.envelope.id, read.payload) for read in [*decided, *said])
    issued = [read.value for read in said if isinstance(read.payload, InvoiceIssued)]
    assert [invoice.model_dump_json().encode() for invoice in rebuilt] == issued
    assert [invoice.reason for invoice in rebuilt] == ["first_period", "renewal", "renewal"]


async def change_pool(bench: Bench, tenant: str, model: type[Payload], by: int, at: datetime) -> None:
    """Publish that seats changed the pool of `time` without an order."""
    pools = bench.pools[tenant]
    pools.licences["time"] += by
    fields = {"reduce_at": "now"} if model is seats_v1.PoolReduced else {}
    place = await bench.new_place(tenant)
    await bench.decide(model, tenant, place, "other", "changed", module="time", by=abs(by), at=at, pools=pools.states("time"), **fields)


async def test_M12_the_changes_of_a_day_are_one_document_that_can_be_rebuilt(bench: Bench) -> None:
    """A test clock: seats' answers end the days."""
    tenant = await subscribed(bench, credit_when="now")
    await change_pool(bench, tenant, seats_v1.PoolExpanded, 3, NOVEMBER)
    await change_pool(bench, tenant, seats_v1.PoolReduced, -1, NOVEMBER)
    await change_pool(bench, tenant, seats_v1.PoolReduced, -4, NOVEMBER + A_DAY)
    await bench.until_settled(tenant)
    assert [(each.kind, each.net_minor) for each in await bench.events(tenant, InvoiceIssued)] == [("invoice", 1280)]
    await bench.advance_clock(tenant, NOVEMBER + 2 * A_DAY)
    issued = await bench.events(tenant, InvoiceIssued)
    assert [(each.kind, each.number[:5], each.net_minor) for each in issued[1:]] == [("credit_note", "TEST-", 2400)]
    assert issued[1].corrects == (issued[0].invoice,)
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/{issued[1].invoice}")
    assert (shown["kind"], shown["corrects"], shown["issued_on"]) == ("credit_note", [issued[0].invoice], "2013-11-16")
    pdf = (await bench.call("GET", shown["pdf_url"])).content
    text = " ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)
    assert "Credit note" in text
    assert f"Corrects {issued[0].number}" in text
    found = await bench.statistics(tenant)
    assert (found["invoices"], found["credit_notes"], found["net_minor"]) == (1, 1, 1280 - 2400)
    decided = await bench.topic(topics.SEATS_EVENTS, tenant)
    said = [read for read in await bench.topic(topics.INVOICING_EVENTS) if read.envelope.tenant in (tenant, None)]
    rebuilt = rebuild((read.envelope.id, read.payload) for read in [*decided, *said])
    assert [invoice.model_dump_json() for invoice in rebuilt] == [invoice.model_dump_json() for invoice in issued]


async def test_M9_M12_the_account_is_not_read_for_each_of_many_changes_of_one_day(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it takes as long as the tenant has a history: with a thousand leavers, a batch took longer than a consumer may take."""
    tenant, reads = await subscribed(bench, credit_when="now"), Counter[str]()
    read = issue_invoices.read_account

    async def counted(uow: UnitOfWork, tenant: str) -> Account:
        reads[tenant] += 1
        return await read(uow, tenant)

    monkeypatch.setattr(issue_invoices, "read_account", counted)
    for _ in range(10):
        await change_pool(bench, tenant, seats_v1.PoolExpanded, 2, NOVEMBER)
        await change_pool(bench, tenant, seats_v1.PoolReduced, -1, NOVEMBER)
    await bench.until_settled(tenant)
    assert reads[tenant] == 1
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    assert [(each.kind, each.net_minor) for each in await bench.events(tenant, InvoiceIssued)] == [("invoice", 6400)]


async def test_M12_a_change_that_is_read_while_its_day_ends_is_charged_all_the_same(bench: Bench) -> None:
    """The job ends the day, and has not committed yet, when the consumer reads a decision of that day."""
    tenant = await subscribed(bench, credit_when="now")
    await change_pool(bench, tenant, seats_v1.PoolExpanded, 1, NOVEMBER)
    await bench.until_settled(tenant)
    async with bench.wiring.database.unit_of_work(tenant) as job:
        await issue_invoices.end_days(job, tenant, bench.wiring.settings, (NOVEMBER + A_DAY).date(), None)
        await change_pool(bench, tenant, seats_v1.PoolExpanded, 1, NOVEMBER)

        async def waits() -> bool:
            waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return bool(await bench.execute(waiting))

        await wait_until(waits, what="the consumer at the lock of the tenant")
    await bench.until_settled(tenant)
    await bench.advance_clock(tenant, NOVEMBER + 2 * A_DAY)
    assert [each.net_minor for each in await bench.events(tenant, InvoiceIssued)] == [640, 640]


async def test_M9_M14_what_comes_and_goes_on_a_day_costs_what_is_there_at_its_end(bench: Bench) -> None:
    """2 March, 12.00 a month: a leaver between two purchases, a leaver with a last working day, and an expansion less a leaver."""
    march, april = datetime(2014, 3, 2, 8, tzinfo=UTC), datetime(2014, 4, 1, tzinfo=UTC)

    async def starting(licences: int, **more: Any) -> str:
        return await bench.subscribed(march, {"time": licences}, "2014-03-01", billed_until="2014-04-01", **more)

    async def change(tenant: str, model: type[Payload], by: int, at: datetime = march) -> None:
        bench.pools[tenant].next_period["time"] += by
        await change_pool(bench, tenant, model, by, at)
        await bench.until_settled(tenant)

    async def issued(tenant: str, to: datetime) -> list[InvoiceIssued]:
        await bench.advance_clock(tenant, to)
        return await bench.events(tenant, InvoiceIssued)

    again, last_day, summed = await starting(1), await starting(1, credit_when="now"), await starting(2, charge_when="next_invoice")
    await bench.buy(again, {"module": "time", "add": 1})
    await change(again, seats_v1.PoolReduced, -1)
    quote, _ = await bench.buy(again, {"module": "time", "add": 1})
    assert (quote["net_minor"], quote["notes"]) == (0, ["€0.00 now: €11.61 less a credit of €11.61."])
    documents = await issued(again, march + 3 * A_DAY)
    assert [(each.kind, each.net_minor, each.tax_minor, each.gross_minor) for each in documents] == [("invoice", 1161, 290, 1451)]
    for _ in range(2):
        await bench.buy(last_day, {"module": "time", "add": 1})
    await change(last_day, seats_v1.PoolReduced, -1, datetime(2014, 3, 2, 23, tzinfo=UTC))  # midnight in Copenhagen
    documents = await issued(last_day, march + 3 * A_DAY)
    assert [(each.kind, each.net_minor) for each in documents] == [("invoice", 1161), ("invoice", 1162), ("credit_note", 1123)]
    await change(summed, seats_v1.PoolExpanded, 2)
    await change(summed, seats_v1.PoolReduced, -1)
    (renewal,) = await issued(summed, april)
    assert [(line.text_key, line.quantity, line.net_minor) for line in renewal.lines] == [("recurring", 3, 3600), ("adjustment", 1, 1161)]


async def test_T8_a_purchase_is_invoiced_as_approved_though_one_after_it_counts_on_a_credit(bench: Bench) -> None:
    """Invoicing reads that somebody has left after the first approval and before the second one; seats answers both after that."""
    licences = {"time": 5, "documents": 1}
    tenant = await bench.subscribed(datetime(2014, 3, 2, 8, tzinfo=UTC), licences, "2014-03-01", billed_until="2014-04-01")
    path, buy, pools = f"/v1/tenants/{tenant}/quotes", {"tenant": tenant, "rights": ["account:buy"]}, bench.pools[tenant]
    left = await bench.new_place(tenant)
    bench.answering.clear()
    first = await bench.ok("POST", path, {"items": [{"module": "documents", "add": 1}]}, **buy)
    await bench.ok("POST", f"{path}/{first['quote']}/approve", {}, **buy)
    pools.licences["time"] = pools.next_period["time"] = 4
    fields = {"module": "time", "by": 1, "reduce_at": "now", "pools": pools.states("time")}
    await bench.decide(seats_v1.PoolReduced, tenant, left, "other", "terminated", **fields)

    async def cheaper() -> dict[str, Any] | None:
        quote = dict(await bench.ok("POST", path, {"items": [{"module": "time", "add": 1}]}, **buy))
        return quote if quote["net_minor"] == 0 else None

    second = await wait_until(cheaper, what="the credit")
    await bench.ok("POST", f"{path}/{second['quote']}/approve", {}, **buy)
    await until_relayed(bench.wiring.database, tenant)
    bench.answering.set()
    await bench.until_settled(tenant)
    issued = await bench.events(tenant, InvoiceIssued)
    assert (first["net_minor"], [each.net_minor for each in issued if each.net_minor]) == (1935, [1935])


async def test_a_plan_at_no_price_makes_no_document_and_a_purchase_is_completed_all_the_same(bench: Bench) -> None:
    await bench.price("gratis", {"time": 0})
    tenant = await subscribed(bench, plan="gratis", billed_until=None)
    _, order = await bench.buy(tenant, {"module": "time", "add": 1})
    assert order["status"] == "completed"
    await bench.advance_clock(tenant, datetime(2014, 1, 2, tzinfo=UTC))
    assert await bench.events(tenant, InvoiceIssued) == []
    assert len(await bench.events(tenant, invoicing_v1.OrderCompleted)) == 1, "T19: it is confirmed"


async def test_the_days_of_a_period_that_seats_begins_late_are_charged_and_hold_up_no_test_clock(bench: Bench) -> None:
    """The pool grows on 2 December. Only on 5 December does seats learn that a period began on 1 December."""
    tenant = await subscribed(bench)
    pools, december = bench.pools[tenant], datetime(2013, 12, 1, tzinfo=UTC)
    ((starts_at, period),) = pools.scheduled
    pools.scheduled.clear()
    await bench.advance_clock(tenant, december + A_DAY)
    await change_pool(bench, tenant, seats_v1.PoolExpanded, 1, december + A_DAY)
    await bench.advance_clock(tenant, december + 4 * A_DAY)
    place, pools.period = await bench.new_place(tenant), period
    fields = {"starts_at": starts_at, "licences": (seats_v1.LicenceCount(module="time", quantity=11),), "pools": pools.states()}
    await bench.decide(seats_v1.PeriodStarted, tenant, place, "late", "period_began", role="settled", **fields)
    await bench.until_settled(tenant)
    documents = await bench.events(tenant, InvoiceIssued)
    assert [[(line.text_key, line.quantity) for line in each.lines] for each in documents] == [[("recurring", 10)], [("proration", 1)]]


async def test_a_day_on_a_real_clock_is_charged_once_by_any_number_of_workers(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER, clock="real")
    await bench.bill(tenant)
    await bench.open(tenant, clock="real")
    await bench.subscribe(tenant, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    await bench.until_active(tenant)
    await change_pool(bench, tenant, seats_v1.PoolExpanded, 3, NOVEMBER)
    await bench.until_settled(tenant)
    await end_days_of_all(bench.wiring)  # the day has not ended yet
    assert await bench.events(tenant, InvoiceIssued) == []
    tomorrow = replace(bench.wiring, clock=FixedClock(NOVEMBER + A_DAY))
    idle = await check_idle(bench.wiring.database, bench.wiring.consumer, tomorrow.clock, tenant)
    assert "day" in idle.waiting_for
    await asyncio.gather(*(end_days_of_all(tomorrow) for _ in range(5)))
    await bench.until_settled(tenant)
    (invoice,) = await bench.events(tenant, InvoiceIssued)
    assert (invoice.net_minor, invoice.issued_on, invoice.test) == (1920, NOVEMBER.date(), False)


async def test_T1_E6_M3_M7_one_answer_has_the_subscription_and_the_numbers_of_each_module(bench: Bench) -> None:
    tenant = await subscribed(bench, charge_when="next_invoice")
    path = f"/v1/tenants/{tenant}"
    alone = await bench.ok("GET", f"{path}/licences", tenant=tenant, rights=["account:read"])
    assert (alone["plan"], alone["status"], alone["period"]) == ("standard", "active", {"start": "2013-11-01", "end": "2013-12-01"})
    (time,) = alone["modules"]
    assert (time["bought"], time["next_period"], time["in_use"], alone["position"]) == (10, 10, None, None), "seats does not answer"
    quote = await bench.ok("POST", f"{path}/quotes", {"items": [{"module": "time", "add": 2}]})
    bench.answering.clear()
    order = await bench.ok("POST", f"{path}/quotes/{quote['quote']}/approve")
    (state,) = bench.pools[tenant].states("time")
    used = state.model_copy(update={"active": 7, "flagged": 1, "held": 2, "waiting": 4, "available": 1})
    bench.foreseen.read = ReadPools({"time": used}, Position(partition=1, offset=7))
    shown = await bench.ok("GET", f"{path}/licences")
    (time,) = shown["modules"]
    assert {name: time[name] for name in ("in_use", "active", "flagged", "held", "waiting", "available")} == {
        "in_use": 10,
        "active": 7,
        "flagged": 1,
        "held": 2,
        "waiting": 4,
        "available": 1,
    }
    assert time["flagged_at_renewal"] is None, "it was not asked"
    assert (time["pending_orders"], shown["position"]) == ([{"order": order["order"], "add": 2}], "1-7")
    assert (time["unit_price_minor"], shown["next_period_net_minor"]) == (1200, 12000)
    bench.foreseen.read = None
    bench.answering.set()
    await bench.until_settled(tenant)
    upcoming = await bench.ok("GET", f"{path}/invoices/upcoming")
    kinds = [(line["text_key"], line["quantity"], line["net_minor"]) for line in upcoming["lines"]]
    assert (kinds, upcoming["issued_on"]) == ([("recurring", 12, 14400), ("adjustment", 2, 1280)], "2013-12-01"), "M14, M15"
    await bench.refused("GET", f"{path}/licences", None, 403, tenant=tenant, rights=["people:read"])


async def test_the_history_has_the_licences_and_the_highest_use_of_each_local_day(bench: Bench) -> None:
    tenant = await subscribed(bench)
    for active, hours in ((4, 0), (9, 1), (5, 2), (6, 63)):  # 9:00, 10:00 and 11:00 on 15 November, and 0:00 on 18 November
        await bench.use(tenant, "time", active, NOVEMBER + timedelta(hours=hours))
    await bench.until_settled(tenant)
    await bench.advance_clock(tenant, NOVEMBER + 4 * A_DAY)
    path = f"/v1/tenants/{tenant}/licences/history"
    (module,) = (await bench.ok("GET", f"{path}?days=6"))["items"]
    days = [(day["day"][-2:], day["bought"], day["highest_use"]) for day in module["days"]]
    assert days == [("15", 10, 9), ("16", 10, 5), ("17", 10, 5), ("18", 10, 6), ("19", 10, 6)]
    (module,) = (await bench.ok("GET", f"{path}?days=2"))["items"]
    assert [day["highest_use"] for day in module["days"]] == [6, 6], "the day before the first one is known"
    await bench.refused("GET", f"{path}?days=367", None, 422)


async def test_a_due_action_is_done_once_by_any_number_of_workers_at_the_tenant_s_own_time(bench: Bench) -> None:
    """An action that fails is still due. On a test clock it waits for that clock."""
    real, test = await bench.make_tenant(NOVEMBER, clock="real"), await bench.make_tenant(NOVEMBER)
    database, done, fails = bench.wiring.database, list[str](), [True]

    async def handle(_wiring: object, uow: UnitOfWork, action: DueAction) -> None:
        await store.due_actions.set_due(uow.connection, action.tenant_id, "next", action.reference, NOVEMBER + 99 * A_DAY)
        if fails[0]:
            raise ValueError("a bug")
        done.append(action.tenant_id)

    for tenant in (real, test):
        async with database.unit_of_work(tenant) as uow:
            await store.due_actions.set_due(uow.connection, tenant, "mine", "1", NOVEMBER + A_DAY)
    tomorrow = replace(bench.wiring, clock=FixedClock(NOVEMBER + A_DAY))
    handlers = {"mine": handle, "next": handle}
    assert await DueActions(tomorrow, handlers).run_once() == 0
    idle = await check_idle(database, bench.wiring.consumer, tomorrow.clock, real)
    assert ("actions" in idle.waiting_for, idle.next_due) == (True, NOVEMBER + A_DAY), "what failed is rolled back and still due"
    fails[0] = False
    await asyncio.gather(*(DueActions(tomorrow, handlers).run_once() for _ in range(5)))
    assert done == [real]
    of_test = await check_idle(database, bench.wiring.consumer, tomorrow.clock, test)
    assert ("actions" in of_test.waiting_for, of_test.next_due) == (False, NOVEMBER + A_DAY)
    assert (await check_idle(database, bench.wiring.consumer, tomorrow.clock, real)).next_due == NOVEMBER + 99 * A_DAY


async def test_a_decision_that_contradicts_the_history_blocks_the_tenant_and_nobody_else(bench: Bench) -> None:
    tenant, other = await subscribed(bench), await subscribed(bench)
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]})
    bench.pools[tenant].licences["time"] += 5
    fields = {"order": "nobody-s", "items": (seats_v1.LicenceCount(module="time", quantity=5),), "approved_at": NOVEMBER}
    place = await bench.new_place(tenant)
    await bench.decide(seats_v1.LicencesAdded, tenant, place, "forged", "ordered", pools=bench.pools[tenant].states(), **fields)
    (message,) = await wait_until(lambda: dead_letters(bench, tenant), what="a dead letter")
    assert (message["reason"], message["tenant"]) == ("order", tenant)
    await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {})
    _, order = await bench.buy(other, {"module": "time", "add": 1})
    assert order["status"] == "completed"
    await wait_until(lambda: _letter_count(bench, tenant, 2), what="the order's answer behind it")
    assert (await bench.statistics(tenant))["invoices"] == 0
    discard = f"/v1/operator/dead-letters/{message['id']}/discard"
    assert (await bench.refused("POST", discard, {"reason": "forged"}))["type"] == "genuine"
    assert (await bench.ok("POST", discard, {"reason": "forged", "genuine": True}))["status"] == "discarded"


async def _letter_count(bench: Bench, tenant: str, count: int) -> bool:
    return len(await dead_letters(bench, tenant)) >= count


async def test_a_command_whose_number_seats_has_seen_is_sent_again_with_a_higher_number(bench: Bench) -> None:
    """As after this database was restored from an older copy."""
    tenant = await subscribed(bench)
    bench.answering.clear()
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]})
    order = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {})

    async def sent() -> list[Sent]:
        return [r for r in await bench.topic(topics.SEATS_COMMANDS, tenant) if isinstance(r.payload, seats_v1.AddLicences)]

    (first,) = await wait_until(sent)
    place = (first.partition, first.offset)
    await bench.decide(seats_v1.CommandIgnored, tenant, place, first.envelope.id, "stale", last_number=40)
    bench._answered += 1
    bench.answering.set()
    order = await bench.ok("GET", f"/v1/tenants/{tenant}/orders/{order['order']}", prefer="wait=10")
    assert order["status"] == "completed"
    assert [command.number for command in await bench.commands(tenant, seats_v1.AddLicences)][-1] == 41


async def test_an_order_that_seats_cannot_understand_is_refused_with_the_reason(bench: Bench) -> None:
    tenant = await subscribed(bench)
    bench.reject[seats_v1.AddLicences] = "invalid_count"
    _, order = await bench.buy(tenant, {"module": "time", "add": 1})
    bench.reject.clear()
    assert (order["status"], order["reason"]) == ("refused", "invalid_count")


async def test_commands_that_seats_does_not_answer_or_rejects_are_counted(bench: Bench) -> None:
    def shown(name: str) -> float | None:
        return REGISTRY.get_sample_value(f"seatpool_invoicing_{name}")

    tenant = await subscribed(bench)
    bench.answering.clear()
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]})
    await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {})
    await bench.execute("UPDATE commands SET sent_at = sent_at - interval '1 hour' WHERE tenant_id = $1 AND answer IS NULL", tenant)
    await count_unanswered(bench.wiring.database)
    before = shown("commands_not_done_total")
    assert shown("unanswered_commands") == 1
    bench.reject[seats_v1.AddLicences] = "invalid_count"
    bench.answering.set()
    await bench.until_settled(tenant)
    bench.reject.clear()
    await count_unanswered(bench.wiring.database)
    assert (shown("unanswered_commands"), shown("commands_not_done_total")) == (0, (before or 0) + 1)


async def test_T11_a_period_that_seats_rejected_is_sent_again_when_the_operator_resumes_the_subscription(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    await bench.open(tenant)
    bench.reject = {seats_v1.OpenPool: "error", seats_v1.SchedulePeriod: "error"}
    await bench.subscribe(tenant, {"time": 10}, "2013-11-01")
    await bench.until_settled(tenant)
    url = f"/v1/tenants/{tenant}/subscription"
    assert (await bench.ok("GET", url))["status"] == "failed"

    del bench.reject[seats_v1.OpenPool]
    assert (await bench.ok("POST", f"{url}/resume"))["sent"] == ["open_pool time"]
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    bench.reject.clear()
    assert (await bench.ok("POST", f"{url}/resume"))["sent"] == ["schedule_period 2013-12-01"]
    await bench.until_settled(tenant)
    assert (await bench.ok("POST", f"{url}/resume"))["sent"] == [], "done once, however often it is asked for"

    first, second = await bench.commands(tenant, seats_v1.SchedulePeriod)
    assert second == first.model_copy(update={"number": second.number})
    assert second.number > first.number
    await bench.advance_clock(tenant, datetime(2013, 12, 2, tzinfo=UTC))
    assert (await bench.ok("GET", url))["period"]["start"] == "2013-12-01"


async def test_writes_are_refused_while_the_test_clock_advances(bench: Bench) -> None:
    tenant = await subscribed(bench)
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]})
    await bench.send(users_v1.ClockAdvancing(at=NOVEMBER, actor=ROOT, to=NOVEMBER + timedelta(days=2)), tenant)
    await bench.until_settled(tenant)
    for method, path, body in (
        ("POST", "quotes", {"items": [{"module": "time", "add": 1}]}),
        ("POST", f"quotes/{quote['quote']}/approve", {}),
    ):
        assert (await bench.refused(method, f"/v1/tenants/{tenant}/{path}", body))["type"] == "clock-advancing"
    await bench.send(users_v1.ClockReady(at=NOVEMBER, actor=ROOT), tenant)
    await bench.until_settled(tenant)
    await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {}, prefer="wait=10")


async def test_A13_every_refusal_names_the_support_contact_and_the_way_on(bench: Bench) -> None:
    tenant = await subscribed(bench)
    asked = ("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "total": 4}]})
    problem = await bench.refused(*asked, tenant=tenant, **BUY)
    assert (problem["type"], problem["licences"], problem["support_contact"]) == ("use-a-reduction", 10, "help@vendor.example")
    assert "support_contact" not in await bench.refused(*asked), "the operator is of no tenant"
    for path, status, contact in (("quotes/none", 403, True), ("orders/none", 403, True), ("billing-details", 404, False)):
        of = tenant if contact else "another"
        refused = await bench.refused("GET", f"/v1/tenants/{tenant}/{path}", status=status, tenant=of, **BUY)
        assert refused.get("support_contact") == ("help@vendor.example" if contact else None)
    missing = await bench.refused("GET", f"/v1/tenants/{tenant}/orders/none", status=404, tenant=tenant, rights=["account:read"])
    assert missing["support_contact"] == "help@vendor.example"
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]})
    await bench.advance_clock(tenant, NOVEMBER + timedelta(days=1))
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {})
    assert problem["type"] == "quote-expired"
    assert "new quote" in problem["detail"]


async def test_the_order_in_which_users_and_seats_are_read_does_not_matter(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    late = f"{tenant}-late"
    bench.pools[late] = type(bench.pools[tenant])(NOVEMBER)
    await bench.open(late)
    await wait_until(lambda: _known(bench, late), what="the tenant's opening")
    await bench.send(bench.created(NOVEMBER, zone="Europe/Copenhagen"), late)
    await bench.bill(late)
    await bench.subscribe(late, {"time": 1}, "2013-11-01")
    await bench.until_active(late)


async def _known(bench: Bench, tenant: str) -> bool:
    return bool(await bench.execute("SELECT 1 FROM tenants WHERE tenant_id = $1 AND opened", tenant))


async def test_every_tenant_table_has_its_row_policy_and_nothing_is_seen_without_a_scope(bench: Bench) -> None:
    tables = await bench.execute(
        """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
           WHERE a.attname = 'tenant_id' AND c.relkind = 'r'"""
    )
    assert len(tables) >= 13
    assert [name for name, is_protected in tables if not is_protected] == []
    tenant = await subscribed(bench)
    async with bench.wiring.database.unit_of_work("somebody-else") as uow:
        assert await store.subscriptions.find(uow.connection, tenant) is None
        assert await store.tenants.find(uow.connection, tenant) is None


ROUTES = [
    ("GET", "billing-details", "account:read"),
    ("PUT", "billing-details", "account:buy"),
    ("GET", "subscription/policies", "account:read"),
    ("GET", "subscription", "account:read"),
    ("POST", "subscription", "operator"),
    ("POST", "subscription/resume", "operator"),
    ("POST", "quotes", "account:buy"),
    ("GET", "quotes/x", "account:read"),
    ("POST", "quotes/x/approve", "account:buy"),
    ("GET", "orders/x", "account:read"),
    ("GET", "invoices", "account:read"),
    ("GET", "invoices/x", "account:read"),
    ("GET", "invoices/x/pdf", "account:read"),
    ("GET", "invoices/x/xml", "account:read"),
    ("GET", "charges", "account:read"),
    ("GET", "statistics", "account:read"),
    ("GET", "idle", "operator"),
]


@pytest.mark.parametrize(("method", "path", "right"), ROUTES)
async def test_T22_T23_T24_M1_every_route_checks_token_tenant_and_right(bench: Bench, method: str, path: str, right: str) -> None:
    url = f"/v1/tenants/acme/{path}"
    assert (await bench.http.request(method, url)).status_code == 401
    assert (await bench.call(method, url, {}, tenant="another", rights=[right])).status_code == 404
    others = {*TENANT_RIGHTS} - {right}
    assert (await bench.call(method, url, {}, tenant="acme", rights=sorted(others))).status_code == 403


@pytest.mark.parametrize("path", [path for method, path, _ in ROUTES if method == "GET"])
async def test_an_unknown_tenant_is_not_found_for_the_operator_either(bench: Bench, path: str) -> None:
    assert (await bench.call("GET", f"/v1/tenants/nobody-told-of/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["/v1/modules/x", "/v1/plans/x"])
async def test_A10_the_catalogue_is_the_vendor_s_and_readable(bench: Bench, path: str) -> None:
    assert (await bench.call("PUT", path, {}, tenant="acme", rights=["account:buy", "account:read"])).status_code == 403
    assert (await bench.call("GET", path.rsplit("/", 1)[0], tenant="acme", rights=[])).status_code == 200
    assert (await bench.http.get(path.rsplit("/", 1)[0])).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"vat_id": "DK13585627"}, "vat_id"),
        ({"country": "XX"}, "country"),
        ({"email": "nobody"}, "email"),
        ({"tax_rate_percent": "abc"}, "tax_rate_percent"),
        ({"tax_category": "AE"}, "tax_rate_percent"),
        ({"company": ""}, "company"),
        ({"electronic_address": "1234:5"}, "electronic_address"),
        ({"document_format": "edifact"}, "document_format"),
        ({"document_format": "peppol_bis", "buyer_reference": "7"}, "electronic_address"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_wrong_billing_details_name_the_field(bench: Bench, change: dict[str, Any], field: str) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    problem = await bench.refused("PUT", f"/v1/tenants/{tenant}/billing-details", DETAILS | change, 422)
    assert field in [error["field"].removeprefix("body.") for error in problem["errors"]]


NORTHERN = {"company": "Lough", "street": "1 Quay", "postcode": "BT1 1AA", "city": "Belfast", "country": "GB", "vat_id": "XI980780684"}
NORTHERN |= {"email": "pay@lough.example"}


async def test_reverse_charge_without_a_VAT_ID_of_the_vendor_is_refused_and_names_the_setting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/tenants/{await bench.make_tenant(NOVEMBER)}/billing-details"
    monkeypatch.setitem(vars(bench.wiring.settings), "seller_vat_id", None)
    reverse = {"tax_category": "AE", "tax_rate_percent": "0", "tax_reason": "a test"}
    (error,) = (await bench.refused("PUT", path, DETAILS | reverse, 422))["errors"]
    assert (error["field"], "SEATPOOL_SELLER_VAT_ID" in error["expected"]) == ("body.tax_category", True)


async def test_a_customer_cannot_exempt_itself_from_tax(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    path = f"/v1/tenants/{tenant}/billing-details"
    own = {name: value for name, value in DETAILS.items() if not name.startswith("tax_")}
    first = await bench.ok("PUT", path, own, tenant=tenant, **BUY)
    shown = ("tax_category", "tax_rate_percent", "tax_rule")
    assert [first[name] for name in shown] == ["AE", "0", "reverse_charge"], "an Irish vendor and a Danish VAT ID"
    refused = (
        {"tax_category": "O", "tax_rate_percent": "0"},
        {"tax_rate_percent": "0"},
        {"tax_category": "AE"},
        {"tax_reason": "I want it"},
    )
    for given in (*refused, {"tax_category": None}):
        problem = await bench.refused("PUT", path, own | given, 403, tenant=tenant, **BUY)
        assert (problem["type"], problem["field"]) == ("no-right", f"body.{next(iter(given))}"), "also when it is what holds already"
    problem = await bench.refused("PUT", path, own | {"tax_category": "Z"}, 422)
    assert problem["errors"][0]["field"] == "body.tax_reason", "the operator gives a reason"
    changed = await bench.ok("PUT", path, own | {"tax_category": "Z", "tax_reason": "Ruling 7"})
    assert [changed[name] for name in (*shown, "tax_reason")] == ["Z", "0", "operator", "Ruling 7"]
    moved = await bench.ok("PUT", path, own | {"street": "Vesterbrogade 2"}, tenant=tenant, **BUY)
    assert [moved[name] for name in ("street", *shown, "tax_reason")] == ["Vesterbrogade 2", "Z", "0", "operator", "Ruling 7"]
    version = await bench.ok("GET", f"{path}/{moved['version']}", tenant=tenant, rights=["account:read"])
    assert (version["street"], version["before"]["street"]) == ("Vesterbrogade 2", "Vesterbrogade 1"), "A12: before and after"
    assert (await bench.ok("GET", f"{path}/{first['version']}"))["before"] is None
    assert (await bench.ok("PUT", path, own | {"tax_category": "auto"}))["tax_category"] == "AE"
    without = await bench.ok("PUT", path, own | {"vat_id": None}, tenant=tenant, **BUY)
    assert [without[name] for name in shown] == ["S", "23", "seller_rate"]
    british = await bench.ok("PUT", f"/v1/tenants/{await bench.make_tenant(NOVEMBER)}/billing-details", NORTHERN)
    assert [british[name] for name in ("vat_id", *shown)] == ["XI980780684", "O", "0", "outside_the_vat_territory"], (
        "no EU buyer of services"
    )
    events = await bench.events(tenant, invoicing_v1.BillingDetailsChanged)
    assert [event.tax_rule for event in events] == ["reverse_charge", "operator", "operator", "reverse_charge", "seller_rate"]
    assert (events[1].reason, events[-1].rate_country) == ("Ruling 7", "IE")


async def test_two_buyers_who_change_the_billing_details_do_not_overwrite_each_other(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    path = f"/v1/tenants/{tenant}/billing-details"
    early = await bench.refused("PUT", path, DETAILS, 412, if_match='"somebody-elses"')
    assert (early["type"], early["current"]) == ("precondition-failed", '"0"')
    first = await bench.call("PUT", path, DETAILS, if_match='"0"')
    tag = f'"{first.json()["version"]}"'
    assert (first.status_code, first.headers["etag"], (await bench.call("GET", path)).headers["etag"]) == (200, tag, tag)
    second = await bench.call("PUT", path, DETAILS | {"street": "Vesterbrogade 2"}, if_match=tag)
    assert second.headers["etag"] == f'"{second.json()["version"]}"' != tag
    late = await bench.refused("PUT", path, DETAILS | {"street": "Vesterbrogade 3"}, 412, if_match=tag)
    assert late["current"] == second.headers["etag"]
    assert (await bench.ok("GET", path))["street"] == "Vesterbrogade 2", "nothing was overwritten"
    assert (await bench.ok("PUT", path, DETAILS | {"street": "Vesterbrogade 3"}))["street"] == "Vesterbrogade 3", "without If-Match"
    assert (await bench.ok("PUT", path, DETAILS, if_match="*"))["street"] == "Vesterbrogade 1"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plan": "none"}, "body.plan"),
        ({"period_start": "2013-12-01"}, "body.period_start"),
        ({"billed_until": "2013-11-20"}, "body.billed_until"),
        ({"modules": [{"module": "documents", "licences": 1}]}, "body.modules"),
        ({"modules": [{"module": "nothing", "licences": 1}]}, "body.modules.0.module"),
        ({"modules": [{"module": "time", "licences": 0}]}, "body.modules.0.licences"),
        ({"modules": [{"module": "time", "licences": 1, "policies": {"grace": "P1M"}}]}, "body.modules.0.policies"),
        ({"modules": [{"module": "time", "licences": 1, "policies": {"over_limit": "expand"}}]}, "body.modules.0.policies"),
        ({"modules": [{"module": "time", "licences": 1, "policies": EXPAND}], "plan": "fixed"}, "body.modules.0.policies.over_limit"),
        ({"billing_day": 32}, "body.billing_day"),
        ({"billing_day": 5}, "body.billing_day"),
    ],
)
async def test_a_wrong_subscription_names_the_field(bench: Bench, change: dict[str, Any], field: str) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    await bench.price("fixed", {"time": 1200}, extra=False)
    body = {"plan": "standard", "term": "monthly", "period_start": "2013-11-01", "modules": [{"module": "time", "licences": 1}]} | change
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/subscription", body, 422)
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem


async def test_T11_a_subscription_that_is_taken_over_in_a_short_month_keeps_its_day(bench: Bench) -> None:
    at = datetime(2014, 3, 5, 8, tzinfo=UTC)
    tenant = await bench.subscribed(at, {"time": 1}, "2014-02-28", billing_day=31, billed_until="2014-03-31")
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["period"] == {"start": "2014-02-28", "end": "2014-03-31"}
    await bench.advance_clock(tenant, datetime(2014, 4, 1, tzinfo=UTC))
    await bench.advance_clock(tenant, datetime(2014, 5, 1, tzinfo=UTC))
    issued = await bench.events(tenant, InvoiceIssued)
    assert [(str(each.lines[0].from_day), str(each.lines[0].to_day)) for each in issued] == [
        ("2014-03-31", "2014-04-30"),
        ("2014-04-30", "2014-05-31"),
    ]


async def test_a_price_is_changed_by_a_new_version_and_never_taken_away(bench: Bench) -> None:
    first = await bench.price("versions", {"time": 100})
    assert (await bench.price("versions", {"time": 100}))["version"] == first["version"] == 1
    assert (await bench.price("versions", {"time": 101}))["version"] == 2
    prices = [{"module": "documents", "term": "monthly", "amount_minor": 1}]
    body = {"name": "Versions", "currency": "EUR", "prices": prices}
    assert (await bench.refused("PUT", "/v1/plans/versions", body))["type"] == "price-removed"
    defined = [plan for plan in await bench.events(None, invoicing_v1.PlanDefined) if plan.plan == "versions"]
    assert [(plan.version, [(c.field, c.old, c.new) for c in plan.changes][-1]) for plan in defined] == [
        (1, ("time.monthly", None, 100)),
        (2, ("time.monthly", 100, 101)),
    ]


async def test_the_catalogue_is_applied_as_a_whole_or_not_at_all(bench: Bench) -> None:
    tiers = {"price": "2", "steps": [{"up_to": "10", "price": "3.00"}], "pricing": "volume", "included": "1"}
    sold: dict[str, Any] = {"filed": {"monthly": "12.50", "annual": "125", "minimum": "2"}, "extra": {"monthly": tiers}}
    plan = {"name": "Filed", "currency": "EUR", "holds_from": "2014-01-01", "modules": sold}
    modules = {"extra": {"name": "Extra", "requires": ["filed"]}, "filed": {"name": "Filed", "base": True}}
    body: dict[str, Any] = {"modules": modules, "plans": {"filed": plan}}
    before = await bench.ok("GET", "/v1/catalog")
    shown = await bench.ok("PUT", "/v1/catalog?dry_run=true", body)
    fields = {each["field"]: each["after"] for each in shown["differences"]}
    assert (shown["applied"], shown["version"], fields["plans.filed.modules.filed.monthly"]) == (False, before["version"], "12.50")
    assert await bench.ok("GET", "/v1/catalog") == before, "a dry run changes nothing"
    applied = await bench.ok("PUT", "/v1/catalog", body | {"version": before["version"]})
    assert (applied["applied"], applied["differences"]) == (True, shown["differences"])
    after = await bench.ok("GET", "/v1/catalog")
    assert after["plans"]["filed"]["modules"]["filed"] == {"annual": "125.00", "monthly": "12.50", "minimum": 2}
    assert after["plans"]["filed"]["modules"]["extra"]["monthly"] == {
        "price": "2.00",
        "steps": [{"up_to": 10, "price": "3.00"}],
        "pricing": "volume",
        "included": 1,
    }
    again = await bench.ok("PUT", "/v1/catalog", {**after, "version": before["version"]})
    assert (again["differences"], again["version"], again["applied"]) == ([], applied["version"], False), "what is there is no change"
    sold["filed"]["monthly"] = "13.00"
    assert (await bench.refused("PUT", "/v1/catalog", body | {"version": before["version"]}))["type"] == "catalog-changed"
    changed = await bench.ok("PUT", "/v1/catalog", body)
    assert [(each["before"], each["after"]) for each in changed["differences"]] == [("12.50", "13.00")]
    assert changed["subscriptions"] == [{"plan": "filed", "running": 0}]
    for wrong, field in (
        ({"absent": {"monthly": 1}}, "absent"),
        ({"filed": {"monthly": "1.234"}}, "filed.monthly"),
        ({"filed": {}}, "filed.monthly"),
        (
            {"filed": {"monthly": {"price": 1, "steps": [{"up_to": 5, "price": 3}, {"up_to": 5, "price": 2}]}}},
            "filed.monthly.steps.1.up_to",
        ),
    ):
        answer = await bench.refused("PUT", "/v1/catalog", {"plans": {"filed": plan | {"modules": wrong}}}, 422)
        assert answer["errors"][0]["field"] == f"body.plans.filed.modules.{field}"
    circle = {"filed": {"name": "Filed", "requires": ["extra"]}, "extra": {"name": "Extra", "requires": ["filed"]}}
    assert (await bench.refused("PUT", "/v1/catalog", {"modules": circle}))["type"] == "module-cycle"
    history = await bench.ok("GET", "/v1/plans/filed/versions")
    assert [(each["version"], each["actor"]["id"], each["changes"][-1]["new"]) for each in history["items"]] == [
        (1, "operator", 1250),
        (2, "operator", 1300),
    ]


@pytest.mark.parametrize(("path", "id_"), [("/v1/modules", "module"), ("/v1/plans", "plan")])
async def test_the_catalogue_is_listed_in_pages(bench: Bench, path: str, id_: str) -> None:
    for name in ("paged-a", "paged-b", "paged-c"):
        await bench.ok("PUT", f"/v1/modules/{name}", {"name": name})
        await bench.price(name, {"paged-a": 100})
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await bench.ok("GET", f"{path}?limit=2{cursor and f'&cursor={cursor}'}")
        assert 0 < len(page["items"]) <= 2 or page["next"] is None
        found += [item[id_] for item in page["items"]]
        cursor = page["next"]
    assert [name for name in found if name.startswith("paged-")] == ["paged-a", "paged-b", "paged-c"]
    assert len(found) == len(set(found))
    assert (await bench.refused("GET", f"{path}?cursor=x", status=422))["errors"][0]["field"] == "query.cursor"


async def test_a_module_cannot_require_itself_or_an_undefined_module(bench: Bench) -> None:
    problem = await bench.refused("PUT", "/v1/modules/reports", {"name": "Reports", "requires": ["nothing"]}, 422)
    assert problem["errors"][0]["field"] == "body.requires"
    await bench.ok("PUT", "/v1/modules/reports", {"name": "Reports", "requires": ["documents"]})
    problem = await bench.refused("PUT", "/v1/modules/documents", {"name": "Documents", "requires": ["reports"]})
    assert problem["type"] == "module-cycle"
    await bench.price("needy", {"time": 1, "reports": 1})
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    body = {"plan": "needy", "term": "monthly", "period_start": "2013-11-01"}
    modules = [{"module": "time", "licences": 1}, {"module": "reports", "licences": 1}]
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/subscription", body | {"modules": modules}, 422)
    assert "documents" in problem["detail"]
