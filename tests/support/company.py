"""A company with an HR system and an identity system, as users stores it, without a database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.users.domain.conflicts import Conflict
from services.users.domain.known_people import KnownPeople
from services.users.domain.matching import Matched, Matching
from services.users.domain.merging import Overrides
from services.users.domain.person import Person, Tenant, as_of, is_privileged, with_standing
from services.users.domain.required_modules import NO_MODULES, Account, Profile, Settings
from services.users.domain.sources import Key, Source, SourceKind, new_source
from services.users.domain.status import Status
from services.users.domain.timelines import Entry, Period, Report, Timeline

TODAY = date(2026, 11, 27)
HIRED = date(2026, 1, 5)
HR, OKTA = "hr/acme", "okta"
PEOPLE = 500
SETTINGS = Settings({"makers": Profile(("time",))}, {"Makers": "makers"}, subscribed={"time": ()})


class Company:
    """What users stores about a tenant, without a database."""

    def __init__(self, *more: Source) -> None:
        self.sources = {
            HR: replace(new_source(HR, SourceKind.HR), arrival=1),
            OKTA: replace(new_source(OKTA, SourceKind.SCIM), arrival=2),
            **{each.source: each for each in more},
        }
        self.today = TODAY
        self.people: dict[str, Person] = {}
        self.timelines: dict[Key, tuple[str, Timeline]] = {}

    @property
    def tenant(self) -> Tenant:
        return Tenant("acme", ZoneInfo("UTC"), datetime.combine(self.today, datetime.min.time(), UTC), SETTINGS, 1)

    def report(self, source: str, people: Mapping[str, Mapping[str, Any]]) -> Matched:
        """One import or batch: by external id, the values; `since` and `until` are the days of employment, `until` the last one."""
        known = self.known(Key(source, who) for who in people)
        first = [key for key in known.users if key not in self.timelines]
        for who, values in people.items():
            attributes = {name: value for name, value in values.items() if name not in ("since", "until")}
            period = Period(values.get("since", HIRED), values.get("until"))
            entries = (Entry(HIRED, {"department": "Makers"} | attributes),)
            known.put(Key(source, who), Timeline(known.timeline(Key(source, who)).version + 1, Report((period,), entries)))
        return self._apply(known, first)

    def edit(self, user: str, **values: Any) -> Matched:
        known = self.known()
        known.edit(replace(self.people[user], overrides=Overrides(values)))
        return self._apply(known, [], user)

    def promote(self, user: str) -> None:
        person = self.people[user]
        self.people[user] = with_standing(replace(person, account=Account(roles=("owner",))), self.tenant)

    def next_day(self) -> None:
        self.today += timedelta(days=1)
        self._apply(self.known(), [])

    def known(self, keys: Iterable[Key] = ()) -> KnownPeople:
        known = KnownPeople(self.sources, {}, dict(self.people), {user: {} for user in self.people})
        for key, (user, timeline) in self.timelines.items():
            known.users[key] = user
            known.timelines[user][key] = timeline
        for key in keys:
            user = known.users.setdefault(key, f"{key.source} {key.external_id}")
            known.timelines.setdefault(user, {})
        return known

    def _apply(self, known: KnownPeople, first: list[Key], edited: str | None = None) -> Matched:
        privileged = {user for user, person in known.people.items() if is_privileged(person)}
        matched = Matching(known, self.today, privileged, edited).run(first)
        for key, user in known.users.items():
            self.timelines[key] = (user, known.timelines[user][key])
        for user in dict.fromkeys((*known.people, *known.users.values())):
            before = known.people.get(user)
            if before is None:
                before = Person(user, *next(iter(known.timelines[user])), self.tenant.now, arrival=len(self.people) + 1)
            conflict = matched.conflicts.get(user, before.conflict)
            self.people[user] = as_of(replace(known.with_settings(before), conflict=conflict), known.stated(user), self.tenant)
        return matched

    @property
    def seats(self) -> int:
        return sum(person.standing.required != NO_MODULES for person in self.people.values())

    def of(self, source: str, who: str) -> Person:
        return self.people[self.timelines[Key(source, who)][0]]

    def conflict(self, source: str, who: str) -> Conflict | None:
        person = self.of(source, who)
        assert (person.standing.status is Status.CONFLICT) is (person.conflict is not None)
        return person.conflict


def hr(number: int, **more: Any) -> dict[str, Any]:
    return {"name": f"Person {number}", "email": f"p{number}@acme.example"} | more


def okta(number: int, **more: Any) -> dict[str, Any]:
    return {"login": f"p{number}@acme.example", "email": f"p{number}@acme.example"} | more


def everybody(prefix: str, one: Any, **more: Any) -> dict[str, dict[str, Any]]:
    return {f"{prefix}{number}": one(number, **more) for number in range(PEOPLE)}
