"""A pool ends."""

from services.seats.domain.decision import DecisionBuilder
from shared.schemas.seats_v1 import Reason


def close(builder: DecisionBuilder, module: str) -> None:
    """Takes every seat of a pool that is closed, in the order of their holders' ids; what its holders waited for besides may now be
    served."""
    tenant = builder.tenant
    tenant.put_pool(module, None)
    for user in sorted(user for user, row in tenant.users.items() if module in row.seats):
        builder.release("seat_released", user, module, Reason.POOL_CLOSED)
