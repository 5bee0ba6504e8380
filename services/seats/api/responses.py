"""Bodies of responses. Times are RFC 3339 in UTC."""

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.seats import domain
from services.seats.engine.engine import Live
from shared.schemas.policies import POLICY_NAMES
from shared.schemas.seats_v1 import PoolState
from shared.web.rest import PositionView

LOOKED_AT_MAX = 5_000  # people for one page of seats: the page is made at once and delays every decision meanwhile
USABLE = ("active", "flagged")
LOGIN_BLOCKED = "login_blocked"
State = Literal["active", "flagged", "held", "waiting", "revoked"]


class Answer(BaseModel):
    position: PositionView


class PositionAnswer(Answer):
    rules: int


class PoolView(PoolState):
    base: bool
    policies: dict[str, Any]


class PoolAnswer(PoolView):
    position: PositionView


class Pools(Answer):
    items: list[PoolView]
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


class SeatView(BaseModel):
    user: str
    module: str
    state: str = Field(description="active, flagged, held, waiting or revoked (kept until the seat is reactivated or no longer required)")
    since: str | None = Field(None, description="When the seat was flagged, queued or revoked.")
    deadline: str | None = Field(None, description="When a flagged seat is revoked, or a hold expires.")


class Seats(Answer):
    items: list[SeatView]
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


class ReleaseView(BaseModel):
    at: str
    modules: list[str] = Field(description="The modules that are still required then.")
    leaver: bool


class Person(Answer):
    user: str
    revision: int
    need: list[str]
    administrator: bool
    priority: int
    partial: bool
    suspended: bool = Field(description="True if the login has ended (`valid_to`): the seats stay and count, without access.")
    modules: list[SeatView]
    release: ReleaseView | None = Field(None, description="From when on the person will require fewer modules, as far as users knows.")
    decided_at: int = Field(description="The offset of the last command that changed this person.")


class Access(Answer):
    user: str
    module: str
    allowed: bool
    state: str | None
    deadline: str | None = None
    reason: str | None = Field(None, description="`login_blocked`: the login has ended (`valid_to`), while the seat stays and counts.")


class Link(BaseModel):
    """One command and what it decided about the person."""

    partition: int
    offset: int
    command: dict[str, Any]
    decisions: list[dict[str, Any]]


class Why(Answer):
    user: str
    chain: list[Link]
    complete: bool = Field(description="False if there are older decisions than the last one in the chain.")


def position(live: Live) -> PositionView:
    return PositionView(partition=live.number, offset=live.durable.marker.decided)


def pool(pool_: domain.Pool) -> PoolView:
    row = pool_.row._asdict()
    policies = {name: row[name] for name in POLICY_NAMES}
    return PoolView.model_validate(domain.pool_state(pool_) | {"base": row["base"], "policies": policies}, strict=False)


def seats_of(user: str, row: domain.UserRow) -> list[SeatView]:
    seats = [
        SeatView(user=user, module=module, state=seat.state, since=_instant(seat.since), deadline=_instant(seat.deadline))
        for module, seat in row.seats.items()
    ]
    seats += [SeatView(user=user, module=gone.module, state="revoked", since=_instant(gone.at)) for gone in row.revoked]
    return sorted(seats, key=lambda seat: seat.module)


def _instant(ms: int | None) -> str | None:
    return domain.instant(ms) if ms else None


def row_of(tenant: str, user: str, live: Live) -> domain.UserRow | None:
    """Return the person's row. Pools and orders are stored beside people, under names that no person can have (`#tenant`), and a path
    can ask for one."""
    row = live.durable.rows.get(domain.user_key(tenant, user))
    return row if isinstance(row, domain.UserRow) else None


def person(user: str, row: domain.UserRow, live: Live) -> Person:
    return Person(
        position=position(live),
        user=user,
        revision=row.revision,
        need=list(row.required),
        administrator=row.administrator,
        priority=row.priority,
        partial=row.partial,
        suspended=row.suspended,
        modules=seats_of(user, row),
        release=_release_of(row),
        decided_at=row.offset,
    )


def _release_of(row: domain.UserRow) -> ReleaseView | None:
    dated = row.release
    return None if dated is None else ReleaseView(at=domain.instant(dated.at), modules=list(dated.modules), leaver=dated.leaver)


def access(user: str, module: str, row: domain.UserRow | None, live: Live) -> Access:
    seat = None if row is None else row.seats.get(module)
    state = None if seat is None else seat.state
    deadline = None if seat is None else _instant(seat.deadline)
    blocked = row is not None and row.suspended
    allowed = state in USABLE and not blocked
    reason = LOGIN_BLOCKED if blocked else None
    return Access(position=position(live), user=user, module=module, allowed=allowed, state=state, deadline=deadline, reason=reason)


_sorted_users: dict[str, tuple[domain.Tenant, list[str]]] = {}


def _users(tenant: domain.Tenant) -> list[str]:
    """Return the users in order. A person's row stays for the tenant's life, so only those after the known ones are new. Sorting a few
    new users into the sorted ones is fast; sorting all people of a large tenant would delay every decision."""
    known = _sorted_users.get(tenant.id)
    if known is None or known[0] is not tenant:
        known = _sorted_users[tenant.id] = (tenant, [])
    users = known[1]
    if len(users) != len(tenant.users):
        users.extend(islice(tenant.users, len(users), None))
        users.sort()
    return users


def page_of_seats(
    tenant: domain.Tenant, module: str | None, state: str | None, start: tuple[str, str] | None, limit: int, last: str | None = None
) -> tuple[list[SeatView], tuple[str, str] | None]:
    """Return the seats after `start` (user, module), up to those of the user `last`, and where the next page begins."""
    users = _users(tenant)
    first = 0 if start is None else bisect_left(users, start[0])
    end = len(users) if last is None else bisect_right(users, last)
    found: list[SeatView] = []
    for looked_at, user in enumerate(users[first : min(first + LOOKED_AT_MAX, end)], start=1):
        for seat in seats_of(user, tenant.users[user]):
            if start is not None and (user, seat.module) <= start:
                continue
            if (module is None or seat.module == module) and (state is None or seat.state == state):
                if len(found) == limit:
                    return found, (found[-1].user, found[-1].module)
                found.append(seat)
        if looked_at == LOOKED_AT_MAX and first + looked_at < end:
            return found, (user, "~")  # after every module, because names begin with a letter or a digit
    return found, None


def idle(live: Live, tenant: domain.Tenant, behind: int) -> dict[str, Any]:
    """Return the idle check of the tenant."""
    now, due = tenant.now(live.clock_ms), tenant.due()
    waiting = []
    if behind > 0:
        waiting.append(f"{behind} commands")
    if due is not None and due <= now:
        waiting.append("due items")
    last = live.decider.last_offset.get(tenant.id, -1)  # type: ignore[attr-defined]
    return {
        "time": domain.instant(now),
        "idle": not waiting,
        "waiting_for": waiting,
        "next_due": None if due is None else domain.instant(due),
        "fingerprint": f"{last}:{now if tenant.row.test_clock else 0}:{due}",
        "position": position(live).model_dump(),
    }
