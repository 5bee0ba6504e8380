"""A browser that watches what its pages do: errors of the console and requests to other origins fail the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request

AXE = Path(__file__).parents[1] / "browser" / "axe" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN_AXE = """async rules => (await axe.run(document, {runOnly: rules})).violations.map(
    each => each.id + ": " + each.nodes.map(node => node.target.join(" ") + " (" + node.failureSummary + ")").join("; "))"""


@dataclass
class Window:
    """A page of the browser, and what was wrong on it."""

    page: Page
    context: BrowserContext
    origin: str
    allowed: str = "data:"  # another origin that the browser may open
    wrong: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._check_origin)

    def _note(self, kind: str, text: str) -> None:
        # The browser itself reports a page that answers 404.
        is_own = self.page.url.startswith(self.origin)
        if is_own and kind in ("error", "warning") and "the server responded with a status of 4" not in text:
            self.wrong.append(f"{self.page.url}: {kind}: {text}")

    def _check_origin(self, request: Request) -> None:
        if self.page.url.startswith(self.origin) and not request.url.startswith((self.origin, "data:", self.allowed)):
            self.wrong.append(f"{self.page.url} asked {request.url}")

    async def open(self, path: str) -> None:
        """Open a page, and wait until its parts that are loaded afterwards are there."""
        await self.page.goto(self.origin + path)
        await self.page.wait_for_function("() => !document.querySelector('[hx-trigger^=load], .htmx-request')")

    async def violations(self, *rules: str) -> list[str]:
        """Return what axe finds on the page as it is, by these rules or by all."""
        found: list[str] = await self.page.evaluate(_RUN_AXE, list(rules) or _RULES)
        return [f"{urlsplit(self.page.url).path}: {each}" for each in found]


@asynccontextmanager
async def window(chromium: Browser, origin: str, *, width: int = 1300, **options: Any) -> AsyncIterator[Window]:
    """Give a window with cookies of its own, and check at its end that nothing went wrong on its pages."""
    context = await chromium.new_context(viewport={"width": width, "height": 900}, **({"locale": "en-GB"} | options))
    await context.add_init_script(path=AXE)  # before the page's own policy, which would not let it in
    made = Window(await context.new_page(), context, origin)
    made.watch()
    yield made
    await context.close()
    assert not made.wrong, made.wrong
