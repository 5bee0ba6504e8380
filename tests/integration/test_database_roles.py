"""A service's own role reads and writes rows; only the owner's role changes tables. A migration of data sees every tenant's rows."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from deploy.local import postgres
from shared.database import migrate
from shared.settings import DatabaseSettings
from tests.support.backing import owner_url

pytestmark = pytest.mark.stack

# A table that row-level security protects, and one that is append-only.
TABLES = {"users": ("people", None), "invoicing": ("invoices", "invoices"), "notifier": ("actions", "actions")}
REFUSED = (
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY tenant_scope ON {table}",
    "CREATE POLICY all_rows ON {table} USING (true)",
    "TRUNCATE {table} CASCADE",
    "DROP TABLE {table} CASCADE",
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "SET ROLE {owner}",
)
GRANTED = """
SELECT table_name, string_agg(privilege_type, ',' ORDER BY privilege_type) AS privileges
FROM information_schema.role_table_grants WHERE grantee = current_user AND table_schema = 'public' GROUP BY table_name
"""


@pytest.mark.parametrize("service", TABLES)
async def test_a_service_s_role_reads_and_writes_rows_and_changes_no_table(service: str, make_database: Callable[[str], str]) -> None:
    url = make_database(service)
    table, append_only = TABLES[service]
    own, owner = await asyncpg.connect(url), await asyncpg.connect(owner_url(url))
    try:
        for statement in REFUSED:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await own.execute(statement.format(table=table, owner=await owner.fetchval("SELECT current_user")))
        await owner.execute("CREATE TABLE of_a_later_release (id int GENERATED ALWAYS AS IDENTITY, said text)")
        await own.execute("INSERT INTO of_a_later_release (said) VALUES ('kept')")
        tables = {row["tablename"] for row in await own.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        granted = {row["table_name"]: row["privileges"] for row in await own.fetch(GRANTED)}
        assert granted == dict.fromkeys(tables, "DELETE,INSERT,SELECT,UPDATE")
        for other in ("postgres", "template1"):
            for user in (url, owner_url(url)):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"permission denied for database .{other}"):
                    await asyncpg.connect(user, database=other)
        if append_only is not None:  # the owner, who may truncate, is refused by the table itself
            with pytest.raises(asyncpg.PostgresError, match=r"append-only|never changed"):
                await owner.execute(f"TRUNCATE {append_only} CASCADE")
    finally:
        await own.close()
        await owner.close()


FIRST = """
from alembic import op
from shared.database.tenancy import protect
revision, down_revision = "0001", None
def upgrade():
    op.execute("CREATE TABLE notes (tenant_id text NOT NULL, said text NOT NULL)")
    protect(op, "notes")
    op.execute("INSERT INTO notes VALUES ('acme', 'old'), ('globex', 'old')")
"""
OF_DATA = """
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.execute("UPDATE notes SET said = 'new'")
"""


async def test_a_migration_of_data_reaches_every_tenant_s_rows_and_an_unknown_revision_is_refused(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"roles_{secrets.token_hex(4)}"
    for role in (name, f"{name}_owner"):
        await postgres.ensure_role(postgres_url, role, "pw")
    await postgres.ensure_database(postgres_url, name, f"{name}_owner", user=name)
    own, owner = (postgres.database_url(postgres_url, name, user=role, password="pw") for role in (name, f"{name}_owner"))
    versions = tmp_path / "notes" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").write_text("from alembic import context\nfrom shared.database.migrate import run_env\nrun_env(context)\n")
    monkeypatch.setattr(migrate, "_ROOT", tmp_path)
    settings = DatabaseSettings(database_url=SecretStr(own), migration_database_url=SecretStr(owner))
    connection = await asyncpg.connect(own)
    try:
        for file, text in (("0001_first.py", FIRST), ("0002_of_data.py", OF_DATA)):
            (versions / file).write_text(text)
            await asyncio.to_thread(migrate.upgrade, "notes", settings)
        assert await connection.fetch("SELECT said FROM notes") == [], "without a scope the service sees nothing"
        await connection.execute("SELECT set_config('seatpool.tenant', '*', false)")
        assert [row["said"] for row in await connection.fetch("SELECT said FROM notes")] == ["new", "new"]
        first = (versions / "0001_first.py").read_text()
        (versions / "0001_first.py").write_text(f"{first}# a comment\n")
        await asyncio.to_thread(migrate.upgrade, "notes", settings)
        (versions / "0001_first.py").write_text(first.replace("said", "written"))
        with pytest.raises(migrate.UnknownRevision, match=r"notes is at revision 0002, whose migrations .*Delete \.seatpool/"):
            await asyncio.to_thread(migrate.upgrade, "notes", settings)
        (versions / "0002_of_data.py").unlink()
        with pytest.raises(migrate.UnknownRevision, match=r"notes is at revision 0002, .*Delete \.seatpool/"):
            await asyncio.to_thread(migrate.upgrade, "notes", settings)
    finally:
        await connection.close()
        await postgres.drop_database(postgres_url, name)


async def test_a_database_whose_tables_the_service_owned_is_handed_over_to_the_owner(postgres_url: str) -> None:
    """And a service that owns its tables, and migrates by itself, is warned."""
    name = f"roles_{secrets.token_hex(4)}"
    for role in (name, f"{name}_owner"):
        await postgres.ensure_role(postgres_url, role, "pw")
    await postgres.ensure_database(postgres_url, name, name)
    own, owner = (postgres.database_url(postgres_url, name, user=role, password="pw") for role in (name, f"{name}_owner"))
    try:
        with capture_logs() as logged:
            await asyncio.to_thread(migrate.upgrade, "users", DatabaseSettings(database_url=SecretStr(own)))
        assert [(entry["event"], entry["role"]) for entry in logged] == [("service_role_owns_its_tables", name)]
        await postgres.ensure_database(postgres_url, name, f"{name}_owner", user=name)
        both = DatabaseSettings(database_url=SecretStr(own), migration_database_url=SecretStr(owner))
        with capture_logs() as logged:
            await asyncio.to_thread(migrate.upgrade, "users", both)
        assert logged == []
        connection = await asyncpg.connect(own)
        await connection.execute("DELETE FROM inbox")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("ALTER TABLE people DISABLE ROW LEVEL SECURITY")
        await connection.close()
    finally:
        await postgres.drop_database(postgres_url, name)
