"""Load what is known of a tenant, let the domain compute what should exist, and store and publish what does not exist yet.

Everything here runs in the caller's transaction, with the tenant's row locked, so two decisions of one tenant are never processed at once.
"""

from collections.abc import Callable
from datetime import date, datetime

import orjson

from services.invoicing import store
from services.invoicing.documents.document import document
from services.invoicing.documents.party import Party
from services.invoicing.domain.account import CREDIT_NOTE, NO_NUMBER, SYSTEM, Account, account, missing
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.formats import Format
from services.invoicing.domain.history import Fact
from services.invoicing.settings import Settings
from services.invoicing.store.tenants import Tenant
from services.invoicing.use_cases.balance import note_issued
from services.invoicing.use_cases.price_lists import own_price_list, take_price_list
from services.invoicing.use_cases.publishing import publish, publish_fact
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ContractChanged, DayCharged, InvoiceIssued, PlanDefined, SubscriptionStarted, TermsApplied

NUMBER_DIGITS = 6


async def read_facts(uow: UnitOfWork, tenant: str) -> list[Fact]:
    """Return the events that the tenant's account is computed from, with every version of its plan's price list."""
    known = await store.facts.of_tenant(uow.connection, tenant)
    contract = await store.subscriptions.contract(uow.connection, tenant)
    named = [event.plan for _, event in known if isinstance(event, SubscriptionStarted | ContractChanged)]
    plans = {plan for plan in named if plan is not None} | ({contract.plan} if contract else set())
    versions = [version for plan in sorted(plans) for version in await store.catalogue.versions(uow.connection, plan)]
    return [*((f"plan-{plan.plan}-{plan.version}", plan) for plan in versions), *known]


async def read_account(uow: UnitOfWork, tenant: str) -> Account:
    """Compute the tenant's account. Raises Poison("history") if the events contradict each other: an operator has to look at them first."""
    try:
        return account(await read_facts(uow, tenant))
    except (KeyError, AssertionError) as error:
        raise Poison("history", f"the account cannot be computed: {type(error).__name__}: {error}") from error


async def book_and_issue(uow: UnitOfWork, tenant: str, settings: Settings, cause: Envelope | None) -> list[InvoiceIssued]:
    """Book the charges and issue the invoices that the events call for and that do not exist yet; return the invoices issued.

    A second call does nothing. Raises Poison("history") when an invoice that was issued before is not what the events call for.
    """
    # The lock keeps the consumer and an operator's retry of a dead letter from issuing the same invoice.
    locked = await store.tenants.find(uow.connection, tenant, lock=True)
    assert locked is not None
    found = await read_account(uow, tenant)
    issued = await store.invoices.issued(uow.connection, tenant)
    expected = {invoice.invoice: invoice for invoice in found.invoices}
    for name, invoice in issued.items():
        if expected.get(name) != invoice.model_copy(update={"number": NO_NUMBER}):
            raise Poison("history", f"invoice {invoice.number} ({name}) is not what the events call for")
    charges, drafts = missing(found, await store.charges.ids(uow.connection, tenant), issued)
    for charge in charges:
        await store.charges.add(uow.connection, tenant, charge)
        publish(uow, tenant, charge, cause=cause, subject=charge.charge)
    await store.subscriptions.set_open_day(uow.connection, tenant, found.open_day)
    return [await _issue(uow, tenant, settings, found, draft, locked, cause) for draft in drafts]


async def book_change(uow: UnitOfWork, tenant: str, settings: Settings, at: datetime, cause: Envelope | None) -> None:
    """Book what follows from licences that came or went without an order. The end of the local day charges them: while the day is open,
    there is nothing to book. To read the account for each of a thousand leavers would take longer than the consumer may stand still."""
    # Under the lock, nobody ends the day between the look and the commit.
    await store.tenants.find(uow.connection, tenant, lock=True)
    found = await store.subscriptions.find(uow.connection, tenant)
    if found is None or found.open_day is None or found.open_day > local_day(at, found.contract.time_zone):
        await book_and_issue(uow, tenant, settings, cause)


async def end_days(uow: UnitOfWork, tenant: str, settings: Settings, before: date, cause: Envelope | None) -> None:
    """Charge the changes of each local day that has ended before this day. A second call does nothing."""
    await store.tenants.find(uow.connection, tenant, lock=True)
    while await _end_day(uow, tenant, settings, before, cause):
        pass


async def _end_day(uow: UnitOfWork, tenant: str, settings: Settings, before: date, cause: Envelope | None) -> bool:
    """Charge the open day if it has ended before this day. Return whether it was."""
    found = await store.subscriptions.find(uow.connection, tenant)
    if found is None or found.open_day is None or found.open_day >= before:
        return False
    contract, known = found.contract, await read_account(uow, tenant)
    day = known.day_to_charge(before)
    details = await store.billing_details.in_force(uow.connection, tenant)
    if day is None:
        return False  # the day belongs to a period that has not begun yet
    assert details is not None
    undecided = await store.orders.pending(uow.connection, tenant)
    event = DayCharged(
        at=start_of_day(add_days(day, 1), contract.time_zone),
        actor=SYSTEM,
        day=day,
        after=known.last_decision,
        subscription=contract.subscription,
        billing_details=details.version,
        undecided=tuple(order for order, quote in undecided if quote.credit_net_minor),
    )
    await publish_fact(uow, tenant, event, cause=cause)
    await book_and_issue(uow, tenant, settings, cause)
    return True


async def _issue(
    uow: UnitOfWork, tenant: str, settings: Settings, found: Account, draft: InvoiceIssued, about: Tenant, cause: Envelope | None
) -> InvoiceIssued:
    series, prefix = _series(draft, settings)
    text = await _document(uow, settings, found, draft, about)
    # The number is drawn last: from here to the commit every other invoice of the vendor waits.
    sequence = await store.invoices.draw_number(uow.connection, series)
    invoice = draft.model_copy(update={"number": f"{prefix}{sequence:0{NUMBER_DIGITS}}"})
    content = orjson.dumps(text(invoice)).decode()
    await store.invoices.add(uow.connection, tenant, invoice, series, sequence, content)
    publish(uow, tenant, invoice, cause=cause, subject=invoice.invoice)
    await note_issued(uow, tenant, settings, invoice, about.time_zone or "UTC", cause)
    return invoice


def _series(draft: InvoiceIssued, settings: Settings) -> tuple[str, str]:
    """Return the number series of a document, and the prefix of its numbers."""
    if draft.kind == CREDIT_NOTE:
        return ("test-credit", settings.test_credit_note_prefix) if draft.test else ("credit", settings.credit_note_prefix)
    return ("test", settings.test_invoice_prefix) if draft.test else ("real", settings.invoice_prefix)


async def _document(
    uow: UnitOfWork, settings: Settings, found: Account, draft: InvoiceIssued, about: Tenant
) -> Callable[[InvoiceIssued], dict[str, object]]:
    tenant = about.tenant_id
    details = await store.billing_details.find(uow.connection, tenant, draft.billing_details)
    assert details is not None
    buyer = Party(
        name=details.company,
        street=details.street,
        postcode=details.postcode,
        city=details.city,
        country=details.country,
        vat_id=details.vat_id,
        organisation_number=details.organisation_number,
        email=details.email,
        electronic_address=details.electronic_address,
        buyer_reference=details.buyer_reference,
        purchase_order=details.purchase_order,
    )
    issued = await store.invoices.issued(uow.connection, tenant) if draft.corrects else {}
    corrected = [(issued[name].number, issued[name].issued_on) for name in draft.corrects]
    names = {module: fields.name for module, fields in (await store.catalogue.modules(uow.connection)).items()}
    return lambda invoice: document(
        invoice,
        seller=settings.seller,
        buyer=buyer,
        locale=about.locale,
        modules=names,
        charges=found.charges,
        corrected=corrected,
        document_format=Format(details.document_format),
    )


async def apply_terms(
    uow: UnitOfWork, tenant: str, event: seats_v1.SeatsEvent, cause: Envelope
) -> tuple[SubscriptionStarted, PlanDefined] | None:
    """Publish which price list and billing details apply to a decision that nobody approved a price for, and keep both as facts. Return
    the contract before the decision, and the price list."""
    contract = await store.subscriptions.contract(uow.connection, tenant)
    if contract is None:
        return None
    if isinstance(event, seats_v1.PeriodStarted):
        plan = await take_price_list(uow, tenant, contract, local_day(event.starts_at, contract.time_zone))
    else:
        plan = await own_price_list(uow, contract, local_day(event.at, contract.time_zone))
    details = await store.billing_details.in_force(uow.connection, tenant)
    assert details is not None
    terms = TermsApplied(
        at=event.at,
        actor=SYSTEM,
        decision=cause.id,
        subscription=contract.subscription,
        plan=plan.plan,
        plan_version=plan.version,
        billing_details=details.version,
        module=getattr(event, "module", None),
    )
    await publish_fact(uow, tenant, terms, cause=cause)
    await store.facts.add(uow.connection, tenant, cause.id, event)
    return contract, plan
