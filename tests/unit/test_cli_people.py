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


ANN: dict[str, Any] = {
    "user": "0197a3f2-6f1e-7c55-9f0e-0f6e0b6c2f11",
    "external_id": "4711",
    "source": "rest",
    "login": "ann",
    "email": "ann@acme.example",
    "name": "Ann Lund",
    "job_title": "",
    "department": "Makers",
    "profile": "makers",
    "kind": "employee",
    "status": "active",
    "created_at": "2026-03-02T12:00:00Z",
    "modules": [{"module": "time", "state": "flagged", "deadline": "2026-04-01T12:00:00Z"}],
    "invitation": {"expires_at": "2026-03-09T12:00:00Z"},
    "version": 3,
    "last_day": "2026-03-31",
}
BOB = ANN | {
    "user": "0197a3f2-6f1e-7c55-9f0e-0f6e0b6c2f22",
    "external_id": "4712",
    "login": "bob",
    "email": "bob@acme.example",
    "name": "Bob",
}
OF_ANN = f"{PEOPLE}/{ANN['user']}"


@pytest.fixture
def acme(deployment: Deployment) -> Deployment:
    """Ann and Bob, and what the requests about Ann answer."""
    deployment.answers["GET", PEOPLE] = lambda _: (200, {"items": [ANN, BOB], "next": None})
    for method, last in (
        *(("POST", last) for last in ("/invite", "/reactivate", "/link", "/separate", "/erase")),
        *(("DELETE", last) for last in ("/terminate", "/overrides/department")),
        ("PATCH", ""),
        ("GET", ""),
    ):
        deployment.answers[method, f"{OF_ANN}{last}"] = lambda _: (200, ANN)
    licences = [{"module": "time", "state": "free"}]
    done = {"person": ANN, "last_day": "2026-03-31", "licences": licences, "reduction": {"items": [{"module": "time", "total": 9}]}}
    deployment.answers["POST", f"{OF_ANN}/terminate"] = lambda _: (202, done)
    deployment.answers["POST", f"{OF_ANN}/replace"] = lambda _: (202, {"replaced": ANN, "replacement": BOB})
    items = {"heir": BOB["user"], "heir_name": "Bob", "items": [{"kind": "projects", "count": 3, "labels": []}]}
    deployment.answers["GET", f"{OF_ANN}/owned-items"] = deployment.answers["PUT", f"{OF_ANN}/heir"] = lambda _: (200, items)
    deployment.answers["GET", f"{OF_ANN}/data"] = lambda _: (200, {"person": ANN, "data": {"people": []}})
    return deployment


@pytest.mark.parametrize(
    ("command", "sent", "shown"),
    [
        (("show", "ann"), ("GET", "", ""), "ends after this day"),
        (("show", "ANN@acme.example"), ("GET", "", ""), "flagged until 2026-04-01"),
        (("data", "4711"), ("GET", "/data", ""), '"people"'),
        (
            ("terminate", "ann", "--last-day", "2026-03-31"),
            ("POST", "/terminate", {"last_day": "2026-03-31"}),
            "seatpool licences reduce time=9 --tenant acme",
        ),
        (("terminate", "ann", "--take-back"), ("DELETE", "/terminate", ""), "taken back"),
        (("invite", "ann", "--days", "14"), ("POST", "/invite", {"days": 14, "reserve": True}), "Invited until 2026-03-09"),
        (("resend", "ann", "--no-reserve"), ("POST", "/invite", {"days": 7, "reserve": False}), "Invited until 2026-03-09"),
        (("reactivate", "ann", "--module", "time"), ("POST", "/reactivate", {"modules": ["time"]}), "requested again"),
        (
            ("replace", "ann", "--by", "bob"),
            ("POST", "/replace", {"to": BOB["user"], "afterwards": "left"}),
            "Bob (bob) gets the seats of Ann Lund (ann)",
        ),
        (("hand-over", "ann"), ("GET", "/owned-items", ""), "owns 3 projects; heir: Bob\n"),
        (("hand-over", "ann", "--heir", "bob"), ("PUT", "/heir", {"heir": BOB["user"]}), "owns 3 projects"),
        (("hand-over", "ann", "--nobody"), ("PUT", "/heir", {"heir": None}), "owns 3 projects"),
        (("erase", "ann", "--yes"), ("POST", "/erase", ""), "erased"),
        (("link", "ann", "--to", "bob"), ("POST", "/link", {"to": BOB["user"]}), "one person"),
        (("separate", "ann"), ("POST", "/separate", ""), "two people"),
        (
            ("separate", "ann", "--source", "hr/acme", "--external-id", "4711"),
            ("POST", "/separate", {"source": "hr/acme", "external_id": "4711"}),
            "two people",
        ),
        (
            ("set", "ann", "department=", "name=", "may_log_in=false", "priority=5"),
            ("PATCH", "", {"department": None, "name": "", "may_log_in": False, "priority": 5}),
            "changed",
        ),
        (("remove-override", "ann", "department"), ("DELETE", "/overrides/department", ""), "sources state again"),
    ],
)
def test_each_command_about_a_person_sends_its_request(
    acme: Deployment, command: tuple[str, ...], sent: tuple[str, str, Any], shown: str
) -> None:
    result = seatpool("people", *command, "--tenant", "acme")
    assert result.exit_code == 0, result.output
    method, last, body = sent
    assert acme.asked[-1] == (method, f"{OF_ANN}{last}", body)
    assert shown in result.output


def test_a_person_is_found_by_what_is_known_and_an_ambiguous_name_is_refused(acme: Deployment) -> None:
    acme.answers["GET", PEOPLE] = lambda _: (200, {"items": [ANN, BOB | {"external_id": "ann"}], "next": None})
    several = seatpool("people", "show", "ann", "--tenant", "acme")
    assert (several.exit_code, "2 people are known by ann" in several.output) == (1, True)
    nobody = seatpool("people", "show", "eve", "--tenant", "acme")
    assert (nobody.exit_code, "nobody in acme" in nobody.output) == (1, True)
    assert seatpool("people", "show", ANN["user"], "--tenant", "acme", "--json").exit_code == 0
    assert acme.asked[-1][:2] == ("GET", OF_ANN), "an id needs no search"


def test_people_are_erased_only_after_a_confirmation(acme: Deployment) -> None:
    result = seatpool("people", "erase", "ann", "--tenant", "acme", input="n\n")
    assert (result.exit_code, "cannot be undone" in result.output) == (1, True)
    assert ("POST", f"{OF_ANN}/erase") not in [each[:2] for each in acme.asked]


def test_the_seats_of_refused_people_are_requested_again_with_progress(acme: Deployment) -> None:
    job = {"reevaluation": "r1", "status": "running", "done": 0, "total": 12}
    acme.answers["POST", f"{PEOPLE}/reactivate-refused"] = lambda _: (202, job)
    acme.answers["GET", "/v1/tenants/acme/reevaluations/r1"] = lambda _: (200, job | {"status": "finished", "done": 12})
    shown = seatpool("people", "reactivate-refused", "--tenant", "acme", "--include-revoked").output
    assert "The seats of 12 people are requested again" in shown
    listed = seatpool("people", "list", "--tenant", "acme", "--status", "refused", "--without", "email").output
    assert "Ann Lund" in listed
    assert "2 people" in listed


@pytest.mark.parametrize(
    "command",
    [
        ("terminate", "ann"),
        ("terminate", "ann", "--last-day", "2026-03-31", "--take-back"),
        ("separate", "ann", "--source", "hr/acme"),
        ("hand-over", "ann", "--heir", "bob", "--nobody"),
        ("matches", "--source", "hr/acme", "--dry-run", "--dates", "dmy"),
        ("set", "ann", "department"),
        ("show", " "),
    ],
)
def test_options_that_contradict_each_other_send_nothing(acme: Deployment, command: tuple[str, ...]) -> None:
    result = seatpool("people", *command, "--tenant", "acme")
    assert (result.exit_code, acme.asked) == (2, [])


@pytest.mark.parametrize(
    ("command", "path", "row"),
    [
        (("owners", "list"), PEOPLE, ANN),
        (("clients", "list"), "/v1/tenants/acme/clients", {"client": "c1", "rights": ["users:read"], "secrets": []}),
        (("people", "list"), PEOPLE, ANN),
    ],
)
def test_a_name_that_looks_like_markup_is_shown_as_it_is(
    deployment: Deployment, command: tuple[str, ...], path: str, row: dict[str, Any]
) -> None:
    deployment.answers["GET", path] = lambda _: (200, {"items": [row | {"name": "Ann [/] [red]Lund"}], "next": None})
    result = seatpool(*command, "--tenant", "acme")
    assert (result.exit_code, "Ann [/] [red]Lund" in result.output) == (0, True), result.output
