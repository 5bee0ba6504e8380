"""A form that was sent after its session had ended: its reader sees it in the words of its own page, and sends it again or drops it."""

import asyncio
import html
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import httpx
from fastapi import APIRouter, Response

from services.console.pages import cookies
from services.console.pages.access import RIGHTS, role_name
from services.console.pages.action_log import EVERYBODY, name_of
from services.console.pages.addresses import page_at, parts_of
from services.console.pages.billing import FORMATS
from services.console.pages.forms import RESUMED, day_of
from services.console.pages.home import AnyReader
from services.console.pages.module_order import module_names
from services.console.pages.page import Page
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.pages.settings import language_name
from services.console.pages.tenant_templates import TEMPLATES
from services.console.rendering import languages
from services.console.rendering.field_labels import DATES, LABELS, named_values, shown_fields
from services.console.rendering.log_sentences import CODES
from services.console.rest.services import url_part
from services.console.sign_in.seals import FORM
from shared.schemas.rights import USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/resume", include_in_schema=False)
PAGE_PARTS: Final = 4  # of the address of a page in the navigation, with the empty one before the first slash
_PROFILES: Final = ("profile",)
_ROLES: Final = ("role", "roles")
_MODULES: Final = ("module", "modules")
_PLANS: Final = ("choice", "offer")  # a plan and a term, in one value
_HEADING: Final = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_BUTTON: Final = re.compile(r"<button[^>]*>(.*?)</button>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")


@router.get("")
async def show_kept_form(page: AnyReader) -> Response:
    """Show the form. It is sent again only by its own reader, who presses the button."""
    kept = page.wiring.seals.unseal(page.cookie(cookies.FORM), FORM)
    if kept is None:
        page.delete_cookie(cookies.FORM)
        return page.redirect("/")
    if not page.wiring.seals.fits(kept["token"], page.cookie(cookies.BROWSER), page.reader.id):
        page.delete_cookie(cookies.FORM)
        text = page.gettext("A form was not sent, because somebody else has signed in. Its input was dropped.")
        return page.redirect("/", text, "warning")
    words, (above, headings, button) = await asyncio.gather(_words(page, kept["fields"]), _about(page, kept["path"]))
    shown = [(page.gettext(label), button) for label in (LABELS["action"],) if button]
    shown += shown_fields(kept["fields"], page.gettext, words)
    shown += [(page.gettext("Person"), name) for name in words["to"].values()]
    return page.render(
        "resume.html", path=kept["path"], fields=kept["fields"], shown=shown, resumed=RESUMED, above=above, headings=headings
    )


@router.post("")
async def drop_kept_form(page: AnyReader) -> Response:
    """Drop the form, and show the page to which it belongs: `/tenants/acme/licences` of `/tenants/acme/licences/lab/buy`."""
    kept = page.wiring.seals.unseal(page.cookie(cookies.FORM), FORM)
    page.delete_cookie(cookies.FORM)
    return page.redirect(page_at(page.request.app.state.pages, kept["path"], PAGE_PARTS) if kept else "/")


async def _about(page: Page, address: str) -> tuple[str, Sequence[str], str]:
    """Return the address of the form's page, its heading after those of the pages above it (People, Zora Schmid, Set the last working day),
    and the words of the button of a form that has no page of its own. The console asks itself for these pages, as their reader: each says
    best what it is about. A page that cannot be shown now is left out."""
    pages, parts = page.request.app.state.pages, parts_of(address).path.split("/")
    deepest = page_at(pages, address)
    higher = ["/".join(parts[:length]) for length in range(PAGE_PARTS - 1, len(deepest.partition("?")[0].split("/")))]
    addresses = [*(each for each in higher if page_at(pages, each) == each), deepest]
    headers = {name: page.request.headers[name] for name in ("cookie", "accept-language") if name in page.request.headers}
    transport = httpx.ASGITransport(page.request.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=str(page.request.base_url), headers=headers) as console:
        shown = await asyncio.gather(*map(console.get, addresses))
    found = [(at, each.text) for at, each in zip(addresses, shown, strict=True) if each.is_success and _HEADING.search(each.text)]
    button, form = "", re.compile(rf'<form[^>]* action="{re.escape(html.escape(address))}".*?</form>', re.DOTALL)
    if deepest != address and (holding := [place for place, (_, text) in enumerate(found) if form.search(text)]):
        found = found[: holding[-1] + 1]  # what takes back a last working day is not on the page that sets it
        buttons = _BUTTON.findall(form.findall(found[-1][1])[0])
        button = _plain(buttons[0]) if len(buttons) == 1 else ""
    headings = [_plain(text) for _, page_text in found for text in _HEADING.findall(page_text)[:1]]
    return found[-1][0] if found else "", headings, button


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def _days(page: Page, values: Sequence[str]) -> dict[str, str]:
    """Return the days among the values as their reader writes them."""
    found = {}
    for value in values:
        with suppress(ValueError):
            found[value] = page.formats.day(day_of(value))
    return found


async def _words(page: Page, fields: Mapping[str, Sequence[str]]) -> Mapping[str, Mapping[str, str]]:
    """Return the words of the values that are a choice, by field. What a service does not tell is shown as it was sent."""
    named = named_values(fields)
    of_tenant = f"/v1/tenants/{url_part(page.reader.tenant or '')}"

    async def listed(wanted: Sequence[str], service: str, path: str) -> Any:
        return await (page.get(service, path, limit=LISTED_MAX) if named.intersection(wanted) else page.nothing())

    chosen = fields.get("to", ()) if page.may(USERS_READ) else ()  # who takes over, or another entry of the same person
    profiles, roles, modules, plans, people = await page.together(
        listed(_PROFILES, "users", f"{of_tenant}/profiles"),
        listed(_ROLES, "users", f"{of_tenant}/roles"),
        listed(_MODULES, "invoicing", "/v1/modules"),
        listed(_PLANS, "invoicing", "/v1/plans"),
        page.get("users", f"{of_tenant}/people", user=chosen, status=EVERYBODY) if chosen else page.nothing(),
    )
    found = {
        "rights": {right: page.gettext(text) for right, text in RIGHTS.items()},
        "document_format": {code: page.gettext(text) for code, text in FORMATS.items()},
        "template": {each.name: page.gettext(each.title) for each in TEMPLATES},
        "country": dict(languages.names_of_countries(page.language)),
        "locale": {each: language_name(page, each) for each in fields.get("locale", ())},
        "profile": {each["profile"]: each["name"] for each in profiles.value["items"]} if profiles.ok else {},
        "to": {each["user"]: name_of(each) for each in people.value["items"]} if people.ok else {},
    }
    for name in DATES:
        found[name] = _days(page, [value for field, values in fields.items() if field.endswith(name) for value in values])
    found |= dict.fromkeys(_ROLES, {each["role"]: role_name(page, each) for each in roles.value["items"]} if roles.ok else {})
    found |= dict.fromkeys(_MODULES, module_names(modules))
    offers = [
        (each, term, page.gettext(text)) for each in (plans.value["items"] if plans.ok else ()) for term, text in CODES["term"].items()
    ]
    found["choice"] = {f"{plan['plan']}|{term}": f"{plan['name']}, {text}" for plan, term, text in offers}
    found["offer"] = {f"{plan['plan']} {term}": f"{plan['name']}, {text} ({plan['currency']})" for plan, term, text in offers}
    return found
