"""The tenants, for the vendor's operators."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages import cookies
from services.console.pages.addresses import page_of_console
from services.console.pages.forms import Form
from services.console.pages.page import Page, needs_operator
from services.console.pages.route import PageRoute
from services.console.rest.services import Part, url_part

router = APIRouter(route_class=PageRoute, prefix="/operator", include_in_schema=False)

OperatorPage = Annotated[Page, Depends(needs_operator())]
OPERATORS_NAMED: Final = 200


def names_of_operators(operators: Part) -> dict[str, str]:
    """Return the names of the vendor's operators by their ids; none while users does not answer."""
    found: list[dict[str, Any]] = operators.value["items"] if operators.ok else []
    return {each["operator"]: each["name"] for each in found}


@router.get("/tenants")
async def list_tenants(
    page: OperatorPage, text: Annotated[str, Query(max_length=200)] = "", cursor: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """Show the tenants, or those with a text in their name, short name or e-mail address."""
    tenants = await page.get("users", "/v1/tenants", text=text.strip(), cursor=cursor, limit=50)
    return page.render("operator_tenants.html", tenants=tenants.need(), text=text.strip(), cursor=cursor)


@router.get("/tenants/{tenant}/open")
async def ask_reason(page: OperatorPage, tenant: str, wanted: Annotated[str, Query(max_length=2000, alias="next")] = "") -> Response:
    """Ask why the tenant is opened. `wanted`: the page of the tenant that is not open, or no longer."""
    return await _show_open(page, tenant, Form.of(next=wanted or None))


async def _show_open(page: Page, tenant: str, form: Form, status: int = 200) -> Response:
    found = await page.get("users", f"/v1/tenants/{url_part(tenant)}")
    return page.render("operator_open.html", status, tenant=found.need(), form=form)


@router.post("/tenants/{tenant}/open")
async def open_tenant(page: OperatorPage, tenant: str) -> Response:
    """Open the tenant read-only for 30 minutes. Its action log says who opened it, and why."""
    reason = page.form.text("reason", page.gettext("Enter a reason of at most 200 characters, for example the number of a ticket."))
    if not page.form.ok:
        return await _show_open(page, tenant, page.form, 422)
    await page.wiring.sessions.open(page.cookie(cookies.SESSION), page.reader, tenant, reason)
    own, wanted = f"/tenants/{url_part(tenant)}/", page_of_console(page.form["next"])
    return page.redirect(wanted if wanted.startswith(own) else f"{own}licences")


@router.post("/tenants/{tenant}/close")
async def close_tenant(page: OperatorPage, tenant: str) -> Response:
    """Go back to the operator's own pages."""
    page.wiring.sessions.close(page.cookie(cookies.SESSION), tenant)
    return page.redirect("/operator/tenants")
