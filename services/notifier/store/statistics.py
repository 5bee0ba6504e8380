"""Counts of one tenant, and the work that is open for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Text, bindparam, exists, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.store import action_log, emails, notifications


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    flagged: int  # (person, module) now
    revoked: int  # (person, module) over the whole run
    refused: int
    actions: int
    emails: int  # sent
    emails_failed: int


@dataclass(frozen=True, slots=True)
class OpenWork:
    """The open work of a tenant. It is read many times a second while a test clock is advanced, so it counts only what is open."""

    emails: int  # to be sent
    collecting: int  # notifications
    waiting: int  # notifications for people who are not known yet
    waiting_since: datetime | None

    def next_due(self, longest: timedelta) -> datetime | None:
        """Return when the first notification that waits for a person goes to the administrators, in the tenant's time."""
        return self.waiting_since + longest if self.waiting_since else None


_TENANT = bindparam("tenant", type_=Text)


def _count(table: Any, *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    return select(func.count()).select_from(table).where(table.c.tenant_id == _TENANT, *conditions).scalar_subquery()


def _seats(type_: str) -> ScalarSelect[Any]:
    """Count each person and module once, over the whole log."""
    a = action_log.TABLE.alias("a")
    seats = (
        select(a.c.user_id, a.c.module).where(a.c.tenant_id == _TENANT, a.c.type == literal_column(f"'{type_}'")).distinct().subquery("r")
    )
    return select(func.count()).select_from(seats).scalar_subquery()


def _flagged() -> ScalarSelect[Any]:
    """Count the flags without a later entry of the same seat."""
    a, later = action_log.TABLE.alias("a"), action_log.TABLE.alias("b")
    has_later = exists().where(later.c.tenant_id == a.c.tenant_id, later.c.subject == a.c.subject, later.c.seq > a.c.seq)
    return _count(a, a.c.type == literal_column("'seat_flagged'"), ~has_later)


def _in(table: Any, *states: str) -> ColumnElement[bool]:
    """States are written out, not given as parameters: only so does the planner see that a partial index fits."""
    found: ColumnElement[bool] = table.c.state.in_([literal_column(f"'{state}'") for state in states])
    return found


_E, _N = emails.TABLE, notifications.TABLE
_STATISTICS = select(
    _flagged(),
    _seats("seat_revoked"),
    _seats("seat_refused"),
    _count(action_log.TABLE),
    _count(_E, _in(_E, "sent")),
    _count(_E, _in(_E, "failed")),
)
_OPEN = select(
    _count(_E, _in(_E, "queued", "sending")),
    _count(_N, _in(_N, "collecting")),
    _count(_N, _in(_N, "waiting")),
    select(func.min(_N.c.waiting_since)).where(_N.c.tenant_id == _TENANT, _in(_N, "waiting")).scalar_subquery(),
)


async def statistics(connection: AsyncConnection, tenant_id: str) -> StatisticsRow:
    return StatisticsRow(*(await connection.execute(_STATISTICS, {"tenant": tenant_id})).one())


async def open_work(connection: AsyncConnection, tenant_id: str) -> OpenWork:
    return OpenWork(*(await connection.execute(_OPEN, {"tenant": tenant_id})).one())
