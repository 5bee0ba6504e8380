"""Speed of the console on the whole local stack: the page Licences of 10,000 people with 12 modules, the list of 100,000 people, the first
paint in Chromium, the bytes of a page, and how soon a decision is visible without a reload.

`pytest -s tests/bench/bench_console.py`, part of `make bench`. SEATPOOL_BENCH_PEOPLE, SEATPOOL_BENCH_LISTED and
SEATPOOL_BENCH_PER_SECOND make it smaller.
"""

import asyncio
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import orjson
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import async_playwright

from cli.demo.stage import Stage
from tests.bench.import_bench import database_of
from tests.bench.people_bench import FILL
from tests.bench.speed import at_rate, percentile
from tests.support import chromium as installed
from tests.support.browsers import window
from tests.support.console import Browser
from tests.support.stack import RunningStack
from tests.support.stack_company import StackCompany
from tests.support.tenant import Silent, Tenant, open_rest, people
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(installed.PATH is None, reason="no Chromium is installed (on Debian: apt-get install chromium)"),
]

PEOPLE = int(os.environ.get("SEATPOOL_BENCH_PEOPLE", "10000"))
LISTED = int(os.environ.get("SEATPOOL_BENCH_LISTED", "100000"))
MODULES = [f"module-{number}" for number in range(1, 13)]
PER_SECOND = int(os.environ.get("SEATPOOL_BENCH_PER_SECOND", "20"))
SECONDS, LOADS, PURCHASES = 15, 10, 5
GOALS = {"server_ms_p99": 150, "first_paint_ms": 400, "page_kb_gzip": 200, "visible_ms_after_the_decision": 2_000}
PAINT = "() => (performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"


async def test_console(make_stack: Callable[..., RunningStack]) -> None:
    stack = make_stack()
    token = await stack.token(scope="operator", ttl_seconds="3600")
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60) as operator:
        large, listed = await _large(stack, operator), await _listed(stack, operator)
        origin = stack.addresses["services"]["console"]
        licences, people_list = f"/tenants/{large.tenant}/licences", f"/tenants/{listed.tenant}/people"
        async with _signed_in(large, origin) as of_large, _signed_in(listed, origin) as of_listed:
            figures: dict[str, Any] = {
                "licences": {"people": PEOPLE, "modules": len(MODULES)} | await _page(of_large, licences),
                "people": {"listed": LISTED} | await _page(of_listed, people_list),
            }
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=installed.PATH, args=["--no-sandbox"])
                figures["licences"] |= await _paint(browser, of_large, origin, licences)
                figures["people"] |= await _paint(browser, of_listed, origin, people_list)
                figures["visible_ms_after_the_decision"] = await _visible(browser, of_large, origin, licences, large)
                await browser.close()
    figures |= {"per_second": PER_SECOND, "goals": GOALS, "load": os.getloadavg()[0], "cores": os.cpu_count()}
    sys.stdout.buffer.write(b"\n" + orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


async def _large(stack: RunningStack, operator: httpx.AsyncClient) -> StackCompany:
    """Open a company whose people have a seat in each of 12 modules."""
    company = StackCompany(stack, "bench-large", operator)
    for module in MODULES:
        await company.call("PUT", "invoicing", f"/v1/modules/{module}", {"name": module.capitalize(), "base": module == MODULES[0]})
    prices = [{"module": module, "term": "monthly", "amount_minor": 1200} for module in MODULES]
    await company.call("PUT", "invoicing", "/v1/plans/large", {"name": "Large", "currency": "EUR", "prices": prices})
    await company.open(1, 1, plan="large", modules=dict.fromkeys(MODULES, PEOPLE + 100))
    await company.call("PUT", "users", f"/v1/operator/sources/hr/{company.tenant}", {"tenants": [company.tenant]})
    await company.call("PUT", "users", "{tenant}/profiles/everybody", {"name": "Everybody", "modules": MODULES})
    await company.call("PUT", "users", "{tenant}/department-mapping", {"Everybody": "everybody", "Makers": "everybody"})
    async with await open_rest(stack) as rest:
        stage = Stage(rest, company.tenant, Silent())
        await Tenant(rest, stage).send(people(PEOPLE, f"{company.tenant}.example"))
        await stage.until_idle()
    return company


async def _listed(stack: RunningStack, operator: httpx.AsyncClient) -> StackCompany:
    """Open a company whose list of people is long."""
    company = StackCompany(stack, "bench-listed", operator)
    await company.open(5, 2)
    database = await asyncpg.connect(database_of(stack, "users"))
    try:
        await database.execute(FILL, company.tenant, LISTED)
        await database.execute("ANALYZE people")
    finally:
        await database.close()
    return company


@asynccontextmanager
async def _signed_in(company: StackCompany, origin: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with the session of the company's owner."""
    async with httpx.AsyncClient(base_url=origin, headers={"accept-language": "en"}, timeout=60) as http:
        browser = Browser(http)
        await browser.get("/sign-in")
        await browser.post("/sign-in/by-link", email=company.email)
        link = await company.link()
        await browser.get(link)
        await browser.post("/sign-in/link", secret=link.partition("=")[2])
        yield http


async def _page(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """Measure the server's time at a steady rate, and the bytes of the page with everything that it loads."""

    statuses: Counter[int] = Counter()

    async def load(number: int) -> None:
        statuses[(await http.get(path)).status_code] += 1

    (await http.get(path)).raise_for_status()
    took = await at_rate(PER_SECOND, SECONDS, load)
    text = (await http.get(path)).text
    loaded = sorted(set(re.findall(r'(?:href|src)="(/static/[^"#]+)', text)))
    sizes = {urlsplit(each).path.rpartition("/")[2]: await _bytes(http, each) for each in (path, *loaded)}
    return {
        "server_ms": {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99)},
        "failed": sum(count for status, count in statuses.items() if status != httpx.codes.OK),  # a machine that is too busy: 503
        "page_kb_gzip": round(sum(sizes.values()) / 1000, 1),
        "page_itself_kb_gzip": round(sizes[path.rpartition("/")[2]] / 1000, 1),
    }


async def _bytes(http: httpx.AsyncClient, path: str) -> int:
    """Return the bytes of an answer as they are sent."""
    async with http.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers.get("content-encoding") == "gzip" or int(answer.headers.get("content-length", 0)) < 1024, path
        return sum([len(part) async for part in answer.aiter_raw()])


def _cookies(http: httpx.AsyncClient, origin: str) -> list[Any]:
    return [{"name": each.name, "value": each.value or "", "url": origin} for each in http.cookies.jar]


async def _paint(chromium: Chromium, http: httpx.AsyncClient, origin: str, path: str) -> dict[str, Mapping[str, float]]:
    """Measure the first paint in a browser that has loaded nothing, and in one that has the stylesheet and the scripts."""
    first, next_ones = [], []
    for _ in range(LOADS):
        async with window(chromium, origin) as opened:
            await opened.context.add_cookies(_cookies(http, origin))
            await opened.open(path)
            first.append(await _painted(opened.page))
            await opened.open(path)
            next_ones.append(await _painted(opened.page))
    return {
        f"first_paint_ms_{name}": {"p50": round(percentile(values, 0.5)), "most": round(max(values))}
        for name, values in (("cold", first), ("warm", next_ones))
    }


async def _painted(page: Any) -> float:
    """Return when the page was first painted. A busy browser reports it a moment after the page was loaded."""
    return float(await (await page.wait_for_function(PAINT)).json_value())


async def _visible(chromium: Chromium, http: httpx.AsyncClient, origin: str, path: str, company: StackCompany) -> Mapping[str, int]:
    """Measure the time from the decision, as seats shows it, to the page that shows its number without a reload."""
    took: list[float] = []
    module = MODULES[0]
    async with window(chromium, origin) as opened:
        await opened.context.add_cookies(_cookies(http, origin))
        await opened.open(path)
        for number in range(1, PURCHASES + 1):
            licences = PEOPLE + 100 + number
            quote = await company.call("POST", "invoicing", "{tenant}/quotes", {"items": [{"module": module, "add": 1}]})

            async def decided(wanted: int = licences) -> float | None:
                pools = (await company.call("GET", "seats", "{tenant}/pools?limit=200"))["items"]
                return time.perf_counter() if any(each["licences"] == wanted for each in pools) else None

            shown = asyncio.create_task(_shown(opened.page, module, licences))
            await company.call("POST", "invoicing", "{tenant}/quotes/" + quote["quote"] + "/approve", {})
            at = await wait_until(decided, what="the decision")
            took.append((await shown - at) * 1000)
    return {"p50": round(percentile(took, 0.5)), "most": round(max(took))}


async def _shown(page: Any, module: str, licences: int) -> float:
    await page.wait_for_function(
        "([row, text]) => document.querySelector(row).textContent.includes(text)", arg=[f"#row-{module} .use", f"{licences:,}"]
    )
    return time.perf_counter()
