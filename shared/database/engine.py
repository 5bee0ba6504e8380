"""The connection pool of one process, and the transactions it hands out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.database.errors import translated
from shared.database.unit_of_work import UnitOfWork

CONNECT_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 60  # the driver's own, for a server that is there no more; above every timeout of the server
POOL_TIMEOUT_SECONDS = 10
TENANTS_PER_POOL = 3  # a tenant holds this part of the connections at most, however slow its transactions are
STATEMENT_TIMEOUT = "30s"
LOCK_TIMEOUT = "10s"  # who waits longer for a row or a key gives up and is retried, instead of filling the pool
IDLE_TIMEOUT = "60s"  # a transaction whose process stands still frees its locks


def driver_url(url: str) -> str:
    """`postgresql://…` as SQLAlchemy wants it for asyncpg."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def make_engine(url: str, *, application_name: str, pool_size: int) -> AsyncEngine:
    """Return an engine whose connections have the timeouts and the isolation level of this project."""
    return create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # in the text of errors, which is logged: they are people's data
        pool_pre_ping=True,  # after a restart of the server the first request does not fail
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


class Database:
    """The connections of one process to its database."""

    def __init__(self, url: str, *, application_name: str, pool_size: int = 5) -> None:
        self.url = url
        self.application_name = application_name
        self.engine = make_engine(url, application_name=application_name, pool_size=pool_size)
        self._share = max(1, pool_size // TENANTS_PER_POOL)
        self._tenants: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def unit_of_work(self, tenant: str | None) -> AsyncIterator[UnitOfWork]:
        """One transaction in the tenant's scope (None: the system's). Commits at the end of the block, the outbox rows inserted last;
        rolls back when an exception leaves it. Raises Transient when the database is not there or gave up (lock, deadlock, timeout).
        Do not open one for a tenant inside another for the same tenant: they wait for each other where the tenant's share is used up."""
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
        async with asyncio.timeout(POOL_TIMEOUT_SECONDS):
            await share.acquire()
        try:
            yield
        finally:
            share.release()

    async def ready(self) -> bool:
        with translated():
            async with self.engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
        return True

    async def dispose(self) -> None:
        await self.engine.dispose()
