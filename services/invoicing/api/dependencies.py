"""Dependencies, parameters and waits that several routes share."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Request, Response
from pydantic import BaseModel

from services.invoicing import store
from services.invoicing.store.tenants import Tenant
from services.invoicing.wiring import Wiring
from shared.clock import Clock
from shared.errors import NotFound
from shared.web import Principal, access, answer
from shared.web.openapi import Responses

WAIT_SECONDS_MAX = 10
TENANT_WAIT_SECONDS = 5  # for the event of users about a new tenant
LOOK_EVERY_SECONDS = 0.05
T = TypeVar("T")

TenantId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
IdPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
Reader = Annotated[Principal, Depends(access("account:read"))]
Buyer = Annotated[Principal, Depends(access("account:buy"))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]
Prefer = Annotated[str | None, Header(description="`wait=5`: the answer comes when seats has decided, or after 5 seconds (at most 10).")]


def _wiring(request: Request) -> Wiring:
    wiring: Wiring = request.app.state.wiring
    return wiring


Wired = Annotated[Wiring, Depends(_wiring)]


def wait_seconds(prefer: str | None) -> float:
    """Return the seconds of `wait` in a Prefer header (RFC 7240), 0 without it."""
    match = re.search(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])", prefer or "")
    return min(int(match[1]), WAIT_SECONDS_MAX) if match else 0


def decided_in_time(view: type[BaseModel]) -> Responses:
    return {200: {"model": view, "description": "Decided within the time that `Prefer: wait` gave."}}


async def wait_for(clock: Clock, seconds: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Return the first answer of `look` that is not None, or None after so many seconds (one look at least)."""
    end = clock.monotonic() + seconds
    while True:
        found = await look()
        if found is not None or clock.monotonic() >= end:
            return found
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def answer_in_time(
    wiring: Wiring, prefer: str | None, response: Response, look: Callable[[], Awaitable[BaseModel | None]]
) -> Response:
    """Return the view that `look` finds within the time of the Prefer header, or else `response`."""
    seconds = wait_seconds(prefer)
    decided = await wait_for(wiring.clock, seconds, look) if seconds else None
    return response if decided is None else answer(decided, 200)


async def wait_for_tenant(wiring: Wiring, tenant: str) -> None:
    """Wait for the event about a tenant that users has just created. Raises NotFound."""

    async def look() -> Tenant | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await store.tenants.find(uow.connection, tenant)
        return found if found is not None and found.time_zone is not None else None

    if await wait_for(wiring.clock, TENANT_WAIT_SECONDS, look) is None:
        raise NotFound("tenant")
