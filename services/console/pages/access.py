"""Roles and access: which roles there are, who holds them, and what else signs in: programs, SCIM connections, the identity provider."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rendering.technical_texts import scim_error_text
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part
from shared.schemas.rights import ROLES_MANAGE, TENANT_RIGHTS, USERS_READ
from shared.translations import N_

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/access", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(ROLES_MANAGE))]
LISTED_MAX: Final = 200
NAMED_MAX: Final = 5
FOUND_MAX: Final = 10
RIGHTS: Final = {
    "account:read": N_("see licences, plan and invoices"),
    "account:buy": N_("buy and reduce licences"),
    "users:read": N_("see people"),
    "users:manage": N_("add, change and deactivate people"),
    "log:read": N_("read the action log"),
    "settings:manage": N_("change settings and policies"),
    "roles:manage": N_("give roles, and manage access"),
}
ROLES: Final = {
    "owner": N_("Owner"),
    "licence-manager": N_("Licence manager"),
    "people-manager": N_("People manager"),
    "reader": N_("Reader"),
}


def role_name(page: Page, role: Mapping[str, Any]) -> str:
    """Return the name of a role; those of the built-in ones are in the reader's language."""
    known = ROLES.get(role["role"]) if role["built_in"] else None
    return page.gettext(known) if known else str(role["name"])


def built_in_names(page: Page) -> dict[str, str]:
    """Return the names of the built-in roles by their ids, for a reader who may not see the company's own."""
    return {role: page.gettext(name) for role, name in ROLES.items()}


async def roles_of(page: Page) -> list[dict[str, Any]]:
    """Return all roles with their names, the built-in ones first."""
    roles = (await page.get("users", "roles", limit=LISTED_MAX)).need()["items"]
    order = list(ROLES)
    found = [role | {"name": role_name(page, role)} for role in roles]
    return sorted(found, key=lambda each: (not each["built_in"], order.index(each["role"]) if each["role"] in order else 0, each["name"]))


@router.get("")
async def show_access(page: Managing) -> Response:
    """Show roles with their people, which a reader without `users:read` may not see, API clients, SCIM connections and the identity
    provider."""
    roles = await roles_of(page) if page.may(USERS_READ) else []
    clients, connections, provider, *holders = await page.together(
        page.get("users", "clients", limit=LISTED_MAX),
        page.get("users", "scim-connections", limit=LISTED_MAX),
        page.get("users", "identity-provider"),
        *(page.get("users", "people", role=role["role"], limit=NAMED_MAX + 1, sort="name") for role in roles),
    )
    return page.render(
        "access.html",
        roles=list(zip(roles, holders, strict=True)),
        clients=clients,
        connections=connections,
        provider=provider,
        scim_error=lambda error: scim_error_text(error, page.gettext),
        rights=RIGHTS,
        named_max=NAMED_MAX,
    )


# ---------------------------------------------------------------------------------------------------------------- roles


@router.get("/roles/new")
async def ask_role(page: Managing) -> Response:
    """Ask for a role of the company's own."""
    return _role_page(page, None, Form.of())


@router.post("/roles/new")
async def add_role(page: Managing) -> Response:
    """Add a role. It can only have rights that the reader has."""
    form = page.form
    body = _role_body(page, form)
    if form.ok:
        try:
            created = await page.send("POST", "users", "roles", body, key=form.key or None)
            below = f"access/roles/{created['role']}" if page.may(USERS_READ) else "access"
            return page.redirect(page.url(below), page.gettext("The role %(name)s was added.", name=body["name"]))
        except Refusal as refusal:
            form.refuse(refusal.problem)
    return _role_page(page, None, form, 422)


def _role_body(page: Page, form: Form) -> dict[str, Any]:
    rights = [right for right in TENANT_RIGHTS if right in form.all("rights")]
    if not rights:
        form.errors["rights"] = page.gettext("Choose at least one right.")
    return {"name": form.text("name", page.gettext("Enter a name of at most 500 characters."), most=500), "rights": rights}


def _role_page(page: Page, role: Mapping[str, Any] | None, form: Form, status: int = 200) -> Response:
    """Show the form of a role. Rights that the reader lacks are not offered, unless the role has them."""
    offered = [right for right in TENANT_RIGHTS if page.may(right) or (role is not None and right in role["rights"])]
    return page.render(
        "access_role_edit.html", status, role=role, form=form, rights=[(right, page.gettext(RIGHTS[right])) for right in offered]
    )


@router.get("/roles/{role}")
async def show_role(page: Managing, role: str, text: Annotated[str, Query(max_length=100)] = "", cursor: str = "") -> Response:
    """Show who holds a role, and find somebody to give it to."""
    found, people, candidates = await page.together(
        page.get("users", f"roles/{url_part(role)}"),
        page.get("users", "people", role=role, limit=50, sort="name", cursor=cursor),
        page.get("users", "people", text=text.strip(), limit=FOUND_MAX) if text.strip() else page.nothing(),
    )
    shown = found.need()
    return page.render(
        "access_role.html",
        role=shown | {"name": role_name(page, shown)},
        people=people,
        candidates=candidates,
        text=text.strip(),
        cursor=cursor,
        rights=RIGHTS,
        texts=people_texts,
    )


def _role_form(part: Part) -> Form:
    return Form({"name": [part.value["name"]], "rights": list(part.value["rights"]), "etag": [part.etag or ""]})


@router.get("/roles/{role}/edit")
async def ask_change(page: Managing, role: str) -> Response:
    """Ask for another name or other rights of a role."""
    part = await page.get("users", f"roles/{url_part(role)}")
    found = part.need()
    if found["built_in"]:
        raise NotThere
    return _role_page(page, found, _role_form(part))


@router.post("/roles/{role}/edit")
async def change_role(page: Managing, role: str) -> Response:
    """Change a role, if nobody else has changed it since it was shown."""
    form, found = page.form, (await page.get("users", f"roles/{url_part(role)}")).need()
    body = _role_body(page, form)
    if form.ok:
        try:
            await page.send("PATCH", "users", f"roles/{url_part(role)}", body, etag=form["etag"])
            text = page.gettext("The role %(name)s was changed. This applies after at most 5 minutes.", name=body["name"])
            return page.redirect(page.url(f"access/roles/{url_part(role)}"), text)
        except Refusal as refusal:
            form.refuse(refusal.problem)
            if refusal.problem.is_stale:
                part = await page.get("users", f"roles/{url_part(role)}")
                found = part.need()
                rights = ", ".join(rights_of(page, found))
                texts = {"name": (page.gettext("Name"), found["name"]), "rights": (page.gettext("Rights"), rights)}
                form.go_on_from(_role_form(part), "etag", texts)
    return _role_page(page, found, form, 422)


async def _deletion(page: Page, role: str) -> tuple[Part, Question]:
    part = await page.get("users", f"roles/{url_part(role)}")
    found = part.need()
    if found["built_in"]:
        raise NotThere
    question = Question(
        page.gettext("Delete the role?"),
        page.gettext("Delete the role"),
        page.url(f"access/roles/{url_part(role)}"),
        [page.gettext("Nobody can get this role any more. If you need it again, you have to add it again.")],
        {page.gettext("Role"): found["name"], page.gettext("What it allows"): rights_of(page, found)},
    )
    return part, question


def rights_of(page: Page, found: Mapping[str, Any]) -> list[str]:
    """Return the rights of a role or a client in words."""
    return [page.word(RIGHTS, right) for right in found["rights"]]


@router.get("/roles/{role}/delete")
async def ask_deletion(page: Managing, role: str) -> Response:
    """Ask whether the role shall be deleted."""
    return ask(page, (await _deletion(page, role))[1])


@router.post("/roles/{role}/delete")
async def delete_role(page: Managing, role: str) -> Response:
    """Delete a role that nobody holds."""
    part, question = await _deletion(page, role)
    try:
        await page.send("DELETE", "users", f"roles/{url_part(role)}", etag=part.etag)
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(page.url("access"), page.gettext("The role %(name)s was deleted.", name=part.value["name"]))


# --------------------------------------------------------------------------------------------------------------- people


@router.get("/people/{user}")
async def ask_roles(page: Managing, user: str, role: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Ask which roles a person shall have, and whom the person sees. `role` is suggested."""
    part = await page.get("users", f"people/{url_part(user)}/roles")
    return await _person_page(page, user, _person_form(part, role))


def _person_form(part: Part, role: str = "") -> Form:
    held, viewset = part.need(), part.need()["viewset"]
    return Form(
        {
            "roles": list(dict.fromkeys([*held["roles"], *([role] if role else [])])),
            "sees": ["all" if viewset is None else "own" if viewset == "own" else "list"],
            "departments": ["\n".join(viewset) if isinstance(viewset, list) else ""],
            "etag": [part.etag or ""],
        }
    )


async def _person_page(page: Page, user: str, form: Form, status: int = 200) -> Response:
    person, held, mapping = await page.together(
        page.get("users", f"people/{url_part(user)}"),
        page.get("users", f"people/{url_part(user)}/roles"),
        page.get("users", "department-mapping"),
    )
    roles = await roles_of(page)
    if form.problem is not None and form.problem.is_stale:
        form.go_on_from(_person_form(held), "etag", _present_roles(page, held.value, roles))
    return page.render(
        "access_person.html",
        status,
        person=person.need(),
        held=held.need(),
        form=form,
        roles=roles,
        rights=RIGHTS,
        known=sorted(mapping.value, key=str.casefold)[:LISTED_MAX] if mapping.ok else [],
    )


def _present_roles(page: Page, held: Mapping[str, Any], roles: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return the roles of a person, and whom the person sees, with their labels."""
    viewset, names = held["viewset"], {role["role"]: role["name"] for role in roles}
    sees = page.gettext("Everybody") if viewset is None else page.gettext("The own department") if viewset == "own" else ""
    return {
        "roles": (page.gettext("Roles"), ", ".join(names.get(role, role) for role in held["roles"]) or "–"),
        "sees": (page.gettext("Whom the person sees"), sees or page.gettext("These departments")),
        "departments": (page.gettext("Departments"), ", ".join(viewset) if isinstance(viewset, list) else "–"),
    }


@router.post("/people/{user}")
async def change_roles(page: Managing, user: str) -> Response:
    """Give and take roles. users refuses a role or viewset wider than the reader's own, and to take the last owner's role."""
    form = page.form
    departments = [line.strip() for line in form["departments"].splitlines() if line.strip()]
    if form["sees"] == "list" and not departments:
        form.errors["departments"] = page.gettext("Enter at least one department.")
    viewset: str | Sequence[str] | None = {"own": "own", "list": departments}.get(form["sees"])
    if form.ok:
        try:
            body = {"roles": form.all("roles"), "viewset": viewset}
            await page.send("PUT", "users", f"people/{url_part(user)}/roles", body, etag=form["etag"])
            text = page.gettext("The roles were saved. New rights apply after at most 5 minutes.")
            return page.redirect(page.url("access"), text)
        except Refusal as refusal:
            form.refuse(refusal.problem, {"viewset": "departments"})
    return await _person_page(page, user, form, 422)
