"""SCIM connections: what an identity provider reports, with which tokens. A token is shown once, in the answer to the form that made it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages import added_licences
from services.console.pages.api_clients import secret_page
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form
from services.console.pages.page import NEW, NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering.technical_texts import scim_error_text
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ROLES_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/access/scim", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(ROLES_MANAGE))]
DAYS: Final = 365
DAYS_MAX: Final = 730
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@router.get("/new")
async def ask_connection(page: Managing) -> Response:
    """Ask for the name of a connection, and what it does."""
    return page.render("access_scim_new.html", form=Form.of(on_full="create", deactivation="suspends"))


@router.post("/new")
async def add_connection(page: Managing) -> Response:
    """Add a connection. It has no token at first."""
    form = page.form
    name = form["name"].lower()
    if not _NAME.fullmatch(name):
        form.errors["name"] = page.gettext("Enter small letters, digits and hyphens, for example okta.")
    elif not (known := await page.get("users", f"scim-connections/{url_part(name)}")).missing:
        known.need()
        form.errors["name"] = page.gettext("There is a connection with this name already.")
    if form.ok:
        try:
            await page.send("PUT", "users", f"scim-connections/{url_part(name)}", _body(form), etag=NEW)
            text = page.gettext("The connection %(name)s was added. Now create a token for the identity provider.", name=name)
            return page.redirect(page.url(f"access/scim/{url_part(name)}"), text)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    return page.render("access_scim_new.html", 422, form=form)


def _body(form: Form) -> dict[str, Any]:
    return {"on_full": form["on_full"], "deactivation": form["deactivation"]}


async def _connection(page: Page, connection: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (await page.get("users", f"scim-connections/{url_part(connection)}")).need()
    return found


def _shown(page: Page, connection: Mapping[str, Any], form: Form, status: int = 200) -> Response:
    return page.render(
        "access_scim.html",
        status,
        connection=connection,
        form=form,
        days=DAYS,
        base_url=_base_url(page),
        scim_error=lambda error: scim_error_text(error, page.gettext),
    )


def _base_url(page: Page) -> str:
    settings = page.wiring.settings
    return settings.scim_base_url(settings.users_url)


@router.get("/{connection}")
async def show_connection(page: Managing, connection: str) -> Response:
    """Show a connection: its tokens, its settings, and how an identity provider is set up."""
    found = await _connection(page, connection)
    return _shown(page, found, _settings_form(found))


def _settings_form(found: Mapping[str, Any]) -> Form:
    return Form.of(on_full=found["on_full"], deactivation=found["deactivation"], version=found["version"])


def _present(page: Page, found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    creates, suspends = found["on_full"] != "refuse", found["deactivation"] != "leaves"
    full = page.gettext("Add the person without a licence") if creates else page.gettext("Answer with an error")
    deactivated = page.gettext("The login is blocked") if suspends else page.gettext("The person has left")
    return {
        "on_full": (page.gettext("A new person, and no licence is free"), full),
        "deactivation": (page.gettext("The identity provider deactivates a person"), deactivated),
    }


@router.post("/{connection}")
async def change_connection(page: Managing, connection: str) -> Response:
    """Change what the connection does, if nobody else has changed it since it was shown."""
    form, found = page.form, await _connection(page, connection)
    try:
        body = _body(form) | {"user_types": found["user_types"]}
        await page.send("PUT", "users", f"scim-connections/{url_part(connection)}", body, etag=f'"{form["version"]}"')
    except Refusal as refusal:
        form.refuse(refusal.problem)
        if refusal.problem.is_stale:
            found = await _connection(page, connection)
            form.go_on_from(_settings_form(found), "version", _present(page, found))
        return _shown(page, found, form, 422)
    return page.redirect(page.url(f"access/scim/{url_part(connection)}"), page.gettext("The connection was changed."))


@router.post("/{connection}/tokens")
async def create_token(page: Managing, connection: str) -> Response:
    """Create a token and show it. A form that was sent before creates none."""
    form, found = page.form, await _connection(page, connection)
    title = page.gettext("Token of %(name)s", name=found["connection"])
    if form["seen"] != ",".join(each["token"] for each in found["tokens"]):
        return secret_page(page, title, None)
    text = page.gettext("Enter a whole number from 1 to %(most)s.", most=page.formats.number(DAYS_MAX))
    days = form.integer("days", text, least=1, most=DAYS_MAX)
    if form.ok:
        try:
            made = await page.send("POST", "users", f"scim-connections/{url_part(connection)}/tokens", {"expires_in_days": days})
            return secret_page(page, title, made["secret"], address=_base_url(page))
        except Refusal as refusal:
            form.refuse(refusal.problem, {"expires_in_days": "days"})
    again = Form.of(on_full=found["on_full"], deactivation=found["deactivation"], version=found["version"], days=form["days"])
    again.errors, again.problem = form.errors, form.problem
    return _shown(page, found, again, 422)


async def _revocation(page: Page, connection: str, token: str) -> Question:
    tokens = (await _connection(page, connection))["tokens"]
    revoked = next((each for each in tokens if each["token"] == token), None)
    if revoked is None:
        raise NotThere
    effect = (
        page.gettext("An identity provider that still uses this token is refused within 10 seconds. The other token stays valid.")
        if len(tokens) > 1
        else page.gettext("This is the only token. The identity provider can report nobody until you create another one.")
    )
    return Question(
        page.gettext("Revoke the token %(token)s?", token=token),
        page.gettext("Revoke the token"),
        page.url(f"access/scim/{url_part(connection)}"),
        [effect, page.gettext("It cannot be made valid again.")],
        {
            page.gettext("Connection"): connection,
            page.gettext("Token"): token,
            page.gettext("Valid until"): page.formats.real_day(revoked["expires_at"]),
        },
    )


async def _removal(page: Page, connection: str, form: Form) -> tuple[Question, bool]:
    """Return the question, and whether the reader of the form knows which licences are added."""
    await _connection(page, connection)
    found = await page.send("DELETE", "users", f"scim-connections/{url_part(connection)}", query={"dry_run": "true"})
    ends, begins, knows = found["would_end"], found["would_begin"], form.knows_cost(found["licences"])
    effects = [
        page.gettext("Its tokens are refused within 10 seconds, and what its groups give ends. People of other sources stay."),
        page.ngettext("%(num)s person loses access.", "%(num)s people lose access.", ends),
    ]
    if begins:
        effects.append(page.ngettext("%(num)s blocked person gets access again.", "%(num)s blocked people get access again.", begins))
    effects += await added_licences.of_preview(page, found["licences"])
    question = Question(
        page.gettext("Remove the SCIM connection?"),
        page.gettext("Remove the connection"),
        page.url(f"access/scim/{url_part(connection)}"),
        effects,
        {
            page.gettext("Connection"): connection,
            page.gettext("People of this connection"): page.formats.number(found["people"]),
            page.gettext("Groups"): page.formats.number(found["groups"]),
        },
        seen={"would_end": ends, "effect": form.effect},
    )
    return question, knows


@router.get("/{connection}/delete")
async def ask_about_connection(page: Managing, connection: str) -> Response:
    """Ask whether the connection shall be removed, with how many people lose access, and which licences are added."""
    question, _ = await _removal(page, connection, Form())
    return ask(page, question)


@router.post("/{connection}/delete")
async def remove_connection(page: Managing, connection: str) -> Response:
    """Remove the connection, if as many people lose access, and as many licences are added, as the question said."""
    await _connection(page, connection)
    question, knows = await _removal(page, connection, page.form)
    ends = str(question.seen["would_end"])
    if not knows or page.form["would_end"] != ends:
        return ask(page, question)
    try:
        await page.send("DELETE", "users", f"scim-connections/{url_part(connection)}", query={"confirm": ends})
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(page.url("access"), page.gettext("The connection was removed. Its people are changed in the background."))


@router.get("/{connection}/tokens/{token}/delete")
async def ask_about_token(page: Managing, connection: str, token: str) -> Response:
    """Ask whether the token shall be revoked."""
    return ask(page, await _revocation(page, connection, token))


@router.post("/{connection}/tokens/{token}/delete")
async def revoke_token(page: Managing, connection: str, token: str) -> Response:
    """Revoke a token. Requests with it are refused within 10 seconds."""
    question = await _revocation(page, connection, token)
    try:
        await page.send("DELETE", "users", f"scim-connections/{url_part(connection)}/tokens/{url_part(token)}")
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(question.back, page.gettext("The token was revoked."))
