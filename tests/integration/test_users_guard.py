"""The guard of HR events that come by REST and by topic: what would end many people waits until somebody confirms it."""

from datetime import date
from typing import Any

import orjson
import pytest

from shared.schemas.hr_v1 import PersonLeft, PersonReported
from shared.schemas.users_v1 import ChangesStopped
from tests.support.decided_seats import DecidedSeats
from tests.support.users import NOTHING_BACK, Bench, Rest, expanding_by_one_each
from tests.support.wait import wait_until

# One service for all tests of this file, as each works in tenants of its own. Its clock stands on 2 March 2026.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
PEOPLE = 300
Event = dict[str, Any]


def reports(version: int, end: str | None, department: str = "Guests", people: int = PEOPLE) -> list[Event]:
    def report(who: str) -> Event:
        known = {"since": "2020-01-01", "login": who, "email": f"{who}@acme.example", "department": department}
        return {
            "external_id": who,
            "version": version,
            "employment": [{"starts_on": "2020-01-01", "ends_on": end}],
            "attributes": [known],
        }

    return [report(f"p{number}") for number in range(people)]


async def send(bench: Bench, entry_point: str, rest: Rest, tenant: str, events: list[Event]) -> None:
    if entry_point == "rest":
        body = {"source": bench.source(tenant), "events": [{"type": "person_reported"} | event for event in events]}
        assert (await rest.post(f"/v1/tenants/{tenant}/hr-events", body))["accepted"] == len(events)
    else:
        for event in events:
            await bench.send(PersonReported.model_validate_json(orjson.dumps(event)), tenant, source=bench.source(tenant))


async def statuses(bench: Bench, tenant: str) -> dict[str, int]:
    rows = await bench.execute("SELECT status, count(*) FROM people WHERE tenant_id = $1 GROUP BY status", tenant)
    return {row[0]: row[1] for row in rows}


async def stopped(bench: Bench, rest: Rest, tenant: str, events: int) -> Event:
    """The source, as soon as it is stopped with so many events."""

    async def there() -> Event | None:
        bench.check()
        held: list[Event] = (await rest.get(f"/v1/tenants/{tenant}/held-events"))["items"]
        return held[0] if held and (held[0]["status"], held[0]["events"]) == ("stopped", events) else None

    found = await wait_until(there, what="the source to be stopped")
    assert found is not None
    return found


@pytest.mark.parametrize("entry_point", ["rest", "topic"])
async def test_events_that_would_end_many_people_wait_until_their_number_is_confirmed(bench: Bench, entry_point: str) -> None:
    tenant, rest = await bench.open_tenant()
    seats = DecidedSeats("time", "documents", licences=PEOPLE, terminate_reduces_pool=True, reduce_at="now")
    everybody = dict.fromkeys(("time", "documents"), (PEOPLE, {"active": PEOPLE}))
    await send(bench, entry_point, rest, tenant, reports(1, None, "Makers"))
    await bench.until_settled(tenant)
    assert await seats.take(bench, tenant) == everybody
    await send(bench, entry_point, rest, tenant, reports(2, "2025-12-31", "Makers"))
    held = await stopped(bench, rest, tenant, PEOPLE)
    assert (held["source"], held["would_end"], held["limit"]) == (bench.source(tenant), 300, 6)
    assert await statuses(bench, tenant) == {"active": 300}
    (told,) = await bench.events(tenant, ChangesStopped)
    assert (told.source, told.would_end, told.limit, told.import_id) == (bench.source(tenant), 300, 6, None)
    shown = await rest.get(f"/v1/tenants/{tenant}/held-events/{bench.source(tenant)}")
    assert (len(shown["external_ids"]), shown["would_end"]) == (100, 300)

    await send(
        bench, entry_point, rest, tenant, reports(3, "2025-12-31", "Makers", people=301)[300:]
    )  # a new person, who waits behind them
    await stopped(bench, rest, tenant, PEOPLE + 1)
    assert await statuses(bench, tenant) == {"active": 300}
    # Events that come while others are applied are looked at in their turn.
    await bench.execute("UPDATE held_sources SET status = 'releasing', release_to = 0 WHERE tenant_id = $1", tenant)
    await stopped(bench, rest, tenant, PEOPLE + 1)
    assert await statuses(bench, tenant) == {"active": 300}
    assert await seats.take(bench, tenant) == everybody
    body = {"source": bench.source(tenant), "confirm": 299}
    refused = await rest.call("POST", f"/v1/tenants/{tenant}/held-events/confirm", body)
    assert (refused.status_code, refused.json()["would_end"]) == (409, 300)
    seen = await rest.post(f"/v1/tenants/{tenant}/held-events/confirm?dry_run=true", body | {"confirm": 300})
    assert seen == {"decided": False, "expansions": [], "cost": None, **NOTHING_BACK}, (
        "seats decides about at most 100 people in one question"
    )
    confirmed = await rest.post(f"/v1/tenants/{tenant}/held-events/confirm", body | {"confirm": 300})
    assert confirmed["status"] == "releasing"
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"left": 301}
    assert await seats.take(bench, tenant) == dict.fromkeys(("time", "documents"), (1, {})), "M9, and the last licence stays"
    assert (await rest.get(f"/v1/tenants/{tenant}/held-events"))["items"] == []
    await send(bench, entry_point, rest, tenant, reports(4, None, "Makers"))
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 300, "left": 1}
    assert await seats.take(bench, tenant) == everybody, "the people are back, and so are the licences"


async def test_a_source_that_corrects_itself_goes_on_without_a_confirmation_and_nobody_is_ended_in_between(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "topic", rest, tenant, reports(1, None, "Makers", people=20))
    await bench.until_settled(tenant)
    assert len(await bench.needs(tenant)) == 20
    await send(bench, "topic", rest, tenant, reports(2, "2025-12-31", "Makers", people=20))
    await stopped(bench, rest, tenant, 20)
    await send(bench, "topic", rest, tenant, reports(3, None, "Planners", people=20))
    await bench.until_settled(tenant)

    async def released() -> bool:
        return not (await rest.get(f"/v1/tenants/{tenant}/held-events"))["items"]

    await wait_until(released, what="the events to be applied")
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 20}
    needs = await bench.needs(tenant)
    assert [need.modules for need in needs[20:]] == [("planning", "time")] * 20, "what they were meanwhile was sent to nobody"


async def test_M12_M9_a_look_at_held_events_tells_which_licences_are_added_and_given_back_and_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "topic", rest, tenant, reports(1, None, "Makers", people=20))
    await bench.until_settled(tenant)
    await send(bench, "topic", rest, tenant, [*reports(2, "2025-12-31", "Makers", people=20), *reports(2, None, "Makers", people=22)[20:]])
    await stopped(bench, rest, tenant, 22)
    shown = await rest.get(f"/v1/tenants/{tenant}/held-events/{bench.source(tenant)}")
    assert (shown["would_end"], shown["would_begin"], sorted(shown["beginning"])) == (20, 2, ["p20", "p21"])
    assert shown["names"] == {f"p{number}": f"p{number}" for number in range(22)}, "who has no name is known by the login"
    asked, needs = expanding_by_one_each(bench, monkeypatch, leavers="period_end"), await bench.needs(tenant)
    confirm, body = f"/v1/tenants/{tenant}/held-events/confirm", {"source": bench.source(tenant), "confirm": 20}
    seen = await rest.post(f"{confirm}?dry_run=true", body)
    assert (len(asked), seen["decided"], seen["expansions"]) == (22, True, [{"module": "time", "licences": 2}])
    assert seen["reductions"] == [{"module": "time", "licences": 20, "reduce_at": "period_end"}]
    assert (await rest.call("POST", f"{confirm}?dry_run=true", body | {"confirm": 19})).status_code == 409
    assert (await statuses(bench, tenant), await bench.needs(tenant)) == ({"active": 20}, needs)
    await stopped(bench, rest, tenant, 22)


async def test_events_that_give_many_people_one_login_wait_and_events_in_which_logins_are_swapped_do_not(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    first = reports(1, None, "Makers", people=20)
    await send(bench, "topic", rest, tenant, first)
    await bench.until_settled(tenant)

    def with_logins(version: int, logins: list[str]) -> list[Event]:
        pairs = zip(first, logins, strict=True)
        return [event | {"version": version, "attributes": [event["attributes"][0] | {"login": login}]} for event, login in pairs]

    await send(bench, "topic", rest, tenant, with_logins(2, ["p0"] * 20)[1:])
    assert (await stopped(bench, rest, tenant, 19))["would_end"] == 19
    assert await statuses(bench, tenant) == {"active": 20}
    await send(bench, "topic", rest, tenant, with_logins(3, [f"p{19 - number}" for number in range(20)]))

    async def applied() -> bool:
        bench.check()
        return not (await rest.get(f"/v1/tenants/{tenant}/held-events"))["items"]

    await wait_until(applied, what="the swapped logins to be applied")
    assert await statuses(bench, tenant) == {"active": 20}


async def test_a_few_people_are_ended_without_a_confirmation_and_held_events_can_be_discarded(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "rest", rest, tenant, reports(1, None, people=12))
    await bench.until_settled(tenant)
    await send(bench, "rest", rest, tenant, reports(2, "2025-12-31", people=5))
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 7, "left": 5}
    await send(bench, "rest", rest, tenant, reports(3, "2025-12-31", people=12))
    await stopped(bench, rest, tenant, 12)
    given = await rest.post(f"/v1/tenants/{tenant}/imports", {"source": bench.source(tenant)})
    path = f"/v1/tenants/{tenant}/imports/{given['import']}"
    await rest.post(f"{path}/check")
    assert (await rest.call("POST", f"{path}/apply")).json()["type"] == "urn:seatpool:problem:events-held"
    assert (await rest.call("POST", f"/v1/tenants/{tenant}/held-events/discard", {"source": bench.source(tenant)})).status_code == 204
    assert (await rest.call("POST", f"/v1/tenants/{tenant}/held-events/discard", {"source": bench.source(tenant)})).status_code == 404
    await rest.post(f"{path}/apply")
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 7, "left": 5}


async def test_leavings_that_come_one_by_one_count_together_for_an_hour(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    source = bench.source(tenant)
    await rest.put(f"/v1/tenants/{tenant}/guard/{source}", {"people": 1, "percent": 0})
    await send(bench, "topic", rest, tenant, reports(1, None, people=5))

    async def leaves(number: int) -> None:
        await send(bench, "topic", rest, tenant, reports(2, "2025-12-31", people=5)[number : number + 1])

    await leaves(0)
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 4, "left": 1}
    await leaves(1)
    held = await stopped(bench, rest, tenant, 1)
    assert (held["would_end"], held["ended_before"], held["limit"]) == (1, 1, 1)
    (told,) = await bench.events(tenant, ChangesStopped)
    assert (told.would_end, told.ended, told.limit) == (1, 1, 1)
    await leaves(2)
    await stopped(bench, rest, tenant, 2)
    await rest.post(f"/v1/tenants/{tenant}/held-events/confirm", {"source": source, "confirm": 2})
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"active": 2, "left": 3}
    await leaves(3)  # the confirmed ones do not count
    await bench.until_settled(tenant)
    await bench.execute("UPDATE guard_endings SET ended_at = ended_at - interval '1 hour' WHERE tenant_id = $1", tenant)
    await leaves(4)
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"left": 5}


async def test_held_events_that_cannot_be_applied_stop_their_source_only(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "topic", rest, tenant, reports(1, None, people=12))
    await bench.until_settled(tenant)
    await send(bench, "topic", rest, tenant, reports(2, "2025-12-31", people=12))
    await stopped(bench, rest, tenant, 12)
    await bench.execute("UPDATE held_statements SET body = '{}' WHERE tenant_id = $1", tenant)
    await bench.execute("UPDATE held_sources SET status = 'releasing', release_to = 9e15 WHERE tenant_id = $1", tenant)
    await stopped(bench, rest, tenant, 12)
    assert await statuses(bench, tenant) == {"active": 12}
    other, others = await bench.open_tenant()
    await send(bench, "topic", others, other, reports(1, None, people=2))
    await send(bench, "topic", others, other, reports(2, "2025-12-31", people=2))
    await bench.until_settled(other)
    assert await statuses(bench, other) == {"left": 2}
    assert (await rest.call("POST", f"/v1/tenants/{tenant}/held-events/discard", {"source": bench.source(tenant)})).status_code == 204


async def test_an_event_that_is_applied_when_it_is_not_held_is_applied_when_it_is(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "topic", rest, tenant, reports(1, None, people=2))
    await bench.until_settled(tenant)
    for who in ("p0", "p1"):
        left = PersonLeft(external_id=who, effective_date=date(2026, 1, 1), reason="moved\0away")
        await bench.send(left, tenant, source=bench.source(tenant))
    await bench.until_settled(tenant)
    assert await statuses(bench, tenant) == {"left": 2}
