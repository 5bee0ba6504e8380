"""The caller: who the access token is for."""

from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from services.users.api.dependencies import Context, InContext, now_of
from services.users.store import operators
from services.users.store import people as people_store
from services.users.store import tenants as tenants_store
from shared.database import UnitOfWork
from shared.schemas.base import Instant
from shared.web import Principal, authenticated
from shared.web.auth import OPERATOR_KIND, PERSON
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, tags=["access"])


class OwnTenantView(BaseModel):
    tenant: str
    name: str
    time_zone: str
    locale: str
    clock: str = Field(description="real or test")
    now: Instant = Field(description="The present time of the tenant.")
    support_contact: str


class MeView(BaseModel):
    """The caller. What a token is for can be read without any right."""

    subject: str
    kind: str = Field(description="user (a person), operator, client or service")
    name: str | None
    login: str | None
    email: str | None
    is_unconfirmed: bool = Field(description="True if the login or the e-mail address was changed and does not count for sign-in yet.")
    digests: bool | None = Field(
        description="False: the person gets only e-mails about deadlines, and those about own seats. null: no person."
    )
    rights: list[str]
    departments: list[str] | None = Field(description="The departments whose people the caller sees; null: all people.")
    tenant: OwnTenantView | None = Field(description="null: the token is for all tenants, or the tenant does not exist.")


@router.get("/v1/me", summary="Get the person or client of the access token")
async def show_me(context: InContext, principal: Annotated[Principal, Depends(authenticated)]) -> MeView:
    async with context.database.unit_of_work(principal.tenant) as uow:
        tenant = await _tenant(context, uow, principal)
        names = await _names(uow, principal)
    return MeView(
        subject=principal.subject,
        kind=principal.kind,
        **asdict(names),
        rights=sorted(principal.rights),
        departments=None if principal.departments is None else sorted(principal.departments),
        tenant=tenant,
    )


async def _tenant(context: Context, uow: UnitOfWork, principal: Principal) -> OwnTenantView | None:
    row = await tenants_store.get(uow.connection, principal.tenant) if principal.tenant is not None else None
    if row is None:
        return None
    shown = {name: getattr(row, name) for name in ("name", "time_zone", "locale", "support_contact")}
    return OwnTenantView(tenant=row.tenant_id, clock="real" if row.at is None else "test", now=now_of(row, context.clock), **shown)


@dataclass(frozen=True, slots=True)
class _Names:
    """A client has none of them."""

    name: str | None = None
    login: str | None = None
    email: str | None = None
    is_unconfirmed: bool = False
    digests: bool | None = None


async def _names(uow: UnitOfWork, principal: Principal) -> _Names:
    """Return the names of a person or an operator."""
    if principal.kind == PERSON and principal.tenant is not None:
        person = await people_store.get(uow.connection, principal.tenant, principal.subject, None)
        if person is not None and person.record is not None:
            record = person.record
            return _Names(record.name or None, record.login or None, record.email or None, person.is_unconfirmed, person.account.digests)
    if principal.kind == OPERATOR_KIND:
        operator = await operators.get(uow.connection, principal.subject)
        if operator is not None:
            return _Names(operator.name, None, operator.email)
    return _Names()
