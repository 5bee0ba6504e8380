"""Note when a connection last sent a request, and which error it got last, so that administrators see whether it works."""

from contextlib import suppress
from typing import Final

import orjson
from fastapi import Response

from services.users.scim.callers import Caller
from services.users.store import scim_activity as store
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient

REQUEST_SECONDS: Final = 30  # a connection may send 200 requests a second, and one of them is noted in this time
ERROR_SECONDS: Final = 5
KNOWN_MAX: Final = 10_000


class Activity:
    """Notes requests of all connections."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._noted: dict[tuple[str, str, bool], float] = {}

    async def note(self, caller: Caller, response: Response, *, is_read: bool) -> None:
        """Note an answered request. A user who is looked for and not found is no error."""
        is_error = response.status_code >= 400 and not (response.status_code == 404 and is_read)
        key, now = (caller.tenant, caller.connection.connection, is_error), self._clock.monotonic()
        seconds = ERROR_SECONDS if is_error else REQUEST_SECONDS
        if now - self._noted.get(key, -seconds) < seconds:
            return
        if len(self._noted) >= KNOWN_MAX:
            self._noted.clear()
        self._noted[key] = now
        with suppress(Transient):  # the request itself was answered
            async with self._database.unit_of_work(caller.tenant) as uow:
                error = _named(response) if is_error else None
                await store.save(uow.connection, caller.tenant, caller.connection.connection, self._clock.now(), error)


def _named(response: Response) -> str:
    """Return status and type of an error, without its detail, which may name a person."""
    try:
        body = orjson.loads(bytes(response.body))
    except orjson.JSONDecodeError:
        body = {}
    kind = body.get("scimType") if isinstance(body, dict) else None
    return f"{response.status_code} {kind}" if kind else str(response.status_code)
