"""Limits of what one request of SCIM may ask for. Their bodies are limited, but each operation, path and filter costs far more than its
characters."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from fastapi import Request
from scim2_models import InvalidFilterException, InvalidPathException, InvalidValueException, PayloadTooLargeException
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

PREFIX: Final = "/scim/v2"
OPERATIONS_MAX: Final = 1_000  # of the PATCH of a request, or of all of them in a bulk request
FILTER_CHARACTERS_MAX: Final = 4_000
PATH_CHARACTERS_MAX: Final = 1_000  # the library keeps what it has parsed; longer ones it parses six times
PATHS_CHARACTERS_MAX: Final = 100_000  # of all operations
ATTRIBUTES_MAX: Final = 100
ENTRIES_MAX: Final = 50  # of an attribute with several values
_NAMES: Final = ("Users", "Groups", "Bulk", "Schemas", "ResourceTypes", "ServiceProviderConfig")
_ENDPOINTS: Final = {name.lower(): name for name in _NAMES}
_PARAMETERS: Final = {name.lower(): name for name in SEARCH_REQUEST_PARAMETERS}
_WITH_ENTRIES: Final = frozenset({"emails", "phonenumbers", "addresses"})
# What a request with more of it asks for is large, and few such requests of one tenant are answered at a time.
COSTLY_BODY_BYTES: Final = 16 * 1024
COSTLY_FILTER_CHARACTERS: Final = 500


def check_operations(value: Any, *, is_bulk: bool) -> None:
    """Raise a SCIMException for a PATCH with too many operations, or with paths that are too long."""
    characters = 0
    for number, operation in enumerate(_operations(value, is_bulk=is_bulk), start=1):
        if number > OPERATIONS_MAX:
            raise PayloadTooLargeException(detail=f"Operations: at most {OPERATIONS_MAX} operations of PATCH expected in one request.")
        lengths = [len(path) for path in _named(operation, "path") if isinstance(path, str)]
        characters += sum(lengths)
        if max(lengths, default=0) > PATH_CHARACTERS_MAX or characters > PATHS_CHARACTERS_MAX:
            detail = f"path: at most {PATH_CHARACTERS_MAX} characters expected, and {PATHS_CHARACTERS_MAX} in all operations together."
            raise InvalidPathException(detail=detail)


def _operations(value: Any, *, is_bulk: bool) -> Iterator[Any]:
    """Yield the operations of a PATCH, or of each PATCH of a bulk request."""
    for operations in _named(value, "operations"):
        for operation in operations if isinstance(operations, list) else ():
            if is_bulk:
                for data in _named(operation, "data"):
                    yield from _operations(data, is_bulk=False)
            else:
                yield operation


def _named(value: Any, name: str) -> Iterator[Any]:
    """Yield the values of an attribute: SCIM compares names without regard to case, so there may be several."""
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key.lower() == name)


def check_entries(value: Any) -> None:
    """Raise InvalidValueException for an attribute of a user with too many values, in the body of any request: the library makes a model of
    each before it is asked whether it may be stored."""
    match value:
        case list():
            for each in value:
                check_entries(each)
        case dict():
            path = next((each for each in _named(value, "path") if isinstance(each, str)), "")
            for name, each in value.items():
                of = path if name.lower() == "value" else name
                attribute = of.partition("[")[0].rpartition(":")[2].lower()
                if attribute in _WITH_ENTRIES and isinstance(each, list) and len(each) > ENTRIES_MAX:
                    raise InvalidValueException(detail=f"{of}: at most {ENTRIES_MAX} values expected (got {len(each)})")
                if attribute != "members":
                    check_entries(each)


def check_search(payload: Any) -> None:
    """Raise a SCIMException for a filter that is too long, or for too many attributes, in the query or the body of a request."""
    for name, value in payload.items() if isinstance(payload, Mapping) else ():
        if name.lower() == "filter" and isinstance(value, str) and len(value) > FILTER_CHARACTERS_MAX:
            raise InvalidFilterException(
                detail=f"filter: at most {FILTER_CHARACTERS_MAX} characters expected (got {len(value)}). Send several requests."
            )
        if name.lower() in ("attributes", "excludedattributes"):
            names = value.count(",") + 1 if isinstance(value, str) else len(value) if isinstance(value, list) else 0
            if names > ATTRIBUTES_MAX:
                raise InvalidValueException(detail=f"{name}: at most {ATTRIBUTES_MAX} attributes expected (got {names}).")


def query_of(request: Request) -> dict[str, str]:
    """Return the query. The names of parameters are compared without regard to case, as those of attributes are: a filter that was ignored
    would find everybody. An empty number asks for nothing."""
    given = {_PARAMETERS.get(name.lower(), name): value for name, value in request.query_params.multi_items()}
    return {name: value for name, value in given.items() if value.strip() or name not in ("startIndex", "count")}


def canonical(path: str) -> str:
    """Return the path of a resource as it is written here. The library also knows /users and /Users/, and must not get for them what is
    refused for /Users."""
    first, *rest = path.removeprefix(PREFIX).removesuffix(".scim").strip("/").split("/")
    return "/".join(["", _ENDPOINTS.get(first.lower(), first), *rest])


def is_costly(request: Request) -> bool:
    """Return whether a request takes much work, as far as can be seen before its body is read."""
    path, announced = canonical(request.url.path), request.headers.get("content-length", "0")
    return (
        path.startswith("/Bulk")
        or path.endswith("/.search")
        or (path.startswith("/Groups") and _reads_members(request))
        or len(query_of(request).get("filter", "")) > COSTLY_FILTER_CHARACTERS
        or (announced.isdecimal() and int(announced) > COSTLY_BODY_BYTES)
    )


def is_large(body: bytes) -> bool:
    """Return whether a request takes much work because of its body, which a client need not announce."""
    return len(body) > COSTLY_BODY_BYTES


def keeps_members(attributes: Collection[str], excluded: Collection[str]) -> bool:
    """Return whether an answer about a group with these attributes contains its members."""
    if attributes:
        return any(_attribute(each).partition(".")[0] == "members" for each in attributes)
    return "members" not in map(_attribute, excluded)


def _attribute(path: str) -> str:
    return path.rpartition(":")[2].lower()


def _reads_members(request: Request) -> bool:
    """Return whether a request about groups looks at all their members. Clients send many small changes of members at a time."""
    query = query_of(request)
    wanted, excluded = (
        [each.strip() for each in query.get(name, "").split(",") if each.strip()] for name in ("attributes", "excludedAttributes")
    )
    return request.method == "DELETE" or (
        (request.method not in ("PATCH", "POST", "PUT") or bool(wanted)) and keeps_members(wanted, excluded)
    )
