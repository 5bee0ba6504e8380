"""The list of people in the order of one of their values, page by page.

Each order has an index, so that a page reads its own people only: the next page begins at the value and the arrival of the last person.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Select, Text, bindparam, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.person import Person
from services.users.store.people import FILTERED, PEOPLE, Filter, parameters_of
from services.users.store.person_rows import PersonRow, person_of
from shared.errors import Invalid


class SortKey(StrEnum):
    """By what a list of people is sorted."""

    CREATED_AT = "created_at"
    DEPARTMENT = "department"
    LOGIN = "login"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Order:
    """Equal values are in order of arrival; descending, the last one that arrived comes first."""

    key: SortKey
    descending: bool


@dataclass(frozen=True, slots=True)
class Place:
    """The last person of a page: the value by which the list is sorted, as a text, and the arrival."""

    value: str
    arrival: int


_COLUMNS: Final = {
    SortKey.CREATED_AT: PEOPLE.c.created_at,
    SortKey.DEPARTMENT: PEOPLE.c.department_order,
    SortKey.LOGIN: PEOPLE.c.login_key,
    SortKey.NAME: PEOPLE.c.name_order,
}


def _statement(order: Order, *, is_first: bool) -> Select[Any]:
    column, arrival = _COLUMNS[order.key], PEOPLE.c.arrival
    found = FILTERED.add_columns(column).limit(bindparam("limit", type_=BigInteger))
    found = found.order_by(column.desc(), arrival.desc()) if order.descending else found.order_by(column, arrival)
    if is_first:
        return found
    type_ = DateTime(timezone=True) if order.key is SortKey.CREATED_AT else Text()
    here, last = tuple_(column, arrival), tuple_(bindparam("last", type_=type_), bindparam("after", type_=BigInteger))
    return found.where(here < last if order.descending else here > last)


_STATEMENTS: Final = {
    (order, is_first): _statement(order, is_first=is_first)
    for order in (Order(key, descending) for key in SortKey for descending in (False, True))
    for is_first in (False, True)
}


async def page(
    connection: AsyncConnection, tenant_id: str, chosen: Filter, order: Order, after: Place | None, limit: int, today: date
) -> tuple[list[Person], Place | None]:
    """Return the next people, and the place of the last one; None if there is nobody. Raises Invalid if `after` is no such place."""
    given = parameters_of(tenant_id, chosen) | {"limit": limit}
    if after is not None:
        given |= {"last": _value_of(order.key, after.value), "after": after.arrival}
    rows = list(await connection.execute(_STATEMENTS[order, after is None], given))
    people = [person_of(PersonRow(*row[:-1]), today) for row in rows]
    return people, Place(_text_of(rows[-1][-1]), people[-1].arrival) if people else None


def _text_of(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value


def _value_of(key: SortKey, text: str) -> str | datetime:
    if key is not SortKey.CREATED_AT:
        return text
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid("query.cursor", text[:100], "the `next` of an earlier page")
