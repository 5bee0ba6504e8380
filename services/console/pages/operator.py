"""The tenants, for the vendor's operators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages import cookies
from services.console.pages.page import Page, needs_operator
from services.console.pages.route import PageRoute
from services.console.rest.services import url_part

router = APIRouter(route_class=PageRoute, prefix="/operator", include_in_schema=False)

OperatorPage = Annotated[Page, Depends(needs_operator())]


@router.get("/tenants")
async def list_tenants(
    page: OperatorPage, text: Annotated[str, Query(max_length=200)] = "", cursor: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """Show the tenants, or those with a text in their name, short name or e-mail address."""
    tenants = await page.get("users", "/v1/tenants", text=text.strip(), cursor=cursor, limit=50)
    return page.render("operator_tenants.html", tenants=tenants.need(), text=text.strip(), cursor=cursor)


@router.get("/tenants/{tenant}/open")
async def ask_reason(page: OperatorPage, tenant: str) -> Response:
    """Ask why the tenant is opened."""
    found = await page.get("users", f"/v1/tenants/{url_part(tenant)}")
    return page.render("operator_open.html", tenant=found.need(), form=None)


@router.post("/tenants/{tenant}/open")
async def open_tenant(page: OperatorPage, tenant: str) -> Response:
    """Open the tenant read-only for 30 minutes. Its action log says who opened it, and why."""
    reason = page.form.text("reason", page.gettext("Enter a reason of at most 200 characters, for example the number of a ticket."))
    if not page.form.ok:
        found = await page.get("users", f"/v1/tenants/{url_part(tenant)}")
        return page.render("operator_open.html", 422, tenant=found.need(), form=page.form)
    await page.wiring.sessions.open(page.cookie(cookies.SESSION), page.reader, tenant, reason)
    return page.redirect(f"/tenants/{url_part(tenant)}/licences")


@router.post("/tenants/{tenant}/close")
async def close_tenant(page: OperatorPage, tenant: str) -> Response:
    """Go back to the operator's own pages."""
    page.wiring.sessions.close(page.cookie(cookies.SESSION), tenant)
    return page.redirect("/operator/tenants")
