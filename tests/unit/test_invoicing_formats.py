"""What a format requires is refused where the billing details are set, and names the field or the vendor's setting."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.invoicing.api.electronic_addresses import checked_bic, checked_electronic_address, checked_iban
from services.invoicing.api.requests import BillingDetailsBody, ModuleBody
from services.invoicing.domain.formats import Format, wrong_format
from shared.settings import KafkaSettings
from tests.support.invoicing import settings_of

SELLER = {
    "vat_id": "IE6388047V",
    "postcode": "D02 AF30",
    "contact": "Accounts",
    "telephone": "+353 1 2345678",
    "iban": "IE29AIBK93115212345678",
    "electronic_address": "9935:IE6388047V",
}
LEITWEG_ID = "04011000-1234512345-06"
BUYER = {"postcode": "10115", "buyer_reference": LEITWEG_ID, "purchase_order": "", "electronic_address": f"0204:{LEITWEG_ID}"}
BODY = {"company": "A", "street": "s", "city": "c", "country": "DE", "email": "a@acme.example"}
PANICS = "\u0958\u094d" * 90  # the shaper of typst counts too far in such a syllable


def wrong(
    document_format: str,
    *,
    seller: dict[str, str] | None = None,
    buyer: dict[str, str] | None = None,
    category: str = "S",
    countries: tuple[str, str] = ("IE", "DE"),
) -> tuple[str, str] | None:
    """Return the refused field and what is expected instead; `seller` and `buyer` replace fields."""
    of_seller: dict[str, Any] = SELLER | (seller or {})
    found = wrong_format(document_format, category, seller=of_seller, buyer=BUYER | (buyer or {}), countries=countries)
    return (found.field, found.expected) if found else None


@pytest.mark.parametrize("document_format", Format)
def test_a_format_that_has_all_it_needs_is_accepted(document_format: Format) -> None:
    assert wrong(document_format) is None


@pytest.mark.parametrize("document_format", ["xrechnung_cii", "xrechnung_ubl"])
@pytest.mark.parametrize("field", ["buyer_reference", "postcode", "electronic_address"])
def test_xrechnung_names_the_missing_field_of_the_buyer(document_format: str, field: str) -> None:
    found = wrong(document_format, buyer={field: ""})
    assert found is not None
    assert found[0] == field


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("postcode", "SEATPOOL_SELLER_POSTCODE"),
        ("contact", "SEATPOOL_SELLER_CONTACT"),
        ("telephone", "SEATPOOL_SELLER_TELEPHONE"),
        ("iban", "SEATPOOL_SELLER_IBAN"),
        ("electronic_address", "SEATPOOL_SELLER_ELECTRONIC_ADDRESS"),
    ],
)
def test_xrechnung_names_the_missing_setting_of_the_vendor(field: str, setting: str) -> None:
    found = wrong("xrechnung_ubl", seller={field: ""})
    assert found is not None
    assert found[0] == "document_format"
    assert setting in found[1]
    assert wrong("factur_x", seller={field: ""}) is None


def test_peppol_needs_addresses_of_its_own_list_and_a_reference_or_an_order() -> None:
    assert wrong("peppol_bis", buyer={"buyer_reference": "", "purchase_order": "PO-7"}) is None
    refused = {"buyer_reference": wrong("peppol_bis", buyer={"buyer_reference": ""})}
    refused |= {"electronic_address": wrong("peppol_bis", buyer={"electronic_address": ""})}
    assert {name: found and found[0] for name, found in refused.items()} == {name: name for name in refused}
    of_list = wrong("peppol_bis", buyer={"electronic_address": "EM:a@acme.example"})
    assert of_list is not None
    assert of_list[0] == "electronic_address"
    of_vendor = wrong("peppol_bis", seller={"electronic_address": "EM:a@acme.example"})
    assert of_vendor is not None
    assert of_vendor[0] == "document_format"


def test_peppol_in_Germany_needs_what_xrechnung_needs_and_some_countries_need_the_vendor_s_number() -> None:
    assert wrong("peppol_bis", seller={"telephone": ""}) is None
    assert wrong("peppol_bis", seller={"telephone": ""}, countries=("DE", "DE")) is not None
    in_denmark = wrong("peppol_bis", countries=("DK", "DE"))
    assert in_denmark is not None
    assert "SEATPOOL_SELLER_REGISTRATION_NUMBER" in in_denmark[1]


@pytest.mark.parametrize(("category", "number"), [("E", "tax_number"), ("Z", "tax_number"), ("O", "organisation_number")])
def test_a_vendor_without_a_vat_id_is_named_by_another_number(category: str, number: str) -> None:
    found = wrong("factur_x", seller={"vat_id": ""}, category=category)
    assert found is not None
    assert found[0] == "tax_category"
    assert wrong("factur_x", seller={"vat_id": "", number: "201/113/40209"}, category=category) is None


@pytest.mark.parametrize(
    ("given", "kept"), [("0088:4012345000009", "0088:4012345000009"), (" em: a@acme.example ", "EM:a@acme.example"), ("", "")]
)
def test_an_electronic_address_has_a_scheme_of_the_list(given: str, kept: str) -> None:
    assert checked_electronic_address(given) == kept


@pytest.mark.parametrize("given", ["4012345000009", "1234:5", "0088:", "EM:nobody", "0088:a b", "0088:é"])
def test_an_electronic_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        checked_electronic_address(given)


def test_an_IBAN_and_a_BIC_are_checked() -> None:
    assert checked_iban("IE29 AIBK 9311 5212 3456 78") == "IE29AIBK93115212345678"
    assert checked_bic("AIBKIE2D") == "AIBKIE2D"
    for check, value in ((checked_iban, "IE29AIBK93115212345679"), (checked_bic, "A")):
        with pytest.raises(ValueError, match=value):
            check(value)


def test_the_check_digits_of_a_Leitweg_ID_are_checked_for_xrechnung() -> None:
    given = BODY | {"document_format": "xrechnung_ubl", "electronic_address": f"0204:{LEITWEG_ID}"}
    assert BillingDetailsBody.model_validate(given | {"buyer_reference": LEITWEG_ID})
    assert BillingDetailsBody.model_validate(given | {"buyer_reference": "Department 7"})
    with pytest.raises(ValidationError, match="check digits of the Leitweg-ID 04011000-1234512345-07"):
        BillingDetailsBody.model_validate(given | {"buyer_reference": "04011000-1234512345-07"})


@pytest.mark.parametrize("text", ["株式会社", "Ægir\uffff", "Kaf\x80", "Rocket 🚀", "private \ue000"])
def test_a_text_that_no_document_can_show_is_refused_where_it_is_set(text: str) -> None:
    """PDF/A forbids a character without a glyph. Its document could never be made, and its e-mail never sent."""
    given = {"company": "Ægir & Søn", "street": "نظام 1", "city": "Αθήνα Київ", "country": "DK", "email": "a@acme.example"}
    assert BillingDetailsBody.model_validate(given)
    refused = "a text without control characters" if text == "Kaf\x80" else "characters that documents can show"
    for field in ("company", "street", "postcode", "city", "organisation_number", "buyer_reference", "purchase_order"):
        with pytest.raises(ValidationError, match=refused):
            BillingDetailsBody.model_validate(given | {field: text})
    with pytest.raises(ValidationError, match=refused):
        ModuleBody(name=text)
    with pytest.raises(ValidationError, match="seller_name"):
        settings_of("", KafkaSettings(), seller_name=text)


def test_a_text_that_makes_the_typesetter_panic_is_refused_and_the_next_one_is_accepted() -> None:
    given = {"company": "Acme", "street": "1", "city": "Київ", "country": "DK", "email": "a@acme.example"}
    for field in ("company", "street", "city"):
        with pytest.raises(ValidationError, match=f"{field}\n.*characters that documents can show, and they cannot show {PANICS}"):
            BillingDetailsBody.model_validate(given | {field: PANICS})
    assert BillingDetailsBody.model_validate(given)
