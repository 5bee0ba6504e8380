"""The stylesheet, the scripts and the icons."""

from fastapi import APIRouter, Request, Response

from services.console.pages.page import NotThere
from services.console.rendering.static_files import PREFIX, files

router = APIRouter(include_in_schema=False)

_KEPT = "public, max-age=31536000, immutable"


@router.get(PREFIX + "/{digest}/{name}")
async def show_file(digest: str, name: str, request: Request) -> Response:
    """The address changes with the content, so browsers never ask for a file again."""
    found = files().get(f"{PREFIX}/{digest}/{name}")
    if found is None:
        raise NotThere
    headers = {"cache-control": _KEPT, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, headers=headers | {"content-encoding": "gzip"}, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)


@router.get("/robots.txt")
async def show_robots() -> Response:
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


@router.get("/favicon.ico")
async def show_favicon() -> Response:
    """Browsers ask for it on their own; the pages name an SVG."""
    return Response(status_code=204, headers={"cache-control": _KEPT})
