"""What about people has to be decided: conflicts, possible duplicates, changes that wait, and differences between the sources."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages import added_licences
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form, whole_number
from services.console.pages.licences import names_of, people_of
from services.console.pages.module_order import module_names
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rendering.difference_texts import ADVICE, CONFLICTS, KINDS, SAYS
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.schemas.rights import USERS_MANAGE, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/checks", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
CONFLICTS_SHOWN: Final = 50
DIFFERENCES_SHOWN: Final = 25
COMPARING_SECONDS_MAX: Final = 12.0
NAMED_MAX: Final = 20
HELD_CONFIRM: Final = "held-events/confirm"
Source = Annotated[str, Query(max_length=300)]
Step = Literal["apply", "discard"]


@router.get("")
async def show_checks(page: Managing, cursor: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Show all of them. Comparing thousands of people with seats takes a moment."""
    sees_all = page.reader.principal.departments is None
    conflicts, sources, held, stopped, differences, modules = await page.together(
        page.get("users", "people", status="conflict", limit=CONFLICTS_SHOWN),
        page.get("users", "sources", limit=LISTED_MAX) if sees_all else page.nothing(),
        page.get("users", "held-events", limit=LISTED_MAX) if sees_all else page.nothing(),
        page.get("users", "stopped-scim-requests", limit=LISTED_MAX) if sees_all else page.nothing(),
        page.get("users", "differences", cursor=cursor, limit=DIFFERENCES_SHOWN, seconds=COMPARING_SECONDS_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found = conflicts.need()["items"]
    meant = [user for person in found for user in person["conflict"]["people"]]
    return page.render(
        "people_checks.html",
        conflicts=found,
        meant=await people_of(page, meant, CONFLICTS_SHOWN) if meant else {},
        duplicates=[each for each in sources.value["items"] if each["duplicates_held"]] if sources.ok else [],
        sources=sources,
        held=held,
        stopped=stopped,
        differences=differences,
        items=[_item(each, page) for each in differences.value["items"]] if differences.ok else [],
        names=module_names(modules),
        reasons=CONFLICTS,
        says=SAYS,
        texts=people_texts,
        cursor=cursor,
    )


def _item(each: Mapping[str, Any], page: Page) -> dict[str, Any]:
    """Return a person about whom something differs, with what each difference means in the reader's language."""
    shown = []
    for found in each["differences"]:
        kind, advice = KINDS.get(found["kind"], ""), ADVICE.get((found["kind"], found["reason"])) or ADVICE.get((found["kind"], ""), "")
        shown.append(
            {
                "title": page.gettext(kind) if kind else found["kind"],
                "advice": page.gettext(advice) if advice else "",
                "would_require": found["would_require"],
                "modules": found["modules"],
            }
        )
    return {**each, "differences": shown}


def _back(page: Page) -> str:
    """Return where a question leads back to: to the list, which names people, or to the first page of a reader who may not see them."""
    return page.url("people/checks") if page.may(USERS_READ) else "/"


async def _decide(page: Page, question: Question, path: str, body: Mapping[str, Any], notice: str) -> Response:
    try:
        await page.send("POST", "users", path, body, key=page.form.key or None)
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(question.back, notice)


async def _duplicates(page: Page, source: str, form: Form) -> tuple[Question, bool]:
    """Return the question, and whether the reader of the form knows which licences are added."""
    sources = (await page.get("users", "sources", limit=LISTED_MAX)).need()["items"]
    if not any(each["source"] == source and each["duplicates_held"] for each in sources):
        raise NotThere
    knows, added = await added_licences.of_many(page, "possible-duplicates/confirm", {"source": source}, form)
    question = Question(
        page.gettext("Are they new people?"),
        page.gettext("They are new people"),
        _back(page),
        [
            page.gettext("The new people of this source take seats."),
            *added,
            page.gettext("If some of them are people whom you have already, link those first: otherwise they take two seats."),
        ],
        {page.gettext("Source"): source},
        seen={"effect": form.effect},
        danger=False,
    )
    return question, knows


@router.get("/duplicates")
async def ask_about_duplicates(page: Managing, source: Source) -> Response:
    """Ask whether the new people of a source are new."""
    question, _ = await _duplicates(page, source, Form())
    return ask(page, question)


@router.post("/duplicates")
async def confirm_duplicates(page: Managing, source: Source) -> Response:
    """Let the new people of a source take seats."""
    question, knows = await _duplicates(page, source, page.form)
    if not knows:
        return ask(page, question)
    return await _decide(
        page, question, "possible-duplicates/confirm", {"source": source}, page.gettext("The new people take their seats now.")
    )


async def _held(page: Page, source: str, step: str, form: Form) -> tuple[Question, bool]:
    """Return the question, and whether the reader of the form knows which licences are added, also by others whose changes wait behind."""
    found = (await page.get("users", f"held-events/{url_part(source)}", seconds=COMPARING_SECONDS_MAX)).need()
    ended, begun, is_applied = found["would_end"], found["would_begin"], step == "apply"
    named = [(page.gettext("Who would lose access"), found["external_ids"], ended)]
    if is_applied:
        named.append((page.gettext("Who would get access"), found["beginning"], begun))
    names = {each: f"{name} ({each})" for each, name in found["names"].items()}
    facts: dict[str, Any] = {page.gettext("Source"): source}
    facts |= {label: [names.get(each, each) for each in people[:NAMED_MAX]] for label, people, _ in named if people}
    knows, added = True, list[str]()
    if is_applied:
        knows, added = await added_licences.of_many(page, HELD_CONFIRM, {"source": source, "confirm": ended}, form, leavers=True)
    applying = [
        page.ngettext("%(num)s person loses access and gives up the seats.", "%(num)s people lose access and give up their seats.", ended),
        page.gettext("If one of them should keep access, discard the changes, and correct the data in the source."),
        *([page.ngettext("%(num)s person gets access.", "%(num)s people get access.", begun)] if begun else []),
        *added,
    ]
    discarding = [
        page.gettext("The changes are deleted, and nobody is changed. They come back only if the source sends them again."),
        page.ngettext("%(num)s person keeps access.", "%(num)s people keep access.", ended),
    ]
    question = Question(
        page.gettext("Apply the changes?") if is_applied else page.gettext("Discard the changes?"),
        page.gettext("Apply them") if is_applied else page.gettext("Discard them"),
        _back(page),
        applying if is_applied else discarding,
        facts,
        others={label: count - len(people[:NAMED_MAX]) for label, people, count in named},
        seen={"confirm": ended, "effect": form.effect},
    )
    return question, knows


@router.get("/held/{step}")
async def ask_about_held(page: Managing, step: Step, source: Source) -> Response:
    """Ask whether the changes of a source that wait shall be applied, or discarded."""
    question, _ = await _held(page, source, step, Form())
    return ask(page, question)


@router.post("/held/{step}")
async def decide_held(page: Managing, step: Step, source: Source) -> Response:
    """Apply the changes that wait, or discard them. A number of people who lose access that has changed is refused by users."""
    question, knows = await _held(page, source, step, page.form)
    if step == "discard":
        notice = page.gettext("The changes were discarded. Nobody was changed.")
        return await _decide(page, question, "held-events/discard", {"source": source}, notice)
    number = whole_number(page.form["confirm"]) or 0
    if not knows and number == question.seen["confirm"]:
        return ask(page, question)
    return await _decide(
        page, question, HELD_CONFIRM, {"source": source, "confirm": number}, page.gettext("The changes are being applied.")
    )


async def _stopped(page: Page, connection: str) -> Question:
    listed = (await page.get("users", "stopped-scim-requests", limit=LISTED_MAX)).need()["items"]
    found = next((each for each in listed if each["connection"] == connection), None)
    if found is None:
        raise NotThere
    people, ended = found["people"][:NAMED_MAX], found["would_end"]
    names = await names_of(page, people, NAMED_MAX) if people else {}
    return Question(
        page.gettext("Let the identity provider end the access?"),
        page.ngettext("End the access of %(num)s person", "End the access of %(num)s people", ended),
        _back(page),
        [
            page.gettext("The identity provider repeats its requests. Each of these people then loses access and gives up the seats."),
            page.gettext("If that is wrong, correct the assignments at the identity provider: nothing happens until you confirm."),
        ],
        {
            page.gettext("SCIM connection"): connection,
            page.gettext("Who would lose access"): [names.get(each, page.gettext("A person")) for each in people],
        },
        others={page.gettext("Who would lose access"): max(0, ended - len(people))},
        seen={"confirm": ended},
    )


@router.get("/scim/{connection}")
async def ask_about_stopped(page: Managing, connection: str) -> Response:
    """Ask whether the requests of a SCIM connection that the guard stopped are right."""
    return ask(page, await _stopped(page, connection))


@router.post("/scim/{connection}")
async def confirm_stopped(page: Managing, connection: str) -> Response:
    """Let the requests of a SCIM connection through when they are repeated."""
    question = await _stopped(page, connection)
    body = {"confirm": whole_number(page.form["confirm"]) or 1}
    notice = page.gettext("The requests are let through when the identity provider repeats them.")
    return await _decide(page, question, f"scim-connections/{url_part(connection)}/confirm", body, notice)
