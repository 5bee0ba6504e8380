"""Closing of pools."""

from services.seats.domain.decision import DecisionBuilder
from services.seats.domain.state import Tenant
from shared.schemas.seats_v1 import Reason


def close(builder: DecisionBuilder, module: str) -> None:
    """Close the pool and release its seats, in order of the user ids. Other pools that its people also waited for can then serve them."""
    tenant = builder.tenant
    tenant.put_pool(module, None)
    for user in sorted(user for user, row in tenant.users.items() if module in row.seats):
        builder.release("seat_released", user, module, Reason.POOL_CLOSED)
    forget_periods(tenant)


def forget_periods(tenant: Tenant) -> None:
    """Without a pool no scheduled period begins: one of a subscription that has ended would apply the numbers of a later subscription."""
    if not tenant.pools and tenant.row.scheduled:
        tenant.put_tenant(tenant.row._replace(scheduled=()))
