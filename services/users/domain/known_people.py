"""People and their timelines, as they are before statements change them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.users.domain.merging import NO_OVERRIDES, Stated, stated
from services.users.domain.person import Person, with_settings_of
from services.users.domain.sources import Key, Sources
from services.users.domain.timelines import Timeline

NO_TIMELINE: Final = Timeline()


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """People by user id and their timelines, and the person of each timeline; a timeline that is not stored yet has a new person.

    `gone` are people who are nobody now, by the person to whom everything that is stated about them was moved.
    """

    sources: Sources
    users: dict[Key, str]
    people: dict[str, Person]
    timelines: dict[str, dict[Key, Timeline]]
    gone: dict[str, tuple[Person, ...]] = field(default_factory=dict)
    _computed: dict[str, Stated] = field(default_factory=dict)

    def stated(self, user: str) -> Stated:
        """Return what is stated about the person."""
        if user not in self._computed:
            self._computed[user] = self._stated(user, self.timelines[user])
        return self._computed[user]

    def stated_with(self, key: Key, timeline: Timeline) -> Stated:
        """Return what would be stated about the person of the timeline if it were this one."""
        user = self.users[key]
        return self._stated(user, {**self.timelines[user], key: timeline})

    def _stated(self, user: str, timelines: Mapping[Key, Timeline]) -> Stated:
        person = self.people.get(user)
        return stated(timelines, self.sources, NO_OVERRIDES if person is None else self.with_settings(person).overrides)

    def stated_without(self, user: str, key: Key) -> Stated:
        """Return what would be stated about the person without the timeline."""
        return self._stated(user, {other: timeline for other, timeline in self.timelines[user].items() if other != key})

    def with_settings(self, person: Person) -> Person:
        """Return the person with what administrators have set for those who turned out to be this person."""
        for gone in self.gone.get(person.user, ()):
            person = with_settings_of(person, gone)
        return person

    def linked(self, key: Key, user: str) -> tuple[Person | None, Stated]:
        """Return the person as `with_settings` does, and what would be stated about the person, if the timeline belonged to this one."""
        person, gone = self.people.get(user), self._only_described_by(key)
        if person is not None:
            person = self.with_settings(person) if gone is None else with_settings_of(self.with_settings(person), gone)
        timelines = {**self.timelines[user], key: self.timeline(key)}
        return person, stated(timelines, self.sources, NO_OVERRIDES if person is None else person.overrides)

    def _only_described_by(self, key: Key) -> Person | None:
        """Return the person of the timeline if that one is nobody without it."""
        user = self.users[key]
        return self.people.get(user) if self.timelines[user].keys() <= {key} else None

    def move(self, key: Key, user: str) -> None:
        """Let the timeline belong to another person."""
        if gone := self._only_described_by(key):
            self.gone[user] = (*self.gone.get(user, ()), gone)
        timeline = self.timelines[self.users[key]].pop(key)
        self._computed.pop(self.users[key], None)
        self.users[key] = user
        self.put(key, timeline)

    def put(self, key: Key, timeline: Timeline | None) -> None:
        """Replace the timeline; with None, there is none."""
        user = self.users[key]
        self._computed.pop(user, None)
        if timeline is None:
            self.timelines[user].pop(key, None)
        else:
            self.timelines[user][key] = timeline

    def edit(self, person: Person) -> None:
        self.people[person.user] = person
        self._computed.pop(person.user, None)

    def add(self, other: "KnownPeople") -> None:
        """Add more people with their timelines."""
        self.users.update(other.users)
        self.people.update(other.people)
        self.timelines.update(other.timelines)
        self.gone.update(other.gone)

    def copy(self) -> "KnownPeople":
        timelines = {user: dict(found) for user, found in self.timelines.items()}
        return KnownPeople(self.sources, dict(self.users), dict(self.people), timelines, dict(self.gone))

    def is_first(self, key: Key) -> bool:
        """Tell whether no person has this timeline so far: it is not stored, or nothing but an empty report, which made nobody."""
        user = self.users[key]
        return key not in self.timelines[user] or user not in self.people

    def timeline(self, key: Key) -> Timeline:
        return self.timelines[self.users[key]].get(key, NO_TIMELINE)
