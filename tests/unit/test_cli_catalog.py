"""`seatpool catalog` against a made-up deployment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.catalog import read_file
from tests.support.deployment import Deployment, made_up, seatpool

EXAMPLE = Path("examples/plans.yaml")
DIFFERENCE = {"field": "plans.standard.modules.projects.monthly", "before": "12.00", "after": "13.00"}


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def answer(**fields: Any) -> dict[str, Any]:
    return {
        "applied": False,
        "version": "a" * 16,
        "differences": [DIFFERENCE],
        "subscriptions": [{"plan": "standard", "running": 7}],
    } | fields


def test_a_dry_run_shows_the_difference_as_a_table_and_whom_it_concerns(deployment: Deployment) -> None:
    deployment.answers["PUT", "/v1/catalog"] = lambda _: (200, answer())
    shown = seatpool("catalog", "apply", str(EXAMPLE), "--dry-run").output
    assert all(text in shown for text in (DIFFERENCE["field"], "12.00", "13.00", "7 running subscriptions", "nothing has changed"))
    sent = deployment.asked[-1][2]
    assert sent["plans"]["starter"]["modules"]["projects"] == {"monthly": "9.00", "annual": "90.00", "maximum": "10"}, "no float"
    assert '"running":7' in seatpool("catalog", "apply", str(EXAMPLE), "--json").output
    deployment.answers["PUT", "/v1/catalog"] = lambda _: (200, answer(differences=[], subscriptions=[]))
    assert "Nothing changes" in seatpool("catalog", "apply", str(EXAMPLE)).output


def test_what_is_exported_is_what_is_applied(deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "plans.yaml"
    exported = {"version": "0" * 16, "modules": {"time": {"name": "Tid", "requires": []}}, "plans": {"on": {"monthly": "1.00"}}}
    deployment.answers["GET", "/v1/catalog"] = lambda _: (200, exported)
    assert seatpool("catalog", "export", str(file)).exit_code == 0
    assert read_file(file).content == exported


def test_a_refusal_names_the_line_of_the_field_and_what_is_allowed(deployment: Deployment) -> None:
    field = "body.plans.standard.modules.documents.monthly"
    refusal = {"title": "Invalid", "errors": [{"field": field, "value": "-1", "expected": "a number of at least 0"}]}
    deployment.answers["PUT", "/v1/catalog"] = lambda _: (422, refusal)
    refused = seatpool("catalog", "apply", str(EXAMPLE))
    line = next(n for n, text in enumerate(EXAMPLE.read_text().splitlines(), 1) if "7.50" in text)
    assert refused.exit_code == 1
    assert f"line {line}: {field.removeprefix('body.')}: a number of at least 0" in refused.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plans: {a: 1", "line 1: expected ',' or '}'"),
        ("plans:\n  a: 1\n  a: 2\n", "line 3: expected each name only once"),
        ("- plans", "expected `modules` and `plans`"),
        ("a: &x 1\nb: *x\n", "uses aliases"),
    ],
)
def test_a_file_that_is_no_catalogue_is_not_sent(deployment: Deployment, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "plans.yaml"
    file.write_text(text)
    refused = seatpool("catalog", "apply", str(file))
    assert refused.exit_code == 1
    assert says in refused.output
    assert deployment.asked == []
