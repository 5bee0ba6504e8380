"""The language of the pages."""

from fastapi import APIRouter, Request, Response

from services.console.pages import cookies
from services.console.pages.addresses import page_of_console
from services.console.pages.page import Page
from services.console.pages.route import PageRoute
from services.console.rendering import languages

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.post("/language")
async def set_language(request: Request) -> Response:
    """Keep the language in the browser. It needs no session, and the form no token: it changes nothing but this."""
    form = await request.form()
    page = Page(request, request.app.state.wiring, None)
    wanted, back = str(form.get("language", "")), str(form.get("back", ""))
    if wanted in languages.translations():
        page.set_cookie(cookies.LANGUAGE, wanted)
    return page.redirect(page_of_console(back))
