"""The vendor's catalogue: modules, plans and prices, their history, and changes by a file that shows its differences first."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Response

from services.console.pages.forms import Form
from services.console.pages.module_order import in_order, module_names
from services.console.pages.operator import OPERATORS_NAMED, OperatorPage, names_of_operators
from services.console.pages.page import Page
from services.console.pages.route import PageRoute, with_file
from services.console.rest.problems import Refusal
from services.console.rest.services import url_part
from shared.catalogue_file import FILE_BYTES_MAX, CatalogueFile, UnreadableCatalogue, parse_catalogue, write_catalogue

router = APIRouter(route_class=PageRoute, prefix="/operator/catalogue", include_in_schema=False)

PLANS_SHOWN: Final = 50
MODULES_SHOWN: Final = 200
FAULTS_SHOWN: Final = 20
Cursor = Annotated[str, Query(max_length=500)]


@router.get("")
async def show_catalogue(page: OperatorPage, cursor: Cursor = "") -> Response:
    """Show the modules, and each plan with its newest price list."""
    return await _show(page, None, cursor)


async def _show(page: Page, form: Form | None, cursor: str = "", status: int = 200, **values: Any) -> Response:
    modules, plans = await page.together(
        page.get("invoicing", "/v1/modules", limit=MODULES_SHOWN), page.get("invoicing", "/v1/plans", cursor=cursor, limit=PLANS_SHOWN)
    )
    return page.render(
        "operator_catalogue.html",
        status,
        modules=in_order(modules.need()["items"], modules),
        plans=[plan | {"prices": in_order(plan["prices"], modules)} for plan in plans.need()["items"]],
        names=module_names(modules),
        today=page.now.date().isoformat(),
        next=plans.value["next"],
        cursor=cursor,
        form=form,
        **({"faults": ()} | values),
    )


@router.get("/plans/{plan}")
async def show_history(page: OperatorPage, plan: str, cursor: Cursor = "") -> Response:
    """Show every version of a plan's price list: who defined it, from when it holds, and what changed."""
    path = f"/v1/plans/{url_part(plan)}/versions"
    versions, modules, operators = await page.together(
        page.get("invoicing", path, cursor=cursor, limit=PLANS_SHOWN),
        page.get("invoicing", "/v1/modules", limit=MODULES_SHOWN),
        page.get("users", "/v1/operators", limit=OPERATORS_NAMED),
    )
    return page.render(
        "operator_plan.html",
        plan=plan,
        versions=_with_prices(versions.need()["items"]),
        names=module_names(modules),
        operators=names_of_operators(operators),
        today=page.now.date().isoformat(),
        next=versions.value["next"],
        cursor=cursor,
    )


def _with_prices(versions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the versions with the whole price, before and after, in each change. Of the version before the first one of a page only the
    log's value is known: the amount, or the steps in words."""
    found, before = [], dict[str, Any]()
    for each in versions:
        prices = {f"{price['module']}.{price['term']}": price for price in each["prices"]}
        changes = [
            change | {"old": before.get(change["field"], change["old"]), "new": prices.get(change["field"], change["new"])}
            for change in each["changes"]
        ]
        found.append(each | {"changes": changes})
        before = prices
    return found


@router.get("/file")
async def download_catalogue(page: OperatorPage) -> Response:
    """Return the catalogue as a file that can be changed and uploaded again."""
    found = (await page.get("invoicing", "/v1/catalog")).need()
    headers = {"content-disposition": 'attachment; filename="catalogue.yaml"'}
    return page.finished(Response(write_catalogue(found), media_type="application/yaml", headers=headers))


@router.post("/check")
@with_file
async def check_file(page: OperatorPage) -> Response:
    """Show what a file would change. Nothing is changed yet."""
    form, upload = page.form, page.form.files.get("file")
    text = ""
    if upload is not None:
        text = (await upload.read(FILE_BYTES_MAX + 1)).decode(errors="replace")
    if not text.strip():
        form.errors["file"] = page.gettext("Choose the file with the catalogue.")
        return await _show(page, form, status=422)
    try:
        file = await asyncio.to_thread(parse_catalogue, text)  # seconds for a large file, while other readers wait for their pages
    except UnreadableCatalogue as error:
        form.errors["file"] = page.gettext("Line %(line)s: %(error)s", line=error.line, error=error.detail)
        return await _show(page, form, status=422)
    try:
        found = await page.send("PUT", "invoicing", "/v1/catalog", file.content, query={"dry_run": "true"})
    except Refusal as refusal:
        return await _refused(page, form, file, refusal)
    # It is applied only to the catalogue with which it was compared.
    content = orjson.dumps(file.content | {"version": found["version"]}).decode()
    return page.render("operator_catalogue_check.html", found=found, content=content, form=None)


async def _refused(page: Page, form: Form, file: CatalogueFile, refusal: Refusal) -> Response:
    """Show the faults with their lines."""
    faults = [(file.line_of(each.field), each.field.removeprefix("body."), each.expected) for each in refusal.problem.errors]
    if faults:
        form.errors["file"] = page.gettext("The file was refused. Nothing has changed.")
    else:
        form.refuse(refusal.problem)
    return await _show(page, form, status=422, faults=sorted(faults)[:FAULTS_SHOWN])


@router.post("/apply")
@with_file
async def apply_file(page: OperatorPage) -> Response:
    """Apply the file whose differences were shown."""
    form = page.form
    try:
        content = orjson.loads(form["content"])
        done = await page.send("PUT", "invoicing", "/v1/catalog", content)
    except orjson.JSONDecodeError:
        form.errors["file"] = page.gettext("Choose the file with the catalogue.")
        return await _show(page, form, status=422)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show(page, form, status=409)
    text = page.gettext("The catalogue was applied.") if done["applied"] else page.gettext("The catalogue is already as the file says.")
    return page.redirect("/operator/catalogue", text)
