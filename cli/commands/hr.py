"""`seatpool hr`: import HR data, and bind HR systems to topics."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, group

hr = group("Import HR data, and bind HR systems to topics.")


@hr.command("import")
def import_people(
    files: Annotated[
        Path, typer.Argument(help="One CSV file, or the folder with employees.csv, departments.csv and department_history.csv.")
    ],
    tenant: Annotated[str, typer.Option(help="The tenant of the people.")],
    source: Annotated[str, typer.Option(help="The name of the HR system on the allow-list of sources.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what the import would change, and change nothing.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="The files contain everybody whom the source knows; the others are listed.")
    ] = False,
    absent: Annotated[
        Literal["list", "leave"],
        typer.Option(help="What happens to people who are missing from complete files. leave: they leave."),
    ] = "list",
    confirm: Annotated[
        int | None, typer.Option(min=1, help="The number of people who may lose access, as the stopped import printed it.")
    ] = None,
    discard_running: Annotated[
        bool, typer.Option("--discard-running", help="First delete the unfinished import of this source. Only if that was cut off.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the files, such as windows-1252; default: UTF-8, or UTF-16 with a byte order mark.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Which column holds which field: FIELD=COLUMN,… or the name of a TOML file with a table [columns].")
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(help="What the values of the column kind mean: VALUE=KIND,… or the name of a TOML file with a table [kinds]."),
    ] = None,
    dates: Annotated[
        Literal["iso", "dmy", "mdy", "ymd"], typer.Option(help="The order of day, month and year; ISO dates are read in any case.")
    ] = "iso",
    end_dates: Annotated[
        Literal["inclusive", "exclusive"], typer.Option(help="Whether an end date is the last day, or the first day after it.")
    ] = "inclusive",
    json: AsJson = False,
) -> None:
    """Import people from CSV files: what the files say about a person replaces what the source said before.

    Corrections need nothing special: if the files no longer contain a leaving, the person has not left. If any row of a person cannot be
    read, the person is not changed, and the row is listed with file, line and reason. People who are missing from the files stay as they
    are, unless you add `--complete --absent=leave`.

    An import that would end the access of more than 5 people or 2 % (the greater number counts) stops before it changes anybody, and
    prints the command that confirms it.

    The fields of one file are employee_id, start_date, end_date, department, login, email, name, job_title, kind, valid_to and
    may_log_in. Only the first two are required. The separator (comma, semicolon or tab) is detected.

    ```
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme --dry-run
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme --complete --absent=leave --confirm 12
    seatpool hr import examples/birkwald.csv --tenant acme --source hr/acme --dates dmy --columns examples/birkwald-columns.toml
    seatpool hr import people.csv --tenant acme --source hr/acme --encoding windows-1252 --columns employee_id=Nr,start_date=Entry
    seatpool hr import people.csv --tenant acme --source hr/acme --columns kind=Type --kinds "Regular=employee,Contingent Worker=external"
    ```

    Exit codes: 0 imported (or the dry run is complete); 1 refused or failed; 2 wrong option; 3 imported, but some rows
    could not be used; 4 stopped, because more people would lose access than are allowed without a confirmation.
    """
    from cli.hr.importing import Wanted, import_people, read_files
    from shared.hr_files.dates import DateOrder, EndDates

    if absent == "leave" and not complete:
        raise typer.BadParameter("leave needs --complete: only complete files say who is missing.", param_hint="--absent")
    given = {"--encoding": encoding, "--columns": columns, "--kinds": kinds, "--dates": dates, "--end-dates": end_dates}
    declared = tuple((name, value) for name, value in given.items() if value not in (None, "iso", "inclusive"))
    company = read_files(files, encoding, columns, kinds, DateOrder(dates), EndDates(end_dates))
    import_people(company, Wanted(files, tenant, source, dry_run, complete, absent, confirm, discard_running, declared), as_json=json)


@hr.command("bind")
def bind_source(
    source: Annotated[str, typer.Argument(help="The name of the HR system on the allow-list of sources.")],
    topic: Annotated[
        str | None, typer.Option(help="The part of the topic's name after hr.events.v1. (a-z, 0-9, -); default: the source without hr/.")
    ] = None,
) -> None:
    """Bind a source to a topic of its own. Then its events are accepted only from this topic, and no other source may use it.

    Stop the source first: users reads what it wrote to its old topic before the binding. Then give the source the right to write to the
    new topic (`seatpool topics acls`), and remove its right to write to `hr.events.v1`.

    ```
    seatpool hr bind hr/acme
    seatpool hr bind hr/acme --topic acme-payroll
    ```
    """
    from cli.hr.topics import bind

    bind(source, topic)


@hr.command("unbind")
def unbind_source(source: Annotated[str, typer.Argument(help="The name of the HR system.")]) -> None:
    """Let a source write to `hr.events.v1` again. This is refused while its own topic has records that users has not read yet.

    ```
    seatpool hr unbind hr/acme
    ```
    """
    from cli.hr.topics import unbind

    unbind(source)
