"""The identity provider of the company (OpenID Connect): it is entered, tested by a sign-in of the same person, and then used."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages import cookies
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form, mark_of
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering.field_texts import label_of
from services.console.rest.problems import Refusal
from services.console.sign_in.seals import FLOW
from shared.schemas.rights import ROLES_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/access/identity-provider", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(ROLES_MANAGE))]
CALLBACK: Final = "/sign-in/callback"
FLAGS: Final = ("trust_email", "required", "emergency_links")


async def _shown(page: Page, status: int = 200, form: Form | None = None, refused: Refusal | None = None) -> Response:
    found = (await page.get("users", "identity-provider")).need()
    form = form or _form(found)
    return page.render(
        "access_provider.html",
        status,
        found=found,
        form=form,
        problem=refused.problem if refused else None,
        callback=page.wiring.settings.console_url + CALLBACK,
        is_own_draft=found["draft"] is not None and found["draft"]["entered_by"] == page.reader.principal.subject,
    )


def _known(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    known: Mapping[str, Any] | None = found["draft"] or found["effective"]
    return known


def _form(found: Mapping[str, Any]) -> Form:
    known = _known(found)
    given = {name: known[name] for name in ("issuer", "client_id")} if known else {}
    flags = {name: "yes" if known[name] else None for name in FLAGS} if known else {"required": "yes", "emergency_links": "yes"}
    claims = ", ".join(known["match_claims"]) if known else "preferred_username, email"
    return Form.of(claims=claims, **given, **flags, seen=mark_of(known))


def _present(page: Page, found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the label and the present value of each field but the secret."""
    known = _known(found) or {}
    texts = {name: known.get(name, "–") for name in ("issuer", "client_id")} | {"claims": ", ".join(known.get("match_claims", ())) or "–"}
    texts |= {name: page.gettext("yes") if known.get(name) else page.gettext("no") for name in FLAGS}
    return {name: (label_of(name, page.gettext), text) for name, text in texts.items()}


@router.get("")
async def show_provider(page: Managing) -> Response:
    """Show the identity provider in use and the one that waits for its test."""
    return await _shown(page)


@router.post("")
async def enter_provider(page: Managing) -> Response:
    """Enter an identity provider, if nobody else has entered one since the form was shown. It is used after its test."""
    form, found = page.form, (await page.get("users", "identity-provider")).need()
    if form.is_outdated(_form(found), _present(page, found)):
        return await _shown(page, 409, form)
    body: dict[str, Any] = {name: form[name] for name in ("issuer", "client_id")}
    body |= {name: form[name] == "yes" for name in FLAGS}
    body["match_claims"] = [each.strip() for each in form["claims"].split(",") if each.strip()]
    if form["client_secret"]:
        body["client_secret"] = form["client_secret"]
    try:
        await page.send("PUT", "users", "identity-provider", body)
    except Refusal as refusal:
        form.refuse(refusal.problem, {"match_claims": "claims"})
        return await _shown(page, 422, form)
    text = page.gettext("The identity provider was entered. It is used after you have signed in with it once.")
    return page.redirect(page.url("access/identity-provider"), text)


@router.post("/test")
async def start_test(page: Managing) -> Response:
    """Send the browser to the new identity provider."""
    redirect_uri = page.wiring.settings.console_url + CALLBACK
    try:
        started = await page.send("POST", "users", "identity-provider/test", {"redirect_uri": redirect_uri})
    except Refusal as refusal:
        return await _shown(page, 409, refused=refusal)
    sealed = page.wiring.seals.seal({"flow": started["flow"], "test": page.url("access/identity-provider/complete")}, FLOW)
    assert sealed is not None, "a flow is short"
    page.set_cookie(cookies.FLOW, sealed)
    return page.render("go_on.html", url=started["authorization_url"])


@router.get("/complete")
async def complete_test(
    page: Managing, state: Annotated[str, Query(max_length=500)] = "", code: Annotated[str, Query(max_length=4000)] = ""
) -> Response:
    """Take what the identity provider sent back, and let it be used."""
    flow = page.wiring.seals.unseal(page.cookie(cookies.FLOW), FLOW) or {}
    page.delete_cookie(cookies.FLOW)
    if not code or not flow.get("flow"):
        text = (
            page.gettext("The test was begun too long ago, or in another browser. Start it again.")
            if code
            else page.gettext("The identity provider did not let you sign in. Check its settings, and test it again.")
        )
        return page.redirect(page.url("access/identity-provider"), text, "bad")
    try:
        await page.send("POST", "users", "identity-provider/activate", {"flow": flow["flow"], "state": state, "code": code})
    except Refusal as refusal:
        return await _shown(page, 409, refused=refusal)
    return page.redirect(page.url("access/identity-provider"), page.gettext("The identity provider is used from now on."))


async def _removal(page: Page) -> Question:
    found = (await page.get("users", "identity-provider")).need()
    known = found["effective"] or found["draft"]
    if known is None:
        raise NotThere
    used = page.gettext("People sign in by e-mail link from now on. Nobody can sign in with a company account.")
    unused = page.gettext("It is not in use yet, so nothing changes for anybody.")
    return Question(
        page.gettext("Remove the identity provider?"),
        page.gettext("Remove the identity provider"),
        page.url("access/identity-provider"),
        [used if found["effective"] else unused, page.gettext("To use it again, enter it with its client secret, and test it again.")],
        {page.gettext("Issuer"): known["issuer"], page.gettext("Client id"): known["client_id"]},
    )


@router.get("/delete")
async def ask_removal(page: Managing) -> Response:
    """Ask whether the identity provider shall be removed."""
    return ask(page, await _removal(page))


@router.post("/delete")
async def delete_provider(page: Managing) -> Response:
    """Remove the identity provider. People then sign in by link."""
    question = await _removal(page)
    try:
        await page.send("DELETE", "users", "identity-provider")
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(page.url("access"), page.gettext("The identity provider was removed. People sign in by e-mail link."))


def back_to_test(test: str, state: str, code: str) -> str:
    """Return the address at which a test sign-in goes on."""
    return f"{test}?{urlencode({'state': state, 'code': code})}"
