"""Queries of the action log, of the list of mails, and of what the notifier says about itself. The tenant first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.notifier.store.recipients import rows
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import format_instant

# Of a decision nobody is named: it is whoever began its chain, as users or invoicing said it (in whatever order the topics were read),
# else the rules themselves.
_BEGAN = """
    SELECT b.actor_kind, b.actor_id FROM actions AS b
    WHERE a.actor_id IS NULL AND b.tenant_id = a.tenant_id AND b.correlation = a.correlation AND b.actor_id IS NOT NULL
          AND b.position_offset IS NULL
    ORDER BY b.seq LIMIT 1
"""
# The page first, then the actors of its rows. Conditions are only those that are asked for, so that each finds its index.
_ACTIONS = f"""
SELECT a.seq, a.event_id, a.part, a.at, a.recorded_at,
       coalesce(a.actor_kind, c.actor_kind, 'system'), coalesce(a.actor_id, c.actor_id, 'rules'),
       a.type, a.event_type, a.user_id, a.module, a.subject, a.old, a.new, a.changes, a.reason, a.details,
       a.position_partition, a.position_offset, a.correlation
FROM (SELECT * FROM actions AS a WHERE a.tenant_id = $1 {{conditions}} ORDER BY a.at {{order}}, a.seq {{order}} LIMIT $2) AS a
LEFT JOIN LATERAL ({_BEGAN}) AS c ON true
ORDER BY a.at {{order}}, a.seq {{order}}
"""  # noqa: S608 - constants
_CONDITIONS = {
    "user": "a.user_id = {}",
    "type": "a.type = {}",
    "module": "a.module = {}",
    "actor": f"coalesce(a.actor_id, (SELECT c.actor_id FROM ({_BEGAN}) AS c), 'rules') = {{}}",  # noqa: S608 - constants
    "since": "a.at >= {}",
    "until": "a.at < {}",
}
# Row-level security makes the planner expect a handful of rows, sort them all, and read the whole log for each page.
_IN_INDEX_ORDER = "SET LOCAL enable_bitmapscan = off"
_MAILS = """
SELECT seq, mail_id, stream, user_id, recipient, subject, invoices, notices, at, state, attempts, error, queued_at, sent_at FROM mails
WHERE tenant_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR user_id = $3) AND ($4::bigint IS NULL OR seq < $4)
ORDER BY seq DESC LIMIT $5
"""
_MAIL = """
SELECT seq, mail_id, stream, user_id, recipient, subject, invoices, notices, at, state, attempts, error, queued_at, sent_at,
       body_text, body_html
FROM mails WHERE tenant_id = $1 AND mail_id = $2
"""
# Flagged now: no later entry of the same seat. Revoked and refused: once for each person and module, over the whole log.
_FIGURES = """
SELECT
    (SELECT count(*) FROM actions AS a WHERE a.tenant_id = $1 AND a.type = 'seat_flagged'
        AND NOT EXISTS (SELECT 1 FROM actions AS b WHERE b.tenant_id = a.tenant_id AND b.subject = a.subject AND b.seq > a.seq)),
    (SELECT count(*) FROM (SELECT DISTINCT user_id, module FROM actions WHERE tenant_id = $1 AND type = 'seat_revoked') AS r),
    (SELECT count(*) FROM (SELECT DISTINCT user_id, module FROM actions WHERE tenant_id = $1 AND type = 'seat_refused') AS r),
    (SELECT count(*) FROM actions WHERE tenant_id = $1),
    (SELECT count(*) FROM mails WHERE tenant_id = $1 AND state = 'sent'),
    (SELECT count(*) FROM mails WHERE tenant_id = $1 AND state = 'failed')
"""
_OPEN = """
SELECT
    (SELECT count(*) FROM mails WHERE tenant_id = $1 AND state IN ('queued', 'sending')),
    (SELECT count(*) FROM notices WHERE tenant_id = $1 AND state = 'gathering'),
    (SELECT count(*) FROM notices WHERE tenant_id = $1 AND state = 'waiting'),
    (SELECT min(waiting_since) FROM notices WHERE tenant_id = $1 AND state = 'waiting')
"""
_TIME = """
SELECT coalesce(t.clock, c.clock), c.at FROM (SELECT $1::text AS tenant_id) AS one
LEFT JOIN tenants AS t ON t.tenant_id = one.tenant_id LEFT JOIN tenant_clocks AS c ON c.tenant_id = one.tenant_id
"""
_REJECTED = """
SELECT seq, event_id, tenant_id, type, command, partition, command_offset, reason, detail, created_at FROM rejected_commands
WHERE seq > $1 AND ($2::text IS NULL OR tenant_id = $2) ORDER BY seq LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Of the action log; None: any. Times are the tenant's: since <= at < until."""

    user: str | None = None
    type: str | None = None
    module: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def actions(
    uow: UnitOfWork, tenant: str, wanted: Filter, *, after: tuple[datetime, int] | None, limit: int, oldest_first: bool = False
) -> list[dict[str, Any]]:
    """A page of the log by the tenant's time, from behind `after` on."""
    values: list[object] = [tenant, limit]
    conditions = ""
    for name, condition in _CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            values.append(value)
            conditions += f" AND {condition.format(f'${len(values)}')}"
    if after is not None:
        conditions += f" AND (a.at, a.seq) {'>' if oldest_first else '<'} (${len(values) + 1}, ${len(values) + 2})"
        values += after
    statement = _ACTIONS.format(conditions=conditions, order="ASC" if oldest_first else "DESC")
    await uow.connection.exec_driver_sql(_IN_INDEX_ORDER)
    return [_action(row) for row in await rows(uow, statement, *values)]


def _action(row: Sequence[Any]) -> dict[str, Any]:
    subject, old, new = row[11:14]
    changes: list[tuple[str, Any, Any]] = row[14]
    if subject is not None:
        changes = [(_field_of(subject), old, new), *changes]
    return {
        "seq": row[0],
        "id": f"{row[1]}#{row[2]}",
        "at": format_instant(row[3]),
        "recorded_at": format_instant(row[4]),
        "actor": {"kind": row[5], "id": row[6]},
        "type": row[7],
        "event": row[8],
        "user": row[9],
        "module": row[10],
        "from": {field: before for field, before, _ in changes},
        "to": {field: after for field, _, after in changes},
        "reason": row[15],
        "details": row[16],
        "decision": row[1] if row[17] is not None else None,
        "position": {"partition": row[17], "offset": row[18]} if row[17] is not None else None,
        "correlation": row[19],
    }


def _field_of(subject: str) -> str:
    """What a subject's `from` and `to` are called: a seat's and a tenant's state, a pool's licences, policies, next period."""
    kind = subject.partition(":")[0]
    return "state" if kind in ("seat", "tenant") else kind


async def mails(
    uow: UnitOfWork, tenant: str, *, state: str | None, user: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Newest first."""
    return [_mail(row) for row in await rows(uow, _MAILS, tenant, state, user, before, limit)]


async def mail(uow: UnitOfWork, tenant: str, mail_id: str) -> dict[str, Any] | None:
    """With its words."""
    found = await rows(uow, _MAIL, tenant, mail_id)
    return _mail(found[0]) | {"text": found[0][14], "html": found[0][15]} if found else None


def _mail(row: Sequence[Any]) -> dict[str, Any]:
    return {
        "seq": row[0],
        "mail": row[1],
        "about": row[2],
        "user": row[3],
        "to": row[4],
        "subject": row[5],
        "invoices": row[6],
        "notices": row[7],
        "at": format_instant(row[8]),
        "state": row[9],
        "attempts": row[10],
        "error": row[11],
        "queued_at": format_instant(row[12]),
        "sent_at": format_instant(row[13]) if row[13] else None,
    }


@dataclass(frozen=True, slots=True)
class Figures:
    flagged: int  # (person, module) now
    revoked: int  # (person, module) over the whole run
    refused: int
    actions: int
    mails: int  # sent
    mails_failed: int


async def figures(uow: UnitOfWork, tenant: str) -> Figures:
    return Figures(*(await rows(uow, _FIGURES, tenant))[0])


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Asked many times a second while a test clock is advanced, so it counts only what is open, which is little."""

    mails: int  # to be sent
    gathering: int  # notices
    waiting: int  # notices for people who are not known yet
    waiting_since: datetime | None

    def next_due(self, longest: timedelta) -> datetime | None:
        """When the first notice that waits for a person goes to the administrators; the tenant's time."""
        return self.waiting_since + longest if self.waiting_since else None


async def open_work(uow: UnitOfWork, tenant: str) -> OpenWork:
    return OpenWork(*(await rows(uow, _OPEN, tenant))[0])


async def time_of(uow: UnitOfWork, tenant: str) -> tuple[str, datetime | None]:
    """(real | test, what seats last said of a test clock). Raises NotFound until users or seats has said something of the tenant."""
    ((clock, at),) = await rows(uow, _TIME, tenant)
    if clock is None:
        raise NotFound("tenant")
    return clock, at


async def check_tenant(uow: UnitOfWork, tenant: str) -> None:
    """For reads that would answer anybody's tenant with nothing in it. Raises NotFound, as `time_of`."""
    await time_of(uow, tenant)


async def rejected(uow: UnitOfWork, tenant: str | None, after: int, limit: int) -> list[dict[str, Any]]:
    """Commands that seats could not understand or decide, oldest first."""
    return [
        {
            "seq": row[0],
            "message_id": row[1],
            "tenant": row[2] or None,
            "type": row[3],
            "command": row[4],
            "partition": row[5],
            "offset": row[6],
            "reason": row[7],
            "detail": row[8],
            "created_at": format_instant(row[9]),
        }
        for row in await rows(uow, _REJECTED, after, tenant, limit)
    ]
