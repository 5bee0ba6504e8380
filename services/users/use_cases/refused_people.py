"""People who were refused: request their seats again, and tell the administrators when that may help.

Under the policy `reject`, and where a cap was reached, nobody waits for a licence. So a licence that becomes free goes to nobody by itself.
"""

from collections.abc import Mapping, Sequence

from services.users.domain.person import Tenant
from services.users.domain.status import Status
from services.users.store import people, reevaluations
from services.users.store.pools import CountsRow
from services.users.store.reevaluations import ReevaluationKind
from shared.database import UnitOfWork
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import LicencesFree

_SYSTEM = Actor(kind="system", id="users")
_REVOKED = "revoked"


def statuses(*, include_revoked: bool) -> Sequence[Status]:
    return (Status.REFUSED, Status.DEACTIVATED) if include_revoked else (Status.REFUSED,)


async def reactivate(tenant: Tenant, uow: UnitOfWork, actor: Actor, *, include_revoked: bool) -> str:
    """Let a background job request the seats of all refused people again, the oldest refusal first; return the id of its progress."""
    total, last = await people.count_refused(uow.connection, tenant.tenant, statuses(include_revoked=include_revoked))
    cause = reevaluations.cause_of(actor, None)
    module = _REVOKED if include_revoked else None
    return await reevaluations.add(uow.connection, tenant.tenant, ReevaluationKind.REFUSED, cause, module, until=last, total=total)


async def tell_of_free_licences(tenant: Tenant, uow: UnitOfWork, before: Mapping[str, CountsRow], after: Mapping[str, CountsRow]) -> None:
    """Publish that licences of a module are available again while people are refused in it: the administrators get an e-mail."""
    for module, pool in after.items():
        known = before.get(module)
        if pool.available == 0 or known is None or known.available > 0:
            continue
        if refused := await people.count_refused_in(uow.connection, tenant.tenant, module):
            event = LicencesFree(
                at=tenant.now, actor=_SYSTEM, reason="licence_free", module=module, available=pool.available, refused=refused
            )
            uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=module)
