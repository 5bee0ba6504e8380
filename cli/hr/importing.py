"""`seatpool hr import`: people from files to a staged import of users, which is checked as a whole before it changes anybody."""

import asyncio
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson
import typer

from cli.console import CliError, fail, out, run
from cli.hr import screen
from cli.hr.facts import words
from cli.rest import Rest, addresses
from shared.hr_files.columns import FilesUnusable, read_column_map, read_kinds
from shared.hr_files.company import FIELDS, BadRow, Company, Dialect, Person, read_company
from shared.hr_files.dates import DateOrder, EndDates
from shared.hr_files.reports import in_parts
from shared.hr_files.tables import check_encoding
from shared.ids import new_id

ROWS_REPORTED, NEEDS_CONFIRMATION = 3, 4  # exit codes of the command; its help names them
POLL_SECONDS = 0.3
_NO_SEATS = "require no modules and get no seats, unless another source states their login."
CHECK_SECONDS_MAX = 300.0  # of a very large import on a busy machine; a second attempt would only begin again


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for."""

    files: Path
    tenant: str
    source: str
    dry_run: bool = False
    complete: bool = False
    absent: Literal["list", "leave"] = "list"
    confirm: int | None = None
    discard_running: bool = False
    declared: tuple[tuple[str, str], ...] = ()  # the options that say how the files are to be read, as they were given

    def command(self, confirm: int) -> str:
        """Return the command that goes on where the guard stopped."""
        parts = ["seatpool", "hr", "import", str(self.files), "--tenant", self.tenant, "--source", self.source]
        parts += [part for option in self.declared for part in option]
        parts += ["--complete"] * self.complete + (["--absent", "leave"] if self.absent == "leave" else [])
        return shlex.join([*parts, "--confirm", str(confirm)])


@dataclass(frozen=True, slots=True)
class PersonCounts:
    """Each person of the files counts once."""

    read: int
    changed: int
    unchanged: int
    reported: int

    def check(self) -> None:
        if self.changed + self.unchanged + self.reported != self.read:
            raise AssertionError(f"{self.read} people were read, but {self} does not add up")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import changed, or would change."""

    company: Company
    bad_rows: tuple[BadRow, ...]  # those of the files, and those that users refused
    people: PersonCounts
    report: dict[str, Any]  # the answer to the check
    changes: tuple[dict[str, Any], ...]  # the first ones, or all for JSON
    applied: bool
    notes: tuple[str, ...] = ()

    @property
    def stopped(self) -> bool:
        return not self.applied and bool(self.report["guard"]["needs_confirmation"])

    @property
    def absent(self) -> list[str]:
        """The first of those who are missing from the files: not those who are there and cannot be read."""
        return [each["external_id"] for each in self.report["absent"] if each["external_id"] not in self.company.reported]


def read_files(path: Path, encoding: str | None, columns: str | None, kinds: str | None, dates: DateOrder, end_dates: EndDates) -> Company:
    try:
        with screen.waiting(f"reading {path.name}"):
            dialect = Dialect(check_encoding(encoding), read_column_map(columns, FIELDS), dates, end_dates, read_kinds(kinds))
            return read_company(path, dialect)
    except FilesUnusable as error:
        fail(str(error))


def import_people(company: Company, wanted: Wanted, *, as_json: bool) -> None:
    """Exits with 0, 3 (rows or people were reported) or 4 (the guard stopped)."""
    if not company.people:
        if as_json:
            _write_json(screen.files_as_json(company, wanted) | {"applied": False, "bad_rows": [asdict(row) for row in company.bad_rows]})
        else:
            screen.show_files(company, company.bad_rows)
            screen.show_rows(company)
        what = "no person who can be read" if company.bad_rows else "a header, and no row with a person"
        fail("there is nothing to import", f"The files contain {what}.")
    outcome = run(_import(company, wanted, all_changes=as_json))
    if as_json:
        _write_json(screen.as_json(outcome, wanted))
    else:
        screen.show(outcome, wanted)
    if outcome.stopped:
        raise typer.Exit(NEEDS_CONFIRMATION)
    if outcome.bad_rows:
        raise typer.Exit(ROWS_REPORTED)


def _write_json(content: dict[str, Any]) -> None:
    out.file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")


async def _import(company: Company, wanted: Wanted, *, all_changes: bool) -> Outcome:
    async with Rest(addresses()) as rest:
        return await perform(rest, company, wanted, all_changes=all_changes)


async def perform(rest: Rest, company: Company, wanted: Wanted, *, all_changes: bool = False) -> Outcome:
    """Stage, check and apply. An import that is not applied is deleted. Raises CliError."""
    staged = await _Staged.open(rest, company, wanted)
    try:
        return await staged.perform(all_changes=all_changes)
    except BaseException:
        await staged.discard()
        raise


@dataclass
class _Staged:
    """The import as users holds it until it is applied or deleted."""

    rest: Rest
    company: Company
    wanted: Wanted
    notes: tuple[str, ...]
    path: str = ""
    applied: bool = False

    @classmethod
    async def open(cls, rest: Rest, company: Company, wanted: Wanted) -> "_Staged":
        """Begin an import. People who cannot be read do not count as missing."""
        notes = (*_about_logins(company), *_about_emails(company))
        if wanted.absent == "leave" and not company.is_readable:
            notes += ("Some rows cannot be read, so it is not certain who is missing: absent people are listed, and none of them leaves.",)
            wanted = replace(wanted, absent="list")
        staged = cls(rest, company, wanted, notes)
        imports = f"/v1/tenants/{wanted.tenant}/imports"
        body = {"source": wanted.source, "complete": wanted.complete, "absent": wanted.absent}
        try:
            begun = await rest.post("users", imports, body, headers={"Idempotency-Key": new_id()})
        except CliError as refused:
            if refused.running is None:
                raise
            if not wanted.discard_running:
                refused.hint = (
                    "If that import was cut off, repeat the command with --discard-running: it deletes that import and starts this one."
                )
                raise
            await rest.call("DELETE", "users", f"{imports}/{refused.running}")
            begun = await rest.post("users", imports, body, headers={"Idempotency-Key": new_id()})
        staged.path = f"{imports}/{begun['import']}"
        return staged

    async def perform(self, *, all_changes: bool) -> Outcome:
        invalid = await self._send()
        with screen.waiting("checking"):
            report = await self.rest.post("users", f"{self.path}/check", timeout=CHECK_SECONDS_MAX)
            people = self._people(report)
            if all_changes:
                changes = await self.rest.pages("users", f"{self.path}/changes")
            else:
                changes = (await self.rest.get("users", f"{self.path}/changes", limit=screen.CHANGES_SHOWN))["items"]
        if self.wanted.dry_run or not await self._apply():
            await self.discard()
        bad = tuple(sorted((*self.company.bad_rows, *invalid), key=lambda row: (row.file, row.line)))
        return Outcome(self.company, bad, people, report, tuple(changes), self.applied, self.notes)

    async def _send(self) -> list[BadRow]:
        """Return those whom users cannot take."""
        people, invalid = self.company.people, list[BadRow]()
        with screen.progress("sending", len(people)) as advance:
            for first, part in in_parts(people):
                answer = await self.rest.put("users", f"{self.path}/people/{first}", {"people": part})
                invalid += [_refused(people[first + each["index"]], each["errors"]) for each in answer["invalid"]]
                advance(len(part))
        return invalid

    async def _apply(self) -> bool:
        """Return False if the guard refuses the import. The administrators then get an e-mail, since nobody may watch the command."""
        try:
            started = await self.rest.post("users", f"{self.path}/apply", {"confirm": self.wanted.confirm})
        except CliError as refused:
            if refused.problem == "import-needs-confirmation":
                return False
            raise
        self.applied = True
        with screen.progress("applying", started["total"]) as advance:
            done = 0
            while (state := await self.rest.get("users", self.path))["status"] == "applying":
                advance(state["done"] - done)
                done = state["done"]
                await asyncio.sleep(POLL_SECONDS)
            if state["status"] == "applied":
                advance(started["total"] - done)  # what was done since the last look
        if state["status"] != "applied":
            raise CliError(f"the import stopped with the status {state['status']}", state.get("failure") or "Import the same files again.")
        return True

    async def discard(self) -> None:
        """Delete what is staged, unless it is being applied: another import of this source can then begin."""
        if not self.applied:
            await self.rest.call("DELETE", "users", self.path)

    def _people(self, report: dict[str, Any]) -> PersonCounts:
        company, counts = self.company, report["counts"]
        changed = counts["new"] + counts["changed"]
        reported = len(company.reported) + counts["invalid"]
        people = PersonCounts(len(company.people) + len(company.reported), changed, counts["unchanged"], reported)
        people.check()
        return people


def _about_logins(company: Company) -> tuple[str, ...]:
    """Say that people without a login get no seats: many HR systems export none, and nothing else would tell why."""
    without = [person for person in company.people if not any(entry.values.get("login") for entry in person.entries)]
    if not without:
        return ()
    if not any("login" in entry.values for person in company.people for entry in person.entries):
        told = f"The files have no column for the field login. The people {_NO_SEATS}"
        return (f"{told} If another column holds what people log in with, map it, for example --columns login=Email,…",)
    count = "1 person has" if len(without) == 1 else f"{len(without)} people have"
    return (f"{count} no login in the files. They {_NO_SEATS}",)


def _about_emails(company: Company) -> tuple[str, ...]:
    """Say that people without an e-mail address get no e-mails."""
    without = [person for person in company.people if not any(entry.values.get("email") for entry in person.entries)]
    if not without or not any("email" in entry.values for person in company.people for entry in person.entries):
        return ()
    count = "1 person has" if len(without) == 1 else f"{len(without)} people have"
    return (f"{count} no e-mail address in the files. The administrators get what concerns them, unless another source states one.",)


def _refused(person: Person, errors: Any) -> BadRow:
    return BadRow(person.file, person.line, words(errors), person.external_id)
