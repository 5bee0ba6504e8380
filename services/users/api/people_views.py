"""People as REST shows them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Query, Response

from services.users.api.dependencies import Context, NothingChangedError, visible
from services.users.api.responses import (
    ConflictView,
    CostPreviewView,
    CostView,
    ExpansionView,
    HandOverView,
    InvitationView,
    ModuleView,
    NoteView,
    ObstacleView,
    OwnedItemsView,
    PersonView,
    PoolView,
    PreviewedModule,
    PreviewView,
    SignInView,
    TimelineView,
)
from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Record
from services.users.domain.invitations import shown_state
from services.users.domain.module_states import ModuleState, Seat, base_modules_are_usable
from services.users.domain.person import Person, Tenant
from services.users.domain.required_modules import Note
from services.users.domain.roles import is_administrator
from services.users.domain.sources import Key
from services.users.store import module_states, owned_items, people_lookups, pools, timelines
from services.users.store import people as store
from services.users.store.owned_items import OwnedItemsRow
from services.users.store.people import View
from services.users.store.pools import CountsRow
from services.users.use_cases import known_people, licences, preview_person
from services.users.use_cases.hand_over import ENDED
from services.users.use_cases.licences import Licences
from services.users.use_cases.seats_questions import Command
from shared.database import UnitOfWork
from shared.schemas.topics import SEATS_COMMANDS
from shared.web import Principal, answer, etag
from shared.web.openapi import Responses
from shared.web.rest import PositionView


@dataclass(frozen=True, slots=True)
class Shown:
    """The data that views of people show beside the people themselves."""

    tenant: Tenant
    rows: Mapping[str, Mapping[str, Seat]]
    add_ons: Collection[str]
    licences: Licences
    timelines: Mapping[str, Sequence[Key]]
    in_conflict: Mapping[str, Sequence[str]]
    hidden: frozenset[str]  # people in conflict whom the reader does not see
    owned: Mapping[str, Sequence[OwnedItemsRow]]
    heirs: Mapping[str, str]
    heir_names: Mapping[str, str]


async def shown_with(tenant: Tenant, uow: UnitOfWork, people: Sequence[Person], principal: Principal) -> Shown:
    """Load what the views of these people show, for this reader."""
    users = [person.user for person in people]
    in_conflict = await people_lookups.conflicts_of(uow.connection, tenant.tenant, users)
    named = {each for person in people for each in (*person.separated, *(person.conflict.people if person.conflict is not None else ()))}
    named = named.union(*in_conflict.values())
    view = reader_view(principal)
    heirs = await owned_items.heirs(uow.connection, tenant.tenant, users)
    return Shown(
        tenant,
        await module_states.load(uow.connection, tenant.tenant, users),
        await pools.add_ons(uow.connection, tenant.tenant),
        await licences.load(tenant, uow),
        await timelines.keys_of(uow.connection, tenant.tenant, users),
        in_conflict,
        frozenset() if view is None else await store.hidden_of(uow.connection, tenant.tenant, named, view),
        await owned_items.of_users(uow.connection, tenant.tenant, users),
        heirs,
        await heir_names(tenant, uow, heirs.values(), principal),
    )


async def heir_names(tenant: Tenant, uow: UnitOfWork, heirs: Collection[str], principal: Principal) -> dict[str, str]:
    """Return the names, or the logins, of those of these people whom the reader sees."""
    people = await store.get_many(uow.connection, tenant.tenant, sorted(set(heirs)), tenant.today) if heirs else {}
    view = reader_view(principal)
    hidden = frozenset() if view is None else await store.hidden_of(uow.connection, tenant.tenant, people, view)
    shown = {user: person.record for user, person in people.items() if user not in hidden and person.record is not None}
    return {user: record.name or record.login for user, record in shown.items() if record.name or record.login}


def reader_view(principal: Principal) -> View | None:
    return None if principal.departments is None else View(tuple(principal.departments), principal.subject)


def _hand_over(person: Person, shown: Shown) -> HandOverView | None:
    owned = shown.owned.get(person.user, ())
    if not owned or person.standing.status not in ENDED:
        return None
    items = [OwnedItemsView(kind=each.kind, count=each.count, labels=list(each.labels)) for each in owned]
    heir = shown.heirs.get(person.user)
    return HandOverView(heir=heir, heir_name=shown.heir_names.get(heir or ""), items=items)


def pool_view(pool: CountsRow) -> PoolView:
    return PoolView(
        module=pool.module,
        licences=pool.licences,
        in_use=pool.in_use,
        flagged=pool.flagged,
        waiting=pool.waiting,
        available=pool.available,
    )


def _module(row: Seat, module: str, shown: Shown) -> ModuleView:
    position = PositionView(partition=row.decision_id.partition, offset=row.decision_id.offset)
    view = ModuleView(module=module, state=row.state.value, deadline=row.deadline, reason=row.reason, position=position)
    pool = shown.licences.pools.get(module)
    if row.state is not ModuleState.REFUSED or pool is None:
        return view
    warning = licences.warning(shown.tenant.tenant, shown.licences, module, row.reason)
    return view.model_copy(update={"pool": pool_view(pool), "warning": warning})


def _modules(person: Person, shown: Shown) -> list[ModuleView]:
    """Return the required modules and their states, and the profile's other modules. A module that is no longer required is shown until it
    is released."""
    found = {module: seat for module, seat in shown.rows[person.user].items() if seat.state is not ModuleState.RELEASED}
    others, subscribed = person.standing.not_subscribed, shown.tenant.settings.subscribed
    views = []
    for module in sorted({*person.standing.required.modules, *others, *found}):
        row = found.get(module)
        if module in others:
            reason = "required_module_missing" if module in subscribed else "no_pool"
            views.append(ModuleView(module=module, state=ModuleState.NOT_SUBSCRIBED.value, reason=reason))
        elif row is None:
            views.append(ModuleView(module=module, state=ModuleState.PENDING.value))
        else:
            views.append(_module(row, module, shown))
    return views


def _note(note: Note) -> NoteView:
    decision = note.decision_id
    position = None if decision is None else PositionView(partition=decision.partition, offset=decision.offset)
    return NoteView(type=note.type, detail=note.detail, reason=note.reason, position=position)


def _invitation(person: Person, now: datetime) -> InvitationView | None:
    state, until = shown_state(person, now), person.account.invited_until
    if state is None or until is None:
        return None
    return InvitationView(state=state.value, expires_at=until, reserved=person.account.hold_until is not None)


def _overrides(person: Person) -> dict[str, Any]:
    employment = person.overrides.employment
    values = {name: None if value == "" else value for name, value in person.overrides.values.items()}
    return values | ({} if employment is None else {"employed": employment.employed and employment.ends_on is None})


def _conflict(conflict: Conflict, shown: Shown) -> ConflictView:
    seen = [user for user in conflict.people if user not in shown.hidden]
    return ConflictView(reason=conflict.reason, by=conflict.by, people=seen, hidden=len(conflict.people) - len(seen))


def person_view(person: Person, shown: Shown) -> PersonView:
    """Return the person as REST shows it."""
    record, standing = person.record or Record(employed=False), person.standing
    rows, add_ons, tenant, conflict = shown.rows[person.user], shown.add_ons, shown.tenant, person.conflict
    in_conflict = shown.in_conflict.get(person.user, ())
    return PersonView(
        user=person.user,
        external_id=person.external_id,
        source=person.source,
        timelines=[TimelineView(source=key.source, external_id=key.external_id) for key in shown.timelines.get(person.user, ())],
        conflict=None if conflict is None else _conflict(conflict, shown),
        in_conflict=[user for user in in_conflict if user not in shown.hidden],
        in_conflict_hidden=sum(user in shown.hidden for user in in_conflict),
        overrides=_overrides(person),
        login=record.login or None,
        email=record.email,
        sign_in=SignInView(login=person.sign_in_login or None, email=person.sign_in_email) if person.is_unconfirmed else None,
        name=record.name,
        job_title=record.job_title,
        department=record.department,
        profile=standing.profile,
        kind=record.kind,
        administrator=is_administrator(standing.rights),
        roles=list(person.account.all_roles),
        priority=person.account.priority,
        valid_to=record.valid_to,
        status=standing.status.value,
        may_log_in=standing.may_log_in and base_modules_are_usable(standing.required.modules, rows, add_ons),
        modules=_modules(person, shown),
        invitation=_invitation(person, tenant.now),
        hand_over=_hand_over(person, shown),
        pending=person.answered < person.revision,
        notes=[_note(note) for note in person.notes],
        created_at=person.created_at,
        erased_at=person.erased_at,
        version=person.version,
    )


async def one_person_view(tenant: Tenant, uow: UnitOfWork, person: Person, principal: Principal) -> PersonView:
    """Return the person as an answer about one person shows it."""
    found = await known_people.obstacle(tenant, uow, person)
    view = person_view(person, await shown_with(tenant, uow, [person], principal))
    return view.model_copy(update={"obstacle": None if found is None else ObstacleView(**asdict(found))})


async def answer_person(tenant: Tenant, uow: UnitOfWork, person: Person, principal: Principal, status: int = 200) -> Response:
    location = {"location": f"/v1/tenants/{tenant.tenant}/people/{person.user}"} if status in (201, 202) else {}
    return answer(await one_person_view(tenant, uow, person, principal), status, {"etag": etag(person.version)} | location)


T = TypeVar("T")

DryRun = Annotated[bool, Query(description="Change nothing, and return what seats would decide, and the cost.")]
PREVIEWED: Final[Responses] = {200: {"model": PreviewView, "description": "The answer to `dry_run`."}}
COST_PREVIEWED: Final[Responses] = {200: {"model": CostPreviewView, "description": "The answer to `dry_run`."}}


async def rolled_back(
    context: Context, tenant: str, change: Callable[[Tenant, UnitOfWork], Awaitable[T]]
) -> tuple[Tenant, T, list[Command]]:
    """Make a change for a preview, and roll it back. Return the tenant, what the change returned, and what it would request from seats."""
    with suppress(NothingChangedError):
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_write(tenant, uow)
            done = await change(found, uow)
            await uow.run_pending()
            commands = [each for each in uow.published_to(SEATS_COMMANDS) if isinstance(each, Command)]
            raise NothingChangedError
    return found, done, commands


async def previewed(context: Context, tenant: str, change: Callable[[Tenant, UnitOfWork], Awaitable[Person]]) -> Response:
    """Return the answer to `dry_run` of a change of one person."""
    found, person, commands = await rolled_back(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        shown = await preview_person.preview(found, uow, context.seats, person, commands)
    expansions = [ExpansionView(module=module, licences=more) for module, more in shown.added.items()]
    view = PreviewView(
        decided=shown.decided,
        status=shown.status.value,
        modules=[PreviewedModule(**each) for each in shown.modules],
        not_subscribed=list(person.standing.not_subscribed),
        expansions=expansions,
        cost=None if shown.cost is None else CostView(**asdict(shown.cost)),
    )
    return answer(view)


async def previewed_cost(context: Context, tenant: str, change: Callable[[Tenant, UnitOfWork], Awaitable[bool]]) -> Response:
    """Return the answer to `dry_run` of a change that background jobs make. `change` does their work, and returns whether that is all."""
    found, is_complete, commands = await rolled_back(context, tenant, change)
    return answer(await cost_view(context, found, commands if is_complete else None))


async def cost_view(context: Context, tenant: Tenant, commands: Sequence[Command] | None) -> CostPreviewView:
    """Return which licences these requests would add, and give back. None: it is not known what would be requested."""
    answered = await preview_person.ask(tenant, context.seats, commands) if commands is not None else None
    events = [event for events in answered or () for event in events]
    async with context.database.unit_of_work(tenant.tenant) as uow:
        found = await preview_person.licences_of(tenant, uow, events)
    return CostPreviewView(decided=answered is not None, **found)


async def shown_again(context: Context, principal: Principal, tenant: str, uow: UnitOfWork, user: str) -> Response:
    found = await context.tenants.for_read(tenant, uow)
    person = await store.get(uow.connection, tenant, user, found.today)
    return await answer_person(found, uow, visible(person, principal), principal)
