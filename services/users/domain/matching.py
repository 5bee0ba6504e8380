"""One human, one person: which person a new timeline belongs to, and who may not use a login because somebody else has it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Final

from services.users.domain.conflicts import NAMED_MAX, Conflict, ConflictReason
from services.users.domain.facts import FactType, Record
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login, login_key
from services.users.domain.merging import Stated
from services.users.domain.person import Person
from services.users.domain.sources import Key, MatchBy, Source, SourceKind, Sources, source_of

HR_ID: Final = "hr_id"  # an external id of an HR system
NUMBER: Final = "number"  # the employee number that an identity system states
_BY_ALL: Final = tuple(MatchBy)
# Somebody in one of these conflicts is matched again when the cause may have ended.
_MATCHED: Final = (
    ConflictReason.SEVERAL_PEOPLE,
    ConflictReason.SAME_SOURCE,
    ConflictReason.PRIVILEGED,
    ConflictReason.POSSIBLE_DUPLICATE,
)

Mark = tuple[str, str]  # what somebody can be found by, and its value in the form in which values are compared


def marks_of(record: Record, keys: Iterable[Key], sources: Sources) -> list[Mark]:
    """Return what an employed person can be found by."""
    values = [(MatchBy.LOGIN, login_key(record.login)), (MatchBy.EMAIL, login_key(record.email)), (NUMBER, record.employee_number)]
    hr_ids = [(HR_ID, key.external_id) for key in keys if source_of(sources, key.source).kind == SourceKind.HR]
    return [mark for mark in (*values, *hr_ids) if mark[1]]


def wanted_of(record: Record, key: Key, source: Source, by: Iterable[str] | None = None) -> dict[str, Mark]:
    """Return the marks by which the source wants its new timelines matched (or `by`), in this order."""
    found: dict[str, Mark] = {}
    for method in source.match_by if by is None else by:
        mark: Mark
        match method:
            case MatchBy.LOGIN:
                mark = (MatchBy.LOGIN, login_key(record.login))
            case MatchBy.EMAIL:
                mark = (MatchBy.EMAIL, login_key(record.email))
            case _ if source.kind == SourceKind.HR:
                mark = (NUMBER, key.external_id)
            case _:
                mark = (HR_ID, record.employee_number)
        if mark[1]:
            found[method] = mark
    return found


class People:
    """The employed people who are in no conflict, by their marks."""

    def __init__(self) -> None:
        self._found: dict[Mark, dict[str, None]] = {}
        self._marks: dict[str, list[Mark]] = {}

    def put(self, user: str, marks: list[Mark]) -> None:
        self.remove(user)
        self._marks[user] = marks
        for mark in marks:
            self._found.setdefault(mark, {})[user] = None

    def remove(self, user: str) -> None:
        for mark in self._marks.pop(user, ()):
            self._found[mark].pop(user, None)

    def find(self, mark: Mark, but: Collection[str] = ()) -> Iterator[str]:
        return (user for user in self._found.get(mark, ()) if user not in but)

    def holder(self, record: Record, user: str) -> str | None:
        """Return another person who has the login of the record."""
        key = login_key(record.login)
        return next(self.find((MatchBy.LOGIN, key), (user,)), None) if key else None


@dataclass(frozen=True, slots=True)
class Link:
    """The person to whom a timeline belongs, what it was recognised by, and whose it was before."""

    user: str
    by: str
    former: str


@dataclass
class Matched:
    """The result: timelines that belong to another person than a new one, and the conflict, if any, of everybody looked at."""

    links: dict[Key, Link] = field(default_factory=dict)
    conflicts: dict[str, Conflict | None] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)  # of first reports that match nobody
    look_again: list[str] = field(default_factory=list)  # people in conflict who are compared afterwards, by the background job


class Matching:
    """Compares people as they are after all statements of a batch: of two who swap their logins, neither is in conflict.

    `known` has the timelines after the statements, and the people before them: those stated about, everybody with one of the marks that
    are looked for, and those whose conflict may have ended.
    """

    def __init__(
        self,
        known: KnownPeople,
        today: date,
        privileged: Collection[str],
        edited: str | None = None,
        linked: Collection[str] = (),
    ) -> None:
        """`edited`: somebody whom an administrator edits now, and who stays the same person. `linked`: people with whom a timeline was
        linked just now, so that they have their logins already."""
        self._known, self._today, self._privileged, self._edited, self._linked_now = known, today, privileged, edited, linked
        self._people = People()
        self.matched = Matched()

    def run(self, first: Sequence[Key]) -> Matched:
        """`first`: timelines about which a source states something for the first time, in their order."""
        new = {self._known.users[key] for key in first}
        people = sorted(self._known.people.values(), key=lambda person: person.arrival)
        claiming: list[tuple[Person, Record]] = []
        for person in people:
            record = self._record(person.user)
            if person.user in new or record is None or not record.employed:
                self.matched.conflicts[person.user] = None
            elif person.user not in self._linked_now and (person.conflict is not None or _claims_login(person, record)):
                claiming.append((person, record))
            else:
                self._settle(person.user, record)
        # Those who are matched come last: each of the others may be meant.
        for person, record in sorted(claiming, key=lambda each: self._is_matched(each[0])):
            self._look_again(person, record)
        for key in first:
            self._match_first(key)
        return self.matched

    def candidates(self, key: Key, person: Person) -> tuple[list[str], str, ConflictReason | None]:
        """Return who may be the person of this timeline if it were reported now for the first time, what they are found by, and why they
        could not be linked. Call after `run`."""
        record = self._record(person.user)
        if record is None or not record.employed:
            return [], "", None
        found, by = self._find(key, record, (person.user, *person.separated))
        if len(found) != 1:
            return found, by, ConflictReason.SEVERAL_PEOPLE if found else None
        obstacle = self._obstacle(key, found[0], by)
        holder = None if obstacle is not None else self._people.holder(self._linked(key, found[0]), found[0])
        if holder is None or holder == person.user:
            return found, by, obstacle
        return [found[0], holder], by, ConflictReason.SEVERAL_PEOPLE

    def _record(self, user: str) -> Record | None:
        return self._known.stated(user).on(self._today)

    def _settle(self, user: str, record: Record) -> None:
        """Note whether the person may use the login."""
        holder = self._people.holder(record, user)
        conflict = None if holder is None else Conflict(ConflictReason.LOGIN_IN_USE, MatchBy.LOGIN, (holder,))
        self.matched.conflicts[user] = conflict
        if conflict is None:
            self._people.put(user, marks_of(record, self._known.timelines[user], self._known.sources))

    def _look_again(self, person: Person, record: Record) -> None:
        """End the conflict of the person if its cause has ended. Match somebody whose employment begins only now, and somebody who waited
        as a possible duplicate: those who were reported meanwhile were not compared with this person."""
        if self._waits(person):
            self.matched.conflicts[person.user] = person.conflict
        elif self._is_matched(person):
            self._match(next(iter(self._known.timelines[person.user])), record, person)
        else:
            self._settle(person.user, record)

    def _is_matched(self, person: Person) -> bool:
        """Return whether somebody who is looked at again is matched as at a first report."""
        conflict = person.conflict
        begins = person.record is None or person.never_employed if conflict is None else conflict.reason in _MATCHED
        return begins and len(self._known.timelines[person.user]) == 1 and not self._waits(person)

    def _waits(self, person: Person) -> bool:
        is_duplicate = person.conflict is not None and person.conflict.reason == ConflictReason.POSSIBLE_DUPLICATE
        return is_duplicate and self._may_be_duplicate(list(self._known.timelines[person.user]))

    def _may_be_duplicate(self, keys: Sequence[Key]) -> bool:
        """Return whether a possible duplicate waits on. Nobody does whom an HR system and an identity system know as one person; a second
        identity system alone only repeats what the first one says."""
        sources = [source_of(self._known.sources, key.source) for key in keys]
        is_known_to_both = {SourceKind.HR, SourceKind.SCIM} <= {source.kind for source in sources}
        return not is_known_to_both and any(source.duplicates_held for source in sources)

    def _match_first(self, key: Key) -> None:
        user = self._known.users[key]
        record = self._record(user)
        if record is not None and record.employed:
            self._match(key, record, self._known.people.get(user))
            return
        self.matched.conflicts[user] = None
        later = first_employed(self._known.stated(user), self._today)
        if later is None:
            return
        # Somebody who starts on a later day may be known to an identity system already. Nobody whom an HR system knows is meant: that
        # person may have the login until then.
        found, by = self._find(key, later, ())
        if len(found) == 1 and self._obstacle(key, found[0], by) is None and not self._is_known_to_hr(found[0]):
            self._link(key, found[0], by)

    def _is_known_to_hr(self, user: str) -> bool:
        return any(source_of(self._known.sources, key.source).kind == SourceKind.HR for key in self._known.timelines[user])

    def _find(self, key: Key, record: Record, but: Collection[str]) -> tuple[list[str], str]:
        """Return the first people whom the first method of the source that finds anybody finds, and that method."""
        source = source_of(self._known.sources, key.source)
        for method, mark in wanted_of(record, key, source).items():
            meant = self._people.find(mark, but)
            if method == MatchBy.EMAIL and source.kind == SourceKind.HR:
                # People share addresses, and an HR system tells its own people apart.
                meant = (user for user in meant if not self._has_timeline_of(user, key.source))
            if found := list(islice(meant, NAMED_MAX)):
                return found, method
        return [], ""

    def _has_timeline_of(self, user: str, source: str) -> bool:
        return any(key.source == source for key in self._known.timelines[user])

    def _match(self, key: Key, record: Record, person: Person | None) -> None:
        user = self._known.users[key] if person is None else person.user
        separated = () if person is None else person.separated
        found, by = self._find(key, record, (user, *separated))
        if not found:
            self._settle(user, record)
            if person is None or person.conflict is None:
                self.matched.new.append(user)
            return
        reason = ConflictReason.SEVERAL_PEOPLE if len(found) > 1 else self._obstacle(key, found[0], by)
        if reason is None:
            holder = self._people.holder(self._linked(key, found[0]), found[0])
            if holder is None and person is not None and user == self._edited:
                self._settle(user, record)
                return
            if holder is None:
                self._link(key, found[0], by)
                if person is not None:
                    self.matched.conflicts[user] = None
                return
            reason, found = ConflictReason.SEVERAL_PEOPLE, [found[0], holder]
        self.matched.conflicts[user] = Conflict(reason, by, tuple(found))

    def _obstacle(self, key: Key, user: str, by: str) -> ConflictReason | None:
        """Return why the timeline cannot belong to the person."""
        if self._has_timeline_of(user, key.source):
            return ConflictReason.SAME_SOURCE
        if by == MatchBy.EMAIL and user in self._privileged:
            return ConflictReason.PRIVILEGED
        return None

    def _linked(self, key: Key, user: str) -> Record:
        """Return the person with the timeline."""
        _, both = self._known.linked(key, user)
        return both.on(self._today) or Record(employed=False)

    def _link(self, key: Key, user: str, by: str) -> None:
        record = self._linked(key, user)
        self.matched.links[key] = Link(user, by, self._known.users[key])
        self._known.move(key, user)
        if record.employed:
            self._people.put(user, marks_of(record, self._known.timelines[user], self._known.sources))
        else:
            self._people.remove(user)


def _claims_login(person: Person, record: Record) -> bool:
    before = person.record
    return before is None or not before.employed or login_key(before.login) != login_key(record.login)


def gives_up(before: Record | None, after: Record | None) -> bool:
    """Return whether an employed person gives up anything by which people are compared."""
    if before is None or not before.employed:
        return False
    if after is None or not after.employed or claimed_login(after, before) is not None:
        return True
    return (before.email, before.employee_number) != (after.email, after.employee_number)


def first_employed(of: Stated, today: date) -> Record | None:
    """Return the person on the first later day of employment."""
    days = sorted({fact.effective_date for fact in of.facts if fact.effective_date > today and fact.type is not FactType.LEFT})
    for day in days:
        record = of.on(day)
        if record is not None and record.employed:
            return record
    return None


def is_employed_or_will_be(of: Stated, today: date) -> bool:
    record = of.on(today)
    return (record is not None and record.employed) or first_employed(of, today) is not None


def wanted_marks(known: KnownPeople, keys: Iterable[Key], today: date) -> set[Mark]:
    """Return the marks of the people to whom these timelines could belong, and of those whose login they claim."""
    found: set[Mark] = set()
    for key in keys:
        of = known.stated(known.users[key])
        record = of.on(today)
        if record is None or not record.employed:
            record = first_employed(of, today)
        if record is not None:
            found |= set(wanted_of(record, key, source_of(known.sources, key.source)).values())
            found |= {mark for mark in ((str(MatchBy.LOGIN), login_key(record.login)),) if mark[1]}
    return found


def shared_marks(known: KnownPeople, keys: Iterable[Key], today: date) -> set[Mark]:
    """Return what the people of these timelines could share with somebody in conflict, by whatever the sources match."""
    found: set[Mark] = set()
    for key in keys:
        record = known.stated(known.users[key]).on(today)
        if record is not None and record.employed:
            found |= set(wanted_of(record, key, source_of(known.sources, key.source), _BY_ALL).values())
    return found
