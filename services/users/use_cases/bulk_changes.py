"""Activate or deactivate several people, each as far as it can be done, and say what it would lead to.

To undo such a change, request the opposite with the revisions that it answered: a person whom anything else has changed since stays.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from services.users.domain.differences import Obstacle
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.required_modules import SeatStatus
from services.users.domain.status import Status
from services.users.store import pools
from services.users.use_cases import edit_person, known_people
from services.users.use_cases.preview_person import Cost, ask, cost_of, expansions_in, status_after, subject_of
from services.users.use_cases.seats_questions import COMMANDS_MAX, Command, SeatsQuestions, states_in
from shared.database import UnitOfWork

PEOPLE_MAX: Final = COMMANDS_MAX
_REVISION_BYTES: Final = 4  # ten digits: every client reads the number exactly


class Action(StrEnum):
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"


class Outcome(StrEnum):
    CHANGED = "changed"
    UNCHANGED = "unchanged"  # nothing is to be done
    CHANGED_MEANWHILE = "changed_meanwhile"  # the given revision is not the person's last one
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Changed:
    """The outcome for one person. `reason` and `detail` say why it was refused: the name of the refusal, and a sentence. `obstacle`:
    what still blocks somebody who was activated."""

    user: str
    outcome: Outcome
    person: Person | None = None
    reason: str | None = None
    detail: str = ""
    obstacle: Obstacle | None = None

    @property
    def revision(self) -> int | None:
        return None if self.person is None else _revision(self.person)


def _revision(person: Person) -> int:
    """Return the revision of the person that a request names. It covers all that is stated and set about the person, with the next day on
    which that changes, but no decision of seats.

    The number of the last command is part of it, because a change that was taken back is a change, too. Most changes of somebody who is
    deactivated send no command. Of somebody for whom seats was never asked, every change counts."""
    number = person.version if person.sent is None else person.revision
    account = replace(person.account, seat_status=SeatStatus.GRANTED)  # seats decide about it
    stated = (person.record, person.overrides, person.reconsider_on, person.separated)
    content = (number, account, *stated, person.conflict, person.confirmed_login, person.confirmed_email)
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
    return int.from_bytes(digest[:_REVISION_BYTES])


@dataclass(frozen=True, slots=True)
class PoolUse:
    """The use of a pool now, and after the change."""

    module: str
    licences: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Decisions:
    """What seats would decide, by person. `decided`: it has answered."""

    decided: bool = True
    states: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    pools: Sequence[PoolUse] = ()
    added: Mapping[str, int] = field(default_factory=dict)
    cost: Cost | None = None


async def change(tenant: Tenant, uow: UnitOfWork, action: Action, before: Person, revision: int | None, cause: Cause) -> Changed:
    """Change one person, if there is anything to change. Call under the person's lock. Raises Refused."""
    status, allowed = before.standing.status, before.account.may_log_in
    if revision is not None and (revision != _revision(before) or status is Status.LEFT):
        return Changed(before.user, Outcome.CHANGED_MEANWHILE, before)
    if status is Status.LEFT:
        detail = "The person has left. Hire the person again to give access."
        return Changed(before.user, Outcome.REFUSED, before, "person-has-left", detail)
    if action is Action.DEACTIVATE:
        if not allowed:
            return Changed(before.user, Outcome.UNCHANGED, before)
        after = await edit_person.change(tenant, uow, before, {"may_log_in": False}, cause)
        return Changed(before.user, Outcome.CHANGED, after)
    if allowed and status not in (Status.REFUSED, Status.DEACTIVATED):
        return Changed(before.user, Outcome.UNCHANGED, before, obstacle=await known_people.obstacle(tenant, uow, before))
    after = await edit_person.reactivate(tenant, uow, before, None, cause)
    return Changed(before.user, Outcome.CHANGED, after, obstacle=await known_people.obstacle(tenant, uow, after))


async def decisions(
    tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, changed: Sequence[Changed], commands: Sequence[Command]
) -> Decisions:
    """Return what seats would decide about the people who were changed in a transaction that was rolled back. `commands` were published in
    it."""
    if not commands:
        return Decisions()
    answer = await ask(tenant, seats, commands)
    if answer is None:
        return Decisions(decided=False)
    add_ons = await pools.add_ons(uow.connection, tenant.tenant)
    people = {each.user: each.person for each in changed if each.person is not None}
    states = {subject_of(command): states_in(events) for command, events in zip(commands, answer, strict=True)}
    statuses = {user: status_after(tenant, people[user], found, add_ons) for user, found in states.items() if user in people}
    events = [event for each in answer for event in each]
    added = expansions_in(events)
    use = await _use(tenant, uow, events)
    return Decisions(True, states, statuses, use, added, await cost_of(tenant, uow, added))


async def _use(tenant: Tenant, uow: UnitOfWork, events: Sequence[Mapping[str, Any]]) -> list[PoolUse]:
    """Return the use of each pool that these events change."""
    known = await pools.counts(uow.connection, tenant.tenant)
    last = {pool["module"]: pool for event in events for pool in event["data"].get("pools", ())}
    return [
        PoolUse(module, pool["licences"], known[module].in_use, pool["active"] + pool["flagged"] + pool["held"])
        for module, pool in sorted(last.items())
        if module in known
    ]
