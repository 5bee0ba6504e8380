"""Readers with few rights, on the console's pages: what would be refused to them is not shown."""

import re
from html import unescape

import pytest

from shared.schemas.rights import ROLES_MANAGE, TENANT_RIGHTS
from tests.support.console import Browser, console

LINK = re.compile(r'(?:href|hx-get)="(/[^"#]*)')


async def crawl(browser: Browser) -> set[str]:
    """Open the first page and everything to which it leads. Return the addresses."""
    seen: set[str] = set()
    waiting = {"/": ""}
    while waiting:
        url, source = waiting.popitem()
        page = await browser.get(url)
        seen.add(url.split("?")[0])
        assert page.status_code != 403, f"{source} leads to {url}, which is refused"
        assert page.status_code < 500, f"{source} leads to {url}, which fails"
        assert "Your roles do not allow this" not in page.text, url
        links = {unescape(each) for each in LINK.findall(page.text)}
        waiting |= {each: url for each in links if each.split("?")[0] not in seen and not each.startswith("/static/")}
    return {each.removeprefix("/tenants/acme/") for each in seen}


LEADS = {
    "account:read": {"licences", "plan", "orders", "invoices", "settings"},
    "account:buy": {"settings"},
    "users:read": {"people", "profiles", "settings"},
    "users:manage": {"people/add", "people/import", "settings"},
    "log:read": {"log", "settings"},
    "settings:manage": {"settings"},
    "roles:manage": {"access", "access/scim/okta/groups/g1", "settings"},
    "roles:manage users:manage": {"access", "people/checks/scim/okta"},
}


@pytest.mark.parametrize("rights", LEADS)
async def test_T24_no_link_leads_a_reader_with_few_rights_to_what_is_refused(rights: str) -> None:
    async with console() as bench:
        found = await crawl(bench.signed_in("kim", rights=tuple(rights.split()), clock="test"))
        assert found >= LEADS[rights]
    assert {*LEADS} >= {*TENANT_RIGHTS}


async def test_E9_no_link_leads_a_reader_with_a_viewset_to_what_is_refused() -> None:
    rights = tuple(each for each in TENANT_RIGHTS if each != ROLES_MANAGE)  # an owner has no viewset
    async with console() as bench:
        found = await crawl(bench.signed_in("kim", rights=rights, departments=["Research"]))
        assert {"licences", "people", "people/checks", "people/u1", "log", "profiles"} <= found
        assert "people/import" not in found, "it is about all departments"


async def test_a_person_is_added_and_a_file_imported_by_a_reader_who_may_not_see_people() -> None:
    async with console() as bench:
        browser = bench.signed_in("kim", rights=("users:manage",))
        await browser.get("/tenants/acme/people/add")
        added = await browser.post("/tenants/acme/people/add", step="add", name="New Person", kind="employee")
        assert (added.status_code, "The person was added." in added.text) == (200, True)
