"""The tokens of invitations. Only their hashes are stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import LargeBinary, Text, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, table_of


@dataclass(frozen=True, slots=True)
class InvitationTokenRow:
    tenant_id: str
    user_id: str
    token_hash: bytes
    created_at: datetime


TOKENS: Final = table_of("invitation_tokens", InvitationTokenRow)

_ADD: Final = insert(TOKENS)
_FIND: Final = select(*columns_of(InvitationTokenRow, TOKENS)).where(TOKENS.c.token_hash == bindparam("of_hash", type_=LargeBinary))
_DELETE: Final = delete(TOKENS).where(
    TOKENS.c.tenant_id == bindparam("tenant", type_=Text), TOKENS.c.user_id == bindparam("user", type_=Text)
)


async def add(connection: AsyncConnection, tenant_id: str, user: str, token_hash: bytes, at: datetime) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id, "user_id": user, "token_hash": token_hash, "created_at": at})


async def find(connection: AsyncConnection, token_hash: bytes) -> InvitationTokenRow | None:
    """Return the token of any tenant: call in the scope of the system."""
    return await one(connection, _FIND, InvitationTokenRow, of_hash=token_hash)


async def delete_of(connection: AsyncConnection, tenant_id: str, user: str) -> int:
    """Delete the tokens of a person; return how many there were."""
    return (await connection.execute(_DELETE, {"tenant": tenant_id, "user": user})).rowcount
