"""Notifications from their event to the e-mail that they are part of, and the digests that are due."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    Text,
    any_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.notifications import Audience, Kind, Notification, Stream
from services.notifier.store.recipients import CLOCKS, PEOPLE, TENANTS
from shared.database.row_classes import columns_of, names_of, recordset, table_of

DIGEST_MAX = (
    10_000  # notifications of one e-mail, whose tables show fewer still; an import of a large company makes many times that at once
)


@dataclass(frozen=True, slots=True)
class NotificationRow:
    tenant_id: str
    key: str
    audience: str
    stream: str
    kind: str
    user_id: str | None
    module: str | None
    at: datetime
    data: Mapping[str, Any]
    received_at: datetime  # wall time, by which digests are collected


@dataclass(frozen=True, slots=True)
class Digest:
    """The notifications of one recipient that are due."""

    tenant_id: str
    audience: Audience
    stream: Stream
    user_id: str | None
    now: datetime  # the tenant's time


TABLE = table_of(
    "notifications",
    NotificationRow,
    seq=int,
    state=str,
    waiting_since=datetime,
)
N = TABLE.c
# States are written out, not given as parameters: only so does the planner see that a partial index fits.
_COLLECTING: ColumnElement[str] = literal_column("'collecting'", Text)
_WAITING: ColumnElement[str] = literal_column("'waiting'", Text)

_GIVEN = recordset(NotificationRow)
SAVE_NOTIFICATION = (
    insert(TABLE)
    .from_select(names_of(NotificationRow), select(*columns_of(NotificationRow, _GIVEN)).order_by(_GIVEN.c.place))
    .on_conflict_do_nothing()
)
_RECIPIENT_FOUND = (
    update(TABLE)
    .where(N.state == _WAITING, PEOPLE.c.tenant_id == N.tenant_id, PEOPLE.c.user_id == N.user_id)
    .values(state=_COLLECTING, waiting_since=None)
)
_NOW = bindparam("now", type_=DateTime(timezone=True))
_TENANT_NOW = case((TENANTS.c.clock == "test", func.coalesce(CLOCKS.c.at, literal_column("'-infinity'::timestamptz"))), else_=_NOW)
_WITH_CLOCK = TENANTS.outerjoin(CLOCKS, CLOCKS.c.tenant_id == TENANTS.c.tenant_id)
_TIMES = select(TENANTS.c.tenant_id, _TENANT_NOW.label("now")).select_from(_WITH_CLOCK).subquery("t")
_OVERDUE = (
    update(TABLE)
    .where(N.state == _WAITING, _TIMES.c.tenant_id == N.tenant_id, N.waiting_since + bindparam("longest", type_=Interval) <= _TIMES.c.now)
    .values(state=_COLLECTING, waiting_since=None, received_at=_NOW, audience=Audience.ADMINISTRATORS, stream=Stream.UNDELIVERED)
)
# A tenant that is not known yet has no recipients: its notifications stay until the tenant's event is read.
_USER = case((N.audience == literal_column("'person'"), N.user_id)).label("user_id")
_COLLECTED = (
    select(N.tenant_id, N.audience, N.stream, _USER, func.min(N.seq).label("first"))
    .where(N.state == _COLLECTING)
    .group_by(N.tenant_id, N.audience, N.stream, literal_column("4"))
    .having((func.max(N.received_at) <= bindparam("quiet_since")) | (func.min(N.received_at) <= bindparam("started_before")))
    .subquery("n")
)
_DUE = (
    select(_COLLECTED.c.tenant_id, _COLLECTED.c.audience, _COLLECTED.c.stream, _COLLECTED.c.user_id, _TIMES.c.now)
    .select_from(_COLLECTED.join(_TIMES, _TIMES.c.tenant_id == _COLLECTED.c.tenant_id))
    .order_by(func.row_number().over(partition_by=_COLLECTED.c.tenant_id, order_by=_COLLECTED.c.first), _COLLECTED.c.first)
    .limit(bindparam("most", type_=BigInteger))
)
_OF_USER = bindparam("user", type_=Text)
_OF_DIGEST = (
    select(*columns_of(NotificationRow, TABLE))
    .where(
        N.tenant_id == bindparam("tenant"),
        N.state == _COLLECTING,
        N.audience == bindparam("audience"),
        N.stream == bindparam("stream"),
        _OF_USER.is_(None) | (N.user_id == _OF_USER),
    )
    .order_by(N.seq)
    .limit(bindparam("most", type_=BigInteger))
)
# A refusal after a request that named all refused people again: the same refusal, if its reason was in an earlier e-mail.
_OLD = TABLE.alias("old")
_SAME_SEAT = [_OLD.c[name] == N[name] for name in ("tenant_id", "audience", "kind", "user_id", "module")]
_REPEATED = select(N.key).where(
    N.tenant_id == bindparam("tenant"),
    N.key == any_(bindparam("keys", type_=ARRAY(Text))),
    exists(
        select(_OLD.c.key)
        .where(*_SAME_SEAT, _OLD.c.data["reason"].as_string() == N.data["reason"].as_string(), _OLD.c.state == literal_column("'emailed'"))
        .correlate(TABLE)
    ),
)
_REDIRECT = (
    update(TABLE)
    .where(N.tenant_id == bindparam("tenant"), N.key == any_(bindparam("keys", type_=ARRAY(Text))))
    .values(received_at=_NOW, audience=Audience.ADMINISTRATORS, stream=Stream.UNDELIVERED)
)
_SET_STATE = (
    update(TABLE)
    .where(N.tenant_id == bindparam("tenant"), N.key == any_(bindparam("keys", type_=ARRAY(Text))))
    .values(state=bindparam("new_state"), waiting_since=bindparam("since"))
)
_DELETE = delete(TABLE).where(N.state.in_([literal_column("'emailed'"), literal_column("'dropped'")]), N.received_at < bindparam("before"))


def notification_row(tenant_id: str, given: Notification, received_at: datetime) -> NotificationRow:
    return NotificationRow(
        tenant_id, given.key, given.audience, given.stream, given.kind, given.user, given.module, given.at, given.data, received_at
    )


async def wake_waiting(connection: AsyncConnection, now: datetime, longest: timedelta) -> None:
    """Notifications whose person has become known go on; those that have waited for `longest` go to the administrators."""
    await connection.execute(_RECIPIENT_FOUND)
    await connection.execute(_OVERDUE, {"now": now, "longest": longest})


async def due_digests(connection: AsyncConnection, now: datetime, quiet: timedelta, longest: timedelta, most: int) -> Sequence[Digest]:
    """Return digests that are due: the oldest of each tenant, then the second of each, so that a large import of one tenant does not delay
    the others. A digest is due when it has got no notification for `quiet`, or `longest` after its first one, in wall time."""
    values = {"now": now, "quiet_since": now - quiet, "started_before": now - longest, "most": most}
    found = await connection.execute(_DUE, values)
    return [Digest(tenant_id, Audience(audience), Stream(stream), user_id, at) for tenant_id, audience, stream, user_id, at in found]


async def notifications_of(connection: AsyncConnection, digest: Digest) -> list[Notification]:
    """Return the first notifications of the digest in the order of their events; those beyond `DIGEST_MAX` make the next e-mail."""
    values = {"tenant": digest.tenant_id, "audience": digest.audience, "stream": digest.stream, "user": digest.user_id, "most": DIGEST_MAX}
    rows = [NotificationRow(*row) for row in await connection.execute(_OF_DIGEST, values)]
    return [
        Notification(row.key, Audience(row.audience), Stream(row.stream), Kind(row.kind), row.at, row.user_id, row.module, dict(row.data))
        for row in rows
    ]


async def set_state(
    connection: AsyncConnection, tenant_id: str, notifications: Collection[Notification], state: str, waiting_since: datetime | None = None
) -> None:
    values = {"tenant": tenant_id, "keys": [each.key for each in notifications], "new_state": state, "since": waiting_since}
    await connection.execute(_SET_STATE, values)


async def without_repeated(connection: AsyncConnection, tenant_id: str, notifications: Sequence[Notification]) -> list[Notification]:
    """Leave out the refusals of people whose seats were requested again, if an earlier e-mail had the same refusal."""
    again = [each.key for each in notifications if each.data.get("again")]
    if not again:
        return list(notifications)
    repeated = set((await connection.execute(_REPEATED, {"tenant": tenant_id, "keys": again})).scalars())
    return [each for each in notifications if each.key not in repeated]


async def redirect(connection: AsyncConnection, tenant_id: str, notifications: Collection[Notification], now: datetime) -> None:
    """Have the administrators told in the place of people who have no e-mail address. The notifications of many such people are collected
    for a digest from now on."""
    await connection.execute(_REDIRECT, {"tenant": tenant_id, "keys": [each.key for each in notifications], "now": now})


async def delete_old(connection: AsyncConnection, before: datetime) -> None:
    """Delete the notifications that were part of an e-mail, or dropped, before that time."""
    await connection.execute(_DELETE, {"before": before})
