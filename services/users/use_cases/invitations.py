"""Invite people, and let them accept.

An invitation reserves the required licences until it ends (a hold of seats), unless it is sent without a reservation. A full pool refuses a
reservation whatever its policy. The e-mail with the link follows when seats has reserved the licences. Accepting claims them; without a
reservation, it requests them, and the policies of the pools decide.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.users.domain import invitations as domain
from services.users.domain import person as rules
from services.users.domain.confirmation import same_address
from services.users.domain.invitations import InvitationTerms, TokenState
from services.users.domain.module_states import ModuleState
from services.users.domain.person import Cause, Person, Tenant, command_of
from services.users.domain.required_modules import NO_MODULES
from services.users.domain.status import Status
from services.users.store import catalogue, module_states
from services.users.store import invitation_tokens as tokens
from services.users.store import people as people_store
from services.users.store import tenants as tenants_store
from services.users.store.invitation_tokens import InvitationTokenRow
from services.users.store.tenants import StoredTenant
from services.users.use_cases import known_people, licences, people
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import Reason, SeatState
from shared.schemas.users_v1 import InvitationExpired

_INVITABLE = (Status.INVITED, Status.REFUSED, Status.NOT_SUBSCRIBED)
_SYSTEM = Actor(kind="system", id="users")


async def check(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, invited: Person) -> None:
    """Raise Invalid if the invitation cannot reach the person, and Conflict if seats would refuse to reserve the licences (A6).

    If seats does not answer, its log decides.
    """
    record = invited.record
    if record is None or not record.email:
        raise Invalid("body.email", None, "an e-mail address, because the invitation is sent to it")
    if not invited.sign_in_email:
        expected = (
            "an e-mail address that is confirmed (`POST …/sign-in/confirm`), because the person holds a role and the invitation has a link"
        )
        raise Invalid("body.email", record.email, expected)
    if not record.login:
        raise Invalid("body.login", None, "a login, because a person without one takes no seat")
    if invited.standing.required.hold_until is None:
        return
    command = command_of(replace(invited, revision=invited.revision + 1), "invited", ())
    for events in await seats.what_if(tenant.tenant, [command]) or ():
        for answer in (event["data"] for event in events if "need" in event["data"]):
            refused = {each["module"]: each.get("reason") for each in answer["modules"] if each["state"] == SeatState.REFUSED}
            if refused:
                buy = licences.how_to_buy(tenant.tenant, (await licences.load(tenant, uow)).buying)
                raise _refused(refused, {pool["module"]: pool for pool in answer.get("pools", ())}, buy)


def _refused(refused: Mapping[str, str | None], pools: Mapping[str, Mapping[str, Any]], how_to_buy: str) -> Conflict:
    """Return the refusal of a reservation, with the limit and the use of each full pool, and how to buy (A6)."""
    full = [pools[module] for module, reason in refused.items() if reason == Reason.POOL_FULL and module in pools]
    shown = [
        {"module": pool["module"], "licences": pool["licences"], "in_use": pool["active"] + pool["flagged"] + pool["held"]} for pool in full
    ]
    named = "; ".join(licences.limit_and_use(**each) for each in shown)
    why = f"no licence is free: {named}" if shown else f"these modules cannot be reserved: {', '.join(sorted(refused))}"
    return Conflict(
        "invitation-refused",
        f"The person was not invited, because {why}. Deactivate people who no longer need access, or invite the person without a "
        f"reservation (`reserve`: false). {how_to_buy}",
        modules=[{"module": module, "reason": reason} for module, reason in sorted(refused.items())],
        pools=shown,
        how_to_buy=how_to_buy,
    )


async def invite(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, before: Person, terms: InvitationTerms, cause: Cause) -> Person:
    """Invite a person, or send the invitation again: earlier links are void, and the reservation is renewed.

    Call under the person's lock. Raises Conflict, Invalid.
    """
    status = before.standing.status
    if status not in _INVITABLE:
        raise Conflict(
            "not-invitable",
            f"The status of this person is {status}. Only people who were invited or refused can be invited. To let a person who is "
            "deactivated, inactive or has left use the modules again, reactivate the person.",
            person_status=str(status),
        )
    invited = replace(before, account=terms.invited(before, tenant.now, cause.actor))
    (after,) = await known_people.as_of_today(tenant, uow, [invited])
    await check(tenant, uow, seats, after)
    await tokens.end(uow.connection, tenant.tenant, before.user, TokenState.REPLACED)
    person = await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=replace(cause, reason="invited")), None)
    publish_unless_reserving(tenant, uow, person, cause.actor)
    return person


def publish_unless_reserving(tenant: Tenant, uow: UnitOfWork, person: Person, actor: Actor) -> None:
    """Publish an invitation that waits for no answer of seats. The others are published with the answer (`people.apply_decisions`)."""
    if person.standing.required == NO_MODULES:
        event = domain.invited_event(person, tenant.now, actor)
        uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=person.user)


async def new_token(tenant: Tenant, uow: UnitOfWork, user: str, email: str | None) -> tuple[str, datetime]:
    """Return a new token that accepts the person's invitation, and its end. Only its hash is stored. `email`: the address to which it goes.
    Raises NotFound, Conflict."""
    person = await people_store.lock(uow.connection, tenant.tenant, user, tenant.today)
    if person is None:
        raise NotFound("person")
    until = person.account.invited_until
    if until is None or not domain.is_open(person.account, tenant.now):
        raise Conflict(
            "invitation-closed",
            "The person has no open invitation: it was accepted, or it has expired. If it has expired, invite the person again "
            "(`POST …/people/{user}/invite`).",
        )
    if email is not None and email != person.sign_in_email and not same_address(email, person.sign_in_email):
        raise Conflict(
            "invitation-closed",
            "The person has another e-mail address now. Invite the person again (`POST …/people/{user}/invite`).",
        )
    token = secrets.token_urlsafe(32)
    await tokens.add(uow.connection, InvitationTokenRow(tenant.tenant, user, _hash(token), tenant.now))
    return token, until


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def is_known(uow: UnitOfWork, token: str) -> bool:
    """Return whether there is or was an invitation with this token. Call in the scope of the system."""
    return await tokens.find(uow.connection, _hash(token)) is not None


async def accept(tenants: Tenants, uow: UnitOfWork, token: str) -> tuple[str, str] | None:
    """Accept the invitation of this token, once; return its tenant and person. None: there is no such invitation, whatever the reason.

    Call in the scope of the system, and roll back if the answer is None. Raises Conflict while the tenant's test clock is advancing.
    """
    found = await tokens.find(uow.connection, _hash(token))
    if found is None or found.ended is not None:
        return None
    await uow.scope(found.tenant_id)
    tenant = await tenants.for_write(found.tenant_id, uow)
    before = await people_store.lock(uow.connection, tenant.tenant, found.user_id, tenant.today)
    # Under the person's lock, the token may have ended: another request was first.
    if before is None or await tokens.end(uow.connection, tenant.tenant, before.user, TokenState.ACCEPTED) == 0:
        return None
    person = await _claim(tenant, uow, before)
    return None if person is None else (tenant.tenant, person.user)


@dataclass(frozen=True, slots=True)
class Shown:
    """An invitation as its link shows it.

    `modules`: what the person gets, with the state of each after the acceptance. `reserved`: licences are held for it; a reduction can have
    ended that. `inviter`: the name of who sent it, if it is somebody who still works for the tenant.
    """

    tenant: Tenant
    stored: StoredTenant
    person: Person
    state: TokenState
    modules: Mapping[str, ModuleState | None]
    reserved: bool
    names: Mapping[str, str]
    inviter: str | None


async def show(tenants: Tenants, uow: UnitOfWork, token: str) -> Shown | None:
    """Return what the link of an invitation is about; None if there is none. Nothing is changed. Call in the scope of the system."""
    found = await tokens.find(uow.connection, _hash(token))
    if found is None:
        return None
    names = await catalogue.names(uow.connection)
    await uow.scope(found.tenant_id)
    tenant = await tenants.for_read(found.tenant_id, uow)
    stored = await tenants_store.get(uow.connection, tenant.tenant)
    person = await people_store.get(uow.connection, tenant.tenant, found.user_id, tenant.today)
    if person is None or person.record is None or stored is None:
        return None
    state = _state_of(person, found.ended, tenant)
    seats = (await module_states.load(uow.connection, tenant.tenant, [person.user]))[person.user]
    reserved = person.account.hold_until is not None and any(seat.state is ModuleState.HELD for seat in seats.values())
    modules: Mapping[str, ModuleState | None]
    if state is TokenState.ACCEPTED:
        modules = {each: seats[each].state if each in seats else ModuleState.PENDING for each in person.standing.required.modules}
    else:
        after = rules.with_standing(replace(person, account=domain.accepted(person.account)), tenant)
        modules = dict.fromkeys(after.standing.required.modules)
    return Shown(tenant, stored, person, state, modules, reserved, names, await _inviter(tenant, uow, person))


async def _inviter(tenant: Tenant, uow: UnitOfWork, invited: Person) -> str | None:
    by = invited.account.invited_by
    found = await people_store.get(uow.connection, tenant.tenant, by, tenant.today) if by is not None else None
    if found is None or found.record is None or found.standing.status == Status.LEFT:
        return None
    return found.record.name or None


def _state_of(person: Person, ended: str | None, tenant: Tenant) -> TokenState:
    """Return what a link still does. `ended`: why its token has ended, if it has."""
    if ended == TokenState.ACCEPTED and person.standing.status in (Status.INACTIVE, Status.LEFT):
        return TokenState.WITHDRAWN
    if ended is not None:
        return TokenState(ended)
    if not domain.is_open(person.account, tenant.now):
        return TokenState.EXPIRED
    return TokenState.OPEN if person.standing.status in _INVITABLE else TokenState.WITHDRAWN


async def claim_invitation(tenant: Tenant, uow: UnitOfWork, user: str) -> bool:
    """Accept the open invitation of a person who signs in, if there is one; return whether there was."""
    before = await people_store.lock(uow.connection, tenant.tenant, user, tenant.today)
    if before is None or await _claim(tenant, uow, before) is None:
        return False
    await tokens.end(uow.connection, tenant.tenant, user, TokenState.ACCEPTED)
    return True


async def _claim(tenant: Tenant, uow: UnitOfWork, before: Person) -> Person | None:
    """Claim what the invitation reserves; without a reservation, request it. None: the invitation is over, or the login is blocked."""
    if not domain.is_open(before.account, tenant.now) or before.standing.status not in _INVITABLE:
        return None
    (after,) = await known_people.as_of_today(tenant, uow, [replace(before, account=domain.accepted(before.account))])
    cause = Cause(Actor(kind="user", id=before.user), "invitation_accepted")
    return await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), None)


async def expire(tenant: Tenant, uow: UnitOfWork, limit: int) -> int:
    """End invitations whose time has come; return how many. Their people stay invited, and can be invited again."""
    ended = await people_store.lock_invited(uow.connection, tenant.tenant, tenant.now, limit, tenant.today)
    cause = Cause(_SYSTEM, "invitation_expired")
    expired = await known_people.as_of_today(tenant, uow, [replace(each, account=domain.expired(each.account)) for each in ended])
    for before, after in zip(ended, expired, strict=True):
        assert before.account.invited_until is not None
        await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), None)
        await tokens.end(uow.connection, tenant.tenant, before.user, TokenState.EXPIRED)
        event = InvitationExpired(at=tenant.now, actor=_SYSTEM, user=before.user, expires_at=before.account.invited_until)
        uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=before.user)
    return len(ended)
