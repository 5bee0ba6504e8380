"""People who were refused: request their seats again, and tell the administrators when that may help.

Under the policy `reject`, and where a cap was reached, nobody waits for a licence. So a licence that becomes free goes to nobody by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from services.users.domain import person as rules
from services.users.domain.facts import FactType
from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.status import USABLE, Status
from services.users.store import module_states, people, reevaluations
from services.users.store.pools import CountsRow
from services.users.store.reevaluations import ReevaluationKind
from services.users.use_cases import known_people
from services.users.use_cases import people as people_changes
from shared.database import UnitOfWork
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import Reason
from shared.schemas.users_v1 import LicencesFree

_SYSTEM = Actor(kind="system", id="users")
_REVOKED = "revoked"
LAST: Final = 2**63 - 1  # no refusal has a later place


def statuses(*, include_revoked: bool) -> Sequence[Status]:
    return (Status.REFUSED, Status.DEACTIVATED) if include_revoked else (Status.REFUSED,)


async def reactivate(tenant: Tenant, uow: UnitOfWork, actor: Actor, *, include_revoked: bool) -> str:
    """Let a background job request the seats of all refused people again, the oldest refusal first; return the id of its progress. For
    people who already have seats, only the modules that were refused are requested."""
    total, last = await people.count_refused(uow.connection, tenant.tenant, statuses(include_revoked=include_revoked))
    cause = reevaluations.cause_of(actor, None)
    module = _REVOKED if include_revoked else None
    return await reevaluations.add(uow.connection, tenant.tenant, ReevaluationKind.REFUSED, cause, module, until=last, total=total)


async def request_again(
    tenant: Tenant,
    uow: UnitOfWork,
    actor: Actor,
    limit: int,
    *,
    include_revoked: bool,
    after: int = 0,
    until: int = LAST,
    envelope: Envelope | None = None,
) -> Sequence[int]:
    """Request the seats of the next refused people again, the oldest refusal first; return the places of these refusals."""
    chosen = statuses(include_revoked=include_revoked)
    places, chunk = await people.lock_refused(uow.connection, tenant.tenant, chosen, after, until, limit, tenant.today)
    again, back = (Cause(actor, reason.value, FactType.CHANGED) for reason in (Reason.REQUESTED_AGAIN, Reason.REACTIVATED))
    seats = await module_states.load(uow.connection, tenant.tenant, [each.user for each in chunk])
    revisions = [
        rules.revise(
            before,
            each,
            at=tenant.now,
            cause=back if before.standing.status is Status.DEACTIVATED else again,
            reactivate=_asked_again(before, each, seats[before.user]) or None,
        )
        for before, each in zip(chunk, await known_people.as_of_today(tenant, uow, chunk), strict=True)
    ]
    await people_changes.save_all(tenant, uow, revisions, envelope)
    return places


def _asked_again(before: Person, now: Person, seats: Mapping[str, Seat]) -> tuple[str, ...]:
    """Return the modules that are requested again: of somebody who has seats, only those that were refused."""
    required = now.standing.required.modules
    if before.standing.status not in USABLE:
        return required
    return tuple(module for module in required if module in seats and seats[module].state is ModuleState.REFUSED)


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
