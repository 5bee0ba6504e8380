"""The main flow of users on the real broker and database: facts of HR systems, commands, decisions, and people in REST. The test stands in
for the seats worker."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.users.store import catalogue, pools, tenants
from services.users.store import people as people_store
from services.users.use_cases import preview_person
from services.users.use_cases.bulk_changes import PEOPLE_MAX
from shared.errors import Poison, Transient
from shared.schemas import seats_v1 as seats
from shared.schemas.base import Actor, Payload
from shared.schemas.hr_v1 import PersonChanged, PersonHired, PersonLeft
from shared.schemas.invoicing_v1 import ModuleDefined, PlanDefined, SubscriptionActivated, SubscriptionStarted, UnitPrice
from shared.schemas.position import DecisionId, Position
from shared.schemas.registry import type_of
from shared.schemas.seats_v1 import ModuleSeat
from shared.schemas.users_v1 import LicencesFree, PersonAdded, PersonRepublished, TenantCreated, TenantRepublished
from shared.schemas.users_v1 import PersonChanged as Changed
from shared.schemas.users_v1 import PersonLeft as Left
from tests.support.users import NOON, NOTHING_BACK, Bench, expanding_by_one_each, states
from tests.support.wait import wait_until

# One service for all tests of this file, as each works in tenants of its own.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
TODAY = date(2026, 3, 2)
DEADLINE = NOON + timedelta(days=7)
MAKERS = ("documents", "time")


def hired(who: str, department: str | None = "Makers", **more: Any) -> PersonHired:
    fields: dict[str, Any] = {
        "external_id": who,
        "effective_date": TODAY,
        "login": who,
        "email": f"{who}@acme.example",
        "department": department,
    }
    return PersonHired(**fields | {"department": department} | more)


def changed(who: str, sequence: int = 1, day: date = TODAY, **more: Any) -> PersonChanged:
    return PersonChanged(external_id=who, effective_date=day, sequence=sequence, **more)


async def hire(bench: Bench, tenant: str, who: str, department: str = "Makers") -> str:
    """Hire a person, let seats grant everything, and return the user."""
    count = len(await bench.needs(tenant))
    await bench.send(hired(who, department), tenant, source=bench.source(tenant))
    user = (await bench.until_needs(tenant, count + 1))[-1].user
    await bench.answer(await bench.last_need(tenant, user))
    return user


# ---------------------------------------------------------------------------------------------------------------- chain


async def test_a_tenant_is_opened_by_seats(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant(clock="test", at="2026-03-01T08:00:00Z")

    async def opening() -> bool:
        return len(await bench.commands(tenant)) == 1

    await wait_until(opening, what="open_tenant")
    (command,) = await bench.commands(tenant)
    assert command.payload == seats.OpenTenant(number=1, clock="test", at=datetime(2026, 3, 1, 8, tzinfo=UTC))
    assert (await rest.get(f"/v1/tenants/{tenant}"))["status"] == "opening"
    await bench.decide(seats.TenantOpened, tenant, command.position, clock="test")

    async def is_open() -> bool:
        return bool((await rest.get(f"/v1/tenants/{tenant}"))["status"] == "open")

    await wait_until(is_open, what="the tenant to be open")
    (created,) = await bench.events(tenant, TenantCreated)
    assert (created.name, created.clock) == ("Acme", "test")


async def test_a_hire_is_sent_to_seats_and_the_decision_is_shown(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await bench.send(hired("ann"), tenant, source=bench.source(tenant))
    (need,) = await bench.until_needs(tenant, 1)
    assert (need.modules, need.revision, need.reason, need.partial) == (("documents", "time"), 1, "hired", False)
    assert need.created_at == NOON
    person = await bench.until_person(rest, tenant, "ann", status="active", modules={"documents": "pending", "time": "pending"})
    assert person["pending"]
    command = await bench.last_need(tenant, need.user)
    await bench.answer(
        command,
        ModuleSeat(module="documents", state="active"),
        ModuleSeat(module="time", state="flagged", deadline=DEADLINE, reason="over_limit"),
    )
    person = await bench.until_person(rest, tenant, "ann", pending=False, modules={"documents": "active", "time": "flagged"})
    assert person["modules"][1] == {
        "module": "time",
        "state": "flagged",
        "deadline": "2026-03-09T12:00:00.000Z",
        "reason": "over_limit",
        "position": {"partition": command.partition, "offset": command.offset},
        "pool": None,
        "warning": None,
    }
    (added,) = await bench.events(tenant, PersonAdded)
    assert (added.login, added.status, added.modules, added.version) == ("ann", "active", ("documents", "time"), 1)
    assert added.actor.kind == "source"
    figures = await rest.get(f"/v1/tenants/{tenant}/statistics")
    assert figures == {"hired": 1, "active": 1, "flagged": 1, "revoked": 0, "refused": 0, "pending": 0}
    (counted,) = (await rest.get(f"/v1/tenants/{tenant}/statistics/modules"))["modules"]
    assert (counted["module"], counted["flagged"], counted["waiting"], counted["refused"]) == ("time", 1, 0, 0)
    assert datetime.fromisoformat(counted["nearest_deadline"]) == datetime.fromisoformat(counted["last_deadline"]) == DEADLINE


async def test_A7_a_person_who_moves_or_leaves_releases_seats(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await bench.decide(seats.PoolOpened, tenant, await bench.tick(tenant), module="planning", base=False, policies=seats.Policies())
    await bench.until_settled(tenant)
    user = await hire(bench, tenant, "ann")
    await bench.send(changed("ann", department="Planners"), tenant, source=bench.source(tenant))
    moved = (await bench.until_needs(tenant, 2))[1]
    assert (moved.modules, moved.partial, moved.revision, moved.reason) == (("planning", "time"), True, 2, "changed")
    await bench.answer(
        await bench.last_need(tenant, user),
        ModuleSeat(module="time", state="active"),
        ModuleSeat(module="planning", state="refused", reason="pool_full"),
    )
    person = await bench.until_person(rest, tenant, "ann", modules={"time": "active", "planning": "refused"})
    assert person["modules"][0]["reason"] == "pool_full"
    await bench.send(PersonLeft(external_id="ann", effective_date=TODAY, sequence=2), tenant, source=bench.source(tenant))
    gone = (await bench.until_needs(tenant, 3))[2]
    assert (gone.modules, gone.revision, gone.reason, gone.leaver) == ((), 3, "left", True)
    await bench.answer(await bench.last_need(tenant, user))
    await bench.until_person(rest, tenant, "ann", status="left", may_log_in=False, modules={})
    assert [event.version for event in await bench.events(tenant, Left)] == [3]
    figures = await rest.get(f"/v1/tenants/{tenant}/statistics")
    assert (figures["hired"], figures["active"], figures["refused"]) == (1, 0, 1)


async def test_late_repeated_and_reordered_facts_lead_to_the_same_state(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    source = bench.source(tenant)
    facts = [
        (hired("ann", name="Ann"), "id-1"),
        (changed("ann", 1, name="Ann B", department="Planners"), "id-2"),
        (changed("ann", 2, department="Makers"), "id-3"),
    ]
    for fact, message_id in [facts[2], facts[0], facts[1], facts[0], facts[2]]:
        await bench.send(fact, tenant, source=source, message_id=message_id)
    await bench.until_person(rest, tenant, "ann", name="Ann B", department="Makers")
    await bench.until_settled(tenant)
    assert [need.modules for need in await bench.needs(tenant)] == [("documents", "time")]
    before = await bench.person(rest, tenant, "ann")
    for fact, message_id in facts:
        await bench.send(fact, tenant, source=source, message_id=message_id)
    await bench.until_settled(tenant)
    assert await bench.person(rest, tenant, "ann") == before


async def test_an_unknown_department_is_shown_with_its_reason_until_it_is_mapped(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await bench.send(hired("ann", "Alchemy"), tenant, source=bench.source(tenant))
    person = await bench.until_person(rest, tenant, "ann", status="active", profile=None, modules={})
    assert [note["type"] for note in person["notes"]] == ["unknown_department"]
    assert await bench.needs(tenant) == []
    await rest.put(f"/v1/tenants/{tenant}/department-mapping", {"Alchemy": "planners"})
    (need,) = await bench.until_needs(tenant, 1)
    assert (need.modules, need.reason) == (("planning", "time"), "changed")
    await bench.until_person(rest, tenant, "ann", profile="planners", notes=[])


async def test_a_changed_profile_reaches_everybody_who_has_it(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    makers = {await hire(bench, tenant, "ann"), await hire(bench, tenant, "bob")}
    await hire(bench, tenant, "cleo", "Planners")
    await rest.put(f"/v1/tenants/{tenant}/profiles/makers", {"name": "makers", "modules": ["time"]})
    needs = (await bench.until_needs(tenant, 5))[3:]
    assert {need.user for need in needs} == makers
    assert {(need.modules, need.revision) for need in needs} == {(("time",), 2)}


async def test_a_fact_of_a_source_that_is_not_on_the_allow_list_becomes_a_dead_letter_alone(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await bench.send(hired("eve"), tenant, source="hr/unknown")
    await bench.send(hired("max", kind="robot"), tenant, source=bench.source(tenant))
    await bench.send(hired("raw"), tenant, source=bench.source(tenant), raw=b"{")
    await bench.send(hired("new"), tenant, source=bench.source(tenant), type_="seatpool.hr.v1.of_a_later_release")
    await bench.send(hired("ann"), tenant, source=bench.source(tenant))
    await bench.until_person(rest, tenant, "ann", status="active")
    letters = (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"]
    assert [message["reason"] for message in letters] == ["source", "rule", "body"]
    assert await bench.person(rest, tenant, "eve") is None
    await rest.put("/v1/operator/sources/hr/unknown", {"tenants": [tenant]})
    assert (await rest.post(f"/v1/operator/dead-letters/{letters[0]['id']}/retry"))["status"] == "done"
    await bench.until_person(rest, tenant, "eve", status="active")


async def test_one_bad_fact_in_a_batch_becomes_a_dead_letter_alone(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    sent = [hired("ann"), hired("bad", name="a\0b"), hired("big", sequence=2**70), hired("bob")]
    await asyncio.gather(*(bench.send(fact, tenant, source=bench.source(tenant)) for fact in sent))
    for who in ("ann", "bob"):
        await bench.until_person(rest, tenant, who, status="active")
    await bench.until_settled(tenant)
    letters = (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"]
    assert sorted(message["reason"] for message in letters) == ["rule", "rule"]
    assert len(await bench.needs(tenant)) == 2


async def test_each_revision_is_drawn_once_when_many_transactions_change_a_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    facts = [changed("ann", n, department="Planners" if n % 2 else "Makers") for n in range(1, 11)]
    path = f"/v1/tenants/{tenant}/people/{user}"
    await asyncio.gather(
        *(bench.send(fact, tenant, source=bench.source(tenant)) for fact in facts),
        *(rest.patch(path, {"priority": n}) for n in range(1, 11)),
        *(rest.post(f"{path}/reactivate") for _ in range(3)),
    )
    await bench.until_person(rest, tenant, "ann", department="Makers")
    await bench.until_settled(tenant)
    needs = await bench.needs(tenant)
    assert [need.revision for need in needs] == list(range(1, len(needs) + 1))
    assert len(needs) >= 14
    (row,) = await bench.execute("SELECT priority, revision FROM people WHERE user_id = $1", user)
    assert (needs[-1].priority, needs[-1].revision, needs[-1].modules) == (row.priority, row.revision, ("documents", "time"))


async def test_on_a_real_clock_a_fact_falls_due_when_its_day_has_come(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    tomorrow = TODAY + timedelta(days=1)
    await bench.send(hired("tom", effective_date=tomorrow), tenant, source=bench.source(tenant))
    await bench.send(hired("val", valid_to=TODAY), tenant, source=bench.source(tenant))
    (need,) = await bench.until_needs(tenant, 1)
    await bench.answer(await bench.last_need(tenant, need.user))
    await bench.until_person(rest, tenant, "val", status="active", may_log_in=True)
    await bench.until_settled(tenant)
    assert await bench.person(rest, tenant, "tom") is None
    before = bench.clock.at
    try:
        bench.clock.at = datetime(2026, 3, 2, 23, tzinfo=UTC)  # midnight in Copenhagen
        bench.users.alarm.wake()
        rest = await bench.rest()
        tom = await bench.until_person(rest, tenant, "tom", status="active")
        assert tom["created_at"] == "2026-03-02T23:00:00.000Z"
        # A20, A21: the ended login blocks, and frees nothing.
        await bench.until_person(rest, tenant, "val", status="inactive", may_log_in=False)
        await bench.until_settled(tenant)
        assert len(await bench.needs(tenant)) == 3
        suspended = (await bench.last_need(tenant, need.user)).payload
        assert isinstance(suspended, seats.AssignSeats)
        assert (suspended.modules, suspended.suspended) == (("documents", "time"), True)
    finally:
        bench.clock.at = before


# ------------------------------------------------------------------------------------------------------------ decisions


async def test_only_tenants_with_due_people_are_selected(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    later = TODAY + timedelta(days=3)
    await bench.send(hired("una", effective_date=later), tenant, source=bench.source(tenant))
    await bench.send(hired("ann"), tenant, source=bench.source(tenant))
    await bench.until_person(rest, tenant, "ann", status="active")

    async def looked_at(now: datetime) -> bool:
        async with bench.users.database.unit_of_work(None) as uow:
            return tenant in await tenants.with_due_people(uow.connection, now)

    midnight = datetime.combine(later, datetime.min.time(), UTC)
    assert not await looked_at(NOON)
    assert not await looked_at(midnight - timedelta(hours=14, seconds=1))
    assert await looked_at(midnight - timedelta(hours=14)), "the day has begun on the Line Islands"


async def test_a_rollback_to_a_savepoint_releases_the_tenant_and_it_is_locked_again(bench: Bench) -> None:
    """Without the lock, a change of the settings would not wait for what is computed from the old ones."""
    tenant, _ = await bench.open_tenant()
    await bench.until_settled(tenant)  # the re-evaluations after its profiles lock it too
    change = "SELECT 1 FROM tenants WHERE tenant_id = $1 FOR UPDATE NOWAIT"
    async with bench.users.database.unit_of_work(tenant) as uow:
        with suppress(Poison):
            async with uow.savepoint():
                await bench.users.tenants.load(tenant, uow)
                raise Poison("rule", "a later part of this message is bad")
        await bench.execute(change, tenant)
        await bench.users.tenants.load(tenant, uow)
        with pytest.raises(Transient):
            await bench.execute(change, tenant)


async def test_T6_a_revocation_in_a_base_module_deactivates_the_person_without_a_command(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, at, "grace_expired", user=user, module="time", base=True, flagged_at=NOON)
    await bench.decide(seats.SeatReleased, tenant, at, "base_module_revoked", user=user, module="documents")
    person = await bench.until_person(
        rest, tenant, "ann", status="deactivated", may_log_in=False, modules={"documents": "withdrawn", "time": "revoked"}
    )
    assert person["modules"][0]["reason"] == "base_module_revoked"
    await bench.until_settled(tenant)
    assert len(await bench.needs(tenant)) == 1
    (event,) = await bench.events(tenant, Changed)
    assert (event.status, event.reason, event.modules) == ("deactivated", "grace_expired", ("documents", "time"))
    figures = await rest.get(f"/v1/tenants/{tenant}/statistics")
    assert (figures["active"], figures["revoked"]) == (0, 1)


async def test_a_revoked_seat_of_another_module_is_withdrawn_and_the_module_is_still_required(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, at, "grace_expired", user=user, module="documents", base=False, flagged_at=NOON)
    await bench.until_person(rest, tenant, "ann", status="active", modules={"documents": "withdrawn", "time": "active"})
    # Without a reactivation, seats answers `revoked` again: the state stays.
    await bench.send(changed("ann", 1, department="Planners"), tenant, source=bench.source(tenant))
    await rest.put(f"/v1/tenants/{tenant}/profiles/planners", {"name": "planners", "modules": ["time", "documents"], "partial": True})
    await bench.until_needs(tenant, 2)
    await bench.until_settled(tenant)
    command = await bench.last_need(tenant, user)
    assert isinstance(command.payload, seats.AssignSeats)
    assert command.payload.modules == ("documents", "time")
    await bench.answer(
        command, ModuleSeat(module="documents", state="revoked", reason="revoked"), ModuleSeat(module="time", state="active")
    )
    person = await bench.until_person(rest, tenant, "ann", pending=False, modules={"documents": "withdrawn", "time": "active"})
    assert person["modules"][0]["position"]["offset"] == command.offset


async def test_E4_a_reactivation_names_the_modules_and_the_answer_activates_the_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, at, "grace_expired", user=user, module="time", base=True, flagged_at=NOON)
    await bench.until_person(rest, tenant, "ann", status="deactivated")
    await rest.post(f"/v1/tenants/{tenant}/people/{user}/reactivate")
    need = (await bench.until_needs(tenant, 2))[1]
    assert (need.reactivate, need.modules, need.revision, need.reason) == (("documents", "time"), ("documents", "time"), 2, "reactivated")
    assert (await bench.until_person(rest, tenant, "ann", status="deactivated"))["pending"]
    await bench.answer(await bench.last_need(tenant, user))
    await bench.until_person(rest, tenant, "ann", status="active", may_log_in=True, modules={"documents": "active", "time": "active"})
    assert [event.status for event in await bench.events(tenant, Changed)] == ["deactivated", "active"]


async def test_E3_the_status_says_who_is_refused_waits_or_is_over_the_limit_and_who_may_log_in(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    at = await bench.tick(tenant)
    for module, base in (("time", True), ("documents", False), ("planning", False)):
        await bench.decide(seats.PoolOpened, tenant, at, module=module, base=base, policies=seats.Policies())
    await bench.until_settled(tenant)
    path = f"/v1/tenants/{tenant}/people"
    asked = await rest.post(path, {"external_id": "ann", "login": "ann", "email": "ann@acme.example", "department": "Makers"})
    assert (asked["status"], asked["pending"], asked["may_log_in"]) == ("active", True, False), "no seat yet"
    user = asked["user"]

    async def answered(who: str, state: str, add_on: str, module: str = "documents") -> None:
        seats_ = ModuleSeat(module="time", state=state), ModuleSeat(module=module, state=add_on)
        model = seats.SeatsRefused if state == "refused" else seats.SeatsAssigned
        await bench.answer(await bench.last_need(tenant, who), *seats_, model=model)

    async def in_list(status: str) -> list[str]:
        return [each["login"] for each in (await rest.get(f"{path}?status={status}"))["items"]]

    await answered(user, "refused", "refused")
    await bench.until_person(rest, tenant, "ann", status="refused", may_log_in=False, pending=False)
    for count, (state, status) in enumerate((("waiting", "waiting"), ("flagged", "over_limit")), start=1):
        await rest.post(f"{path}/{user}/reactivate")
        await bench.until_needs(tenant, count + 1)
        await answered(user, state, state)
        await bench.until_person(rest, tenant, "ann", status=status, may_log_in=state == "flagged", pending=False)
    for module in ("time", "documents"):
        await bench.decide(seats.SeatFlagCleared, tenant, await bench.tick(tenant), user=user, module=module)
    await bench.until_person(rest, tenant, "ann", status="active", may_log_in=True)
    assert [event.status for event in await bench.events(tenant, Changed)] == ["refused", "waiting", "over_limit", "active"]
    assert await in_list("refused") == []
    await rest.post(path, {"external_id": "bob", "login": "bob", "email": "bob@acme.example", "department": "Planners"})
    bob = (await bench.until_needs(tenant, 4))[-1].user
    await answered(bob, "active", "refused", "planning")
    await bench.until_person(rest, tenant, "bob", status="active", may_log_in=True, pending=False)
    assert (await rest.get(f"/v1/tenants/{tenant}/statistics"))["active"] == 2


async def test_a_restored_seat_ends_the_deactivation(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann", "Makers")
    revoked, restored = await bench.tick(tenant), await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, revoked, "grace_expired", user=user, module="time", base=True, flagged_at=NOON)
    await bench.decide(seats.SeatReleased, tenant, revoked, "base_module_revoked", user=user, module="documents")
    await bench.decide(seats.SeatGranted, tenant, restored, "restored", user=user, module="time")
    await bench.decide(seats.SeatGranted, tenant, restored, "restored", user=user, module="documents")
    await bench.until_person(rest, tenant, "ann", status="active", modules={"documents": "active", "time": "active"})


async def test_an_older_decision_is_counted_and_changes_no_state(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    await bench.until_person(rest, tenant, "ann", pending=False)
    row = (
        "INSERT INTO person_modules (tenant_id, user_id, module, state, revoked, refused, partition, record_offset, n)"
        " VALUES ($1, $2, 'later', 'active', false, false, $3, 100000, 0)"
    )
    older = await bench.tick(tenant)
    await bench.execute(row, tenant, user, older.partition)
    await bench.decide(seats.SeatRevoked, tenant, older, "grace_expired", user=user, module="later", base=False, flagged_at=NOON)
    await bench.until_settled(tenant)
    person = await bench.person(rest, tenant, "ann")
    assert person is not None
    assert states(person)["later"] == "active"
    assert (await rest.get(f"/v1/tenants/{tenant}/statistics"))["revoked"] == 1


async def test_a_decision_that_an_old_worker_repeats_is_ignored(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    command = await bench.last_need(tenant, user)
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatFlagged, tenant, at, "over_limit", user=user, module="time", deadline=DEADLINE)
    await bench.until_person(rest, tenant, "ann", modules={"documents": "active", "time": "flagged"})
    bench.wire.decided[command.partition, command.offset] = 0  # the first answer, the same id once more
    await bench.answer(command)
    await bench.until_settled(tenant)
    await bench.until_person(rest, tenant, "ann", modules={"documents": "active", "time": "flagged"})


async def test_required_modules_with_a_stale_revision_are_sent_again_with_a_higher_one(bench: Bench) -> None:
    tenant, _ = await bench.open_tenant()
    await bench.send(hired("ann"), tenant, source=bench.source(tenant))
    (need,) = await bench.until_needs(tenant, 1)
    place = (await bench.last_need(tenant, need.user)).position
    await bench.decide(seats.CommandIgnored, tenant, place, "stale", user=need.user, last_revision=5)
    again = (await bench.until_needs(tenant, 2))[1]
    assert (again.revision, again.modules) == (6, ("documents", "time"))
    await bench.decide(seats.CommandIgnored, tenant, place, "stale", user=need.user, last_revision=5)
    await bench.until_settled(tenant)
    assert len(await bench.needs(tenant)) == 2


async def test_a_rejected_or_failed_command_is_noted_with_the_person_until_the_next_decision(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    await bench.until_person(rest, tenant, "ann", pending=False, notes=[])

    async def reactivated() -> tuple[str, Position]:
        """Reactivate the person; return the id and the position of the command."""
        count = len(await bench.needs(tenant))
        await rest.post(f"/v1/tenants/{tenant}/people/{user}/reactivate")
        await bench.until_needs(tenant, count + 1)
        command = await bench.last_need(tenant, user)
        return command.envelope.id, command.position

    async def noted(kind: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            person = await bench.person(rest, tenant, "ann")
            return person if person is not None and [note["type"] for note in person["notes"]] == [kind] else None

        person = await wait_until(there, what=f"the note {kind}")
        assert person is not None
        assert person["pending"]
        return dict(person["notes"][0])

    first, place = await reactivated()
    wrong = {"field": "created_at", "value": "9999", "expected": "a time before the command"}
    await bench.decide(seats.CommandRejected, tenant, place, "invalid_time", command=first, user=user, **wrong)
    note = await noted("command_rejected")
    assert (note["reason"], note["position"]) == ("invalid_time", {"partition": place.partition, "offset": place.offset})
    assert note["detail"] == "Seats rejected the request: created_at is '9999', expected a time before the command."

    second, place = await reactivated()
    await bench.decide(seats.CommandFailed, tenant, place, "error", command=second, error_id="e-1")
    note = await noted("command_failed")
    assert (note["position"]["offset"], "under e-1" in note["detail"]) == (place.offset, True)

    await rest.patch(f"/v1/tenants/{tenant}/people/{user}", {"job_title": "Maker"})
    await noted("command_failed")
    await reactivated()
    await bench.answer(await bench.last_need(tenant, user))
    await bench.until_person(rest, tenant, "ann", pending=False, notes=[])
    await bench.decide(seats.CommandRejected, tenant, place, "invalid_time", command=first, user=user, **wrong)
    await bench.until_settled(tenant)
    person = await bench.person(rest, tenant, "ann")
    assert person is not None
    assert person["notes"] == [], "an old command is no matter of what is asked for now"


async def test_when_a_pool_is_opened_seats_are_requested_for_everybody_without_one(bench: Bench) -> None:
    tenant, _ = await bench.open_tenant()
    await hire(bench, tenant, "ann")
    await hire(bench, tenant, "gus", "Planners")
    await bench.send(hired("bob"), tenant, source=bench.source(tenant))
    refused = (await bench.until_needs(tenant, 3))[2].user
    lacking = tuple(ModuleSeat(module=m, state="refused", reason="unknown_module") for m in ("documents", "time"))
    command = await bench.last_need(tenant, refused)
    await bench.answer(command, *lacking, model=seats.SeatsRefused)
    await bench.decide(seats.PoolOpened, tenant, await bench.tick(tenant), module="documents", base=False, policies=seats.Policies())
    again = (await bench.until_needs(tenant, 4))[3]
    assert (again.user, again.revision, again.reason, again.modules) == (refused, 2, "pool_opened", ("documents", "time"))
    await bench.until_settled(tenant)
    assert len(await bench.needs(tenant)) == 4


async def test_people_added_before_the_subscription_request_their_seats_once_when_all_pools_are_open_the_oldest_first(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant(subscribed=())
    source = bench.source(tenant)
    for name in ("new", "old"):
        await bench.send(hired(name), tenant, source=source)
    for name in ("new", "old"):
        await bench.until_person(
            rest, tenant, name, status="not_subscribed", may_log_in=False, pending=False, modules=dict.fromkeys(MAKERS, "not_subscribed")
        )
    await bench.execute("UPDATE people SET created_at = created_at - interval '1 day' WHERE tenant_id = $1 AND external_id = 'old'", tenant)
    assert (await rest.get(f"/v1/tenants/{tenant}/people?seat_state=not_subscribed&limit=1"))["items"][0]["external_id"] == "new"

    async def decide(model: type[Payload], **pool: Any) -> Position:
        at = await bench.tick(tenant)
        await bench.decide(model, tenant, at, **pool)
        await bench.until_settled(tenant)
        return at

    async def open_pool(module: str) -> Position:
        return await decide(seats.PoolOpened, module=module, base=module == "time", policies=seats.Policies())

    await open_pool("time")
    last = await open_pool("documents")
    assert await bench.needs(tenant) == [], "the subscription is not active yet"
    decision = str(DecisionId(last.partition, last.offset, 0))
    activated = SubscriptionActivated(at=NOON, actor=Actor(kind="system", id="invoicing"), subscription="s1", decision=decision)
    for _ in range(2):
        await bench.send(activated, tenant, source="seatpool/invoicing")
        await bench.until_settled(tenant)
    old, new = [await bench.person(rest, tenant, name) for name in ("old", "new")]
    assert old is not None
    assert new is not None
    needs = await bench.needs(tenant)
    assert [(need.user, need.modules, need.reason) for need in needs] == [(each["user"], MAKERS, "pool_opened") for each in (old, new)]
    for need in needs:
        await bench.answer(await bench.last_need(tenant, need.user))
    await bench.until_person(rest, tenant, "new", status="active", may_log_in=True)
    # A pool of a running subscription: when it closes, its module is not required any more, and when it opens, it is again.
    await decide(seats.PoolClosed, module="documents")
    await bench.until_person(rest, tenant, "new", modules={"documents": "not_subscribed", "time": "active"}, status="active")
    assert [(need.modules, need.reason) for need in (await bench.until_needs(tenant, 4))[2:]] == [(("time",), "pool_closed")] * 2
    await open_pool("documents")
    assert [need.modules for need in (await bench.until_needs(tenant, 6))[4:]] == [MAKERS] * 2
    for person in (old, new):
        await bench.answer(await bench.last_need(tenant, person["user"]))
    # The subscription ends: one decision closes all pools. Nothing is requested until another subscription is active.
    end = await bench.tick(tenant)
    for module in MAKERS:
        await bench.decide(seats.PoolClosed, tenant, end, "period_began", module=module)
        for person in (old, new):
            await bench.decide(seats.SeatReleased, tenant, end, "pool_closed", user=person["user"], module=module)
    ended = dict.fromkeys(MAKERS, "not_subscribed")
    for name in ("new", "old"):
        await bench.until_person(rest, tenant, name, status="not_subscribed", may_log_in=False, modules=ended)
    await bench.until_settled(tenant)
    count = len(await bench.needs(tenant))
    # users may evaluate people between two events of the decision: what counts is what is required in the end.
    assert {need.user: need.modules for need in await bench.needs(tenant)} == {person["user"]: () for person in (old, new)}
    last = await open_pool("time")
    assert len(await bench.needs(tenant)) == count, "the later subscription is not active yet"
    later = activated.model_copy(update={"subscription": "s2", "decision": str(DecisionId(last.partition, last.offset, 0))})
    await bench.send(later, tenant, source="seatpool/invoicing")
    needs = (await bench.until_needs(tenant, count + 2))[count:]
    assert [(need.user, need.modules) for need in needs] == [(each["user"], ("time",)) for each in (old, new)]


async def test_A6_B2_E7_a_refused_module_shows_limit_use_and_how_to_buy_in_every_answer_and_the_list_says_how_many_can_be_added(
    bench: Bench,
) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    ann = {"external_id": "ann", "login": "ann", "email": "ann@acme.example", "department": "Makers"}
    adding = asyncio.create_task(rest.post(path, ann, prefer="wait=10"))
    (need,) = await bench.until_needs(tenant, 1)
    counts: dict[str, Any] = {"licences": 60, "next_period": 60, "active": 50, "flagged": 3, "held": 10, "waiting": 2, "available": 0}
    pools = [seats.PoolState(module=module, **counts) for module in MAKERS]
    refused = [ModuleSeat(module="documents", state="refused", reason="pool_full"), ModuleSeat(module="time", state="refused")]
    command = await bench.last_need(tenant, need.user)
    await bench.answer(command, *refused, model=seats.SeatsRefused, pools=tuple(pools))
    added = await adding
    assert (added["status"], added["pending"]) == ("refused", False), "the answer waited for the decision"
    listed = await rest.get(f"{path}?status=refused")
    for person in (added, await rest.get(f"{path}/{need.user}"), listed["items"][0]):
        module = person["modules"][0]
        assert (module["pool"]["licences"], module["pool"]["in_use"], module["pool"]["available"]) == (60, 63, 0)
        assert "documents has 60 licences, and 63 seats are in use." in module["warning"]
        assert f"POST /v1/tenants/{tenant}/quotes" in module["warning"]
    bought = seats.PoolState(module="time", **counts | {"licences": 70, "available": 10})
    more: dict[str, Any] = {"order": "o1", "pools": (bought,), "items": (), "approved_at": NOON}
    await bench.decide(seats.LicencesAdded, tenant, await bench.tick(tenant), **more)
    common: dict[str, Any] = {"at": NOON, "actor": Actor(kind="system", id="invoicing"), "plan": f"small-{tenant}", "currency": "EUR"}
    small, large = f"Small {tenant}", f"Large {tenant}"
    prices = tuple(UnitPrice(module=module, term="monthly", amount_minor=100) for module in ("documents", "planning", "time"))
    plan = PlanDefined(**common, name=small, prices=prices, allows_extra_licences=False, version=1)
    for each in (plan, plan.model_copy(update={"plan": f"large-{tenant}", "name": large, "allows_extra_licences": True})):
        await bench.send(each, None, source="seatpool/invoicing")
    dates = dict.fromkeys(("period_start", "billed_until"), TODAY) | {"period_end": TODAY + timedelta(days=30)}
    contract = {"subscription": "s1", "plan_version": 1, "term": "monthly", "charge_when": "now", "billing_details": "b1", "modules": ()}
    await bench.send(SubscriptionStarted(**common | contract | dates), tenant, source="seatpool/invoicing")

    async def upgrade() -> str | None:
        warning: str = (await rest.get(f"{path}/{need.user}"))["modules"][1]["warning"]
        return warning if large in warning else None

    warning = await wait_until(upgrade, what="the advice to upgrade the plan")
    assert f"The plan {small} does not allow extra licences. These plans do: {large}." in warning
    assert "quotes" not in warning
    await bench.until_settled(tenant)
    left = {pool["module"]: pool["available"] for pool in (await rest.get(path))["pools"]}
    assert left == {"documents": 0, "planning": 0, "time": 10}


async def test_E3_refused_people_are_requested_again_in_the_order_of_their_refusals_when_licences_are_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    path, source = f"/v1/tenants/{tenant}/people", bench.source(tenant)
    names = ("ann", "bob", "cyd", "dan")
    for name in names:
        await bench.send(hired(name), tenant, source=source)
    users = {(await bench.until_person(rest, tenant, name))["user"]: name for name in names}
    await bench.until_needs(tenant, 4)
    commands = {users[sent.payload.user]: sent for sent in await bench.commands(tenant) if isinstance(sent.payload, seats.AssignSeats)}
    full: dict[str, Any] = {"licences": 1, "next_period": 1, "active": 1, "flagged": 0, "held": 0, "waiting": 0, "available": 0}
    pool = seats.PoolState(module="time", **full)
    refused = [ModuleSeat(module=module, state="refused", reason="pool_full") for module in MAKERS]
    for name in ("ann", "bob", "cyd"):
        await bench.answer(commands[name], *refused, model=seats.SeatsRefused, pools=(pool,))
    await bench.answer(commands["dan"])
    # Bob is refused once more, after Cyd; Dan is revoked.
    (bob,) = [user for user, name in users.items() if name == "bob"]
    (dan,) = [user for user, name in users.items() if name == "dan"]
    await rest.post(f"{path}/{bob}/reactivate")
    await bench.until_needs(tenant, 5)
    await bench.answer(await bench.last_need(tenant, bob), *refused, model=seats.SeatsRefused, pools=(pool,))
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, at, "grace_expired", user=dan, module="time", base=True, flagged_at=NOON, pools=(pool,))
    await bench.until_person(rest, tenant, "dan", status="deactivated")
    await bench.until_settled(tenant)
    assert await bench.events(tenant, LicencesFree) == []
    free = pool.model_copy(update={"licences": 3, "available": 2})
    for _ in range(2):
        added: dict[str, Any] = {"order": "o1", "pools": (free,), "items": (), "approved_at": NOON}
        await bench.decide(seats.LicencesAdded, tenant, await bench.tick(tenant), **added)
    await bench.until_settled(tenant)
    assert [(each.module, each.available, each.refused) for each in await bench.events(tenant, LicencesFree)] == [("time", 2, 3)]

    async def requested(query: str, count: int) -> list[str]:
        before = len(await bench.needs(tenant))
        response = await rest.call("POST", f"{path}/reactivate-refused{query}")
        assert (response.status_code, response.json()["total"]) == (202, count)
        await bench.until_settled(tenant)
        progress = await rest.get(response.headers["location"])
        assert (progress["status"], progress["done"], progress["total"]) == ("finished", count, count)
        needs = (await bench.needs(tenant))[before:]
        assert all(need.reactivate == need.modules == MAKERS for need in needs)
        reasons = {users[need.user]: need.reason for need in needs}
        assert reasons.pop("dan", "reactivated") == "reactivated"
        assert set(reasons.values()) == {"requested_again"}, "notifier repeats no e-mail about it"
        return [users[need.user] for need in needs]

    asked = expanding_by_one_each(bench, monkeypatch)
    before = await bench.needs(tenant)
    seen = await rest.post(f"{path}/reactivate-refused?dry_run=true")
    assert [users[need.user] for need in asked] == ["ann", "cyd", "bob"], "M12: just what the request would ask seats for"
    assert seen == {"decided": True, "expansions": [{"module": "time", "licences": 3}], "cost": None, **NOTHING_BACK}
    assert await bench.needs(tenant) == before, "a look changes nothing"
    assert await requested("", 3) == ["ann", "cyd", "bob"]
    assert await requested("?include=revoked", 4) == ["ann", "cyd", "bob", "dan"]


async def test_people_with_seats_who_were_refused_in_another_module_are_requested_again_in_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their profile gives what is available. A module that was revoked comes back only by a reactivation (T6)."""
    tenant, rest = await bench.open_tenant()
    path, source = f"/v1/tenants/{tenant}/people", bench.source(tenant)
    for name in ("eve", "fay"):
        await bench.send(hired(name, department="Planners"), tenant, source=source)
    users = {(await bench.until_person(rest, tenant, name))["user"]: name for name in ("eve", "fay")}
    await bench.until_needs(tenant, 2)
    full: dict[str, Any] = {"licences": 1, "next_period": 1, "active": 1, "flagged": 0, "held": 0, "waiting": 0, "available": 0}
    pool = seats.PoolState(module="planning", **full)
    commands = {users[sent.payload.user]: sent for sent in await bench.commands(tenant) if isinstance(sent.payload, seats.AssignSeats)}
    eve, fay = ({name: user for user, name in users.items()}[name] for name in ("eve", "fay"))
    part = ModuleSeat(module="planning", state="refused", reason="pool_full"), ModuleSeat(module="time", state="active")
    await bench.answer(commands["eve"], *part, pools=(pool,))
    await bench.answer(commands["fay"])
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatRevoked, tenant, at, "grace_expired", user=fay, module="planning", base=False, flagged_at=NOON)
    for name, state in (("eve", "refused"), ("fay", "withdrawn")):
        await bench.until_person(rest, tenant, name, status="active", modules={"planning": state, "time": "active"})
    free = pool.model_copy(update={"licences": 2, "available": 1})
    added: dict[str, Any] = {"order": "o1", "pools": (free,), "items": (), "approved_at": NOON}
    await bench.decide(seats.LicencesAdded, tenant, await bench.tick(tenant), **added)
    await bench.until_settled(tenant)
    assert [(each.module, each.refused) for each in await bench.events(tenant, LicencesFree)] == [("planning", 1)]
    asked, before = expanding_by_one_each(bench, monkeypatch), len(await bench.needs(tenant))
    await rest.post(f"{path}/reactivate-refused?dry_run=true")
    response = await rest.call("POST", f"{path}/reactivate-refused")
    assert (response.status_code, response.json()["total"]) == (202, 1)
    await bench.until_settled(tenant)
    (need,) = (await bench.needs(tenant))[before:]
    assert (need.user, need.modules, need.reactivate, need.reason) == (eve, ("planning", "time"), ("planning",), "requested_again")
    assert [(each.user, each.modules, each.reactivate) for each in asked] == [(eve, need.modules, need.reactivate)]
    assert (await rest.get(response.headers["location"]))["status"] == "finished"


async def test_M12_a_dry_run_of_adding_a_person_answers_with_the_decision_and_the_cost_and_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    ann = {"external_id": "ann", "login": "ann", "email": "ann@acme.example", "department": "Makers"}
    plan = f"plan-{tenant}"
    async with bench.users.database.unit_of_work(tenant) as uow:
        prices = (UnitPrice(module="time", term="monthly", amount_minor=1250), UnitPrice(module="time", term="annual", amount_minor=1))
        common: dict[str, Any] = {
            "at": NOON,
            "actor": Actor(kind="system", id="invoicing"),
            "currency": "EUR",
            "allows_extra_licences": True,
        }
        await catalogue.save_plan(uow.connection, PlanDefined(**common, plan=plan, name="Plan", version=1, prices=prices))
        dearer = (prices[0].model_copy(update={"amount_minor": 9000}),)  # it waits for a renewal
        await catalogue.save_plan(uow.connection, PlanDefined(**common, plan=plan, name="Plan", version=2, prices=dearer))
        await pools.save_terms(uow.connection, tenant, pools.TermsRow(plan, 1, "monthly"))
    asked: list[seats.AssignSeats] = []

    async def what_if(_: str, commands: Sequence[seats.AssignSeats]) -> Any:
        asked.extend(commands)
        other = {"module": "time", "state": "refused", "reason": "other_module_refused"}
        modules = [{"module": "documents", "state": "refused", "reason": "pool_full"}, other]
        expanded = {"type": type_of(seats.PoolExpanded), "data": {"module": "time", "by": 2}}
        return [[{"type": type_of(seats.SeatsAssigned), "data": {"revision": 1, "modules": modules}}, expanded]]

    monkeypatch.setattr(bench.users.seats, "what_if", what_if)
    seen = await rest.post(f"{path}?dry_run=true", ann)
    assert [need.modules for need in asked] == [MAKERS]
    assert (seen["decided"], seen["expansions"]) == (True, [{"module": "time", "licences": 2}])
    assert seen["cost"] == {"currency": "EUR", "term": "monthly", "net_minor": 2500}
    async with bench.users.database.unit_of_work(tenant) as uow:
        found = await bench.users.tenants.for_read(tenant, uow)
        for more, saved in (({"time": 2}, 2500), ({"time": 5}, 2500), ({"documents": 1}, None)):  # the price of documents is not known
            saving = await preview_person.saving_of(found, uow, more, {("time", "now"): 1, ("time", "period_end"): 1})
            assert (saving.net_minor if saving is not None else None) == saved
    assert (seen["status"], [each["state"] for each in seen["modules"]]) == ("refused", ["refused", "refused"])
    full, other = (each["warning"] for each in seen["modules"])
    assert ("documents has 0 licences" in full, "quotes" in full) == (True, True)
    assert ("another module of the person was refused" in other, "quotes" in other) == (True, False), "nobody needs a licence of it"
    assert await bench.person(rest, tenant, "ann") is None
    assert (await bench.needs(tenant), await bench.events(tenant, PersonAdded)) == ([], [])
    assert (await rest.call("POST", path, ann)).status_code == 201
    again = await rest.call("POST", f"{path}?dry_run=true", ann)
    assert again.json()["type"].endswith("person-exists"), "a dry run is refused as the request would be"
    added = await bench.person(rest, tenant, "ann")
    assert added is not None
    events = await bench.events(tenant, Changed)
    asked.clear()
    seen = await rest.patch(f"{path}/{added['user']}?dry_run=true", {"profile": "planners"})
    assert ([need.modules for need in asked], seen["expansions"]) == ([("planning", "time")], [{"module": "time", "licences": 2}])
    seen = await rest.patch(f"{path}/{added['user']}?dry_run=true", {"job_title": "Lead"})
    assert (len(asked), seen["decided"], seen["expansions"]) == (1, True, []), "it requests no seats"
    one = f"{path}/{added['user']}"
    asked.clear()
    seen = await rest.post(f"{one}/reactivate?dry_run=true", None)
    assert ([need.reactivate for need in asked], seen["expansions"]) == ([MAKERS], [{"module": "time", "licences": 2}])
    for method, look in (("POST", "separate"), ("DELETE", "terminate"), ("DELETE", "overrides/department")):
        refused = await rest.call(method, f"{one}/{look}?dry_run=true")
        assert refused.status_code in (404, 409), "a dry run is refused as the request would be"
    assert await bench.person(rest, tenant, "ann") == added
    assert await bench.events(tenant, Changed) == events, "a look changes nothing"


async def test_M12_a_dry_run_of_a_change_of_a_person_asks_seats_what_the_change_then_requests(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    asked: list[seats.AssignSeats | seats.ReplaceUser] = []

    async def what_if(_: str, commands: Sequence[seats.AssignSeats | seats.ReplaceUser]) -> Any:
        asked[:] = commands  # a replacement asks before, too, whether it would be refused
        return [[{"type": type_of(seats.PoolExpanded), "data": {"module": "time", "by": 1}}] for _ in commands]

    monkeypatch.setattr(bench.users.seats, "what_if", what_if)
    people = [await hire(bench, tenant, who) for who in ("ann", "bob", "cyd")]
    ann, bob, cyd = (f"{path}/{user}" for user in people)
    await rest.patch(ann, {"department": "Planners"})  # an override
    await rest.patch(bob, {"status": "left"})

    async def changed(method: str, address: str, body: Any = None) -> list[seats.AssignSeats | seats.ReplaceUser]:
        """Look, and then do it. Return the commands."""
        await bench.until_settled(tenant)
        before = [each.payload for each in await bench.commands(tenant)]
        shown = await rest.get(f"{path}?status=all")
        asked.clear()
        answer = await rest.call(method, f"{address}?dry_run=true", body)
        seen = answer.json()
        assert (answer.status_code, seen["decided"]) == (200, True), answer.text
        assert seen["expansions"] == [{"module": "time", "licences": len(asked)}]
        assert await rest.get(f"{path}?status=all") == shown, "a look changes nothing"
        looked_at = list(asked)
        assert (await rest.call(method, address, body)).status_code < 300
        sent = [each.payload for each in await bench.commands(tenant)][len(before) :]
        assert looked_at == sent, "the look requests nothing, and is about just what is then requested"
        return looked_at

    def requested(commands: Sequence[seats.AssignSeats | seats.ReplaceUser]) -> list[tuple[Any, ...]]:
        return [(need.modules, need.reactivate) for need in commands if isinstance(need, seats.AssignSeats)]

    assert requested(await changed("POST", f"{cyd}/reactivate", {"modules": ["time"]})) == [(MAKERS, ("time",))]
    assert requested(await changed("DELETE", f"{ann}/overrides/department")) == [(MAKERS, ())]
    assert requested(await changed("DELETE", f"{bob}/terminate")) == [(MAKERS, ())]
    given = {"external_id": "dan", "login": "dan", "department": "Planners", "may_log_in": False}
    (replacing,) = await changed("POST", f"{ann}/replace", {"to": (await rest.post(path, given))["user"]})
    assert isinstance(replacing, seats.ReplaceUser)
    assert replacing.to.modules == ("planning", "time"), "a module that the replaced person does not have can add a licence"
    linked = requested(await changed("POST", f"{cyd}/link", {"to": people[1]}))
    assert linked[0] == ((), ()), "the seats that the one gives up are free for the other"
    source = {"source": bench.source(tenant), "external_id": "cyd"}
    assert (MAKERS, ()) in requested(await changed("POST", f"{bob}/separate", source))


async def test_E2_E4_people_are_activated_and_deactivated_together_after_a_preview_and_a_change_is_undone_unless_something_came_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    users = {
        login: (await rest.post(path, {"external_id": login, "login": login, "email": f"{login}@acme.example", "department": "Makers"}))[
            "user"
        ]
        for login in ("ann", "bob", "cyd")
    }
    await bench.until_needs(tenant, 3)
    await rest.patch(f"{path}/{users['cyd']}", {"status": "left"})
    asked: list[tuple[str, ...]] = []

    async def what_if(_: str, commands: Sequence[seats.AssignSeats]) -> Any:
        asked.extend(command.modules for command in commands)
        return [[{"type": type_of(seats.SeatsReleased), "data": {"revision": 9, "modules": []}}] for _ in commands]

    monkeypatch.setattr(bench.users.seats, "what_if", what_if)

    async def change(action: str, *people: tuple[str, int | None], query: str = "", key: str = "") -> dict[str, dict[str, Any]]:
        body = {"action": action, "people": [{"user": user, "revision": revision} for user, revision in people]}
        headers = {"idempotency_key": key} if key else {}
        answer = (await rest.call("POST", f"{path}/bulk-changes{query}", body, **headers)).json()
        return {each["user"]: each for each in answer["people"]}

    def outcomes(found: dict[str, dict[str, Any]]) -> list[str]:
        return [each["outcome"] for each in found.values()]

    everybody = [(user, None) for user in (*users.values(), "nobody")]
    seen = await change("deactivate", *everybody, query="?dry_run=true")
    assert outcomes(seen) == ["changed", "changed", "refused", "refused"]
    assert "has left" in seen[users["cyd"]]["detail"]
    assert seen[users["cyd"]]["reason"] == "person-has-left"
    assert (asked, seen["nobody"]["name"]) == ([(), ()], None)
    assert {(await rest.get(f"{path}/{users[login]}"))["status"] for login in ("ann", "bob")} == {"active"}, "nothing has changed"
    done = await change("deactivate", *everybody)
    assert [each["status"] for each in done.values()][:2] == ["inactive", "inactive"]
    assert outcomes(await change("deactivate", *everybody[:2])) == ["unchanged", "unchanged"], "the request can be repeated"
    await rest.post(f"{path}/{users['bob']}/reactivate")  # somebody else
    undo = [(users[login], done[users[login]]["revision"]) for login in ("ann", "bob")]
    assert outcomes(await change("activate", *undo, query="?dry_run=true")) == ["changed", "changed_meanwhile"]
    assert asked[2:] == [MAKERS]
    undone = await asyncio.gather(*[change("activate", *undo, key="undo") for _ in range(2)])  # a double click
    assert outcomes(undone[0]) == ["changed", "changed_meanwhile"]
    assert undone[0] == undone[1]
    assert (await bench.needs(tenant))[-1].modules == MAKERS
    assert (await rest.call("POST", f"{path}/bulk-changes", {"action": "activate", "people": []})).status_code == 422

    guest = (await rest.post(path, {"login": "guest", "kind": "external"}))["user"]  # has never required a module (M6)
    seen = await change("deactivate", (guest, None), (users["ann"], None), query="?dry_run=true")
    assert [(each["outcome"], each["status"]) for each in seen.values()] == [("changed", "inactive")] * 2
    blocked = (await change("deactivate", (guest, None)))[guest]["revision"]
    await rest.post(f"{path}/{guest}/reactivate")
    await rest.patch(f"{path}/{guest}", {"may_log_in": False})  # somebody else
    meanwhile = await change("activate", (guest, blocked))
    assert outcomes(meanwhile) == ["changed_meanwhile"]
    last = meanwhile[guest]["revision"]
    assert outcomes(await change("activate", (guest, last), query="?dry_run=true")) == ["changed"]


@pytest.mark.parametrize(
    "meanwhile",
    [{"profile": "planners"}, {"job_title": "Pilot"}, {"valid_to": "2020-01-01"}, {"login": "anna"}, {"last_day": "2031-12-31"}],
)
async def test_a_bulk_change_is_not_undone_for_people_whom_a_change_that_asks_nothing_of_seats_has_changed_since(
    bench: Bench, meanwhile: dict[str, str]
) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    await rest.put(f"/v1/tenants/{tenant}/profiles/planners", {"name": "Planners", "modules": ["documents"]})
    people = [(await rest.post(path, {"login": login, "name": login, "department": "Makers"}))["user"] for login in ("ann", "bob")]
    await bench.until_needs(tenant, 2)
    body = {"action": "deactivate", "people": [{"user": user} for user in people]}
    done = (await rest.post(f"{path}/bulk-changes", body))["people"]
    assert all(each["revision"] < 10**12 for each in done), "a form of the console can send it back"
    needs = await bench.until_needs(tenant, 4)
    if "last_day" in meanwhile:
        await rest.post(f"{path}/{people[0]}/terminate", meanwhile)
    else:
        await rest.patch(f"{path}/{people[0]}", meanwhile)  # somebody else
    assert await bench.needs(tenant) == needs, "seats are asked for nothing"
    undo = {"action": "activate", "people": [{"user": each["user"], "revision": each["revision"]} for each in done]}
    assert [each["outcome"] for each in (await rest.post(f"{path}/bulk-changes", undo))["people"]] == ["changed_meanwhile", "changed"]
    assert [(await rest.get(f"{path}/{user}"))["status"] for user in people] == ["inactive", "active"]


async def test_a_bulk_change_of_as_many_people_as_a_request_can_name_answers_a_repetition_like_the_first_time(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    people = [(await rest.post(path, {"login": f"p{number}", "name": "Ä" * 200}))["user"] for number in range(PEOPLE_MAX)]
    body = {"action": "deactivate", "people": [{"user": user} for user in people]}
    first, again = [await rest.call("POST", f"{path}/bulk-changes", body, idempotency_key="bulk") for _ in range(2)]
    assert {each["outcome"] for each in first.json()["people"]} == {"changed"}
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")


async def test_people_who_are_activated_together_get_the_last_licence_in_the_order_of_the_request_as_the_preview_says(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `reject`, seats grants the free licence to the first command that it gets, and refuses the others."""
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    people = [(await rest.post(path, {"login": login, "department": "Makers"}))["user"] for login in ("ann", "bob", "cyd")]
    requested = sorted(people, reverse=True)
    await rest.post(f"{path}/bulk-changes", {"action": "deactivate", "people": [{"user": user} for user in people]})
    needs = await bench.until_needs(tenant, 6)

    async def what_if(_: str, commands: Sequence[seats.AssignSeats]) -> Any:
        states = [{"module": "time", "state": "refused" if place else "active", "reason": None} for place, _ in enumerate(commands)]
        return [[{"type": type_of(seats.SeatsAssigned), "data": {"revision": 9, "modules": [state]}}] for state in states]

    monkeypatch.setattr(bench.users.seats, "what_if", what_if)
    body = {"action": "activate", "people": [{"user": user} for user in requested]}
    seen = (await rest.post(f"{path}/bulk-changes?dry_run=true", body))["people"]
    first = [each["user"] for each in seen if each["modules"][0]["state"] == "active"]
    done = (await rest.post(f"{path}/bulk-changes", body))["people"]
    commands = (await bench.until_needs(tenant, 9))[len(needs) :]
    assert first == [requested[0]] == [commands[0].user]
    assert [each["user"] for each in seen] == [each["user"] for each in done] == [each.user for each in commands] == requested


async def test_a_preview_locks_people_in_the_order_of_all_transactions_whatever_the_order_of_the_request(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    first, second = sorted([(await rest.post(path, {"login": login}))["user"] for login in ("ann", "bob")])
    body = {"action": "deactivate", "people": [{"user": second}, {"user": first}]}

    async def waits() -> bool:
        rows = await bench.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        return bool(rows)

    async with bench.users.database.unit_of_work(tenant) as uow:  # as decisions of seats about both lock them
        await people_store.lock_many(uow.connection, tenant, [first], TODAY)
        preview = asyncio.create_task(rest.post(f"{path}/bulk-changes?dry_run=true", body))
        await wait_until(waits, what="the preview to wait for the first person")
        await people_store.lock_many(uow.connection, tenant, [second], TODAY)
    assert [each["user"] for each in (await preview)["people"]] == [second, first]


async def test_a_dry_run_of_a_profile_or_the_mapping_says_who_would_require_what_and_changes_nothing(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}"
    for login, department in (("ann", "Makers"), ("bob", "Makers"), ("cyd", "Guests")):
        await rest.post(f"{path}/people", {"login": login, "email": f"{login}@acme.example", "department": department})
    body = {"name": "Makers", "modules": ["time", "planning"]}
    seen = await rest.put(f"{path}/profiles/makers?dry_run=true", body)
    counts = [(each["module"], each["before"], each["after"], each["licences"]) for each in seen["modules"]]
    assert counts == [("documents", 2, 0, 2), ("planning", 0, 2, 2)]
    assert (seen["changed"], seen["examined"], seen["complete"], seen["decided"], seen["cost"]) == (2, 3, True, True, None)
    assert seen["outcomes"] == [{"module": "planning", "state": "active", "people": 2}]
    assert [each["modules"] for each in (await rest.get(f"{path}/profiles"))["items"] if each["profile"] == "makers"] == [
        ["documents", "time"]
    ]
    mapping = await rest.get(f"{path}/department-mapping")
    seen = await rest.put(f"{path}/department-mapping?dry_run=true", mapping | {"Guests": "makers", "Makers": None})
    assert (seen["changed"], [(each["module"], each["before"], each["after"]) for each in seen["modules"]]) == (
        3,
        [("documents", 2, 1), ("time", 2, 1)],
    )
    assert await rest.get(f"{path}/department-mapping") == mapping
    seen = await rest.put(f"{path}/profiles/makers?dry_run=true", {"name": "Makers", "modules": ["time", "documents", "projects"]})
    later = [{"module": "projects", "people": 2}]
    assert (seen["changed"], seen["modules"], seen["not_subscribed"]) == (0, [], later), "they require it when it is subscribed"
    wrong = await rest.call("PUT", f"{path}/department-mapping?dry_run=true", {"Makers": "nothing"})
    assert wrong.status_code == 422


async def test_a_dry_run_of_the_company_s_settings_says_whose_seats_come_back_and_changes_nothing(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}"
    for login, more in (("ann", {}), ("bob", {"valid_to": "2026-03-01"}), ("cyd", {"valid_to": "2027-03-01"})):
        await rest.post(f"{path}/people", {"login": login, "email": f"{login}@acme.example", "department": "Makers", **more})
    seen = await rest.call("PATCH", f"{path}?dry_run=true", {"release_on_expiry": True})
    assert [(each["module"], each["before"], each["after"]) for each in seen.json()["modules"]] == [("documents", 3, 2), ("time", 3, 2)]
    assert (await rest.get(path))["release_on_expiry"] is False
    assert (await rest.call("PATCH", path, {"release_on_expiry": True})).status_code == 428, "a change needs If-Match"
    await rest.patch(path, {"release_on_expiry": True})
    await bench.until_settled(tenant)
    back = (await rest.call("PATCH", f"{path}?dry_run=true", {"release_on_expiry": False})).json()
    assert (back["changed"], [(each["module"], each["before"], each["after"]) for each in back["modules"]]) == (
        1,
        [("documents", 2, 3), ("time", 2, 3)],
    )
    assert {(each["module"], each["state"]) for each in back["outcomes"]} == {("documents", "active"), ("time", "active")}
    assert (await rest.call("PATCH", f"{path}?dry_run=true", {"name": "Other"})).json()["changed"] == 0


async def test_a_profile_has_the_modules_that_its_modules_require_and_one_that_is_not_subscribed_is_warned_about(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    maps, flow = f"maps-{tenant}", f"flow-{tenant}"  # of the vendor's catalogue, which all tests share
    defined = ModuleDefined(at=NOON, actor=Actor(kind="person", id="op"), module=flow, name="Flow", base=False, requires=(maps,))
    await bench.wire.send(defined, None, source="seatpool/invoicing")
    path = f"/v1/tenants/{tenant}/profiles/flows"

    async def refused() -> dict[str, Any] | None:
        response = await rest.call("PUT", path, {"name": "Flows", "modules": ["time", flow]})
        return response.json() if response.status_code == 422 else None

    problem = await wait_until(refused, what="the refusal of a module without the one that it requires")
    (wrong,) = problem["errors"]
    assert (wrong["field"], maps in wrong["expected"]) == ("body.modules", True)
    stored = await rest.put(path, {"name": "Flows", "modules": ["time", maps, flow]})
    assert ["not subscribed" in warning for warning in stored["warnings"]] == [True, True], "two of three modules"
    await rest.post(f"/v1/tenants/{tenant}/people", {"external_id": "flo", "login": "flo", "email": "f@acme.example", "profile": "flows"})
    await bench.subscribe(tenant, "time", flow)
    await rest.post(f"/v1/tenants/{tenant}/people", {"external_id": "max", "login": "max", "email": "m@acme.example", "profile": "flows"})
    person = await bench.person(rest, tenant, "max")
    assert person is not None
    assert [(each["module"], each["reason"]) for each in person["modules"] if each["state"] == "not_subscribed"] == [
        (flow, "required_module_missing"),
        (maps, "no_pool"),
    ]


async def test_the_pool_of_an_unknown_tenant_becomes_a_dead_letter_and_stops_nothing(bench: Bench) -> None:
    """A database restored from a backup may have fewer tenants than the log."""
    rest = await bench.rest()
    await bench.decide(seats.PoolOpened, "gone", await bench.tick("gone"), module="documents", base=False, policies=seats.Policies())

    async def letters() -> list[str]:
        return [item["reason"] for item in (await rest.get("/v1/operator/dead-letters?tenant=gone"))["items"]]

    assert await wait_until(letters, what="the dead letter") == ["unknown-tenant"]
    tenant, _ = await bench.open_tenant()
    await bench.decide(seats.PoolOpened, tenant, await bench.tick(tenant), module="documents", base=False, policies=seats.Policies())
    await bench.until_settled(tenant)


async def test_a_decision_about_an_unknown_person_stops_nothing(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await hire(bench, tenant, "ann")
    at = await bench.tick(tenant)
    await bench.decide(seats.SeatFlagged, tenant, at, user="nobody", module="time", deadline=DEADLINE)
    await bench.decide(seats.SeatFlagged, tenant, at, user=user, module="time", deadline=DEADLINE)
    await bench.until_person(rest, tenant, "ann", modules={"documents": "active", "time": "flagged"})
    assert (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"] == []


# ----------------------------------------------------------------------------------------------------------- republish


async def test_tenants_profiles_and_people_are_published_again(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await hire(bench, tenant, "ann")
    assert await rest.post("/v1/operator/republish", {"tenant": tenant}) == {"tenants": 1}

    async def people() -> list[PersonRepublished]:
        return await bench.events(tenant, PersonRepublished)

    (again,) = await wait_until(people, what="the person to be published again")
    assert (again.login, again.version) == ("ann", 1)
    assert len(await bench.events(tenant, TenantRepublished)) == 1
    assert len(await bench.needs(tenant)) == 1


async def test_A7_people_without_a_login_or_an_address_come_in_everywhere_and_the_administrators_find_them(bench: Bench) -> None:
    """Nothing is requested for people without a login, and nothing fails for those without an e-mail address."""
    tenant, rest = await bench.open_tenant()
    source, path = bench.source(tenant), f"/v1/tenants/{tenant}/people"
    await bench.send(hired("topic", login=None, email=None), tenant, source=source)
    event = {"type": "person_hired", "external_id": "rest", "effective_date": "2026-03-02", "login": "rest", "department": "Makers"}
    answer = await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [event]})
    assert answer["rejected"] == []
    await rest.post(path, {"external_id": "post", "name": "Post", "department": "Makers"})
    await bench.until_person(rest, tenant, "topic", status="inactive", login=None, email="")
    await bench.until_person(rest, tenant, "rest", status="active", email="")
    (need,) = await bench.until_needs(tenant, 1)

    async def found(query: str) -> set[str]:
        return {each["external_id"] for each in (await rest.get(f"{path}?{query}"))["items"]}

    assert await found("without=login") == {"topic", "post"}
    assert await found("without=email") == await found("without=email&without=login") == {"topic", "post", "rest"}
    assert await found("without=email&status=active") == {"rest"}
    await bench.send(changed("rest", login="", email=""), tenant, source=source)
    await bench.until_person(rest, tenant, "rest", status="inactive", login=None)
    released = (await bench.until_needs(tenant, 2))[1]
    assert (released.user, released.modules) == (need.user, ()), "the login is withdrawn (A7)"
    assert (await rest.call("GET", f"{path}?without=name")).status_code == 422
