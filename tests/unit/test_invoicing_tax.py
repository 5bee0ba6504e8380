"""How a tenant is taxed when the vendor's operator has said nothing, or only a part."""

import pytest
from pydantic import ValidationError

from services.invoicing.api.requests import BillingDetailsBody, checked_vat_id
from services.invoicing.domain.money import Tax
from services.invoicing.domain.tax import tax_in_force, wrong_tax


@pytest.mark.parametrize(
    ("given", "before", "in_force"),
    [
        ((None, None), None, ("S", "23")),
        ((None, None), ("O", "0"), ("O", "0")),
        ((None, None), ("S", "25"), ("S", "25")),
        (("S", None), ("S", "25"), ("S", "25")),
        (("S", None), ("O", "0"), ("S", "23")),
        (("AE", None), ("S", "25"), ("AE", "0")),
        ((None, "19"), ("S", "25"), ("S", "19")),
        (("Z", "0"), None, ("Z", "0")),
    ],
)
def test_a_tax_that_is_not_given_stays_and_a_new_tenant_gets_the_standard_rate(
    given: tuple[str | None, str | None], before: tuple[str, str] | None, in_force: tuple[str, str]
) -> None:
    assert tax_in_force(*given, Tax(*before) if before else None, "23") == Tax(*in_force)


def test_a_category_and_a_rate_that_do_not_fit_together_name_the_field() -> None:
    given = (("S", "0"), ("O", "25"), ("AE", "0"), ("S", "25"), ("Z", "0.0"))
    wrong = [wrong_tax(Tax(category, rate), None, "DK", "IE1234567T") for category, rate in given]
    assert [found.field if found else None for found in wrong] == ["tax_rate_percent", "tax_rate_percent", "vat_id", None, None]
    assert wrong_tax(Tax("AE", "0"), "DK13585628", "DK", "IE1234567T") is None


@pytest.mark.parametrize("category", ["S", "AE"])
def test_a_tax_that_the_seller_must_be_registered_for_names_the_missing_setting(category: str) -> None:
    wrong = wrong_tax(Tax(category, "25" if category == "S" else "0"), "DK13585628", "DK", None)
    assert wrong is not None
    assert wrong.field == "tax_category"
    assert "SEATPOOL_SELLER_VAT_ID" in wrong.expected


@pytest.mark.parametrize("country", ["GB", "XI", "NO", "CH"])
def test_there_is_no_reverse_charge_for_a_buyer_outside_the_EU(country: str) -> None:
    """Northern Ireland belongs to the EU for goods; the product sells services."""
    wrong = wrong_tax(Tax("AE", "0"), "XI980780684", country, "IE1234567T")
    assert wrong is not None
    assert (wrong.field, wrong.expected.split(",")[0]) == ("tax_category", "O")
    assert wrong_tax(Tax("O", "0"), "XI980780684", country, "IE1234567T") is None


@pytest.mark.parametrize(
    ("given", "country", "kept"),
    [
        ("XI980780684", "GB", "XI980780684"),
        ("xi 980 7806 84", "GB", "XI980780684"),
        ("GB980780684", "GB", "GB980780684"),
        ("980780684", "GB", "GB980780684"),
        ("XI980780684", "XI", "XI980780684"),
        ("EL094259216", "GR", "EL094259216"),
        ("094259216", "GR", "EL094259216"),
    ],
)
def test_a_vat_id_keeps_its_special_prefix(given: str, country: str, kept: str) -> None:
    assert checked_vat_id(given, country) == kept


@pytest.mark.parametrize("vat_id", ["", "  ", "\x01", "a\x7fb"])
def test_a_vat_id_is_something_that_can_be_printed_also_where_a_country_has_no_rule_for_it(vat_id: str) -> None:
    body = {"company": "A", "street": "s", "city": "c", "country": "AQ", "email": "a@acme.example"}
    assert BillingDetailsBody.model_validate(body | {"vat_id": " 12  3 "}).vat_id == "12 3"
    with pytest.raises(ValidationError, match="vat_id"):
        BillingDetailsBody.model_validate(body | {"vat_id": vat_id})
