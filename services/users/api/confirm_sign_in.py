"""Confirm the changed login or e-mail address of a person who holds a role, so that it counts for sign-in."""

from fastapi import APIRouter

from services.users.api.dependencies import InContext, PersonOrManager, TenantId, UserId, cause_of, locked_person
from services.users.api.responses import SignInView
from services.users.api.sign_in_requests import SignInConfirmation
from services.users.use_cases import confirm_sign_in
from shared.web import refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, tags=["sign-in"])


@router.post(
    "/v1/tenants/{tenant}/people/{user}/sign-in/confirm",
    responses=refusals(403, 409),
    summary="Confirm a changed login or e-mail address for sign-in",
)
async def confirm(tenant: TenantId, user: UserId, body: SignInConfirmation, context: InContext, principal: PersonOrManager) -> SignInView:
    """A source can change the login and the e-mail address of a person who holds a role. Until that is confirmed, the person signs in with
    the values before (`sign_in` of the person). People confirm it for themselves; for another person you need all rights of that person."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await locked_person(found, uow, user, principal)
        person = await confirm_sign_in.confirm(found, uow, before, body.login or "", body.email, cause_of(principal))
    return SignInView(login=person.sign_in_login or None, email=person.sign_in_email)
