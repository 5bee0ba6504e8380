"""Which people and sources are compared."""

from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.people import PEOPLE
from services.users.store.sources import SOURCES
from services.users.store.timelines import TIMELINES

_TENANT: Final = bindparam("tenant", type_=Text)
_P, _S, _T = PEOPLE.c, SOURCES.c, TIMELINES.c
_AFTER: Final = (
    select(_P.user_id)
    .where(_P.tenant_id == _TENANT, _P.user_id > bindparam("after", type_=Text))
    .order_by(_P.user_id)
    .limit(bindparam("limit", type_=BigInteger))
)
_REPORTING: Final = (
    select(_S.source)
    .where(_S.tenant_id == _TENANT, exists(select(_T.source).where(_T.tenant_id == _TENANT, _T.source == _S.source).correlate(SOURCES)))
    .order_by(_S.position, _S.arrival)
)


async def users_after(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[str]:
    """Return the next people by their ids."""
    return list((await connection.execute(_AFTER, {"tenant": tenant_id, "after": after, "limit": limit})).scalars())


async def reporting_sources(connection: AsyncConnection, tenant_id: str) -> list[str]:
    """Return the sources that have stated anything about somebody, those that go first before the others."""
    return list((await connection.execute(_REPORTING, {"tenant": tenant_id})).scalars())
