"""`seatpool subscription …` against a made-up deployment: what it sends, and what it shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, made_up, seatpool

PATH = "/v1/tenants/acme/subscription"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def test_A2_policies_are_changed_from_the_command_line(deployment: Deployment) -> None:
    change: dict[str, Any] = {"change": "c1", "status": "completed", "reason": ""}
    change["changes"] = [{"field": "time.grace", "old": "P7D", "new": "P14D"}, {"field": "zero_invoices", "old": False, "new": True}]
    deployment.answers["PATCH", f"{PATH}/policies"] = lambda _: (200, change)
    given = ["time.grace=P14D", "time.warn_at=", "time.expand_cap=300", "time.terminate_reduces_pool=true"]
    result = seatpool("subscription", "policies", "--tenant", "acme", *given, "--zero-invoices", "true")
    assert result.exit_code == 0, result.output
    assert deployment.asked[-1][2] == {
        "zero_invoices": True,
        "modules": {"time": {"grace": "P14D", "warn_at": None, "expand_cap": 300, "terminate_reduces_pool": True}},
    }
    assert "The change c1 is completed." in result.output
    assert "P14D" in result.output
    assert "│ false  │ true │" in result.output, "a value is shown as it is given"


def test_A2_the_command_line_shows_the_policies_that_hold(deployment: Deployment) -> None:
    own = {"charge_when": "now", "credit_when": "threshold", "zero_invoices": False, "price_notice": "P30D"}
    time = {"module": "time", "policies": {"over_limit": "flag", "terminate_reduces_pool": True}}
    deployment.answers["GET", PATH] = lambda _: (200, own | {"modules": [time]})
    result = seatpool("subscription", "policies", "--tenant", "acme")
    assert result.exit_code == 0, result.output
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.output.splitlines() if line.startswith("│")]
    assert lines == [
        ["charge_when", "now"],
        ["credit_when", "threshold"],
        ["zero_invoices", "false"],
        ["price_notice", "P30D"],
        ["time.over_limit", "flag"],
        ["time.terminate_reduces_pool", "true"],
    ]


def test_a_policy_that_is_refused_is_shown_with_what_is_expected_and_without_words_for_programs(deployment: Deployment) -> None:
    detail = "These fields are not valid: body.modules.time.over_limit. For each of them, `errors` says what is expected."
    errors = [{"field": "body.modules.time.over_limit", "expected": "one of flag, reject, expand, wait"}]
    deployment.answers["PATCH", f"{PATH}/policies"] = lambda _: (422, {"detail": detail, "errors": errors})
    shown = " ".join(seatpool("subscription", "policies", "--tenant", "acme", "time.over_limit=sometimes").output.split())
    assert "not valid: body.modules.time.over_limit. (body.modules.time.over_limit: one of flag" in shown
    assert "`errors`" not in shown


def test_a_policy_without_its_module_is_not_sent(deployment: Deployment) -> None:
    result = seatpool("subscription", "policies", "--tenant", "acme", "grace=P14D")
    assert (result.exit_code, deployment.asked) == (1, [])
    assert "time.grace=P14D" in result.output


def test_E10_a_module_is_added_after_its_price_was_shown_and_approved(deployment: Deployment) -> None:
    quote: dict[str, Any] = {
        "lines": [{"module": "documents", "quantity": 20, "days": 16, "days_of_period": 30}],
        "gross": "€266.67",
        "currency": "EUR",
        "charge": "now",
        "approve_url": "/v1/tenants/acme/quotes/q1/approve",
        "next_period": {"before": {"net_minor": 20_000}, "after": {"net_minor": 60_000}},
    }
    deployment.answers["POST", f"{PATH}/modules"] = lambda _: (201, quote)
    deployment.answers["POST", quote["approve_url"]] = lambda _: (200, {"order": "o1", "status": "completed", "reason": ""})
    refused = seatpool("subscription", "add-module", "documents", "--tenant", "acme", "--licences", "20")
    assert refused.exit_code == 1
    assert "€266.67 now (for 16 of 30 days)" in refused.output
    assert "costs €600.00 net instead of €200.00" in refused.output
    assert len(deployment.asked) == 1, "nobody approved it"
    result = seatpool("subscription", "add-module", "documents", "--tenant", "acme", "--licences", "20", "--yes")
    assert "The order o1 is completed." in result.output


def test_B2_a_plan_is_changed_after_its_price_and_its_effects_were_shown(deployment: Deployment) -> None:
    amounts = {"now": {"net_minor": 0}, "next_before": {"net_minor": 20_000}, "next_after": {"net_minor": 4800}}
    offer: dict[str, Any] = {
        "change": "c1",
        "plan": "small",
        "term": "monthly",
        "takes_effect_on": "2013-12-01",
        "price": {"currency": "EUR", "charge": "now"} | amounts,
        "closes": ["documents"],
        "reduces": [{"module": "time", "before": 10, "total": 6}],
        "changes": [{"field": "time.over_limit", "old": "expand", "new": "reject"}],
        "would_flag": [{"module": "time", "users": ["ann", "bob"], "count": 2}],
        "would_cancel": [{"module": "time", "users": ["hal"], "count": 1}],
        "approve_url": f"{PATH}/plan-changes/c1/approve",
    }
    deployment.answers["POST", f"{PATH}/plan-changes"] = lambda _: (201, offer)
    deployment.answers["POST", offer["approve_url"]] = lambda _: (200, offer | {"status": "scheduled"})
    refused = seatpool("subscription", "change-plan", "small", "--tenant", "acme")
    assert (refused.exit_code, deployment.asked[0][2]) == (1, {"plan": "small"})
    for text in (
        "from 2013-12-01",
        "€48.00 net instead of €200.00",
        "documents closes",
        "6 licences instead of 10",
        "ann, bob",
        "end first: 1",
    ):
        assert text in refused.output
    result = seatpool("subscription", "change-plan", "small", "--tenant", "acme", "--yes")
    assert "The change c1 to small (monthly) is scheduled." in result.output
    deployment.answers["POST", f"{PATH}/plan-changes/c1/withdraw"] = lambda _: (200, offer | {"status": "withdrawn"})
    assert "The change c1 is withdrawn." in seatpool("subscription", "withdraw-plan", "c1", "--tenant", "acme").output


def test_discounts_are_granted_listed_and_withdrawn_from_the_command_line(deployment: Deployment) -> None:
    terms = {"discount": "d1", "module": None, "percent": None, "amount_minor": 50_000, "currency": "EUR", "text": "introduction"}
    view = terms | {"from_day": "2026-12-01", "until_day": None, "status": "planned"}
    deployment.answers["GET", PATH] = lambda _: (200, {"currency": "EUR"})
    deployment.answers["POST", f"{PATH}/discounts"] = lambda _: (201, view)
    deployment.answers["GET", f"{PATH}/discounts"] = lambda _: (200, {"items": [view], "next": None})
    deployment.answers["DELETE", f"{PATH}/discounts/d1"] = lambda _: (200, view | {"status": "withdrawn"})
    given = ["--amount", "500.00", "--periods", "3", "--text", "introduction"]
    granted = seatpool("subscription", "grant-discount", "--tenant", "acme", *given)
    assert granted.exit_code == 0, granted.output
    assert deployment.asked[-1][2] == {"amount_minor": 50_000, "periods": 3, "text": "introduction"}
    assert "for each period on the whole subscription from 2026-12-01" in granted.output
    assert "planned" in seatpool("subscription", "discounts", "--tenant", "acme").output
    assert "Withdrawn" in seatpool("subscription", "withdraw-discount", "d1", "--tenant", "acme").output


def test_a_subscription_is_started_from_a_file_with_a_trial(deployment: Deployment, tmp_path: Path) -> None:
    period = {"start": "2026-12-01", "end": "2026-12-15"}
    view: dict[str, Any] = {"plan": "standard", "term": "monthly", "status": "pending", "period": period, "ends_on": None, "modules": []}
    deployment.answers["POST", PATH] = lambda _: (202, view)
    (tmp_path / "acme.json").write_text('{"plan": "standard"}')
    given = ["start", str(tmp_path / "acme.json"), "--tenant", "acme"]
    result = seatpool("subscription", *given, "--trial-until", "2026-12-15")
    assert result.exit_code == 0, result.output
    assert deployment.asked[-1][2] == {"plan": "standard", "trial_until": "2026-12-15"}
    (tmp_path / "acme.json").write_text("[]")
    assert "no JSON object" in str(seatpool("subscription", *given).exception)
