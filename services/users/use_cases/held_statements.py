"""The guard of statements that come by topic, and by REST, which goes through the topic.

A statement that would end somebody's access is held for a moment, with all that the source sends after it: only when no more follow is it
known how many people would lose access. If they are more than the guard allows, the statements wait until somebody confirms or discards
them, or until the source corrects itself. People whose access the source has ended within the last hour count as well, so it does not
matter how slowly the statements come. Held statements about one person are applied together, as one change.
"""

from collections import Counter as Numbers
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson
from prometheus_client import Counter

from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Fact
from services.users.domain.guard import begins_conflict, ends_or_blocks
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login
from services.users.domain.matching import is_employed_or_will_be
from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.required_modules import Account
from services.users.domain.sources import Key
from services.users.domain.timelines import Timeline, statement_of, with_statement
from services.users.store import held_statements as store
from services.users.store.held_statements import RELEASING, STOPPED, GuardNumbers, HeldSource, HeldStatement
from services.users.use_cases import guard, known_people, matching, people
from services.users.use_cases.people import Received
from shared import ids
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import parse

AT_ONCE: Final = 250  # people in one transaction, or in one step of a count
HELD = Counter("seatpool_users_held_statements", "Statements of sources that were held")
STOPS = Counter("seatpool_users_guard_stops", "Sources that the guard stopped")


def received_from(envelope: Envelope, payload: Any) -> Received:
    """Return the statement of a message of a source."""
    statement = statement_of(payload, envelope.id, envelope.source)
    cause = Cause(source_actor(envelope.source), fact=statement.type if isinstance(statement, Fact) else None)
    return Received(envelope.source, payload.external_id, statement, cause, envelope)


async def receive(tenant: Tenant, uow: UnitOfWork, messages: Sequence[tuple[Envelope, Payload]]) -> None:
    """Apply the statements of messages, and hold those of sources that the guard looks at. Raises Poison."""
    by_source: dict[str, list[tuple[Envelope, Payload]]] = {}
    for envelope, payload in messages:
        by_source.setdefault(envelope.source, []).append((envelope, payload))
    held = await store.lock(uow.connection, tenant.tenant, list(by_source))
    for source, given in by_source.items():
        received, is_held = [received_from(envelope, payload) for envelope, payload in given], source in held
        for part in await _parts(tenant, uow, received):
            is_held = is_held or bool(await ended_by(tenant, uow, received[part]))
            if is_held:
                HELD.inc(len(given[part]))
                await store.add(uow.connection, tenant.tenant, source, [_held(tenant, *each) for each in given[part]])
            else:
                await people.apply_statements(tenant, uow, received[part])


async def _parts(tenant: Tenant, uow: UnitOfWork, received: Sequence[Received]) -> list[slice]:
    """Return the parts that are applied one after the other. A new part begins where a source ends somebody whom it has reported for the
    first time just now: the first report is matched, and its end counts for whom it belongs to, also if both are read together."""
    numbers = Numbers(Key(each.source, each.external_id) for each in received)
    several = [key for key, number in numbers.items() if number > 1]
    if not several:
        return [slice(None)]
    known, begins = await known_people.load(tenant, uow, several), [0]
    new, works_in = {key for key in several if known.is_first(key)}, dict[Key, int]()
    for number, each in enumerate(received):
        key = Key(each.source, each.external_id)
        if key not in new:
            continue
        known.put(key, _with_statements(known.timeline(key), [each]))
        if is_employed_or_will_be(known.stated(known.users[key]), tenant.today):
            works_in[key] = len(begins)
        elif works_in.pop(key, 0) == len(begins):
            begins.append(number)
    return [slice(begin, end) for begin, end in zip(begins, [*begins[1:], None], strict=True)]


def _held(tenant: Tenant, envelope: Envelope, payload: Any) -> HeldStatement:
    user = ids.person_id(tenant.tenant, envelope.source, payload.external_id)
    # Nothing reads the reason of a leaving, and it may contain a NUL, which PostgreSQL cannot hold.
    body = orjson.loads(payload.model_dump_json(exclude_unset=True, exclude={"reason"}))
    attributes = {"id": envelope.id, "time": envelope.time.isoformat(), "correlation": envelope.correlation}
    attributes |= {"causation": envelope.causation, "traceparent": envelope.traceparent}
    return HeldStatement(envelope.source, user, payload.external_id, envelope.type, body, attributes)


def _message(tenant: str, held: HeldStatement) -> Received:
    kept = held.envelope
    envelope = Envelope(
        id=kept["id"] or "",
        source=held.source,
        type=held.type,
        time=datetime.fromisoformat(kept["time"] or ""),
        tenant=tenant,
        correlation=kept["correlation"],
        causation=kept["causation"],
        traceparent=kept["traceparent"],
    )
    return received_from(envelope, parse(held.type, orjson.dumps(held.body)))


@dataclass(frozen=True, slots=True)
class _Compared:
    """People before and after statements, which are about these keys."""

    tenant: Tenant
    known: KnownPeople
    after: KnownPeople
    keys: Sequence[Key]
    conflicts: Mapping[str, Conflict | None]

    def ended(self) -> list[str]:
        """Return the external ids of those who would lose access."""
        return [key.external_id for key in self.keys if _ends(self.tenant, self.known, self.after, key, self.conflicts)]

    def begun(self) -> list[str]:
        """Return the external ids of those who would get access, also of new people."""
        return [key.external_id for key in self.keys if _begins(self.tenant, self.known, self.after, key, self.conflicts)]

    def names(self) -> dict[str, str]:
        """Return the names, logins or e-mail addresses by external id: of new people, those of the last day that is stated."""
        found = ((key.external_id, self._name(key)) for key in self.keys)
        return {external_id: name for external_id, name in found if name}

    def _name(self, key: Key) -> str:
        user = self.known.users[key]
        person = self.known.people.get(user)
        facts = self.after.timeline(key).facts
        last = self.after.stated(user).on(max(fact.effective_date for fact in facts)) if facts else None
        records = [record for record in (None if person is None else person.record, last) if record is not None]
        return next((name for record in records if (name := record.name or record.login or record.email)), "")


async def ended_by(tenant: Tenant, uow: UnitOfWork, received: Sequence[Received], also: Sequence[Received] = ()) -> list[str]:
    """Return the external ids of the people who would lose access by the statements together; `also` are statements of other sources that
    hold as well."""
    return (await _compared(tenant, uow, received, also)).ended()


async def _compared(tenant: Tenant, uow: UnitOfWork, received: Sequence[Received], also: Sequence[Received] = ()) -> _Compared:
    by_key: dict[Key, list[Received]] = {}
    for each in received:
        by_key.setdefault(Key(each.source, each.external_id), []).append(each)
    known = await known_people.load(tenant, uow, [*by_key, *(Key(each.source, each.external_id) for each in also)])
    for each in also:
        key = Key(each.source, each.external_id)
        known.put(key, _with_statements(known.timeline(key), [each]))
    after = known.copy()
    for key, stated in by_key.items():
        after.put(key, _with_statements(known.timeline(key), stated))
    return _Compared(tenant, known, after, list(by_key), await _conflicts(tenant, uow, known, after))


def _with_statements(timeline: Timeline, received: Sequence[Received]) -> Timeline:
    for each in received:
        timeline, _ = with_statement(timeline, each.source, each.statement)
    return timeline


async def _conflicts(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, after: KnownPeople) -> Mapping[str, Conflict | None]:
    """Return the conflicts of people who get another login, which somebody else may have."""
    if not any(claimed_login(person.record, after.stated(user).on(tenant.today)) for user, person in known.people.items()):
        return {}
    return (await matching.match(tenant, uow, after, lock=False)).conflicts


def _ends(tenant: Tenant, known: KnownPeople, after: KnownPeople, key: Key, conflicts: Mapping[str, Conflict | None]) -> bool:
    if not known.timeline(key).facts or after.timeline(key) is known.timeline(key):
        return False
    user = known.users[key]
    person = known.people.get(user)
    if person is not None and begins_conflict(person, conflicts.get(user), tenant.today):
        return True
    account = Account() if person is None else person.account
    return ends_or_blocks(known.stated(user), known.stated_with(key, after.timeline(key)), tenant, account)


def _begins(tenant: Tenant, known: KnownPeople, after: KnownPeople, key: Key, conflicts: Mapping[str, Conflict | None]) -> bool:
    if after.timeline(key) is known.timeline(key):
        return False
    user = known.users[key]
    if conflicts.get(user) is not None:
        return False
    account = known.people[user].account if user in known.people else Account()
    return ends_or_blocks(known.stated_with(key, after.timeline(key)), known.stated(user), tenant, account)


async def would_change(tenant: Tenant, uow: UnitOfWork, source: str) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the external ids of the people who would lose access by the held statements of the source, those of the people who would get
    it, and the names of everybody whom the statements are about."""
    ended, begun, names = list[str](), list[str](), dict[str, str]()
    async for part in _parts_of_held(tenant, uow, source):
        ended += part.ended()
        begun += part.begun()
        names |= part.names()
    return ended, begun, names


async def would_end(tenant: Tenant, uow: UnitOfWork, source: str) -> list[str]:
    """Return the external ids of the people who would lose access by the held statements of the source."""
    return [each async for part in _parts_of_held(tenant, uow, source) for each in part.ended()]


async def _parts_of_held(tenant: Tenant, uow: UnitOfWork, source: str) -> AsyncIterator[_Compared]:
    after = -1
    while users := await store.next_users(uow.connection, tenant.tenant, source, after, AT_ONCE):
        after = users[-1][1]
        held = await store.statements(uow.connection, tenant.tenant, source, [user for user, _ in users])
        yield await _compared(tenant, uow, [_message(tenant.tenant, each) for each in held])


async def evaluate(tenant: Tenant, uow: UnitOfWork, held: HeldSource) -> None:
    """Release the statements of the source, or stop them. Call under the source's lock."""
    source = held.source
    endings = await guard.count_with_last_hour(tenant, uow, source, await would_end(tenant, uow, source))
    numbers = GuardNumbers(len(endings.would_end), len(endings.ended), endings.limit)
    if not endings.need_confirmation:
        await store.save(uow.connection, tenant.tenant, source, RELEASING, numbers)
        await guard.record(tenant, uow, source, endings)
        return
    await store.save(uow.connection, tenant.tenant, source, STOPPED, numbers)
    if held.status != STOPPED:
        STOPS.inc()
        guard.tell(tenant, uow, source, numbers.would_end, numbers.guard_limit, ended=numbers.ended_before)


async def release(tenant: Tenant, uow: UnitOfWork, held: HeldSource) -> None:
    """Apply the statements about the next people. Statements that came after the decision to release are evaluated when these are done.
    Call under the source's lock."""
    source, up_to = held.source, held.release_to
    users = [user for user, _ in await store.next_users(uow.connection, tenant.tenant, source, -1, AT_ONCE, up_to)]
    if users:
        statements = await store.statements(uow.connection, tenant.tenant, source, users, up_to)
        await people.apply_statements(tenant, uow, [_message(tenant.tenant, each) for each in statements], together=True)
        await store.remove_statements(uow.connection, tenant.tenant, source, users, up_to)
    elif await store.count(uow.connection, tenant.tenant, source):
        await store.collect(uow.connection, tenant.tenant, source)
    else:
        await store.remove(uow.connection, tenant.tenant, source)


async def stop(uow: UnitOfWork, tenant_id: str, source: str) -> None:
    """Let the statements of the source wait for somebody, because they cannot be looked at or applied."""
    held = (await store.lock(uow.connection, tenant_id, [source])).get(source)
    if held is not None:
        await store.save(uow.connection, tenant_id, source, STOPPED, held.numbers)


async def confirm(tenant: Tenant, uow: UnitOfWork, source: str, number: int) -> HeldSource:
    """Let the held statements of the source be applied. Raises NotFound, and Conflict if another number of people would lose access."""
    held = await _locked(tenant, uow, source)
    endings = await guard.count_with_last_hour(tenant, uow, source, await would_end(tenant, uow, source))
    if number != len(endings.would_end):
        raise guard.needs_confirmation(len(endings.would_end), endings.limit)
    await store.save(uow.connection, tenant.tenant, source, RELEASING, replace(held.numbers, would_end=number))
    await guard.begin_again(tenant, uow, source)
    return replace(held, status=RELEASING, would_end=number)


async def apply_at_once(tenant: Tenant, uow: UnitOfWork, source: str, number: int) -> bool:
    """Confirm and apply the held statements, and return True. If they are about too many people for one transaction, do nothing: a look
    holds no lock while it counts so many. Raises what `confirm` raises."""
    if len(await store.next_users(uow.connection, tenant.tenant, source, -1, AT_ONCE + 1)) > AT_ONCE:
        return False
    await confirm(tenant, uow, source, number)
    held = (await store.lock(uow.connection, tenant.tenant, [source]))[source]
    await release(tenant, uow, held)
    return True


async def discard(tenant: Tenant, uow: UnitOfWork, source: str) -> None:
    """Forget the held statements of the source. Raises NotFound."""
    await _locked(tenant, uow, source)
    await store.remove(uow.connection, tenant.tenant, source)


async def _locked(tenant: Tenant, uow: UnitOfWork, source: str) -> HeldSource:
    found: Mapping[str, HeldSource] = await store.lock(uow.connection, tenant.tenant, [source])
    if source not in found:
        raise NotFound("held event of this source", "There is nothing to confirm or to discard.")
    return found[source]
