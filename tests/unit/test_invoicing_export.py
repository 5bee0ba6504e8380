"""The files for accountants, read as their programs read them."""

import csv
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from services.invoicing.documents.export import (
    CSV_COLUMNS,
    DATEV_COLUMNS,
    DATEV_ENCODING,
    DatevAccounts,
    Exported,
    archive,
    csv_head,
    csv_rows,
    datev_head,
    datev_rows,
)
from shared.schemas.invoicing_v1 import InvoiceIssued
from tests.support.invoicing_harness import InvoicingHarness

ACCOUNTS = DatevAccounts(29098, 55003, "10000", {"S": "4400", "Z": "4120", "E": "4120", "AE": "4336", "O": "4338"})


def documents() -> list[Exported]:
    """Return an invoice and the credit note that corrects it."""
    harness = InvoicingHarness(credit_when="now", billed=False, tax=("S", "19"))
    harness.reduce("time", 80)
    harness.go(days=2)
    invoice, credit = (each.model_copy(update={"number": number}) for each, number in zip(harness.invoices, ("INV-1", "CN-1"), strict=True))
    return [
        Exported("acme", 'Müller & "Söhne" GmbH', "DE136695976", invoice, 100, (), b"%PDF-1", b"<xml/>"),
        Exported("acme", "=cmd()", None, credit, 0, ("INV-1",)),
    ]


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_the_table_has_a_row_for_each_tax_with_the_signs_of_the_books() -> None:
    invoice, credit = rows_of(csv_head() + b"".join(map(csv_rows, documents())))
    assert tuple(invoice) == CSV_COLUMNS
    assert (invoice["number"], invoice["net"], invoice["tax"], invoice["gross"], invoice["open"]) == (
        "INV-1",
        "3360.00",
        "638.40",
        "3998.40",
        "1.00",
    )
    assert (credit["kind"], credit["corrects"], float(credit["gross"]) < 0) == ("credit_note", "INV-1", True)
    assert credit["company"] == "'=cmd()", "a spreadsheet must not read a name as a formula"


def test_currencies_without_decimals_and_with_three_are_written_in_their_units() -> None:
    for currency, gross in (("JPY", "399840"), ("KWD", "399.840")):
        found = replace(documents()[0], invoice=documents()[0].invoice.model_copy(update={"currency": currency}))
        assert rows_of(csv_head() + csv_rows(found))[0]["gross"] == gross


MADE = datetime(2013, 12, 1, 8, 30, 5, 120_000, tzinfo=UTC)


def datev(found: list[Exported]) -> list[list[str]]:
    content = datev_head(ACCOUNTS, date(2013, 11, 1), date(2013, 11, 30), MADE) + b"".join(datev_rows(each, ACCOUNTS) for each in found)
    assert content.count(b"\r\n") == content.count(b"\n")
    return list(csv.reader(io.StringIO(content.decode(DATEV_ENCODING), newline=""), delimiter=";"))


def test_a_booking_batch_has_the_head_lines_of_extf_700() -> None:
    head, columns, *bookings = datev(documents())
    assert head[:6] == ["EXTF", "700", "21", "Buchungsstapel", "13", "20131201083005120"]
    assert head[10:16] == ["29098", "55003", "20130101", "4", "20131101", "20131130"]
    assert (head[21], len(head)) == ("EUR", 31)
    assert tuple(columns) == DATEV_COLUMNS
    assert len(bookings) == 2
    written = datev_head(ACCOUNTS, date(2013, 11, 1), date(2013, 11, 30), MADE).decode(DATEV_ENCODING)
    assert written.startswith('"EXTF";700;21;"Buchungsstapel";13;20131201083005120;;"";"";"";29098;55003;20130101;4;20131101;20131130;"')


def test_an_invoice_is_debited_to_the_debtor_and_a_credit_note_credited() -> None:
    _, columns, *bookings = datev(documents())
    invoice, credit = (dict(zip(columns, booking, strict=True)) for booking in bookings)
    shown = [invoice[name] for name in ("Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen", "Konto", "Gegenkonto (ohne BU-Schlüssel)")]
    assert shown == ["3998,40", "S", "10000", "4400"]
    assert (invoice["Belegdatum"], invoice["Belegfeld 1"], invoice["Belegfeld 2"]) == ("0111", "INV-1", "151113")
    assert invoice["Buchungstext"] == 'Müller & "Söhne" GmbH'
    assert credit["Soll/Haben-Kennzeichen"] == "H"


def test_a_name_beyond_the_encoding_of_datev_does_not_stop_the_batch() -> None:
    _, columns, booking = datev([replace(documents()[0], company="Łódź\r\nПетров; GmbH")])
    assert dict(zip(columns, booking, strict=True))["Buchungstext"] == "?ód? ??????; GmbH"


async def test_the_archive_has_the_files_the_table_and_the_numbers_of_what_is_missing() -> None:
    async def given() -> AsyncIterator[Exported]:
        for each in documents():
            yield each

    pieces = [piece async for piece in archive(given())]
    assert len(pieces) == 3, "it is written as a stream"
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as found:
        assert found.testzip() is None
        assert found.namelist() == ["INV-1.pdf", "INV-1.xml", "documents.csv", "not-yet-made.txt"]
        assert found.read("INV-1.pdf") == b"%PDF-1"
        assert found.read("not-yet-made.txt") == b"CN-1\n"
        assert len(rows_of(found.read("documents.csv"))) == 2


def test_taxes_of_two_rates_are_two_rows() -> None:
    found: InvoiceIssued = documents()[0].invoice
    other: Any = found.taxes[0].model_copy(update={"category": "O", "rate_percent": "0", "basis_minor": 500, "tax_minor": 0})
    both = replace(documents()[0], invoice=found.model_copy(update={"taxes": (*found.taxes, other)}))
    assert [row["open"] for row in rows_of(csv_head() + csv_rows(both))] == ["1.00", "0.00"], "what is open is named once"
    assert [booking[7] for booking in datev([both])[2:]] == ["4400", "4338"]


def test_a_rate_with_an_account_of_its_own_is_booked_there() -> None:
    """An automatic account works out the tax with its own rate, so a rate of another country must not be booked on it."""
    accounts = replace(ACCOUNTS, revenue={**ACCOUNTS.revenue, "S/25": "4320"})
    found = documents()[0]
    (tax,) = found.invoice.taxes
    other = tax.model_copy(update={"rate_percent": "25"})
    both = replace(found, invoice=found.invoice.model_copy(update={"taxes": (tax, other)}))
    booked = csv.reader(io.StringIO(datev_rows(both, accounts).decode(DATEV_ENCODING)), delimiter=";")
    assert [row[7] for row in booked] == ["4400", "4320"]
