"""The bodies of responses about a subscription."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import orjson
from pydantic import BaseModel, Field

from services.invoicing.domain.prices import NextStart, lowered, of_one_more, prices_of
from services.invoicing.domain.quote import Pool
from services.invoicing.store.subscriptions import Module, Subscription
from shared.schemas.invoicing_v1 import (
    PlanDefined,
    SubscriptionStarted,
)


class PeriodView(BaseModel):
    start: date
    end: date = Field(description="The first day after the period.")


class SubscribedModuleView(BaseModel):
    module: str
    base: bool
    licences: int = Field(description="The licences that were bought, as seats last reported; before the pool is open, as ordered.")
    next_period: int = Field(description="The licences in the next period.")
    opened: bool
    unit_price_minor: int | None = Field(
        description="The price of one more licence for a whole period, with the price list that the subscription has."
    )
    policies: dict[str, Any]


class ModulePriceView(BaseModel):
    module: str
    unit_price_minor: int | None = Field(description="The price of one more licence for a whole period; null: the list has none.")


class ComingPricesView(BaseModel):
    """Other prices of a running subscription, which were announced to it."""

    from_day: date = Field(description="The first day of the period from which they apply.")
    version: int = Field(description="The version of the plan's price list.")
    prices: list[ModulePriceView] = Field(description="Those of the subscription's modules, with the licences of the next period.")


class SubscriptionView(BaseModel):
    """The subscription of a tenant, its period, and its modules."""

    subscription: str
    status: str = Field(description="pending (seats has not opened all pools yet), active, failed or ended")
    reason: str
    plan: str
    term: str
    currency: str
    period: PeriodView
    billed_until: date
    trial_until: date | None = Field(description="The first charged day of a subscription that began with a trial.")
    next_invoice_on: date
    ends_on: date | None = Field(description="The first day without the subscription; null if nobody has ended it.")
    charge_when: str
    credit_when: str
    zero_invoices: bool
    price_notice: str = Field(description="The days between the announcement of another price list and the renewal that takes it.")
    next_period_net_minor: int | None = Field(
        description="The price of the next period, with the price list and the discounts that will hold then. null: the list lacks one of "
        "the modules."
    )
    scheduled_plan_change: str | None = Field(
        description="The change of plan or term that takes effect with the next period. The numbers of the next period count it."
    )
    coming_prices: list[ComingPricesView] = Field(description="Price lists that were announced and will apply, if the plan stays the same.")
    modules: list[SubscribedModuleView]


def subscription_view(
    found: Subscription,
    contract: SubscriptionStarted,
    modules: Sequence[Module],
    pools: Mapping[str, Pool],
    plan: PlanDefined,
    next_start: NextStart,
    coming: Sequence[tuple[date, PlanDefined]],
    ends_on: date | None,
) -> SubscriptionView:
    """Return the subscription as REST shows it."""
    prices, following = prices_of(plan, contract.term), next_start.following
    known = {each.module: pools.get(each.module, Pool(0, 0) if each.opened else Pool(each.licences, each.licences)) for each in modules}
    numbers = {module: pool.next_period for module, pool in known.items()}
    fewer = {} if following is None else lowered(following.plan, following.term, numbers)
    shown = []
    for module in modules:
        pool = known[module.module]
        shown.append(
            SubscribedModuleView(
                module=module.module,
                base=module.base,
                licences=pool.licences,
                next_period=fewer.get(module.module, pool.next_period),
                opened=module.opened,
                unit_price_minor=of_one_more(prices.get(module.module), pool.licences),
                policies={name: value for name, value in orjson.loads(module.policies).items() if value is not None},
            )
        )
    return SubscriptionView(
        subscription=found.subscription,
        status=found.status,
        reason=found.reason,
        plan=contract.plan,
        term=contract.term,
        currency=contract.currency,
        period=PeriodView(start=found.period_start, end=found.period_end),
        billed_until=found.billed_until,
        trial_until=contract.trial_until,
        next_invoice_on=found.period_end,
        ends_on=ends_on,
        charge_when=contract.charge_when,
        credit_when=contract.credit_when,
        zero_invoices=contract.zero_invoices,
        price_notice=contract.price_notice,
        next_period_net_minor=next_start.net_minor(numbers),
        scheduled_plan_change=following.change if following is not None else None,
        coming_prices=[_coming(day, listed, contract.term, numbers) for day, listed in coming],
        modules=shown,
    )


def _coming(day: date, listed: PlanDefined, term: str, numbers: Mapping[str, int]) -> ComingPricesView:
    prices = prices_of(listed, term)
    shown = [ModulePriceView(module=module, unit_price_minor=of_one_more(prices.get(module), number)) for module, number in numbers.items()]
    return ComingPricesView(from_day=day, version=listed.version, prices=shown)


class ResumedView(BaseModel):
    sent: list[str] = Field(
        description="The commands that were sent again. It is empty if seats has done everything, or has not answered yet."
    )
