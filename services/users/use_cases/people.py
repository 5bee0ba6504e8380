"""Changes of people from every entry point: the row, the event and the command in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

import structlog
from prometheus_client import Counter

from services.users.domain import person as rules
from services.users.domain.conflicts import ConflictReason
from services.users.domain.facts import Fact, FactType
from services.users.domain.invitations import invited_event, is_reserved
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login
from services.users.domain.matching import Link, Matched
from services.users.domain.merging import Stated, takes_leaving_back
from services.users.domain.module_states import Decided, Seat, project, seat_status
from services.users.domain.person import Cause, Person, Revision, Tenant
from services.users.domain.reminders import with_reminder
from services.users.domain.required_modules import NO_MODULES, Account, Note, SeatStatus
from services.users.domain.roles import Authority
from services.users.domain.scim_connections import SOURCE_PREFIX
from services.users.domain.sources import Key
from services.users.domain.status import Status, status_of
from services.users.domain.timelines import Outcome, Statement, Timeline, with_statement
from services.users.store import identity_providers, people_lookups, pools
from services.users.store import module_states as states_store
from services.users.store import people as store
from services.users.store import timelines as timelines_store
from services.users.store.timelines import Change
from services.users.use_cases import group_members, hand_over, invitation_links, known_people, matching, owners, sessions
from services.users.use_cases.erased_timelines import without_erased
from services.users.use_cases.erasure import erase_linked_with_erased
from shared.database import UnitOfWork
from shared.errors import Conflict as Refusal
from shared.errors import Poison, Transient
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ConflictFound, PersonLinked

log = structlog.get_logger(__name__)

SEATS_ACTOR = Actor(kind="system", id="seats")
DUE_ACTOR = Actor(kind="system", id="users")
CONFLICT_CAUSE = Cause(Actor(kind="system", id="users"), fact=FactType.CHANGED)
UNKNOWN_PERSON = Counter("seatpool_users_unknown_person", "Decisions about a person that users does not know")
STATEMENTS = Counter("seatpool_users_statements", "Statements of sources about people", ["outcome"])


@dataclass(frozen=True, slots=True)
class Received:
    """A statement about a person, its source, and the message that carried it; `context` is that of the request that carried it, if other
    requests made other statements of the transaction."""

    source: str
    external_id: str
    statement: Statement
    cause: Cause
    envelope: Envelope | None
    context: Context | None = None

    def run(self, work: Callable[[], None]) -> None:
        """Do what the statement causes: the messages that are published carry the ids of its request."""
        if self.context is None:
            work()
        else:
            self.context.run(work)


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement that was taken, and its timeline after it."""

    key: Key
    timeline: Timeline
    received: Received


async def apply_statements(
    tenant: Tenant,
    uow: UnitOfWork,
    received: Sequence[Received],
    *,
    together: bool = False,
    are_new: bool = False,
    left_groups: bool = False,
) -> dict[Key, Person]:
    """Apply each statement to its timeline, and the timelines to their people, in their order. Return the person of each timeline.

    Logins are compared when all statements hold, so two people who swap theirs are in no conflict. `together`: what all statements about a
    person make of the person is one change. `are_new`: the external ids were drawn for these statements, so nothing is stored about them.
    `left_groups`: the people have left SCIM groups as well. Both is one change: else a pool would expand for what holds only in between.
    Raises Poison for a report that has the version of the last one and other content; with `together`, such a report is only counted.
    """
    await uow.lock(store.CLAIMS, tenant.tenant)
    received = list(received) if are_new else await without_erased(tenant, uow, received)
    keys = dict.fromkeys(Key(each.source, each.external_id) for each in received)
    known = await (known_people.of_nobody(tenant, uow, keys) if are_new else known_people.load(tenant, uow, keys, add_sources=True))
    loaded = {key: known.timelines[known.users[key]].get(key) for key in keys}
    first = {key for key in keys if known.is_first(key)}
    leavers = {user: known.stated(user) for user, person in known.people.items() if rules.is_leaver(person)}
    steps, stated = _steps(known, received, together=together)
    matched = await matching.match(tenant, uow, known, [key for key in stated if key in first], locked=False)
    given = await group_members.with_groups(tenant, uow, list(known.people.values())) if left_groups else []
    change = Changing(tenant, uow, known, matched, leavers=leavers, accounts={person.user: person.account for person in given})
    senders = {Key(each.source, each.external_id): each for each in received}
    for key in matched.links:
        if key in senders:
            senders[key].run(partial(change.publish_link, key))
        else:  # of another source, whose conflict these statements end
            change.publish_link(key)
    if together:
        for user, step in {known.users[step.key]: step for step in steps}.items():
            change.person(user, step.received)
    else:
        for key, before in loaded.items():
            known.put(key, before)
        for step in steps:
            known.put(step.key, step.timeline)
            step.received.run(partial(change.person, known.users[step.key], step.received))
        for key, timeline in stated.items():
            known.put(key, timeline)
    await change.save(
        [Change(key, known.users[key], loaded[key], timeline, moved=key in matched.links) for key, timeline in stated.items()]
    )
    return {key: known.people[known.users[key]] for key in keys if known.users[key] in known.people}


def _steps(known: KnownPeople, received: Sequence[Received], *, together: bool) -> tuple[list[_Step], dict[Key, Timeline]]:
    """Apply each statement to its timeline. Return those that were taken, and the timelines after all that say something."""
    steps: list[_Step] = []
    stated: dict[Key, Timeline] = {}
    for each in received:
        key = Key(each.source, each.external_id)
        timeline, outcome = with_statement(known.timeline(key), each.source, each.statement)
        STATEMENTS.labels(outcome.value).inc()
        if outcome is Outcome.CONFLICT and not together:
            raise Poison("version", f"version {timeline.version} was reported with other content", rule="version: one content")
        if outcome in (Outcome.TAKEN, Outcome.UNCHANGED):
            known.put(key, timeline)
            stated[key] = timeline
        if outcome is Outcome.TAKEN:
            steps.append(_Step(key, timeline, each))
    return steps, stated


class Changing:
    """Changes of people that one transaction stores, and of those whose conflict begins or ends by them. Call under the people's locks."""

    def __init__(
        self,
        tenant: Tenant,
        uow: UnitOfWork,
        known: KnownPeople,
        matched: Matched,
        *,
        new: frozenset[str] = frozenset(),
        leavers: Mapping[str, Stated] | None = None,
        accounts: Mapping[str, Account] | None = None,
    ) -> None:
        """`new` are people of `known` who are not stored yet, `leavers` people who have left, with what was stated about them, and
        `accounts` the accounts that change with what is stated now."""
        self._tenant, self._uow, self._known, self._matched = tenant, uow, known, matched
        self._stored = frozenset(known.people) - new
        self._changed: dict[str, None] = {}  # in the order of their first statement
        self._done: set[str] = set()
        self._moved: list[Change] = []
        self._revisions: list[Revision] = []
        self._leavers = dict(leavers or {})
        self._accounts = accounts or {}
        links = matched.links.values()
        self._linked = {link.user: known.people[link.user] for link in links if link.user in known.people}  # as they were before

    def publish_link(self, key: Key) -> None:
        """Publish that the timeline belongs to a person whom other sources know."""
        at, link = self._tenant.now, self._matched.links[key]
        event = PersonLinked(
            at=at, actor=rules.source_actor(key.source), user=link.user, source=key.source, external_id=key.external_id, by=link.by
        )
        self._uow.publish(event, source=USERS, tenant=self._tenant.tenant, time=at, subject=link.user)
        timeline = self._known.timeline(key)
        self._moved.append(Change(key, link.user, timeline, timeline, moved=True))

    def described(self, before: Person) -> Person:
        """Return the person as everything that is stated describes the person now, with the conflict that was found."""
        conflict = self._matched.conflicts.get(before.user, before.conflict)
        known = self._known
        return rules.as_of(replace(known.with_settings(before), conflict=conflict), known.stated(before.user), self._tenant)

    def person(self, user: str, each: Received) -> None:
        """Let the person be what is stated now."""
        before = self._known.people.get(user) or Person(user, each.source, each.external_id, created_at=self._tenant.now)
        now = self._known.stated(user)
        back = user in self._leavers and takes_leaving_back(self._leavers[user], now, self._tenant.today)
        if back:
            del self._leavers[user]
        account = self._accounts.get(user, before.account)
        after = self.described(replace(before, account=account))
        self.revision(rules.revise(before, after, at=self._tenant.now, cause=each.cause, leaving_withdrawn=back), each.envelope)

    def skip(self, user: str) -> None:
        """Leave it to the caller to store this person."""
        self._done.add(user)

    def revision(self, revision: Revision, envelope: Envelope | None = None) -> Person:
        user = revision.person.user
        self._done.add(user)
        self._revisions.append(revision)
        self._tell_conflict(revision.person)
        person = self._known.people[user] = _published(self._tenant, self._uow, revision, envelope)
        if revision.changed or user not in self._stored:
            self._changed[user] = None
        return person

    def _tell_conflict(self, person: Person) -> None:
        """Publish that a conflict has begun, has another reason, or that somebody else may be meant too.

        Possible duplicates are told of once for all.
        """
        before, conflict = self._known.people.get(person.user), person.conflict
        if conflict is None or conflict.reason == ConflictReason.POSSIBLE_DUPLICATE:
            return
        told = before.conflict if before is not None else None
        if told is not None and told.reason == conflict.reason and set(conflict.people) <= set(told.people):
            return
        event = ConflictFound(
            at=self._tenant.now,
            actor=rules.source_actor(person.source),
            user=person.user,
            conflict=conflict.reason,
            by=conflict.by,
            people=conflict.people,
        )
        self._uow.publish(event, source=USERS, tenant=self._tenant.tenant, time=self._tenant.now, subject=person.user)

    async def save(self, timelines: Sequence[Change] = ()) -> None:
        """Store the people and the timelines, and with them the people whom nothing was stated about: those whose conflict began or ended,
        and those to whom a timeline belongs now. Links that are not published yet are published."""
        published = {change.key for change in self._moved}
        for key in self._matched.links:
            if key not in published:
                self.publish_link(key)
        for user, conflict in self._matched.conflicts.items():
            before = self._known.people.get(user)
            if before is None or user in self._done:
                continue
            if before.conflict != conflict or user in self._linked or not self._known.timelines[user]:
                self.revision(rules.revise(before, self.described(before), at=self._tenant.now, cause=CONFLICT_CAUSE))
        for link in self._matched.links.values():
            self._take_earlier_day(link)
        connection, tenant = self._uow.connection, self._tenant.tenant
        added = [self._known.people[user] for user in self._changed if user not in self._stored]
        if added and await store.add(connection, tenant, added) != len(added):
            raise Transient("another transaction added one of these people meanwhile")
        await store.save(connection, tenant, [self._known.people[user] for user in self._changed if user in self._stored])
        stated = {change.key for change in timelines}
        moved = [change for change in self._moved if change.key not in stated]
        await timelines_store.save(connection, tenant, [*timelines, *moved], self._tenant.now)
        for user in sorted(self._stored):
            if not self._known.timelines[user]:
                # The accounts of somebody who is nobody now are bound again at the next sign-in, to whom their claims name then.
                await identity_providers.unbind(connection, tenant, user)
        await self._give_what_groups_give()
        await owners.check(self._tenant, self._uow, self._revisions)

    def _take_earlier_day(self, link: Link) -> None:
        """Let somebody whose timeline was that of an older person be as old. The tenant's newest person is flagged first (T17), so seats
        must know the day of the older one."""
        before, former = self._known.people[link.user], self._known.people.get(link.former)
        if former is not None and former.created_at < before.created_at:
            after = replace(before, created_at=former.created_at)
            resend = bool(after.standing.required.modules)
            self.revision(rules.revise(before, after, at=self._tenant.now, cause=CONFLICT_CAUSE, resend=resend))

    async def _give_what_groups_give(self) -> None:
        """Let those to whom a resource of SCIM belongs now have what its groups give."""
        linked = [link.user for key, link in self._matched.links.items() if key.source.startswith(SOURCE_PREFIX)]
        before = [person for user in dict.fromkeys(linked) if (person := self._known.people[user]).record is not None]
        if not before:
            return
        given = await group_members.with_groups(self._tenant, self._uow, before)
        after = await known_people.as_of_today(self._tenant, self._uow, given)
        changes = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        people = [self.revision(rules.revise(old, new, at=self._tenant.now, cause=CONFLICT_CAUSE)) for old, new in changes]
        await store.save(self._uow.connection, self._tenant.tenant, people)


async def describe_again(
    tenant: Tenant, uow: UnitOfWork, people: Sequence[Person], cause: Callable[[Stated], Cause], *, are_due: bool
) -> None:
    """Let the people be what is stated about them today, and compare their logins. Call under CLAIMS. `are_due`: because time
    passes."""
    known = await known_people.of_users(tenant, uow, people)
    due = frozenset(known.people) if are_due else frozenset[str]()
    change = Changing(tenant, uow, known, await matching.match(tenant, uow, known, locked=False, due=due))
    for before in [known.people[person.user] for person in people]:
        change.revision(rules.revise(before, change.described(before), at=tenant.now, cause=cause(known.stated(before.user))))
    await change.save()


async def change_due(tenant: Tenant, uow: UnitOfWork, limit: int) -> int:
    """Change the next people because time has passed, or because something else lets them be looked at; return how many they are."""
    await uow.lock(store.CLAIMS, tenant.tenant)
    due = await store.due(uow.connection, tenant.tenant, tenant.today, limit)
    erased = await erase_linked_with_erased(tenant, uow, due)
    others = [person for person in due if person.user not in erased]
    await describe_again(tenant, uow, others, partial(_cause_of_due, tenant.today), are_due=True)
    return len(due)


def _cause_of_due(today: date, of: Stated) -> Cause:
    newest = max((fact for fact in of.facts if fact.effective_date <= today), key=lambda fact: fact.order, default=None)
    return Cause(DUE_ACTOR, fact=newest.type if newest else None)


async def add_person(
    tenant: Tenant, uow: UnitOfWork, unknown: Person, fact: Fact, cause: Cause, check: Callable[[Person], Awaitable[None]] | None = None
) -> Person:
    """Add a person with a first fact. `unknown` has ids and account, but no record yet. Raises Conflict if the person exists.

    `check` raises a refusal if the person must not be added.
    """
    exists = Refusal(
        "person-exists",
        f"A person with the external id {unknown.external_id} already exists. Change that person, or use another external id.",
    )
    await uow.lock(store.CLAIMS, tenant.tenant)
    key = Key(unknown.source, unknown.external_id)
    known = await known_people.load(tenant, uow, [key], lock=True, add_sources=True)
    if known.people or known.timelines[known.users[key]]:
        raise exists
    timeline = Timeline(singles=(fact,))
    known.put(key, timeline)
    after = rules.as_of(unknown, known.stated(unknown.user), tenant)
    await check_login(tenant, uow, unknown, after, cause.authority)
    if check is not None:
        await check(after)
    revision = rules.revise(unknown, after, at=tenant.now, cause=cause)
    added = _published(tenant, uow, revision, None)
    if await store.add(uow.connection, tenant.tenant, [added]) != 1:
        raise exists  # another transaction added the person since the lookup; there was no row to lock
    await timelines_store.save(uow.connection, tenant.tenant, [Change(key, added.user, None, timeline)], tenant.now)
    return added


async def check_login(tenant: Tenant, uow: UnitOfWork, before: Person, after: Person, authority: Authority | None) -> None:
    """Raise Conflict if a change by REST gives the person a login that another employed person has. The refusal names that person only to
    senders who see the person. Call under CLAIMS and the person's lock."""
    key = claimed_login(before.record, after.record)
    if key is None:
        return
    holder = await people_lookups.login_holder(uow.connection, tenant.tenant, key, after.user)
    if holder is None or after.record is None:
        return
    if authority is not None and authority.departments is not None:
        person = await store.get(uow.connection, tenant.tenant, holder, None)
        if person is None or not (authority.sees(person.department) or holder == authority.user):
            detail = f"An employed person whom you do not see has the login {after.record.login!r}. Choose another login."
            raise Refusal("login-in-use", detail)
    raise Refusal(
        "login-in-use",
        f"The employed person {holder} has the login {after.record.login!r}. Choose another login, or first change the login of that "
        "person or end the employment.",
        user=holder,
    )


async def save(tenant: Tenant, uow: UnitOfWork, revision: Revision, envelope: Envelope | None) -> Person:
    """Store and publish a revision. Call under the person's lock."""
    (person,) = await save_all(tenant, uow, [revision], envelope)
    return person


async def save_all(tenant: Tenant, uow: UnitOfWork, revisions: Sequence[Revision], envelope: Envelope | None) -> list[Person]:
    """Store and publish revisions in this order. Call under the people's locks."""
    people = [_published(tenant, uow, revision, envelope) for revision in revisions]
    changed = [person for person, revision in zip(people, revisions, strict=True) if revision.changed]
    await store.save(uow.connection, tenant.tenant, changed)
    await owners.check(tenant, uow, revisions)
    return people


def _published(tenant: Tenant, uow: UnitOfWork, revision: Revision, envelope: Envelope | None) -> Person:
    """Publish the event and the command, if there are any; return the person with the id of the command. The sessions of a person who left,
    is blocked or has lost a role end in this transaction."""
    person = revision.person
    publish = partial(uow.publish, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=person.user, cause=envelope)
    if revision.event is not None:
        publish(revision.event)
        if hand_over.is_end(revision.event):
            uow.gather(hand_over.report_gathered, hand_over.Ended(tenant.tenant, revision.event))
    if revision.unconfirmed is not None:
        publish(revision.unconfirmed)
    if revision.loses_privileges:
        uow.gather(matching.look_again_gathered, (tenant, person.user))
    if revision.unbinds and revision.person.arrival:
        uow.gather(sessions.unbind_gathered, (tenant.tenant, person.user))
    if revision.ends_link:
        uow.gather(invitation_links.end_gathered, (tenant.tenant, person.user))
    if revision.ends_sessions:
        uow.gather(sessions.end_gathered, (tenant.tenant, person.user))
    return person if revision.command is None else replace(person, command_id=publish(revision.command).id)


@dataclass(frozen=True, slots=True)
class Decision:
    """An event of seats about one person. `required` lists all modules that the person requires, if the event does; `revision` is the one
    that it answers, or 0 if it answers none."""

    user: str
    decision_id: DecisionId
    decided: Sequence[Decided]
    at: datetime
    reason: str
    envelope: Envelope
    revision: int = 0
    required: tuple[str, ...] | None = None


async def apply_decisions(tenant: Tenant, uow: UnitOfWork, decisions: Sequence[Decision]) -> None:
    """Apply decisions in their order. A revocation in a base module deactivates the person, and its end reactivates them; seats has decided
    it, so no command is sent."""
    users = sorted({decision.user for decision in decisions})
    people = await store.lock_many(uow.connection, tenant.tenant, users, tenant.today)
    seats = await states_store.load(uow.connection, tenant.tenant, users)
    add_ons = await pools.add_ons(uow.connection, tenant.tenant)
    changed: dict[tuple[str, str], Seat] = {}
    answered: dict[str, int] = {}
    revised: dict[str, Person] = {}
    noted: set[str] = set()  # people with an answer after a command that could not be decided
    for decision in decisions:
        before = people.get(decision.user)
        if before is None:
            # No dead letter: people are created only here, so a retry would not find the person either.
            UNKNOWN_PERSON.inc()
            log.warning("decision_about_unknown_person", user=decision.user, position=decision.envelope.id)
            continue
        mine = seats[decision.user]
        moved = project(mine, decision.decision_id, decision.decided, decision.required)
        moved = {module: with_reminder(seat, mine.get(module), decision.at) for module, seat in moved.items()}
        mine |= moved
        changed |= {(decision.user, module): seat for module, seat in moved.items()}
        if decision.revision > before.answered:
            before = people[decision.user] = replace(before, answered=decision.revision)
            answered[decision.user] = decision.revision
        if decision.revision and _is_overtaken(before.not_done, decision.decision_id):
            before = people[decision.user] = replace(before, not_done=None)
            noted.add(decision.user)
        after = with_seat_status(before, seat_status(mine, add_ons), tenant)
        if after is not before:
            cause = Cause(SEATS_ACTOR, decision.reason)
            revision = rules.revise(before, after, at=decision.at, cause=cause)
            people[decision.user] = revised[decision.user] = _published(tenant, uow, revision, decision.envelope)
        if decision.required is not None and is_reserved(people[decision.user], mine):
            invited = invited_event(people[decision.user], decision.at, SEATS_ACTOR)
            uow.publish(invited, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=decision.user, cause=decision.envelope)
    await states_store.save(uow.connection, tenant.tenant, changed)
    await store.set_answered(uow.connection, tenant.tenant, answered)
    await store.save(uow.connection, tenant.tenant, list(revised.values()))
    await store.set_notes(uow.connection, tenant.tenant, [people[user] for user in sorted(noted)])


def _is_overtaken(note: Note | None, decision_id: DecisionId) -> bool:
    return note is not None and note.decision_id is not None and note.decision_id < decision_id


async def note_not_done(tenant: Tenant, uow: UnitOfWork, command: str, note: Note) -> None:
    """Store with its people that the last command was not decided. An older command, or one answered meanwhile, changes nothing."""
    users = await people_lookups.users_of_command(uow.connection, tenant.tenant, command)
    found = await store.lock_many(uow.connection, tenant.tenant, sorted(users), tenant.today)
    waiting = [person for person in found.values() if person.command_id == command and person.answered < person.revision]
    await store.set_notes(uow.connection, tenant.tenant, [replace(person, not_done=note) for person in waiting])


def with_seat_status(person: Person, found: SeatStatus, tenant: Tenant) -> Person:
    """Return the person with what the states of the required modules mean for the status."""
    if found == person.account.seat_status or person.record is None:
        return person
    account = replace(person.account, seat_status=found)
    if person.standing.status is Status.CONFLICT:
        return replace(person, account=account)
    standing = person.standing
    requires, lacks = standing.required != NO_MODULES, bool(standing.not_subscribed)
    status, may_log_in = status_of(person.record, account, tenant.today, requires_modules=requires, lacks_modules=lacks)
    return replace(person, account=account, standing=replace(standing, status=status, may_log_in=may_log_in))
