"""The files for accountants: a table of all documents (CSV), a booking batch (DATEV EXTF), and an archive of all files (ZIP).

Each is a stream of pieces, so a range of many documents takes little memory. docs/operating.md lists the columns.
"""

import csv
import io
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from services.invoicing.domain.account import CREDIT_NOTE
from shared.money import to_decimal
from shared.schemas.invoicing_v1 import InvoiceIssued, TaxLine
from shared.spreadsheets import cell

CSV_COLUMNS: Final = (
    "number",
    "kind",
    "tenant",
    "company",
    "vat_id",
    "issued_on",
    "due_on",
    "currency",
    "tax_category",
    "tax_rate_percent",
    "net",
    "tax",
    "gross",
    "open",
    "corrects",
    "test",
)
# The first columns of a booking batch, as its format orders them; DATEV takes the missing rest as empty.
DATEV_COLUMNS: Final = (
    "Umsatz (ohne Soll/Haben-Kz)",
    "Soll/Haben-Kennzeichen",
    "WKZ Umsatz",
    "Kurs",
    "Basis-Umsatz",
    "WKZ Basis-Umsatz",
    "Konto",
    "Gegenkonto (ohne BU-Schlüssel)",
    "BU-Schlüssel",
    "Belegdatum",
    "Belegfeld 1",
    "Belegfeld 2",
    "Skonto",
    "Buchungstext",
)
DATEV_CURRENCY: Final = "EUR"
DATEV_ENCODING: Final = "cp1252"


@dataclass(frozen=True, slots=True)
class Exported:
    """A document for the export, with the customer as it was invoiced, and its files as far as they are made."""

    tenant: str
    company: str
    vat_id: str | None
    invoice: InvoiceIssued
    open_minor: int
    corrects: tuple[str, ...] = ()  # numbers
    pdf: bytes | None = None
    xml: bytes | None = None


@dataclass(frozen=True, slots=True)
class DatevAccounts:
    """How the vendor's accountant books: the numbers at DATEV, the debtor account, and a revenue account for each tax category (`S`), and
    for rates that have one of their own (`S/7`)."""

    consultant: int
    client: int
    debtor: str
    revenue: dict[str, str]

    def revenue_of(self, tax: TaxLine) -> str:
        return self.revenue.get(f"{tax.category}/{tax.rate_percent}", self.revenue[tax.category])


def csv_head() -> bytes:
    return _csv_row(CSV_COLUMNS)


def csv_rows(found: Exported) -> bytes:
    """Return a row for each tax of the document. The amounts of a credit note are negative, as they are in the books."""
    invoice, rows = found.invoice, b""
    sign = -1 if invoice.kind == CREDIT_NOTE else 1
    for place, tax in enumerate(invoice.taxes):
        left = found.open_minor if place == 0 else 0  # once for a document
        minor = (tax.basis_minor, tax.tax_minor, tax.basis_minor + tax.tax_minor, left)
        amounts = [f"{to_decimal(sign * each, invoice.currency):f}" for each in minor]
        rows += _csv_row(
            (
                invoice.number,
                invoice.kind,
                found.tenant,
                str(cell(found.company)),
                found.vat_id or "",
                invoice.issued_on.isoformat(),
                invoice.due_on.isoformat(),
                invoice.currency,
                tax.category,
                tax.rate_percent,
                *amounts,
                " ".join(found.corrects),
                "true" if invoice.test else "false",
            )
        )
    return rows


def _csv_row(values: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue().encode()


def datev_head(accounts: DatevAccounts, first: date, last: date, made_at: datetime) -> bytes:
    """Return the two head lines of a booking batch. A batch lies in one fiscal year, which begins with the calendar year."""
    made = _Number(f"{made_at:%Y%m%d%H%M%S}{made_at.microsecond // 1000:03}")
    # Numbers and dates stand without quotation marks in the format.
    year, begin, end = _Number(f"{first:%Y}0101"), _Number(f"{first:%Y%m%d}"), _Number(f"{last:%Y%m%d}")
    length = max(len(account) for account in accounts.revenue.values())
    head: list[Any] = [
        "EXTF", 700, 21, "Buchungsstapel", 13, made, None, "", "", "", accounts.consultant, accounts.client, year, length, begin, end,
        f"Rechnungen {first:%m/%Y}", "", 1, 0, 0, DATEV_CURRENCY, None, "", None, None, "", None, None,
        "", "",
    ]  # fmt: skip
    return _datev_row(head) + _datev_row(DATEV_COLUMNS)


def datev_rows(found: Exported, accounts: DatevAccounts) -> bytes:
    """Return a booking for each tax of the document: the debtor account owes the gross amount to the revenue account (`S`).

    A credit note is booked the other way round (`H`). The revenue accounts are automatic accounts, which work out the tax.
    """
    invoice, rows = found.invoice, b""
    for tax in invoice.taxes:
        gross = tax.basis_minor + tax.tax_minor
        if gross == 0:
            continue
        side = ("S", "H")[(invoice.kind == CREDIT_NOTE) != (gross < 0)]
        amount = f"{to_decimal(abs(gross), invoice.currency):f}".replace(".", ",")
        row: list[Any] = [_Number(amount), side, invoice.currency, None, None, "", _Number(accounts.debtor)]
        row += [_Number(accounts.revenue_of(tax)), "", _Number(f"{invoice.issued_on:%d%m}"), invoice.number]
        row += [f"{invoice.due_on:%d%m%y}", None, found.company[:60]]
        rows += _datev_row(row)
    return rows


class _Number(str):
    """A value that is written without quotation marks."""

    __slots__ = ()


def _datev_row(values: Sequence[Any]) -> bytes:
    def written(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, int | _Number):
            return str(value)
        return '"' + " ".join(str(value).split()).replace('"', '""') + '"'

    return (";".join(written(value) for value in values) + "\r\n").encode(DATEV_ENCODING, errors="replace")


class _Pieces(io.RawIOBase):
    """Collects what the archive writes, until it is taken. It cannot seek, so sizes come after the content of each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found


async def archive(documents: AsyncIterator[Exported]) -> AsyncIterator[bytes]:
    """Yield a ZIP with the PDF and XML of each document, the table of all, and the numbers of those whose files are not made yet."""
    pieces, table, missing = _Pieces(), csv_head(), list[str]()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED, strict_timestamps=False) as out:
        async for found in documents:
            table += csv_rows(found)
            for name, content in _files(found):
                out.writestr(_entry(name, found.invoice.issued_on), content)
            if found.pdf is None:
                missing.append(found.invoice.number)
            yield pieces.take()
        out.writestr("documents.csv", table, zipfile.ZIP_DEFLATED)
        if missing:
            out.writestr("not-yet-made.txt", "\n".join(missing) + "\n")
    yield pieces.take()


def _files(found: Exported) -> Iterator[tuple[str, bytes]]:
    name = "".join(each if each.isalnum() or each in "._-" else "_" for each in found.invoice.number)
    if found.pdf is not None:
        yield f"{name}.pdf", found.pdf
    if found.xml is not None:
        yield f"{name}.xml", found.xml


def _entry(name: str, day: date) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (day.year, day.month, day.day, 0, 0, 0))
