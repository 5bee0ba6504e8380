"""The links of invitations: the notifier requests their tokens, and invited people accept with them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from services.users.api.dependencies import InContext, TenantId, UserId
from services.users.api.requests import AcceptInvitation
from services.users.api.responses import AcceptedInvitation, InvitationToken
from services.users.use_cases import invitations
from shared.errors import NotFound, Refused
from shared.web import Principal, access, answer, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, tags=["people"])

Service = Annotated[Principal, Depends(access("operator"))]


@router.post(
    "/v1/tenants/{tenant}/people/{user}/invitation-token",
    status_code=201,
    response_model=InvitationToken,
    responses=refusals(409),
    summary="Make the token of a link",
)
async def make_token(tenant: TenantId, user: UserId, context: InContext, service: Service) -> Response:
    """The notifier requests the token when it sends the e-mail, so that the token is stored nowhere. Several tokens can be valid at a time,
    since an e-mail can be sent twice; the first that is used ends the others."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        token, expires_at = await invitations.new_token(found, uow, user)
    return answer(InvitationToken(token=token, expires_at=expires_at), 201)


@router.post(
    "/v1/invitations/accept",
    response_model=AcceptedInvitation,
    responses=refusals(404, 409, 429),
    summary="Accept an invitation",
)
async def accept_invitation(body: AcceptInvitation, request: Request, context: InContext) -> Response:
    """The token in the link is the only thing that is needed, and it can be used once. The answer to a wrong token is the same whether it
    was used, is void, or never existed."""
    address = request.client.host if request.client is not None else ""
    caller, now = ("invitation", address), context.clock.now().timestamp()
    if wait := context.wrong_invitations.wait_seconds(caller, now):
        raise Refused("too-many-requests", f"The token was wrong too many times. Try again in {wait} seconds.", retry_after_seconds=wait)
    async with context.database.unit_of_work(None) as uow:
        accepted = await invitations.accept(context.tenants, uow, body.token)
        if accepted is None:
            context.wrong_invitations.count(caller, now)
            raise NotFound("invitation with this token", "It was accepted already, has expired, or was replaced. Ask for a new invitation.")
    tenant, user = accepted
    return answer(AcceptedInvitation(tenant=tenant, user=user))
