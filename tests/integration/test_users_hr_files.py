"""HR files that correct each other, imported by the command line's own code: what a second file lacks did not happen (issue: People)."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.hr.importing import Outcome, Wanted, perform
from cli.rest import Addresses, Rest
from shared.hr_files.company import Dialect, read_company
from shared.schemas.users_v1 import PersonChanged, PersonLeft
from tests.support.decided_seats import DecidedSeats
from tests.support.users import NOON, Bench

# One service for all tests of this file, as each works in tenants of its own. Its clock stands on 2 March 2026.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
assert NOON.date() == date(2026, 3, 2)
Row = tuple[str, str, str]  # start, end, department

# case -> (rows of the first file, rows of the second file, (status, department) after it; None: nobody)
CASES: Mapping[str, tuple[Sequence[Row], Sequence[Row], tuple[str, str] | None]] = {
    "end/taken back": ([("2020-01-01", "2026-02-20", "Makers")], [("2020-01-01", "", "Makers")], ("active", "Makers")),
    "end/moved": ([("2020-01-01", "2026-02-20", "Makers")], [("2020-01-01", "2027-06-30", "Makers")], ("active", "Makers")),
    "hired again": (
        [("2020-01-01", "2025-06-30", "Makers")],
        [("2020-01-01", "2025-06-30", "Makers"), ("2026-03-01", "", "Planners")],
        ("active", "Planners"),
    ),
    "start/postponed": ([("2026-02-20", "", "Makers")], [("2027-01-04", "", "Makers")], None),
    "move/taken back": (
        [("2020-01-01", "2026-02-09", "Makers"), ("2026-02-10", "", "Planners")],
        [("2020-01-01", "", "Makers")],
        ("active", "Makers"),
    ),
    "move/postponed": (
        [("2020-01-01", "2026-02-09", "Makers"), ("2026-02-10", "", "Planners")],
        [("2020-01-01", "2027-01-31", "Makers"), ("2027-02-01", "", "Planners")],
        ("active", "Makers"),
    ),
    "rows/meet": ([("2020-01-01", "2026-02-10", "Makers"), ("2026-02-10", "", "Planners")], [], ("active", "Planners")),
    "rows/follow": ([("2020-01-01", "2026-02-09", "Makers"), ("2026-02-10", "", "Planners")], [], ("active", "Planners")),
    "open/2900": ([("2020-01-01", "2900-01-01", "Makers")], [], ("active", "Makers")),
    "open/9999": ([("2020-01-01", "9999-12-31", "Makers")], [], ("active", "Makers")),
}


def flat(folder: Path, rows: Mapping[str, Sequence[Row]], domain: str = "acme.example") -> Path:
    path = folder / "people.csv"
    lines = [
        f"{who},{start},{end},{department},{who.replace('/', '.').replace(' ', '.')}@{domain}"
        for who, spells in rows.items()
        for start, end, department in spells
    ]
    path.write_text("\n".join(["employee_id,start_date,end_date,department,email", *lines, ""]))
    return path


async def import_files(bench: Bench, tenant: str, files: Path, dialect: Dialect | None = None, **more: Any) -> Outcome:
    token = (await bench.rest()).token
    rest = Rest(Addresses({"users": str(bench.http.base_url)}, token), bench.http)
    dialect = dialect or Dialect(columns={"login": ("email",)})
    return await perform(rest, read_company(files, dialect), Wanted(files, tenant, bench.source(tenant), **more), all_changes=True)


async def people(bench: Bench, tenant: str) -> dict[str, dict[str, Any]]:
    pages = await (await bench.rest()).pages(f"/v1/tenants/{tenant}/people?status=all")
    return {person["external_id"]: person for page in pages for person in page}


async def test_a_second_file_corrects_the_first_one(bench: Bench, tmp_path: Path) -> None:
    tenant, _ = await bench.open_tenant()
    await import_files(bench, tenant, flat(tmp_path, {who: first for who, (first, _, _) in CASES.items()}))
    second = flat(tmp_path, {who: second or first for who, (first, second, _) in CASES.items()})
    outcome = await import_files(bench, tenant, second, complete=True, absent="leave", confirm=None)
    assert (outcome.bad_rows, outcome.applied) == ((), True)
    found = await people(bench, tenant)
    seen = {who: (found[who]["status"], found[who]["department"]) if who in found else None for who in CASES}
    assert seen == {who: right for who, (_, _, right) in CASES.items()}


async def test_a_second_file_changes_every_email_address_and_an_equal_one_sends_no_event(bench: Bench, tmp_path: Path) -> None:
    tenant, _ = await bench.open_tenant()
    rows = {f"p{number}": [("2020-01-01", "", "Guests")] for number in range(1_000)}
    for domain in ("a.example", "b.example", "b.example"):
        outcome = await import_files(bench, tenant, flat(tmp_path, rows, domain), Dialect(columns={"login": ("employee_id",)}))
    assert (outcome.people.unchanged, outcome.report["guard"]["would_end"]) == (1_000, 0)
    assert {who: person["email"] for who, person in (await people(bench, tenant)).items()} == {who: f"{who}@b.example" for who in rows}
    assert len(await bench.events(tenant, PersonChanged)) == 1_000


async def test_a_row_with_an_unknown_department_changes_nothing_until_it_is_mended(bench: Bench, tmp_path: Path) -> None:
    tenant, _ = await bench.open_tenant()
    (tmp_path / "departments.csv").write_text("department_id,name\n1,Makers\n2,Planners\n")
    (tmp_path / "employees.csv").write_text(
        "employee_id,login,email,hire_date\n1,a,a@acme.example,2020-01-01\n2,b,b@acme.example,2020-01-01\n"
    )
    history = tmp_path / "department_history.csv"
    head = "employee_id,department_id,start_date,end_date\n2,1,2020-01-01,\n1,1,2020-01-01,2026-02-09\n"
    for department, reported in (("2", ()), ("9", ("1",)), ("2", ())):
        history.write_text(f"{head}1,{department},2026-02-10,\n")
        outcome = await import_files(bench, tenant, tmp_path, Dialect(), complete=True, absent="leave")
        assert (outcome.company.reported, outcome.people.reported) == (reported, len(reported))
        found = await people(bench, tenant)
        assert {who: (person["status"], person["department"]) for who, person in found.items()} == {
            "1": ("active", "Planners"),
            "2": ("active", "Makers"),
        }
    assert await bench.events(tenant, PersonLeft) == []


async def test_the_guard_stops_a_file_whose_end_dates_are_in_another_column_and_the_right_file_brings_everybody_back(
    bench: Bench, tmp_path: Path
) -> None:
    tenant, _ = await bench.open_tenant()
    path = tmp_path / "people.csv"
    rows = "".join(f"{n},2020-01-01,,2025-12-31,Guests,p{n}\n" for n in range(300))
    path.write_text("employee_id,start_date,end_date,certificate_until,department,login\n" + rows)
    right, wrong = Dialect(), Dialect(columns={"end_date": ("certificate_until",)})

    async def statuses() -> set[str]:
        return {person["status"] for person in (await people(bench, tenant)).values()}

    await import_files(bench, tenant, path, right)
    for more in ({"dry_run": True}, {}, {"confirm": 299}):
        outcome = await import_files(bench, tenant, path, wrong, **more)
        assert (outcome.stopped, outcome.applied, outcome.report["guard"]["would_end"]) == (True, False, 300)
        assert await statuses() == {"active"}
    assert (await import_files(bench, tenant, path, wrong, confirm=300)).applied
    assert await statuses() == {"left"}
    assert (await import_files(bench, tenant, path, right)).people.changed == 300
    assert await statuses() == {"active"}


async def test_M9_a_wrong_end_date_column_changes_nobody_and_after_the_right_file_the_licences_are_back(
    bench: Bench, tmp_path: Path
) -> None:
    tenant, _ = await bench.open_tenant()
    seats = DecidedSeats("time", "documents", licences=300, terminate_reduces_pool=True, reduce_at="now")
    everybody = dict.fromkeys(("time", "documents"), (300, {"active": 300}))
    file = tmp_path / "people.csv"
    lines = [f"p{number},2020-01-01,,2025-12-31,Makers" for number in range(300)]
    file.write_text("\n".join(["employee_id,start_date,end_date,last_review,department", *lines, ""]))
    right = Dialect(columns={"login": ("employee_id",)})
    wrong = Dialect(columns={"login": ("employee_id",), "end_date": ("last_review",)})
    await import_files(bench, tenant, file, right)
    assert await seats.take(bench, tenant) == everybody
    stopped = await import_files(bench, tenant, file, wrong)
    assert (stopped.applied, stopped.report["guard"]["would_end"]) == (False, 300)
    assert await seats.take(bench, tenant) == everybody, "nobody is changed"
    assert (await import_files(bench, tenant, file, wrong, confirm=300)).applied
    assert {person["status"] for person in (await people(bench, tenant)).values()} == {"left"}
    assert await seats.take(bench, tenant) == dict.fromkeys(("time", "documents"), (1, {}))
    await import_files(bench, tenant, file, right)
    assert {person["status"] for person in (await people(bench, tenant)).values()} == {"active"}
    assert await seats.take(bench, tenant) == everybody
