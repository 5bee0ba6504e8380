"""SCIM connections and the hashes of their tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Text, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.scim_connections import WARNED_DAYS, ScimConnection, ScimToken
from shared.database.row_classes import columns_of, many, names_of, one, table_of
from shared.database.unit_of_work import lock_number


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The connection that a token is for."""

    tenant_id: str
    connection: str
    on_full: str
    deactivation: str
    user_types: Mapping[str, Any]
    version: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ExpiringToken:
    tenant_id: str
    token_id: str
    connection: str
    expires_at: datetime
    warned: int  # days before its end of the last warning; 0: none


CONNECTIONS: Final = table_of("scim_connections", ScimConnection, tenant_id=str, created_at=datetime)
TOKENS: Final = table_of("scim_tokens", ScimToken, tenant_id=str, token_hash=str, warned=int)

_C: Final = CONNECTIONS.c
_T: Final = TOKENS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_CONNECTION: Final = bindparam("of_connection", type_=Text)
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_OWN: Final = select(*columns_of(ScimConnection, CONNECTIONS)).where(_C.tenant_id == _TENANT)
_GET: Final = _OWN.where(_C.connection == _CONNECTION)
_PAGE: Final = (
    _OWN.where(_C.connection > bindparam("after", type_=Text)).order_by(_C.connection).limit(bindparam("limit", type_=BigInteger))
)
_SAVED: Final = names_of(ScimConnection, but=("connection", "version"))
_ADD: Final = insert(CONNECTIONS)
_SAVE: Final = _ADD.on_conflict_do_update(
    index_elements=["tenant_id", "connection"],
    set_={name: _ADD.excluded[name] for name in _SAVED} | {"version": _C.version + 1},
).returning(_C.version)
_IS_THERE: Final = (
    select(_C.connection).where(_C.tenant_id == _TENANT, _C.connection == _CONNECTION).with_for_update(read=True, key_share=True)
)
_REMOVE: Final = delete(CONNECTIONS).where(_C.tenant_id == _TENANT, _C.connection == _CONNECTION)
_REMOVE_TOKENS: Final = delete(TOKENS).where(_T.tenant_id == _TENANT, _T.connection == _CONNECTION)
_LOCK: Final = select(func.pg_advisory_xact_lock(bindparam("number", type_=BigInteger)))
_TOKENS: Final = (
    select(*columns_of(ScimToken, TOKENS))
    .where(_T.tenant_id == _TENANT, _T.connection == _CONNECTION, _T.expires_at > _NOW)
    .order_by(_T.created_at, _T.token_id)
)
_ADD_TOKEN: Final = insert(TOKENS)
_REMOVE_TOKEN: Final = delete(TOKENS).where(
    _T.tenant_id == _TENANT, _T.connection == _CONNECTION, _T.token_id == bindparam("token", type_=Text)
)
_AUTHENTICATED: Final = (
    select(*(_T.expires_at if name == "expires_at" else _C[name] for name in names_of(Authenticated)))
    .select_from(TOKENS.join(CONNECTIONS, (_C.tenant_id == _T.tenant_id) & (_C.connection == _T.connection)))
    .where(_T.token_hash == bindparam("hash", type_=Text), _T.expires_at > _NOW)
)
_EXPIRING: Final = (
    select(*columns_of(ExpiringToken, TOKENS))
    .where(_T.expires_at > _NOW, _T.expires_at <= bindparam("until", type_=DateTime(timezone=True)), _T.warned != min(WARNED_DAYS))
    .order_by(_T.expires_at)
    .limit(bindparam("limit", type_=BigInteger))
)
_SET_WARNED: Final = (
    update(TOKENS)
    .where(_T.tenant_id == _TENANT, _T.token_id == bindparam("token", type_=Text), _T.warned == bindparam("before", type_=BigInteger))
    .values(warned=bindparam("days", type_=BigInteger))
)


async def get(connection: AsyncConnection, tenant_id: str, name: str) -> ScimConnection | None:
    return await one(connection, _GET, ScimConnection, tenant=tenant_id, of_connection=name)


async def page(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[ScimConnection]:
    """Return connections in order of their names."""
    return await many(connection, _PAGE, ScimConnection, tenant=tenant_id, after=after, limit=limit)


async def save(connection: AsyncConnection, tenant_id: str, row: ScimConnection, at: datetime) -> int:
    """Add the connection, or replace its settings; return its version."""
    given = {name: getattr(row, name) for name in ("connection", *_SAVED)} | {"version": 1, "tenant_id": tenant_id, "created_at": at}
    return int((await connection.execute(_SAVE, given)).scalar_one())


async def is_there(connection: AsyncConnection, tenant_id: str, name: str) -> bool:
    """Return whether the connection is there. Its removal waits until this transaction ends."""
    return (await connection.execute(_IS_THERE, {"tenant": tenant_id, "of_connection": name})).scalar_one_or_none() is not None


async def remove(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    """Remove the connection with its tokens."""
    for statement in (_REMOVE_TOKENS, _REMOVE):
        await connection.execute(statement, {"tenant": tenant_id, "of_connection": name})


async def lock(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    """Let other transactions that change tokens of the connection wait until this one ends."""
    await connection.execute(_LOCK, {"number": lock_number("scim", tenant_id, name)})


async def tokens(connection: AsyncConnection, tenant_id: str, name: str, now: datetime) -> list[ScimToken]:
    """Return the tokens that are valid, in order of creation."""
    return await many(connection, _TOKENS, ScimToken, tenant=tenant_id, of_connection=name, now=now)


async def add_token(connection: AsyncConnection, tenant_id: str, token: ScimToken, token_hash: str) -> None:
    values = {name: getattr(token, name) for name in names_of(ScimToken)}
    await connection.execute(_ADD_TOKEN, values | {"tenant_id": tenant_id, "token_hash": token_hash, "warned": 0})


async def remove_token(connection: AsyncConnection, tenant_id: str, name: str, token_id: str) -> bool:
    given = {"tenant": tenant_id, "of_connection": name, "token": token_id}
    return (await connection.execute(_REMOVE_TOKEN, given)).rowcount == 1


async def authenticated(connection: AsyncConnection, token_hash: str, now: datetime) -> Authenticated | None:
    """Return the connection of a valid token. Call in the scope of all tenants: the token says which it is."""
    return await one(connection, _AUTHENTICATED, Authenticated, hash=token_hash, now=now)


async def expiring(connection: AsyncConnection, now: datetime, until: datetime, limit: int) -> list[ExpiringToken]:
    """Return tokens of all tenants that end by `until`, and about which not every warning was sent."""
    return await many(connection, _EXPIRING, ExpiringToken, now=now, until=until, limit=limit)


async def set_warned(connection: AsyncConnection, token: ExpiringToken, days: int) -> bool:
    """Store that the warning was sent; return False if another process has sent one meanwhile."""
    given = {"tenant": token.tenant_id, "token": token.token_id, "before": token.warned, "days": days}
    return (await connection.execute(_SET_WARNED, given)).rowcount == 1
