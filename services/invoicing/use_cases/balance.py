"""Payments, and credit notes that are set off against invoices."""

from datetime import date, datetime

from services.invoicing import store
from services.invoicing.api.requests import PaymentBody
from services.invoicing.domain.account import CREDIT_NOTE, INVOICE, SYSTEM
from services.invoicing.domain.balance import PAID_OUT, RECEIVED, Balance, Receivable, issued, next_reminder, set_offs
from services.invoicing.domain.calendar import local_day, start_of_day
from services.invoicing.settings import Settings
from services.invoicing.store.payments import NewPayment
from services.invoicing.store.tenants import Tenant
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.overdue import review
from services.invoicing.use_cases.publishing import publish
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.money import format_amount
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import CreditKept, CreditSetOff, InvoiceIssued, InvoicingEvent, PaymentRecorded, PaymentTakenBack

REMINDER = "payment_reminder"  # the kind of the due action; it is about an invoice


async def plan_reminder(
    uow: UnitOfWork, tenant_id: str, settings: Settings, invoice: Receivable, zone: str, last_on: date | None = None
) -> None:
    """Have the next reminder of an invoice sent at the start of its local day, if there is one. The last one was sent on `last_on`."""
    day = next_reminder(invoice.due_on, invoice.reminders, last_on, settings.reminder_schedule)
    if day is not None:
        await store.due_actions.set_due(uow.connection, tenant_id, REMINDER, invoice.invoice, start_of_day(day, zone))


async def note_issued(
    uow: UnitOfWork, tenant_id: str, settings: Settings, invoice: InvoiceIssued, zone: str, cause: Envelope | None
) -> None:
    """Save what is open of a document that is being issued, and set credits off that can be."""
    new = issued(invoice, 0)
    if new.kind == INVOICE and new.open_minor:
        await plan_reminder(uow, tenant_id, settings, new, zone)
    credit_waits = await store.receivables.add(uow.connection, tenant_id, new)
    if new.open_minor and (credit_waits or new.kind == CREDIT_NOTE):
        balance = await store.receivables.open_balance(uow.connection, tenant_id)
        await _set_off(uow, tenant_id, balance, invoice.at, cause, new=new.invoice)
        await review(uow, tenant_id, settings, invoice.at, cause)


async def _set_off(
    uow: UnitOfWork, tenant_id: str, balance: Balance, at: datetime, cause: Envelope | None = None, new: str | None = None
) -> None:
    for each in set_offs(balance, new):
        await store.receivables.add_set_off(uow.connection, tenant_id, each, at)
        event = CreditSetOff(
            at=at,
            actor=SYSTEM,
            credit_note=each.credit_note,
            invoice=each.invoice,
            amount_minor=each.amount_minor,
            currency=each.currency,
        )
        await count(uow, tenant_id, balance, event, each.invoice, each.credit_note, cause=cause)


async def count(
    uow: UnitOfWork, tenant_id: str, balance: Balance, event: InvoicingEvent, *documents: str, cause: Envelope | None = None
) -> None:
    """Publish an event, and save what it changes of these documents."""
    balance.apply(event)
    for document in documents:
        await store.receivables.change(uow.connection, tenant_id, balance.documents[document])
    publish(uow, tenant_id, event, cause=cause, subject=documents[0])


async def record_payment(uow: UnitOfWork, tenant_id: str, body: PaymentBody, actor: Actor, *, settings: Settings, clock: Clock) -> str:
    """Record a payment of an invoice, or the payout of a credit note, and return its id. Raises Invalid, NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await store.receivables.find(uow.connection, tenant_id, body.invoice)
    if found is None:
        raise Invalid("body.invoice", body.invoice, "the id of an invoice or a credit note of this tenant")
    _check(body, found, tenant, at)
    direction = PAID_OUT if found.kind == CREDIT_NOTE else RECEIVED
    payment = ids.new_id()
    await store.payments.add(
        uow.connection,
        tenant_id,
        NewPayment(
            payment=payment,
            invoice=found.invoice,
            direction=direction,
            amount_minor=body.amount_minor,
            currency=found.currency,
            paid_on=body.paid_on,
            reference=body.reference,
            recorded_at=at,
            recorded_by=actor.model_dump_json(),
        ),
    )
    event = PaymentRecorded(
        at=at,
        actor=actor,
        payment=payment,
        invoice=found.invoice,
        direction=direction,
        amount_minor=body.amount_minor,
        currency=found.currency,
        paid_on=body.paid_on,
    )
    await count(uow, tenant_id, Balance({found.invoice: found}), event, found.invoice)
    await review(uow, tenant_id, settings, at)
    return payment


def _check(body: PaymentBody, found: Receivable, tenant: Tenant, at: datetime) -> None:
    if body.currency != found.currency:
        raise Invalid("body.currency", body.currency, f"{found.currency}, the currency of {found.number}")
    if body.amount_minor > found.open_minor:
        if found.open_minor == 0:
            expected = f"no payment, because nothing is open of {found.number}"
        else:
            amount = format_amount(found.open_minor, found.currency, "en")
            expected = f"at most {found.open_minor} ({amount}), which is open of {found.number}; divide a payment of several invoices"
        raise Invalid("body.amount_minor", body.amount_minor, expected)
    assert tenant.time_zone is not None
    today = local_day(at, tenant.time_zone)
    if body.paid_on > today:
        raise Invalid("body.paid_on", body.paid_on.isoformat(), f"today, {today}, or an earlier day")


async def take_back_payment(
    uow: UnitOfWork, tenant_id: str, payment_id: str, because: str, actor: Actor, *, settings: Settings, clock: Clock
) -> None:
    """Let a payment no longer count. Reminders of the invoice go on. A second call changes nothing. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    payment = await store.payments.find(uow.connection, tenant_id, payment_id)
    if payment is None:
        raise NotFound("payment")
    if payment.taken_back_at is not None:
        return
    await store.payments.take_back(uow.connection, tenant_id, payment_id, at, actor.model_dump_json(), because)
    event = PaymentTakenBack(
        at=at,
        actor=actor,
        payment=payment_id,
        invoice=payment.invoice,
        direction=payment.direction,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )
    found = await store.receivables.find(uow.connection, tenant_id, payment.invoice)
    assert found is not None
    await count(uow, tenant_id, Balance({found.invoice: found}), event, found.invoice)
    if found.kind == INVOICE and tenant.time_zone is not None:
        await plan_reminder(uow, tenant_id, settings, found, tenant.time_zone, local_day(at, tenant.time_zone))
    await _set_off(uow, tenant_id, await store.receivables.open_balance(uow.connection, tenant_id), at)
    await review(uow, tenant_id, settings, at)


async def keep_credit(uow: UnitOfWork, tenant_id: str, credit_note: str, actor: Actor, *, settings: Settings, clock: Clock) -> None:
    """Keep the rest of a credit note for later invoices. A second call changes nothing. Raises NotFound, Conflict."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    found = await store.receivables.find(uow.connection, tenant_id, credit_note)
    if found is None:
        raise NotFound("credit note")
    if found.kind != CREDIT_NOTE:
        raise Conflict(
            "not-a-credit-note", f"{found.number} is an invoice. Only the rest of a credit note can be kept. Send the id of a credit note."
        )
    if found.kept:
        return
    if found.open_minor == 0:
        raise Conflict("nothing-to-keep", f"Nothing is left of {found.number}: it was set off or paid out.")
    balance = await store.receivables.open_balance(uow.connection, tenant_id)
    event = CreditKept(at=at, actor=actor, credit_note=credit_note, amount_minor=found.open_minor, currency=found.currency)
    await count(uow, tenant_id, balance, event, credit_note)
    await _set_off(uow, tenant_id, balance, at)
    await review(uow, tenant_id, settings, at)
