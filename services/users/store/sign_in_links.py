"""Requests for sign-in links, and the links. Neither belongs to a tenant: a link is for an e-mail address."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of


@dataclass(frozen=True, slots=True)
class RequestRow:
    """An e-mail address for which somebody requested a link."""

    request_id: str
    email: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link. `people` are those who had the address when the link was made, as [tenant, user]."""

    link_id: str
    email_key: str
    people: Sequence[Sequence[str]]
    expires_at: datetime


REQUESTS: Final = table_of("sign_in_requests", RequestRow)
LINKS: Final = table_of("sign_in_links", LinkRow, secret_hash=bytes, ticket_hash=bytes, ticket_expires_at=datetime)
_R: Final = REQUESTS.c
_L: Final = LINKS.c
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_HASH: Final = bindparam("hash", type_=LargeBinary)
_LINK: Final = columns_of(LinkRow, LINKS)
_ADD_REQUEST: Final = insert(REQUESTS)
_NEXT: Final = select(_R.request_id).order_by(_R.request_id).limit(bindparam("most", type_=BigInteger)).with_for_update(skip_locked=True)
_TAKE_REQUESTS: Final = delete(REQUESTS).where(_R.request_id.in_(_NEXT)).returning(*columns_of(RequestRow, REQUESTS))
_ADD_LINK: Final = insert(LINKS)
_COUNT: Final = select(func.count()).select_from(LINKS).where(_L.email_key == bindparam("email_key", type_=Text), _L.expires_at > _NOW)
# The row is locked by the first of several requests, and the others find that it has a ticket.
_USE: Final = (
    update(LINKS)
    .where(_L.secret_hash == _HASH, _L.ticket_hash.is_(None), _L.expires_at > _NOW)
    .values(ticket_hash=bindparam("ticket", type_=LargeBinary), ticket_expires_at=bindparam("ticket_until", type_=DateTime(timezone=True)))
    .returning(*_LINK)
)
_HAS_TICKET: Final = (_L.ticket_hash == _HASH) & (_L.ticket_expires_at > _NOW)
_FIND: Final = select(*_LINK).where(_HAS_TICKET)
_TAKE: Final = delete(LINKS).where(_L.link_id == bindparam("link", type_=Text))
_DELETE_OLD: Final = delete(LINKS).where(_L.expires_at <= _NOW, func.coalesce(_L.ticket_expires_at, _L.expires_at) <= _NOW)


async def add_request(connection: AsyncConnection, request: RequestRow) -> None:
    await connection.execute(_ADD_REQUEST, asdict(request))


async def take_requests(connection: AsyncConnection, most: int) -> Sequence[RequestRow]:
    """Delete and return the next requests, which no other transaction has taken."""
    return await many(connection, _TAKE_REQUESTS, RequestRow, most=most)


async def add_link(connection: AsyncConnection, link: LinkRow, secret_hash: bytes) -> None:
    await connection.execute(_ADD_LINK, asdict(link) | {"secret_hash": secret_hash})


async def count(connection: AsyncConnection, email_key: str, now: datetime) -> int:
    """Return how many links of this address have not expired."""
    return int((await connection.execute(_COUNT, {"email_key": email_key, "now": now})).scalar_one())


async def use(connection: AsyncConnection, secret_hash: bytes, ticket_hash: bytes, ticket_until: datetime, now: datetime) -> LinkRow | None:
    """Use the link with this secret, once, and give it a ticket; return None if it is unknown, was used or has expired."""
    return await one(connection, _USE, LinkRow, hash=secret_hash, ticket=ticket_hash, ticket_until=ticket_until, now=now)


async def of_ticket(connection: AsyncConnection, ticket_hash: bytes, now: datetime) -> LinkRow | None:
    return await one(connection, _FIND, LinkRow, hash=ticket_hash, now=now)


async def remove(connection: AsyncConnection, link_id: str) -> bool:
    """Delete a link; return False if another transaction has deleted it."""
    return (await connection.execute(_TAKE, {"link": link_id})).rowcount == 1


async def delete_old(connection: AsyncConnection, now: datetime) -> None:
    """Delete the links that can no longer be used."""
    await connection.execute(_DELETE_OLD, {"now": now})
