"""What users decides, without IO: who a person is (the fold of the facts about them), which modules they need, and what a decision of
seats means for them. Sources: rules.md A7 A19 A20 A21 M4 M6 E2 E3 E4; design.md sections 4 and 5.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from shared.schemas import seats_v1 as seats
from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft
from shared.schemas.position import DecisionId
from shared.schemas.seats_v1 import Reason, SeatState

SEQUENCE_MAX: Final = 2**63 - 1  # what a column holds
REST_SOURCE: Final = "rest"  # of the people and changes that come through this service's own door


class Kind(StrEnum):
    EMPLOYEE = "employee"
    EXTERNAL = "external"  # takes no seat (M6)
    SERVICE = "service"  # takes no seat (M6)


class Status(StrEnum):
    EXPECTED = "expected"  # only facts of the future (or no hire yet): nobody as of today, shown nowhere
    ACTIVE = "active"
    INACTIVE = "inactive"  # may not log in
    DEACTIVATED = "deactivated"  # revoked in a base module
    LEFT = "left"


class ModuleState(StrEnum):
    """How a module of a person is shown. The first four are seats; the others say why there is none."""

    ACTIVE = "active"
    FLAGGED = "flagged"
    HELD = "held"
    WAITING = "waiting"
    REFUSED = "refused"
    REVOKED = "revoked"  # a base module
    WITHDRAWN = "withdrawn"  # any other; stays in the need
    PENDING = "pending"  # asked for, not answered yet
    RELEASED = "released"  # no longer needed; kept for its position, shown nowhere


# ----------------------------------------------------------------------------------------------------------------- time


def local_today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of `day` in `zone`; where a change of the clock leaves out midnight, the instant of that change."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


# ---------------------------------------------------------------------------------------------------------------- facts


class FactType(StrEnum):
    HIRED = "hired"
    CHANGED = "changed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a person. `given` holds only the fields that it sets."""

    id: str
    type: FactType
    effective_date: date
    sequence: int
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[date, int, str]:
        return (self.effective_date, self.sequence, self.id)


@dataclass(frozen=True, slots=True)
class Record:
    """What the facts up to a day make of a person."""

    employed: bool
    login: str = ""
    email: str = ""
    name: str = ""
    job_title: str = ""
    department: str | None = None
    kind: str = Kind.EMPLOYEE
    valid_to: date | None = None  # last day on which the login works


RECORD_FIELDS: Final = tuple(f.name for f in fields(Record) if f.name != "employed")


def problem_of(payload: HrFact) -> str | None:
    """The rule that a readable fact breaks, naming the field; None if none."""
    if payload.sequence > SEQUENCE_MAX:
        return f"sequence: at most {SEQUENCE_MAX} expected (got {payload.sequence})"
    for name in ("external_id", *RECORD_FIELDS):
        if "\0" in str(getattr(payload, name, "")):
            return f"{name}: a text without NUL expected"
    kind = getattr(payload, "kind", None)
    if kind is not None and kind not in tuple(Kind):
        return f"kind: one of {', '.join(Kind)} expected (got {kind!r})"
    if isinstance(payload, PersonHired) and not payload.login.strip():
        return "login: must not be empty"
    if isinstance(payload, PersonChanged) and payload.login is not None and not payload.login.strip():
        return "login: must not be empty"
    return None


def fact_of(payload: HrFact, id: str) -> Fact:  # noqa: A002 - the field's own name
    """An empty department takes the person out of theirs; what is None is not given."""
    given = {name: value for name in RECORD_FIELDS if (value := getattr(payload, name, None)) is not None}
    match payload:
        case PersonHired():
            type_ = FactType.HIRED
            given.setdefault("department", None)
            given.setdefault("valid_to", None)
        case PersonChanged():
            type_ = FactType.CHANGED
        case PersonLeft():
            type_, given = FactType.LEFT, {}
        case _:
            raise TypeError(type(payload).__name__)
    if given.get("department") == "":
        given["department"] = None
    return Fact(id, type_, payload.effective_date, payload.sequence, given)


def fold(facts: Iterable[Fact], today: date) -> Record | None:
    """The person as of `today`: all facts effective by then, in the order (effective date, sequence, id), each once, whatever the order
    of their arrival. None while nobody has been hired: a change or a leaving before the first hire has no person to speak of."""
    record: Record | None = None
    for fact in sorted({f.id: f for f in facts if f.effective_date <= today}.values(), key=lambda f: f.order):
        if fact.type is FactType.HIRED:
            record = Record(employed=True, **fact.given)
        elif record is not None:
            record = replace(record, employed=record.employed and fact.type is not FactType.LEFT, **fact.given)
    return record


def reconsider_on(facts: Iterable[Fact], record: Record | None, today: date) -> date | None:
    """The next local day on which this person can change by the passing of time alone: a fact falls due, or the login ends."""
    days = [fact.effective_date for fact in facts if fact.effective_date > today]
    if record is not None and record.valid_to is not None and record.valid_to >= today and record.valid_to < date.max:
        days.append(record.valid_to + timedelta(days=1))
    return min(days, default=None)


# ----------------------------------------------------------------------------------------------------------------- need


@dataclass(frozen=True, slots=True)
class Profile:
    modules: tuple[str, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a tenant decides its people's needs."""

    profiles: Mapping[str, Profile]
    departments: Mapping[str, str | None]
    release_on_expiry: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What users itself keeps of a person, beside the facts."""

    given_profile: str | None = None  # by REST; goes before the department's
    administrator: bool = False
    may_log_in: bool = True
    priority: int = 0
    hold_until: datetime | None = None
    deactivated: bool = False  # revoked in a base module


@dataclass(frozen=True, slots=True)
class Need:
    """What `assign_seats` says, but for the person and the revision. Without modules nothing else counts, so it is in its normal form."""

    modules: tuple[str, ...] = ()
    administrator: bool = False
    priority: int = 0
    partial: bool = False
    hold_until: datetime | None = None


NOTHING: Final = Need()


@dataclass(frozen=True, slots=True)
class Note:
    """Shown with the person: what kept something from being done, and why. Of what seats answered: `reason` in its words, and `place`."""

    type: str
    detail: str
    reason: str | None = None
    place: DecisionId | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    status: Status
    may_log_in: bool
    profile: str | None
    need: Need
    notes: tuple[Note, ...] = ()


def profile_of(record: Record, account: Account, settings: Settings) -> tuple[str | None, tuple[Note, ...]]:
    if account.given_profile is not None:
        return account.given_profile, ()
    if record.department is None:
        return None, ()
    if record.department not in settings.departments:
        detail = f"Department {record.department!r} is not in the department mapping, so this person has no profile and takes no seat."
        return None, (Note("unknown_department", detail),)
    return settings.departments[record.department], ()


def need_of(record: Record, account: Account, profile: Profile | None, *, login_expired: bool, release_on_expiry: bool) -> Need:
    """The modules a person needs (A7, M4, E2): credentials exist, may log in, not terminated, and the profile has a module; external and
    service people need none (M6), nor does a profile without modules (A19). An expired `valid_to` takes the need away only where the
    tenant says so (A20, A21).

    A revocation changes nothing here: the module stays in the need, and seats, which remembers it, answers `revoked` until a reactivation
    names it.
    """
    blocked = not account.may_log_in or (login_expired and release_on_expiry)
    if not record.employed or not record.login or blocked or record.kind != Kind.EMPLOYEE or profile is None or not profile.modules:
        return NOTHING
    modules = tuple(sorted(set(profile.modules)))
    return Need(modules, account.administrator, account.priority, profile.partial, account.hold_until)


def status_of(record: Record, account: Account, today: date) -> tuple[Status, bool]:
    """(status, may log in). An ended login makes inactive, by itself it frees no seat (A20)."""
    login_expired = record.valid_to is not None and record.valid_to < today
    may_log_in = record.employed and account.may_log_in and not login_expired and not account.deactivated
    if not record.employed:
        return Status.LEFT, may_log_in
    if account.deactivated:
        return Status.DEACTIVATED, may_log_in
    return (Status.ACTIVE if may_log_in else Status.INACTIVE), may_log_in


def standing(record: Record | None, account: Account, settings: Settings, today: date) -> Standing:
    if record is None:
        return Standing(Status.EXPECTED, may_log_in=False, profile=None, need=NOTHING)
    login_expired = record.valid_to is not None and record.valid_to < today
    name, notes = profile_of(record, account, settings)
    profile = settings.profiles.get(name) if name is not None else None
    if name is not None and profile is None:
        notes = (*notes, Note("unknown_profile", f"Profile {name!r} is not defined, so this person takes no seat."))
    need = need_of(record, account, profile, login_expired=login_expired, release_on_expiry=settings.release_on_expiry)
    status, may_log_in = status_of(record, account, today)
    return Standing(status, may_log_in, name, need, notes)


def must_send(need: Need, sent: Need | None) -> bool:
    """Design, section 5: sent when it differs from what was sent last. Who never needed anything is not spoken of at all (A19)."""
    return need != NOTHING if sent is None else need != sent


# ------------------------------------------------------------------------------------------------- decisions of seats


@dataclass(frozen=True, slots=True)
class Decided:
    """What one event of seats says of one module of a person. `revoked` and `refused` are counted over the whole run."""

    module: str
    state: ModuleState
    deadline: datetime | None = None
    reason: str | None = None
    revoked: bool = False
    refused: bool = False


_ANSWERED: Final[Mapping[str, ModuleState]] = {
    SeatState.ACTIVE: ModuleState.ACTIVE,
    SeatState.FLAGGED: ModuleState.FLAGGED,
    SeatState.HELD: ModuleState.HELD,
    SeatState.WAITING: ModuleState.WAITING,
    SeatState.REFUSED: ModuleState.REFUSED,
    SeatState.REVOKED: ModuleState.REVOKED,
}


def _answered(modules: Sequence[seats.ModuleSeat], reason: str) -> list[Decided]:
    """A state that this release does not know (an open enum) is shown as pending rather than guessed."""
    return [
        Decided(
            seat.module,
            _ANSWERED.get(seat.state, ModuleState.PENDING),
            seat.deadline,
            seat.reason or reason,
            revoked=seat.state == SeatState.REVOKED,
            refused=seat.state == SeatState.REFUSED,
        )
        for seat in modules
    ]


def decided(event: seats.PersonEvent) -> list[Decided]:
    """The states that the event gives to modules of `event.user`; an answer lists the whole need."""
    match event:
        case seats.NeedAnswered() | seats.SeatsMoved():
            return _answered(event.modules, event.reason)
        case seats.SeatFlagged():
            return [Decided(event.module, ModuleState.FLAGGED, event.deadline, event.reason)]
        case seats.SeatFlagCleared() | seats.SeatGranted():
            return [Decided(event.module, ModuleState.ACTIVE, None, event.reason)]
        case seats.SeatRevoked():
            state = ModuleState.REVOKED if event.base else ModuleState.WITHDRAWN
            return [Decided(event.module, state, None, event.reason, revoked=True)]
        case seats.SeatReleased() | seats.HoldExpired() | seats.HoldCancelled():
            return [Decided(event.module, ModuleState.WITHDRAWN, None, event.reason)]
        case _:
            return []


def not_done(event: seats.CommandRejected | seats.CommandFailed, place: DecisionId) -> Note:
    """Why the need that was sent last has no decision, for whoever looks at the person and sees it pending."""
    match event:
        case seats.CommandRejected():
            return Note("command_rejected", f"Seats rejected what was asked for: {event.wrong()}.", event.reason, place)
        case seats.CommandFailed():
            detail = f"Seats met an error at what was asked for; its log has the rest under {event.error_id}."
            return Note("command_failed", detail, event.reason, place)


@dataclass(frozen=True, slots=True)
class Seat:
    """What seats decided of one module of a person, as of `place`. `revoked`, `refused`: ever."""

    state: ModuleState
    deadline: datetime | None
    reason: str | None
    revoked: bool
    refused: bool
    place: DecisionId


def project(seats_: Mapping[str, Seat], place: DecisionId, decided_: Sequence[Decided], need: Collection[str] | None) -> dict[str, Seat]:
    """The modules that one decision changes. An older decision than the one that a module reflects changes nothing of it, but that it was
    ever revoked or refused is counted all the same. `need` given: it lists all that is needed, so other modules are released; they are
    kept for their place, or an old decision that is handled again would bring them back."""
    changed: dict[str, Seat] = {}
    for module, seat in seats_.items():
        if need is not None and module not in need and seat.state is not ModuleState.RELEASED and seat.place < place:
            reason = Reason.NO_LONGER_NEEDED.value
            changed[module] = replace(seat, state=ModuleState.RELEASED, deadline=None, reason=reason, place=place)
    for said in decided_:
        known = seats_.get(said.module)
        revoked, refused = said.revoked or (known is not None and known.revoked), said.refused or (known is not None and known.refused)
        if known is None or known.place < place:
            # An answer says `revoked` of a withdrawn module as well; it stays what the revocation made it.
            withdrawn = said.state is ModuleState.REVOKED and known is not None and known.state is ModuleState.WITHDRAWN
            state = ModuleState.WITHDRAWN if withdrawn else said.state
            changed[said.module] = Seat(state, said.deadline, said.reason, revoked, refused, place)
        elif (revoked, refused) != (known.revoked, known.refused):
            changed[said.module] = replace(known, revoked=revoked, refused=refused)
    return changed


def is_deactivated(seats_: Mapping[str, Seat]) -> bool:
    return any(seat.state is ModuleState.REVOKED for seat in seats_.values())


def reason_of(before: Status, after: Status, fact: FactType | None) -> Reason:
    """The reason that a changed need is sent with."""
    if after is Status.LEFT:
        return Reason.LEFT
    if before in (Status.EXPECTED, Status.LEFT) and fact is not FactType.CHANGED:
        return Reason.HIRED
    return Reason.HIRED if before is Status.EXPECTED else Reason.CHANGED
