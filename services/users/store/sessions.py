"""Sessions of people at the console. A session that ended is deleted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, Text, any_, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of


@dataclass(frozen=True, slots=True)
class SessionRow:
    tenant_id: str
    session_id: str
    user_id: str
    method: str
    created_at: datetime
    expires_at: datetime


SESSIONS: Final = table_of("sessions", SessionRow, secret_hash=bytes)
_S: Final = SESSIONS.c
_TENANT: Final = _S.tenant_id == bindparam("tenant", type_=Text)
_OF_PERSON: Final = _TENANT & (_S.user_id == bindparam("user", type_=Text))
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_BY_HASH: Final = _S.secret_hash == bindparam("hash", type_=LargeBinary)
_ADD: Final = insert(SESSIONS)
_FIND: Final = select(*columns_of(SessionRow, SESSIONS)).where(_BY_HASH, _S.expires_at > _NOW)
_LIST: Final = (
    select(*columns_of(SessionRow, SESSIONS)).where(_OF_PERSON, _S.expires_at > _NOW).order_by(_S.created_at.desc(), _S.session_id)
)
_END: Final = delete(SESSIONS).where(_OF_PERSON, _S.session_id == bindparam("session", type_=Text))
_END_BY_HASH: Final = delete(SESSIONS).where(_BY_HASH)
_END_OF: Final = delete(SESSIONS).where(_TENANT, _S.user_id == any_(bindparam("users", type_=ARRAY(Text))))
_END_EXPIRED: Final = delete(SESSIONS).where(_TENANT, _S.expires_at <= _NOW)
_SURPLUS: Final = (
    select(_S.session_id).where(_OF_PERSON).order_by(_S.created_at.desc(), _S.session_id.desc()).offset(bindparam("most", type_=BigInteger))
)
_END_SURPLUS: Final = delete(SESSIONS).where(_TENANT, _S.session_id.in_(_SURPLUS))


async def add(connection: AsyncConnection, session: SessionRow, secret_hash: bytes) -> None:
    await connection.execute(_ADD, asdict(session) | {"secret_hash": secret_hash})


async def find(connection: AsyncConnection, secret_hash: bytes, now: datetime) -> SessionRow | None:
    """Return the session with this secret, of any tenant. Call in the system's scope."""
    return await one(connection, _FIND, SessionRow, hash=secret_hash, now=now)


async def of_person(connection: AsyncConnection, tenant_id: str, user_id: str, now: datetime) -> Sequence[SessionRow]:
    """Return the sessions of a person, newest first."""
    return await many(connection, _LIST, SessionRow, tenant=tenant_id, user=user_id, now=now)


async def end(connection: AsyncConnection, tenant_id: str, user_id: str, session_id: str) -> bool:
    """End one session of a person; return False if there is no such session."""
    given = {"tenant": tenant_id, "user": user_id, "session": session_id}
    return (await connection.execute(_END, given)).rowcount == 1


async def end_by_secret(connection: AsyncConnection, secret_hash: bytes) -> None:
    """End the session with this secret, if there is one. Call in the system's scope."""
    await connection.execute(_END_BY_HASH, {"hash": secret_hash})


async def end_of(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> int:
    """End all sessions of these people; return how many these were."""
    return (await connection.execute(_END_OF, {"tenant": tenant_id, "users": list(users)})).rowcount


async def end_old(connection: AsyncConnection, tenant_id: str, user_id: str, most: int, now: datetime) -> None:
    """Delete the tenant's expired sessions, and of this person all but the `most` newest ones."""
    await connection.execute(_END_EXPIRED, {"tenant": tenant_id, "now": now})
    await connection.execute(_END_SURPLUS, {"tenant": tenant_id, "user": user_id, "most": most})
