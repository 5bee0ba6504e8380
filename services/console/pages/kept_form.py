"""A form that was sent after its session had ended: its reader sees it in the words of its own page, and sends it again or drops it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Response

from services.console.pages import cookies
from services.console.pages.access import RIGHTS, role_name
from services.console.pages.action_log import EVERYBODY, name_of
from services.console.pages.addresses import page_at
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
from services.console.rendering.field_labels import DATES, named_values, shown_fields
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
    words = await _words(page, kept["fields"])
    shown = shown_fields(kept["fields"], page.gettext, words)
    shown += [(page.gettext("Person"), name) for name in words["to"].values()]
    back, about = page_at(page.request.app.state.pages, kept["path"]), kept.get("about", ())
    return page.render("resume.html", path=kept["path"], fields=kept["fields"], shown=shown, resumed=RESUMED, back=back, about=about)


@router.post("")
async def drop_kept_form(page: AnyReader) -> Response:
    """Drop the form, and show the page to which it belongs: `/tenants/acme/licences` of `/tenants/acme/licences/lab/buy`."""
    kept = page.wiring.seals.unseal(page.cookie(cookies.FORM), FORM)
    page.delete_cookie(cookies.FORM)
    return page.redirect(page_at(page.request.app.state.pages, kept["path"], PAGE_PARTS) if kept else "/")


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
