"""Link two people who are one human, separate people who are two, and remove overrides."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.users.api.dependencies import InContext, Manager, TenantId, UserId, cause_of, locked_person, visible
from services.users.api.people_views import DryRun, answer_person, previewed, shown_again
from services.users.api.requests import LinkPeople, SeparatePerson
from services.users.api.responses import PersonView, PreviewView
from services.users.domain.person import Person, Tenant
from services.users.domain.sources import Key
from services.users.store import people as store
from services.users.use_cases import edit_person
from services.users.use_cases import link_people as use_cases
from shared.database import UnitOfWork
from shared.errors import Invalid
from shared.web import Principal, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/people", tags=["people"])


async def _check_visible(tenant: Tenant, uow: UnitOfWork, principal: Principal, *users: str) -> None:
    """Raise NotFound if the sender does not see one of these people."""
    for user in users:
        visible(await store.get(uow.connection, tenant.tenant, user, tenant.today), principal)


@router.post(
    "/{user}/link", response_model=PersonView | PreviewView, responses=refusals(404, 409), summary="Link two people who are one human"
)
async def link_people(
    tenant: TenantId,
    user: UserId,
    body: LinkPeople,
    request: Request,
    context: InContext,
    principal: Manager,
    key: IdempotencyKey = None,
    dry_run: DryRun = False,
) -> Response:
    """Everything that sources state about `user` belongs to the person `to`, who is answered. `user` gives up all seats and is no longer
    listed. What administrators have set for `user` (overrides, profile, priority) holds for `to` where nothing is set for `to`. Roles
    are not inherited. If one of the two may not log in, `to` may not either."""

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        await _check_visible(found, uow, principal, user, body.to)
        return await use_cases.link(found, uow, user, body.to, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:

        async def link() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            return await answer_person(found, uow, await change(found, uow), principal)

        return await idempotent(uow, request, principal, key, link, partial(shown_again, context, principal, tenant, uow))


@router.post(
    "/{user}/separate",
    response_model=PersonView | PreviewView,
    responses=refusals(404, 409),
    summary="Separate a person from another one",
)
async def separate_person(
    tenant: TenantId,
    user: UserId,
    request: Request,
    context: InContext,
    principal: Manager,
    body: SeparatePerson | None = None,
    key: IdempotencyKey = None,
    dry_run: DryRun = False,
) -> Response:
    """End the conflict of a person who is somebody else than the people found. With `source` and `external_id`, make a person of their own
    of the one whom the source describes, who is answered."""
    body = body or SeparatePerson()
    source, external_id = body.source, body.external_id
    if (source is None) != (external_id is None):
        missing = "body.source" if source is None else "body.external_id"
        raise Invalid(missing, None, "`source` and `external_id`, or none of them")

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        await _check_visible(found, uow, principal, user)
        if source is None or external_id is None:
            return await use_cases.separate(found, uow, user, cause_of(principal))
        return await use_cases.take_out(found, uow, user, Key(source, external_id), cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:

        async def separate() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            return await answer_person(found, uow, await change(found, uow), principal)

        return await idempotent(uow, request, principal, key, separate, partial(shown_again, context, principal, tenant, uow))


@router.delete(
    "/{user}/overrides/{field}", response_model=PersonView | PreviewView, responses=refusals(404, 409), summary="Delete an override"
)
async def delete_override(
    tenant: TenantId,
    user: UserId,
    field: Annotated[str, Path(max_length=50, description="The field that an administrator has set; `employed` for the employment.")],
    context: InContext,
    principal: Manager,
    dry_run: DryRun = False,
) -> Response:
    """From now on, the value is that of the sources again."""

    async def change(found: Tenant, uow: UnitOfWork) -> Person:
        before = await locked_person(found, uow, user, principal)
        return await edit_person.remove_override(found, uow, before, field, cause_of(principal))

    if dry_run:
        return await previewed(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        return await answer_person(found, uow, await change(found, uow), principal)
