"""The department mapping of a tenant: which department has which profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Text, bindparam, cast, delete, func, insert, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, json_rows, names_of, recordset, table_of


@dataclass(frozen=True, slots=True)
class DepartmentRow:
    department: str
    profile: str | None


DEPARTMENTS: Final = table_of("department_mapping", DepartmentRow, tenant_id=str)

_D: Final = DEPARTMENTS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_MAPPING: Final = select(*columns_of(DepartmentRow, DEPARTMENTS)).where(_D.tenant_id == _TENANT).order_by(_D.department)
_AGGREGATED: Final = func.json_object_agg(_D.department, aggregate_order_by(_D.profile, _D.department))
_MAPPING_JSON: Final = select(func.coalesce(cast(_AGGREGATED, Text), "{}")).where(_D.tenant_id == _TENANT)
_DELETE: Final = delete(DEPARTMENTS).where(_D.tenant_id == _TENANT)
_GIVEN: Final = recordset(DepartmentRow)
_ADD: Final = insert(DEPARTMENTS).from_select(["tenant_id", *names_of(DepartmentRow)], select(_TENANT, *columns_of(DepartmentRow, _GIVEN)))


async def mapping(connection: AsyncConnection, tenant_id: str) -> dict[str, str | None]:
    return {row.department: row.profile for row in await connection.execute(_MAPPING, {"tenant": tenant_id})}


async def mapping_json(connection: AsyncConnection, tenant_id: str) -> str:
    """Return the mapping as JSON that the database writes: 10,000 rows would keep this process busy."""
    return str((await connection.execute(_MAPPING_JSON, {"tenant": tenant_id})).scalar_one())


async def replace(connection: AsyncConnection, tenant_id: str, departments: Mapping[str, str | None]) -> None:
    """Replace the whole mapping."""
    await connection.execute(_DELETE, {"tenant": tenant_id})
    rows = [DepartmentRow(department, profile) for department, profile in departments.items()]
    await connection.execute(_ADD, {"tenant": tenant_id, "rows": json_rows(rows)})
