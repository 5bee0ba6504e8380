"""Files as HR systems and spreadsheets export them are read with the options that a user would give."""

from datetime import date
from pathlib import Path

import pytest

from shared.hr_files.columns import FilesUnusable, read_column_map, read_kinds
from shared.hr_files.company import FIELDS, Company, Dialect, read_company
from shared.hr_files.dates import DateOrder, EndDates, parse_day, parse_last_day

BEFORE = ("2019-05-01", "2025-12-31")  # when Bo was employed; Anna is, since 1 February 2020
SINCE = ("2020-02-01", "None")


def company(path: Path, content: str, columns: str = "", dates: str = "iso", encoding: str | None = None) -> Company:
    file = path / "people.csv"
    file.write_bytes(content.encode(encoding or "utf-8"))
    return read_company(file, Dialect(encoding, read_column_map(columns, FIELDS), DateOrder(dates)))


PERSONIO = "employee_id=ID,start_date=Hire date,end_date=Termination date,name=First name+Last name,email=Email"
GERMAN = "employee_id=Personalnummer,start_date=Eintritt,end_date=Austritt"
BAMBOO = "employee_id=Employee #,start_date=Hire Date,end_date=Termination Date,email=Work Email"
SAP = "employee_id=PERNR,start_date=BEGDA,end_date=ENDDA,department=ORGEH"


@pytest.mark.parametrize(
    ("content", "columns", "dates", "encoding"),
    [
        pytest.param(
            '\ufeff"ID","First name","Last name","Email","Hire date","Termination date"\n'
            '"2","Bo","Berg","bo@firma.de","2019-05-01","2025-12-31"\n"1","Anna","Ök","anna@firma.de","2020-02-01",""\n',
            *(PERSONIO, "iso", None),
            id="Personio",
        ),
        pytest.param(
            "ID,Hire date,Termination date,First name,Last name,Email\n"
            "2,2019-05-01T00:00:00+02:00,2025-12-31T00:00:00+0100,Bo,Berg,\n1,2020-02-01T00:00:00.000Z,,Anna,Ök,\n",
            *(PERSONIO, "iso", None),
            id="Personio, instants",
        ),
        pytest.param(
            'Employee #,"Last name, First name",Hire Date,Termination Date,Work Email\n'
            '2,"Berg, Bo",5/1/2019,12/31/2025,bo@x.example\n1,"Ök, Anna",02/01/2020,,a@x.example\n',
            *(BAMBOO, "mdy", None),
            id="BambooHR, United States",
        ),
        pytest.param(
            "Employee #,Hire Date,Termination Date,Work Email\n2,01 May 2019,31 Dec 2025,\n1,1-Feb-2020,,\n",
            *(BAMBOO, "dmy", None),
            id="BambooHR, named months",
        ),
        pytest.param(
            'employee_id,start_date,end_date\n2,"May 1, 2019","December 31, 2025"\n1,"Feb 1, 2020",\n',
            *("", "mdy", None),
            id="Rippling",
        ),
        pytest.param(
            "Employee_ID,Worker,Hire_Date,Termination_Date\n2,Bo (On Leave),2019-05-01-08:00,2025-12-31-08:00\n1,Anna,2020-02-01-08:00,\n",
            *("start_date=Hire_Date,end_date=Termination_Date,name=Worker", "iso", None),
            id="Workday",
        ),
        pytest.param(
            '="Employee ID",start_date,end_date,="Name"\n="2","=""2019-05-01""",="2025-12-31",Bo\n="1",2020-02-01,="",Anna\n',
            *("", "iso", None),
            id="ADP, formulas",
        ),
        pytest.param(
            "PERNR\tBEGDA\tENDDA\tORGEH\n2\t20190501\t20200630\tIT\n2\t20200701\t20251231\tSales\n1\t20200201\t99991231\tIT\n",
            *(SAP, "iso", None),
            id="SAP, tabs",
        ),
        pytest.param(
            "PERNR;BEGDA;ENDDA;ORGEH\n2;01.05.2019;31.12.2025;IT;\n1;01.02.2020;31.12.9999;IT;\n",
            *(SAP, "dmy", None),
            id="SAP, each row ends with a separator",
        ),
        pytest.param(
            "Personalnummer;Name;Eintritt;Austritt;;\n2;Bo;01.05.2019;31.12.2025\n1;Jörg Müßig;1.2.2020;;;\n;;;;;\n",
            *(GERMAN, "dmy", "windows-1252"),
            id="Excel, German, empty columns",
        ),
        pytest.param(
            '"Personalnummer";"Nachname";"Vorname";"Eintritt";"Austritt"\r\n'
            '"2";"Berg";"Bo";"01.05.2019";"31.12.2025"\r\n"1";"Ök";"Anna";"01.02.2020";""\r\n',
            *(GERMAN + ",name=Vorname+Nachname", "dmy", "iso-8859-15"),
            id="Sage",
        ),
        pytest.param(
            "Medarbejdernr;Ansat;Fratrådt\n2;1-5-2019;31-12-2025\n1;01-02-2020;\n",
            *("employee_id=Medarbejdernr,start_date=Ansat,end_date=Fratrådt", "dmy", None),
            id="Danish",
        ),
    ],
)
def test_an_export_is_read(tmp_path: Path, content: str, columns: str, dates: str, encoding: str | None) -> None:
    found = company(tmp_path, content, columns, dates, encoding)
    assert found.bad_rows == ()
    assert {each.external_id: [(str(p.first), str(p.last)) for p in each.periods] for each in found.people} == {"2": [BEFORE], "1": [SINCE]}


@pytest.mark.parametrize(
    ("word", "may"), [("WAHR", True), ("Falsch", False), ("ja", True), ("Nein", False), ("SAND", True), ("nej", False)]
)
def test_a_spreadsheet_may_say_yes_and_no_in_german_and_danish(tmp_path: Path, word: str, may: bool) -> None:
    (person,) = company(tmp_path, f"employee_id,start_date,may_log_in\n1,2020-02-01,{word}\n").people
    assert person.entries[0].values["may_log_in"] is may


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,23E+05;2020-02-01", "employee_id: a spreadsheet has rounded this number"),
        ("1\u200b;2020-02-01", "employee_id: an id without quotes, line ends, control characters and invisible characters expected"),
        ("#N/A;2020-02-01", "employee_id: a spreadsheet could not compute this cell"),
        ("1;#BEZUG!", "start_date: a spreadsheet could not compute this cell"),
        ("1;43862", "a spreadsheet shows this day number as a date when the column has a date format"),
        ("1;", "start_date: a date expected (the cell is empty)"),
        (
            "1;01.02.20",
            "start_date: a date such as 2026-03-31 (another order: --dates dmy) expected (got '01.02.20')",
        ),
    ],
)
def test_what_a_spreadsheet_has_spoiled_is_reported_with_its_remedy(tmp_path: Path, row: str, reason: str) -> None:
    found = company(tmp_path, f"employee_id;start_date\n{row}\n9;2020-02-01\n")
    (bad,) = found.bad_rows
    assert reason in bad.reason
    assert [each.external_id for each in found.people] == ["9"]


def test_the_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    """Somebody may expect that they are: a leaver may be marked in a column `Status` alone."""
    found = company(tmp_path, "employee_id,start_date,Status,E-Mail\n1,2020-02-01,Terminated,a@x.example\n")
    assert found.files == ("people.csv: utf-8, separated by comma, 1 rows; not used: Status, E-Mail",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("PK\x03\x04", "is a workbook of a spreadsheet, not a CSV file. Save it as CSV"),
        ("employee_id|start_date\n1|2020-02-01\n", "The columns must be separated by commas, semicolons or tabs."),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_to_do(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(FilesUnusable, match=reason):
        company(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ("1;Bo;2020-02-01;;", 5),  # one row alone has a separator more: a cell may have moved
        ("1;Bo;2020-02-01;;;;", 7),
    ],
)
def test_a_row_that_differs_from_the_others_is_reported(tmp_path: Path, row: str, columns: int) -> None:
    found = company(tmp_path, f"employee_id;name;start_date;department\n{row}\n2;Cy;2020-02-01;IT\n")
    assert [bad.reason for bad in found.bad_rows] == [f"the row has {columns} columns, and the header has 4"]


MIDNIGHTS = (
    "2020-02-01 00:00:00",
    "2020-02-01T00:00:00",
    "2020-02-01 00:00:00.0000000",
    "2020-02-01T00:00:00Z",
    "2020-02-01 00:00:00 +0100",
)
OPEN_ENDS = [
    ("9999-12-31T23:59:59", DateOrder.ISO), ("9999-12-31 00:00:00", DateOrder.ISO), ("9999-12-31T23:59:59.9999999", DateOrder.ISO),
    ("9999-12-31T23:59:59Z", DateOrder.ISO), ("9999-12-31 23:59:59 +00:00", DateOrder.ISO), ("2999-12-31T12:00:00-08:00", DateOrder.ISO),
    ("31.12.9999 23:59", DateOrder.DMY), ("31-12-9999", DateOrder.DMY), ("12/31/9999 11:59:59 PM", DateOrder.MDY),
]  # fmt: skip


@pytest.mark.parametrize(("text", "order"), OPEN_ENDS)
@pytest.mark.parametrize("ends", EndDates)
def test_an_end_in_the_year_2900_or_later_is_open_at_any_time_of_the_day(text: str, order: DateOrder, ends: EndDates) -> None:
    assert parse_last_day(text, order, ends) is None


def test_a_file_of_a_database_is_read_line_by_line_and_a_time_of_day_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = ("1,2020-02-01 00:00:00,9999-12-31 00:00:00", "2,2020-02-01T00:00:00,2026-11-20T00:00:00", "3,2020-02-01T09:30:00,",
            "4,2020-02-01,2026-11-20T23:59:59")  # fmt: skip
    found = company(tmp_path, "\n".join(("employee_id,start_date,end_date", *rows)) + "\n")
    assert {each.external_id: each.periods[-1].last for each in found.people} == {"1": None, "2": date(2026, 11, 20)}
    assert [(bad.line, bad.reason.partition(": ")[0]) for bad in found.bad_rows] == [(4, "start_date"), (5, "end_date")]
    assert all(
        f"expected (got '{day}')" in bad.reason
        for bad, day in zip(found.bad_rows, ("2020-02-01T09:30:00", "2026-11-20T23:59:59"), strict=True)
    )


@pytest.mark.parametrize("text", ["2020-02-01-08:00", "2020-02-01Z", "2020-02-01T00:00:00+01:00", "2020-02-01 00:00", *MIDNIGHTS])
def test_a_day_is_the_one_that_is_written_whatever_its_zone(text: str) -> None:
    assert parse_day(text, DateOrder.ISO).isoformat() == "2020-02-01"


@pytest.mark.parametrize("text", ["2020-02-01T23:00:00Z", "20200201-0800", "1 Foo 2020", "Feb 2020"])
def test_what_may_be_another_day_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_day(text, DateOrder.DMY)


TYPES = '''employee_id,start_date,kind,name
1,2020-02-01,Contingent  worker,"=""Ann"""
2,2020-02-01,Employee,"'t Hooft"
3,2020-02-01,Intern,Cy
'''


@pytest.mark.parametrize("in_file", [False, True])
def test_M6_the_types_of_employment_of_an_HR_system_are_mapped_to_kinds(tmp_path: Path, in_file: bool) -> None:
    given, map_file, file = "Contingent Worker=external", tmp_path / "map.toml", tmp_path / "people.csv"
    map_file.write_text('[columns]\nname = "name"\n[kinds]\n"Contingent Worker" = "external"\n')
    file.write_text(TYPES)
    kinds = read_kinds(str(map_file) if in_file else given)
    found = read_company(file, Dialect(None, read_column_map(str(map_file), FIELDS), DateOrder.ISO, EndDates.INCLUSIVE, kinds))
    stated = [(each.entries[0].values["kind"], each.entries[0].values["name"]) for each in found.people]
    assert stated == [("external", "Ann"), ("employee", "'t Hooft")]
    assert [bad.reason for bad in found.bad_rows] == [
        "kind: one of employee, external, service expected (got 'Intern'). Say which of them it is: --kinds \"Intern=KIND\"."
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("Temp=contractor", "--kinds: Temp: one of employee, external, service expected"),
        ("Temp=external,TEMP=employee", "--kinds: TEMP is named twice"),
        ("Temp", "--kinds: Value=kind expected"),
    ],
)
def test_a_wrong_map_of_kinds_is_refused(given: str, reason: str) -> None:
    with pytest.raises(FilesUnusable, match=reason):
        read_kinds(given)
