"""The connections whose tokens were used lately: an identity provider sends many requests with one token."""

from datetime import datetime
from typing import Final, NamedTuple

from services.users.domain.scim_connections import ScimConnection, token_hash
from services.users.store import scim_connections as store
from shared.clock import Clock
from shared.database import Database

KNOWN_SECONDS: Final = 5  # after which another process looks whether a token was revoked, or a setting changed
KNOWN_MAX: Final = 10_000


class Caller(NamedTuple):
    tenant: str
    connection: ScimConnection


class _Known(NamedTuple):
    caller: Caller
    expires_at: datetime
    until: float


class Callers:
    """What tokens are for. A token that is revoked in this process is refused at once, and one that another process has revoked after
    `KNOWN_SECONDS`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._known: dict[str, _Known] = {}

    async def of_token(self, token: str) -> Caller | None:
        """Return the caller whose token it is; None: it is unknown, was revoked or has expired."""
        key, now = token_hash(token), self._clock.now()
        known = self._known.get(key)
        if known is None or known.until <= self._clock.monotonic():
            self._known.pop(key, None)
            async with self._database.unit_of_work(None) as uow:
                found = await store.authenticated(uow.connection, key, now)
            if found is None:
                return None
            connection = ScimConnection(found.connection, found.on_full, found.deactivation, dict(found.user_types), found.version)
            known = _Known(Caller(found.tenant_id, connection), found.expires_at, self._clock.monotonic() + KNOWN_SECONDS)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[key] = known
        return known.caller if known.expires_at > now else None

    def forget(self, tenant: str, connection: str) -> None:
        """Read the connection and its tokens again. Call after a change of them was stored."""
        for key, known in list(self._known.items()):
            if known.caller.tenant == tenant and known.caller.connection.connection == connection:
                del self._known[key]
