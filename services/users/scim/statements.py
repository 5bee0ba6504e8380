"""What a SCIM resource states about its person. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from services.users.domain.facts import Kind
from services.users.domain.scim_connections import COPIED, ENTERPRISE
from services.users.domain.timelines import Entry, Period, Report
from services.users.scim.limits import ENTRIES_MAX
from services.users.scim.models import USER
from shared.schemas.base import OptionalEmail
from shared.text import HIDDEN_REFUSED, UNCLEAR_REFUSED, has_hidden, has_unclear, is_unseen_name

TEXT_MAX: Final = 500
_EMAIL: Final[TypeAdapter[str]] = TypeAdapter(OptionalEmail)


def report_of(document: Mapping[str, Any], since: date, user_types: Mapping[str, str], *, active: bool) -> Report:
    """Return the report of a resource that was created on the day `since`."""
    given = _given(document, user_types) | ({} if active else {"login_allowed": False})
    return Report((Period(since, None),), (Entry(since, dict(sorted(given.items()))),))


def ended_report(document: Mapping[str, Any], since: date, user_types: Mapping[str, str], today: date) -> Report:
    """Return the report of a resource that ends today: yesterday was the last day of the person."""
    last = today - timedelta(days=1)
    since = min(since, last)
    return Report((Period(since, last),), (Entry(since, dict(sorted(_given(document, user_types).items()))),))


def _given(document: Mapping[str, Any], user_types: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that differ from those of somebody about whom nothing is stated."""
    enterprise = document.get(ENTERPRISE) or {}
    given = {
        "login": document.get("userName"),
        "email": email_of(document),
        "name": name_of(document),
        "job_title": document.get("title"),
        "department": enterprise.get("department"),
        "employee_number": enterprise.get("employeeNumber"),
        "kind": user_types.get(document.get("userType") or "", Kind.EMPLOYEE),
    }
    return {name: value for name, value in given.items() if value and value != Kind.EMPLOYEE}


def copied_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attributes of a document that was filled with what other sources state."""
    return tuple(name for name in COPIED if _value_of(document, name))


def still_copied(
    copied: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any], patched: Collection[str] | None
) -> tuple[str, ...]:
    """Return those of the copied attributes about which a client states nothing with this change: a PATCH of other attributes (`patched` in
    lower case); None: a PUT, which states everything."""
    if patched is None:
        return ()
    return tuple(name for name in copied if name.lower() not in patched and _value_of(before, name) == _value_of(after, name))


def stated_document(document: Mapping[str, Any], copied: Collection[str]) -> Mapping[str, Any]:
    """Return what the client has stated of a document."""
    if not copied:
        return document
    found = {name: value for name, value in document.items() if name not in copied}
    if "department" in copied and ENTERPRISE in found:
        found[ENTERPRISE] = {name: value for name, value in found[ENTERPRISE].items() if name != "department"}
    return found


def _value_of(document: Mapping[str, Any], name: str) -> Any:
    return ((document.get(ENTERPRISE) or {}) if name == "department" else document).get(name)


def patched_names(operations: Iterable[tuple[str | None, Any]]) -> frozenset[str]:
    """Return the attributes that the operations of a PATCH change (path and value of each), in lower case."""
    return frozenset(name for path, value in operations for name in _names(path, value))


def _names(path: str | None, value: Any) -> set[str]:
    if path is None or path.lower() in (USER.lower(), ENTERPRISE.lower()):
        return {name for key, each in value.items() for name in _names(key, each)} if isinstance(value, Mapping) else set()
    return {path.partition("[")[0].rpartition(":")[2].partition(".")[0].lower()}


def email_of(document: Mapping[str, Any]) -> str:
    """Return the primary address, or that for work, or the first."""
    emails = [each for each in document.get("emails") or [] if each.get("value")]
    emails.sort(key=lambda each: (not each.get("primary"), each.get("type") != "work"))
    address = str(emails[0]["value"]) if emails else ""
    if address == address.strip() and "<" not in address:
        return address
    try:
        return _EMAIL.validate_python(address)  # Ann Ash <ann@acme.example>
    except ValidationError:
        return address


def name_of(document: Mapping[str, Any]) -> str:
    name = document.get("name") or {}
    parts = " ".join(part for part in (name.get("givenName"), name.get("familyName")) if part)
    return str(document.get("displayName") or name.get("formatted") or parts)


def problem_of(document: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a user that a client sent: something too long, or an e-mail address or a name that no person can have.
    A text that the stored document `before` has as well is no problem: it must not keep a client from deactivating the user."""
    if (problem := problem_in(document)) is not None:
        return problem
    if len(name_of(document)) > TEXT_MAX:
        return f"name: givenName and familyName with at most {TEXT_MAX} characters together expected"
    if is_unseen_name(name_of(document)):
        return f"{'displayName' if document.get('displayName') else 'name'}: a name with a character that can be seen expected"
    known = dict(_shown(before))
    for path, text in _shown(document):
        if text == known.get(path):
            continue
        if path == "userName" and has_unclear(str(text or "")):
            return f"{path}: {UNCLEAR_REFUSED} expected"
        if has_hidden(str(text or "")):
            return f"{path}: {HIDDEN_REFUSED} expected"
    try:
        _EMAIL.validate_python(email_of(document))
    except ValidationError:
        return f"emails.value: an e-mail address expected, instead of {email_of(document)!r}"
    return None


def _shown(document: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield the texts of a user that readers see."""
    yield from ((name, document.get(name)) for name in ("userName", "displayName", "title"))
    yield from ((f"name.{part}", text) for part, text in (document.get("name") or {}).items())
    yield f"{ENTERPRISE}:department", (document.get(ENTERPRISE) or {}).get("department")


def problem_in(document: Any, path: str = "") -> str | None:
    """Return what is wrong with a document that a client sent: a text or a list that is too long."""
    match document:
        case str() if len(document) > TEXT_MAX:
            return f"{path}: a text of at most {TEXT_MAX} characters expected"
        case list() if len(document) > ENTRIES_MAX:
            return f"{path}: at most {ENTRIES_MAX} values expected"
        case list():
            found = (problem_in(each, path) for each in document)
        case Mapping():
            found = (problem_in(each, f"{path}.{name}" if path else name) for name, each in document.items())
        case _:
            return None
    return next((each for each in found if each is not None), None)
