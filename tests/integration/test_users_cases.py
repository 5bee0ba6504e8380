"""Invitations, replacements, reminders, erasure and hand-over, on the real service with a stand-in for seats."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest

from services.users.jobs.due_people import DuePeople
from shared.schemas import seats_v1 as seats
from shared.schemas.base import format_instant
from shared.schemas.hr_v1 import PersonChanged as HrPersonChanged
from shared.schemas.hr_v1 import PersonLeft as HrPersonLeft
from shared.schemas.users_v1 import GraceEnding, HandOverDue, InvitationExpired, PersonChanged, PersonErased, PersonInvited
from tests.support.traces import traces
from tests.support.users import NOON, AskedSeats, Bench, Rest
from tests.support.wait import wait_until
from tests.support.wire import Sent, until_relayed

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

ANN = {"login": "ann", "email": "ann@acme.example", "name": "Ann", "department": "Makers"}
POOL = {"module": "time", "licences": 2, "active": 1, "flagged": 0, "held": 1}


async def invited(bench: Bench, tenant: str, rest: Rest, **invitation: Any) -> dict[str, Any]:
    added: dict[str, Any] = await rest.post(f"/v1/tenants/{tenant}/people", ANN | {"invitation": invitation})
    return added


async def person(rest: Rest, tenant: str, user: str) -> dict[str, Any]:
    found: dict[str, Any] = await rest.get(f"/v1/tenants/{tenant}/people/{user}")
    return found


async def held(bench: Bench, tenant: str, user: str) -> seats.AssignSeats:
    """Answer the last request of the person with holds."""
    command = await bench.last_need(tenant, user)
    need = command.payload
    assert isinstance(need, seats.AssignSeats)
    modules = [seats.ModuleSeat(module=module, state="held", deadline=need.hold_until) for module in need.modules]
    await bench.answer(command, *modules)
    return need


async def token_of(rest: Rest, tenant: str, user: str) -> str:
    token: str = (await rest.post(f"/v1/tenants/{tenant}/people/{user}/invitation-token", {}))["token"]
    return token


async def accept(bench: Bench, token: str) -> int:
    return (await bench.http.post("/v1/invitations/accept", json={"token": token})).status_code


async def shown(bench: Bench, token: str) -> dict[str, Any]:
    """Return what the link of the token shows."""
    found: dict[str, Any] = (await bench.http.post("/v1/invitations/show", json={"token": token})).json()
    return found


async def in_state(rest: Rest, tenant: str, user: str, state: str | None) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        found = await person(rest, tenant, user)
        shown = found["invitation"]["state"] if found["invitation"] else None
        return found if shown == state and not found["pending"] else None

    return await wait_until(there, what=f"the invitation to be {state}")


async def with_reservation(bench: Bench) -> tuple[str, Rest, str]:
    """Invite a person in a tenant of their own, and wait until the licences are reserved and the invitation is sent."""
    tenant, rest = await bench.open_tenant()
    user: str = (await invited(bench, tenant, rest))["user"]
    await bench.until_needs(tenant, 1)
    await held(bench, tenant, user)
    await in_state(rest, tenant, user, "sent")
    return tenant, rest, user


async def test_an_invitation_reserves_the_licences_and_is_sent_when_they_are_reserved(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    added = await invited(bench, tenant, rest, days=3)
    assert (added["status"], added["may_log_in"], added["invitation"]["state"]) == ("invited", False, "requested")
    (need,) = await bench.until_needs(tenant, 1)
    assert (need.hold_until, need.modules) == (NOON + timedelta(days=3), ("documents", "time"))
    assert await bench.events(tenant, PersonInvited) == []
    await held(bench, tenant, added["user"])
    found = await in_state(rest, tenant, added["user"], "sent")
    assert [module["state"] for module in found["modules"]] == ["held", "held"]
    (sent,) = await bench.events(tenant, PersonInvited)
    assert (sent.user, sent.expires_at, sent.reserved) == (added["user"], NOON + timedelta(days=3), True)
    listed = await rest.get(f"/v1/tenants/{tenant}/people?status=invited")
    assert [each["user"] for each in listed["items"]] == [added["user"]]


async def test_an_invitation_of_somebody_who_requires_no_module_does_not_say_that_licences_are_reserved(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    boss = {"login": "bea", "name": "Bea Boss", "email": "bea@acme.example", "invitation": {}}
    added = await rest.post(f"/v1/tenants/{tenant}/people", boss)
    await in_state(rest, tenant, added["user"], "sent")
    (sent,) = await bench.events(tenant, PersonInvited)
    assert (sent.user, sent.reserved) == (added["user"], False)
    await rest.post(f"/v1/tenants/{tenant}/people/{added['user']}/invite", {})
    assert [each.reserved for each in await bench.events(tenant, PersonInvited)] == [False, False]


async def test_a_link_claims_the_reservation_once_under_parallel_requests(bench: Bench) -> None:
    tenant, rest, user = await with_reservation(bench)
    first, second = await token_of(rest, tenant, user), await token_of(rest, tenant, user)
    before = await shown(bench, first)
    assert (before["state"], before["reserved"], before["login"]) == ("open", True, ANN["login"])
    assert [each["module"] for each in before["modules"]] == ["documents", "time"]
    assert before == await shown(bench, second), "a look changes nothing"
    assert sorted(await asyncio.gather(*(accept(bench, first) for _ in range(6)))) == [200] + [404] * 5
    assert ((await shown(bench, first))["state"], (await shown(bench, first))["pending"]) == ("accepted", True)
    assert await accept(bench, second) == 404, "the first that is used ends the others"
    claim = (await bench.until_needs(tenant, 2))[-1]
    assert (claim.hold_until, claim.modules, claim.reason) == (None, ("documents", "time"), "invitation_accepted")
    await bench.answer(await bench.last_need(tenant, user))
    found = await in_state(rest, tenant, user, None)
    assert (found["status"], found["may_log_in"]) == ("active", True)
    assert [each["state"] for each in (await shown(bench, second))["modules"]] == ["active", "active"]
    assert (await rest.call("POST", f"/v1/tenants/{tenant}/people/{user}/invite", {})).json()["type"].endswith("not-invitable")


async def test_the_link_does_not_say_reserved_after_a_reduction_has_cancelled_the_reservation(bench: Bench) -> None:
    tenant, rest, user = await with_reservation(bench)
    token, at = await token_of(rest, tenant, user), await bench.tick(tenant)
    assert (await shown(bench, token))["reserved"]
    for module in ("documents", "time"):
        await bench.decide(seats.HoldCancelled, tenant, at, "renewed", user=user, module=module)

    async def ended() -> bool:
        return all(each["state"] != "held" for each in (await person(rest, tenant, user))["modules"])

    await wait_until(ended, what="users to know that the reservation has ended")
    found = await shown(bench, token)
    assert (found["state"], found["reserved"]) == ("open", False), "the link is still valid, but nothing is reserved"


async def test_A6_the_link_names_the_person_who_sent_the_last_invitation_and_nobody_else(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    people = f"/v1/tenants/{tenant}/people"
    boss = (await rest.post(people, {"login": "bea", "name": "Bea Boss", "email": "bea@acme.example"}))["user"]
    own = await bench.rest(tenant, "users:manage", boss)
    user = (await invited(bench, tenant, own, reserve=False))["user"]

    async def inviter() -> Any:
        found = await shown(bench, await token_of(rest, tenant, user))
        assert (found["state"], found["test_time"]) == ("open", None)
        return found["invited_by"]

    assert await inviter() == "Bea Boss"
    await rest.post(f"{people}/{user}/invite", {"reserve": False})
    assert await inviter() is None, "the vendor's program is nobody of the company"
    await own.post(f"{people}/{user}/invite", {"reserve": False})
    assert await inviter() == "Bea Boss"
    left = await rest.call("PATCH", f"{people}/{boss}", {"status": "left"}, if_match="*")
    assert left.status_code == 200, left.text
    assert await inviter() is None, "somebody who has left is not named"


async def test_a_wrong_token_reveals_nothing_and_many_of_them_must_wait(bench: Bench) -> None:
    bench.app.state.context.wrong_invitations._counts.clear()
    answers = [await bench.http.post("/v1/invitations/accept", json={"token": f"guess-{n}"}) for n in range(11)]
    assert [answer.status_code for answer in answers] == [404] * 10 + [429]
    assert "guess" not in "".join(answer.text for answer in answers)
    bench.app.state.context.wrong_invitations._counts.clear()


async def test_repeats_of_an_own_link_are_no_wrong_tokens(bench: Bench) -> None:
    bench.app.state.context.wrong_invitations._counts.clear()
    tenant, rest, user = await with_reservation(bench)
    token = await token_of(rest, tenant, user)
    assert [await accept(bench, token) for _ in range(20)] == [200] + [404] * 19
    assert await accept(bench, "guess") == 404


async def test_A6_a_link_that_went_to_another_address_accepts_nothing(bench: Bench) -> None:
    """The address was wrong: somebody else may have the e-mail."""
    tenant, rest, user = await with_reservation(bench)
    path = f"/v1/tenants/{tenant}/people/{user}"
    email = (await rest.get(path))["email"]
    token = await token_of(rest, tenant, user)
    await rest.patch(path, {"email": email.upper(), "name": "Eve"})
    assert (await shown(bench, token))["state"] == "open", "it is the same address"
    await rest.patch(path, {"email": "right@acme.example"})
    assert (await accept(bench, token), (await shown(bench, token))["state"]) == (404, "readdressed")
    late = await rest.call("POST", f"{path}/invitation-token", {"email": email})
    assert (late.status_code, late.json()["type"]) == (409, "urn:seatpool:problem:invitation-closed"), "an e-mail that waited goes there"
    right = await rest.call("POST", f"{path}/invitation-token", {"email": "Right@acme.example"})
    assert right.status_code == 201
    readdressed = token, right.json()["token"]
    await rest.patch(path, {"email": "newest@acme.example"})
    assert (await in_state(rest, tenant, user, "sent"))["status"] == "invited"
    assert [(await shown(bench, each))["state"] for each in readdressed] == ["readdressed"] * 2
    await rest.post(f"{path}/invite", {})
    await held(bench, tenant, user)
    await in_state(rest, tenant, user, "sent")
    assert [(await shown(bench, each))["state"] for each in readdressed] == ["readdressed"] * 2, "no newer e-mail goes to these addresses"
    assert await accept(bench, await token_of(rest, tenant, user)) == 200
    assert [(await shown(bench, each))["state"] for each in readdressed] == ["readdressed"] * 2, "somebody else has accepted"
    assert [await accept(bench, each) for each in readdressed] == [404] * 2


async def test_an_invitation_that_is_sent_again_renews_link_and_reservation(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = (await invited(bench, tenant, rest, days=1))["user"]
    await bench.until_needs(tenant, 1)
    await held(bench, tenant, user)
    await in_state(rest, tenant, user, "sent")
    old = await token_of(rest, tenant, user)
    again = await rest.post(f"/v1/tenants/{tenant}/people/{user}/invite", {"days": 5})
    until = NOON + timedelta(days=5, milliseconds=1)  # one for each version of the person: no two invitations end at the same time
    assert again["invitation"]["expires_at"] == format_instant(until)
    assert (await bench.until_needs(tenant, 2))[-1].hold_until == until
    assert (await accept(bench, old), (await shown(bench, old))["state"]) == (404, "replaced")
    await held(bench, tenant, user)
    await in_state(rest, tenant, user, "sent")
    assert await accept(bench, await token_of(rest, tenant, user)) == 200


async def test_A6_an_invitation_on_a_full_pool_is_refused_with_the_limit_and_how_to_buy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()

    async def refuse(_: object, tenant: str, commands: Sequence[seats.AssignSeats]) -> Sequence[Sequence[Mapping[str, Any]]]:
        modules = [{"module": module, "state": "refused", "reason": "pool_full"} for module in commands[0].modules]
        return [[{"type": "seats_refused", "data": {"need": {}, "modules": modules, "pools": [POOL]}}]]

    monkeypatch.setattr(AskedSeats, "what_if", refuse)
    answer = await rest.call("POST", f"/v1/tenants/{tenant}/people", ANN | {"invitation": {}})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (409, "urn:seatpool:problem:invitation-refused")
    assert problem["pools"] == [{"module": "time", "licences": 2, "in_use": 2}]
    assert f"POST /v1/tenants/{tenant}/quotes" in problem["how_to_buy"]
    assert (await rest.get(f"/v1/tenants/{tenant}/people"))["items"] == []
    without = await invited(bench, tenant, rest, reserve=False)
    link = await token_of(rest, tenant, without["user"])
    assert [each["module"] for each in (await shown(bench, link))["modules"]] == ["documents", "time"], "what accepting would require"
    change = {"people": [{"user": without["user"]}]}
    await rest.post(f"/v1/tenants/{tenant}/people/bulk-changes", change | {"action": "deactivate"})
    assert (await shown(bench, link))["state"] == "withdrawn"
    await rest.post(f"/v1/tenants/{tenant}/people/bulk-changes", change | {"action": "activate"})
    assert (without["status"], without["invitation"]["state"], without["modules"]) == ("invited", "sent", [])
    assert await bench.needs(tenant) == []
    assert await accept(bench, await token_of(rest, tenant, without["user"])) == 200
    (need,) = await bench.until_needs(tenant, 1)
    assert need.hold_until is None, "the policies of the pools decide"


async def test_an_invitation_that_is_sent_again_while_the_clock_stands_still_is_another_one_for_seats_and_notifier(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = (await invited(bench, tenant, rest))["user"]
    for terms in ({}, {"days": 3}, {}, {"days": 3}):
        await rest.post(f"/v1/tenants/{tenant}/people/{user}/invite", terms)
    ends = [need.hold_until for need in await bench.until_needs(tenant, 5)]
    assert len(set(ends)) == 5, "the end identifies an invitation, and the e-mail waits for the answer of seats"


async def test_a_reservation_that_seats_refuses_after_all_sends_no_link_and_can_be_asked_for_again(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = (await invited(bench, tenant, rest))["user"]
    await bench.until_needs(tenant, 1)
    refused = [seats.ModuleSeat(module=module, state="refused", reason="pool_full") for module in ("documents", "time")]
    await bench.answer(await bench.last_need(tenant, user), *refused, model=seats.SeatsRefused)
    found = await in_state(rest, tenant, user, "refused")
    assert found["status"] == "refused"
    assert await bench.events(tenant, PersonInvited) == []
    again = await rest.post(f"/v1/tenants/{tenant}/people/{user}/invite", {"days": 3})
    assert again["invitation"]["state"] == "requested"


@pytest.mark.parametrize("wrong", [{"email": None}, {"login": None}])
async def test_an_invitation_needs_an_address_and_a_login(bench: Bench, wrong: dict[str, None]) -> None:
    tenant, rest = await bench.open_tenant()
    answer = await rest.call("POST", f"/v1/tenants/{tenant}/people", ANN | wrong | {"invitation": {}})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [f"body.{next(iter(wrong))}"])


async def test_an_expired_invitation_is_shown_frees_what_it_reserved_and_can_be_sent_again(bench: Bench) -> None:
    start = NOON
    tenant, rest = await bench.open_tenant(clock="test", at=format_instant(start))
    async with bench.answering(tenant):
        await wait_until(lambda: _is_open(rest, tenant), what="the tenant to open")
        user = (await invited(bench, tenant, rest, days=2, reserve=False))["user"]
        token = await token_of(rest, tenant, user)
        await rest.post(f"/v1/tenants/{tenant}/clock", {"to": format_instant(start + timedelta(days=3))})
        await wait_until(lambda: _is_ready(rest, tenant), what="the clock to be ready")
    found = await in_state(rest, tenant, user, "expired")
    assert (found["status"], (await shown(bench, token))["state"]) == ("invited", "expired")
    (expired,) = await bench.events(tenant, InvitationExpired)
    assert (expired.user, expired.at) == (user, start + timedelta(days=2))
    assert await accept(bench, token) == 404
    again = await rest.post(f"/v1/tenants/{tenant}/people/{user}/invite", {"reserve": False})
    assert again["invitation"]["state"] == "sent"


async def test_a_person_without_an_e_mail_address_is_added_and_an_address_is_removed_with_null(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    without = await rest.post(f"/v1/tenants/{tenant}/people", {"login": "ann", "department": "Makers"})
    assert (without["email"], without["status"]) == ("", "active")
    assert len(await bench.until_needs(tenant, 1)) == 1, "the person takes seats all the same"
    path = f"/v1/tenants/{tenant}/people/{without['user']}"
    assert (await rest.patch(path, {"email": "ann@acme.example"}))["email"] == "ann@acme.example"
    assert (await rest.patch(path, {"email": None}))["email"] == ""
    assert [event.email for event in await bench.events(tenant, PersonChanged)] == ["ann@acme.example", ""]


# Replacing a person ----------------------------------------------------------------------------------------------------

BEN = {"login": "ben", "email": "ben@acme.example", "name": "Ben", "department": "Makers", "may_log_in": False}


async def ann_and_ben(bench: Bench) -> tuple[str, Rest, str, str]:
    """Ann has her seats, and Ben may not log in yet."""
    tenant, rest = await bench.open_tenant()
    ann, ben = [(await rest.post(f"/v1/tenants/{tenant}/people", each))["user"] for each in (ANN, BEN)]
    await bench.until_needs(tenant, 1)
    await bench.answer(await bench.last_need(tenant, ann))

    async def is_answered() -> bool:
        return not (await person(rest, tenant, ann))["pending"]

    await wait_until(is_answered, what="the first answer")
    return tenant, rest, ann, ben


async def replacement(bench: Bench, tenant: str) -> Sent:
    async def sent() -> Sent | None:
        return next((each for each in await bench.commands(tenant) if isinstance(each.payload, seats.ReplaceUser)), None)

    return await wait_until(sent, what="the command replace_user")


async def test_A17_replacing_a_person_sends_one_command_and_moves_the_seats(bench: Bench) -> None:
    tenant, rest, ann, ben = await ann_and_ben(bench)
    both = await rest.post(f"/v1/tenants/{tenant}/people/{ann}/replace", {"to": ben})
    assert (both["replaced"]["status"], both["replacement"]["status"], both["replacement"]["pending"]) == ("left", "active", True)
    command = await replacement(bench, tenant)
    assert isinstance(command.payload, seats.ReplaceUser)
    assert (command.payload.from_user, command.payload.to_user, command.payload.to.modules) == (ann, ben, ("documents", "time"))
    assert (command.payload.from_revision, command.payload.to_revision) == (2, 1)
    moved = tuple(seats.ModuleSeat(module=module, state="active", order=1) for module in ("documents", "time"))
    fields: dict[str, Any] = {
        "user": ben,
        "from_user": ann,
        "from_revision": 2,
        "revision": 1,
        "need": command.payload.to,
        "modules": moved,
    }
    await bench.decide(seats.SeatsMoved, tenant, command.position, **fields, moved=("documents", "time"), command=command.envelope.id)

    async def is_moved() -> bool:
        found = [await person(rest, tenant, user) for user in (ann, ben)]
        return not any(each["pending"] for each in found) and found[0]["modules"] == [] and found[1]["may_log_in"]

    await wait_until(is_moved, what="the seats to move")
    assert len(await bench.commands(tenant)) == 3, "tenant, the first request, the replacement"


async def test_A17_only_those_who_can_replace_a_person_are_offered(bench: Bench) -> None:
    tenant, rest, ann, ben = await ann_and_ben(bench)
    url = f"/v1/tenants/{tenant}/people"
    eve = (await rest.post(url, BEN | {"external_id": "eve", "login": "eve", "email": "eve@acme.example", "department": "Others"}))["user"]
    offered = await rest.get(f"{url}?can_replace={ann}")
    assert [each["user"] for each in offered["items"]] == [ben], "not Ann, and not Eve, who requires no modules"
    assert eve not in [each["user"] for each in (await rest.get(f"{url}?can_replace={ben}"))["items"]]
    await rest.patch(f"{url}/{ben}", {"may_log_in": True})
    await bench.until_needs(tenant, 2)
    await bench.answer(await bench.last_need(tenant, ben))

    async def has_seats() -> bool:
        return not (await person(rest, tenant, ben))["pending"]

    await wait_until(has_seats, what="the seats of Ben")
    assert (await rest.get(f"{url}?can_replace={ann}"))["items"] == [], "Ben has a seat of the same modules"


async def test_A17_a_replacement_that_seats_refuses_after_all_lets_both_people_ask_for_themselves(bench: Bench) -> None:
    tenant, rest, ann, ben = await ann_and_ben(bench)
    await rest.post(f"/v1/tenants/{tenant}/people/{ann}/replace", {"to": ben, "afterwards": "blocked"})
    command = await replacement(bench, tenant)
    refused: dict[str, Any] = {"user": ben, "from_user": ann, "from_revision": 2, "revision": 1, "reason": "already_seated"}
    await bench.decide(seats.ReplacementRefused, tenant, command.position, **refused, command=command.envelope.id)
    needs = await bench.until_needs(tenant, 3)
    assert [(each.user, each.revision, each.modules, each.leaver) for each in needs[1:]] == [
        (ann, 3, (), False),
        (ben, 2, ("documents", "time"), False),
    ]
    assert (await person(rest, tenant, ann))["status"] == "inactive"


@pytest.mark.parametrize(
    ("reason", "words"), [("already_seated", "already has a seat"), ("nothing_to_replace", "has no seat"), ("revoked", "was deactivated")]
)
async def test_A17_a_replacement_that_seats_would_refuse_changes_nobody_and_says_why(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, reason: str, words: str
) -> None:
    tenant, rest, ann, ben = await ann_and_ben(bench)

    async def refuse(*_: object) -> Sequence[Sequence[Mapping[str, Any]]]:
        return [[{"type": "replacement_refused", "data": {"reason": reason}}]]

    monkeypatch.setattr(AskedSeats, "what_if", refuse)
    answer = await rest.call("POST", f"/v1/tenants/{tenant}/people/{ann}/replace", {"to": ben})
    assert (answer.status_code, answer.json()["reason"]) == (409, reason)
    assert words in answer.json()["detail"]
    assert [(await person(rest, tenant, user))["status"] for user in (ann, ben)] == ["active", "inactive"]
    same = await rest.call("POST", f"/v1/tenants/{tenant}/people/{ann}/replace", {"to": ann})
    assert same.status_code == 409
    missing = await rest.call("POST", f"/v1/tenants/{tenant}/people/{ann}/replace", {"to": "nobody"})
    assert missing.status_code == 404


# Reminders -------------------------------------------------------------------------------------------------------------


async def test_T6_a_grace_is_announced_three_days_and_one_day_before_its_end_once_and_only_while_it_lasts(bench: Bench) -> None:
    start = NOON
    tenant, rest = await bench.open_tenant(clock="test", at=format_instant(start))
    async with bench.answering(tenant):
        await wait_until(lambda: _is_open(rest, tenant), what="the tenant to open")
    ann, ben = [(await rest.post(f"/v1/tenants/{tenant}/people", each))["user"] for each in (ANN, BEN | {"may_log_in": True})]
    await bench.until_needs(tenant, 2)
    week, short = start + timedelta(days=7), start + timedelta(days=2)
    flags = [
        seats.ModuleSeat(module=module, state="flagged", deadline=deadline, since=start)
        for module, deadline in (("documents", short), ("time", week))
    ]
    for user in (ann, ben):
        await bench.answer(await bench.last_need(tenant, user), *flags)
    for module in ("documents", "time"):
        await bench.decide(seats.SeatFlagCleared, tenant, await bench.tick(tenant), user=ben, module=module, role="settled")
    async with bench.answering(tenant):
        for days in (5, 8):  # the second advance repeats none
            await rest.post(f"/v1/tenants/{tenant}/clock", {"to": format_instant(start + timedelta(days=days))})
            await wait_until(lambda: _is_ready(rest, tenant), what="the clock to be ready")
    reminders = [(each.user, each.module, each.at - start, each.deadline) for each in await bench.events(tenant, GraceEnding)]
    assert reminders == [
        (ann, "documents", timedelta(days=1), short),
        (ann, "time", timedelta(days=4), week),
        (ann, "time", timedelta(days=6), week),
    ]


# Hand-over -------------------------------------------------------------------------------------------------------------


async def test_A22_a_deactivation_reports_what_has_to_be_handed_over_and_to_whom(bench: Bench) -> None:
    tenant, rest, ann, ben = await ann_and_ben(bench)
    await rest.patch(f"/v1/tenants/{tenant}/people/{ben}", {"may_log_in": True})
    path = f"/v1/tenants/{tenant}/people/{ann}"
    await rest.put(f"{path}/owned-items/projects", {"count": 3, "labels": ["Bridge"]})
    await rest.put(f"{path}/owned-items/reports", {"count": 1})
    await rest.put(f"{path}/owned-items/reports", {"count": 0})
    for wrong, status in ((ann, 422), ("nobody", 404)):
        assert (await rest.call("PUT", f"{path}/heir", {"heir": wrong})).status_code == status
    owned = await rest.put(f"{path}/heir", {"heir": ben})
    projects = {"kind": "projects", "count": 3, "labels": ["Bridge"]}
    assert owned == {"heir": ben, "heir_name": "Ben", "items": [projects]} == await rest.get(f"{path}/owned-items")
    assert (await rest.get(path))["hand_over"] is None, "a person who works here keeps everything"
    blocked = await rest.patch(path, {"may_log_in": False})
    assert blocked["hand_over"] == owned
    left = await rest.patch(path, {"status": "left"})
    assert left["hand_over"] == owned

    async def reported() -> list[HandOverDue]:
        return await bench.events(tenant, HandOverDue)

    (due,) = await wait_until(reported, what="the report of the hand-over")
    assert (due.user, due.heir, [(item.kind, item.count) for item in due.items]) == (ann, ben, [("projects", 3)])


# Erasure ---------------------------------------------------------------------------------------------------------------

ZOE = ("zoe-4711", "zoe.quill", "zoe@quill.example", "Zoë Quill")  # external id, login, e-mail address, name


def reported(ends_on: str | None, name: str = ZOE[3]) -> dict[str, Any]:
    values = {"since": "2020-01-01", "login": ZOE[1], "email": ZOE[2], "name": name, "department": "Makers"}
    return {"external_id": ZOE[0], "employment": [{"starts_on": "2020-01-01", "ends_on": ends_on}], "attributes": [values]}


async def imported(bench: Bench, rest: Rest, tenant: str, *people: dict[str, Any]) -> dict[str, Any]:
    """Import people; return the report of the check."""
    begun = await rest.post(f"/v1/tenants/{tenant}/imports", {"source": bench.source(tenant)})
    path = f"/v1/tenants/{tenant}/imports/{begun['import']}"
    await rest.put(f"{path}/people/0", {"people": list(people)})
    report: dict[str, Any] = await rest.post(f"{path}/check")
    await rest.post(f"{path}/apply", {"confirm": report["guard"]["would_end"]})

    async def is_applied() -> bool:
        return bool((await rest.get(path))["status"] == "applied")

    await wait_until(is_applied, what="the import to be applied")
    return report


async def zoe_left(bench: Bench) -> tuple[str, Rest, str]:
    """Zoë came by an import, another one changed her e-mail address, and she left by an event; a message about her is a dead letter."""
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, reported(None) | {"attributes": [reported(None)["attributes"][0] | {"email": f"old-{ZOE[2]}"}]})
    await imported(bench, rest, tenant, reported(None))
    await bench.send(HrPersonLeft(external_id=ZOE[0], effective_date=date(2026, 2, 1)), tenant, source=bench.source(tenant))
    zoe = await bench.until_person(rest, tenant, ZOE[0], status="left")
    broken = f'{{"external_id": "{ZOE[0]}", "email": "{ZOE[2]}", "effective_date": "never"}}'.encode()
    await bench.send(HrPersonChanged(external_id=ZOE[0], effective_date=NOON.date()), tenant, source=bench.source(tenant), raw=broken)

    async def is_dead() -> bool:
        return bool((await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"])

    await wait_until(is_dead, what="the dead letter")
    return tenant, rest, zoe["user"]


async def test_after_an_erasure_no_table_holds_the_person_and_a_repeated_import_brings_nothing_back(bench: Bench) -> None:
    tenant, rest, user = await zoe_left(bench)
    exported = await rest.get(f"/v1/tenants/{tenant}/people/{user}/data")
    assert {word for word in ZOE if word in json.dumps(exported["data"], ensure_ascii=False)} == set(ZOE)
    assert exported["data"]["guard_endings"][0]["external_id"] == ZOE[0]
    assert await traces(bench.execute, ZOE), "the search finds what is there"
    erased = await rest.post(f"/v1/tenants/{tenant}/people/{user}/erase", {})
    assert (erased["status"], erased["name"], erased["login"], erased["external_id"]) == ("left", "", None, user)
    assert await rest.post(f"/v1/tenants/{tenant}/people/{user}/erase", {}) == erased, "a second erasure changes nothing"
    other = (await rest.post(f"/v1/tenants/{tenant}/people", {"login": "other"}))["user"]
    for gone, kept in ((user, other), (other, user)):
        linked = await rest.call("POST", f"/v1/tenants/{tenant}/people/{gone}/link", {"to": kept})
        assert linked.json()["type"] == "urn:seatpool:problem:person-erased"
    await until_relayed(bench.users.database, tenant)
    assert await traces(bench.execute, ZOE) == []
    assert [event.user for event in await bench.events(tenant, PersonErased)] == [user]
    assert (await rest.call("PATCH", f"/v1/tenants/{tenant}/people/{user}", {"name": "Z"}, if_match="*")).status_code == 409

    report = await imported(bench, rest, tenant, reported("2026-01-31", name="Zoe Quill-Again"))
    assert (report["counts"]["unchanged"], report["counts"]["new"]) == (1, 0)
    await until_relayed(bench.users.database, tenant)
    assert await traces(bench.execute, [*ZOE, "Quill-Again"]) == []


async def test_a_person_who_is_hired_again_after_an_erasure_is_a_new_statement(bench: Bench) -> None:
    tenant, rest, user = await zoe_left(bench)
    await rest.post(f"/v1/tenants/{tenant}/people/{user}/erase", {})
    await imported(bench, rest, tenant, reported(None))
    found = await person(rest, tenant, user)
    assert (found["status"], found["name"], found["external_id"], found["erased_at"]) == ("active", ZOE[3], ZOE[0], None)


async def test_only_leavers_are_erased_and_only_their_own_messages(bench: Bench) -> None:
    tenant, rest, user = await zoe_left(bench)
    ann = (await rest.post(f"/v1/tenants/{tenant}/people", ANN))["user"]
    answer = await rest.call("POST", f"/v1/tenants/{tenant}/people/{ann}/erase", {})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:seatpool:problem:person-not-left")
    letters = f"/v1/operator/dead-letters?tenant={tenant}"
    for number, said in enumerate(
        (
            '"email": "other@acme.example"',
            '"email": "ZOE@quill.EXAMPLE"',  # under another id
            '"name": "Zo\\u00eb Quill"',  # under another id; an operator discards it
            '"name": "Zoë Quill"',  # may be about a namesake: an operator has to decide
        )
    ):
        raw = f'{{"external_id": "id-{number}", {said}, "effective_date": "never"}}'.encode()
        await bench.send(HrPersonChanged(external_id="x", effective_date=NOON.date()), tenant, source=bench.source(tenant), raw=raw)

    async def are_dead() -> bool:
        return len((await rest.get(letters))["items"]) == 5

    await wait_until(are_dead, what="the dead letters")
    all_of_them = [each["id"] for each in (await rest.get(letters))["items"]]
    await rest.post(f"/v1/operator/dead-letters/{all_of_them[3]}/discard", {"reason": "a test"})
    await rest.post(f"/v1/tenants/{tenant}/people/{user}/erase", {})
    assert [each["id"] for each in (await rest.get(letters))["items"]] == [all_of_them[1], all_of_them[4]]
    kept = await bench.execute("SELECT id FROM dead_letters WHERE tenant = $1 AND value IS NOT NULL ORDER BY id", tenant)
    assert [str(row[0]) for row in kept] == [str(each) for each in (all_of_them[1], all_of_them[4])]
    assert (await person(rest, tenant, ann))["name"] == "Ann"


YAN = ("yan-0815", "yan.moor", "yan@moor.example", "Yán Moor")  # whom no test leaves behind
YANS = {"login": YAN[1], "email": YAN[2], "name": YAN[3], "department": "Makers"}
HIRED_TODAY = {"type": "person_hired", "external_id": YAN[0], "effective_date": "2026-03-02", "fact": "hire"} | YANS
NOT_EMPLOYED = {"type": "person_reported", "external_id": YAN[0], "version": 1, "employment": []}
STARTS = NOT_EMPLOYED | {"employment": [{"starts_on": "2026-03-02"}], "attributes": [{"since": "2026-03-02"} | YANS]}


async def absent_from_an_import(bench: Bench, rest: Rest, tenant: str) -> None:
    begun = await rest.post(f"/v1/tenants/{tenant}/imports", {"source": bench.source(tenant), "complete": True, "absent": "leave"})
    path = f"/v1/tenants/{tenant}/imports/{begun['import']}"
    assert (await rest.post(f"{path}/check"))["counts"]["absent"] == 1
    await rest.post(f"{path}/apply", {})


@pytest.mark.parametrize(
    ("events", "name", "leaver"),
    [
        ([STARTS, STARTS | {"version": 2, "employment": []}], YAN[3], False),  # nobody came
        ([STARTS, NOT_EMPLOYED | {"version": 2, "attributes": []}], "", False),
        ([STARTS | {"employment": [{"starts_on": "2026-04-01"}]}, STARTS | {"version": 2, "employment": []}], YAN[3], None),
        ([HIRED_TODAY, {"type": "person_fact_withdrawn", "external_id": YAN[0], "fact": "hire"}], "", False),
        ([HIRED_TODAY | {"type": "person_changed"}], YAN[3], None),
        ([STARTS, absent_from_an_import], YAN[3], True),
        ([HIRED_TODAY, absent_from_an_import], YAN[3], True),
    ],
    ids=["no-show", "nothing-left", "start-cancelled", "hire-withdrawn", "never-hired", "absent-report", "absent-fact"],
)
async def test_M5_M9_a_person_whom_nobody_employs_any_more_has_left_and_is_erased(
    bench: Bench, events: Sequence[Any], name: str, leaver: bool | None
) -> None:
    tenant, rest = await bench.open_tenant()
    for event in events:
        if callable(event):
            await event(bench, rest, tenant)
        else:
            answer = await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": [event]})
            assert answer["rejected"] == []
        await bench.until_settled(tenant)
    yan = await bench.until_person(rest, tenant, YAN[0], status="left")
    assert [each["user"] for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=left"))["items"]] == [yan["user"]]
    assert yan["name"] == name
    assert [need.leaver for need in await bench.needs(tenant) if need.modules == ()] == ([] if leaver is None else [leaver])
    erased = await rest.post(f"/v1/tenants/{tenant}/people/{yan['user']}/erase", {})
    assert (erased["status"], erased["name"], erased["external_id"]) == ("left", "", yan["user"])
    await until_relayed(bench.users.database, tenant)
    assert await traces(bench.execute, YAN) == []


@pytest.mark.parametrize("employment", [[], [{"starts_on": "2020-01-01", "ends_on": "2026-02-28"}]], ids=["never-employed", "left"])
async def test_M9_a_restored_database_repeats_only_of_leavers_that_they_have_left(bench: Bench, employment: list[Any]) -> None:
    """Seats has seen a higher revision than the database, so the command is sent again."""
    tenant, rest = await bench.open_tenant()
    for event in (STARTS, STARTS | {"version": 2, "employment": employment}):
        await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": [event]})
    yan = await bench.until_person(rest, tenant, YAN[0], status="left")
    await bench.until_settled(tenant)
    sent = [need for need in await bench.needs(tenant) if need.user == yan["user"]]
    place = await bench.tick(tenant)
    await bench.decide(seats.CommandIgnored, tenant, place, "stale", user=yan["user"], last_revision=5)
    await bench.until_settled(tenant)
    again = [need for need in await bench.needs(tenant) if need.user == yan["user"]]
    assert [(need.revision, need.modules, need.leaver) for need in again[len(sent) :]] == [(6, (), bool(employment))]
    assert sent[-1].leaver is bool(employment)
    await rest.post(f"/v1/tenants/{tenant}/people/{yan['user']}/erase", {})  # other tests look for traces in all tenants


async def test_the_upgrade_lets_a_job_find_the_people_whom_earlier_releases_did_not_list(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    for event in (STARTS, STARTS | {"version": 2, "employment": []}):
        await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": [event]})
    yan = await bench.until_person(rest, tenant, YAN[0], status="left")
    before = (
        "UPDATE people SET status = 'expected', left_on = NULL, login = '', email = '', name = '', login_key = '', email_key = ''"
        " WHERE tenant_id = $1"
    )
    await bench.execute(before, tenant)
    assert (await rest.call("GET", f"/v1/tenants/{tenant}/people/{yan['user']}")).status_code == 404
    upgrade = import_module("services.users.migrations.versions.0002_people_whom_nobody_employs")
    await bench.execute(upgrade.STATEMENT)
    await bench.until_settled(tenant)
    found = await bench.until_person(rest, tenant, YAN[0], status="left")
    assert (found["user"], found["name"]) == (yan["user"], YAN[3])
    await rest.post(f"/v1/tenants/{tenant}/people/{yan['user']}/erase", {})


async def test_a_person_who_was_linked_with_another_one_is_erased_with_that_person(bench: Bench) -> None:
    """The other services know the former person by its own id."""
    tenant, rest = await bench.open_tenant()
    source, works = bench.source(tenant), STARTS | {"employment": [{"starts_on": "2020-01-01"}]}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [works]})
    yan = await bench.until_person(rest, tenant, YAN[0], status="active")
    kept = await rest.post(f"/v1/tenants/{tenant}/people", {"login": "other"})
    await rest.post(f"/v1/tenants/{tenant}/people/{yan['user']}/link", {"to": kept["user"]})
    assert (await rest.call("GET", f"/v1/tenants/{tenant}/people/{yan['user']}")).status_code == 404
    left = works | {"version": 2, "employment": [{"starts_on": "2020-01-01", "ends_on": "2026-02-28"}]}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [left]})
    await bench.until_person(rest, tenant, kept["external_id"], status="left")
    await rest.post(f"/v1/tenants/{tenant}/people/{kept['user']}/erase", {})
    await until_relayed(bench.users.database, tenant)
    assert sorted(event.user for event in await bench.events(tenant, PersonErased)) == sorted((yan["user"], kept["user"]))
    assert await traces(bench.execute, YAN) == []
    assert [each["user"] for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]] == [kept["user"]]


async def test_the_upgrade_erases_those_who_were_linked_with_somebody_whom_earlier_releases_erased(bench: Bench) -> None:
    """The other services still had their names and addresses. Somebody who was linked with somebody who is not erased stays."""
    tenant, rest = await bench.open_tenant()
    source, works = bench.source(tenant), STARTS | {"employment": [{"starts_on": "2020-01-01"}]}
    others = [works | {"external_id": f"E-{number}", "attributes": [{"since": "2020-01-01", "login": f"e{number}"}]} for number in (8, 9)]
    await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [works, *others]})
    yan, moved, stays = [await bench.until_person(rest, tenant, who) for who in (YAN[0], "E-8", "E-9")]
    kept = await rest.post(f"/v1/tenants/{tenant}/people", {"login": "other"})
    people = f"/v1/tenants/{tenant}/people"
    await rest.patch(f"{people}/{yan['user']}", {"job_title": "Baker"})
    await rest.post(f"{people}/{yan['user']}/link", {"to": kept["user"]})
    await rest.post(f"{people}/{moved['user']}/link", {"to": stays["user"]})
    left = works | {"version": 2, "employment": [{"starts_on": "2020-01-01", "ends_on": "2026-02-28"}]}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [left]})
    await bench.until_person(rest, tenant, kept["external_id"], status="left")
    stored = (await bench.execute("SELECT source, external_id, overrides FROM people WHERE user_id = $1", yan["user"]))[0]
    await rest.post(f"{people}/{kept['user']}/erase", {})
    as_before = "UPDATE people SET erased_at = NULL, source = $2, external_id = $3, overrides = $4 WHERE user_id = $1"
    await bench.execute(as_before, yan["user"], *stored[:2], json.dumps(stored[2]))
    assert await traces(bench.execute, YAN) != []
    await bench.execute(import_module("services.users.migrations.versions.0004_people_linked_with_erased_ones").STATEMENT)
    await DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm).run_chunk(tenant)
    await until_relayed(bench.users.database, tenant)
    assert [event.user for event in await bench.events(tenant, PersonErased)].count(yan["user"]) == 2
    assert await traces(bench.execute, YAN) == []
    erased = "SELECT user_id FROM people WHERE tenant_id = $1 AND erased_at IS NOT NULL"
    assert sorted(user for (user,) in await bench.execute(erased, tenant)) == sorted((yan["user"], kept["user"]))


async def test_the_retention_reaches_a_person_who_never_came(bench: Bench) -> None:
    """It counts from the day on which the source takes the employment back."""
    tenant, rest = await bench.open_tenant(clock="test", at=format_instant(NOON), erase_after_months=2)
    async with bench.answering(tenant):
        await wait_until(lambda: _is_open(rest, tenant), what="the tenant to open")
        for event in (STARTS, STARTS | {"version": 2, "employment": []}):
            await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": [event]})
        yan = await bench.until_person(rest, tenant, YAN[0], status="left")
        for day, name in ((1, YAN[3]), (3, "")):
            await rest.post(f"/v1/tenants/{tenant}/clock", {"to": format_instant(datetime(2026, 5, day, 12, tzinfo=UTC))})
            await wait_until(lambda: _is_ready(rest, tenant), what="the clock to be ready")
            assert (await person(rest, tenant, yan["user"]))["name"] == name
    assert [event.user for event in await bench.events(tenant, PersonErased)] == [yan["user"]]


async def test_leavers_are_erased_when_the_retention_of_their_tenant_ends(bench: Bench) -> None:
    start = NOON
    tenant, rest = await bench.open_tenant(clock="test", at=format_instant(start), erase_after_months=2)
    async with bench.answering(tenant):
        await wait_until(lambda: _is_open(rest, tenant), what="the tenant to open")
        await imported(bench, rest, tenant, reported(None))
        await imported(bench, rest, tenant, reported("2026-03-01"))
        (zoe,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=left"))["items"]
        for day, name in ((1, ZOE[3]), (3, "")):
            await rest.post(f"/v1/tenants/{tenant}/clock", {"to": format_instant(datetime(2026, 5, day, 12, tzinfo=UTC))})
            await wait_until(lambda: _is_ready(rest, tenant), what="the clock to be ready")
            assert (await person(rest, tenant, zoe["user"]))["name"] == name
    (event,) = await bench.events(tenant, PersonErased)
    assert event.at == datetime(2026, 5, 1, 22, tzinfo=UTC), "midnight in Copenhagen, two months after 2 March"


async def _is_open(rest: Rest, tenant: str) -> bool:
    return bool((await rest.get(f"/v1/tenants/{tenant}"))["status"] == "open")


async def _is_ready(rest: Rest, tenant: str) -> bool:
    return bool((await rest.get(f"/v1/tenants/{tenant}/clock"))["state"] == "ready")
