"""Row-level security: a statement without a tenant sees only the rows of its scope's tenant."""

import pytest
from sqlalchemy.exc import DBAPIError

from shared.database import Database
from tests.support.messaging import facts

pytestmark = pytest.mark.stack

ADD = "INSERT INTO facts (tenant_id, said, message_id) VALUES ($1, $2, 'm')"


@pytest.fixture
async def two_tenants(plain_database: Database) -> Database:
    for tenant in ("acme", "globex"):
        async with plain_database.unit_of_work(tenant) as uow:
            await uow.connection.exec_driver_sql(ADD, (tenant, f"of {tenant}"))
    return plain_database


async def test_the_service_is_no_superuser_and_the_table_forces_its_policy(two_tenants: Database) -> None:
    async with two_tenants.unit_of_work(None) as uow:
        role = await uow.connection.exec_driver_sql("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert role.scalar_one() is False
        forced = await uow.connection.exec_driver_sql("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = 'facts'")
        assert forced.scalar_one() is True


async def test_a_query_without_a_tenant_sees_its_scope_only(two_tenants: Database) -> None:
    assert await facts(two_tenants, "acme") == ["of acme"]
    assert await facts(two_tenants, "initech") == []
    assert await facts(two_tenants, None) == ["of acme", "of globex"]


async def test_a_connection_without_a_scope_sees_nothing(two_tenants: Database) -> None:
    async with two_tenants.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT * FROM facts")).all() == []


async def test_the_scope_ends_with_the_transaction(two_tenants: Database) -> None:
    """Connections are pooled: the next user of this one has to say whose work it does."""
    async with two_tenants.unit_of_work("acme"):
        pass
    async with two_tenants.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT * FROM facts")).all() == []


async def test_nobody_adds_or_changes_rows_of_another_tenant(two_tenants: Database) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with two_tenants.unit_of_work("acme") as uow:
            await uow.connection.exec_driver_sql(ADD, ("globex", "forged"))
    async with two_tenants.unit_of_work("acme") as uow:
        changed = await uow.connection.exec_driver_sql("UPDATE facts SET said = 'x' WHERE tenant_id = 'globex'")
        deleted = await uow.connection.exec_driver_sql("DELETE FROM facts WHERE tenant_id = 'globex'")
        assert (changed.rowcount, deleted.rowcount) == (0, 0)
    assert await facts(two_tenants, "globex") == ["of globex"]


async def test_a_savepoint_that_is_rolled_back_restores_the_scope(two_tenants: Database) -> None:
    """PostgreSQL takes the setting back with the savepoint; the unit of work has to know."""
    async with two_tenants.unit_of_work("acme") as uow:
        with pytest.raises(ZeroDivisionError):
            await _change_scope_and_fail(uow)
        await uow.scope("globex")
        rows = await uow.connection.exec_driver_sql("SELECT said FROM facts")
        assert [row.said for row in rows] == ["of globex"]


async def _change_scope_and_fail(uow) -> None:  # type: ignore[no-untyped-def]
    async with uow.savepoint():
        await uow.scope("globex")
        raise ZeroDivisionError
