"""Purchases are refused after the last reminder of an overdue invoice, if the operator wants so, until the balance is settled."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from services.invoicing import store
from services.invoicing.domain.account import INVOICE, SYSTEM
from services.invoicing.domain.balance import Receivable
from services.invoicing.settings import Settings
from services.invoicing.use_cases.expand_caps import send_caps
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.money import format_amount, format_day
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import OverdueActionChanged, OverdueInvoice, PurchasesBlocked, PurchasesUnblocked


async def review(uow: UnitOfWork, tenant_id: str, settings: Settings, at: datetime, cause: Envelope | None = None) -> None:
    """Refuse purchases, or allow them again, as the balance and the action of the tenant call for. Seats hears of it by the caps."""
    known = await store.overdue.find(uow.connection, tenant_id)
    if known.action != "no_purchases" and not known.blocked:
        return
    balance = await store.receivables.open_balance(uow.connection, tenant_id)
    unpaid = balance.after_last_reminder(len(settings.reminder_schedule)) if known.action == "no_purchases" else []
    if known.blocked == bool(unpaid):
        return
    await store.overdue.put(uow.connection, tenant_id, replace(known, blocked=bool(unpaid)))
    if unpaid:
        event = PurchasesBlocked(at=at, actor=SYSTEM, invoices=tuple(named(unpaid)), currency=unpaid[0].currency)
        publish(uow, tenant_id, event, cause=cause)
    else:
        publish(uow, tenant_id, PurchasesUnblocked(at=at, actor=SYSTEM), cause=cause)
    await send_caps(uow, tenant_id, at, cause=cause)


def named(invoices: Iterable[Receivable]) -> list[OverdueInvoice]:
    """Return invoices as events name them."""
    return [OverdueInvoice(invoice=e.invoice, number=e.number, due_on=e.due_on, open_minor=e.open_minor) for e in invoices]


async def set_overdue_action(uow: UnitOfWork, tenant_id: str, action: str, actor: Actor, *, settings: Settings, clock: Clock) -> None:
    """Set what the last reminder of an overdue invoice leads to. It holds at once, also for invoices that are overdue already."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    known = await store.overdue.find(uow.connection, tenant_id)
    if known.action == action:
        return
    await store.overdue.put(uow.connection, tenant_id, replace(known, action=action))
    changes = (Change(field="overdue_action", old=known.action, new=action),)
    publish(uow, tenant_id, OverdueActionChanged(at=at, actor=actor, action=action, changes=changes))
    await review(uow, tenant_id, settings, at)


async def check_purchase(uow: UnitOfWork, tenant_id: str) -> None:
    """Raise Conflict if the tenant can buy nothing because of an overdue invoice. The refusal names the invoice."""
    known = await store.overdue.find(uow.connection, tenant_id)
    if not known.blocked:
        return
    balance = await store.receivables.open_balance(uow.connection, tenant_id)
    unpaid = list(balance.open_of(INVOICE))
    worst = [each for each in unpaid if each.reminders == max(other.reminders for other in unpaid)]
    first, more = worst[0], len(worst) - 1
    amount = format_amount(first.open_minor, first.currency, "en")
    others = f" and {more} more invoice{'s' if more > 1 else ''}" if more else ""
    raise Conflict(
        "invoice-overdue",
        f"Invoice {first.number} was due on {format_day(first.due_on, 'en')}, and {amount} of it{others} are still open. "
        "Pay them to buy again, or contact support if you have paid. Licences that you have stay usable.",
        invoices=[each.model_dump(mode="json") for each in named(worst)],
        currency=first.currency,
    )
