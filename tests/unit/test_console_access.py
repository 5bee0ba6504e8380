"""The console's pages of roles and access, with the REST of users in memory."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr

from cli.settings import CliSettings
from services.console.settings import Settings
from tests.support.console import KEY_OF_CONSOLE, ConsoleBench, console, problem, reply
from tests.support.console_access import OF_REMOVAL
from tests.support.console_people import PREVIEW

ACCESS = "/tenants/acme/access"


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[ConsoleBench]:
    async with console() as made:
        yield made


def words(page: httpx.Response) -> str:
    """Return what a reader sees of the page itself."""
    body = page.text[page.text.index("<main") :]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def hidden(page: httpx.Response, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, name
    return unescape(found[1])


async def test_T24_roles_are_listed_with_what_they_allow_and_who_holds_them(bench: ConsoleBench) -> None:
    text = words(await bench.signed_in().get(ACCESS))
    assert "Owner Ann Müller everything" in text
    assert "Auditor of your own Zora Schmid see licences, plan and invoices, read the action log" in text
    assert "Reporting since 5 Mar 2026 client-1" in text
    assert "okta stopped: 12 people would lose access 498 5 Mar 2026, 09:00 A value, such as the login, belongs to somebody" in text
    assert "(409 uniqueness)" in text, "the code by which the identity provider shows it"
    assert "20 Mar 2026 , 15 days left" in text
    assert "entra 0 none yet no error no token" in text
    german = words(await bench.signed_in().get(ACCESS, accept_language="de"))
    assert "Inhaber Ann Müller alles" in german
    assert "noch keine kein Fehler kein Token" in german
    bench.company.down = {"users"}
    assert (await bench.signed_in().get(ACCESS)).status_code == 503


async def test_a_role_is_given_and_taken_and_the_last_owner_is_not_taken_away(bench: ConsoleBench) -> None:
    browser, held = bench.signed_in(), bench.company.access.held
    found = await browser.get(f"{ACCESS}/roles/owner?text=zora")
    assert f'href="{ACCESS}/people/u1?role=owner"' in found.text
    last = await browser.get(f"{ACCESS}/people/ann")
    refused = await browser.post(f"{ACCESS}/people/ann", roles=["reader"], sees="all", etag=hidden(last, "etag"))
    assert (refused.status_code, "This is the last owner." in words(refused)) == (422, True)
    assert 'value="reader" checked' in refused.text, "the input stays"
    assert held["ann"] == ["owner"]
    await browser.post(f"{ACCESS}/people/u1", roles=["owner", "auditor"], sees="all", etag='"3"')
    done = await browser.post(f"{ACCESS}/people/ann", roles=["reader"], sees="list", departments="Research\r\n\r\nSales", etag='"3"')
    assert "The roles were saved." in words(done)
    assert (held["u1"], held["ann"]) == (["owner", "auditor"], ["reader"])
    assert bench.company.access.viewsets["ann"] == ["Research", "Sales"]
    empty = await browser.post(f"{ACCESS}/people/u1", roles=["reader"], sees="list", departments=" ", etag='"3"')
    assert (empty.status_code, "Enter at least one department." in empty.text) == (422, True)


async def test_the_pages_of_a_person_and_of_the_persons_roles_lead_to_each_other_for_readers_who_may_see_both(bench: ConsoleBench) -> None:
    person, roles = "/tenants/acme/people/u1", f"{ACCESS}/people/u1"
    browser = bench.signed_in()
    assert f'href="{roles}"' in (await browser.get(person)).text
    assert f'href="{person}"' in (await browser.get(roles)).text
    manager = await bench.signed_in("bob", rights=("users:read", "users:manage")).get(person)
    assert (f'href="{roles}"' in manager.text, "Deactivate" in words(manager)) == (False, True)
    only_roles = await bench.signed_in("eve", rights=("users:read", "roles:manage")).get(person)
    assert (f'href="{roles}"' in only_roles.text, "Deactivate" in words(only_roles)) == (True, False)


async def test_a_mark_or_key_of_a_form_that_no_header_holds_is_sent_as_one_that_fits_nothing(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{ACCESS}/people/u1")
    await browser.post(f"{ACCESS}/people/u1", roles=["reader"], sees="all", etag='"٣\n1"')
    await browser.get(f"{ACCESS}/roles/new")
    await browser.post(f"{ACCESS}/roles/new", name="Narrow", rights=["account:read"], _key="٣")
    sent = {each.method: each.headers for each in bench.company.requests}
    assert (sent["PUT"]["if-match"], sent["POST"]["idempotency-key"]) == ('"??1"', "?")


async def test_a_reader_without_users_read_sees_the_access_of_programs_without_the_roles(bench: ConsoleBench) -> None:
    browser = bench.signed_in("kim", rights=("roles:manage",))
    page = await browser.get("/")
    assert (page.status_code, 'id="clients"' in page.text, 'id="roles"' in page.text) == (200, True, False)
    await browser.get(f"{ACCESS}/roles/new")
    added = await browser.post(f"{ACCESS}/roles/new", name="Access only", rights=["roles:manage"])
    assert (added.status_code, added.url.path, "The role Access only was added." in words(added)) == (200, ACCESS, True)


async def test_a_role_wider_than_ones_own_rights_is_neither_offered_nor_made(bench: ConsoleBench) -> None:
    browser = bench.signed_in("bob", rights=("roles:manage", "users:read", "account:read"))
    page = await browser.get(f"{ACCESS}/roles/new")
    assert re.findall(r'name="rights" value="([^"]+)"', page.text) == ["account:read", "users:read", "roles:manage"]
    forged = await browser.post(f"{ACCESS}/roles/new", name="Wide", rights=["account:read", "settings:manage"])
    assert (forged.status_code, "This needs rights that you do not have, or concerns departments" in words(forged)) == (422, True)
    none = await browser.post(f"{ACCESS}/roles/new", name="None")
    assert (none.status_code, "Choose at least one right." in none.text) == (422, True)
    made = await browser.post(f"{ACCESS}/roles/new", name="Narrow", rights=["account:read"])
    assert "The role Narrow was added." in words(made)


async def test_an_own_role_is_changed_and_deleted_when_nobody_holds_it(bench: ConsoleBench) -> None:
    browser, roles = bench.signed_in(), bench.company.access.roles
    await browser.get(f"{ACCESS}/roles/auditor/edit")
    changed = await browser.post(f"{ACCESS}/roles/auditor/edit", name="Revision", rights=["log:read"], etag='"1"')
    assert "The role Revision was changed." in words(changed)
    in_use = await browser.post(f"{ACCESS}/roles/auditor/delete")
    assert (in_use.status_code, "People hold this role, or a SCIM group gives it." in words(in_use)) == (409, True)
    bench.company.access.held["u1"] = []
    gone = await browser.post(f"{ACCESS}/roles/auditor/delete")
    assert ("The role Revision was deleted." in words(gone), "auditor" in roles) == (True, False)
    twice = await browser.post(f"{ACCESS}/roles/auditor/delete")
    assert (twice.status_code, "The form is about something that no longer exists" in words(twice)) == (404, True)
    assert (await browser.get(f"{ACCESS}/roles/owner/delete")).status_code == 404, "built in"
    assert (await browser.get(f"{ACCESS}/roles/owner/edit")).status_code == 404, "built in"


async def test_the_secret_of_a_client_is_shown_once_also_when_the_page_is_loaded_again(bench: ConsoleBench) -> None:
    browser, clients = bench.signed_in(), bench.company.access.clients
    form: dict[str, Any] = {"_key": hidden(await browser.get(f"{ACCESS}/clients/new"), "_key"), "name": "Export", "rights": ["users:read"]}
    first = await browser.post(f"{ACCESS}/clients/new", **form)
    client = list(clients)[-1]
    assert (f"secret-of-{client}" in first.text, first.headers["cache-control"]) == (True, "no-store")
    again = await browser.post(f"{ACCESS}/clients/new", **form)
    assert ("secret-of" in again.text, "The secret is not shown again" in words(again), len(clients)) == (False, True, 2)
    shown = await browser.get(f"{ACCESS}/clients/{client}")
    assert "secret-of" not in shown.text


async def test_a_secret_is_rotated_and_a_form_that_is_sent_again_makes_no_other(bench: ConsoleBench) -> None:
    browser, client = bench.signed_in(), bench.company.access.clients["client-1"]
    seen = hidden(await browser.get(f"{ACCESS}/clients/client-1"), "seen")
    first = await browser.post(f"{ACCESS}/clients/client-1/secrets", seen=seen)
    (_, new) = client["secrets"]
    assert f"secret-{new['secret_id']}" in first.text
    again = await browser.post(f"{ACCESS}/clients/client-1/secrets", seen=seen)
    assert ("The secret is not shown again" in words(again), len(client["secrets"])) == (True, 2)
    full = await browser.post(f"{ACCESS}/clients/client-1/secrets", seen=f"s1,{new['secret_id']}")
    assert (full.status_code, "Two secrets are valid already." in words(full)) == (409, True)
    await browser.post(f"{ACCESS}/clients/client-1/secrets/s1/delete")
    assert [each["secret_id"] for each in client["secrets"]] == [new["secret_id"]]
    assert "was revoked" in words(await browser.post(f"{ACCESS}/clients/client-1/delete"))
    assert "client-1" not in bench.company.access.clients


def deleted(bench: ConsoleBench) -> int:
    """Return how often something was deleted."""
    return sum(each.method == "DELETE" and "dry_run" not in each.url.params for each in bench.company.requests)


ASKED = {
    "roles/auditor/delete": ("Delete the role?", "Auditor", "see licences, plan and invoices", "Nobody can get this role any more."),
    "clients/client-1/delete": ("Revoke the API client?", "Reporting", "client-1", "see people", "ends after at most 5 minutes"),
    "clients/client-1/secrets/s1/delete": ("Revoke the secret s1?", "Reporting", "s1", "This is the only secret."),
    "scim/okta/delete": (
        "Remove the SCIM connection?",
        "okta",
        "40",
        "12 people lose access.",
        "1 blocked person gets access again.",
        "Planning: 3 licences would be added by themselves. You would be charged CHF 36.00 per month, without tax.",
        "Planning: 1 licence of leavers would be given back at once. That saves CHF 144.00 per year, without tax.",
    ),
    "scim/okta/tokens/t1/delete": ("Revoke the token t1?", "okta", "t1", "20 Mar 2026", "This is the only token."),
    "identity-provider/delete": ("Remove the identity provider?", "https://login.acme.example", "People sign in by e-mail link"),
}


@pytest.mark.parametrize("path", ASKED)
async def test_what_cannot_be_taken_back_is_asked_first_with_what_it_does(bench: ConsoleBench, path: str) -> None:
    provider = {"issuer": "https://login.acme.example", "client_id": "c1", "entered_by": "ann", "entered_at": "2026-03-05T08:00:00.000Z"}
    flags = {"match_claims": ["email"], "trust_email": False, "required": True, "emergency_links": True}
    bench.company.access.provider["effective"] = provider | flags
    browser, above = bench.signed_in(), f"{ACCESS}/{path.removesuffix('/delete')}".split("/secrets/")[0].split("/tokens/")[0]
    await browser.get(above)
    if path.startswith("roles"):
        bench.company.access.held["u1"] = []
        bench.company.people.people["u1"]["roles"] = []
    assert f'href="{ACCESS}/{path}" data-dialog' in (await browser.get(above)).text
    asked, dialog = await browser.get(f"{ACCESS}/{path}"), await browser.get(f"{ACCESS}/{path}", hx_request="true")
    for text in ASKED[path]:
        assert text in words(asked)
    assert f'<form method="post" action="{ACCESS}/{path}"' in asked.text
    assert f'href="{above}"' in asked.text, "the way back"
    assert f'hx-post="{ACCESS}/{path}"' in dialog.text
    assert deleted(bench) == 0, "a question changes nothing"
    await browser.get(f"{ACCESS}/{path}")
    seen: dict[str, Any] = {}
    if path.startswith("scim/okta/delete"):
        seen = {"would_end": "12", "effect": hidden(asked, "effect")}
        bench.company.access.of_removal |= {"expansions": [{"module": "planning", "licences": 4}]}
        other = await browser.post(f"{ACCESS}/{path}", **seen)
        assert ("Planning: 4 licences" in words(other), deleted(bench)) == (True, 0), "M12: more licences than the question said"
        seen["effect"] = hidden(other, "effect")
        fewer = await browser.post(f"{ACCESS}/{path}", **seen | {"would_end": "3"})
        assert ("12 people lose access." in words(fewer), deleted(bench)) == (True, 0), "more people than the question said"
    done = await browser.post(f"{ACCESS}/{path}", **seen)
    assert (done.status_code, deleted(bench)) == (200, 1)
    twice = await browser.post(f"{ACCESS}/{path}")
    assert (twice.status_code, deleted(bench)) == (404, 1)
    reader = bench.signed_in("bob", rights=("account:read", "users:read", "users:manage"))
    assert (await reader.get(f"{ACCESS}/{path}")).status_code == 403


async def test_M12_a_removal_of_a_connection_that_seats_cannot_decide_says_how_many_licences_can_be_added_at_most(
    bench: ConsoleBench,
) -> None:
    bench.company.access.of_removal = OF_REMOVAL | {"decided": False, "expansions": [], "cost": None, "reductions": [], "saving": None}
    browser = bench.signed_in()
    asked = await browser.get(f"{ACCESS}/scim/okta/delete")
    assert "licences may be added and charged. How many, and the price, cannot be said before" in words(asked)
    policies = bench.company.settings.policies
    for policy in policies.values():
        policy |= {"over_limit": "flag"}
    assert "licences may be added" not in words(await browser.get(f"{ACCESS}/scim/okta/delete")), "no module expands"
    done = await browser.post(f"{ACCESS}/scim/okta/delete", would_end="12", effect=hidden(asked, "effect"))
    assert (done.status_code, deleted(bench)) == (200, 1)


async def test_the_address_of_scim_is_the_public_one_and_not_that_of_the_console() -> None:
    async with console(settings=Settings(users_url="http://users:8001", scim_url="https://users.example.com/scim/v2/")) as bench:
        browser = bench.signed_in()
        shown = [await browser.get(f"{ACCESS}/scim/okta")]
        seen = ",".join(each["token"] for each in bench.company.access.connections["okta"]["tokens"])
        shown.append(await browser.post(f"{ACCESS}/scim/okta/tokens", seen=seen, days="90"))
        for page in shown:
            assert "https://users.example.com/scim/v2<" in page.text
            assert "http://users:" not in page.text
    with pytest.raises(ValueError, match="expected an address such as"):
        Settings(scim_url="users.example.com")


async def test_tokens_secrets_and_requests_of_an_identity_provider_are_in_real_time_and_say_so_beside_a_test_clock(
    bench: ConsoleBench,
) -> None:
    tested, real = bench.signed_in(clock="test"), bench.signed_in()
    for path, marked in (("scim/okta", 4), ("clients/client-1", 1), ("", 4), ("scim/okta/tokens/t1/delete", 1)):
        url = f"{ACCESS}/{path}".rstrip("/")
        shown = await tested.get(url)
        assert words(shown).count("(real time)") == marked, (path, words(shown))
        assert "real time" not in (await real.get(url)).text, path


def steps_of(page: httpx.Response, provider: str) -> list[str]:
    """Return the steps that set up this identity provider, as a reader sees them."""
    (steps,) = re.findall(rf"<summary>{provider}</summary><ol[^>]*>(.*?)</ol>", page.text, re.DOTALL)
    return [" ".join(each.split()) for each in re.findall(r"<li>(.*?)</li>", steps, re.DOTALL)]


@pytest.mark.parametrize("public", ["", "https://users.example.com/scim/v2/"])
async def test_the_steps_for_okta_and_entra_name_the_address_and_the_token_that_the_page_and_the_command_give(public: str) -> None:
    settings = Settings(console_secret_key=SecretStr(KEY_OF_CONSOLE), scim_url=public)
    async with console(settings=settings) as bench:
        browser = bench.signed_in()
        page = await browser.get(f"{ACCESS}/scim/okta")
        (address,) = re.findall(r"<dt>Base URL</dt><dd><code>([^<]+)</code>", page.text)
        made = await browser.post(f"{ACCESS}/scim/entra/tokens", seen="", days="90")
        assert address == (public.rstrip("/") or f"{settings.users_url}/scim/v2")
        assert re.findall(r"<dt>Base URL</dt><dd><code>([^<]+)</code>", made.text) == [address]
        assert re.search(r'<label for="secret">Secret</label><input id="secret" value="spscim_', made.text)
        assert CliSettings(scim_url=public).scim_base_url(settings.users_url) == address, "seatpool scim token --json"
        okta, entra = steps_of(page, "Okta"), steps_of(page, "Microsoft Entra ID")
        assert "Enter the base URL from above, and as the API token the token that you create here." in okta[1]
        assert "Enter the base URL from above as the tenant URL, and the token that you create here as the secret token." in entra[1]
        before = page.text.index("<dt>Base URL</dt>"), page.text.index("Create a token and show it")
        assert max(before) < page.text.index("How to set it up"), "what the steps call above stands above"
        assert [step for step in (*okta, *entra) if "http" in step] == [], "no address but the one of this page"


async def test_a_scim_connection_is_added_and_its_token_shown_once(bench: ConsoleBench) -> None:
    browser, connections = bench.signed_in(), bench.company.access.connections
    await browser.get(f"{ACCESS}/scim/new")
    wrong = await browser.post(f"{ACCESS}/scim/new", name="Not this!", on_full="create", deactivation="suspends")
    assert (wrong.status_code, "Enter small letters" in wrong.text) == (422, True)
    taken = await browser.post(f"{ACCESS}/scim/new", name="okta", on_full="create", deactivation="suspends")
    assert (taken.status_code, "There is a connection with this name already." in taken.text) == (422, True)
    page = await browser.post(f"{ACCESS}/scim/new", name="hr-cloud", on_full="refuse", deactivation="leaves")
    assert "There is no token, so the identity provider cannot report anybody." in words(page)
    assert all(each in words(page) for each in ("Okta", "Microsoft Entra ID", "/scim/v2"))
    first = await browser.post(f"{ACCESS}/scim/hr-cloud/tokens", seen="", days="90")
    (token,) = connections["hr-cloud"]["tokens"]
    assert f"spscim_{token['token']}" in first.text
    again = await browser.post(f"{ACCESS}/scim/hr-cloud/tokens", seen="", days="90")
    assert ("spscim_" in again.text, len(connections["hr-cloud"]["tokens"])) == (False, 1)
    long = await browser.post(f"{ACCESS}/scim/hr-cloud/tokens", seen=token["token"], days="9999")
    assert (long.status_code, "Enter a whole number from 1 to 730." in long.text) == (422, True)
    await browser.post(f"{ACCESS}/scim/hr-cloud", on_full="create", deactivation="suspends", version="1")
    assert connections["hr-cloud"]["on_full"] == "create"
    refused = await browser.post(f"{ACCESS}/scim/hr-cloud", on_full="create", deactivation="suspends", version="9")
    assert 'name="days" type="text" value="365"' in refused.text, "the other form of the page keeps its number"
    await browser.post(f"{ACCESS}/scim/hr-cloud/tokens/{token['token']}/delete")
    assert connections["hr-cloud"]["tokens"] == []


async def test_the_groups_of_a_connection_get_a_profile_and_a_role_after_a_look_at_what_that_does(bench: ConsoleBench) -> None:
    browser, url, groups = bench.signed_in(), f"{ACCESS}/scim/okta/groups", bench.company.access.groups
    assert f'href="{url}"' in (await browser.get(f"{ACCESS}/scim/okta")).text
    listed = await browser.get(url)
    assert "Engineers 212 Staff nothing Edit" in words(listed)
    assert "3 nothing Auditor Edit" in words(listed)
    assert "<script>alert" not in listed.text
    page = await browser.get(f"{url}/g1")
    assert re.findall(r'<option value="([^"]*)"', page.text) == [
        "", "staff", "guests", "", "licence-manager", "people-manager", "reader", "auditor",
    ], "no group makes owners"  # fmt: skip
    form: dict[str, Any] = {"profile": "guests", "role": "auditor", "seen": hidden(page, "seen")}
    seen = await browser.post(f"{url}/g1", step="preview", **form)
    assert "would require other modules." in words(seen)
    assert "The members get the role Auditor, also those who join the group later." in words(seen)
    assert groups["g1"]["profile"] == "staff", "a look changes nothing"
    form["effect"] = hidden(seen, "effect")
    other = await browser.post(f"{url}/g1", step="save", **form | {"role": ""})
    assert "This is not what you saw before. Check it, and then go on." in words(other)
    assert groups["g1"]["profile"] == "staff", "the input was changed after the look"
    rest = "PUT users /v1/tenants/acme/scim-connections/okta/groups/g1"
    bench.company.answers[rest] = httpx.Response(200, json=PREVIEW | {"expansions": [{"module": "lab", "licences": 1}]})
    assert "1 licence would be added by itself" in words(await browser.post(f"{url}/g1", step="save", **form))
    bench.company.answers[rest] = httpx.Response(200, json=PREVIEW | {"decided": False, "outcomes": []})
    assert "This is not what you saw before. Check it, and then go on." in words(await browser.post(f"{url}/g1", step="save", **form))
    assert groups["g1"]["profile"] == "staff", "somebody else took the free licence after the look, or seats cannot say"
    del bench.company.answers[rest]
    saved = await browser.post(f"{url}/g1", step="save", **form)
    assert ("The group was saved." in words(saved), groups["g1"]["profile"], groups["g1"]["role"]) == (True, "guests", "auditor")
    stale = await browser.post(f"{url}/g1", step="save", **form | {"role": ""})
    assert (stale.status_code, "Stored now" in words(stale), groups["g1"]["role"]) == (409, True, "auditor")
    assert hidden(stale, "seen") == "guests/auditor", "the next attempt is based on what is stored now"
    wrong = await browser.post(f"{url}/g3", step="preview", role="people-manager", seen="/auditor")
    assert (wrong.status_code, 'id="e-role"' in wrong.text) == (422, True)
    bench.company.answers["PUT users /v1/tenants/acme/scim-connections/okta/groups/g2"] = problem(429, "too-many-requests", "Busy.")
    assert "The preview is being computed" in words(await browser.post(f"{url}/g2", step="preview", seen="/"))
    assert "No groups yet" in words(await browser.get(f"{ACCESS}/scim/entra/groups"))
    for unknown in (f"{ACCESS}/scim/nope/groups", f"{url}/nope", f"{url}/..%2Fg1"):
        assert (await browser.get(unknown)).status_code == 404, unknown


async def test_what_somebody_else_lets_a_group_give_while_seats_are_asked_is_not_overwritten(bench: ConsoleBench) -> None:
    browser, access, url = bench.signed_in(), bench.company.access, f"{ACCESS}/scim/okta/groups/g1"
    form: dict[str, Any] = {"profile": "guests", "role": "auditor", "seen": hidden(await browser.get(url), "seen")}
    form["effect"] = hidden(await browser.post(url, step="preview", **form), "effect")
    access.meanwhile = {"profile": None}
    late = await browser.post(url, step="save", **form)
    assert (late.status_code, "Somebody else has changed this meanwhile." in words(late)) == (409, True)
    assert access.groups["g1"]["profile"] is None


async def test_a_reader_who_may_not_see_profiles_changes_the_role_of_a_group_alone(bench: ConsoleBench) -> None:
    browser = bench.signed_in("kim", rights=("roles:manage",))
    page = await browser.get(f"{ACCESS}/scim/okta/groups/g1")
    assert ('name="profile" value="staff"' in page.text, "f-profile" in page.text) == (True, False)
    await browser.post(f"{ACCESS}/scim/okta/groups/g1", step="save", profile="staff", role="reader", seen=hidden(page, "seen"))
    assert bench.company.access.groups["g1"] == {"name": "Engineers", "members": 212, "profile": "staff", "role": "reader"}


async def test_an_identity_provider_is_used_after_the_test_sign_in_of_the_person_who_entered_it(bench: ConsoleBench) -> None:
    browser, url = bench.signed_in(), f"{ACCESS}/identity-provider"
    form: dict[str, Any] = {
        "client_id": "c",
        "client_secret": "very-secret",
        "claims": "email, sub",
        "required": "yes",
        "emergency_links": "yes",
        "seen": hidden(await browser.get(url), "seen"),
    }
    wrong = await browser.post(url, issuer="http://login.acme.example", **form)
    assert (wrong.status_code, 'id="e-issuer"' in wrong.text, "very-secret" in wrong.text) == (422, True, False)
    entered = await browser.post(url, issuer="https://login.acme.example", **form)
    assert ("One step is missing" in words(entered), "very-secret" in entered.text) == (True, False)
    assert bench.company.access.provider["draft"]["match_claims"] == ["email", "sub"]
    refused = await browser.get("/sign-in/callback?error=access_denied")
    assert "One step is missing" not in words(refused), "no test was begun"
    await browser.get(url)
    started = await browser.post(f"{url}/test")
    assert "https://login.acme.example/authorize?state=s1" in unescape(started.text)
    done = await browser.get("/sign-in/callback?state=s1&code=c1")
    assert "The identity provider is used from now on." in words(done)
    assert bench.company.access.provider["effective"]["issuer"] == "https://login.acme.example"
    again = await browser.get(f"{url}/complete?state=s1&code=c1")
    assert "The test was begun too long ago, or in another browser." in words(again)


async def test_the_issuer_that_sent_the_browser_back_is_passed_on(bench: ConsoleBench) -> None:
    """With it, users refuses a code that another identity provider gave (RFC 9207). Parameters of a provider's own do not matter."""
    browser, begin = bench.browser(), "/v1/sign-in/identity-provider"
    bench.company.answers[f"POST users {begin}"] = reply({"authorization_url": "https://login.example/a?state=s1", "flow": "f1"})
    bench.company.answers[f"POST users {begin}/complete"] = problem(409, "sign-in-not-valid", "Another identity provider.")
    for address, passed in (("iss=https%3A%2F%2Flogin.example&session_state=x", {"iss": "https://login.example"}), ("scope=openid", {})):
        await browser.get("/sign-in")
        await browser.post("/sign-in/with-provider", company="acme", next="/")
        refused = await browser.get(f"/sign-in/callback?state=s1&code=c1&{address}")
        assert refused.status_code == 409
        assert orjson.loads(bench.company.requests[-1].content) == {"flow": "f1", "state": "s1", "code": "c1"} | passed


async def test_a_service_that_does_not_answer_is_no_other_reason(bench: ConsoleBench) -> None:
    """What a page says depends on why it has no answer: a name that cannot be looked up is not in use."""
    browser, answers = bench.signed_in(), bench.company.answers
    await browser.get(f"{ACCESS}/scim/new")
    answers["GET users /v1/tenants/acme/scim-connections/new-one"] = httpx.Response(503)
    answers["GET invoicing /v1/plans"] = answers["GET users /v1/tenants/acme/people"] = httpx.Response(503)
    asked = await browser.post(f"{ACCESS}/scim/new", name="new-one", on_full="create", deactivation="suspends")
    assert (asked.status_code, "so nothing was changed" in words(asked), "already" in words(asked)) == (503, True, False)
    assert "has no other module" not in words(await browser.get("/tenants/acme/plan/modules/add"))
    chosen = words(await browser.get("/tenants/acme/people/u1/replace?text=a"))
    assert ("Nobody matches" in chosen, "The people cannot be shown now" in chosen) == (False, True)
    begun = words(await browser.get(f"{ACCESS}/identity-provider/complete?state=s1&code=c1"))
    assert "The test was begun too long ago, or in another browser." in begun


async def test_a_right_that_is_lost_while_a_form_is_open_is_not_used(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    page = await browser.get(f"{ACCESS}/people/u1")
    bench.company.answers["PUT users /v1/tenants/acme/people/u1/roles"] = problem(403, "no-right", "You need the right roles:manage.")
    lost = await browser.post(f"{ACCESS}/people/u1", roles=["owner"], sees="all", etag=hidden(page, "etag"))
    assert (lost.status_code, "Your roles do not allow this." in words(lost)) == (422, True)


POSTS = (
    "people/u1", "roles/new", "roles/auditor/delete", "clients/new", "clients/client-1/secrets", "clients/client-1/delete",
    "scim/new", "scim/okta/groups/g1",
    "scim/okta/tokens", "scim/okta", "identity-provider", "identity-provider/test", "identity-provider/delete",
)  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
async def test_a_forged_form_or_a_reader_without_the_right_changes_no_access(bench: ConsoleBench, path: str) -> None:
    browser = bench.signed_in()
    await browser.get(ACCESS)
    assert (await browser.post(f"{ACCESS}/{path}", _token="forged")).status_code == 403
    reader = bench.signed_in("bob", rights=("account:read", "users:read"))
    await reader.get("/tenants/acme/licences")
    assert ACCESS not in reader.last
    assert (await reader.post(f"{ACCESS}/{path}")).status_code == 403
    assert not [each for each in bench.company.requests if "/acme/" in each.url.path and each.method != "GET"]


async def test_a_form_with_a_secret_is_not_kept_when_the_session_has_ended(bench: ConsoleBench) -> None:
    browser = bench.signed_in()
    await browser.get(f"{ACCESS}/identity-provider")
    bench.company.sessions.clear()
    page = await browser.post(f"{ACCESS}/identity-provider", client_secret="very-secret")
    assert "the input could not be kept" in words(page)
