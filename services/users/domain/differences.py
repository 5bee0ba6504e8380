"""What HR systems, SCIM connections, users and seats say about one person where they differ, and what each difference would change."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from services.users.domain.conflicts import ConflictReason
from services.users.domain.facts import BEGINNINGS, REST_SOURCE, Kind, Record, fold_by_day
from services.users.domain.known_people import KnownPeople
from services.users.domain.merging import OVERRIDE, Overrides, Stated, origins, stated
from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import Person, Tenant, as_of
from services.users.domain.required_modules import NO_MODULES, Invitation
from services.users.domain.sources import Key, SourceKind, source_of
from services.users.domain.status import Status, standing

SEATS: Final = (ModuleState.ACTIVE, ModuleState.FLAGGED, ModuleState.HELD, ModuleState.WAITING)  # what seats lists as seats
USABLE: Final = (ModuleState.ACTIVE, ModuleState.FLAGGED)
COMPARED: Final = ("login", "email", "department", "kind", "valid_to")  # values that decide something


class DifferenceKind(StrEnum):
    NOT_IN_HR = "not_in_hr"
    NOT_IN_SCIM = "not_in_scim"
    ENDED = "ended"  # one source has ended a person whom another one employs
    BLOCKED = "blocked"  # one source blocks the login of a person whom another one employs
    OVERRIDE = "override"  # an administrator has set the employment
    CONFLICT = "conflict"
    NO_SEAT = "no_seat"
    SEATS_DIFFER = "seats_differ"  # from what users has recorded
    VALUE = "value"  # sources state different values


class Says(StrEnum):
    """What a source says about a person today."""

    EMPLOYED = "employed"
    BLOCKED = "blocked"  # employed, and may not log in
    LATER = "later"  # employed from a later day on
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Said:
    source: str
    kind: str
    external_id: str
    says: Says


@dataclass(frozen=True, slots=True)
class Difference:
    """`modules` are those concerned. `would_require`: the modules that the person would require without the difference; None: the
    difference decides nothing about them."""

    kind: DifferenceKind
    reason: str
    text: str
    change: str
    modules: tuple[str, ...] = ()
    would_require: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """A person of whom it is known what everybody says. `seats`: the states of the person's seats by module; None: seats did not answer."""

    person: Person
    stated: Stated
    said: tuple[Said, ...]
    recorded: Mapping[str, Seat]
    seats: Mapping[str, str] | None


def said_about(known: KnownPeople, user: str, tenant: Tenant) -> tuple[Said, ...]:
    """Return what each source says about the person, in the order of the sources' positions."""
    found = []
    for key, timeline in known.timelines[user].items():
        source = source_of(known.sources, key.source)
        record = next(fold_by_day(timeline.facts, (tenant.today,)))
        if record is None and any(fact.type in BEGINNINGS for fact in timeline.facts):
            says = Says.LATER
        elif record is None or not record.employed:
            says = Says.ENDED
        else:
            says = Says.EMPLOYED if record.login_allowed else Says.BLOCKED
        if timeline.facts:
            found.append((source.position, source.arrival, Said(key.source, source.kind, key.external_id, says)))
    return tuple(each for _, _, each in sorted(found, key=lambda each: each[:2]))


def differences(known: KnownPeople, examined: Examined, kinds: Collection[str], tenant: Tenant) -> list[Difference]:
    """Return the differences about one person. `kinds` are the kinds of the tenant's sources that report people."""
    person = examined.person
    found: list[Difference] = []
    if person.record is not None:
        compared = _Compared(known, examined, kinds, tenant)
        found = [each for each in (*compared.of_sources(), *compared.of_values()) if each is not None]
        found += compared.of_seats({each.kind for each in found})
    return found + _recorded_otherwise(examined)


def unknown_person(user: str, seats: Mapping[str, str]) -> Difference:
    """Return the difference about somebody who has seats, and whom users does not know."""
    text = f"seats has {_seats(seats)} for the user {user}, whom users does not know."
    change = (
        "If the database of users was restored from a backup, users has to read the events since then again. Otherwise look for the sender "
        "of the command: `GET …/why/{user}` of seats names it."
    )
    return Difference(DifferenceKind.SEATS_DIFFER, "unknown_person", text, change, tuple(sorted(seats)))


class _Compared:
    """One person, compared."""

    def __init__(self, known: KnownPeople, examined: Examined, kinds: Collection[str], tenant: Tenant) -> None:
        self.known, self.examined, self.kinds, self.tenant = known, examined, kinds, tenant
        self.person, self.said = examined.person, examined.said
        self.name = name_of(self.person)
        self.required = self.person.standing.required.modules

    def of_sources(self) -> Iterable[Difference | None]:
        yield self._missing(SourceKind.HR, DifferenceKind.NOT_IN_HR)
        yield self._missing(SourceKind.SCIM, DifferenceKind.NOT_IN_SCIM)
        yield self._ended()
        yield self._blocked()
        yield self._override()
        yield self._conflict()

    def _is_employed(self) -> bool:
        return self.person.record is not None and self.person.record.employed

    def _missing(self, kind: SourceKind, difference: DifferenceKind) -> Difference | None:
        """Tell whether no source of this kind knows the employed person, although there is one that reports people."""
        if not self._is_employed() or kind not in self.kinds or any(each.kind == kind for each in self.said):
            return None
        others = _names(label(each.source) for each in self.said if each.says in (Says.EMPLOYED, Says.BLOCKED))
        system = "HR system" if kind is SourceKind.HR else "SCIM connection"
        text = f"{self.name} is known to {others}, and to no {system}."
        if kind is SourceKind.SCIM:
            change = (
                "If the identity provider adds the user, and login, employee number or e-mail address match, both are one person, and no "
                "further seat is needed. Until then the identity provider cannot block the login."
            )
        else:
            change = (
                "If an HR system reports the person, and login, employee number or e-mail address match, both are one person, whose "
                f"employment HR decides. If the person does not work here, end the employment in {others}: {_released(self.required)}."
            )
        return Difference(difference, "unknown", text, change, self.required, None)

    def _ended(self) -> Difference | None:
        ended = [each for each in self.said if each.says is Says.ENDED]
        working = [each for each in self.said if each.says in (Says.EMPLOYED, Says.BLOCKED)]
        if not ended or not working:
            return None
        by, others = _names(label(each.source) for each in ended), _names(label(each.source) for each in working)
        still = f"{others} still {_verb(working, 'has')} the person"
        text = f"{by} {_verb(ended, 'has')} ended the employment of {self.name}; {still}."
        if self._is_employed():
            change = f"The person counts as employed. If {others} {_verb(working, 'ends')} the person as well, {_released(self.required)}."
            return Difference(DifferenceKind.ENDED, "still_employed", text, change, self.required, ())
        would = self._would_without(ended)
        change = (
            f"The person counts as a leaver and takes no seat. If that is right, delete or deactivate the person in {others}; no seat "
            f"changes. If {by} {_verb(ended, 'employs')} the person again, the person {_requires(would)}."
        )
        return Difference(DifferenceKind.ENDED, "left", text, change, would, would)

    def _would_without(self, said: Sequence[Said]) -> tuple[str, ...]:
        """Return the modules that the person would require if these sources said nothing."""
        left_out = {Key(each.source, each.external_id) for each in said}
        timelines = {key: timeline for key, timeline in self.known.timelines[self.person.user].items() if key not in left_out}
        return self._requires_as(stated(timelines, self.known.sources, self.person.overrides))

    def _requires_as(self, of: Stated, person: Person | None = None) -> tuple[str, ...]:
        return as_of(person or self.person, of, self.tenant).standing.required.modules

    def _blocked(self) -> Difference | None:
        blocking = [each for each in self.said if each.says is Says.BLOCKED]
        if not blocking or len(self.said) < 2 or not self._is_employed():
            return None
        by = _names(label(each.source) for each in blocking)
        others = [each for each in self.said if each.says is Says.EMPLOYED]
        if not others:
            return None
        record = self.person.record
        would = self._required_by(replace(record, login_allowed=True)) if record is not None else ()
        employ = f"{_names(label(each.source) for each in others)} {_verb(others, 'employs')}"
        text = f"{by} {_verb(blocking, 'blocks')} the login of {self.name}, whom {employ}."
        activate = f"{by} {_verb(blocking, 'activates')} the person again"
        change = f"The person may not log in and takes no seat. If {activate}, the person {_requires(would)}."
        return Difference(DifferenceKind.BLOCKED, "inactive", text, change, would, would)

    def _override(self) -> Difference | None:
        employment = self.person.overrides.employment
        if employment is None or employment.since > self.tenant.today:
            return None
        sources = Stated(self.examined.stated.parts, replace(self.person.overrides, employment=None))
        record = sources.on(self.tenant.today)
        employs = employment.employs_on(self.tenant.today)
        if record is None or record.employed == employs:
            return None
        would = self._requires_as(sources)
        by = _names(label(each.source) for each in self.said)
        word = "employed" if employs else "not employed"
        say = _verb(self.said, "says")
        text = f"An administrator has set {self.name} to {word}; {by} {say} the opposite."
        effect = f"the person {_requires(would)}" if record.employed else _released(self.required)
        change = f"If the override is removed (`DELETE …/people/{{user}}/overrides/employed`), {effect}."
        return Difference(DifferenceKind.OVERRIDE, "employed", text, change, would or self.required, would)

    def _conflict(self) -> Difference | None:
        conflict = self.person.conflict
        if conflict is None or self.person.standing.status is not Status.CONFLICT:
            return None
        would = self._requires_as(self.examined.stated, replace(self.person, conflict=None))
        text = f"{self.name} takes no seat, because {_CONFLICTS[ConflictReason(conflict.reason)]}."
        change = f"{_decide(conflict.reason)} A person who is not linked then {_requires(would)}."
        return Difference(DifferenceKind.CONFLICT, conflict.reason, text, change, would, would)

    def of_values(self) -> Iterable[Difference]:
        """Yield the values that hide other ones."""
        for name, origin in origins(self.examined.stated, self.tenant.today).items():
            if name not in COMPARED or not self._is_employed():
                continue
            for source, value in origin.hides:
                would = self._requires_with(name, value)
                by = "an administrator" if origin.source == OVERRIDE else label(origin.source)
                text = f"{self.name}: {name} is {_value(origin.value)} ({by}); {source} states {_value(value)}."
                effect = "no module" if would == self.required else f"the modules: the person {_requires(would)}"
                change = f"With the value of {source}, this changes {effect}."
                yield Difference(DifferenceKind.VALUE, name, text, change, (), would)

    def _requires_with(self, name: str, value: object) -> tuple[str, ...]:
        overrides = self.examined.stated.overrides
        return self._requires_as(Stated(self.examined.stated.parts, Overrides({**overrides.values, name: value}, overrides.employment)))

    def of_seats(self, explained: Collection[DifferenceKind]) -> Iterable[Difference]:
        """Yield why an employed person lacks seats, unless another difference explains it."""
        if not self._is_employed() or self.person.standing.status is Status.CONFLICT:
            return
        if not self.required:
            if DifferenceKind.BLOCKED not in explained:
                yield self._requires_nothing()
            return
        by_state: dict[ModuleState, list[str]] = {}
        for module in self.required:
            seat = self.examined.recorded.get(module)
            state: ModuleState = ModuleState.RELEASED if seat is None else seat.state
            state = ModuleState.PENDING if state is ModuleState.RELEASED else state
            if state not in USABLE:
                by_state.setdefault(state, []).append(module)
        for found, modules in by_state.items():
            verb, change = _STATES.get(found, _STATES[ModuleState.PENDING])
            text = f"{self.name} requires {_names(modules)}; {verb}."
            yield Difference(DifferenceKind.NO_SEAT, found.value, text, change, tuple(modules), self.required)

    def _requires_nothing(self) -> Difference:
        reason, why, change = why_nothing(self.person, self.said, self.tenant)
        text = f"{self.name} is employed and requires no modules, because {why}."
        would: tuple[str, ...] | None = None
        if reason == "no_login" and self.person.record is not None:
            would = self._required_by(replace(self.person.record, login="login"))
            change = f"With a login, the person {_requires(would)}."
        return Difference(DifferenceKind.NO_SEAT, reason, text, change, would or (), would)

    def _required_by(self, record: Record) -> tuple[str, ...]:
        return standing(record, self.person.account, self.tenant.settings, self.tenant.today).required.modules


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps an employed person from logging in, or from requiring modules, and what to do about it."""

    reason: str
    detail: str


def obstacle(person: Person, said: Sequence[Said], tenant: Tenant) -> Obstacle | None:
    """Return what an activation of the person does not end; None: it leads to seats."""
    if person.record is None or not person.record.employed:
        return None
    if person.standing.status is Status.INACTIVE:
        blocks = _blocks(person, said, tenant)
        effect, why = "may not log in", " and ".join(words for _, words, _ in blocks)
        reason, change = blocks[0][0], " ".join(remedy for _, _, remedy in blocks)
    elif person.standing.required == NO_MODULES:
        effect, (reason, why, change) = "requires no modules", why_nothing(person, said, tenant)
    else:
        return None
    return Obstacle(reason, f"The person {effect}, because {why}. {change}")


def _blocks(person: Person, said: Sequence[Said], tenant: Tenant) -> list[tuple[str, str, str]]:
    """Return everything that blocks the login of an employed person: the reason, the reason in words, and what would change it."""
    record = person.record
    assert record is not None
    found = []
    if not record.login_allowed:
        by = [label(each.source) for each in said if each.says is Says.BLOCKED] or ["a source"]
        words = f"{_names(by)} {'blocks' if len(by) == 1 else 'block'} the login"
        found.append(("login_blocked", words, f"Activate the person in {_names(by)}: an administrator cannot end this block here."))
    if not person.account.may_log_in:
        words = "an administrator has blocked the login"
        found.append(("may_not_log_in", words, "Reactivate the person (`POST …/people/{user}/reactivate`)."))
    if not record.login:
        found.append(("no_login", "the person has no login", "Give the person a login."))
    if record.valid_to is not None and record.valid_to < tenant.today:
        found.append(("login_ended", f"the login ended on {record.valid_to}", "Set a later `valid_to`, or none."))
    return found


def why_nothing(person: Person, said: Sequence[Said], tenant: Tenant) -> tuple[str, str, str]:
    """Return why an employed person requires no modules: the reason, the reason in words, and what would change it."""
    account, record = person.account, person.record
    assert record is not None
    if person.conflict is not None and person.standing.status is Status.CONFLICT:
        return person.conflict.reason, _CONFLICTS[ConflictReason(person.conflict.reason)], _decide(person.conflict.reason)
    if record.kind != Kind.EMPLOYEE:
        return "kind", f"the kind is {record.kind}", "Only employees take seats. With the kind employee, the profile decides."
    if (blocked := next(iter(_blocks(person, said, tenant)), None)) is not None:
        return blocked
    if account.invitation != Invitation.NONE and account.hold_until is None:
        return "invited", "the invitation is not accepted and reserves no licences", "The person requires modules after accepting it."
    if person.standing.not_subscribed:
        modules = _names(person.standing.not_subscribed)
        return "not_subscribed", f"{modules} of the profile is not subscribed", "The person requires them when their pools are open."
    if person.standing.profile is None or any(note.type == "unknown_department" for note in person.standing.notes):
        where = "no department" if record.department is None else f"the department {record.department!r}, which has no profile"
        change = "Give the person a department that has a profile" if record.department is None else "Map the department to a profile"
        return "no_profile", f"the person has {where}", f"{change}, or give the person a profile."
    return "no_modules", f"the profile {person.standing.profile} has no modules", "Add modules to the profile, or choose another one."


def _decide(conflict: str) -> str:
    if conflict == ConflictReason.POSSIBLE_DUPLICATE:
        return "Confirm the people of the source (`POST …/possible-duplicates/confirm`), or link this person to another one."
    return "Link the two people if they are one human, separate them if they are two, or change one login."


def _recorded_otherwise(examined: Examined) -> list[Difference]:
    """Return how the seats differ from what users has recorded."""
    if examined.seats is None:
        return []
    recorded = {module: str(seat.state) for module, seat in examined.recorded.items() if seat.state in SEATS}
    live = {module: state for module, state in examined.seats.items() if state in SEATS}
    if (modules := tuple(sorted(name for name in {*recorded, *live} if recorded.get(name) != live.get(name)))) == ():
        return []
    shown = {name: live[name] for name in modules if name in live}, {name: recorded[name] for name in modules if name in recorded}
    text = f"seats has {_seats(shown[0])} for {name_of(examined.person)}; users has recorded {_seats(shown[1])}."
    change = (
        "seats decides. users follows when it has read the decision, usually within a second. If the difference stays, look for dead "
        "letters of users (`seatpool dlq list`)."
    )
    return [Difference(DifferenceKind.SEATS_DIFFER, "recorded_otherwise", text, change, modules, None)]


_CONFLICTS: Final[Mapping[ConflictReason, str]] = {
    ConflictReason.LOGIN_IN_USE: "another employed person has the same login",
    ConflictReason.SEVERAL_PEOPLE: "several people match this person",
    ConflictReason.SAME_SOURCE: "the person who matches is already known to the same source under another external id",
    ConflictReason.PRIVILEGED: "the person who matches by e-mail address only has rights to manage the tenant",
    ConflictReason.POSSIBLE_DUPLICATE: "the source added many people who match nobody, and they may be duplicates",
}
_STATES: Final[Mapping[ModuleState, tuple[str, str]]] = {
    ModuleState.PENDING: ("seats has not decided yet", "Usually seats decides within a second. If not, look at the person's `notes`."),
    ModuleState.HELD: ("a licence is reserved until the invitation is accepted", "The person gets the seat when accepting the invitation."),
    ModuleState.WAITING: ("the person waits for a free licence", "The next free licence goes to the person who has waited longest."),
    ModuleState.REFUSED: (
        "seats refused it",
        "Free or buy a licence, and then request the seats again: `POST …/people/{user}/reactivate` or `POST …/people/reactivate-refused`.",
    ),
    ModuleState.REVOKED: ("the seat was revoked", "Free or buy a licence, and then reactivate the person."),
    ModuleState.WITHDRAWN: ("the seat was withdrawn", "Free or buy a licence, and then reactivate the person."),
}


def name_of(person: Person) -> str:
    record = person.record
    return (record and (record.name or record.login or record.email)) or person.external_id or person.user


def label(source: str) -> str:
    """Return the name of a source for readers: `rest` is the id of the source of changes by REST."""
    return "the REST API" if source == REST_SOURCE else source


def _names(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else "nobody"


def _verb(subjects: Sequence[Said], singular: str) -> str:
    """Return the verb for these subjects, of which there is at least one."""
    return singular if len(subjects) == 1 else {"has": "have"}.get(singular, singular.removesuffix("s"))


def _seats(states: Mapping[str, str]) -> str:
    return ", ".join(f"{state} {module}" for module, state in sorted(states.items())) or "no seat"


def _requires(modules: Sequence[str]) -> str:
    return f"requires {_names(modules)}" if modules else "requires no modules"


def _released(modules: Sequence[str]) -> str:
    return f"{'the seat' if len(modules) == 1 else 'the seats'} of {_names(modules)} would be released" if modules else "no seat changes"


def _value(value: object) -> str:
    return "not set" if value in (None, "") else repr(str(value))
