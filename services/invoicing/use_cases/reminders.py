"""Reminders of overdue invoices. Each is an event, which the notifier sends to the invoice e-mail address."""

from typing import Final

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.store.due_actions import DueAction
from services.invoicing.use_cases.balance import REMINDER, count, plan_reminder
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.overdue import named, review
from services.invoicing.use_cases.publishing import publish
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import OverdueDecisionDue, PaymentReminded

LOOK_AGAIN_DAYS: Final = 3  # after a reminder that credits made needless


async def remind(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    """Remind the tenant of an invoice, and plan the next reminder. An invoice that is settled needs none.

    While credits cover all that is open, none is sent, and the invoice is looked at again some days later.
    """
    tenant_id, settings = action.tenant_id, wiring.settings
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    balance = await store.receivables.open_balance(uow.connection, tenant_id)
    found = balance.documents.get(action.reference)
    if found is None or tenant is None or tenant.time_zone is None:
        return
    at, zone, days = time_of(tenant, wiring.clock), tenant.time_zone, settings.reminder_schedule
    today = local_day(at, zone)
    if balance.balance_minor <= 0:
        again = start_of_day(add_days(today, LOOK_AGAIN_DAYS), zone)
        await store.due_actions.set_due(uow.connection, tenant_id, REMINDER, action.reference, again)
        return
    step, terms = found.reminders + 1, await store.overdue.find(uow.connection, tenant_id)
    event = PaymentReminded(
        at=at,
        actor=SYSTEM,
        invoice=found.invoice,
        number=found.number,
        step=step,
        steps=max(step, len(days)),
        issued_on=found.issued_on,
        due_on=found.due_on,
        currency=found.currency,
        gross_minor=found.gross_minor,
        open_minor=found.open_minor,
        overdue_action=terms.action,
    )
    await count(uow, tenant_id, balance, event, found.invoice)
    await plan_reminder(uow, tenant_id, settings, balance.documents[found.invoice], zone, today)
    await review(uow, tenant_id, settings, at)
    if event.last and terms.action == "operator_decides":
        unpaid = balance.after_last_reminder(len(days))
        publish(uow, tenant_id, OverdueDecisionDue(at=at, actor=SYSTEM, invoices=tuple(named(unpaid)), currency=found.currency))
