"""Every page in Chromium, in all languages, on a wide screen and on a phone: accessible, and without errors.

The pictures of the pages are in `build/screenshots`. Look at them after a change. tests/e2e/test_demo.py makes most of them.
"""

import itertools

import pytest
from playwright.async_api import Browser, Route

from services.console.rendering import languages
from tests.browser.conftest import Served
from tests.support.browsers import HEIGHT, RULES_OF_COLOURS, SIZES, TABLET, Window, window
from tests.support.console import ConsoleBench, problem
from tests.support.console_pages import ADMINISTRATOR, IN_MEMORY, NOBODY, ONLY_IN_MEMORY, OPERATOR, PAGES, PEOPLE_MANAGER, RENAMED, TESTER
from tests.support.wait import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SENDS = "main form[action] button:not([type=button])"


def session_of(bench: ConsoleBench, reader: str) -> str:
    """Return the session of this reader; empty for nobody."""
    company = bench.company
    if reader == NOBODY:
        return ""
    if reader == OPERATOR:
        return company.begin_session("vera", None, ("operator",))
    if reader == PEOPLE_MANAGER:
        return company.begin_session("kim", rights=("users:read", "users:manage"))
    if reader == RENAMED:
        company.unconfirmed.add("rita")
        return company.begin_session("rita")
    return company.begin_session(clock="test" if reader == TESTER else "real")


@pytest.mark.timeout(900)
async def test_every_page_is_accessible_on_a_phone_and_fits_all_screens_in_all_languages(chromium: Browser, served: Served) -> None:
    """Nothing is wider than the screen or than its frame, no text is squeezed into a column of a few letters, and no word is broken.
    On a wide screen and in the dark theme, tests/e2e/test_demo.py shows that the pages are accessible; here only those that the sample
    company does not have."""
    found: list[str] = []
    async with window(chromium, served.origin, reduced_motion="reduce") as opened:
        for shown, language in itertools.product(PAGES, languages.names()):
            await opened.use_session(session_of(served.bench, shown.reader))
            await opened.context.add_cookies([{"name": "seatpool_language", "value": language, "url": opened.origin}])
            await opened.open(shown.path(IN_MEMORY))
            for width in (max(SIZES), TABLET, min(SIZES)):
                found += [f"{language} {each}" for each in await opened.misfits(width)]
            if language != "en":
                continue
            assert width == min(SIZES)
            found += await opened.violations()
            if shown.name in ONLY_IN_MEMORY:
                await opened.page.set_viewport_size({"width": max(SIZES), "height": HEIGHT})
                found += await opened.violations()
                await opened.page.emulate_media(color_scheme="dark")
                found += await opened.violations(*RULES_OF_COLOURS)
                await opened.photograph(shown.name)
                await opened.page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


async def test_a_table_that_is_wider_than_its_frame_scrolls_without_the_page(chromium: Browser, served: Served) -> None:
    """On a tablet, the table of a phone is not shown yet. Texts for screen readers in it must not make the page wider."""
    async with window(chromium, served.origin, width=1000) as opened:
        await opened.context.add_cookies([{"name": "seatpool_language", "value": "de", "url": opened.origin}])
        for shown in [each for each in PAGES if each.name in ("licences", "invoices", "operator-money")]:
            await opened.use_session(session_of(served.bench, shown.reader))
            await opened.open(shown.path(IN_MEMORY))
            assert await opened.page.evaluate("document.documentElement.scrollWidth") == 1000, shown.name


async def test_the_button_of_the_filters_stands_beside_its_fields_on_a_wide_screen(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin, width=max(SIZES)) as opened:
        for shown, language in itertools.product([each for each in PAGES if each.name in ("people", "log")], languages.names()):
            await opened.use_session(session_of(served.bench, shown.reader))
            await opened.context.add_cookies([{"name": "seatpool_language", "value": language, "url": opened.origin}])
            await opened.open(shown.path(IN_MEMORY))
            shown_parts = "[...form.children].filter(each => each.offsetHeight)"
            rows = f"form => new Set({shown_parts}.map(each => each.getBoundingClientRect().bottom)).size"
            assert await opened.page.locator("form.filters").evaluate(rows) == 1, f"{language} {shown.name}"


async def test_every_page_works_without_scripts_and_has_one_heading_a_title_and_a_way_past_the_navigation(
    chromium: Browser, served: Served
) -> None:
    """Only what is computed afterwards is missing: a link asks for it."""
    async with window(chromium, served.origin, java_script_enabled=False) as opened:
        page = opened.page
        for shown in PAGES:
            path = shown.path(IN_MEMORY)
            await opened.use_session(session_of(served.bench, shown.reader))
            await page.goto(served.origin + path)
            assert await page.locator("h1").count() == 1, path
            assert len(await page.title()) > len(" · Seatpool"), path
            assert await page.locator("a, button, input").first.get_attribute("class") == "skip", path
            for part in await page.locator("[hx-trigger^=load]").all():
                assert await part.locator("a[href]").count(), f"{path}: this part needs scripts"
            assert await page.locator("main button:not([type=button])").count() == await page.locator(SENDS).count(), path


async def test_a_form_that_was_kept_is_shown_in_words_and_is_accessible(chromium: Browser, served: Served) -> None:
    company, sessions = served.bench.company, served.bench.wiring.sessions
    async with window(chromium, served.origin, reduced_motion="reduce") as opened:
        secret = session_of(served.bench, ADMINISTRATOR)
        await opened.use_session(secret)
        await opened.open("/tenants/acme/profiles/department?department=Research")
        await opened.page.locator("select[name=profile]").select_option("staff")
        del company.sessions[secret]
        sessions.forget(secret)
        await opened.page.get_by_role("button", name="Show what happens").click()
        await opened.page.get_by_text("Your input is kept").wait_for()
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/resume")
        assert await opened.page.locator("dl.facts").inner_text() == "Department\nResearch\nProfile\nStaff"
        assert await opened.violations() == []
        await opened.photograph("resume")


async def ask_for_a_number(opened: Window) -> None:
    """Open the dialog of a purchase by keyboard."""
    await opened.open("/tenants/acme/licences")
    await opened.page.locator("#row-planning td.actions a").focus()
    await opened.page.keyboard.press("Enter")
    await opened.page.wait_for_selector("dialog[open] input[name=number]:focus")


async def test_the_buy_dialog_is_used_by_keyboard_alone_and_gives_the_focus_back(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await ask_for_a_number(opened)
        assert await opened.violations() == []
        await page.keyboard.type("2")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("dialog[open] .price")
        assert await page.evaluate("document.activeElement.id") == "dialog-title", "a second Enter buys nothing that is not read yet"
        assert await opened.violations() == []
        await page.keyboard.press("Escape")
        await page.wait_for_function("() => !document.querySelector('dialog[open]')")
        assert await page.evaluate("document.activeElement.closest('tr').id") == "row-planning"


async def test_a_key_that_is_held_down_shows_the_price_and_does_not_buy(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await ask_for_a_number(opened)
        before = len(served.bench.company.orders)
        await page.keyboard.down("Enter")
        await page.wait_for_selector("dialog[open] .price")
        buy = page.locator("dialog[open] .actions .primary")
        await buy.evaluate(
            "button => { window.presses = 0; button.addEventListener('click', () => { window.presses += 1; }); button.focus(); }"
        )
        for _ in range(3):
            await page.keyboard.down("Enter")  # what a keyboard repeats while the key is held
        assert await page.evaluate("window.presses") == 0
        assert len(served.bench.company.orders) == before, "nothing is bought"
        await page.keyboard.up("Enter")
        await buy.press("Enter")
        await page.wait_for_url("**/licences?order=*")


async def test_a_dialog_takes_input_from_its_first_moment(chromium: Browser, served: Served) -> None:
    """A form that is shown but not yet bound to its dialog would be sent as a whole page, and lead away from this one."""
    async with window(chromium, served.origin) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/licences")
        await page.evaluate(
            "document.addEventListener('htmx:afterSwap', () => setTimeout(() => document.querySelector('dialog form').requestSubmit()), "
            "{once: true})"
        )
        await page.locator("#buy-planning").click()
        await page.wait_for_selector(".price")
        assert await page.locator("dialog[open] .price").count(), "the price was shown on a page of its own"


async def test_a_click_is_not_lost_when_the_numbers_change_while_the_button_is_pressed(chromium: Browser, served: Served) -> None:
    """A browser makes no click of a press and a release on two elements, even if the second one stands for the first."""
    async with window(chromium, served.origin) as opened:
        page, company = opened.page, served.bench.company
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/licences")
        await page.locator("#buy-planning").hover()
        await page.mouse.down()
        company.modules["planning"].refused += 1_233
        async with page.expect_response("**/licences/numbers*"):
            await page.evaluate("htmx.trigger(document.body, 'live-changed')")
        await page.evaluate("new Promise((done) => setTimeout(done))")
        await page.mouse.up()
        await page.wait_for_selector("dialog[open] input[name=number]:focus")
        await page.get_by_text("Planning: 1’234 people were refused").wait_for()
        company.modules["planning"].refused = 1


async def test_a_page_of_a_tenant_that_an_operator_has_opened_is_accessible(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        await opened.use_session(session_of(served.bench, OPERATOR))
        await opened.open("/operator/tenants/acme/open")
        await opened.page.get_by_label("Reason").fill("ticket 4711")
        await opened.page.keyboard.press("Enter")
        await opened.page.wait_for_selector(".opened")
        assert await opened.violations() == []


async def test_a_part_that_cannot_be_refreshed_stays_and_says_so_until_it_can(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page, url = opened.page, "**/operator/status/parts"
        await opened.use_session(session_of(served.bench, OPERATOR))
        await page.route(url, lambda route: route.fulfill(status=503, body="<div>lost</div>", content_type="text/html"))
        await opened.open("/operator/status")
        refresh = "htmx.ajax('GET', '/operator/status/parts', {source: '#parts', target: '#parts', swap: 'outerHTML'})"
        for _ in range(2):
            await page.evaluate(refresh)
        await page.wait_for_selector("#parts > .stale")
        assert [await page.locator(each).count() for each in ("#parts > .stale", "#parts table")] == [1, 1]
        assert await page.locator("#parts").get_attribute("hx-trigger") == "every 5s"
        await page.unroute(url)
        await page.evaluate(refresh)
        await page.wait_for_function("() => !document.querySelector('.stale') && document.querySelector('#parts table')")
        assert all("503" in each for each in opened.wrong), opened.wrong
        opened.wrong.clear()


async def test_only_a_page_that_somebody_sees_is_connected_and_hears_of_what_changed_meanwhile(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page, company = opened.page, served.bench.company
        pages = served.bench.wiring.live._pages

        async def show(*, hidden: bool) -> None:
            shown = f"Object.defineProperty(document, 'hidden', {{value: {str(hidden).lower()}, configurable: true}})"
            await page.evaluate(f"{shown}; document.dispatchEvent(new Event('visibilitychange'))")

        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/licences")
        await page.wait_for_selector("#use figure")
        await page.wait_for_selector("#changes table")
        await wait_until(lambda: len(pages.get("acme", ())) == 1, what="the connection")
        await show(hidden=True)
        await wait_until(lambda: not pages.get("acme"), what="the end of the connection")
        company.modules["planning"].refused += 1_233
        await show(hidden=False)
        await page.get_by_text("Planning: 1’234 people were refused").wait_for()
        company.modules["planning"].refused = 1


async def test_numbers_that_are_no_longer_live_say_so_and_those_of_a_session_that_has_ended_lead_to_the_sign_in(
    chromium: Browser, served: Served
) -> None:
    async with window(chromium, served.origin) as opened:
        page, live = opened.page, "**/licences/live*"
        secret = session_of(served.bench, ADMINISTRATOR)
        await opened.use_session(secret)
        for path in (live, "**/licences/numbers*"):
            await page.route(path, lambda route: route.abort())
        await opened.open("/tenants/acme/licences")
        await page.wait_for_selector("#numbers > .stale")
        await page.unroute("**/licences/numbers*")
        await page.unroute(live)
        await page.wait_for_function("() => !document.querySelector('#numbers > .stale')")
        await page.route(live, lambda route: route.abort())
        served.bench.company.sessions.pop(secret)
        served.bench.wiring.sessions.forget(secret)
        await page.wait_for_url("**/sign-in?next=/tenants/acme/licences")
        opened.wrong.clear()  # the browser reports the requests that failed


async def test_a_page_whose_reader_has_lost_the_right_does_not_connect_again(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page, tried = opened.page, []
        secret = session_of(served.bench, ADMINISTRATOR)
        await opened.use_session(secret)
        page.on("request", lambda request: tried.append(request.url) if "/licences/live" in request.url else None)
        await page.clock.install()
        await opened.open("/tenants/acme/licences")
        await wait_until(lambda: bool(served.bench.wiring.live._pages.get("acme")), what="the connection")
        served.bench.company.sessions[secret]["rights"] = ("log:read",)
        await page.wait_for_selector("#numbers > .stale")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        for _ in range(60):
            await page.clock.run_for(2_000)
        assert len(tried) == 1
        opened.wrong.clear()  # the browser reports the request that was refused


async def test_back_leads_to_the_page_of_a_form_whose_answer_is_kept_nowhere(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/people?status=active")
        await page.locator("input[name=user]").first.check()
        await page.get_by_role("button", name="Deactivate", exact=True).click()
        await page.get_by_role("heading", level=1, name="Deactivate").wait_for()
        await opened.open("/tenants/acme/settings")
        await page.go_back()
        await page.get_by_role("heading", level=1, name="People").wait_for()
        assert page.url.endswith("/tenants/acme/people?status=active")


async def test_a_page_without_its_console_tries_to_connect_more_and_more_rarely(chromium: Browser, served: Served) -> None:
    async with window(chromium, served.origin) as opened:
        page, tried = opened.page, []

        async def refuse(route: Route) -> None:
            tried.append(route.request.url)
            await route.abort()

        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await page.route("**/licences/live*", refuse)
        await page.route("**/licences/numbers*", lambda route: route.abort())
        await page.clock.install()
        await opened.open("/tenants/acme/licences")
        for _ in range(200):
            await page.clock.run_for(2_000)
        await page.goto("about:blank")
        assert 5 < len(tried) <= 12, "in 400 seconds"
        opened.wrong.clear()  # the browser reports the requests that failed


async def test_a_dialog_has_the_focus_where_it_is_needed_and_gives_it_back_also_to_a_part_that_was_replaced(
    chromium: Browser, served: Served
) -> None:
    async with window(chromium, served.origin) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/licences")
        await page.locator("#buy-planning").press("Enter")
        await page.wait_for_selector("dialog[open] input[name=number]:focus")
        await page.locator("dialog input[name=number]").select_text()
        box = await page.locator("dialog input[name=number]").bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 5, box["y"] + 5)
        await page.mouse.down()
        await page.mouse.move(3, 3)
        await page.mouse.up()
        assert await page.locator("dialog[open]").count() == 1, "a selection that ends outside the dialog does not close it"
        numbers = "htmx.ajax('GET', '/tenants/acme/licences/numbers', {source: '#numbers', target: '#numbers', swap: 'outerHTML'})"
        await page.evaluate(f"document.getElementById('numbers').dataset.old = 'yes'; {numbers}")
        await page.wait_for_function("() => !document.getElementById('numbers').dataset.old")
        await page.keyboard.press("Escape")
        await page.wait_for_function("() => document.activeElement.id === 'buy-planning'")
        await page.evaluate(
            "document.getElementById('dialog-content').innerHTML = '<h2 id=dialog-title tabindex=-1>T</h2><input autofocus><input id=w "
            "aria-invalid=true>'; document.getElementById('dialog-content').dispatchEvent(new CustomEvent('htmx:afterSwap', "
            "{bubbles: true, detail: {target: document.getElementById('dialog-content')}}))"
        )
        assert await page.evaluate("document.activeElement.id") == "w", "a wrong field comes first, and then the first field"


async def test_a_dialog_asks_first_a_busy_preview_appears_by_itself_and_a_copy_button_says_that_it_has_copied(
    chromium: Browser, served: Served
) -> None:
    rest, answers = "POST users /v1/tenants/acme/people", served.bench.company.answers
    async with window(chromium, served.origin, permissions=["clipboard-read", "clipboard-write"]) as opened:
        page = opened.page
        await opened.use_session(session_of(served.bench, ADMINISTRATOR))
        await opened.open("/tenants/acme/access/clients/client-1")
        await page.get_by_text("Revoke the client").click()
        await page.wait_for_selector("dialog[open] form button.danger")
        assert await opened.violations() == []
        await page.keyboard.press("Escape")
        await opened.open("/tenants/acme/people")
        answers[rest] = problem(429, "too-many-requests", "Too many what-if questions.", headers={"retry-after": "1"})
        await page.get_by_text("Add a person").click()
        await page.locator("dialog input[name=name]").fill("Eve")
        await page.locator("dialog input[name=invite]").uncheck()
        await page.get_by_text("Show what happens").click()
        await page.wait_for_selector("dialog[open] .missing")
        del answers[rest]
        await page.wait_for_selector("dialog[open] #preview-head")
        assert await page.locator("dialog input[name=name]").input_value() == "Eve"
        await opened.open("/tenants/acme/access/clients/new")
        await page.locator("input[name=name]").fill("Copied")
        await page.locator("input[value='users:read']").check()
        await page.locator("main form.stack button.primary").click()
        await page.locator("[data-copy]").click()
        await page.wait_for_function("() => document.querySelector('[data-copy] + [role=status]').textContent === 'Copied'")
        secret = await page.locator("#secret").input_value()
        assert (await page.evaluate("navigator.clipboard.readText()"), await opened.violations()) == (secret, [])
