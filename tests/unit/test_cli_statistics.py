"""The demo's comparison can fail: each kind of difference has a name and makes the exit code 1."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.demo.plan import Plan, read_plan
from cli.demo.stage import Snapshot
from cli.demo.statistics import Closing, close
from cli.main import app
from shared.hr_files.company import read_company

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return read_plan(EXAMPLES / "alpenrose.toml", read_company(EXAMPLES / "alpenrose"))


def services(**changed: dict[str, int]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        "users": {"hired": 124, "active": 119, "flagged": 0, "revoked": 5, "refused": 2},
        "seats": {"flagged": 0, "revoked": 5, "refused": 2, "decisions": 165},
        "invoicing": {"invoices": 4, "net_minor": 7210},
        "notifier": {"flagged": 0, "revoked": 5, "refused": 2, "emails": 29, "emails_failed": 0},
    }
    return {service: figures | changed.get(service, {}) for service, figures in found.items()}


def last(*, users_active: int = 119) -> Snapshot:
    pool = {"licences": 119, "active": 119, "flagged": 0, "waiting": 0, "available": 0}
    return Snapshot(
        title="",
        day=date(2026, 3, 27),
        pools={"projects": pool},
        states={"projects": {"active": users_active}},
        flags=(),
        refused=(),
        withdrawn=(),
        deactivated=(),
        mails=29,
        subjects={},
    )


def test_the_closing_line_is_printed_if_nothing_differs(plan: Plan) -> None:
    closing = close(services(), last(), plan, delivered_mails=29)
    assert closing.differences == ()
    assert closing.line() == "demo: hired=124 active=119 flagged=0 revoked=5 refused=2 invoices=4 net=72.10 mails=29 decisions=165"


def differences(closing: Closing) -> str:
    return "\n".join(closing.differences)


def test_a_service_with_another_count_is_named(plan: Plan) -> None:
    closing = close(services(notifier={"revoked": 4}), last(), plan, delivered_mails=29)
    assert differences(closing) == "revoked: users counts 5, seats counts 5, notifier counts 4"


def test_a_number_that_differs_from_the_plan_is_named(plan: Plan) -> None:
    closing = close(services(invoicing={"net_minor": 7209}), last(), plan, delivered_mails=29)
    assert differences(closing) == "net: the plan expects 72.10, the result is 72.09"


def test_the_people_of_users_and_the_pools_of_seats_must_agree(plan: Plan) -> None:
    closing = close(services(), last(users_active=118), plan, delivered_mails=29)
    assert differences(closing) == "projects.active: seats counts 119, users counts 118"


def test_e_mails_that_failed_or_never_arrived_are_differences(plan: Plan) -> None:
    assert "1 could not be sent" in differences(close(services(notifier={"emails_failed": 1}), last(), plan, delivered_mails=29))
    assert "the mailbox contains 28" in differences(close(services(), last(), plan, delivered_mails=28))


def test_a_replay_that_differs_is_a_difference(plan: Plan) -> None:
    closing = close(services(), last(), plan, delivered_mails=29).with_difference("replay of the command log: differing")
    assert differences(closing) == "replay of the command log: differing"


@pytest.mark.parametrize(("revoked", "code"), [(5, 0), (4, 1)])
def test_the_exit_code_says_whether_all_agree(plan: Plan, monkeypatch: pytest.MonkeyPatch, revoked: int, code: int) -> None:
    async def perform(*_: object, stay: bool) -> Closing:
        return close(services(notifier={"revoked": revoked}), last(), plan, delivered_mails=29)

    monkeypatch.setattr("cli.demo.command.perform", perform)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == code, result.output
