"""Preview other profiles, another department mapping or another profile of a SCIM group: who would require other modules, and what seats
would decide."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.users.domain.person import Person, Tenant, command_of, with_standing
from services.users.domain.required_modules import Settings
from services.users.domain.status import Status
from services.users.store import people as store
from services.users.store import scim_groups as scim_groups_store
from services.users.store import statistics
from services.users.store.people import Filter
from services.users.store.scim_groups import GroupRow, Mapped
from services.users.store.scim_users import View
from services.users.use_cases import group_members
from services.users.use_cases.preview_person import Cost, cost_of, expansions_in
from services.users.use_cases.seats_questions import COMMANDS_MAX, SeatsQuestions, states_in
from shared.database import UnitOfWork
from shared.schemas.seats_v1 import Reason

PEOPLE_MAX: Final = 20_000  # examined, so that an answer takes a few seconds at most
AT_ONCE: Final = 500
_STATUSES: Final = tuple(each for each in Status if each not in (Status.LEFT, Status.EXPECTED))


@dataclass(frozen=True, slots=True)
class ModulePreview:
    """How many people require a module now and after the change. `licences` and `available`: None if seats did not answer."""

    module: str
    before: int
    after: int
    licences: int | None
    available: int | None


@dataclass(frozen=True, slots=True)
class SettingsPreview:
    """`changed`: people who would require other modules. `complete`: everybody was examined. `decided`: seats decided person by person.
    `later`: people who would get a module in their profile that they require only when it is subscribed."""

    examined: int
    complete: bool
    changed: int
    modules: Sequence[ModulePreview] = ()
    later: Mapping[str, int] = field(default_factory=dict)
    decided: bool = True
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)  # people by module and state
    added: Mapping[str, int] = field(default_factory=dict)
    cost: Cost | None = None


@dataclass
class Counted:
    """Everybody who was examined so far; `complete`: all of them were. `asking`: the first people who would require other modules.
    `others`: people by module whom the change is not about, who use the same licences."""

    complete: bool = True
    examined: int = 0
    changed: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    later: Counter[str] = field(default_factory=Counter)
    asking: list[tuple[Person, bool]] = field(default_factory=list)
    others: Mapping[str, int] = field(default_factory=dict)

    def add(self, person: Person, after: Person) -> None:
        old, new = person.standing.required.modules, after.standing.required.modules
        self.examined += 1
        self.before.update(old)
        self.after.update(new)
        self.later.update(set(after.standing.not_subscribed) - set(person.standing.not_subscribed))
        if old != new:
            self.changed += 1
            if len(self.asking) <= COMMANDS_MAX:
                self.asking.append((after, bool(set(new) - set(old))))


async def preview(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, settings: Settings) -> SettingsPreview:
    """Return what these settings would lead to. Nothing is changed."""
    changed, counted, arrival, more = replace(tenant, settings=settings), Counted(), 0, True
    while more and counted.examined < PEOPLE_MAX:
        chunk = await store.page(uow.connection, tenant.tenant, Filter(_STATUSES), arrival, AT_ONCE, tenant.today)
        for person in chunk:
            counted.add(person, with_standing(person, changed))
        arrival, more = (chunk[-1].arrival, len(chunk) == AT_ONCE) if chunk else (arrival, False)
        await asyncio.sleep(0)  # other requests are served meanwhile
    counted.complete = not more
    return await decided(tenant, uow, seats, counted)


async def count_members(tenant: Tenant, uow: UnitOfWork, view: View, group: GroupRow) -> Counted:
    """Return which members of a SCIM group would require other modules if it were as given. Roll back the transaction afterwards."""
    await scim_groups_store.save(uow.connection, view, group)
    ids = await scim_groups_store.member_ids(uow.connection, view, group.group_id, PEOPLE_MAX + 1)
    users = await scim_groups_store.people_of(uow.connection, view, ids[:PEOPLE_MAX])
    counted = Counted(complete=len(ids) <= PEOPLE_MAX)
    for first in range(0, len(users), AT_ONCE):
        people = await store.get_many(uow.connection, tenant.tenant, users[first : first + AT_ONCE], tenant.today)
        mapped = await scim_groups_store.mapped_to(uow.connection, tenant.tenant, list(people))
        for person in people.values():
            if person.record is not None:
                counted.add(person, with_standing(group_members.mapped(person, mapped.get(person.user, Mapped())), tenant))
        await asyncio.sleep(0)  # other requests are served meanwhile
    counted.others = Counter(await statistics.required_by_module(uow.connection, tenant.tenant)) - counted.before
    return counted


async def decided(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, counted: Counted) -> SettingsPreview:
    """Return the preview of those who were counted."""
    pools = await seats.pools(tenant.tenant)
    modules = [
        ModulePreview(
            module,
            counted.before[module] + counted.others.get(module, 0),
            counted.after[module] + counted.others.get(module, 0),
            None if pools is None or module not in pools else pools[module].licences,
            None if pools is None or module not in pools else pools[module].available,
        )
        for module in sorted({*counted.before, *counted.after})
        if counted.before[module] != counted.after[module]
    ]
    found = SettingsPreview(counted.examined, counted.complete, counted.changed, modules, counted.later)
    return await _decided(tenant, uow, seats, counted, found) if counted.changed or not counted.complete else found


async def _decided(tenant: Tenant, uow: UnitOfWork, seats: SeatsQuestions, counted: Counted, found: SettingsPreview) -> SettingsPreview:
    """Return the preview with what seats would decide, if the people are few enough to ask. Those who give up modules come first."""
    if counted.changed > COMMANDS_MAX or not found.complete:
        return replace(found, decided=False)
    asking = [person for person, requests in sorted(counted.asking, key=lambda each: each[1])]
    answer = await seats.what_if(
        tenant.tenant, [command_of(replace(person, revision=person.revision + 1), Reason.CHANGED.value, ()) for person in asking]
    )
    if answer is None:
        return replace(found, decided=False)
    outcomes = Counter((each["module"], each["state"]) for events in answer for each in states_in(events))
    added = expansions_in(event for events in answer for event in events)
    return replace(found, outcomes=_of_changed(outcomes, found), added=added, cost=await cost_of(tenant, uow, added))


def _of_changed(outcomes: Mapping[tuple[str, str], int], found: SettingsPreview) -> dict[tuple[str, Any], int]:
    """Leave out the modules whose number of people stays."""
    changed = {each.module for each in found.modules}
    return {key: people for key, people in sorted(outcomes.items()) if key[0] in changed}
