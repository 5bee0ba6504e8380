"""What a tenant's account does: billing details, the subscription, quotes and their approval. One transaction each.

Whatever writes takes the tenant's row first: of two that start a subscription, approve a quote or draw a number at once, the second sees
what the first did. An order's outcome is for seats to say; here it is only sent.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial

import structlog

from services.invoicing import catalogue, store
from services.invoicing.accounting import command, read_account, say, say_fact
from services.invoicing.domain.calendar import Period, Term, local_day, period_at, start_of_day
from services.invoicing.domain.money import Tax
from services.invoicing.domain.quote import Item, Refusal, Situation, approvable, expected, price
from services.invoicing.domain.tax import tax_in_force, wrong_tax
from services.invoicing.inputs import BillingDetailsBody, QuoteBody, SubscriptionBody
from services.invoicing.settings import Settings
from services.invoicing.store import Tenant
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas import seats_v1
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import (
    BillingDetailsChanged,
    PlanDefined,
    QuoteApproved,
    QuoteIssued,
    SubscriptionModule,
    SubscriptionStarted,
)
from shared.schemas.seats_v1 import AddLicences, LicenceCount, OpenPool, Policies, SchedulePeriod

log = structlog.get_logger(__name__)


def time_of(tenant: Tenant, clock: Clock) -> datetime:
    """The tenant's: on a test clock as seats settled it last."""
    return tenant.test_time if tenant.clock == seats_v1.Clock.TEST and tenant.test_time is not None else clock.now()


def refuse(refusal: Refusal) -> Conflict:
    return Conflict(refusal.type, refusal.detail, **refusal.extra)


class Ordering:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock

    async def _writable(self, uow: UnitOfWork, tenant_id: str) -> tuple[Tenant, datetime]:
        """The tenant's row, locked, and its time. Raises NotFound, Conflict("clock-advancing")."""
        found = await store.tenant(uow.connection, tenant_id, lock=True)
        if found is None or found.time_zone is None:
            raise NotFound("tenant")
        if found.advancing_to is not None:
            raise Conflict(
                "clock-advancing", f"The test clock is being advanced to {found.advancing_to.isoformat()}; try again when it is ready."
            )
        return found, time_of(found, self._clock)

    # -------------------------------------------------------------------------------------------------- billing details

    async def change_billing_details(self, uow: UnitOfWork, tenant_id: str, body: BillingDetailsBody, actor: Actor) -> None:
        """A new version; the same again is none. Names and addresses stay in the database, the event has only the tax. Raises Invalid."""
        _, at = await self._writable(uow, tenant_id)
        before = await store.details(uow.connection, tenant_id)
        taxed_before = Tax(before["tax_category"], before["tax_rate_percent"]) if before else None
        tax = tax_in_force(body.tax_category, body.tax_rate_percent, taxed_before, self._settings.seller_tax_rate_percent)
        wrong = wrong_tax(tax, body.vat_id)
        if wrong is not None:
            raise Invalid(f"body.{wrong.field}", wrong.value, wrong.expected)
        fields = body.model_dump() | {"tax_category": tax.category, "tax_rate_percent": tax.rate_percent}
        if before is not None and all(before[name] == value for name, value in fields.items()):
            return
        changed = [name for name, value in fields.items() if before is None or before[name] != value]
        open_fields = ("country", "tax_category", "tax_rate_percent")
        event = BillingDetailsChanged(
            at=at,
            actor=actor,
            version=ids.new_id(),
            tax_category=tax.category,
            tax_rate_percent=tax.rate_percent,
            changes=tuple(
                Change(field=name, old=before[name] if before else None, new=fields[name]) if name in open_fields else Change(field=name)
                for name in changed
            ),
        )
        await store.add_details(uow.connection, tenant_id, event, fields)
        await say_fact(uow, tenant_id, event, subject=event.version)

    # ----------------------------------------------------------------------------------------------------- subscription

    async def start_subscription(self, uow: UnitOfWork, tenant_id: str, body: SubscriptionBody, actor: Actor) -> None:
        """Pending until seats has opened every pool; before seats knows the tenant nothing is sent to it. Raises Conflict, Invalid."""
        tenant, at = await self._writable(uow, tenant_id)
        assert tenant.time_zone is not None
        if await store.subscription(uow.connection, tenant_id) is not None:
            raise Conflict("subscription-exists", "The tenant has a subscription already.")
        details = await store.details(uow.connection, tenant_id)
        if details is None:
            raise Conflict("billing-details-missing", f"Give the billing details first: PUT /v1/tenants/{tenant_id}/billing-details.")
        plan = await catalogue.plan(uow.connection, body.plan)
        if plan is None:
            raise Invalid(
                "body.plan", body.plan, f"a plan of the catalogue: {', '.join(p.plan for p in await catalogue.plans(uow.connection))}"
            )
        known = await catalogue.modules(uow.connection)
        _check_modules(body, plan, known)
        period = _first_period(body, local_day(at, tenant.time_zone))
        event = SubscriptionStarted(
            at=at,
            actor=actor,
            subscription=ids.new_id(),
            plan=plan.plan,
            plan_version=plan.version,
            term=body.term,
            currency=plan.currency,
            period_start=period.start,
            period_end=period.end,
            billed_until=body.billed_until or period.start,
            charge_when=body.charge_when,
            billing_details=details["version"],
            modules=tuple(
                SubscriptionModule(module=module.module, licences=module.licences)
                for module in sorted(body.modules, key=lambda module: module.module)
            ),
            time_zone=tenant.time_zone,
            payment_days=self._settings.payment_days,
            test=tenant.clock == seats_v1.Clock.TEST,
            changes=tuple(Change(field=f"{module.module}.licences", old=0, new=module.licences) for module in body.modules),
        )
        rows = [
            {
                "module": module.module,
                "base": bool(known[module.module]["base"]),
                "licences": module.licences,
                "policies": module.policies.model_dump_json(),
            }
            for module in body.modules
        ]
        await store.add_subscription(uow.connection, tenant_id, event, rows)
        await say_fact(uow, tenant_id, event, subject=event.subscription)
        if tenant.opened:
            await open_pools(uow, tenant_id, at)

    async def resume(self, uow: UnitOfWork, tenant_id: str) -> list[str]:
        """Sends what seats did not do for the subscription once more, with a new number; returns what. Never by itself: the same command in
        the same situation has the same answer, so somebody has to mend the cause first. For a refused order there is a new quote."""
        _, at = await self._writable(uow, tenant_id)
        found = await store.commands_not_done(uow.connection, tenant_id)
        for kind, reference in found:
            if kind == "open_pool":
                await store.set_subscription(uow.connection, tenant_id, "pending")
            await send_again(uow, tenant_id, kind, reference, at)
        return [f"{kind} {reference}" for kind, reference in found]

    # ----------------------------------------------------------------------------------------------------------- quotes

    async def _situation(self, uow: UnitOfWork, tenant: Tenant, at: datetime) -> Situation:
        c = uow.connection
        contract, details = await store.contract(c, tenant.tenant), await store.details(c, tenant.tenant)
        if contract is None or details is None:
            raise Conflict("no-subscription", "The tenant has no subscription.")
        plans = await catalogue.plans(c)
        return Situation(
            contract=contract,
            plan=next(plan for plan in plans if plan.plan == contract.plan),
            plans=plans,
            details=BillingDetailsChanged(
                at=details["changed_at"],
                actor=Actor(kind="system", id="invoicing"),
                version=details["version"],
                tax_category=details["tax_category"],
                tax_rate_percent=details["tax_rate_percent"],
            ),
            account=await read_account(uow, tenant.tenant),
            pools=await store.reported(c, tenant.tenant),
            period=tenant.period,
            at=at,
        )

    async def make_quote(self, uow: UnitOfWork, tenant_id: str, body: QuoteBody, actor: Actor) -> QuoteIssued:
        """T8 B5 B9: priced, nothing changed. Raises Conflict with the refusal."""
        tenant, at = await self._writable(uow, tenant_id)
        situation = await self._situation(uow, tenant, at)
        items = [Item(item.module, add=item.add, total=item.total) for item in body.items]
        valid = timedelta(seconds=self._settings.quote_valid_seconds)
        quote = price(situation, items, quote=ids.new_id(), actor=actor, valid=valid)
        if isinstance(quote, Refusal):
            raise refuse(quote)
        await store.add_quote(uow.connection, tenant_id, quote, expected(situation, [line.module for line in quote.lines]))
        say(uow, tenant_id, quote, subject=quote.quote)
        return quote

    async def approve_quote(self, uow: UnitOfWork, tenant_id: str, quote_id: str, actor: Actor) -> str:
        """Sends the order to seats; returns its id. Approving again gives the same order. Raises NotFound, Conflict with the refusal."""
        tenant, at = await self._writable(uow, tenant_id)
        found = await store.quote(uow.connection, tenant_id, quote_id)
        if found is None:
            raise NotFound("quote")
        order = await store.order_of_quote(uow.connection, tenant_id, quote_id)
        if order is not None:
            return str(order["order"])
        quote, expects = found
        situation = await self._situation(uow, tenant, at)
        refusal = approvable(situation, quote, expects)
        if refusal is not None:
            raise refuse(refusal)
        event = QuoteApproved(
            at=at, actor=actor, quote=quote_id, order=ids.new_id(), approved_on=quote.priced_for, billing_details=situation.details.version
        )
        await store.add_order(uow.connection, tenant_id, event)
        # Only now does money hang on the quote: those that nobody approves are many, and the account is computed from all facts each time.
        await store.add_fact(uow.connection, tenant_id, f"quote-{quote_id}", quote)
        await say_fact(uow, tenant_id, event, subject=event.order)
        await add_licences(uow, tenant_id, event.order)
        return event.order


def _check_modules(body: SubscriptionBody, plan: PlanDefined, known: dict[str, dict[str, object]]) -> None:
    ordered = {module.module for module in body.modules}
    priced = {price.module for price in plan.prices if price.term == body.term}
    for place, module in enumerate(body.modules):
        field = f"body.modules.{place}.module"
        if module.module not in priced:
            raise Invalid(
                field, module.module, f"a module that the plan {plan.plan} prices for the {body.term} term: {', '.join(sorted(priced))}"
            )
        requires = known[module.module]["requires"]
        assert isinstance(requires, list)
        lacking = sorted(set(requires) - ordered)
        if lacking:
            raise Invalid(field, module.module, f"together with what it needs: {', '.join(lacking)}")
    if not any(known[name]["base"] for name in ordered):
        raise Invalid("body.modules", sorted(ordered), "at least one base module")


def _first_period(body: SubscriptionBody, today: date) -> Period:
    period = period_at(body.period_start, Term(body.term), body.period_start)
    if today not in period:
        raise Invalid(
            "body.period_start", body.period_start.isoformat(), f"the start of a {body.term} period in which today, {today}, lies"
        )
    if body.billed_until not in (None, period.start, period.end):
        raise Invalid(
            "body.billed_until", str(body.billed_until), f"{period.end} (the first period is billed already), {period.start}, or nothing"
        )
    return period


async def open_pools(
    uow: UnitOfWork, tenant: str, at: datetime, *, only: str | None = None, above: int = 0, cause: Envelope | None = None
) -> None:
    """Asks seats for the subscription's pools that are not open yet (or for `only` one of them)."""
    for module in await store.modules(uow.connection, tenant):
        if not module["opened"] and only in (None, module["module"]):
            make = partial(
                OpenPool,
                module=module["module"],
                base=module["base"],
                licences=module["licences"],
                policies=Policies.model_validate_json(module["policies"]),
            )
            await command(uow, tenant, make, kind="open_pool", reference=module["module"], time=at, cause=cause, above=above)


async def add_licences(uow: UnitOfWork, tenant: str, order_id: str, *, above: int = 0, cause: Envelope | None = None) -> None:
    """Sends an approved order to seats, as it was approved."""
    order = await store.order(uow.connection, tenant, order_id)
    assert order is not None
    found = await store.quote(uow.connection, tenant, order["quote"])
    assert found is not None
    quote, expects = found
    items: Sequence[LicenceCount] = [LicenceCount(module=line.module, quantity=line.quantity) for line in quote.lines]
    await command(
        uow,
        tenant,
        lambda number: AddLicences(number=number, order=order_id, items=tuple(items), expected=expects, approved_at=order["approved_at"]),
        kind="add_licences",
        reference=order_id,
        time=order["approved_at"],
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
    """Tells seats of the period after this one, ahead of time, so that it begins in time order with what else falls due there."""
    following, starts_at = period.end.isoformat(), start_of_day(period.end, contract.time_zone)
    make = partial(SchedulePeriod, period=following, starts_at=starts_at)
    await command(uow, tenant, make, kind="schedule_period", reference=following, time=at, cause=cause, above=above)


async def send_again(
    uow: UnitOfWork, tenant: str, kind: str, reference: str, at: datetime, *, above: int = 0, cause: Envelope | None = None
) -> None:
    """A command of ours, as it was, with a number of its own."""
    log.warning("command-sent-again", kind=kind, reference=reference, above=above)
    match kind:
        case "add_licences":
            await add_licences(uow, tenant, reference, above=above, cause=cause)
        case "open_pool":
            await open_pools(uow, tenant, at, only=reference, above=above, cause=cause)
        case "schedule_period":
            contract = await store.contract(uow.connection, tenant)
            assert contract is not None
            period = Period(contract.period_start, contract.period_end)
            while period.end.isoformat() < reference:
                period = period_at(contract.period_start, Term(contract.term), period.end)
            await schedule_period(uow, tenant, contract, period, at, above=above, cause=cause)
