"""The statistics of a tenant, and the number of people of all tenants whose command has no answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Interval, Text, bindparam, column, func, literal_column, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.module_states import MODULE_STATES
from services.users.store.people import PEOPLE


@dataclass(frozen=True, slots=True)
class Statistics:
    """`hired`, `active` and `pending` count people; the others count pairs of person and module: `flagged` now, `revoked` and `refused`
    since the tenant was opened."""

    hired: int
    active: int
    pending: int
    flagged: int
    revoked: int
    refused: int


_P: Final = PEOPLE.c
_M: Final = MODULE_STATES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_IS_PENDING: Final = _P.answered < _P.revision
_COUNT: Final = func.count()
_PEOPLE: Final = select(_COUNT, _COUNT.filter(_P.status.in_(("active", "over_limit"))), _COUNT.filter(_IS_PENDING)).where(
    _P.tenant_id == _TENANT, _P.status != literal_column("'expected'"), not_((func.cardinality(_P.rights) > 0) & (_P.revision == 0))
)
_MODULES: Final = select(
    _COUNT.filter(_M.state == literal_column("'flagged'")), _COUNT.filter(_M.revoked), _COUNT.filter(_M.refused)
).where(_M.tenant_id == _TENANT)
_UNANSWERED: Final = select(_COUNT).select_from(PEOPLE).where(_IS_PENDING, _P.sent_at < func.now() - bindparam("longest", type_=Interval))


async def statistics(connection: AsyncConnection, tenant_id: str) -> Statistics:
    """A holder of rights who never required a seat (A19) has an account with the vendor, and is not one of the people counted here."""
    people = (await connection.execute(_PEOPLE, {"tenant": tenant_id})).one()
    modules = (await connection.execute(_MODULES, {"tenant": tenant_id})).one()
    return Statistics(*people, *modules)


async def unanswered(connection: AsyncConnection, longest: timedelta) -> int:
    """Return the number of people of all tenants whose last command has had no answer for that long."""
    return (await connection.execute(_UNANSWERED, {"longest": longest})).scalar_one()


@dataclass(frozen=True, slots=True)
class ModuleCounts:
    """People of a module who are over the limit, wait or are refused now, and the deadlines of those over the limit."""

    module: str
    flagged: int
    nearest_deadline: datetime | None
    last_deadline: datetime | None
    waiting: int
    refused: int


_IS: Final = {state: _M.state == literal_column(f"'{state}'") for state in ("flagged", "waiting", "refused")}
_BY_MODULE: Final = (
    select(
        _M.module,
        _COUNT.filter(_IS["flagged"]),
        func.min(_M.deadline).filter(_IS["flagged"]),
        func.max(_M.deadline).filter(_IS["flagged"]),
        _COUNT.filter(_IS["waiting"]),
        _COUNT.filter(_IS["refused"]),
    )
    # The second condition follows from the first; with it, PostgreSQL uses the index of the few rows that are notable.
    .where(_M.tenant_id == _TENANT, or_(*_IS.values()), _M.state.not_in((literal_column("'active'"), literal_column("'released'"))))
    .group_by(_M.module)
    .order_by(_M.module)
)


async def by_module(connection: AsyncConnection, tenant_id: str) -> Sequence[ModuleCounts]:
    """Return the counts of modules that have such people."""
    return [ModuleCounts(*row) for row in await connection.execute(_BY_MODULE, {"tenant": tenant_id})]


_REQUIRED: Final = func.unnest(_P.required_modules).table_valued(column("module", Text()), name="required").render_derived()
_REQUIRED_BY_MODULE: Final = (
    select(_REQUIRED.c.module, _COUNT.label("number"))
    .select_from(PEOPLE.join(_REQUIRED, true()))
    .where(_P.tenant_id == _TENANT)
    .group_by(_REQUIRED.c.module)
)


async def required_by_module(connection: AsyncConnection, tenant_id: str) -> dict[str, int]:
    """Return how many people require each module now."""
    return {row.module: row.number for row in await connection.execute(_REQUIRED_BY_MODULE, {"tenant": tenant_id})}
