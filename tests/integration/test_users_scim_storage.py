"""The rules that scim2-server has for every storage, on the real one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from scim2_models import ScimProvider
from scim2_server.storage import ScimStorage
from scim2_server.testing import AsyncScimStorageContract, BlockingStorage

from services.users.domain.scim_connections import ScimConnection
from services.users.scim.models import PROVIDER
from services.users.scim.storage import Storage
from services.users.store import scim_connections
from services.users.use_cases.locked_tenants import Tenants
from shared import ids
from shared.clock import FixedClock
from shared.database import Database
from tests.support.users import NOON

pytestmark = pytest.mark.stack
TENANT = "INSERT INTO tenants (tenant_id, name, time_zone, locale, clock, contact_email, support_contact, created_at)"
CLOCK = "INSERT INTO tenant_clocks (tenant_id, status) VALUES ($1, 'open')"


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Storage]:
    """Yield the storage of a new tenant, within a transaction."""
    tenant = f"t-{ids.new_id()[-12:]}"
    async with AsyncExitStack() as stack:
        uow = await stack.enter_async_context(database.unit_of_work(None))
        await uow.connection.exec_driver_sql(f"{TENANT} VALUES ($1, 'A', 'UTC', 'en', 'real', 'a@b.example', 's', now())", (tenant,))
        await uow.connection.exec_driver_sql(CLOCK, (tenant,))
        found = await Tenants(FixedClock(NOON)).load(tenant, uow)
        assert found is not None
        await scim_connections.save(uow.connection, tenant, ScimConnection("okta"), NOON)
        yield Storage(found, uow, ScimConnection("okta"))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def database(make_database: Callable[[str], str], runner: asyncio.Runner) -> Iterator[Database]:
    database = Database(make_database("users"), application_name="scim-contract", pool_size=1)
    yield database
    runner.run(database.dispose())


class TestStorage(AsyncScimStorageContract):
    supports_root_search = False

    @pytest.fixture
    def provider(self) -> ScimProvider:
        return PROVIDER

    @pytest.fixture
    def storage(self, database: Database, runner: asyncio.Runner) -> Iterator[ScimStorage]:
        scope = opened(database)
        with PROVIDER:
            yield BlockingStorage(runner.run(scope.__aenter__()), runner)
        runner.run(scope.__aexit__(None, None, None))
