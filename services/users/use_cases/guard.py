"""The guard against reports that would end the access of many people by mistake: its limit, its refusal, and who is told.

An import counts by itself. Statements that come one by one, by topic, REST or SCIM, count together with those of the last hour: call
`count_with_last_hour`, and then either `record` the endings and apply them, or `tell` that they were stopped. A confirmation ends the hour.
"""

from collections.abc import Iterable

from services.users.domain.guard import WINDOW, Endings, GuardLimit
from services.users.domain.person import Tenant, source_actor
from services.users.domain.sources import source_of
from services.users.store import guard_endings, sources
from services.users.store import imports as store
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ChangesStopped


async def limit_of(tenant: Tenant, uow: UnitOfWork, source: str, ended: int = 0) -> int:
    """Return how many people can lose access without a confirmation; `ended` of them have lost it already."""
    settings = source_of(await sources.all_of(uow.connection, tenant.tenant), source)
    limit = GuardLimit(settings.guard_people, settings.guard_percent)
    return limit.of(await store.employed(uow.connection, tenant.tenant) + ended)


async def count_with_last_hour(tenant: Tenant, uow: UnitOfWork, source: str, would_end: Iterable[str]) -> Endings:
    """Return the people (external ids) who would lose access now, with those who have lost it within the last hour of the tenant's time.
    Other transactions that ask this about the source wait until this one ends."""
    await guard_endings.lock(uow.connection, tenant.tenant, source)
    ended = await guard_endings.since(uow.connection, tenant.tenant, source, tenant.now - WINDOW)
    return Endings(ended, frozenset(would_end), await limit_of(tenant, uow, source, len(ended)))


async def record(tenant: Tenant, uow: UnitOfWork, source: str, endings: Endings) -> None:
    """Let the endings count during the next hour, because they are applied."""
    await guard_endings.forget(uow.connection, tenant.tenant, source, tenant.now - WINDOW)
    await guard_endings.add(uow.connection, tenant.tenant, source, sorted(endings.would_end), tenant.now)


async def begin_again(tenant: Tenant, uow: UnitOfWork, source: str) -> None:
    """Count from zero, because somebody has confirmed that the endings of the source are right."""
    await guard_endings.forget(uow.connection, tenant.tenant, source, tenant.now)


def needs_confirmation(would_end: int, limit: int) -> Conflict:
    return Conflict(
        "import-needs-confirmation",
        f"This would end the access of {would_end} people. Without a confirmation, at most {limit} can lose access. "
        f"Nobody was changed. Check the data. If they are correct, send the request again with `confirm`: {would_end}.",
        would_end=would_end,
        limit=limit,
    )


def tell(tenant: Tenant, uow: UnitOfWork, source: str, would_end: int, limit: int, *, ended: int = 0, import_id: str | None = None) -> None:
    """Publish that the guard stopped a source: the administrators get an e-mail."""
    event = ChangesStopped(
        at=tenant.now,
        actor=source_actor(source),
        reason="guard",
        source=source,
        would_end=would_end,
        limit=limit,
        ended=ended,
        import_id=import_id,
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
