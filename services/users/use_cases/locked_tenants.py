"""What handlers and REST need of a tenant, read once a transaction."""

from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from services.users.domain.person import Tenant
from services.users.domain.required_modules import Settings
from services.users.store import hr_sources
from services.users.store import tenants as store
from services.users.store.hr_sources import Permission
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound

CACHED_MAX = 1000  # tenants whose settings are kept in memory


class Tenants:
    """Settings are kept by their version; the tenant's row is read, and locked, once for each transaction."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._settings: dict[str, tuple[int, Settings]] = {}
        self._locked: WeakKeyDictionary[UnitOfWork, tuple[int, dict[str, Tenant]]] = WeakKeyDictionary()
        self._permissions: WeakKeyDictionary[UnitOfWork, dict[tuple[str, str], Permission]] = WeakKeyDictionary()

    async def load(self, tenant: str, uow: UnitOfWork) -> Tenant | None:
        """The tenant, its row locked shared until the transaction ends: whoever changes the settings waits for what is worked out from the
        old ones, so that the review that follows the change finds it (migration 0001). Nobody takes this lock's exclusive form while
        holding or awaiting a person's row, so it may be taken after one."""
        known = self._known(uow)
        if tenant not in known:
            found = await self._read(tenant, uow, "FOR SHARE OF t")
            if found is None:
                return None
            known[tenant] = found
        return known[tenant]

    async def peek(self, tenant: str, uow: UnitOfWork) -> Tenant | None:
        """The tenant without any lock: for its time, or for reading."""
        return self._known(uow).get(tenant) or await self._read(tenant, uow, "")

    async def for_write(self, tenant: str, uow: UnitOfWork) -> Tenant:
        """For a write that comes by REST. Raises NotFound, and Conflict while the tenant's test clock is advancing: the lock keeps an
        advance from beginning before this transaction ends."""
        found = await self.load(tenant, uow)
        if found is None:
            raise NotFound("tenant")
        if found.advancing_to is not None:
            raise Conflict(
                "clock-advancing",
                "The test clock of this tenant is advancing, so changes are refused. Try again when its state is `ready`.",
            )
        return found

    async def for_read(self, tenant: str, uow: UnitOfWork) -> Tenant:
        found = await self.peek(tenant, uow)
        if found is None:
            raise NotFound("tenant")
        return found

    async def permission(self, tenant: str, uow: UnitOfWork, source: str) -> Permission:
        """What the allow-list says of the source for this tenant. A yes holds for the rest of the transaction."""
        known = self._permissions.setdefault(uow, {})
        if (tenant, source) not in known:
            found = await hr_sources.permission(uow.connection, tenant, source)
            if not found.allowed:
                return found
            known[tenant, source] = found
        return known[tenant, source]

    def _known(self, uow: UnitOfWork) -> dict[str, Tenant]:
        """Those whose lock this transaction holds: a rollback to a savepoint may have released any."""
        if uow not in self._locked or self._locked[uow][0] != uow.rollbacks:
            self._locked[uow] = (uow.rollbacks, {})
        return self._locked[uow][1]

    async def _read(self, tenant: str, uow: UnitOfWork, lock: str) -> Tenant | None:
        row = await store.get(tenant, uow.connection, lock)
        if row is None:
            return None
        return Tenant(
            tenant=tenant,
            zone=ZoneInfo(row.time_zone),
            now=row.at if row.at is not None else self.clock.now(),
            settings=await self._settings_of(row, uow),
            config_version=row.config_version,
            advancing_to=row.advancing_to,
        )

    async def _settings_of(self, row: store.TenantRow, uow: UnitOfWork) -> Settings:
        version, settings = self._settings.get(row.tenant, (-1, None))
        if settings is None or version != row.config_version:
            settings = await store.settings(row.tenant, uow.connection, release_on_expiry=row.release_on_expiry)
            if len(self._settings) >= CACHED_MAX:
                self._settings.clear()
            self._settings[row.tenant] = (row.config_version, settings)
        return settings
