"""`seatpool hr import` against a made-up users service: what it sends, shows and answers, and what it leaves behind."""

import json
import re
from collections.abc import Iterator
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from rich.progress import Progress, TaskID

from shared.hr_files import reports
from shared.hr_files.company import Entry, Period, Person, read_company
from shared.hr_files.reports import in_parts, report_of
from shared.schemas.hr_v1 import PersonReported
from tests.support.deployment import Answer, Deployment, made_up, seatpool

ROOT = Path(__file__).parents[2]
ALPENROSE = str(ROOT / "examples/alpenrose")
IMPORTS = "/v1/tenants/acme/imports"
ONE = f"{IMPORTS}/i1"
FLAT = "employee_id,start_date,end_date,department,login,email\n"


class Users:
    """A users service that stages imports, counts everybody as new, and applies in two steps."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.people: list[dict[str, Any]] = []
        self.invalid: list[dict[str, Any]] = []
        self.guard = {"would_end": 0, "limit": 5, "needs_confirmation": False}
        self.absent: list[str] = []
        self.seats: dict[str, Any] = {"expansions": [], "cost": None, "reductions": [], "saving": None}
        self.without_profile: dict[str, Any] = {"people": 0, "departments": []}
        self.states = iter([{"status": "applying", "done": 1, "total": 2}, {"status": "applied", "done": 2, "total": 2}])
        answers = deployment.answers
        answers["POST", IMPORTS] = self._open
        for first in range(200):
            answers["PUT", f"{ONE}/people/{first}"] = self._take
        answers["POST", f"{ONE}/check"] = self._check
        answers["GET", f"{ONE}/changes"] = lambda _: (200, {"items": self._changes(), "next": None})
        answers["POST", f"{ONE}/apply"] = self._apply
        answers["GET", ONE] = lambda _: (200, next(self.states))
        answers["DELETE", ONE] = lambda _: (204, None)

    def _open(self, _: Any) -> Answer:
        self.people = []
        return 201, {"import": "i1", "version": 7, "status": "open"}

    def _take(self, body: Any) -> Answer:
        self.people += body["people"]
        return 200, {"invalid": self.invalid}

    def _check(self, _: Any) -> Answer:
        counts = {"new": len(self.people) - len(self.invalid), "changed": 0, "unchanged": 0, "leaving": 0, "absent": len(self.absent)}
        modules = [{"module": "base", "required_before": 0, "required": len(self.people), "licences": 3, "available": None}]
        absent = [{"user": f"u{n}", "external_id": n} for n in self.absent]
        seats = {"decided": False, "detail": "It was not decided person by person.", "people": []} | self.seats
        report = {"counts": counts | {"invalid": len(self.invalid)}, "modules": modules, "guard": self.guard}
        return 200, report | {"absent": absent, "invalid": [], "seats": seats, "without_profile": self.without_profile}

    def _apply(self, body: Any) -> Answer:
        if self.guard["needs_confirmation"] and body["confirm"] != self.guard["would_end"]:
            return 409, {"type": "urn:seatpool:problem:import-needs-confirmation", "detail": "This would end the access of 12 people."}
        return 202, {"status": "applying", "total": 2}

    def _changes(self) -> list[dict[str, Any]]:
        after = {"user": "u", "status": "active", "modules": ["base"], "department": "Lab", "upcoming": []}
        return [{"external_id": p["external_id"], "kind": "new", "ends": False, "before": None, "after": after} for p in self.people]

    def asked(self, method: str) -> list[str]:
        return [path for asked, path, _ in self.deployment.asked if asked == method]


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Users]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield Users(deployment)


def import_files(*arguments: str, files: str = ALPENROSE) -> Any:
    return seatpool("hr", "import", files, "--tenant", "acme", "--source", "hr/acme", *arguments)


def flat(folder: Path, *rows: str) -> str:
    path = folder / "people.csv"
    path.write_text(FLAT + "".join(f"{row}\n" for row in rows))
    return str(path)


def test_an_import_sends_everybody_as_a_timeline_and_is_applied(users: Users) -> None:
    result = import_files()
    assert result.exit_code == 0, result.output
    assert len(users.people) == 127
    for person in users.people:
        PersonReported.model_validate_json(orjson.dumps(person | {"version": 7}))
    assert users.asked("POST") == [IMPORTS, f"{ONE}/check", f"{ONE}/apply"]
    assert users.asked("DELETE") == []
    assert "rows:   279 read = 279 used + 0 ignored + 0 reported" in result.output
    assert "people: 127 in the files = 127 changed + 0 unchanged + 0 reported" in result.output
    assert "Imported into acme from hr/acme." in result.output
    assert "employees.csv: utf-8, separated by comma, 127 rows" in result.output


def test_an_import_shows_its_progress_on_a_terminal_and_nothing_of_it_elsewhere(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part that is sent and each answer of users moves a bar."""
    monkeypatch.setattr(reports, "PEOPLE_AT_ONCE", 60)
    monkeypatch.setattr("cli.hr.importing.POLL_SECONDS", 0)
    moved, advance = list[float](), Progress.advance

    def moves(bar: Progress, task: TaskID, by: float) -> None:
        moved.append(by)
        advance(bar, task, by)

    monkeypatch.setattr(Progress, "advance", moves)
    for is_terminal in (True, False):
        total = {"status": "applying", "total": 127}
        moved.clear()
        users.states = iter([total | {"done": 40}, total | {"done": 100}, {"status": "applied"}])
        users.deployment.answers["POST", f"{ONE}/apply"] = lambda _: (202, {"status": "applying", "total": 127})
        monkeypatch.setattr("cli.hr.screen.err", Console(file=(shown := StringIO()), force_terminal=is_terminal, width=100))
        result = import_files()
        assert result.exit_code == 0, result.output
        assert moved == [60, 60, 7, 40, 60, 27]
        text = shown.getvalue()
        for word in ("sending", "127/127", "applying"):
            assert (word in text, word in result.output) == (is_terminal, False)
        assert ("127/127" in text.rpartition("applying")[2]) == is_terminal, "the bar is full at the end"


def test_employees_without_a_profile_are_counted_by_department_and_the_output_says_what_to_do(users: Users) -> None:
    departments = [{"department": "Lab", "people": 2}, {"department": None, "people": 1}]
    users.without_profile = {"people": 3, "departments": departments}
    for options in (("--dry-run",), ()):
        users.states = iter([{"status": "applied", "done": 2, "total": 2}])
        shown = import_files(*options)
        assert (
            "3 employees have no profile, because the department is not mapped, so they require no modules and get no seats: Lab (2), "
            "no department (1). Map each department to a profile, or to null: "
            "PUT /v1/tenants/acme/department-mapping, or the page Profiles."
        ) in shown.output
    assert orjson.loads(import_files("--json", "--dry-run").stdout)["check"]["without_profile"]["people"] == 3


def test_the_matches_of_files_are_shown_and_the_import_is_deleted(users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the people who would be linked are asked for, up to a limit."""
    linked = {"outcome": "linked", "by": "email", "reason": None, "people": ["0123456789"]}
    other = {"outcome": "conflict", "by": "login", "reason": "several_people", "people": ["0123456789", "9876543210"]}
    new: dict[str, Any] = {"outcome": "new", "by": None, "reason": None, "people": []}
    after = {"login": "ann", "name": "", "modules": ["base"]}
    changes = [{"external_id": str(n), "kind": "new", "after": after, "match": match} for n, match in enumerate((linked, other, new))]
    users.deployment.answers["GET", f"{ONE}/changes"] = lambda _: (200, {"items": changes, "next": None})
    users.deployment.answers["GET", "/v1/tenants/acme/people/0123456789"] = lambda _: (200, {"name": "Ann Lund", "login": "ann"})
    monkeypatch.setattr("cli.people.matches.NAMED_MAX", 1)
    files = flat(tmp_path, "1,2026-01-01,,Lab,ann,a@x.example", "2,yesterday,,Lab,bob,b@x.example")
    command = ("people", "matches", "--tenant", "acme", "--source", "hr/acme", "--dry-run", "--files", files)
    result = seatpool(*command)
    assert result.exit_code == 0, result.output
    for text in ("would be linked", "Ann Lund (01234567…)", "(98765432…)", "several_people", "matches nobody", "1 row cannot be used"):
        assert text in result.output
    assert (users.asked("POST"), users.asked("DELETE")) == ([IMPORTS, f"{ONE}/check"], [ONE]), "nothing is applied"
    shown = json.loads(seatpool(*command, "--json").output)["items"]
    assert [each["outcome"] for each in shown] == ["would_link", "would_conflict", "new"]
    (tmp_path / "german.csv").write_bytes("Nr;Eintritt;login\n1;31.01.2026;jörg\n".encode("windows-1252"))
    declared = ("--encoding", "windows-1252", "--dates", "dmy", "--columns", "employee_id=Nr,start_date=Eintritt")
    read = seatpool(*command[:-1], str(tmp_path / "german.csv"), *declared)
    assert (read.exit_code, users.people[-1]["external_id"]) == (0, "1"), read.output
    assert "jörg" in str(users.people[-1])
    nobody = seatpool(*command[:-1], flat(tmp_path, "2,yesterday,,Lab,bob,b@x.example"))
    assert (nobody.exit_code, "nobody to match" in nobody.output) == (1, True)


def test_the_list_of_changes_shows_the_status_that_seats_would_decide_and_no_field_that_stays_empty(users: Users) -> None:
    refused = {"user": "u", "external_id": "1", "status": "refused", "modules": [{"module": "base", "state": "refused"}]}
    users.seats |= {"decided": True, "people": [refused]}
    before: dict[str, Any] = {"user": "u", "status": "inactive", "modules": [], "employee_number": None, "upcoming": []}
    after = before | {"status": "active", "modules": ["base"], "employee_number": "", "upcoming": []}
    change = {"external_id": "1", "kind": "changed", "ends": False, "before": before, "after": after}
    users.deployment.answers["GET", f"{ONE}/changes"] = lambda _: (200, {"items": [change], "next": None})
    output = import_files("--dry-run").output
    assert "status: inactive -> refused" in output
    assert "employee_number" not in output


def test_a_dry_run_changes_nobody_and_leaves_nothing_behind(users: Users) -> None:
    result = import_files("--dry-run")
    assert result.exit_code == 0, result.output
    assert (users.asked("POST"), users.asked("DELETE")) == ([IMPORTS, f"{ONE}/check"], [ONE])
    assert "This was a dry run. Nobody was changed." in result.output
    assert "and 97 more; --json prints all of them" in result.output
    assert "It was not decided person by person." in result.output
    (modules,) = [line for line in result.output.splitlines() if line.strip("│ ").startswith("base")]
    assert re.findall(r"[\w-]+", modules) == ["base", "0", "127", "3", "-"], "required now and then, licences, available"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("employee_id,start_date\n1,2020-01-01\n", "The files have no column for the field login."),
        ("employee_id,start_date,login\n1,2020-01-01,\n2,2020-01-01,bo\n", "1 person has no login in the files."),
        ("employee_id,start_date,login\n1,2020-01-01,ann\n", None),
    ],
)
def test_people_without_a_login_are_counted_since_they_get_no_seats(users: Users, tmp_path: Path, content: str, note: str | None) -> None:
    (tmp_path / "some.csv").write_text(content)
    output = " ".join(import_files(files=str(tmp_path / "some.csv")).output.split())
    assert ("require no modules and get no seats, unless another source states their login." in output) is (note is not None)
    assert note is None or note in output


def test_M9_a_dry_run_says_which_licences_would_be_added_and_given_back_and_what_that_costs_and_saves(users: Users) -> None:
    price = {"currency": "EUR", "term": "monthly"}
    users.seats = {
        "expansions": [{"module": "base", "licences": 3}],
        "cost": price | {"net_minor": 3600},
        "reductions": [{"module": "base", "licences": 2, "reduce_at": "now"}, {"module": "lab", "licences": 1, "reduce_at": "period_end"}],
        "saving": price | {"net_minor": 2400},
    }
    output = " ".join(import_files("--dry-run").output.split())
    said = (
        "base: 3 licences would be added by the policy of the module. base: 2 licences of leavers would be given back at once. "
        "lab: 1 licence of leavers would be given back at the end of the period. "
        "You would be charged €36.00 per month, without tax. That saves €24.00 per month, without tax."
    )
    assert said in output


def test_an_import_that_fails_says_why(users: Users) -> None:
    failure = "An internal error (KeyError) stopped the import after 1 of 2 people."
    users.states = iter([{"status": "failed", "done": 1, "total": 2, "failure": failure}])
    result = import_files()
    assert (result.exit_code, failure in " ".join(result.output.split())) == (1, True)


def test_an_import_in_json_is_one_document(users: Users) -> None:
    result = import_files("--json", "--complete")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["applied"], document["people"]["changed"]) == (0, True, 127)
    assert len(document["changes"]) == 127
    assert users.deployment.asked[0][2] == {"source": "hr/acme", "complete": True, "absent": "list"}


def test_the_guard_stops_and_prints_the_command_that_goes_on(users: Users) -> None:
    users.guard = {"would_end": 12, "limit": 5, "needs_confirmation": True}
    result = import_files("--complete", "--absent=leave", "--dates", "dmy", "--columns", "login=Login", "--confirm", "11")
    assert result.exit_code == 4, result.output
    assert users.asked("POST") == [IMPORTS, f"{ONE}/check", f"{ONE}/apply"], "users refuses it, and so the administrators get the e-mail"
    assert users.asked("DELETE") == [ONE]
    assert "would end the access of 12 people. Without a confirmation, at most 5 can lose access." in result.output
    assert "You confirmed 11, not 12." in result.output
    command = f"seatpool hr import {ALPENROSE} --tenant acme --source hr/acme --columns login=Login --dates dmy --complete --absent leave"
    assert f"  {command} --confirm 12" in result.output.splitlines()
    users.deployment.asked.clear()
    assert import_files("--confirm", "12").exit_code == 0
    assert users.deployment.asked[-3][2] == {"confirm": 12}


def test_rows_that_cannot_be_used_and_people_whom_users_refuses_are_listed(users: Users, tmp_path: Path) -> None:
    users.invalid = [{"index": 0, "errors": [{"field": "login", "expected": "another one"}]}]
    files = flat(tmp_path, "1,2020-01-01,,Lab,a,nonsense", "2,2020-01-01,,Lab,b,", "3,2020-02-01,,Lab,c,c@x.example")
    result = import_files(files=files)
    assert result.exit_code == 3, result.output
    lines = [line for line in result.output.splitlines() if "people.csv " in line]
    assert len(lines) == 2
    assert "email" in lines[0]
    assert [cell.strip() for cell in lines[1].split("│")[1:-1]] == ["people.csv", "3", "login: another one", "2"]
    assert "people: 3 in the files = 1 changed + 0 unchanged + 2 reported" in result.output


def test_nobody_leaves_for_being_absent_while_a_row_cannot_be_read(users: Users, tmp_path: Path) -> None:
    files = flat(tmp_path, "1,2020-01-01,,Lab,a,nonsense", "2,2020-01-01,,Lab,b,")
    users.absent = ["1", "7"]
    result = import_files("--complete", "--absent=leave", files=files)
    assert users.deployment.asked[0][2] == {"source": "hr/acme", "complete": True, "absent": "list"}
    assert "missing from the files; none of them is changed (with --absent=leave, they leave): 7\n" in result.output
    assert "none of them leaves" in result.output


def test_absent_people_leave_only_if_the_files_are_complete(users: Users) -> None:
    result = import_files("--absent=leave")
    assert (result.exit_code, users.deployment.asked) == (2, [])
    assert "leave needs --complete" in result.output


@pytest.mark.parametrize("refused", ["check", "apply", "changes"])
def test_an_import_that_is_refused_is_deleted(users: Users, refused: str) -> None:
    method = "GET" if refused == "changes" else "POST"
    users.deployment.answers[method, f"{ONE}/{refused}"] = lambda _: (422, {"detail": "something is [wrong]"})
    result = import_files()
    assert (result.exit_code, users.asked("DELETE")) == (1, [ONE])
    assert "users answered 422: something is [wrong]" in result.output


def test_a_second_import_meanwhile_is_refused(users: Users) -> None:
    users.deployment.answers["POST", IMPORTS] = lambda _: (409, {"detail": "Another import of hr/acme is running."})
    result = import_files()
    assert (result.exit_code, users.asked("DELETE")) == (1, [])
    assert "users answered 409: Another import of hr/acme is running." in result.output


def test_an_import_that_was_cut_off_is_deleted_on_request(users: Users) -> None:
    refusal = {"type": "urn:seatpool:problem:import-running", "detail": "The import i0 is still collecting.", "running": "i0"}
    given: list[Answer] = [(409, refusal), (409, refusal), (201, {"import": "i1", "version": 7, "status": "open"})]
    users.deployment.answers["POST", IMPORTS] = lambda _: given.pop(0)
    users.deployment.answers["DELETE", f"{IMPORTS}/i0"] = lambda _: (204, None)
    refused = import_files()
    assert refused.exit_code == 1
    assert "repeat the command with --discard-running" in refused.output
    assert users.asked("DELETE") == []
    assert import_files("--discard-running").exit_code == 0
    assert users.asked("DELETE") == [f"{IMPORTS}/i0"]
    assert f"{ONE}/apply" in users.asked("POST")


def test_files_without_a_readable_person_send_nothing(users: Users, tmp_path: Path) -> None:
    result = import_files(files=flat(tmp_path, "1,0,,Lab,a,"))
    assert (result.exit_code, users.deployment.asked) == (1, [])
    assert "'0' is no date" in result.output
    assert "there is nothing to import" in result.output


def test_files_without_a_readable_person_are_reported_as_json_too(users: Users, tmp_path: Path) -> None:
    result = import_files("--json", files=flat(tmp_path, "1,0,,Lab,a,"))
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["applied"], report["rows"], report["reported"]) == (False, {"read": 1, "used": 0, "ignored": {}, "reported": 1}, ["1"])
    assert [row["line"] for row in report["bad_rows"]] == [2]
    empty = import_files(files=flat(tmp_path))
    assert (empty.exit_code, "cannot be used" in empty.output) == (1, False), "no table without rows"
    assert "The files contain a header, and no row with a person." in empty.output


def test_a_file_that_cannot_be_read_is_one_line(users: Users, tmp_path: Path) -> None:
    result = import_files(files=str(tmp_path))
    assert (result.exit_code, users.deployment.asked) == (1, [])
    assert "employees.csv is missing" in result.output


# ------------------------------------------------------------------------------------------------------------------- reports


def test_a_report_states_only_what_differs_from_the_row_before() -> None:
    values = {"login": "a", "email": None, "department": "Lab", "valid_to": None}
    entries = (
        Entry(date(2020, 1, 1), values),
        Entry(date(2021, 1, 1), values),
        Entry(date(2022, 1, 1), values | {"department": None, "valid_to": date(2026, 1, 31)}),
        Entry(date(2023, 1, 1), values | {"department": None, "login": None, "email": "a@x.example"}),
    )
    periods = (Period(date(2020, 1, 1), date(2020, 6, 30)), Period(date(2021, 1, 1), None))
    assert report_of(Person("A/7 b", periods, entries, "people.csv", 2)) == {
        "external_id": "A/7 b",
        "employment": [{"starts_on": "2020-01-01", "ends_on": "2020-06-30"}, {"starts_on": "2021-01-01", "ends_on": None}],
        "attributes": [
            {"since": "2020-01-01", "login": "a", "department": "Lab"},
            {"since": "2022-01-01", "department": None, "valid_to": "2026-01-31"},
            {"since": "2023-01-01", "valid_to": None, "login": None, "email": "a@x.example"},
        ],
    }


@pytest.mark.parametrize(("people", "size"), [(50, 10**6), (1000, 5_000), (1, 1)])
def test_parts_fit_into_a_request_and_miss_nobody(monkeypatch: pytest.MonkeyPatch, people: int, size: int) -> None:
    monkeypatch.setattr(reports, "PEOPLE_AT_ONCE", people)
    monkeypatch.setattr(reports, "BYTES_AT_ONCE", size)
    company = read_company(ROOT / "examples/alpenrose")
    parts = list(in_parts(company.people))
    assert all(len(part) <= people and (len(part) == 1 or len(orjson.dumps(part)) <= size + 2) for _, part in parts)
    assert [first for first, _ in parts] == [sum(len(part) for _, part in parts[:n]) for n in range(len(parts))]
    assert [each["external_id"] for _, part in parts for each in part] == [person.external_id for person in company.people]
