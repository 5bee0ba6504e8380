"""The employed people of one source."""

from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.people import PEOPLE
from services.users.store.timelines import TIMELINES

_T, _P = TIMELINES.c, PEOPLE.c
_EMPLOYED: Final = (
    select(_T.external_id)
    .select_from(TIMELINES.join(PEOPLE, (_P.tenant_id == _T.tenant_id) & (_P.user_id == _T.user_id)))
    .where(
        _T.tenant_id == bindparam("tenant", type_=Text),
        _T.source == bindparam("source", type_=Text),
        _T.external_id > bindparam("after", type_=Text),
        _P.employed,
    )
    .order_by(_T.external_id)
    .limit(bindparam("limit", type_=BigInteger))
)


async def employed_after(connection: AsyncConnection, tenant_id: str, source: str, after: str, limit: int) -> list[str]:
    """Return the next external ids of the source whose people are employed."""
    given = {"tenant": tenant_id, "source": source, "after": after, "limit": limit}
    return list((await connection.execute(_EMPLOYED, given)).scalars())
