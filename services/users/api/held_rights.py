"""Refuse changes by a caller who has lost rights since the access token was made.

Other services accept a token until it ends, at most five minutes later. Here that would be too long: with the last token somebody could
make what outlives it, such as an API client, a token of a SCIM connection, a role of somebody else, or an operator.
"""

from services.users.api.dependencies import Context
from services.users.store import api_clients, operators
from services.users.use_cases.rights import rights_of
from shared.errors import Unauthenticated
from shared.schemas.rights import OPERATOR
from shared.web.auth import OPERATOR_KIND, PERSON, Principal


async def check_held(context: Context, principal: Principal) -> None:
    """Raise Unauthenticated if the caller no longer has each right of the token, or sees only the people of some departments now."""
    held, is_limited = await _held(context, principal)
    if principal.rights <= held and not (is_limited and principal.departments is None):
        return
    raise Unauthenticated("invalid-token", "Your rights have changed since this access token was made. Request a new one.")


async def _held(context: Context, principal: Principal) -> tuple[frozenset[str], bool]:
    """Return the rights that the caller has now, and whether a viewset limits them."""
    async with context.database.unit_of_work(principal.tenant) as uow:
        if principal.tenant is None or principal.kind == OPERATOR_KIND:
            operator = await operators.get(uow.connection, principal.subject)
            return frozenset({OPERATOR} if operator is not None else ()), False
        if principal.kind == PERSON:
            granted = await rights_of(uow.connection, principal.tenant, principal.subject, context.clock.now())
            return granted.rights if granted.may_sign_in else frozenset(), granted.departments is not None
        client = await api_clients.get(uow.connection, principal.tenant, principal.subject)
        return frozenset(client.rights if client is not None else ()), False
