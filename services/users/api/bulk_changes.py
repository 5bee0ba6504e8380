"""Changes of several people in one request."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.users.api.dependencies import Context, InContext, PersonManager, TenantId, cause_of, locked_person
from services.users.api.people_views import rolled_back
from services.users.api.requests import Body
from services.users.api.responses import CostView, DecidedModuleView, ExpansionView, ObstacleView
from services.users.domain.person import Person, Tenant
from services.users.store import people
from services.users.store.people import CLAIMS
from services.users.use_cases import bulk_changes
from services.users.use_cases.bulk_changes import PEOPLE_MAX, Action, Changed, Decisions, Outcome
from shared.database import UnitOfWork
from shared.errors import Refused
from shared.schemas.base import Id
from shared.web import Principal
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import answer
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/people", tags=["people"])
ANSWER_MAX: Final = 128 * 1024  # bytes of an answer that is kept: of PEOPLE_MAX people with long names


class PersonOfChange(Body):
    user: Id
    revision: Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)] | None = Field(
        None, description="Change the person only if this is still the last revision, as an earlier change answered it."
    )


class BulkChangeBody(Body):
    action: Action = Field(description="`activate`: allow the login and request the seats again. `deactivate`: block the login.")
    people: Annotated[list[PersonOfChange], Field(min_length=1, max_length=PEOPLE_MAX)]


class ChangedPerson(BaseModel):
    user: str
    name: str | None = Field(description="The name or the login; null if you see no such person.")
    outcome: Outcome = Field(
        description="changed, unchanged (nothing was to be done), changed_meanwhile (the revision is not the last one) or refused"
    )
    reason: str | None = Field(description="The name of the refusal, as in `urn:seatpool:problem:<name>`; null if it was not refused.")
    detail: str = Field(description="Why it was refused; else empty.")
    obstacle: ObstacleView | None = Field(
        description="With `activate`: what still keeps the person from logging in, or from requiring modules; null: nothing."
    )
    status: str | None = Field(description="The status afterwards. It can change when seats has decided.")
    revision: int | None = Field(description="Send it with the opposite action to undo the change.")
    modules: list[DecidedModuleView] = Field(description="With `dry_run`: what seats would decide about the required modules.")


class PoolUseView(BaseModel):
    module: str
    licences: int = Field(description="After the change.")
    before: int = Field(description="Active, flagged and reserved seats now.")
    after: int = Field(description="The same after the change.")


class BulkChangeView(BaseModel):
    people: list[ChangedPerson] = Field(description="In the order of the request.")
    decided: bool | None = Field(description="With `dry_run`: false if seats did not answer. Otherwise null.")
    pools: list[PoolUseView] = Field(description="With `dry_run`: the pools whose use would change.")
    expansions: list[ExpansionView] = Field(description="With `dry_run`: the pools that would expand.")
    cost: CostView | None = Field(description="Null if no licence would be added, or its price is not known.")


@router.post("/bulk-changes", response_model=BulkChangeView, summary="Change several people: activate or deactivate them")
@costly
async def change_people(
    tenant: TenantId,
    body: BulkChangeBody,
    request: Request,
    context: InContext,
    principal: PersonManager,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Change nobody, and return what seats would decide, and the cost.")] = False,
) -> Response:
    """Each person is changed as far as possible: one who is refused stops no other. People who are in the wanted state already stay as they
    are."""
    wanted = {each.user: each.revision for each in body.people}
    if dry_run:
        changed, decided = await _preview(context, tenant, body.action, wanted, principal)
        return answer(_view(changed, decided))
    async with context.database.unit_of_work(tenant) as uow:

        async def change() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            return answer(_view(await _change(found, uow, body.action, wanted, principal), None))

        async def change_again(_: str) -> Response:
            return await change()

        return await idempotent(uow, request, principal, key, change, change_again, kept_max=ANSWER_MAX)


async def _change(tenant: Tenant, uow: UnitOfWork, action: Action, wanted: Mapping[str, int | None], principal: Principal) -> list[Changed]:
    """Change the people in the order of the request, in which they get the last free licences. What was done for one who is refused is
    rolled back. All are locked before, so that no rollback releases a lock, in the order of every transaction that locks several."""
    await uow.lock(CLAIMS, tenant.tenant)
    await people.lock_many(uow.connection, tenant.tenant, sorted(wanted), tenant.today)
    changed = []
    for user, revision in wanted.items():
        before: Person | None = None
        try:
            async with uow.savepoint():
                before = await locked_person(tenant, uow, user, principal)
                changed.append(await bulk_changes.change(tenant, uow, action, before, revision, cause_of(principal)))
        except Refused as refusal:
            changed.append(Changed(user, Outcome.REFUSED, before, refusal.type, refusal.detail))
    return changed


async def _preview(
    context: Context, tenant: str, action: Action, wanted: Mapping[str, int | None], principal: Principal
) -> tuple[list[Changed], Decisions]:
    async def change(found: Tenant, uow: UnitOfWork) -> list[Changed]:
        return await _change(found, uow, action, wanted, principal)

    found, changed, commands = await rolled_back(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        return changed, await bulk_changes.decisions(found, uow, context.seats, changed, commands)


def _view(changed: list[Changed], decided: Decisions | None) -> BulkChangeView:
    found = decided or Decisions()
    return BulkChangeView(
        people=[_person(each, found) for each in changed],
        decided=None if decided is None else decided.decided,
        pools=[PoolUseView(**asdict(pool)) for pool in found.pools],
        expansions=[ExpansionView(module=module, licences=more) for module, more in found.added.items()],
        cost=None if found.cost is None else CostView(**asdict(found.cost)),
    )


def _person(each: Changed, decided: Decisions) -> ChangedPerson:
    person, record = each.person, each.person and each.person.record
    status = None if person is None else decided.statuses.get(each.user, person.standing.status)
    return ChangedPerson(
        user=each.user,
        name=(record.name or record.login or None) if record else None,
        outcome=each.outcome,
        reason=each.reason,
        detail=each.detail,
        obstacle=None if each.obstacle is None else ObstacleView(**asdict(each.obstacle)),
        status=status,
        revision=each.revision,
        modules=[DecidedModuleView(**state) for state in decided.states.get(each.user, ())],
    )
