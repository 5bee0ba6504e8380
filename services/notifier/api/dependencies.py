"""Dependencies and parameters that several routes share."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from services.notifier.wiring import Wiring
from shared.web import Principal, access

TenantId = Annotated[str, Path(max_length=100, description="The tenant's id.")]
LogReader = Annotated[Principal, Depends(access("log:read", with_viewset=True))]
Name = Annotated[str | None, Query(max_length=100)]


async def _wiring(request: Request) -> Wiring:
    wiring: Wiring = request.app.state.wiring
    return wiring


Wired = Annotated[Wiring, Depends(_wiring)]
