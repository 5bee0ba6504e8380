"""Addresses that come from the browser: where to go next."""

from collections.abc import Sequence
from urllib.parse import SplitResult, quote, urlsplit

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import Match


def parts_of(address: str) -> SplitResult:
    """Return the parts of an address that a header names; those of an empty one if it is none, such as `http://[`."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def page_of_console(address: str) -> str:
    """Return the address if a browser takes it for one of this site, otherwise the first page.

    Browsers drop tabs and line breaks, and take a backslash for a slash: `/<tab>/evil.example` leads to another site.
    """
    is_here = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_here and address.isprintable() and " " not in address else "/"


def address_of(request: Request) -> str:
    """Return the path and the query of a request, as in a link."""
    path = quote(request.url.path, safe="/")
    return f"{path}?{request.url.query}" if request.url.query else path


def page_at(pages: Sequence[APIRoute], address: str, parts_max: int | None = None) -> str:
    """Return the address if a page is there, otherwise the page above it: `/people` of the form `/people/bulk`, which is no person.

    `parts_max`: the page is at most so deep.
    """
    path = parts_of(address).path
    scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    matching = [route.path for route in pages if route.matches(scope)[0] is not Match.NONE]
    names = min(matching, key=lambda name: name.count("{"), default=path).split("/")
    known = {route.path for route in pages if "GET" in (route.methods or ())}
    above = names[:parts_max]
    while above and "/".join(above) not in known:
        above.pop()
    return address if above == names else "/".join(path.split("/")[: len(above)]) or "/"


def page_shown(request: Request) -> str:
    """Return where the page is that a browser shows after this request: of a form, the page on which it was."""
    pages: Sequence[APIRoute] = request.app.state.pages
    if request.method == "GET":
        return address_of(request)
    before = parts_of(request.headers.get("referer", ""))
    address = f"{before.path}?{before.query}" if before.query else before.path
    if address and before.netloc == request.headers.get("host") and page_at(pages, address) == address:
        return address
    return page_at(pages, address_of(request))
