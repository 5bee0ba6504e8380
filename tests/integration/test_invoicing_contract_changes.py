"""Customers change a running subscription by REST: its policies and its modules, day by day on a test clock."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from services.invoicing import store
from services.invoicing.use_cases.seats_questions import Forecast
from shared.schemas import invoicing_v1, seats_v1
from shared.schemas.invoicing_v1 import InvoiceIssued
from shared.schemas.seats_v1 import LicenceCount, PeriodStarted, PoolState, Reason, ReductionRefused, WouldCancel, WouldFlag
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, NOVEMBER, Bench, running_bench, settings_of
from tests.support.wire import until_relayed

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
BUY: dict[str, Any] = {"rights": ["account:buy"]}
SET: dict[str, Any] = {"rights": ["settings:manage"]}
SET_AND_BUY: dict[str, Any] = {"rights": ["settings:manage", "account:buy"]}
DECEMBER = datetime(2013, 12, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000, archive=900)
        await bench.ok("PUT", "/v1/modules/archive", {"name": "Archive", "requires": ["documents"]})
        await bench.price("fixed", {"time": 1000, "documents": 1500}, extra=False)
        small = [{"module": "time", "term": term, "amount_minor": amount} for term, amount in (("monthly", 800), ("annual", 8000))]
        body = {"name": "Small", "currency": "EUR", "allows_extra_licences": False, "prices": small}
        await bench.ok("PUT", "/v1/plans/small", body | {"limits": [{"module": "time", "maximum": 6}]})
        limits = [{"module": "time", "minimum": 3, "maximum": 12}]
        await bench.ok("PUT", "/v1/plans/limited", body | {"name": "Limited", "allows_extra_licences": True, "limits": limits})
        yield bench


async def subscribed(bench: Bench, licences: dict[str, int] | None = None, **more: Any) -> str:
    given = {"billed_until": "2013-12-01", "credit_when": "now"} | more
    return await bench.subscribed(NOVEMBER, licences or {"time": 10, "documents": 4}, "2013-11-01", **given)


async def changed(bench: Bench, tenant: str, **body: Any) -> dict[str, Any]:
    path = f"/v1/tenants/{tenant}/subscription/policies"
    return dict(await bench.ok("PATCH", path, body, tenant=tenant, **SET_AND_BUY, prefer="wait=10"))


async def policies_of(bench: Bench, tenant: str) -> dict[str, dict[str, Any]]:
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    return {module["module"]: module["policies"] for module in shown["modules"]}


async def test_A2_two_people_who_change_the_policies_do_not_overwrite_each_other(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}/subscription/policies"
    read = await bench.call("GET", path)
    tag, own = read.headers["etag"], read.json()
    assert (own["charge_when"], own["credit_when"], own["modules"]["time"]["warn_at"]) == ("now", "now", "90%")
    assert list(own["modules"]) == ["documents", "time"]
    own_change = {"tenant": tenant, **SET_AND_BUY}
    done = await bench.call(
        "PATCH", path, {"charge_when": "next_invoice", "modules": {"time": {"grace": "P14D"}}}, if_match=tag, **own_change
    )
    assert done.status_code in (200, 202)
    late = await bench.refused("PATCH", path, {"zero_invoices": True}, 412, if_match=tag, **own_change)
    again = await bench.call("GET", path)
    assert (late["type"], late["current"]) == ("precondition-failed", again.headers["etag"])
    shown = again.json()
    assert (shown["charge_when"], shown["zero_invoices"], shown["modules"]["time"]["grace"]) == ("next_invoice", False, "P14D")
    assert (await bench.call("PATCH", path, {"zero_invoices": True}, if_match=late["current"], **own_change)).is_success
    assert (await bench.call("PATCH", path, {"zero_invoices": False}, **own_change)).is_success, "without If-Match"
    parts = (await bench.call("GET", path)).json()
    of_time, own = parts["module_etags"]["time"], parts["own_etag"]
    assert (await bench.call("PATCH", path, {"zero_invoices": True}, if_match=own, **own_change)).is_success
    other = {"modules": {"documents": {"grace": "P3D"}}}
    assert (await bench.call("PATCH", path, other, if_match=parts["module_etags"]["documents"], **own_change)).is_success
    assert (await bench.call("PATCH", path, {"modules": {"time": {"grace": "P2D"}}}, if_match=of_time, **own_change)).is_success
    for body, tag in (
        ({"zero_invoices": False}, own),
        ({"modules": {"time": {"grace": "P1D"}}}, of_time),
        (other | {"zero_invoices": False}, (await bench.call("GET", path)).json()["own_etag"]),
    ):
        await bench.refused("PATCH", path, body, 412, if_match=tag, **own_change)
    none = await bench.refused("GET", f"/v1/tenants/{await bench.make_tenant(NOVEMBER)}/subscription/policies", status=404)
    assert none["type"] == "not-found"
    assert "found no subscription of this tenant. Check the tenant in the path, or let an operator" in none["detail"]


async def test_A2_policies_of_running_pools_are_changed_by_rest(bench: Bench) -> None:
    tenant = await subscribed(bench)
    assert (await policies_of(bench, tenant))["time"]["warn_at"] == "90%", "E8: the threshold that nobody chose"
    expand = {"over_limit": "expand", "expand_cap": 20, "grace": "P14D", "warn_at": None, "reduce_at": "now"}
    done = await changed(bench, tenant, modules={"time": expand, "documents": {"reduce_below_use": "block"}}, charge_when="next_invoice")
    assert (done["status"], done["by"]["id"]) == ("completed", "ann")
    assert {each["field"]: (each["old"], each["new"]) for each in done["changes"]} == {
        "charge_when": ("now", "next_invoice"),
        "documents.reduce_below_use": (None, "block"),
        "time.over_limit": (None, "expand"),
        "time.expand_cap": (None, 20),
        "time.grace": (None, "P14D"),
        "time.warn_at": ("90%", None),
        "time.reduce_at": (None, "now"),
    }
    sent = {command.module: command for command in await bench.commands(tenant, seats_v1.SetPolicy)}
    assert (sent["time"].unset, sent["time"].policies.expand_cap) == (("warn_at",), 20)
    shown = await policies_of(bench, tenant)
    assert (shown["time"]["grace"], shown["documents"]["warn_at"]) == ("P14D", "90%")
    assert "warn_at" not in shown["time"]
    (pools,) = await bench.events(tenant, invoicing_v1.PoliciesChanged)
    (own,) = await bench.events(tenant, invoicing_v1.ContractChanged)
    assert (pools.actor.id, pools.modules, own.charge_when) == ("ann", ("documents", "time"), "next_invoice")
    listed = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription/changes", tenant=tenant, rights=["account:read"])
    assert [each["change"] for each in listed["items"]] == [done["change"]]


async def test_T10_M14_a_changed_charge_when_holds_for_later_purchases_and_days(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.buy(tenant, {"module": "time", "add": 1})
    await changed(bench, tenant, charge_when="next_invoice")
    quote, order = await bench.buy(tenant, {"module": "time", "add": 1})
    assert (quote["charge"], order["invoice"]) == ("next_invoice", None)
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    await changed(bench, tenant, charge_when="now", zero_invoices=True)
    await changed(bench, tenant, credit_when="next_invoice", modules={"time": {"reduce_at": "now"}})
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", {"items": [{"module": "time", "total": 10}]}, tenant=tenant, **BUY)
    assert (offer["takes_effect"], offer["credit"]) == ("now", "next_invoice"), "the changed policies decide"
    assert len(await bench.events(tenant, InvoiceIssued)) == 1
    await bench.advance_clock(tenant, DECEMBER)
    (_, renewal) = await bench.events(tenant, InvoiceIssued)
    assert [(line.text_key, line.module, line.quantity) for line in renewal.lines] == [
        ("recurring", "documents", 4),
        ("recurring", "time", 12),
        ("adjustment", "time", 1),
    ]


async def test_M12_policies_that_seats_or_the_plan_would_refuse_are_refused_by_field(bench: Bench) -> None:
    tenant = await subscribed(bench)
    fixed = await subscribed(bench, {"time": 2}, plan="fixed")
    path = "/v1/tenants/{}/subscription/policies"
    wrong: list[tuple[str, dict[str, Any], str]] = [
        (tenant, {}, "body.modules"),
        (tenant, {"modules": {}}, "body.modules"),
        (tenant, {"modules": {"time": {}}}, "body.modules"),
        (tenant, {"modules": {"time": {"grace": "P1M"}}}, "body.modules.time.grace"),
        (tenant, {"modules": {"time": {"grace": None}}}, "body.modules.time.grace"),
        (tenant, {"modules": {"time": {"warn_at": "0%"}}}, "body.modules.time.warn_at"),
        (tenant, {"modules": {"time": {"flag_cap": -1}}}, "body.modules.time.flag_cap"),
        (tenant, {"modules": {"time": {"other": 1}}}, "body.modules.time.other"),
        (tenant, {"modules": {"time": {"over_limit": "expand"}}}, "body.modules.time.expand_cap"),
        (tenant, {"charge_when": "later"}, "body.charge_when"),
        (tenant, {"zero_invoices": 1}, "body.zero_invoices"),
        (fixed, {"modules": {"time": {"over_limit": "expand", "expand_cap": 5}}}, "body.modules.time.over_limit"),
    ]
    for of_tenant, body, field in wrong:
        problem = await bench.refused("PATCH", path.format(of_tenant), body, 422, tenant=of_tenant, **SET_AND_BUY)
        assert problem["errors"][0]["field"] == field, (body, problem)
    problem = await bench.refused("PATCH", path.format(tenant), {"modules": {"archive": {"grace": "P1D"}}}, tenant=tenant, **SET)
    assert (problem["type"], problem["subscribed"]) == ("module-not-subscribed", ["documents", "time"])
    costs = [{"over_limit": "expand", "expand_cap": 20}, {"expand_cap": None}, {"reduce_at": "now"}, {"terminate_reduces_pool": True}]
    about_money: list[dict[str, Any]] = [*({"modules": {"time": each}} for each in costs), {"charge_when": "now"}, {"credit_when": "now"}]
    needed: list[tuple[dict[str, Any], list[dict[str, Any]], str]] = [
        (BUY, [{"zero_invoices": True}], "settings:manage"),
        (SET, about_money, "account:buy"),
    ]
    for rights, bodies, right in needed:
        for body in bodies:
            assert (await bench.refused("PATCH", path.format(tenant), body, 403, tenant=tenant, **rights))["right"] == right, body
    assert await bench.commands(tenant, seats_v1.SetPolicy) == []
    harmless = {"modules": {"time": {"warn_at": "90%"}}}
    unchanged = await bench.ok("PATCH", path.format(tenant), harmless, tenant=tenant, **SET, prefer="wait=10")
    assert unchanged["changes"] == [], "nothing changes"


async def test_a_change_that_seats_rejects_is_refused_and_leaves_the_policies(bench: Bench) -> None:
    tenant = await subscribed(bench)
    bench.reject[seats_v1.SetPolicy] = "invalid_policy"
    done = await changed(bench, tenant, modules={"time": {"grace": "P14D"}})
    bench.reject.clear()
    assert (done["status"], done["reason"]) == ("refused", "invalid_policy")
    assert "grace" not in (await policies_of(bench, tenant))["time"]
    assert await bench.events(tenant, invoicing_v1.PoliciesChanged) == []


async def test_B9_charge_when_does_not_change_while_an_approved_order_counts_on_a_credit(bench: Bench) -> None:
    """The credit would wait for the next invoice together with an expansion of its module, and the order would cost more than approved."""
    tenant = await subscribed(bench)
    place = await bench.new_place(tenant)
    pools = bench.pools[tenant]
    pools.licences["time"] = pools.next_period["time"] = 8
    fields = {"module": "time", "by": 2, "reduce_at": "now", "pools": pools.states("time")}
    await bench.decide(seats_v1.PoolReduced, tenant, place, "other", "left", **fields)
    await bench.until_settled(tenant)
    bench.answering.clear()
    items = [{"module": "documents", "add": 1}]
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": items}, tenant=tenant, **BUY)
    assert quote["credit_net_minor"] > 0
    await bench.ok("POST", f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve", {}, tenant=tenant, **BUY)
    path = f"/v1/tenants/{tenant}/subscription/policies"
    waits = await bench.refused("PATCH", path, {"charge_when": "next_invoice"}, tenant=tenant, **SET_AND_BUY)
    assert (waits["type"], "counts on a credit" in waits["detail"]) == ("order-pending", True)
    await changed(bench, tenant, charge_when="now", credit_when="next_invoice")
    bench.answering.set()
    await bench.until_settled(tenant)
    await changed(bench, tenant, charge_when="next_invoice")
    assert await bench.events(tenant, InvoiceIssued) == [], "0.00, as approved"


async def test_M12_a_policy_that_is_set_back_before_seats_has_answered_is_set_back(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}/subscription/policies"
    bench.answering.clear()
    expand, back = {"over_limit": "expand", "expand_cap": 20, "warn_at": None}, {"over_limit": "flag", "warn_at": "90%"}
    first = await bench.ok("PATCH", path, {"modules": {"time": expand}}, tenant=tenant, **SET_AND_BUY)
    second = await bench.ok("PATCH", path, {"modules": {"time": back}}, tenant=tenant, **SET_AND_BUY)
    same = await bench.ok("PATCH", path, {"modules": {"time": back}}, tenant=tenant, **SET_AND_BUY)
    assert [each["status"] for each in (first, second, same)] == ["pending", "pending", "completed"]
    assert {each["field"]: (each["old"], each["new"]) for each in second["changes"]} == {
        "time.over_limit": ("expand", "flag"),
        "time.warn_at": (None, "90%"),
    }
    plan = {"plan": "fixed", "takes_effect": "period_end"}
    waits = await bench.refused("PUT", f"/v1/tenants/{tenant}/subscription/plan", plan, tenant=tenant, **BUY)
    assert (waits["type"], "change of policies" in waits["detail"]) == ("order-pending", True)
    bench.answering.set()
    await bench.until_settled(tenant)
    assert bench.pools[tenant].policies["time"].over_limit == "flag"
    shown = (await policies_of(bench, tenant))["time"]
    assert (shown["over_limit"], shown["expand_cap"], shown["warn_at"]) == ("flag", 20, "90%")


async def test_E10_a_module_is_added_to_a_running_subscription_and_charged_for_the_rest_of_the_period(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}/subscription/modules"
    quote = await bench.ok("POST", path, {"module": "archive", "licences": 3}, tenant=tenant, **BUY)
    assert (quote["new_module"], quote["net_minor"], quote["charge"]) == ("archive", 1440, "now")  # 3 x 9.00, 16 of 30 days
    assert (quote["next_period"]["before"]["net_minor"], quote["next_period"]["after"]["net_minor"]) == (20_000, 22_700)
    assert await bench.commands(tenant, seats_v1.OpenPool) != [], "those of the start"
    opened = len(await bench.commands(tenant, seats_v1.OpenPool))
    order = await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert order["status"] == "completed"
    assert order["invoice"]
    command = (await bench.commands(tenant, seats_v1.OpenPool))[opened]
    assert (command.module, command.licences, command.base, command.policies.warn_at) == ("archive", 3, False, "90%")
    (invoice,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity, line.net_minor) for line in invoice.lines] == [("archive", 3, 1440)]
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert [(module["module"], module["licences"], module["opened"]) for module in shown["modules"]] == [
        ("archive", 3, True),
        ("documents", 4, True),
        ("time", 10, True),
    ]
    assert shown["status"] == "active"
    problem = await bench.refused("POST", path, {"module": "archive", "licences": 1}, tenant=tenant, **BUY)
    assert problem["type"] == "module-subscribed"
    await bench.buy(tenant, {"module": "archive", "add": 1})
    await bench.advance_clock(tenant, DECEMBER)
    renewal = (await bench.events(tenant, InvoiceIssued))[-1]
    assert [(line.module, line.quantity) for line in renewal.lines] == [("archive", 4), ("documents", 4), ("time", 10)]


@pytest.mark.parametrize(
    ("of_base", "expected"),
    [
        ({"over_limit": "reject", "reduce_below_use": "block", "warn_at": "50%"}, ("reject", None, "block", "50%")),
        ({"over_limit": "expand", "expand_cap": 20, "reduce_at": "now"}, ("reject", None, None, "90%")),
    ],
    ids=["hard limit", "expands"],
)
async def test_E1_a_module_that_is_added_has_the_policies_of_the_base_module_and_never_expands_by_itself(
    bench: Bench, of_base: dict[str, Any], expected: tuple[str, int | None, str | None, str]
) -> None:
    tenant = await subscribed(bench)
    await changed(bench, tenant, modules={"time": of_base})
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/modules", {"module": "archive", "licences": 3}, tenant=tenant, **BUY)
    await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    opened = bench.pools[tenant].policies["archive"]
    assert (opened.over_limit, opened.expand_cap, opened.reduce_below_use, opened.warn_at) == expected
    assert opened.reduce_at == of_base.get("reduce_at")


async def test_a_module_that_cannot_be_added_is_refused(bench: Bench) -> None:
    tenant = await subscribed(bench, {"time": 10})
    path = f"/v1/tenants/{tenant}/subscription/modules"
    problem = await bench.refused("POST", path, {"module": "archive", "licences": 1}, tenant=tenant, **BUY)
    assert (problem["type"], problem["requires"]) == ("module-required", ["documents"])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"module": "absent", "licences": 1}, "body.module"),
        ({"module": "documents", "licences": 0}, "body.licences"),
        ({"module": "documents", "licences": 1, "policies": {"grace": "P1M"}}, "body.policies.grace"),
    ]
    for body, field in wrong:
        assert (await bench.refused("POST", path, body, 422, tenant=tenant, **BUY))["errors"][0]["field"] == field
    fixed = await subscribed(bench, {"time": 2}, plan="fixed")
    problem = await bench.refused(
        "POST", f"/v1/tenants/{fixed}/subscription/modules", {"module": "documents", "licences": 1}, tenant=fixed, **BUY
    )
    assert problem["type"] == "plan-without-extra-licences"
    bench.reject[seats_v1.OpenPool] = "pool_exists"
    quotes = [await bench.ok("POST", path, {"module": "documents", "licences": n}, tenant=tenant, **BUY) for n in (1, 2)]
    order = await bench.ok("POST", quotes[0]["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    bench.reject.clear()
    assert (order["status"], order["reason"]) == ("refused", "pool_exists")
    done = await bench.ok("POST", quotes[1]["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert done["status"] == "completed"


async def test_T14_a_closed_module_leaves_the_subscription_and_can_be_added_again(bench: Bench) -> None:
    tenant = await subscribed(bench, {"time": 10, "documents": 4, "archive": 2})
    reductions = f"/v1/tenants/{tenant}/reductions"
    problem = await bench.refused("POST", reductions, {"items": [{"module": "documents", "total": 0}]}, tenant=tenant, **BUY)
    assert (problem["type"], problem["module"]) == ("module-required", "archive")
    both = {"items": [{"module": "documents", "total": 0}, {"module": "archive", "total": 0}]}
    offer = await bench.ok("POST", reductions, both, tenant=tenant, **BUY)
    await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    await bench.advance_clock(tenant, DECEMBER)
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert [module["module"] for module in shown["modules"]] == ["time"]
    problem = await bench.refused(
        "POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "documents", "add": 1}]}, tenant=tenant, **BUY
    )
    assert problem["type"] == "module-not-subscribed"
    path = f"/v1/tenants/{tenant}/subscription/modules"
    quote = await bench.ok("POST", path, {"module": "documents", "licences": 1}, tenant=tenant, **BUY)
    order = await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert order["status"] == "completed"


async def plan_change(bench: Bench, tenant: str, **body: Any) -> dict[str, Any]:
    return dict(await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/plan-changes", body, tenant=tenant, **BUY))


async def approved(bench: Bench, tenant: str, offer: dict[str, Any]) -> dict[str, Any]:
    return dict(await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY))


async def test_B2_a_refused_purchase_names_the_call_that_upgrades_the_plan(bench: Bench) -> None:
    tenant = await subscribed(bench, {"time": 10}, plan="fixed")
    items = {"items": [{"module": "time", "add": 2}]}
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/quotes", items, tenant=tenant, **BUY)
    assert (problem["type"], problem["instead"]) == ("plan-without-extra-licences", "PUT …/subscription/plan")
    (body,) = [each for each in problem["bodies"] if each["plan"] == "standard"]
    assert body == {"plan": "standard", "takes_effect": "now"}
    done = await bench.ok("PUT", f"/v1/tenants/{tenant}/subscription/plan", body, tenant=tenant, **BUY)
    assert (done["status"], done["takes_effect"], done["takes_effect_on"]) == ("completed", "now", "2013-11-15")
    assert done["price"]["now"] == {"net_minor": 1067, "tax_minor": 267, "gross_minor": 1334}  # 10 x 2.00, 16 of 30 days
    assert (done["price"]["next_before"]["net_minor"], done["price"]["next_after"]["net_minor"]) == (10_000, 12_000)
    quote, order = await bench.buy(tenant, {"module": "time", "add": 2})
    assert (order["status"], quote["lines"][0]["unit_price_minor"]) == ("completed", 1200)
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    (_, upgrade) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity, line.unit_price_minor, line.net_minor) for line in upgrade.lines] == [("time", 10, 200, 1067)]
    (event,) = await bench.events(tenant, invoicing_v1.ContractChanged)
    assert (event.plan, event.term, event.actor.id, str(event.day)) == ("standard", "monthly", "ann", "2013-11-15")
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert (shown["plan"], shown["modules"][0]["unit_price_minor"]) == ("standard", 1200)
    await bench.advance_clock(tenant, DECEMBER)
    assert (await bench.events(tenant, InvoiceIssued))[-1].net_minor == 14_400


async def test_a_change_of_plan_that_cannot_be_is_refused(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}/subscription/plan-changes"
    await bench.ok("PUT", "/v1/modules/other", {"name": "Other", "base": True})
    listed = [{"module": "other", "term": "monthly", "amount_minor": 1}]
    await bench.ok("PUT", "/v1/plans/dollars", {"name": "Dollars", "currency": "USD", "prices": listed})
    await bench.ok("PUT", "/v1/plans/others", {"name": "Others", "currency": "EUR", "prices": listed})
    refused: list[tuple[dict[str, Any], str]] = [
        ({"plan": "standard"}, "plan-unchanged"),
        ({"plan": "dollars"}, "plan-currency"),
        ({"plan": "others"}, "plan-without-base-module"),
        ({"plan": "small", "takes_effect": "now"}, "plan-change-at-period-end"),
        ({"term": "annual", "takes_effect": "now"}, "plan-change-at-period-end"),
    ]
    for body, type_ in refused:
        assert (await bench.refused("POST", path, body, tenant=tenant, **BUY))["type"] == type_, body
    for body, field in (({}, "body.plan"), ({"plan": "absent"}, "body.plan"), ({"term": "weekly"}, "body.term")):
        assert (await bench.refused("POST", path, body, 422, tenant=tenant, **BUY))["errors"][0]["field"] == field
    offers = [await plan_change(bench, tenant, plan="fixed") for _ in range(2)]
    assert (await approved(bench, tenant, offers[0]))["status"] == "scheduled"
    assert (await approved(bench, tenant, offers[0]))["status"] == "scheduled", "a second approval changes nothing"
    assert (await bench.refused("POST", offers[1]["approve_url"], {}, tenant=tenant, **BUY))["type"] == "plan-change-scheduled"
    await bench.ok("POST", offers[0]["withdraw_url"], {}, tenant=tenant, **BUY)
    late = await plan_change(bench, tenant, plan="fixed")
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    assert (await bench.refused("POST", late["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-expired"
    changed = await plan_change(bench, tenant, plan="fixed")
    await bench.buy(tenant, {"module": "time", "add": 1})
    assert (await bench.refused("POST", changed["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-outdated"


async def test_B12_T18_a_downgrade_takes_effect_with_the_next_period(bench: Bench) -> None:
    """One module that the plan lacks, more licences than its maximum, and `expand`, which it does not allow."""
    tenant = await subscribed(bench)
    await changed(bench, tenant, modules={"time": {"over_limit": "expand", "expand_cap": 20}})
    reserved = WouldCancel(module="time", users=("hal",), count=1)
    bench.foreseen.reduction = Forecast([WouldFlag(module="time", users=("ann", "bob"), count=2)], [reserved])
    offer = await plan_change(bench, tenant, plan="small")
    bench.foreseen.reduction = Forecast()
    assert (offer["status"], offer["takes_effect"], offer["takes_effect_on"]) == ("offered", "period_end", "2013-12-01")
    assert offer["closes"] == ["documents"]
    assert offer["reduces"] == [{"module": "time", "before": 10, "total": 6}]
    assert offer["would_flag"] == [{"module": "time", "users": ["ann", "bob"], "count": 2}]
    assert {each["field"]: (each["old"], each["new"]) for each in offer["changes"]} == {
        "plan": ("standard", "small"),
        "time.over_limit": ("expand", "reject"),
        "time.expand_cap": (20, None),
    }
    assert (offer["price"]["next_before"]["net_minor"], offer["price"]["next_after"]["net_minor"]) == (20_000, 4800)
    narrow = await bench.ok("GET", offer["status_url"], tenant=tenant, rights=["account:read"], departments=["Sales"])
    assert narrow["would_flag"] == [{"module": "time", "users": [], "count": 2}]
    assert [each["would_cancel"] for each in (offer, narrow)] == [
        [{"module": "time", "users": users, "count": 1}] for users in (["hal"], [])
    ]
    assert (await approved(bench, tenant, offer))["status"] == "scheduled"
    (scheduled,) = await bench.events(tenant, invoicing_v1.PlanChangeScheduled)
    assert (scheduled.would_flag[0].count, scheduled.would_cancel) == (2, (reserved,))
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert (shown["plan"], shown["scheduled_plan_change"]) == ("standard", offer["change"])
    assert {module["module"]: module["next_period"] for module in shown["modules"]} == {"documents": 0, "time": 6}
    assert shown["next_period_net_minor"] == 4800
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity, line.unit_price_minor) for line in renewal.lines] == [("time", 6, 800)]
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert (shown["plan"], shown["scheduled_plan_change"]) == ("small", None)
    assert [(module["module"], module["licences"], module["next_period"]) for module in shown["modules"]] == [("time", 6, 6)]
    assert shown["modules"][0]["policies"]["over_limit"] == "reject"
    await bench.advance_clock(tenant, DECEMBER + A_DAY)
    assert len(await bench.events(tenant, InvoiceIssued)) == 1, "nothing is credited for what the invoice did not have"
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/quotes", {"items": [{"module": "time", "add": 1}]}, tenant=tenant, **BUY)
    assert problem["type"] == "plan-without-extra-licences"
    assert not (await bench.ok("GET", f"/v1/tenants/{tenant}/licences"))["buying"]["allows_extra_licences"]


async def test_a_downgrade_that_no_longer_fits_leaves_plan_price_and_seats(bench: Bench) -> None:
    tenant = await subscribed(bench)
    offer = await plan_change(bench, tenant, plan="small")
    await approved(bench, tenant, offer)
    listed = await bench.ok("GET", f"/v1/tenants/{tenant}/licences")
    assert {each["module"]: each["next_period"] for each in listed["modules"]} == {"documents": 0, "time": 6}
    assert listed["next_period_net_minor"] == 4800
    quote, _ = await bench.buy(tenant, {"module": "time", "add": 1})
    assert quote["cancels_plan_change"] == offer["change"]
    assert (quote["next_period"]["before"]["net_minor"], quote["next_period"]["after"]["net_minor"]) == (4800, 21_200)
    await bench.advance_clock(tenant, DECEMBER)
    (dropped,) = await bench.events(tenant, invoicing_v1.PlanChangeDropped)
    assert (dropped.reason, dropped.modules, dropped.plan) == ("bought_since", ("time",), "small")
    renewal = (await bench.events(tenant, InvoiceIssued))[-1]
    assert [(line.module, line.quantity, line.unit_price_minor) for line in renewal.lines] == [("documents", 4, 2000), ("time", 11, 1200)]
    assert await bench.commands(tenant, seats_v1.ReduceLicences) == []
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["plan"] == "standard"


async def test_B12_B13_a_downgrade_below_use_is_refused_and_a_withdrawn_one_changes_nothing(bench: Bench) -> None:
    tenant = await subscribed(bench)
    common = {"command": "x", "position": {"partition": 0, "offset": 0}, "role": "answer", "rules": 1, "at": NOVEMBER}
    refused = ReductionRefused.model_validate(common | {"reason": Reason.BELOW_USE, "module": "time", "must_free": 2})
    bench.foreseen.reduction = Forecast(refused=refused)
    path = f"/v1/tenants/{tenant}/subscription/plan-changes"
    problem = await bench.refused("POST", path, {"plan": "small"}, tenant=tenant, **BUY)
    bench.foreseen.reduction = Forecast()
    assert (problem["type"], problem["must_free"]) == ("reduction-below-use", 2)
    offer = await plan_change(bench, tenant, plan="small")
    await approved(bench, tenant, offer)
    await bench.advance_clock(tenant, DECEMBER - A_DAY)
    for _ in range(2):
        assert (await bench.ok("POST", offer["withdraw_url"], {}, tenant=tenant, **BUY))["status"] == "withdrawn"
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert renewal.net_minor == 20_000
    assert (await bench.refused("POST", offer["withdraw_url"] + "x", {}, 404, tenant=tenant, **BUY))["type"] == "not-found"
    assert len(await bench.events(tenant, invoicing_v1.PlanChangeWithdrawn)) == 1


async def test_M12_a_plan_fits_the_policies_that_seats_has_not_answered_yet_when_it_begins(bench: Bench) -> None:
    """Seats begins the period first, and answers the change of policies then."""
    tenant = await subscribed(bench, {"time": 4})
    await approved(bench, tenant, await plan_change(bench, tenant, plan="small"))
    bench.answering.clear()
    await bench.send(seats_v1.ClockAdvanced(number=1, to=DECEMBER), tenant)
    wanted = {"modules": {"time": {"over_limit": "expand", "expand_cap": 20, "grace": "P14D"}}}
    await bench.ok("PATCH", f"/v1/tenants/{tenant}/subscription/policies", wanted, tenant=tenant, **SET_AND_BUY)
    bench.answering.set()
    await bench.until_settled(tenant, at=DECEMBER)
    shown, known = (await policies_of(bench, tenant))["time"], bench.pools[tenant].policies["time"]
    assert (shown["over_limit"], shown["grace"], "expand_cap" in shown) == ("reject", "P14D", False)
    assert (known.over_limit, known.expand_cap, known.grace) == ("reject", None, "P14D")
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["plan"] == "small"


async def test_what_follows_from_a_plan_or_a_budget_is_sent_again_when_the_operator_resumes(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}"
    await changed(bench, tenant, modules={"time": {"over_limit": "expand", "expand_cap": 20}})
    offer = await plan_change(bench, tenant, plan="small")
    await approved(bench, tenant, offer)

    async def resume() -> list[str]:
        sent = (await bench.ok("POST", f"{path}/subscription/resume"))["sent"]
        await bench.until_settled(tenant)
        return list(sent)

    bench.reject = {seats_v1.SetPolicy: "error", seats_v1.ClosePool: "error"}
    budget = {"second_approver": "none", "monthly_budget_minor": 5_000}
    await bench.ok("PUT", f"{path}/purchase-settings", budget, tenant=tenant, **SET_AND_BUY)
    await bench.until_settled(tenant)
    bench.reject.pop(seats_v1.SetPolicy)
    assert await resume() == ["set_expand_cap time"]
    assert bench.pools[tenant].policies["time"].expand_cap == 10 + 4
    bench.reject[seats_v1.SetPolicy] = "error"
    await bench.advance_clock(tenant, DECEMBER)
    await bench.until_settled(tenant)
    bench.reject.clear()
    closing, policy = await resume()
    assert (closing, policy.split()[0], policy.endswith("/time")) == (f"apply_plan {offer['change']}/close/documents", "set_policy", True)
    shown = (await bench.ok("GET", f"{path}/subscription"))["modules"]
    assert [(each["module"], each["licences"], each["policies"]["over_limit"]) for each in shown] == [("time", 6, "reject")]
    assert (list(bench.pools[tenant].licences), bench.pools[tenant].policies["time"].over_limit) == (["time"], "reject")
    assert await resume() == []


async def test_what_a_former_plan_calls_for_is_not_sent_again_and_no_plan_follows_before_seats_has_done_it(bench: Bench) -> None:
    tenant = await subscribed(bench)
    path = f"/v1/tenants/{tenant}"
    await approved(bench, tenant, await plan_change(bench, tenant, plan="small"))
    bench.reject = {seats_v1.ReduceLicences: "error", (seats_v1.ClosePool, "documents"): "error"}
    await bench.advance_clock(tenant, DECEMBER)
    await bench.until_settled(tenant)
    bench.reject.clear()
    offer = await plan_change(bench, tenant, plan="standard")
    refused = await bench.refused("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
    assert (refused["type"], "present plan" in refused["detail"]) == ("order-pending", True)
    assert [each.split("/", 1)[1] for each in (await bench.ok("POST", f"{path}/subscription/resume"))["sent"]] == [
        "close/documents",
        "reduce",
    ]
    await bench.until_settled(tenant)
    assert bench.pools[tenant].licences == {"time": 6}
    await approved(bench, tenant, await plan_change(bench, tenant, plan="standard"))
    assert (await bench.ok("POST", f"{path}/subscription/resume"))["sent"] == []


async def test_M12_what_a_price_list_calls_for_ends_with_the_pool_and_counts_for_no_later_subscription(bench: Bench) -> None:
    """Seats rejects the policies of one pool when the list begins; the vendor ends the subscription at once, and another one begins."""
    prices, expand = {"time": 1200, "documents": 2000}, {"over_limit": "expand", "expand_cap": 9}
    await bench.price("narrower", prices)
    tenant = await subscribed(bench, {"time": 4, "documents": 2}, plan="narrower", price_notice="P1D")
    await changed(bench, tenant, modules={"time": expand, "documents": expand})
    await bench.price("narrower", prices, extra=False)
    await bench.until_settled(tenant)
    bench.reject = {(seats_v1.SetPolicy, "time"): "error"}
    await bench.advance_clock(tenant, DECEMBER)
    await bench.until_settled(tenant)
    bench.reject.clear()
    path = f"/v1/tenants/{tenant}"
    await bench.ok("POST", f"{path}/subscription/end", {"reason": "a mistake"}, prefer="wait=10")
    await bench.until_settled(tenant)
    await bench.subscribe(tenant, {"time": 4}, "2013-12-01")
    await bench.until_active(tenant)
    await changed(bench, tenant, modules={"time": expand})
    assert (await bench.ok("POST", f"{path}/subscription/resume"))["sent"] == []
    assert (await policies_of(bench, tenant))["time"]["over_limit"] == "expand"
    assert (await approved(bench, tenant, await plan_change(bench, tenant, plan="limited")))["status"] == "scheduled"


async def test_M12_a_module_whose_pool_opens_after_another_price_list_began_has_its_conditions(bench: Bench) -> None:
    prices, expand = {"time": 1200, "documents": 2000}, {"over_limit": "expand", "expand_cap": 9}
    await bench.price("tightening", prices)
    tenant = await subscribed(bench, {"time": 4}, plan="tightening", price_notice="P1D")
    await bench.price("tightening", prices, extra=False)
    await bench.until_settled(tenant)
    body = {"module": "documents", "licences": 2, "policies": expand}
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/modules", body, tenant=tenant, **SET_AND_BUY)
    bench.answering.clear()
    await bench.send(seats_v1.ClockAdvanced(number=1, to=DECEMBER), tenant)
    await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    bench.answering.set()
    await bench.until_settled(tenant, at=DECEMBER)
    known = bench.pools[tenant].policies["documents"]
    assert (known.over_limit, known.expand_cap, (await policies_of(bench, tenant))["documents"]["over_limit"]) == ("reject", None, "reject")
    (told,) = await bench.events(tenant, invoicing_v1.PoliciesChanged)
    assert (told.reason, told.modules) == ("price_list", ("documents",))


@pytest.mark.parametrize("by_plan", [False, True])
async def test_M12_a_change_of_policies_that_seats_rejects_after_a_renewal_leaves_nothing_that_the_new_conditions_forbid(
    bench: Bench, by_plan: bool
) -> None:
    """The customer sets `reject`, which would fit; before seats answers, a period begins that allows no expansion."""

    class Once(dict[Any, str]):
        def get(self, key: Any, default: Any = None) -> Any:
            return self.pop(key, default)

    plan, prices, expand = f"closing-{by_plan}".lower(), {"time": 1200}, {"over_limit": "expand", "expand_cap": 9}
    await bench.price(plan, prices)
    tenant = await subscribed(bench, {"time": 4}, plan=plan, price_notice="P1D")
    await changed(bench, tenant, modules={"time": expand})
    if by_plan:
        await approved(bench, tenant, await plan_change(bench, tenant, plan="small"))
    else:
        await bench.price(plan, prices, extra=False)
    await bench.until_settled(tenant)
    bench.answering.clear()
    await bench.send(seats_v1.ClockAdvanced(number=1, to=DECEMBER), tenant)
    path = f"/v1/tenants/{tenant}/subscription"
    refused = await bench.ok("PATCH", f"{path}/policies", {"modules": {"time": {"over_limit": "reject"}}}, tenant=tenant, **SET_AND_BUY)
    bench.reject = Once({(seats_v1.SetPolicy, "time"): "error"})
    bench.answering.set()
    await bench.until_settled(tenant, at=DECEMBER)
    bench.reject = {}
    shown = {each["change"]: each["status"] for each in (await bench.ok("GET", f"{path}/changes"))["items"]}
    assert shown[refused["change"]] == "refused"
    known = bench.pools[tenant].policies["time"]
    assert (known.over_limit, known.expand_cap, (await policies_of(bench, tenant))["time"]["over_limit"]) == ("reject", None, "reject")
    assert [each.reason for each in await bench.events(tenant, invoicing_v1.PoliciesChanged)][1:] == ["price_list"]


async def test_a_module_whose_pool_opens_days_after_the_period_of_its_order_is_charged_and_holds_up_no_test_clock(bench: Bench) -> None:
    tenant, later = await subscribed(bench, {"time": 4}), DECEMBER + 3 * A_DAY
    body = {"module": "documents", "licences": 2}
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/modules", body, tenant=tenant, **BUY)
    bench.answering.clear()
    await bench.send(seats_v1.ClockAdvanced(number=1, to=later), tenant)
    await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY)
    await until_relayed(bench.wiring.database, tenant)
    bench.answering.set()
    await bench.until_settled(tenant, at=later)
    *_, charged = await bench.events(tenant, invoicing_v1.InvoiceIssued)
    assert [(line.module, line.quantity, line.net_minor) for line in charged.lines] == [("documents", 2, 4000)]


async def test_B6_another_term_takes_effect_with_the_next_period(bench: Bench) -> None:
    tenant = await subscribed(bench, {"time": 10})
    offer = await plan_change(bench, tenant, term="annual")
    assert (offer["takes_effect"], offer["price"]["next_after"]["net_minor"]) == ("period_end", 120_000)
    await approved(bench, tenant, offer)
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.unit_price_minor, str(line.to_day)) for line in renewal.lines] == [(12_000, "2014-12-01")]
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert (shown["term"], shown["period"]) == ("annual", {"start": "2013-12-01", "end": "2014-12-01"})
    scheduled = (await bench.commands(tenant, seats_v1.SchedulePeriod))[-1]
    assert scheduled.period == "2014-12-01"


async def test_T12_the_plan_s_minimum_and_maximum_hold_for_every_number(bench: Bench) -> None:
    tenant = await subscribed(bench, {"time": 10}, plan="limited")
    path = f"/v1/tenants/{tenant}"
    more, fewer = {"items": [{"module": "time", "add": 3}]}, {"items": [{"module": "time", "total": 2}]}
    problem = await bench.refused("POST", f"{path}/quotes", more, tenant=tenant, **BUY)
    assert (problem["type"], problem["maximum"]) == ("plan-maximum", 12)
    for method, end in (("POST", "reductions"), ("PUT", "next-period")):
        problem = await bench.refused(method, f"{path}/{end}", fewer, tenant=tenant, **BUY)
        assert (problem["type"], problem["minimum"]) == ("plan-minimum", 3)
    (listed,) = (await bench.ok("GET", f"{path}/licences"))["modules"]
    assert (listed["minimum"], listed["may_reduce"]) == (3, True)
    cap = {"modules": {"time": {"over_limit": "expand", "expand_cap": 13}}}
    problem = await bench.refused("PATCH", f"{path}/subscription/policies", cap, 422, tenant=tenant, **SET_AND_BUY)
    assert problem["errors"][0]["field"] == "body.modules.time.expand_cap"
    other = await bench.make_tenant(NOVEMBER)
    await bench.bill(other)
    start = {"plan": "limited", "term": "monthly", "period_start": "2013-11-01", "modules": [{"module": "time", "licences": 13}]}
    problem = await bench.refused("POST", f"/v1/tenants/{other}/subscription", start, 422)
    assert problem["errors"][0]["field"] == "body.modules.0.licences"


async def test_T8_B9_a_running_subscription_takes_new_prices_at_a_renewal_after_the_announcement(bench: Bench) -> None:
    """`price_notice` is 20 days: the renewal after 16 days keeps the old price."""
    old, new = {"time": 1200, "documents": 2000}, {"time": 1300, "documents": 2000}
    await bench.price("listed", old)
    tenant = await subscribed(bench, plan="listed", price_notice="P20D")
    items = {"items": [{"module": "time", "add": 1}]}
    quote = await bench.ok("POST", f"/v1/tenants/{tenant}/quotes", items, tenant=tenant, **BUY)
    await bench.price("listed", new)
    await bench.until_settled(tenant)
    (told,) = await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)
    assert (str(told.takes_effect_on), told.before.net_minor, told.after.net_minor) == ("2014-01-01", 20_000, 21_000)
    assert [(each.field, each.old, each.new) for each in told.changes] == [("time.price", 12_000, 13_000)]
    prices = [{"module": "documents", "unit_price_minor": 2000}, {"module": "time", "unit_price_minor": 1300}]
    (coming,) = (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["coming_prices"]
    assert coming == {"from_day": "2014-01-01", "version": 2, "prices": prices}
    order = await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert (order["status"], quote["lines"][0]["unit_price_minor"]) == ("completed", 1200), "a quote made before the list holds"
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming"))["net_minor"] == 11 * 1200 + 8000
    await bench.advance_clock(tenant, DECEMBER)
    assert (await bench.events(tenant, InvoiceIssued))[-1].net_minor == 11 * 1200 + 8000, "16 days are too few"
    quote, _ = await bench.buy(tenant, {"module": "time", "add": 1})
    assert (quote["lines"][0]["unit_price_minor"], quote["next_period"]["after"]["net_minor"]) == (1200, 12 * 1300 + 8000)
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/licences"))["next_period_net_minor"] == 12 * 1300 + 8000
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming"))["net_minor"] == 12 * 1300 + 8000
    await bench.advance_clock(tenant, datetime(2014, 1, 1, tzinfo=UTC))
    assert (await bench.events(tenant, InvoiceIssued))[-1].net_minor == 12 * 1300 + 8000
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["coming_prices"] == []
    quote, _ = await bench.buy(tenant, {"module": "time", "add": 1})
    assert quote["lines"][0]["unit_price_minor"] == 1300
    assert len(await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)) == 1


async def test_B9_a_tenant_is_told_once_that_announced_prices_are_taken_back(bench: Bench) -> None:
    await bench.price("wavering", {"time": 1200})
    tenant = await subscribed(bench, {"time": 10}, plan="wavering", price_notice="P20D")
    await bench.price("wavering", {"time": 1500})
    await bench.until_settled(tenant)
    for name in ("Wavering", "Renamed"):
        await bench.price("wavering", {"time": 1200}, name=name)
        await bench.until_settled(tenant)
    (back,) = await bench.events(tenant, invoicing_v1.PriceChangeWithdrawn)
    assert (str(back.takes_effect_on), back.before.net_minor, back.after.net_minor) == ("2014-01-01", 15_000, 12_000)
    assert [(each.field, each.old, each.new) for each in back.changes] == [("time.price", 15_000, 12_000)]
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["coming_prices"] == []
    await bench.price("wavering", {"time": 1500})
    await bench.until_settled(tenant)
    assert [each.plan_version for each in await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)] == [2, 5], "it rises after all"
    for begin in (DECEMBER, datetime(2014, 1, 1, tzinfo=UTC)):
        await bench.advance_clock(tenant, begin)
    assert [each.net_minor for each in await bench.events(tenant, InvoiceIssued)] == [12_000, 15_000]


async def test_B9_a_tenant_is_told_of_prices_that_are_taken_back_just_before_their_renewal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal comes before the next look at the price lists, which would tell it."""

    async def no_look(*given: Any) -> None:
        """Nobody looks."""

    await bench.price("hasty", {"time": 1200})
    tenant = await subscribed(bench, {"time": 10}, plan="hasty", price_notice="P10D")
    await bench.price("hasty", {"time": 1500})
    await bench.until_settled(tenant)
    with monkeypatch.context() as patched:
        patched.setattr(store.price_lists, "look_at_all", no_look)
        await bench.price("hasty", {"time": 1200}, name="Back")
    await bench.advance_clock(tenant, DECEMBER)
    assert [each.net_minor for each in await bench.events(tenant, InvoiceIssued)] == [12_000]
    (back,) = await bench.events(tenant, invoicing_v1.PriceChangeWithdrawn)
    assert (str(back.takes_effect_on), back.before.net_minor, back.after.net_minor) == ("2013-12-01", 15_000, 12_000)
    assert [(each.field, each.old, each.new) for each in back.changes] == [("time.price", 15_000, 12_000)]
    await bench.price("hasty", {"time": 1200}, name="Again")
    await bench.until_settled(tenant)
    assert len(await bench.events(tenant, invoicing_v1.PriceChangeWithdrawn)) == 1


async def test_B2_M12_a_running_subscription_takes_new_conditions_like_prices_and_nothing_expands_beyond_them(bench: Bench) -> None:
    """December is too soon for both lists. January has a lower maximum, and from February on the plan allows no extra licences."""
    prices = {"time": 1200, "documents": 2000}
    await bench.price("strict", prices)
    tenant = await subscribed(bench, plan="strict", price_notice="P20D")
    expand = {"over_limit": "expand", "expand_cap": 20}
    await changed(bench, tenant, modules={"time": expand, "documents": expand | {"expand_cap": 9}})
    limits = [{"module": "time", "minimum": 2, "maximum": 12}]
    await bench.price("strict", prices, limits=limits)
    await bench.price("strict", prices, extra=False, limits=limits, holds_from="2014-02-01")
    await bench.until_settled(tenant)
    first, second = await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)
    assert (str(first.takes_effect_on), first.before, str(second.takes_effect_on)) == ("2014-01-01", first.after, "2014-02-01")
    assert [(each.field, each.old, each.new) for each in first.changes] == [
        ("time.minimum", 1, 2),
        ("time.maximum", None, 12),
        ("time.expand_cap", 20, 12),
    ]
    assert [(each.field, each.old, each.new) for each in second.changes] == [
        ("allows_extra_licences", True, False),
        ("documents.over_limit", "expand", "reject"),
        ("documents.expand_cap", 9, None),
        ("time.over_limit", "expand", "reject"),
        ("time.expand_cap", 12, None),
    ]
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["coming_prices"] == []
    await bench.advance_clock(tenant, DECEMBER)
    await bench.buy(tenant, {"module": "time", "add": 3})
    assert (await policies_of(bench, tenant))["time"]["expand_cap"] == 20
    await bench.advance_clock(tenant, datetime(2014, 1, 1, tzinfo=UTC))
    await bench.until_settled(tenant)
    shown = await policies_of(bench, tenant)
    assert (shown["time"]["expand_cap"], shown["documents"]["expand_cap"]) == (12, 9)
    items = {"items": [{"module": "time", "add": 1}]}
    assert (await bench.refused("POST", f"/v1/tenants/{tenant}/quotes", items, tenant=tenant, **BUY))["type"] == "plan-maximum"
    await bench.advance_clock(tenant, datetime(2014, 2, 1, tzinfo=UTC))
    await bench.until_settled(tenant)
    shown = await policies_of(bench, tenant)
    assert all(shown[module]["over_limit"] == "reject" and "expand_cap" not in shown[module] for module in ("time", "documents"))
    refused = await bench.refused("POST", f"/v1/tenants/{tenant}/quotes", items, tenant=tenant, **BUY)
    assert refused["type"] == "plan-without-extra-licences"
    told = (await bench.events(tenant, invoicing_v1.PoliciesChanged))[1:]
    assert [(each.reason, each.actor.kind, each.modules) for each in told] == [
        ("price_list", "system", ("time",)),
        ("price_list", "system", ("documents", "time")),
    ]
    assert len(await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)) == 2


async def test_B9_a_module_that_is_added_later_gets_its_own_announcement_before_its_price_changes(bench: Bench) -> None:
    def prices(*amounts: int) -> dict[str, int]:
        return dict(zip(("time", "documents", "archive"), amounts, strict=True))

    async def add(module: str) -> dict[str, Any]:
        path, body = f"/v1/tenants/{tenant}/subscription/modules", {"module": module, "licences": 2}
        quote = await bench.ok("POST", path, body, tenant=tenant, **BUY)
        await bench.ok("POST", quote["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
        await bench.until_settled(tenant)
        return dict(quote)

    async def told() -> list[tuple[str, list[tuple[str, Any, Any]]]]:
        found = await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)
        return [(str(each.takes_effect_on), [(one.field, one.old, one.new) for one in each.changes]) for each in found]

    await bench.price("wider", prices(1200, 2000, 900))
    tenant = await subscribed(bench, {"time": 10}, plan="wider", price_notice="P20D")
    await bench.price("wider", prices(1200, 2500, 900))
    await bench.until_settled(tenant)
    assert await told() == [], "it has none of the dearer module"
    quote = await add("documents")
    assert quote["lines"][0]["unit_price_minor"] == 2000
    expected: list[Any] = [("2014-01-01", [("documents.price", 4000, 5000)])]
    assert await told() == expected, "a list that was not announced when it was made"
    await bench.price("wider", prices(1300, 2500, 950))
    await bench.until_settled(tenant)
    expected.append(("2014-01-01", [("time.price", 12_000, 13_000)]))
    assert await told() == expected
    await add("archive")
    expected.append(("2014-01-01", [("archive.price", 1800, 1900)]))
    assert await told() == expected, "a list that was announced for the other modules"
    await bench.advance_clock(tenant, DECEMBER)
    assert (await bench.events(tenant, InvoiceIssued))[-1].net_minor == 12_000 + 4000 + 1800
    await bench.advance_clock(tenant, datetime(2014, 1, 1, tzinfo=UTC))
    assert (await bench.events(tenant, InvoiceIssued))[-1].net_minor == 13_000 + 5000 + 1900
    assert await told() == expected


async def test_a_list_with_a_later_day_counts_for_contracts_from_that_day_on_and_is_announced_to_those_before_it(bench: Bench) -> None:
    await bench.price("dated", {"time": 1000})
    listed = [{"module": "time", "term": "monthly", "amount_minor": 1500}, {"module": "time", "term": "annual", "amount_minor": 10_000}]
    body = {"name": "Dated", "currency": "EUR", "prices": listed, "holds_from": "2014-02-01"}
    assert (await bench.ok("PUT", "/v1/plans/dated", body))["holds_from"] == "2014-02-01"
    tenant = await subscribed(bench, {"time": 2}, plan="dated")
    (told,) = await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)
    assert (str(told.takes_effect_on), told.before.net_minor, told.after.net_minor) == ("2014-02-01", 2000, 3000)
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["modules"][0]["unit_price_minor"] == 1000
    later = await bench.subscribed(datetime(2014, 2, 3, tzinfo=UTC), {"time": 2}, "2014-02-01", plan="dated")
    for who, version, amount, following in ((tenant, 1, 1000, [(2, "2014-02-01", 1500)]), (later, 2, 1500, [])):
        (plan,) = [each for each in (await bench.ok("GET", "/v1/plans", tenant=who, rights=[]))["items"] if each["plan"] == "dated"]
        assert (plan["version"], plan["prices"][1]["amount_minor"]) == (version, amount), "the price in force is the price"
        assert [(each["version"], each["holds_from"], each["prices"][1]["amount_minor"]) for each in plan["later"]] == following
    assert (await bench.ok("GET", f"/v1/tenants/{later}/subscription"))["modules"][0]["unit_price_minor"] == 1500
    assert await bench.events(later, invoicing_v1.PriceChangeAnnounced) == []
    path = f"/v1/tenants/{tenant}/subscription/policies"
    assert (await bench.refused("PATCH", path, {"price_notice": "P365D"}, 403, tenant=tenant, **SET))["field"] == "body.price_notice"
    await bench.ok("PATCH", path, {"price_notice": "P365D"})
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/subscription"))["price_notice"] == "P365D"
    await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/end", {"reason": "another company"}, prefer="wait=10")
    await bench.until_settled(tenant)
    await bench.subscribe(tenant, {"time": 2}, "2013-11-01", plan="dated", price_notice="P100D")
    await bench.until_active(tenant)
    await bench.until_settled(tenant)
    (_, again) = await bench.events(tenant, invoicing_v1.PriceChangeAnnounced)
    assert str(again.takes_effect_on) == "2014-03-01", "an announcement counts for its own subscription only"


async def test_M15_the_next_invoice_and_the_forecast_know_the_scheduled_plan(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.use(tenant, "time", 8, NOVEMBER)
    offer = await plan_change(bench, tenant, plan="small")
    await approved(bench, tenant, offer)
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices/upcoming")
    assert [(line["module"], line["quantity"], line["net_minor"]) for line in shown["lines"]] == [("time", 6, 4800)]
    reserved = [WouldCancel(module="time", users=("hal",), count=1)]
    bench.foreseen.reduction = Forecast([WouldFlag(module="time", users=("ann", "bob"), count=2)], reserved)
    try:
        await bench.advance_clock(tenant, datetime(2013, 11, 24, 12, tzinfo=UTC))
        (told,) = await bench.events(tenant, invoicing_v1.RenewalForecast)
        assert (told.days, [(each.module, each.count) for each in told.would_flag]) == (7, [("time", 2)])
        assert list(told.would_cancel) == reserved
        bench.foreseen.reduction = Forecast([WouldFlag(module="time", users=("ann", "bob", "cy"), count=3)])
        await bench.use(tenant, "time", 9, datetime(2013, 11, 24, 12, tzinfo=UTC))
        await bench.until_settled(tenant)
        worse = (await bench.events(tenant, invoicing_v1.RenewalForecast))[1:]
        assert [(each.at.day, each.would_flag[0].count) for each in worse] == [(24, 3)], "at once: the plan allows six licences"
    finally:
        bench.foreseen.reduction = Forecast()


async def test_M15_B12_the_next_invoice_asks_seats_where_people_decide_about_the_number(bench: Bench) -> None:
    """Under `block`, eight seats are in use; five people leave with the last day of the period."""
    tenant = await subscribed(bench)
    await bench.use(tenant, "time", 8, NOVEMBER)
    bench.foreseen.renewal = begins(time=8, documents=4)
    path = f"/v1/tenants/{tenant}/invoices/upcoming"

    async def quantities() -> dict[str, int]:
        return {line["module"]: line["quantity"] for line in (await bench.ok("GET", path))["lines"]}

    try:
        await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", {"items": [{"module": "time", "total": 5}]}, tenant=tenant, **BUY)
        await bench.until_settled(tenant)
        assert await quantities() == {"documents": 4, "time": 5}, "nobody's leaving changes the number"
        await changed(bench, tenant, modules={"time": {"reduce_below_use": "block"}})
        assert await quantities() == {"documents": 4, "time": 8}
        bench.foreseen.renewal = None
        assert await quantities() == {"documents": 4, "time": 5}, "seats does not answer"
        await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", {"items": [{"module": "time", "total": 10}]}, tenant=tenant, **BUY)
        await bench.until_settled(tenant)
        await approved(bench, tenant, await plan_change(bench, tenant, plan="small"))
        bench.foreseen.renewal = begins(time=10, documents=4)
        assert await quantities() == {"documents": 4, "time": 10}, "eight do not fit into the plan's six, so it would be dropped"
        bench.foreseen.renewal = begins(time=10, documents=4, active=3)
        assert await quantities() == {"time": 6}, "three fit"
        await bench.advance_clock(tenant, DECEMBER)
    finally:
        bench.foreseen.renewal = Forecast()


def begins(active: int = 8, **licences: int) -> Forecast:
    """What seats foresees: the period begins with these licences, and so many people use them."""
    numbers: dict[str, Any] = {"flagged": 0, "held": 0, "waiting": 0, "available": 0}
    pools = tuple(PoolState(module=m, licences=n, next_period=n, active=min(active, n), **numbers) for m, n in licences.items())
    items = tuple(LicenceCount(module=module, quantity=number) for module, number in licences.items())
    about: dict[str, Any] = {"command": "x", "position": {"partition": 0, "offset": 0}, "role": "settled", "rules": 1, "at": DECEMBER}
    return Forecast(period=PeriodStarted(**about, reason="period_began", starts_at=DECEMBER, licences=items, pools=pools))
