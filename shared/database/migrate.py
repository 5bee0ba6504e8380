"""Migrations: alembic, one linear history per service in `services/<service>/migrations`.

A service's `env.py` is: `from alembic import context`, `from shared.database.migrate import run_env`, `run_env(context)`.
"""

import asyncio
from pathlib import Path
from typing import Any

import stamina
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.database.engine import make_engine
from shared.database.errors import translated
from shared.database.unit_of_work import lock_number
from shared.errors import Transient

_ROOT = Path(__file__).parents[2] / "services"
START_TIMEOUT_S = 120  # how long a database that is not there yet is waited for


def upgrade(service: str, url: str, revision: str = "head") -> None:
    """Bring the service's database to `revision`. Not from within an event loop: call it through `asyncio.to_thread` there."""
    command.upgrade(config(service, url), revision)


def config(service: str, url: str) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(_ROOT / service / "migrations"))
    settings.attributes["url"] = url
    return settings


def run_env(context: Any) -> None:
    """`context` is `alembic.context`, which is typed as a module of late-bound functions."""
    asyncio.run(_run(context, context.config.attributes["url"]))


async def _run(context: Any, url: str) -> None:
    engine = make_engine(url, application_name="seatpool-migrate", pool_size=1)
    try:
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=START_TIMEOUT_S):
            with attempt, translated():
                async with engine.connect() as connection:
                    await connection.run_sync(_migrate, context)
                    await connection.commit()
    finally:
        await engine.dispose()


def _migrate(connection: Connection, context: Any) -> None:
    # Two processes that start at once both migrate: the second waits here and finds nothing left to do. A migration may take longer
    # than any statement of the services.
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": lock_number("migrate")})
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
