"""API clients: programs of the company that request access tokens. A secret is shown once, in the answer to the form that made it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from services.console.pages.access import RIGHTS, rights_of
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ROLES_MANAGE, TENANT_RIGHTS

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/access/clients", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(ROLES_MANAGE))]


@router.get("/new")
async def ask_client(page: Managing) -> Response:
    """Ask what the client is for, and which rights it needs."""
    return _client_page(page, Form.of())


def _client_page(page: Page, form: Form, status: int = 200) -> Response:
    rights = [(right, page.gettext(RIGHTS[right])) for right in TENANT_RIGHTS if page.may(right)]
    return page.render("access_client_new.html", status, form=form, rights=rights)


@router.post("/new")
async def add_client(page: Managing) -> Response:
    """Add a client and show its secret. The same form, sent again, shows the client without it."""
    form = page.form
    rights = [right for right in TENANT_RIGHTS if right in form.all("rights")]
    if not rights:
        form.errors["rights"] = page.gettext("Choose at least one right.")
    name = form.text("name", page.gettext("Enter a name of at most 500 characters."), most=500)
    if form.ok:
        try:
            made = await page.send("POST", "users", "clients", {"name": name, "rights": rights}, key=form.key or None)
            return secret_page(page, page.gettext("Secret of %(name)s", name=name), made.get("secret"), client=made["client"])
        except Refusal as refusal:
            form.refuse(refusal.problem)
    return _client_page(page, form, 422)


def secret_page(page: Page, title: str, secret: str | None, client: str = "", address: str = "") -> Response:
    """Show a secret this once. No browser keeps the page, and none of its addresses shows the secret again."""
    response = page.render("access_secret.html", 201 if secret else 200, title=title, secret=secret, client=client, address=address)
    response.headers["cache-control"] = "no-store"
    return response


async def _client(page: Page, client: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (await page.get("users", f"clients/{url_part(client)}")).need()
    return found


@router.get("/{client}")
async def show_client(page: Managing, client: str) -> Response:
    """Show a client with its secrets, which can be added and revoked."""
    return page.render("access_client.html", client=await _client(page, client), rights=RIGHTS, problem=None)


@router.post("/{client}/secrets")
async def add_secret(page: Managing, client: str) -> Response:
    """Add a second secret and show it. A form that was sent before adds none."""
    found = await _client(page, client)
    if page.form["seen"] != ",".join(each["secret_id"] for each in found["secrets"]):
        return secret_page(page, page.gettext("Secret of %(name)s", name=found["name"]), None)
    try:
        made = await page.send("POST", "users", f"clients/{url_part(client)}/secrets")
    except Refusal as refusal:
        return page.render("access_client.html", 409, client=found, rights=RIGHTS, problem=refusal.problem)
    return secret_page(page, page.gettext("Secret of %(name)s", name=found["name"]), made["secret"], client=client)


async def _secret_question(page: Page, client: str, secret: str) -> Question:
    found = await _client(page, client)
    kept = [each for each in found["secrets"] if each["secret_id"] != secret]
    if len(kept) == len(found["secrets"]):
        raise NotThere
    (revoked,) = (each for each in found["secrets"] if each["secret_id"] == secret)
    effect = (
        page.gettext("A program that still uses this secret gets no more access tokens. The other secret stays valid.")
        if kept
        else page.gettext("This is the only secret. The program gets no more access tokens until you add another one and enter it there.")
    )
    return Question(
        page.gettext("Revoke the secret %(secret)s?", secret=secret),
        page.gettext("Revoke the secret"),
        page.url(f"access/clients/{url_part(client)}"),
        [effect, page.gettext("It cannot be made valid again.")],
        {
            page.gettext("API client"): found["name"],
            page.gettext("Secret"): secret,
            page.gettext("Since"): page.formats.real_moment(revoked["created_at"]),
        },
    )


@router.get("/{client}/secrets/{secret}/delete")
async def ask_about_secret(page: Managing, client: str, secret: str) -> Response:
    """Ask whether the secret shall be revoked."""
    return ask(page, await _secret_question(page, client, secret))


@router.post("/{client}/secrets/{secret}/delete")
async def remove_secret(page: Managing, client: str, secret: str) -> Response:
    """Revoke a secret."""
    question = await _secret_question(page, client, secret)
    try:
        await page.send("DELETE", "users", f"clients/{url_part(client)}/secrets/{url_part(secret)}")
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(question.back, page.gettext("The secret was revoked."))


async def _client_question(page: Page, client: str) -> Question:
    found = await _client(page, client)
    return Question(
        page.gettext("Revoke the API client?"),
        page.gettext("Revoke the client"),
        page.url(f"access/clients/{url_part(client)}"),
        [
            page.gettext("The program gets no more access tokens. What it can do with its last one ends after at most 5 minutes."),
            page.gettext("This cannot be undone: a new client has another client id and another secret."),
        ],
        {
            page.gettext("API client"): found["name"],
            page.gettext("Client id"): found["client"],
            page.gettext("What it allows"): rights_of(page, found),
        },
    )


@router.get("/{client}/delete")
async def ask_about_client(page: Managing, client: str) -> Response:
    """Ask whether the client shall be revoked."""
    return ask(page, await _client_question(page, client))


@router.post("/{client}/delete")
async def revoke_client(page: Managing, client: str) -> Response:
    """Revoke a client. Its last token ends after at most 5 minutes."""
    question = await _client_question(page, client)
    try:
        await page.send("DELETE", "users", f"clients/{url_part(client)}")
    except Refusal as refusal:
        return ask(page, question, refusal)
    name = question.facts[page.gettext("API client")]
    return page.redirect(page.url("access"), page.gettext("The API client %(name)s was revoked.", name=name))
