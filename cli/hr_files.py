"""HR data in a folder of CSV files: `employees.csv`, `departments.csv`, `department_history.csv`.

Good rows become a `Company`, bad ones a list with file, line and reason, so that one typing error does not keep 289 colleagues out.
Dates are local to the tenant. A department row holds from its start_date to its end_date, both included; an empty end_date means
still there. Who has no row after their last end_date has left on the day after it.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, EmailStr, StringConstraints, ValidationError

from shared.schemas.base import Id
from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft

EMPLOYEES, DEPARTMENTS, HISTORY = "employees.csv", "departments.csv", "department_history.csv"
FILE_BYTES_MAX = 50 * 1024 * 1024
Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
OptionalDate = Annotated[date | None, BeforeValidator(lambda value: value or None)]


class Row(BaseModel):
    """One line of a file. Columns that nothing here needs are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class Employee(Row):
    employee_id: Id
    login: Name
    email: EmailStr
    job_title: Annotated[str, StringConstraints(max_length=500)] = ""
    name: Annotated[str, StringConstraints(max_length=500)] = ""
    hire_date: date
    current: bool = True


class Department(Row):
    department_id: Id
    name: Name


class Stint(Row):
    """Somebody's time in one department, both days included."""

    employee_id: Id
    department_id: Id
    start_date: date
    end_date: OptionalDate = None


@dataclass(frozen=True, slots=True)
class BadRow:
    file: str
    line: int  # of the file, the header is line 1; 0: the file as a whole
    reason: str


@dataclass(frozen=True, slots=True)
class Post:
    """A department by name, from a day on."""

    since: date
    until: date | None  # included; None: still there
    department: str


@dataclass(frozen=True, slots=True)
class Person:
    employee: Employee
    posts: tuple[Post, ...]  # in order of time, without overlap; none: no department is known
    line: int  # in employees.csv

    @property
    def order(self) -> tuple[date, int, str]:
        """By hire date, then id: as a number where it is one, so that 9 comes before 10."""
        key = self.employee.employee_id
        return self.employee.hire_date, int(key) if key.isdecimal() else 0, key

    @property
    def left_on(self) -> date | None:
        """The first day on which they are no longer employed."""
        last = self.posts[-1].until if self.posts else None
        return last + timedelta(days=1) if last else None

    def employed_on(self, day: date) -> bool:
        return self.employee.hire_date <= day and (self.left_on is None or day < self.left_on)

    def department_on(self, day: date) -> str | None:
        """The department of that day; between two rows, the one before."""
        begun = [post.department for post in self.posts if post.since <= day]
        return begun[-1] if begun else (self.posts[0].department if self.posts else None)


@dataclass(frozen=True, slots=True)
class Company:
    name: str  # of the folder
    departments: tuple[str, ...]
    people: tuple[Person, ...]  # in order of hire date, then id
    bad_rows: tuple[BadRow, ...]


class FolderUnusable(Exception):
    """The folder as a whole cannot be read; the message says what is missing and what was expected."""


RowT = TypeVar("RowT", bound=Row)


def read_company(folder: Path) -> Company:
    """Raises FolderUnusable when a file or a column is missing; a bad row is none of its business but its own."""
    bad: list[BadRow] = []
    names: dict[str, str] = {}
    for line, department in _rows(folder / DEPARTMENTS, Department, bad):
        if department.department_id in names:
            bad.append(BadRow(DEPARTMENTS, line, f"department_id {department.department_id} is in the file twice; the first row is used"))
        else:
            names[department.department_id] = department.name
    employees: dict[str, tuple[int, Employee]] = {}
    for line, employee in _rows(folder / EMPLOYEES, Employee, bad):
        if employee.employee_id in employees:
            first = employees[employee.employee_id][0]
            bad.append(BadRow(EMPLOYEES, line, f"employee_id {employee.employee_id} is already in line {first}"))
        else:
            employees[employee.employee_id] = (line, employee)
    stints = _stints(folder / HISTORY, names, employees, bad)
    people = [Person(employee, _posts(stints[key], names, bad), line) for key, (line, employee) in employees.items()]
    good = [person for person in people if not _contradiction(person, bad)]
    return Company(folder.resolve().name, tuple(names.values()), tuple(sorted(good, key=lambda person: person.order)), tuple(bad))


def _rows(path: Path, model: type[RowT], bad: list[BadRow]) -> Iterator[tuple[int, RowT]]:
    """Each good row with its line. Bytes that are no UTF-8 spoil their own row only, hence surrogateescape."""
    if not path.is_file():
        raise FolderUnusable(f"{path.name} is missing in {path.parent} (expected: {EMPLOYEES}, {DEPARTMENTS}, {HISTORY})")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise FolderUnusable(f"{path.name} is larger than {FILE_BYTES_MAX // 1024 // 1024} MB. Split it.")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header = [column.strip() for column in next(reader, [])]
        wanted = [name for name, field in model.model_fields.items() if field.is_required()]
        if missing := [name for name in wanted if name not in header]:
            raise FolderUnusable(f"{path.name} has no column {', '.join(missing)} (line 1 reads: {','.join(header) or 'nothing'})")
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bad.append(BadRow(path.name, reader.line_num, f"not valid CSV: {error}"))
                continue
            if not any(cell.strip() for cell in cells):
                continue
            problem = _row_problem(cells, header)
            if problem is None:
                try:
                    yield reader.line_num, model.model_validate(dict(zip(header, cells, strict=True)))
                    continue
                except ValidationError as error:
                    problem = _reasons(error)
            bad.append(BadRow(path.name, reader.line_num, problem))


def _row_problem(cells: list[str], header: list[str]) -> str | None:
    if len(cells) != len(header):
        return f"the row has {len(cells)} columns, and the header has {len(header)}"
    for name, cell in zip(header, cells, strict=True):
        if any("\udc80" <= character <= "\udcff" for character in cell):
            return f"{name}: the bytes are not UTF-8"
    return None


def _reasons(error: ValidationError) -> str:
    """`field: what would be right (got 'value')`, all of them."""
    details = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {str(e['input'])[:60]!r})" for e in details)


def _stints(
    path: Path, names: dict[str, str], employees: dict[str, tuple[int, Employee]], bad: list[BadRow]
) -> dict[str, list[tuple[int, Stint]]]:
    stints: dict[str, list[tuple[int, Stint]]] = defaultdict(list)
    for line, stint in _rows(path, Stint, bad):
        if stint.employee_id not in employees:
            bad.append(BadRow(HISTORY, line, f"employee_id {stint.employee_id} is not in {EMPLOYEES}, or its row there is not valid"))
        elif stint.department_id not in names:
            bad.append(BadRow(HISTORY, line, f"department_id {stint.department_id} is not in {DEPARTMENTS}"))
        elif stint.end_date is not None and stint.end_date < stint.start_date:
            bad.append(BadRow(HISTORY, line, f"end_date {stint.end_date} is before start_date {stint.start_date}"))
        else:
            stints[stint.employee_id].append((line, stint))
    return stints


def _posts(stints: list[tuple[int, Stint]], names: dict[str, str], bad: list[BadRow]) -> tuple[Post, ...]:
    posts: list[Post] = []
    for line, stint in sorted(stints, key=lambda item: item[1].start_date):
        if posts and (posts[-1].until is None or stint.start_date <= posts[-1].until):
            until = posts[-1].until or "open"
            bad.append(
                BadRow(
                    HISTORY, line, f"employee_id {stint.employee_id}: this row overlaps the previous one (until {until}) and is not used"
                )
            )
        else:
            posts.append(Post(stint.start_date, stint.end_date, names[stint.department_id]))
    return tuple(posts)


def _contradiction(person: Person, bad: list[BadRow]) -> bool:
    employee = person.employee
    if not employee.current and person.left_on is None:
        bad.append(BadRow(EMPLOYEES, person.line, f"current is 0, but {HISTORY} has no end_date for employee {employee.employee_id}"))
        return True
    if person.left_on is not None and person.left_on <= employee.hire_date:
        bad.append(
            BadRow(
                EMPLOYEES,
                person.line,
                f"employee {employee.employee_id} left on {person.left_on}, before the hire_date {employee.hire_date}",
            )
        )
        return True
    return False


# ----------------------------------------------------------------------------------------------------- facts for hr.events.v1


def hired_on(company: Company, day: date) -> list[HrFact]:
    """Everybody who is employed on that day, hired with effect from it, in the department they are in by then."""
    return [_hire(person, day, person.department_on(day)) for person in company.people if person.employed_on(day)]


def changes_after(company: Company, day: date, until: date | None = None) -> list[HrFact]:
    """What happens after that day: hires, moves and leaves, in order of time. The days up to `day` are taken as played by `hired_on`."""
    return [fact for fact in history(company) if day < fact.effective_date and (until is None or fact.effective_date <= until)]


def history(company: Company) -> list[HrFact]:
    """Everything the files say, in order of time; of one day in order of hire date, then id."""
    ordered = [(fact.effective_date, person.order, fact.sequence, fact) for person in company.people for fact in _facts(person)]
    return [fact for *_, fact in sorted(ordered, key=lambda item: item[:3])]


def _facts(person: Person) -> list[HrFact]:
    hired, left = person.employee.hire_date, person.left_on
    facts: list[HrFact] = [_hire(person, hired, person.department_on(hired))]
    for post in person.posts:
        if post.since > hired and post.department != person.department_on(post.since - timedelta(days=1)):
            facts.append(
                PersonChanged(
                    external_id=person.employee.employee_id,
                    effective_date=post.since,
                    sequence=len(facts),
                    department=post.department,
                )
            )
    if left is not None:
        facts.append(PersonLeft(external_id=person.employee.employee_id, effective_date=left, sequence=len(facts), reason="left"))
    return facts


def _hire(person: Person, day: date, department: str | None) -> PersonHired:
    employee = person.employee
    return PersonHired(
        external_id=employee.employee_id,
        effective_date=day,
        sequence=0,
        login=employee.login,
        email=employee.email,
        name=employee.name,
        job_title=employee.job_title,
        department=department,
    )
