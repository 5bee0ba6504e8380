"""Operators: add and remove people of the vendor, and let them sign in. They belong to no tenant."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from services.users.domain.logins import login_key
from services.users.sign_in.identity_providers import email_verified
from services.users.store import operators as store
from services.users.store import sessions as sessions_store
from services.users.store.operators import VENDOR, OperatorRow
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Forbidden, NotFound

log = structlog.get_logger(__name__)


async def add(uow: UnitOfWork, email: str, name: str, by: str, now: datetime) -> OperatorRow:
    """Add an operator, who signs in by link or with the vendor's identity provider. Raises Conflict."""
    operator = OperatorRow(ids.new_id(), email, login_key(email), name, by, now)
    if not await store.add(uow.connection, operator):
        raise Conflict(
            "operator-exists",
            f"An operator with the e-mail address {email} already exists. Choose another address, or remove that operator first.",
        )
    log.info("operator_added", operator=operator.operator_id, by=by)
    return operator


async def remove(uow: UnitOfWork, operator_id: str, by: str) -> None:
    """Remove an operator and end the sessions. Access tokens end after at most five minutes, and those that read an opened
    tenant after at most thirty. Raises NotFound."""
    if not await store.remove(uow.connection, operator_id):
        raise NotFound("operator", "`GET /v1/operators` lists them.")
    await sessions_store.end_of(uow.connection, VENDOR, [operator_id])
    log.info("operator_removed", operator=operator_id, by=by)


async def of_claims(uow: UnitOfWork, claims: Mapping[str, Any], *, trust_email: bool) -> OperatorRow:
    """Return the operator whom an ID token of the vendor's identity provider names: at the first sign-in by e-mail address, and from then
    on by the account. Raises Forbidden."""
    identity = f"{claims['iss']} {claims['sub']}"
    if (known := await store.of_identity(uow.connection, identity)) is not None:
        return known
    email, verified = claims.get("email"), email_verified(claims)
    is_verified = trust_email if verified is None else verified
    found = await store.with_email(uow.connection, email) if isinstance(email, str) and is_verified else None
    if found is None or not await store.bind(uow.connection, found.operator_id, identity):
        raise Forbidden(
            "sign-in-refused",
            "No operator matches the account: its e-mail address must be verified and be that of an operator (`seatpool operator add`) who "
            "has not signed in with another account.",
        )
    return found
