"""The tenant's row, locked by each use case that writes.

When two requests start a subscription, approve a quote or draw a number at the same time, the second one sees the result of the first.
"""

from datetime import datetime

from services.invoicing import store
from services.invoicing.store.tenants import Tenant
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas import seats_v1


def time_of(tenant: Tenant, clock: Clock) -> datetime:
    """The tenant's time: on a test clock it is the time of the last answer of seats."""
    return tenant.test_time if tenant.clock == seats_v1.Clock.TEST and tenant.test_time is not None else clock.now()


async def lock_tenant(uow: UnitOfWork, tenant_id: str, clock: Clock) -> tuple[Tenant, datetime]:
    """Lock the tenant's row and return it with the tenant's time. Raises NotFound, Conflict("clock-advancing")."""
    found = await store.tenants.find(uow.connection, tenant_id, lock=True)
    if found is None or found.time_zone is None:
        raise NotFound("tenant")
    if found.advancing_to is not None:
        raise Conflict(
            "clock-advancing", f"The test clock is advancing to {found.advancing_to.isoformat()}. Try again when its state is `ready`."
        )
    return found, time_of(found, clock)
