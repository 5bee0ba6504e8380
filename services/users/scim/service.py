"""The protocol of `scim2-server` with what differs here: it reads no members of groups, and lists users without building models."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from scim2_models import (
    Context,
    Error,
    InvalidPathException,
    InvalidValueException,
    ListResponse,
    NotImplementedException,
    PatchOp,
    Path,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    SearchRequest,
    TooManyException,
)
from scim2_models import User as AnyUser
from scim2_models.path import ValuePath
from scim2_models.resources.enterprise_user import EnterpriseUser as AnyEnterpriseUser
from scim2_server.conditions import Conditions
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation
from scim2_server.service import ScimService

from services.users.scim.filters import check_values, in_full
from services.users.scim.groups import document, version_of
from services.users.scim.limits import check_search
from services.users.scim.models import GROUP, PROVIDER, USER
from services.users.scim.parts import in_parts
from services.users.scim.statements import patched_names
from services.users.scim.storage import Storage, keeps_members
from services.users.scim.users import sent
from services.users.store.scim_groups import GroupRow
from shared.schemas.faults import expected_by, first_faults, place_of

START_MAX: Final = 2**31 - 1  # of a page; no list is as long
LISTED_MEMBERS_MAX: Final = 250_000  # of all groups of one answer: the whole answer is in memory
_SCHEMAS = {str(model.__schema__).lower() for model in PROVIDER.models}
_LIST = str(ListResponse.__schema__)
_REQUIRED = frozenset(f"{prefix}{name}".lower() for prefix in ("", f"{USER}:", f"{GROUP}:") for name in ("userName", "displayName"))
_KNOWN_BY_RFC: Any = AnyUser[AnyEnterpriseUser]


class Service(ScimService):
    """The protocol without input and output."""

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """Set the addresses. The resource was made for this answer, so it is not copied."""
        assert resource.meta is not None
        assert resource.id is not None
        resource.meta.location = self.resource_location(base_url, self.get_resource_type_of(resource), resource.id)
        self._publish_references(base_url, resource)
        return resource

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Read a search within its limits. Nothing is sorted, as /ServiceProviderConfig says, and RFC 7644 3.4.2 wants that parameters are
        ignored which a service does not know, so that a client that always sorts can read."""
        check_search(payload)
        if isinstance(payload, Mapping):
            payload = {name: value for name, value in payload.items() if name.casefold() not in ("sortby", "sortorder")}
            named = next((name for name in payload if name.casefold() == "filter"), "")
            if resource_types[0].id == "User" and isinstance(payload.get(named), str):
                payload[named] = in_full(payload[named])
        return super().read_search(resource_types, payload)

    def read_response_parameters(self, resource_type: ResourceType, query: Mapping[str, str]) -> ResponseParameters[Any]:
        """Read which attributes are wanted, within their limits."""
        check_search(query)
        return super().read_response_parameters(resource_type, query)

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> "PatchOp[Any]":
        """Read a PATCH. Attributes that RFC 7643 knows and this service does not store are ignored, and others refused. So is a path that
        selects values by a text that cannot be stored: a selected value that is missing is added with it."""
        patch = super().read_patch(resource_type, body, content_type)
        known: list[Any] = [Path[self.get_model(resource_type)]]  # type: ignore[misc]
        if resource_type.id == "User":
            known.append(Path[_KNOWN_BY_RFC])
        for operation in patch.operations or ():
            path = operation.path
            if path is not None and isinstance(path.ast, ValuePath):
                check_values(path.ast)
            if path is not None and str(path).strip() and not any(_resolves(each, str(path)) for each in known):
                raise InvalidPathException(detail=f"The resource has no attribute {str(path)!r}", path=str(path))
        return patch

    def patch_response(self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]) -> ScimResponse:
        """Return the changed user, as some clients expect. A group may have many members, so it is returned only if it is asked for."""
        if resource.meta is not None and resource.meta.resource_type == "User":
            return self.resource_response(self.publish(base_url, resource), Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters)
        return super().patch_response(base_url, resource, response_parameters)

    @staticmethod
    def error_of(exception: Exception) -> Error:
        """Return the error. Where the library passes on the report of pydantic, say in one line which attribute is wrong, and how."""
        error = ScimService.error_of(exception)
        if isinstance(exception.__cause__, ValidationError):
            error.detail = _wrong(exception.__cause__, ())
        return error

    def bulk_failure(self, outcome: dict[str, Any], exception: Exception) -> dict[str, Any]:
        """Let an error that is no refusal end the whole request, so that it is logged and nothing of it is stored."""
        if not isinstance(exception, SCIMException):
            raise exception
        return super().bulk_failure(outcome, exception)


def _wrong(error: ValidationError, paths: Sequence[str]) -> str:
    """Return which attribute is wrong, and how. `paths` are those of a PATCH: the library names only the last part of one, or none."""
    first = first_faults(error)[0]
    parts = [to_camel(part) if isinstance(part, str) and "_" in part else str(part) for part in place_of(first)]
    if parts:
        parts[0] = next((path for path in paths if path.lower().endswith(parts[0].lower())), parts[0])
    elif first["msg"].startswith("required attribute"):
        parts = [str(each["path"]) for each in first["input"]["Operations"] if str(each.get("path")).lower() in _REQUIRED][:1]
    expected = expected_by(first)
    detail = first["msg"] if expected == first["msg"] else f"expected {expected}"
    # Nothing but the whole body has no name; other texts of the library name the attribute.
    where = ".".join(parts) or ("body" if expected != first["msg"] else "")
    return (f"{where}: {detail}" if where else detail).replace("written to ''", "of an operation without a path")


def _resolves(path_class: Any, path: str) -> bool:
    if path.lower() in _SCHEMAS:
        return True
    try:
        return path_class(path).resolve() is not None
    except SCIMException:
        return False


SERVICE = Service(PROVIDER)


class Handler(AsyncScimHandler):
    """Serve requests on the storage of one connection."""

    storage: Storage

    def __init__(self, storage: Storage) -> None:
        super().__init__(SERVICE, storage)

    async def create(self, request: ScimRequest) -> ScimResponse:
        """Create a resource. A user is shown as the document that is stored, without building the models of the library from it."""
        with self.service.provider:
            target = self.service.route(request, Operation.create)
            resource_type = self.service.resource_type_at(cast(str, target.endpoint))
            if resource_type.id != "User":
                return await super().create(request)
            resource = self.service.read_creation(resource_type, request.body, request.header("Content-Type"))
            async with self.storage.operation():
                shown = await self.storage.users.create(resource)
            return _created(shown, request)

    async def query(self, request: ScimRequest) -> ScimResponse:
        """Return a resource. The members of a group come from the database as JSON."""
        with self.service.provider:
            target = self.service.route(request, Operation.query)
            resource_type = self.service.resource_type_at(cast(str, target.endpoint))
            if resource_type.id != "Group":
                return await super().query(request)
            parameters = self.service.read_response_parameters(resource_type, request.query)
            row = await self.storage.groups.row(cast(str, target.resource_id))
            headers = {"ETag": version_of(row)}
            if not self.service.read_conditions(request).check(version_of(row), "GET"):
                return ScimResponse(HTTPStatus.NOT_MODIFIED, None, headers)
            (shown,) = await self._groups(request.base_url, [row], parameters)
            location = f"{request.base_url}/Groups/{row.group_id}"
            return ScimResponse(HTTPStatus.OK, shown, headers | {"Content-Location": location})

    async def _groups(self, base_url: str, rows: Sequence[GroupRow], parameters: ResponseParameters[Any]) -> list[dict[str, Any]]:
        """Return groups with the attributes that are wanted. The library makes a model of each member, which takes seconds in which this
        process answers nobody; so it is given groups without members."""
        found = []
        for row in rows:
            if parameters.attributes or parameters.excluded_attributes:
                group = self.service.publish(base_url, self.storage.group(row))
                shown = group.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters)
            else:
                shown = document(row)
                _locate(shown, base_url, "Groups")
            found.append(shown)
        if keeps_members(parameters):
            if sum(row.members for row in rows) > LISTED_MEMBERS_MAX:
                raise TooManyException(
                    detail=f"These groups have more than {LISTED_MEMBERS_MAX} members together. Ask for fewer groups (`count`), or for "
                    "none of their members (`excludedAttributes=members`)."
                )
            for row, shown in zip(rows, found, strict=True):
                shown["members"] = orjson.Fragment(await self.storage.groups.members_json(row.group_id))
        return found

    async def replace(self, request: ScimRequest) -> ScimResponse:
        return await self._with_members(request, Operation.replace, await super().replace(request))

    async def patch(self, request: ScimRequest) -> ScimResponse:
        return await self._with_members(request, Operation.patch, await super().patch(request))

    async def _with_members(self, request: ScimRequest, operation: Operation, response: ScimResponse) -> ScimResponse:
        """Return the answer to a change of a group with its members, if the client asks for them: a change does not read them."""
        with self.service.provider:
            target = self.service.route(request, operation)
            resource_type = self.service.resource_type_at(cast(str, target.endpoint))
            if resource_type.id == "Group" and response.body is not None:
                parameters = self.service.read_response_parameters(resource_type, request.query)
                if parameters.attributes and keeps_members(parameters):
                    response.body["members"] = orjson.Fragment(await self.storage.groups.members_json(cast(str, target.resource_id)))
        return response

    async def search(self, request: ScimRequest) -> ScimResponse:
        with self.service.provider:
            target = self.service.route(request, Operation.search)
            types = self._searched(target.endpoint)
            search_request, _ = self.service.read_search_query(types, request.query)
            return await self._found(request, types, search_request)

    async def search_with_body(self, request: ScimRequest) -> ScimResponse:
        with self.service.provider:
            target = self.service.route(request, Operation.search_with_body)
            types = self._searched(target.endpoint)
            search_request, _ = self.service.read_search_body(types, request.body, request.header("Content-Type"))
            return await self._found(request, types, search_request)

    def _searched(self, endpoint: str | None) -> list[ResourceType]:
        if endpoint is None:
            raise NotImplementedException(detail="A search at the root is not supported. Search /Users or /Groups.")
        return self.service.searched_types(endpoint)

    async def _found(self, request: ScimRequest, types: list[ResourceType], search_request: SearchRequest[Any]) -> ScimResponse:
        if (search_request.start_index or 1) > START_MAX:
            raise InvalidValueException(detail=f"startIndex: a number up to {START_MAX} expected")
        if types[0].id == "Group":
            total, rows = await self.storage.groups.search(search_request)
            found = await self._groups(request.base_url, rows, search_request)
        else:
            total, found = await self.storage.users.search(search_request)
            if search_request.attributes or search_request.excluded_attributes:
                found = [self._with_attributes(request.base_url, shown, search_request) async for shown in in_parts(found)]
            else:
                for shown in found:
                    _locate(shown, request.base_url, "Users")
        body = {"schemas": [_LIST], "totalResults": total, "startIndex": search_request.start_index, "itemsPerPage": len(found)}
        return ScimResponse(HTTPStatus.OK, body | {"Resources": found})

    def _with_attributes(self, base_url: str, shown: dict[str, Any], parameters: ResponseParameters[Any]) -> dict[str, Any]:
        user = self.service.publish(base_url, self.storage.user(shown))
        return user.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters)

    async def replace_resource(
        self, resource_type: ResourceType, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any]:
        if resource_type.id != "Group":
            if replacement.active is None:  # type: ignore[attr-defined]
                replacement.active = current.active  # type: ignore[attr-defined]
            return await super().replace_resource(resource_type, current, replacement, conditions)
        self.service.check_preconditions(current, "PUT", conditions)
        row = await self.storage.groups.row(str(current.id), lock=True)
        return self.storage.group(await self.storage.groups.replace(row, replacement, self.storage.members_of(replacement)))

    async def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any]:
        """Change a resource. Where the value of an attribute is wrong, the refusal names the path that the client has sent."""
        if resource_type.id != "Group":
            operations = [(None if each.path is None else str(each.path), each.value) for each in patch_op.operations or ()]
            self.storage.patched = patched_names(operations)
            try:
                return await self._patch_user(resource_type, resource_id, patch_op, conditions)
            except InvalidValueException as error:
                if not isinstance(error.__cause__, ValidationError):
                    raise
                raise InvalidValueException(detail=_wrong(error.__cause__, [path for path, _ in operations if path])) from None
            finally:
                self.storage.patched = None
        row = await self.storage.groups.row(resource_id, lock=True)
        self.service.check_preconditions(self.storage.group(row), "PATCH", conditions)
        return self.storage.group(await self.storage.groups.patch(row, patch_op))

    async def _patch_user(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any]:
        current = await self.storage.get(resource_type, resource_id)
        assert current.meta is not None
        version, is_changed = current.meta.version, False
        self.service.check_preconditions(current, "PATCH", conditions)
        async for operation in in_parts(patch_op.operations or (), at_once=1):
            is_changed |= patch_op.model_copy(update={"operations": [operation]}).patch(current)
        return await self.storage.update(resource_type, current, expected_version=version) if is_changed else current


async def create_user(request: ScimRequest, create: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> ScimResponse:
    """Serve a request that creates a user by itself: `create` stores what the client sent."""
    with SERVICE.provider:
        target = SERVICE.route(request, Operation.create)
        resource_type = SERVICE.resource_type_at(cast(str, target.endpoint))
        document = sent(SERVICE.read_creation(resource_type, request.body, request.header("Content-Type")))
    return _created(await create(document), request)


def _created(shown: dict[str, Any], request: ScimRequest) -> ScimResponse:
    _locate(shown, request.base_url, "Users")
    location = shown["meta"]["location"]
    return ScimResponse(HTTPStatus.CREATED, shown, {"Content-Location": location, "ETag": shown["meta"]["version"], "Location": location})


def _locate(shown: dict[str, Any], base_url: str, endpoint: str) -> None:
    """Set the addresses in a document."""
    shown["meta"]["location"] = f"{base_url}/{endpoint}/{shown['id']}"
    for group in shown.get("groups", ()):
        group["$ref"] = f"{base_url}/{group['$ref']}"
