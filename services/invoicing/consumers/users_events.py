"""Handlers of the events of users."""

from collections.abc import Mapping

from services.invoicing import store
from shared.database import UnitOfWork
from shared.messaging import Handler, Message
from shared.messaging.erasure import erase_kept
from shared.schemas import users_v1
from shared.schemas.base import Payload
from shared.schemas.topics import USERS_EVENTS, Topic


async def on_tenant(uow: UnitOfWork, message: Message[users_v1.TenantState]) -> None:
    await store.tenants.put(uow.connection, message.tenant, message.payload)


async def on_clock_advancing(uow: UnitOfWork, message: Message[users_v1.ClockAdvancing]) -> None:
    await store.tenants.note_advancing(uow.connection, message.tenant, message.payload.to)


async def on_clock_ready(uow: UnitOfWork, message: Message[users_v1.ClockReady]) -> None:
    await store.tenants.note_advancing(uow.connection, message.tenant, None)


async def on_person_erased(uow: UnitOfWork, message: Message[users_v1.PersonErased]) -> None:
    """Invoicing stores nothing about people, but a message about one can be a dead letter."""
    await erase_kept(uow, message.tenant, [message.payload.user])


HANDLERS: Mapping[type[Payload], Handler] = {
    users_v1.TenantCreated: on_tenant,
    users_v1.TenantChanged: on_tenant,
    users_v1.TenantRepublished: on_tenant,
    users_v1.ClockAdvancing: on_clock_advancing,
    users_v1.ClockReady: on_clock_ready,
    users_v1.PersonErased: on_person_erased,
}
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {USERS_EVENTS: tuple(HANDLERS)}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {
    USERS_EVENTS: (
        users_v1.PersonAdded,
        users_v1.PersonChanged,
        users_v1.PersonLeft,
        users_v1.PersonRepublished,
        users_v1.ProfileDefined,
        users_v1.DepartmentMapped,
        users_v1.RoleDefined,
        users_v1.RoleDeleted,
        users_v1.TenantOpenedByOperator,
        users_v1.LastOwnerLost,
        users_v1.ScimTokenEnding,
        users_v1.ApiClientChanged,
        users_v1.ApiClientRevoked,
        users_v1.ScimConnectionChanged,
        users_v1.ScimConnectionRemoved,
        users_v1.ScimTokenChanged,
        users_v1.ScimGroupMapped,
        users_v1.EmergencyLinkUsed,
        users_v1.SignInUnconfirmed,
        users_v1.SignInConfirmed,
        users_v1.IdentityProviderChanged,
        users_v1.SignInLinkRequested,
        users_v1.OperatorLinkRequested,
        users_v1.ChangesStopped,
        users_v1.PersonInvited,
        users_v1.InvitationExpired,
        users_v1.LicencesFree,
        users_v1.GraceEnding,
        users_v1.ConflictFound,
        users_v1.PossibleDuplicates,
        users_v1.HandOverDue,
        users_v1.PersonLinked,
        users_v1.PersonSeparated,
    )
}
