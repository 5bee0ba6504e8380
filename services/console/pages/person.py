"""A person: the modules and why, what each source states, what an administrator has set, and the e-mails."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from services.console.pages.licences import people_of
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.pages.why_seats import decisions_of, latest
from services.console.rendering import people_texts
from services.console.rendering.difference_texts import CONFLICTS
from services.console.rest.services import Part, url_part
from shared.schemas.rights import LOG_READ, USERS_MANAGE, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(USERS_READ))]
Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
DECISIONS_SHOWN: Final = 20
EMAILS_SHOWN: Final = 10
OTHERS_NAMED: Final = 20
INVITATION_STREAM: Final = "invitation"  # of the e-mails that invite
SHOWN_FIELDS: Final = ("name", "login", "email", "job_title", "department", "kind", "employee_number", "valid_to", "login_allowed")


@router.get("/{user}")
async def show_person(page: Reading, user: str, facts: Annotated[str, Query(max_length=2000)] = "") -> Response:
    """Show the whole page. A service that does not answer costs its part."""
    path = f"people/{url_part(user)}"
    found, why, timelines, emails, modules, profiles = await page.together(
        page.get("users", path),
        page.get("users", f"{path}/why", limit=DECISIONS_SHOWN),
        page.get("users", f"{path}/timelines", cursor=facts, limit=LISTED_MAX),
        page.get("notifier", "emails", user=user, limit=EMAILS_SHOWN) if page.may(LOG_READ) else page.nothing(),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("users", "profiles", limit=LISTED_MAX),
    )
    person, names = found.need() | {"modules": in_order(found.need()["modules"], modules)}, module_names(modules)
    decisions = decisions_of(why.value, user, names, page) if why.ok else []
    others = [*(person["conflict"]["people"] if person["conflict"] else ()), *person["in_conflict"]]
    return page.render(
        "person.html",
        person=person,
        names=names,
        why=why,
        decisions=decisions,
        because={each["module"]: _because(each, decisions, page) for each in person["modules"]},
        full_besides=_full_besides(person, modules, profiles),
        values=list(_values(person, page)),
        timelines=timelines,
        facts_cursor=facts,
        emails=emails,
        coming_invitation=_coming_invitation(person, emails),
        profile_name=_profile_name(person, profiles),
        others=await people_of(page, others, OTHERS_NAMED) if others else {},
        conflicts=CONFLICTS,
        texts=people_texts,
        written=lambda name, value: written(name, value, page),
    )


def _because(each: Mapping[str, Any], decisions: list[Any], page: Page) -> tuple[str, str]:
    """Return why a module of the person is as it is, and since when."""
    text, at = latest(decisions, each["module"])
    reason = people_texts.REASONS.get(each["reason"])
    return text or (page.gettext(reason) if reason else ""), at


def _full_besides(person: Mapping[str, Any], modules: Part, profiles: Part) -> dict[str, str]:
    """Return by module that the person lacks the names of the others that are needed with it and that have no free licence: each of the
    profile, or the base modules if the profile gives what is available."""
    base = {each["module"] for each in modules.value["items"] if each["base"]} if modules.ok else set()
    is_partial = profiles.ok and any(each["profile"] == person["profile"] and each["partial"] for each in profiles.value["items"])
    lacking = [each for each in person["modules"] if each["state"] in ("refused", "revoked", "withdrawn") and each["pool"]]
    full = [each["module"] for each in lacking if each["pool"]["in_use"] >= each["pool"]["licences"]]
    needed, names = [module for module in full if module in base or not is_partial], module_names(modules)
    return {each["module"]: ", ".join(names.get(other, other) for other in needed if other != each["module"]) for each in lacking}


def _coming_invitation(person: Mapping[str, Any], emails: Part) -> str | None:
    """Return the state of an invitation whose e-mail is not listed yet: `requested` waits for its licences, `sent` for the mail server."""
    state = person["invitation"]["state"] if person["invitation"] else None
    listed = emails.ok and any(each["stream"] == INVITATION_STREAM for each in emails.value["items"])
    return state if state in ("requested", "sent") and not listed else None


def _profile_name(person: Mapping[str, Any], profiles: Part) -> str:
    named = {each["profile"]: each["name"] for each in profiles.value["items"]} if profiles.ok else {}
    return str(named.get(person["profile"], person["profile"] or ""))


def _values(person: Mapping[str, Any], page: Page) -> Iterator[dict[str, Any]]:
    """Yield each value that somebody states: what it is, where it comes from, and what it hides."""
    for name in SHOWN_FIELDS:
        if (value := (person["values"] or {}).get(name)) is not None:
            hides = [(each["source"], written(name, each["value"], page)) for each in value["hides"]]
            shown = written(name, value["value"], page)
            yield {"name": name, "value": shown, "source": value["source"], "hides": hides, "is_set": name in person["overrides"]}


def written(name: str, value: Any, page: Page) -> str:
    """Return the value of a field as a reader reads it."""
    if value is None or value == "":
        return page.gettext("no value")
    if isinstance(value, bool):
        return page.gettext("yes") if value else page.gettext("no")
    if name == "kind" and value in people_texts.KINDS:
        return page.gettext(people_texts.KINDS[value])
    return page.formats.day(value) if name == "valid_to" else str(value)


@router.get("/{user}/data.json")
async def export_person(page: Managing, user: str) -> Response:
    """Return everything that is stored about the person, as a file."""
    data = (await page.get("users", f"people/{url_part(user)}/data")).need()
    headers = {"content-disposition": f'attachment; filename="person-{page.formats.today.isoformat()}.json"'}
    return Response(json.dumps(data, ensure_ascii=False, indent=2), media_type=JSONResponse.media_type, headers=headers)
