"""Quotes, with the state of the pools that seats has to find when they are ordered, and what happened to each quote."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter
from sqlalchemy import ARRAY, DateTime, Text, and_, any_, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from services.invoicing.domain.approvals import Approval
from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import QuoteIssued
from shared.schemas.seats_v1 import Expected

OPEN: Final = "open"
WAITING: Final = "waiting_for_approval"  # of a second approver
REPLACED: Final = "replaced"  # by a quote with the amount of the next day
APPROVED: Final = "approved"  # its order waits for the decision of seats
ACTIVATED: Final = "activated"
REFUSED: Final = "refused"  # by seats
WITHDRAWN: Final = "withdrawn"
EXPIRED: Final = "expired"  # is stored of a quote that waited. An open quote has expired when its time has passed
_APPROVALS = TypeAdapter(list[Approval])


@dataclass(frozen=True, slots=True)
class NewQuote:
    quote: str
    state: str
    payload: str
    expected: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredQuote:
    """A quote as it is stored, with its last state."""

    place: int
    quote: str
    state: str
    payload: str
    expected: str
    expires_at: datetime
    approvals: str

    @property
    def given(self) -> list[Approval]:
        """Return the approvals of a quote that waits for a second one."""
        return _APPROVALS.validate_json(self.approvals)

    @property
    def issued(self) -> QuoteIssued:
        return QuoteIssued.model_validate_json(self.payload)

    @property
    def expects(self) -> Expected:
        return Expected.model_validate_json(self.expected)

    def state_at(self, now: datetime) -> str:
        """Return the state at a time of the tenant."""
        return EXPIRED if self.state == OPEN and now >= self.expires_at else self.state


@dataclass(frozen=True, slots=True)
class QuoteStep:
    """The state that a quote took, when, and by whom. `detail` is JSON."""

    state: str
    at: datetime
    actor: str
    detail: str

    @property
    def by(self) -> Actor:
        return Actor.model_validate_json(self.actor)


QUOTES = table_of("quotes", StoredQuote, tenant_id=str, created_at=datetime)
QUOTE_STEPS = table_of("quote_steps", QuoteStep, tenant_id=str, quote=str, place=int)

_Q = QUOTES.c
_OWN = _Q.tenant_id == bindparam("tenant")
_ONE = _Q.quote == bindparam("of_quote")
_INSTANT = DateTime(timezone=True)
_NOW = bindparam("now", type_=_INSTANT)
_ADD = insert(QUOTES)
_SELECT = select(*columns_of(StoredQuote, QUOTES)).where(_OWN)
_FIND = _SELECT.where(_ONE)
_OF_IDS = _SELECT.where(_Q.quote == any_(bindparam("quotes", type_=ARRAY(Text))))
_PAGE = _SELECT.where(_Q.place < bindparam("before")).order_by(_Q.place.desc()).limit(bindparam("limit"))
_IN_STATE = {
    OPEN: _PAGE.where(_Q.state == OPEN, _Q.expires_at > _NOW),
    EXPIRED: _PAGE.where(or_(_Q.state == EXPIRED, and_(_Q.state == OPEN, _Q.expires_at <= _NOW))),
} | {state: _PAGE.where(_Q.state == state) for state in (WAITING, REPLACED, APPROVED, ACTIVATED, REFUSED, WITHDRAWN)}
_WAITING = _SELECT.where(_Q.state == WAITING).order_by(_Q.place)
_WAIT = update(QUOTES).where(_OWN, _ONE).values(approvals=bindparam("new_approvals"), expires_at=bindparam("until", type_=_INSTANT))
_MOVED = update(QUOTES).where(_OWN, _ONE).values(state=bindparam("new_state")).returning(_Q.quote).cte("moved")
_STEP: Mapping[str, TypeEngine[Any]] = {"at": _INSTANT, "actor": Text(), "detail": Text()}
_MOVE = insert(QUOTE_STEPS).from_select(
    ["tenant_id", "quote", "state", *_STEP],
    select(
        bindparam("tenant", type_=Text()),
        _MOVED.c.quote,
        bindparam("new_state", type_=Text()),
        *(bindparam(f"new_{name}", type_=type_) for name, type_ in _STEP.items()),
    ),
)
_S = QUOTE_STEPS.c
_STEPS = (
    select(*columns_of(QuoteStep, QUOTE_STEPS))
    .where(_S.tenant_id == bindparam("tenant"), _S.quote == bindparam("of_quote"))
    .order_by(_S.place)
)
LAST: Final = 2**63 - 1  # before the newest quote


async def add(connection: AsyncConnection, tenant_id: str, event: QuoteIssued, expects: Expected) -> None:
    row = NewQuote(event.quote, OPEN, event.model_dump_json(), expects.model_dump_json(), event.expires_at)
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))


async def find(connection: AsyncConnection, tenant_id: str, quote_id: str) -> StoredQuote | None:
    return await one(connection, _FIND, StoredQuote, tenant=tenant_id, of_quote=quote_id)


async def of_ids(connection: AsyncConnection, tenant_id: str, quotes: Sequence[str]) -> dict[str, StoredQuote]:
    """Return these quotes by their ids."""
    found = await many(connection, _OF_IDS, StoredQuote, tenant=tenant_id, quotes=list(quotes))
    return {each.quote: each for each in found}


async def page(connection: AsyncConnection, tenant_id: str, before: int, limit: int, state: str | None, now: datetime) -> list[StoredQuote]:
    """Return quotes, the newest first. `now` is the tenant's time."""
    statement = _PAGE if state is None else _IN_STATE[state]
    more = {"now": now} if state in (OPEN, EXPIRED) else {}
    return await many(connection, statement, StoredQuote, tenant=tenant_id, before=before, limit=limit, **more)


async def waiting(connection: AsyncConnection, tenant_id: str) -> list[StoredQuote]:
    """Return the quotes that wait for their second approver."""
    return await many(connection, _WAITING, StoredQuote, tenant=tenant_id)


async def move(connection: AsyncConnection, tenant_id: str, quote_id: str, state: str, at: datetime, actor: Actor, **detail: Any) -> None:
    """Save the new state of a quote, and the step that led to it."""
    step = {"new_at": at, "new_actor": actor.model_dump_json(), "new_detail": orjson.dumps(detail).decode()}
    await connection.execute(_MOVE, {"tenant": tenant_id, "of_quote": quote_id, "new_state": state} | step)


async def wait(connection: AsyncConnection, tenant_id: str, quote_id: str, approval: Approval, until: datetime) -> None:
    """Save the first approval of a quote, and until when a second one is waited for."""
    given = _APPROVALS.dump_json([approval]).decode()
    await connection.execute(_WAIT, {"tenant": tenant_id, "of_quote": quote_id, "new_approvals": given, "until": until})


async def steps(connection: AsyncConnection, tenant_id: str, quote_id: str) -> list[QuoteStep]:
    """Return what happened to a quote after it was made, in order."""
    return await many(connection, _STEPS, QuoteStep, tenant=tenant_id, of_quote=quote_id)


async def newest(connection: AsyncConnection, tenant_id: str, quote_id: str) -> str:
    """Return the quote that stands for this one now. One that waits for its second approver is another one on each day."""
    while replaced := [each for each in await steps(connection, tenant_id, quote_id) if each.state == REPLACED]:
        quote_id = detail_of(replaced[-1])["quote"]
    return quote_id


def detail_of(step: QuoteStep) -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads(step.detail)
    return found
