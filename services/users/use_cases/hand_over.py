"""Hand over what a person owns in the vendor's product (A22): the product states it, and a deactivation reports it with the heir."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.users.domain.person import Person, Tenant
from services.users.domain.status import Status
from services.users.store import owned_items as store
from services.users.store import people as people_store
from services.users.store.owned_items import OwnedItemsRow
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import HandOverDue, OwnedItems, PersonAdded, PersonState

KINDS_MAX: Final = 50  # of one person
ENDED: Final = frozenset({Status.LEFT, Status.INACTIVE, Status.DEACTIVATED})


@dataclass(frozen=True, slots=True)
class Ended:
    """The event with which a person stopped using the product."""

    tenant: str
    event: PersonState


def is_end(event: PersonState) -> bool:
    """Return whether the person used the product before this event, and no longer does."""
    if isinstance(event, PersonAdded):  # nobody used it before; to compare all changes of each new person takes time in an import
        return False
    moved = next((change for change in event.changes if change.field == "status"), None)
    return moved is not None and moved.new in ENDED and moved.old is not None and moved.old not in ENDED


async def report_gathered(uow: UnitOfWork, gathered: Sequence[Ended]) -> None:
    """Publish what those people own who own anything. For `UnitOfWork.gather`."""
    for tenant in dict.fromkeys(each.tenant for each in gathered):
        events = {each.event.user: each.event for each in gathered if each.tenant == tenant}
        items = await store.of_users(uow.connection, tenant, events)
        heirs = await store.heirs(uow.connection, tenant, list(items))
        for user, owned in items.items():
            at, actor = events[user].at, events[user].actor
            listed = tuple(OwnedItems(kind=each.kind, count=each.count, labels=each.labels) for each in owned)
            due = HandOverDue(at=at, actor=actor, user=user, heir=heirs.get(user), items=listed)
            uow.publish(due, source=USERS, tenant=tenant, time=at, subject=user)


async def put_items(uow: UnitOfWork, row: OwnedItemsRow) -> None:
    """Store the items of one kind that the person owns. Call under the person's lock. Raises Conflict."""
    await store.save(uow.connection, row)
    if row.count and await store.kinds(uow.connection, row.tenant_id, row.user_id) > KINDS_MAX:
        raise Conflict("too-many-kinds", f"A person can own items of at most {KINDS_MAX} kinds. Remove a kind first (`count`: 0).")


async def set_heir(tenant: Tenant, uow: UnitOfWork, person: Person, heir: str | None) -> None:
    """Store who takes over. Call under the person's lock. Raises Invalid for somebody who cannot."""
    if heir is not None:
        other = await people_store.get(uow.connection, tenant.tenant, heir, tenant.today)
        if other is None or other.user == person.user or other.standing.status in (Status.LEFT, Status.INACTIVE):
            raise Invalid("body.heir", heir, "the id of another person who works here and may log in")
    await store.save_heir(uow.connection, tenant.tenant, person.user, heir)
