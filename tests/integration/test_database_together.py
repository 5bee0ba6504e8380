"""Work of several tenants in one transaction: their statements become one, and each gets what it would get alone."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import BigInteger, SelectBase, UpdateBase, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import dialect, insert

from services.invoicing import store
from shared.database import Database, UnitOfWork, tenancy
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of
from shared.database.set_statements import set_statement
from shared.database.together import TenantsRefused, work_together
from shared.errors import Poison
from tests.support.messaging import left
from tests.support.statements import counted_statements

pytestmark = pytest.mark.stack
TENANTS = ("acme", "globex", "initech")


@dataclass(frozen=True, slots=True)
class Thing:
    tenant_id: str
    name: str
    number: int
    at: datetime | None
    on: date | None
    tags: tuple[str, ...]


T = table_of("things", Thing)
CREATE = """
CREATE TABLE things (tenant_id text NOT NULL, name text NOT NULL, number bigint NOT NULL, at timestamptz, "on" date, tags text[] NOT NULL,
    PRIMARY KEY (tenant_id, name))
"""
OWN = T.c.tenant_id == bindparam("tenant")
ADD = insert(T)
PUT = ADD.on_conflict_do_update(index_elements=["tenant_id", "name"], set_={"number": T.c.number + ADD.excluded.number})
KEEP = ADD.on_conflict_do_nothing()
GIVEN = recordset(Thing)
ADD_ALL = insert(T).from_select(names_of(Thing), select(*columns_of(Thing, GIVEN)).where(GIVEN.c.tenant_id == bindparam("tenant")))
READ = select(*columns_of(Thing, T)).where(OWN).order_by(T.c.number.desc())
LATEST = READ.where(T.c.number < bindparam("below")).limit(1).with_for_update()
COUNT = select(func.count()).select_from(T).where(OWN)
RAISE = (
    update(T)
    .where(OWN, T.c.name == bindparam("of"))
    .values(number=func.greatest(T.c.number, bindparam("least", type_=BigInteger)) + 1, at=bindparam("new"))
)
RAISED = RAISE.returning(T.c.number, T.c.tags)
FORGET = delete(T).where(OWN, T.c.number > bindparam("above"))
FORGOTTEN = FORGET.returning(T.c.name)


@pytest.fixture
async def database(plain_database: Database) -> Database:
    class Operations:
        def __init__(self) -> None:
            self.statements: list[str] = []

        def execute(self, statement: str) -> None:
            self.statements.append(statement)

    operations = Operations()
    tenancy.protect(operations, "things")
    async with plain_database.unit_of_work(None) as uow:
        for statement in (CREATE, *operations.statements):
            await uow.connection.exec_driver_sql(statement)
    return plain_database


async def work(said: list[Any], tenant: str, uow: UnitOfWork) -> None:
    """Use every kind of statement, with values that each tenant has for itself."""
    c, number = uow.connection, TENANTS.index(tenant)
    first = Thing(tenant, "first", number, datetime(2026, 3, 1, 12, 30, 0, 123_000, UTC), None, ("a'b:c", 'd"e'))
    row = {name: getattr(first, name) for name in names_of(Thing)}
    await c.execute(ADD, row)
    await c.execute(PUT, row | {"number": 10})
    await c.execute(KEEP, row | {"number": 99})
    more = [Thing(tenant, f"more-{n}", 100 * n + number, None, date(2026, 2, n), ()) for n in range(1, 4 + number)]
    await c.execute(ADD_ALL, {"tenant": tenant, "rows": json_rows(more)})
    said += [[tuple(found) for found in await c.execute(RAISED, {"tenant": tenant, "of": "first", "least": 50, "new": None})]]
    said += [(await c.execute(RAISE, {"tenant": tenant, "of": "nobody", "least": 0, "new": first.at})).rowcount]
    said += [(await c.execute(COUNT, {"tenant": tenant})).scalar_one()]
    said += [sorted((await c.execute(FORGOTTEN, {"tenant": tenant, "above": 300})).scalars())]
    said += [(await c.execute(FORGET, {"tenant": tenant, "above": 200})).rowcount]
    said += [await many(c, LATEST, Thing, tenant=tenant, below=150)]
    said += [await many(c, READ, Thing, tenant=tenant)]
    uow.publish(left(f"of {tenant}"), source="hr/test", tenant=tenant, time=datetime(2026, 3, 1, tzinfo=UTC))


async def test_each_tenant_gets_together_what_it_gets_alone_with_the_statements_of_one(database: Database) -> None:
    alone: dict[str, list[Any]] = {tenant: [] for tenant in TENANTS}
    for tenant in TENANTS:
        with counted_statements(database) as of_one:
            async with database.unit_of_work(tenant) as uow:
                await work(alone[tenant], tenant, uow)
    stored = await _clear(database)
    together: dict[str, list[Any]] = {tenant: [] for tenant in TENANTS}
    with counted_statements(database) as of_all:
        async with database.unit_of_work(None) as uow:
            await work_together(uow, {tenant: partial(work, together[tenant], tenant) for tenant in TENANTS})
    assert together == alone
    assert await _clear(database) == stored
    assert len(of_all) == len(of_one)


async def _clear(database: Database) -> list[Any]:
    """Return what is stored and published, without the ids of messages, and delete it."""
    async with database.unit_of_work(None) as uow:
        things = [tuple(row) for row in await uow.connection.exec_driver_sql("DELETE FROM things RETURNING *")]
        sent = [tuple(row) for row in await uow.connection.exec_driver_sql("SELECT tenant, value FROM outbox ORDER BY id")]
        await uow.connection.exec_driver_sql("DELETE FROM outbox")
    return [sorted(things), sent]


async def test_a_refusal_names_its_tenants_and_nothing_of_anybody_is_kept(database: Database) -> None:
    async def refused(uow: UnitOfWork) -> None:
        await uow.connection.execute(COUNT, {"tenant": "globex"})
        raise TenantsRefused(frozenset()) from Poison("test", "it is wrong")

    async def wrong_value(tenant: str, uow: UnitOfWork) -> None:
        await uow.connection.execute(ADD, dict.fromkeys(names_of(Thing)) | {"tenant_id": tenant})

    async def fine(uow: UnitOfWork) -> None:
        await uow.connection.execute(COUNT, {"tenant": "acme"})

    with pytest.raises(TenantsRefused) as found:
        async with database.unit_of_work(None) as uow:
            await work_together(uow, {"acme": fine, "globex": refused})
    assert found.value.tenants == {"globex"}
    with pytest.raises(TenantsRefused) as found:
        async with database.unit_of_work(None) as uow:
            await work_together(uow, {"acme": fine, **{tenant: partial(wrong_value, tenant) for tenant in ("globex", "initech")}})
    assert found.value.tenants == {"globex", "initech"}
    assert await _clear(database) == [[], []]


async def test_nobody_reads_in_the_name_of_another_tenant(database: Database) -> None:
    async def read(uow: UnitOfWork) -> None:
        await uow.connection.execute(READ, {"tenant": "acme"})

    with pytest.raises(AssertionError, match="each asks for its own rows"):
        async with database.unit_of_work(None) as uow:
            await work_together(uow, {"acme": read, "globex": read})


async def test_postgresql_understands_the_statement_for_many_of_each_statement_of_invoicing(make_database: Callable[[str], str]) -> None:
    connection = await asyncpg.connect(make_database("invoicing"))
    try:
        understood = 0
        for module in pkgutil.iter_modules(store.__path__):
            for name, statement in vars(importlib.import_module(f"{store.__name__}.{module.name}")).items():
                if isinstance(statement, SelectBase | UpdateBase):
                    understood += await _understood(connection, f"{module.name}.{name}", statement)
        assert understood > 90
    finally:
        await connection.close()


async def _understood(connection: Any, name: str, statement: Any) -> bool:
    bound = statement.compile(dialect=dialect(paramstyle="named")).bind_names.values()  # type: ignore[no-untyped-call]
    made = set_statement(statement, frozenset(bound) - {"place", "created_at"})
    if made is None:
        return False
    try:
        await connection.prepare(str(made.statement).replace(":rows", "$1"))
    except asyncpg.PostgresError as error:
        raise AssertionError(f"{name}: {error}") from error
    return True
