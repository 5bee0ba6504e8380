"""What-if: decide commands on a copy."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response

from services.seats.api.dependencies import READ_PEOPLE, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from services.seats.api.requests import WhatIf
from services.seats.use_cases import what_if
from shared.web.openapi import refusals
from shared.web.tenant_limits import costly

router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ_PEOPLE])

SPLIT = "Send fewer commands in one request. If there is only one command, ask about a smaller change."


@router.post("/what-if", summary="Decide commands on a copy", response_model=dict[str, Any], responses=refusals(413, 504))
@costly
async def decide_on_a_copy(owned: Owned, tenant: str, body: WhatIf, after: After = None) -> Response:
    """seats decides the commands on a copy and returns the decisions. Nothing changes. A question that needs more than 20,000 changes
    of rows and events, or more than 4 MiB, is refused (413): then send fewer commands."""
    await owned.reached(tenant, after)
    answer = partial(what_if.what_if, proposed=body.proposed())
    text = await owned.questions.ask(tenant, owned.between_batches(tenant, None), answer, SPLIT)
    return Response(text, media_type="application/json")
