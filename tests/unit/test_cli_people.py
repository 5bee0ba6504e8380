"""`seatpool people …` against a made-up deployment: what it asks for, what it shows, and what it prints for programs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, made_up, seatpool

PEOPLE = "/v1/tenants/acme/people"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def test_differences_of_all_pages_are_one_table_and_their_counts_are_added_up(deployment: Deployment) -> None:
    difference = {"kind": "blocked", "text": "okta blocks the login of Ann.", "change": "If okta activates Ann again, …"}
    item = {"user": "u1", "name": "Ann", "differences": [difference]}
    counts = {"examined": 250, "employed": 249, "requiring": 248, "differing": 1, "hidden": 0, "seats_detail": None, "text": "…"}
    sources = [{"source": "hr/acme", "kind": "hr", "employed": 250, "blocked": 0}, {"source": "okta", "employed": 249, "blocked": 1}]
    page: dict[str, Any] = counts | {"sources": sources, "with_seat": 247, "items": [item], "next": "more"}
    pages = iter([page, page | {"items": [], "next": None}] * 2)
    deployment.answers["GET", "/v1/tenants/acme/differences"] = lambda _: (200, next(pages))
    shown = seatpool("people", "differences", "--tenant", "acme", "--kind", "blocked").output
    for expected in ("500", "498", "2 of them blocked", "494", "okta blocks the login of Ann.", "2 of 500 people differ."):
        assert expected in shown
    found = json.loads(seatpool("people", "differences", "--tenant", "acme", "--json").output)
    assert (found["examined"], found["with_seat"], [each["user"] for each in found["items"]]) == (500, 494, ["u1"])


def test_differences_say_that_seats_did_not_answer(deployment: Deployment) -> None:
    page = dict.fromkeys(("examined", "employed", "requiring", "differing", "hidden"), 0)
    detail = "seats did not answer. The sources and users are compared."
    answer: dict[str, Any] = page | {"sources": [], "with_seat": None, "seats_detail": detail, "items": [], "next": None, "text": ""}
    deployment.answers["GET", "/v1/tenants/acme/differences"] = lambda _: (200, answer)
    assert detail in seatpool("people", "differences", "--tenant", "acme").output


def test_an_operator_signs_in_with_the_link_and_commands_act_in_the_operators_name(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEATPOOL_TOKEN")
    choices = [{"tenant": "acme", "user": "u1"}, {"tenant": None, "user": "op1"}]
    deployment.answers["POST", "/v1/sign-in/links"] = lambda _: (202, {"detail": "…"})
    deployment.answers["POST", "/v1/sign-in/links/use"] = lambda _: (200, {"ticket": "t", "choices": choices})
    deployment.answers["POST", "/v1/sign-in/links/choose"] = lambda _: (201, {"secret": "s3cret"})
    result = seatpool("operator", "sign-in", "vera@vendor.example", input="https://users.example/sign-in/link?secret=abc\n")
    assert "export SEATPOOL_SESSION=s3cret" in result.output, result.output
    assert [body for _, _, body in deployment.asked[-2:]] == [{"secret": "abc"}, {"ticket": "t", "user": "op1"}]

    monkeypatch.setenv("SEATPOOL_SESSION", "s3cret")
    deployment.answers["POST", "/v1/token"] = lambda _: (200, {"access_token": f"token-{len(deployment.asked)}"})
    deployment.answers["POST", "/v1/tenants/acme/operator-access"] = lambda _: (201, {"access_token": "read-only"})
    assert seatpool("operator", "open", "--tenant", "acme", "--reason", "ticket 4711").output.strip() == "read-only"
    assert "subject_token=s3cret" in deployment.asked[-2][2]


def test_a_session_that_has_ended_is_named_with_what_to_do(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEATPOOL_TOKEN")
    monkeypatch.setenv("SEATPOOL_SESSION", "s3cret")
    deployment.answers["POST", "/v1/token"] = lambda _: (400, {"detail": "ended"})
    result = seatpool("operator", "list")
    assert (result.exit_code, "seatpool operator sign-in" in result.output) == (1, True)


def test_operators_are_added_listed_and_removed_by_their_addresses(deployment: Deployment) -> None:
    vera = {
        "operator": "op1",
        "email": "vera@vendor.example",
        "name": "Vera Vind",
        "added_by": "operator",
        "added_at": "2026-03-02T12:00:00Z",
    }
    deployment.answers["POST", "/v1/operators"] = lambda _: (201, vera)
    deployment.answers["GET", "/v1/operators"] = lambda _: (200, {"items": [vera], "next": None})
    deployment.answers["DELETE", "/v1/operators/op1"] = lambda _: (204, None)
    assert "Vera Vind is an operator" in seatpool("operator", "add", "vera@vendor.example", "--name", "Vera Vind").output
    assert "vera@vendor.example" in seatpool("operator", "list").output
    assert seatpool("operator", "remove", "VERA@vendor.example").exit_code == 0
    assert deployment.asked[-1][:2] == ("DELETE", "/v1/operators/op1")
    unknown = seatpool("operator", "remove", "otto@vendor.example")
    assert (unknown.exit_code, "no operator has" in unknown.output) == (1, True)


def test_matches_show_with_whom_and_by_what_and_what_linking_would_change(deployment: Deployment) -> None:
    linked: dict[str, Any] = {
        "external_id": "1",
        "name": "Ann",
        "login": "ann",
        "outcome": "would_link",
        "by": "email",
        "reason": None,
        "hidden": 0,
    }
    linked |= {"people": [{"user": "0123456789", "name": "Ann Lund"}], "would_require": ["time"], "released": ["time"]}
    conflict: dict[str, Any] = linked | {
        "external_id": "2",
        "outcome": "would_conflict",
        "reason": "several_people",
        "would_require": None,
        "released": [],
    }
    deployment.answers["GET", "/v1/tenants/acme/matches"] = lambda _: (200, {"items": [linked, conflict], "hidden": 3, "next": None})
    base = ("people", "matches", "--tenant", "acme", "--source", "okta")
    shown = seatpool(*base, "--dry-run", "--match-by", "email").output
    for text in (
        "would be linked",
        "Ann Lund (01234567…)",
        "one person, who requires time; gives up time",
        "several_people",
        "3 are outside",
    ):
        assert text in shown
    assert len(json.loads(seatpool(*base, "--json").output)["items"]) == 2
    refused = seatpool(*base, "--match-by", "email")
    assert (refused.exit_code, "needs --dry-run" in refused.output) == (2, True)
