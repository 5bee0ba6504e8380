"""SCIM connections: their settings and tokens."""

import secrets
from datetime import datetime, timedelta

from services.users.domain.person import Cause, Tenant
from services.users.domain.scim_connections import CONNECTIONS_MAX, KEY_START, TOKENS_MAX, ScimConnection, ScimToken, token_hash
from services.users.domain.sources import SourceKind, new_source
from services.users.store import scim_connections as store
from services.users.store import sources
from services.users.use_cases.rights import check_all_rights
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.base import changes_between
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ScimConnectionChanged, ScimTokenChanged


async def require(tenant: str, uow: UnitOfWork, connection: str) -> ScimConnection:
    """Return the connection. Raises NotFound."""
    found = await store.get(uow.connection, tenant, connection)
    if found is None:
        raise NotFound("SCIM connection", "Check its name, or add it first.")
    return found


async def issue_token(tenant: Tenant, uow: UnitOfWork, connection: str, days: int, now: datetime, cause: Cause) -> tuple[ScimToken, str]:
    """Add a token, and return it with its text, which is not stored. Raises NotFound, Forbidden, and Conflict if there are enough valid
    ones."""
    await require(tenant.tenant, uow, connection)
    if cause.authority is not None:
        check_all_rights(cause.authority, "A SCIM client, by its groups,")
    await store.lock(uow.connection, tenant.tenant, connection)
    valid = await store.tokens(uow.connection, tenant.tenant, connection, now)
    if len(valid) >= TOKENS_MAX:
        raise Conflict(
            "too-many-tokens",
            f"The connection {connection} has {TOKENS_MAX} valid tokens, which is the limit. Revoke the one that no client uses any more.",
        )
    text = KEY_START + secrets.token_urlsafe(32)
    token = ScimToken(ids.new_id(), connection, now, now + timedelta(days=days))
    await store.add_token(uow.connection, tenant.tenant, token, token_hash(text))
    event = ScimTokenChanged(
        at=tenant.now, actor=cause.actor, connection=connection, token=token.token_id, what="issued", expires_at=token.expires_at
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
    return token, text


async def revoke_token(tenant: Tenant, uow: UnitOfWork, connection: str, token: str, cause: Cause) -> None:
    """Remove a token. Raises NotFound."""
    if not await store.remove_token(uow.connection, tenant.tenant, connection, token):
        raise NotFound("token of this connection")
    event = ScimTokenChanged(at=tenant.now, actor=cause.actor, connection=connection, token=token, what="revoked")
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)


async def put(tenant: Tenant, uow: UnitOfWork, before: ScimConnection | None, after: ScimConnection, cause: Cause, now: datetime) -> int:
    """Add the connection, or change it; return its version. Raises Conflict if the tenant has had enough connections."""
    if before is None:
        await _check_room(tenant.tenant, uow, after.source)
    version = await store.save(uow.connection, tenant.tenant, after, now)
    await sources.add(uow.connection, tenant.tenant, [new_source(after.source, SourceKind.SCIM)])
    changes = changes_between(_logged(before), _logged(after))
    if before is None or changes:
        event = ScimConnectionChanged(at=tenant.now, actor=cause.actor, changes=changes, connection=after.connection, added=before is None)
        uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
    return version


async def _check_room(tenant: str, uow: UnitOfWork, source: str) -> None:
    await uow.lock("scim-connections", tenant)  # or parallel requests would count the same connections
    # a source stays known after its connection is removed, so that connections which come and go are counted, too
    of_scim = [each.source for each in (await sources.all_of(uow.connection, tenant)).values() if each.kind == SourceKind.SCIM]
    if source not in of_scim and len(of_scim) >= CONNECTIONS_MAX:
        detail = (
            f"The tenant has used {CONNECTIONS_MAX} names for SCIM connections, which is the limit. Remove one that no client uses, "
            "and use its name again."
        )
        raise Conflict("too-many-connections", detail, connections_max=CONNECTIONS_MAX)


def _logged(connection: ScimConnection | None) -> dict[str, str]:
    if connection is None:
        return {}
    types = ", ".join(f"{name}: {kind}" for name, kind in sorted(connection.user_types.items()))
    return {"on_full": connection.on_full, "deactivation": connection.deactivation, "user_types": types}
