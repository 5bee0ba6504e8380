"""CSV in: good rows go in, bad ones are listed with file, line and reason."""

from datetime import date
from pathlib import Path

import pytest

from cli.hr import event_json
from cli.hr_files import FolderUnusable, changes_after, hired_on, history, read_company
from shared.schemas.hr_v1 import PersonChanged, PersonHired, PersonLeft

DEPARTMENTS = "department_id,name,group\n1,Engineering,R\n2,Sales,S\n"
EMPLOYEES = "employee_id,login,email,job_title,hire_date,current\n"
HISTORY = "employee_id,department_id,start_date,end_date\n"
ALPENROSE = Path(__file__).parents[2] / "examples" / "alpenrose"


def folder(path: Path, employees: str, history_rows: str, departments: str = DEPARTMENTS) -> Path:
    (path / "employees.csv").write_text(EMPLOYEES + employees)
    (path / "departments.csv").write_text(departments)
    (path / "department_history.csv").write_text(HISTORY + history_rows)
    return path


def test_a_history_becomes_facts_in_order_of_time(tmp_path: Path) -> None:
    company = read_company(
        folder(
            tmp_path,
            "10,b,b@x.example,Dev,2020-05-01,1\n9,a,a@x.example,Dev,2020-05-01,1\n3,c,c@x.example,Rep,2019-01-01,0\n",
            "10,1,2020-05-01,2021-06-30\n10,2,2021-07-01,\n9,1,2020-05-01,\n3,2,2019-01-01,2020-12-31\n",
        )
    )
    assert company.bad_rows == ()
    assert [(type(fact), fact.external_id, fact.effective_date) for fact in history(company)] == [
        (PersonHired, "3", date(2019, 1, 1)),
        (PersonHired, "9", date(2020, 5, 1)),  # of one day by id, as a number
        (PersonHired, "10", date(2020, 5, 1)),
        (PersonLeft, "3", date(2021, 1, 1)),  # the day after the last one
        (PersonChanged, "10", date(2021, 7, 1)),
    ]
    assert [fact.external_id for fact in hired_on(company, date(2021, 1, 1))] == ["9", "10"]
    assert [fact.external_id for fact in changes_after(company, date(2021, 1, 1))] == ["10"]


def test_a_change_says_only_what_changes(tmp_path: Path) -> None:
    company = read_company(folder(tmp_path, "1,a,a@x.example,Dev,2020-05-01,1\n", "1,1,2020-05-01,2021-06-30\n1,2,2021-07-01,\n"))
    assert event_json(history(company)[1]) == {
        "type": "person_changed",
        "external_id": "1",
        "effective_date": "2021-07-01",
        "sequence": 1,
        "department": "Sales",
    }


@pytest.mark.parametrize(
    ("employees", "rows", "file", "line", "words"),
    [
        ("1,a,no-address,Dev,2020-01-01,1\n", "", "employees.csv", 2, "email"),
        ("1,a,a@x.example,Dev,1.1.2020,1\n", "", "employees.csv", 2, "hire_date"),
        ("1,a,a@x.example,Dev\n", "", "employees.csv", 2, "the row has 4 columns, and the header has 6"),
        ("1|2,a,a@x.example,Dev,2020-01-01,1\n", "", "employees.csv", 2, "employee_id"),
        ("1,,a@x.example,Dev,2020-01-01,1\n", "", "employees.csv", 2, "login"),
        ("1,a,a@x.example,Dev,2020-01-01,1\n1,b,b@x.example,Dev,2020-01-01,1\n", "", "employees.csv", 3, "is already in line 2"),
        ("1,a,a@x.example,Dev,2020-01-01,0\n", "1,1,2020-01-01,\n", "employees.csv", 2, "no end_date"),
        ("1,a,a@x.example,Dev,2020-01-01,1\n", "7,1,2020-01-01,\n", "department_history.csv", 2, "employee_id 7 is not in employees.csv"),
        (
            "1,a,a@x.example,Dev,2020-01-01,1\n",
            "1,8,2020-01-01,\n",
            "department_history.csv",
            2,
            "department_id 8 is not in departments.csv",
        ),
        ("1,a,a@x.example,Dev,2020-01-01,1\n", "1,1,2020-02-01,2020-01-01\n", "department_history.csv", 2, "is before start_date"),
        ("1,a,a@x.example,Dev,2020-01-01,1\n", "1,1,2020-01-01,\n1,2,2020-06-01,\n", "department_history.csv", 3, "overlaps"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_go_in(tmp_path: Path, employees: str, rows: str, file: str, line: int, words: str) -> None:
    good = "99,good,good@x.example,Dev,2020-01-01,1\n"
    company = read_company(folder(tmp_path, employees + good, rows + "99,1,2020-01-01,\n"))
    assert [(row.file, row.line) for row in company.bad_rows] == [(file, line)]
    assert words in company.bad_rows[0].reason
    assert "99" in [person.employee.employee_id for person in company.people]


def test_bytes_that_are_no_utf8_spoil_their_own_row_only(tmp_path: Path) -> None:
    folder(tmp_path, "", "")
    (tmp_path / "employees.csv").write_bytes(
        EMPLOYEES.encode() + b"1,jos\xe9,a@x.example,Dev,2020-01-01,1\n2,b,b@x.example,Dev,2020-01-01,1\n"
    )
    company = read_company(tmp_path)
    assert [(row.line, row.reason) for row in company.bad_rows] == [(2, "login: the bytes are not UTF-8")]
    assert [person.employee.employee_id for person in company.people] == ["2"]


def test_a_byte_order_mark_and_further_columns_do_no_harm(tmp_path: Path) -> None:
    folder(tmp_path, "", "")
    (tmp_path / "employees.csv").write_text(
        "\ufeffemployee_id,login,email,job_title,hire_date,current,shoe_size\n1,a,a@x.example,Dev,2020-01-01,1,42\n"
    )
    company = read_company(tmp_path)
    assert company.bad_rows == ()
    assert company.people[0].department_on(date(2020, 1, 1)) is None


def test_a_missing_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"departments.csv is missing"):
        read_company(tmp_path)
    folder(tmp_path, "", "")
    (tmp_path / "employees.csv").write_text("employee_id,login\n")
    with pytest.raises(FolderUnusable, match=r"employees.csv has no column email, hire_date"):
        read_company(tmp_path)


def test_the_sample_company_is_whole_and_moves() -> None:
    company = read_company(ALPENROSE)
    assert company.bad_rows == ()
    assert len(company.people) >= 100
    later = changes_after(company, date(2026, 3, 2))
    assert {type(fact) for fact in later} == {PersonHired, PersonChanged, PersonLeft}
