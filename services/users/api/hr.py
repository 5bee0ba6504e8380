"""The endpoint for statements of HR systems that cannot write to hr.events.v1, or to their own topic."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from services.users.api.dependencies import InContext, Manager, TenantId
from services.users.api.requests import HrEvents
from services.users.api.responses import FieldProblem, Rejected, Taken
from services.users.api.statements import read_as, read_each
from services.users.domain.timelines import report_of
from services.users.store import hr_sources, timelines
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonFactWithdrawn, PersonHired, PersonLeft, PersonReported
from shared.web import answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.input_limits import checks_items_of
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/hr-events", tags=["people"])

Event = HrFact | PersonReported | PersonFactWithdrawn
NAMED_MAX = 20  # people whom a refusal names
_MODELS: dict[str, type[Event]] = {
    "person_hired": PersonHired,
    "person_changed": PersonChanged,
    "person_left": PersonLeft,
    "person_reported": PersonReported,
    "person_fact_withdrawn": PersonFactWithdrawn,
}
_NAMES = {model: name for name, model in _MODELS.items()}


@router.post("", status_code=202, response_model=Taken, responses=refusals(409), summary="Send HR events")
@costly
@checks_items_of("events")
async def take_events(
    tenant: TenantId, body: HrEvents, request: Request, context: InContext, principal: Manager, key: IdempotencyKey = None
) -> Response:
    """Valid events are accepted, and the others are listed in the answer. If you send the same event again, nothing changes.

    A report with the version of an earlier one and other content is refused with 409, and none of the events is accepted."""
    async with context.database.unit_of_work(tenant) as uow:

        async def take() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            permission = await hr_sources.permission(uow.connection, tenant, body.source, for_share=True)
            if not permission.allowed:
                raise Invalid(
                    "body.source",
                    body.source,
                    "a source on the allow-list for this tenant (an operator adds it: PUT /v1/operator/sources/{source})",
                )
            topic = hr_sources.topic_of(permission.topic)
            events = await read_each(body.events, _read)
            await _check_versions(uow, tenant, body.source, events)
            for event in events:
                if isinstance(event, list):
                    continue
                # A fact that is stated again is a new message about the same fact: it may have been changed or withdrawn since.
                message = ids.new_id() if isinstance(event, HrFact | PersonFactWithdrawn) else fact_id(tenant, body.source, event)
                if isinstance(event, HrFact):
                    event = event.model_copy(update={"fact": fact_id(tenant, body.source, event)})
                uow.publish(event, source=body.source, tenant=tenant, time=found.now, subject=event.external_id, id=message, topic=topic)
            return _taken(tenant, body.source, events)

        async def read(_: str) -> Response:
            return _taken(tenant, body.source, await read_each(body.events, _read))

        return await idempotent(uow, request, principal, key, take, read)


def _taken(tenant: str, source: str, events: Sequence[Event | list[FieldProblem]]) -> Response:
    rejected = [Rejected(index=index, errors=event) for index, event in enumerate(events) if isinstance(event, list)]
    facts = [fact_id(tenant, source, event) if isinstance(event, HrFact) else None for event in events]
    return answer(Taken(accepted=len(events) - len(rejected), rejected=rejected, facts=facts), 202)


def fact_id(tenant: str, source: str, event: Event) -> str:
    """Return the same id for the same content: of a fact in its timeline, and of the message of a report."""
    if isinstance(event, HrFact) and event.fact is not None:
        return event.fact
    content = event.model_dump(mode="json", exclude_unset=True)
    effective = event.effective_date.isoformat() if isinstance(event, HrFact) else ""
    return ids.import_id(tenant, source, event.external_id, _NAMES[type(event)], effective, content)


async def _check_versions(uow: UnitOfWork, tenant: str, source: str, events: Sequence[Event | list[FieldProblem]]) -> None:
    """Raise Conflict for reports that have the version of another report about the same person, and other content."""
    reports = [event for event in events if isinstance(event, PersonReported)]
    if not reports:
        return
    known = await timelines.versions(uow.connection, tenant, source, [report.external_id for report in reports])
    conflicts = []
    for report in reports:
        digest = report_of(report).digest
        version, other = known.setdefault(report.external_id, (report.version, digest))
        if version == report.version and other != digest:
            conflicts.append(report.external_id)
        elif version < report.version:
            known[report.external_id] = (report.version, digest)
    if conflicts:
        people = ", ".join(conflicts[:NAMED_MAX])
        raise Conflict(
            "version-conflict",
            f"The source has already reported other content with the same version about these people: {people}. "
            "Send the reports with a higher version.",
            external_ids=conflicts,
        )


def _read(event: dict[str, Any]) -> Event | list[FieldProblem]:
    """Return the event, or everything that is wrong with it."""
    model = _MODELS.get(str(event.get("type")))
    if model is None:
        return [FieldProblem(field="type", expected=f"one of {', '.join(_MODELS)}")]
    return read_as(model, {name: value for name, value in event.items() if name != "type"}, "event")
