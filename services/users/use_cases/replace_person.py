"""Replace a person by another (A17): the seats of the one go to the other with their states and deadlines, and no pool changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from services.users.domain import person as rules
from services.users.domain.person import Cause, Person, Revision, Tenant
from services.users.domain.required_modules import NO_MODULES, Invitation
from services.users.store import module_states
from services.users.store import people as store
from services.users.use_cases import known_people, people
from services.users.use_cases.edit_person import Edit
from services.users.use_cases.people import SEATS_ACTOR
from services.users.use_cases.seats_questions import SeatsQuestions
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.envelope import Envelope
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import AssignSeats, Need, Reason, ReplacementRefused, ReplaceUser


class Afterwards(StrEnum):
    """The person who is replaced has left, or may not log in. In either case, the person requires no modules any more."""

    LEFT = "left"
    BLOCKED = "blocked"


_WHY: Final[Mapping[str, str]] = {
    Reason.ALREADY_SEATED: "{to} already has a seat of one of these modules, perhaps one over the limit. Block the login of {to} first "
    "(`may_log_in`: false), so that the seats are released, and then replace the person",
    Reason.NOTHING_TO_REPLACE: "{source} has no seat",
    Reason.UNKNOWN_USER: "{source} has no seat",
    Reason.REVOKED: "{to} was deactivated in a base module that {source} does not have. Reactivate {to} first",
}


async def replace_person(
    tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, source: str, to: str, afterwards: Afterwards, cause: Cause
) -> tuple[Person, Person]:
    """Replace `source` by `to`; return both. `to` may log in from now on. Raises NotFound, and Conflict if seats would refuse it.

    If seats does not answer the question, its log decides; `on_refused` then sends what each of the two requires.
    """
    found = await store.lock_many(uow.connection, tenant.tenant, sorted({source, to}), tenant.today)
    old, new = found.get(source), found.get(to)
    if old is None or new is None or old.record is None or new.record is None:
        raise NotFound("person", "Check the id in the path and `to` in the body.")
    if source == to:
        raise _refused(f"{source} cannot be replaced by the same person", Reason.UNKNOWN_USER)
    gone, edit = await _gone(tenant, uow, old, afterwards, cause)
    (taken,) = await _as_taken(tenant, uow, [new])
    _check(old, taken)
    command_id = ids.new_id()
    cause = replace(cause, reason=Reason.REPLACED.value)
    revisions = [
        _without_command(rules.revise(before, after, at=tenant.now, cause=cause, resend=True), command_id)
        for before, after in ((old, gone), (new, taken))
    ]
    (from_, _), (to_, need) = revisions
    command = ReplaceUser(
        from_user=source,
        from_revision=from_.person.revision,
        to_user=to,
        to_revision=to_.person.revision,
        to=Need(**{name: getattr(need, name) for name in Need.model_fields}),
        reason=Reason.REPLACED.value,
    )
    await _ask(tenant, seats, command)
    await edit.save_others(uow)
    gone, taken = await people.save_all(tenant, uow, [from_, to_], None)
    uow.publish(command, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=to, id=command_id)
    return gone, taken


async def _gone(tenant: Tenant, uow: UnitOfWork, old: Person, afterwards: Afterwards, cause: Cause) -> tuple[Person, Edit]:
    edit = await Edit.begin(tenant, uow, old)
    if afterwards is Afterwards.LEFT:
        edit.set_employed(False)
        return await edit.after(uow, old.account, cause), edit
    return await edit.after(uow, replace(old.account, may_log_in=False), cause), edit


def _check(old: Person, taken: Person) -> None:
    if old.sent is None or old.sent == NO_MODULES:
        raise _refused(_WHY[Reason.NOTHING_TO_REPLACE].format(source=old.user, to=taken.user), Reason.NOTHING_TO_REPLACE)
    if not _can_receive(taken):
        why = "has not accepted an invitation" if taken.account.invitation != Invitation.NONE else "requires no modules"
        raise _refused(
            f"{taken.user} {why}, so no seat can go to that person. The person needs a login, a profile with modules, and to be employed",
            "no_modules_required",
        )


def _can_receive(taken: Person) -> bool:
    return taken.standing.required != NO_MODULES and taken.account.invitation == Invitation.NONE


async def who_can_replace(tenant: Tenant, uow: UnitOfWork, source: str, candidates: Sequence[Person]) -> list[Person]:
    """Return those of the people to whom the seats of `source` can go, as far as it is known here: seats decides."""
    taken = await _as_taken(tenant, uow, candidates)
    states = await module_states.load(uow.connection, tenant.tenant, [source, *(each.user for each in candidates)])
    seated = {user: {module for module, seat in of.items() if seat.state in module_states.SEAT_STATES} for user, of in states.items()}
    return [
        before
        for before, after in zip(candidates, taken, strict=True)
        if before.user != source and _can_receive(after) and not seated[source] & seated[before.user] & {*after.standing.required.modules}
    ]


async def _as_taken(tenant: Tenant, uow: UnitOfWork, given: Sequence[Person]) -> list[Person]:
    return await known_people.as_of_today(tenant, uow, [replace(each, account=replace(each.account, may_log_in=True)) for each in given])


def _without_command(revision: Revision, command_id: str) -> tuple[Revision, AssignSeats]:
    """Return the revision as part of the command with that id, and what the person would have requested alone."""
    assert revision.command is not None
    return replace(revision, person=replace(revision.person, command_id=command_id), command=None), revision.command


async def _ask(tenant: Tenant, seats: SeatsQuestions, command: ReplaceUser) -> None:
    """Raise Conflict if seats would refuse the replacement."""
    for events in await seats.what_if(tenant.tenant, [command]) or ():
        for event in events:
            if event["type"].endswith("replacement_refused"):
                reason = event["data"]["reason"]
                why = _WHY.get(reason, f"the reason is: {reason}")
                raise _refused(why.format(source=command.from_user, to=command.to_user), reason)


def _refused(why: str, reason: str) -> Conflict:
    return Conflict("replacement-refused", f"The person was not replaced: {why}.", reason=reason)


async def on_refused(tenant: Tenant, uow: UnitOfWork, event: ReplacementRefused, envelope: Envelope) -> None:
    """Send what each of the two people requires, because seats has refused the replacement after all. The person who was replaced counts as
    no leaver, so that no pool changes (A17)."""
    revisions: Mapping[str, int] = {event.from_user: event.from_revision, event.user: event.revision}
    found = await store.lock_many(uow.connection, tenant.tenant, sorted(revisions), tenant.today)
    cause = Cause(SEATS_ACTOR, "replacement_refused")
    resent: list[Revision] = []
    for user, revision in revisions.items():
        before = found.get(user)
        if before is not None and before.record is not None and before.revision <= revision:
            (after,) = await known_people.as_of_today(tenant, uow, [before])
            again = rules.revise(before, after, at=tenant.now, cause=cause, resend=True, above=revision)
            assert again.command is not None
            resent.append(replace(again, command=again.command.model_copy(update={"leaver": False})))
    await people.save_all(tenant, uow, resent, envelope)
