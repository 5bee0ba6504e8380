"""Changes of a running subscription: its policies and its plan, from their offer to the answers of seats."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Text, bindparam, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.base import Actor


@dataclass(frozen=True, slots=True)
class NewChange:
    """`terms` is what the change is, as JSON; `actor` who asked for it. An offer has the day for which it is priced and an end."""

    change: str
    kind: str  # policies | plan
    status: str
    terms: str
    actor: str
    commands_left: int = 0
    priced_for: date | None = None
    expires_at: datetime | None = None
    approved_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContractChange:
    """A change as it is stored."""

    place: int
    change: str
    kind: str
    status: str
    terms: str
    actor: str
    priced_for: date | None
    expires_at: datetime | None
    reason: str
    detail: str
    approved_at: datetime | None
    decided_at: datetime | None

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.terms)
        return found

    @property
    def by(self) -> Actor:
        return Actor.model_validate_json(self.actor)


CHANGES = table_of("contract_changes", ContractChange, tenant_id=str, commands_left=int, created_at=datetime)

_C = CHANGES.c
_OWN = _C.tenant_id == bindparam("tenant")
_ONE = _C.change == bindparam("of_change")
_ADD = insert(CHANGES)
_SELECT = select(*columns_of(ContractChange, CHANGES)).where(_OWN)
_FIND = _SELECT.where(_ONE)
_PAGE = _SELECT.where(_C.place > bindparam("after")).order_by(_C.place).limit(bindparam("limit"))
_DONE = (
    update(CHANGES)
    .where(_OWN, _ONE, _C.status == "pending")
    .values(
        commands_left=_C.commands_left - 1, status=case((_C.commands_left == 1, "completed"), else_="pending"), decided_at=bindparam("at")
    )
    .returning(*columns_of(ContractChange, CHANGES))
)
_REFUSE = (
    update(CHANGES)
    .where(_OWN, _ONE, _C.status == "pending")
    .values(status="refused", reason=bindparam("new_reason"), detail=bindparam("new_detail"), decided_at=bindparam("at"))
)
_SET_STATUS = (
    update(CHANGES)
    .where(_OWN, _ONE)
    .values(
        status=bindparam("new_status"),
        decided_at=bindparam("at"),
        approved_at=func.coalesce(_C.approved_at, bindparam("at")),
        actor=func.coalesce(bindparam("new_actor", type_=Text), _C.actor),
        reason=bindparam("new_reason"),
        detail=bindparam("new_detail"),
    )
)
_PENDING = _SELECT.where(_C.status == "pending", _C.kind == bindparam("of_kind")).order_by(_C.place)
_SCHEDULED = _SELECT.where(_C.status == "scheduled").order_by(_C.place)


async def add(connection: AsyncConnection, tenant_id: str, new: NewChange) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(new))


async def find(connection: AsyncConnection, tenant_id: str, change: str) -> ContractChange | None:
    return await one(connection, _FIND, ContractChange, tenant=tenant_id, of_change=change)


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[ContractChange]:
    return await many(connection, _PAGE, ContractChange, tenant=tenant_id, after=after, limit=limit)


async def note_done(connection: AsyncConnection, tenant_id: str, change: str, at: datetime) -> ContractChange | None:
    """Count the answer to one command; return the change if it is pending. With the last answer, it is completed."""
    return await one(connection, _DONE, ContractChange, tenant=tenant_id, of_change=change, at=at)


async def refuse(connection: AsyncConnection, tenant_id: str, change: str, at: datetime, reason: str, detail: Mapping[str, object]) -> None:
    values = {"at": at, "new_reason": reason, "new_detail": orjson.dumps(detail).decode()}
    await connection.execute(_REFUSE, {"tenant": tenant_id, "of_change": change} | values)


async def set_status(
    connection: AsyncConnection,
    tenant_id: str,
    change: str,
    status: str,
    at: datetime,
    actor: Actor | None,
    *,
    reason: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    """Save what became of a change. `actor` approved it; None: that stays."""
    values = {"new_status": status, "at": at, "new_actor": actor.model_dump_json() if actor else None, "new_reason": reason}
    content = orjson.dumps(detail or {}).decode()
    await connection.execute(_SET_STATUS, {"tenant": tenant_id, "of_change": change, "new_detail": content} | values)


async def pending(connection: AsyncConnection, tenant_id: str, kind: str) -> list[ContractChange]:
    """Return the changes that seats has not answered completely, oldest first."""
    return await many(connection, _PENDING, ContractChange, tenant=tenant_id, of_kind=kind)


async def scheduled(connection: AsyncConnection, tenant_id: str) -> list[ContractChange]:
    """Return the changes that wait for the next period."""
    return await many(connection, _SCHEDULED, ContractChange, tenant=tenant_id)
