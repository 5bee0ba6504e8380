"""Sign in by a link that is sent by e-mail.

A request only stores the address, so that nothing about the answer tells whether anybody has it. A background job then looks
for the people with that address, and publishes the event from which notifier makes the e-mail. Opening the link changes nothing. A POST
uses it, once, and gives a ticket, with which the person chooses the tenant and the login.

The link is for the people who had the address when it was made: somebody who gets the address later is not offered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

import structlog
from prometheus_client import Counter

from services.users.domain.logins import login_key
from services.users.domain.roles import OWNER
from services.users.sign_in.opaque import hash_of, new_secret
from services.users.store import identity_providers, operators, people_lookups
from services.users.store import people as people_store
from services.users.store import sign_in_links as store
from services.users.store import tenants as tenants_store
from services.users.store.identity_providers import EFFECTIVE
from services.users.store.operators import VENDOR
from services.users.store.sign_in_links import LinkRow, RequestRow
from services.users.use_cases import sessions
from services.users.use_cases.rights import Granted, rights_of
from services.users.use_cases.sessions import Method, NewSession
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Refused, Transient
from shared.schemas.base import Actor, to_milliseconds
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import EmergencyLinkUsed, OperatorLinkRequested, SignInLinkRequested
from shared.sealed import SIGN_IN_LINK, seal

log = structlog.get_logger(__name__)

LINK_MINUTES: Final = 15
TICKET_MINUTES: Final = 5
LINKS_MAX: Final = 5  # of one address that have not expired
CHOICES_MAX: Final = 100
AT_ONCE: Final = 20
ACTOR: Final = Actor(kind="system", id="users")
LINKS = Counter("seatpool_users_sign_in_links", "Sign-in links by what happened", ["what"])
for _what in ("requested", "sent", "nobody", "too_many", "used", "refused", "failed"):
    LINKS.labels(_what)  # from the start: Prometheus sees no increase in a series that begins at 1


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The address of the page that a link opens, and the secret with which links are sealed for notifier."""

    page_url: str
    notifier_secret: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A tenant, and a person there, as whom the holder of the link may sign in; or the vendor, and an operator."""

    tenant: str
    tenant_name: str
    user: str
    login: str
    name: str


@dataclass(frozen=True, slots=True)
class Used:
    ticket: str
    expires_at: datetime
    choices: Sequence[Choice]


async def request(uow: UnitOfWork, email: str, now: datetime) -> None:
    """Store a request for a link. It does the same for every address."""
    LINKS.labels("requested").inc()
    await store.add_request(uow.connection, RequestRow(ids.new_id(), email, now))


async def make_links(uow: UnitOfWork, settings: LinkSettings, now: datetime) -> bool:
    """Make links for the next requests, and publish the events from which e-mails are made; return False if there are no more requests."""
    requests = await store.take_requests(uow.connection, AT_ONCE)
    for each in requests:
        if now - each.requested_at < timedelta(minutes=LINK_MINUTES):
            await _try(uow, settings, each, now)
    await uow.scope(None)
    await store.delete_old(uow.connection, now)
    return len(requests) == AT_ONCE


async def _try(uow: UnitOfWork, settings: LinkSettings, each: RequestRow, now: datetime) -> None:
    """Make a link. A request that fails is dropped, so that it keeps no other waiting; the person can request another link."""
    try:
        async with uow.savepoint():
            await _make_link(uow, settings, each, now)
    except (Transient, MemoryError):
        raise
    except Exception as error:
        LINKS.labels("failed").inc()
        log.error("sign_in_link_failed", exc_info=error)


async def _make_link(uow: UnitOfWork, settings: LinkSettings, each: RequestRow, now: datetime) -> None:
    await uow.scope(None)
    key = login_key(each.email)
    if await store.count(uow.connection, key, now) >= LINKS_MAX:
        LINKS.labels("too_many").inc()
        return
    found = await people_lookups.with_email_and_role(uow.connection, each.email, CHOICES_MAX)
    operator = await operators.with_email(uow.connection, each.email)
    choices = await _choices(uow, [*found, *([(VENDOR, operator.operator_id)] if operator is not None else [])], key, now)
    if not choices:
        LINKS.labels("nobody").inc()
        return
    if not settings.notifier_secret:
        log.error("sign_in_link_not_sent", why="SEATPOOL_CLIENT_SECRET_NOTIFIER is not set")
        return
    secret, expires_at = new_secret(), now + timedelta(minutes=LINK_MINUTES)
    link = LinkRow(ids.new_id(), key, [[choice.tenant, choice.user] for choice in choices], expires_at)
    await uow.scope(None)
    await store.add_link(uow.connection, link, hash_of(secret))
    first = choices[0]
    sealed = seal(f"{settings.page_url}?secret={secret}", settings.notifier_secret, SIGN_IN_LINK)
    LINKS.labels("sent").inc()
    if first.tenant == VENDOR:
        asked = OperatorLinkRequested(
            at=to_milliseconds(now),
            actor=ACTOR,
            operator=first.user,
            email=each.email,
            sealed_link=sealed,
            expires_at=to_milliseconds(expires_at),
        )
        uow.publish(asked, source=USERS, tenant=None, time=now, subject=first.user)
        return
    tenant = await tenants_store.get(uow.connection, first.tenant)
    at = tenant.at if tenant is not None and tenant.at is not None else now
    event = SignInLinkRequested(
        at=to_milliseconds(at),
        actor=ACTOR,
        user=first.user,
        email=each.email,
        sealed_link=sealed,
        expires_at=to_milliseconds(expires_at),
    )
    uow.publish(event, source=USERS, tenant=first.tenant, time=at, subject=first.user)


async def use(uow: UnitOfWork, secret: str, now: datetime) -> Used:
    """Use a link. Raises Refused("link-not-valid"), also if nobody may sign in with it any more."""
    ticket, until = new_secret(), now + timedelta(minutes=TICKET_MINUTES)
    link = await store.use(uow.connection, hash_of(secret), hash_of(ticket), until, now)
    if link is None:
        raise _refusal()
    LINKS.labels("used").inc()
    return Used(ticket, until, await _choices_of(uow, link, now))


async def choose(uow: UnitOfWork, ticket: str, tenant_id: str, user_id: str, now: datetime) -> NewSession:
    """Begin a session of the chosen person. The ticket can be used once. Raises Refused("link-not-valid"), Forbidden."""
    link = await store.of_ticket(uow.connection, hash_of(ticket), now)
    if link is None or not await store.remove(uow.connection, link.link_id):
        raise _refusal()
    if (tenant_id, user_id) not in {(choice.tenant, choice.user) for choice in await _choices_of(uow, link, now)}:
        raise sessions.refusal()
    if tenant_id == VENDOR:
        await uow.scope(None)
        return await sessions.begin_for_operator(uow, user_id, Method.LINK, now)
    session = await sessions.begin(uow, tenant_id, user_id, Method.LINK, now)
    if await _link_use(uow, tenant_id, await rights_of(uow.connection, tenant_id, user_id, now)) is LinkUse.EMERGENCY:
        await _tell_owners(uow, tenant_id, user_id, now)
    return session


async def _tell_owners(uow: UnitOfWork, tenant_id: str, user_id: str, now: datetime) -> None:
    tenant = await tenants_store.get(uow.connection, tenant_id)
    person = await people_store.get(uow.connection, tenant_id, user_id, None)
    assert tenant is not None
    assert person is not None
    assert person.record is not None
    event = EmergencyLinkUsed(
        at=to_milliseconds(tenant.at or now),
        actor=Actor(kind="user", id=user_id),
        user=user_id,
        name=person.record.name or person.record.email,
        owners=tuple(await people_lookups.emails_with_role(uow.connection, tenant_id, OWNER)),
    )
    uow.publish(event, source=USERS, tenant=tenant_id, time=event.at, subject=user_id)


def _refusal() -> Refused:
    LINKS.labels("refused").inc()
    return Refused("link-not-valid", "This sign-in link is unknown, was already used or has expired. Request a new link.")


async def _choices_of(uow: UnitOfWork, link: LinkRow, now: datetime) -> list[Choice]:
    return await _choices(uow, [(tenant, user) for tenant, user in link.people], link.email_key, now)


async def _choices(uow: UnitOfWork, found: Sequence[tuple[str, str]], email_key: str, now: datetime) -> list[Choice]:
    """Return those of the people who sign in with the address now and may sign in by link, in order."""
    choices: list[Choice] = []
    for tenant_id, user_id in found:
        if tenant_id == VENDOR:
            await uow.scope(None)
            operator = await operators.get(uow.connection, user_id)
            if operator is not None and operator.email_key == email_key:
                choices.append(Choice(VENDOR, "Operators of the vendor", user_id, operator.email, operator.name))
            continue
        await uow.scope(tenant_id)
        person = await people_store.get(uow.connection, tenant_id, user_id, None)
        tenant = await tenants_store.get(uow.connection, tenant_id)
        if person is None or person.record is None or tenant is None or login_key(person.sign_in_email) != email_key:
            continue
        granted = await rights_of(uow.connection, tenant_id, user_id, now)
        if granted.may_sign_in and await _link_use(uow, tenant_id, granted) is not LinkUse.REFUSED:
            choices.append(Choice(tenant_id, tenant.name, user_id, person.record.login, person.record.name))
    return choices


class LinkUse(Enum):
    """What a link is to a person whose tenant may require its identity provider."""

    USUAL = auto()
    EMERGENCY = auto()
    REFUSED = auto()


async def _link_use(uow: UnitOfWork, tenant_id: str, granted: Granted) -> LinkUse:
    provider = await identity_providers.get(uow.connection, tenant_id, EFFECTIVE)
    if provider is None or not provider.required:
        return LinkUse.USUAL
    return LinkUse.EMERGENCY if provider.emergency_links and OWNER in granted.roles else LinkUse.REFUSED
