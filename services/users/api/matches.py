"""How the people of a source are matched with those of other sources."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.users.api.dependencies import InContext, PersonManager, TenantId
from services.users.domain.differences import name_of
from services.users.domain.matches import Outcome
from services.users.domain.person import Person
from services.users.domain.sources import MatchBy
from services.users.use_cases import matches
from services.users.use_cases.matches import MatchedPerson
from shared.web import Cursor, Limit, Principal, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["people"])


class OtherPerson(BaseModel):
    user: str
    name: str


class MatchedView(BaseModel):
    external_id: str
    user: str
    name: str
    login: str | None
    outcome: Outcome = Field(
        description="linked (other sources state something about the same person), conflict, would_link, would_conflict, or new (nobody "
        "matches)"
    )
    by: str | None = Field(
        description="What the person was found by: login, employee_number or email. null: an administrator linked them, or values have "
        "changed since."
    )
    reason: str | None = Field(description="Why the person is, or would be, in conflict.")
    people: list[OtherPerson] = Field(description="Who is, or may be, the same human.")
    hidden: int = Field(description="How many of them your viewset hides.")
    would_require: list[str] | None = Field(description="Of would_link: the modules that the one person would require.")
    released: list[str] = Field(description="Of would_link: the modules that this person would give up for it.")


class MatchesPage(BaseModel):
    items: list[MatchedView]
    hidden: int = Field(description="The people of this page whom your viewset hides.")
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


@router.get("/matches", summary="List how the people of a source are matched")
@costly
async def list_matches(
    tenant: TenantId,
    context: InContext,
    principal: PersonManager,
    source: Annotated[str, Query(min_length=1, max_length=300, description="The name of the source, for example hr/acme.")],
    dry_run: Annotated[
        bool, Query(description="Answer as if the source reported its people now for the first time. Nobody is linked.")
    ] = False,
    match_by: Annotated[
        list[MatchBy] | None,
        Query(description="With `dry_run`: compare by these (repeatable), in this order, instead of the source's own."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> MatchesPage:
    """The employed people whom the source reports, in order of their external ids."""
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        by = match_by if dry_run else None
        page, people, more = await matches.page(found, uow, source, after, limit, again=dry_run, match_by=by)
    shown = [each for each in page if principal.sees(each.person.user, each.person.department)]
    items = [_view(each, people, principal) for each in shown]
    return MatchesPage(items=items, hidden=len(page) - len(shown), next=encode_cursor(page[-1].key.external_id) if more else None)


def _view(each: MatchedPerson, people: Mapping[str, Person], principal: Principal) -> MatchedView:
    match, person = each.match, each.person
    named = [people[user] for user in match.people if user in people and principal.sees(user, people[user].department)]
    return MatchedView(
        external_id=each.key.external_id,
        user=person.user,
        name=name_of(person),
        login=(person.record and person.record.login) or None,
        outcome=match.outcome,
        by=match.by or None,
        reason=match.reason or None,
        people=[OtherPerson(user=other.user, name=name_of(other)) for other in named],
        hidden=len(match.people) - len(named),
        would_require=None if match.would_require is None else list(match.would_require),
        released=list(match.released),
    )
