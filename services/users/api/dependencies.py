"""The dependencies of routes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.roles import Authority
from services.users.jobs.alarm import Alarm
from services.users.jobs.test_clock import Coordinator
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.tokens import TokenIssuer, WrongSecrets
from services.users.store import people
from services.users.store.tenants import StoredTenant
from services.users.use_cases.bulk_reevaluation import Limits
from services.users.use_cases.idle import OwnIdleCheck
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import NotFound
from shared.messaging import Consumer
from shared.schemas.base import Id
from shared.schemas.rights import OPERATOR, TENANT_RIGHTS
from shared.web import Principal, access, actor_of, operator
from shared.web.auth import PERSON

TenantId = Annotated[Id, Path(description="The id of the tenant.")]
UserId = Annotated[Id, Path(description="The id of the person.")]
Manager = Annotated[Principal, Depends(access("users:manage"))]
SettingsManager = Annotated[Principal, Depends(access("settings:manage"))]
RolesManager = Annotated[Principal, Depends(access("roles:manage"))]
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
    """Return who makes the change, and what the sender may do."""
    return Cause(actor_of(principal), authority=authority_of(principal))


def authority_of(principal: Principal) -> Authority:
    rights = frozenset(TENANT_RIGHTS) if principal.may(OPERATOR) else principal.rights
    return Authority(rights, principal.departments, principal.subject if principal.kind == PERSON else None)


async def locked_person(tenant: Tenant, uow: UnitOfWork, user: str) -> Person:
    """Return the person, locked for a change. Raises NotFound."""
    person = await people.lock(uow.connection, tenant.tenant, user, tenant.today)
    if person is None or person.record is None:
        raise NotFound("person")
    return person


def now_of(row: StoredTenant, clock: Clock) -> datetime:
    """Return the tenant's time."""
    return row.at if row.at is not None else clock.now()
