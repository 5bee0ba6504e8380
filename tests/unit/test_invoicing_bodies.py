"""Values that a request could mean in two ways are refused, and the refusal names the field."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.invoicing.api.catalogue_bodies import CatalogueBody
from services.invoicing.api.requests import DiscountBody, PaymentBody, PlanBody, SubscriptionBody
from services.invoicing.domain.calendar import Term
from services.invoicing.use_cases.discounts import discounts_of
from services.invoicing.use_cases.subscriptions import _check_modules
from shared.catalogue_file import UnreadableCatalogue, parse_catalogue
from shared.errors import Invalid
from shared.money import is_currency, minor_of
from shared.schemas.faults import expected_by, field_of
from shared.schemas.invoicing_v1 import PlanDefined, UnitPrice
from tests.support.invoicing_harness import ANN

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)

PRICES = [{"module": "time", "term": "monthly", "amount_minor": 1200}]


def catalogue(*, plan: dict[str, Any] | None = None, **sold: Any) -> dict[str, Any]:
    return {"plans": {"p": {"name": "P", "currency": "EUR", **(plan or {}), "modules": {"a": {"monthly": "12.50"} | sold}}}}


def refused(model: type[BaseModel], body: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(body)
    return {field_of(fault): expected_by(fault).removeprefix("expected ") for fault in refusal.value.errors()}


@pytest.mark.parametrize("price", ["1_000", "1e3", "١٢", "1٢.50", "+1", " 1", "-1", "Infinity", "", True])
def test_a_price_of_the_catalogue_is_a_decimal_number_as_people_write_it(price: object) -> None:
    assert refused(CatalogueBody, catalogue(monthly=price)) == {"plans.p.modules.a.monthly.price": "a decimal number such as 12.00"}


@pytest.mark.parametrize("number", ["٥", "1_0", " 5", "+5", "5.0", 5.0, True])
def test_a_number_of_the_catalogue_is_a_whole_number_as_people_write_it(number: object) -> None:
    steps = {"price": "1", "steps": [{"up_to": number, "price": "1"}], "included": number}
    fields = set(refused(CatalogueBody, catalogue(monthly=steps, minimum=number, maximum=number)))
    assert fields == {f"plans.p.modules.a.{name}" for name in ("monthly.steps.0.up_to", "monthly.included", "minimum", "maximum")}


@pytest.mark.parametrize("text", ["yes", "true", "on", 1])
def test_a_boolean_is_true_or_false(text: object) -> None:
    assert set(refused(CatalogueBody, {"modules": {"a": {"name": "A", "base": text}}})) == {"modules.a.base"}
    assert set(refused(CatalogueBody, catalogue(plan={"allows_extra_licences": text}))) == {"plans.p.allows_extra_licences"}
    subscription = {"plan": "p", "term": "monthly", "period_start": "2026-03-01", "modules": [{"module": "time", "licences": 1}]}
    assert set(refused(SubscriptionBody, subscription | {"zero_invoices": text})) == {"zero_invoices"}


def test_a_file_writes_booleans_as_true_and_false_and_every_other_scalar_stays_a_text() -> None:
    found = parse_catalogue("a: true\nb: False\nc: 'true'\nd: yes\ne: 010\nf: NO\ng: ~\n").content
    assert list(found.values()) == [True, False, "true", "yes", "010", "NO", None]


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: " + "[" * 50 + "]" * 50, 2), ("[" * 200_000, 1), ("\n".join(f"{' ' * n}a:" for n in range(60)), 21)]
)
def test_a_file_with_more_levels_than_a_catalogue_has_is_refused_before_it_takes_long(text: str, line: int) -> None:
    with pytest.raises(UnreadableCatalogue, match="nested too deeply") as refusal:
        parse_catalogue(text)
    assert refusal.value.line == line


@pytest.mark.parametrize("code", ["XXX", "XTS", "XAU", "XDR", "DEM", "HRK", "XYZ"])
def test_a_currency_is_one_that_somebody_can_pay_with(code: str) -> None:
    for model, body in ((PlanBody, {"name": "P", "prices": PRICES}), (CatalogueBody, catalogue(plan={"currency": code}))):
        faults = refused(model, body | ({"currency": code} if model is PlanBody else {}))
        (expected,) = faults.values()
        assert "a currency that is in use" in expected
        assert next(iter(faults)).endswith("currency")
    assert not is_currency(code)
    assert all(map(is_currency, ("EUR", "DKK", "XAF", "XCG", "CLF", "KWD", "JPY")))


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31"])
def test_no_payment_was_made_before_1970(day: str) -> None:
    body = {"invoice": "i1", "amount_minor": 100, "currency": "EUR", "paid_on": day}
    assert set(refused(PaymentBody, body)) == {"paid_on"}
    assert PaymentBody.model_validate(body | {"paid_on": "1970-01-01"})


@pytest.mark.parametrize("percent", ["١٢", "1٢.5", "1e1", "100.5", "12.50000", "-1", "12,5", ""])
def test_a_percentage_is_a_decimal_number_as_people_write_it(percent: str) -> None:
    assert refused(DiscountBody, {"percent": percent}) == {
        "percent": "a percentage from 0 to 100 with at most 4 decimal places, for example 12.5"
    }
    assert DiscountBody(percent="12.50").percent == "12.5"


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.50", "EUR", 1250), ("12", "JPY", 12), ("1.234", "KWD", 1234), ("1.234", "EUR", None), ("1e3", "EUR", None), ("١", "EUR", None)],
)
def test_an_amount_of_the_command_line_fits_its_currency(text: str, currency: str, minor: int | None) -> None:
    assert minor_of(text, currency) == minor


@pytest.mark.parametrize(("sold", "allowed"), [(["monthly"], "monthly"), ([], "none")])
def test_a_plan_without_a_price_for_the_term_names_the_terms_that_it_has(sold: list[str], allowed: str) -> None:
    listed = tuple(UnitPrice(module="time", term=term, amount_minor=1200) for term in sold)
    plan = PlanDefined(at=NOW, actor=ANN, plan="p", name="P", currency="EUR", version=1, prices=listed, allows_extra_licences=True)
    body = {"plan": "p", "term": "annual", "period_start": "2026-03-01", "modules": [{"module": "time", "licences": 1}]}
    with pytest.raises(Invalid) as refusal:
        _check_modules(SubscriptionBody.model_validate(body), plan, {})
    expected = f"a term for which the plan p has prices: {allowed}"
    assert (refusal.value.field, refusal.value.value, refusal.value.expected) == ("body.term", "annual", expected)


def test_a_discount_of_a_module_that_nobody_can_have_is_refused_without_an_empty_list() -> None:
    body = DiscountBody.model_validate({"module": "time", "percent": "10"})
    days = {"earliest": NOW.date(), "next_start": NOW.date(), "anchor": NOW.date()}
    with pytest.raises(Invalid) as refusal:
        discounts_of([body], "body.discounts.{place}", [], term=Term.MONTHLY, **days)
    assert refusal.value.expected == "a module of the subscription: none"
