"""The forecast of the pools, if no command arrives."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response

from services.seats import domain
from services.seats.api.dependencies import READ_PEOPLE, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from services.seats.use_cases import what_if
from shared.web.openapi import refusals
from shared.web.rest import Moment
from shared.web.tenant_limits import costly

router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ_PEOPLE])


@router.get("/forecast", summary="Forecast the pools", response_model=dict[str, Any], responses=refusals(413, 504))
@costly
async def forecast(owned: Owned, tenant: str, at: Moment, after: After = None) -> Response:
    """The answer shows each pool at that time, and what happens until then, if no command arrives. A forecast that needs more than
    20,000 changes of rows and events, or more than 4 MiB, is refused (413): then ask for an earlier time."""
    await owned.reached(tenant, after)
    at_ms = domain.to_ms(at)
    answer, between_batches = partial(what_if.forecast, at_ms=at_ms), owned.between_batches(tenant, None)
    text = await owned.questions.ask(tenant, between_batches, answer, "Ask for an earlier time.", name=at_ms)
    return Response(text, media_type="application/json")
