"""The handlers of actions that are due at an instant of a tenant's time, by their kind.

An action of `ASKING` asks another service first, outside of any transaction; what it returns does the rest, as a handler does.
A handler may set the next instant of its own action. On a test clock, each instant is a stop of the clock.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from services.invoicing.store.due_actions import DueAction
from services.invoicing.store.price_lists import KIND as PRICE_LIST
from services.invoicing.store.renewal_forecasts import KIND as RENEWAL_FORECAST
from services.invoicing.use_cases import endings, purchase_requests, purchase_settings, renewal_forecasts, trials, waiting_quotes
from services.invoicing.use_cases.balance import REMINDER
from services.invoicing.use_cases.budget import NEW_MONTH
from services.invoicing.use_cases.price_announcements import announce
from services.invoicing.use_cases.reminders import remind
from services.invoicing.use_cases.request_states import EXPIRE
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork

DueHandler = Callable[[Wiring, UnitOfWork, DueAction], Awaitable[None]]


async def _remind_of_ending(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    await endings.remind(uow, action.tenant_id, clock=wiring.clock)


async def _reissue_quote(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    await waiting_quotes.reissue(uow, action.tenant_id, action.reference, clock=wiring.clock)


async def _remind_of_trial(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    await trials.remind(uow, action.tenant_id, action.reference, clock=wiring.clock)


async def _begin_month(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    await purchase_settings.begin_month(uow, action.tenant_id, clock=wiring.clock)


async def _expire_estimate(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    await purchase_requests.expire(uow, action.tenant_id, action.reference, clock=wiring.clock)


HANDLERS: Final[Mapping[str, DueHandler]] = {
    NEW_MONTH: _begin_month,
    EXPIRE: _expire_estimate,
    waiting_quotes.REISSUE: _reissue_quote,
    endings.REMINDER: _remind_of_ending,
    trials.REMINDER: _remind_of_trial,
    REMINDER: remind,
    PRICE_LIST: announce,
}


async def _forecast(wiring: Wiring, action: DueAction) -> DueHandler:
    found = await renewal_forecasts.ask(wiring.database, wiring.seats, action.tenant_id)

    async def tell(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
        await renewal_forecasts.tell(uow, action, found, wiring.clock)

    return tell


ASKING: Final[Mapping[str, Callable[[Wiring, DueAction], Awaitable[DueHandler]]]] = {RENEWAL_FORECAST: _forecast}
