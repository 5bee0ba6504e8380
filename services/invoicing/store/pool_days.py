"""The licences and the use of each module, by local day. A day without a row is like the end of the last one that has a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import orjson
from sqlalchemy import ARRAY, Text, any_, bindparam, case, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, names_of, recordset, table_of


@dataclass(frozen=True, slots=True)
class PoolDay:
    """A module on a day: `licences` and `in_use` at its end (active, flagged and held seats), and the day's highest use.
    `command_offset` and `n` are the place of the last decision in the log."""

    tenant_id: str
    module: str
    day: date
    licences: int
    in_use: int
    highest: int
    command_offset: int
    n: int


POOL_DAYS = table_of("pool_days", PoolDay)

_P = POOL_DAYS.c
_GIVEN = recordset(PoolDay)
_INSERT = insert(POOL_DAYS).from_select(
    names_of(PoolDay), select(*columns_of(PoolDay, _GIVEN)).where(_GIVEN.c.tenant_id == bindparam("tenant", type_=Text))
)
_NEW = _INSERT.excluded
_IS_LATER = tuple_(_NEW.command_offset, _NEW.n) >= tuple_(_P.command_offset, _P.n)
_NOTE = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "module", "day"],
    set_={name: case((_IS_LATER, _NEW[name]), else_=_P[name]) for name in ("licences", "in_use", "command_offset", "n")}
    | {"highest": func.greatest(_P.highest, _NEW.highest)},
)
_OWN = _P.tenant_id == bindparam("tenant", type_=Text)
_LISTED = _P.module == any_(bindparam("modules", type_=ARRAY(Text)))
_SINCE = select(*columns_of(PoolDay, POOL_DAYS)).where(_OWN, _LISTED, _P.day >= bindparam("first")).order_by(_P.module, _P.day)
_BEFORE = (
    select(*columns_of(PoolDay, POOL_DAYS))
    .ext(distinct_on(_P.module))
    .where(_OWN, _LISTED, _P.day < bindparam("first"))
    .order_by(_P.module, _P.day.desc())
)
_MODULES = select(_P.module).where(_OWN, _P.module > bindparam("after", type_=Text)).distinct().order_by(_P.module).limit(bindparam("most"))


async def note(connection: AsyncConnection, tenant_id: str, days: Sequence[PoolDay]) -> None:
    """Save what decisions say about days, one entry for each module and day. Decisions that were noted before change nothing."""
    await connection.execute(_NOTE, {"tenant": tenant_id, "rows": orjson.dumps(days).decode()})


async def modules(connection: AsyncConnection, tenant_id: str, after: str, most: int) -> list[str]:
    """Return the modules that have days, in their order, beginning after this one."""
    return list((await connection.execute(_MODULES, {"tenant": tenant_id, "after": after, "most": most})).scalars())


async def since(connection: AsyncConnection, tenant_id: str, modules: Sequence[str], first: date) -> list[PoolDay]:
    """Return the days of these modules from `first` on, and for each module the last day before it, by module and day."""
    values = {"tenant": tenant_id, "modules": list(modules), "first": first}
    before = await many(connection, _BEFORE, PoolDay, **values)
    return sorted([*before, *await many(connection, _SINCE, PoolDay, **values)], key=lambda found: (found.module, found.day))
