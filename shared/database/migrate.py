"""Migrations: alembic, one linear history per service in `services/<service>/migrations`.

A service's `env.py` is: `from alembic import context`, `from shared.database.migrate import run_env`, `run_env(context)`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import stamina
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import make_engine
from shared.database.errors import translated
from shared.database.unit_of_work import lock_number
from shared.errors import Transient

_ROOT = Path(__file__).parents[2] / "services"
START_TIMEOUT_S = 120  # how long a database that is not there yet is waited for
T = TypeVar("T")


def upgrade(service: str, url: str) -> None:
    """Bring the service's database to the newest revision. Not from within an event loop: call it through `asyncio.to_thread` there."""
    if asyncio.run(_connected(url, _revision)) == newest(service):
        return
    # Here, as nearly every start has nothing to migrate, and alembic with its templates would be a tenth of its CPU.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_ROOT / service / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def newest(service: str) -> str:
    """The revision that the linear history ends with: its files are named by their revisions, which count up."""
    return max(path.name.partition("_")[0] for path in (_ROOT / service / "migrations" / "versions").glob("[0-9]*_*.py"))


def run_env(context: Any) -> None:
    """`context` is `alembic.context`, which is typed as a module of late-bound functions."""

    async def migrate(connection: AsyncConnection) -> None:
        await connection.run_sync(_migrate, context)
        await connection.commit()

    asyncio.run(_connected(context.config.attributes["url"], migrate))


async def _connected(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = make_engine(url, application_name="seatpool-migrate", pool_size=1)
    try:
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=START_TIMEOUT_S):
            with attempt, translated():
                async with engine.connect() as connection:
                    return await work(connection)
    finally:
        await engine.dispose()
    raise AssertionError("stamina either returns or raises")


async def _revision(connection: AsyncConnection) -> str | None:
    """None: an empty database. It changes with the transaction that migrates, so whoever reads the newest one has all of it."""
    there = (await connection.exec_driver_sql("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one()
    return (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar_one_or_none() if there else None


def _migrate(connection: Connection, context: Any) -> None:
    # Two processes that start at once both migrate: the second waits here and finds nothing left to do. A migration may take longer
    # than any statement of the services.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": lock_number("migrate")})
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
