"""Quotes and orders from the request to the activation: lists, histories, approvals that are refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from shared.schemas import invoicing_v1, seats_v1
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, NOVEMBER, Bench, running_bench, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

BUY: Any = {"rights": ["account:buy", "account:read"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


async def quote_of(bench: Bench, tenant: str, **add: int) -> dict[str, Any]:
    items = [{"module": module, "add": number} for module, number in add.items()]
    return dict(await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": items}, tenant=tenant, **BUY))


async def ids_of(bench: Bench, tenant: str, what: str, **only: str) -> list[str]:
    query = "&".join(f"{name}={value}" for name, value in only.items())
    found = await bench.ok("GET", f"/v1/tenants/{tenant}/{what}?{query}", tenant=tenant, **BUY)
    return [each[what.removesuffix("s")] for each in found["items"]]


async def test_T8_B9_a_quote_is_approved_once_and_a_list_shows_each_state(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    other = await bench.make_tenant(NOVEMBER)
    path = f"/v1/tenants/{tenant}/quotes"
    left, bought, dropped, stale = [await quote_of(bench, tenant, time=1 + n) for n in range(4)]
    # Two approvals at once: one wins, and the other is told the order.
    both = await asyncio.gather(*[bench.call("POST", bought["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10") for _ in range(2)])
    won, lost = sorted(both, key=lambda response: response.status_code)
    assert (won.status_code, lost.status_code, lost.json()["type"]) == (200, 409, "urn:seatpool:problem:quote-approved")
    order = won.json()["order"]
    assert lost.json()["order"] == order
    again = await bench.refused("POST", bought["approve_url"], {}, tenant=tenant, **BUY)
    assert (again["type"], again["order"]) == ("quote-approved", order)
    # Withdrawn; twice changes nothing.
    for _ in range(2):
        assert (await bench.ok("POST", dropped["withdraw_url"], {}, tenant=tenant, **BUY))["state"] == "withdrawn"
    assert (await bench.refused("POST", dropped["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-withdrawn"
    assert (await bench.refused("POST", bought["withdraw_url"], {}, tenant=tenant, **BUY))["type"] == "quote-approved"
    for quote in (bought["quote"], "unknown"):  # of another tenant, or of nobody
        await bench.refused("POST", f"/v1/tenants/{other}/quotes/{quote}/approve", {}, 404, tenant=other, **BUY)
        await bench.refused("POST", f"/v1/tenants/{other}/quotes/{quote}/withdraw", {}, 404, tenant=other, **BUY)
    assert (await bench.refused("POST", stale["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-outdated"
    bench.pools[tenant].licences["time"] = 99  # seats knows more than invoicing
    _, refused = await bench.buy(tenant, {"module": "time", "add": 1})
    assert refused["status"] == "refused"
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    assert (await bench.refused("POST", left["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-expired"
    assert (await bench.refused("POST", left["withdraw_url"], {}, tenant=tenant, **BUY))["type"] == "quote-expired"
    fresh = await quote_of(bench, tenant, time=5)
    states = {
        state: await ids_of(bench, tenant, "quotes", state=state) for state in ("open", "activated", "refused", "expired", "withdrawn")
    }
    assert states == {
        "open": [fresh["quote"]],
        "activated": [bought["quote"]],
        "refused": [refused["quote"]],
        "expired": [stale["quote"], left["quote"]],
        "withdrawn": [dropped["quote"]],
    }
    assert len(await ids_of(bench, tenant, "quotes")) == 6
    assert await ids_of(bench, tenant, "orders", status="completed") == [order]
    listed = (await bench.ok("GET", f"/v1/tenants/{tenant}/orders", tenant=tenant, **BUY))["items"]
    assert [each["order"] for each in listed] == [refused["order"], order]
    (changed,) = listed[1]["items"]
    assert (changed["module"], changed["after"] - changed["before"]) == ("time", bought["lines"][0]["quantity"])
    assert (listed[1]["gross_minor"], listed[1]["currency"]) == (bought["gross_minor"], bought["currency"])
    (first,) = await ids_of(bench, tenant, "quotes", limit="1")
    assert first == fresh["quote"]
    shown = await bench.ok("GET", f"{path}/{bought['quote']}", tenant=tenant, **BUY)
    assert [(step["state"], step["by"]["id"]) for step in shown["history"]] == [
        ("open", "ann"),
        ("approved", "ann"),
        ("activated", "invoicing"),
    ]
    assert (shown["state"], shown["order"], shown["requested_by"]) == ("activated", order, {"kind": "user", "id": "ann"})
    history = (await bench.ok("GET", f"/v1/tenants/{tenant}/orders/{refused['order']}", tenant=tenant, **BUY))["history"]
    assert (history[-1]["state"], history[-1]["detail"]) == ("refused", {"reason": "expected_differs"})
    (event,) = await bench.events(tenant, invoicing_v1.QuoteWithdrawn)
    assert (event.quote, event.actor.id, event.requested_by.id) == (dropped["quote"], "ann", "ann")
    assert (await bench.statistics(tenant))["orders_completed"] == 1
    assert shown["expires_at"] < (NOVEMBER + timedelta(days=1)).isoformat()


async def test_a_purchase_waits_for_its_second_approver_over_midnight_and_not_over_a_renewal(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    settings = f"/v1/tenants/{tenant}/purchase-settings"
    assert (await bench.ok("GET", settings, tenant=tenant, **BUY))["second_approver"] == "none"
    await bench.refused("PUT", settings, {"second_approver": "always"}, 403, tenant=tenant, **BUY)
    tag = (await bench.call("GET", settings, tenant=tenant, **BUY)).headers["etag"]
    manages: Any = {"tenant": tenant, "rights": ["settings:manage"]}
    changed = await bench.call("PUT", settings, {"second_approver": "always"}, if_match=tag, **manages)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
    late = await bench.refused("PUT", settings, {"second_approver": "none"}, 412, if_match=tag, **manages)
    assert late["current"] == changed.headers["etag"]
    first = await quote_of(bench, tenant, time=1)
    assert first["your_approval"] == "waits"

    async def outcome(rights: dict[str, Any], **who: str) -> Any:
        shown = await bench.ok("GET", f"/v1/tenants/{tenant}/quotes/{first['quote']}", tenant=tenant, **rights, **who)
        return shown["your_approval"]

    assert [await outcome(BUY), await outcome({"rights": ["account:read"]})] == ["waits", None]
    waiting = await bench.ok("POST", first["approve_url"], {}, tenant=tenant, **BUY)
    buying = (await bench.ok("GET", f"/v1/tenants/{tenant}/licences", tenant=tenant, rights=["account:read"]))["buying"]
    waits = {"waiting_quotes": 1, "estimates": 0, "overdue_invoices": 0, "overdue_minor": 0}
    expected = {"ordering": "self_service", "allows_extra_licences": True, "purchases_blocked": False, "open_items": waits}
    assert buying == expected
    assert (waiting["state"], waiting["order"], waiting["gross_minor"]) == ("waiting_for_approval", None, 800)
    assert [await outcome(BUY), await outcome(BUY, subject="bo"), await outcome(BUY, subject="bot", kind="client")] == [
        "not_possible",
        "orders",
        "not_possible",
    ]
    for subject, kind in (("ann", "user"), ("bot", "client")):  # the requester, and an API client
        refused = await bench.refused("POST", first["approve_url"], {}, tenant=tenant, **BUY, subject=subject, kind=kind)
        assert (refused["type"], refused["approved_by"]) == ("second-approver-needed", ["ann"])
    # Over midnight: the same items with the amount of the day, and the approval that was given.
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    replaced = await bench.refused("POST", first["approve_url"], {}, tenant=tenant, **BUY, subject="bo")
    assert replaced["type"] == "quote-replaced"
    (second,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/quotes?state=waiting_for_approval", tenant=tenant, **BUY))["items"]
    assert (second["quote"], second["replaces"], second["gross_minor"]) == (replaced["quote"], first["quote"], 750)
    assert [(each["by"]["id"], each["gross_minor"]) for each in second["approvals"]] == [("ann", 800)]
    url = second["approve_url"]
    both = await asyncio.gather(
        *[bench.call("POST", url, {}, tenant=tenant, **BUY, subject=subject, prefer="wait=10") for subject in ("bo", "cy")]
    )
    won, lost = sorted(both, key=lambda response: response.status_code)
    assert (won.json()["status"], lost.json()["type"]) == ("completed", "urn:seatpool:problem:quote-approved")
    asked = await bench.events(tenant, invoicing_v1.SecondApprovalNeeded)
    assert [(event.gross_minor, event.approved_gross_minor, event.replaces) for event in asked] == [
        (800, 800, None),
        (750, 800, first["quote"]),
    ]
    (approved,) = await bench.events(tenant, invoicing_v1.QuoteApproved)
    assert (approved.first_approver and approved.first_approver.id, approved.actor.id in ("bo", "cy")) == ("ann", True)
    assert (await bench.statistics(tenant))["gross_minor"] == 750
    # Over a renewal it expires, and a withdrawn one does not come back.
    late, dropped = [await quote_of(bench, tenant, time=1 + n) for n in range(2)]
    for quote in (late, dropped):
        await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, subject="bo")
    await bench.ok("POST", dropped["withdraw_url"], {}, tenant=tenant, **BUY)
    for day in (28, 29, 30):
        await bench.advance_clock(tenant, datetime(2013, 11, day, 9, tzinfo=UTC))
    told = (await bench.events(tenant, invoicing_v1.SecondApprovalNeeded))[len(asked) + 2 :]
    assert [(each.lines[0].days, each.reminds, str(each.last_day)) for each in told] == [
        (days, days == 2, "2013-11-30") for days in (3, 2, 1)
    ], "one reminder, before the last day"
    for earlier in (late["quote"], told[1].quote):
        assert (await bench.ok("GET", f"/v1/tenants/{tenant}/quotes/{earlier}", tenant=tenant, **BUY))["replaced_by"] == told[2].quote
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    (expired,) = await bench.events(tenant, invoicing_v1.QuoteExpired)
    assert (expired.quote, expired.reason, expired.requested_by.id) == (told[2].quote, "period_changed", "ann")
    assert await ids_of(bench, tenant, "quotes", state="expired") == [told[2].quote]
    assert await ids_of(bench, tenant, "quotes", state="waiting_for_approval") == []
    assert [event.waited for event in await bench.events(tenant, invoicing_v1.QuoteWithdrawn)] == [True]


async def test_M12_an_upgrade_lowers_what_the_monthly_budget_leaves_for_expansions(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, both = f"/v1/tenants/{tenant}", ["account:buy", "settings:manage"]
    expand = {"modules": {"time": {"over_limit": "expand", "expand_cap": 100}}}
    await bench.ok("PATCH", f"{path}/subscription/policies", expand, tenant=tenant, rights=both, prefer="wait=10")
    budget = {"second_approver": "none", "monthly_budget_minor": 6000}
    await bench.ok("PUT", f"{path}/purchase-settings", budget, tenant=tenant, rights=both)
    await bench.until_settled(tenant)
    assert bench.pools[tenant].policies["time"].expand_cap == 10 + 5  # 60.00 pay for five licences of 12.00
    await bench.price("dearer", {"time": 3000})
    await bench.ok("PUT", f"{path}/subscription/plan", {"plan": "dearer"}, tenant=tenant, **BUY)
    await bench.until_settled(tenant)
    assert bench.pools[tenant].policies["time"].expand_cap == 10 + 2


async def test_M12_a_pool_opens_with_no_higher_cap_than_the_budget_allows_and_the_tenant_keeps_its_own(bench: Bench) -> None:
    """Three ways to seats: a subscription that starts, a module that is added, and a plan that lowers the own cap."""
    expand = {"over_limit": "expand", "expand_cap": 100}
    tenant = await bench.make_tenant(NOVEMBER)
    await bench.bill(tenant)
    await bench.open(tenant)
    both: Any = {"tenant": tenant, "rights": ["account:buy", "settings:manage"]}
    settings = f"/v1/tenants/{tenant}/purchase-settings"
    await bench.ok("PUT", settings, {"second_approver": "none", "monthly_budget_minor": 15_000}, **both)
    modules = [{"module": "time", "licences": 10, "policies": expand}]
    await bench.subscribe(tenant, {}, "2013-11-01", billed_until="2013-12-01", modules=modules)
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    sent = await bench.commands(tenant, seats_v1.OpenPool)
    assert [(each.module, each.policies.expand_cap) for each in sent] == [("time", 10 + 12)]  # 150.00 pay for 12 licences of 12.00
    # What is left after the purchase of the module, 50.00, is for both modules.
    body = {"module": "documents", "licences": 5, "policies": expand}
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/modules", body, **both)
    await bench.ok("POST", quote["approve_url"], {}, **both, prefer="wait=10")
    await bench.until_settled(tenant)
    caps = [(type(each).__name__, each.module, each.policies.expand_cap) for each in await sent_caps(bench, tenant)]
    assert caps[1:3] == [("SetPolicy", "time", 10 + 4), ("OpenPool", "documents", 5)], "the other cap is lowered before"
    known = {module: each.expand_cap or 0 for module, each in bench.pools[tenant].policies.items()}
    assert (known["time"] - 10) * 1200 + (known["documents"] - 5) * 2000 <= 5000
    shown = (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["modules"]
    assert {each["module"]: each["policies"]["expand_cap"] for each in shown} == {"time": 100, "documents": 100}
    # The other plan allows less than the own cap, and more than the budget.
    prices = [{"module": module, "term": "monthly", "amount_minor": 1000} for module in ("time", "documents")]
    limits = [{"module": "time", "maximum": 50}]
    await bench.ok("PUT", "/v1/plans/narrow", {"name": "Narrow", "currency": "EUR", "prices": prices, "limits": limits})
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/plan-changes", {"plan": "narrow"}, **both)
    await bench.ok("POST", offer["approve_url"], {}, **both)
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    shown = (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["modules"]
    assert {each["module"]: each["policies"]["expand_cap"] for each in shown} == {"time": 50, "documents": 100}
    known = {module: each.expand_cap or 0 for module, each in bench.pools[tenant].policies.items()}
    assert (known["time"] - 10) * 1000 + (known["documents"] - 5) * 1000 <= 15_000
    await bench.ok("PUT", settings, {"second_approver": "none"}, **both)
    await bench.until_settled(tenant)
    assert {module: each.expand_cap for module, each in bench.pools[tenant].policies.items()} == {"time": 50, "documents": 100}


async def test_M12_M8_a_cap_is_lowered_before_a_reduction_at_once_and_raised_again_if_seats_refuses_it(bench: Bench) -> None:
    policies = {"over_limit": "expand", "expand_cap": 100, "reduce_at": "now"}
    modules = [{"module": "time", "licences": 10, "policies": policies}]
    tenant = await bench.subscribed(NOVEMBER, {}, "2013-11-01", billed_until="2013-12-01", modules=modules)
    path, both = f"/v1/tenants/{tenant}", {"tenant": tenant, "rights": ["account:buy", "settings:manage"]}
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "none", "monthly_budget_minor": 6000}, **both)
    await bench.until_settled(tenant)
    assert bench.pools[tenant].policies["time"].expand_cap == 10 + 5

    async def reduce(total: int) -> None:
        offer = await bench.ok("POST", f"{path}/reductions", {"items": [{"module": "time", "total": total}]}, **both)
        await bench.ok("POST", offer["approve_url"], {}, **both, prefer="wait=10")
        await bench.until_settled(tenant)

    await reduce(7)
    sent = await bench.commands(tenant, seats_v1.SetPolicy) + await bench.commands(tenant, seats_v1.ReduceLicences)
    last = [type(each).__name__ for each in sorted(sent, key=lambda each: each.number)][-2:]
    assert (last, bench.pools[tenant].policies["time"].expand_cap) == (["SetPolicy", "ReduceLicences"], 7 + 5)
    bench.reject[seats_v1.ReduceLicences] = "invalid"
    try:
        await reduce(4)
    finally:
        bench.reject.clear()
    assert bench.pools[tenant].policies["time"].expand_cap == 7 + 5


async def sent_caps(bench: Bench, tenant: str) -> list[Any]:
    sent = await bench.commands(tenant, seats_v1.SetPolicy) + await bench.commands(tenant, seats_v1.OpenPool)
    return sorted(sent, key=lambda each: each.number)


async def test_M12_purchases_and_expansions_stay_within_the_monthly_budget(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10, "documents": 5}, "2013-11-01", billed_until="2013-12-01")
    expand = {"modules": {"time": {"over_limit": "expand", "expand_cap": 100}}}
    await bench.ok("PATCH", f"/v1/tenants/{tenant}/subscription/policies", expand, tenant=tenant, rights=["account:buy", "settings:manage"])
    await bench.until_settled(tenant)
    settings = f"/v1/tenants/{tenant}/purchase-settings"
    manager: Any = {"tenant": tenant, "rights": ["settings:manage"]}

    async def cap() -> int | None:
        await bench.until_settled(tenant)
        return bench.pools[tenant].policies["time"].expand_cap

    for wrong in ({"second_approver": "above_budget"}, {"second_approver": "none", "monthly_budget_minor": -1}):
        await bench.refused("PUT", settings, wrong, 422, **manager)
    await bench.ok("PUT", settings, {"second_approver": "none", "monthly_budget_minor": 10_000}, **manager)
    assert await cap() == 10 + 8  # 100.00 pay for eight licences of 12.00
    assert [event.limited_by for event in await bench.events(tenant, invoicing_v1.ExpansionLimited)] == ["monthly_budget"]
    _, bought = await bench.buy(tenant, {"module": "documents", "add": 2})  # 40.00
    assert (bought["status"], await cap()) == ("completed", 10 + 5)
    sent = await bench.commands(tenant, seats_v1.SetPolicy) + await bench.commands(tenant, seats_v1.AddLicences)
    assert [type(each).__name__ for each in sorted(sent, key=lambda each: each.number)][-2:] == ["SetPolicy", "AddLicences"]
    # Seats expands by three, and by nobody's order: 36.00 are used, and the cap stays.
    bench.pools[tenant].licences["time"] = bench.pools[tenant].next_period["time"] = 13
    await bench.decide(
        seats_v1.PoolExpanded,
        tenant,
        await bench.new_place(tenant),
        "hr",
        "over_limit",
        module="time",
        by=3,
        pools=bench.pools[tenant].states(),
    )
    assert await cap() == 15
    shown = await bench.ok("GET", settings, tenant=tenant, **BUY)
    assert (shown["used_minor"], shown["left_minor"]) == (7600, 2400)
    quote = await quote_of(bench, tenant, time=3)
    refused = await bench.refused("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    assert (refused["type"], refused["added_minor"], refused["left_minor"]) == ("budget-exceeded", 3600, 2400)
    # With a second approver, a purchase above the budget needs both, and one within it does not.
    await bench.ok("PUT", settings, {"second_approver": "above_budget", "monthly_budget_minor": 10_000}, **manager)
    waiting = await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    assert waiting["state"] == "waiting_for_approval"
    done = await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, subject="bo", prefer="wait=10")
    assert (done["status"], await cap()) == ("completed", 16)  # above the budget: nothing is left for expansions
    # A purchase that seats refuses gives its part back, and a new month has its own budget.
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    assert await cap() == 16 + 8
    bench.pools[tenant].licences["documents"] = 99
    _, lost = await bench.buy(tenant, {"module": "documents", "add": 1})
    assert (lost["status"], await cap()) == ("refused", 16 + 8)
    assert (await bench.ok("GET", settings, tenant=tenant, **BUY))["used_minor"] == 0
    await bench.ok("PUT", settings, {"second_approver": "none"}, **manager)
    assert await cap() == 100
    assert [event.limited_by for event in await bench.events(tenant, invoicing_v1.ExpansionLimited)] == ["monthly_budget", ""]


ASK: Any = {"company": "Acme A/S", "contact": {"name": "Ann Lund", "email": "ann@acme.example"}, "message": "for the new office"}


async def test_A9_who_sent_a_request_is_not_the_second_approver_of_its_estimate(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    await bench.ok(
        "PUT", f"/v1/tenants/{tenant}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"]
    )
    path, own = f"/v1/tenants/{tenant}/purchase-requests", {"tenant": tenant, **BUY}
    asked = await bench.ok("POST", path, ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    await bench.ok("PUT", f"{path}/{asked['request']}/estimate", {"items": [{"module": "time", "add": 1}]})
    done = await bench.ok("POST", f"{path}/{asked['request']}/approve", {}, **own, subject="erp", kind="client")
    assert (len(done["quotes"]), done["orders"]) == (1, [])
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)  # the quote is issued again, and the rule is the same
    (quote,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/quotes?state=waiting_for_approval", **own))["items"]
    assert quote["requested_by"] == {"kind": "user", "id": "ann"}
    refused = await bench.refused("POST", quote["approve_url"], {}, **own)
    assert (refused["type"], refused["requested_by"], refused["approved_by"]) == ("second-approver-needed", "ann", ["erp"])
    assert refused["detail"].startswith("The person who requested a purchase cannot be its second approver.")
    order = await bench.ok("POST", quote["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    assert order["status"] == "completed"


async def test_A9_an_approved_estimate_whose_quote_becomes_no_order_can_be_approved_again(bench: Bench) -> None:
    """The quote expires while it waits for its second approver, is withdrawn, or seats refuses the order."""
    tenant = await bench.subscribed(NOVEMBER, {"time": 10, "documents": 5}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"])
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    items = [{"module": "time", "add": 1, "unit_price_minor": 1000}, {"module": "documents", "reduce": 2}]
    await bench.ok("PUT", f"{request}/estimate", {"items": items, "valid_until": "2013-12-20"})

    async def waiting() -> dict[str, Any]:
        await bench.ok("POST", f"{request}/approve", {}, **own)
        (found,) = (await bench.ok("GET", f"{path}/quotes?state=waiting_for_approval", **own))["items"]
        return dict(found)

    async def reopened(because: str) -> None:
        await bench.until_settled(tenant)
        shown = await bench.ok("GET", request, **own)
        assert (shown["state"], shown["history"][-1]["detail"]["reason"]) == ("estimated", because)
        assert [(each["module"], each["add"], each["unit_price_minor"]) for each in shown["items"]] == [("time", 1, 1000)], (
            "not the reduction, which was ordered"
        )

    await bench.ok("POST", (await waiting())["withdraw_url"], {}, **own)
    await reopened("quote_withdrawn")
    await waiting()
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    await reopened("period_changed")
    quote = await waiting()
    bench.pools[tenant].licences["time"] = 99  # seats knows more than invoicing
    await bench.ok("POST", quote["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    await reopened("expected_differs")
    bench.pools[tenant].licences["time"] = 10
    order = await bench.ok("POST", (await waiting())["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    shown = await bench.ok("GET", request, **own)
    assert (order["status"], shown["state"], len(shown["quotes"]), len(shown["reductions"])) == ("completed", "approved", 4, 1)


async def test_A9_the_discounts_of_an_estimate_hold_only_if_seats_completes_its_order(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": [{"module": "time", "add": 1}], "discounts": [{"percent": "50"}]})

    async def approve() -> tuple[str, list[bool]]:
        await bench.ok("POST", f"{request}/approve", {}, **own)
        await bench.until_settled(tenant)
        granted = (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]
        return (await bench.ok("GET", request, **own))["state"], [each["withdrawn_at"] is None for each in granted]

    bench.pools[tenant].licences["time"] = 99  # seats knows more than invoicing
    assert await approve() == ("estimated", [False])
    bench.pools[tenant].licences["time"] = 10
    assert await approve() == ("approved", [False, True])
    (invoice,) = await bench.events(tenant, invoicing_v1.InvoiceIssued)
    assert invoice.net_minor == 320, "half of 16 of 30 days of 12.00"
    assert len(await bench.events(tenant, invoicing_v1.DiscountWithdrawn)) == 1


async def test_a_quote_that_waits_for_its_second_approver_ends_with_its_subscription(bench: Bench) -> None:
    """The vendor ends the subscription at once, and another one of the same plan begins on the same day: nobody asked for it there."""
    tenant = await bench.subscribed(NOVEMBER, {"time": 5}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"])
    quote = await quote_of(bench, tenant, time=1)
    await bench.ok("POST", quote["approve_url"], {}, **own)
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": [{"module": "time", "add": 1}]})
    await bench.ok("POST", f"{request}/approve", {}, **own)
    assert (await bench.ok("GET", request, **own))["state"] == "approved"
    assert len(await ids_of(bench, tenant, "quotes", state="waiting_for_approval")) == 2
    await bench.ok("POST", f"{path}/subscription/end", {"reason": "another contract"}, prefer="wait=10")
    await bench.until_settled(tenant)
    await bench.subscribe(tenant, {"time": 5}, "2013-11-01", billed_until="2013-12-01")
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    assert (await bench.refused("POST", quote["approve_url"], {}, **own, subject="bo"))["type"] == "quote-outdated"
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    assert await ids_of(bench, tenant, "quotes", state="waiting_for_approval") == []
    expired = await ids_of(bench, tenant, "quotes", state="expired")
    assert (len(expired), quote["quote"] in expired) == (2, True)
    shown = await bench.ok("GET", request, **own)
    assert (shown["state"], shown["history"][-1]["detail"]["reason"]) == ("expired", "subscription_ended"), "also its estimate"


async def test_A9_an_estimate_is_for_the_subscription_and_the_term_that_it_was_made_for(bench: Bench) -> None:
    """Its unit prices are for a period, and in the currency of the subscription. By a price of a month, a year would cost a tenth."""
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request, offer = f"{path}/purchase-requests/{asked['request']}", {"items": [{"module": "time", "add": 1}], "valid_until": "2014-01-10"}
    await bench.ok("PUT", f"{request}/estimate", offer)

    async def outdated(why: str) -> dict[str, Any]:
        assert (await bench.ok("GET", request, **own))["if_approved_today"] is None
        refusal = await bench.refused("POST", f"{request}/approve", {}, **own)
        assert refusal["type"] == why
        await bench.ok("PUT", f"{request}/estimate", offer)
        return dict(refusal)

    await bench.ok("PUT", f"{path}/subscription/plan", {"term": "annual", "takes_effect": "period_end"}, **own)
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    await outdated("quote-outdated")
    assert (await bench.ok("GET", request, **own))["if_approved_today"]["net_minor"] == 12_000
    await bench.ok("POST", f"{path}/subscription/end", {"reason": "another contract"}, prefer="wait=10")
    await bench.until_settled(tenant)
    ended = await bench.ok("GET", request, **own)
    step = ended["history"][-1]
    assert (ended["state"], step["state"], step["detail"]) == ("expired", "expired", {"reason": "subscription_ended"})
    (expired,) = [each for each in await bench.events(tenant, invoicing_v1.PurchaseRequestChanged) if each.state == "expired"]
    assert (expired.reason, expired.actor.kind, expired.changes[0].old) == ("subscription_ended", "system", "estimated")
    await bench.subscribe(tenant, {"time": 5}, "2013-12-01", billed_until="2014-01-01")
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    assert "has ended" in (await outdated("estimate-expired"))["detail"]
    await bench.ok("POST", f"{request}/approve", {}, **own)
    await bench.until_settled(tenant)
    assert (await bench.events(tenant, invoicing_v1.InvoiceIssued))[-1].net_minor == 1200


async def test_A9_the_discounts_of_an_estimate_do_not_hold_if_one_quote_is_refused_and_the_other_withdrawn(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"])
    items = [{"module": "time", "add": 1}, {"module": "documents", "add": 1}]
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": items}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": items, "discounts": [{"percent": "50"}]})
    await bench.ok("POST", f"{request}/approve", {}, **own)
    waiting = (await bench.ok("GET", f"{path}/quotes?state=waiting_for_approval", **own))["items"]
    time, documents = sorted(waiting, key=lambda quote: quote["lines"][0]["module"], reverse=True)
    bench.pools[tenant].licences["time"] = 99  # seats knows more than invoicing
    await bench.ok("POST", time["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    await bench.until_settled(tenant)
    (granted,) = (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]
    assert granted["withdrawn_at"] is None, "the other quote can still be approved"
    await bench.ok("POST", documents["withdraw_url"], {}, **own)
    (granted,) = (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]
    assert granted["withdrawn_at"] is not None
    assert (await bench.ok("GET", request, **own))["state"] == "estimated"


async def test_A9_the_quotes_of_an_estimate_that_wait_over_midnight_count_a_credit_once_and_can_all_be_approved(bench: Bench) -> None:
    """Four licences that are given back wait as a credit; the estimate has a quote for each of two modules."""
    more: dict[str, Any] = {"billed_until": "2013-12-01", "credit_when": "next_invoice"}
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", **more)
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    policy: dict[str, Any] = {"tenant": tenant, "rights": ["account:buy", "settings:manage"]}
    await bench.ok(
        "PATCH",
        f"{path}/subscription/policies",
        {"modules": {"time": {"reduce_at": "now", "over_limit": "reject"}}},
        **policy,
        prefer="wait=10",
    )
    offer = await bench.ok("POST", f"{path}/reductions", {"items": [{"module": "time", "total": 6}]}, **own)
    await bench.ok("POST", offer["approve_url"], {}, **own, prefer="wait=10")
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"])
    items = [{"module": "time", "add": 4}, {"module": "documents", "add": 2}]
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": items}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": items})
    await bench.ok("POST", f"{request}/approve", {}, **own)
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    waiting = (await bench.ok("GET", f"{path}/quotes?state=waiting_for_approval", **own))["items"]
    credit = 4 * 1200 * 16 // 30
    assert (len(waiting), sum(quote["credit_net_minor"] for quote in waiting)) == (2, credit)
    for quote in waiting:
        order = await bench.ok("POST", quote["approve_url"], {}, **own, subject="bo", prefer="wait=10")
        assert order["status"] == "completed"
        await bench.until_settled(tenant)
    assert bench.pools[tenant].policies["documents"].over_limit == "reject", "E1: as that of the base module"
    whole = sum(invoice.net_minor for invoice in await bench.events(tenant, invoicing_v1.InvoiceIssued))
    assert whole == sum(quote["net_minor"] for quote in waiting)


async def test_A9_an_estimate_fixes_discounts_that_hold_from_its_order_on(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    await bench.ok("PUT", f"{path}/purchase-settings", {"second_approver": "always"}, tenant=tenant, rights=["settings:manage"])
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    offer = {"items": [{"module": "time", "add": 1}], "discounts": [{"percent": "50", "text": "ten years"}, {"amount_minor": 600}]}
    wrong = await bench.refused("PUT", f"{request}/estimate", offer | {"discounts": [{"module": "other", "percent": "5"}]}, 422)
    assert wrong["errors"][0]["field"] == "body.discounts.0.module"
    await bench.ok("PUT", f"{request}/estimate", offer)
    shown = await bench.ok("GET", request, **own)
    assert [(each["percent"], each["amount_minor"], each["from_day"]) for each in shown["discounts"]] == [
        ("50", None, "2013-11-15"),
        (None, 600, "2013-11-15"),
    ]
    assert shown["if_approved_today"]["net_minor"] == 320, "half of 16 of 30 days of 12.00"
    assert (shown["next_period"]["before"]["net_minor"], shown["next_period"]["after"]["net_minor"]) == (5400, 6000)
    await bench.ok("POST", f"{request}/approve", {}, **own)
    assert (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"] == [], "nothing is ordered yet"
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    (quote,) = (await bench.ok("GET", f"{path}/quotes?state=waiting_for_approval", **own))["items"]
    assert quote["net_minor"] == 300
    await bench.ok("POST", quote["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    granted = (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]
    assert [(each["percent"], each["amount_minor"], each["status"]) for each in granted] == [("50", None, "active"), (None, 600, "active")]
    assert [each["discount"] for each in granted] == [each["discount"] for each in shown["discounts"]]
    await bench.advance_clock(tenant, datetime(2013, 12, 1, 9, tzinfo=UTC))
    invoices = await bench.events(tenant, invoicing_v1.InvoiceIssued)
    assert [each.net_minor for each in invoices] == [300, 11 * 600 - 600]
    events = await bench.events(tenant, invoicing_v1.DiscountGranted)
    assert [(each.next_before, each.next_after) for each in events] == [(None, None)] * 2, "the order changes the next period as well"
    # A reduction alone grants them as well.
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "reduce": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": [{"module": "time", "reduce": 1}], "discounts": [{"percent": "10"}]})
    await bench.ok("POST", f"{request}/approve", {}, **own)
    assert len((await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]) == 3
    # A number of periods is counted from the approval: one that a renewal has charged meanwhile is not lost.
    asked = await bench.ok("POST", f"{path}/purchase-requests", ASK | {"items": [{"module": "time", "add": 1}]}, **own)
    request = f"{path}/purchase-requests/{asked['request']}"
    offer = {"items": [{"module": "time", "add": 1}], "discounts": [{"percent": "20", "periods": 1}], "valid_until": "2014-01-10"}
    await bench.ok("PUT", f"{request}/estimate", offer)
    days = [(each["from_day"], each["until_day"]) for each in (await bench.ok("GET", request, **own))["discounts"]]
    assert days == [("2014-01-01", "2014-02-01")]
    await bench.advance_clock(tenant, datetime(2014, 1, 2, 9, tzinfo=UTC))
    shown = await bench.ok("GET", request, **own)
    assert [(each["from_day"], each["until_day"]) for each in shown["discounts"]] == [("2014-02-01", "2014-03-01")]
    await bench.ok("POST", f"{request}/approve", {}, **own)
    (quote,) = (await bench.ok("GET", f"{path}/quotes?state=waiting_for_approval", **own))["items"]
    await bench.ok("POST", quote["approve_url"], {}, **own, subject="bo", prefer="wait=10")
    granted = (await bench.ok("GET", f"{path}/subscription/discounts", **own))["items"]
    assert [(each["from_day"], each["until_day"]) for each in granted if each["percent"] == "20"] == [("2014-02-01", "2014-03-01")]


def own(tenant: str) -> Any:
    """Return the token of an administrator who may buy."""
    return {"tenant": tenant, **BUY}


def requests_of(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/purchase-requests"


async def subscribed_by_request(bench: Bench) -> str:
    """Return a tenant that buys by request, on the second day of its period."""
    await bench.price("dear", {"time": 1500, "documents": 2000})
    at, licences = datetime(2013, 12, 2, 9, tzinfo=UTC), {"time": 10, "documents": 5}
    tenant = await bench.subscribed(at, licences, "2013-12-01", billed_until="2014-01-01", plan="dear")
    await bench.refused("PUT", f"/v1/tenants/{tenant}/ordering", {"ordering": "by_request"}, 403, **own(tenant))
    await bench.ok("PUT", f"/v1/tenants/{tenant}/ordering", {"ordering": "by_request"})
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/purchase-settings"))["ordering_in_force"] == "by_request"
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/licences"))["buying"]["ordering"] == "by_request"
    return tenant


async def check_direct_buying_leads_to_a_request(bench: Bench, tenant: str) -> None:
    direct: list[tuple[str, str, Any]] = [
        ("POST", "quotes", {"items": [{"module": "time", "add": 1}]}),
        ("POST", "reductions", {"items": [{"module": "time", "total": 8}]}),
        ("PUT", "next-period", {"items": [{"module": "time", "total": 8}]}),
        ("POST", "subscription/plan-changes", {"term": "annual"}),
        ("PATCH", "subscription/policies", {"modules": {"time": {"over_limit": "expand", "expand_cap": 100}}}),
    ]
    may_all: Any = {"tenant": tenant, "rights": ["account:buy", "settings:manage"]}
    for method, what, body in direct:
        refused = await bench.refused(method, f"/v1/tenants/{tenant}/{what}", body, **may_all)
        assert (refused["type"], refused["instead"]) == ("by-request", f"POST {requests_of(tenant)}"), what


async def check_wrong_requests_are_refused(bench: Bench, tenant: str) -> None:
    wrong: list[Any] = [
        [],
        [{"module": "time"}],
        [{"module": "time", "add": 1, "reduce": 1}],
        [{"module": "time", "add": -1}],
        [{"module": "time", "add": 1.5}],
        [{"module": "time", "add": 10**12}],
        [{"module": "other", "add": 1}],
        [{"module": "documents", "reduce": 6}],
        [{"module": "time", "add": 1}, {"module": "time", "add": 1}],
    ]
    for items in wrong:
        await bench.refused("POST", requests_of(tenant), ASK | {"items": items}, 422, **own(tenant))
    await bench.refused("POST", f"{requests_of(tenant)}/unknown/approve", {}, 404, **own(tenant))


async def estimated(bench: Bench, tenant: str) -> str:
    """Return a request that the vendor has answered with an estimate, which has a price of its own and can be approved for ten days."""
    items = [{"module": "time", "add": 1}, {"module": "documents", "reduce": 2}]
    asked = await bench.ok("POST", requests_of(tenant), ASK | {"items": items}, **own(tenant))
    assert (asked["state"], asked["contact"]["email"], asked["if_approved_today"]) == ("requested", "ann@acme.example", None)
    request = f"{requests_of(tenant)}/{asked['request']}"
    assert (await bench.refused("POST", f"{request}/approve", {}, **own(tenant)))["type"] == "request-closed"
    offer = {"items": [{"module": "time", "add": 1, "unit_price_minor": 1200}, {"module": "documents", "reduce": 2}]}
    await bench.refused("PUT", f"{request}/estimate", offer, 403, **own(tenant))
    await bench.refused("PUT", f"{request}/estimate", offer | {"valid_until": "2013-12-01"}, 422)
    # What nobody could approve is refused at once, and a dry run shows the price before anything is sent.
    none_left = {"items": [{"module": "documents", "add": 1}, {"module": "time", "reduce": 10}]}
    refused = await bench.refused("PUT", f"{request}/estimate", none_left)
    assert (refused["type"], refused["field"]) == ("last-base-module", "body.items.1.reduce")
    dry = await bench.ok("PUT", f"{request}/estimate?dry_run=true", offer)
    assert (dry["if_approved_today"]["net_minor"], dry["next_before"]["net_minor"], dry["next_after"]["net_minor"]) == (1161, 25000, 22500)
    assert (await bench.ok("GET", request, **own(tenant)))["state"] == "requested"
    await bench.ok("PUT", f"{request}/estimate", offer | {"valid_until": "2013-12-12", "note": "Thank you."})
    assert (await bench.events(tenant, invoicing_v1.PurchaseRequestChanged))[-1].note == "Thank you."
    shown = await bench.ok("GET", request, **own(tenant))
    assert (shown["state"], shown["valid_until"], shown["less_each_day_minor"]) == ("estimated", "2013-12-12", 39)
    assert shown["price"] == "If you approve it today, the rest of the period costs €11.61 net. With each later day, it costs €0.39 less."
    return str(asked["request"])


async def check_approval_orders_at_the_amount_of_the_day(bench: Bench, tenant: str, name: str) -> None:
    request = f"{requests_of(tenant)}/{name}"
    shown = await bench.ok("GET", request, **own(tenant))
    assert shown["if_approved_today"] == {"net_minor": 774, "tax_minor": 194, "gross_minor": 968}
    done = await bench.ok("POST", f"{request}/approve", {}, **own(tenant))
    (order,), (reduction,) = done["orders"], done["reductions"]
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/orders/{order}", **own(tenant), prefer="wait=10"))["status"] == "completed"
    reduced = await bench.ok("GET", f"/v1/tenants/{tenant}/reductions/{reduction}", **own(tenant), prefer="wait=10")
    assert (reduced["status"], reduced["items"][0]["total"]) == ("completed", 3)
    assert (await bench.statistics(tenant))["net_minor"] == 774
    assert [step["state"] for step in done["history"]] == ["requested", "estimated", "approved"]
    assert (await bench.refused("POST", f"{request}/approve", {}, **own(tenant)))["orders"] == [order]


async def expired_and_declined(bench: Bench, tenant: str) -> tuple[str, str]:
    """Return an estimate that nobody approved until its date, and a request that the vendor declined."""
    path = requests_of(tenant)
    late = await bench.ok("POST", path, ASK | {"items": [{"module": "time", "add": 2}]}, **own(tenant))
    await bench.ok("PUT", f"{path}/{late['request']}/estimate", {"items": [{"module": "time", "add": 2, "unit_price_minor": 1000}]})
    dropped = await bench.ok("POST", path, ASK | {"items": [{"module": "time", "add": 3}]}, subject="website")
    assert (await bench.ok("POST", f"{path}/{dropped['request']}/decline", {"reason": "too many"}))["state"] == "declined"
    await bench.advance_clock(tenant, datetime(2014, 1, 12, 9, tzinfo=UTC))
    assert (await bench.refused("POST", f"{path}/{late['request']}/approve", {}, **own(tenant)))["type"] == "estimate-expired"
    listed = await bench.ok("GET", f"{path}?state=expired", **own(tenant))
    assert [each["request"] for each in listed["items"]] == [late["request"]]
    return late["request"], dropped["request"]


async def check_the_operator_sees_the_requests_of_all_tenants(bench: Bench, tenant: str, requests: list[str]) -> None:
    """`requests`: of the tenant, the newest first."""
    other = await bench.subscribed(NOVEMBER, {"time": 1}, "2013-11-01")
    new = await bench.ok("POST", requests_of(other), ASK | {"items": [{"module": "time", "add": 3}]}, subject="website")
    first = await bench.ok("GET", "/v1/operator/requests?limit=2")
    second = await bench.ok("GET", f"/v1/operator/requests?limit=2&cursor={first['next']}")
    assert [each["request"] for page in (first, second) for each in page["items"]] == [new["request"], *requests]
    (waiting,) = (await bench.ok("GET", "/v1/operator/requests?state=requested"))["items"]
    assert (waiting["tenant"], waiting["request"], waiting["changed_at"]) == (other, new["request"], waiting["requested_at"])
    assert (await bench.ok("GET", waiting["url"]))["contact"] == waiting["contact"]
    await bench.refused("GET", "/v1/operator/requests", None, 403, **own(tenant))


async def test_A9_A11_an_estimate_is_approved_ten_days_later_with_the_amount_of_that_day(bench: Bench) -> None:
    tenant = await subscribed_by_request(bench)
    await check_direct_buying_leads_to_a_request(bench, tenant)
    await check_wrong_requests_are_refused(bench, tenant)
    asked = await estimated(bench, tenant)
    await bench.advance_clock(tenant, datetime(2013, 12, 12, 9, tzinfo=UTC))
    await check_approval_orders_at_the_amount_of_the_day(bench, tenant, asked)
    late, dropped = await expired_and_declined(bench, tenant)
    await check_the_operator_sees_the_requests_of_all_tenants(bench, tenant, [dropped, late, asked])
    events = await bench.events(tenant, invoicing_v1.PurchaseRequestChanged)
    of_late = ["requested", "estimated"]  # it expires after the last one was declined
    assert [event.state for event in events] == ["requested", "estimated", "approved", *of_late, "requested", "declined", "expired"]
    assert all("acme.example" not in event.model_dump_json() and "Lund" not in event.model_dump_json() for event in events)
    await bench.ok("PUT", f"/v1/tenants/{tenant}/ordering", {"ordering": None})
    assert (await quote_of(bench, tenant, time=1))["state"] == "open"


async def test_an_estimate_whose_order_seats_refuses_after_the_end_of_the_subscription_expires(bench: Bench) -> None:
    tenant = await bench.subscribed(NOVEMBER, {"time": 10}, "2013-11-01", billed_until="2013-12-01")
    path, own = f"/v1/tenants/{tenant}", {"tenant": tenant, **BUY}
    wanted = ASK | {"items": [{"module": "time", "add": 1}]}
    asked, waits = [await bench.ok("POST", f"{path}/purchase-requests", wanted, **own) for _ in range(2)]
    request = f"{path}/purchase-requests/{asked['request']}"
    await bench.ok("PUT", f"{request}/estimate", {"items": [{"module": "time", "add": 1}]})
    bench.answering.clear()
    await bench.ok("POST", f"{request}/approve", {}, **own)
    bench.pools[tenant].licences["time"] = 99  # seats knows more than invoicing
    await bench.ok("POST", f"{path}/subscription/end", {"reason": "another contract"})
    assert (await bench.ok("GET", request, **own))["state"] == "approved"
    bench.answering.set()
    await bench.until_settled(tenant)
    assert (await bench.ok("GET", request, **own))["state"] == "expired"
    assert (await bench.ok("GET", f"{path}/purchase-requests/{waits['request']}", **own))["state"] == "requested", (
        "the vendor may answer it"
    )
