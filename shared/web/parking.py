"""Routes of the vendor's own operator that every service with a consumer has."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query

from shared.messaging.parking import Parking
from shared.web.auth import operator
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor


def parking_router(parking: Parking) -> APIRouter:
    router = APIRouter(prefix="/v1/operator/parked", tags=["operator"], dependencies=[Depends(operator())])

    @router.get("", summary="Messages that could not be handled, oldest first")
    async def list_parked(
        tenant: str | None = None,
        status: Annotated[Literal["parked", "done", "all"], Query(description="`done`: retried with success.")] = "parked",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[dict[str, Any]]:
        (after,) = decode_cursor(cursor, int) or (0,)
        items = await parking.list(tenant, None if status == "all" else status, after=after, limit=limit)
        return Page(items=items, next=encode_cursor(items[-1]["id"]) if len(items) == limit else None)

    @router.post("/{parked}/retry", responses=refusals(404, 409), summary="Run the handler on the stored bytes again")
    async def retry_parked(parked: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> dict[str, Any]:
        """Past watermark and inbox; nothing is published again. Where a tenant is parked as a whole, those behind it follow in order."""
        return await parking.retry(parked)

    return router
