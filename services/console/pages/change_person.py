"""Change a person: data and overrides, access, leaving and its way back, replacement, hand-over, invitation, erasure."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages import added_licences, bulk_people
from services.console.pages.add_person import choices
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form, added_by, day_of
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.person import written
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import USERS_MANAGE
from shared.web.prefer import wait_for

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/{user}", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
Chosen = Annotated[str, Query(max_length=200)]
EDITED: Final = ("name", "login", "email", "job_title", "department", "profile", "kind", "valid_to")
NULLABLE: Final = ("login", "email", "department", "profile", "valid_to")
FOUND_MAX: Final = 10
DECIDED_SECONDS: Final = 2
REPLACE: Final = "person_replace.html"


async def _person(page: Page, user: str) -> tuple[Mapping[str, Any], str]:
    """Return the person and the version that a change is based on."""
    found = await page.get("users", f"people/{url_part(user)}")
    return found.need(), found.etag or "*"


def _home(page: Page, user: str) -> str:
    return page.url(f"people/{url_part(user)}")


async def _announced(page: Page, user: str, method: str, path: str, body: Any = None) -> Response | None:
    """Return the question whether licences shall be added by themselves (M12), or whether to go on although seats cannot say; None if none
    would be added, or the reader has seen just this. A request that would be refused is left to answer itself, as it may be one that was
    done already."""
    try:
        found = await page.preview(method, "users", f"people/{url_part(user)}/{path}", body)
    except Refusal:
        return None
    if page.form.knows_cost(found):
        return None
    person, _ = await _person(page, user)
    title, effects = page.gettext("What happens"), [page.gettext(people_texts.EFFECT_UNKNOWN)]
    if found["decided"]:
        added, modules = found["expansions"], await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
        title = added_licences.title_of(page, added)
        effects = [*added_licences.of_modules(page, added, modules), added_licences.charged(page, found["cost"])]
    question = Question(
        title,
        page.gettext("Go on"),
        _home(page, user),
        effects,
        {page.gettext("Person"): person["name"] or person["login"] or person["email"] or person["external_id"]},
        seen={name: values[-1] for name, values in page.form.own_fields().items()} | {"effect": page.form.effect},
        danger=False,
    )
    return ask(page, question)


async def _send(page: Page, user: str, method: str, path: str, body: Any = None, *, notice: str, seats: bool = True) -> Response:
    """Change the person by one request, and go back to the person, with why if it was refused. `seats`: it may request seats."""
    if seats and (question := await _announced(page, user, method, path, body)):
        return question
    try:
        changed = await page.send(method, "users", f"people/{url_part(user)}/{path}", body, key=page.form.key or None)
    except Refusal as refusal:
        return page.redirect(_home(page, user), page.why(refusal.problem), "bad")
    if path == "reactivate" and changed["obstacle"]:
        return page.redirect(_home(page, user), page.gettext(people_texts.NO_ACCESS_YET), "warning")
    if path == "reactivate":
        return await _requested_again(page, user, body["modules"] if body else None, notice)
    return page.redirect(_home(page, user), notice)


async def _requested_again(page: Page, user: str, modules: Collection[str] | None, notice: str) -> Response:
    """Go back to the person, with what seats has decided about these modules, or all."""

    async def look() -> Mapping[str, Any] | None:
        found = await page.get("users", f"people/{url_part(user)}")
        return found.value if found.ok and not found.value["pending"] else None

    person = await wait_for(page.wiring.clock, DECIDED_SECONDS, look)
    if person is None:
        return page.redirect(_home(page, user), f"{notice} {page.gettext('Being decided')}.", "warning")
    refused = [
        each["module"] for each in person["modules"] if each["state"] == "refused" and (modules is None or each["module"] in modules)
    ]
    if not refused:
        return page.redirect(_home(page, user), notice)
    catalogue = await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    names = module_names(catalogue)
    listed = ", ".join(names.get(module, module) for module in in_order(refused, catalogue))
    text = page.gettext("The seats were requested again, and refused in: %(modules)s. The table says why.", modules=listed)
    return page.redirect(_home(page, user), text, "bad")


def _data_form(person: Mapping[str, Any], seen: str) -> Form:
    return Form.of(**{name: person[name] or "" for name in EDITED}, seen=seen)


@router.get("/edit")
async def ask_data(page: Managing, user: str) -> Response:
    """Show the data as a form."""
    person, seen = await _person(page, user)
    form = _data_form(person, seen)
    return page.render("person_edit.html", person=person, form=form, preview=None, **await choices(page, person["profile"]))


@router.post("/edit")
async def edit(page: Managing, user: str) -> Response:
    """Change what differs. Somebody else's change meanwhile is not overwritten. What adds licences by itself is announced first (M12)."""
    person, seen = await _person(page, user)
    form = page.form
    given = {name: form[name] for name in EDITED if form[name] != (person[name] or "")}
    if not given:
        return page.redirect(_home(page, user), page.gettext("Nothing has changed."))
    body = {name: value or (None if name in NULLABLE else "") for name, value in given.items()}
    path, etag = f"people/{url_part(user)}", form["seen"] or seen
    try:
        preview = await page.preview("PATCH", "users", path, body, etag=etag)
        if added_by(preview) and not form.goes_on(body, preview):
            offered = await choices(page, person["profile"])
            return page.render("person_edit.html", person=person, form=form, preview=preview, **offered)
        await page.send("PATCH", "users", path, body, etag=etag)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        if refusal.problem.is_stale:
            person, seen = await _person(page, user)
        offered = await choices(page, person["profile"])
        if refusal.problem.is_stale:
            shown = {name: written(name, person[name], page) for name in EDITED} | {
                "profile": dict(offered["profiles"])[person["profile"] or ""]
            }
            texts = {name: (page.gettext(people_texts.FIELDS[name]), shown[name]) for name in EDITED}
            form.go_on_from(_data_form(person, seen), "seen", texts)
        return page.render("person_edit.html", 422, person=person, form=form, preview=None, **offered)
    return page.redirect(_home(page, user), page.gettext("The data were changed."))


@router.post("/overrides/{field}/remove")
async def remove_override(page: Managing, user: str, field: str) -> Response:
    """Let the sources state the value again."""
    notice = page.gettext("The value is that of the sources again.")
    return await _send(page, user, "DELETE", f"overrides/{url_part(field)}", notice=notice)


async def _show_access(page: Page, user: str, action: str, found: Any, form: Form) -> Response:
    person, _ = await _person(page, user)
    names = module_names(await page.get("invoicing", "/v1/modules", limit=LISTED_MAX))
    return page.render("person_access.html", person=person, action=action, found=found, form=form, names=names, texts=people_texts)


@router.get("/access/{action}")
async def show_access(page: Managing, user: str, action: str) -> Response:
    """Show what activating or deactivating the person would lead to."""
    if action not in bulk_people.OPPOSITE:
        raise NotThere
    found, form = await bulk_people.change(page, action, [{"user": user}], dry_run=True), Form()
    form.knows_cost(found)
    return await _show_access(page, user, action, found, form)


@router.post("/access/{action}")
async def set_access(page: Managing, user: str, action: str) -> Response:
    """Activate or deactivate the person."""
    if action not in bulk_people.OPPOSITE:
        raise NotThere
    if found := await bulk_people.unannounced(page, action, [{"user": user}]):
        return await _show_access(page, user, action, found, page.form)
    (done,) = (await bulk_people.change(page, action, [{"user": user}]))["people"]
    if done["outcome"] == "refused":
        return page.redirect(_home(page, user), done["detail"], "bad")
    if done["outcome"] != "changed":
        return page.redirect(_home(page, user), page.gettext("Nothing has changed."))
    if done["obstacle"]:
        return page.redirect(_home(page, user), page.gettext(people_texts.NO_ACCESS_YET), "warning")
    text = page.gettext("The person was activated.") if action == "activate" else page.gettext("The person was deactivated.")
    return page.redirect(_home(page, user), text)


@router.post("/reactivate")
async def reactivate(page: Managing, user: str) -> Response:
    """Request the seats of one module, or of all, again; somebody who has left is hired again."""
    module = page.form["module"]
    body = {"modules": [module]} if module else None
    return await _send(page, user, "POST", "reactivate", body, notice=page.gettext("The seats were requested again."))


@router.get("/terminate")
async def ask_last_day(page: Managing, user: str) -> Response:
    """Ask for the last working day."""
    person, _ = await _person(page, user)
    return page.render("person_terminate.html", person=person, form=Form.of(last_day=person["last_day"] or page.formats.today), seen=None)


@router.post("/terminate")
async def terminate(page: Managing, user: str) -> Response:
    """Show what becomes of the licences, and let the person leave when just that was seen. A form that is sent twice is not asked about
    again: the person leaves on this day already."""
    form, (person, _) = page.form, await _person(page, user)
    try:
        day = day_of(form["last_day"])
    except ValueError:
        form.errors["last_day"] = page.gettext("Enter a day, for example 2026-03-31.")
        return page.render("person_terminate.html", 422, person=person, form=form, seen=None)
    path, body = f"people/{url_part(user)}/terminate", {"last_day": day.isoformat()}
    try:
        if form["step"] != "save" or person["last_day"] != day.isoformat():
            answer = await page.preview("POST", "users", path, body)
            if not form.goes_on({"last_day": day.isoformat(), "licences": answer["licences"]}):
                modules = await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
                return page.render("person_terminate.html", person=person, form=form, seen=answer, names=module_names(modules))
        await page.send("POST", "users", path, body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return page.render("person_terminate.html", 422, person=person, form=form, seen=None)
    return page.redirect(_home(page, user), page.gettext("The last working day is set: %(day)s.", day=page.formats.day(day)))


@router.post("/terminate/withdraw")
async def withdraw_termination(page: Managing, user: str) -> Response:
    """Take the leaving back."""
    return await _send(page, user, "DELETE", "terminate", notice=page.gettext("The leaving was taken back."))


async def _choose(page: Page, user: str, text: str, template: str, form: Form | None = None, status: int = 200) -> Response:
    """Show the people who may be meant by a text, to choose one. For a replacement, only those who can take over the seats."""
    person, _ = await _person(page, user)
    only = {"can_replace": user, "limit": LISTED_MAX} if template == REPLACE else {"limit": FOUND_MAX + 1}
    found = await page.get("users", "people", text=text.strip()[:100], sort="name", **only) if text.strip() else page.no_part()
    others = [each for each in found.value["items"] if each["user"] != user] if found.ok else []
    more = found.ok and (len(others) > FOUND_MAX or found.value["next"] is not None)
    values = {"person": person, "people": others[:FOUND_MAX], "more": more, "examined": LISTED_MAX, "texts": people_texts}
    return page.render(template, status, found=found, text=text, form=form, **values)


@router.get("/replace")
async def choose_replacement(page: Managing, user: str, text: Chosen = "") -> Response:
    """Choose who gets the seats."""
    return await _choose(page, user, text, REPLACE)


@router.post("/replace")
async def replace(page: Managing, user: str) -> Response:
    """Give the seats to another person (A17)."""
    form = page.form
    after = "blocked" if form["afterwards"] == "blocked" else "left"
    to = form.text("to", page.gettext("Choose a person."))
    if not form.ok:
        return await _choose(page, user, form["text"], REPLACE, form, 422)
    body = {"to": to, "afterwards": after}
    if question := await _announced(page, user, "POST", "replace", body):
        return question
    try:
        await page.send("POST", "users", f"people/{url_part(user)}/replace", body, key=form.key or None)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _choose(page, user, form["text"], REPLACE, form, 422)
    return page.redirect(_home(page, to), page.gettext("This person takes over the seats."))


@router.get("/hand-over")
async def choose_heir(page: Managing, user: str, text: Chosen = "") -> Response:
    """Choose who takes over what the person owns."""
    return await _choose(page, user, text, "person_hand_over.html")


@router.post("/hand-over")
async def set_heir(page: Managing, user: str) -> Response:
    """Name who takes over (A22), or nobody."""
    form = page.form
    to = None if form["nobody"] else form.text("to", page.gettext("Choose a person."))
    if not form.ok:
        return await _choose(page, user, form["text"], "person_hand_over.html", form, 422)
    try:
        await page.send("PUT", "users", f"people/{url_part(user)}/heir", {"heir": to})
    except Refusal as refusal:
        form.refuse(refusal.problem, {"heir": "to"})
        return await _choose(page, user, form["text"], "person_hand_over.html", form, 422)
    return page.redirect(_home(page, user), _told_about_heir(page, to))


def _told_about_heir(page: Page, heir: str | None) -> str:
    if heir is None:
        return page.gettext("Nobody takes over what the person owns.")
    return page.gettext("It is stored who takes over. The product hands the items over.")


@router.post("/invite")
async def invite(page: Managing, user: str) -> Response:
    """Send the invitation, or a new one: earlier links are void, and the reservation is renewed."""
    body = {"reserve": page.form["reserve"] == "yes"}
    return await _send(page, user, "POST", "invite", body, notice=page.gettext("An invitation is on its way by e-mail."), seats=False)


@router.get("/erase")
async def ask_erasure(page: Managing, user: str) -> Response:
    """Say what is erased, and ask for a confirmation."""
    person, _ = await _person(page, user)
    return page.render("person_erase.html", person=person, form=None)


@router.post("/erase")
async def erase(page: Managing, user: str) -> Response:
    """Erase the personal data."""
    form = page.form
    try:
        if form["sure"] == "yes":
            await page.send("POST", "users", f"people/{url_part(user)}/erase", key=form.key or None)
            return page.redirect(_home(page, user), page.gettext("The personal data were erased."))
        form.errors["sure"] = page.gettext("Confirm that you want to erase the data.")
    except Refusal as refusal:
        form.refuse(refusal.problem)
    person, _ = await _person(page, user)
    return page.render("person_erase.html", 422, person=person, form=form)


@router.post("/link")
async def link(page: Managing, user: str) -> Response:
    """Make one person of two. The one who stays is shown."""
    to = page.form["to"]
    if question := await _announced(page, user, "POST", "link", {"to": to}):
        return question
    try:
        await page.send("POST", "users", f"people/{url_part(user)}/link", {"to": to}, key=page.form.key or None)
    except Refusal as refusal:
        return page.redirect(_home(page, user), page.why(refusal.problem), "bad")
    return page.redirect(_home(page, to), page.gettext("The two entries are one person now."))


@router.post("/separate")
async def separate(page: Managing, user: str) -> Response:
    """Keep the person as somebody of their own; or make one of what a source states, for example of an entry that was linked by mistake."""
    form = page.form
    if not form["source"]:
        return await _send(page, user, "POST", "separate", notice=page.gettext("This is a person of their own now."))
    body = {"source": form["source"], "external_id": form["external_id"]}
    if question := await _announced(page, user, "POST", "separate", body):
        return question
    try:
        found = await page.send("POST", "users", f"people/{url_part(user)}/separate", body, key=form.key or None)
    except Refusal as refusal:
        return page.redirect(_home(page, user), page.why(refusal.problem), "bad")
    return page.redirect(_home(page, found["user"]), page.gettext("The two entries are separate now."))
