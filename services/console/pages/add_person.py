"""Add a person, with or without an invitation, after a look at the seats and the cost (A7, A14, M12)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rest.problems import Refusal
from shared.schemas.rights import USERS_MANAGE, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/add", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
TEXTS = ("name", "login", "email", "job_title", "department", "external_id")


async def choices(page: Page, profile: str | None = None) -> dict[str, Any]:
    """Return what a form about a person offers: profiles, departments, kinds. `profile` is the present one, which may be that of several
    groups, and is offered as well: a form that is only saved must not change it."""
    profiles, mapping, modules = await page.together(
        page.get("users", "profiles", limit=LISTED_MAX),
        page.get("users", "department-mapping"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    named = [(each["profile"], each["name"]) for each in profiles.value["items"]] if profiles.ok else []
    if profile and profile not in dict(named):
        named.append((profile, profile))
    return {
        "profiles": [("", page.gettext("that of the department")), *named],
        "departments": sorted(mapping.value, key=str.casefold)[:LISTED_MAX] if mapping.ok else [],
        "kinds": [(kind, page.gettext(text)) for kind, text in people_texts.KINDS.items()],
        "names": module_names(modules),
        "texts": people_texts,
    }


async def _show(page: Page, form: Form, preview: Any = None, status: int = 200) -> Response:
    return page.render("person_add.html", status, form=form, preview=preview, **await choices(page))


@router.get("")
async def ask_data(page: Managing) -> Response:
    """Ask for the data of the person."""
    return await _show(page, Form.of(kind="employee", invite="yes", reserve="yes"))


@router.post("")
async def add(page: Managing) -> Response:
    """Show what adding the person would lead to, and add the person when that was seen."""
    form = page.form
    form.text("name", page.gettext("Enter a name of at most 500 characters."), most=500)
    if form["invite"] and not form["email"]:
        form.errors["email"] = page.gettext("Enter the address to which the invitation goes, or do not invite the person.")
    if not form.ok:
        return await _show(page, form, status=422)
    try:
        preview = await _preview(page, form)
        if preview is not None and not form.goes_on(_body(form), preview):
            return await _show(page, form, preview)
        added = await page.send("POST", "users", "people", _body(form), key=form.key or None, wait_seconds=2)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show(page, form, status=422)
    notice = (
        page.gettext("The person was added and gets an invitation by e-mail.") if form["invite"] else page.gettext("The person was added.")
    )
    return page.redirect(page.url(f"people/{added['user']}") if page.may(USERS_READ) else "/", notice)


async def _preview(page: Page, form: Form) -> Any:
    """Return what adding the person would lead to. None: it would be refused, as it is if the same form has added the person already, which
    the request itself then answers like the first time. Raises Refusal of a first look."""
    try:
        return await page.preview("POST", "users", "people", _body(form))
    except Refusal:
        if form["step"] != "add":
            raise
        return None


def _body(form: Form) -> dict[str, Any]:
    body: dict[str, Any] = {name: form[name] for name in TEXTS if form[name]} | {"kind": form["kind"] or "employee"}
    if form["profile"]:
        body["profile"] = form["profile"]
    if form["invite"]:
        body["invitation"] = {"reserve": bool(form["reserve"])}
    return body
