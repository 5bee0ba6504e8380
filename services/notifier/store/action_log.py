"""The action log, which is only ever appended to, and the numbers of pools as its last entries left them."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Executable,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    column,
    exists,
    func,
    literal_column,
    select,
    table,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.action_log import HIDDEN, people_in, without_hidden
from services.notifier.domain.pool_numbers import PoolNumbers
from services.notifier.store import recipients
from services.notifier.store.recipients import View, visible_to_reader
from shared.database.row_classes import columns_of, names_of, recordset, replacing, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFields:
    event_id: str
    part: int  # place of the entry among those of its event
    at: datetime  # the tenant's time
    actor_kind: str | None  # None: the actor that began the chain of `correlation`
    actor_id: str | None
    type: str
    event_type: str
    user_id: str | None
    module: str | None
    subject: str | None
    new: str | None
    changes: Sequence[Sequence[Any]]  # [[field, old, new], ...]
    reason: str
    details: Mapping[str, Any]
    position_partition: int | None
    position_offset: int | None
    correlation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAction(ActionFields):
    tenant_id: str
    only_if_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow(ActionFields):
    seq: int
    recorded_at: datetime
    old: str | None


@dataclass(frozen=True, slots=True)
class PoolNumbersRow:
    tenant_id: str
    module: str
    licences: int | None
    next_period: int | None
    policies: str | None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries are wanted; None: any. Times are the tenant's: since <= at < until."""

    user: str | None = None
    types: tuple[str, ...] = ()  # any of these; empty: all
    module: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    departments: tuple[str, ...] | None = None  # the viewset of the reader: nobody else is shown
    reader: str | None = None


TABLE = table_of("actions", ActionRow, tenant_id=str)
POOL_NUMBERS = table_of("pool_numbers", PoolNumbersRow)
TENANTS = table("action_log_tenants", column("tenant_id", Text()))
_TENANT = bindparam("tenant", type_=Text)


def _append() -> Executable:
    """`old` is the state in the entry before of the same subject, in this batch or in the log: the log is in the order of the topic."""
    given = recordset(NewAction)
    before = case(
        (
            given.c.subject.is_not(None),
            func.lag(given.c.new).over(partition_by=[given.c.tenant_id, given.c.subject], order_by=given.c.place),
        )
    )
    batch = select(*given.c, before.label("before")).subquery("b")
    last = (
        select(TABLE.c.new)
        .where(batch.c.before.is_(None), TABLE.c.tenant_id == batch.c.tenant_id, TABLE.c.subject == batch.c.subject)
        .order_by(TABLE.c.seq.desc())
        .limit(literal_column("1"))
        .lateral("p")
    )
    old = func.coalesce(batch.c.before, last.c.new)
    written = names_of(NewAction, but=("only_if_changed",))
    rows = (
        select(*(batch.c[name] for name in written), old)
        .select_from(batch.outerjoin(last, true()))
        .where(~(batch.c.only_if_changed & old.is_not_distinct_from(batch.c.new)))
        .order_by(batch.c.place)
    )
    return insert(TABLE).from_select([*written, "old"], rows).on_conflict_do_nothing()


APPEND = _append()


def _chain_start(entry: FromClause) -> Select[Any]:
    """A decision names nobody. Its actor is the one that began its chain, as users or invoicing reported it, independent of the order in
    which the topics were read, or else the rules themselves."""
    first = TABLE.alias("f")
    return (
        select(first.c.actor_kind, first.c.actor_id)
        .where(
            entry.c.actor_id.is_(None),
            first.c.tenant_id == entry.c.tenant_id,
            first.c.correlation == entry.c.correlation,
            first.c.actor_id.is_not(None),
            first.c.position_offset.is_(None),
        )
        .correlate(entry)
        .order_by(first.c.seq)
        .limit(literal_column("1"))
    )


@cache
def _page(given: tuple[str, ...], *, after: bool, oldest_first: bool) -> Select[Any]:
    """Select the page first, then the actors of its rows. Only the given conditions are part of it, so that each finds its index."""
    a = TABLE.alias("a")
    starter = _chain_start(a).subquery("c")
    by = bindparam("actor", type_=Text)
    kind = func.coalesce(a.c.actor_kind, select(starter.c.actor_kind).correlate(a).scalar_subquery(), "system")
    conditions = {
        "user": a.c.user_id == bindparam("user"),
        "type": a.c.type == bindparam("type"),
        "module": a.c.module == bindparam("module"),
        "actor": func.coalesce(a.c.actor_id, select(starter.c.actor_id).correlate(a).scalar_subquery(), "rules") == by,
        "since": a.c.at >= bindparam("since"),
        "until": a.c.at < bindparam("until"),
        "departments": visible_to_reader(a.c.tenant_id, a.c.user_id),
    }
    if {"actor", "departments"} <= set(given):  # who asks for the entries of an actor would learn who that is
        conditions["actor"] &= (kind != "user") | visible_to_reader(a.c.tenant_id, by)
    order = (a.c.at, a.c.seq) if oldest_first else (a.c.at.desc(), a.c.seq.desc())
    page = (
        select(*columns_of(ActionRow, a), a.c.tenant_id)
        .where(a.c.tenant_id == _TENANT, *(conditions[name] for name in given if name in conditions))
        .order_by(*order)
    )
    if after:
        place, last = (
            tuple_(a.c.at, a.c.seq),
            tuple_(bindparam("after_at", type_=DateTime(timezone=True)), bindparam("after_seq", type_=BigInteger)),
        )
        page = page.where(place > last if oldest_first else place < last)
    entries = page.limit(bindparam("limit", type_=BigInteger)).subquery("a")
    start = _chain_start(entries).lateral("c")
    actor = {
        "actor_kind": func.coalesce(entries.c.actor_kind, start.c.actor_kind, "system"),
        "actor_id": func.coalesce(entries.c.actor_id, start.c.actor_id, "rules"),
    }
    by_time = (entries.c.at, entries.c.seq) if oldest_first else (entries.c.at.desc(), entries.c.seq.desc())
    columns = [actor.get(name, entries.c[name]).label(name) for name in names_of(ActionRow)]
    return select(*columns).select_from(entries.outerjoin(start, true())).order_by(*by_time)


# Row-level security makes the planner expect a handful of rows, sort them all, and read the whole log for each page.
_IN_INDEX_ORDER = select(func.set_config("enable_bitmapscan", "off", literal_column("true")))
_IS_LOGGED = select(exists().where(TABLE.c.tenant_id == _TENANT, TABLE.c.event_id == bindparam("event")))
_IS_KNOWN = select(exists().where(TENANTS.c.tenant_id == _TENANT))
_ADD_TENANT = insert(TENANTS).on_conflict_do_nothing()
_NUMBERS = select(*columns_of(PoolNumbersRow, POOL_NUMBERS)).where(POOL_NUMBERS.c.tenant_id == _TENANT)
_INSERT_NUMBERS = insert(POOL_NUMBERS)
_SAVE_NUMBERS = replacing(_INSERT_NUMBERS, PoolNumbersRow, "tenant_id", "module")


async def actions(
    connection: AsyncConnection, tenant_id: str, wanted: LogFilter, *, after: tuple[datetime, int] | None, limit: int, oldest_first: bool
) -> Sequence[ActionRow]:
    """Return a page of the log by the tenant's time, from behind `after` on, as the reader may see it."""
    given = {name: value for name, value in asdict(wanted).items() if value is not None and name != "types"}
    values = given | {"tenant": tenant_id, "limit": limit}
    if after is not None:
        values |= {"after_at": after[0], "after_seq": after[1]}
    await connection.execute(_IN_INDEX_ORDER)
    names, rows = names_of(ActionRow), list[ActionRow]()
    # One page for each type: a single statement would read the whole log where the types are rare.
    for own in [{"type": each} for each in wanted.types] or [dict[str, str]()]:
        statement = _page((*given, *own), after=after is not None, oldest_first=oldest_first)
        rows += [ActionRow(**dict(zip(names, row, strict=True))) for row in await connection.execute(statement, values | own)]
    rows.sort(key=lambda row: (row.at, row.seq), reverse=not oldest_first)
    page = rows[:limit]
    if wanted.departments is None or wanted.reader is None:
        return page
    named = {user for row in page for user in people_in(row.details)}
    named |= {row.actor_id for row in page if row.actor_kind == "user" and row.actor_id is not None}
    seen = await recipients.visible(connection, tenant_id, named, View(wanted.departments, wanted.reader))
    return [_as_seen(row, seen) for row in page]


def _as_seen(row: ActionRow, seen: AbstractSet[str]) -> ActionRow:
    is_hidden = row.actor_kind == "user" and row.actor_id not in seen
    return replace(row, actor_id=HIDDEN if is_hidden else row.actor_id, details=without_hidden(row.type, row.details, seen))


async def add_tenant(connection: AsyncConnection, tenant_id: str) -> None:
    await connection.execute(_ADD_TENANT, {"tenant_id": tenant_id})


async def is_known_tenant(connection: AsyncConnection, tenant_id: str) -> bool:
    """Tell whether the action log has read that this tenant was created or opened."""
    return bool((await connection.execute(_IS_KNOWN, {"tenant": tenant_id})).scalar_one())


async def is_logged(connection: AsyncConnection, tenant_id: str, event_id: str) -> bool:
    return bool((await connection.execute(_IS_LOGGED, {"tenant": tenant_id, "event": event_id})).scalar_one())


async def pool_numbers(connection: AsyncConnection, tenant_id: str) -> dict[str, PoolNumbers]:
    """Return the numbers of each pool, closed pools included, as the last entry of the log left them."""
    rows = [PoolNumbersRow(*row) for row in await connection.execute(_NUMBERS, {"tenant": tenant_id})]
    return {row.module: PoolNumbers(row.licences, row.next_period, row.policies) for row in rows}


async def save_pool_numbers(connection: AsyncConnection, tenant_id: str, pools: Mapping[str, PoolNumbers]) -> None:
    for module, numbers in pools.items():
        await connection.execute(_SAVE_NUMBERS, asdict(PoolNumbersRow(tenant_id, module, *numbers)))
