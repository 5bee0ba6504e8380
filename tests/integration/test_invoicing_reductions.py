"""Customers reduce their licences by REST: the offer, its approval, seats' answer, and the money."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.invoicing.use_cases.seats_questions import Forecast, ReadPools
from shared.schemas import invoicing_v1, seats_v1, topics
from shared.schemas.invoicing_v1 import InvoiceIssued, RenewalForecast
from shared.schemas.position import Position
from shared.schemas.seats_v1 import Reason, ReductionRefused, WouldCancel, WouldFlag
from shared.settings import KafkaSettings
from tests.support.invoicing import A_DAY, NOVEMBER, Bench, running_bench, settings_of
from tests.support.wait import wait_until
from tests.support.wire import until_relayed

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
BUY: dict[str, Any] = {"rights": ["account:buy"]}
DECEMBER = datetime(2013, 12, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings]) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("invoicing"), make_kafka_settings())) as bench:
        await bench.catalogue(time=1200, documents=2000)
        yield bench


async def subscribed(bench: Bench, *, at_once: bool = False) -> str:
    policies = {"reduce_at": "now"} if at_once else {}
    modules = [{"module": module, "licences": count, "policies": policies} for module, count in (("time", 10), ("documents", 4))]
    return await bench.subscribed(NOVEMBER, {}, "2013-11-01", billed_until="2013-12-01", credit_when="now", modules=modules)


def total(**numbers: int) -> dict[str, Any]:
    return {"items": [{"module": module, "total": number} for module, number in numbers.items()]}


async def approved(bench: Bench, tenant: str, **numbers: int) -> dict[str, Any]:
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(**numbers), tenant=tenant, **BUY)
    return dict(await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10"))


async def test_T12_T16_T18_B11_B14_M15_an_approved_reduction_takes_effect_with_the_next_period(bench: Bench) -> None:
    tenant = await subscribed(bench)
    reserved = WouldCancel(module="time", users=("hal",), count=1)
    bench.foreseen.reduction = Forecast([WouldFlag(module="time", users=("ann", "bob"), count=2)], [reserved])
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    assert (offer["status"], offer["takes_effect"], offer["items"]) == (
        "offered",
        "period_end",
        [{"module": "time", "before": 10, "total": 6}],
    )
    assert (offer["next_period_before"]["net_minor"], offer["next_period_after"]["net_minor"]) == (20_000, 15_200)
    assert offer["would_flag"] == [{"module": "time", "users": ["ann", "bob"], "count": 2}]
    narrow = await bench.ok("GET", offer["status_url"], tenant=tenant, rights=["account:read"], departments=["Sales"])
    assert narrow["would_flag"] == [{"module": "time", "users": [], "count": 2}], "E9: a caller with a viewset gets the number"
    assert offer["would_cancel"] == [{"module": "time", "users": ["hal"], "count": 1}]
    assert narrow["would_cancel"] == [{"module": "time", "users": [], "count": 1}]
    assert await bench.commands(tenant, seats_v1.ScheduleReduction) == [], "nothing before the approval"
    done = await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert (done["status"], done["would_flag"], done["would_cancel"]) == ("completed", offer["would_flag"], offer["would_cancel"])
    assert done["detail"] == {}
    bench.foreseen.reduction = Forecast()
    (ordered,) = await bench.events(tenant, invoicing_v1.ReductionOrdered)
    assert [(change.field, change.old, change.new) for change in ordered.changes] == [("time.next_period", 10, 6)]
    assert (ordered.actor.id, str(ordered.approved_on)) == ("ann", "2013-11-15")
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity) for line in renewal.lines] == [("documents", 4), ("time", 6)]


async def test_M15_the_administrators_are_told_before_a_renewal_that_would_flag_people_and_when_it_gets_worse(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.use(tenant, "time", 5, NOVEMBER)
    await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", total(time=6), tenant=tenant, **BUY, prefer="wait=10")

    async def told() -> list[tuple[str, int, int]]:
        await bench.until_settled(tenant)
        events = await bench.events(tenant, RenewalForecast)
        return [(event.at.date().isoformat(), event.days, event.would_flag[0].count) for event in events]

    bench.foreseen.renewal = Forecast([WouldFlag(module="time", users=("ann", "bob"), count=2)])
    try:
        assert await told() == [], "five people fit into six licences"
        await bench.use(tenant, "time", 8, NOVEMBER)
        expected = [("2013-11-15", 16, 2)]
        assert await told() == expected, "at once: this change made it worse"
        await bench.use(tenant, "time", 8, NOVEMBER)
        assert await told() == expected, "the same forecast is not repeated"
        await bench.advance_clock(tenant, datetime(2013, 11, 23, 22, 59, tzinfo=UTC))
        assert await told() == expected
        await bench.advance_clock(tenant, datetime(2013, 11, 24, 12, tzinfo=UTC))
        expected.append(("2013-11-23", 7, 2))  # midnight in Copenhagen
        assert await told() == expected
        bench.foreseen.renewal = Forecast([WouldFlag(module="time", users=("ann", "bob", "cy"), count=3)])
        await bench.use(tenant, "time", 9, datetime(2013, 11, 24, 12, tzinfo=UTC))
        expected.append(("2013-11-24", 7, 3))
        assert await told() == expected
        assert await at_renewal(bench, tenant) == [(None, None), (3, 0)]
        bench.foreseen.renewal = Forecast()  # people will leave before the renewal
        assert await at_renewal(bench, tenant) == [(None, None), (0, 0)]
        bench.foreseen.renewal = None
        assert await at_renewal(bench, tenant) == [(None, None), (None, None)]
        bench.foreseen.renewal = Forecast()
        await bench.advance_clock(tenant, DECEMBER)
        assert await told() == expected
    finally:
        bench.foreseen.renewal = Forecast()


async def test_M15_the_forecast_comes_30_7_and_1_days_before_a_renewal(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.advance_clock(tenant, DECEMBER)
    await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", total(time=6), tenant=tenant, **BUY, prefer="wait=10")
    bench.foreseen.renewal = Forecast([WouldFlag(module="time", users=("ann", "bob"), count=2)])
    try:
        await bench.use(tenant, "time", 8, DECEMBER)
        await bench.until_settled(tenant)
        for days, told in ((31, []), (30, [30]), (29, [30]), (8, [30]), (7, [30, 7]), (2, [30, 7]), (1, [30, 7, 1])):
            await bench.advance_clock(tenant, datetime(2014, 1, 1, 12, tzinfo=UTC) - days * A_DAY)
            events = await bench.events(tenant, RenewalForecast)
            assert [(event.days, str(event.begins_on), event.would_flag[0].users) for event in events] == [
                (each, "2014-01-01", ("ann", "bob")) for each in told
            ]
    finally:
        bench.foreseen.renewal = Forecast()


async def test_M15_the_administrators_are_told_before_a_renewal_that_would_cancel_reservations_and_when_it_gets_worse(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", total(time=6), tenant=tenant, **BUY, prefer="wait=10")

    async def told() -> list[tuple[int, int, int]]:
        await bench.until_settled(tenant)
        events = await bench.events(tenant, RenewalForecast)
        return [(event.days, sum(w.count for w in event.would_flag), sum(w.count for w in event.would_cancel)) for event in events]

    def foresee(flagged: int, reserved: int) -> None:
        people = [WouldFlag(module="time", users=("ann",), count=flagged)] if flagged else []
        bench.foreseen.renewal = Forecast(people, [WouldCancel(module="time", users=("hal",), count=reserved)] if reserved else [])

    expected: list[tuple[int, int, int]] = []
    try:
        # Each time, more seats are in use than the renewal has licences: a change of the pool is a reason to ask seats again.
        for flagged, reserved, is_worse in (
            (0, 1, True),
            (0, 1, False),
            (0, 2, True),
            (1, 1, True),  # a reservation was claimed: a person is over the limit
            (0, 2, False),  # and has left
            (1, 1, True),
            (0, 1, False),
        ):
            foresee(flagged, reserved)
            await bench.use(tenant, "time", 8, NOVEMBER)
            expected += [(16, flagged, reserved)] if is_worse else []
            assert await told() == expected
        assert await at_renewal(bench, tenant) == [(None, None), (0, 1)]
        await bench.advance_clock(tenant, datetime(2013, 11, 24, 12, tzinfo=UTC))
        expected.append((7, 0, 1))
        assert await told() == expected
    finally:
        bench.foreseen.renewal = Forecast()


async def at_renewal(bench: Bench, tenant: str) -> list[tuple[int | None, int | None]]:
    """Return how many people and reservations of the module `time` the licences name, without and with a forecast."""
    (time,) = bench.pools[tenant].states("time")
    bench.foreseen.read = ReadPools({"time": time.model_copy(update={"active": 9})}, Position(partition=1, offset=7))
    path = f"/v1/tenants/{tenant}/licences"
    try:
        read = [await bench.ok("GET", path + query, tenant=tenant, rights=["account:read"]) for query in ("", "?forecast=true")]
    finally:
        bench.foreseen.read = None
    modules = [module for shown in read for module in shown["modules"] if module["module"] == "time"]
    return [(module["flagged_at_renewal"], module["cancelled_at_renewal"]) for module in modules]


async def test_T13_T21_the_next_period_s_number_can_be_set_as_often_as_one_likes(bench: Bench) -> None:
    tenant = await subscribed(bench)
    for number in (7, 1, 10, 9):
        done = await bench.ok("PUT", f"/v1/tenants/{tenant}/next-period", total(time=number), tenant=tenant, **BUY, prefer="wait=10")
        assert (done["status"], done["items"][0]["total"]) == ("completed", number)
    shown = await bench.ok("GET", f"/v1/tenants/{tenant}/subscription")
    assert {module["module"]: module["next_period"] for module in shown["modules"]} == {"documents": 4, "time": 9}
    listed = await bench.ok("GET", f"/v1/tenants/{tenant}/reductions", tenant=tenant, rights=["account:read"])
    assert [each["items"][0]["before"] for each in listed["items"]] == [10, 7, 1, 10]


async def test_M8_a_reduction_at_once_is_credited_from_the_day_of_its_approval(bench: Bench) -> None:
    tenant = await subscribed(bench, at_once=True)
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    assert (offer["takes_effect"], offer["credit_net_minor"], offer["credit"]) == ("now", 2560, "now")
    bench.pools[tenant].at = NOVEMBER + A_DAY  # seats decides it on the next day
    done = await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    assert done["status"] == "completed"
    await bench.advance_clock(tenant, NOVEMBER + 2 * A_DAY)
    (note,) = await bench.events(tenant, InvoiceIssued)
    assert (note.kind, note.net_minor, str(note.lines[0].from_day)) == ("credit_note", 2560, "2013-11-15")


async def test_T13_the_present_number_takes_back_what_was_scheduled_before_reductions_were_at_once(bench: Bench) -> None:
    tenant = await subscribed(bench)
    await approved(bench, tenant, time=4)
    path, policies = f"/v1/tenants/{tenant}", {"modules": {"time": {"reduce_at": "now"}}}
    await bench.ok(
        "PATCH", f"{path}/subscription/policies", policies, tenant=tenant, rights=["settings:manage", "account:buy"], prefer="wait=10"
    )
    await bench.until_settled(tenant)
    assert (await approved(bench, tenant, time=10))["status"] == "completed"
    back = (await bench.events(tenant, invoicing_v1.ReductionOrdered))[-1]
    assert (back.takes_effect, [(each.before, each.total) for each in back.items]) == ("period_end", [(4, 10)])
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity) for line in renewal.lines] == [("documents", 4), ("time", 10)]
    again = await bench.refused("POST", f"{path}/reductions", total(time=10), tenant=tenant, **BUY)
    assert again["type"] == "total-not-below-present"


async def test_M8_a_module_that_seats_refused_to_close_is_credited_from_the_day_on_which_it_closes(bench: Bench) -> None:
    tenant = await subscribed(bench, at_once=True)
    bench.answering.clear()
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(documents=0), tenant=tenant, **BUY)
    await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY)

    async def sent() -> Any:
        found = [read for read in await bench.topic(topics.SEATS_COMMANDS, tenant) if isinstance(read.payload, seats_v1.ClosePool)]
        return found[0] if found else None

    command = await wait_until(sent, what="the command that closes the pool")
    bench.seen.add(command.envelope.id)
    place = (command.partition, command.offset)
    await bench.decide(seats_v1.ReductionRefused, tenant, place, command.envelope.id, "last_base_module", module="documents")
    bench.answering.set()
    await bench.until_settled(tenant)
    await bench.advance_clock(tenant, NOVEMBER + 10 * A_DAY)
    await bench.ok("POST", f"/v1/tenants/{tenant}/subscription/end", {"reason": "no payment"}, prefer="wait=10")
    (note,) = await bench.events(tenant, InvoiceIssued)
    assert {str(line.from_day) for line in note.lines} == {"2013-11-25"}


async def test_T14_zero_closes_the_pool_of_a_module_that_is_not_the_last_base_module(bench: Bench) -> None:
    tenant = await subscribed(bench)
    done = await approved(bench, tenant, documents=0, time=8)
    assert done["status"] == "completed"
    assert [(command.module, command.at) for command in await bench.commands(tenant, seats_v1.ClosePool)] == [("documents", "period_end")]
    assert len(await bench.commands(tenant, seats_v1.ScheduleReduction)) == 1
    await bench.advance_clock(tenant, DECEMBER)
    (renewal,) = await bench.events(tenant, InvoiceIssued)
    assert [(line.module, line.quantity) for line in renewal.lines] == [("time", 8)]


async def test_T14_a_reduction_that_cannot_be_is_refused(bench: Bench) -> None:
    tenant = await subscribed(bench)
    refused: list[tuple[dict[str, int], str]] = [
        ({"time": 11}, "total-not-below-present"),
        ({"time": 0}, "last-base-module"),
        ({"absent": 1}, "module-not-subscribed"),
    ]
    for numbers, type_ in refused:
        for method, path in (("POST", "reductions"), ("PUT", "next-period")):
            problem = await bench.refused(method, f"/v1/tenants/{tenant}/{path}", total(**numbers), tenant=tenant, **BUY)
            assert problem["type"] == type_
    assert (await bench.ok("GET", f"/v1/tenants/{tenant}/reductions"))["items"] == []


async def test_wrong_items_of_a_reduction_name_the_field(bench: Bench) -> None:
    tenant = await subscribed(bench)
    wrong: list[list[dict[str, Any]]] = [[], [{"module": "time", "total": -1}], [{"module": "time", "total": 1.5}], [{"module": "time"}]]
    for items in wrong:
        problem = await bench.refused("POST", f"/v1/tenants/{tenant}/reductions", {"items": items}, 422, tenant=tenant, **BUY)
        assert problem["errors"][0]["field"].startswith("body.items")


async def test_B12_B13_A8_a_reduction_below_use_says_how_many_seats_to_free(bench: Bench) -> None:
    tenant = await subscribed(bench)
    common = {"command": "x", "position": {"partition": 0, "offset": 0}, "role": "answer", "rules": 1, "at": NOVEMBER}
    refused = ReductionRefused.model_validate(common | {"reason": Reason.BELOW_USE, "module": "time", "must_free": 3})
    bench.foreseen.reduction = Forecast(refused=refused)
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/reductions", total(time=2), tenant=tenant, **BUY)
    bench.foreseen.reduction = Forecast()
    assert (problem["type"], problem["must_free"], problem["module"]) == ("reduction-below-use", 3, "time")
    assert "First free 3 seats" in problem["detail"]


async def test_an_offer_that_no_longer_fits_is_refused_and_a_second_approval_changes_nothing(bench: Bench) -> None:
    tenant = await subscribed(bench)
    first = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    second = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=5), tenant=tenant, **BUY)
    for _ in range(2):
        done = await bench.ok("POST", first["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
        assert done["status"] == "completed"
    assert len(await bench.commands(tenant, seats_v1.ScheduleReduction)) == 1
    problem = await bench.refused("POST", second["approve_url"], {}, tenant=tenant, **BUY)
    assert problem["type"] == "quote-outdated"
    late = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=5), tenant=tenant, **BUY)
    await bench.advance_clock(tenant, NOVEMBER + A_DAY)
    assert (await bench.refused("POST", late["approve_url"], {}, tenant=tenant, **BUY))["type"] == "quote-expired"


async def test_T18_a_reduction_at_once_flags_no_more_or_other_people_than_its_offer_says(bench: Bench) -> None:
    tenant = await subscribed(bench, at_once=True)

    def flags(*users: str) -> None:
        bench.foreseen.reduction = Forecast([WouldFlag(module="time", users=users, count=len(users))])

    flags("ann", "bob")
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    for others in (("ann", "cyd"), ("ann", "bob", "cyd")):
        flags(*others)
        problem = await bench.refused("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
        assert (problem["type"], "than its offer says" in problem["detail"]) == ("quote-outdated", True)
    bench.foreseen.reduction = None
    problem = await bench.refused("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
    assert (problem["type"], "seats does not answer" in problem["detail"]) == ("quote-outdated", True)
    unknown = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=7), tenant=tenant, **BUY)
    assert unknown["would_flag"] is None
    assert await bench.commands(tenant, seats_v1.ReduceLicences) == []
    flags("bob")  # Ann was deactivated in time
    done = await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY, prefer="wait=10")
    flags("ann", "bob", "cyd")
    again = await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
    bench.foreseen.reduction = Forecast()
    assert (done["status"], again["status"]) == ("completed", "completed")


async def test_a_reduction_is_given_as_approved_or_refused_when_the_plan_changes_meanwhile(bench: Bench) -> None:
    await bench.price("plus", {"time": 1500, "documents": 2000})
    tenant = await subscribed(bench, at_once=True)
    path, plus = f"/v1/tenants/{tenant}/subscription/plan", {"plan": "plus", "takes_effect": "now"}
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    await bench.ok("PUT", path, plus, tenant=tenant, **BUY)
    problem = await bench.refused("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
    assert (problem["type"], "saves" in problem["detail"]) == ("quote-outdated", True)
    bench.answering.clear()
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    assert (await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY))["status"] == "pending"
    waits = await bench.refused("PUT", path, {"plan": "standard", "takes_effect": "period_end"}, tenant=tenant, **BUY)
    assert (waits["type"], "reduction" in waits["detail"]) == ("order-pending", True)
    bench.answering.set()
    await bench.until_settled(tenant)


async def test_M10_a_quote_with_a_total_below_the_present_number_leads_to_the_reduction(bench: Bench) -> None:
    tenant = await subscribed(bench)
    problem = await bench.refused("POST", f"/v1/tenants/{tenant}/quotes", total(time=6), tenant=tenant, **BUY)
    assert problem["type"] == "use-a-reduction"
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", problem["body"], tenant=tenant, **BUY)
    assert offer["items"] == [{"module": "time", "before": 10, "total": 6}]


async def test_an_offer_without_an_answer_of_seats_says_that_nobody_was_named(bench: Bench) -> None:
    tenant = await subscribed(bench)
    bench.foreseen.reduction = None
    offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=6), tenant=tenant, **BUY)
    bench.foreseen.reduction = Forecast()
    assert offer["would_flag"] is None


async def test_a_reduction_that_seats_cannot_understand_is_refused_with_the_reason(bench: Bench) -> None:
    tenant = await subscribed(bench)
    bench.reject[seats_v1.ScheduleReduction] = "unknown_module"
    done = await approved(bench, tenant, time=6)
    del bench.reject[seats_v1.ScheduleReduction]
    assert (done["status"], done["reason"]) == ("refused", "unknown_module")


async def test_a_reduction_that_seats_decides_days_after_its_approval_is_credited_and_holds_up_no_test_clock(bench: Bench) -> None:
    tenant = await subscribed(bench, at_once=True)
    later = NOVEMBER + timedelta(days=3)
    bench.answering.clear()
    try:
        await bench.send(seats_v1.ClockAdvanced(number=1, to=later), tenant)
        offer = await bench.ok("POST", f"/v1/tenants/{tenant}/reductions", total(time=9), tenant=tenant, **BUY)
        await bench.ok("POST", offer["approve_url"], {}, tenant=tenant, **BUY)
        await until_relayed(bench.wiring.database, tenant)
    finally:
        bench.answering.set()
    await bench.until_settled(tenant, later)
    found = await bench.ok("GET", f"/v1/tenants/{tenant}/invoices", tenant=tenant, rights=["account:read"])
    assert [each["kind"] for each in found["items"]].count("credit_note") == 1
