"""The console's pages of the operator, with the REST of the services in memory."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.console.pages.dead_letters import readable
from services.console.pages.tenant_templates import TEMPLATES, TenantTemplate
from services.invoicing.api.requests import SubscriptionBody
from tests.support.console import Browser, ConsoleBench, console
from tests.support.console_operator import letter, status

NEW: dict[str, Any] = {
    "template": "red-mark", "name": "Cedar Ltd", "tenant": "cedar", "time_zone": "Europe/Copenhagen", "locale": "da",
    "contact_email": "it@cedar.example", "support_contact": "help@vendor.example", "owner_name": "Cora",
    "owner_email": "cora@cedar.example",
}  # fmt: skip
BOUGHT: dict[str, Any] = {
    "offer": "standard monthly", "module": ["projects", "lab"], "licences-projects": "1'000", "licences-lab": "",
    "period_start": "2026-03-05", "company": "Birch & Sons", "street": "1 Street", "city": "Bern", "country": "CH",
    "email": "billing@birch.example", "profile": "yes",
}  # fmt: skip


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def operator(bench: ConsoleBench) -> Browser:
    return bench.signed_in("vera", None, ("operator",))


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the page itself."""
    body = page.text[page.text.index("<main") :] if "<main" in page.text else page.text
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


async def test_the_pages_of_the_operator_do_not_exist_for_anybody_else(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    for path in ("tenants/new", "tenants/birch/set-up", "dead-letters", "dead-letters/users/17", "status", "status/parts"):
        assert (await browser.get(f"/operator/{path}")).status_code == 404, path


async def test_tenants_are_searched_by_name_and_short_name(bench: ConsoleBench) -> None:
    browser = operator(bench)
    assert "Alpenrose AG acme open" in words(await browser.get("/operator/tenants"))
    found = words(await browser.get("/operator/tenants?text=%20BIRCH%20"))
    assert "Birch & Sons birch open test clock" in found
    assert "Alpenrose" not in found
    assert "No tenant was found" in words(await browser.get("/operator/tenants?text=nobody"))


async def test_a_tenant_is_created_with_its_first_owner_and_its_errors_stand_beside_the_fields(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    page = await browser.get("/operator/tenants/new")
    assert all(
        title in words(page) for title in ("Red mark and grace", "Hard limit", "Automatic expansion", "Request only", "Active employees")
    )
    wrong = await browser.post("/operator/tenants/new", **(NEW | {"name": " ", "tenant": "acme"}))
    assert (wrong.status_code, "Enter a value." in words(wrong)) == (422, True)
    wrong = await browser.post("/operator/tenants/new", **(NEW | {"tenant": "acme"}))
    assert "There is a tenant with this short name already." in words(wrong)
    assert 'value="Cedar Ltd"' in wrong.text, "the input is kept"
    wrong = await browser.post("/operator/tenants/new", **(NEW | {"owner_email": "nobody"}))
    assert "E-mail address of the first owner The invitation is sent there. an e-mail address" in words(wrong)
    done = await browser.post("/operator/tenants/new", **(NEW | {"template": "active-employees", "clock": "yes"}))
    assert done.url.path == "/operator/tenants/cedar/set-up"
    assert "Cedar Ltd was created." in words(done)
    ((_, _, body),) = rest.sent
    assert body == {
        "tenant": "cedar", "name": "Cedar Ltd", "time_zone": "Europe/Copenhagen", "locale": "da", "contact_email": "it@cedar.example",
        "support_contact": "help@vendor.example", "clock": "test", "at": "2026-03-05T09:00:00.000Z",
        "owner": {"name": "Cora", "email": "cora@cedar.example"}, "release_on_expiry": True,
    }  # fmt: skip


async def test_a_subscription_starts_with_the_policies_of_the_template(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    page = await browser.get("/operator/tenants/birch/set-up?template=auto-expand")
    assert "Lab (optional) CHF 7.00 per month" in words(page)
    wrong = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand", "licences-projects": "many"}))
    assert "Enter a whole number up to 10,000,000, or nothing." in words(wrong)
    wrong = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand", "licences-projects": ""}))
    assert "Enter the licences of one module at least." in words(wrong)
    assert rest.sent == []
    done = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand"}))
    assert "The subscription was started." in words(done)
    sent = {what: body for _, what, body in rest.sent}
    assert list(sent) == ["billing-details", "subscription", "profiles/everybody"]
    assert sent["billing-details"] == {
        "company": "Birch & Sons", "street": "1 Street", "city": "Bern", "country": "CH", "email": "billing@birch.example",
    }  # fmt: skip
    (module,) = sent["subscription"]["modules"]
    assert (module["licences"], module["policies"]["expand_cap"]) == (1000, 2000)
    assert sent["subscription"] | {"modules": []} == {
        "plan": "standard", "term": "monthly", "period_start": "2026-03-05", "modules": [],
        "charge_when": "next_invoice", "credit_when": "next_invoice",
    }  # fmt: skip
    assert sent["profiles/everybody"] == {"name": "Everybody", "modules": ["projects"]}
    rest.sent.clear()
    await browser.get("/operator/tenants/birch/set-up?template=request-only")
    await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "request-only", "profile": ""}))
    assert ("PUT", "ordering", {"ordering": "by_request"}) in rest.sent
    assert "This company has a subscription already." in words(await browser.get("/operator/tenants/acme/set-up"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_invoicing_takes_each_template_as_it_is(template: TenantTemplate) -> None:
    modules = [{"module": "projects", "licences": 3, "policies": template.policies_for(3)}]
    body = {"plan": "standard", "term": "monthly", "period_start": "2026-03-05", "modules": modules, **template.subscription}
    assert SubscriptionBody.model_validate(body).modules[0].policies.over_limit == template.policies["over_limit"]


async def test_the_status_says_what_is_late_what_is_down_and_what_an_operator_must_do(bench: ConsoleBench) -> None:
    rest = bench.company.operator
    page = words(await operator(bench).get("/operator/status"))
    assert "users 0.1.0 needs attention 3 seats.events.v1: 3 0 – 2 4 wait behind them" in page
    assert "seats 0.1.0 well 0 0 – 0" in page
    assert "invoicing 0.1.0 needs attention 0 7 5 minutes 0" in page
    assert "does not answer" not in page
    bench.company.down.add("invoicing")
    rest.statuses["users"] = status("users", behind=None)
    parts = await operator(bench).get("/operator/status/parts")
    assert "<main" not in parts.text
    assert "1 service does not answer" in words(parts)
    assert "The broker does not answer" in words(parts)
    assert "invoicing does not answer – – – –" in words(parts)


async def test_dead_letters_of_all_services_are_listed_and_one_service_that_is_down_hides_no_others(bench: ConsoleBench) -> None:
    browser = operator(bench)
    page = words(await browser.get("/operator/dead-letters"))
    assert "hr.v1.person_hired users:17 · hr.events.v1/2/4711 invalid body.email: not an e-mail address acme open" in page
    assert "unknown type users:18" in page
    bench.company.down.add("users")
    page = words(await browser.get("/operator/dead-letters"))
    assert "The dead letters of users cannot be shown now" in page
    assert "notifier:1000000000000001" in page
    asked = [each.url for each in bench.company.requests if each.url.path.endswith("dead-letters")]
    await browser.get("/operator/dead-letters?service=notifier&status=done&tenant=acme&cursor=c1")
    new = [each.url for each in bench.company.requests if each.url.path.endswith("dead-letters")][len(asked) :]
    assert [dict(each.params) for each in new] == [{"status": "done", "tenant": "acme", "cursor": "c1", "limit": "50"}]


async def test_a_dead_letter_shows_its_bytes_and_is_retried_or_discarded_with_a_reason(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    url = "/operator/dead-letters/users/17"
    page = await browser.get(url)
    assert "&#34;login&#34;: &#34;ada&#34;" in page.text
    assert "ce_source hr/acme" in words(page)
    rest.fails = True
    assert "It failed again: still-wrong. it is still wrong" in words(await browser.post(f"{url}/retry"))
    missing = await browser.post(f"{url}/discard", reason=" ")
    assert (missing.status_code, "Enter a reason of at most 500 characters." in words(missing)) == (422, True)
    done = await browser.post(f"{url}/discard", reason="a test")
    assert "The message was discarded." in words(done)
    assert "Discarded by vera a test" in words(done)
    assert "/retry" not in done.text
    rest.letters["users"].append(letter(19, type="<script>", detail="<b>x</b>"))
    page = await browser.get("/operator/dead-letters/users/19")
    assert "<script>" not in page.text[page.text.index("<main") :]
    rest.letters["users"][-1]["status"] = "done"
    late = await browser.post("/operator/dead-letters/users/19/retry")
    assert (late.status_code, "already has the status done" in words(late)) == (409, True)
    answered = await browser.get("/operator/dead-letters/notifier/1000000000000001")
    assert "Seats has answered this command already." in words(answered)
    assert "/retry" not in answered.text
    assert (await browser.get("/operator/dead-letters/seats/1")).status_code == 404


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a":1}', '{\n  "a": 1\n}'),
        ("grün\n".encode(), "grün\n"),
        (b"\x00\x01\xffA", "000000  00 01 ff 41                                      ...A"),
        (b"\x1b[31m", "000000  1b 5b 33 31 6d                                   .[31m"),
        (b"", ""),
    ],
)
def test_the_bytes_of_a_message_are_readable(value: bytes, shown: str) -> None:
    assert readable(value) == shown
