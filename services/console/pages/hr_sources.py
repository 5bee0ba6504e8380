"""The HR sources that may send facts about a tenant, for the vendor's operators. A source can serve several tenants: the others stay."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from services.console.pages.confirm import Question, ask
from services.console.pages.forms import Form
from services.console.pages.operator import OperatorPage
from services.console.pages.page import NEW, Page
from services.console.pages.route import PageRoute
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part
from shared.schemas.topics import HR_EVENTS

router = APIRouter(route_class=PageRoute, prefix="/operator/tenants/{tenant}/sources", include_in_schema=False)

REST: Final = "/v1/operator/sources"
SHOWN: Final = 50
SOURCE_MAX: Final = 300
ATTEMPTS: Final = 3
Short = Annotated[str, Query(max_length=500)]


def home(tenant: str) -> str:
    """Return the address of the page of a tenant."""
    return f"/operator/tenants/{url_part(tenant)}/sources"


async def _company(page: Page, tenant: str) -> Part:
    return await page.get("users", f"/v1/tenants/{url_part(tenant)}")


@router.get("")
async def show_sources(page: OperatorPage, tenant: str, cursor: Short = "") -> Response:
    """Show the sources of a tenant, and the form that allows another one."""
    return await _show(page, tenant, None, cursor=cursor)


async def _show(page: Page, tenant: str, form: Form | None, status: int = 200, cursor: str = "") -> Response:
    proposed = f"hr/{tenant}"
    company, sources = await page.together(_company(page, tenant), page.get("users", REST, tenant=tenant, cursor=cursor, limit=SHOWN))
    shown = sources.need()
    return page.render(
        "operator_sources.html",
        status,
        tenant=company.need(),
        url=home(tenant),
        sources=shown,
        cursor=cursor,
        shared_topic=HR_EVENTS.name,
        form=form or Form.of(source="" if shown["items"] else proposed),
    )


@router.post("")
async def allow_source(page: OperatorPage, tenant: str) -> Response:
    """Let a source send facts about this tenant."""
    form, company = page.form, (await _company(page, tenant)).need()
    source = form.text("source", page.gettext("Enter the name of the source, for example hr/acme."), most=SOURCE_MAX)
    if form.ok:
        try:
            others = await _set(page, tenant, source, allowed=True)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    if not form.ok:
        return await _show(page, tenant, form, 422)
    text = page.gettext("%(source)s may send facts about %(name)s now.", source=source, name=company["name"])
    if others:
        also = page.ngettext(
            "It may send facts about %(num)s other company, too.", "It may send facts about %(num)s other companies, too.", others
        )
        text = f"{text} {also}"
    return page.redirect(home(tenant), text)


async def _set(page: Page, tenant: str, source: str, *, allowed: bool) -> int:
    """Add the tenant to those of the source, or remove it, and return how many others the source has. If somebody else changes them
    meanwhile, they are read again. Raises Refusal."""
    path = f"{REST}/{url_part(source)}"
    for left in reversed(range(ATTEMPTS)):
        part = await page.get("users", path)
        tenants = [] if part.missing else part.need()["tenants"]
        others = [each for each in tenants if each != tenant]
        if (tenant in tenants) == allowed:
            break
        try:
            await page.send("PUT", "users", path, {"tenants": [*others, tenant] if allowed else others}, etag=part.etag or NEW)
            break
        except Refusal as refusal:
            if not (refusal.problem.is_stale and left):
                raise
    return len(others)


@router.get("/end")
async def ask_about_end(page: OperatorPage, tenant: str, source: Short = "") -> Response:
    """Ask whether the source shall no longer send facts about this tenant."""
    return ask(page, await _end(page, tenant, source))


@router.post("/end")
async def end_source(page: OperatorPage, tenant: str, source: Short = "") -> Response:
    """Let the source send no more facts about this tenant."""
    question = await _end(page, tenant, source)
    try:
        await _set(page, tenant, source, allowed=False)
    except Refusal as refusal:
        return ask(page, question, refusal)
    return page.redirect(question.back, page.gettext("%(source)s may no longer send facts about this company.", source=source))


async def _end(page: Page, tenant: str, source: str) -> Question:
    company, part = await page.together(_company(page, tenant), page.get("users", f"{REST}/{url_part(source)}"))
    found = part.need()
    effects = [
        page.gettext("From then on, facts about this company from this source become dead letters. The company cannot import from it."),
        page.gettext("What it has reported stays, so nobody loses a seat now. You can allow the source again."),
    ]
    if others := len([each for each in found["tenants"] if each != tenant]):
        effects.append(
            page.ngettext(
                "Nothing changes for %(num)s other company of this source.",
                "Nothing changes for %(num)s other companies of this source.",
                others,
            )
        )
    if found["topic"] != HR_EVENTS.name:
        effects.append(page.gettext("The source stays bound to its own topic %(topic)s.", topic=found["topic"]))
    return Question(
        page.gettext("End this source?"),
        page.gettext("End the source"),
        home(tenant),
        effects,
        {page.gettext("Source"): source, page.gettext("Company"): company.need()["name"]},
    )
