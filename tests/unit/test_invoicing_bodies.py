"""Values that a request could mean in two ways are refused, and the refusal names the field."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.invoicing.api.catalogue_bodies import CatalogueBody
from services.invoicing.api.requests import (
    BillingDetailsBody,
    DiscountBody,
    EstimateBody,
    PaymentBody,
    PlanBody,
    PlanChangeBody,
    PoliciesBody,
    PurchaseSettingsBody,
    QuoteBody,
    SubscriptionBody,
)
from services.invoicing.domain.calendar import Term
from services.invoicing.use_cases.discounts import discounts_of
from services.invoicing.use_cases.subscriptions import _check_modules
from services.users.api.sign_in_requests import CompletedSignIn
from shared.catalogue_file import UnreadableCatalogue, parse_catalogue
from shared.errors import Invalid
from shared.money import is_currency, minor_of
from shared.schemas.faults import field_of, first_faults, once_per_field
from shared.schemas.invoicing_v1 import PlanDefined, UnitPrice
from tests.support.invoicing_harness import ANN

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)

PRICES = [{"module": "time", "term": "monthly", "amount_minor": 1200}]


def catalogue(*, plan: dict[str, Any] | None = None, **sold: Any) -> dict[str, Any]:
    return {"plans": {"p": {"name": "P", "currency": "EUR", **(plan or {}), "modules": {"a": {"monthly": "12.50"} | sold}}}}


def refused(model: type[BaseModel], body: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(body)
    return {field_of(fault): fault["expected"] for fault in once_per_field(first_faults(refusal.value))}


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


DETAILS = {"company": "Acme", "street": "1 Main Street", "city": "Berlin", "country": "DE", "email": "invoices@acme.example"}
SUBSCRIPTION = {"plan": "p", "term": "monthly", "period_start": "2026-03-01"}
PLAN = {"name": "P", "currency": "EUR", "prices": PRICES}
ONE = {"module": "time", "licences": 1}
STEPS = [{"up_to": 5, "amount_minor": 3}, {"up_to": 5, "amount_minor": 2}]


@pytest.mark.parametrize(
    ("model", "body", "faults"),
    [
        (PlanBody, PLAN | {"limits": [{"module": "time", "minimum": 5, "maximum": 3}]}, {"limits.0.maximum": 3}),
        (PlanBody, PLAN | {"limits": [{"module": "time"}, {"module": "lab"}]}, {"limits.1.module": "lab"}),
        (PlanBody, PLAN | {"limits": [{"module": "time"}, {"module": "time"}]}, {"limits.1.module": "time"}),
        (PlanBody, PLAN | {"prices": PRICES * 2}, {"prices.1.module": "time", "prices.1.term": "monthly"}),
        (PlanBody, PLAN | {"prices": [PRICES[0] | {"steps": STEPS}]}, {"prices.0.steps.1.up_to": 5}),
        (CatalogueBody, catalogue(monthly=None), {f"plans.p.modules.a.{term}": None for term in ("monthly", "annual")}),
        (CatalogueBody, catalogue(minimum="5", maximum="3"), {"plans.p.modules.a.maximum": 3}),
        (BillingDetailsBody, DETAILS | {"vat_id": "DE1"}, {"vat_id": "DE1"}),
        (
            BillingDetailsBody,
            DETAILS | {"document_format": "xrechnung_cii", "buyer_reference": "04011000-1234512345-35"},
            {"buyer_reference": "04011000-1234512345-35"},
        ),
        (SubscriptionBody, SUBSCRIPTION | {"modules": [ONE, ONE]}, {"modules.1.module": "time"}),
        (SubscriptionBody, SUBSCRIPTION | {"modules": [ONE | {"policies": {"grace": "P1M"}}]}, {"modules.0.policies.grace": "P1M"}),
        (
            SubscriptionBody,
            SUBSCRIPTION | {"modules": [ONE | {"policies": {"over_limit": "expand"}}]},
            {"modules.0.policies.expand_cap": None},
        ),
        (DiscountBody, {}, {"percent": None, "amount_minor": None}),
        (DiscountBody, {"percent": "5", "amount_minor": 1}, {"percent": "5", "amount_minor": 1}),
        (DiscountBody, {"percent": "0"}, {"percent": "0"}),
        (DiscountBody, {"percent": "5", "until_day": "2026-03-01", "periods": 2}, {"until_day": date(2026, 3, 1), "periods": 2}),
        (PoliciesBody, {}, {"modules": {}}),
        (PoliciesBody, {"modules": {"time": {"over_limit": "sometimes"}}}, {"modules.time.over_limit": "sometimes"}),
        (PoliciesBody, {"modules": {"time": {"grace": None}}}, {"modules.time.grace": None}),
        (PlanChangeBody, {}, {"plan": None, "term": None}),
        (QuoteBody, {"items": [{"module": "time"}]}, {"items.0.add": None, "items.0.total": None}),
        (QuoteBody, {"items": [{"module": "time", "add": 1, "total": 2}]}, {"items.0.add": 1, "items.0.total": 2}),
        (PurchaseSettingsBody, {"second_approver": "above_budget"}, {"monthly_budget_minor": None}),
        (EstimateBody, {"items": [{"module": "time"}]}, {"items.0.add": 0, "items.0.reduce": 0}),
        (EstimateBody, {"items": [{"module": "time", "reduce": 1, "unit_price_minor": 7}]}, {"items.0.unit_price_minor": 7}),
        (EstimateBody, {"items": [{"module": "time", "add": 1}] * 2}, {"items.1.module": "time"}),
        (CompletedSignIn, {"flow": "f", "state": "s", "code": "secret", "error": "e"}, {"code": None, "error": None}),
    ],
)
def test_a_check_of_several_fields_names_those_to_change_with_their_values(
    model: type[BaseModel], body: dict[str, Any], faults: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(body)
    assert {field_of(fault): fault["input"] for fault in first_faults(refusal.value)} == faults
