"""The next invoice as it would be today is the one that the renewal issues if nothing else happens (M14, M15)."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.invoicing.domain.prices import FollowingPlan
from services.invoicing.domain.upcoming import upcoming
from shared.schemas.invoicing_v1 import InvoiceIssued, ModuleLimits, UnitPrice
from tests.support.invoicing_harness import InvoicingHarness


def of(harness: InvoicingHarness, following: FollowingPlan | None = None) -> InvoiceIssued | None:
    numbers = harness.next_period
    return upcoming(harness.facts, harness.contract, numbers, harness.plans[-1].version, harness.version, following)


def without_ids(document: InvoiceIssued) -> dict[str, Any]:
    """Return what a reader sees: ids name the decision, which has not been made yet. Charges of the open day get theirs with it."""
    shown = document.model_dump(exclude={"invoice", "decision", "at", "lines"})
    return shown | {"lines": [line.model_dump(exclude={"charges"}) for line in document.lines]}


def reduction_of_yesterday(harness: InvoicingHarness) -> None:
    harness.reduce("time", 1)
    harness.go(days=1)


def changes_of_the_last_day(harness: InvoicingHarness) -> None:
    harness.go(to=datetime(2026, 3, 31, 12, tzinfo=UTC))
    harness.expand("time", 3)
    harness.reduce("time", 1)


HISTORIES: dict[str, Callable[[InvoicingHarness], object]] = {
    "nothing": lambda harness: None,
    "a purchase that waits": lambda harness: harness.buy(time=2),
    "an expansion of today": lambda harness: harness.expand("time", 2),
    "a reduction of today": lambda harness: harness.reduce("time", 1),
    "a reduction of yesterday": reduction_of_yesterday,
    "a changed price": lambda harness: harness.define_plan(time=1500),
    "a changed tax": lambda harness: harness.change_details(category="O", rate="0"),
    "changes of the last day": changes_of_the_last_day,
}


@pytest.mark.parametrize("charge_when", ["threshold", "now", "next_invoice"])
@pytest.mark.parametrize("name", HISTORIES)
def test_M14_M15_the_upcoming_invoice_is_what_the_renewal_issues(name: str, charge_when: str) -> None:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    given: dict[str, Any] = {"licences": {"documents": 1, "time": 4}, "currency": "DKK", "start": date(2026, 3, 1), "at": at}
    harness = InvoicingHarness(**given, charge_when=charge_when, credit_when=charge_when)
    HISTORIES[name](harness)
    expected, before = of(harness), len(harness.facts)
    assert expected is not None
    assert expected.issued_on == date(2026, 4, 1)
    assert len(harness.facts) == before, "nothing is said"
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    issued = harness.invoices[-1]
    assert issued.reason == "renewal"
    assert without_ids(expected) == without_ids(issued)


def test_M14_M15_the_upcoming_invoice_knows_the_plan_that_begins_with_the_period() -> None:
    """The plan sells no documents, allows two licences, and has another term."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    harness = InvoicingHarness(licences={"documents": 1, "time": 4}, currency="DKK", start=date(2026, 3, 1), at=at)
    harness.expand("time", 1)
    harness.next_plan = "small", {"time": 2, "documents": 0}, {"time": 700}
    listed = (UnitPrice(module="time", term="monthly", amount_minor=700),)
    limits = (ModuleLimits(module="time", maximum=2),)
    plan = harness.plans[-1].model_copy(update={"plan": "small", "version": 2, "prices": listed, "limits": limits})
    expected = of(harness, FollowingPlan("c1", plan, "monthly"))
    assert expected is not None
    assert [(line.module, line.quantity, line.net_minor) for line in expected.lines] == [("time", 2, 1400)]
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert without_ids(expected) == without_ids(harness.invoices[-1])


def test_M15_the_upcoming_invoice_uses_the_numbers_of_the_next_period() -> None:
    harness = InvoicingHarness(licences={"time": 4}, currency="DKK", start=date(2026, 3, 1), at=datetime(2026, 3, 2, 8, tzinfo=UTC))
    harness.next_period["time"] = 1
    found = of(harness)
    assert found is not None
    assert [(line.module, line.quantity, line.net_minor) for line in found.lines] == [("time", 1, 1200)]
    harness.next_period["time"] = 0
    assert of(harness) is None, "no licence, no document"
