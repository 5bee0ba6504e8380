"""Routes of the vendor's own operator that every service with a consumer has."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.messaging.dead_letters.service import DeadLetters
from shared.schemas.base import Id
from shared.web.auth import Principal, operator
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_DEFAULT, Cursor, Flag, Limit, Page, decode_cursor, encode_cursor
from shared.web.route import CheckedRoute

_OPERATOR = operator()
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Discard(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    genuine: Flag = Field(False, description="Discard it although its topic's owner wrote it and this version can read it.")


def dead_letters_router(dead_letters: DeadLetters) -> APIRouter:
    router = APIRouter(route_class=CheckedRoute, prefix="/v1/operator/dead-letters", tags=["operator"], dependencies=[Depends(_OPERATOR)])

    @router.get("", summary="Messages that could not be processed, oldest first")
    async def list_dead_letters(
        tenant: Id | None = None,
        status: Annotated[
            Literal["open", "waiting", "ready", "done", "discarded", "all"],
            Query(
                description="`open`: needs a person. `waiting`: behind an open one of its tenant; `ready`: the service processes it next. "
                "`done`: processed in the end. `discarded`: given up."
            ),
        ] = "open",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[dict[str, Any]]:
        (after,) = decode_cursor(cursor, int) or (0,)
        items = await dead_letters.list(tenant, None if status == "all" else status, after=after, limit=limit)
        return Page(items=items, next=encode_cursor(items[-1]["id"]) if len(items) == limit else None)

    @router.get("/{letter}", responses=refusals(404), summary="One of them, with its original bytes")
    async def show_dead_letter(letter: LetterId) -> dict[str, Any]:
        return await dead_letters.show(letter)

    @router.post("/{letter}/retry", responses=refusals(404, 409), summary="Process the stored bytes again")
    async def retry_dead_letter(letter: LetterId) -> dict[str, Any]:
        """Run the handler past watermark and inbox; nothing is published again. What waits behind the message is then processed by the
        service itself, in order, up to the next one that fails."""
        return await dead_letters.retry(letter)

    @router.post("/{letter}/discard", responses=refusals(404, 409), summary="Give the message up")
    async def discard_dead_letter(letter: LetterId, body: Discard, principal: Annotated[Principal, Depends(_OPERATOR)]) -> dict[str, Any]:
        """Keep the message as `discarded`, with the reason, the time and who did it; positions and watermarks do not change. What waits
        behind it is then processed by the service itself, in order, up to the next one that fails."""
        return await dead_letters.discard(letter, reason=body.reason, by=principal.subject, genuine=body.genuine)

    return router
