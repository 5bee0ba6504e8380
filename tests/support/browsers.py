"""A browser that watches what its pages do: errors of the console and requests to other origins fail the test."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright, expect

from tests.support import chromium as installed

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
AXE = Path(__file__).parents[1] / "browser" / "axe" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN_AXE = """async rules => (await axe.run(document, {runOnly: rules})).violations.map(
    each => each.id + ": " + each.nodes.map(node => node.target.join(" ") + " (" + node.failureSummary + ")").join("; "))"""

RULES_OF_COLOURS = ("color-contrast", "link-in-text-block")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES, HEIGHT = (1300, 390), 900
TABLET = 1000
PATIENCE_MS = 60_000  # what a page waits for is there within 2 s; a busy machine takes longer than Playwright's 5 s
expect.set_options(timeout=PATIENCE_MS)
_MISFITS = """(() => {
  const all = (chosen) => [...document.querySelectorAll(chosen)].filter((each) => !each.closest(".hidden"));
  const named = (what, each) => `${what} ${each.className} ${each.innerText.trim().slice(0, 60)}`;
  const wide = [document.documentElement, ...all(".table-frame")].filter((each) => each.scrollWidth > each.clientWidth + 1);
  const squeezed = all("main dt, main dd, main td, main th, main p, main h1, main h2, main label").filter((each) => {
    const width = each.getBoundingClientRect().width;
    return width > 1 && width < 44 && each.innerText.trim().length > 12;
  });
  const lines = (each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
  };
  const isWord = (each) => !each.childElementCount && /^\\p{L}{2,24}$/u.test(each.textContent.trim());
  const broken = all("main *").filter((each) => isWord(each) && lines(each) > 1);
  const found = {wide, squeezed, broken};
  return Object.keys(found).flatMap((what) => found[what].map((each) => named(what, each)));
})()"""


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

    async def use_session(self, secret: str) -> None:
        """Go on as the reader of this session; empty: nobody has signed in."""
        await self.context.clear_cookies(name="seatpool_session")
        if secret:
            await self.context.add_cookies([{"name": "seatpool_session", "value": secret, "url": self.origin}])

    async def misfits(self, width: int) -> list[str]:
        """Return what is wider than a screen of this width or than its frame, texts that are squeezed into a few letters, and
        words that are broken."""
        await self.page.set_viewport_size({"width": width, "height": HEIGHT})
        found: list[str] = await self.page.evaluate(_MISFITS)
        return [f"{urlsplit(self.page.url).path} {width}: {each}" for each in found]

    async def violations(self, *rules: str) -> list[str]:
        """Return what axe finds on the page as it is, by these rules or by all."""
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(AXE.read_text())
        found: list[str] = await self.page.evaluate(_RUN_AXE, list(rules) or _RULES)
        return [f"{urlsplit(self.page.url).path}: {each}" for each in found]

    async def photograph(self, name: str) -> None:
        """Keep pictures of the page in both themes, on a wide screen and on a phone, for those who look at them after a change."""
        for width, theme in itertools.product(SIZES, THEMES):
            await self.page.set_viewport_size({"width": width, "height": HEIGHT})
            await self.page.emulate_media(color_scheme=theme)
            await self.page.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{width}.png", full_page=True)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Give Chromium, which ends afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=installed.PATH, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def window(chromium: Browser, origin: str, *, width: int = 1300, **options: Any) -> AsyncIterator[Window]:
    """Give a window with cookies of its own, and check at its end that nothing went wrong on its pages."""
    context = await chromium.new_context(viewport={"width": width, "height": HEIGHT}, **({"locale": "en-GB"} | options))
    context.set_default_timeout(PATIENCE_MS)
    made = Window(await context.new_page(), context, origin)
    made.watch()
    try:
        yield made
    finally:
        await context.close()  # or the connection of its page would be there in the next test
    assert not made.wrong, made.wrong
