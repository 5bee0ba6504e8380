"""The sources of a tenant, with their settings."""

from typing import Final

from sqlalchemy import Text, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.sources import Source
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of

SOURCES: Final = table_of("sources", Source, tenant_id=str)

_S: Final = SOURCES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_ALL: Final = select(*columns_of(Source, SOURCES)).where(_S.tenant_id == _TENANT).order_by(_S.position, _S.arrival)
_WRITTEN: Final = names_of(Source, but=("arrival",))
_GIVEN: Final = recordset(Source)
_INSERT: Final = insert(SOURCES).from_select(
    ["tenant_id", *_WRITTEN], select(_TENANT, *(_GIVEN.c[name] for name in _WRITTEN)).order_by(_GIVEN.c.place)
)
_ADD: Final = _INSERT.on_conflict_do_nothing(index_elements=["tenant_id", "source"])
_SAVE: Final = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "source"], set_={name: _INSERT.excluded[name] for name in _WRITTEN if name != "source"}
)


async def all_of(connection: AsyncConnection, tenant_id: str) -> dict[str, Source]:
    """Return the sources by name, those that go first before the others."""
    return {each.source: each for each in await many(connection, _ALL, Source, tenant=tenant_id)}


async def add(connection: AsyncConnection, tenant_id: str, new: list[Source]) -> None:
    """Add sources; those that exist already stay as they are."""
    await connection.execute(_ADD, {"tenant": tenant_id, "rows": json_rows(new)})


async def save(connection: AsyncConnection, tenant_id: str, source: Source) -> None:
    """Add the source, or replace its settings."""
    await connection.execute(_SAVE, {"tenant": tenant_id, "rows": json_rows([source])})
