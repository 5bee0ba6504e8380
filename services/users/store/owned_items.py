"""What people own in the vendor's product, and who takes it over (A22)."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, replacing, table_of


@dataclass(frozen=True, slots=True)
class OwnedItemsRow:
    tenant_id: str
    user_id: str
    kind: str
    count: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeirRow:
    tenant_id: str
    user_id: str
    heir: str


ITEMS: Final = table_of("owned_items", OwnedItemsRow)
HEIRS: Final = table_of("heirs", HeirRow)

_TENANT: Final = bindparam("tenant", type_=Text)
_USERS: Final = any_(bindparam("users", type_=ARRAY(Text)))
_I: Final = ITEMS.c
_H: Final = HEIRS.c
_SAVE: Final = replacing(insert(ITEMS), OwnedItemsRow, "tenant_id", "user_id", "kind")
_OF_USERS: Final = (
    select(*columns_of(OwnedItemsRow, ITEMS)).where(_I.tenant_id == _TENANT, _I.user_id == _USERS).order_by(_I.user_id, _I.kind)
)
_COUNT: Final = select(func.count()).where(_I.tenant_id == _TENANT, _I.user_id == bindparam("user", type_=Text))
_DELETE: Final = delete(ITEMS).where(
    _I.tenant_id == _TENANT, _I.user_id == bindparam("user", type_=Text), _I.kind == bindparam("of_kind", type_=Text)
)
_SAVE_HEIR: Final = replacing(insert(HEIRS), HeirRow, "tenant_id", "user_id")
_HEIRS: Final = select(_H.user_id, _H.heir).where(_H.tenant_id == _TENANT, _H.user_id == _USERS)
_DELETE_HEIR: Final = delete(HEIRS).where(_H.tenant_id == _TENANT, _H.user_id == bindparam("user", type_=Text))


async def save(connection: AsyncConnection, row: OwnedItemsRow) -> None:
    """Store the items of one kind; none deletes them."""
    if row.count == 0:
        await connection.execute(_DELETE, {"tenant": row.tenant_id, "user": row.user_id, "of_kind": row.kind})
    else:
        await connection.execute(_SAVE, asdict(row))


async def of_users(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, list[OwnedItemsRow]]:
    found: dict[str, list[OwnedItemsRow]] = {}
    for row in await many(connection, _OF_USERS, OwnedItemsRow, tenant=tenant_id, users=list(users)):
        found.setdefault(row.user_id, []).append(row)
    return found


async def kinds(connection: AsyncConnection, tenant_id: str, user: str) -> int:
    """Return the number of kinds of items that the person owns."""
    return int((await connection.execute(_COUNT, {"tenant": tenant_id, "user": user})).scalar_one())


async def heirs(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, str]:
    return {row.user_id: row.heir for row in await connection.execute(_HEIRS, {"tenant": tenant_id, "users": list(users)})}


async def save_heir(connection: AsyncConnection, tenant_id: str, user: str, heir: str | None) -> None:
    if heir is None:
        await connection.execute(_DELETE_HEIR, {"tenant": tenant_id, "user": user})
    else:
        await connection.execute(_SAVE_HEIR, asdict(HeirRow(tenant_id, user, heir)))
