"""Sessions: begin one after a sign-in, exchange it for access tokens, end it.

The console keeps the secret of a session in a cookie; users keeps its hash. Sessions are in real time, also those of tenants with a test
clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from prometheus_client import Counter

from services.users.sign_in.opaque import hash_of, new_secret
from services.users.store import identity_providers, operators
from services.users.store import people as people_store
from services.users.store import sessions as store
from services.users.store.operators import VENDOR, OperatorRow
from services.users.store.sessions import SessionRow
from services.users.use_cases.rights import Granted, rights_of
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Forbidden, Refused

SESSION_HOURS: Final = 8
SESSIONS_MAX: Final = 20  # of one person; a further sign-in ends the oldest
BEGUN = Counter("seatpool_users_sessions", "Sessions that began", ["method"])
ENDED = Counter("seatpool_users_sessions_ended", "Sessions that ended because the person left, was blocked or lost a role")


class Method(StrEnum):
    """How a person signed in."""

    LINK = "link"
    IDENTITY_PROVIDER = "identity_provider"


for _method in Method:
    BEGUN.labels(_method.value)  # from the start: Prometheus sees no increase in a series that begins at 1


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session with its secret, which is shown once."""

    row: SessionRow
    secret: str


async def begin(uow: UnitOfWork, tenant_id: str, user_id: str, method: Method, now: datetime) -> NewSession:
    """Begin a session of the person. Raises Forbidden if the person may not sign in.

    The person's row is locked, so a transaction that ends the person's sessions comes before or after this one.
    """
    await uow.scope(tenant_id)
    await people_store.lock(uow.connection, tenant_id, user_id, None)
    if not (await rights_of(uow.connection, tenant_id, user_id, now)).may_sign_in:
        raise refusal()
    return await _begin(uow, tenant_id, user_id, method, now)


async def begin_for_operator(uow: UnitOfWork, operator_id: str, method: Method, now: datetime) -> NewSession:
    """Begin a session of an operator of the vendor. Raises Forbidden for somebody who is none any more."""
    if await operators.lock(uow.connection, operator_id) is None:
        raise refusal()
    return await _begin(uow, VENDOR, operator_id, method, now)


async def _begin(uow: UnitOfWork, tenant_id: str, user_id: str, method: Method, now: datetime) -> NewSession:
    await store.end_old(uow.connection, tenant_id, user_id, SESSIONS_MAX - 1, now)
    secret = new_secret()
    row = SessionRow(tenant_id, ids.new_id(), user_id, method.value, now, now + timedelta(hours=SESSION_HOURS))
    await store.add(uow.connection, row, hash_of(secret))
    BEGUN.labels(method.value).inc()
    return NewSession(row, secret)


def refusal() -> Forbidden:
    return Forbidden(
        "sign-in-refused",
        "This person may not sign in: only people who are employed, are not blocked and hold a role can. Ask an administrator of your "
        "company for a role.",
    )


async def rights(uow: UnitOfWork, secret: str, now: datetime) -> tuple[SessionRow, Granted | OperatorRow]:
    """Return the session with this secret, and the rights that its person has now, or the operator. Raises Refused("invalid_grant")."""
    session = await store.find(uow.connection, hash_of(secret), now)
    if session is None:
        raise ended()
    if session.tenant_id == VENDOR:
        operator = await operators.get(uow.connection, session.user_id)
        if operator is None:
            raise ended()
        return session, operator
    await uow.scope(session.tenant_id)
    granted = await rights_of(uow.connection, session.tenant_id, session.user_id, now)
    if not granted.may_sign_in:
        raise ended()
    return session, granted


def ended() -> Refused:
    """Return the refusal with the member `error`, which OAuth clients read (RFC 6749, section 5.2)."""
    return Refused("invalid_grant", "The session is unknown, has expired or was ended. Sign in again.", error="invalid_grant")


async def end_all(uow: UnitOfWork, tenant_id: str, users: Sequence[str]) -> None:
    """End all sessions of these people. Call it in the transaction in which they leave, are blocked or lose a role."""
    await uow.scope(tenant_id)
    ENDED.inc(await store.end_of(uow.connection, tenant_id, users))


async def unbind_gathered(uow: UnitOfWork, people: Sequence[tuple[str, str]]) -> None:
    """Remove the identities of people (tenant, user) who get their first role. For `UnitOfWork.gather`.

    They were bound when a source alone could say who the person is. The next sign-in binds the person's account with the login or the
    e-mail address that counts from now on.
    """
    for tenant_id, user in people:
        await uow.scope(tenant_id)
        await identity_providers.unbind(uow.connection, tenant_id, user)


async def end_gathered(uow: UnitOfWork, people: Sequence[tuple[str, str]]) -> None:
    """End the sessions of people (tenant, user) whom a batch changes, with one statement for each tenant. For `UnitOfWork.gather`."""
    by_tenant: dict[str, set[str]] = {}
    for tenant_id, user_id in people:
        by_tenant.setdefault(tenant_id, set()).add(user_id)
    for tenant_id, users in by_tenant.items():
        await end_all(uow, tenant_id, sorted(users))
