"""The links of invitations: the notifier requests their tokens, and invited people accept with them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from services.users.api.dependencies import Context, InContext, TenantId, UserId
from services.users.api.requests import AcceptInvitation, NewInvitationToken
from services.users.api.responses import AcceptedInvitation, InvitationToken, InvitedModuleView, OpenedInvitation
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
async def make_token(tenant: TenantId, user: UserId, body: NewInvitationToken, context: InContext, service: Service) -> Response:
    """The notifier requests the token when it sends the e-mail, so that the token is stored nowhere. Several tokens can be valid at a time,
    since an e-mail can be sent twice; the first that is used ends the others."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        token, expires_at = await invitations.new_token(found, uow, user, body.email)
    return answer(InvitationToken(token=token, expires_at=expires_at), 201)


def _check_rate(context: Context, request: Request) -> tuple[tuple[str, str], float]:
    """Return the caller, for whom a wrong token counts, and the time. Raises Refused."""
    caller = ("invitation", request.client.host if request.client is not None else "")
    now = context.clock.now().timestamp()
    if wait := context.wrong_invitations.wait_seconds(caller, now):
        raise Refused("too-many-requests", f"The token was wrong too many times. Try again in {wait} seconds.", retry_after_seconds=wait)
    return caller, now


@router.post("/v1/invitations/show", responses=refusals(404, 429), summary="Show what the link of an invitation is about")
async def show_invitation(body: AcceptInvitation, request: Request, context: InContext) -> OpenedInvitation:
    """Nothing is changed, so programs that check e-mails can open the page of a link as often as they like. The token is the only thing
    that is needed."""
    caller, now = _check_rate(context, request)
    async with context.database.unit_of_work(None) as uow:
        shown = await invitations.show(context.tenants, uow, body.token)
    if shown is None:
        context.wrong_invitations.count(caller, now)
        raise NotFound("invitation with this token", "Ask for a new invitation.")
    person = shown.person
    assert person.record is not None, "of whom nothing is known, there is nothing to show"
    return OpenedInvitation(
        tenant=shown.tenant.tenant,
        tenant_name=shown.stored.name,
        user=person.user,
        name=person.record.name,
        login=person.record.login or None,
        state=shown.state,
        expires_at=person.account.invited_until,
        time_zone=shown.stored.time_zone,
        test_time=shown.stored.at,
        invited_by=shown.inviter,
        reserved=shown.reserved,
        modules=[InvitedModuleView(module=each, name=shown.names.get(each, each), state=state) for each, state in shown.modules.items()],
        pending=person.answered < person.revision,
        may_sign_in=person.standing.may_sign_in,
    )


@router.post(
    "/v1/invitations/accept",
    response_model=AcceptedInvitation,
    responses=refusals(404, 409, 429),
    summary="Accept an invitation",
)
async def accept_invitation(body: AcceptInvitation, request: Request, context: InContext) -> Response:
    """The token in the link is the only thing that is needed, and it can be used once. The answer to a token that is not valid is the same
    whether it was used, has expired or never existed; `POST /v1/invitations/show` tells more to the person who has the link."""
    caller, now = _check_rate(context, request)
    async with context.database.unit_of_work(None) as uow:
        known = await invitations.is_known(uow, body.token)
        accepted = await invitations.accept(context.tenants, uow, body.token)
        if accepted is None:
            if not known:
                context.wrong_invitations.count(caller, now)
            raise NotFound("invitation with this token", "It was accepted already, has expired, or was replaced. Ask for a new invitation.")
    tenant, user = accepted
    return answer(AcceptedInvitation(tenant=tenant, user=user))
