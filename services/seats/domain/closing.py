"""Closing of pools."""

from services.seats.domain.decision import DecisionBuilder
from shared.schemas.seats_v1 import Reason


def close(builder: DecisionBuilder, module: str) -> None:
    """Close the pool and release its seats, in order of the user ids. Other pools that its people also waited for can then serve them."""
    tenant = builder.tenant
    tenant.put_pool(module, None)
    for user in sorted(user for user, row in tenant.users.items() if module in row.seats):
        builder.release("seat_released", user, module, Reason.POOL_CLOSED)
