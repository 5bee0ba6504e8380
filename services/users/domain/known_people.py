"""People and their timelines, as they are before statements change them."""

from collections.abc import Mapping
from dataclasses import dataclass
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
    users: Mapping[Key, str]
    people: dict[str, Person]
    timelines: dict[str, dict[Key, Timeline]]

    def stated(self, user: str) -> Stated:
        """Return what is stated about the person."""
        return self._stated(user, self.timelines[user])

    def stated_with(self, key: Key, timeline: Timeline) -> Stated:
        """Return what would be stated about the person of the timeline if it were this one."""
        user = self.users[key]
        return self._stated(user, {**self.timelines[user], key: timeline})

    def _stated(self, user: str, timelines: Mapping[Key, Timeline]) -> Stated:
        person = self.people.get(user)
        return stated(timelines, self.sources, NO_OVERRIDES if person is None else person.overrides)

    def timeline(self, key: Key) -> Timeline:
        return self.timelines[self.users[key]].get(key, NO_TIMELINE)
