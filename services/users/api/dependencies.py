"""The dependencies of routes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from services.users.domain.logins import login_key
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.roles import Authority
from services.users.jobs.alarm import Alarm
from services.users.jobs.test_clock import Coordinator
from services.users.scim.activity import Activity
from services.users.scim.callers import Callers
from services.users.scim.creations import Creations
from services.users.sign_in.identity_providers import IdentityProviders
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.opaque import hash_of
from services.users.sign_in.rate_limits import RateLimit, network_of
from services.users.sign_in.tokens import TokenIssuer
from services.users.store import people
from services.users.store.tenants import StoredTenant
from services.users.use_cases.bulk_reevaluation import Limits
from services.users.use_cases.idle import OwnIdleCheck
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import Conflict, NotFound
from shared.messaging import Consumer
from shared.schemas.base import Id
from shared.schemas.rights import OPERATOR, TENANT_RIGHTS
from shared.web import Principal, access, actor_of, operator
from shared.web.auth import PERSON

TenantId = Annotated[Id, Path(description="The id of the tenant.")]
UserId = Annotated[Id, Path(description="The id of the person.")]
OperatorId = Annotated[Id, Path(description="The id of the operator.")]
SessionId = Annotated[Id, Path(description="The `session_id` of a session.")]
# A token with a viewset may use the routes of the first two, which apply it (`locked_person`, `rights.check_change`).
Reader = Annotated[Principal, Depends(access("users:read", with_viewset=True))]
PersonManager = Annotated[Principal, Depends(access("users:manage", with_viewset=True))]
# People use these routes about themselves, whatever their rights.
PersonOrManager = Annotated[Principal, Depends(access("users:manage", with_viewset=True, or_oneself=True))]
Manager = Annotated[Principal, Depends(access("users:manage"))]
SettingsManager = Annotated[Principal, Depends(access("settings:manage"))]
RolesManager = Annotated[Principal, Depends(access("roles:manage"))]
PersonRolesManager = Annotated[Principal, Depends(access("roles:manage", with_viewset=True))]
TenantOperator = Annotated[Principal, Depends(access("operator"))]
Operator = Annotated[Principal, Depends(operator())]


class NothingChangedError(Exception):
    """Rolls back the transaction in which something was changed for a preview."""


class SignInLimits:
    """How often somebody may try to sign in. Known and unknown e-mail addresses are counted alike."""

    def __init__(self) -> None:
        self._by_address = RateLimit(60, 60)
        self._wrong_by_address = RateLimit(60, 60)
        self._links_by_address = RateLimit(20, 900)
        self._links_by_account = RateLimit(5, 900)

    def attempt(self, request: Request, now: datetime) -> None:
        """Count an attempt to sign in. Raises Refused("too-many-requests")."""
        self._by_address.take(_network(request), now.timestamp())

    def check_wrong(self, request: Request, now: datetime) -> None:
        """Raise Refused("too-many-requests") if too many ID tokens from there were wrong."""
        self._wrong_by_address.check(_network(request), now.timestamp())

    def count_wrong(self, request: Request, now: datetime) -> None:
        self._wrong_by_address.count(_network(request), now.timestamp())

    def link(self, request: Request, email: str, now: datetime) -> None:
        """Count a request for a link. Raises Refused("too-many-requests")."""
        self._links_by_address.take(_network(request), now.timestamp())
        self._links_by_account.take(hash_of(login_key(email)).hex(), now.timestamp())


def _network(request: Request) -> str:
    return network_of(request.client.host if request.client is not None else "")


@dataclass(frozen=True, slots=True)
class VendorsProvider:
    """The identity provider of the vendor, with which operators sign in."""

    issuer: str
    client_id: str
    trust_email: bool


@dataclass(frozen=True, slots=True)
class SignIn:
    """The parts that sign-in uses."""

    limits: SignInLimits
    providers: IdentityProviders
    link_page_url: str
    redirect_urls: frozenset[str]
    secrets_keys: Sequence[str]
    vendors_provider: VendorsProvider | None
    allows_local: bool  # an identity provider on this machine, by plain http


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
    wrong_invitations: RateLimit
    sign_in: SignIn
    scim_callers: Callers
    scim_activity: Activity
    scim_creations: Creations
    profiles_max: int
    reevaluations_per_day: int

    def limits(self) -> Limits:
        return Limits(self.profiles_max, self.reevaluations_per_day, self.clock.now())


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]


def cause_of(principal: Principal) -> Cause:
    """Return who makes the change, and what the sender may do."""
    return Cause(actor_of(principal), authority=authority_of(principal))


def authority_of(principal: Principal) -> Authority:
    rights = frozenset(TENANT_RIGHTS) if principal.may(OPERATOR) else principal.rights
    return Authority(rights, principal.departments, principal.subject if principal.kind == PERSON else None)


async def locked_person(tenant: Tenant, uow: UnitOfWork, user: str, principal: Principal) -> Person:
    """Return the person, locked for a change. Raises NotFound, also for a person whom the caller does not see, and Conflict for one whose
    data were erased."""
    await uow.lock(people.CLAIMS, tenant.tenant)
    person = visible(await people.lock(uow.connection, tenant.tenant, user, tenant.today), principal)
    if person.erased_at is not None:
        raise Conflict("person-erased", "The data of this person were erased, so the person cannot be changed. Add a new person.")
    return person


def visible(person: Person | None, principal: Principal) -> Person:
    """Return the person. Raises NotFound for nobody, and alike for a person whom the caller does not see."""
    if person is None or person.record is None or not principal.sees(person.user, person.department):
        raise NotFound("person")
    return person


def now_of(row: StoredTenant, clock: Clock) -> datetime:
    """Return the tenant's time."""
    return row.at if row.at is not None else clock.now()
