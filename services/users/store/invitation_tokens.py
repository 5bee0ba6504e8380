"""The tokens of invitations. Only their hashes are stored. Those of a person's last invitation stay when it ends, and say why. Those that
went to a former address stay after later invitations, too: that address gets no newer link."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import LargeBinary, Text, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.invitations import TokenState
from shared.database.row_classes import columns_of, one, table_of


@dataclass(frozen=True, slots=True)
class InvitationTokenRow:
    tenant_id: str
    user_id: str
    token_hash: bytes
    created_at: datetime
    ended: str | None = None


TOKENS: Final = table_of("invitation_tokens", InvitationTokenRow)

_ADD: Final = insert(TOKENS)
_FIND: Final = select(*columns_of(InvitationTokenRow, TOKENS)).where(TOKENS.c.token_hash == bindparam("of_hash", type_=LargeBinary))
_OF_PERSON: Final = (TOKENS.c.tenant_id == bindparam("tenant", type_=Text)) & (TOKENS.c.user_id == bindparam("user", type_=Text))
_DELETE_ENDED: Final = delete(TOKENS).where(_OF_PERSON, TOKENS.c.ended != TokenState.READDRESSED.value)
_END: Final = update(TOKENS).where(_OF_PERSON, TOKENS.c.ended.is_(None)).values(ended=bindparam("why", type_=Text))


async def add(connection: AsyncConnection, row: InvitationTokenRow) -> None:
    await connection.execute(_ADD, asdict(row))


async def find(connection: AsyncConnection, token_hash: bytes) -> InvitationTokenRow | None:
    """Return the token of any tenant: call in the scope of the system."""
    return await one(connection, _FIND, InvitationTokenRow, of_hash=token_hash)


async def end(connection: AsyncConnection, tenant_id: str, user: str, why: str) -> int:
    """End the tokens of a person; return how many were valid. Those that had ended before are forgotten, except for those that went to a
    former address. Call under the person's lock."""
    given = {"tenant": tenant_id, "user": user}
    await connection.execute(_DELETE_ENDED, given)
    return (await connection.execute(_END, given | {"why": why})).rowcount
