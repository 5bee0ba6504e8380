"""What stands on the PDF, and that it is the same file each time."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from string import Formatter
from typing import Any

import pypdf
import pytest

from services.invoicing.documents.document import document
from services.invoicing.documents.logo import read_logo
from services.invoicing.documents.party import Party
from services.invoicing.documents.pdf import render
from services.invoicing.documents.translations import TEXTS
from services.invoicing.documents.typesetting import CannotTypesetError, to_pdf
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceIssued, InvoiceLine, TaxLine
from tests.support.invoicing_harness import ANN

AT = datetime(2013, 11, 18, 9, tzinfo=UTC)
SELLER = Party(
    "Example Software Ltd", "1 Example Street", "D02 AF30", "Dublin", "IE", "IE6388047V", email="billing@example.com", account="IE29 AIBK"
)
BUYER = Party("Ægir & Søn <A/S> #1", "Vesterbrogade 1", "1620", "København V", "DK", "DK13585628", "CVR-77")


def line(text_key: str, module: str, quantity: int, price: int, days: int, whole: int, net: int, *charges: str) -> InvoiceLine:
    return InvoiceLine(
        text_key=text_key,
        module=module,
        quantity=quantity,
        unit_price_minor=price,
        from_day=date(2013, 11, 18),
        to_day=date(2013, 12, 1),
        days=days,
        days_of_period=whole,
        net_minor=net,
        charges=charges,
    )


DEMO = line("proration", "time", 6, 1200, 13, 30, 3120, "c")


def invoice(lines: Sequence[InvoiceLine] = (DEMO,), *, category: str = "S", rate: str = "25", tax: int = 780, **more: Any) -> InvoiceIssued:
    net = sum(line.net_minor for line in lines)
    taxed = [line.model_copy(update={"tax_category": category, "tax_rate_percent": rate}) for line in lines]
    fields: dict[str, Any] = {
        "invoice": "inv-1",
        "number": "INV-000017",
        "issued_on": AT.date(),
        "due_on": date(2013, 12, 2),
        "subscription": "s",
        "orders": (),
        "currency": "EUR",
        "billing_details": "d1",
        "lines": tuple(taxed),
        "taxes": (TaxLine(category=category, rate_percent=rate, basis_minor=net, tax_minor=tax),),
        "net_minor": net,
        "tax_minor": tax,
        "gross_minor": net + tax,
    }
    return InvoiceIssued(at=AT, actor=ANN, **fields | more)


def read(issued: InvoiceIssued, locale: str = "en", charges: Sequence[ChargeBooked] = ()) -> tuple[bytes, pypdf.PdfReader, str]:
    made = document(issued, seller=SELLER, buyer=BUYER, locale=locale, modules={"time": "Time registration"}, charges=charges)
    pdf, *_ = files = render(made)
    assert render(made) == files
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    # Without the spaces, which are the reader's guess.
    return pdf, reader, "".join("".join(page.extract_text() for page in reader.pages).split())


def test_T10_the_demo_s_invoice_states_the_amounts_and_their_reasons() -> None:
    _, reader, text = read(invoice())
    expected = ["INV-000017", "18November2013", "2December2013", "Timeregistration", "13of30", "12.00", "31.20", "25%", "7.80", "€39.00"]
    expected += ["Ægir&Søn<A/S>#1", "DK13585628", "Organisationnumber:CVR-77", "Denmark"]
    expected += ["IE6388047V", "IE29AIBK", "Page1of1", "30Nov2013"]
    assert [part for part in expected if part not in text] == []
    assert reader.metadata is not None
    assert reader.metadata.title == "Invoice INV-000017"


def test_the_PDF_is_an_archive_format_with_embedded_fonts_and_tags() -> None:
    pdf, reader, _ = read(invoice())
    assert b"<pdfaid:part>3</pdfaid:part>" in pdf
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in pdf
    root: Any = reader.trailer["/Root"]
    resources: Any = reader.pages[0]["/Resources"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    fonts = resources["/Font"]
    descendants = [font.get_object()["/DescendantFonts"][0].get_object() for font in fonts.values()]
    assert descendants
    assert all({"/FontFile3", "/FontFile2"} & set(font["/FontDescriptor"].get_object()) for font in descendants)


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("da", ["Faktura", "39,00€", "18.november2013", "13af30", "Danmark"]),
        ("de-DE", ["Rechnung", "39,00€", "18.November2013", "13von30", "Dänemark"]),
        ("en-GB", ["Invoice", "€39.00", "18November2013"]),
        ("nb-NO", ["Faktura", "39,00€", "18.november2013", "13av30", "Danmark"]),
        ("sv", ["Faktura", "39,00€", "18november2013", "13av30", "Danmark"]),
        ("fr-FR", ["Facture", "39,00€", "18novembre2013", "13sur30", "Danemark", "TotalHT"]),
        ("pl", ["Invoice", "€39.00", "18November2013"]),
    ],
)
def test_the_PDF_is_written_in_the_customer_s_language_or_in_English(locale: str, expected: list[str]) -> None:
    _, _, text = read(invoice(), locale)
    assert [part for part in expected if part not in text] == []


@pytest.mark.parametrize("locale", ["en-Shaw-GB", "en-Dsrt-US"])
def test_a_locale_in_a_script_that_documents_cannot_show_gets_plain_English(locale: str) -> None:
    """The fonts of documents lack its letters, and a document with them cannot be made."""
    assert read(invoice(), locale)[2] == read(invoice(), "en")[2]


def test_M14_an_adjustment_names_the_changes_it_sums() -> None:
    def charge(name: str, quantity: int, day: date, days: int, net: int) -> ChargeBooked:
        fields: dict[str, Any] = {
            "charge": name,
            "decision": "x",
            "currency": "EUR",
            "module": "time",
            "unit_price_minor": 1200,
            "days_of_period": 30,
        }
        return ChargeBooked(at=AT, actor=ANN, quantity=quantity, day=day, days=days, net_minor=net, **fields)

    charges = [charge("a", 2, date(2013, 11, 15), 16, 1280), charge("b", 3, date(2013, 11, 20), 11, 1320)]
    _, _, text = read(invoice([line("adjustment", "time", 5, 0, 0, 0, 2600, "a", "b")], tax=650), charges=charges)
    assert "2from15Nov2013,16of30daysat€12.00each:€12.80" in text
    assert "3from20Nov2013,11of30daysat€12.00each:€13.20" in text


def test_the_PDF_states_reverse_charge_and_test_invoices() -> None:
    _, _, text = read(invoice(category="AE", rate="0", tax=0, test=True))
    assert "Nothingistobepaid.Arealinvoicewouldaskfor" in text
    assert "Pleasepay" not in text
    assert "Reversecharge:VATistobeaccountedforbytherecipient." in text
    assert "notataxdocument" in text
    _, _, credit = read(invoice(kind="credit_note", test=True))
    assert "Thisisarehearsal:nobodyowesanything.Arealcreditnotewouldcredit€39.00." in credit
    assert "Weoweyou" not in credit
    assert "Weoweyou€39.00" in read(invoice(kind="credit_note"))[2]


def test_a_long_invoice_has_numbered_pages_and_repeats_its_header() -> None:
    _, reader, text = read(invoice([DEMO] * 120, tax=0))
    count = len(reader.pages)
    assert count > 3
    assert f"Page{count}of{count}" in text
    assert text.count("UnitpriceDaysAmount(EUR)") == count


def test_a_long_word_breaks_where_its_column_ends() -> None:
    buyer = replace(BUYER, street="9" * 200, purchase_order="P" * 100)
    shown = document(invoice(), seller=SELLER, buyer=buyer, locale="en", modules={"time": "T" * 200}, charges=())
    found = pypdf.PdfReader(io.BytesIO(render(shown).pdf)).pages[0].extract_text().replace("\N{ZERO WIDTH SPACE}", "")
    for character, count, most in (("9", 200, 60), ("P", 100, 40), ("T", 200, 50)):
        parts = [part for part in re.findall(f"{character}+", found) if len(part) > 3]
        assert sum(map(len, parts)) == count
        assert max(map(len, parts)) <= most, f"a line of {character} runs over the edge of its column"


def test_every_language_has_every_text_with_the_same_values_in_it() -> None:
    def values(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for language, texts in TEXTS.items():
        assert texts.keys() == TEXTS["en"].keys(), language
        assert [name for name, text in texts.items() if values(text) != values(TEXTS["en"][name])] == [], language
        assert [name for name, text in texts.items() if text.endswith(".") < TEXTS["en"][name].endswith(".")] == [], "a sentence ends"


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 10"><rect width="40" height="10" fill="#ff0080"/></svg>'


def test_the_logo_of_the_vendor_stands_on_the_PDF(tmp_path: Path) -> None:
    file = tmp_path / "logo.svg"
    file.write_text(SVG)
    made = document(invoice(), seller=SELLER, buyer=BUYER, locale="en", modules={"time": "Time registration"}, charges=())
    pdf = render(made, read_logo(file)).pdf
    assert render(made, read_logo(file)).pdf == pdf
    page = pypdf.PdfReader(io.BytesIO(pdf)).pages[0].get_contents()
    assert page is not None
    assert re.search(rb"\b1 0 0\.50\d+ scn?\b", page.get_data()), "no part of the page has the colour of the logo"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file"),
        (b"\x89PNG\r\n", "no SVG picture"),
        (b"<svg", "no SVG picture"),
        (b" " * 100_001, "larger than 100,000"),
    ],
)
def test_a_logo_that_no_pdf_can_contain_is_refused_when_the_service_starts(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "logo.svg"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_logo(file)


def test_a_document_that_makes_the_typesetter_panic_is_an_ordinary_error_and_the_next_one_is_made() -> None:
    """Such a text is refused where it is entered, but one that is stored may make another release of the typesetter panic."""
    of: Any = {"seller": SELLER, "locale": "en", "modules": {"time": "Time registration"}, "charges": ()}
    with pytest.raises(CannotTypesetError, match="panicked"):
        render(document(invoice(), buyer=replace(BUYER, name="\u0958\u094d" * 90), **of))
    assert render(document(invoice(), buyer=BUYER, **of)).pdf.startswith(b"%PDF")


def test_what_is_no_failure_of_the_typesetter_goes_on() -> None:
    def interrupted(**_: object) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_pdf(interrupted)
