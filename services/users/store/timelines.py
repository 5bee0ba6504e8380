"""What is stated about people: the last report of a source, and single facts in order of arrival."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, any_, bindparam, column, delete, func, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.facts import Fact, FactType
from services.users.domain.sources import Key
from services.users.domain.timelines import NO_REPORT, Timeline, from_json, given_from_json, to_json
from services.users.store.sources import SOURCES
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A timeline of a source, the person to whom it belongs, and the last report. `version` is 0 until there is one."""

    source: str
    external_id: str
    user_id: str
    version: int
    digest: str
    report: Mapping[str, Any]
    created_at: datetime  # when the source first stated anything, in the tenant's time


@dataclass(frozen=True, slots=True)
class FactRow:
    source: str
    external_id: str
    fact_id: str
    type: str
    effective_date: date
    sequence: int
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredFact(FactRow):
    arrival: int


@dataclass(frozen=True, slots=True)
class FactKey:
    source: str
    external_id: str
    fact_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A timeline before and after statements of its source. `before` is None for one that is not stored yet."""

    key: Key
    user: str
    before: Timeline | None
    after: Timeline
    moved: bool = False  # it belongs to another person than before


FACTS: Final = table_of("facts", StoredFact, tenant_id=str, received_at=datetime)
TIMELINES: Final = table_of("timelines", TimelineRow, tenant_id=str, reported_at=datetime)

_T: Final = TIMELINES.c
_F: Final = FACTS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USERS: Final = any_(bindparam("users", type_=ARRAY(Text)))
_SOURCE: Final = bindparam("source", type_=Text)
_EXTERNAL_IDS: Final = any_(bindparam("external_ids", type_=ARRAY(Text)))
_GIVEN_FACTS: Final = recordset(FactRow)
_INSERT_FACTS: Final = insert(FACTS).from_select(
    ["tenant_id", *names_of(FactRow), "received_at"],
    select(_TENANT, *columns_of(FactRow, _GIVEN_FACTS), func.now()).order_by(_GIVEN_FACTS.c.place),
)
_GIVEN_KEYS: Final = recordset(FactKey)
_DELETE_FACTS: Final = delete(FACTS).where(_F.tenant_id == _TENANT, *(_F[name] == _GIVEN_KEYS.c[name] for name in names_of(FactKey)))
_OF_TIMELINE: Final = (_F.tenant_id == _T.tenant_id) & (_F.source == _T.source) & (_F.external_id == _T.external_id)
_LOAD_FACTS: Final = (
    select(*columns_of(StoredFact, FACTS))
    .select_from(TIMELINES.join(FACTS, _OF_TIMELINE))
    .where(_T.tenant_id == _TENANT, _T.user_id == _USERS)
    .order_by(_F.arrival)
)
_GIVEN: Final = recordset(TimelineRow)
_KEY: Final = ("tenant_id", "source", "external_id")
_INSERT: Final = insert(TIMELINES).from_select(
    ["tenant_id", *names_of(TimelineRow), "reported_at"], select(_TENANT, *columns_of(TimelineRow, _GIVEN), func.now())
)
_SAVE: Final = _INSERT.on_conflict_do_update(
    index_elements=_KEY,
    set_={name: _INSERT.excluded[name] for name in ("user_id", "version", "digest", "report", "reported_at")},
)
_LOAD: Final = select(*columns_of(TimelineRow, TIMELINES)).where(_T.tenant_id == _TENANT, _T.user_id == _USERS)
_OF_SOURCE: Final = (_T.tenant_id == _TENANT) & (_T.source == _SOURCE)
_OWNERS: Final = select(_T.external_id, _T.user_id).where(_OF_SOURCE, _T.external_id == _EXTERNAL_IDS)
_EMPLOYED: Final = table("people", column("tenant_id"), column("user_id"), column("employed")).alias("people")
_ONE_SOURCE: Final = (
    select(func.min(_T.source).label("source"))
    .select_from(TIMELINES.join(_EMPLOYED, (_EMPLOYED.c.tenant_id == _T.tenant_id) & (_EMPLOYED.c.user_id == _T.user_id)))
    .where(_T.tenant_id == _TENANT, _EMPLOYED.c.employed)
    .group_by(_T.user_id)
    .having(func.min(_T.source) == func.max(_T.source))
    .subquery("one_source")
)
_ALONE: Final = select(_ONE_SOURCE.c.source, func.count().label("number")).group_by(_ONE_SOURCE.c.source)
_KEYS_OF: Final = (
    select(_T.user_id, _T.source, _T.external_id)
    .select_from(TIMELINES.join(SOURCES, (SOURCES.c.tenant_id == _T.tenant_id) & (SOURCES.c.source == _T.source)))
    .where(_T.tenant_id == _TENANT, _T.user_id == _USERS)
    .order_by(SOURCES.c.position, SOURCES.c.arrival, _T.external_id)
)
_CREATED_AT: Final = select(_T.created_at).where(_OF_SOURCE, _T.external_id == bindparam("external_id", type_=Text))
_VERSIONS: Final = select(_T.external_id, _T.version, _T.digest).where(_OF_SOURCE, _T.external_id == _EXTERNAL_IDS, _T.version > 0)


async def owners(connection: AsyncConnection, tenant_id: str, keys: Iterable[Key]) -> dict[Key, str]:
    """Return the person of each of these timelines that exist."""
    by_source: dict[str, list[str]] = {}
    for key in keys:
        by_source.setdefault(key.source, []).append(key.external_id)
    found: dict[Key, str] = {}
    for source, external_ids in by_source.items():
        rows = await connection.execute(_OWNERS, {"tenant": tenant_id, "source": source, "external_ids": external_ids})
        found |= {Key(source, row.external_id): row.user_id for row in rows}
    return found


async def keys_of(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, list[Key]]:
    """Return the sources of each of these people, with their external ids."""
    found: dict[str, list[Key]] = {}
    for row in await connection.execute(_KEYS_OF, {"tenant": tenant_id, "users": list(users)}):
        found.setdefault(row.user_id, []).append(Key(row.source, row.external_id))
    return found


async def alone(connection: AsyncConnection, tenant_id: str) -> dict[str, int]:
    """Return for each source the number of employed people whom no other source knows."""
    return {row.source: row.number for row in await connection.execute(_ALONE, {"tenant": tenant_id})}


async def created_at(connection: AsyncConnection, tenant_id: str, key: Key) -> datetime:
    """Return when the source first stated anything in the timeline."""
    found: datetime = (
        await connection.execute(_CREATED_AT, {"tenant": tenant_id, "source": key.source, "external_id": key.external_id})
    ).scalar_one()
    return found


async def load(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, dict[Key, Timeline]]:
    """Return the timelines of each of these people. To change them, call under the people's locks."""
    found: dict[str, dict[Key, Timeline]] = {user: {} for user in users}
    if not users:
        return found
    singles: dict[Key, list[Fact]] = {}
    for row in await many(connection, _LOAD_FACTS, StoredFact, tenant=tenant_id, users=list(users)):
        given = given_from_json(row.given)
        fact = Fact(row.fact_id, FactType(row.type), row.effective_date, row.sequence, given, row.source, row.arrival)
        singles.setdefault(Key(row.source, row.external_id), []).append(fact)
    for timeline in await many(connection, _LOAD, TimelineRow, tenant=tenant_id, users=list(users)):
        key = Key(timeline.source, timeline.external_id)
        report = from_json(timeline.report) if timeline.version else NO_REPORT
        found[timeline.user_id][key] = Timeline(timeline.version, report, tuple(singles.get(key, ())))
    return found


async def versions(connection: AsyncConnection, tenant_id: str, source: str, external_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return version and digest of the last report about each of these people that the source has reported."""
    given = {"tenant": tenant_id, "source": source, "external_ids": list(external_ids)}
    return {row.external_id: (row.version, row.digest) for row in await connection.execute(_VERSIONS, given)}


async def save(connection: AsyncConnection, tenant_id: str, changes: Sequence[Change], now: datetime) -> None:
    """Save what differs. Call under the people's locks."""
    removed: list[FactKey] = []
    added: list[FactRow] = []
    rows: list[TimelineRow] = []
    for change in changes:
        before, after, key = change.before or Timeline(), change.after, change.key
        gone, new = _difference(before.singles, after.singles)
        removed += [FactKey(*key, fact.id) for fact in gone]
        added += [_row(key, fact) for fact in new]
        if change.before is None or change.moved or after.version != before.version:
            digest, report = (after.report.digest, to_json(after.report)) if after.version else ("", {})
            rows.append(TimelineRow(*key, change.user, after.version, digest, report, now))
    for statement, given in ((_DELETE_FACTS, removed), (_INSERT_FACTS, added), (_SAVE, rows)):
        if given:
            await connection.execute(statement, {"tenant": tenant_id, "rows": json_rows(given)})


def _row(key: Key, fact: Fact) -> FactRow:
    return FactRow(*key, fact.id, fact.type, fact.effective_date, fact.sequence, fact.given)


def _difference(before: Sequence[Fact], after: Sequence[Fact]) -> tuple[list[Fact], Sequence[Fact]]:
    """Return the facts to remove and those to add at the end. A fact that moved to the end is both."""
    kept, removed = 0, []
    for fact in before:
        if kept < len(after) and after[kept] == fact:
            kept += 1
        else:
            removed.append(fact)
    return removed, after[kept:]
