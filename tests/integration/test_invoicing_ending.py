"""A subscription ends by REST on a test clock: what works until then, taking it back, the last document, and a subscription after it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from shared.schemas import seats_v1, topics
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import (
    InvoiceIssued,
    PlanChangeDropped,
    SubscriptionEnded,
    SubscriptionEnding,
    SubscriptionEndingSoon,
    SubscriptionKept,
)
from shared.settings import KafkaSettings
from tests.support.invoicing import NOVEMBER, Bench, running_bench, settings_of
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
ASK: dict[str, Any] = {
    "company": "Acme A/S",
    "contact": {"name": "Ann Lund", "email": "ann@acme.example"},
    "message": "",
    "items": [{"module": "time", "add": 1}],
}
BUY: dict[str, Any] = {"rights": ["account:buy"]}
LAST_DAY = datetime(2013, 11, 30, 22, 59, 59, tzinfo=UTC)  # in Copenhagen
DECEMBER = datetime(2013, 11, 30, 23, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


async def call(bench: Bench, method: str, of: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
    return dict(await bench.ok(method, f"/v1/tenants/{of}/{path}", body, **options))


async def end(bench: Bench, tenant: str) -> dict[str, Any]:
    return await call(bench, "POST", tenant, "subscription/ending", {"reason": "we move"}, tenant=tenant, **BUY, prefer="wait=10")


async def subscribed(bench: Bench, **more: Any) -> str:
    return await bench.subscribed(NOVEMBER, {"time": 3, "documents": 4}, "2013-11-01", billed_until="2013-11-01", **more)


async def change(bench: Bench, tenant: str, model: type[Payload], module: str, by: int, **fields: Any) -> None:
    """Seats changes a pool by itself."""
    pools = bench.pools[tenant]
    pools.licences[module] += by
    place = await bench.new_place(tenant)
    await bench.decide(model, tenant, place, "other", "changed", module=module, by=abs(by), pools=pools.states(module), **fields)
    await bench.until_settled(tenant)


async def test_T14_T21_a_subscription_ends_with_open_invoices_and_a_waiting_credit_and_a_new_one_follows(bench: Bench) -> None:
    tenant = await subscribed(bench, charge_when="next_invoice", credit_when="next_invoice")
    fewer = {"items": [{"module": "time", "total": 1}]}
    offer = await call(bench, "POST", tenant, "reductions", fewer, tenant=tenant, **BUY)
    shown = await end(bench, tenant)
    assert (shown["status"], shown["ends_on"], shown["next_period_net_minor"]) == ("active", "2013-12-01", 0)
    assert await end(bench, tenant) == shown, "ending it again changes nothing"
    listed = await call(bench, "GET", tenant, "licences")
    assert (listed["following_renewal"], listed["ends_on"]) == (None, "2013-12-01")
    assert not any(each["may_reduce"] for each in listed["modules"]), "a reduction would begin after the end"
    quote, order = await bench.buy(tenant, {"module": "time", "add": 1})
    assert quote["notes"] == ["The subscription still ends on 1 December 2013. The licences can be used until then."]
    assert (quote["net_minor"], quote["next_period"]["added_net_minor"], order["status"]) == (640, 0, "completed")
    await change(bench, tenant, seats_v1.PoolExpanded, "time", 1)
    await change(bench, tenant, seats_v1.PoolReduced, "documents", -1, reduce_at="now")
    refusal = await bench.refused("PUT", f"/v1/tenants/{tenant}/next-period", fewer, tenant=tenant, **BUY)
    assert (refusal["type"], refusal["ends_on"]) == ("subscription-ending", "2013-12-01")
    await bench.advance_clock(tenant, DECEMBER)

    shown = await call(bench, "GET", tenant, "subscription")
    assert (shown["status"], shown["ends_on"], [module["licences"] for module in shown["modules"]]) == ("ended", "2013-12-01", [0, 0])
    first, last = await bench.events(tenant, InvoiceIssued)
    assert (last.reason, {(line.module, line.net_minor) for line in last.lines}) == (
        "subscription_ended",
        {("time", 640 + 640), ("documents", -1067)},
    )
    assert (await call(bench, "GET", tenant, "invoices"))["items"][0]["number"] == first.number, "reads go on"
    assert [(each["bought"], each["next_period"]) for each in (await call(bench, "GET", tenant, "licences"))["modules"]] == [(0, 0), (0, 0)]
    refusal = await bench.refused("GET", f"/v1/tenants/{tenant}/invoices/upcoming", tenant=tenant, rights=["account:read"])
    assert refusal["type"] == "subscription-ended"
    payment = {"invoice": first.invoice, "amount_minor": first.gross_minor, "currency": "EUR", "paid_on": "2013-12-01", "reference": ""}
    await call(bench, "POST", tenant, "payments", payment)
    assert (await call(bench, "GET", tenant, "balance"))["open_invoices"] == 1, "the last document stays payable as well"
    for method, path, body in (
        ("POST", "quotes", {"items": [{"module": "time", "add": 1}]}),
        ("POST", "reductions", fewer),
        ("PUT", "next-period", fewer),
        ("POST", "subscription/ending", {}),
        ("DELETE", "subscription/ending", None),
        ("PUT", "subscription/plan", {"term": "annual"}),
        ("POST", "subscription/plan-changes", {"term": "annual"}),
        ("POST", "subscription/modules", {"module": "documents", "licences": 1}),
        ("PATCH", "subscription/policies", {"charge_when": "now"}),
        ("POST", "purchase-requests", ASK),
        ("POST", f"reductions/{offer['reduction']}/approve", {}),
    ):
        refusal = await bench.refused(
            method, f"/v1/tenants/{tenant}/{path}", body, tenant=tenant, rights=["account:buy", "settings:manage"]
        )
        assert (refusal["type"], refusal["ended_on"]) == ("subscription-ended", "2013-12-01"), path
    for method, path, body in (  # of the operator
        ("GET", "subscription/end", None),
        ("POST", "subscription/end", {"reason": "fraud"}),
        ("POST", "subscription/discounts", {"percent": "10"}),
        ("POST", "subscription/discounts?dry_run=true", {"percent": "10"}),
    ):
        refusal = await bench.refused(method, f"/v1/tenants/{tenant}/{path}", body)
        assert (refusal["type"], refusal["ended_on"]) == ("subscription-ended", "2013-12-01"), path
    await bench.advance_clock(tenant, datetime(2014, 1, 1, 9, tzinfo=UTC))
    assert len(await bench.events(tenant, InvoiceIssued)) == 2, "no document follows"

    crowns = {"name": "Crowns", "currency": "DKK", "prices": [{"module": "time", "term": "monthly", "amount_minor": 9000}]}
    await bench.ok("PUT", "/v1/plans/crowns", crowns)
    wanted: Any = {"plan": "crowns", "term": "monthly", "period_start": "2014-01-01", "modules": [{"module": "time", "licences": 5}]}
    refusal = await bench.refused("POST", f"/v1/tenants/{tenant}/subscription", wanted, 422)
    assert refusal["errors"][0]["field"] == "body.plan", "a balance has one currency, and a document in EUR is open"
    await bench.subscribe(tenant, {"time": 5}, "2014-01-01", billed_until="2014-01-01")
    shown = await bench.until_active(tenant)
    assert (shown["ends_on"], [(module["module"], module["licences"]) for module in shown["modules"]]) == (None, [("time", 5)])
    quote, order = await bench.buy(tenant, {"module": "time", "add": 1})
    assert (quote["net_minor"], order["status"]) == (1200, "completed")
    numbers = [invoice.number for invoice in await bench.events(tenant, InvoiceIssued)]
    assert len(set(numbers)) == 4
    assert numbers == sorted(numbers), "document numbers go on"


async def test_T14_an_ending_is_announced_and_reminded_of_and_taken_back_on_its_last_day(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await call(bench, "PUT", tenant, "next-period", {"items": [{"module": "time", "total": 2}]}, tenant=tenant, **BUY, prefer="wait=10")
    foreseen = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming?if_ended=true")
    await end(bench, tenant)
    assert await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming") == foreseen, "the last document was shown before"
    await bench.buy(tenant, {"module": "documents", "add": 1})
    for day in (23, 24, 26, 30):  # 7 days before the end is the 24th, 1 day the 30th
        await bench.advance_clock(tenant, datetime(2013, 11, day, 9, tzinfo=UTC))
    await bench.advance_clock(tenant, LAST_DAY)
    (announced,) = await bench.events(tenant, SubscriptionEnding)
    assert (announced.actor.id, announced.reason, announced.ends_on.isoformat()) == ("ann", "we move", "2013-12-01")
    reminders = await bench.events(tenant, SubscriptionEndingSoon)
    assert [(each.days, each.at) for each in reminders] == [
        (7, datetime(2013, 11, 23, 23, tzinfo=UTC)),
        (1, datetime(2013, 11, 29, 23, tzinfo=UTC)),
    ]
    shown = await call(bench, "DELETE", tenant, "subscription/ending", tenant=tenant, **BUY, prefer="wait=10")
    assert (shown["ends_on"], {each["module"]: each["next_period"] for each in shown["modules"]}) == (None, {"time": 2, "documents": 4})
    (kept,) = await bench.events(tenant, SubscriptionKept)
    assert [(each.module, each.licences, each.next_period) for each in kept.modules] == [("documents", 5, 4), ("time", 3, 2)]
    refusal = await bench.refused("DELETE", f"/v1/tenants/{tenant}/subscription/ending", tenant=tenant, **BUY)
    assert refusal["type"] == "subscription-not-ending"
    await bench.advance_clock(tenant, DECEMBER)
    renewal = (await bench.events(tenant, InvoiceIssued))[-1]
    assert (renewal.reason, renewal.net_minor) == ("renewal", 2 * 1200 + 4 * 2000)


async def test_T14_an_ending_is_taken_back_for_all_modules_only_after_seats_has_answered_it_for_each(bench: Bench) -> None:
    tenant = await subscribed(bench)
    place = await bench.new_place(tenant)
    bench.answering.clear()
    await call(bench, "POST", tenant, "subscription/ending", tenant=tenant, **BUY)
    pools = bench.pools[tenant]
    pools.former["documents"], pools.next_period["documents"] = 4, 0  # seats has answered for one module
    fields = {"module": "documents", "pools": pools.states("documents")}
    await bench.decide(seats_v1.PoolCloseScheduled, tenant, place, "other", "scheduled", **fields)

    async def noted() -> bool:
        return {each["next_period"] for each in (await call(bench, "GET", tenant, "subscription"))["modules"]} == {0, 3}

    await wait_until(noted, what="the answer for one module")
    waits = await bench.refused("DELETE", f"/v1/tenants/{tenant}/subscription/ending", tenant=tenant, **BUY)
    assert (waits["type"], waits["modules"]) == ("order-pending", ["time"])
    bench.answering.set()
    await bench.until_settled(tenant)
    await call(bench, "DELETE", tenant, "subscription/ending", tenant=tenant, **BUY)
    await bench.until_settled(tenant)
    assert (pools.next_period, pools.former) == ({"time": 3, "documents": 4}, {})
    assert (await call(bench, "GET", tenant, "subscription"))["ends_on"] is None


@pytest.mark.parametrize("at_once", [False, True])
async def test_T14_an_ending_that_seats_rejects_is_sent_again_when_the_operator_resumes(bench: Bench, at_once: bool) -> None:
    tenant = await subscribed(bench)
    bench.reject[seats_v1.ClosePool] = "error"
    path = "subscription/end" if at_once else "subscription/ending"
    await call(bench, "POST", tenant, path, {"reason": "we move"})
    await bench.until_settled(tenant)
    bench.reject.clear()
    assert (await call(bench, "POST", tenant, "subscription/resume"))["sent"] == ["end_pool documents", "end_pool time"]
    await bench.until_settled(tenant)
    shown = await call(bench, "GET", tenant, "subscription")
    assert (shown["status"], bench.pools[tenant].next_period) == ("ended", {}) if at_once else ("active", {"time": 0, "documents": 0})
    assert (await call(bench, "POST", tenant, "subscription/resume"))["sent"] == []


async def test_T14_a_module_that_was_to_close_by_itself_closes_although_the_ending_is_taken_back(bench: Bench) -> None:
    tenant = await subscribed(bench)
    body = {"items": [{"module": "documents", "total": 0}]}
    await call(bench, "PUT", tenant, "next-period", body, tenant=tenant, **BUY, prefer="wait=10")
    await end(bench, tenant)
    shown = await call(bench, "DELETE", tenant, "subscription/ending", tenant=tenant, **BUY, prefer="wait=10")
    assert {each["module"]: each["next_period"] for each in shown["modules"]} == {"time": 3, "documents": 0}
    quote = await call(bench, "POST", tenant, "quotes", {"items": [{"module": "documents", "add": 1}]}, tenant=tenant, **BUY)
    assert quote["notes"][-1] == "documents was to close at the end of the period. The purchase keeps it."


async def test_T14_a_closing_that_seats_rejects_is_sent_again_when_the_operator_resumes(bench: Bench) -> None:
    tenant = await subscribed(bench)
    body = {"items": [{"module": "documents", "total": 0}]}
    await call(bench, "PUT", tenant, "next-period", body, tenant=tenant, **BUY, prefer="wait=10")
    await end(bench, tenant)
    bench.reject[seats_v1.ClosePool] = "error"
    await call(bench, "DELETE", tenant, "subscription/ending", tenant=tenant, **BUY, prefer="wait=10")
    await bench.until_settled(tenant)
    bench.reject.clear()
    pools = bench.pools[tenant]
    assert (pools.next_period, pools.former) == ({"time": 3, "documents": 0}, {"documents": 0}), "it still closes with the subscription"
    assert (await call(bench, "POST", tenant, "subscription/resume"))["sent"] == ["close_pool_again documents"]
    await bench.until_settled(tenant)
    assert (pools.next_period, pools.former) == ({"time": 3, "documents": 0}, {})
    assert (await call(bench, "POST", tenant, "subscription/resume"))["sent"] == []


@pytest.mark.parametrize("rejected", [seats_v1.OpenPool, (seats_v1.OpenPool, "time")], ids=["all", "one"])
async def test_the_vendor_ends_a_subscription_of_which_seats_opens_no_or_not_every_pool_and_starts_another(
    bench: Bench, rejected: Any
) -> None:
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    await bench.open(tenant)
    bench.reject[rejected] = "error"
    await bench.subscribe(tenant, {"time": 3, "documents": 4}, "2013-11-01")
    await bench.until_settled(tenant)
    bench.reject.clear()
    assert (await call(bench, "GET", tenant, "subscription"))["status"] == "failed"
    assert (await call(bench, "GET", tenant, "subscription/end"))["credit_net_minor"] == 0
    shown = await call(bench, "POST", tenant, "subscription/end", {"reason": "a mistake"}, prefer="wait=10")
    assert (shown["status"], shown["reason"], bench.pools[tenant].licences) == ("ended", "a mistake", {})
    await bench.until_settled(tenant)
    assert (await call(bench, "POST", tenant, "subscription/resume"))["sent"] == []
    await bench.subscribe(tenant, {"time": 2}, "2013-11-01")
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    (invoice,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity) for line in invoice.lines] == [("time", 2)]
    quote = await call(bench, "POST", tenant, "subscription/modules", {"module": "documents", "licences": 2}, tenant=tenant, **BUY)
    bench.answering.clear()
    await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    sent = (await call(bench, "POST", tenant, "subscription/resume"))["sent"]
    bench.answering.set()
    assert (sent, (await call(bench, "GET", tenant, "subscription"))["status"]) == ([], "active"), "a new order, not the rejected pool"


async def test_the_vendor_ends_a_subscription_at_once_with_a_reason_and_credits_what_is_left(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}/subscription/end"
    await bench.refused("POST", path, {"reason": "fraud"}, 403, tenant=tenant, **BUY)
    await bench.refused("GET", path, status=403, tenant=tenant, **BUY)
    credited = round((3 * 1200 + 4 * 2000) * 16 / 30)
    assert await bench.ok("GET", path) == {"ends_on": "2013-11-15", "currency": "EUR", "credit_net_minor": credited, "charge_net_minor": 0}
    assert (await bench.refused("POST", path, {}, 422))["errors"][0]["field"] == "body.reason"
    shown = await call(bench, "POST", tenant, "subscription/end", {"reason": "no payment"}, prefer="wait=10")
    assert (shown["status"], shown["ends_on"], shown["reason"]) == ("ended", "2013-11-15", "no payment")
    invoice, credit = await bench.events(tenant, InvoiceIssued)
    assert (credit.kind, credit.corrects, credit.net_minor) == ("credit_note", (invoice.invoice,), credited)
    assert (await bench.refused("GET", path))["type"] == "subscription-ended"
    (ended,) = await bench.events(tenant, SubscriptionEnded)
    assert (ended.at_once, ended.reason, ended.actor.kind) == (True, "no payment", "client")
    await bench.advance_clock(tenant, DECEMBER)
    assert len(await bench.events(tenant, InvoiceIssued)) == 2


@pytest.mark.parametrize(
    ("charge_when", "added", "left", "kind"),
    [
        ("now", 5, 1, "credit_note"),  # licences of today, and a leaver's of today
        ("next_invoice", 0, 2, "credit_note"),
        ("next_invoice", 900, 0, "credit_note"),
        ("next_invoice", -30, 0, "invoice"),  # thirty that were bought fifteen days ago
    ],
)
async def test_an_end_at_once_shows_the_amount_of_the_document_that_follows(
    bench: Bench, charge_when: str, added: int, left: int, kind: str
) -> None:
    tenant = await subscribed(bench, charge_when=charge_when)
    if added < 0:
        await bench.buy(tenant, {"module": "documents", "add": -added})
        await bench.advance_clock(tenant, datetime(2013, 11, 29, 12, tzinfo=UTC))
    if added > 0:
        await change(bench, tenant, seats_v1.PoolExpanded, "time", added)
    if left:
        await change(bench, tenant, seats_v1.PoolReduced, "documents", -left, reduce_at="now")
    path, before = f"/v1/tenants/{tenant}/subscription/end", len(await bench.events(tenant, InvoiceIssued))
    seen = await bench.ok("GET", path)
    assert await bench.ok("GET", path) == seen
    assert len(await bench.events(tenant, InvoiceIssued)) == before, "it was only looked at"
    await call(bench, "POST", tenant, "subscription/end", {"reason": "no payment"}, prefer="wait=10")
    *_, last = await bench.events(tenant, InvoiceIssued)
    amounts = {"credit_note": seen["credit_net_minor"], "invoice": seen["charge_net_minor"]}
    assert (last.reason, last.kind, amounts) == ("subscription_ended", kind, {"credit_note": 0, "invoice": 0} | {kind: last.net_minor})
    assert last.net_minor > 0


async def test_an_ending_that_seats_decides_after_the_period_has_begun_ends_the_subscription_all_the_same(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.advance_clock(tenant, LAST_DAY)
    place = await bench.new_place(tenant)
    bench.answering.clear()
    await call(bench, "POST", tenant, "subscription/ending", tenant=tenant, **BUY)
    pools = bench.pools[tenant]
    pools.scheduled.clear()
    pools.at, pools.period = DECEMBER, "2013-12-01"
    licences = tuple(seats_v1.LicenceCount(module=module, quantity=count) for module, count in sorted(pools.licences.items()))
    fields = {"starts_at": DECEMBER, "licences": licences, "pools": pools.states()}
    await bench.decide(seats_v1.PeriodStarted, tenant, place, "tick", "period_began", role="settled", **fields)
    bench.answering.set()
    await bench.until_settled(tenant)
    assert (await call(bench, "GET", tenant, "subscription"))["status"] == "ended"
    assert (pools.licences, len(await bench.events(tenant, InvoiceIssued))) == ({}, 1), "not renewed, and nobody keeps a seat"


@pytest.mark.parametrize("ends", [True, False])
async def test_a_module_that_seats_opens_when_the_period_has_ended(bench: Bench, ends: bool) -> None:
    """Approved in the last second. If the subscription has ended, nobody gets the module; else it goes on, and a plan without it does not
    begin, as the quote said."""
    tenant = await bench.subscribed(NOVEMBER, {"time": 3}, "2013-11-01", billed_until="2013-11-01")
    await bench.price("small", {"time": 1000})
    small = {"plan": "small", "takes_effect": "period_end"}
    await (end(bench, tenant) if ends else call(bench, "PUT", tenant, "subscription/plan", small, tenant=tenant, **BUY))
    await bench.advance_clock(tenant, LAST_DAY)
    place, pools = await bench.new_place(tenant), bench.pools[tenant]
    quote = await call(bench, "POST", tenant, "subscription/modules", {"module": "documents", "licences": 2}, tenant=tenant, **BUY)
    assert (quote["cancels_plan_change"] is None) == ends
    bench.answering.clear()
    order = dict(await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY))
    await bench.advance(tenant, place, "tick", DECEMBER)
    bench.answering.set()
    await bench.until_settled(tenant)
    found = await call(bench, "GET", tenant, f"orders/{order['order']}", tenant=tenant, rights=["account:read"])
    shown = await call(bench, "GET", tenant, "subscription")
    if ends:
        assert (found["status"], found["reason"], pools.licences) == ("refused", "subscription_ended", {})
        await bench.subscribe(tenant, {"time": 5, "documents": 1}, "2013-12-01", billed_until="2013-12-01")
        shown = await bench.until_active(tenant)
        assert [(module["module"], module["licences"]) for module in shown["modules"]] == [("documents", 1), ("time", 5)]
        return
    assert (found["status"], shown["plan"], pools.licences) == ("completed", "standard", {"time": 3, "documents": 2})
    (dropped,) = await bench.events(tenant, PlanChangeDropped)
    assert (dropped.reason, dropped.modules) == ("bought_since", ("documents",))
    await bench.advance_clock(tenant, datetime(2014, 1, 1, 9, tzinfo=UTC))
    last = (await bench.events(tenant, InvoiceIssued))[-1]
    assert {(line.text_key, line.module, line.net_minor) for line in last.lines} >= {
        ("recurring", "documents", 4000),
        ("recurring", "time", 3600),
    }


async def test_an_ending_that_is_taken_back_too_late_for_seats_stays(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await end(bench, tenant)
    await bench.advance_clock(tenant, LAST_DAY)
    place = await bench.new_place(tenant)
    bench.answering.clear()
    await call(bench, "DELETE", tenant, "subscription/ending", tenant=tenant, **BUY)

    async def sent() -> bool:
        return isinstance((await bench.topic(topics.SEATS_COMMANDS, tenant))[-1].payload, seats_v1.ScheduleReduction)

    await wait_until(sent, what="the command that seats answers too late")
    await bench.advance(tenant, place, "tick", DECEMBER)
    bench.answering.set()
    await bench.until_settled(tenant)
    assert (await call(bench, "GET", tenant, "subscription"))["status"] == "ended"
    assert await bench.events(tenant, SubscriptionKept) == []
