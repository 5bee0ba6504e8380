"""Let a changed login and e-mail address of a person who holds a role count for sign-in (domain/confirmation has the rule)."""

from dataclasses import replace

from services.users.domain import person as rules
from services.users.domain.person import Cause, Person, Tenant
from services.users.use_cases import people
from services.users.use_cases.rights import check_covered
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import SignInConfirmed


async def confirm(tenant: Tenant, uow: UnitOfWork, before: Person, login: str, email: str, cause: Cause) -> Person:
    """Let the login and the e-mail address that the person has now count for sign-in. Call under the person's lock.

    `login` and `email` are those that the sender has seen. Raises Forbidden unless the sender is the person or has all the person's rights,
    and Conflict.
    """
    authority, record = cause.authority, before.record
    if authority is not None and authority.user != before.user:
        check_covered(authority, before.standing.rights, "The person whose login or e-mail address you confirm has")
    if record is None or not before.is_unconfirmed:
        raise Conflict("nothing-to-confirm", "The person already signs in with the login and the e-mail address that are shown.")
    if (record.login, record.email) != (login, email):
        detail = "The login or the e-mail address is another than the one that you confirm. Read the person again, and check both."
        raise Conflict("sign-in-changed", detail)
    after = replace(before, confirmed_login=None, confirmed_email=None)
    person = await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), None)
    event = SignInConfirmed(at=tenant.now, actor=cause.actor, user=person.user)
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=person.user)
    return person
