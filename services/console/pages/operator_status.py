"""How every part of the deployment is doing, for the vendor's operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Response

from services.console.pages.operator import OperatorPage
from services.console.pages.page import Page
from services.console.pages.route import PageRoute
from services.console.rendering.formats import as_moment
from services.console.rest.services import NAMES, Part

router = APIRouter(route_class=PageRoute, prefix="/operator/status", include_in_schema=False)

LATE: Final = timedelta(minutes=1)  # a message that is unsent for longer is a sign that something is wrong


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A service. `behind` is None while it, or the broker, does not answer."""

    name: str
    answers: bool
    version: str
    behind: int | None
    topics: Sequence[tuple[str, int]]
    unsent: int | None
    oldest: timedelta | None
    open: int | None
    waiting: int

    @property
    def is_late(self) -> bool:
        return self.oldest is not None and self.oldest > LATE

    @property
    def broker_missing(self) -> bool:
        return self.answers and self.behind is None


@router.get("")
async def show_status(page: OperatorPage) -> Response:
    return page.render("operator_status.html", **await _parts(page))


@router.get("/parts")
async def show_parts(page: OperatorPage) -> Response:
    """Show the table alone: the page asks for it again and again."""
    return page.render("operator_status_parts.html", **await _parts(page))


async def _parts(page: Page) -> dict[str, Any]:
    """Ask all services at the same time."""
    answers = await page.together(*(page.get(name, "/v1/operator/status") for name in NAMES))
    parts = [_part(page, name, part) for name, part in zip(NAMES, answers, strict=True)]
    return {"parts": parts, "troubles": sum(not part.answers for part in parts), "at": page.wiring.clock.now()}


def _part(page: Page, name: str, part: Part) -> PartStatus:
    if not part.ok:
        return PartStatus(name, answers=False, version="", behind=None, topics=(), unsent=None, oldest=None, open=None, waiting=0)
    found: dict[str, Any] = part.value
    behind = [group["messages_behind"] for group in found["groups"]]
    topics: dict[str, int] = {}
    for group in found["groups"]:
        for topic, count in group["topics_behind"].items():
            topics[topic] = topics.get(topic, 0) + count
    oldest = found["unsent"]["oldest_at"]
    return PartStatus(
        name,
        answers=True,
        version=found["version"],
        behind=None if None in behind else sum(behind),
        topics=sorted(topics.items()),
        unsent=found["unsent"]["messages"],
        oldest=max(timedelta(), page.wiring.clock.now() - as_moment(oldest)) if oldest else None,
        open=found["dead_letters"]["open"],
        waiting=found["dead_letters"]["waiting"],
    )
