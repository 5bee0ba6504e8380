"""The groups of a SCIM connection: which profile and which role their members get."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.access import built_in_names, roles_of
from services.console.pages.forms import Form
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import ROLES_MANAGE, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/access/scim/{connection}/groups", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(ROLES_MANAGE))]
SHOWN: Final = 50
OWNER: Final = "owner"  # no group gives it
Names = Mapping[str, str]


def _url(page: Page, connection: str) -> str:
    return page.url(f"access/scim/{url_part(connection)}/groups")


async def _names(page: Page) -> tuple[Names | None, Names]:
    """Return the names of profiles and roles by their ids. The profiles are None if the reader may not see them, or users is busy. Without
    `users:read`, the roles are the built-in ones."""
    if not page.may(USERS_READ):
        return None, built_in_names(page)
    profiles = await page.get("users", "profiles", limit=LISTED_MAX)
    roles = {role["role"]: role["name"] for role in await roles_of(page)}
    return ({each["profile"]: each["name"] for each in profiles.value["items"]} if profiles.ok else None), roles


@router.get("")
async def show_groups(page: Managing, connection: str, cursor: Annotated[str, Query(max_length=2000)] = "") -> Response:
    """Show the groups with what their members get."""
    groups = (await page.get("users", f"scim-connections/{url_part(connection)}/groups", cursor=cursor, limit=SHOWN)).need()
    profiles, roles = await _names(page)
    return page.render(
        "access_scim_groups.html",
        connection=connection,
        groups=groups,
        profiles=profiles or {},
        roles=roles,
        url=_url(page, connection),
        cursor=cursor,
    )


async def _group(page: Page, connection: str, group: str) -> tuple[Mapping[str, Any], str | None]:
    """Return the group and the version that a change is based on."""
    part = await page.get("users", f"scim-connections/{url_part(connection)}/groups/{url_part(group)}")
    return part.need(), part.etag


def _form(found: Mapping[str, Any]) -> Form:
    return Form.of(profile=found["profile"] or "", role=found["role"] or "", seen=_mark(found))


def _mark(found: Mapping[str, Any]) -> str:
    return f"{found['profile'] or ''}/{found['role'] or ''}"


async def _show(page: Page, connection: str, found: Mapping[str, Any], form: Form, preview: Any = None, status: int = 200) -> Response:
    profiles, roles = await _names(page)
    nothing = ("", page.gettext("nothing"))
    present = {"profile": (profiles or {}).get(found["profile"], found["profile"]), "role": roles.get(found["role"], found["role"])}
    labels = {"profile": page.gettext("Profile"), "role": page.gettext("Role")}
    if form.is_outdated(_form(found), {name: (labels[name], present[name] or nothing[1]) for name in labels}):
        preview, status = None, 409
    modules = await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    return page.render(
        "access_scim_group.html",
        status,
        connection=connection,
        group=found,
        form=form,
        preview=preview,
        profiles=None if profiles is None else _offered(nothing, profiles, form["profile"]),
        roles=_offered(nothing, {role: name for role, name in roles.items() if role != OWNER}, form["role"]),
        role_names=roles,
        names=module_names(modules),
        texts=people_texts,
        url=_url(page, connection),
    )


def _offered(nothing: tuple[str, str], names: Names, present: str) -> list[tuple[str, str]]:
    """Return what a list offers, with the present value in any case: a form that is only saved must not change it."""
    return [nothing, *names.items(), *([(present, present)] if present and present not in names else [])]


@router.get("/{group}")
async def ask_mapping(page: Managing, connection: str, group: str) -> Response:
    """Ask which profile and role the members of the group shall get."""
    found, _ = await _group(page, connection, group)
    return await _show(page, connection, found, _form(found))


@router.post("/{group}")
async def save_mapping(page: Managing, connection: str, group: str) -> Response:
    """Show what the change would lead to, and save it when that was seen."""
    form, (found, etag) = page.form, await _group(page, connection, group)
    body = {"profile": form["profile"] or None, "role": form["role"] or None}
    path = f"scim-connections/{url_part(connection)}/groups/{url_part(group)}"
    if form["seen"] != _mark(found):
        return await _show(page, connection, found, form)
    try:
        preview = await page.preview("PUT", "users", path, body)
        if form.goes_on(body, preview):
            await page.send("PUT", "users", path, body, etag=etag)
            return page.redirect(_url(page, connection), page.gettext("The group was saved. Its members are evaluated again now."))
    except Refusal as refusal:
        form.refuse(refusal.problem)
        if refusal.problem.is_stale:
            found, _ = await _group(page, connection, group)
        return await _show(page, connection, found, form, status=422)
    return await _show(page, connection, found, form, preview)
