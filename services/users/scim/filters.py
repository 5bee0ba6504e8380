"""Filters of users as conditions of SQL. What has no condition here is evaluated by the library, on a limited number of users."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttributeBinding,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)
from sqlalchemy import ColumnElement, Text, and_, case, cast, column, exists, false, func, literal, not_, null, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.users.domain.scim_connections import ENTERPRISE
from services.users.scim.models import SEATS, USER
from services.users.store.people import comparable
from services.users.store.scim_users import TEXTS, P, S
from shared.web.input_limits import faults

Bool = ColumnElement[bool]

_QUOTED: Final = re.compile(r'("(?:[^"\\]|\\.)*+")')
_OF_EXTENSION: Final = re.compile(
    rf"(?<![\w:.\[])(?:{re.escape(ENTERPRISE)}:)?(employeeNumber|costCenter|organization|division|department|manager)(?:\.value)?(?=\s)",
    re.IGNORECASE,
)

_HAS_RESOURCE: Final = S.resource_id.is_not(None)
# What a connection sees of people about whom it has stated nothing. The attributes that are not here are missing then.
_OF_PERSON: Final = {
    ("displayName",): func.nullif(P.name, ""),
    ("title",): func.nullif(P.job_title, ""),
    ("active",): literal("true"),
    (ENTERPRISE, "department"): P.department,
}
_EMAIL_OF_PERSON: Final = case(
    (P.email != "", func.jsonb_build_array(func.jsonb_build_object("value", P.email, "type", "work", "primary", True))), else_=null()
)
_INDEXED: Final = {"userName", "externalId", "emails", "emails.value", "id"}  # equal values are found by an index
_NOT_STORED: Final = ("groups", "id", "meta", "schemas")


def in_full(text: str) -> str:
    """Return a filter with the full names of the attributes of the enterprise extension. RFC 7644 wants them, but clients also send the
    short ones, and Entra looks for somebody's manager with `manager eq`."""
    parts = _QUOTED.split(text)
    parts[::2] = [
        _OF_EXTENSION.sub(lambda found: f"{ENTERPRISE}:{found[1]}{'.value' * (found[1].lower() == 'manager')}", part) for part in parts[::2]
    ]
    return "".join(parts)


class Untranslatable(Exception):
    """The filter, or this part of it, has no condition of SQL."""


def check_values(node: FilterNode) -> None:
    """Raise InvalidFilterException for a text that cannot be stored, which no attribute can have."""
    if found := faults(list(_values(node)), "filter"):
        raise InvalidFilterException(detail=f"filter: a value is not allowed; expected {found[0]['expected']}")


def _values(node: FilterNode) -> Iterable[Any]:
    match node:
        case Comparison():
            yield node.value
        case LogicalExpr():
            for term in node.terms:
                yield from _values(term)
        case Not():
            yield from _values(node.expr)
        case ValuePath():
            yield from _values(node.val_filter)


def condition_of(scim_filter: ScimFilter[Any]) -> Bool:
    """Return the filter as a condition on the columns P and S. Raises Untranslatable."""
    return _Conditions(scim_filter).visit(scim_filter.ast)


def indexed_equality(scim_filter: ScimFilter[Any]) -> tuple[str, str] | None:
    """Return an attribute and its value, as it is compared, which every user who matches must have, if an index finds these users."""
    for name, operator, value in _required(scim_filter):
        if operator is CompareOperator.eq and name in _INDEXED:
            return ("emails.value" if name == "emails" else name), value
    return None


def stored_text(scim_filter: ScimFilter[Any]) -> tuple[str, str, str] | None:
    """Return an attribute, an operator and a text, as it is compared, by which the stored texts find every user who matches."""
    return next(
        ((name, operator.value, value) for name, operator, value in _required(scim_filter) if (name, operator.value) in TEXTS and value),
        None,
    )


def _required(scim_filter: ScimFilter[Any]) -> Iterable[tuple[str, CompareOperator, str]]:
    """Yield comparisons that every user who matches fulfils."""
    terms: Sequence[FilterNode] = (scim_filter.ast,)
    if isinstance(scim_filter.ast, LogicalExpr) and scim_filter.ast.op is LogicalOperator.and_:
        terms = scim_filter.ast.terms
    for term in terms:
        if isinstance(term, Comparison) and isinstance(term.value, str):
            binding = scim_filter.resolve_comparison(term.attr_path, strict=False)
            if binding is not None:
                yield _name(binding), term.op, binding.comparable(term.value)


def _name(binding: AttributeBinding) -> str:
    return binding.urn.removeprefix(f"{USER}:")


def _is_complex(binding: AttributeBinding) -> bool:
    """Return whether the attribute has parts, and none of them is named."""
    return not binding.is_multivalued and binding.sub_field_name is None and hasattr(binding.field_type, "model_fields")


def _path(binding: AttributeBinding) -> tuple[str, ...]:
    """Return the path of the attribute in a document."""
    if binding.urn.startswith(f"{ENTERPRISE}:"):
        return (ENTERPRISE, *binding.urn.removeprefix(f"{ENTERPRISE}:").split("."))
    if binding.urn.startswith(f"{SEATS}:") or _name(binding).partition(".")[0] in _NOT_STORED:
        raise Untranslatable
    return tuple(_name(binding).split("."))


def _in_document(path: tuple[str, ...]) -> ColumnElement[Any]:
    return S.document.op("#>")(cast(list(path), ARRAY(Text)))


def _text(path: tuple[str, ...]) -> ColumnElement[Any]:
    """Return the text of an attribute with one value."""
    match path:
        case ("externalId",):
            return S.external_id
        case _:
            stored = S.document.op("#>>", return_type=Text())(cast(list(path), ARRAY(Text)))
            return case((_HAS_RESOURCE, stored), else_=_OF_PERSON.get(path, null()))


def _compare(value: ColumnElement[Any], op: CompareOperator, expected: Any) -> Bool:
    """Return the comparison; a missing value differs from all values, and is in no order."""
    if expected is None:
        return value.is_(None) if op is CompareOperator.eq else value.is_not(None) if op is CompareOperator.ne else false()
    if op is CompareOperator.ne:
        return value.is_distinct_from(expected)
    ordered = cast(value, Text).collate("C") if isinstance(expected, str) else value
    conditions: dict[CompareOperator, Callable[[], Any]] = {
        CompareOperator.eq: lambda: value == expected,
        CompareOperator.co: lambda: func.strpos(value, expected) > 0,
        CompareOperator.sw: lambda: func.starts_with(value, expected),
        CompareOperator.ew: lambda: func.right(value, func.length(cast(expected, Text))) == expected,
        CompareOperator.gt: lambda: ordered > expected,
        CompareOperator.ge: lambda: ordered >= expected,
        CompareOperator.lt: lambda: ordered < expected,
        CompareOperator.le: lambda: ordered <= expected,
    }
    return func.coalesce(conditions[op](), false())


def _compare_text(text: ColumnElement[Any], binding: AttributeBinding, op: CompareOperator, expected: Any) -> Bool:
    """Return the comparison of a text of the database, both sides in the form in which texts are compared."""
    if isinstance(expected, bool):
        return _compare(text, op, str(expected).lower())
    if not isinstance(expected, str | None):
        raise Untranslatable
    prepared = text if binding.case_exact or expected is None else comparable(text)
    return _compare(prepared, op, binding.comparable(expected))


class _Conditions(FilterVisitor[Bool]):
    """Conditions on users."""

    def __init__(self, scim_filter: ScimFilter[Any]) -> None:
        self._filter = scim_filter

    def visit_not(self, node: Not) -> Bool:
        return not_(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Bool:
        terms = [self.visit(term) for term in node.terms]
        return and_(*terms) if node.op is LogicalOperator.and_ else or_(*terms)

    def visit_comparison(self, node: Comparison) -> Bool:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        expected = coerce_value(binding, node.value, node.op)
        match _name(binding):
            case "userName" if isinstance(expected, str | None):
                key = case((_HAS_RESOURCE, S.user_name_key), else_=P.login_key)
                return _compare(key, node.op, binding.comparable(expected))
            case "active" if isinstance(expected, bool | None):
                return _compare(case((_HAS_RESOURCE, S.active), else_=true()), node.op, expected)
            case "meta.created" | "meta.lastModified" as name if isinstance(expected, datetime | None):
                return _compare(_instant(name), node.op, _in_utc(expected))
            case "userName" | "active" | "meta.created" | "meta.lastModified" as name:
                raise InvalidFilterException(detail=f"The value {expected!r} cannot be compared with {name}")
        path = _path(binding)
        if (expected is None and binding.is_multivalued) or _is_complex(binding):
            raise Untranslatable
        if not binding.is_multivalued:
            return _compare_text(_text(path), binding, node.op, expected)
        if len(path) == 1:
            raise InvalidFilterException(detail=f"{_name(binding)} has no `value` to compare. Name one of its attributes.")
        # A filter on several values matches if any of them does; `ne`, if none of them is equal.
        op = CompareOperator.eq if node.op is CompareOperator.ne else node.op
        found = _any(path[:-1], lambda entry: _compare_text(entry(path[-1]), binding, op, expected))
        return not_(found) if node.op is CompareOperator.ne else found

    def visit_present(self, node: Present) -> Bool:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if _name(binding) in ("userName", "meta", "meta.created", "meta.lastModified"):
            return true()
        path = _path(binding)
        if binding.is_multivalued:
            head, sub = (path[:-1], path[-1]) if binding.sub_field_name else (path, None)
            return _any(head, lambda entry: _is_filled(entry(sub)) if sub else _has_any(entry(None)))
        if _is_complex(binding):
            return _has_any(_in_document(path))
        return _is_filled(_text(path))

    def visit_value_path(self, node: ValuePath) -> Bool:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        if not binding.is_multivalued:
            raise InvalidFilterException(detail=f"{_name(binding)} has no list of values, so none can be selected in brackets")
        path, entries = _path(binding), ScimFilter[binding.field_type]  # type: ignore[name-defined]
        return _any(path, lambda entry: _OfEntry(entries(node.val_filter), entry).visit(node.val_filter))


class _OfEntry(_Conditions):
    """Conditions on one entry of an attribute with several values."""

    def __init__(self, scim_filter: ScimFilter[Any], entry: Any) -> None:
        super().__init__(scim_filter)
        self._entry = entry

    def visit_comparison(self, node: Comparison) -> Bool:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        expected = coerce_value(binding, node.value, node.op)
        return _compare_text(self._entry(_name_in_entry(binding)), binding, node.op, expected)

    def visit_present(self, node: Present) -> Bool:
        binding = self._filter.resolve(node.attr_path, strict=False)
        return false() if binding is None else _is_filled(self._entry(_name_in_entry(binding)))

    def visit_value_path(self, node: ValuePath) -> Bool:
        raise Untranslatable


def _name_in_entry(binding: AttributeBinding) -> str:
    """Return the name of an attribute of an entry, as documents spell it."""
    return binding.urn.rpartition(":")[2].rpartition(".")[2]


def _in_utc(instant: datetime | None) -> datetime | None:
    """Raise InvalidFilterException for an instant that is in no year of UTC."""
    try:
        return None if instant is None else instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidFilterException(detail=f"The time {instant} is before the year 1 or after the year 9999") from error


def _instant(name: str) -> ColumnElement[datetime]:
    column_of = S.created_at if name == "meta.created" else S.modified_at
    return func.coalesce(column_of, P.created_at)


def _is_filled(text: ColumnElement[Any]) -> Bool:
    return func.coalesce(text, "") != ""


def _has_any(entry: ColumnElement[Any]) -> Bool:
    """Return whether an object has a value that is not empty."""
    values = func.jsonb_each_text(entry).table_valued(column("key", Text()), column("value", Text()), name="filled").render_derived()
    return exists(select(literal(1)).select_from(values).where(values.c.value != ""))


def _any(path: tuple[str, ...], condition: Any) -> Bool:
    """Return whether an entry of the list fulfils the condition. It is given a function from the name of an attribute to its text."""
    entries = _in_document(path) if path != ("emails",) else case((_HAS_RESOURCE, _in_document(path)), else_=_EMAIL_OF_PERSON)
    each = func.jsonb_array_elements(entries).table_valued(column("entry", JSONB()), name="entries").render_derived()

    def text_of(name: str | None) -> ColumnElement[Any]:
        return each.c.entry if name is None else each.c.entry.op("->>", return_type=Text())(name)

    return exists(select(literal(1)).select_from(each).where(condition(text_of)))
