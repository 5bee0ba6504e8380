"""`seatpool people`: the people of a tenant."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

people = group("See and change the people of a tenant. PERSON is an id, a login, an e-mail address or an external id.")
Person = Annotated[
    str,
    typer.Argument(metavar="PERSON", callback=not_blank, help="The id, the login, the e-mail address or the external id of the person."),
]


@people.command("list")
def list_people(
    tenant: OfTenant,
    status: Annotated[
        list[str] | None, typer.Option(help="Only people with this status (repeatable), or all. Default: all but inactive and left.")
    ] = None,
    department: Annotated[str | None, typer.Option(help="Only people of this department.")] = None,
    source: Annotated[str | None, typer.Option(help="Only people whom this source reports.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Only people with this text in name, login, e-mail address, job title or external id.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Only people without this (repeatable): login (they take no seat) or email (they get no e-mail)."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="The order: created_at, department, login or name; -name is the opposite one. Default: the order of arrival."),
    ] = None,
    json: AsJson = False,
) -> None:
    """List people with their status and modules.

    ```
    seatpool people list --tenant acme --status refused --status conflict
    seatpool people list --tenant acme --without email
    seatpool people list --tenant acme --sort name
    ```
    """
    from cli.people.shown import list_people

    given = {"status": status, "department": department, "source": source, "text": text, "without": without, "sort": sort}
    list_people(tenant, given, json)


@people.command("show")
def show_person(person: Person, tenant: OfTenant, json: AsJson = False) -> None:
    """Show a person: status, modules, the source of each value and what it hides, overrides and conflicts.

    ```
    seatpool people show ann@acme.example --tenant acme
    ```
    """
    from cli.people.shown import show

    show(tenant, person, json)


@people.command("data")
def person_data(person: Person, tenant: OfTenant) -> None:
    """Print everything that is stored about a person as JSON, and where the other services list what they store.

    ```
    seatpool people data ann@acme.example --tenant acme > ann.json
    ```
    """
    from cli.people.shown import data

    data(tenant, person)


@people.command("differences")
def differences(
    tenant: OfTenant,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only differences of this kind (repeatable): not_in_hr, not_in_scim, ended, blocked, override, conflict, no_seat, "
            "seats_differ, value. Default: all but value, of which there can be many."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare HR systems, SCIM connections, users and seats, and say why people differ and what each difference would change.

    The first line has the numbers: how many people each of them has. Then follow the people about whom they differ.

    ```
    seatpool people differences --tenant acme
    seatpool people differences --tenant acme --kind value --json
    ```
    """
    from cli.people.differences import differences

    differences(tenant, kind or [], json)


@people.command("matches")
def matches(
    tenant: OfTenant,
    source: Annotated[str, typer.Option(callback=not_blank, help="The name of the source, for example hr/acme or scim/okta.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be linked if the source reported its people now for the first time.")
    ] = False,
    match_by: Annotated[
        list[str] | None,
        typer.Option(help="With --dry-run: compare by login, employee_number or email (repeatable), instead of by the source's setting."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="With --dry-run: CSV files that the source would import; see `seatpool hr import`.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="With --files: their encoding, as for `seatpool hr import`.")] = None,
    columns: Annotated[str | None, typer.Option(help="With --files: which column holds which field, as for the import.")] = None,
    kinds: Annotated[str | None, typer.Option(help="With --files: what the values of the column kind mean, as for the import.")] = None,
    dates: Annotated[
        Literal["iso", "dmy", "mdy", "ymd"], typer.Option(help="With --files: the order of day, month and year, as for the import.")
    ] = "iso",
    end_dates: Annotated[
        Literal["inclusive", "exclusive"], typer.Option(help="With --files: what an end date means, as for the import.")
    ] = "inclusive",
    json: AsJson = False,
) -> None:
    """Show how the people of a source are matched: who is linked with whom and by what, who is in conflict, and who matches nobody.

    Look at it before you switch a source on: `--dry-run --files` checks an import of the files, shows the matches, and deletes the import.
    Nobody is changed.

    ```
    seatpool people matches --tenant acme --source scim/okta
    seatpool people matches --tenant acme --source scim/okta --dry-run --match-by email
    seatpool people matches --tenant acme --source hr/acme --dry-run --files examples/alpenrose
    seatpool people matches --tenant acme --source hr/acme --dry-run --files people.csv --dates dmy --columns employee_id=Nr
    ```
    """
    from cli.hr.importing import read_files
    from cli.people.matches import matches, matches_of_files
    from shared.hr_files.dates import DateOrder, EndDates

    if (files is not None or match_by) and not dry_run:
        raise typer.BadParameter("this option needs --dry-run: nobody is linked.", param_hint="--files" if files else "--match-by")
    reading = {"--encoding": encoding, "--columns": columns, "--kinds": kinds, "--dates": dates, "--end-dates": end_dates}
    given = [name for name, value in reading.items() if value not in (None, "iso", "inclusive")]
    if given and files is None:
        raise typer.BadParameter("this option says how --files are read.", param_hint=given[0])
    if files is not None:
        company = read_files(files, encoding, columns, kinds, DateOrder(dates), EndDates(end_dates))
        matches_of_files(company, files, tenant, source, json)
    else:
        matches(tenant, source, dry_run=dry_run, match_by=match_by or [], as_json=json)


@people.command("terminate")
def terminate(
    person: Person,
    tenant: OfTenant,
    last_day: Annotated[
        str | None, typer.Option(metavar="DAY", help="The last working day, for example 2026-03-31; it may be past.")
    ] = None,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take the termination back instead.")] = False,
    json: AsJson = False,
) -> None:
    """End a person's employment after a last working day, or take that back.

    The person keeps the seats until the end of the day. The answer says for each module what becomes of the licence, and which reduction
    gives up those that become free. Terminate the person again to change the day.

    ```
    seatpool people terminate ann --tenant acme --last-day 2026-03-31
    seatpool people terminate ann --tenant acme --take-back
    ```
    """
    from cli.people.changes import take_termination_back, terminate

    if (last_day is None) != take_back:
        raise typer.BadParameter("give either a day or --take-back.", param_hint="--last-day")
    if last_day is None:
        take_termination_back(tenant, person, json)
    else:
        terminate(tenant, person, last_day, json)


@people.command("invite")
def invite(
    person: Person,
    tenant: OfTenant,
    days: Annotated[int, typer.Option(min=1, help="The days until the invitation, its link and its reservation end.")] = 7,
    reserve: Annotated[
        bool, typer.Option("--reserve/--no-reserve", help="Reserve the licences until then, or request them when the person accepts.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Invite a person by e-mail. A full pool refuses an invitation that reserves licences.

    ```
    seatpool people invite ann --tenant acme --days 14
    seatpool people invite ann --tenant acme --no-reserve
    ```
    """
    from cli.people.changes import invite

    invite(tenant, person, days, reserve=reserve, as_json=json)


@people.command("resend")
def resend(
    person: Person,
    tenant: OfTenant,
    days: Annotated[int, typer.Option(min=1, help="The days until the new link and its reservation end.")] = 7,
    reserve: Annotated[bool, typer.Option("--reserve/--no-reserve", help="Whether the licences stay reserved until then.")] = True,
    json: AsJson = False,
) -> None:
    """Send an invitation again. The new link makes the earlier ones void, and the reservation is renewed.

    ```
    seatpool people resend ann --tenant acme
    ```
    """
    from cli.people.changes import invite

    invite(tenant, person, days, reserve=reserve, as_json=json)


@people.command("reactivate")
def reactivate(
    person: Person,
    tenant: OfTenant,
    module: Annotated[list[str] | None, typer.Option(help="Only this module (repeatable); default: all that the person requires.")] = None,
    json: AsJson = False,
) -> None:
    """Let a person log in again, and request the seats again: of somebody who was deactivated, refused or blocked, or has left.

    ```
    seatpool people reactivate ann --tenant acme
    ```
    """
    from cli.people.changes import reactivate

    reactivate(tenant, person, module, json)


@people.command("reactivate-refused")
def reactivate_refused(
    tenant: OfTenant,
    include_revoked: Annotated[bool, typer.Option("--include-revoked", help="Also people who were deactivated.")] = False,
    json: AsJson = False,
) -> None:
    """Request the seats of all refused people again, in the order of their refusals. Use it after you have bought or freed licences.

    For people who already have seats, only the modules that were refused are requested. People who are refused again for the same reason
    get no second e-mail.

    ```
    seatpool people reactivate-refused --tenant acme --include-revoked
    ```
    """
    from cli.people.changes import reactivate_refused

    reactivate_refused(tenant, include_revoked=include_revoked, as_json=json)


@people.command("replace")
def replace_person(
    person: Person,
    tenant: OfTenant,
    by: Annotated[str, typer.Option(metavar="PERSON", callback=not_blank, help="The person who gets the seats.")],
    afterwards: Annotated[
        Literal["left", "blocked"],
        typer.Option(help="What becomes of the person who is replaced: has left the company, or may not log in."),
    ] = "left",
    json: AsJson = False,
) -> None:
    """Give the seats of a person to another one, with their states and deadlines. No pool changes.

    The other person must have no seat of these modules yet.

    ```
    seatpool people replace ann --by bob --tenant acme
    ```
    """
    from cli.people.changes import replace

    replace(tenant, person, by, afterwards, json)


@people.command("hand-over")
def hand_over(
    person: Person,
    tenant: OfTenant,
    heir: Annotated[str | None, typer.Option(metavar="PERSON", callback=not_blank, help="Who takes over what the person owns.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Remove the heir.")] = False,
    json: AsJson = False,
) -> None:
    """Show what a person owns in the product and who takes it over, or name the heir. The product hands the items over.

    ```
    seatpool people hand-over ann --tenant acme
    seatpool people hand-over ann --heir bob --tenant acme
    ```
    """
    from cli.people.changes import hand_over

    if heir is not None and nobody:
        raise typer.BadParameter("give either an heir or --nobody.", param_hint="--heir")
    hand_over(tenant, person, heir, nobody=nobody, as_json=json)


@people.command("erase")
def erase(
    person: Person,
    tenant: OfTenant,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Erase name, login, e-mail address and external ids of a person who has left, in all services. You cannot undo this.

    The id of the person, the seats in the log, and documents stay.

    ```
    seatpool people erase ann --tenant acme
    ```
    """
    from cli.people.changes import erase

    erase(tenant, person, yes=yes, as_json=json)


@people.command("link")
def link(
    person: Person,
    tenant: OfTenant,
    to: Annotated[str, typer.Option(metavar="PERSON", callback=not_blank, help="The person who stays, with roles, seats and account.")],
    json: AsJson = False,
) -> None:
    """Make one person of two who are one human. PERSON gives up all seats and is no longer listed.

    ```
    seatpool people link ann.smith --to ann --tenant acme
    ```
    """
    from cli.people.changes import link

    link(tenant, person, to, json)


@people.command("separate")
def separate(
    person: Person,
    tenant: OfTenant,
    source: Annotated[str | None, typer.Option(help="Take out what this source states about the person; with --external-id.")] = None,
    external_id: Annotated[str | None, typer.Option(help="The id of the person in that source.")] = None,
    json: AsJson = False,
) -> None:
    """End the conflict of a person who is somebody else, or make a person of their own of the one whom a source describes.

    ```
    seatpool people separate ann --tenant acme
    seatpool people separate ann --source hr/acme --external-id 4711 --tenant acme
    ```
    """
    from cli.people.changes import separate

    if (source is None) != (external_id is None):
        raise typer.BadParameter("give both or none of --source and --external-id.", param_hint="--source")
    separate(tenant, person, source, external_id, json)


@people.command("set")
def set_values(
    person: Person,
    tenant: OfTenant,
    values: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="The values; FIELD= removes one.")],
    json: AsJson = False,
) -> None:
    """Set values of a person. If a source reports the person, they are overrides: they take precedence over the sources.

    The fields are login, email, name, job_title, department, profile, kind, valid_to and may_log_in.

    ```
    seatpool people set ann department=Sales job_title="Team lead" --tenant acme
    ```
    """
    from cli.people.changes import set_override

    set_override(tenant, person, values, json)


@people.command("remove-override")
def remove_override(
    person: Person,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="The field that was set; employed for the employment.")],
    tenant: OfTenant,
    json: AsJson = False,
) -> None:
    """Remove an override: from now on, the value is that of the sources again.

    ```
    seatpool people remove-override ann department --tenant acme
    ```
    """
    from cli.people.changes import remove_override

    remove_override(tenant, person, field, json)
