"""The price lists that were announced to running subscriptions."""

from dataclasses import asdict, dataclass
from datetime import date, datetime

import orjson
from sqlalchemy import DateTime, Text, bindparam, case, cast, delete, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.due_actions import DUE_ACTIONS
from services.invoicing.store.subscriptions import SUBSCRIPTIONS
from services.invoicing.store.tenants import TENANTS
from shared.database.row_classes import columns_of, many, replacing, table_of

KIND, REFERENCE = "price_list", "next"  # of the due action: a tenant has one


@dataclass(frozen=True, slots=True)
class AnnouncedList:
    """A renewal may take the list from the day `taken_from` on. The tenant knows the prices of `modules`, a JSON list."""

    tenant_id: str
    plan: str
    version: int
    taken_from: date
    modules: str = "[]"

    @property
    def told(self) -> frozenset[str]:
        return frozenset(orjson.loads(self.modules))


ANNOUNCED = table_of("announced_price_lists", AnnouncedList)

_A = ANNOUNCED.c
_ANNOUNCED = select(*columns_of(AnnouncedList, ANNOUNCED)).where(_A.tenant_id == bindparam("tenant"), _A.plan == bindparam("of_plan"))
_ADD = replacing(insert(ANNOUNCED), AnnouncedList, "tenant_id", "plan", "version")
_FORGET = delete(ANNOUNCED).where(_A.tenant_id == bindparam("tenant"))
_REMOVE = _FORGET.where(_A.plan == bindparam("of_plan"), _A.version == bindparam("of_version"))
_S = SUBSCRIPTIONS.c
_NOW = bindparam("now", type_=DateTime(timezone=True))
_OF_PLAN = (
    select(_S.tenant_id, literal(KIND), literal(REFERENCE), case((TENANTS.c.clock == "test", TENANTS.c.test_time), else_=_NOW))
    .join(TENANTS, TENANTS.c.tenant_id == _S.tenant_id)
    .where(_S.status == "active", func.jsonb_extract_path_text(cast(_S.payload, JSONB), "plan") == bindparam("of_plan", type_=Text))
)
_LOOK = insert(DUE_ACTIONS).from_select(["tenant_id", "kind", "reference", "due_at"], _OF_PLAN)
_LOOK_AT_ALL = _LOOK.on_conflict_do_nothing()
_COUNT = select(func.count()).select_from(_OF_PLAN.subquery())


async def announced(connection: AsyncConnection, tenant_id: str, plan: str) -> dict[int, date]:
    """Return the day from which a renewal may take each list that was announced, by version."""
    return {version: row.taken_from for version, row in (await of_plan(connection, tenant_id, plan)).items()}


async def of_plan(connection: AsyncConnection, tenant_id: str, plan: str) -> dict[int, AnnouncedList]:
    """Return the lists that were announced, by version."""
    return {row.version: row for row in await many(connection, _ANNOUNCED, AnnouncedList, tenant=tenant_id, of_plan=plan)}


async def put(connection: AsyncConnection, row: AnnouncedList) -> None:
    await connection.execute(_ADD, asdict(row))


async def remove(connection: AsyncConnection, tenant_id: str, plan: str, version: int) -> None:
    """Remove the announcement of a list that will not apply."""
    await connection.execute(_REMOVE, {"tenant": tenant_id, "of_plan": plan, "of_version": version})


async def forget(connection: AsyncConnection, tenant_id: str) -> None:
    """Remove the announcements to a subscription that has ended, or that has another plan or term now."""
    await connection.execute(_FORGET, {"tenant": tenant_id})


async def look_at_all(connection: AsyncConnection, plan: str, now: datetime) -> None:
    """Have every running subscription of the plan told of its new list. `now` is that of the real clock."""
    await connection.execute(_LOOK_AT_ALL, {"of_plan": plan, "now": now})


async def running(connection: AsyncConnection, plan: str, now: datetime) -> int:
    """Return how many running subscriptions have the plan."""
    return int((await connection.execute(_COUNT, {"of_plan": plan, "now": now})).scalar_one())
