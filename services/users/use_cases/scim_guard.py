"""The guard of SCIM connections. A request that would end too many people within an hour is refused, and its client repeats it until
somebody has confirmed the number of these people."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.users.domain.person import Tenant
from services.users.domain.scim_connections import ScimConnection
from services.users.store import scim_stopped as store
from services.users.use_cases import guard, held_statements
from services.users.use_cases.people import Received
from shared.database import UnitOfWork
from shared.errors import NotFound, SeatpoolError

REMEMBERED: Final = timedelta(days=1)  # a client that has not repeated its request for so long has given up


def since(tenant: Tenant) -> datetime:
    """Return the time before which a request is given up."""
    return tenant.now - REMEMBERED


class Stopped(SeatpoolError):
    """The guard stops a request of the connection. The transaction ends without a change; then call `stop`."""

    def __init__(self, connection: ScimConnection, resource_id: str, ended: int, limit: int) -> None:
        super().__init__(f"the guard stopped {connection.source}")
        self.connection, self.resource_id, self.ended, self.limit = connection, resource_id, ended, limit


async def check(tenant: Tenant, uow: UnitOfWork, connection: ScimConnection, received: Received, also: Sequence[Received]) -> None:
    """Let a statement count if it ends somebody's access; `also` are statements of other connections that hold with it. Raises Stopped if
    it needs a confirmation that nobody has given."""
    ends = await held_statements.ended_by(tenant, uow, [received], also)
    if not ends:
        return
    if not await store.is_confirmed(uow.connection, tenant.tenant, connection.connection, received.external_id):
        endings = await guard.count_with_last_hour(tenant, uow, connection.source, ends)
        if endings.need_confirmation:
            raise Stopped(connection, received.external_id, len(endings.ended), endings.limit)
        await guard.record(tenant, uow, connection.source, endings)
    await store.remove(uow.connection, tenant.tenant, connection.connection, received.external_id)


async def stop(tenant: Tenant, uow: UnitOfWork, stopped: Stopped) -> None:
    """Remember whom the request would have ended. The administrators are told about the first of them."""
    name = stopped.connection.connection
    await store.forget(uow.connection, tenant.tenant, name, since(tenant))
    known = await store.count(uow.connection, tenant.tenant, name, since(tenant))
    await store.add(uow.connection, tenant.tenant, name, stopped.resource_id, tenant.now)
    if not known:
        guard.tell(tenant, uow, stopped.connection.source, 1, stopped.limit, ended=stopped.ended)


async def confirm(tenant: Tenant, uow: UnitOfWork, connection: ScimConnection, number: int) -> None:
    """Let the requests that were stopped through, when they are repeated. Raises Conflict if they concern another number of people, and
    NotFound if there are none."""
    waiting = await store.count(uow.connection, tenant.tenant, connection.connection, since(tenant))
    if not waiting:
        remedy = "The client has given them up, or they were confirmed or made again. There is nothing to confirm."
        raise NotFound("request of this connection that the guard stopped", remedy)
    if number != waiting:
        raise guard.needs_confirmation(waiting, await guard.limit_of(tenant, uow, connection.source))
    await store.confirm(uow.connection, tenant.tenant, connection.connection, since(tenant))
    await guard.begin_again(tenant, uow, connection.source)
