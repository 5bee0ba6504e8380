"""`seatpool licences` and the end of a subscription against a made-up deployment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, made_up, seatpool

OF_ACME = "/v1/tenants/acme"
SUBSCRIPTION: dict[str, Any] = {
    "plan": "standard",
    "term": "monthly",
    "status": "active",
    "period": {"start": "2026-03-01", "end": "2026-04-01"},
    "ends_on": None,
    "modules": [{"module": "time", "licences": 5, "next_period": 4}],
}
REDUCTION: dict[str, Any] = {
    "reduction": "r1",
    "status": "offered",
    "reason": "",
    "detail": {},
    "takes_effect": "period_end",
    "items": [{"module": "time", "before": 5, "total": 3}],
    "currency": "EUR",
    "next_period_before": {"net_minor": 6000},
    "next_period_after": {"net_minor": 3600},
    "credit_net_minor": 0,
    "unbilled_net_minor": 0,
    "credit": "next_invoice",
    "would_flag": [{"module": "time", "users": ["bo"], "count": 1}],
    "would_cancel": [{"module": "time", "users": ["hal"], "count": 1}],
    "approve_url": f"{OF_ACME}/reductions/r1/approve",
}


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def test_T14_a_subscription_is_ended_with_its_period_and_the_answer_says_how_to_take_it_back(deployment: Deployment) -> None:
    deployment.answers["POST", f"{OF_ACME}/subscription/ending"] = lambda _: (202, SUBSCRIPTION | {"ends_on": "2026-04-01"})
    ended = seatpool("subscription", "end", "--tenant", "acme", "--reason", "we move", "--yes")
    assert ended.exit_code == 0, ended.output
    assert deployment.asked[-1][2] == {"reason": "we move"}
    shown = " ".join(ended.output.split())
    assert "First day without the subscription: 2026-04-01. Take it back with `seatpool subscription keep --tenant acme`" in shown


def test_a_subscription_is_ended_at_once_only_with_a_reason(deployment: Deployment) -> None:
    refused = seatpool("subscription", "end", "--tenant", "acme", "--now")
    assert (refused.exit_code, deployment.asked) == (2, [])
    deployment.answers["POST", f"{OF_ACME}/subscription/end"] = lambda _: (
        200,
        SUBSCRIPTION | {"ends_on": "2026-03-11", "status": "ended"},
    )
    ended = seatpool("subscription", "end", "--tenant", "acme", "--now", "--reason", "no payment", "--yes")
    assert "The subscription ended on 2026-03-11." in ended.output


def of_the_end(deployment: Deployment) -> None:
    for path, answer in {
        "subscription": SUBSCRIPTION | {"currency": "EUR"},
        "licences": {"modules": [{"module": "docs", "in_use": 1}, {"module": "hr", "in_use": None}, {"module": "time", "in_use": 5}]},
        "balance": {"open_minor": 7500},
        "invoices/upcoming": {"kind": "invoice", "gross_minor": 1451},
        "subscription/end": {"ends_on": "2026-03-11", "credit_net_minor": 4065, "charge_net_minor": 0},
    }.items():
        deployment.answers["GET", f"{OF_ACME}/{path}"] = lambda _, answer=answer: (200, answer)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ((), ["First day without the subscription: 2026-04-01", "Last invoice: €14.51 with tax"]),
        (("--now", "--reason", "no payment"), ["2026-03-11. This cannot be taken back.", "Credited at once: €40.65 net"]),
    ],
)
def test_T14_before_a_subscription_is_ended_the_day_the_seats_and_the_money_are_shown(
    deployment: Deployment, given: tuple[str, ...], shown: list[str]
) -> None:
    of_the_end(deployment)
    asked = seatpool("subscription", "end", "--tenant", "acme", *given, input="n\n")
    assert asked.exit_code == 1
    texts = ["docs: 1 seat ends", "hr: an unknown number of seats ends", "time: 5 seats end", "End the subscription?"]
    for text in [*shown, *texts, "Open invoices, which stay payable: €75.00"]:
        assert text in asked.output
    assert {method for method, _, _ in deployment.asked} == {"GET"}, "nothing is ended"


def test_an_end_at_once_with_more_that_waits_than_is_credited_says_what_is_invoiced(deployment: Deployment) -> None:
    of_the_end(deployment)
    answer = {"ends_on": "2026-03-11", "credit_net_minor": 0, "charge_net_minor": 4065}
    deployment.answers["GET", f"{OF_ACME}/subscription/end"] = lambda _: (200, answer)
    asked = seatpool("subscription", "end", "--tenant", "acme", "--now", "--reason", "no payment", input="n\n")
    assert "Invoiced at once: €40.65 net" in asked.output
    assert "Credited" not in asked.output


def test_T14_an_ending_is_taken_back_unless_seats_has_not_done_it(deployment: Deployment) -> None:
    deployment.answers["DELETE", f"{OF_ACME}/subscription/ending"] = lambda _: (200, SUBSCRIPTION)
    kept = seatpool("subscription", "keep", "--tenant", "acme")
    assert kept.exit_code == 0, kept.output
    assert "ends on" not in kept.output
    deployment.answers["DELETE", f"{OF_ACME}/subscription/ending"] = lambda _: (202, SUBSCRIPTION | {"ends_on": "2026-04-01"})
    late = seatpool("subscription", "keep", "--tenant", "acme")
    assert late.exit_code == 1
    assert "has not taken the ending back yet" in late.output


def test_the_subscription_is_shown(deployment: Deployment) -> None:
    deployment.answers["GET", f"{OF_ACME}/subscription"] = lambda _: (200, SUBSCRIPTION)
    assert "plan standard, monthly, active" in seatpool("subscription", "show", "--tenant", "acme").output


def test_T18_a_reduction_is_shown_before_it_is_approved(deployment: Deployment) -> None:
    deployment.answers["POST", f"{OF_ACME}/reductions"] = lambda _: (201, REDUCTION)
    deployment.answers["GET", f"{OF_ACME}/people/bo"] = lambda _: (200, {"user": "bo", "name": "Bo Berg", "login": "bo@acme.example"})
    offered = seatpool("licences", "reduce", "time=3", "--tenant", "acme")
    assert offered.exit_code == 1, "nobody approved it"
    shown = " ".join(offered.output.split())
    assert "Over the limit of time if nothing else changes: Bo Berg (bo@acme.example). Deactivate" in shown
    assert "Reservations of time for invited people that end first: 1." in shown
    assert "Approve the reduction?" in shown
    assert [body for _, path, body in deployment.asked if path.endswith("/reductions")] == [{"items": [{"module": "time", "total": 3}]}]
    deployment.answers["POST", REDUCTION["approve_url"]] = lambda _: (200, REDUCTION | {"status": "completed"})
    approved = seatpool("licences", "reduce", "time=3", "--tenant", "acme", "--yes")
    assert "completed" in approved.output
    deployment.answers["POST", REDUCTION["approve_url"]] = lambda _: (200, REDUCTION | {"status": "refused", "reason": "below_use"})
    refused = seatpool("licences", "reduce", "time=3", "--tenant", "acme", "--yes")
    assert (refused.exit_code, "seats refused the reduction: below_use" in refused.output) == (1, True)


def test_M8_a_credit_is_shown_with_the_part_that_no_invoice_has_charged(deployment: Deployment) -> None:
    credit = {"takes_effect": "now", "credit_net_minor": 3484, "unbilled_net_minor": 2323, "credit": "now", "would_flag": []}
    deployment.answers["POST", f"{OF_ACME}/reductions"] = lambda _: (201, REDUCTION | credit)
    shown = seatpool("licences", "reduce", "time=3", "--tenant", "acme").output
    for text in ("Credit: €34.84 net", "€23.23 is deducted from charges that are on no invoice yet", "€11.61 by credit note"):
        assert text in shown


@pytest.mark.parametrize("given", ["time", "=3", "time=", "time=-1", "time=1.5", "time=٣"])
def test_a_total_that_cannot_be_is_not_sent(deployment: Deployment, given: str) -> None:
    refused = seatpool("licences", "next-period", given, "--tenant", "acme")
    assert (refused.exit_code, deployment.asked) == (2, [])


def test_T12_the_next_periods_number_is_set(deployment: Deployment) -> None:
    deployment.answers["PUT", f"{OF_ACME}/next-period"] = lambda _: (
        202,
        REDUCTION | {"status": "completed", "would_flag": None, "would_cancel": None},
    )
    done = seatpool("licences", "next-period", "time=3", "--tenant", "acme")
    assert done.exit_code == 0, done.output
    assert "not known" in done.output
