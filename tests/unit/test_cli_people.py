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
