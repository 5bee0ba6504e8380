"""Profiles and departments: which modules people require, and what a change does to seats and money (A14, A19)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import NEW, NotThere, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import SETTINGS_MANAGE, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/profiles", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(USERS_READ))]
Managing = Annotated[Page, Depends(needs(SETTINGS_MANAGE))]
Chosen = Annotated[str, Query(max_length=500)]
DEPARTMENTS_SHOWN: Final = 100


@router.get("")
async def show_profiles(page: Reading, text: Chosen = "", cursor: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Show the profiles, and the departments that give them."""
    profiles, mapping, modules = await page.together(
        page.get("users", "profiles", cursor=cursor, limit=LISTED_MAX),
        page.get("users", "department-mapping"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    listed = profiles.need()
    departments = sorted(mapping.value.items(), key=lambda each: each[0].casefold()) if mapping.ok else []
    found = [each for each in departments if text.strip().casefold() in each[0].casefold()]
    return page.render(
        "profiles.html",
        profiles=listed | {"items": [each | {"modules": in_order(each["modules"], modules)} for each in listed["items"]]},
        mapping=mapping,
        departments=found[:DEPARTMENTS_SHOWN],
        more=max(0, len(found) - DEPARTMENTS_SHOWN),
        total=len(departments),
        profile_names={each["profile"]: each["name"] for each in listed["items"]},
        names=module_names(modules),
        text=text,
        cursor=cursor,
    )


async def _profile(page: Page, profile: str) -> Mapping[str, Any]:
    """Return a profile. Raises NotThere."""
    cursor: str | None = ""
    while cursor is not None:
        listed = (await page.get("users", "profiles", cursor=cursor, limit=LISTED_MAX)).need()
        if found := next((each for each in listed["items"] if each["profile"] == profile), None):
            return dict(found)
        cursor = listed["next"]
    raise NotThere


async def _show(page: Page, profile: str, form: Form, preview: Any = None, status: int = 200) -> Response:
    """Show the form of a profile; of a new one, `profile` is empty."""
    modules = await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    modules.need()
    names = module_names(modules)
    names |= {module: module for module in form.all("modules") if module not in names}
    return page.render("profile_edit.html", status, profile=profile, form=form, preview=preview, names=names, texts=people_texts)


@router.get("/edit")
async def ask_profile(page: Managing, profile: Chosen = "") -> Response:
    """Show a profile as a form, or an empty one."""
    if not profile:
        return await _show(page, "", Form())
    return await _show(page, profile, _profile_form(await _profile(page, profile)))


def _profile_form(found: Mapping[str, Any]) -> Form:
    fields = {"name": [found["name"]], "modules": list(found["modules"]), "seen": [f'"{found["version"]}"']}
    return Form(fields | ({"partial": ["yes"]} if found["partial"] else {}))


@router.post("/edit")
async def save_profile(page: Managing, profile: Chosen = "") -> Response:
    """Show what the change would lead to, and save it when that was seen."""
    form = page.form
    form.text("name", page.gettext("Enter a name of at most 500 characters."), most=500)
    name = profile or form.text("profile", page.gettext("Enter a short id, for example staff."), most=100)
    if not form.ok:
        return await _show(page, profile, form, status=422)
    body = {"name": form["name"], "modules": form.all("modules"), "partial": bool(form["partial"])}
    path = f"profiles/{url_part(name)}"
    try:
        preview = await page.preview("PUT", "users", path, body)
        if not form.goes_on(body, preview):
            return await _show(page, profile, form, preview)
        await page.send("PUT", "users", path, body, etag=form["seen"] or NEW)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        if refusal.problem.is_stale:
            await _go_on(page, name, form, is_new=not profile)
        return await _show(page, profile, form, status=422)
    return page.redirect(page.url("profiles"), page.gettext("The profile was saved. Its people are evaluated again now."))


async def _go_on(page: Page, profile: str, form: Form, *, is_new: bool) -> None:
    """Show what somebody else has made of the profile. The id of a new one may be that of another one."""
    found, modules = await _profile(page, profile), await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    names = module_names(modules)
    texts = {
        "name": (page.gettext("Name"), found["name"]),
        "modules": (page.gettext("Modules"), ", ".join(names.get(module, module) for module in found["modules"]) or "–"),
        "partial": (page.gettext("Give what is available"), page.gettext("yes") if found["partial"] else page.gettext("no")),
    }
    if is_new and not form.is_stored_as(_profile_form(found), "seen", "profile"):
        form.problem, form.errors["profile"] = None, page.gettext("There is a profile with this id already.")
    else:
        form.go_on_from(_profile_form(found), "seen", texts, also=("profile",) if is_new else ())


async def _show_department(page: Page, form: Form, preview: Any = None, status: int = 200) -> Response:
    profiles, modules = await page.together(
        page.get("users", "profiles", limit=LISTED_MAX), page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    )
    options = [("", page.gettext("no profile")), *((each["profile"], each["name"]) for each in profiles.need()["items"])]
    names = module_names(modules)
    return page.render("department_edit.html", status, form=form, preview=preview, profiles=options, names=names, texts=people_texts)


@router.get("/department")
async def ask_department(page: Managing, department: Chosen = "") -> Response:
    """Ask which profile a department gives."""
    mapping = (await page.get("users", "department-mapping")).need()
    if department and department not in mapping:
        raise NotThere
    return await _show_department(page, _department_form(department, mapping))


def _department_form(department: str, mapping: Mapping[str, str | None]) -> Form:
    """Return the form of a department; of one that nobody has mapped yet, `department` is empty."""
    profile = mapping.get(department) or ""
    return Form.of(department=department, profile=profile, known=department, seen=profile)


@router.post("/department")
async def save_department(page: Managing) -> Response:
    """Show what the change would lead to, and save it when that was seen. The other departments stay."""
    form = page.form
    department = form.text("department", page.gettext("Enter a department of at most 500 characters."), most=500)
    if not form.ok:
        return await _show_department(page, form, status=422)
    found, profiles = await page.together(page.get("users", "department-mapping"), page.get("users", "profiles", limit=LISTED_MAX))
    mapping, names = dict(found.need()), {each["profile"]: each["name"] for each in profiles.need()["items"]}
    present = _department_form(department, mapping)
    shown = names.get(present["profile"], present["profile"]) or page.gettext("no profile")
    if form.is_outdated(present, {"profile": (page.gettext("Profile"), shown)}):
        return await _show_department(page, form, status=409)
    mapping[department] = form["profile"] or None
    try:
        preview = await page.preview("PUT", "users", "department-mapping", mapping)
        if form.goes_on({"department": department, "profile": mapping[department]}, preview):
            await page.send("PUT", "users", "department-mapping", mapping, etag=found.etag)
            return page.redirect(page.url("profiles"), page.gettext("The department was saved. Its people are evaluated again now."))
    except Refusal as refusal:
        form.refuse(refusal.problem, {department: "profile"})
        return await _show_department(page, form, status=422)
    return await _show_department(page, form, preview)
