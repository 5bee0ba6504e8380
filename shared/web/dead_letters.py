"""Routes of the vendor's own operator that every service with a consumer has."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from shared.messaging.dead_letters.service import DeadLetters
from shared.schemas.base import Id
from shared.web.auth import Principal, operator
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, encode_cursor
from shared.web.route import CheckedRoute

_OPERATOR = operator()
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Discard(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    genuine: StrictBool = Field(False, description="Discard the message although its topic's owner wrote it and this version can read it.")


def dead_letters_router(dead_letters: DeadLetters) -> APIRouter:
    """Return the routes that list, show, retry and discard dead letters."""
    router = APIRouter(route_class=CheckedRoute, prefix="/v1/operator/dead-letters", tags=["operator"], dependencies=[Depends(_OPERATOR)])

    @router.get("", summary="List dead letters, oldest first")
    async def list_dead_letters(
        tenant: Id | None = None,
        status: Annotated[
            Literal["open", "waiting", "ready", "done", "discarded", "all"],
            Query(
                description="`open`: an operator must retry or discard it. `waiting`: it waits behind an open one of its tenant. "
                "`ready`: the service processes it next. `done`: it was processed later. `discarded`: an operator discarded it."
            ),
        ] = "open",
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Page[dict[str, Any]]:
        (after,) = decode_cursor(cursor, int) or (0,)
        items = await dead_letters.list(tenant, None if status == "all" else status, after=after, limit=limit)
        return Page(items=items, next=encode_cursor(items[-1]["id"]) if len(items) == limit else None)

    @router.get("/{letter}", responses=refusals(404), summary="Show a dead letter with its original bytes")
    async def show_dead_letter(letter: LetterId) -> dict[str, Any]:
        return await dead_letters.show(letter)

    @router.post("/{letter}/retry", responses=refusals(404, 409), summary="Retry a dead letter")
    async def retry_dead_letter(letter: LetterId) -> dict[str, Any]:
        """The service runs the handler on the stored bytes, also if it has seen the message before, and publishes nothing again. Then it
        processes the messages that wait behind this one, in order, up to the next one that fails."""
        return await dead_letters.retry(letter)

    @router.post("/{letter}/discard", responses=refusals(404, 409), summary="Discard a dead letter")
    async def discard_dead_letter(letter: LetterId, body: Discard, principal: Annotated[Principal, Depends(_OPERATOR)]) -> dict[str, Any]:
        """The message is kept as `discarded`, with the reason, the time and the name of the operator. Reading positions do not change. Then
        the service processes the messages that wait behind this one, in order, up to the next one that fails."""
        return await dead_letters.discard(letter, reason=body.reason, by=principal.subject, genuine=body.genuine)

    return router
