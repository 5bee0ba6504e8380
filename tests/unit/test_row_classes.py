"""Columns are derived from row classes, so that a field is written once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from shared.database import UnitOfWork
from shared.database.row_classes import columns_of, names_of, recordset, replacing, table_of


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    count: int | None
    new: bool
    day: date
    at: datetime
    data: Mapping[str, Any]
    list: Sequence[str]
    names: tuple[str, ...]


def sql(statement: Any) -> str:
    return " ".join(str(statement.compile(dialect=dialect())).split())  # type: ignore[no-untyped-call]


def test_the_fields_of_a_row_class_are_the_columns_that_are_selected() -> None:
    assert names_of(Row, but=("list",)) == ["name", "count", "new", "day", "at", "data", "names"]
    table = table_of("rows", Row)
    assert sql(select(*columns_of(Row, table))) == (
        'SELECT rows.name, rows.count, rows."new", rows.day, rows.at, rows.data, rows.list, rows.names FROM rows'
    )


def test_the_records_of_one_parameter_have_the_types_of_the_fields_and_their_place() -> None:
    given = recordset(Row)
    statement = sql(insert(table_of("rows", Row)).from_select(names_of(Row), select(*columns_of(Row, given)).order_by(given.c.place)))
    assert (
        'AS (name TEXT, count BIGINT, "new" BOOLEAN, day DATE, at TIMESTAMP WITH TIME ZONE, data JSONB, list JSONB, names TEXT[])) '
        "WITH ORDINALITY" in statement
    )
    assert statement.endswith("ORDER BY r.place")


def test_a_row_with_the_same_key_is_replaced_where_the_new_one_is_newer() -> None:
    table = table_of("rows", Row)
    statement = postgresql_insert(table)
    replaced = sql(replacing(statement, Row, "name", "day", where=table.c.count < statement.excluded.count))
    assert replaced.partition(" ON CONFLICT ")[2] == (
        '(name, day) DO UPDATE SET count = excluded.count, "new" = excluded."new", at = excluded.at, data = excluded.data, '
        "list = excluded.list, names = excluded.names WHERE rows.count < excluded.count"
    )


async def test_deferred_rows_are_written_by_one_statement_in_their_order_and_without_nul() -> None:
    executed: list[Any] = []

    async def execute(statement: Any, values: Any = None) -> None:
        executed.append((statement, values))

    connection: Any = SimpleNamespace(execute=execute, exec_driver_sql=execute)
    uow = UnitOfWork(connection)
    statement, now = insert(table_of("rows", Row)), datetime(2026, 1, 31, 9, tzinfo=UTC)
    for name in ("first", "sec\0ond"):
        uow.defer(statement, Row(name, None, True, now.date(), now, {"a\0": "\0b"}, ["c\0"], ("d\0",)))
    await uow.flush()
    ((_, values),) = [call for call in executed if call[0] is statement]
    rows = orjson.loads(values["rows"])
    assert [row["name"] for row in rows] == ["first", "second"]
    assert (rows[0]["data"], rows[0]["list"], rows[0]["names"], rows[0]["at"]) == ({"a": "b"}, ["c"], ["d"], "2026-01-31T09:00:00+00:00")
