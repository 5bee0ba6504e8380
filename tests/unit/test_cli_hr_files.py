"""HR files in the shapes that HR systems export: what can be read becomes people, what cannot holds back the person whom it is about."""

import csv
import io
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.demo.happenings import Kind, changes_after, hired_on, history, reported_on
from shared.hr_files import company, tables
from shared.hr_files.columns import FilesUnusable, read_column_map, read_kinds
from shared.hr_files.company import FIELDS, PEOPLE_SHOWN, Company, Dialect, Entry, Period, read_company
from shared.hr_files.dates import DateOrder, EndDates
from shared.hr_files.tables import check_encoding

DEPARTMENTS = "department_id,name,group\n1,Engineering,R\n2,Sales,S\n"
EMPLOYEES = "employee_id,login,email,job_title,hire_date,current\n"
HISTORY = "employee_id,department_id,start_date,end_date\n"
FLAT = "employee_id,start_date,end_date,department,login,email\n"
ALPENROSE = Path(__file__).parents[2] / "examples" / "alpenrose"
A, B, C = "1,a,a@x.example,Dev,2020-01-01,1\n", "2,b,b@x.example,Dev,2020-01-01,1\n", "3,c,c@x.example,Dev,2020-01-01,1\n"


def folder(path: Path, employees: str, history_rows: str, departments: str = DEPARTMENTS) -> Path:
    (path / "employees.csv").write_text(EMPLOYEES + employees)
    (path / "departments.csv").write_text(departments)
    (path / "department_history.csv").write_text(HISTORY + history_rows)
    return path


def flat(path: Path, content: str | bytes, dialect: Dialect | None = None) -> Company:
    file = path / "people.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_company(file, dialect)


def by_id(company: Company) -> dict[str, Any]:
    return {person.external_id: person for person in company.people}


def periods(company: Company, external_id: str = "1") -> list[tuple[str, str]]:
    return [(str(each.first), str(each.last or "")) for each in by_id(company)[external_id].periods]


def stated(company: Company, external_id: str = "1") -> list[Mapping[str, Any]]:
    return [{"since": entry.since, **entry.values} for entry in by_id(company)[external_id].entries]


def columns(given: str) -> Mapping[str, tuple[str, ...]]:
    return read_column_map(given, FIELDS)


# ------------------------------------------------------------------------------------------------------------------ three files


def test_a_history_is_told_in_order_of_time(tmp_path: Path) -> None:
    company = read_company(
        folder(
            tmp_path,
            "10,b,b@x.example,Dev,2020-05-01,1\n9,a,a@x.example,Dev,2020-05-01,1\n3,c,c@x.example,Rep,2019-01-01,0\n",
            "10,1,2020-05-01,2021-06-30\n10,2,2021-07-01,\n9,1,2020-05-01,\n3,2,2019-01-01,2020-12-31\n",
        )
    )
    assert company.bad_rows == ()
    assert [(each.kind, each.person.external_id, each.day) for each in history(company)] == [
        (Kind.HIRED, "3", date(2019, 1, 1)),
        (Kind.HIRED, "9", date(2020, 5, 1)),  # of one day by id, as a number
        (Kind.HIRED, "10", date(2020, 5, 1)),
        (Kind.LEFT, "3", date(2021, 1, 1)),  # the day after the last one
        (Kind.MOVED, "10", date(2021, 7, 1)),
    ]
    assert [each.person.external_id for each in hired_on(company, date(2021, 1, 1))] == ["9", "10"]
    assert [each.person.external_id for each in changes_after(company, date(2021, 1, 1))] == ["10"]


def test_a_report_of_a_day_says_nothing_of_what_comes_later(tmp_path: Path) -> None:
    path = folder(tmp_path, "1,a,a@x.example,Dev,2020-05-01,0\n", "1,1,2020-05-01,2021-06-30\n1,2,2021-07-01,2021-12-31\n")
    (person,) = read_company(path).people
    begins = date(2021, 1, 1)

    def reported(day: date) -> tuple[list[tuple[date, date | None]], list[tuple[date, str | None]]]:
        report = reported_on(person, begins, day)
        return [(p.starts_on, p.ends_on) for p in report.employment], [(each.since, each.department) for each in report.attributes]

    assert reported(begins) == ([(begins, None)], [(begins, "Engineering")])
    assert reported(date(2021, 12, 31)) == ([(begins, None)], [(begins, "Engineering"), (date(2021, 7, 1), "Sales")])
    assert reported(date(2022, 1, 1))[0] == [(begins, date(2021, 12, 31))]


BAD_ROWS = [
    ("1,a,no-address,Dev,2020-01-01,1\n", "", "employees.csv", 2, "email: value is not a valid email address"),
    (
        "1,a,a@x.example,Dev,1.1.2020,1\n",
        "",
        "employees.csv",
        2,
        "hire_date: a date such as 2026-03-31 (another order: --dates dmy)",
    ),
    ("1,a,a@x.example,Dev,0,1\n", "", "employees.csv", 2, "hire_date: '0' is no date"),
    ("1,a,a@x.example,Dev,00000000,1\n", "", "employees.csv", 2, "hire_date: '00000000' is no date"),
    ("1,a,a@x.example,Dev,9999-12-31,1\n", "", "employees.csv", 2, "hire_date: a date before the year 2900 expected"),
    ("1,a,a@x.example,Dev\n", "", "employees.csv", 2, "the row has 4 columns, and the header has 6"),
    ("1,a,a@x.example,Dev,2020-01-01,1\n1,b,b@x.example,Dev,2020-01-01,1\n", "", "employees.csv", 3, "employee_id 1 is in line 2, too"),
    ("1,a,a@x.example,Dev,2020-01-01,0\n", "1,1,2020-01-01,\n", "employees.csv", 2, "no end_date"),
    ("1,a,a@x.example,Dev,2022-01-01,1\n", "1,1,2020-01-01,2020-12-31\n", "employees.csv", 2, "is after the last end_date 2020-12-31"),
    (A, "1,8,2020-01-01,\n", "department_history.csv", 2, "department_id 8 is not in departments.csv"),
    (A, "1,1,2020-02-01,2020-01-01\n", "department_history.csv", 2, "the end (2020-01-01) is before the start (2020-02-01)"),
    (A, "1,1,2020-01-01,0000-00-00\n", "department_history.csv", 2, "end_date: '0000-00-00' is no date"),
    (A, "1,1,2020-01-01,\n1,2,2020-06-01,\n", "department_history.csv", 3, "the row overlaps the one in line 2 (from 2020-01-01, without"),
    (A, "1,1,2020-01-01,2020-06-02\n1,2,2020-06-01,\n", "department_history.csv", 3, "(from 2020-01-01, until 2020-06-02)"),
    (A, "1,1,2020-01-01,2020-01-01\n1,2,2020-01-01,2020-01-01\n", "department_history.csv", 3, "the row overlaps"),
    (A, "1,1,2020-01-01,2020-02-30\n", "department_history.csv", 2, "there is no such day as '2020-02-30'"),
    ("", "1,1,2020-01-01,\n", "department_history.csv", 2, "employee_id 1 is not in employees.csv"),
]


@pytest.mark.parametrize(("employees", "rows", "file", "line", "words"), BAD_ROWS)
def test_a_bad_row_is_named_and_holds_back_its_person_only(
    tmp_path: Path, employees: str, rows: str, file: str, line: int, words: str
) -> None:
    good = "99,good,good@x.example,Dev,2020-01-01,1\n"
    company = read_company(folder(tmp_path, employees + good, "99,1,2020-01-01,\n" + rows.replace("1,", "1,", 1)))
    at = line + 1 if file == "department_history.csv" else line  # the good one is above it
    found = [row for row in company.bad_rows if (row.file, row.line) == (file, at)]
    assert [row.person for row in found] == ["1"], company.bad_rows
    assert words.replace("in line 2 (from", "in line 3 (from") in found[0].reason
    assert (list(by_id(company)), company.reported) == (["99"], ("1",))


def test_one_bad_row_of_a_history_holds_back_the_whole_history(tmp_path: Path) -> None:
    """Otherwise the person would have left with the row that can be read."""
    rows = "1,1,2020-01-01,2020-12-31\n1,8,2021-01-01,\n2,2,2020-01-01,\n"
    company = read_company(folder(tmp_path, A + B, rows))
    assert (list(by_id(company)), company.reported) == (["2"], ("1",))
    assert [(row.line, row.person) for row in company.bad_rows] == [(3, "1")]
    assert (company.rows.read, company.rows.used, company.rows.reported) == (7, 4, 1)
    assert company.rows.ignored == {"because another row of the person is reported": 2}


@pytest.mark.parametrize("department", ["2,Sales,S\n2,Marketing,S\n", "2,,S\n", '2,"Sales,S\n', ""])
def test_a_department_that_cannot_be_read_holds_back_its_people(tmp_path: Path, department: str) -> None:
    company = read_company(folder(tmp_path, A + B, "1,2,2020-01-01,\n2,1,2020-01-01,\n", "department_id,name,group\n1,R,R\n" + department))
    assert (list(by_id(company)), company.reported) == (["2"], ("1",))


@pytest.mark.parametrize(
    ("hired", "rows", "expected"),
    [
        ("2020-01-01", "", [("2020-01-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,\n", [("2020-01-01", "")]),
        ("2019-06-01", "1,1,2020-01-01,\n", [("2019-06-01", "")]),  # the first department is known later
        ("2020-03-01", "1,1,2020-01-01,\n", [("2020-03-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,2020-05-31\n1,2,2020-06-01,\n", [("2020-01-01", "")]),  # the day before
        ("2020-01-01", "1,1,2020-01-01,2020-06-01\n1,2,2020-06-01,\n", [("2020-01-01", "")]),  # the day itself
        ("2020-01-01", "1,1,2020-01-01,2020-06-01\n1,2,2020-06-01,2020-06-01\n", [("2020-01-01", "2020-06-01")]),
        ("2020-01-01", "1,1,2020-01-01,2020-01-01\n1,2,2020-01-01,\n", [("2020-01-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,2025-06-30\n1,2,2026-10-01,\n", [("2020-01-01", "2025-06-30"), ("2026-10-01", "")]),
        ("2026-10-01", "1,1,2020-01-01,2025-06-30\n1,2,2026-10-01,\n", [("2020-01-01", "2025-06-30"), ("2026-10-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,2999-12-31\n", [("2020-01-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,9999-12-31\n", [("2020-01-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,2900-01-01\n", [("2020-01-01", "")]),
        ("2020-01-01", "1,1,2020-01-01,2899-12-31\n", [("2020-01-01", "2899-12-31")]),
    ],
)
def test_rows_of_departments_make_times_of_employment(tmp_path: Path, hired: str, rows: str, expected: list[tuple[str, str]]) -> None:
    company = read_company(folder(tmp_path, A.replace("2020-01-01", hired), rows))
    assert company.bad_rows == ()
    assert periods(company) == expected


def test_rows_that_meet_on_one_day_are_a_move_on_that_day(tmp_path: Path) -> None:
    rows = "1,1,2020-01-01,2020-06-01\n1,2,2020-06-01,\n"
    expected = [(date(2020, 1, 1), "Engineering"), (date(2020, 6, 1), "Sales")]
    for dialect in (Dialect(), Dialect(end_dates=EndDates.EXCLUSIVE)):
        company = read_company(folder(tmp_path, A, rows), dialect)
        assert [(entry.since, entry.values["department"]) for entry in by_id(company)["1"].entries] == expected
        assert periods(company) == [("2020-01-01", "")]


def test_an_end_is_the_last_day_unless_it_is_declared_exclusive(tmp_path: Path) -> None:
    path = folder(tmp_path, A.replace(",1\n", ",0\n"), "1,1,2020-01-01,2020-06-30\n")
    assert periods(read_company(path)) == [("2020-01-01", "2020-06-30")]
    assert periods(read_company(path, Dialect(end_dates=EndDates.EXCLUSIVE))) == [("2020-01-01", "2020-06-29")]


def test_the_sample_company_is_whole_and_moves() -> None:
    company = read_company(ALPENROSE)
    assert company.bad_rows == ()
    assert len(company.people) >= 100
    assert company.rows.used == company.rows.read
    later = changes_after(company, date(2026, 3, 2))
    assert {each.kind for each in later} == set(Kind)


# ----------------------------------------------------------------------------------------------------- shapes of real exports

SAP = (  # semicolons, German dates and decimals, Windows-1252, 31.12.9999 for open
    "Personalnr.;Nachname;Vorname;Eintritt;Austritt;OrgEinheit;E-Mail;Benutzer\r\n"
    "00001017;Müller;Jörg;01.04.2019;31.12.9999;Qualität;joerg.mueller@firma.example;MUELLERJ\r\n"
    "00001018;Groß;Änne;1.5.2020;30.06.2026;Vertrieb;;GROSSA\r\n"
)
SAP_MAP = (
    "employee_id=Personalnr.,name=Vorname+Nachname,start_date=EINTRITT,end_date=Austritt,department=OrgEinheit,email=E-Mail,login=benutzer"
)
WORKDAY = (  # effective-dated rows without an end, ids with letters, more columns than anybody needs
    "Employee ID,Worker,Effective Date,Supervisory Organization,Email - Work,Business Title,Location\n"
    'EMP/0007 A,"Okafor, Ada",2024-01-08,"Research, Optics",ada@corp.example,"Engineer\nLevel 2",Basel\n'
    'EMP/0007 A,"Okafor, Ada",2026-02-01,Sales,ada@corp.example,Manager,Basel\n'
)
WORKDAY_MAP = "name=Worker,start_date=Effective Date,department=Supervisory Organization,email=Email - Work,job_title=Business Title"
PERSONIO = (  # UTF-8 with a byte order mark, US dates, empty cells
    "\ufeffEmployee ID,First name,Last name,Email,Hire date,Termination date,Department\n"
    "12,Zoë,Ng,zoe@start.example,03/02/2026,,\n"
    "13,Ian,,,11/30/2025,12/31/2026,People\n"
)
PERSONIO_MAP = "name=First name+Last name,start_date=Hire date,end_date=Termination date"


def test_an_export_like_saps_is_read_as_it_is_declared(tmp_path: Path) -> None:
    dialect = Dialect("windows-1252", columns(SAP_MAP), DateOrder.DMY)
    company = flat(tmp_path, SAP.encode("windows-1252"), dialect)
    assert company.bad_rows == ()
    assert company.files == ("people.csv: windows-1252, separated by semicolon, 2 rows",)
    assert periods(company, "00001017") == [("2019-04-01", "")]
    assert periods(company, "00001018") == [("2020-05-01", "2026-06-30")]
    assert stated(company, "00001018")[0] == {
        "since": date(2020, 5, 1),
        "name": "Änne Groß",
        "department": "Vertrieb",
        "email": None,
        "login": "GROSSA",
    }
    assert company.departments == ("Qualität", "Vertrieb")


def test_rows_without_an_end_hold_until_the_next_as_in_an_export_like_workdays(tmp_path: Path) -> None:
    company = flat(tmp_path, WORKDAY, Dialect(columns=columns(WORKDAY_MAP)))
    assert company.bad_rows == ()
    assert periods(company, "EMP/0007 A") == [("2024-01-08", "")]
    assert [(str(each["since"]), each["department"], each["job_title"]) for each in stated(company, "EMP/0007 A")] == [
        ("2024-01-08", "Research, Optics", "Engineer Level 2"),
        ("2026-02-01", "Sales", "Manager"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_an_export_like_personios_is_read_in_every_unicode_encoding(tmp_path: Path, encoding: str, line_end: str) -> None:
    content = PERSONIO.replace("\n", line_end).encode(encoding)
    company = flat(tmp_path, content, Dialect(None, columns(PERSONIO_MAP), DateOrder.MDY))
    assert company.bad_rows == ()
    assert company.files[0] == f"people.csv: {encoding}, separated by comma, 2 rows"
    assert (periods(company, "12"), periods(company, "13")) == ([("2026-03-02", "")], [("2025-11-30", "2026-12-31")])
    assert (stated(company, "12")[0]["name"], stated(company, "13")[0]["name"]) == ("Zoë Ng", "Ian")
    assert "login" not in stated(company, "12")[0]  # no column: nothing is said about it
    assert stated(company, "12")[0]["department"] is None


def test_a_table_that_a_spreadsheet_saved_as_unicode_text_is_read(tmp_path: Path) -> None:
    content = 'employee_id\tstart_date\tlogin\r\n1\t2026-03-02 00:00:00\t"o\'neil ""x"""\r\n'.encode("utf-16")
    company = flat(tmp_path, content)
    assert company.files == ("people.csv: utf-16-le, separated by tab, 1 rows",)
    assert stated(company) == [{"since": date(2026, 3, 2), "login": 'o\'neil "x"'}]


def test_the_line_that_names_the_separator_is_no_header(tmp_path: Path) -> None:
    company = flat(tmp_path, "sep=;\nemployee_id;start_date\n1;2026-03-02\n2;x\n")
    assert periods(company) == [("2026-03-02", "")]
    assert [row.line for row in company.bad_rows] == [4]


def test_a_second_byte_order_mark_and_the_end_mark_of_old_systems_are_no_text(tmp_path: Path) -> None:
    found = flat(tmp_path, "\ufeff\ufeffemployee_id;start_date\n1;2026-03-02\n\x1a")
    assert (periods(found), found.bad_rows) == ([("2026-03-02", "")], ())


def test_empty_and_repeated_rows_are_ignored_and_counted(tmp_path: Path) -> None:
    company = flat(tmp_path, FLAT + "1,2020-01-01,,X,,\n\n,,,,,\n1,2020-01-01,,X,,\n,2020-01-01,,X,,\n")
    assert company.rows.ignored == {"empty": 2, "the same as an earlier row": 1}
    assert (company.rows.read, company.rows.used, company.rows.reported) == (5, 1, 1)
    assert [(row.line, row.reason) for row in company.bad_rows] == [(6, "employee_id: an id expected (the cell is empty)")]
    assert company.reported == ()


def test_a_rehire_in_one_file_is_two_times_of_employment(tmp_path: Path) -> None:
    company = flat(tmp_path, FLAT + "1,2026-10-01,,Sales,a,\n1,2020-01-01,2025-06-30,Lab,a,\n")
    assert periods(company) == [("2020-01-01", "2025-06-30"), ("2026-10-01", "")]
    assert [str(each.day) for each in history(company)] == ["2020-01-01", "2025-07-01", "2026-10-01"]


# ----------------------------------------------------------------------------------------------------------- swallowed rows


def row(n: int, text: str | None = None) -> str:
    return text or f"{n},2020-01-01,,Lab,p{n},p{n}@x.example\n"


@pytest.mark.parametrize(
    ("second", "fifth", "reported", "line"),
    [
        ('2,2020-01-01,,"Lab,p2,p2@x.example\n', None, "2345678", 3),  # never closed
        ('2,2020-01-01,,Lab,p2,"p2@x.example\n', '5,2020-01-01,,"Lab",p5,p5@x.example\n', "2345", 3),  # closed by the next one that opens
        ('2,2020-01-01,,"Lab,p2,p2@x.example\n', '5,2020-01-01,,Lab",p5,p5@x.example\n', "2345", 3),  # closed so that it looks well formed
        ('"2,2020-01-01,,Lab,p2,p2@x.example\n', '5",2020-01-01,,Lab,p5,p5@x.example\n', "2345", 3),
        ('2,2020-01-01,,Lab,p2,"p2@x.example\n', '5,2020-01-01,,Lab,p5,p5@x.example"\n', "2345", 3),
        ('2,2020-01-01,,Lab,"p2,p2@x.example\n', '5,2020-01-01,"",Lab,p5,p5@x.example\n', "2345678", 3),  # "" goes on with it
        ('2,2020-01-01,,"Lab"x,p2,p2@x.example\n', None, "2", 3),
        ('2,2020-01-01,,Lab,p2,p2@x.example,"\n', None, "2345678", 3),
    ],
)
def test_a_stray_quote_holds_back_everybody_whose_row_it_may_have_swallowed(
    tmp_path: Path, second: str, fifth: str | None, reported: str, line: int
) -> None:
    text = FLAT + row(1) + row(2, second) + row(3) + row(4) + row(5, fifth) + row(6) + row(7) + row(8)
    company = flat(tmp_path, text)
    assert company.reported == tuple(reported)
    assert [person.external_id for person in company.people] == [n for n in "12345678" if n not in reported]
    assert [row.line for row in company.bad_rows] == [line]
    assert company.rows.read == 8
    assert company.rows.reported == len(reported)


def test_somebody_with_another_row_is_held_back_if_one_may_be_swallowed(tmp_path: Path) -> None:
    """The row of the new period is inside the quotes: with the old one alone the person would have left."""
    text = FLAT + '2,2020-01-01,,"Lab,p2,\n1,2026-01-01,,Lab,p1,\n3,2020-01-01,,Lab",p3,\n1,2020-01-01,2025-06-30,Lab,p1,\n'
    company = flat(tmp_path, text)
    assert (company.people, company.reported) == ((), ("1", "2", "3"))
    assert company.rows.ignored == {"because another row of the person is reported": 1}


@pytest.mark.parametrize(
    ("broken", "reported"),
    [
        ("Lab, North,7,2020-01-01,\n", ("7",)),  # a comma that is not quoted: the id is one column further
        ("x,7,2020-01-01\n", ("7",)),
        ("7,y\n", ("7",)),
    ],
)
def test_a_row_with_a_cell_too_many_or_too_few_holds_back_whom_it_may_be_about(
    tmp_path: Path, broken: str, reported: tuple[str, ...]
) -> None:
    text = "department,employee_id,start_date,end_date\nLab,7,2019-01-01,2019-12-31\nLab,8,2019-01-01,\n" + broken
    company = flat(tmp_path, text)
    assert company.reported == reported
    assert list(by_id(company)) == ["8"]


def test_a_file_of_broken_rows_costs_little_for_each_row_and_names_some_of_its_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken row is compared with the ids of all good ones, and an open quote may swallow every row."""
    ids: list[str] = []
    shape = tables.shape

    def counted(text: str) -> str:
        ids.append(text)
        return shape(text)

    for module in (company, tables):
        monkeypatch.setattr(module, "shape", counted)
    good = [f"{n},2020-01-01,,Lab,," for n in range(300)]
    found = flat(tmp_path, FLAT + "".join(f"{row}\nx{n},y\n" for n, row in enumerate(good)))
    assert (len(found.bad_rows), len(found.people)) == (len(good), len(good))
    assert len(ids) < 10 * len(good)
    (swallowed,) = flat(tmp_path, FLAT + '0,2020-01-01,,"Lab,,\n' + "".join(f"{row}\n" for row in good)).bad_rows
    assert swallowed.person.endswith(", …")
    assert swallowed.person.count(",") == PEOPLE_SHOWN


# --------------------------------------------------------------------------------------------------------- files and options


def test_bytes_that_are_no_utf8_spoil_their_own_row_only(tmp_path: Path) -> None:
    company = flat(tmp_path, FLAT.encode() + b"1,2020-01-01,,L\xe9b,,\n2,2020-01-01,,Lab,,\n")
    assert (company.reported, list(by_id(company))) == (("1",), ["2"])
    assert "department: the bytes are not utf-8" in company.bad_rows[0].reason
    assert "--encoding windows-1252" in company.bad_rows[0].reason


UNUSABLE = [
    (b"employee_id,start_date,Email,E-mail\n", Dialect(), None),
    (b"employee_id,start_date,email,EMAIL\n", Dialect(), "more than one column email"),
    (b"employee_id,start_date,Job Title,job_title\n", Dialect(), "more than one column Job Title"),
    (b"", Dialect(), "people.csv is empty"),
    (b"\n\n", Dialect(), "people.csv is empty"),
    (b"employee_id;hired\n", Dialect(), "has no column start_date (the header reads: employee_id;hired)"),
    (b"id,start_date\n", Dialect(columns={"employee_id": ("Nr",)}), "has no column employee_id (Nr)"),
    (b"employee_id,start_date\n", Dialect(columns={"email": ("Mail",)}), "has no column Mail (for the field email)"),
    (b"employee_id,start_date,\xfc\n", Dialect(), "the header is not utf-8"),
    ("employee_id,start_date\nä,2020-01-01\n".encode(), Dialect("windows-1252"), "is encoded as UTF-8, not as windows-1252"),
    ("employee_id,start_date\n".encode("utf-16-le"), Dialect(), "UTF-16 without a byte order mark, add --encoding utf-16-le"),
    ("employee_id,start_date\n".encode("utf-16-be"), Dialect(), "UTF-16 without a byte order mark, add --encoding utf-16-be"),
    (b"employee_id,start_date,name\r\n1,2020-01-01,A\r2,2020-01-01,B\0\n", Dialect(), "people.csv, line 3, contains zero bytes"),
    ("employee_id,start_date\n".encode("utf-16")[:-1], Dialect(), "is not encoded as utf-16-le: byte"),
    ("employee_id,start_date\n\ud800,2020-01-01\n".encode("utf-16", "surrogatepass"), Dialect(), "is not encoded as utf-16-le: byte"),
    (b'"employee_id"x,start_date\n1,2020-01-01\n', Dialect(), "the header is not valid CSV"),
]


@pytest.mark.parametrize(("content", "dialect", "words"), UNUSABLE)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(tmp_path: Path, content: bytes, dialect: Dialect, words: str | None) -> None:
    if words is None:
        assert flat(tmp_path, content, dialect).people == ()
        return
    with pytest.raises(FilesUnusable) as caught:
        flat(tmp_path, content, dialect)
    assert words in str(caught.value)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(FilesUnusable, match=r"employees.csv is missing"):
        read_company(tmp_path)
    with pytest.raises(FilesUnusable, match=r"nothing.csv does not exist"):
        read_company(tmp_path / "nothing.csv")
    folder(tmp_path, "", "")
    (tmp_path / "employees.csv").write_text("employee_id,login\n")
    with pytest.raises(FilesUnusable, match=r"employees.csv has no column hire_date"):
        read_company(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("employee=Nr", "there is no field 'employee'. The fields are employee_id, start_date"),
        ("employee_id", "field=Column expected"),
        ("employee_id=", "field=Column expected"),
        ("login=A,login=B", "login is named twice"),
        ("missing.toml", "cannot be read: No such file"),
    ],
)
def test_a_wrong_column_map_is_refused(given: str, words: str) -> None:
    with pytest.raises(FilesUnusable) as caught:
        columns(given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[columns]\nemployee_id = 3\n", "employee_id: the name of a column expected (got 3)"),
        ('[columns]\nlogin = ["A", "B"]\n', "only name can be joined"),
        ('[column]\nlogin = "A"\n', "must contain a table [columns]"),
        ("[columns\n", "is not valid TOML"),
    ],
)
def test_a_wrong_file_with_a_column_map_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(FilesUnusable) as caught:
        columns(str(path))
    assert words in str(caught.value)


def test_a_column_map_holds_names_with_commas_in_quotation_marks() -> None:
    assert columns('employee_id="Nr, intern", "name"="Nach, name"+x,login=Login') == {
        "employee_id": ("Nr, intern",), "name": ('"Nach, name"+x',), "login": ("Login",),
    }  # fmt: skip
    assert read_kinds('"Worker, contingent"=external,Staff=employee') == {"worker, contingent": "external", "staff": "employee"}


def test_a_column_map_in_a_file_holds_names_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[columns]\nemployee_id = "Nr, intern"\nname = ["Vorname", "Nachname"]\n')
    company = flat(tmp_path, '"nr, INTERN",start_date,Vorname,Nachname\n7,2020-01-01,Ada,Lo\n', Dialect(columns=columns(str(path))))
    assert stated(company, "7") == [{"since": date(2020, 1, 1), "name": "Ada Lo"}]


def test_an_encoding_is_known_by_all_its_names() -> None:
    assert [check_encoding(name) for name in (None, "cp1252", "UTF8", "latin1")] == [None, "windows-1252", "utf-8", "iso-8859-1"]
    for name in ("klingon", "punycode"):
        with pytest.raises(FilesUnusable, match="--encoding: one of utf-8"):
            check_encoding(name)


# --------------------------------------------------------------------------------------- a company in any dialect reads the same

SEPARATORS = ",;\t"
FORMATS = {DateOrder.ISO: "%Y-%m-%d", DateOrder.DMY: "%d.%m.%Y", DateOrder.MDY: "%m/%d/%Y", DateOrder.YMD: "%Y/%m/%d"}
OPEN_ENDS = (date(2900, 1, 1), date(2999, 12, 31), date(9999, 12, 31))
ENCODED = {"utf-8": None, "utf-8-sig": None, "utf-16": None, "windows-1252": "windows-1252"}
names = st.text("aäÖßñé ,;\"'/=-0123xyz", max_size=12).map(str.strip).filter(lambda text: not text.startswith('="'))  # a formula
ids = names.map(lambda text: text.replace('"', "").strip()).filter(bool)
days = st.dates(date(1990, 1, 1), date(2089, 12, 31))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[date, date | None, str, str]]:
    """Rows of one person in order of time: first and last day, department, login."""
    bounds = sorted(draw(st.lists(days, min_size=2, max_size=6, unique=True)))
    rows: list[tuple[date, date | None, str, str]] = []
    for first, following in pairwise(bounds):
        last = following - timedelta(days=draw(st.integers(1, (following - first).days)))
        rows.append((first, last, draw(names), draw(names)))
    if draw(st.booleans()):
        rows[-1] = (rows[-1][0], None, *rows[-1][2:])
    return rows


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.dictionaries(ids, histories(), min_size=1, max_size=5),
    encoding=st.sampled_from(sorted(ENCODED)),
    separator=st.sampled_from(SEPARATORS),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    order=st.sampled_from(DateOrder),
    ends=st.sampled_from(EndDates),
    meets=st.booleans(),
    open_end=st.sampled_from([None, *OPEN_ENDS]),
)
def test_a_company_written_in_any_dialect_reads_back_the_same(
    tmp_path: Path,
    people: dict[str, list[tuple[date, date | None, str, str]]],
    encoding: str,
    separator: str,
    line_end: str,
    quoting: Any,
    order: DateOrder,
    ends: EndDates,
    meets: bool,
    open_end: date | None,
) -> None:
    def written(last: date | None, following: date | None) -> str:
        if last is None:
            return open_end.strftime(FORMATS[order]) if open_end else ""
        if ends is EndDates.EXCLUSIVE or (meets and following == last + timedelta(days=1)):
            last += timedelta(days=1)
        return last.strftime(FORMATS[order])

    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator=line_end, quoting=quoting)
    writer.writerow(["Employee ID", "START_DATE", "Austritt", "department", "Login"])
    for key, rows in people.items():
        for (first, last, department, login), following in zip(rows, [*rows[1:], None], strict=True):
            end = written(last, following[0] if following else None)
            writer.writerow([key, first.strftime(FORMATS[order]), end, department, login])
    dialect = Dialect(ENCODED[encoding], {"end_date": ("austritt",)}, order, ends)
    company = flat(tmp_path, file.getvalue().encode(encoding), dialect)
    assert company.bad_rows == ()
    assert {key: list(person.entries) for key, person in by_id(company).items()} == {
        key: [Entry(first, {"department": department or None, "login": login or None}) for first, _, department, login in rows]
        for key, rows in people.items()
    }
    assert {key: list(person.periods) for key, person in by_id(company).items()} == {
        key: merged([Period(first, last) for first, last, *_ in rows]) for key, rows in people.items()
    }


def merged(given: list[Period]) -> list[Period]:
    result = given[:1]
    for each in given[1:]:
        if result[-1].last == each.first - timedelta(days=1):
            result[-1] = Period(result[-1].first, each.last)
        else:
            result.append(each)
    return result


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), damage=st.sampled_from(['"', ",", "\n", "less"]))
def test_a_typing_error_anywhere_changes_nobody_but_the_person_of_that_row(
    tmp_path: Path, data: st.DataObject, quoting: Any, damage: str
) -> None:
    """Everybody else is as before, or is not changed and something is reported, or the file is refused."""
    header = data.draw(st.permutations(["employee_id", "start_date", "end_date", "department", "login"]))
    history = [("2010-01-01", "2012-05-31"), ("2013-01-01", "")]
    rows = [(f"P{n}", *spell) for n in range(5) for spell in history[: 1 + n % 2]]
    texts = st.sampled_from(["Lab", "Sales, West", 'R "D"', "", "Line\nend"])
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n", quoting=quoting)
    writer.writerow(header)
    begins = []
    for key, first, last in (order := data.draw(st.permutations(rows))):
        begins.append(len(file.getvalue()))
        cells = {"employee_id": key, "start_date": first, "end_date": last, "department": data.draw(texts), "login": key.lower()}
        writer.writerow([cells[name] for name in header])
    whole = file.getvalue()
    before = by_id(flat(tmp_path, whole))
    at = data.draw(st.integers(begins[0], len(whole) - 1))
    damaged = whole[:at] + whole[at + 1 :] if damage == "less" else whole[:at] + damage + whole[at:]
    # A character between two rows may belong to either.
    about = {key for (key, *_), begin, end in zip(order, begins, [*begins[1:], len(whole)], strict=True) if begin <= at + 1 and at <= end}
    try:
        company = flat(tmp_path, damaged)
    except FilesUnusable:
        return
    after = by_id(company)
    for key in before.keys() - about:
        if key in after:
            assert (after[key].periods, after[key].entries) == (before[key].periods, before[key].entries)
        else:
            assert company.bad_rows


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(st.sampled_from('ab0129-.,;"\t\n\r \x85é'), max_size=200), order=st.sampled_from(DateOrder))
def test_every_row_and_every_person_of_any_file_is_accounted_for_once(tmp_path: Path, content: str, order: DateOrder) -> None:
    company = flat(tmp_path, FLAT + content, Dialect(dates=order))
    company.rows.check()
    assert not {person.external_id for person in company.people} & set(company.reported)
