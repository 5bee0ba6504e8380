"""The subscription of a tenant, and its modules."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import lru_cache

import orjson
from sqlalchemy import Date, Text, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tenants import TENANTS
from shared.database.row_classes import columns_of, many, names_of, one, recordset, table_of
from shared.errors import NotFound
from shared.schemas.invoicing_v1 import SubscriptionStarted
from shared.schemas.seats_v1 import Policies


@dataclass(frozen=True, slots=True)
class Subscription:
    subscription: str
    status: str
    reason: str
    payload: str  # SubscriptionStarted, with the terms that hold now
    period_start: date
    period_end: date
    billed_until: date
    open_day: date | None = None  # the first local day with changes that are not charged yet

    @property
    def contract(self) -> SubscriptionStarted:
        return _contract_of(self.payload)


@lru_cache(maxsize=1000)
def _contract_of(payload: str) -> SubscriptionStarted:
    """A renewal reads the contract several times."""
    return SubscriptionStarted.model_validate_json(payload)


@dataclass(frozen=True, slots=True)
class Module:
    module: str
    base: bool
    licences: int
    policies: str
    opened: bool = False
    sent_cap: int | None = None  # the expand cap that seats was sent last; None: that of the policies
    limited_by: str = ""  # what keeps it from being expanded up to its own cap


SUBSCRIPTION_MODULES = table_of("subscription_modules", Module, tenant_id=str)
SUBSCRIPTIONS = table_of("subscriptions", Subscription, tenant_id=str, changes=int, created_at=datetime)

_OWN = SUBSCRIPTIONS.c.tenant_id == bindparam("tenant")
_OWN_MODULES = SUBSCRIPTION_MODULES.c.tenant_id == bindparam("tenant")
_FIND = select(*columns_of(Subscription, SUBSCRIPTIONS)).where(_OWN)
_ADD = insert(SUBSCRIPTIONS)
_GIVEN = recordset(Module)
_ADD_MODULES = insert(SUBSCRIPTION_MODULES).from_select(
    ["tenant_id", *names_of(Module)], select(bindparam("tenant", type_=Text), *(_GIVEN.c[name] for name in names_of(Module)))
)
_REMOVE = delete(SUBSCRIPTIONS).where(_OWN)
_REMOVE_MODULES = delete(SUBSCRIPTION_MODULES).where(_OWN_MODULES)
_SET_STATUS = update(SUBSCRIPTIONS).where(_OWN).values(status=bindparam("new_status"), reason=bindparam("new_reason"))
_END = bindparam("end", type_=Date)
_SET_PERIOD = (
    update(SUBSCRIPTIONS)
    .where(_OWN)
    .values(period_start=bindparam("start"), period_end=_END, billed_until=func.greatest(SUBSCRIPTIONS.c.billed_until, _END))
)
_MODULES = select(*columns_of(Module, SUBSCRIPTION_MODULES)).where(_OWN_MODULES).order_by(SUBSCRIPTION_MODULES.c.module)
_SET_OPENED = update(SUBSCRIPTION_MODULES).where(_OWN_MODULES, SUBSCRIPTION_MODULES.c.module == bindparam("of_module")).values(opened=True)
_SET_CONTRACT = (
    update(SUBSCRIPTIONS)
    .where(_OWN)
    .values(payload=bindparam("new_payload"), changes=SUBSCRIPTIONS.c.changes + 1)
    .returning(SUBSCRIPTIONS.c.changes)
)
_SET_PRICE_LIST = update(SUBSCRIPTIONS).where(_OWN).values(payload=bindparam("new_payload"))
_MODULE = SUBSCRIPTION_MODULES.c.module == bindparam("of_module")
_SET_POLICIES = update(SUBSCRIPTION_MODULES).where(_OWN_MODULES, _MODULE).values(policies=bindparam("new_policies"))
_SET_LIMITED_BY = update(SUBSCRIPTION_MODULES).where(_OWN_MODULES, _MODULE).values(limited_by=bindparam("by"))
_SET_SENT_CAP = update(SUBSCRIPTION_MODULES).where(_OWN_MODULES, _MODULE).values(sent_cap=bindparam("cap"))
_REMOVE_MODULE = delete(SUBSCRIPTION_MODULES).where(_OWN_MODULES, _MODULE)
_ANY_CLOSED = select(exists().where(_OWN_MODULES, SUBSCRIPTION_MODULES.c.opened.is_(False)))


@dataclass(frozen=True, slots=True)
class OpenDay:
    tenant_id: str
    time_zone: str
    open_day: date
    reason: str  # why it could not be charged at the last look


_SET_REASON = update(SUBSCRIPTIONS).where(_OWN).values(reason=bindparam("new_reason"))
_SET_OPEN_DAY = update(SUBSCRIPTIONS).where(_OWN).values(open_day=bindparam("day", type_=Date))
# Of a tenant with a test clock, the answers of seats end the days.
_OPEN_DAYS = (
    select(*columns_of(OpenDay, SUBSCRIPTIONS, TENANTS))
    .join(TENANTS, TENANTS.c.tenant_id == SUBSCRIPTIONS.c.tenant_id)
    .where(SUBSCRIPTIONS.c.open_day.is_not(None), TENANTS.c.clock == "real")
    .order_by(SUBSCRIPTIONS.c.open_day, SUBSCRIPTIONS.c.tenant_id)
)


async def open_days(connection: AsyncConnection) -> list[OpenDay]:
    """Return the open days of all tenants with a real clock, the oldest first."""
    return await many(connection, _OPEN_DAYS, OpenDay)


async def set_open_day(connection: AsyncConnection, tenant_id: str, day: date | None) -> None:
    await connection.execute(_SET_OPEN_DAY, {"tenant": tenant_id, "day": day})


async def set_reason(connection: AsyncConnection, tenant_id: str, reason: str) -> None:
    """Save why something of the subscription cannot be done, for the operator; empty: it could be done."""
    await connection.execute(_SET_REASON, {"tenant": tenant_id, "new_reason": reason})


async def find(connection: AsyncConnection, tenant_id: str) -> Subscription | None:
    return await one(connection, _FIND, Subscription, tenant=tenant_id)


async def need(connection: AsyncConnection, tenant_id: str) -> Subscription:
    """Return the subscription. Raises NotFound."""
    found = await find(connection, tenant_id)
    if found is None:
        raise NotFound("subscription of this tenant", "Check the tenant in the path, or let an operator start a subscription.")
    return found


async def contract(connection: AsyncConnection, tenant_id: str) -> SubscriptionStarted | None:
    found = await find(connection, tenant_id)
    return found.contract if found else None


async def add(connection: AsyncConnection, tenant_id: str, event: SubscriptionStarted, modules: Sequence[Module]) -> None:
    row = Subscription(
        subscription=event.subscription,
        status="pending",
        reason="",
        payload=event.model_dump_json(),
        period_start=event.period_start,
        period_end=event.period_end,
        billed_until=event.billed_until,
    )
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))
    await add_modules(connection, tenant_id, modules)


async def add_modules(connection: AsyncConnection, tenant_id: str, modules: Sequence[Module]) -> None:
    await connection.execute(_ADD_MODULES, {"tenant": tenant_id, "rows": orjson.dumps(modules).decode()})


async def remove(connection: AsyncConnection, tenant_id: str) -> None:
    """Remove a subscription that has ended, because another one starts."""
    await connection.execute(_REMOVE_MODULES, {"tenant": tenant_id})
    await connection.execute(_REMOVE, {"tenant": tenant_id})


async def remove_module(connection: AsyncConnection, tenant_id: str, module: str) -> None:
    await connection.execute(_REMOVE_MODULE, {"tenant": tenant_id, "of_module": module})


async def set_policies(connection: AsyncConnection, tenant_id: str, module: str, policies: Policies) -> None:
    """Save the policies of a pool as seats has them now."""
    await connection.execute(_SET_POLICIES, {"tenant": tenant_id, "of_module": module, "new_policies": policies.model_dump_json()})


async def set_contract(connection: AsyncConnection, tenant_id: str, contract: SubscriptionStarted) -> int:
    """Save the terms that hold from now on; return the number of the change: 1, 2, …"""
    values = {"tenant": tenant_id, "new_payload": contract.model_dump_json()}
    return int((await connection.execute(_SET_CONTRACT, values)).scalar_one())


async def set_price_list(connection: AsyncConnection, tenant_id: str, contract: SubscriptionStarted) -> None:
    """Save the price list that the subscription has from now on. `terms_applied` says so, and no number is drawn for it."""
    await connection.execute(_SET_PRICE_LIST, {"tenant": tenant_id, "new_payload": contract.model_dump_json()})


async def set_status(connection: AsyncConnection, tenant_id: str, status: str, reason: str = "") -> None:
    await connection.execute(_SET_STATUS, {"tenant": tenant_id, "new_status": status, "new_reason": reason})


async def set_period(connection: AsyncConnection, tenant_id: str, start: date, end: date) -> None:
    await connection.execute(_SET_PERIOD, {"tenant": tenant_id, "start": start, "end": end})


async def modules(connection: AsyncConnection, tenant_id: str) -> list[Module]:
    return await many(connection, _MODULES, Module, tenant=tenant_id)


async def set_opened(connection: AsyncConnection, tenant_id: str, module: str) -> bool:
    """Mark the module's pool as open; return whether every pool of the subscription is open now."""
    await connection.execute(_SET_OPENED, {"tenant": tenant_id, "of_module": module})
    return not (await connection.execute(_ANY_CLOSED, {"tenant": tenant_id})).scalar_one()


async def set_sent_cap(connection: AsyncConnection, tenant_id: str, module: str, cap: int) -> None:
    await connection.execute(_SET_SENT_CAP, {"tenant": tenant_id, "of_module": module, "cap": cap})


async def set_limited_by(connection: AsyncConnection, tenant_id: str, module: str, by: str) -> None:
    await connection.execute(_SET_LIMITED_BY, {"tenant": tenant_id, "of_module": module, "by": by})
