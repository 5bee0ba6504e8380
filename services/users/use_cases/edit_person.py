"""Changes of people by REST. Each is a fact of this service's own source, so that a later fact of an HR system is applied after it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from services.users.domain import person as rules
from services.users.domain.facts import RECORD_FIELDS, REST_SOURCE, SEQUENCE_MAX, Fact, FactType
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.required_modules import NO_MODULES
from services.users.store import timelines
from services.users.use_cases import people
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.seats_v1 import Reason

_ACCOUNT: Final = {"profile": "given_profile", "administrator": "administrator", "priority": "priority", "may_log_in": "may_log_in"}


@dataclass(frozen=True, slots=True)
class AccountEdit:
    profile: str | None = None
    administrator: bool = False
    priority: int = 0
    may_log_in: bool = True


def _check_profile(tenant: Tenant, profile: str | None) -> None:
    if profile is not None and profile not in tenant.settings.profiles:
        raise Invalid("body.profile", profile, "a profile of this tenant, or null")


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the record. An empty department means none, as in facts of HR systems, and an empty login means none."""
    given = {name: fields[name] for name in RECORD_FIELDS if name in fields}
    if "login" in given:
        given["login"] = given["login"] or ""
    if given.get("department") == "":
        given["department"] = None
    return given


async def create(tenant: Tenant, uow: UnitOfWork, external_id: str, fields: Mapping[str, Any], edit: AccountEdit, cause: Cause) -> Person:
    """Add a person. Raises Invalid, and Conflict if REST has added a person with this external id, or the login is in use."""
    _check_profile(tenant, edit.profile)
    user = ids.person_id(tenant.tenant, REST_SOURCE, external_id)
    unknown = Person(user, REST_SOURCE, external_id, created_at=tenant.now)
    account = replace(
        unknown.account,
        given_profile=edit.profile,
        administrator=edit.administrator,
        priority=edit.priority,
        may_log_in=edit.may_log_in,
    )
    fact = Fact(ids.new_id(), FactType.HIRED, tenant.today, 0, _given(fields), REST_SOURCE)
    return await people.add_person(tenant, uow, replace(unknown, account=account), fact, replace(cause, fact=FactType.HIRED))


async def change(tenant: Tenant, uow: UnitOfWork, before: Person, given: Mapping[str, Any], cause: Cause) -> Person:
    """Change the person. Call under the person's lock. Raises Invalid, and Conflict if the login is in use."""
    _check_profile(tenant, given.get("profile"))
    account = replace(before.account, **{_ACCOUNT[name]: value for name, value in given.items() if name in _ACCOUNT})
    facts = (await timelines.load(uow.connection, tenant.tenant, [before.user]))[before.user].facts
    record = _given(given)
    if record:
        facts = await _add(tenant, uow, before, facts, FactType.CHANGED, record)
    if given.get("status") == "left":
        facts = await _add(tenant, uow, before, facts, FactType.LEFT, {})
    after = rules.as_of(replace(before, account=account), facts, tenant)
    await people.check_login(tenant, uow, before, after)
    return await people.save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=replace(cause, fact=FactType.CHANGED)), None)


async def reactivate(tenant: Tenant, uow: UnitOfWork, before: Person, modules: tuple[str, ...] | None, cause: Cause) -> Person:
    """Let the person log in again, hire a leaver again with the last known data, and send the modules whose revocations end.

    Without `modules`, these are all required modules. Call under the person's lock. Raises Invalid, Conflict.
    """
    facts = (await timelines.load(uow.connection, tenant.tenant, [before.user]))[before.user].facts
    assert before.record is not None
    if not before.record.employed:
        given = {name: getattr(before.record, name) for name in RECORD_FIELDS}
        facts = await _add(tenant, uow, before, facts, FactType.HIRED, given)
    after = rules.as_of(replace(before, account=replace(before.account, may_log_in=True)), facts, tenant)
    await people.check_login(tenant, uow, before, after)
    required = after.standing.required.modules
    if modules is not None and (not_required := sorted(set(modules) - set(required))):
        raise Invalid("body.modules", not_required, "modules that the person requires: " + (", ".join(required) or "none"))
    if after.standing.required == NO_MODULES and after == before:
        raise Conflict("nothing-to-reactivate", "There is nothing to reactivate: the person may already log in and requires no module.")
    wanted = tuple(sorted(set(modules))) if modules is not None else required
    cause = replace(cause, reason=Reason.REACTIVATED.value)
    revision = rules.revise(before, after, at=tenant.now, cause=cause, reactivate=wanted if required else None)
    return await people.save(tenant, uow, revision, None)


async def _add(
    tenant: Tenant, uow: UnitOfWork, before: Person, facts: tuple[Fact, ...], type_: FactType, given: dict[str, Any]
) -> tuple[Fact, ...]:
    """Add one more fact of today, after all others of today: what an administrator states holds now."""
    last = max((fact.sequence for fact in facts if fact.effective_date == tenant.today), default=-1)
    fact = Fact(ids.new_id(), type_, tenant.today, min(last + 1, SEQUENCE_MAX), given, REST_SOURCE)
    await timelines.add_facts(uow.connection, tenant.tenant, before.user, [fact])
    return (*facts, fact)
