"""The dependencies of routes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from services.users.domain.person import Cause
from services.users.jobs.alarm import Alarm
from services.users.jobs.test_clock import Coordinator
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.tokens import TokenIssuer, WrongSecrets
from services.users.store.tenants import StoredTenant
from services.users.use_cases.bulk_reevaluation import Limits
from services.users.use_cases.idle import OwnIdleCheck
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer
from shared.schemas.base import Id
from shared.web import Principal, access, actor_of, operator

TenantId = Annotated[Id, Path(description="The id of the tenant.")]
UserId = Annotated[Id, Path(description="The id of the person.")]
Manager = Annotated[Principal, Depends(access("users:manage"))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]
Operator = Annotated[Principal, Depends(operator())]


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the process that routes use."""

    database: Database
    tenants: Tenants
    clock: Clock
    issuer: TokenIssuer
    keys: SigningKeys
    alarm: Alarm
    coordinator: Coordinator
    idle: OwnIdleCheck
    consumer: Consumer
    seats: SeatsQuestions
    wrong_invitations: WrongSecrets
    profiles_max: int
    reevaluations_per_day: int

    def limits(self) -> Limits:
        return Limits(self.profiles_max, self.reevaluations_per_day, self.clock.now())


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


def cause_of(principal: Principal) -> Cause:
    return Cause(actor_of(principal))


def now_of(row: StoredTenant, clock: Clock) -> datetime:
    """Return the tenant's time."""
    return row.at if row.at is not None else clock.now()
