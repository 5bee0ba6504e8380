"""HR data in CSV files, as people with what is known about each of them by date.

Two forms are read. A folder: `employees.csv`, `departments.csv`, `department_history.csv`. One file: a row for each person, or several rows
for a person, one for each time that something changed.

If any row of a person cannot be read, that person is reported and held back as a whole: half of a history would say something else than
the history. Every row counts once as used, ignored or reported, every person once as readable or reported.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.hr_files.columns import KINDS, ColumnMap, FilesUnusable, Layout, value_key
from shared.hr_files.dates import DateOrder, EndDates, parse_day, parse_end, parse_last_day
from shared.hr_files.tables import PERSON, Broken, Row, Table, read_table, shape
from shared.schemas.base import OptionalEmail
from shared.text import CONTROL, has_hidden, has_unclear

EMPLOYEES, DEPARTMENTS, HISTORY = "employees.csv", "departments.csv", "department_history.csv"
ID_LENGTH_MAX = 200
TEXT_LENGTH_MAX = 500
PEOPLE_SHOWN = 20  # of a row that may be about several
STATED = ("login", "email", "name", "job_title", "kind", "valid_to", "may_log_in")
FLAT = Layout((PERSON, "start_date"), ("end_date", "department", *STATED), also={"start_date": "hire_date"})
_EMPLOYEES = Layout((PERSON, "hire_date"), ("current", *STATED))
_DEPARTMENTS = Layout(("department_id", "name"))
_HISTORY = Layout((PERSON, "department_id", "start_date"), ("end_date",))
FIELDS = tuple(dict.fromkeys(name for layout in (FLAT, _EMPLOYEES, _DEPARTMENTS, _HISTORY) for name in layout.fields))
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the user declares about the files."""

    encoding: str | None = None
    columns: ColumnMap = field(default_factory=dict)
    dates: DateOrder = DateOrder.ISO
    end_dates: EndDates = EndDates.INCLUSIVE
    kinds: Mapping[str, str] = field(default_factory=dict)  # as `read_kinds` returns them


@dataclass(frozen=True, slots=True)
class BadRow:
    file: str
    line: int  # of the file, where the row begins; 0: not known
    reason: str
    person: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """A time of employment, both days included."""

    first: date
    last: date | None  # None: open


@dataclass(frozen=True, slots=True)
class Entry:
    """What a row says from a day on, until the next entry. A field that has no column is not in it; None: the cell is empty."""

    since: date
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the company, with all their departments over time."""

    external_id: str
    periods: tuple[Period, ...]  # in order of time, with a day or more between two
    entries: tuple[Entry, ...]  # in order of time; each says everything that is known from its day on
    file: str
    line: int

    @property
    def order(self) -> tuple[date, int, str]:
        """By first day, then id: as a number where it is one, so that 9 comes before 10."""
        key = self.external_id
        return self.periods[0].first, int(key) if key.isascii() and key.isdecimal() else 0, key

    def employed_on(self, day: date) -> bool:
        return any(period.first <= day and (period.last is None or day <= period.last) for period in self.periods)

    def values_on(self, day: date) -> Mapping[str, Any]:
        """Return what holds on that day; before the first entry, what the first says."""
        begun = [entry for entry in self.entries if entry.since <= day]
        return (begun or self.entries)[-1 if begun else 0].values


@dataclass(frozen=True, slots=True)
class RowCounts:
    read: int
    used: int
    ignored: Mapping[str, int]  # why -> how many
    reported: int

    def check(self) -> None:
        total = self.used + sum(self.ignored.values()) + self.reported
        if total != self.read:
            raise AssertionError(f"{self.read} rows were read, but {total} are accounted for ({self})")


@dataclass(frozen=True, slots=True)
class Company:
    name: str  # of the folder or file
    departments: tuple[str, ...]
    people: tuple[Person, ...]  # in order of their first day, then id
    reported: tuple[str, ...]  # the ids of those who are held back
    bad_rows: tuple[BadRow, ...]
    rows: RowCounts
    files: tuple[str, ...]  # how each was read, for the user

    @property
    def is_readable(self) -> bool:
        """Tell whether every row can be read. Otherwise somebody may only seem to be missing, so nobody leaves for being absent."""
        return not self.bad_rows


def read_company(path: Path, dialect: Dialect | None = None) -> Company:
    """Raises FilesUnusable when a file or a column is missing."""
    dialect = dialect or Dialect()
    if path.is_dir():
        return _read_folder(path, dialect)
    if not path.is_file():
        raise FilesUnusable(f"{path} does not exist. A folder with {EMPLOYEES}, {DEPARTMENTS} and {HISTORY}, or one CSV file is expected.")
    return _read_flat(path, dialect)


# ------------------------------------------------------------------------------------------------------------------ accounting


class _Unreadable(Exception):
    """A value of a row, or what the rows of a person say together."""

    def __init__(self, row: Row, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason


class _Ledger:
    """Which row went where, and who is held back."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.bad: list[BadRow] = []
        self.held: set[str] = set()
        self.reported: set[tuple[str, int]] = set()
        self.used: set[tuple[str, int]] = set()
        self.ignored: dict[tuple[str, int], str] = {}
        self.unread = 0
        known = frozenset(row.get(PERSON) for table in tables for row in table.rows if PERSON in table.fields) - {""}
        for table in tables:
            self._take_broken(table, known)

    def _take_broken(self, table: Table, known: frozenset[str]) -> None:
        """Hold back everybody whose row may be broken. What follows on a broken row at once may be the rest of it."""
        before: Broken | None = None
        shapes, has_histories = frozenset(map(shape, known)), _has_histories(table)  # once: each row of the file may be broken
        for broken in table.broken:
            people = broken.people(known, shapes)
            is_rest = before is not None and before.last_line + 1 == broken.line
            if not people and not is_rest and has_histories:
                # With a row missing from a history, somebody would leave who has not left.
                where = f"{table.file}, line {broken.line}"
                raise FilesUnusable(f"{where}: nobody can say whose row this is ({broken.reason}). Correct it first.")
            self.held |= people
            self.unread += broken.rows
            shown = [*sorted(people)[:PEOPLE_SHOWN], *["…"][: len(people) > PEOPLE_SHOWN]]  # an open quote may swallow everybody
            self.bad.append(BadRow(table.file, broken.line, broken.reason, ", ".join(shown)))
            before = broken

    def report(self, file: str, row: Row, reason: str, person: str = "") -> None:
        self.reported.add((file, row.line))
        self.bad.append(BadRow(file, row.line, reason, person))
        if person:
            self.held.add(person)

    def close(self, name: str, departments: Iterable[str], people: Sequence[Person]) -> Company:
        """Count what is left over: the good rows of those who are held back."""
        ignored = Counter(self.ignored.values())
        for table in self.tables:
            keys = {(table.file, row.line) for row in table.rows}
            ignored["because another row of the person is reported"] += len(keys - self.reported - self.used - self.ignored.keys())
            ignored["empty"] += table.blank
        read = sum(table.rows_read for table in self.tables)
        rows = RowCounts(read, len(self.used), {why: n for why, n in ignored.items() if n}, len(self.reported) + self.unread)
        rows.check()
        bad = tuple(sorted(self.bad, key=lambda row: (row.file, row.line)))
        ordered = tuple(sorted(people, key=lambda person: person.order))
        return Company(name, tuple(departments), ordered, tuple(sorted(self.held)), bad, rows, tuple(str(table) for table in self.tables))


def _has_histories(table: Table) -> bool:
    """Return whether a person may have several rows in this file."""
    ids = [row.get(PERSON) for row in table.rows]
    return ("department_id" in table.fields and PERSON in table.fields) or len(set(ids)) < len(ids)


# ---------------------------------------------------------------------------------------------------------------------- values


@lru_cache(maxsize=1)
def _email() -> TypeAdapter[str]:
    return TypeAdapter(OptionalEmail)


def _read_email(text: str) -> str | None:
    if not text:
        return None
    try:
        return _email().validate_python(text)
    except ValidationError as error:
        raise ValueError(f"{error.errors(include_url=False)[0]['msg']} (got {text[:60]!r})") from error


def _read_text(text: str) -> str | None:
    """A line end or tab in a quoted field is a space."""
    text = re.sub(r"\s*[\r\n\t]+\s*", " ", text)
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError(f"at most {TEXT_LENGTH_MAX} characters expected (got {len(text)})")
    if has_hidden(text):
        raise ValueError("a text without control characters and invisible characters expected")
    return text or None


def _read_login(text: str) -> str | None:
    login = _read_text(text)
    if login and has_unclear(login):
        raise ValueError("a text without control characters, invisible characters and special spaces expected")
    return login


# What a spreadsheet writes where it could compute nothing, in English, German and Danish: #N/A, #NV, #I/T, #REF!, #BEZUG!, #DIV/0!, #NAVN?
_UNCOMPUTED = re.compile(r"#(N/A|NV|I/T|[A-ZÆØÅ/0]{3,12}[!?])")
_ROUNDED = re.compile(r"[0-9]([.,][0-9]+)?E\+?[0-9]+")


def _read_id(text: str) -> str:
    if not text:
        raise ValueError("an id expected (the cell is empty)")
    if len(text) > ID_LENGTH_MAX:
        raise ValueError(f"at most {ID_LENGTH_MAX} characters expected (got {len(text)})")
    if CONTROL.search(text) or '"' in text or any(unicodedata.category(each) == "Cf" for each in text):
        raise ValueError("an id without quotes, line ends, control characters and invisible characters expected")
    if _ROUNDED.fullmatch(text):
        raise ValueError(f"a spreadsheet has rounded this number; format the column as text and export it again (got {text!r})")
    return text


def _likely_id(text: str) -> str:
    """Return whom a row is about that cannot be read."""
    return CONTROL.sub("", text.replace('"', "")).strip()[:ID_LENGTH_MAX]


# English, German and Danish, as the product is; spreadsheets write TRUE as WAHR and SAND.
_YES, _NO = ("1", "true", "yes", "y", "ja", "j", "wahr", "sand"), ("0", "false", "no", "n", "nein", "nej", "falsch", "falsk")
_FLAGS = dict.fromkeys(_YES, True) | dict.fromkeys(_NO, False)


def _read_flag(text: str) -> bool | None:
    if text and text.casefold() not in _FLAGS:
        raise ValueError(f"1 or 0, true or false, yes or no expected (got {text[:60]!r})")
    return _FLAGS.get(text.casefold())


def _read_kind(text: str, kinds: Mapping[str, str]) -> str | None:
    key = value_key(text)
    kind = kinds.get(key, key)
    if text and kind not in KINDS:
        raise ValueError(f'one of {", ".join(KINDS)} expected (got {text[:60]!r}). Say which of them it is: --kinds "{text[:60]}=KIND".')
    return kind or None


def _values(row: Row, names: Iterable[str], dialect: Dialect) -> dict[str, Any]:
    """Return each field as what it is, or raise _Unreadable with all that is wrong."""
    readers: Mapping[str, Any] = {
        PERSON: _read_id,
        "department_id": _read_id,
        "login": _read_login,
        "email": _read_email,
        "kind": lambda text: _read_kind(text, dialect.kinds),
        "may_log_in": _read_flag,
        "current": _read_flag,
        "hire_date": lambda text: parse_day(text, dialect.dates),
        "start_date": lambda text: parse_day(text, dialect.dates),
        "end_date": lambda text: parse_last_day(text, dialect.dates, dialect.end_dates),
        "valid_to": lambda text: parse_end(text, dialect.dates),
    }
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for name in names:
        try:
            if _UNCOMPUTED.fullmatch(text := row.get(name)):
                raise ValueError(f"a spreadsheet could not compute this cell; correct its formula and export it again (got {text!r})")
            found[name] = readers.get(name, _read_text)(text)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise _Unreadable(row, "; ".join(wrong))
    return found


# ---------------------------------------------------------------------------------------------------------------------- people


@dataclass(frozen=True, slots=True)
class _Spell:
    """The time of one row, both days included."""

    row: Row
    first: date
    last: date | None
    values: Mapping[str, Any]


def _in_order(spells: Iterable[_Spell], dialect: Dialect, *, has_ends: bool) -> tuple[list[_Spell], list[Row]]:
    """Return the spells by time without overlap, and the rows that have no day left. Raises _Unreadable.

    Two rows that meet on one day are a move on that day. In a file without end dates a row holds until the next one.
    """
    result: list[_Spell] = []
    gone: list[Row] = []
    for spell in sorted(spells, key=lambda each: (each.first, each.last or date.max, each.row.line)):
        if spell.last is not None and spell.last < spell.first:
            raise _Unreadable(spell.row, f"the end ({spell.last}) is before the start ({spell.first})")
        before = result[-1] if result else None
        if before and (before.last is None or before.last >= spell.first):
            meets = before.last == spell.first and dialect.end_dates is EndDates.INCLUSIVE
            meets = meets and (before.first, before.last) != (spell.first, spell.last)
            follows = not has_ends and before.first < spell.first
            if not meets and not follows:
                until = f"until {before.last}" if before.last else "without an end"
                raise _Unreadable(spell.row, f"the row overlaps the one in line {before.row.line} (from {before.first}, {until})")
            result.pop()
            if before.first < spell.first:
                result.append(_Spell(before.row, before.first, spell.first - ONE_DAY, before.values))
            else:
                gone.append(before.row)
        result.append(spell)
    return result, gone


def _periods(spells: Sequence[_Spell]) -> list[Period]:
    """Rows that follow one another without a day between them are one time of employment."""
    periods: list[Period] = []
    for spell in spells:
        if periods and periods[-1].last is not None and periods[-1].last + ONE_DAY == spell.first:
            periods[-1] = Period(periods[-1].first, spell.last)
        else:
            periods.append(Period(spell.first, spell.last))
    return periods


def _named(table: Table, ledger: _Ledger, dialect: Dialect) -> dict[str, list[tuple[Row, dict[str, Any]]]]:
    """Return the rows of each person that can be read; the others are reported, and a row that is there twice is ignored."""
    people: dict[str, list[tuple[Row, dict[str, Any]]]] = defaultdict(list)
    seen: set[tuple[str, ...]] = set()
    names = sorted(table.fields)
    for row in table.rows:
        content = tuple(row.get(name) for name in names)
        if not any(content):
            ledger.ignored[table.file, row.line] = "empty"
        elif content in seen:
            ledger.ignored[table.file, row.line] = "the same as an earlier row"
        else:
            seen.add(content)
            try:
                values = _values(row, names, dialect)
            except _Unreadable as error:
                ledger.report(table.file, row, error.reason, _likely_id(row.get(PERSON)))
            else:
                people[row.get(PERSON)].append((row, values))
    return people


# ------------------------------------------------------------------------------------------------------------- one file, flat


def _read_flat(path: Path, dialect: Dialect) -> Company:
    table = read_table(path, FLAT, dialect.columns, dialect.encoding)
    _all_mapped(dialect, table)
    ledger = _Ledger([table])
    people: list[Person] = []
    for external_id, rows in _named(table, ledger, dialect).items():
        if external_id in ledger.held:
            continue
        try:
            spells = [_flat_spell(row, values) for row, values in rows]
            spells, gone = _in_order(spells, dialect, has_ends="end_date" in table.fields)
        except _Unreadable as error:
            ledger.report(table.file, error.row, error.reason, external_id)
            continue
        ledger.ignored |= {(table.file, row.line): "replaced on its only day" for row in gone}
        ledger.used |= {(table.file, spell.row.line) for spell in spells}
        entries = tuple(Entry(spell.first, spell.values) for spell in spells)
        people.append(Person(external_id, tuple(_periods(spells)), entries, table.file, rows[0][0].line))
    departments = dict.fromkeys(
        entry.values["department"] for person in people for entry in person.entries if entry.values.get("department")
    )
    return ledger.close(path.stem, departments, people)


def _flat_spell(row: Row, values: Mapping[str, Any]) -> _Spell:
    stated = {name: value for name, value in values.items() if name in ("department", *STATED)}
    return _Spell(row, values["start_date"], values.get("end_date"), stated)


def _all_mapped(dialect: Dialect, *tables: Table) -> None:
    """A map that names a column which no file has is a typing error: its field would be silently missing."""
    for name, columns in dialect.columns.items():
        if not any(name in table.fields for table in tables):
            files = ", ".join(table.file for table in tables)
            raise FilesUnusable(f"--columns: {files} has no column {'+'.join(columns)} (for the field {name})")


# --------------------------------------------------------------------------------------------------------------- three files


def _read_folder(folder: Path, dialect: Dialect) -> Company:
    tables = {}
    for name, layout in ((EMPLOYEES, _EMPLOYEES), (DEPARTMENTS, _DEPARTMENTS), (HISTORY, _HISTORY)):
        if not (folder / name).is_file():
            raise FilesUnusable(
                f"{name} is missing in {folder} (expected: {EMPLOYEES}, {DEPARTMENTS}, {HISTORY}, or the name of one CSV file)"
            )
        tables[name] = read_table(folder / name, layout, dialect.columns, dialect.encoding)
    _all_mapped(dialect, *tables.values())
    ledger = _Ledger(list(tables.values()))
    departments = _departments(tables[DEPARTMENTS], ledger, dialect)
    employees = _employees(tables[EMPLOYEES], ledger, dialect)
    histories = _histories(tables[HISTORY], departments, employees, ledger, dialect)
    people = []
    for external_id, (row, values) in employees.items():
        spells = histories.get(external_id, [])
        if external_id not in ledger.held and (person := _whole(external_id, row, values, spells, ledger, dialect)):
            people.append(person)
    return ledger.close(folder.resolve().name, departments.values(), people)


def _departments(table: Table, ledger: _Ledger, dialect: Dialect) -> dict[str, str]:
    """Return the name of each department. One that has two names has none: nobody can say which is meant."""
    found: dict[str, tuple[Row, str]] = {}
    twice: set[str] = set()
    for row in table.rows:
        try:
            values = _values(row, table.fields, dialect)
            key, name = values["department_id"], values["name"]
            if not name:
                raise _Unreadable(row, "name: the name of the department expected (the cell is empty)")
        except _Unreadable as error:
            ledger.report(table.file, row, error.reason)
            continue
        if key not in found:
            found[key] = (row, name)
        elif found[key][1] == name:
            ledger.ignored[table.file, row.line] = "the same as an earlier row"
        else:
            twice.add(key)
            ledger.report(table.file, row, f"department_id {key} has another name in line {found[key][0].line}")
    for key in twice:
        ledger.report(table.file, found[key][0], f"department_id {key} has another name further below")
    good = {key: pair for key, pair in found.items() if key not in twice}
    ledger.used |= {(table.file, row.line) for row, _ in good.values()}
    return {key: name for key, (_, name) in good.items()}


def _employees(table: Table, ledger: _Ledger, dialect: Dialect) -> dict[str, tuple[Row, dict[str, Any]]]:
    found = {}
    for external_id, rows in _named(table, ledger, dialect).items():
        if len(rows) > 1:
            for row, _ in rows:
                others = ", ".join(str(other.line) for other, _ in rows if other is not row)
                ledger.report(table.file, row, f"employee_id {external_id} is in line {others}, too", external_id)
        elif external_id not in ledger.held:
            found[external_id] = rows[0]
    return found


def _histories(
    table: Table, departments: Mapping[str, str], employees: Mapping[str, object], ledger: _Ledger, dialect: Dialect
) -> dict[str, list[_Spell]]:
    found: dict[str, list[_Spell]] = defaultdict(list)
    for external_id, rows in _named(table, ledger, dialect).items():
        for row, values in rows:
            department = values["department_id"]
            if external_id not in employees and external_id not in ledger.held:
                ledger.report(table.file, row, f"employee_id {external_id} is not in {EMPLOYEES}", external_id)
            elif department not in departments:
                reason = f"department_id {department} is not in {DEPARTMENTS}, or its row there cannot be used"
                ledger.report(table.file, row, reason, external_id)
            else:
                spell = _Spell(row, values["start_date"], values.get("end_date"), {"department": departments[department]})
                found[external_id].append(spell)
    return found


def _whole(
    external_id: str, row: Row, values: Mapping[str, Any], spells: Sequence[_Spell], ledger: _Ledger, dialect: Dialect
) -> Person | None:
    """Return the person that the row in employees.csv and the spells make, or None if they contradict each other."""
    try:
        spells, gone = _in_order(spells, dialect, has_ends=True)
    except _Unreadable as error:
        ledger.report(HISTORY, error.row, f"employee_id {external_id}: {error.reason}", external_id)
        return None
    hired = values["hire_date"]
    periods = _from_hire_date(_periods(spells) or [Period(hired, None)], hired)
    if not periods:
        ledger.report(EMPLOYEES, row, f"the hire_date {hired} is after the last end_date {spells[-1].last} in {HISTORY}", external_id)
        return None
    if values.get("current") is False and periods[-1].last is None:
        ledger.report(EMPLOYEES, row, f"current is 0, but {HISTORY} has no end_date for employee {external_id}", external_id)
        return None
    stated = {name: value for name, value in values.items() if name in STATED}
    entries = [Entry(spell.first, {**stated, **spell.values}) for spell in spells] or [Entry(hired, stated)]
    entries[0] = Entry(min(entries[0].since, periods[0].first), entries[0].values)
    ledger.used |= {(HISTORY, spell.row.line) for spell in spells} | {(EMPLOYEES, row.line)}
    ledger.ignored |= {(HISTORY, each.line): "replaced on its only day" for each in gone}
    return Person(external_id, tuple(periods), tuple(entries), EMPLOYEES, row.line)


def _from_hire_date(periods: list[Period], hired: date) -> list[Period]:
    """The period in which the hire date lies, or the next one, begins on it; earlier ones stay as they are. None left: []."""
    for index, period in enumerate(periods):
        if period.last is None or hired <= period.last:
            return [*periods[:index], Period(hired, period.last), *periods[index + 1 :]]
    return []
