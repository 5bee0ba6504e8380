"""SCIM connections: their settings and tokens."""

import secrets
from datetime import datetime, timedelta

from services.users.domain.person import Cause
from services.users.domain.scim_connections import KEY_START, TOKENS_MAX, ScimConnection, ScimToken, token_hash
from services.users.store import scim_connections as store
from services.users.use_cases.rights import check_all_rights
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound


async def require(tenant: str, uow: UnitOfWork, connection: str) -> ScimConnection:
    """Return the connection. Raises NotFound."""
    found = await store.get(uow.connection, tenant, connection)
    if found is None:
        raise NotFound("SCIM connection", "Check its name, or add it first.")
    return found


async def issue_token(tenant: str, uow: UnitOfWork, connection: str, days: int, now: datetime, cause: Cause) -> tuple[ScimToken, str]:
    """Add a token, and return it with its text, which is not stored. Raises NotFound, Forbidden, and Conflict if there are enough valid
    ones."""
    await require(tenant, uow, connection)
    if cause.authority is not None:
        check_all_rights(cause.authority, "A SCIM client, by its groups,")
    await store.lock(uow.connection, tenant, connection)
    valid = await store.tokens(uow.connection, tenant, connection, now)
    if len(valid) >= TOKENS_MAX:
        raise Conflict(
            "too-many-tokens",
            f"The connection {connection} has {TOKENS_MAX} valid tokens, which is the limit. Revoke the one that no client uses any more.",
        )
    text = KEY_START + secrets.token_urlsafe(32)
    token = ScimToken(ids.new_id(), connection, now, now + timedelta(days=days))
    await store.add_token(uow.connection, tenant, token, token_hash(text))
    return token, text
