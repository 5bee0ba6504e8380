"""Groups of SCIM. Members are changed by themselves, and never read all at once: there may be 100,000."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any, Final

from scim2_models import (
    InvalidFilterException,
    InvalidPathException,
    InvalidValueException,
    NotFoundException,
    PatchOp,
    PatchOperation,
    PayloadTooLargeException,
    PreconditionFailedException,
    Resource,
    ScimFilter,
    SearchRequest,
)
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, Not, Present, ValuePath
from sqlalchemy import ColumnElement, and_, false, func, not_, or_, true

from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.scim_connections import ScimConnection
from services.users.scim.filters import check_values
from services.users.scim.models import GROUP, PROVIDER
from services.users.scim.statements import TEXT_MAX
from services.users.store import scim_groups as store
from services.users.store.people import comparable
from services.users.store.scim_groups import G, GroupRow
from services.users.store.scim_users import View
from services.users.use_cases import scim_groups as memberships
from services.users.use_cases.scim_groups import AT_ONCE_MAX
from shared import ids
from shared.database import UnitOfWork
from shared.text import HIDDEN_REFUSED, can_be_seen, has_hidden

MEMBERS_MAX: Final = 100_000
MODEL: Final[Any] = PROVIDER.model_for("Group")
_COMPARED: Final = (CompareOperator.eq, CompareOperator.ne, CompareOperator.co, CompareOperator.sw, CompareOperator.ew)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one connection, within one transaction."""

    tenant: Tenant
    uow: UnitOfWork
    connection: ScimConnection

    @property
    def _view(self) -> View:
        return View(self.tenant.tenant, self.connection.connection, self.connection.source)

    async def row(self, group_id: str, *, lock: bool = False) -> GroupRow:
        """Return the group. Raises NotFoundException."""
        found = await store.get(self.uow.connection, self._view, group_id, lock=lock)
        if found is None:
            raise NotFoundException(detail=f"There is no group {group_id!r}")
        return found

    async def members_json(self, group_id: str) -> str:
        return await store.members_json(self.uow.connection, self._view, group_id)

    async def search(self, request: SearchRequest[Any]) -> tuple[int, list[GroupRow]]:
        """Return the number of groups that match, and a page of them. Raises InvalidFilterException."""
        chosen = [] if request.filter is None else [_condition(ScimFilter[MODEL](request.filter))]
        total = await store.count(self.uow.connection, self._view, chosen)
        limit = total if request.count is None else request.count
        rows = await store.page(self.uow.connection, self._view, chosen, (request.start_index or 1) - 1, limit) if limit else []
        return total, rows

    async def create(self, resource: Resource[Any], members: Collection[str]) -> GroupRow:
        """Add a group. Raises InvalidValueException, PayloadTooLargeException."""
        name, external_id = _sent(resource)
        row = GroupRow(ids.new_id(), name, external_id, 0, None, None, 1, self.tenant.now, self.tenant.now)
        await store.add(self.uow.connection, self._view, row)
        if members:
            added = await self._add(row, members)
            row = replace(row, members=len(added))
            await store.save(self.uow.connection, self._view, row)
            await self._changed(row, added)
        return row

    async def replace(self, before: GroupRow, resource: Resource[Any], members: Collection[str] | None) -> GroupRow:
        """Replace a locked group. Without `members`, they stay as they are. Raises InvalidValueException, PayloadTooLargeException."""
        name, external_id = _sent(resource, before.display_name)
        after, moved = replace(before, display_name=name, external_id=external_id), _Moved()
        if members is not None:
            after = replace(after, members=await self._change_members(before, MemberChange("replace", list(members)), moved))
        return await self._saved(before, after, moved)

    async def patch(self, before: GroupRow, patch: "PatchOp[Any]") -> GroupRow:
        """Apply a PATCH to a locked group. Raises InvalidPathException, InvalidValueException, PayloadTooLargeException."""
        after, count, moved = before, before.members, _Moved()
        for operation in patch.operations or ():
            rest, members = _split(operation)
            if members is not None:
                count = await self._change_members(replace(before, members=count), members, moved)
            if rest is not None:
                resource = MODEL(display_name=after.display_name, external_id=after.external_id)
                PatchOp[MODEL](operations=[rest]).patch(resource)
                name, external_id = _sent(resource, before.display_name)
                after = replace(after, display_name=name, external_id=external_id)
        return await self._saved(before, replace(after, members=count), moved)

    async def delete(self, row: GroupRow) -> None:
        """Delete a locked group."""
        members = await store.member_ids(self.uow.connection, self._view, row.group_id, AT_ONCE_MAX + 1) if _is_mapped(row) else []
        await store.remove(self.uow.connection, self._view, row.group_id)
        await self._changed(row, members)

    async def _change_members(self, row: GroupRow, change: "MemberChange", moved: "_Moved") -> int:
        """Change members, and note them in `moved`; return how many there are."""
        added: Sequence[str] = ()
        removed: Sequence[str] = ()
        match change.op:
            case "add":
                added = await self._add(row, change.ids)
            case "remove" if change.ids is not None:
                removed = await store.remove_members(self.uow.connection, self._view, row.group_id, change.ids)
            case _:
                given = change.ids or ()
                removed = await store.remove_others(self.uow.connection, self._view, row.group_id, given)
                added = await self._add(replace(row, members=row.members - len(removed)), given)
        moved.note(added, removed)
        return row.members + len(added) - len(removed)

    async def _add(self, row: GroupRow, members: Collection[str] | None) -> Sequence[str]:
        """Add members; return those who are new.

        Ids that no user has are ignored: a client whose request was refused as a whole (400) would stop all changes of the group.
        """
        if not members:
            return ()
        if len(members) > MEMBERS_MAX:
            raise _too_many()
        added = await store.add_members(self.uow.connection, self._view, row.group_id, members)
        if row.members + len(added) > MEMBERS_MAX:
            raise _too_many()
        return added

    async def _changed(self, row: GroupRow, members: Collection[str]) -> None:
        """Give these people what their groups give them now."""
        if members and _is_mapped(row):
            cause = Cause(source_actor(self.connection.source))
            await memberships.members_changed(self.tenant, self.uow, self._view, members, cause)

    async def _saved(self, before: GroupRow, after: GroupRow, moved: "_Moved") -> GroupRow:
        if after == before and not moved.everybody:
            return before
        after = replace(after, version=before.version + 1, modified_at=self.tenant.now)
        await store.save(self.uow.connection, self._view, after)
        # Who gives up licences comes first, in whatever order the client wrote it: replacing a member needs no further licence.
        members = moved.everybody
        await self._changed(after, [each for each, is_member in members.items() if not is_member])
        await self._changed(after, [each for each, is_member in members.items() if is_member])
        return after


@dataclass(slots=True)
class _Moved:
    """Users who were added to a group or removed from it by one request, and whether they are members after it."""

    everybody: dict[str, bool] = field(default_factory=dict)

    def note(self, added: Iterable[str], removed: Iterable[str]) -> None:
        self.everybody |= dict.fromkeys(removed, False) | dict.fromkeys(added, True)


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A change of members: `add`, `remove` (without ids: all) or `replace`."""

    op: str
    ids: Sequence[str] | None


def _is_mapped(row: GroupRow) -> bool:
    return row.profile is not None or row.role is not None


def _too_many() -> PayloadTooLargeException:
    return PayloadTooLargeException(detail=f"A group can have at most {MEMBERS_MAX} members")


def _sent(resource: Resource[Any], before: str = "") -> tuple[str, str | None]:
    """Return the name and the external id of a group; `before` is its present name."""
    name, external_id = resource.display_name, resource.external_id  # type: ignore[attr-defined]
    if not can_be_seen(name or "") or len(name) > TEXT_MAX:
        raise InvalidValueException(detail=f"displayName: a text of 1 to {TEXT_MAX} characters, of which one can be seen, expected")
    if name != before and has_hidden(name):
        raise InvalidValueException(detail=f"displayName: {HIDDEN_REFUSED} expected")
    if external_id is not None and len(external_id) > TEXT_MAX:
        raise InvalidValueException(detail=f"externalId: a text of at most {TEXT_MAX} characters expected")
    return name, external_id


def member_ids(members: Iterable[Any] | None) -> list[str]:
    """Return the ids in a list of members. Raises InvalidValueException."""
    found: dict[str, None] = {}
    for each in [] if members is None else members if isinstance(members, list) else [members]:
        value = _value_in(each) if isinstance(each, dict) else getattr(each, "value", each)
        if not isinstance(value, str) or not value or len(value) > TEXT_MAX:
            raise InvalidValueException(detail="members: each has the id of a user as `value`")
        found[value] = None
    return list(found)


def _value_in(member: dict[str, Any]) -> Any:
    """Return the `value` of a member. Names are compared without regard to case; there may be 100,000 members that are written as usual."""
    return member["value"] if "value" in member else next((each for name, each in member.items() if name.lower() == "value"), None)


def _split(operation: PatchOperation[Any]) -> tuple[PatchOperation[Any] | None, MemberChange | None]:
    """Return what an operation does to the group itself, and what it does to its members."""
    path, op = operation.path, str(operation.op)
    if path is None or not str(path).strip():
        value = operation.value
        if not isinstance(value, dict):
            raise InvalidValueException(detail="value: an object expected, as the operation has no path")
        named = {name.lower(): name for name in value}
        members = named.get("members") or named.get(f"{GROUP}:members".lower())
        rest = {name: each for name, each in value.items() if name != members}
        change = None if members is None else MemberChange(op, member_ids(value[members]))
        return (operation.model_copy(update={"value": rest}) if rest else None), change
    text = str(path)
    head = text.removeprefix(f"{GROUP}:").partition("[")[0].strip().lower()
    if head == "members":
        ids_ = _selected(path) if "[" in text else None
        if ids_ is None and operation.value is not None:
            ids_ = member_ids(operation.value)
        if ids_ is None and op != "remove":
            raise InvalidValueException(detail="value: a list of members expected")
        if "[" in text and op != "remove":
            raise InvalidPathException(detail="Members can be selected to be removed only", path=text)
        return None, MemberChange(op, ids_)
    if head.startswith("members."):
        raise InvalidPathException(detail="A member has no attribute that can be changed", path=text)
    return operation, None


def _selected(path: Any) -> list[str]:
    """Return the ids in `members[value eq "…"]`. Raises InvalidFilterException."""
    node = path.ast
    if not isinstance(node, ValuePath) or node.sub_attr is not None:
        raise InvalidPathException(detail='Members are selected with members[value eq "…"]', path=str(path))
    return list(_ids_of(node.val_filter))


def _ids_of(node: FilterNode) -> Iterable[str]:
    match node:
        case Comparison() if node.attr_path.attr.lower() == "value" and node.op is CompareOperator.eq and isinstance(node.value, str):
            yield node.value
        case LogicalExpr() if node.op is LogicalOperator.or_:
            for term in node.terms:
                yield from _ids_of(term)
        case _:
            raise InvalidFilterException(detail='Members are selected with value eq "…" only')


def _condition(scim_filter: ScimFilter[Any]) -> ColumnElement[bool]:
    check_values(scim_filter.ast)
    return _condition_of(scim_filter, scim_filter.ast)


def _condition_of(scim_filter: ScimFilter[Any], node: FilterNode) -> ColumnElement[bool]:
    """Return the filter as a condition on the columns G. Raises InvalidFilterException."""
    match node:
        case LogicalExpr():
            terms = [_condition_of(scim_filter, term) for term in node.terms]
            return and_(*terms) if node.op is LogicalOperator.and_ else or_(*terms)
        case ValuePath() if node.sub_attr is None and node.attr_path.attr.lower() == "members":
            return or_(*(store.has_member(member) for member in _ids_of(node.val_filter)))
        case Not():
            return not_(func.coalesce(_condition_of(scim_filter, node.expr), false()))  # a group may have no external id
        case Present():
            binding = scim_filter.resolve(node.attr_path)
            match binding.urn.rpartition(":")[2] if binding is not None else "":
                case "displayName" | "id" | "meta" | "meta.created" | "meta.lastModified":
                    return true()
                case "externalId":
                    return func.coalesce(G.external_id, "") != ""
                case "members" | "members.value":
                    return G.members > 0
        case Comparison() if isinstance(node.value, str) and node.op in _COMPARED:
            binding = scim_filter.resolve_comparison(node.attr_path)
            name = binding.urn.rpartition(":")[2] if binding is not None else ""
            if binding is not None and name in ("members.value", "members") and node.op is CompareOperator.eq:
                return store.has_member(node.value)
            columns: dict[str, ColumnElement[Any]] = {
                "displayName": comparable(G.display_name),
                "externalId": G.external_id,
                "id": G.group_id,
            }
            if binding is not None and name in columns:
                column, value = columns[name], binding.comparable(node.value)
                found: dict[CompareOperator, ColumnElement[bool]] = {
                    CompareOperator.eq: column == value,
                    CompareOperator.ne: column.is_distinct_from(value),
                    CompareOperator.co: column.contains(value, autoescape=True),
                    CompareOperator.sw: column.startswith(value, autoescape=True),
                    CompareOperator.ew: column.endswith(value, autoescape=True),
                }
                return found[node.op]
    raise InvalidFilterException(
        detail="Groups are filtered by displayName, externalId or id (eq, ne, co, sw, ew, pr) or members (eq, pr), combined with and, or, "
        "not."
    )


def document(row: GroupRow) -> dict[str, Any]:
    """Return the group as SCIM shows it, without its members."""
    shown: dict[str, Any] = {"schemas": [GROUP], "id": row.group_id, "displayName": row.display_name}
    if row.external_id is not None:
        shown["externalId"] = row.external_id
    shown["meta"] = {
        "resourceType": "Group",
        "created": row.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "lastModified": row.modified_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "version": version_of(row),
    }
    return shown


def version_of(row: GroupRow) -> str:
    return f'W/"{row.version}"'


def check_version(row: GroupRow, expected: str | None) -> None:
    if expected is not None and version_of(row) != expected:
        raise PreconditionFailedException
