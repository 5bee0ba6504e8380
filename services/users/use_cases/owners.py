"""The owners of a tenant: a request cannot take away the last one, and what HR systems take away is reported."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import structlog
from prometheus_client import Counter

from services.users.domain import person as rules
from services.users.domain.person import Person, Revision, Tenant
from services.users.store import people as store
from services.users.use_cases import known_people
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
    if not lost:
        return
    left = await store.owners(uow.connection, tenant.tenant, tenant.today)
    if any(revision.requested for revision in lost):
        await _check_last_day(tenant, uow, left, [revision.person for revision in lost])
    if left:
        return
    LOST.inc()
    person, event = lost[-1].person, lost[-1].event
    log.error("last_owner_lost", tenant=tenant.tenant, user=person.user)
    assert event is not None, "may_sign_in is part of the event"
    told = LastOwnerLost(at=tenant.now, actor=event.actor, reason=event.reason, user=person.user)
    uow.publish(told, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=person.user)


async def check_later(tenant: Tenant, uow: UnitOfWork, user: str, before: date | None, after: date) -> None:
    """Look whether a request that ends an owner's access on a later day (`after` instead of `before`; None: never) brings forward the day
    from which the tenant has no owner. Raises Conflict."""
    others = [person for person in await store.owners(uow.connection, tenant.tenant, tenant.today) if person.user != user]
    last = await _last_day(tenant, uow, others)
    if max(last, after) < max(last, before or date.max):
        raise _last_owner()


async def _check_last_day(tenant: Tenant, uow: UnitOfWork, left: Sequence[Person], lost: Sequence[Person]) -> None:
    """Raise Conflict if the tenant has no owner on a day on which one of the lost owners would have been one.

    An owner counts who has an address: sign-in links are the emergency access if the identity provider fails.
    """
    gone = {person.user for person in lost}
    last = await _last_day(tenant, uow, [person for person in left if person.sign_in_email and person.user not in gone])
    known = await known_people.of_users(tenant, uow, lost)
    for person in lost:
        allowed = replace(person, account=replace(person.account, may_log_in=True))
        if last < (rules.here_until(allowed, known.stated(person.user), tenant.today) or date.max):
            raise _last_owner()


async def _last_day(tenant: Tenant, uow: UnitOfWork, owners: Sequence[Person]) -> date:
    """Return the first day on which none of these owners can sign in, by what is stated now."""
    known = await known_people.of_users(tenant, uow, owners)
    days = [rules.owner_until(person, known.stated(person.user), tenant.today) for person in owners]
    return max((day or date.max for day in days), default=tenant.today)


def _last_owner() -> Conflict:
    return Conflict(
        "last-owner",
        "This person is the last owner of the tenant who can sign in, so the change is refused: no other owner has an e-mail address and "
        "stays as long. First give the role owner to another person (`PUT …/people/{user}/roles`), or take the termination of another "
        "owner back.",
    )
