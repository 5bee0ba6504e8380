"""Routes of the vendor's own operator that every service with a consumer has."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query

from shared.messaging.dead_letters.service import DeadLetters
from shared.schemas.base import Id
from shared.web.auth import operator
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.web.route import CheckedRoute


def dead_letters_router(dead_letters: DeadLetters) -> APIRouter:
    router = APIRouter(route_class=CheckedRoute, prefix="/v1/operator/dead-letters", tags=["operator"], dependencies=[Depends(operator())])

    @router.get("", summary="Messages that could not be handled, oldest first")
    async def list_dead_letters(
        tenant: Id | None = None,
        status: Annotated[Literal["open", "done", "all"], Query(description="`done`: retried with success.")] = "open",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[dict[str, Any]]:
        (after,) = decode_cursor(cursor, int) or (0,)
        items = await dead_letters.list(tenant, None if status == "all" else status, after=after, limit=limit)
        return Page(items=items, next=encode_cursor(items[-1]["id"]) if len(items) == limit else None)

    @router.post("/{letter}/retry", responses=refusals(404, 409), summary="Run the handler on the stored bytes again")
    async def retry_dead_letter(letter: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> dict[str, Any]:
        """Past watermark and inbox; nothing is published again. Where one blocks its tenant, those behind it follow in order."""
        return await dead_letters.retry(letter)

    return router
