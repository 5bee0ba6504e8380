"""How the timelines of one source are matched: with whom each is linked and by what, who is in conflict, and what linking would change."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from services.users.domain.known_people import KnownPeople
from services.users.domain.matching import Matched, Matching, marks_of, wanted_of
from services.users.domain.merging import stated
from services.users.domain.person import Person, Tenant, as_of, is_privileged
from services.users.domain.sources import Key, source_of


class Outcome(StrEnum):
    LINKED = "linked"  # other sources state something about the same person
    CONFLICT = "conflict"
    WOULD_LINK = "would_link"  # if the source stated the person now for the first time
    WOULD_CONFLICT = "would_conflict"
    NEW = "new"  # matches nobody


@dataclass(frozen=True, slots=True)
class Match:
    """`people` are those who are, or may be, the same human; `by` is what they were found by. `would_require`: the modules that the one
    person would require after linking; `released`: those that this person would give up for it."""

    outcome: Outcome
    by: str = ""
    reason: str = ""
    people: tuple[str, ...] = ()
    would_require: tuple[str, ...] | None = None
    released: tuple[str, ...] = ()


def of_first_report(matched: Matched, key: Key, user: str) -> Mapping[str, Any]:
    """Return how a timeline that is reported for the first time is matched."""
    if (link := matched.links.get(key)) is not None:
        return {"outcome": Outcome.LINKED, "by": link.by, "people": [link.user]}
    if (conflict := matched.conflicts.get(user)) is not None:
        return {"outcome": Outcome.CONFLICT, "by": conflict.by, "reason": conflict.reason, "people": list(conflict.people)}
    return {"outcome": Outcome.NEW}


class Matches:
    """Tells how timelines are matched, or would be. `known` has their people, and everybody with one of the marks that are looked for."""

    def __init__(self, known: KnownPeople, tenant: Tenant) -> None:
        self._known, self._tenant = known, tenant
        self._matching = Matching(known, tenant.today, {user for user, person in known.people.items() if is_privileged(person)})
        self._matching.run([])

    def present(self, key: Key) -> Match:
        """Return how the timeline is matched now."""
        person = self._known.people[self._known.users[key]]
        others = [other for other in self._known.timelines[person.user] if other != key]
        if person.conflict is not None:
            return Match(Outcome.CONFLICT, person.conflict.by, person.conflict.reason, person.conflict.people)
        if others:
            return Match(Outcome.LINKED, self._linked_by(key, person), people=(person.user,))
        return Match(Outcome.NEW)

    def _linked_by(self, key: Key, person: Person) -> str:
        """Return the first method of the source by which the timeline matches the others of its person now; an administrator, or values
        that have changed since, may have linked it otherwise."""
        known, today = self._known, self._tenant.today
        own = stated({key: known.timeline(key)}, known.sources).on(today)
        rest = known.stated_without(person.user, key).on(today)
        if own is None or rest is None:
            return ""
        marks = marks_of(rest, [other for other in known.timelines[person.user] if other != key], known.sources)
        wanted = wanted_of(own, key, source_of(known.sources, key.source))
        return next((method for method, mark in wanted.items() if mark in marks), "")

    def again(self, key: Key) -> Match:
        """Return how the timeline would be matched if it were reported now for the first time."""
        person = self._known.people[self._known.users[key]]
        if len(self._known.timelines[person.user]) > 1:
            return self.present(key)
        found, by, obstacle = self._matching.candidates(key, person)
        if not found:
            return Match(Outcome.NEW)
        if obstacle is not None:
            return Match(Outcome.WOULD_CONFLICT, by, obstacle, tuple(found))
        return Match(Outcome.WOULD_LINK, by, "", tuple(found), self._would_require(key, found[0]), person.standing.required.modules)

    def _would_require(self, key: Key, user: str) -> tuple[str, ...]:
        person, both = self._known.linked(key, user)
        assert person is not None, "somebody who was found is known"
        return as_of(replace(person, conflict=None), both, self._tenant).standing.required.modules
