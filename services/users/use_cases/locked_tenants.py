"""The tenants that a transaction works with, each read and locked once."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from services.users.domain.person import Tenant
from services.users.domain.required_modules import Profile, Settings
from services.users.domain.roles import Role, Roles
from services.users.store import departments, hr_sources, profiles, roles
from services.users.store import tenants as store
from services.users.store.hr_sources import Permission
from services.users.store.roles import RoleRow
from services.users.store.tenants import Lock, StoredTenant
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound

CACHED_MAX = 1000  # tenants whose settings are kept in memory


class Tenants:
    """Settings are cached by their version; the tenant's row is read, and locked, once in each transaction."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._settings: dict[str, tuple[int, Settings]] = {}
        self._locked: WeakKeyDictionary[UnitOfWork, tuple[int, dict[str, Tenant]]] = WeakKeyDictionary()
        self._permissions: WeakKeyDictionary[UnitOfWork, dict[tuple[str, str], Permission]] = WeakKeyDictionary()

    async def load(self, tenant: str, uow: UnitOfWork) -> Tenant | None:
        """Return the tenant, its row locked shared until the transaction ends.

        A change of the settings waits for what is computed from the old ones, so the re-evaluation that follows finds it. No transaction
        takes the exclusive lock while it holds or awaits a person's row, so this lock may be taken after one.
        """
        known = self._known(uow)
        if tenant not in known:
            found = await self._read(tenant, uow, Lock.SHARED)
            if found is None:
                return None
            known[tenant] = found
        return known[tenant]

    async def peek(self, tenant: str, uow: UnitOfWork) -> Tenant | None:
        """Return the tenant without a lock: for its time, or for reading."""
        return self._known(uow).get(tenant) or await self._read(tenant, uow, Lock.NONE)

    async def for_write(self, tenant: str, uow: UnitOfWork) -> Tenant:
        """Return the tenant for a change by REST, its row locked shared, so that no advance begins before this transaction ends.

        Raises NotFound, and Conflict while the tenant's test clock is advancing.
        """
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
        """Return the entry of the allow-list about the source and this tenant. A permission holds for the rest of the transaction."""
        known = self._permissions.setdefault(uow, {})
        if (tenant, source) not in known:
            found = await hr_sources.permission(uow.connection, tenant, source)
            if not found.allowed:
                return found
            known[tenant, source] = found
        return known[tenant, source]

    def _known(self, uow: UnitOfWork) -> dict[str, Tenant]:
        """Return the tenants whose lock this transaction holds: a rollback to a savepoint may have released any."""
        if uow not in self._locked or self._locked[uow][0] != uow.rollbacks:
            self._locked[uow] = (uow.rollbacks, {})
        return self._locked[uow][1]

    async def _read(self, tenant: str, uow: UnitOfWork, lock: Lock) -> Tenant | None:
        row = await store.get(uow.connection, tenant, lock)
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

    async def _settings_of(self, row: StoredTenant, uow: UnitOfWork) -> Settings:
        version, settings = self._settings.get(row.tenant_id, (-1, None))
        if settings is None or version != row.config_version:
            settings = await _load_settings(uow, row)
            if len(self._settings) >= CACHED_MAX:
                self._settings.clear()
            self._settings[row.tenant_id] = (row.config_version, settings)
        return settings


async def _load_settings(uow: UnitOfWork, row: StoredTenant) -> Settings:
    found = await profiles.all_of(uow.connection, row.tenant_id)
    mapping = await departments.mapping(uow.connection, row.tenant_id)
    own = own_roles(await roles.all_of(uow.connection, row.tenant_id))
    subscribed = {module: tuple(requires) for module, requires in row.subscribed.items()}
    by_name = {each.profile: Profile(each.modules, each.partial) for each in found}
    return Settings(by_name, mapping, row.release_on_expiry, own, subscribed)


def own_roles(rows: Sequence[RoleRow]) -> Roles:
    return {row.role: Role(row.name, row.rights) for row in rows}
