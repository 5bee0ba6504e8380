"""`seatpool people matches`: how the people of a source are matched with those of other sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.console import fail, out, run
from cli.rest import PAGE_ITEMS, Rest, addresses
from shared.hr_files.company import Company

NAMED_MAX = 200  # people whose names are asked for, one by one; of the others, the ids are shown
_STYLES = {"linked": "green", "would_link": "green", "conflict": "red", "would_conflict": "red"}
_WORDS = {
    "linked": "linked",
    "would_link": "would be linked",
    "conflict": "conflict",
    "would_conflict": "would be in conflict",
    "new": "matches nobody",
}
Row = Mapping[str, Any]


def matches(tenant: str, source: str, *, dry_run: bool, match_by: Sequence[str], as_json: bool) -> None:
    """Print how the people are matched whom the source reports."""
    _show(run(_fetch(tenant, source, dry_run=dry_run, match_by=match_by)), as_json)


async def _fetch(tenant: str, source: str, *, dry_run: bool, match_by: Sequence[str]) -> dict[str, Any]:
    items: list[Row] = []
    hidden, cursor = 0, None
    asked = {"source": source, "dry_run": str(dry_run).lower(), "match_by": list(match_by) or None}
    async with Rest(addresses()) as rest:
        while True:
            page = await rest.get("users", f"/v1/tenants/{tenant}/matches", limit=PAGE_ITEMS, cursor=cursor, **asked)
            items += page["items"]
            hidden += page["hidden"]
            if (cursor := page["next"]) is None:
                return {"items": items, "hidden": hidden}


def matches_of_files(company: Company, files: Path, tenant: str, source: str, as_json: bool) -> None:
    """Check an import of the files, delete it, and print how its people would be matched."""
    from cli.hr.importing import Wanted, perform
    from cli.hr.screen import show_bad_rows

    if company.bad_rows and not as_json:
        show_bad_rows(company.bad_rows)
    if not company.people:
        fail("there is nobody to match", "The files contain no person who can be read.")

    async def check() -> dict[str, Any]:
        async with Rest(addresses()) as rest:
            outcome = await perform(rest, company, Wanted(files, tenant, source, dry_run=True), all_changes=True)
            first = [each for each in outcome.changes if each.get("match")]
            users = dict.fromkeys(user for each in first for user in each["match"]["people"])
            names = {user: await _name(rest, tenant, user) for user in list(users)[:NAMED_MAX]}
            return {"items": [_item(each, names) for each in first], "hidden": 0}

    _show(run(check()), as_json, is_of_files=True)


async def _name(rest: Rest, tenant: str, user: str) -> str:
    person = await rest.get("users", f"/v1/tenants/{tenant}/people/{user}")
    return str(person["name"] or person["login"] or "")


def _item(change: Row, names: Mapping[str, str]) -> Row:
    match, after = change["match"], change["after"] or {}
    outcome = {"linked": "would_link", "conflict": "would_conflict"}.get(match["outcome"], "new")
    return {
        "external_id": change["external_id"],
        "name": after.get("name") or after.get("login") or "",
        "login": after.get("login"),
        "outcome": outcome,
        "by": match["by"],
        "reason": match["reason"],
        "people": [{"user": user, "name": names.get(user, "")} for user in match["people"]],
        "would_require": after.get("modules"),
        "released": [],
    }


def _show(found: Mapping[str, Any], as_json: bool, *, is_of_files: bool = False) -> None:
    if as_json:
        out.print_json(data=found)
        return
    table = Table()
    for column in ("id", "name", "match", "by", "with", "what it changes"):
        table.add_column(column, overflow="fold")
    for each in found["items"]:
        style = _STYLES.get(each["outcome"])
        match = _WORDS[each["outcome"]] + (f" ({each['reason']})" if each["reason"] else "")
        others = ", ".join(f"{other['name']} ({other['user'][:8]}…)".strip() for other in each["people"])
        cells = (each["external_id"], each["name"], match, each["by"] or "", others, _effect(each))
        table.add_row(*map(escape, cells), style=style)
    out.print(table)
    counts = Counter(_WORDS[each["outcome"]] for each in found["items"])
    hidden = f"; {found['hidden']} are outside your departments" if found["hidden"] else ""
    if is_of_files:
        nobody = "Nobody in the files is new: the source has reported all of them before"
    else:
        nobody = "This source reports nobody. Is the name right? It begins with hr/ or scim/, for example scim/okta"
    out.print((", ".join(f"{number} {word}" for word, number in sorted(counts.items())) or nobody) + hidden + ".")


def _effect(each: Row) -> str:
    if each["outcome"] in ("conflict", "would_conflict"):
        return "takes no seat until it is decided"
    if each["outcome"] != "would_link" or each["would_require"] is None:
        return ""
    requires = f"one person, who requires {', '.join(each['would_require']) or 'no modules'}"
    return f"{requires}; gives up {', '.join(each['released'])}" if each["released"] else requires
