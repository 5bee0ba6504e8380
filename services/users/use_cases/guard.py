"""The guard against reports that would end the access of many people by mistake: its limit, its refusal, and who is told."""

from services.users.domain.guard import GuardLimit
from services.users.domain.person import Tenant, source_actor
from services.users.store import imports as store
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ChangesStopped


async def limit_of(tenant: Tenant, uow: UnitOfWork, source: str) -> int:
    """Return how many people can lose access at once without a confirmation."""
    limit = await store.guard_limit(uow.connection, tenant.tenant, source) or GuardLimit()
    return limit.of(await store.employed(uow.connection, tenant.tenant))


def needs_confirmation(would_end: int, limit: int) -> Conflict:
    return Conflict(
        "import-needs-confirmation",
        f"This would end the access of {would_end} people. Without a confirmation, at most {limit} can lose access at once. "
        f"Nobody was changed. Check the data. If they are correct, send the request again with `confirm`: {would_end}.",
        would_end=would_end,
        limit=limit,
    )


def tell(tenant: Tenant, uow: UnitOfWork, source: str, would_end: int, limit: int, import_id: str | None = None) -> None:
    """Publish that the guard stopped a source: the administrators get an e-mail."""
    event = ChangesStopped(
        at=tenant.now, actor=source_actor(source), reason="guard", source=source, would_end=would_end, limit=limit, import_id=import_id
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
