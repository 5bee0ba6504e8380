"""The endpoint for HR facts of those who cannot write to hr.events.v1, or to their own topic."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from services.users.api.dependencies import InContext, Manager, TenantId
from services.users.api.requests import HrEvents
from services.users.api.responses import FieldProblem, Rejected, Taken
from services.users.domain.facts import problem_of
from services.users.store import hr_sources
from shared import ids
from shared.errors import Invalid
from shared.schemas.faults import first_faults
from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft
from shared.web import answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.input_limits import checks_items_of, cut, faults
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/hr-events", tags=["people"])

EVENTS_AT_ONCE = 50  # the event loop does other work after so many
FIELDS_MAX = 100  # of one event
_MODELS: dict[str, type[HrFact]] = {"person_hired": PersonHired, "person_changed": PersonChanged, "person_left": PersonLeft}


@router.post("", status_code=202, response_model=Taken, responses=refusals(409), summary="Send HR facts")
@costly
@checks_items_of("events")
async def take_events(
    tenant: TenantId, body: HrEvents, request: Request, context: InContext, principal: Manager, key: IdempotencyKey = None
) -> Response:
    """Valid events are accepted, and the others are listed in the answer. If you send the same event again, nothing changes."""
    async with context.database.unit_of_work(tenant) as uow:

        async def take() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            permission = await hr_sources.permission(uow.connection, tenant, body.source, for_share=True)
            if not permission.allowed:
                raise Invalid("body.source", body.source, "a source on the allow-list for this tenant")
            topic = hr_sources.topic_of(permission.topic)
            facts = await _read_all(body.events)
            for fact in facts:
                if isinstance(fact, HrFact):
                    id_ = _id(tenant, body.source, fact)
                    subject = fact.external_id
                    uow.publish(fact, source=body.source, tenant=tenant, time=found.now, subject=subject, id=id_, topic=topic)
            return _taken(facts)

        async def read(_: str) -> Response:
            return _taken(await _read_all(body.events))

        return await idempotent(uow, request, principal, key, take, read)


def _taken(facts: Sequence[HrFact | list[FieldProblem]]) -> Response:
    rejected = [Rejected(index=index, errors=fact) for index, fact in enumerate(facts) if not isinstance(fact, HrFact)]
    return answer(Taken(accepted=len(facts) - len(rejected), rejected=rejected), 202)


def _id(tenant: str, source: str, fact: HrFact) -> str:
    name = next(name for name, model in _MODELS.items() if type(fact) is model)
    content = fact.model_dump(mode="json", exclude_unset=True)
    return ids.import_id(tenant, source, fact.external_id, name, fact.effective_date.isoformat(), content)


async def _read_all(events: Sequence[dict[str, Any]]) -> list[HrFact | list[FieldProblem]]:
    """In slices: a thousand events with ninety unknown fields each take a second."""
    facts = []
    for number, event in enumerate(events, start=1):
        facts.append(_read(event))
        if number % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return facts


def _read(event: dict[str, Any]) -> HrFact | list[FieldProblem]:
    """The fact, or everything that is wrong with it."""
    model = _MODELS.get(str(event.get("type")))
    if model is None:
        return [FieldProblem(field="type", expected=f"one of {', '.join(_MODELS)}")]
    if len(event) > FIELDS_MAX:
        return [FieldProblem(field="event", expected=f"at most {FIELDS_MAX} fields")]
    if unreadable := faults(event, "event"):
        return [FieldProblem(field=fault["field"].removeprefix("event."), expected=fault["expected"]) for fault in unreadable]
    try:
        fact = model.model_validate_json(orjson.dumps({name: value for name, value in event.items() if name != "type"}))
    except ValidationError as error:
        return [FieldProblem(field=cut(".".join(map(str, e["loc"]))) or "event", expected=e["msg"]) for e in first_faults(error)]
    if problem := problem_of(fact):
        field, _, expected = problem.partition(": ")
        return [FieldProblem(field=field, expected=expected)]
    return fact
