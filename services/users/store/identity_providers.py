"""The identity providers of tenants, the identities of people there, and sign-ins that have begun."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import DateTime, LargeBinary, Text, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, replacing, table_of

DRAFT: Final = "draft"
EFFECTIVE: Final = "effective"


@dataclass(frozen=True, slots=True)
class ProviderRow:
    tenant_id: str
    state: str
    issuer: str
    client_id: str
    sealed_secret: str | None
    match_claims: tuple[str, ...]
    trust_email: bool
    required: bool
    emergency_links: bool
    entered_by: str
    version: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class IdentityRow:
    tenant_id: str
    issuer: str
    subject: str
    user_id: str
    bound_at: datetime


@dataclass(frozen=True, slots=True)
class FlowRow:
    tenant_id: str
    state_hash: bytes
    flow_hash: bytes
    provider_state: str
    provider_version: str
    redirect_uri: str
    expires_at: datetime


PROVIDERS: Final = table_of("identity_providers", ProviderRow)
IDENTITIES: Final = table_of("identities", IdentityRow)
FLOWS: Final = table_of("sign_in_flows", FlowRow)
_P: Final = PROVIDERS.c
_I: Final = IDENTITIES.c
_F: Final = FLOWS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_STATE: Final = bindparam("of_state", type_=Text)
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_INSERT: Final = insert(PROVIDERS)
_SAVE: Final = replacing(_INSERT, ProviderRow, "tenant_id", "state")
_GET: Final = select(*columns_of(ProviderRow, PROVIDERS)).where(_P.tenant_id == _TENANT, _P.state == _STATE)
_REMOVE: Final = delete(PROVIDERS).where(_P.tenant_id == _TENANT)
_REMOVE_EFFECTIVE: Final = delete(PROVIDERS).where(_P.tenant_id == _TENANT, _P.state == EFFECTIVE)
_MAKE_EFFECTIVE: Final = (
    update(PROVIDERS)
    .where(_P.tenant_id == _TENANT, _P.state == DRAFT, _P.version == bindparam("of_version", type_=Text))
    .values(state=EFFECTIVE)
)
_BOUND: Final = select(_I.user_id).where(
    _I.tenant_id == _TENANT, _I.issuer == bindparam("issuer", type_=Text), _I.subject == bindparam("subject", type_=Text)
)
_OF_PERSON: Final = select(*columns_of(IdentityRow, IDENTITIES)).where(_I.tenant_id == _TENANT, _I.user_id == _USER).order_by(_I.issuer)
_BIND: Final = insert(IDENTITIES).on_conflict_do_nothing()
_UNBIND: Final = delete(IDENTITIES).where(_I.tenant_id == _TENANT, _I.user_id == _USER)
_ADD_FLOW: Final = insert(FLOWS)
_TAKE_FLOW: Final = (
    delete(FLOWS)
    .where(
        _F.state_hash == bindparam("state_hash", type_=LargeBinary),
        _F.flow_hash == bindparam("flow_hash", type_=LargeBinary),
        _F.expires_at > _NOW,
    )
    .returning(*columns_of(FlowRow, FLOWS))
)
_COUNT_FLOWS: Final = select(func.count()).select_from(FLOWS).where(_F.tenant_id == _TENANT)
_DELETE_OLD_FLOWS: Final = delete(FLOWS).where(_F.tenant_id == _TENANT, _F.expires_at <= _NOW)


async def get(connection: AsyncConnection, tenant_id: str, state: str) -> ProviderRow | None:
    return await one(connection, _GET, ProviderRow, tenant=tenant_id, of_state=state)


async def save(connection: AsyncConnection, provider: ProviderRow) -> None:
    """Save a provider in place of the one in its state."""
    await connection.execute(_SAVE, asdict(provider))


async def make_effective(connection: AsyncConnection, tenant_id: str, version: str) -> bool:
    """Make the draft effective in place of the present provider; return False if there is no such draft any more."""
    draft = await get(connection, tenant_id, DRAFT)
    if draft is None or draft.version != version:
        return False
    await connection.execute(_REMOVE_EFFECTIVE, {"tenant": tenant_id})
    return (await connection.execute(_MAKE_EFFECTIVE, {"tenant": tenant_id, "of_version": version})).rowcount == 1


async def remove(connection: AsyncConnection, tenant_id: str) -> int:
    """Delete the provider and its draft."""
    return (await connection.execute(_REMOVE, {"tenant": tenant_id})).rowcount


async def bound_user(connection: AsyncConnection, tenant_id: str, issuer: str, subject: str) -> str | None:
    """Return the person to whom an identity is bound."""
    user: str | None = (await connection.execute(_BOUND, {"tenant": tenant_id, "issuer": issuer, "subject": subject})).scalar_one_or_none()
    return user


async def bind(connection: AsyncConnection, identity: IdentityRow) -> bool:
    """Bind an identity to a person; return False if either is bound to another at this issuer."""
    return (await connection.execute(_BIND, asdict(identity))).rowcount == 1


async def identities_of(connection: AsyncConnection, tenant_id: str, user_id: str) -> Sequence[IdentityRow]:
    return await many(connection, _OF_PERSON, IdentityRow, tenant=tenant_id, user=user_id)


async def unbind(connection: AsyncConnection, tenant_id: str, user_id: str) -> int:
    """Delete the identities of a person; return how many these were."""
    return (await connection.execute(_UNBIND, {"tenant": tenant_id, "user": user_id})).rowcount


async def add_flow(connection: AsyncConnection, flow: FlowRow, now: datetime) -> None:
    """Add a sign-in that has begun, and delete those of the tenant that have expired."""
    await connection.execute(_DELETE_OLD_FLOWS, {"tenant": flow.tenant_id, "now": now})
    await connection.execute(_ADD_FLOW, asdict(flow))


async def count_flows(connection: AsyncConnection, tenant_id: str) -> int:
    return int((await connection.execute(_COUNT_FLOWS, {"tenant": tenant_id})).scalar_one())


async def take_flow(connection: AsyncConnection, state_hash: bytes, flow_hash: bytes, now: datetime) -> FlowRow | None:
    """Delete and return the sign-in, once. Call in the system's scope."""
    return await one(connection, _TAKE_FLOW, FlowRow, state_hash=state_hash, flow_hash=flow_hash, now=now)
