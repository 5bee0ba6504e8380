"""Differences between HR systems, SCIM connections, users and seats."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.users.api.dependencies import InContext, PersonManager, TenantId
from services.users.domain.differences import Difference, DifferenceKind, name_of
from services.users.use_cases import differences
from services.users.use_cases.differences import DEFAULT_KINDS, Comparison, Differing
from shared.web import Cursor, Limit, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["people"])


class StatementView(BaseModel):
    source: str
    external_id: str
    says: str = Field(description="employed, blocked (employed, and may not log in), later (employed from a later day on) or ended")


class DifferenceView(BaseModel):
    kind: DifferenceKind
    reason: str
    text: str = Field(description="What differs.")
    change: str = Field(description="What would change if the difference ended, and how to end it.")
    modules: list[str] = Field(description="The modules that are concerned.")
    would_require: list[str] | None = Field(
        description="The modules that the person would require without the difference; null: it decides nothing about them."
    )


class DifferingPerson(BaseModel):
    user: str
    external_id: str | None
    name: str | None
    login: str | None
    department: str | None
    status: str | None = Field(description="null: users does not know this user, who has seats.")
    sources: list[StatementView]
    required: list[str] = Field(description="The modules that the person requires.")
    seats: dict[str, str] | None = Field(description="The states of the person's seats by module; null: seats did not answer.")
    differences: list[DifferenceView]


class SourceCount(BaseModel):
    source: str
    kind: str
    employed: int = Field(description="The people whom the source employs today.")
    blocked: int = Field(description="Those of them whose login the source blocks.")


class DifferencesPage(BaseModel):
    """The counts are those of the people whom this page has examined: add up the pages of a large tenant."""

    text: str = Field(description="The counts as a sentence.")
    examined: int
    sources: list[SourceCount]
    employed: int = Field(description="The people who are employed after all sources are merged.")
    requiring: int = Field(description="The people who require modules.")
    with_seat: int | None = Field(description="The people with a seat; null: seats did not answer, so it is not compared.")
    seats_detail: str | None = Field(description="What it means that seats did not answer.")
    differing: int
    hidden: int = Field(description="Those of them whom your viewset hides.")
    items: list[DifferingPerson]
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


_NO_SEATS = "seats did not answer. The sources and users are compared; try again for the comparison with seats."


@router.get("/differences", summary="List differences between HR, SCIM, users and seats")
@costly
async def list_differences(
    tenant: TenantId,
    context: InContext,
    principal: PersonManager,
    kind: Annotated[
        list[DifferenceKind] | None,
        Query(description="Only differences of this kind (repeatable). Default: all but `value`, of which there can be many."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> DifferencesPage:
    """Each item is a person about whom two of them differ, with the reason and what would change. People are in order of their ids. A page
    ends after 2,000 people too, so it can have fewer than `limit` items, or none, and still a `next`."""
    (after,) = decode_cursor(cursor, str) or ("",)
    result = await differences.compare(
        context.database,
        context.tenants.for_read,
        context.seats,
        tenant,
        after=after,
        limit=limit,
        kinds=kind or DEFAULT_KINDS,
        sees=principal.sees,
    )
    return _page(result)


def _page(result: Comparison) -> DifferencesPage:
    counts = result.counts
    return DifferencesPage(
        text=differences.summary(result),
        examined=counts.examined,
        sources=[
            SourceCount(
                source=source.source,
                kind=source.kind,
                employed=counts.by_source[source.source],
                blocked=counts.blocked_by_source[source.source],
            )
            for source in result.sources
        ],
        employed=counts.employed,
        requiring=counts.requiring,
        with_seat=counts.with_seat,
        seats_detail=_NO_SEATS if counts.with_seat is None else None,
        differing=counts.differing,
        hidden=counts.hidden,
        items=[_item(each) for each in result.found],
        next=None if result.next is None else encode_cursor(result.next),
    )


def _item(each: Differing) -> DifferingPerson:
    found = [_view(difference) for difference in each.differences]
    examined = each.examined
    if examined is None:
        about: dict[str, Any] = dict.fromkeys(("external_id", "name", "login", "department", "status", "seats"))
        return DifferingPerson(user=each.user, sources=[], required=[], differences=found, **about)
    person, record = examined.person, examined.person.record
    return DifferingPerson(
        user=each.user,
        external_id=person.external_id,
        name=name_of(person),
        login=(record and record.login) or None,
        department=person.department,
        status=person.standing.status.value,
        sources=[StatementView(source=said.source, external_id=said.external_id, says=said.says) for said in examined.said],
        required=list(person.standing.required.modules),
        seats=None if examined.seats is None else dict(examined.seats),
        differences=found,
    )


def _view(difference: Difference) -> DifferenceView:
    would = difference.would_require
    return DifferenceView(
        kind=difference.kind,
        reason=difference.reason,
        text=difference.text,
        change=difference.change,
        modules=list(difference.modules),
        would_require=None if would is None else list(would),
    )
