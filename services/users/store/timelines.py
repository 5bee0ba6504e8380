"""What is stated about people: the last report of a source, and single facts in order of arrival."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.facts import Fact, FactType
from services.users.domain.timelines import Timeline, from_json, given_from_json, to_json
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of


@dataclass(frozen=True, slots=True)
class FactRow:
    user_id: str
    source: str
    fact_id: str
    type: str
    effective_date: date
    sequence: int
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FactKey:
    user_id: str
    source: str
    fact_id: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The last report of the source about one person; `user_id` is the person that it belongs to."""

    user_id: str
    source: str
    external_id: str
    version: int
    digest: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """The timeline of one person before and after statements of a source."""

    user: str
    source: str
    external_id: str
    before: Timeline
    after: Timeline


FACTS: Final = table_of("facts", FactRow, tenant_id=str, arrival=int, received_at=datetime)
REPORTS: Final = table_of("reports", ReportRow, tenant_id=str, reported_at=datetime)

_F: Final = FACTS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USERS: Final = any_(bindparam("users", type_=ARRAY(Text)))
_GIVEN_FACTS: Final = recordset(FactRow)
_INSERT_FACTS: Final = insert(FACTS).from_select(
    ["tenant_id", *names_of(FactRow), "received_at"],
    select(_TENANT, *columns_of(FactRow, _GIVEN_FACTS), func.now()).order_by(_GIVEN_FACTS.c.place),
)
_GIVEN_KEYS: Final = recordset(FactKey)
_DELETE_FACTS: Final = delete(FACTS).where(_F.tenant_id == _TENANT, *(_F[name] == _GIVEN_KEYS.c[name] for name in names_of(FactKey)))
_LOAD_FACTS: Final = select(*columns_of(FactRow, FACTS)).where(_F.tenant_id == _TENANT, _F.user_id == _USERS).order_by(_F.arrival)
_GIVEN_REPORTS: Final = recordset(ReportRow)
_REPORT_KEY: Final = ("tenant_id", "source", "external_id")
_INSERT_REPORTS: Final = insert(REPORTS).from_select(
    ["tenant_id", *names_of(ReportRow), "reported_at"], select(_TENANT, *columns_of(ReportRow, _GIVEN_REPORTS), func.now())
)
_SAVE_REPORTS: Final = _INSERT_REPORTS.on_conflict_do_update(
    index_elements=_REPORT_KEY,
    set_={name: _INSERT_REPORTS.excluded[name] for name in (*names_of(ReportRow, but=_REPORT_KEY), "reported_at")},
)
_LOAD_REPORTS: Final = select(*columns_of(ReportRow, REPORTS)).where(REPORTS.c.tenant_id == _TENANT, REPORTS.c.user_id == _USERS)

_R: Final = REPORTS.c
_VERSIONS: Final = select(_R.external_id, _R.version, _R.digest).where(
    _R.tenant_id == _TENANT,
    _R.source == bindparam("source", type_=Text),
    _R.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))),
)


async def load(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, Timeline]:
    """Return the timeline of each of these people. To change them, call under the people's locks."""
    if not users:
        return {}
    singles: dict[str, list[Fact]] = {user: [] for user in users}
    for row in await many(connection, _LOAD_FACTS, FactRow, tenant=tenant_id, users=list(users)):
        fact = Fact(row.fact_id, FactType(row.type), row.effective_date, row.sequence, given_from_json(row.given), row.source)
        singles[row.user_id].append(fact)
    timelines = {user: Timeline(singles=tuple(facts)) for user, facts in singles.items()}
    for report in await many(connection, _LOAD_REPORTS, ReportRow, tenant=tenant_id, users=list(users)):
        timelines[report.user_id] = Timeline(report.version, from_json(report.report), tuple(singles[report.user_id]))
    return timelines


async def versions(connection: AsyncConnection, tenant_id: str, source: str, external_ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return version and digest of the last report about each of these people that the source has reported."""
    given = {"tenant": tenant_id, "source": source, "external_ids": list(external_ids)}
    return {row.external_id: (row.version, row.digest) for row in await connection.execute(_VERSIONS, given)}


async def save(connection: AsyncConnection, tenant_id: str, changes: Sequence[Change]) -> None:
    """Save what differs. Call under the people's locks."""
    removed: list[FactKey] = []
    added: list[FactRow] = []
    reports: list[ReportRow] = []
    for change in changes:
        gone, new = _difference(change.before.singles, change.after.singles)
        removed += [FactKey(change.user, fact.source, fact.id) for fact in gone]
        added += [_row(change.user, fact) for fact in new]
        if change.after.version != change.before.version:
            report = change.after.report
            reports.append(ReportRow(change.user, change.source, change.external_id, change.after.version, report.digest, to_json(report)))
    for statement, rows in ((_DELETE_FACTS, removed), (_INSERT_FACTS, added), (_SAVE_REPORTS, reports)):
        if rows:
            await connection.execute(statement, {"tenant": tenant_id, "rows": json_rows(rows)})


async def add_facts(connection: AsyncConnection, tenant_id: str, user: str, facts: Sequence[Fact]) -> None:
    """Add facts that no timeline has. Call under the person's lock."""
    rows = [_row(user, fact) for fact in facts]
    if rows:
        await connection.execute(_INSERT_FACTS, {"tenant": tenant_id, "rows": json_rows(rows)})


def _row(user: str, fact: Fact) -> FactRow:
    return FactRow(user, fact.source, fact.id, fact.type, fact.effective_date, fact.sequence, fact.given)


def _difference(before: Sequence[Fact], after: Sequence[Fact]) -> tuple[list[Fact], Sequence[Fact]]:
    """Return the facts to remove and those to add at the end. A fact that moved to the end is both."""
    kept, removed = 0, []
    for fact in before:
        if kept < len(after) and after[kept] == fact:
            kept += 1
        else:
            removed.append(fact)
    return removed, after[kept:]
