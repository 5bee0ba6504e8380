"""Operators: people of the vendor, who belong to no tenant."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.logins import login_key
from shared.database.row_classes import columns_of, many, one, table_of

VENDOR: Final = "-"  # instead of a tenant, in the sessions and sign-in links of operators; no id begins with it


@dataclass(frozen=True, slots=True)
class OperatorRow:
    operator_id: str
    email: str
    email_key: str  # as addresses are compared
    name: str
    added_by: str
    added_at: datetime
    identity: str | None = None  # the account at the vendor's identity provider, from the first sign-in on


OPERATORS: Final = table_of("operators", OperatorRow)
_O: Final = OPERATORS.c
_COLUMNS: Final = columns_of(OperatorRow, OPERATORS)
_ID: Final = bindparam("operator", type_=Text)
_ADD: Final = insert(OPERATORS).on_conflict_do_nothing(index_elements=["email_key"])
_GET: Final = select(*_COLUMNS).where(_O.operator_id == _ID)
_LOCK: Final = _GET.with_for_update()
_WITH_EMAIL: Final = select(*_COLUMNS).where(_O.email_key == bindparam("email_key", type_=Text))
_PAGE: Final = (
    select(*_COLUMNS)
    .where(_O.email_key > bindparam("after", type_=Text))
    .order_by(_O.email_key)
    .limit(bindparam("limit", type_=BigInteger))
)
_OF_IDENTITY: Final = select(*_COLUMNS).where(_O.identity == bindparam("identity", type_=Text))
_BIND: Final = update(OPERATORS).where(_O.operator_id == _ID, _O.identity.is_(None)).values(identity=bindparam("new_identity", type_=Text))
_REMOVE: Final = delete(OPERATORS).where(_O.operator_id == _ID)


async def add(connection: AsyncConnection, operator: OperatorRow) -> bool:
    """Add an operator; return False if another one has the address."""
    return (await connection.execute(_ADD, asdict(operator))).rowcount == 1


async def get(connection: AsyncConnection, operator_id: str) -> OperatorRow | None:
    return await one(connection, _GET, OperatorRow, operator=operator_id)


async def lock(connection: AsyncConnection, operator_id: str) -> OperatorRow | None:
    """Return the operator, locked: a transaction that removes the operator comes before or after this one."""
    return await one(connection, _LOCK, OperatorRow, operator=operator_id)


async def with_email(connection: AsyncConnection, email: str) -> OperatorRow | None:
    """Return the operator with this address, in any case of its letters. Keys of logins are equal for more: ß and ss are two domains."""
    found = await one(connection, _WITH_EMAIL, OperatorRow, email_key=login_key(email))
    return found if found is not None and found.email.lower() == email.lower() else None


async def of_identity(connection: AsyncConnection, identity: str) -> OperatorRow | None:
    """Return the operator who has signed in with this account before."""
    return await one(connection, _OF_IDENTITY, OperatorRow, identity=identity)


async def bind(connection: AsyncConnection, operator_id: str, identity: str) -> bool:
    """Bind the operator to the account; return False if the operator is bound to another one."""
    return (await connection.execute(_BIND, {"operator": operator_id, "new_identity": identity})).rowcount == 1


async def page(connection: AsyncConnection, after: str, limit: int) -> Sequence[OperatorRow]:
    """Return the next operators in the order of their addresses."""
    return await many(connection, _PAGE, OperatorRow, after=after, limit=limit)


async def remove(connection: AsyncConnection, operator_id: str) -> bool:
    return (await connection.execute(_REMOVE, {"operator": operator_id})).rowcount == 1
