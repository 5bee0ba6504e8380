"""The operator grants discounts by REST, and everything that shows money counts them, day by day on a test clock."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from shared.schemas import invoicing_v1
from shared.schemas.invoicing_v1 import InvoiceIssued
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, NOVEMBER, Bench, running_bench, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
BUY: dict[str, Any] = {"rights": ["account:buy"]}
SET: dict[str, Any] = {"rights": ["account:buy", "settings:manage"]}
DECEMBER = datetime(2013, 12, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


def lines(document: InvoiceIssued) -> list[tuple[str, str, int, int]]:
    return [(line.text_key, line.module, line.discount_minor, line.net_minor) for line in document.lines]


async def test_discounts_are_granted_shown_charged_withdrawn_and_verified(bench: Bench) -> None:
    begin = [{"percent": "10", "text": "introduction"}]
    tenant = await bench.subscribed(NOVEMBER, {"time": 10, "documents": 4}, "2013-11-01", credit_when="now", discounts=begin)
    path = f"/v1/tenants/{tenant}/subscription"
    (first,) = await bench.events(tenant, InvoiceIssued)
    assert lines(first) == [("recurring", "documents", 800, 7200), ("recurring", "time", 1200, 10_800)]
    old = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]}, tenant=tenant, **BUY)
    granted = await bench.ok("POST", f"{path}/discounts", {"amount_minor": 1001, "periods": 2, "text": "100 licences"})
    assert (granted["from_day"], granted["until_day"], granted["status"], granted["currency"]) == (
        "2013-12-01",
        "2014-02-01",
        "planned",
        "EUR",
    )
    shown = await bench.ok("POST", f"{path}/discounts?dry_run=true", {"percent": "50", "module": "time"})
    assert (shown["next_before"]["net_minor"], shown["next_after"]["net_minor"], shown["granted_at"]) == (16_999, 11_599, None)
    assert len((await bench.ok("GET", f"{path}/discounts"))["items"]) == 2, "a dry run grants nothing"
    half = await bench.ok("POST", f"{path}/discounts", {"percent": "50", "module": "time"})
    assert half["from_day"] == "2013-11-15"
    assert (await bench.refused("POST", old["approve_url"], {}, tenant=tenant, **BUY))["type"] == "discounts-changed"
    quote, order = await bench.buy(tenant, {"module": "time", "add": 1})
    assert (quote["lines"][0]["discount_minor"], quote["net_minor"]) == (352, 288)  # 16 of 30 days of 12.00 less 10 % and 50 %
    assert [each["discount"] for each in quote["discounts"]][1:] == [half["discount"]]
    assert (quote["next_period"]["before"]["net_minor"], quote["next_period"]["after"]["net_minor"]) == (11_599, 12_139)
    assert order["status"] == "completed"
    next_net = 12_139
    assert (await bench.ok("GET", path))["next_period_net_minor"] == next_net
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/licences"))["next_period_net_minor"] == next_net
    upcoming = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming")
    assert (upcoming["net_minor"], sum(line["discount_minor"] for line in upcoming["lines"])) == (next_net, 9061)
    for _ in range(2):
        assert (await bench.ok("DELETE", f"{path}/discounts/{half['discount']}"))["status"] == "withdrawn"
    await bench.advance_clock(tenant, DECEMBER)
    renewal = (await bench.events(tenant, InvoiceIssued))[-1]
    assert lines(renewal) == [("recurring", "documents", 800 + 378, 6822), ("recurring", "time", 1320 + 623, 11_257)]
    await bench.ok("PATCH", f"{path}/policies", {"modules": {"time": {"reduce_at": "now"}}}, tenant=tenant, prefer="wait=10", **SET)
    await bench.advance_clock(tenant, DECEMBER + 2 * A_DAY)
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", {"items": [{"module": "time", "total": 1}]}, tenant=tenant, **BUY)
    await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, prefer="wait=10", **BUY)
    await bench.advance_clock(tenant, DECEMBER + 3 * A_DAY)
    note = (await bench.events(tenant, InvoiceIssued))[-1]
    assert (note.kind, note.net_minor, offer["credit_net_minor"]) == ("credit_note", 9573, 9573)  # 10 of 11, 29 of 31 days
    assert note.lines[0].discount_minor == 1652
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/{note.invoice}")
    assert shown["lines"][0]["discount_minor"] == 1652
    listed = await bench.ok("GET", f"{path}/discounts", tenant=tenant, rights=["account:read"])
    assert [(each["text"], each["status"]) for each in listed["items"]] == [
        ("introduction", "active"),
        ("100 licences", "active"),
        ("", "withdrawn"),
    ]
    assert (await bench.ok("GET", f"{path}/discounts/{granted['discount']}"))["status"] == "active"
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/verification"))["differences"] == []
    events = await bench.events(tenant, invoicing_v1.DiscountGranted)
    assert [(each.next_before and each.next_before.net_minor, each.next_after and each.next_after.net_minor) for each in events] == [
        (18_000, 16_999),
        (16_999, 11_599),
    ]
    (withdrawn,) = await bench.events(tenant, invoicing_v1.DiscountWithdrawn)
    assert (withdrawn.actor.kind, withdrawn.discount.percent) == ("client", "50")


async def test_discounts_that_make_no_sense_are_refused_by_field_and_only_the_operator_grants_any(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path = f"/v1/tenants/{tenant}/subscription/discounts"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "body.percent"),
        ({"percent": "10", "amount_minor": 100}, "body.percent"),
        ({"percent": "0"}, "body.percent"),
        ({"percent": "100.01"}, "body.percent"),
        ({"percent": "-1"}, "body.percent"),
        ({"percent": 10}, "body.percent"),
        ({"amount_minor": 0}, "body.amount_minor"),
        ({"amount_minor": 1.5}, "body.amount_minor"),
        ({"amount_minor": 10**18}, "body.amount_minor"),
        ({"percent": "10", "module": "documents"}, "body.module"),
        ({"percent": "10", "from_day": "2013-11-14"}, "body.from_day"),
        ({"percent": "10", "from_day": "9999-12-31"}, "body.from_day"),
        ({"percent": "10", "from_day": "9998-12-31", "periods": 120}, "body.from_day"),
        ({"percent": "10", "until_day": "2013-11-15"}, "body.until_day"),
        ({"percent": "10", "until_day": "2014-11-15", "periods": 2}, "body.until_day"),
        ({"percent": "10", "periods": 0}, "body.periods"),
        ({"amount_minor": 100, "until_day": "2013-11-30"}, "body.until_day"),  # no period begins by then
    ]
    for body, field in wrong:
        problem = await bench.refused("POST", path, body, 422)
        assert problem["errors"][0]["field"] == field, (body, problem)
    await bench.refused("POST", path, {"percent": "10"}, 403, tenant=tenant, **BUY)
    await bench.refused("DELETE", f"{path}/unknown", None, 404)
    assert await bench.events(tenant, invoicing_v1.DiscountGranted) == []


async def test_a_trial_costs_nothing_is_on_no_document_and_is_reminded_of_before_the_first_charged_period(bench: Bench) -> None:
    until = datetime(2013, 11, 25, 12, tzinfo=UTC)
    begin: dict[str, Any] = {"trial_until": "2013-11-25", "zero_invoices": True, "charge_when": "next_invoice"}
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-15", **begin)
    path = f"/v1/tenants/{tenant}"
    shown = await bench.ok("GET", f"{path}/subscription")
    assert (shown["trial_until"], shown["next_invoice_on"], shown["period"]) == (
        "2013-11-25",
        "2013-11-25",
        {"start": "2013-11-15", "end": "2013-11-25"},
    )
    assert (await bench.ok("GET", f"{path}/licences"))["following_renewal"] == "2013-12-25"
    quote, _ = await bench.buy(tenant, {"module": "time", "add": 2})
    assert (quote["net_minor"], quote["next_period"]["after"]["net_minor"]) == (0, 14_400)
    assert (await bench.ok("GET", f"{path}/invoices/upcoming"))["net_minor"] == 14_400
    await bench.advance_clock(tenant, until - 7 * A_DAY)
    await bench.advance_clock(tenant, until - A_DAY)
    told = await bench.events(tenant, invoicing_v1.TrialEndingSoon)
    assert [(each.days, each.first_period and each.first_period.net_minor) for each in told] == [(7, 14_400), (1, 14_400)]
    assert await bench.events(tenant, InvoiceIssued) == []
    await bench.advance_clock(tenant, until)
    (first,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.text_key, line.quantity, line.from_day.isoformat(), line.to_day.isoformat()) for line in first.lines] == [
        ("recurring", 12, "2013-11-25", "2013-12-25")
    ]
    assert (await bench.ok("GET", f"{path}/verification"))["differences"] == []


async def test_a_trial_that_makes_no_sense_is_refused_by_field(bench: Bench) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    modules = [{"module": "time", "licences": 1}]
    body = {"plan": "standard", "term": "monthly", "period_start": "2013-11-15", "modules": modules}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"trial_until": "2013-11-15"}, "body.trial_until"),
        ({"trial_until": "2014-11-17"}, "body.trial_until"),
        ({"trial_until": "2013-12-01", "period_start": "2013-11-16"}, "body.period_start"),
        ({"trial_until": "2013-12-01", "billed_until": "2013-12-01"}, "body.billed_until"),
        ({"trial_until": "2013-12-01", "billing_day": 15}, "body.billing_day"),
        ({"trial_until": "2013-12-01", "discounts": [{"percent": "10", "from_day": "2013-11-30"}]}, "body.discounts.0.from_day"),
        ({"discounts": [{"percent": "10", "from_day": "9999-12-31"}]}, "body.discounts.0.from_day"),
    ]
    for more, field in wrong:
        problem = await bench.refused("POST", f"/v1/tenants/{tenant}/subscription", body | more, 422)
        assert problem["errors"][0]["field"] == field, (more, problem)
