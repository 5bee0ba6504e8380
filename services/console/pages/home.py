"""The first page: the first one in the navigation that the reader may see."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from services.console.pages.page import Page, session_reader
from services.console.pages.route import PageRoute
from services.console.rendering.navigation import SETTINGS, links_for

router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def any_reader(request: Request) -> Page:
    """Return the page of a reader with whatever rights."""
    wiring = request.app.state.wiring
    reader = await session_reader(request, wiring)
    page = Page(request, wiring, reader, reader.tenant)
    await page.read_test_clock()
    if request.method == "POST":
        await page.read_form()
    return page


AnyReader = Annotated[Page, Depends(any_reader)]


@router.get("/")
async def show_home(page: AnyReader) -> Response:
    """Open the first page of the reader. Somebody whose rights open none but the own settings is told so."""
    links = [link for link in links_for(page.reader, page.tenant) if link.url != page.url(SETTINGS)]
    return page.redirect(links[0].url) if links else page.render("no_pages.html")
