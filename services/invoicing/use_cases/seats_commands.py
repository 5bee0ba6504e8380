"""The commands that invoicing sends to seats."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog

from services.invoicing import store
from services.invoicing.domain.calendar import Period, Term, period_at, start_of_day
from services.invoicing.use_cases.opening_policies import opening_policies
from services.invoicing.use_cases.publishing import SOURCE
from shared.database import UnitOfWork
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import SubscriptionStarted
from shared.schemas.seats_v1 import AddLicences, LicenceCount, OpenPool, SchedulePeriod

OPEN_POOL, SCHEDULE_PERIOD, ADD_LICENCES = "open_pool", "schedule_period", "add_licences"
KINDS: Final = (OPEN_POOL, SCHEDULE_PERIOD, ADD_LICENCES)

log = structlog.get_logger(__name__)


class MakeCommand(Protocol):
    def __call__(self, *, number: int) -> Payload: ...


async def send(
    uow: UnitOfWork,
    tenant: str,
    make: MakeCommand,
    *,
    kind: str,
    reference: str,
    time: datetime,
    cause: Envelope | None = None,
    above: int = 0,
) -> str:
    """Send a command to seats with the next number, which is higher than `above`. Return its id."""
    number = await store.tenants.draw_number(uow.connection, tenant, above=above)
    envelope = uow.publish(make(number=number), source=SOURCE, tenant=tenant, time=time, subject=reference, cause=cause)
    await store.commands.add(uow.connection, tenant, envelope.id, kind, reference)
    return envelope.id


async def open_pools(
    uow: UnitOfWork, tenant: str, at: datetime, *, only: str | None = None, above: int = 0, cause: Envelope | None = None
) -> None:
    """Ask seats to open the subscription's pools that are not open yet, or `only` one of them."""
    modules = [
        each for each in await store.subscriptions.modules(uow.connection, tenant) if not each.opened and only in (None, each.module)
    ]
    policies = await opening_policies(uow, tenant, [each.module for each in modules], at)
    for module in modules:
        own = policies[module.module]
        make = partial(OpenPool, module=module.module, base=module.base, licences=module.licences, policies=own)
        await send(uow, tenant, make, kind=OPEN_POOL, reference=module.module, time=at, cause=cause, above=above)


async def add_licences(uow: UnitOfWork, tenant: str, order_id: str, *, above: int = 0, cause: Envelope | None = None) -> None:
    """Send an approved order to seats."""
    order = await store.orders.find(uow.connection, tenant, order_id)
    assert order is not None
    found = await store.quotes.find(uow.connection, tenant, order.quote)
    assert found is not None
    quote, expects = found.issued, found.expects
    items: Sequence[LicenceCount] = [LicenceCount(module=line.module, quantity=line.quantity) for line in quote.lines]
    await send(
        uow,
        tenant,
        lambda number: AddLicences(number=number, order=order_id, items=tuple(items), expected=expects, approved_at=order.approved_at),
        kind=ADD_LICENCES,
        reference=order_id,
        time=order.approved_at,
        cause=cause,
        above=above,
    )


async def schedule_period(
    uow: UnitOfWork,
    tenant: str,
    contract: SubscriptionStarted,
    period: Period,
    at: datetime,
    *,
    above: int = 0,
    cause: Envelope | None = None,
) -> None:
    """Send seats the period after this one ahead of time, so that it begins in time order with the other due items of seats."""
    following, starts_at = period.end.isoformat(), start_of_day(period.end, contract.time_zone)
    make = partial(SchedulePeriod, period=following, starts_at=starts_at)
    await send(uow, tenant, make, kind=SCHEDULE_PERIOD, reference=following, time=at, cause=cause, above=above)


async def send_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int = 0, cause: Envelope | None = None
) -> None:
    """Send one of our commands again, unchanged but for its number."""
    log.warning("command_sent_again", kind=kind, reference=reference, above=above)
    match kind:
        case "add_licences":
            await add_licences(uow, tenant_id, reference, above=above, cause=cause)
        case "open_pool":
            await open_pools(uow, tenant_id, at, only=reference, above=above, cause=cause)
        case "schedule_period":
            contract = await store.subscriptions.contract(uow.connection, tenant_id)
            assert contract is not None
            period = Period(contract.period_start, contract.period_end)
            while period.end.isoformat() < reference:
                period = period_at(contract.anchored_on, Term(contract.term), period.end)
            await schedule_period(uow, tenant_id, contract, period, at, above=above, cause=cause)
