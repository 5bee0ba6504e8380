"""Prices an offer, or says why there is none (T7 T8 B1 B3 B4 B5 B7 B9 B2).

Nothing changes before a quote is approved; one that no longer fits is refused, never silently repriced.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.invoicing.domain.account import NOW, Account, due_when
from services.invoicing.domain.calendar import Period, add_days, local_day, start_of_day
from services.invoicing.domain.discounts import WHOLE, left_of_price, percentages
from services.invoicing.domain.ledger import Change, ModuleLedger, Rate, by_number
from services.invoicing.domain.money import Tax, round_half_up, tax_lines
from services.invoicing.domain.price_lists import RenewalLists
from services.invoicing.domain.prices import FollowingPlan, NextStart, limits_of, prices_of
from services.invoicing.domain.tax import tax_on
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import (
    Amounts,
    BillingDetailsChanged,
    Discount,
    NextPeriod,
    PlanDefined,
    QuoteIssued,
    QuoteLine,
    QuoteStep,
    SubscriptionStarted,
)
from shared.schemas.policies import LICENCES_MAX
from shared.schemas.seats_v1 import Expected, ExpectedPool, Policies


@dataclass(frozen=True, slots=True)
class Refusal:
    """`type` is the stable name of the refusal, `extra` what the asker needs to go on."""

    type: str
    detail: str
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """Licences wanted of a module: so many more (B4), or so many in all (B3). Exactly one of the two is given."""

    module: str
    add: int | None = None
    total: int | None = None
    unit_price_minor: int | None = None  # that an estimate fixes; None: that of the price list


@dataclass(frozen=True, slots=True)
class NewModule:
    """A module that the subscription is to have as well. It can be used only together with those that it requires."""

    module: str
    licences: int
    policies: Policies
    requires: Sequence[str] = ()
    unit_price_minor: int | None = None  # that an estimate fixes


@dataclass(frozen=True, slots=True)
class Pool:
    """As seats last reported it."""

    licences: int
    next_period: int
    former_next_period: int | None = None  # only while the pool ends with the subscription: its number before

    @property
    def closes_alone(self) -> bool:
        """Return whether the pool closes at the end of the period, while the subscription goes on."""
        return not self.next_period and not self.former_next_period


@dataclass(frozen=True, slots=True)
class Situation:
    """What a price depends on, as it is now."""

    contract: SubscriptionStarted
    plan: PlanDefined  # in force
    plans: Sequence[PlanDefined]  # all in force, to name those that would do
    details: BillingDetailsChanged
    account: Account
    pools: Mapping[str, Pool]
    period: str | None  # as seats names it
    at: datetime  # the tenant's time
    ends_on: date | None = None  # the subscription is to end
    following: FollowingPlan | None = None  # another plan or term begins with the next period
    next_lists: RenewalLists | None = None  # for the price list of the next period, if the plan stays the same; None: the present one
    offered: tuple[Discount, ...] = ()  # discounts that an estimate offers or fixes, beside those that the subscription has
    undecided: tuple[QuoteIssued, ...] = ()  # approved quotes that seats has not decided yet
    requires: Mapping[str, Sequence[str]] = field(default_factory=dict)  # for each module those without which it cannot be used

    @property
    def plan_of_next_period(self) -> PlanDefined:
        """Return the price list of the next period, if the plan stays the same."""
        period = self.account.period
        return self.next_lists.at(period.end, self.pools) if self.next_lists is not None and period is not None else self.plan

    @property
    def discounts(self) -> tuple[Discount, ...]:
        fixed = {each.discount for each in self.offered}
        return (*(each for each in self.account.discounts if each.discount not in fixed), *self.offered)

    def credits_minor(self, tax: Tax) -> int:
        """Return the credits of a tax that a quote can count on: those that no approved quote counts on."""
        promised = sum(quote.credit_net_minor for quote in self.undecided if _has_tax(quote, tax))
        return max(0, self.account.credits_minor(tax) - promised)

    @property
    def next_start(self) -> NextStart:
        """Return what the price of the next period depends on."""
        period = self.account.period
        assert period is not None
        return NextStart(self.plan_of_next_period, self.contract.term, period.end, self.discounts, self.following)


@dataclass(frozen=True, slots=True)
class TodaysPrice:
    """The price of an estimate that is approved today, and how much less it is each day later (None: it is the period's last day).
    `before` and `after`: the price of the next period without and with all of it; None: there is none."""

    quotes: Sequence[QuoteIssued]
    less_each_day_minor: int | None
    before: Amounts | None
    after: Amounts | None
    credit_net_minor: int  # of a reduction at once


def expected(situation: Situation, modules: Iterable[str]) -> Expected:
    """What the order takes for granted; seats refuses it when it no longer holds."""
    pools = situation.pools
    return Expected(
        period=situation.period,
        pools=tuple(
            ExpectedPool(module=module, licences=pools[module].licences, next_period=pools[module].next_period)
            for module in sorted(modules)
            if module in pools  # a module that the order adds has none
        ),
    )


def price_new_module(
    situation: Situation, new: NewModule, subscribed: Collection[str], *, quote: str, actor: Actor, valid: timedelta
) -> QuoteIssued | Refusal:
    """Return the quote for a module that the subscription gets as well, or why there is none. It is priced like a purchase (E10)."""
    refusal = _no_new_module(situation, new, subscribed)
    if refusal is not None:
        return refusal
    wider = replace(situation, pools={**situation.pools, new.module: Pool(0, 0)})
    found = price(wider, [Item(new.module, add=new.licences, unit_price_minor=new.unit_price_minor)], quote=quote, actor=actor, valid=valid)
    return found if isinstance(found, Refusal) else found.model_copy(update={"new_module": new.module, "policies": new.policies})


def _no_new_module(situation: Situation, new: NewModule, subscribed: Collection[str]) -> Refusal | None:
    if new.module in situation.pools:
        return Refusal(
            "module-subscribed",
            f"The subscription already includes {new.module}. To have more licences of it, request a quote (POST …/quotes).",
            {"module": new.module, "licences": situation.pools[new.module].licences},
        )
    if new.module in subscribed:
        detail = f"An order for {new.module} was approved, and seats has not opened its pool yet. Wait for the answer to that order."
        return Refusal("module-pending", detail, {"module": new.module})
    lacking = sorted(name for name in new.requires if name not in situation.pools or situation.pools[name].closes_alone)
    if lacking:
        return Refusal(
            "module-required",
            f"{new.module} can be used only together with {', '.join(lacking)}, which the subscription does not include or which closes at "
            "the end of the period. Add the required modules first.",
            {"module": new.module, "requires": lacking},
        )
    return None


def price(situation: Situation, items: Sequence[Item], *, quote: str, actor: Actor, valid: timedelta) -> QuoteIssued | Refusal:
    """Return the quote for these items, or why there is none."""
    contract, plan = situation.contract, situation.plan
    day = local_day(situation.at, contract.time_zone)
    refusal = _refusal(situation, items)
    if refusal is not None:
        return refusal
    period = situation.account.period
    assert period is not None
    lines = []
    for item in sorted(items, key=lambda item: item.module):
        line = _line(situation, period, item)
        if isinstance(line, Refusal):
            return line
        lines.append(line)
    kept = tuple(line.module for line in lines if _is_kept(situation, situation.pools[line.module]))
    refusal = _lacks_required(situation, kept)
    if refusal is not None:
        return refusal
    details = situation.details
    tax, charge = tax_on(details, day), due_when(contract.charge_when, day, period.end)
    price_minor = sum(line.net_minor for line in lines)
    # Nobody pays while the vendor owes: what is charged now uses up the credits that wait.
    credit_minor = max(0, min(price_minor, situation.credits_minor(tax))) if charge == NOW else 0
    net_minor = price_minor - credit_minor
    taxes = tax_lines([(tax, net_minor)])
    tax_minor = sum(each.tax_minor for each in taxes)
    # Priced for one local day: at its end the number of remaining days changes, and with it the amount.
    expires_at = min(situation.at + valid, start_of_day(add_days(day, 1), contract.time_zone))
    return QuoteIssued(
        at=situation.at,
        actor=actor,
        quote=quote,
        subscription=contract.subscription,
        currency=contract.currency,
        lines=tuple(lines),
        taxes=taxes,
        net_minor=net_minor,
        tax_minor=tax_minor,
        gross_minor=net_minor + tax_minor,
        charge=charge,
        priced_for=day,
        plan=plan.plan,
        plan_version=plan.version,
        expires_at=expires_at,
        billing_details=details.version,
        credit_net_minor=credit_minor,
        next_period=_next_period(situation, lines, tax_on(details, period.end)),
        ends_on=situation.ends_on,
        cancels_plan_change=_cancelled_plan(situation, lines),
        cancels_closing=kept,
        discounts=_of_lines(situation, day, lines),
    )


def _of_lines(situation: Situation, day: date, lines: Sequence[QuoteLine]) -> tuple[Discount, ...]:
    """Return the percentages that these lines are priced with."""
    modules = {None, *(line.module for line in lines)}
    return tuple(each for each in percentages(situation.discounts, day) if each.module in modules)


def _is_kept(situation: Situation, pool: Pool) -> bool:
    """Return whether a purchase keeps a pool that was to close (T21). A pool without licences is a new one."""
    return situation.ends_on is None and pool.licences > 0 and pool.next_period == 0


def _lacks_required(situation: Situation, kept: Sequence[str]) -> Refusal | None:
    """Return why modules that were to close cannot be kept: one that they require closes still."""
    for module in kept:
        required = [name for name in situation.requires.get(module, ()) if name in situation.pools and name not in kept]
        lacking = sorted(name for name in required if situation.pools[name].closes_alone)
        if lacking:
            names = ", ".join(lacking)
            return Refusal(
                "module-required",
                f"{module} and {names} close at the end of the period. A purchase keeps {module}, which can be used only together with "
                f"{names}. Buy licences of {names} in the same quote, or take that closing back first (POST …/reductions).",
                {"module": module, "requires": lacking},
            )
    return None


def _next_period(situation: Situation, lines: Sequence[QuoteLine], tax: Tax) -> NextPeriod | None:
    """Return the price of the whole subscription before and after (B5, B9, T21). None: the price list lacks one of its modules."""
    following = situation.next_start
    kept = following if _cancelled_plan(situation, lines) is None else replace(following, following=None)
    numbers = {module: pool.next_period for module, pool in situation.pools.items()}
    # A subscription that ends goes on ending, so the purchase changes nothing of the next period.
    bought = {line.module: line.quantity for line in lines if situation.ends_on is None}
    present = {module: situation.pools[module].licences for module in bought}
    totals = {module: present[module] + quantity for module, quantity in bought.items()}
    before, brought_back, after = following.net_minor(numbers), kept.net_minor(numbers | present), kept.net_minor(numbers | totals)
    if before is None or brought_back is None or after is None:
        return None
    return NextPeriod(
        before=amounts(before, tax),
        after=amounts(after, tax),
        added_net_minor=after - brought_back,
        cancelled_reduction_net_minor=brought_back - before,
    )


def whole_price(situation: Situation, lines: Sequence[QuoteLine], reduced: Mapping[str, int]) -> tuple[Amounts | None, Amounts | None]:
    """Return the price of the next period as it is now, and with what an estimate adds, with its discounts and its reductions (totals)."""
    if situation.ends_on is not None:
        return None, None
    own = [line for line in lines if line.module in situation.pools]
    start, tax = situation.next_start, tax_on(situation.details, situation.next_start.starts_on)
    kept = start if _cancelled_plan(situation, own) is None else replace(start, following=None)
    numbers = {module: pool.next_period for module, pool in situation.pools.items()}
    bought = {line.module: line.quantity + (situation.pools[line.module].licences if line in own else 0) for line in lines}
    lowered = {module: min(total, numbers[module]) for module, total in reduced.items()}
    before, after = replace(situation, offered=()).next_start.net_minor(numbers), kept.net_minor(numbers | bought | lowered)
    return None if before is None else amounts(before, tax), None if after is None else amounts(after, tax)


def _cancelled_plan(situation: Situation, lines: Sequence[QuoteLine]) -> str | None:
    """Return the scheduled change of plan that does not fit any more after the purchase."""
    following = situation.following
    if following is None or situation.ends_on is not None:
        return None
    present = {module: pool.licences for module, pool in situation.pools.items()}  # a module that the order adds has none
    fits = all(following.fits(line.module, present.get(line.module, 0) + line.quantity) for line in lines)
    return None if fits else following.change


def amounts(net_minor: int, tax: Tax) -> Amounts:
    tax_minor = round_half_up(net_minor * tax.rate)
    return Amounts(net_minor=net_minor, tax_minor=tax_minor, gross_minor=net_minor + tax_minor)


def _refusal(situation: Situation, items: Sequence[Item]) -> Refusal | None:
    found = not_priced_now(situation, [item.module for item in items])
    return found if found is not None else _upgrade(situation) if not situation.plan.allows_extra_licences else None


def not_priced_now(situation: Situation, modules: Sequence[str]) -> Refusal | None:
    """Return why no number of licences of these modules can be changed now; None if it can."""
    period = situation.account.period
    day = local_day(situation.at, situation.contract.time_zone)
    if period is None:
        return Refusal(
            "subscription-pending",
            "The subscription is not active yet: its modules are being opened. Try again when its status is `active`.",
        )
    if day not in period:
        return Refusal(
            "renewal-pending",
            f"The period from {period.start} to {period.end} has ended, and the next one has not started. Try again when it has started.",
            {"period_end": period.end.isoformat()},
        )
    repeated = sorted({module for module in modules if modules.count(module) > 1})
    if repeated:
        return Refusal("module-repeated", f"Name each module only once. These modules are repeated: {', '.join(repeated)}.")
    unknown = sorted(set(modules) - set(situation.pools))
    if unknown:
        return Refusal(
            "module-not-subscribed",
            f"The subscription does not include {', '.join(unknown)}. It includes {', '.join(sorted(situation.pools)) or 'none'}.",
            {"modules": unknown, "subscribed": sorted(situation.pools)},
        )
    return None


def _upgrade(situation: Situation) -> Refusal:
    """B2: the plan has to be upgraded first, to one of those named."""
    contract, modules = situation.contract, set(situation.pools)

    def would_do(plan: PlanDefined) -> bool:
        if plan.plan == contract.plan:
            return False  # its newest list waits for a renewal
        enough = all(pool.licences <= (limits_of(plan, module).maximum or pool.licences) for module, pool in situation.pools.items())
        sold = prices_of(plan, contract.term)
        return plan.allows_extra_licences and plan.currency == contract.currency and enough and modules <= sold.keys()

    fitting = [plan for plan in situation.plans if would_do(plan)]
    named = ", ".join(f"{plan.name} ({plan.plan})" for plan in fitting) or "none at present"
    return Refusal(
        "plan-without-extra-licences",
        f"The plan {situation.plan.name} does not allow extra licences. Upgrade the plan first, with PUT …/subscription/plan and one of "
        f"these `bodies`. Plans that allow them: {named}.",
        {
            "plan": situation.plan.plan,
            "plans": [plan.plan for plan in fitting],
            "instead": "PUT …/subscription/plan",
            "bodies": [{"plan": plan.plan, "takes_effect": NOW} for plan in fitting],
        },
    )


def _line(situation: Situation, period: Period, item: Item) -> QuoteLine | Refusal:
    pool, contract, plan = situation.pools[item.module], situation.contract, situation.plan
    assert (item.add is None) != (item.total is None)
    quantity = item.add if item.add is not None else (item.total or 0) - pool.licences
    if quantity < 0 and item.total is not None:
        return Refusal(
            "use-a-reduction",
            f"The subscription has {pool.licences} licences of {item.module}, so a total of {item.total} is a reduction. Order it with "
            "POST …/reductions and this `body`.",
            {"module": item.module, "licences": pool.licences, "body": {"items": [{"module": item.module, "total": item.total}]}},
        )
    if quantity == 0 and item.total is not None:
        return Refusal(
            "total-not-above-present",
            f"The subscription already has {pool.licences} licences of {item.module}, so a total of {item.total} would add none. "
            "Send a higher total, or what to `add`.",
            {"module": item.module, "licences": pool.licences, "total": item.total},
        )
    assert quantity > 0, "add is at least 1"
    if pool.licences + quantity > LICENCES_MAX:
        return Refusal(
            "too-many-licences",
            f"{item.module} would have {pool.licences + quantity} licences; at most {LICENCES_MAX} are allowed. Buy fewer.",
        )
    prices = prices_of(plan, contract.term)
    if item.module not in prices:
        return Refusal(
            "module-not-priced", f"The plan {plan.name} has no price for {item.module} with the {contract.term} term. Contact support."
        )
    limits, total = limits_of(plan, item.module), pool.licences + quantity
    if not limits.minimum <= total <= (limits.maximum or total):
        most = f"The plan {plan.name} allows"
        how = f" licences of {item.module}, and with this order there would be {total}. Order another number, or change the plan first."
        if limits.maximum is not None and total > limits.maximum:
            return Refusal("plan-maximum", f"{most} at most {limits.maximum}{how}", {"module": item.module, "maximum": limits.maximum})
        return Refusal("plan-minimum", f"{most} no fewer than {limits.minimum}{how}", {"module": item.module, "minimum": limits.minimum})
    price, day = prices[item.module], local_day(situation.at, contract.time_zone)
    # The unit price that an estimate fixes is the same for all licences that it adds.
    unit = price.amount_minor if item.unit_price_minor is None else item.unit_price_minor
    ledger = situation.account.ledgers.get(item.module) or ModuleLedger(period)
    tax, left = tax_on(situation.details, day), left_of_price(percentages(situation.discounts, day), item.module)
    listed = by_number(price) if item.unit_price_minor is None else None
    change = Change(day, quantity, Rate(unit, tax, left), price=listed, bought=True)
    cost = ledger.cost_minor(change)
    gross = ledger.cost_minor(replace(change, rate=Rate(unit, tax))) if left != WHOLE else cost
    steps = _steps(ledger, change) if change.price is not None else []
    return QuoteLine(
        module=item.module,
        quantity=quantity,
        unit_price_minor=unit if not steps else steps[0].unit_price_minor if len(steps) == 1 else 0,
        days=period.remaining(day),
        days_of_period=period.days,
        net_minor=cost,
        recurring_now_minor=price.total_minor(pool.licences),
        recurring_then_minor=price.total_minor(total),
        discount_minor=sum(step.discount_minor for step in steps) if steps else gross - cost,
        steps=tuple(steps),
    )


def _steps(ledger: ModuleLedger, change: Change) -> list[QuoteStep]:
    """Return the parts of a purchase by their price. Where all licences get another price, the former one is given back."""
    return [
        QuoteStep(
            quantity=part.quantity,
            unit_price_minor=part.rate.unit_price_minor,
            net_minor=part.net_minor,
            discount_minor=part.discount_minor,
        )
        for part in ledger.parts_of(change)
    ]


def approvable(situation: Situation, quote: QuoteIssued, expects: Expected) -> Refusal | None:
    """None: the quote still fits. Seats compares `expects` again when it decides; this is only the earlier answer."""
    how = "Request a new quote (POST …/quotes) with the same items."
    day = local_day(situation.at, situation.contract.time_zone)
    if situation.at >= quote.expires_at or day != quote.priced_for:
        return Refusal("quote-expired", f"The quote was made for {quote.priced_for} and has expired. {how}", {"now": day.isoformat()})
    if situation.contract.subscription != quote.subscription:
        return Refusal("quote-outdated", f"Another subscription has begun since the quote was made. {how}")
    if situation.plan.plan != quote.plan:  # a list of the same plan changes no price before a renewal
        return Refusal("price-list-changed", f"The plan has changed since the quote was made. {how}", {"plan": situation.plan.plan})
    tax = tax_on(situation.details, quote.priced_for)
    if not _has_tax(quote, tax):
        return Refusal("tax-changed", f"The tax of the billing details has changed since the quote was made. {how}")
    if _of_lines(situation, day, quote.lines) != quote.discounts:
        return Refusal("discounts-changed", f"The discounts have changed since the quote was made. {how}")
    now = expected(situation, [line.module for line in quote.lines])
    if now != expects:
        return Refusal(
            "quote-outdated",
            f"The licences or the period have changed since the quote was made. {how}",
            {"expected": expects.model_dump(mode="json"), "actual": now.model_dump(mode="json")},
        )
    if quote.credit_net_minor > (left := situation.credits_minor(tax)):
        detail = f"Something else has used up a credit that the quote counts on. {how}"
        return Refusal("quote-outdated", detail, {"credit_net_minor": quote.credit_net_minor, "left_net_minor": left})
    if _cancelled_plan(situation, quote.lines) != quote.cancels_plan_change:
        detail = f"A change of plan was scheduled or withdrawn since the quote was made. {how}"
        return Refusal("quote-outdated", detail, {"cancels_plan_change": _cancelled_plan(situation, quote.lines)})
    return None


def _has_tax(quote: QuoteIssued, tax: Tax) -> bool:
    return {(each.category, each.rate_percent) for each in quote.taxes} == {(tax.category, tax.rate_percent)}
