"""Action log: who did what, when and why, with filters and an export (T20)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.access import RIGHTS, ROLES
from services.console.pages.filters import Filters
from services.console.pages.forms import day_of
from services.console.pages.licences import names_of
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import log_sentences, people_texts
from services.console.rendering.field_labels import LABELS
from services.console.rendering.policy_texts import PolicyTexts
from services.console.rest.services import Part
from shared.schemas.base import format_instant
from shared.schemas.rights import LOG_READ, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/log", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(LOG_READ))]
Chosen = Annotated[str, Query(max_length=200)]
SHOWN: Final = 30
NAMED_MAX: Final = 60
FOUND_MAX: Final = 8
RULES: Final = "rules"  # the actor of what happened without one
HIDDEN: Final = "hidden"  # the actor whom the reader does not see
EVERYBODY: Final = "all"


@dataclass(frozen=True, slots=True)
class Wanted(Filters):
    """The filters, as in the address of the page. `person` and `by` are ids or parts of names; with `person_id` and `by_id` they are the
    name of that person, which others may have too, or the id of a program, which may be a part of a person's name."""

    since: str = ""
    until: str = ""
    kind: str = ""
    person: str = ""
    by: str = ""
    module: str = ""
    person_id: str = ""
    by_id: str = ""


async def wanted(
    since: Chosen = "",
    until: Chosen = "",
    kind: Chosen = "",
    person: Chosen = "",
    by: Chosen = "",
    module: Chosen = "",
    person_id: Chosen = "",
    by_id: Chosen = "",
) -> Wanted:
    """Return the filters of the address."""
    kind, person, by = kind if kind in log_sentences.KINDS else "", person.strip(), by.strip()
    ids = person_id if person else "", by_id if by else ""
    return Wanted(since.strip(), until.strip(), kind, person, by, module.strip(), *ids)


InWanted = Annotated[Wanted, Depends(wanted)]


@dataclass(frozen=True, slots=True)
class Found:
    """What a filter by a person means: an id, or several people to choose from."""

    id: str = ""
    name: str = ""
    several: Sequence[Mapping[str, Any]] = ()
    nobody: bool = False

    @property
    def is_clear(self) -> bool:
        return not self.several and not self.nobody


async def _person(page: Page, text: str, meant: str, *, is_person: bool) -> Found:
    """Return the person with this id, or whose name has this text: of several the one that was meant before. An actor may be a program as
    well."""
    automatic = page.gettext("automatic")
    if not text or (not is_person and text.casefold() in (RULES, automatic.casefold())):
        return Found(RULES if text else "", automatic if text else "")
    if not page.may(USERS_READ) or (not is_person and meant == text):
        return Found(text, text)
    names = await names_of(page, [each for each in (meant, text) if each])
    if meant and names.get(meant) == text:
        return Found(meant, text)
    if text in names:
        return Found(text, names[text])
    people = await page.get("users", "people", text=text[:100], status=EVERYBODY, limit=FOUND_MAX)
    if not people.ok:
        return Found(text, text)
    items = people.value["items"]
    if not items:
        return Found(text, text, nobody=is_person)
    if len(items) > 1:
        return Found(text, text, several=items)
    return Found(items[0]["user"], name_of(items[0]))


def name_of(person: Mapping[str, Any]) -> str:
    """Return what a person is called."""
    return str(person["name"] or person["login"] or person["email"] or person["user"])


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters, and what they mean for REST."""

    query: Mapping[str, Any]
    person: Found
    by: Found
    errors: Mapping[str, str]

    @property
    def is_clear(self) -> bool:
        return self.person.is_clear and self.by.is_clear and not self.errors


async def _asked(page: Page, chosen: Wanted) -> Asked:
    person = await _person(page, chosen.person, chosen.person_id, is_person=True)
    by = await _person(page, chosen.by, chosen.by_id, is_person=False)
    errors = {}
    days = {}
    for name, value in (("since", chosen.since), ("until", chosen.until)):
        try:
            days[name] = day_of(value) if value else None
        except ValueError:
            errors[name], days[name] = page.gettext("Enter a date, for example 2026-03-31."), None
    since, until = days["since"], days["until"]
    query = {
        "user": person.id,
        "actor": by.id,
        "module": chosen.module,
        "type": list(log_sentences.KINDS[chosen.kind][1]) if chosen.kind else None,
        "from": _begin(page, since) if since else None,
        "to": _begin(page, until + timedelta(days=1)) if until else None,
    }
    return Asked(query, person, by, errors)


def _begin(page: Page, day: date) -> str:
    """Return when a day of the tenant begins."""
    return format_instant(datetime.combine(day, time(), page.formats.zone))


@router.get("")
async def show_log(page: Reading, chosen: InWanted, cursor: Annotated[str, Query(max_length=2000)] = "") -> Response:
    """Show a page of the log, newest entry first."""
    asked = await _asked(page, chosen)
    actions, modules, plans, profiles, roles = await page.together(
        page.get("notifier", "actions", **asked.query, cursor=cursor, limit=SHOWN) if asked.is_clear else page.nothing(),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", "/v1/plans", limit=LISTED_MAX),
        page.get("users", "profiles", limit=LISTED_MAX) if page.may(USERS_READ) else page.nothing(),
        page.get("users", "roles", limit=LISTED_MAX) if page.may(USERS_READ) else page.nothing(),
    )
    names = module_names(modules)
    named = {each["plan"]: each["name"] for each in plans.value["items"]} if plans.ok else {}
    named |= {each["role"]: each["name"] for each in roles.value["items"]} if roles.ok else {}
    named |= {each["profile"]: each["name"] for each in profiles.value["items"]} if profiles.ok else {}
    return page.render(
        "log.html",
        200 if asked.is_clear else 422,
        chosen=chosen,
        asked=asked,
        actions=actions.need() if asked.is_clear else None,
        entries=await _entries(page, actions, names, named) if asked.is_clear else [],
        modules=names,
        cursor=cursor,
        kinds=log_sentences.KINDS,
        RULES=RULES,
        HIDDEN=HIDDEN,
    )


async def _entries(page: Page, actions: Part, modules: Mapping[str, str], others: Mapping[str, str]) -> list[dict[str, Any]]:
    items = log_sentences.with_lines(actions.need()["items"], modules)
    users = [each["user"] for each in items if each["user"]] + [each["actor"]["id"] for each in items if each["actor"]["kind"] == "user"]
    names = await names_of(page, users, NAMED_MAX)
    named = {**others, **modules, **{code: page.gettext(text) for code, text in {**ROLES, **RIGHTS}.items()}}
    texts = PolicyTexts(page.gettext, page.ngettext, page.formats, 0, {})
    words = log_sentences.Words(page.gettext, page.formats, texts.duration, named, LABELS)
    return [
        entry
        | {
            "sentence": log_sentences.sentence(
                entry, words, names.get(entry["user"] or "", ""), modules.get(module := _module_of(entry), module or "–")
            ),
            "changes": log_sentences.changes(entry, words),
            "why": people_texts.REASONS.get(entry["reason"]) if entry["type"] in log_sentences.OF_SEATS else None,
            "by": names.get(entry["actor"]["id"], page.gettext("A person"))
            if entry["actor"]["kind"] == "user"
            else log_sentences.actor(entry["actor"], page.gettext),
        }
        for entry in items
    ]


def _module_of(entry: Mapping[str, Any]) -> str:
    """Return the module of an entry. Entries of an added module have it among their details."""
    return str(entry["module"] or entry["details"].get("module") or "")


@router.get("/export.csv")
async def export_log(page: Reading, chosen: InWanted) -> Response:
    """Return the filtered log as CSV, as the notifier writes it."""
    asked = await _asked(page, chosen)
    if not asked.is_clear:
        return page.redirect(page.url(f"log?{chosen.address()}"))
    return await page.download("notifier", "actions", format="csv", **asked.query)
