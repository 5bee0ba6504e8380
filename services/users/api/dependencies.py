"""What routes work with, and small things that several of them share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict

from services.users.domain.person import Cause
from services.users.jobs.alarm import Alarm
from services.users.jobs.test_clock import Coordinator
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.tokens import TokenIssuer
from services.users.store.tenants import TenantRow
from services.users.use_cases.bulk_reevaluation import Limits
from services.users.use_cases.idle import OwnIdleCheck
from services.users.use_cases.locked_tenants import Tenants
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer
from shared.schemas.base import Id
from shared.web import Principal, access, actor_of, operator
from shared.web.rest import Moment

TenantId = Annotated[Id, Path(description="The tenant's id.")]
UserId = Annotated[Id, Path(description="The person's id.")]
Manager = Annotated[Principal, Depends(access("users:manage"))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]
Operator = Annotated[Principal, Depends(operator())]


def _on_a_clock(value: datetime) -> datetime:
    """Far from the ends of the calendar, where a local day or the next period is no date any more, for whoever reads this time later."""
    if not 1970 <= value.year < 3000:
        raise ValueError("expected a time of the years 1970 to 2999")
    return value


TenantTime = Annotated[Moment, AfterValidator(_on_a_clock)]


@dataclass(frozen=True, slots=True)
class Context:
    database: Database
    tenants: Tenants
    clock: Clock
    issuer: TokenIssuer
    keys: SigningKeys
    alarm: Alarm
    coordinator: Coordinator
    idle: OwnIdleCheck
    consumer: Consumer
    profiles_max: int
    reevaluations_per_day: int

    def limits(self) -> Limits:
        return Limits(self.profiles_max, self.reevaluations_per_day, self.clock.now())


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


class Body(BaseModel):
    """What callers send: a field that nobody knows is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def cause_of(principal: Principal) -> Cause:
    return Cause(actor_of(principal))


def now_of(row: TenantRow, clock: Clock) -> datetime:
    """The tenant's time."""
    return row.at if row.at is not None else clock.now()
