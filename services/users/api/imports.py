"""Staged imports: upload people, check them as a whole, look at what would change, apply it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from services.users.api.dependencies import InContext, Manager, TenantId
from services.users.api.import_responses import ImportChange, ImportReport, ImportView, UploadedPeople
from services.users.api.requests import ApplyImport, ImportPeople, NewImport
from services.users.api.responses import FieldProblem, Rejected
from services.users.api.statements import read_as, read_each
from services.users.domain.imports import Kind
from services.users.domain.timelines import report_of
from services.users.store import imports as store
from services.users.store.imports import ImportRow, StagedPerson
from services.users.use_cases import imports
from services.users.use_cases.imports import POSITIONS_MAX, GivenPerson
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.base import Id
from shared.schemas.hr_v1 import PersonTimeline
from shared.web import Cursor, Limit, Page, actor_of, answer, decode_cursor, encode_cursor, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.input_limits import checks_items_of, printable
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["imports"])

ImportId = Annotated[Id, Path(alias="import", description="The id of the import.")]
First = Annotated[int, Path(ge=0, lt=POSITIONS_MAX, description="The position of the first of these people in the import, from 0 on.")]
_SHOWN = [kind.value for kind in Kind if kind is not Kind.UNCHANGED]


async def _view(tenant: str, uow: UnitOfWork, row: ImportRow) -> ImportView:
    return ImportView(
        **{"import": row.import_id},
        source=row.source,
        version=row.version,
        complete=row.complete,
        absent=row.absent,
        status=row.status,
        people=await store.size(uow.connection, tenant, row.import_id),
        done=row.done,
        total=row.total,
        failure=row.failure,
        report=None if row.report is None else ImportReport.model_validate(row.report),
        created_at=row.created_at,
    )


@router.post("/imports", status_code=201, response_model=ImportView, responses=refusals(409), summary="Start an import")
async def begin_import(
    tenant: TenantId, body: NewImport, request: Request, context: InContext, principal: Manager, key: IdempotencyKey = None
) -> Response:
    """The import gets a version above all that the source has used. Another import of the same source cannot begin until this one is
    applied, deleted, or an hour has passed since its last upload."""
    async with context.database.unit_of_work(tenant) as uow:

        async def begin() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            actor = actor_of(principal)
            row = await imports.begin(found, uow, body.source, complete=body.complete, absent=body.absent, actor=actor)
            return await _created(tenant, uow, row)

        async def read(import_id: str) -> Response:
            return await _created(tenant, uow, await imports.get(tenant, uow, import_id))

        return await idempotent(uow, request, principal, key, begin, read)


async def _created(tenant: str, uow: UnitOfWork, row: ImportRow) -> Response:
    return answer(await _view(tenant, uow, row), 201, {"location": f"/v1/tenants/{tenant}/imports/{row.import_id}"})


@router.put("/imports/{import}/people/{first}", response_model=UploadedPeople, responses=refusals(404, 409), summary="Upload people")
@costly
@checks_items_of("people")
async def upload_people(
    tenant: TenantId, import_id: ImportId, first: First, body: ImportPeople, context: InContext, principal: Manager
) -> UploadedPeople:
    """The people take the positions from `first` on. The same request again replaces them. People who cannot be read are listed in the
    answer by their index in the request, and the import will not change them."""
    people = await read_each(body.people, _read)
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_write(tenant, uow)
        await imports.put_people(tenant, uow, import_id, first, [given for given, _ in people])
    invalid = [Rejected(index=index, errors=errors) for index, (_, errors) in enumerate(people) if errors]
    return UploadedPeople(accepted=len(people) - len(invalid), invalid=invalid)


def _read(item: dict[str, Any]) -> tuple[GivenPerson, list[FieldProblem]]:
    found = read_as(PersonTimeline, item, "person")
    if isinstance(found, list):
        given = item.get("external_id")
        external_id = printable(given.replace("\0", "")[:200]) if isinstance(given, str) else ""
        return GivenPerson(external_id, None, [problem.model_dump() for problem in found]), found
    return GivenPerson(found.external_id, report_of(found)), []


@router.post("/imports/{import}/check", response_model=ImportReport, responses=refusals(404, 409), summary="Check an import")
@costly
async def check_import(tenant: TenantId, import_id: ImportId, context: InContext, principal: Manager) -> ImportReport:
    """Report what the import would change. Nobody is changed."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        return ImportReport.model_validate(await imports.check(found, uow, import_id, context.seats))


@router.get("/imports/{import}", responses=refusals(404), summary="Get status and progress of an import")
async def show_import(tenant: TenantId, import_id: ImportId, context: InContext, principal: Manager) -> ImportView:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return await _view(tenant, uow, await imports.get(tenant, uow, import_id))


@router.get("/imports/{import}/changes", responses=refusals(404), summary="List what an import changes, person by person")
async def list_changes(
    tenant: TenantId, import_id: ImportId, context: InContext, principal: Manager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ImportChange]:
    """The people whom the last check found new, changed, invalid or absent, in the order of the upload."""
    (after,) = decode_cursor(cursor, int) or (-1,)
    async with context.database.unit_of_work(tenant) as uow:
        await imports.get(tenant, uow, import_id)
        people = await store.page(uow.connection, tenant, import_id, _SHOWN, after, limit)
    more = encode_cursor(people[-1].position) if len(people) == limit else None
    return Page(items=[_change(person) for person in people], next=more)


def _change(person: StagedPerson) -> ImportChange:
    change = person.change or {}
    errors = [FieldProblem.model_validate(error) for error in person.errors]
    return ImportChange(
        external_id=person.external_id,
        user=person.user_id,
        kind=person.kind or "",
        ends=person.ends,
        before=change.get("before"),
        after=change.get("after"),
        match=change.get("match"),
        errors=errors,
    )


@router.post("/imports/{import}/apply", status_code=202, response_model=ImportView, responses=refusals(404, 409), summary="Apply an import")
async def apply_import(
    tenant: TenantId, import_id: ImportId, context: InContext, principal: Manager, body: ApplyImport | None = None
) -> Response:
    """Let a background job change the people of a checked import. `GET` of the import shows the progress. If more people
    would lose access than the guard allows, send their number as `confirm`. The same request again changes nothing."""
    try:
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_write(tenant, uow)
            row = await imports.apply(found, uow, import_id, body.confirm if body is not None else None)
            view = await _view(tenant, uow, row)
    except Conflict as refusal:
        if refusal.type == "import-needs-confirmation":
            async with context.database.unit_of_work(tenant) as uow:
                await imports.tell_stopped(await context.tenants.for_write(tenant, uow), uow, import_id)
        raise
    context.alarm.wake()
    return answer(view, 202, {"location": f"/v1/tenants/{tenant}/imports/{import_id}"})


@router.delete("/imports/{import}", status_code=204, responses=refusals(404, 409), summary="Delete an import")
async def delete_import(tenant: TenantId, import_id: ImportId, context: InContext, principal: Manager) -> Response:
    """An import that is being applied cannot be deleted."""
    async with context.database.unit_of_work(tenant) as uow:
        await imports.discard(tenant, uow, import_id)
    return Response(status_code=204)
