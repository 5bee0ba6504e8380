"""The tenant of a message."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from services.users.domain.person import Tenant
from services.users.use_cases.locked_tenants import Tenants
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging import Message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OfTenant(Generic[T]):
    """An item that is gathered for the end of the batch, and its tenant."""

    tenant: str
    item: T


async def load_tenant(tenants: Tenants, uow: UnitOfWork, message: Message) -> Tenant:
    """Return the tenant of the message, its row locked shared. Raises Poison if it is not known."""
    return _known(message, await tenants.load(message.tenant, uow))


async def peek_tenant(tenants: Tenants, uow: UnitOfWork, message: Message) -> Tenant:
    """Return the tenant of the message without a lock. Raises Poison if it is not known, for example after a restored backup."""
    return _known(message, await tenants.peek(message.tenant, uow))


def _known(message: Message, tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise Poison("unknown-tenant", f"there is no tenant {message.tenant!r}", rule="ce_tenantid: a known tenant")
    return tenant
