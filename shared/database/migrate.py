"""Migrations: alembic, one linear history per service in `services/<service>/migrations`.

A service's `env.py` is: `from alembic import context`, `from shared.database.migrate import run_env`, `run_env(context)`.
"""

import ast
import asyncio
import getpass
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import stamina
import structlog
from sqlalchemy import make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import make_engine
from shared.database.errors import translated
from shared.database.tenancy import SETTING, SYSTEM
from shared.database.unit_of_work import lock_number
from shared.errors import Transient
from shared.settings import DatabaseSettings

log = structlog.get_logger(__name__)

_ROOT = Path(__file__).parents[2] / "services"
START_TIMEOUT_SECONDS = 120  # how long to wait for a database that does not answer yet
T = TypeVar("T")


class UnknownRevision(Exception):
    """Other migrations than those of this version made the database."""


def upgrade(service: str, settings: DatabaseSettings) -> None:
    """Bring the service's database to the newest revision, as the role that owns it, and let the service's own role read and write rows.

    Do not call it within an event loop: call it through `asyncio.to_thread` there. Raises UnknownRevision.
    """
    own = settings.database_url.get_secret_value()
    url = own if settings.migration_database_url is None else settings.migration_database_url.get_secret_value()
    role = make_url(own).username or getpass.getuser()
    state = asyncio.run(_connected(url, lambda connection: _state(connection, role)))
    if state.revision is not None:
        _check_revision(service, state.revision, state.fingerprint)
    if settings.migration_database_url is None and (state.owner or state.revision is None):
        # An owner can switch row-level security off.
        log.warning("service_role_owns_its_tables", role=role, remedy="set SEATPOOL_MIGRATION_DATABASE_URL to the URL of an owner's role")
    if state.revision == max(revisions(service)) and state.granted:
        return
    # Imported here: nearly every start has nothing to migrate, and alembic would take a tenth of its CPU.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ROOT / service / "migrations"))
    config.attributes.update(url=url, role=role, service=service)
    command.upgrade(config, "head")


def revisions(service: str) -> set[str]:
    return {path.name.partition("_")[0] for path in _files(service)}


def fingerprint(service: str, revision: str) -> str:
    """Return a digest of what the migrations up to a revision do, and one of the tables of messaging, which the first of them creates.

    Comments and layout of the files do not count.
    """
    files = [path for path in _files(service) if path.name.partition("_")[0] <= revision]
    return f"{_digest(files)} {_digest([Path(__file__).with_name('tables.py')])}"


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256("".join(word for file in files for word in _words(ast.parse(file.read_text()))).encode()).hexdigest()


def _words(tree: ast.Module) -> Iterator[str]:
    """Return the constants and names of a module, without docstrings: they are the same in every release of Python."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=value) if id(node) not in texts:
                yield str(value)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def _files(service: str) -> list[Path]:
    """Return the migrations of the linear history in their order: their names begin with their revisions, which count up."""
    return sorted((_ROOT / service / "migrations" / "versions").glob("[0-9]*_*.py"))


def _check_revision(service: str, revision: str, found: str) -> None:
    """Raise UnknownRevision if other migrations than those of this version made the database."""
    known = revisions(service)
    if revision not in known:
        problem = f"is at revision {revision}, which this version does not have"
    else:
        migrations, tables = fingerprint(service, revision).split()
        of_migrations, _, of_tables = found.partition(" ")
        # A later migration can change the tables of messaging, so they are those of this version at its newest revision only.
        if of_migrations == migrations and (of_tables == tables or revision < max(known)):
            return
        problem = f"is at revision {revision}, whose migrations are different in this version"
    raise UnknownRevision(
        f"The database of {service} {problem}: another version made it. "
        "Delete .seatpool/ (the state of the local stack) or use a new database."
    )


def run_env(context: Any) -> None:
    """Run the migrations. `context` is the module `alembic.context`, which binds its functions late."""

    given = context.config.attributes

    async def migrate(connection: AsyncConnection) -> None:
        await connection.run_sync(_migrate, context, given["role"], given["service"])
        await connection.commit()

    asyncio.run(_connected(given["url"], migrate))


async def _connected(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = make_engine(url, application_name="seatpool-migrate", pool_size=1)
    try:
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=START_TIMEOUT_SECONDS):
            with attempt, translated():
                async with engine.connect() as connection:
                    return await work(connection)
    finally:
        await engine.dispose()
    raise AssertionError("stamina either returns or raises")


class _State(NamedTuple):
    """The state of a database; `revision` is None if it is empty. The revision changes in the transaction that migrates."""

    revision: str | None
    fingerprint: str  # of the migrations that made it
    owner: bool  # is the service's own role the tables' owner, or a member of it?
    granted: bool  # may that role read and write them?


_STATE = """
SELECT pg_has_role($1, relowner, 'USAGE') AS owner, has_table_privilege($1, oid, 'DELETE') AS granted,
       coalesce(obj_description(oid, 'pg_class'), '') AS fingerprint
FROM pg_class WHERE oid = to_regclass('alembic_version')
"""


async def _state(connection: AsyncConnection, role: str) -> _State:
    table = (await connection.exec_driver_sql(_STATE, (role,))).one_or_none()
    if table is None:
        return _State(None, "", owner=False, granted=False)
    revision = (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return _State(revision, table.fingerprint, table.owner, table.granted)


def _migrate(connection: Connection, context: Any, role: str, service: str) -> None:
    # If two processes start at once, the second waits here and finds nothing left to do. A migration may take longer than any statement
    # of the services.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": lock_number("migrate")})
    # Row-level security is forced, so it applies to the owner of the tables too: a migration of data needs the scope of all tenants.
    connection.execute(text("SELECT set_config(:setting, :scope, true)"), {"setting": SETTING, "scope": SYSTEM})
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    made = fingerprint(service, max(revisions(service)))
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{made}'"))
    _grant(connection, role)


def _grant(connection: Connection, role: str) -> None:
    """Let the role read and write the rows of all tables, those of later migrations too; it may do nothing else: no DDL, no TRUNCATE."""
    name = connection.dialect.identifier_preparer.quote_identifier(role)
    rows = "SELECT, INSERT, UPDATE, DELETE"
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {name}"))
    connection.execute(text(f"GRANT {rows} ON ALL TABLES IN SCHEMA public TO {name}"))
    connection.execute(text(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rows} ON TABLES TO {name}"))
