"""People and their timelines, as they are before statements change them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.users.domain.merging import NO_OVERRIDES, Stated, stated
from services.users.domain.person import Person
from services.users.domain.sources import Key, Sources
from services.users.domain.timelines import Timeline

NO_TIMELINE: Final = Timeline()


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """People by user id and their timelines, and the person of each timeline; a timeline that is not stored yet has a new person."""

    sources: Sources
    users: dict[Key, str]
    people: dict[str, Person]
    timelines: dict[str, dict[Key, Timeline]]
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
        return stated(timelines, self.sources, NO_OVERRIDES if person is None else person.overrides)

    def stated_without(self, user: str, key: Key) -> Stated:
        """Return what would be stated about the person without the timeline."""
        return self._stated(user, {other: timeline for other, timeline in self.timelines[user].items() if other != key})

    def move(self, key: Key, user: str) -> None:
        """Let the timeline belong to another person."""
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

    def copy(self) -> "KnownPeople":
        timelines = {user: dict(found) for user, found in self.timelines.items()}
        return KnownPeople(self.sources, dict(self.users), dict(self.people), timelines)

    def is_first(self, key: Key) -> bool:
        """Tell whether no person has this timeline so far: it is not stored, or nothing but an empty report, which made nobody."""
        user = self.users[key]
        return key not in self.timelines[user] or user not in self.people

    def timeline(self, key: Key) -> Timeline:
        return self.timelines[self.users[key]].get(key, NO_TIMELINE)
