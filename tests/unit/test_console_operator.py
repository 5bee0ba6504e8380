"""The console's pages of the operator, with the REST of the services in memory."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.console.pages.billing import TEXTS
from services.console.pages.dead_letters import readable
from services.console.pages.tenant_templates import TEMPLATES, TenantTemplate
from services.console.rendering import languages
from services.invoicing.api.requests import SubscriptionBody
from tests.support.console import Browser, ConsoleBench, console, problem
from tests.support.console_operator import letter, status
from tests.support.console_people import reply

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


def sell(bench: ConsoleBench) -> None:
    """Let invoicing sell the plans of the operator's catalogue."""
    bench.company.answers["GET invoicing /v1/plans"] = reply({"items": bench.company.operator.plans, "next": None})


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the page itself."""
    body = page.text[page.text.index("<main") :] if "<main" in page.text else page.text
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").replace("&amp;", "&").split())


async def test_the_pages_of_the_operator_do_not_exist_for_anybody_else(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    tenants, letters = (
        ("tenants/new", "tenants/birch/set-up", "tenants/acme/sources", "tenants/acme/sources/end?source=hr/acme"),
        ("dead-letters", "dead-letters/users/17"),
    )
    catalogue, asked = ("catalogue", "catalogue/file", "catalogue/plans/standard"), ("requests", "requests/birch/r1")
    for path in (*tenants, *letters, *catalogue, *asked, "status", "status/parts"):
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
    sell(bench)
    page = await browser.get("/operator/tenants/birch/set-up?template=auto-expand")
    assert "Lab (optional) CHF 7.00 per month" in words(page)
    assert '<option value="CH" selected>' in page.text, "the country of the company's time zone"
    assert 'value="2027-01-29"' in page.text, "the first day is today for the company, by its test clock and time zone"
    wrong = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand", "licences-projects": "many"}))
    assert "Enter a whole number up to 10,000,000, or nothing." in words(wrong)
    wrong = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand", "licences-projects": ""}))
    assert "Enter the licences of one module at least." in words(wrong)
    assert rest.sent == []
    fault = {"field": "body.modules.0.licences", "value": 1000, "expected": "at least 2000 licences, as the plan standard allows"}
    bench.company.answers["POST invoicing /v1/tenants/birch/subscription"] = problem(422, "invalid", "not valid", errors=[fault])
    wrong = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand"}))
    assert "per month at least 2000 licences, as the plan standard allows" in words(wrong), "beside its field"
    bench.company.answers["GET invoicing /v1/tenants/birch/subscription"] = httpx.Response(503)
    lost = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand"}))
    assert "Your change may have been made." in words(lost), "the billing details were, before a service failed"
    del bench.company.answers["GET invoicing /v1/tenants/birch/subscription"]
    del bench.company.answers["POST invoicing /v1/tenants/birch/subscription"]
    rest.sent.clear()
    done = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand"}))
    assert "The subscription was started." in words(done)
    assert done.url.path == "/operator/tenants/birch/sources", "the next step, unless the company imports nobody"
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
    bench.company.answers["PUT users /v1/tenants/birch/profiles/everybody"] = problem(412, "precondition-failed", "It is there already.")
    done = await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "auto-expand"}))
    assert "The subscription was started." in words(done), "a profile that the company has made stays as it is"
    del bench.company.answers["PUT users /v1/tenants/birch/profiles/everybody"]
    assert [each.headers["if-match"] for each in bench.company.requests if each.url.path.endswith("profiles/everybody")] == ['"0"'] * 2
    rest.sent.clear()
    await browser.get("/operator/tenants/birch/set-up?template=request-only")
    await browser.post("/operator/tenants/birch/set-up", **(BOUGHT | {"template": "request-only", "profile": ""}))
    assert ("PUT", "ordering", {"ordering": "by_request"}) in rest.sent
    assert "This company has a subscription already." in words(await browser.get("/operator/tenants/acme/set-up"))
    bench.company.status = "ended"
    assert "Start the subscription" in words(await browser.get("/operator/tenants/acme/set-up")), "a new one may follow"


async def test_the_sources_of_a_tenant_are_shown_in_pages_with_the_topics_to_which_they_are_bound(bench: ConsoleBench) -> None:
    browser, rest, url = operator(bench), bench.company.operator, "/operator/tenants/acme/sources"
    shown = words(await browser.get(url))
    assert "hr/acme hr.events.v1 shared by all sources that are not bound 0 End" in shown
    assert "hr/group hr.events.v1.group the source is bound to it 1 End" in shown
    rest.sources |= {f"hr/{number:03}": ["acme"] for number in range(60)}
    first = (await browser.get(url)).text
    assert ("hr/049" in first, "hr/050" in first) == (True, False)
    following = re.search(r'href="([^"]+cursor=[^"]+)"', first)
    assert following is not None
    assert "hr/050" in (await browser.get(unescape(following[1]))).text


async def test_an_operator_allows_a_source_and_its_other_tenants_stay(bench: ConsoleBench) -> None:
    browser, rest, url = operator(bench), bench.company.operator, "/operator/tenants/birch/sources"
    setup = await browser.get("/operator/tenants/birch/set-up")
    assert f'href="{url}"' in setup.text
    page = await browser.get(url)
    assert "No source may send facts about this company yet." in words(page)
    assert 'value="hr/birch"' in page.text, "the page proposes a name"
    for name, why in (
        ("scim/okta", "this name is reserved for Seatpool itself"),
        (" ", "Enter the name of the source"),
        ("x" * 301, "Enter"),
    ):
        wrong = await browser.post(url, source=name)
        assert (wrong.status_code, why in words(wrong)) == (422, True), name
    done = await browser.post(url, source=" hr/birch ")
    assert (done.url.path, rest.sources["hr/birch"]) == (url, ["birch"])
    assert "hr/birch may send facts about Birch & Sons now." in words(done)
    assert 'value="hr/birch"' not in done.text, "it is not proposed again"
    await browser.get(url)
    done = await browser.post(url, source="hr/group")
    assert rest.sources["hr/group"] == ["acme", "birch", "cedar"]
    assert "It may send facts about 2 other companies, too." in words(done)
    assert "hr/birch hr.events.v1" in words(done)


async def test_a_source_that_another_operator_changes_meanwhile_loses_no_tenant(
    bench: ConsoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, rest, url = operator(bench), bench.company.operator, "/operator/tenants/birch/sources"
    read, others = rest._source, ["dune", "elm"]

    def read_and_change(source: str, request: httpx.Request) -> httpx.Response:
        answer = read(source, request)
        if others:
            rest.sources[source] = sorted([*rest.sources[source], others.pop()])
        return answer

    monkeypatch.setattr(rest, "_source", read_and_change)
    await browser.get(url)
    await browser.post(url, source="hr/group")
    assert rest.sources["hr/group"] == ["acme", "birch", "cedar", "dune", "elm"]
    others += ["f", "g", "h"]
    await browser.get(f"{url}/end?source=hr/group")
    others[:] = ["f", "g", "h", "i"]
    refused = await browser.post(f"{url}/end?source=hr/group")
    assert (refused.status_code, "birch" in rest.sources["hr/group"]) == (409, True), "three times is enough"


async def test_an_operator_ends_a_source_for_one_tenant_after_a_question_that_says_what_it_means(bench: ConsoleBench) -> None:
    browser, rest, url = operator(bench), bench.company.operator, "/operator/tenants/acme/sources"
    asked = words(await browser.get(f"{url}/end?source=hr/group"))
    for said in (
        "Source hr/group Company Alpenrose AG",
        "From then on, facts about this company from this source become dead letters.",
        "What it has reported stays",
        "Nothing changes for 1 other company of this source.",
        "The source stays bound to its own topic hr.events.v1.group.",
    ):
        assert said in asked
    done = await browser.post(f"{url}/end?source=hr/group")
    assert (done.url.path, rest.sources["hr/group"]) == (url, ["cedar"])
    assert "hr/group may no longer send facts about this company." in words(done)
    assert (await browser.get(f"{url}/end?source=hr/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("time_zone", "country"), [("Europe/Berlin", "DE"), ("America/New_York", "US"), ("UTC", ""), ("Asia/Kolkata", "IN")]
)
def test_the_country_of_a_company_is_at_first_that_of_its_time_zone(time_zone: str, country: str) -> None:
    assert languages.country_of(time_zone) == country


async def test_a_set_up_keeps_the_billing_details_that_only_the_customer_has_entered(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    sell(bench)
    own = {
        "organisation_number": "CHE-1", "document_format": "xrechnung_cii", "buyer_reference": "R-17", "purchase_order": "PO-9",
        "electronic_address": "0088:1", "copy_to_administrators": False, "postcode": "3000", "vat_id": "CHE-2",
    }  # fmt: skip
    known = {name: BOUGHT[name] for name in ("company", "street", "city", "country", "email")} | own
    shown = known | {"version": "v1", "tax_category": "S", "tax_rate_percent": "8.1", "tax_reason": "", "tax_rule": "domestic"}
    bench.company.answers["GET invoicing /v1/tenants/birch/billing-details"] = reply(shown)
    url, asked = "/operator/tenants/birch/set-up", BOUGHT | {"template": "red-mark", "postcode": "3000", "vat_id": "CHE-2"}
    await browser.get(url)
    await browser.post(url, **asked)
    assert [what for _, what, _ in rest.sent] == ["subscription", "profiles/everybody"], "nothing differs"
    rest.sent.clear()
    await browser.get(url)
    await browser.post(url, **(asked | {"street": "2 Street", "vat_id": ""}))
    assert rest.sent[0] == ("PUT", "billing-details", known | {"street": "2 Street", "vat_id": None})


async def test_a_set_up_does_not_overwrite_billing_details_that_somebody_else_has_changed_meanwhile(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    sell(bench)
    url, path = "/operator/tenants/birch/set-up", "invoicing /v1/tenants/birch/billing-details"
    first = re.search(r'name="etag" value="([^"]+)"', (await browser.get(url)).text)
    assert first is not None
    assert unescape(first[1]) == '"0"', "there are none yet"
    theirs = dict.fromkeys((*TEXTS, "copy_to_administrators")) | {name: BOUGHT[name] for name in ("company", "street", "country", "email")}
    bench.company.answers[f"GET {path}"] = reply(theirs | {"city": "Basel"}, etag='"v7"')
    bench.company.answers[f"PUT {path}"] = problem(412, "precondition-failed", "It was changed.")
    stale = await browser.post(url, **(BOUGHT | {"etag": '"0"'}))
    assert (stale.status_code, "If you save it, it replaces them. City Basel Red mark" in words(stale)) == (422, True)
    assert rest.sent == [], "no subscription is started"
    assert 'name="etag" value="&#34;v7&#34;"' in stale.text
    del bench.company.answers[f"PUT {path}"]
    done = await browser.post(url, **(BOUGHT | {"etag": '"v7"'}))
    assert "The subscription was started." in words(done)
    sent = [each.headers["if-match"] for each in bench.company.requests if each.method == "PUT" and "billing" in each.url.path]
    assert sent == ['"0"', '"v7"']


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_invoicing_takes_each_template_as_it_is(template: TenantTemplate) -> None:
    modules = [{"module": "projects", "licences": 3, "policies": template.policies_for(3)}]
    body = {"plan": "standard", "term": "monthly", "period_start": "2026-03-05", "modules": modules, **template.subscription}
    assert SubscriptionBody.model_validate(body).modules[0].policies.over_limit == template.policies["over_limit"]


async def test_the_status_says_what_is_late_what_is_down_and_what_an_operator_must_do(bench: ConsoleBench) -> None:
    rest = bench.company.operator
    page = words(await operator(bench).get("/operator/status"))
    assert "users 0.1.0 needs attention 3 seats.events.v1: 3 0 – 2 4 wait behind them" in page
    assert "seats 0.1.0 running 0 0 – 0" in page
    assert "invoicing 0.1.0 needs attention 0 7 5 minutes 0" in page
    assert "not reachable" not in page
    bench.company.down.add("invoicing")
    rest.statuses["users"] = status("users", behind=None)
    parts = await operator(bench).get("/operator/status/parts")
    assert "<main" not in parts.text
    assert "1 service is not reachable" in words(parts)
    assert "The broker is not reachable" in words(parts)
    assert "invoicing not reachable – – – –" in words(parts)


async def test_dead_letters_of_all_services_are_listed_and_one_service_that_is_down_hides_no_others(bench: ConsoleBench) -> None:
    browser = operator(bench)
    page = words(await browser.get("/operator/dead-letters"))
    assert "hr.v1.person_hired users:17 · hr.events.v1/2/4711 A field of the message is missing or wrong." in page
    assert "Technical detail: body.email: not an e-mail address acme open" in page
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
    assert "It failed again: The message was not accepted." in words(await browser.post(f"{url}/retry"))
    missing = await browser.post(f"{url}/discard", reason=" ")
    assert (missing.status_code, "Enter a reason of at most 500 characters." in words(missing)) == (422, True)
    done = await browser.post(f"{url}/discard", reason="a test")
    assert "The message was discarded." in words(done)
    assert "Discarded by vera a test" in words(done), "somebody whom users no longer lists"
    next(each for each in rest.letters["users"] if each["id"] == 17)["discarded_by"] = "op1"
    assert "Discarded by Vera Vind a test" in words(await browser.get(url))
    assert "/retry" not in done.text
    rest.letters["users"].append(letter(19, type="<script>", detail="<b>x</b>"))
    page = await browser.get("/operator/dead-letters/users/19")
    assert "<script>" not in page.text[page.text.index("<main") :]
    rest.letters["users"][-1]["status"] = "done"
    late = await browser.post("/operator/dead-letters/users/19/retry")
    assert (late.status_code, "was processed or discarded already" in words(late)) == (409, True)
    answered = await browser.get("/operator/dead-letters/notifier/1000000000000001")
    assert "Seats has answered this command already." in words(answered)
    assert "/retry" not in answered.text
    discarded = await browser.post("/operator/dead-letters/notifier/1000000000000001/discard", reason="a test")
    assert "Then discard this one." not in words(discarded)
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


async def test_the_catalogue_shows_each_plan_with_its_history_and_lists_that_are_not_in_force(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    (price,) = rest.plans[1]["prices"]
    limits = [{"module": "projects", "minimum": 3, "maximum": 500}]
    steps = {"included": 5, "steps": [{"up_to": 50, "amount_minor": 800}]}
    rest.plans[1] |= {"holds_from": "2026-04-01", "prices": [price | steps], "limits": limits}
    sell(bench)
    page = words(await browser.get("/operator/catalogue"))
    assert "Standard standard Version 1 History" in page
    assert "Lab monthly CHF 7.00" in page
    assert "Starter starter Version 1 · by request not in force until 1 Apr 2026" in page
    assert "Projects monthly CHF 9.00 5 included up to 50: CHF 8.00 3 to 500 licences" in page
    history = words(await browser.get("/operator/catalogue/plans/standard"))
    assert "1 Apr 2026 not in force yet Lab, monthly: CHF 7.00 → up to 50: CHF 8.00; then CHF 7.50 Vera Vind" in history
    assert "at once Projects, monthly: – → CHF 12.00 Projects, yearly: – → CHF 120.00 Lab, monthly: – → CHF 7.00 ci" in history
    file = await browser.get("/operator/catalogue/file")
    assert (file.headers["content-disposition"], file.text[:9]) == ('attachment; filename="catalogue.yaml"', "version: ")


async def upload(browser: Browser, text: str) -> httpx.Response:
    page = await browser.get("/operator/catalogue")
    token = re.search('name="_token" value="([^"]+)"', page.text)
    assert token is not None
    page = await browser.http.post(
        "/operator/catalogue/check", data={"_token": token[1]}, files={"file": ("catalogue.yaml", text)}, follow_redirects=True
    )
    browser.last = page.text
    return page


async def test_a_file_shows_its_differences_and_is_applied_only_to_the_catalogue_that_it_was_compared_with(
    bench: ConsoleBench,
) -> None:
    browser, rest = operator(bench), bench.company.operator
    assert "Choose the file with the catalogue." in words(await upload(browser, " "))
    assert "Line 2: mapping values are not allowed here" in words(await upload(browser, "modules:\n  a: b: c\n"))
    wrong = await upload(browser, "modules:\n  lab:\n    name: ''\n")
    assert (wrong.status_code, "3 modules.lab.name a text of at least 1 character" in words(wrong)) == (422, True)
    assert "The catalogue is already as the file says." in words(await upload(browser, "plans: {}\n"))
    page = await upload(browser, "plans:\n  standard: {name: Standard}\n")
    assert "plans.standard.modules.lab.monthly 7.00 7.50 modules.lab.base – no" in words(page)
    assert "Plan standard has 3 running subscriptions." in words(page)
    assert {what for _, what, _ in rest.sent} == {"dry run"}, "nothing is changed before"
    bench.company.answers["PUT invoicing /v1/catalog"] = httpx.Response(503)
    assert "so nothing was changed" in words(await upload(browser, "plans:\n  standard: {name: Standard}\n")), "it was only compared"
    del bench.company.answers["PUT invoicing /v1/catalog"]
    content = re.search('name="content" value="([^"]+)"', page.text)
    assert content is not None
    text, last = content[1].replace("&#34;", '"'), browser.last
    rest.version = "fedcba9876543210"
    late = await browser.post("/operator/catalogue/apply", content=text)
    assert (late.status_code, "Somebody else has changed the catalogue meanwhile." in words(late)) == (409, True)
    rest.version, browser.last = "0123456789abcdef", last
    assert "The catalogue was applied." in words(await browser.post("/operator/catalogue/apply", content=text))
    assert rest.sent[-1] == ("PUT", "catalogue", {"plans": {"standard": {"name": "Standard"}}, "version": "0123456789abcdef"})
    assert (await browser.post("/operator/catalogue/apply", content="{")).status_code == 422


async def test_A9_A11_a_request_of_any_tenant_is_answered_with_an_estimate_or_declined(bench: ConsoleBench) -> None:
    browser, rest = operator(bench), bench.company.operator
    page = words(await browser.get("/operator/requests"))
    assert "Alpenrose Ann Müller +4 Lab , −2 Planning For the new team. waits for your estimate" in page
    assert "declined" not in page.partition("Company")[2]
    assert "Birch" in words(await browser.get("/operator/requests?state=all"))
    url = "/operator/requests/birch/r1"
    page_of_one = await browser.get(url)
    assert 'value="4"' in page_of_one.text
    assert 'value="12.00"' in page_of_one.text, "the price of the list is suggested"
    fields: dict[str, Any] = {
        "module": ["lab", "planning"], "kind-lab": "add", "kind-planning": "reduce", "count-lab": "5", "count-planning": "2",
        "currency": "CHF", "valid_until": "2026-04-01", "note": "A pleasure.",
    }  # fmt: skip
    for price in ("much", "1e99", "-1", "1.005", "1.250"):
        wrong = await browser.post(f"{url}/estimate", **(fields | {"price-lab": price}))
        assert (wrong.status_code, "Enter a price such as 12.50, or nothing." in words(wrong)) == (422, True), price
    priced = words(await browser.post(f"{url}/estimate", **(fields | {"price-lab": "1,250"})))
    assert "if it is approved today, without tax CHF 48.00 Tax CHF 3.89 Total CHF 51.89" in priced
    assert "Each later period of the whole subscription, without tax CHF 372.00 → CHF 420.00" in priced
    impossible = await browser.post(f"{url}/estimate", **(fields | {"price-lab": "", "count-planning": "27"}))
    assert ("People need a base module" in words(impossible) or "last base module" in words(impossible), rest.sent) == (True, [])
    discounts = {"d0-value": "12,5", "d0-kind": "percent", "d0-module": "lab", "d0-periods": "3", "d1-value": "5.00", "d1-kind": "amount"}
    sent = fields | discounts | {"price-lab": "1,250", "step": "send"}
    assert "The estimate was sent to the customer." in words(await browser.post(f"{url}/estimate", **sent))
    items = [{"module": "lab", "add": 5, "unit_price_minor": 125_000}, {"module": "planning", "reduce": 2}]
    offered = [{"module": "lab", "text": "", "percent": "12.5", "periods": 3}, {"module": None, "text": "", "amount_minor": 500}]
    assert rest.sent == [("PUT", "estimate", {"items": items, "note": "A pleasure.", "discounts": offered, "valid_until": "2026-04-01"})]
    known = {
        "module": "lab",
        "percent": "10",
        "amount_minor": None,
        "from_day": "2026-03-01",
        "until_day": None,
        "text": "loyal",
        "periods": 2,
    }
    rest.requests[0] |= {"state": "estimated", "discounts": [known], "currency": "CHF"}
    rest.coming = [{"from_day": "2026-04-01", "prices": [{"module": "lab", "unit_price_minor": 1300}]}]
    again = await browser.get(url)
    assert 'name="d0-value" type="text" value="10"' in again.text, "another estimate keeps the discounts"
    assert "From the renewal on 1 Apr 2026, the price list has CHF 13.00." in words(again)
    await browser.get(url)
    wrong = await browser.post(f"{url}/decline", reason="")
    assert (wrong.status_code, "The customer gets it." in words(wrong)) == (422, True)
    assert "The request was declined." in words(await browser.post(f"{url}/decline", reason="too late"))
    assert rest.sent[-1] == ("POST", "decline", {"reason": "too late"})
    assert "/estimate" not in (await browser.get("/operator/requests/birch/r2")).text


async def test_a_request_of_a_company_whose_subscription_has_ended_can_only_be_declined(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in("vera", None, ("operator",)), "/operator/requests/birch/r1"
    subscription = {"status": "ended", "coming_prices": []}
    bench.company.answers["GET invoicing /v1/tenants/birch/subscription"] = reply(subscription)
    page = await browser.get(url)
    assert "has ended, so an estimate could not be approved. Start a new subscription, or decline the request." in words(page)
    assert f"{url}/estimate" not in page.text
    assert f"{url}/decline" in page.text
    assert 'href="/operator/tenants/birch/set-up"' in page.text
