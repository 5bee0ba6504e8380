"""Terminate people with a last working day (M9), and take a termination back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from services.users.domain import person as rules
from services.users.domain.facts import FactType
from services.users.domain.merging import days_ahead, merged_by_day, takes_leaving_back
from services.users.domain.module_states import ModuleState
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.status import Status
from services.users.domain.timelines import OPEN_FROM
from services.users.store import module_states
from services.users.use_cases import rights
from services.users.use_cases.edit_person import Edit
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.seats_v1 import AssignSeats, Reason


class Licence(StrEnum):
    """The fate of the licence of a person who leaves."""

    FREE = "free"  # the tenant can reduce the module by one licence (A17)
    GIVEN_UP = "given_up"  # the policy `terminate_reduces_pool` reduces the module (M9)
    REALLOCATED = "reallocated"  # a flagged or waiting person gets it


@dataclass(frozen=True, slots=True)
class LeaverLicence:
    """`next_period` is the number of licences of the module for the next period, after the person has left."""

    state: Licence
    next_period: int


@dataclass(frozen=True, slots=True)
class Termination:
    """`licences` by module; None: seats did not answer."""

    person: Person
    last_day: date
    licences: Mapping[str, LeaverLicence] | None

    @property
    def reduction(self) -> Mapping[str, int]:
        """Return the totals of a reduction by each licence that becomes free. The last licence of a module stays."""
        licences = self.licences or {}
        return {name: each.next_period - 1 for name, each in licences.items() if each.state is Licence.FREE and each.next_period > 1}


async def terminate(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, before: Person, last_day: date, cause: Cause) -> Termination:
    """Let the person leave after the last working day, in the past or in the future; an earlier termination by REST is replaced.

    Call under the person's lock. Raises Invalid, and Conflict for somebody who has left and would be employed again.
    """
    edit = await Edit.begin(tenant, uow, before)
    edit.take_leaving_back()
    employed = edit.stated.on(last_day)
    if last_day >= OPEN_FROM or employed is None or not employed.employed:
        raise Invalid("body.last_day", last_day.isoformat(), f"a day before {OPEN_FROM} on which the person is employed")
    since = last_day + timedelta(days=1)
    edit.set_employed(False, since)
    days = [since, *days_ahead(edit.stated, since)]
    if any(record is not None and record.employed for record in merged_by_day(edit.stated, days)):
        raise Invalid("body.last_day", last_day.isoformat(), "a day of the last employment of the person")
    if before.standing.status is Status.LEFT and last_day >= tenant.today:
        raise Conflict(
            "person-has-left",
            f"The person has left; the last day was {_last_day(before)}. A later last day would employ the person again. If the leaving "
            "was a mistake, take it back first (`DELETE …/people/{user}/terminate`). If the person is hired again, the HR system reports "
            "it, or reactivate the person.",
        )
    after = await edit.after(uow, before.account, cause)
    rights.check_change(tenant, before, after, cause)
    licences = await _licences(tenant, uow, seats, before)
    revision = rules.revise(before, after, at=tenant.now, cause=replace(cause, fact=FactType.LEFT))
    return Termination(await edit.save(uow, revision), last_day, licences)


def _last_day(person: Person) -> str:
    return "not recorded" if person.left_on is None else (person.left_on - timedelta(days=1)).isoformat()


async def take_back(tenant: Tenant, uow: UnitOfWork, before: Person, cause: Cause) -> Person:
    """Take back the termination by REST, before or after its day. Call under the person's lock. Raises Conflict."""
    edit = await Edit.begin(tenant, uow, before)
    stated = edit.stated
    if not edit.take_leaving_back():
        raise Conflict(
            "nothing-to-take-back",
            "This API has not terminated the person. If an HR system has, correct the leaving there; to let the person use the modules "
            "again meanwhile, reactivate the person.",
        )
    after = await edit.after(uow, before.account, cause)
    rights.check_change(tenant, before, after, cause)
    back = takes_leaving_back(stated, edit.stated, tenant.today)
    revision = rules.revise(before, after, at=tenant.now, cause=replace(cause, fact=FactType.CHANGED), leaving_withdrawn=back)
    return await edit.save(uow, revision)


async def _licences(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, before: Person) -> Mapping[str, LeaverLicence] | None:
    """Return what would become of the person's licences if the person left now."""
    states = (await module_states.load(uow.connection, tenant.tenant, [before.user]))[before.user]
    licensed = {module for module, seat in states.items() if seat.state in (ModuleState.ACTIVE, ModuleState.HELD)}
    if not licensed:
        return {}
    command = AssignSeats(
        user=before.user,
        revision=before.revision + 1,
        modules=(),
        created_at=before.created_at,
        reason=Reason.LEFT.value,
        leaver=True,
    )
    decisions = await seats.what_if(tenant.tenant, [command])
    return None if decisions is None else licences_after(decisions[0], licensed)


def licences_after(events: Sequence[Mapping[str, Any]], licensed: set[str]) -> Mapping[str, LeaverLicence]:
    """Return what the decision about a leaver makes of these licences."""
    found: dict[str, LeaverLicence] = {}
    pools = {pool["module"]: pool for event in events for pool in event["data"].get("pools", ())}
    given_up = {event["data"]["module"] for event in events if event["type"].endswith(".pool_reduced")}
    for event in events:
        for module in licensed.intersection(event["data"].get("released", ())):
            pool = pools[module]
            state = Licence.GIVEN_UP if module in given_up else Licence.FREE if pool["available"] > 0 else Licence.REALLOCATED
            found[module] = LeaverLicence(state, pool["next_period"])
    return dict(sorted(found.items()))
