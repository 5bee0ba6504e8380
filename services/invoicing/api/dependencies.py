"""Dependencies, parameters and waits that several routes share."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel

from services.invoicing import store
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.tenants import Tenant
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.wiring import Wiring
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import Principal, access, answer
from shared.web.openapi import Responses
from shared.web.prefer import wait_for, wait_seconds

TENANT_WAIT_SECONDS = 5  # for the event of users about a new tenant

TenantId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
IdPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
Reader = Annotated[Principal, Depends(access("account:read"))]
Buyer = Annotated[Principal, Depends(access("account:buy"))]
SettingsManager = Annotated[Principal, Depends(access("settings:manage"))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]


async def _wiring(request: Request) -> Wiring:
    wiring: Wiring = request.app.state.wiring
    return wiring


Wired = Annotated[Wiring, Depends(_wiring)]


def decided_in_time(view: type[BaseModel]) -> Responses:
    return {200: {"model": view, "description": "Decided within the time that `Prefer: wait` gave."}}


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


async def today_of(uow: UnitOfWork, tenant: str, clock: Clock) -> date:
    """Return the tenant's local day. Raises NotFound."""
    found = await store.tenants.find(uow.connection, tenant)
    if found is None:
        raise NotFound("tenant")
    return local_day(time_of(found, clock), found.time_zone or "UTC")
