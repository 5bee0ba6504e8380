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
    """What is gathered for the end of the batch, and whose it is."""

    tenant: str
    item: T


def tenant_of(message: Message) -> str:
    if message.envelope.tenant is None:
        raise Poison("tenant", "ce_tenantid is missing", rule="ce_tenantid: present")
    return message.envelope.tenant


async def load_tenant(tenants: Tenants, uow: UnitOfWork, message: Message) -> Tenant:
    """Raises Poison."""
    tenant = await tenants.load(tenant_of(message), uow)
    if tenant is None:
        raise Poison("unknown-tenant", f"there is no tenant {message.envelope.tenant!r}", rule="ce_tenantid: a known tenant")
    return tenant
