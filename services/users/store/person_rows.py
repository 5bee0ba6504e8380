"""People as rows of the table `people`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final

from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Record
from services.users.domain.logins import login_key
from services.users.domain.merging import NO_OVERRIDES, Employment, Overrides
from services.users.domain.person import Person
from services.users.domain.required_modules import NO_MODULES, Account, Note, Release, RequiredModules
from services.users.domain.status import Standing, Status, may_sign_in, status_of
from services.users.domain.timelines import given_from_json, given_to_json
from shared.fields import common_names, field_names
from shared.schemas.base import format_instant
from shared.schemas.position import DecisionId


@dataclass(frozen=True, slots=True)
class PersonRow:
    """The fields of `Record` and `Account` have columns of the same names, and so do most fields of `Person`."""

    user_id: str
    arrival: int  # drawn by the database
    source: str
    external_id: str
    created_at: datetime
    employed: bool
    login: str
    login_key: str
    email: str
    name: str
    job_title: str
    department: str | None
    kind: str
    valid_to: date | None
    login_allowed: bool
    employee_number: str
    given_profile: str | None
    group_profiles: tuple[str, ...]
    roles: tuple[str, ...]
    group_roles: tuple[str, ...]
    own_department: bool
    departments: tuple[str, ...] | None
    digests: bool
    rights: tuple[str, ...]
    may_log_in: bool
    priority: int
    hold_until: datetime | None
    seat_status: str
    invitation: str
    invited_until: datetime | None
    invited_by: str | None
    profile: str | None
    status: str
    notes: Sequence[Mapping[str, Any]]
    required_modules: tuple[str, ...]
    not_subscribed: tuple[str, ...]
    reconsider_on: date | None
    version: int
    revision: int
    answered: int
    sent: Mapping[str, Any] | None
    command_id: str | None
    overrides: Mapping[str, Any]
    conflict: Mapping[str, Any] | None
    conflict_people: tuple[str, ...]
    separated: tuple[str, ...]
    email_key: str
    left_on: date | None
    erased_at: datetime | None
    confirmed_login: str | None
    confirmed_email: str | None
    confirmed_rights: tuple[str, ...]


# An import reads and writes each person several times: values are read by `attrgetter`, and written as mappings, which orjson dumps faster.
_RECORD: Final = field_names(Record)
_ACCOUNT: Final = field_names(Account)
_PERSON: Final = tuple(name for name in common_names(Person, PersonRow) if name not in ("sent", "overrides", "conflict"))
_SENT: Final = field_names(RequiredModules)
_RECORD_OF: Final = attrgetter(*_RECORD)
_ACCOUNT_OF: Final = attrgetter(*_ACCOUNT)
_PERSON_OF: Final = attrgetter(*_PERSON)
_SENT_OF: Final = attrgetter(*_SENT)
_NO_RECORD: Final = Record(employed=False)


def _sent_to_json(required: RequiredModules | None) -> dict[str, Any] | None:
    if required is None:
        return None
    content = dict(zip(_SENT, _SENT_OF(required), strict=True))
    content["hold_until"] = format_instant(required.hold_until) if required.hold_until else None
    if required.release is not None:
        release = required.release
        content["release"] = {"at": format_instant(release.at), "modules": release.modules, "leaver": release.leaver}
    return content


def _sent_from_json(content: Mapping[str, Any] | None) -> RequiredModules | None:
    if content is None:
        return None
    hold_until = datetime.fromisoformat(content["hold_until"]) if content["hold_until"] else None
    release = content.get("release")
    if release is not None:
        release = Release(datetime.fromisoformat(release["at"]), tuple(release["modules"]), release["leaver"])
    return RequiredModules(**{**content, "modules": tuple(content["modules"]), "hold_until": hold_until, "release": release})


def note_to_json(note: Note) -> dict[str, Any]:
    content: dict[str, Any] = {"type": note.type, "detail": note.detail}
    if note.decision_id is not None:
        content |= {"reason": note.reason, "decision_id": str(note.decision_id)}
    return content


def _note_from_json(content: Mapping[str, Any]) -> Note:
    """Only a note about an answer of seats has a decision id."""
    decision_id = content.get("decision_id")
    return Note(content["type"], content["detail"], content.get("reason"), None if decision_id is None else DecisionId.parse(decision_id))


def _overrides_to_json(overrides: Overrides) -> dict[str, Any]:
    if overrides is NO_OVERRIDES:
        return {}
    employment = overrides.employment
    if employment is None:
        return {"values": given_to_json(overrides.values)} if overrides.values else {}
    days = {"since": employment.since, "sources_end": employment.sources_end, "ends_on": employment.ends_on}
    written = {name: None if day is None else day.isoformat() for name, day in days.items()}
    return {"values": given_to_json(overrides.values), "employment": {"employed": employment.employed} | written}


def _overrides_from_json(content: Mapping[str, Any]) -> Overrides:
    if not content:
        return NO_OVERRIDES
    employment, found = content.get("employment"), None
    if employment is not None:
        days = {name: date.fromisoformat(day) for name in ("since", "sources_end", "ends_on") if (day := employment.get(name)) is not None}
        found = Employment(employment["employed"], **days)
    return Overrides(given_from_json(content["values"]), found)


def row_of(person: Person) -> dict[str, Any]:
    """Return the fields of `PersonRow`."""
    standing = person.standing
    row: dict[str, Any] = {
        "user_id": person.user,
        "login_key": login_key(person.record.login) if person.record is not None else "",
        "profile": standing.profile,
        "status": standing.status,
        "notes": [note_to_json(note) for note in person.notes],
        "required_modules": standing.required.modules,
        "rights": standing.rights,
        "not_subscribed": standing.not_subscribed,
        "sent": _sent_to_json(person.sent),
        "overrides": _overrides_to_json(person.overrides),
        "conflict": None if person.conflict is None else {"reason": person.conflict.reason, "by": person.conflict.by},
        "conflict_people": () if person.conflict is None else person.conflict.people,
        "email_key": login_key(person.record.email) if person.record is not None else "",
    }
    row.update(zip(_PERSON, _PERSON_OF(person), strict=True))
    row.update(zip(_RECORD, _RECORD_OF(person.record or _NO_RECORD), strict=True))
    row.update(zip(_ACCOUNT, _ACCOUNT_OF(person.account), strict=True))
    return row


def person_of(row: PersonRow, today: date | None) -> Person:
    """`today` is the tenant's: it tells whether a login has ended. Without it, the login is taken as not ended."""
    status = Status(row.status)
    record, account = Record(*_RECORD_OF(row)), Account(*_ACCOUNT_OF(row))
    found = [_note_from_json(note) for note in row.notes]
    notes = tuple(note for note in found if note.decision_id is None)
    sent = _sent_from_json(row.sent)
    # Required modules are sent in the transaction that stores them, so those sent last are those required, if there are any.
    required = sent if row.required_modules and sent is not None else NO_MODULES
    is_known = status is not Status.EXPECTED
    day, lacks = today or date.min, bool(row.not_subscribed)
    _, may_log_in = status_of(record, account, day, requires_modules=required != NO_MODULES, lacks_modules=lacks)
    may_log_in = may_log_in and is_known and status is not Status.CONFLICT
    signs_in = is_known and may_sign_in(record, account, row.rights, day)
    return Person(
        user=row.user_id,
        record=record if is_known else None,
        account=account,
        standing=Standing(status, may_log_in, row.profile, required, notes, row.rights, signs_in, row.not_subscribed),
        sent=sent,
        overrides=_overrides_from_json(row.overrides),
        conflict=None if row.conflict is None else Conflict(row.conflict["reason"], row.conflict["by"], row.conflict_people),
        not_done=next((note for note in found if note.decision_id is not None), None),
        **dict(zip(_PERSON, _PERSON_OF(row), strict=True)),
    )
