"""The storage that `scim2-server` reads and writes: users and groups of one connection, in one transaction."""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

from scim2_models import NotImplementedException, Resource, ResourceType, ResponseParameters, SCIMException, SearchRequest
from scim2_server.storage import AsyncScimStorage, SearchPage

from services.users.domain.person import Tenant
from services.users.domain.scim_connections import ScimConnection
from services.users.scim import groups, limits, users
from services.users.scim.anchors import Anchors
from services.users.scim.groups import Groups, check_version, document, member_ids
from services.users.scim.users import Users
from services.users.store.scim_groups import GroupRow
from shared.clock import Clock, SystemClock
from shared.database import UnitOfWork
from shared.errors import Refused
from shared.web.problems import status_of

_CLOCK: Final = SystemClock()


class RefusedByRule(SCIMException):
    """A rule of this service refuses the request."""

    def __init__(self, error: Refused) -> None:
        super().__init__(detail=error.detail)
        self.status = status_of(error)


class Storage(AsyncScimStorage):
    """The resources of a connection. `given_members` are those of a group in the body, which the library has not seen. Requests set
    `whole_groups` to False: a change of a group does not read its members."""

    def __init__(
        self,
        tenant: Tenant,
        uow: UnitOfWork,
        connection: ScimConnection,
        given_members: Collection[str] | None = None,
        *,
        anchors: Anchors | None = None,
        clock: Clock = _CLOCK,
        whole_groups: bool = True,
        is_bulk: bool = True,
    ) -> None:
        self.users = Users(tenant, uow, connection, anchors or Anchors(), clock.monotonic)
        self.groups = Groups(tenant, uow, connection)
        self._uow, self._given_members, self._whole_groups = uow, given_members, whole_groups
        self._is_bulk = is_bulk
        self.patched: frozenset[str] | None = None  # the attributes of the user that the present PATCH names; None: it is no PATCH

    @asynccontextmanager
    async def operation(self) -> AsyncIterator[None]:
        """Undo what the block has done if it fails, so that the other operations of a bulk request stay. Another request has only one."""
        try:
            if not self._is_bulk:
                yield
                return
            async with self._uow.savepoint():
                yield
        except Refused as error:
            raise RefusedByRule(error) from error

    async def get(
        self, resource_type: ResourceType, resource_id: str, *, response_parameters: ResponseParameters[Any] | None = None
    ) -> Resource[Any]:
        """Return a resource; without `response_parameters`, for a change of it: it is locked."""
        is_read = response_parameters is not None
        if resource_type.id == "User":
            shown = await (self.users.get(resource_id) if is_read else self.users.start(resource_id))
            return self.user(shown)
        row = await self.groups.row(resource_id, lock=not is_read)
        wanted = keeps_members(response_parameters) if response_parameters is not None else self._whole_groups
        return await self._with_members(row) if wanted else self.group(row)

    async def search(self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None) -> SearchPage:
        if len(resource_types) != 1:
            raise NotImplementedException(detail="A search of several resource types is not supported")
        if resource_types[0].id == "User":
            total, found = await self.users.search(search_request)
            return SearchPage(total, [self.user(shown) for shown in found])
        total, rows = await self.groups.search(search_request)
        keeps = keeps_members(search_request)
        return SearchPage(total, [await self._with_members(row) if keeps else self.group(row) for row in rows])

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        if resource_type.id == "User":
            return self.user(await self.users.create(resource))
        row = await self.groups.create(resource, self.members_of(resource) or ())
        return await self._with_members(row) if self._whole_groups else self.group(row)

    async def update(self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None) -> Resource[Any]:
        if resource_type.id == "User":
            return self.user(await self.users.update(resource, expected_version, self.patched))
        row = await self.groups.row(str(resource.id), lock=True)
        check_version(row, expected_version)
        return await self._with_members(await self.groups.replace(row, resource, self.members_of(resource)))

    async def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        if resource_type.id == "User":
            await self.users.delete(resource_id, expected_version)
            return
        row = await self.groups.row(resource_id, lock=True)
        check_version(row, expected_version)
        await self.groups.delete(row)

    def members_of(self, resource: Resource[Any]) -> Collection[str] | None:
        """Return the members that a client sent; None: it sent none, so they stay as they are."""
        if self._given_members is not None:
            return self._given_members
        return member_ids(resource.members) if "members" in resource.model_fields_set else None  # type: ignore[attr-defined]

    @staticmethod
    def user(shown: dict[str, Any]) -> Resource[Any]:
        found: Resource[Any] = users.MODEL.model_validate(shown)
        return found

    @staticmethod
    def group(row: GroupRow) -> Resource[Any]:
        """Return the group without its members."""
        found: Resource[Any] = groups.MODEL.model_validate(document(row))
        return found

    async def _with_members(self, row: GroupRow) -> Resource[Any]:
        members = json.loads(await self.groups.members_json(row.group_id))
        shown = document(row) | ({"members": members} if members else {})
        found: Resource[Any] = groups.MODEL.model_validate(shown)
        return found


def keeps_members(parameters: ResponseParameters[Any]) -> bool:
    """Return whether an answer contains members."""
    return limits.keeps_members(
        [str(each) for each in parameters.attributes or ()], [str(each) for each in parameters.excluded_attributes or ()]
    )
