"""The console in Chromium on the whole local stack: real decisions, real invoices, a real mailbox."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from shared.schemas.rights import TENANT_RIGHTS
from tests.support.browsers import window
from tests.support.stack import RunningStack
from tests.support.stack_company import StackCompany
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
PLANS = Path(__file__).parents[2] / "examples" / "plans.yaml"


@pytest_asyncio.fixture(loop_scope="session")
async def operator(shared_stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {await shared_stack.token(scope='operator', ttl_seconds='3600')}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        yield http


def cell(page: Page, module: str, label: str) -> Any:
    return page.locator(f'#row-{module} [data-label="{label}"]')


async def test_T5_T9_an_activation_over_the_limit_turns_red_and_a_purchase_clears_it_without_a_reload(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient
) -> None:
    await shared_stack.until_ready()
    company = StackCompany(shared_stack, "browser-live", operator)
    await company.open(projects=5, lab=2)
    await company.add_person("zora")
    await company.add_person("bruno")
    async with window(chromium, shared_stack.addresses["services"]["console"]) as opened:
        page = opened.page
        await company.sign_in(opened)
        await page.evaluate("window.mark = 'the same page'")
        await company.add_person("giulia")
        await expect(cell(page, "lab", "Over the limit")).to_contain_text("1")
        await expect(page.locator("#row-lab")).to_have_class("over")
        await expect(cell(page, "lab", "Over the limit")).to_contain_text("days left")
        await page.locator("#row-lab td.actions a").focus()
        await page.keyboard.press("Enter")  # by keyboard alone from here on
        await page.wait_for_selector("dialog[open] input[name=number]:focus")
        assert await page.input_value("dialog input[name=number]") == "1", "as many as are over the limit"
        assert await page.evaluate("window.mark") == "the same page"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("dialog[open] .price")
        await page.keyboard.press("Tab")  # past the title and the button to close
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("can be used now")).to_be_visible()
        await expect(page.locator("#row-lab .use")).to_contain_text("3 of 3")
        await expect(page.locator("#row-lab.over")).to_have_count(0)
        assert await opened.violations() == []
        await page.locator("#row-lab a[title]").click()
        await page.fill("dialog input[name=number]", "1")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("2 people would be over the limit")).to_be_visible()
        await expect(page.locator("dialog .people-list")).to_contain_text("Giulia")  # T17: who was added last
        await page.get_by_role("button", name="Set to 1").click()
        await expect(cell(page, "lab", "Next period")).to_contain_text("1")


async def test_readers_of_two_tenants_buy_without_scripts_and_see_nothing_of_each_other(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient
) -> None:
    await shared_stack.until_ready()
    companies = [StackCompany(shared_stack, f"browser-plain-{n}", operator) for n in (1, 2)]
    await asyncio.gather(*(company.open(projects=n + 2, lab=1) for n, company in enumerate(companies)))
    origin = shared_stack.addresses["services"]["console"]
    for company, other in zip(companies, reversed(companies), strict=True):
        async with window(chromium, origin, java_script_enabled=False) as opened:
            page = opened.page
            await page.goto(f"{origin}/tenants/{company.tenant}/licences")
            await page.get_by_label("E-mail address").fill(company.email)
            await page.get_by_role("button", name="Send me a link").click()
            await page.goto(origin + await company.link())
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(f"{origin}/tenants/{company.tenant}/licences")  # the page that was wanted
            await page.locator("#row-projects td.actions a").click()
            await page.get_by_label("New total").check()
            await page.get_by_label("Number", exact=True).fill("7")
            await page.get_by_role("button", name="Show the price").click()
            await page.get_by_role("button", name="Buy for").click()
            await expect(page.locator("#row-projects")).to_be_visible()

            async def is_bought(page: Page = page) -> bool:
                await page.reload()
                return "of 7" in await page.locator("#row-projects .use").inner_text()

            await wait_until(is_bought, what="the purchase")
            answer = await page.goto(f"{origin}/tenants/{other.tenant}/licences")
            assert answer is not None
            assert answer.status == 404


async def configure_identity_provider(company: StackCompany) -> None:
    """Enter the identity provider as the owner, and make it effective by a test sign-in."""
    stack, path = company.stack, f"/v1/tenants/{company.tenant}/identity-provider"
    (owner,) = (await company.call("GET", "users", "{tenant}/people?status=all&text=ann"))["items"]
    provider, console = stack.addresses["identity_provider_url"], stack.addresses["services"]["console"]
    async with (
        await stack.http("users", scope=" ".join(TENANT_RIGHTS), tenant=company.tenant, subject=owner["user"]) as own,
        httpx.AsyncClient(timeout=30) as browser,
    ):
        await browser.put(f"{provider}/users/sub-{company.tenant}", json={"preferred_username": company.email})
        entered = {"issuer": provider, "client_id": "seatpool", "client_secret": "a-client-s3cret"}
        (await own.put(path, json=entered)).raise_for_status()
        started = (await own.post(f"{path}/test", json={"redirect_uri": f"{console}/sign-in/callback"})).raise_for_status().json()
        back = (await browser.post(started["authorization_url"], data={"sub": f"sub-{company.tenant}"})).headers["location"]
        came = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        tested = {"flow": started["flow"], "state": came["state"], "code": came["code"]}
        (await own.post(f"{path}/activate", json=tested)).raise_for_status()


async def test_somebody_signs_in_with_the_identity_provider_of_the_company(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient
) -> None:
    await shared_stack.until_ready()
    company = StackCompany(shared_stack, "browser-provider", operator)
    await company.open(projects=5, lab=2)
    await configure_identity_provider(company)
    async with window(chromium, shared_stack.addresses["services"]["console"]) as opened:
        page = opened.page
        opened.allowed = shared_stack.addresses["identity_provider_url"]  # the browser goes there, and no page of the console loads from it
        await opened.open(f"/tenants/{company.tenant}/licences?module=lab")
        await page.get_by_label("Company").fill(company.tenant)
        await page.get_by_role("button", name="Use the identity provider").click()
        await page.locator("input[name=sub]").fill(f"sub-{company.tenant}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Licences", level=1)).to_be_visible()
        assert page.url.endswith(f"/tenants/{company.tenant}/licences?module=lab"), "the page that was wanted"


async def test_T6_T16_two_administrators_see_seven_days_and_a_renewal_pass_and_do_not_overwrite_each_other(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient
) -> None:
    await shared_stack.until_ready()
    company = StackCompany(shared_stack, "browser-clock", operator)
    await company.open(projects=3, lab=2, at="2026-03-02T08:00:00.000Z")
    await company.add_owner("bob")
    for login in ("zora", "bruno", "giulia"):
        await company.add_person(login)
    origin = shared_stack.addresses["services"]["console"]
    async with window(chromium, origin) as anns, window(chromium, origin) as bobs:
        await company.sign_in(anns)
        await company.sign_in(bobs, "bob")
        page, other = anns.page, bobs.page
        await expect(page.locator("#row-lab")).to_have_class("over")
        await page.evaluate("window.mark = 'the same page'")
        for each in (page, other):
            await each.locator("#row-projects a[title]").click()
            await each.wait_for_selector("dialog[open] input[name=number]:focus")
        await other.fill("dialog input[name=number]", "2")
        await other.keyboard.press("Enter")
        await expect(other.get_by_text("1 person would be over the limit")).to_be_visible()
        await other.get_by_role("button", name="Set to 2").click()
        await expect(cell(page, "projects", "Next period")).to_contain_text("2")
        await page.fill("dialog input[name=number]", "1")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Somebody else has changed this number to 2 meanwhile.")).to_be_visible()
        await page.keyboard.press("Escape")
        await company.advance("2026-03-09T09:00:00.000Z")
        await expect(page.locator("#row-lab.over")).to_have_count(0)
        await expect(page.locator("#row-lab .use")).to_contain_text("2 of 2")
        await company.advance("2026-04-02T09:00:00.000Z")
        await expect(page.locator("#row-projects .use")).to_contain_text("3 of 2")
        await expect(page.locator("#row-projects")).to_have_class("over")
        assert await page.evaluate("window.mark") == "the same page"


async def test_A9_an_operator_uploads_the_catalogue_sets_up_a_company_that_buys_by_request_and_answers_it(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient
) -> None:
    await shared_stack.until_ready()
    company = StackCompany(shared_stack, "browser-request", operator)
    await company.call("POST", "users", "/v1/operators", {"email": "vera@browser.example", "name": "Vera Vind"})
    async with window(chromium, shared_stack.addresses["services"]["console"]) as opened:
        page = opened.page
        await company.sign_in(opened, email="vera@browser.example", heading="Tenants")
        await opened.open("/operator/catalogue")
        await page.set_input_files("#f-file", PLANS)
        await page.get_by_role("button", name="Show the differences").click()
        await expect(page.get_by_text("plans.volume.modules.projects.maximum")).to_be_visible()
        await page.get_by_role("button", name="Apply these changes").click()
        await expect(page.get_by_text("The catalogue was applied.")).to_be_visible()
        await opened.open("/operator/tenants/new")
        await page.get_by_role("radio", name="Request only").check()
        fields = {"Name of the company": "Request Ltd", "Short name": company.tenant, "First owner": "Ann Owner"}
        fields |= {"E-mail address of the company": f"it@{company.tenant}.example", "E-mail address of the first owner": company.email}
        for label, value in (fields | {"Your contact for the company": "support@vendor.example"}).items():
            await page.get_by_label(label, exact=label in ("First owner", "E-mail address of the company")).fill(value)
        await page.get_by_role("button", name="Create the tenant").click()
        await page.get_by_label("Plan and term").select_option("standard monthly")
        await page.get_by_role("button", name="Show this choice").click()
        for label, value in {"Projects": "5", "Street": "1 Street", "City": "Copenhagen"}.items():
            await page.get_by_label(label).fill(value)
        await page.get_by_role("button", name="Start the subscription").click()
        await expect(page.get_by_text("The subscription was started.")).to_be_visible()
        await page.get_by_role("button", name="Allow the source").click()
        await expect(page.get_by_text(f"hr/{company.tenant} may send facts about Request Ltd now.")).to_be_visible()
        await page.get_by_role("link", name="End", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="End the source").click()
        await expect(page.get_by_text("No source may send facts about this company yet.")).to_be_visible()
        await company.call("GET", "invoicing", "{tenant}/licences")
        contact = {"name": "Ann Owner", "email": company.email}
        wanted = {"company": "Request Ltd", "contact": contact, "items": [{"module": "projects", "add": 2}]}
        await company.call("POST", "invoicing", "{tenant}/purchase-requests", wanted)
        await opened.open("/operator/requests")
        await page.get_by_role("link", name="Request Ltd").click()
        await expect(page.get_by_label("Price of a licence, EUR")).to_have_value("12.00")
        await page.get_by_role("button", name="Show what it costs").click()
        await expect(page.get_by_text("Each later period of the whole subscription, without tax")).to_be_visible()
        await page.get_by_role("button", name="Send the estimate").click()
        await expect(page.get_by_text("The estimate was sent to the customer.")).to_be_visible()
        await opened.open(f"/operator/tenants?text={company.tenant}")
        await page.get_by_role("link", name="Money").click()
        await page.get_by_role("link", name="Grant a discount").click()
        await page.get_by_label("Value").fill("10")
        await page.get_by_role("button", name="Show what it changes").click()
        await page.get_by_role("button", name="Grant the discount").click()
        await expect(page.get_by_text("The discount was granted.")).to_be_visible()
        await opened.open(f"/operator/tenants?text={company.tenant}")
        await page.get_by_role("link", name="Open").click()
        await page.get_by_label("Reason").fill("ticket 4711")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("You read Request Ltd as an operator until")).to_be_visible()
        await page.get_by_role("button", name="Close the tenant").click()
        await opened.open("/operator/status")
        await expect(page.get_by_role("row")).to_have_count(5)
        assert await opened.violations() == []


async def test_E4_A14_people_are_added_changed_together_imported_and_explained(
    chromium: Browser, shared_stack: RunningStack, operator: httpx.AsyncClient, tmp_path: Path
) -> None:
    await shared_stack.until_ready()
    company = StackCompany(shared_stack, "browser-people", operator)
    await company.open(projects=2, lab=1)
    await company.call("PUT", "users", "/v1/operator/sources/hr/browser-people", {"tenants": [company.tenant]})
    await company.add_person("zora")
    people = f"/tenants/{company.tenant}/people"
    async with window(chromium, shared_stack.addresses["services"]["console"]) as opened:
        page = opened.page
        await company.sign_in(opened)
        await opened.open(people)
        await page.get_by_role("link", name="Add a person").click()
        await page.get_by_label("Name", exact=True).fill("Bruno <b>")
        await page.get_by_label("Login").fill("bruno")
        await page.get_by_label("Profile").last.select_option("staff")
        await page.get_by_label("Invite the person by e-mail").uncheck()
        await page.get_by_role("button", name="Show what happens").click()
        await expect(page.locator("dialog .chips")).to_contain_text("over the limit")
        assert await opened.violations() == []
        await page.get_by_role("button", name="Add the person").click()
        await expect(page.get_by_role("heading", name="Bruno <b>", level=1)).to_be_visible()
        await expect(page.locator("tr.over")).to_contain_text("All licences were in use")
        assert await opened.violations() == []

        await opened.open(people)
        await page.get_by_label("Select Zora").check()
        await page.get_by_role("button", name="Deactivate").click()
        await expect(page.get_by_text("1 person may no longer log in")).to_be_visible()
        await expect(page.locator(".price")).to_contain_text("Laboratory")
        await page.get_by_role("button", name="Deactivate 1 person").click()
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_role("heading", name="Undone", level=1)).to_be_visible()
        await expect(page.get_by_text("1 person was changed")).to_be_visible()

        file = tmp_path / "people.csv"
        file.write_text("employee_id,start_date,login,name,department\n1,2026-01-02,eva,Eva Noll,Research\n2,soon,tim,Tim,Research\n")
        await opened.open(f"{people}/import")
        await page.get_by_label("File", exact=True).set_input_files(file)
        await page.get_by_label("Source", exact=True).fill("hr/browser-people")
        await page.get_by_role("button", name="Show what happens").click()
        await expect(page.get_by_text("start_date: ")).to_be_visible()
        await expect(page.get_by_role("row", name="Eva Noll")).to_be_visible()
        await page.get_by_role("button", name="Apply the import").click()
        await expect(page.get_by_text("1 person was changed.")).to_be_visible()
        await opened.open(f"{people}/checks")
        await expect(page.get_by_role("heading", name="Differences between sources")).to_be_visible()
        await expect(page.get_by_role("row", name="Eva Noll")).to_contain_text("Neither the person nor the department has a profile.")

        profiles = f"/tenants/{company.tenant}/profiles"
        await opened.open(f"{profiles}/department")
        await page.get_by_label("Department", exact=True).fill("Research")
        await page.get_by_label("Profile", exact=True).select_option("staff")
        await page.get_by_role("button", name="Show what happens").click()
        await expect(page.get_by_text("1 person would require other modules.")).to_be_visible()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("row", name="Research")).to_contain_text("Staff")
        await opened.open(f"{people}?text=eva")
        await page.get_by_role("link", name="Eva Noll").click()
        await expect(page.get_by_role("heading", name="Timeline by source")).to_be_visible()
        await expect(page.locator(".timeline").last).to_contain_text("Employment begins.")
        assert await opened.violations() == []
