"""Users of SCIM: a resource is a timeline of its connection about one person."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from scim2_models import (
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ScimFilter,
    SearchRequest,
    TooManyException,
    UniquenessException,
)

from services.users.domain.facts import Record
from services.users.domain.local_days import local_today
from services.users.domain.logins import login_key
from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import Cause, Person, Tenant, command_of, source_actor
from services.users.domain.scim_connections import ENTERPRISE, Deactivation, OnFull, ScimConnection, with_values
from services.users.domain.sources import Key
from services.users.domain.timelines import Report, Reported, Timeline
from services.users.scim.anchors import Anchors, List
from services.users.scim.creations import Creation
from services.users.scim.filters import Untranslatable, check_values, condition_of, indexed_equality, stored_text
from services.users.scim.models import PROVIDER, SEATS, USER
from services.users.scim.parts import in_parts
from services.users.scim.statements import copied_of, ended_report, problem_of, report_of, stated_document, still_copied
from services.users.store import module_states, scim_groups, timelines
from services.users.store import people as people_store
from services.users.store import scim_users as store
from services.users.store.scim_users import ScimUserRow, Seen, View
from services.users.store.timelines import Change
from services.users.use_cases import people, scim_copies, scim_guard
from services.users.use_cases import scim_groups as memberships
from services.users.use_cases.people import Received
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Unauthenticated
from shared.schemas.base import format_instant
from shared.schemas.seats_v1 import AssignSeats, Reason

ALL: Final = 2**62
EVALUATED_MAX: Final = 1000  # users on whom a filter is evaluated that the database cannot evaluate
MODEL: Final[Any] = PROVIDER.model_for("User")
_OWN: Final = frozenset({"id", "meta", "groups", "schemas", SEATS})  # what this service adds to a document


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for seats that a new user or a reactivation has caused. `is_repeated`: an earlier request has caused it, and the client
    repeats that."""

    resource_id: str
    command: AssignSeats
    is_new: bool
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Users:
    """The users of one connection, within one transaction."""

    tenant: Tenant
    uow: UnitOfWork
    connection: ScimConnection
    anchors: Anchors
    monotonic: Callable[[], float]
    asked: list[Asked] = field(default_factory=list)

    @property
    def _view(self) -> View:
        return View(self.tenant.tenant, self.connection.connection, self.connection.source)

    # ---------------------------------------------------------------------------------------------------------------- reading

    async def get(self, resource_id: str) -> dict[str, Any]:
        """Return the user as a document. Raises NotFoundException."""
        (document,) = await self.documents([await self._seen(resource_id)])
        return document

    async def _seen(self, resource_id: str) -> Seen:
        seen = await store.by_id(self.uow.connection, self._view, resource_id)
        if seen is None:
            raise NotFoundException(detail=f"There is no user {resource_id!r}")
        return seen

    async def search(self, request: SearchRequest[Any]) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of users who match and the documents of a page. Raises InvalidFilterException, TooManyException."""
        chosen, rest = [], None
        users: list[str] | None = None
        if request.filter is not None:
            bound = ScimFilter[MODEL](request.filter)
            check_values(bound.ast)
            equality = indexed_equality(bound)
            if equality is not None:
                users = await store.by_equality(self.uow.connection, self._view, *equality)
            elif (text := stored_text(bound)) is not None:
                users = await store.by_text(self.uow.connection, self._view, *text)
            try:
                chosen = [condition_of(bound)]
            except Untranslatable:
                rest = bound
        begin = request.start_index or 1
        if rest is not None:
            found = await self._evaluated(rest, users)
            end = len(found) if request.count is None else begin - 1 + request.count
            return len(found), found[begin - 1 : end]
        of, now = List(self.tenant.tenant, self.connection.connection, str(request.filter or "")), self.monotonic()
        anchor = self.anchors.find(of, begin, now)
        skip, after = (begin - 1, -1) if anchor is None else (0, anchor)
        limit = ALL if request.count is None else request.count
        if users == []:
            return 0, []
        if chosen or users is not None:
            seen, left = await store.page(self.uow.connection, self._view, chosen, users, after, skip, limit)
            if left is None and skip:
                _, left = await store.page(self.uow.connection, self._view, chosen, users, after, 0, 1)
        else:
            seen = await store.page_of_all(self.uow.connection, self._view, after, skip, limit)
            left = await store.count_of_all(self.uow.connection, self._view, after)
        if seen:
            self.anchors.add(of, begin + len(seen), seen[-1].arrival, now)
        total = left or 0
        return (total if anchor is None else begin - 1 + total), await self.documents(seen)

    async def _evaluated(self, scim_filter: ScimFilter[Any], users: Sequence[str] | None) -> list[dict[str, Any]]:
        seen, _ = await store.page(self.uow.connection, self._view, (), users, -1, 0, EVALUATED_MAX + 1)
        if len(seen) > EVALUATED_MAX:
            raise TooManyException(
                detail=f"This filter can be evaluated on at most {EVALUATED_MAX} users. Filter by userName, externalId or emails.value."
            )
        documents = in_parts(await self.documents(seen))
        return [document async for document in documents if scim_filter.match(MODEL.model_validate(document))]

    async def documents(self, seen: Sequence[Seen]) -> list[dict[str, Any]]:
        """Return users as SCIM shows them."""
        tenant = self.tenant.tenant
        states = await module_states.load(self.uow.connection, tenant, [each.user_id for each in seen])
        groups = await scim_groups.of_members(self.uow.connection, self._view, [each.id for each in seen])
        return [_document(each, states[each.user_id], groups.get(each.id, ())) for each in seen]

    # --------------------------------------------------------------------------------------------------------------- changing

    async def create(self, resource: Resource[Any]) -> dict[str, Any]:
        """Add a user. Raises UniquenessException if the name is in use, InvalidValueException."""
        document = sent(resource)
        refuses = self.connection.on_full == OnFull.REFUSE
        if refuses and (attempt := await store.attempt(self.uow.connection, self._view, login_key(document["userName"]))) is not None:
            await self._note_asked(attempt, is_new=True, is_repeated=True)
            return await self.get(attempt)
        (shown,) = await self.create_all([Creation(document, ids.new_id(), None)])
        if isinstance(shown, Exception):
            raise shown
        if refuses:
            await self._note_asked(shown["id"], is_new=True)
            if not self.asked and (row := await store.lock(self.uow.connection, self._view, shown["id"])) is not None:
                await store.save(self.uow.connection, self._view, replace(row, attempt=False))
        return shown

    async def create_all(self, creations: Sequence[Creation]) -> list[dict[str, Any] | UniquenessException]:
        """Add users; return each, or the refusal of a name that is in use. A user whom an earlier attempt stored is returned as well."""
        keys = [login_key(each.document["userName"]) for each in creations]
        await self.uow.lock(people_store.CLAIMS, self.tenant.tenant)
        taken = await store.names_in_use(self.uow.connection, self._view, keys)
        if taken is None:
            raise connection_removed()
        added: dict[str, tuple[ScimUserRow, Creation]] = {}
        others: dict[int, dict[str, Any] | UniquenessException] = {}
        for number, (key, each) in enumerate(zip(keys, creations, strict=True)):
            if key in taken or key in added:
                stored = await store.by_id(self.uow.connection, self._view, each.resource_id) if key in taken else None
                others[number] = (await self.documents([stored]))[0] if stored is not None else _in_use(each.document["userName"])
                continue
            document = each.document if each.document.get("active") is not None else each.document | {"active": True}
            row = _row(each.resource_id, document, 1, self.tenant.now, self.tenant.now)
            added[key] = replace(row, attempt=self.connection.on_full == OnFull.REFUSE), each
        if added:
            await store.add(self.uow.connection, self._view, [row for row, _ in added.values()])
        received = [self._received(row, self._report_of_new(row), context=each.context) for row, each in added.values()]
        found = await people.apply_statements(self.tenant, self.uow, received, are_new=True) if received else {}
        shown = {key: await self._changed(row, found[Key(self.connection.source, row.resource_id)]) for key, (row, _) in added.items()}
        return [others[number] if number in others else shown[key] for number, key in enumerate(keys)]

    async def _changed(self, row: ScimUserRow, person: Person) -> dict[str, Any]:
        """Return a user who was added or changed just now, without reading what is known."""
        seen = _seen_after(row, person)
        if person.user == ids.person_id(self.tenant.tenant, self.connection.source, row.resource_id) and row.version == 1:
            return _document(seen, {}, ())  # seats has decided nothing, and no group has the new id
        (document,) = await self.documents([seen])
        return document

    async def _note_asked(self, resource_id: str, *, is_new: bool, is_repeated: bool = False) -> None:
        """Note that seats is asked for the modules of the person, if it is."""
        user = await store.person_of(self.uow.connection, self._view, resource_id)
        person = await people_store.get(self.uow.connection, self.tenant.tenant, user or "", self.tenant.today)
        if person is not None and person.standing.required.modules:
            self.asked.append(Asked(resource_id, command_of(person, Reason.HIRED.value, ()), is_new, is_repeated))

    async def end_attempt(self, asked: Asked, *, take_back: bool) -> None:
        """End the attempt of a connection that refuses users without a licence: keep the change, or take it back."""
        await self.uow.lock(people_store.CLAIMS, self.tenant.tenant)
        row = await store.lock(self.uow.connection, self._view, asked.resource_id)
        if row is None:
            return
        if not take_back:
            await store.save(self.uow.connection, self._view, replace(row, attempt=False))
        elif asked.is_new:
            report = ended_report(_stated(row), self._since(row), self.connection.user_types, self.tenant.today)
            await self._apply(replace(row, version=row.version + 1), report)
            await store.delete(self.uow.connection, self._view, [row.resource_id], self.tenant.now)
        else:
            document = dict(row.document) | {"active": False}
            back = _row(row.resource_id, document, row.version + 1, row.created_at, row.modified_at, row.copied)
            await store.save(self.uow.connection, self._view, back)
            await self._apply(back, await self._report(back))

    async def start(self, resource_id: str) -> dict[str, Any]:
        """Return the user for a change, locked. If only other sources know the person, the timeline of the connection starts here."""
        await self.uow.lock(people_store.CLAIMS, self.tenant.tenant)
        if await store.lock(self.uow.connection, self._view, resource_id) is None:
            seen = await self._seen(resource_id)
            await people_store.lock(self.uow.connection, self.tenant.tenant, seen.user_id, self.tenant.today)
            seen = await self._seen(resource_id)  # another request may have started it meanwhile
            if seen.resource_id is None:
                await self._link(seen)
        return await self.get(resource_id)

    async def update(self, resource: Resource[Any], expected_version: str | None, patched: Collection[str] | None = None) -> dict[str, Any]:
        """Replace the user; `patched` are the attributes that a PATCH names. Raises NotFoundException, PreconditionFailedException,
        UniquenessException, InvalidValueException."""
        resource_id = str(resource.id)
        current = await self.start(resource_id)
        if expected_version is not None and _resource_version(current["meta"]["version"]) != _resource_version(expected_version):
            raise PreconditionFailedException
        before = await store.lock(self.uow.connection, self._view, resource_id)
        assert before is not None, "it was started"
        document = sent(resource, before.document)
        await self._check_manager(document, resource_id)
        if login_key(document["userName"]) != before.user_name_key:
            await self._check_name(document["userName"], resource_id)
        copied = still_copied(before.copied, before.document, document, patched)
        after = _row(resource_id, document, before.version + 1, before.created_at, self.tenant.now, copied)
        if document.get("active") is None:  # only a statement lets somebody in again
            after = replace(after, active=before.active)
        await store.save(self.uow.connection, self._view, after)
        reason = Reason.REACTIVATED if after.active and not before.active else None
        person = await self._apply(after, await self._report(after), reason, guarded=before.active and not after.active)
        if reason is not None and self.connection.on_full == OnFull.REFUSE:
            await self._note_asked(resource_id, is_new=False)
        return await self._changed(after, person)

    async def delete(self, resource_id: str, expected_version: str | None) -> None:
        """Delete the user: the connection no longer states anything about the person. Raises as `update` does."""
        current = await self.start(resource_id)
        if expected_version is not None and _resource_version(current["meta"]["version"]) != _resource_version(expected_version):
            raise PreconditionFailedException
        row = await store.lock(self.uow.connection, self._view, resource_id)
        assert row is not None, "it was started"
        row = replace(row, version=row.version + 1)
        was_in_groups = await scim_groups.leave_all(self.uow.connection, self._view, resource_id)
        report = ended_report(_stated(row), self._since(row), self.connection.user_types, self.tenant.today)
        await self._apply(row, report, guarded=True, left_groups=was_in_groups)
        await store.delete(self.uow.connection, self._view, [resource_id], self.tenant.now)
        if was_in_groups:
            await memberships.members_changed(self.tenant, self.uow, self._view, [resource_id], Cause(source_actor(self.connection.source)))

    async def _check_name(self, user_name: str, resource_id: str) -> None:
        """Raise UniquenessException if another employed person of the tenant, or another resource, has the name.

        Until the transaction ends, another one that asks about this name waits here.
        """
        key = login_key(user_name)
        user = await store.person_of(self.uow.connection, self._view, resource_id) or ""
        holder, other = await store.holders(self.uow.connection, self._view, key, user)
        if holder is not None or (other is not None and other != resource_id):
            raise _in_use(user_name)

    async def _check_manager(self, document: Mapping[str, Any], resource_id: str) -> None:
        """Raise InvalidValueException if the manager of the user reports to the user. A new user manages nobody."""
        manager = ((document.get(ENTERPRISE) or {}).get("manager") or {}).get("value")
        if manager and await store.is_above(self.uow.connection, self._view, resource_id, manager):
            detail = f"{ENTERPRISE}:manager: a user who does not report to this user expected (got {manager!r})"
            raise InvalidValueException(detail=detail)

    async def _report(self, row: ScimUserRow) -> Report:
        # Of whom another source decides, only the login is blocked: the end of a connection alone would change nothing.
        if self._ends(row) and await store.is_known_to_others(self.uow.connection, self._view, row.resource_id):
            return report_of(_stated(row), self._since(row), self.connection.user_types, active=row.active)
        return self._report_of_new(row)

    def _report_of_new(self, row: ScimUserRow) -> Report:
        """Return the report of a user about whom no other source is known to state anything."""
        user_types, since = self.connection.user_types, self._since(row)
        if self._ends(row):
            return ended_report(_stated(row), since, user_types, self.tenant.today)
        return report_of(_stated(row), since, user_types, active=row.active)

    def _ends(self, row: ScimUserRow) -> bool:
        return not row.active and self.connection.deactivation == Deactivation.LEAVES

    def _since(self, row: ScimUserRow) -> Any:
        return local_today(row.created_at, self.tenant.zone)

    async def _apply(
        self, row: ScimUserRow, report: Report, reason: str | None = None, *, guarded: bool = False, left_groups: bool = False
    ) -> Person:
        """State what the resource says about its person, who is returned. `left_groups`: it was in groups until now. Raises Stopped if it
        is `guarded` and ends the access of too many."""
        received = self._received(row, report, reason)
        copies = await scim_copies.of_ended(self.tenant, self.uow, [received])
        if guarded:
            await scim_guard.check(self.tenant, self.uow, self.connection, received, copies.received)
        await copies.save(self.uow)
        found = await people.apply_statements(self.tenant, self.uow, [*copies.received, received], left_groups=left_groups)
        return found[Key(self.connection.source, row.resource_id)]

    def _received(self, row: ScimUserRow, report: Report, reason: str | None = None, context: Context | None = None) -> Received:
        cause = Cause(source_actor(self.connection.source), reason)
        return Received(self.connection.source, row.resource_id, Reported(row.version, report), cause, None, context)

    async def _link(self, seen: Seen) -> None:
        """Start a timeline about a person whom other sources know. What the connection sees is copied, and no statement of the connection:
        else an address that only a sender of HR data has stated would count as one of the identity system."""
        document = _of_person(seen)
        _, other = await store.holders(self.uow.connection, self._view, login_key(seen.login), seen.user_id)
        if other is not None:
            detail = f"The user {other!r} has the userName {seen.login!r} as well. First change the userName of that user."
            raise UniquenessException(detail=detail)
        row = _row(seen.id, document, 1, self.tenant.now, self.tenant.now, copied_of(document))
        await store.add(self.uow.connection, self._view, [row])
        empty = Change(Key(self.connection.source, row.resource_id), seen.user_id, None, Timeline())
        await timelines.save(self.uow.connection, self.tenant.tenant, [empty], self.tenant.now)
        await self._apply(row, await self._report(row))


def _in_use(user_name: str) -> UniquenessException:
    return UniquenessException(
        detail=f"The userName {user_name!r} is in use. Find its user with the filter userName eq, and change that user. If the filter "
        "finds nobody, another source states this login of a user who has another userName here; change it in that source."
    )


def connection_removed() -> Unauthenticated:
    """Return the refusal of a request whose connection was removed while its token was still known."""
    return Unauthenticated("invalid-token", "The SCIM connection of the token was removed.")


def sent(resource: Resource[Any], before: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return what a client sent; `before` is the document that it changes. Raises InvalidValueException."""
    document = {name: value for name, value in resource.model_dump().items() if name not in _OWN}
    if (problem := problem_of(document, before)) is not None:
        raise InvalidValueException(detail=problem)
    if not (document.get("userName") or "").strip() or not login_key(document["userName"]):
        raise InvalidValueException(detail="userName: a text that is not empty expected")
    return document


def _stated(row: ScimUserRow) -> Mapping[str, Any]:
    return stated_document(row.document, row.copied)


def _row(
    resource_id: str,
    document: dict[str, Any],
    version: int,
    created_at: datetime,
    modified_at: datetime,
    copied: tuple[str, ...] = (),
) -> ScimUserRow:
    emails = tuple(each["value"].lower() for each in document.get("emails") or () if each.get("value"))
    active = document.get("active") is not False
    key, external_id = login_key(document["userName"]), document.get("externalId")
    return ScimUserRow(resource_id, key, external_id, emails, active, document, version, created_at, modified_at, copied=copied)


def _seen_after(row: ScimUserRow, person: Person) -> Seen:
    """Return a user as the connection sees the person once this transaction has ended."""
    record, standing = person.record or Record(employed=False), person.standing
    return Seen(
        user_id=person.user,
        arrival=0,
        status=standing.status,
        login=record.login,
        email=record.email,
        name=record.name,
        job_title=record.job_title,
        department=record.department,
        required_modules=standing.required.modules,
        person_version=person.version,
        person_created_at=person.created_at,
        next_number=0,
        resource_id=row.resource_id,
        external_id=row.external_id,
        active=row.active,
        document=row.document,
        version=row.version,
        created_at=row.created_at,
        modified_at=row.modified_at,
    )


def _document(seen: Seen, states: Mapping[str, Seat], groups: Sequence[scim_groups.Membership]) -> dict[str, Any]:
    document = dict(seen.document) if seen.document is not None else _of_person(seen)
    own = {"schemas": [USER, *((ENTERPRISE,) if ENTERPRISE in document else ()), SEATS], "id": seen.id}
    document = own | document
    if groups:
        document["groups"] = [{"value": each.group_id, "$ref": f"Groups/{each.group_id}", "display": each.display_name} for each in groups]
    document[SEATS] = {"status": seen.status, "modules": _modules(seen, states)}
    if not document[SEATS]["modules"]:
        del document[SEATS]["modules"]
    document["meta"] = {
        "resourceType": "User",
        "created": _shown(seen.created_at or seen.person_created_at),
        "lastModified": _shown(seen.modified_at or seen.person_created_at),
        "version": f'W/"{seen.version or 0}.{seen.person_version}"',
    }
    return document


def _of_person(seen: Seen) -> dict[str, Any]:
    """Return the document of a person about whom the connection has stated nothing."""
    return with_values({"userName": seen.login, "active": True}, seen)


def _modules(seen: Seen, states: Mapping[str, Seat]) -> list[dict[str, Any]]:
    """Return the required modules, and others until they are released."""
    found = {module: seat for module, seat in states.items() if seat.state is not ModuleState.RELEASED}
    shown = []
    for module in sorted({*seen.required_modules, *found}):
        seat = found.get(module)
        each = {"value": module, "state": (seat.state if seat is not None else ModuleState.PENDING).value}
        if seat is not None and seat.reason:
            each["reason"] = seat.reason
        if seat is not None and seat.deadline is not None:
            each["deadline"] = format_instant(seat.deadline)
        shown.append(each)
    return shown


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _resource_version(version: str) -> str:
    """Return the part of a version that the requests of the connection change. While one of them is served, seats or another source can
    change the rest, and the client did not ask that they do not."""
    return version.partition(".")[0]
