"""The modules of the vendor's catalogue, and the modules that each requires. It belongs to no tenant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, replacing, table_of


@dataclass(frozen=True, slots=True)
class ModuleRow:
    module: str
    requires: tuple[str, ...]


MODULES: Final = table_of("catalogue_modules", ModuleRow)

_ALL: Final = select(*columns_of(ModuleRow, MODULES))
_SAVE: Final = replacing(insert(MODULES), ModuleRow, "module")


async def requires(connection: AsyncConnection) -> Mapping[str, tuple[str, ...]]:
    """Return for each module the modules that it requires."""
    return {row.module: row.requires for row in await many(connection, _ALL, ModuleRow)}


async def save(connection: AsyncConnection, module: str, requires: tuple[str, ...]) -> None:
    await connection.execute(_SAVE, {"module": module, "requires": requires})
