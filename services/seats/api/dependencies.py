"""Dependencies and parameters that several routes share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Query, Request

from services.seats import domain
from services.seats.api import responses
from services.seats.decider import DomainDecider
from services.seats.engine.commands import partition_of_tenant
from services.seats.engine.engine import Live
from services.seats.engine.faust.worker import Worker
from services.seats.replay.log_reader import LogReader
from services.seats.replay.statistics import Statistics
from services.seats.use_cases.what_if import Questions
from shared.errors import Invalid, NotFound, Refused, Transient
from shared.schemas.position import Position
from shared.schemas.rights import OPERATOR
from shared.web.auth import access

AFTER_SECONDS_MAX = 10.0
READ, OPERATE = Depends(access("account:read")), Depends(access(OPERATOR))
READ_PEOPLE = Depends(access("account:read", with_viewset=False))  # seats knows no departments; users offers the same with a viewset

After = Annotated[
    str | None,
    Query(
        pattern=r"^(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})$",
        description="Wait until seats has decided the command at this position, `<partition>-<offset>`, for at most 10 seconds.",
    ),
]


class OwnedTenants:
    """The tenants of this worker's partitions, read from its memory."""

    def __init__(self, worker: Worker, log: LogReader) -> None:
        self.worker, self.log = worker, log
        self.statistics, self.questions = Statistics(log), Questions()

    def live(self, tenant: str) -> Live:
        """Return the tenant's partition. The request came here because this worker owned it; that may have changed while it waited."""
        partition = partition_of_tenant(tenant, self.worker.settings.seats_partitions)
        if partition is None:
            raise NotFound("tenant")
        live = self.worker.engine.live.get(partition)
        if live is None or not self.worker.ready:
            raise Transient("the partition is being taken over")
        return live

    async def reached(self, tenant: str, after: str | None) -> Live:
        """Wait until the position `after` is decided and durable, then return the tenant's partition."""
        live = self.live(tenant)
        if after is not None:
            position = Position.parse(after)
            if position.partition != live.number:
                raise Invalid("query.after", after, f"a position in partition {live.number}, which is the partition of this tenant")
            try:
                async with asyncio.timeout(AFTER_SECONDS_MAX):
                    await self.worker.engine.wait_for(position.partition, position.offset)
            except TimeoutError:
                detail = f"seats did not reach the position {after} within {AFTER_SECONDS_MAX:.0f} seconds. Please try again."
                raise Refused("position-not-reached", detail, position=responses.position(live).model_dump()) from None
        return self.live(tenant)

    @asynccontextmanager
    async def between_batches(self, tenant: str, after: str | None) -> AsyncIterator[tuple[Live, domain.Tenant]]:
        """Give the tenant while nothing is decided, so that its counts are durable. Raises NotFound for a tenant that is not opened."""
        await self.reached(tenant, after)
        async with self.worker.engine.between_batches():
            live = self.live(tenant)
            decider = live.decider
            assert isinstance(decider, DomainDecider)
            state = decider.tenants.get(tenant)
            if state is None:
                raise NotFound("tenant")
            yield live, state


async def _owned_tenants(request: Request) -> OwnedTenants:
    owned: OwnedTenants = request.app.state.owned_tenants
    return owned


Owned = Annotated[OwnedTenants, Depends(_owned_tenants)]
