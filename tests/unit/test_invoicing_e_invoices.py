"""Electronic invoices: every document that claims a format passes the schema and all rules of the format, with no warning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

import facturx
import orjson
import pypdf
import pytest
import segno.helpers
from lxml import etree

from services.invoicing.documents.document import document
from services.invoicing.documents.e_invoice import prefixed_vat_id, register_number
from services.invoicing.documents.party import Party
from services.invoicing.documents.pdf import render
from services.invoicing.documents.xml import write_xml
from services.invoicing.domain.account import CREDIT_NOTE
from services.invoicing.domain.formats import Format
from services.invoicing.domain.invoices import billed
from shared.money import minor_units
from shared.schemas.invoicing_v1 import Discount, InvoiceIssued, PriceStep
from tests.support.e_invoices import faults, pdf_faults
from tests.support.invoicing_harness import InvoicingHarness

pytestmark = pytest.mark.xdist_group("e_invoices")  # the rules are compiled once

IE = Party(
    name="Example Software Ltd",
    street="1 Example Street",
    postcode="D02 AF30",
    city="Dublin",
    country="IE",
    vat_id="IE6388047V",
    organisation_number="556677",
    email="billing@example.com",
    electronic_address="9935:IE6388047V",
    registration="Directors: A. Example",
    contact="Accounts",
    telephone="+353 1 2345678",
    iban="IE29AIBK93115212345678",
    bic="AIBKIE2D",
)


def seller(country: str, vat_id: str, number: str, address: str, iban: str) -> Party:
    return replace(IE, country=country, vat_id=vat_id, organisation_number=number, electronic_address=address, iban=iban, bic="")


SELLERS = {
    "IE": IE,
    "DE": seller("DE", "DE136695976", "HRB 1234", "9930:DE136695976", "DE89370400440532013000"),
    "DK": seller("DK", "DK13585628", "13585628", "0184:DK13585628", "DK5000400440116243"),
    "FR": seller("FR", "FR83404833048", "404833048", "0002:404833048", "FR1420041010050500013M02606"),
    "NL": seller("NL", "NL004495445B01", "12345678", "9944:NL004495445B01", "NL91ABNA0417164300"),
    "NO": seller("NO", "NO988077917MVA", "988077917", "0192:988077917", "NO9386011117947"),
    "SE": seller("SE", "SE556188840401", "556188-8404", "0007:5561888404", "SE4550000000058398257466"),
}
BUYER = Party(
    name="Ægir & Søn <A/S> #1",
    street="Vesterbrogade 1",
    postcode="1620",
    city="København V",
    country="DK",
    vat_id="DK13585628",
    organisation_number="13585628",
    electronic_address="0184:DK13585628",
    buyer_reference="04011000-1234512345-06",
    purchase_order="PO-7",
)
BUYERS = {
    "DK": BUYER,
    "DE": replace(BUYER, country="DE", vat_id="DE136695976", organisation_number=None, electronic_address="0204:04011000-1234512345-06"),
    "GR": replace(BUYER, country="GR", vat_id="EL094259216", organisation_number=None, electronic_address="9933:EL094259216"),
    "NL": replace(BUYER, country="NL", vat_id="NL004495445B01", organisation_number="12345678", electronic_address="0106:12345678"),
    "NO": replace(BUYER, country="NO", vat_id="988077917MVA", organisation_number="988 077 917", electronic_address="0192:988077917"),
    "XI": replace(BUYER, country="XI", vat_id="XI980780684", organisation_number=None, electronic_address="0088:4012345000009"),
}


def march(**more: Any) -> InvoicingHarness:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    given: dict[str, Any] = {"licences": {"time": 3}, "start": date(2026, 3, 1), "at": at, "charge_when": "now", "credit_when": "now"}
    return InvoicingHarness(**given | more)


APRIL = datetime(2026, 4, 1, 12, tzinfo=UTC)


def made(
    harness: InvoicingHarness,
    issued: InvoiceIssued,
    document_format: Format,
    *,
    seller: Party = IE,
    buyer: Party = BUYER,
    locale: str = "en",
) -> dict[str, Any]:
    """Return the stored document, as it comes back from the database."""
    issues = {each.invoice: (f"INV-{n}", each.issued_on) for n, each in enumerate(harness.invoices)}
    stored = document(
        issued.model_copy(update={"number": issues[issued.invoice][0]}),
        seller=seller,
        buyer=buyer,
        locale=locale,
        modules={"time": "Time registration"},
        charges=harness.found.charges,
        corrected=[issues[name] for name in issued.corrects],
        document_format=document_format,
    )
    found: dict[str, Any] = orjson.loads(orjson.dumps(stored))
    return found


def xml_of(stored: Mapping[str, Any]) -> bytes:
    return write_xml(stored["xml"]["fields"], stored["xml"]["format"])


def broken(harness: InvoicingHarness, *, formats: Sequence[Format] = tuple(Format), **parties: Any) -> list[tuple[str, str, str]]:
    return [
        (issued.invoice, document_format, fault)
        for issued in harness.invoices
        for document_format in formats
        for fault in faults(xml_of(made(harness, issued, document_format, **parties)), document_format)
    ]


def summed_adjustment() -> InvoicingHarness:
    harness = march(charge_when="next_invoice", credit_when="next_invoice")
    harness.expand("time", 2)
    harness.go(days=3)
    harness.reduce("time", 1)
    harness.go(days=2)
    harness.define_plan(time=2400)
    harness.buy(time=7)
    harness.go(to=APRIL)
    return harness


def credit_note_for_three() -> InvoicingHarness:
    harness = march(billed=False)
    for _ in range(2):
        harness.buy(time=2)
        harness.go(days=2)
    harness.reduce("time", 6)
    harness.go(days=1)
    return harness


def two_rates() -> InvoicingHarness:
    harness = march(charge_when="next_invoice", credit_when="next_invoice")
    harness.buy(time=5)
    harness.go(days=2)
    harness.change_details(rate="5.5")
    harness.go(to=APRIL)
    return harness


def settled() -> InvoicingHarness:
    harness = march(licences={"time": 5, "documents": 1}, credit_when="next_invoice")
    harness.reduce("time", 4)
    harness.go(days=1)
    harness.buy(documents=1)
    return harness


def of_currency(currency: str) -> InvoicingHarness:
    harness = march(currency=currency, billed=False)
    harness.buy(time=7)
    harness.go(days=4)
    harness.reduce("time", 6)
    harness.go(to=APRIL)
    return harness


def of_steps() -> InvoicingHarness:
    """A line for each step, a credit of two steps, and included licences."""
    steps = (PriceStep(up_to=4, amount_minor=1133), PriceStep(up_to=6, amount_minor=997))
    harness = march(billed=False, tariffs={"time": {"steps": steps, "included": 2}})
    harness.go(days=1)
    harness.buy(time=5)
    harness.go(days=1)
    harness.reduce("time", 3)
    harness.go(to=APRIL)
    return harness


CASES: dict[str, Callable[[], InvoicingHarness]] = {
    "a summed adjustment": summed_adjustment,
    "a credit note that corrects three invoices": credit_note_for_three,
    "two tax rates": two_rates,
    "an invoice that credits cover": settled,
    "two decimals": lambda: of_currency("DKK"),
    "graduated prices": of_steps,
    "no decimals": lambda: of_currency("JPY"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_document_passes_all_rules_of_each_format(case: str) -> None:
    harness = CASES[case]()
    assert harness.invoices
    assert broken(harness) == []


def test_a_rehearsed_credit_note_has_one_note_with_all_texts() -> None:
    """Peppol allows one note: that it is a rehearsal, and what it corrects, are in it."""
    harness = credit_note_for_three()
    note = harness.invoices[-1].model_copy(update={"test": True})
    stored = made(harness, note, Format.PEPPOL_BIS)
    assert len(stored["notes"]) == 2
    assert faults(xml_of(stored), Format.PEPPOL_BIS) == []
    assert " ".join(stored["notes"]) in xml_of(stored).decode()


def test_a_credit_note_names_each_invoice_that_it_corrects() -> None:
    harness = credit_note_for_three()
    note = harness.invoices[-1]
    assert (note.kind, len(note.corrects)) == (CREDIT_NOTE, 3)
    for document_format in Format:
        xml = xml_of(made(harness, note, document_format)).decode()
        assert [number for number in ("INV-0", "INV-1", "INV-2") if number not in xml] == []


def test_a_credit_note_names_the_invoices_that_it_corrects_by_their_dates() -> None:
    harness = credit_note_for_three()
    note = harness.invoices[-1]
    stored = made(harness, note.model_copy(update={"corrects": note.corrects[::-1]}), Format.FACTUR_X)
    assert "Corrects INV-0, INV-1, INV-2" in stored["notes"]
    named = [each["BT-25"] for each in stored["xml"]["fields"]["BG-3"]]
    assert named == ["INV-0", "INV-1", "INV-2"]


@pytest.mark.parametrize("category", ["AE", "O", "E", "Z"])
def test_each_tax_category_passes_all_rules_of_each_format(category: str) -> None:
    harness = march(tax=(category, "0"), billed=False)
    harness.buy(time=2)
    assert broken(harness) == []


def test_a_seller_without_a_vat_id_passes_with_its_tax_or_register_number() -> None:
    formats = (Format.FACTUR_X, Format.XRECHNUNG_CII, Format.XRECHNUNG_UBL)
    exempt, outside = march(tax=("E", "0"), billed=False), march(tax=("O", "0"), billed=False)
    assert broken(exempt, formats=formats, seller=replace(IE, vat_id=None, tax_number="201/113/40209")) == []
    assert broken(outside, formats=(Format.FACTUR_X,), seller=replace(IE, vat_id=None)) == []
    assert broken(outside, formats=(Format.FACTUR_X,), seller=replace(IE, organisation_number=None)) == []


@pytest.mark.parametrize("country", SELLERS)
def test_a_seller_of_each_country_passes_the_national_rules_for_it(country: str) -> None:
    harness = march(billed=False)
    harness.buy(time=2)
    harness.go(days=3)
    harness.reduce("time", 3)
    harness.go(days=1)
    allowed = ("Foretaksregisteret",) if country == "NO" else ("F-skatt",) if country == "SE" else ()
    for buyer in (BUYER, BUYERS.get(country, BUYER)):
        found = broken(harness, seller=SELLERS[country], buyer=buyer)
        assert [each for each in found if not any(word in each[2] for word in allowed)] == []


@pytest.mark.parametrize("country", BUYERS)
def test_a_buyer_of_each_country_passes_all_rules(country: str) -> None:
    assert broken(march(billed=False), buyer=BUYERS[country]) == []


def test_a_discount_is_an_allowance_of_its_line_and_of_what_a_credit_note_gives_back() -> None:
    harness = march(billed=False, discounts=given(amount_minor=600))
    harness.reduce("time", 1)
    harness.go(days=1)
    assert [each.kind for each in harness.invoices] == ["invoice", CREDIT_NOTE]
    for document_format in Format:
        found = []
        for issued in harness.invoices:
            stored = made(harness, issued, document_format)
            assert faults(xml_of(stored), document_format) == []
            (shown,) = stored["xml"]["fields"]["BG-25"]
            found.append((shown["BT-129"], shown["BT-146"], shown["BG-27"][0]["amount"], shown["BT-131"]))
        assert found == [("3", "12.00", "6.00", "30.00"), ("1", "11.62", "1.94", "9.68")]


def test_what_is_given_back_has_a_negative_quantity_and_no_price_is_negative() -> None:
    harness = settled()
    fields = made(harness, harness.invoices[-1], Format.PEPPOL_BIS)["xml"]["fields"]
    shown = [(line["BT-129"], line["BT-146"], line["BT-131"]) for line in fields["BG-25"]]
    assert shown == [
        ("1", "18.71", "18.71"),
        ("-1", "18.71", "-18.71"),
    ]


def given(**terms: Any) -> tuple[Discount, ...]:
    return (Discount(discount="d", from_day=date(2026, 3, 1), **terms),)


@pytest.mark.parametrize("seed", range(30))
def test_random_documents_pass_all_rules_and_every_line_multiplies(seed: int) -> None:
    random = Random(seed)
    country = random.choice([*SELLERS])
    tax = random.choice([("S", "25"), ("S", "8.1"), ("AE", "0"), ("O", "0"), ("E", "0")])
    harness = march(
        billed=random.random() < 0.5,
        licences={"time": random.randint(1, 400)},
        prices={"time": random.choice([1, 33, 1200, 99_999]), "documents": 2000},
        charge_when=random.choice(["now", "next_invoice", "threshold"]),
        credit_when=random.choice(["now", "next_invoice"]),
        term=random.choice(["monthly", "annual"]),
        currency=random.choice(["EUR", "DKK", "SEK", "JPY", "CHF"]),
        tax=tax,
        zero_invoices=random.random() < 0.5,
        discounts=random.choice([(), given(percent="12.5"), given(percent="100"), given(amount_minor=random.randint(1, 9999))]),
    )
    for _ in range(random.randint(2, 6)):
        change = random.choice(["buy", "expand", "reduce", "go", "price"])
        if change == "buy":
            harness.buy(time=random.randint(1, 60))
        elif change == "expand":
            harness.expand("time", random.randint(1, 60))
        elif change == "reduce":
            harness.reduce("time", random.randint(0, harness.licences["time"] - 1))
        elif change == "price":
            harness.define_plan(time=random.randint(1, 5000))
        harness.go(days=random.choice([0, 1, 6, 11]))
    harness.go(days=31)
    document_format = [*Format][seed % len(Format)]
    buyer = random.choice([*BUYERS.values()])
    found = broken(harness, formats=(document_format,), seller=SELLERS[country], buyer=buyer)
    assert [each for each in found if "Foretaksregisteret" not in each[2] and "F-skatt" not in each[2]] == []
    for line in (line for issued in harness.invoices for line in issued.lines):
        places = minor_units(harness.currency)
        as_billed = billed(line, places)
        product = (as_billed.quantity * as_billed.price).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        assert product == Decimal(line.net_minor + as_billed.discount_minor).scaleb(-places)
        assert as_billed.price >= 0


@pytest.mark.parametrize("field", ["BT-112", "BT-131", "BT-10", "BT-116"])
def test_the_rules_find_a_wrong_document(field: str) -> None:
    """The tests above are worth something only if the rules are really applied."""
    harness = march(billed=False)
    fields = made(harness, harness.invoices[0], Format.XRECHNUNG_UBL)["xml"]["fields"]
    if field == "BT-131":
        fields["BG-25"][0][field] = "35.99"
    elif field == "BT-116":
        fields["BG-23"][0][field] = "34.99"
    else:
        fields[field] = "46.01" if field == "BT-112" else ""
    assert faults(write_xml(fields, Format.XRECHNUNG_UBL), Format.XRECHNUNG_UBL) != []


def test_a_currency_with_three_decimals_has_a_PDF_only_that_says_so() -> None:
    harness = march(currency="KWD", billed=False)
    stored = made(harness, harness.invoices[0], Format.FACTUR_X)
    pdf, xml, apart = render(stored)
    assert (xml, apart) == (None, False)
    assert stored["notices"] == ["This document is a PDF only: electronic invoices have no amounts with more than two decimal places."]
    assert b"factur-x" not in pdf


def test_lines_outside_the_scope_of_VAT_are_a_document_of_their_own() -> None:
    """EN 16931 forbids the mixture (BR-O-11). The buyer moves out of the EU: the new period is not taxed, what is charged for before is."""
    harness = march(charge_when="next_invoice")
    harness.buy(time=5)
    harness.go(days=2)
    harness.change_details(category="O", rate="0")
    harness.go(to=APRIL)
    found = [(each.invoice, [(line.text_key, line.tax_category) for line in each.lines]) for each in harness.invoices]
    assert found == [("inv-2-6-0", [("recurring", "O")]), ("inv-2-6-0-2", [("adjustment", "S")])]
    assert broken(harness) == []


def test_the_PDF_of_factur_x_carries_the_XML_and_declares_it(tmp_path: Path) -> None:
    """Two independent readers: veraPDF for PDF/A-3, and the library factur-x, which finds and validates what is embedded."""
    harness = credit_note_for_three()
    paths = []
    for document_format in (Format.FACTUR_X, Format.PEPPOL_BIS):
        for n, locale in enumerate(("en", "de", "da")):
            pdf, xml, apart = render(made(harness, harness.invoices[-1 - n], document_format, locale=locale))
            assert apart == (document_format != Format.FACTUR_X)
            paths.append(tmp_path / f"{document_format}-{locale}.pdf")
            paths[-1].write_bytes(pdf)
            if document_format == Format.FACTUR_X:
                assert facturx.get_xml_from_pdf(pdf, check_xsd=True) == ("factur-x.xml", xml)
                assert facturx.get_level(etree.fromstring(xml)) == "en16931"
                reader = pypdf.PdfReader(paths[-1])
                root: Any = reader.root_object
                metadata = root["/Metadata"].get_object().get_data().decode()
                assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in metadata
                assert "<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>" in metadata
                (attached,) = root["/AF"]
                assert attached.get_object()["/AFRelationship"] == "/Alternative"
            else:
                assert b"factur-x" not in pdf
    assert pdf_faults(paths) == []


@pytest.mark.parametrize(
    ("vat_id", "country", "expected"),
    [
        ("988077917MVA", "NO", "NO988077917MVA"),
        ("DK13585628", "DK", "DK13585628"),
        ("EL094259216", "GR", "EL094259216"),
        ("XI980780684", "XI", "XI980780684"),
        ("CHE107787577IVA", "CH", "CHE107787577IVA"),
        ("ATU13585627", "AT", "ATU13585627"),
        ("123456789", "US", "US123456789"),
    ],
)
def test_a_vat_id_has_the_prefix_of_its_country(vat_id: str, country: str, expected: str) -> None:
    assert prefixed_vat_id(vat_id, country) == expected


def test_a_register_number_has_the_scheme_of_its_register_if_it_is_one() -> None:
    assert register_number("13 58 56 28", "DK") == ("0184", "DK13585628")
    assert register_number("404 833 048", "FR") == ("0002", "404833048")
    assert register_number("HRB 1234", "DE") == (None, "HRB 1234")
    assert register_number("13585629", "DK") == (None, "13585629")  # its check digit is wrong
    assert register_number(None, "DK") == (None, None)


def test_an_invoice_in_euros_has_a_code_for_the_banking_app_with_the_same_payment_as_the_XML() -> None:
    harness = march(billed=False)
    stored = made(harness, harness.invoices[0], Format.FACTUR_X)
    expected = segno.helpers.make_epc_qr(name=IE.name, iban=IE.iban, bic=IE.bic, amount=45, text="INV-0")
    assert stored["payment_code"] == expected.svg_inline(border=0).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ') + "\n"
    assert (stored["xml"]["fields"]["BT-115"], stored["xml"]["fields"]["BT-84"], stored["xml"]["fields"]["BT-83"]) == (
        "45.00",
        IE.iban,
        "INV-0",
    )
    krone = march(billed=False, currency="DKK")
    note = credit_note_for_three()
    assert [made(each, each.invoices[-1], Format.FACTUR_X)["payment_code"] for each in (krone, note, settled())] == ["", "", ""]
