"""What each source states about a person, by day."""

from datetime import date
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.users.api.dependencies import InContext, Reader, TenantId, UserId, visible
from services.users.domain.facts import REST_SOURCE, Fact
from services.users.domain.sources import Key, source_of
from services.users.domain.timelines import Timeline
from services.users.store import people as store
from services.users.use_cases import known_people
from shared.web import Cursor, Limit, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/people", tags=["people"])


class StatedFact(BaseModel):
    day: date = Field(description="The day from which on this holds.")
    type: str = Field(
        description="employed (a period of employment begins), hired (the same, with all values), changed or left (the first day on which "
        "the person is no longer employed)"
    )
    values: dict[str, Any] = Field(description="The values that the source states for this day and later, by field.")
    by_rest: bool = Field(description="An administrator has stated this by REST, on top of what the source reports.")


class StatedTimeline(BaseModel):
    source: str
    kind: str = Field(description="hr, scim (an identity system) or rest")
    external_id: str
    facts: list[StatedFact]


class TimelinesView(BaseModel):
    timelines: list[StatedTimeline] = Field(
        description="In the order of the sources: what the first one states goes before the others. A timeline can go on on the next page."
    )
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


@router.get("/{user}/timelines", summary="Get what each source states about a person")
async def show_timelines(
    tenant: TenantId, user: UserId, context: InContext, principal: Reader, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> TimelinesView:
    """Each timeline has the dated facts of one source. `values` of the person shows which of them count. `limit` is the number of facts,
    where a timeline without facts counts as one."""
    (begin,) = decode_cursor(cursor, int) or (0,)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        person = visible(await store.get(uow.connection, tenant, user, found.today), principal)
        known = await known_people.of_users(found, uow, [person])
    order = {key: source_of(known.sources, key.source) for key in known.timelines[user]}
    ordered = sorted(order, key=lambda key: (order[key].position, order[key].arrival, key.external_id))
    stated = [each for key in ordered for each in _facts(key, known.timelines[user][key])]
    end = begin + limit
    shown = groupby(stated[begin:end], key=lambda each: each[0])
    timelines = [
        StatedTimeline(
            source=key.source,
            kind=order[key].kind,
            external_id=key.external_id,
            facts=[_fact(fact, key) for _, fact in facts if fact is not None],
        )
        for key, facts in shown
    ]
    return TimelinesView(timelines=timelines, next=encode_cursor(end) if end < len(stated) else None)


def _facts(key: Key, timeline: Timeline) -> list[tuple[Key, Fact | None]]:
    facts: list[Fact | None] = [*sorted(timeline.facts, key=lambda fact: fact.order)]
    return [(key, fact) for fact in facts or [None]]


def _fact(fact: Fact, key: Key) -> StatedFact:
    by_rest = fact.source == REST_SOURCE != key.source
    return StatedFact(day=fact.effective_date, type=fact.type.value, values=dict(fact.given), by_rest=by_rest)
