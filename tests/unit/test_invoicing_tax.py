"""How a tenant is taxed: by the countries, the VAT ID and the day, or as an operator has set it with a reason."""

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from services.invoicing.api.requests import BillingDetailsBody, checked_vat_id
from services.invoicing.domain.money import Tax
from services.invoicing.domain.tax import Given, Seller, Taxed, Treatment, Wrong, home_rate, tax_in_force, tax_on, treatment, wrong_tax
from services.invoicing.domain.tax_rates import EU_COUNTRIES, RATES, standard_rate
from shared.schemas.invoicing_v1 import BillingDetailsChanged
from tests.support.invoicing_harness import ANN, InvoicingHarness

DAY = date(2026, 3, 1)


def ruled(home: str, country: str, vat_id: str | None = None, *, postcode: str = "", oss: bool = False) -> tuple[str, str, str] | None:
    found = treatment(Seller(home, oss, None), country, postcode, vat_id)
    return (found.category, found.rate_percent(DAY), found.rule) if found else None


OUTSIDE = ("O", "0", "outside_the_vat_territory")
REVERSE = ("AE", "0", "reverse_charge")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (ruled("DE", "DE", "DE136695976"), ("S", "19", "domestic")),
        (ruled("DE", "DE"), ("S", "19", "domestic")),
        (ruled("DE", "FR", "FR83404833048"), REVERSE),
        (ruled("DE", "FR"), ("S", "19", "seller_rate")),
        (ruled("DE", "FR", oss=True), ("S", "20", "one_stop_shop")),
        (ruled("DE", "FI", oss=True), ("S", "25.5", "one_stop_shop")),
        (ruled("DE", "US"), OUTSIDE),
        (ruled("DE", "GB", "GB980780684"), OUTSIDE),
        (ruled("DE", "XI", "XI980780684"), OUTSIDE),
        (ruled("DE", "NO", "988077917MVA"), OUTSIDE),
        (ruled("DE", "MC", "FR83404833048"), REVERSE),
        (ruled("DE", "GR", "EL094259216"), REVERSE),
        # Territories of the EU where its VAT does not apply
        (ruled("DE", "ES", "ESB58378431", postcode="35001"), OUTSIDE),
        (ruled("DE", "ES", "ESB58378431", postcode="38 001"), OUTSIDE),
        (ruled("DE", "ES", "ESB58378431", postcode="51001"), OUTSIDE),
        (ruled("DE", "ES", "ESB58378431", postcode="52001"), OUTSIDE),
        (ruled("DE", "ES", "ESB58378431", postcode="28001"), REVERSE),
        (ruled("ES", "ES", "ESB58378431", postcode="35001"), OUTSIDE),
        (ruled("DE", "AX", "FI01120389"), OUTSIDE),
        (ruled("DE", "FI", "FI01120389", postcode="22100"), OUTSIDE),
        (ruled("DE", "FI", "FI01120389", postcode="00100"), REVERSE),
        (ruled("FI", "AX"), ("S", "25.5", "domestic")),
        (ruled("FI", "FI", postcode="22100"), ("S", "25.5", "domestic")),
        (ruled("DE", "DE", postcode="78266"), OUTSIDE),
        (ruled("DE", "RE"), OUTSIDE),
        (ruled("FR", "FR", postcode="97400"), None),
        # Sellers outside the EU
        (ruled("NO", "NO", "988077917MVA"), ("S", "25", "domestic")),
        (ruled("NO", "DK", "DK13585628"), ("Z", "0", "export")),
        (ruled("CH", "CH"), ("S", "8.1", "domestic")),
        (ruled("CH", "DE", "DE136695976"), OUTSIDE),
        (ruled("GB", "GB"), ("S", "20", "domestic")),
        (ruled("GB", "IM"), ("S", "20", "domestic")),
        (ruled("GB", "XI", "XI980780684"), ("S", "20", "domestic")),
        (ruled("GB", "DE", "DE136695976"), OUTSIDE),
        (ruled("US", "DE", "DE136695976"), OUTSIDE),
        (ruled("US", "US"), None),
    ],
)
def test_the_tax_follows_from_the_countries_and_the_vat_id(
    case: tuple[str, str, str] | None, expected: tuple[str, str, str] | None
) -> None:
    assert case == expected


def test_a_vendor_of_a_country_that_the_table_lacks_gives_its_own_rate() -> None:
    found = treatment(Seller("AU", False, "10"), "AU", "2000", None)
    assert found == Treatment("S", "domestic", None, "10")
    assert home_rate(Seller("AU", False, "10"), DAY) == "10"


def test_every_member_state_has_a_rate_for_every_day() -> None:
    assert len(EU_COUNTRIES) == 27
    for country, rates in RATES.items():
        assert [first for first, _ in rates] == sorted({first for first, _ in rates}), country
        assert standard_rate(country, date(2000, 1, 1)) == rates[0][1]


@pytest.mark.parametrize(
    ("country", "day", "rate"),
    [
        ("DE", date(2020, 6, 30), "19"),
        ("DE", date(2020, 7, 1), "16"),
        ("DE", date(2020, 12, 31), "16"),
        ("DE", date(2021, 1, 1), "19"),
        ("EE", date(2025, 6, 30), "22"),
        ("EE", date(2025, 7, 1), "24"),
        ("SK", date(2025, 1, 1), "23"),
        ("RO", date(2025, 8, 1), "21"),
        ("CH", date(2023, 12, 31), "7.7"),
        ("FI", date(2024, 9, 1), "25.5"),
    ],
)
def test_a_rate_holds_from_its_first_day(country: str, day: date, rate: str) -> None:
    assert standard_rate(country, day) == rate


def test_the_rate_of_a_supply_is_that_of_its_day_and_a_credit_keeps_that_of_its_charge() -> None:
    """Germany: 16 % from July to December 2020. Nothing but the day changes."""
    harness = InvoicingHarness(
        zone="Europe/Berlin", start=date(2020, 6, 1), at=datetime(2020, 6, 1, 8, tzinfo=UTC), licences={"time": 3}, credit_when="now"
    )
    harness.details = BillingDetailsChanged(
        at=harness.at, actor=ANN, version="d2", tax_category="S", tax_rate_percent="19", rate_country="DE"
    )
    harness.say(harness.details)
    harness.go(days=10)
    harness.buy(time=2)
    harness.go(days=1)
    harness.reduce("time", 1)
    harness.go(to=datetime(2020, 7, 3, tzinfo=UTC))
    harness.buy(time=1)
    rates = [(each.kind, each.issued_on, [line.tax_rate_percent for line in each.lines]) for each in harness.invoices]
    june = [("invoice", date(2020, 6, 11), ["19"]), ("credit_note", date(2020, 6, 12), ["19"])]
    assert rates == [*june, ("invoice", date(2020, 7, 1), ["16"]), ("invoice", date(2020, 7, 3), ["16"])]


BY_RULES = Treatment("S", "domestic", "DE")
BEFORE = Taxed("Z", "0", None, "operator", "Ruling 7")
HIGHER = Taxed("S", "25", None, "operator", "Ruling 8")


def test_a_tax_that_nobody_sets_follows_the_rules_and_what_an_operator_has_set_stays_until_it_is_taken_back() -> None:
    by_rules = Taxed("S", "19", "DE", "domestic")
    assert tax_in_force(Given(), None, BY_RULES, DAY, "19") == by_rules
    assert tax_in_force(Given(), Taxed("O", "0", None, "outside_the_vat_territory"), BY_RULES, DAY, "19") == by_rules
    assert tax_in_force(Given(), BEFORE, BY_RULES, DAY, "19") == BEFORE
    assert tax_in_force(Given("auto"), BEFORE, BY_RULES, DAY, "19") == by_rules
    assert isinstance(tax_in_force(Given(), None, None, DAY, "19"), Wrong), "no rule, and no operator"


@pytest.mark.parametrize(
    ("given", "before", "in_force"),
    [
        (("O", None), None, ("O", "0")),
        (("S", None), BEFORE, ("S", "19")),
        (("S", None), HIGHER, ("S", "25")),
        ((None, "7"), HIGHER, ("S", "7")),
        (("AE", None), HIGHER, ("AE", "0")),
    ],
)
def test_an_operator_sets_another_tax_with_a_reason(
    given: tuple[str | None, str | None], before: Taxed | None, in_force: tuple[str, str]
) -> None:
    assert tax_in_force(Given(*given, "Ruling 9"), before, BY_RULES, DAY, "19") == Taxed(*in_force, None, "operator", "Ruling 9")
    without = tax_in_force(Given(*given), before, BY_RULES, DAY, "19")
    assert isinstance(without, Wrong)
    assert without.field == "tax_reason"


def test_a_tax_with_a_fixed_rate_is_the_same_on_every_day() -> None:
    details = BillingDetailsChanged(at=datetime(2020, 1, 1, tzinfo=UTC), actor=ANN, version="d", tax_category="S", tax_rate_percent="7")
    assert {tax_on(details, date(year, 7, 1)) for year in (2019, 2020, 2026)} == {Tax("S", "7")}


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
