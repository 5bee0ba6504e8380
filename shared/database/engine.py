"""The connection pool of one process, and its transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared.clock import Clock, SystemClock
from shared.database.errors import translated
from shared.database.unit_of_work import UnitOfWork
from shared.errors import Busy, Transient

CONNECT_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 60  # of the driver, for a server that no longer answers; above every timeout of the server
POOL_TIMEOUT_SECONDS = 10
TENANTS_PER_POOL = 3  # one tenant has at most this part of the connections, so that slow transactions of it do not stop the others
STATEMENT_TIMEOUT = "30s"
LOCK_TIMEOUT = "10s"  # a transaction that waits longer for a row or a key fails and is retried, instead of filling the pool
IDLE_TIMEOUT = "60s"  # a transaction whose process hangs releases its locks
REST_SECONDS = 5  # of a connection that is asked whether it still works: the question takes three round trips, half of a small transaction


def driver_url(url: str) -> str:
    """Return the URL `postgresql://…` in the form that SQLAlchemy needs for asyncpg."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def make_engine(url: str, *, application_name: str, pool_size: int, clock: Clock | None = None) -> AsyncEngine:
    """Return an engine whose connections have the timeouts and the isolation level of this project."""
    engine = create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # parameters are personal data, and the text of errors is logged
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "command_timeout": COMMAND_TIMEOUT_SECONDS,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": STATEMENT_TIMEOUT,
                "lock_timeout": LOCK_TIMEOUT,
                "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
                "jit": "off",
            },
        },
    )
    _replace_lost_connections(engine, clock or SystemClock())
    return engine


def _replace_lost_connections(engine: AsyncEngine, clock: Clock) -> None:
    """Replace connections that the server has closed, or one of which does not answer after a rest, so that the first request after a
    restart of the server does not fail."""

    @event.listens_for(engine.sync_engine, "checkin")
    def rest(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["resting_since"] = clock.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        since = record.info.get("resting_since")
        if since is None:
            return  # just opened, perhaps in place of another; a third one would not be tried
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if clock.monotonic() - since >= REST_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error


class Database:
    """The connections of one process to its database."""

    def __init__(self, url: str, *, application_name: str, pool_size: int = 5, clock: Clock | None = None) -> None:
        self.url = url
        self.application_name = application_name
        self.engine = make_engine(url, application_name=application_name, pool_size=pool_size, clock=clock)
        self._share = max(1, pool_size // TENANTS_PER_POOL)
        self._tenants: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def unit_of_work(self, tenant: str | None) -> AsyncIterator[UnitOfWork]:
        """Begin a transaction in the tenant's scope (None: the system's).

        It commits at the end of the block, and inserts the rows of the outbox last; an exception that leaves the block rolls it back.
        Raises Transient if the database cannot be reached, or on a deadlock or a statement timeout, and Busy if other work holds a lock, or
        the tenant's share of the connections, for too long. Do not open a unit of work for a tenant inside another for the same tenant: if
        the tenant's share of the connections is used up, they wait for each other.
        """
        with translated():
            async with self._turn(tenant), self.engine.connect() as connection, connection.begin():
                uow = UnitOfWork(connection)
                await uow.scope(tenant)
                yield uow
                await uow.flush()

    @asynccontextmanager
    async def _turn(self, tenant: str | None) -> AsyncIterator[None]:
        """Wait until the tenant has a connection of its share left. The system's own work has no share."""
        if tenant is None:
            yield
            return
        share = self._tenants.setdefault(tenant, asyncio.Semaphore(self._share))
        try:
            async with asyncio.timeout(POOL_TIMEOUT_SECONDS):
                await share.acquire()
        except TimeoutError as error:
            raise Busy(f"database: the tenant's share of the connections was in use for {POOL_TIMEOUT_SECONDS} seconds") from error
        try:
            yield
        finally:
            share.release()

    async def ready(self) -> bool:
        with translated():
            async with self.engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
        return True

    @asynccontextmanager
    async def own_connection(self, purpose: str) -> AsyncIterator[Any]:
        """Open a connection of the driver beside the pool. All its errors are transient."""
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = None
        try:
            connection = await asyncpg.connect(
                url,
                timeout=CONNECT_TIMEOUT_SECONDS,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                server_settings={"application_name": f"{self.application_name}-{purpose}"},
            )
            yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
            raise Transient(f"{purpose}: {error or type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.terminate()  # at once: a server that is gone would keep a polite close waiting

    async def dispose(self) -> None:
        await self.engine.dispose()
