"""People, added by REST or by HR systems."""

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from services.users.api.dependencies import (
    Context,
    InContext,
    NothingChangedError,
    PersonManager,
    Reader,
    TenantId,
    UserId,
    cause_of,
    locked_person,
    visible,
)
from services.users.api.people_views import (
    PREVIEWED,
    DryRun,
    answer_person,
    one_person_view,
    person_view,
    pool_view,
    previewed,
    reader_view,
    shown_again,
    shown_with,
)
from services.users.api.requests import (
    InvitationBody,
    KindName,
    NewPerson,
    PersonPatch,
    Reactivation,
    Replacement,
    StatusName,
    TerminationBody,
)
from services.users.api.responses import (
    LicenceOfLeaver,
    OtherValue,
    PeoplePage,
    PersonDataView,
    PersonView,
    PreviewView,
    ReadyReduction,
    ReductionTotalView,
    ReplacementView,
    TerminationView,
    ValueView,
)
from services.users.domain.facts import RECORD_FIELDS
from services.users.domain.invitations import InvitationTerms
from services.users.domain.merging import last_day_ahead, origins
from services.users.domain.module_states import ModuleState
from services.users.domain.person import Person, Tenant
from services.users.domain.status import LISTED, Status
from services.users.store import people as store
from services.users.store import personal_data, sorted_people
from services.users.store.people import Filter
from services.users.store.sorted_people import Order, Place, SortKey
from services.users.use_cases import (
    edit_person,
    erasure,
    invitations,
    known_people,
    replace_person,
    terminate_person,
)
from services.users.use_cases.replace_person import Afterwards
from services.users.use_cases.terminate_person import Termination
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Invalid, NotFound
from shared.schemas.base import Id
from shared.web import IfMatch, Limit, Principal, answer, check_if_match, decode_cursor, encode_cursor, etag, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.openapi import Responses
from shared.web.prefer import Prefer, wait_for, wait_seconds
from shared.web.rest import LIMIT_DEFAULT, LIMIT_MAX
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/people", tags=["people"])


def _terms(body: InvitationBody | None) -> InvitationTerms | None:
    return None if body is None else InvitationTerms(body.days, body.reserve)


_WOULD_TERMINATE: Responses = {200: {"model": TerminationView, "description": "The answer to `dry_run`."}}


@router.post("", status_code=201, response_model=PersonView, responses=refusals(409) | PREVIEWED, summary="Add a person")
async def create_person(
    tenant: TenantId,
    body: NewPerson,
    request: Request,
    context: InContext,
    principal: PersonManager,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
    dry_run: DryRun = False,
) -> Response:
    """If the person requires modules, seats is asked at once. `modules` shows its decision soon after; with `Prefer: wait`, the answer to
    this request shows it."""

    async def add(found: Tenant, uow: UnitOfWork) -> Person:
        fields = body.model_dump(include={*RECORD_FIELDS})
        external_id = body.external_id or ids.new_id()
        accounts = edit_person.AccountEdit(
            profile=body.profile,
            administrator=body.administrator,
            priority=body.priority,
            may_log_in=body.may_log_in,
            invitation=_terms(body.invitation),
        )
        return await edit_person.create(found, uow, context.seats, external_id, fields, accounts, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, add)
    async with context.database.unit_of_work(tenant) as uow:

        async def create() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            return await answer_person(found, uow, await add(found, uow), principal, 201)

        response = await idempotent(uow, request, principal, key, create, partial(shown_again, context, principal, tenant, uow))
    return await _decided(context, tenant, principal, prefer, response)


async def _decided(context: Context, tenant: str, principal: Principal, prefer: str | None, response: Response) -> Response:
    """Return the answer that shows what seats decided about the person, if it does within the time of the Prefer header."""
    seconds = wait_seconds(prefer)
    if not seconds or response.status_code >= 400:
        return response
    user = response.headers["location"].rpartition("/")[2]

    async def look() -> Response | None:
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_read(tenant, uow)
            person = await store.get(uow.connection, tenant, user, found.today)
            if person is None or person.answered < person.revision:
                return None
            return await answer_person(found, uow, person, principal, response.status_code)

    return await wait_for(context.clock, seconds, look) or response


SortName = Literal["created_at", "-created_at", "department", "-department", "login", "-login", "name", "-name"]
SortedCursor = Annotated[str | None, Query(max_length=2000, description="The `next` of the previous page, with the same `sort`.")]


@router.get("", summary="List people")
async def list_people(
    tenant: TenantId,
    context: InContext,
    principal: Reader,
    status: Annotated[
        list[StatusName] | None,
        Query(description="Only people with this status (repeatable), or `all`. Default: all but `inactive` and `left`."),
    ] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
    seat_state: Annotated[ModuleState | None, Query(description="Only people with a module in this state.")] = None,
    module: Annotated[
        str | None, Query(max_length=100, description="Only people with this module; with `seat_state`, those in whom it is in this state.")
    ] = None,
    kind: Annotated[KindName | None, Query(description="Only people of this kind.")] = None,
    department: Annotated[str | None, Query(max_length=500, description="Only people of this department.")] = None,
    profile: Annotated[str | None, Query(max_length=100, description="Only people with this profile.")] = None,
    source: Annotated[str | None, Query(max_length=300, description="Only people whom this source reports; `rest` is this API.")] = None,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=100,
            description="Only people with this text in their name, login, e-mail address, job title or external id. Case is ignored.",
        ),
    ] = None,
    role: Annotated[str | None, Query(max_length=100, description="Only people who hold this role.")] = None,
    without: Annotated[
        list[Literal["login", "email"]] | None,
        Query(description="Only people without this (repeatable): they take no seat, or get no e-mail. `inactive` people are included."),
    ] = None,
    user: Annotated[
        list[Id] | None, Query(max_length=LIMIT_MAX, description="Only these people (repeatable). Ids that nobody has are ignored.")
    ] = None,
    can_replace: Annotated[
        Id | None,
        Query(
            description="Only people who can replace this person (`POST …/replace`), whatever their status. A page can then have fewer "
            "people than `limit` although there is a next page."
        ),
    ] = None,
    sort: Annotated[
        SortName | None,
        Query(
            description="The order: by one of these values, with `-` in the opposite order. Case and accents do not count, and people "
            "without the value come first. For `name`, a person without one is sorted by login, e-mail address or external id. "
            "Default: the order of arrival."
        ),
    ] = None,
    cursor: SortedCursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> PeoplePage:
    """Inactive people and people who have left are in the list only if you ask for them with `status` (M5). `pools` says how many people
    can still be added (E7)."""
    state = seat_state.value if seat_state else None
    default = tuple(Status) if can_replace else (*LISTED, Status.INACTIVE) if without else LISTED
    statuses = tuple(Status) if status and "all" in status else status or default
    view = reader_view(principal)
    lacking, users = (tuple(given) if given else None for given in (without, user))
    chosen = Filter(statuses, external_id, state, module, source, kind, department, profile, text, role, lacking, users, view)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        people, last = await _page(uow, found, chosen, sort, cursor, limit)
        more = last if len(people) == limit else None
        if can_replace is not None:
            source_user = visible(await store.get(uow.connection, tenant, can_replace, found.today), principal)
            people = await replace_person.who_can_replace(found, uow, source_user.user, people)
        shown = await shown_with(found, uow, people, principal)
        hidden = await store.count_hidden(uow.connection, tenant, statuses, view) if view is not None and cursor is None else None
    counts = [pool_view(pool) for pool in shown.licences.pools.values()]
    return PeoplePage(items=[person_view(person, shown) for person in people], next=more, pools=counts, hidden=hidden)


async def _page(
    uow: UnitOfWork, tenant: Tenant, chosen: Filter, sort: SortName | None, cursor: str | None, limit: int
) -> tuple[list[Person], str | None]:
    """Return the people of a page, and the cursor of the page after it. Raises Invalid if the cursor is one of another order."""
    if sort is None:
        (after,) = decode_cursor(cursor, int) or (0,)
        people = await store.page(uow.connection, tenant.tenant, chosen, after, limit, tenant.today)
        return people, encode_cursor(people[-1].arrival) if people else None
    name, value, arrival = decode_cursor(cursor, str, str, int) or (sort, "", 0)
    if name != sort:
        raise Invalid("query.cursor", name, "the `next` of an earlier page with the same `sort`")
    order, after = Order(SortKey(sort.removeprefix("-")), sort.startswith("-")), None if cursor is None else Place(value, arrival)
    people, last = await sorted_people.page(uow.connection, tenant.tenant, chosen, order, after, limit, tenant.today)
    return people, None if last is None else encode_cursor(sort, last.value, last.arrival)


@router.get("/{user}", response_model=PersonView, summary="Get a person")
async def show_person(tenant: TenantId, user: UserId, context: InContext, principal: Reader) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        person = visible(await store.get(uow.connection, tenant, user, found.today), principal)
        known = await known_people.of_users(found, uow, [person])
        values = {
            name: ValueView(
                value=origin.value,
                source=origin.source,
                hides=[OtherValue(source=source, value=value) for source, value in origin.hides],
            )
            for name, origin in origins(known.stated(user), found.today).items()
        }
        added = {"values": values, "last_day": last_day_ahead(known.stated(user), found.today)}
        view = (await one_person_view(found, uow, person, principal)).model_copy(update=added)
        return answer(view, headers={"etag": etag(person.version)})


@router.get("/{user}/why", response_model=dict[str, Any], summary="Explain the seats of a person")
async def explain_seats(tenant: TenantId, user: UserId, context: InContext, principal: Reader, limit: Limit = LIMIT_DEFAULT) -> Response:
    """The decisions of seats that led to the present state of this person, newest first: `GET …/why/{user}` of seats, also for readers
    with a viewset."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        visible(await store.get(uow.connection, tenant, user, found.today), principal)
    chain = await context.seats.why(tenant, user, limit)
    if chain is None:
        raise NotFound("decision about this person", "The person never required a module, or seats has not decided yet.")
    return answer(chain)


@router.patch("/{user}", response_model=PersonView | PreviewView, responses=refusals(409, 412, 428), summary="Change a person (If-Match)")
async def change_person(
    tenant: TenantId,
    user: UserId,
    body: PersonPatch,
    context: InContext,
    principal: PersonManager,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> Response:
    """If the person then requires no modules (`login` is null, `may_log_in` is false, `status` is `left`, or another kind), the seats are
    released at once. If a source reports the person, what you set is an override: it goes before what sources state."""
    given = body.model_dump(exclude_unset=True)
    nullable = {"login", "email", "department", "valid_to", "profile"}
    given = {name: value for name, value in given.items() if value is not None or name in nullable}

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        before = await locked_person(found, uow, user, principal)
        check_if_match(if_match, before.version)
        return await edit_person.change(found, uow, before, given, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        return await answer_person(found, uow, await change(found, uow), principal)


@router.post(
    "/{user}/reactivate", status_code=202, response_model=PersonView, responses=refusals(409) | PREVIEWED, summary="Reactivate a person"
)
async def reactivate_person(
    tenant: TenantId,
    user: UserId,
    request: Request,
    context: InContext,
    principal: PersonManager,
    body: Reactivation | None = None,
    key: IdempotencyKey = None,
    dry_run: DryRun = False,
) -> Response:
    """The person may log in again, a person who has left is hired again, and seats is asked for the seats again. This is the only way
    to get a revoked seat back. If something else still blocks the login, `obstacle` says what, and what to do."""
    modules = tuple(body.modules) if body is not None and body.modules is not None else None

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        before = await locked_person(found, uow, user, principal)
        return await edit_person.reactivate(found, uow, before, modules, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:

        async def reactivate() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            return await answer_person(found, uow, await change(found, uow), principal, 202)

        return await idempotent(uow, request, principal, key, reactivate, partial(shown_again, context, principal, tenant, uow))


@router.post(
    "/{user}/invite", status_code=202, response_model=PersonView, responses=refusals(409), summary="Invite a person, or do so again"
)
async def invite_person(
    tenant: TenantId,
    user: UserId,
    request: Request,
    context: InContext,
    principal: PersonManager,
    body: InvitationBody | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """The person gets an e-mail with a link that accepts the invitation. Invite the person again to send a new link: earlier links are then
    void, and the reservation of the licences is renewed."""
    async with context.database.unit_of_work(tenant) as uow:

        async def invite() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            before = await locked_person(found, uow, user, principal)
            terms = _terms(body or InvitationBody())
            assert terms is not None
            person = await invitations.invite(found, uow, context.seats, before, terms, cause_of(principal))
            return await answer_person(found, uow, person, principal, 202)

        return await idempotent(uow, request, principal, key, invite, partial(shown_again, context, principal, tenant, uow))


@router.post(
    "/{user}/replace",
    status_code=202,
    response_model=ReplacementView,
    responses=refusals(409) | PREVIEWED,
    summary="Replace a person by another",
)
async def replace_person_by(
    tenant: TenantId,
    user: UserId,
    body: Replacement,
    request: Request,
    context: InContext,
    principal: PersonManager,
    key: IdempotencyKey = None,
    dry_run: DryRun = False,
) -> Response:
    """The other person gets the seats with their states and deadlines (A17). Other modules that the person requires are requested as usual.
    The other person must have no seat of these modules yet: if a person is added for this purpose, add the person with `may_log_in`
    false."""

    async def change(found: Tenant, uow: UnitOfWork) -> tuple[Person, Person]:
        for each in sorted({user, body.to}):
            await locked_person(found, uow, each, principal)
        after = Afterwards(body.afterwards)
        return await replace_person.replace_person(found, uow, context.seats, user, body.to, after, cause_of(principal))

    async def receiver(found: Tenant, uow: UnitOfWork) -> Person:
        return (await change(found, uow))[1]

    if dry_run:
        return await previewed(context, tenant, receiver)
    async with context.database.unit_of_work(tenant) as uow:

        async def act() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            both = await change(found, uow)
            shown = await shown_with(found, uow, both, principal)
            replaced, replacement = (person_view(person, shown) for person in both)
            location = {"location": f"/v1/tenants/{tenant}/people/{user}"}
            return answer(ReplacementView(replaced=replaced, replacement=replacement), 202, location)

        return await idempotent(uow, request, principal, key, act, partial(shown_again, context, principal, tenant, uow))


@router.post(
    "/{user}/terminate",
    status_code=202,
    response_model=TerminationView,
    responses=refusals(409) | _WOULD_TERMINATE,
    summary="Terminate a person after a last working day",
)
async def terminate_person_after(
    tenant: TenantId,
    user: UserId,
    body: TerminationBody,
    request: Request,
    context: InContext,
    principal: PersonManager,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Change nothing, and return what would become of the licences.")] = False,
) -> Response:
    """The person keeps the seats until the end of the last working day; a day in the past releases them at once. The answer says for each
    module whether its licence becomes free, and has the body of a reduction by these licences (A17). With the policy
    `terminate_reduces_pool`, the modules are reduced without a request (M9). Terminate the person again to change the day."""
    shown: Response | None = None
    with suppress(NothingChangedError):
        async with context.database.unit_of_work(tenant) as uow:

            async def terminate() -> Response:
                found = await context.tenants.for_write(tenant, uow)
                before = await locked_person(found, uow, user, principal)
                done = await terminate_person.terminate(found, uow, context.seats, before, body.last_day, cause_of(principal))
                return await _termination(found, uow, done, principal, 200 if dry_run else 202)

            if not dry_run:
                return await idempotent(uow, request, principal, key, terminate, partial(shown_again, context, principal, tenant, uow))
            shown = await terminate()
            raise NothingChangedError
    assert shown is not None, "a dry run answers, or raises what the request would raise"
    return shown


@router.delete(
    "/{user}/terminate", status_code=202, response_model=PersonView, responses=refusals(409) | PREVIEWED, summary="Withdraw a termination"
)
async def take_termination_back(
    tenant: TenantId, user: UserId, context: InContext, principal: PersonManager, dry_run: DryRun = False
) -> Response:
    """This works for a termination by this API only. Before the last working day has passed, nothing changes for the person. After it, the
    person is employed as if there had been no termination, and seats is asked for the seats again."""

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        before = await locked_person(found, uow, user, principal)
        return await terminate_person.take_back(found, uow, before, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        return await answer_person(found, uow, await change(found, uow), principal, 202)


async def _termination(tenant: Tenant, uow: UnitOfWork, done: Termination, principal: Principal, status: int) -> Response:
    person = person_view(done.person, await shown_with(tenant, uow, [done.person], principal))
    licences = done.licences
    items = [ReductionTotalView(module=module, total=total) for module, total in done.reduction.items()]
    view = TerminationView(
        person=person,
        last_day=done.last_day,
        licences=None if licences is None else [LicenceOfLeaver(module=module, state=each.state) for module, each in licences.items()],
        reduction=ReadyReduction(items=items) if items else None,
    )
    return answer(view, status, {"etag": etag(done.person.version), "location": f"/v1/tenants/{tenant.tenant}/people/{done.person.user}"})


@router.post("/{user}/erase", response_model=PersonView, responses=refusals(409), summary="Erase the data of a person who has left")
async def erase_person(tenant: TenantId, user: UserId, context: InContext, principal: PersonManager) -> Response:
    """Name, login, e-mail address, job title, department and external ids are deleted in all services. The id of the person, the seats in
    the log, and documents stay. This cannot be undone."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        await uow.lock(store.CLAIMS, tenant)
        before = visible(await store.lock(uow.connection, tenant, user, found.today), principal)
        return await answer_person(found, uow, await erasure.erase(found, uow, before, cause_of(principal)), principal)


@router.get("/{user}/data", response_model=PersonDataView, summary="Export what is stored about a person")
@costly
async def export_person(tenant: TenantId, user: UserId, context: InContext, principal: PersonManager) -> Response:
    """Everything that users stores about the person, by table. `elsewhere` says where the other services list what they store."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        person = visible(await store.get(uow.connection, tenant, user, found.today), principal)
        data = await personal_data.rows_of(uow.connection, tenant, user)
        shown = await shown_with(found, uow, [person], principal)
        view = person_view(person, shown)
    for row in data["people"]:
        row |= {name: [each for each in row[name] if each not in shown.hidden] for name in ("conflict_people", "separated")}
    return answer(PersonDataView(person=view, data=data, elsewhere=_elsewhere(tenant, user)))


def _elsewhere(tenant: str, user: str) -> dict[str, str]:
    """Return the addresses of the other services."""
    path = f"/v1/tenants/{tenant}"
    return {"e-mails (notifier)": f"GET {path}/emails?user={user}", "action log (notifier)": f"GET {path}/actions?user={user}"}
