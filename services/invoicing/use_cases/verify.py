"""Compare the stored documents of a tenant with what the events call for, byte for byte. Nothing is changed."""

import hashlib
from dataclasses import dataclass, field

from services.invoicing import store
from services.invoicing.domain.account import rebuild
from services.invoicing.domain.balance import balance_of
from services.invoicing.use_cases.issue_invoices import read_facts
from shared.database import UnitOfWork

ALL = 1_000_000  # rows of a tenant, as one page


@dataclass(frozen=True, slots=True)
class Difference:
    """A document that is not what the events call for. `what` says how it differs."""

    invoice: str
    number: str
    what: str


@dataclass(slots=True)
class Verified:
    documents: int = 0
    pdfs: int = 0
    differences: list[Difference] = field(default_factory=list)


async def verify(uow: UnitOfWork, tenant_id: str) -> Verified:
    """Rebuild every document from the events, and compare it with the stored one. The PDFs are compared with their checksums."""
    found = Verified()
    stored = {row.event.invoice: row for row in await store.receivables.page(uow.connection, tenant_id, 0, ALL)}
    numbers = {name: row.number for name, row in stored.items()}
    facts = await read_facts(uow, tenant_id)
    try:
        rebuilt = {each.invoice: each for each in rebuild([*facts, *((name, row.event) for name, row in stored.items())])}
    except (KeyError, AssertionError) as error:
        what = f"the events contradict each other, or call for a document that does not exist: {type(error).__name__}: {error}"
        found.differences.append(Difference("", "", what))
        return found
    for name, row in stored.items():
        found.documents += 1
        if name not in rebuilt:
            found.differences.append(Difference(name, row.number, "no event calls for it"))
        elif rebuilt[name].model_dump_json() != row.payload:
            found.differences.append(Difference(name, row.number, "its data differ from what the events call for"))
    await _check_open(uow, tenant_id, stored, found)
    for name in stored:
        pdf = await store.pdfs.find(uow.connection, tenant_id, name)
        if pdf is not None and pdf.pdf is not None:
            found.pdfs += 1
            if hashlib.sha256(pdf.pdf).hexdigest() != pdf.sha256:
                found.differences.append(Difference(name, numbers[name], "its PDF differs from the checksum of the one that was made"))
    return found


async def _check_open(uow: UnitOfWork, tenant_id: str, stored: dict[str, store.receivables.ListedInvoice], found: Verified) -> None:
    """Compare what is open of each document with the sum of its payments and set-offs."""
    balance = balance_of(row.event for row in stored.values())
    left = {name: each.open_minor for name, each in balance.documents.items()}
    for payment in await store.payments.page(uow.connection, tenant_id, 0, ALL):
        if payment.taken_back_at is None:
            left[payment.invoice] -= payment.amount_minor
    for set_off in await store.receivables.set_offs(uow.connection, tenant_id):
        left[set_off.invoice] -= set_off.amount_minor
        left[set_off.credit_note] -= set_off.amount_minor
    for name, row in stored.items():
        if left[name] != row.open_minor:
            found.differences.append(Difference(name, row.number, f"{row.open_minor} are open, and its payments leave {left[name]}"))
