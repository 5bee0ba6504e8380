"""Reductions, from their offer to the answers of seats."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import bindparam, case, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.seats_v1 import Expected


@dataclass(frozen=True, slots=True)
class NewReduction:
    """`offer` is what REST shows of it, as JSON."""

    reduction: str
    status: str
    offer: str
    expected: str
    priced_for: date
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredReduction:
    """A reduction as it is stored: its offer, and the answer of seats."""

    place: int
    reduction: str
    status: str
    offer: str
    expected: str
    priced_for: date
    expires_at: datetime
    reason: str
    detail: str
    approved_at: datetime | None
    decided_at: datetime | None

    @property
    def terms(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.offer)
        return found

    @property
    def expects(self) -> Expected:
        return Expected.model_validate_json(self.expected)


REDUCTIONS = table_of("reductions", StoredReduction, tenant_id=str, commands_left=int, created_at=datetime)

_R = REDUCTIONS.c
_OWN = _R.tenant_id == bindparam("tenant")
_ONE = _R.reduction == bindparam("of_reduction")
_ADD = insert(REDUCTIONS)
_SELECT = select(*columns_of(StoredReduction, REDUCTIONS)).where(_OWN)
_FIND = _SELECT.where(_ONE)
_PAGE = _SELECT.where(_R.place > bindparam("after")).order_by(_R.place).limit(bindparam("limit"))
_ANY_PENDING = select(exists().where(_OWN, _R.status == "pending"))
_APPROVE = (
    update(REDUCTIONS)
    .where(_OWN, _ONE, _R.status == "offered")
    .values(status="pending", approved_at=bindparam("at"), commands_left=bindparam("commands"))
)
_DONE = (
    update(REDUCTIONS)
    .where(_OWN, _ONE, _R.status == "pending")
    .values(
        commands_left=_R.commands_left - 1,
        status=case((_R.commands_left == 1, "completed"), else_="pending"),
        decided_at=bindparam("at"),
        detail=case((bindparam("new_detail") != "{}", bindparam("new_detail")), else_=_R.detail),
    )
)
_REFUSE = (
    update(REDUCTIONS)
    .where(_OWN, _ONE, _R.status == "pending")
    .values(status="refused", reason=bindparam("new_reason"), detail=bindparam("new_detail"), decided_at=bindparam("at"))
)


async def any_pending(connection: AsyncConnection, tenant_id: str) -> bool:
    """Return whether seats has not answered a reduction completely."""
    return bool((await connection.execute(_ANY_PENDING, {"tenant": tenant_id})).scalar_one())


async def add(connection: AsyncConnection, tenant_id: str, new: NewReduction) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(new))


async def find(connection: AsyncConnection, tenant_id: str, reduction: str) -> StoredReduction | None:
    return await one(connection, _FIND, StoredReduction, tenant=tenant_id, of_reduction=reduction)


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredReduction]:
    return await many(connection, _PAGE, StoredReduction, tenant=tenant_id, after=after, limit=limit)


async def approve(connection: AsyncConnection, tenant_id: str, reduction: str, at: datetime, commands: int) -> None:
    await connection.execute(_APPROVE, {"tenant": tenant_id, "of_reduction": reduction, "at": at, "commands": commands})


async def note_done(connection: AsyncConnection, tenant_id: str, reduction: str, at: datetime, detail: Mapping[str, object]) -> None:
    """Count the answer to one command. With the last one, the reduction is completed."""
    values = {"at": at, "new_detail": orjson.dumps(detail).decode()}
    await connection.execute(_DONE, {"tenant": tenant_id, "of_reduction": reduction} | values)


async def refuse(
    connection: AsyncConnection, tenant_id: str, reduction: str, at: datetime, reason: str, detail: Mapping[str, object]
) -> None:
    values = {"at": at, "new_reason": reason, "new_detail": orjson.dumps(detail).decode()}
    await connection.execute(_REFUSE, {"tenant": tenant_id, "of_reduction": reduction} | values)
