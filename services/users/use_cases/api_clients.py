"""API clients of a tenant: programs that get access tokens with a secret of their own."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.users.domain.person import Cause, Tenant
from services.users.sign_in import opaque
from services.users.store import api_clients as store
from services.users.store.api_clients import ApiClientRow
from services.users.use_cases.rights import check_covered, check_sees_everybody
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.base import changes_between, format_instant
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ApiClientChanged, ApiClientRevoked

CLIENTS_MAX: Final = 50  # of a tenant
SECRETS_MAX: Final = 2  # the old one stays valid until all copies of the program have the new one


async def create(
    tenant: Tenant, uow: UnitOfWork, name: str, rights: tuple[str, ...], cause: Cause, now: datetime
) -> tuple[ApiClientRow, str]:
    """Add a client; return it with its first secret. Raises Conflict, Forbidden."""
    _check(cause, rights)
    if await store.count(uow.connection, tenant.tenant) >= CLIENTS_MAX:
        detail = f"The tenant already has {CLIENTS_MAX} API clients, which is the limit. Revoke a client that you no longer need."
        raise Conflict("too-many-clients", detail, clients_max=CLIENTS_MAX)
    entry, secret = _new_secret(now)
    client = ApiClientRow(ids.new_id(), name, rights, [entry], now, 1)
    await _save(tenant, uow, None, client, cause)
    return client, secret


async def change(tenant: Tenant, uow: UnitOfWork, before: ApiClientRow, name: str, rights: tuple[str, ...], cause: Cause) -> ApiClientRow:
    """Change the name or the rights of a client. Call under its lock. Raises Forbidden."""
    after = replace(before, name=name, rights=rights)
    _check(cause, tuple(set(before.rights) ^ set(rights)))
    return before if after == before else await _save(tenant, uow, before, after, cause)


async def add_secret(tenant: Tenant, uow: UnitOfWork, before: ApiClientRow, cause: Cause, now: datetime) -> tuple[str, str]:
    """Add a second secret; return its id and the secret. Call under the client's lock. Raises Conflict, Forbidden."""
    _check(cause, before.rights)
    if len(before.secrets) >= SECRETS_MAX:
        detail = f"The client already has {SECRETS_MAX} secrets, which is the limit. Remove the one that is no longer in use."
        raise Conflict("too-many-secrets", detail, secrets=[each["id"] for each in before.secrets])
    entry, secret = _new_secret(now)
    await _save(tenant, uow, before, replace(before, secrets=[*before.secrets, entry]), cause)
    return entry["id"], secret


async def remove_secret(tenant: Tenant, uow: UnitOfWork, before: ApiClientRow, secret_id: str, cause: Cause) -> None:
    """Remove a secret. Call under the client's lock. Raises NotFound."""
    left = [each for each in before.secrets if each["id"] != secret_id]
    if len(left) == len(before.secrets):
        raise NotFound("secret")
    await _save(tenant, uow, before, replace(before, secrets=left), cause)


async def revoke(tenant: Tenant, uow: UnitOfWork, client: ApiClientRow, cause: Cause) -> None:
    """Delete a client. Its last token ends with its lifetime of a few minutes."""
    await store.remove(uow.connection, tenant.tenant, client.client)
    event = ApiClientRevoked(at=tenant.now, actor=cause.actor, client=client.client, name=client.name)
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)


async def locked(tenant: Tenant, uow: UnitOfWork, client: str) -> ApiClientRow:
    """Return the client, locked for a change. Raises NotFound."""
    found = await store.lock(uow.connection, tenant.tenant, client)
    if found is None:
        raise NotFound("API client")
    return found


def _check(cause: Cause, rights: tuple[str, ...]) -> None:
    """Raise Forbidden if the sender of the request lacks some of the rights, or has a viewset: a client sees all people."""
    if cause.authority is not None:
        check_sees_everybody(cause.authority)
        check_covered(cause.authority, rights, "The client has or would have")


def _new_secret(now: datetime) -> tuple[dict[str, Any], str]:
    secret = opaque.new_secret()
    return {"id": ids.new_id(), "hash": opaque.hash_of(secret).hex(), "created_at": format_instant(now)}, secret


async def _save(tenant: Tenant, uow: UnitOfWork, before: ApiClientRow | None, after: ApiClientRow, cause: Cause) -> ApiClientRow:
    after = after if before is None else replace(after, version=before.version + 1)
    await store.save(uow.connection, tenant.tenant, after)
    changes = changes_between(_shown(before), _shown(after))
    event = ApiClientChanged(
        at=tenant.now, actor=cause.actor, changes=changes, client=after.client, name=after.name, rights=after.rights, added=before is None
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
    return after


def _shown(client: ApiClientRow | None) -> dict[str, str]:
    """Return what the action log shows of a client. Secrets are named by their ids."""
    if client is None:
        return {}
    secrets = ", ".join(sorted(each["id"] for each in client.secrets))
    return {"name": client.name, "rights": ", ".join(client.rights), "secrets": secrets}
