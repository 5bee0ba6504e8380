"""Quote, approval, the decision of seats, charge, invoice and PDF: on the real broker and database, seats' worker played by the test."""

import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pypdf
import pytest
import pytest_asyncio

from shared.schemas import invoicing_v1, seats_v1
from shared.settings import KafkaSettings
from tests.support.invoicing import NOVEMBER, Bench, running_bench, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


async def test_T7_T8_T10_B7_the_demo_s_purchase_is_31_20_net_7_80_tax_39_00(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 280, "documents": 30}, "2013-11-01", billed_until="2013-12-01")
    await bench.advance_clock(tenant, datetime(2013, 11, 18, 9, tzinfo=UTC))
    quote, order = await bench.buy(tenant, {"module": "time", "add": 6})
    assert (quote["net_minor"], quote["tax_minor"], quote["gross_minor"], quote["gross"]) == (3120, 780, 3900, "€39.00")
    assert (quote["recurring_now_minor"], quote["recurring_then_minor"], quote["charge"]) == (280 * 1200, 286 * 1200, "now")
    assert order["status"] == "completed"
    invoice = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/{order['invoice']}")
    (line,) = invoice["lines"]
    assert (line["quantity"], line["days"], line["days_of_period"], line["net_minor"]) == (6, 13, 30, 3120)
    assert (invoice["issued_on"], invoice["due_on"]) == ("2013-11-18", "2013-12-02")
    assert invoice["number"].startswith("TEST-")
    figures = await bench.statistics(tenant)
    assert {name: figures[name] for name in ("invoices", "net_minor", "tax_minor", "gross_minor", "currency")} == {
        "invoices": 1,
        "net_minor": 3120,
        "tax_minor": 780,
        "gross_minor": 3900,
        "currency": "EUR",
    }
    response = await bench.call("GET", f"/v1/tenants/{tenant}/invoices/{order['invoice']}/pdf", tenant=tenant, rights=["account:read"])
    assert response.headers["content-type"] == "application/pdf"
    text = pypdf.PdfReader(io.BytesIO(response.content)).pages[0].extract_text()
    assert all(part in text for part in (invoice["number"], "31.20", "7.80", "39.00", "13 of 30", "Acme A/S", "DK13585628", "25%"))
    (completed,) = await bench.events(tenant, invoicing_v1.OrderCompleted)
    assert completed.actor.id == "ann"
    assert [(c.field, c.old, c.new) for c in completed.changes] == [("time.licences", 280, 286)]
    (command,) = await bench.commands(tenant, seats_v1.AddLicences)
    assert command.approved_at == datetime(2013, 11, 18, 9, tzinfo=UTC)
    assert command.expected.model_dump() == {"period": None, "pools": ({"module": "time", "licences": 280, "next_period": 280},)}


async def test_nothing_is_sent_to_seats_before_it_knows_the_tenant(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    assert (await bench.subscribe(tenant, {"time": 3}, "2013-11-01"))["status"] == "pending"
    await bench.until_settled(tenant)
    assert await bench.commands(tenant, seats_v1.OpenPool) == []
    await bench.open(tenant)
    shown = await bench.until_active(tenant)
    assert [(m["module"], m["licences"], m["next_period"], m["opened"]) for m in shown["modules"]] == [("time", 3, 3, True)]
    assert shown["next_invoice_on"] == "2013-12-01"
    (command,) = await bench.commands(tenant, seats_v1.OpenPool)
    assert command.number == 1


async def test_the_first_period_is_invoiced_at_the_start_unless_it_counts_as_billed(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 3, "documents": 1}, "2013-11-10")
    (invoice,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices"))["items"]
    assert [(line["text_key"], line["module"], line["net_minor"], line["from_day"], line["to_day"]) for line in invoice["lines"]] == [
        ("recurring", "documents", 2000, "2013-11-10", "2013-12-10"),
        ("recurring", "time", 3600, "2013-11-10", "2013-12-10"),
    ]
    assert (invoice["net_minor"], invoice["tax_minor"], invoice["reason"]) == (5600, 1400, "first_period")


async def test_T11_T16_M14_the_renewal_invoices_all_licences_and_the_waiting_charges(bench: Bench) -> None:
    await bench.price("seasonal", {"time": 1200, "documents": 2000})
    start = {"billed_until": "2013-12-01", "charge_when": "threshold", "plan": "seasonal"}
    tenant = await bench.subscribed(NOVEMBER, {"time": 10, "documents": 2}, "2013-11-01", **start)
    first, order = await bench.buy(tenant, {"module": "time", "add": 2})
    assert (first["charge"], order["status"], order["invoice"]) == ("next_invoice", "completed", None)
    await bench.advance_clock(tenant, NOVEMBER + timedelta(days=5))
    second, _ = await bench.buy(tenant, {"module": "time", "total": 15}, {"module": "documents", "add": 1})
    assert (await bench.statistics(tenant))["invoices"] == 0
    await bench.price("seasonal", {"time": 1500, "documents": 2000})
    await bench.advance_clock(tenant, datetime(2013, 12, 2, tzinfo=UTC))
    (invoice,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices"))["items"]
    assert [(line["text_key"], line["module"], line["quantity"], line["net_minor"]) for line in invoice["lines"]] == [
        ("recurring", "documents", 3, 6000),
        ("recurring", "time", 15, 18000),  # the other list was announced fewer than 30 days before
        ("adjustment", "documents", 1, 733),  # 20.00 for 11 of 30 days
        ("adjustment", "time", 5, 1280 + 1320),  # 2 for 16 days, 3 for 11 days, at 12.00
    ]
    assert first["net_minor"] + second["net_minor"] == 733 + 1280 + 1320
    assert (invoice["issued_on"], len(invoice["orders"])) == ("2013-12-01", 2)
    scheduled = await bench.commands(tenant, seats_v1.SchedulePeriod)
    assert [(command.period, command.starts_at) for command in scheduled] == [
        ("2013-12-01", datetime(2013, 11, 30, 23, tzinfo=UTC)),
        ("2014-01-01", datetime(2013, 12, 31, 23, tzinfo=UTC)),
    ]
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert (shown["period"], shown["billed_until"]) == ({"start": "2013-12-01", "end": "2014-01-01"}, "2014-01-01")


async def test_T8_an_order_that_no_longer_fits_is_refused_by_seats_and_costs_nothing(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    bench.pools[tenant].licences["time"] = 11  # somebody else was faster, and invoicing has not read it yet
    _, order = await bench.buy(tenant, {"module": "time", "add": 2})
    assert (order["status"], order["reason"], order["invoice"]) == ("refused", "expected_differs", None)
    assert order["detail"]["actual"]["pools"][0]["licences"] == 11
    (refused,) = await bench.events(tenant, invoicing_v1.OrderRefused)
    assert refused.order == order["order"]
    assert (await bench.statistics(tenant))["orders_refused"] == 1


async def test_a_tenant_on_the_real_clock_has_its_own_number_series_and_today_s_date(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER, clock="real", zone="Pacific/Kiritimati")
    await bench.bill(tenant)
    await bench.open(tenant, clock="real")
    await bench.subscribe(tenant, {"time": 1}, "2013-11-15")
    await bench.until_active(tenant)
    (invoice,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices"))["items"]
    assert (invoice["number"], invoice["test"], invoice["issued_on"]) == ("INV-000001", False, "2013-11-15")
