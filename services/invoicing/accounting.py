"""Around the pure middle: load what is known of a tenant, let the domain say what should exist, store and tell what of it does not.

Everything here runs in the caller's transaction, with the tenant's row locked: two decisions of one tenant are never accounted at once.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import orjson

from services.invoicing import catalogue, store
from services.invoicing.document import Party, document
from services.invoicing.domain.history import Fact
from services.invoicing.domain.invoices import NO_NUMBER, Account, account, missing
from services.invoicing.settings import Settings
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import InvoiceIssued, InvoicingEvent


class MakeCommand(Protocol):
    def __call__(self, *, number: int) -> Payload: ...


SOURCE = registry.INVOICING
NUMBER_DIGITS = 6


def say(uow: UnitOfWork, tenant: str, event: InvoicingEvent, *, cause: Envelope | None = None, subject: str | None = None) -> str:
    """Publishes one of invoicing's events; returns its id."""
    return uow.publish(event, source=SOURCE, tenant=tenant, time=event.at, subject=subject, cause=cause).id


async def say_fact(
    uow: UnitOfWork, tenant: str, event: InvoicingEvent, *, cause: Envelope | None = None, subject: str | None = None
) -> None:
    """Publishes an event that money is made of, and keeps it as read back: what is computed here is what can be rebuilt from the topic."""
    await store.add_fact(uow.connection, tenant, say(uow, tenant, event, cause=cause, subject=subject), event)


async def command(
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
    """Sends a command to seats with the next number (`above` what seats has seen, if that is more); returns its id."""
    number = await store.draw_number(uow.connection, tenant, above=above)
    envelope = uow.publish(make(number=number), source=SOURCE, tenant=tenant, time=time, subject=reference, cause=cause)
    await store.add_command(uow.connection, tenant, envelope.id, kind, reference)
    return envelope.id


async def facts(uow: UnitOfWork, tenant: str) -> list[Fact]:
    """What the tenant's account is computed from, with every version of its plan's price list."""
    known = await store.facts(uow.connection, tenant)
    contract = await store.contract(uow.connection, tenant)
    versions = await catalogue.versions(uow.connection, contract.plan) if contract else ()
    return [*((f"plan-{plan.plan}-{plan.version}", plan) for plan in versions), *known]


async def read_account(uow: UnitOfWork, tenant: str) -> Account:
    """Raises Poison("history"): the events contradict each other, and no amount may be made of them until a person has looked."""
    try:
        return account(await facts(uow, tenant))
    except (KeyError, AssertionError) as error:
        raise Poison("history", f"the account cannot be computed: {type(error).__name__}: {error}") from error


class Accountant:
    """Brings charges and invoices up to what the events call for. Running it again is a no-op."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def settle(self, uow: UnitOfWork, tenant: str, cause: Envelope | None) -> list[InvoiceIssued]:
        """Returns what was issued. Raises Poison when what was issued before is not what the events call for."""
        # Closes the race of the consumer with an operator's retry of a dead letter: both would issue what they find missing.
        await store.tenant(uow.connection, tenant, lock=True)
        found = await read_account(uow, tenant)
        issued = await store.issued(uow.connection, tenant)
        expected = {invoice.invoice: invoice for invoice in found.invoices}
        for name, invoice in issued.items():
            if expected.get(name) != invoice.model_copy(update={"number": NO_NUMBER}):
                raise Poison("history", f"invoice {invoice.number} ({name}) is not what the events call for")
        charges, drafts = missing(found, await store.charge_ids(uow.connection, tenant), issued)
        for charge in charges:
            await store.add_charge(uow.connection, tenant, charge)
            say(uow, tenant, charge, cause=cause, subject=charge.charge)
        return [await self._issue(uow, tenant, found, draft, cause) for draft in drafts]

    async def _issue(self, uow: UnitOfWork, tenant: str, found: Account, draft: InvoiceIssued, cause: Envelope | None) -> InvoiceIssued:
        series, prefix = ("test", self._settings.test_invoice_prefix) if draft.test else ("real", self._settings.invoice_prefix)
        text = await self._document(uow, tenant, found, draft)
        # Drawn last: from here to the commit every other invoice of the vendor waits.
        sequence = await store.draw_invoice_number(uow.connection, series)
        invoice = draft.model_copy(update={"number": f"{prefix}{sequence:0{NUMBER_DIGITS}}"})
        content = orjson.dumps(text(invoice)).decode()
        await store.add_invoice(uow.connection, tenant, invoice, series, sequence, content)
        say(uow, tenant, invoice, cause=cause, subject=invoice.invoice)
        return invoice

    async def _document(
        self, uow: UnitOfWork, tenant: str, found: Account, draft: InvoiceIssued
    ) -> Callable[[InvoiceIssued], dict[str, object]]:
        details = await store.details(uow.connection, tenant, draft.billing_details)
        about = await store.tenant(uow.connection, tenant)
        assert details is not None
        assert about is not None
        buyer = Party(
            name=details["company"],
            street=details["street"],
            postcode=details["postcode"],
            city=details["city"],
            country=details["country"],
            vat_id=details["vat_id"],
            email=details["email"],
        )
        names = {module: str(fields["name"]) for module, fields in (await catalogue.modules(uow.connection)).items()}
        return lambda invoice: document(
            invoice, seller=self._settings.seller, buyer=buyer, locale=about.locale, modules=names, charges=found.charges
        )
