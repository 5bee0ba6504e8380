"""Sessions of people: list them, end them, sign out."""

from fastapi import APIRouter, Request, Response

from services.users.api.dependencies import InContext, PersonOrManager, SessionId, TenantId, UserId, visible
from services.users.api.forms import check_form, form_document, parse_form
from services.users.api.sign_in_requests import RevocationForm
from services.users.api.sign_in_responses import SessionList, SessionView
from services.users.sign_in.opaque import hash_of
from services.users.store import people as people_store
from services.users.store import sessions as store
from services.users.store.sessions import SessionRow
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import Principal
from shared.web.route import CheckedRoute, FormRoute

router = APIRouter(route_class=CheckedRoute, tags=["sessions"])
forms = APIRouter(route_class=FormRoute, tags=["access"])


def session_view(row: SessionRow) -> SessionView:
    return SessionView(session_id=row.session_id, user=row.user_id, method=row.method, created_at=row.created_at, expires_at=row.expires_at)


_PEOPLE = "/v1/tenants/{tenant}/people/{user}/sessions"


@router.get(_PEOPLE, summary="List the sessions of a person")
async def list_sessions(tenant: TenantId, user: UserId, context: InContext, principal: PersonOrManager) -> SessionList:
    """The newest session comes first. A person has at most 20. People list and end their own sessions without the right."""
    async with context.database.unit_of_work(tenant) as uow:
        await _check_person(uow, tenant, user, principal)
        rows = await store.of_person(uow.connection, tenant, user, context.clock.now())
    return SessionList(sessions=[session_view(row) for row in rows])


@router.delete(_PEOPLE, status_code=204, summary="End all sessions of a person")
async def end_sessions(tenant: TenantId, user: UserId, context: InContext, principal: PersonOrManager) -> Response:
    """Access tokens that were made with these sessions are valid for at most five more minutes."""
    async with context.database.unit_of_work(tenant) as uow:
        await _check_person(uow, tenant, user, principal)
        await store.end_of(uow.connection, tenant, [user])
    return Response(status_code=204)


@router.delete(_PEOPLE + "/{session}", status_code=204, summary="End one session of a person")
async def end_session(tenant: TenantId, user: UserId, session: SessionId, context: InContext, principal: PersonOrManager) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        await _check_person(uow, tenant, user, principal)
        if not await store.end(uow.connection, tenant, user, session):
            raise NotFound("session")
    return Response(status_code=204)


async def _check_person(uow: UnitOfWork, tenant: str, user: str, principal: Principal) -> None:
    """Raise NotFound for nobody, and alike for a person whom the caller does not see."""
    visible(await people_store.get(uow.connection, tenant, user, None), principal)


@forms.post(
    "/v1/token/revoke",
    openapi_extra=form_document(RevocationForm),
    response_class=Response,
    summary="End the session that the form names",
)
async def revoke(request: Request, context: InContext) -> Response:
    """Sign out (RFC 7009). The answer is the same for a session that is unknown or has ended."""
    form = check_form(parse_form(await request.body()), RevocationForm)
    async with context.database.unit_of_work(None) as uow:
        await store.end_by_secret(uow.connection, hash_of(form.token))
    return Response(status_code=200)
