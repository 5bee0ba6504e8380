"""End the links of invitations that went to an address that is no longer the person's."""

from collections.abc import Sequence

from services.users.domain.invitations import TokenState
from services.users.store import invitation_tokens
from shared.database import UnitOfWork


async def end_gathered(uow: UnitOfWork, people: Sequence[tuple[str, str]]) -> None:
    """End the links of people (tenant, user) who have another address. For `UnitOfWork.gather`."""
    for tenant_id, user in people:
        await uow.scope(tenant_id)
        await invitation_tokens.end(uow.connection, tenant_id, user, TokenState.READDRESSED)
