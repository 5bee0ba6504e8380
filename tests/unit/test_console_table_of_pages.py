"""The table of pages that the tests in a browser open is complete: it is compared with the routes of the console."""

from string import Formatter
from urllib.parse import urlsplit

from fastapi.routing import APIRoute

from services.console.pages import PAGES as MODULES
from tests.support.console_pages import IN_MEMORY, NO_PAGES, PAGES, ConsolePage

ROUTES = [route for module in MODULES for route in module.router.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]


def route_of(page: ConsolePage) -> str | None:
    """Return the first route that answers, as the console chooses it."""
    path = urlsplit(page.path(IN_MEMORY)).path
    return next((route.path for route in ROUTES if route.path_regex.match(path)), None)


def test_each_route_that_shows_a_page_is_in_the_table_and_each_other_one_has_its_reason() -> None:
    shown = {route_of(page) for page in PAGES if page.name != "not-found"}
    assert sorted({route.path for route in ROUTES} - shown - NO_PAGES.keys()) == []
    assert NO_PAGES.keys() & shown == set(), "these are in the table as well"
    assert NO_PAGES.keys() <= {route.path for route in ROUTES}, "these routes do not exist"


def test_the_pages_have_names_of_their_own_and_each_is_about_something_in_the_company_in_memory() -> None:
    names = [page.name for page in PAGES]
    assert sorted(set(names)) == sorted(names)
    assert [page.name for page in PAGES if not page.is_about(IN_MEMORY)] == []
    used = {name for page in PAGES for _, name, _, _ in Formatter().parse(page.address) if name}
    assert sorted(IN_MEMORY.keys() - used) == []
