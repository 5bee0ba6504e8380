"""The owners of a tenant: a request cannot take away the last one, and what HR systems take away is reported."""

from collections.abc import Sequence
from datetime import date

import structlog
from prometheus_client import Counter

from services.users.domain.person import Revision, Tenant
from services.users.store import people as store
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import LastOwnerLost

log = structlog.get_logger(__name__)

LOST = Counter("seatpool_users_last_owners_lost", "Tenants whose last owner can no longer sign in")


async def check(tenant: Tenant, uow: UnitOfWork, revisions: Sequence[Revision]) -> None:
    """Look whether an owner is left after these changes, which are stored already. Raises Conflict if a request took away the last one.

    What a source states is done, since a person who has left must not keep access: then an event is published.
    """
    lost = [revision for revision in revisions if revision.lost_owner]
    if not lost or await store.has_owner(uow.connection, tenant.tenant, tenant.today):
        return
    if any(revision.requested for revision in lost):
        raise _last_owner()
    LOST.inc()
    person, event = lost[-1].person, lost[-1].event
    log.error("last_owner_lost", tenant=tenant.tenant, user=person.user)
    assert event is not None, "may_sign_in is part of the event"
    told = LastOwnerLost(at=tenant.now, actor=event.actor, reason=event.reason, user=person.user)
    uow.publish(told, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=person.user)


async def check_later(tenant: Tenant, uow: UnitOfWork, user: str, day: date) -> None:
    """Look whether another owner is left on the later day from which this one cannot sign in, as a request says. Raises Conflict."""
    if not await store.has_owner(uow.connection, tenant.tenant, day, but=user):
        raise _last_owner()


def _last_owner() -> Conflict:
    return Conflict(
        "last-owner",
        "This person is the last owner of the tenant who can sign in, so the change is refused. First give the role owner to another "
        "person who can sign in (`PUT …/people/{user}/roles`).",
    )
