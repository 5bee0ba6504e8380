"""What a SCIM resource states about its person. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from services.users.domain.facts import Kind
from services.users.domain.scim_connections import ENTERPRISE
from services.users.domain.timelines import Entry, Period, Report
from shared.schemas.base import OptionalEmail

TEXT_MAX: Final = 500
ENTRIES_MAX: Final = 50  # of an attribute with several values
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
        "login": document["userName"],
        "email": email_of(document),
        "name": name_of(document),
        "job_title": document.get("title"),
        "department": enterprise.get("department"),
        "employee_number": enterprise.get("employeeNumber"),
        "kind": user_types.get(document.get("userType") or "", Kind.EMPLOYEE),
    }
    return {name: value for name, value in given.items() if value and value != Kind.EMPLOYEE}


def email_of(document: Mapping[str, Any]) -> str:
    """Return the primary address, or that for work, or the first."""
    emails = [each for each in document.get("emails") or [] if each.get("value")]
    emails.sort(key=lambda each: (not each.get("primary"), each.get("type") != "work"))
    return str(emails[0]["value"]) if emails else ""


def name_of(document: Mapping[str, Any]) -> str:
    name = document.get("name") or {}
    parts = " ".join(part for part in (name.get("givenName"), name.get("familyName")) if part)
    return str(document.get("displayName") or name.get("formatted") or parts)


def problem_of(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a user that a client sent: something too long, or an e-mail address or a name that no person can have."""
    if (problem := problem_in(document)) is not None:
        return problem
    if len(name_of(document)) > TEXT_MAX:
        return f"name: givenName and familyName with at most {TEXT_MAX} characters together expected"
    try:
        _EMAIL.validate_python(email_of(document))
    except ValidationError:
        return f"emails.value: an e-mail address expected, instead of {email_of(document)!r}"
    return None


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
