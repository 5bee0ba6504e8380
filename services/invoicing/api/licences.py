"""The licences of a tenant at one place: bought, in use, and the number of the next period (T1, E6, M3)."""

from dataclasses import asdict
from datetime import date

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired
from services.invoicing.api.responses.subscription import PeriodView
from services.invoicing.store.pool_days import PoolDay
from services.invoicing.use_cases.licences import Buying, Licences, OfModule, read_licences
from services.invoicing.use_cases.use_history import use_history
from shared.web import Cursor, Limit, Page, access, decode_cursor, encode_cursor
from shared.web.route import CheckedRoute

HISTORY_DAYS = 90
HISTORY_DAYS_MAX = 366
HISTORY_MODULES = 20  # on one page: each has an entry for each day

router = APIRouter(
    route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/licences", tags=["account"], dependencies=[Depends(access("account:read"))]
)


class PendingOrderView(BaseModel):
    """An approved order that seats has not decided yet."""

    order: str
    add: int


class ModuleLicencesView(BaseModel):
    """The licences of a module. Who is refused is in the list of people (users, `?status=refused`)."""

    module: str
    name: str
    base: bool
    bought: int
    in_use: int | None = Field(description="Active, flagged and held seats. null: seats does not answer now.")
    active: int | None
    flagged: int | None = Field(description="Seats over the limit.")
    held: int | None = Field(description="Seats that are reserved for invitations.")
    waiting: int | None
    available: int | None
    next_period: int
    flagged_at_renewal: int | None = Field(
        description="How many people the renewal would flag if nothing else changes. null: it was not asked, or seats does not answer now."
    )
    cancelled_at_renewal: int | None = Field(
        description="How many reservations of invited people the renewal would cancel if nothing else changes. null: as above."
    )
    unit_price_minor: int | None = Field(description="The price of one more licence for a whole period, by the list of the subscription.")
    pending_orders: tuple[PendingOrderView, ...]
    minimum: int = Field(description="The fewest licences to which the module can be reduced, by the plan.")
    may_reduce: bool = Field(description="False: the subscription ends before a reduction would take effect.")

    @classmethod
    def of(cls, found: OfModule) -> "ModuleLicencesView":
        """Return the module as REST shows it."""
        use, fields = found.use, ("active", "flagged", "held", "waiting", "available")
        return cls(
            module=found.module,
            name=found.name,
            base=found.base,
            bought=found.bought,
            in_use=use.active + use.flagged + use.held if use else None,
            next_period=found.next_period,
            flagged_at_renewal=found.flagged_at_renewal,
            cancelled_at_renewal=found.cancelled_at_renewal,
            unit_price_minor=found.unit_price_minor,
            minimum=found.minimum,
            may_reduce=found.may_reduce,
            pending_orders=tuple(PendingOrderView(order=order, add=quantity) for order, quantity in found.pending),
            **{name: getattr(use, name) if use else None for name in fields},
        )


class OpenItemsView(BaseModel):
    """Purchases and invoices that somebody of the tenant has to look at."""

    waiting_quotes: int = Field(description="Quotes that wait for their second approver.")
    estimates: int = Field(description="Estimates of the vendor that nobody has approved yet.")
    overdue_invoices: int
    overdue_minor: int = Field(description="What is still to be paid of the overdue invoices.")


class BuyingView(BaseModel):
    """How the tenant buys today."""

    ordering: str = Field(description="self_service or by_request")
    allows_extra_licences: bool = Field(description="False: to have more licences, the plan has to be changed first.")
    purchases_blocked: bool = Field(description="True if nothing can be bought until overdue invoices are paid.")
    open_items: OpenItemsView

    @classmethod
    def of(cls, found: Buying) -> "BuyingView":
        return cls(
            ordering=found.ordering,
            allows_extra_licences=found.allows_extra_licences,
            purchases_blocked=found.purchases_blocked,
            open_items=OpenItemsView(**asdict(found.open_items)),
        )


class LicencesView(BaseModel):
    """The subscription and the licences of its modules: base modules first, then the others, each by name."""

    subscription: str
    status: str
    plan: str
    plan_name: str
    term: str
    currency: str
    period: PeriodView
    next_invoice_on: date
    following_renewal: date | None = Field(
        description="The first day of the period after the next one, with the scheduled plan and term. null: the subscription ends."
    )
    ends_on: date | None = Field(description="The first day without the subscription; null if nobody has ended it.")
    next_period_net_minor: int | None = Field(description="null: the price list lacks one of the modules.")
    position: str | None = Field(description="The last decision of seats that the numbers reflect. null: seats does not answer now.")
    buying: BuyingView
    modules: tuple[ModuleLicencesView, ...]

    @classmethod
    def of(cls, found: Licences) -> "LicencesView":
        """Return the licences as REST shows them."""
        contract = found.subscription.contract
        return cls(
            subscription=found.subscription.subscription,
            status=found.subscription.status,
            plan=found.plan.plan,
            plan_name=found.plan.name,
            term=contract.term,
            currency=contract.currency,
            period=PeriodView(start=found.subscription.period_start, end=found.subscription.period_end),
            next_invoice_on=found.subscription.period_end,
            following_renewal=found.following_renewal,
            ends_on=found.ends_on,
            next_period_net_minor=found.next_period_net_minor,
            position=str(found.position) if found.position else None,
            buying=BuyingView.of(found.buying),
            modules=tuple(ModuleLicencesView.of(module) for module in found.modules),
        )


class LicenceDayView(BaseModel):
    day: date
    bought: int = Field(description="At the end of the day.")
    highest_use: int = Field(description="The most seats that were in use at any time of the day.")


class LicenceHistoryView(BaseModel):
    """A module, day by day, up to today. Days before the module was opened are left out."""

    module: str
    days: tuple[LicenceDayView, ...]

    @classmethod
    def of(cls, module: str, days: list[PoolDay]) -> "LicenceHistoryView":
        shown = tuple(LicenceDayView(day=each.day, bought=each.licences, highest_use=each.highest) for each in days)
        return cls(module=module, days=shown)


@router.get("", summary="Get the licences of all modules")
async def get_licences(
    wiring: Wired,
    tenant: TenantId,
    forecast: bool = Query(default=False, description="Also ask seats how many people the renewal would flag. It takes longer."),
) -> LicencesView:
    """The numbers of seats and the subscription in one answer. While seats does not answer, what only seats knows is null."""
    return LicencesView.of(await read_licences(wiring.database, wiring.seats, tenant, wiring.clock, with_forecast=forecast))


@router.get("/history", summary="Get licences and highest use by day")
async def get_history(
    wiring: Wired,
    tenant: TenantId,
    days: int = Query(HISTORY_DAYS, ge=1, le=HISTORY_DAYS_MAX, description="How many days, up to today in the tenant's time zone."),
    cursor: Cursor = None,
    limit: Limit = HISTORY_MODULES,
) -> Page[LicenceHistoryView]:
    """A page has several modules, each with all its days."""
    (after,) = decode_cursor(cursor, str) or ("",)
    limit = min(limit, HISTORY_MODULES)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await use_history(uow, tenant, days, after, limit, wiring.clock)
    items = [LicenceHistoryView.of(module, list(rows)) for module, rows in found]
    return Page(items=items, next=encode_cursor(items[-1].module) if len(items) == limit else None)
