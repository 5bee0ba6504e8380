"""Request a re-evaluation of all people of a tenant."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from services.users.store import reevaluations
from services.users.store import tenants as store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.tenants import StoredTenant
from shared.database import UnitOfWork
from shared.errors import Refused
from shared.schemas.base import Actor, format_instant


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one tenant. `now` is the real time, even with a test clock: the work is done on a real day."""

    profiles: int
    reevaluations_per_day: int
    now: datetime


async def request(tenant: str, uow: UnitOfWork, row: StoredTenant, actor: Actor, limits: Limits) -> str:
    """Request the re-evaluation of all people; return its id.

    Each may be published with all modules of the profile, so the day has a limit.
    """
    if not await reevaluations.spend(uow.connection, tenant, limits.now.date(), limits.reevaluations_per_day):
        midnight = (limits.now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        raise Refused(
            "too-many-requests",
            "Each change of a profile or of the department mapping evaluates all people of the tenant again. With this change, the tenant "
            f"would have more than {limits.reevaluations_per_day} evaluations today. Send it at {format_instant(midnight)} or later.",
            retry_after_seconds=ceil((midnight - limits.now).total_seconds()),
            reevaluations_per_day=limits.reevaluations_per_day,
            available_at=format_instant(midnight),
        )
    await store.save(uow.connection, replace(row, config_version=row.config_version + 1))
    return await reevaluations.add(uow.connection, tenant, ReevaluationKind.SETTINGS, reevaluations.cause_of(actor, None))
