"""Nobody signs in as a person with more rights by changing that person's login or e-mail address, whichever way the change comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.schemas import hr_v1, users_v1
from shared.schemas.registry import type_of
from shared.schemas.rights import TENANT_RIGHTS
from tests.integration.test_users_sign_in import (
    EXCHANGE,
    Signing,
    browser,
    exchange,
    hidden,
    owner,
    provider,
    requested_link,
    requested_link_or_none,
    signed_in,
    signing,
    use,
)
from tests.support.users import Bench, Rest
from tests.support.wait import wait_until
from tests.support.wire import P

__all__ = ["provider", "signing"]
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
EVIL = "mallory@evil.example"
Given = Mapping[str, Any]


@dataclass
class Tenant:
    """A tenant with the owner Ann, and Mallory, who may only manage people."""

    bench: Bench
    id: str
    operator: Rest
    ann: str
    mallory: Rest

    @property
    def email(self) -> str:
        return f"ann@{self.id}.example"

    @property
    def evil(self) -> str:
        """Return an address of Mallory, one for each tenant: links are limited by address."""
        return f"mallory@{self.id}.evil.example"

    @property
    def path(self) -> str:
        return f"/v1/tenants/{self.id}/people/{self.ann}"

    async def person(self) -> dict[str, Any]:
        return dict(await self.operator.get(self.path))

    async def until(self, **wanted: Any) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.person()
            return found if all(found[name] == value for name, value in wanted.items()) else None

        return dict(await wait_until(there, what=f"Ann with {wanted}"))

    async def told(self, model: type[P], number: int) -> list[P]:
        """Return the events about this tenant when there are so many."""

        async def there() -> list[P] | None:
            found = await self.bench.events(self.id, model)
            return found if len(found) >= number else None

        return list(await wait_until(there, what=f"{number} events {model.__name__}"))


async def made(bench: Bench) -> Tenant:
    tenant, operator = await bench.open_tenant()
    ann = await owner(operator, tenant)
    return Tenant(bench, tenant, operator, ann, await bench.rest(tenant, "users:read users:manage", "mallory"))


async def by_import(of: Tenant, login: str, email: str) -> None:
    imports = f"/v1/tenants/{of.id}/imports"
    begun = await of.mallory.post(imports, {"source": of.bench.source(of.id)})
    known = {"since": "2020-01-01", "login": login, "email": email, "department": "Guests"}
    person = {"external_id": "4711", "employment": [{"starts_on": "2020-01-01", "ends_on": None}], "attributes": [known]}
    await of.mallory.put(f"{imports}/{begun['import']}/people/0", {"people": [person]})
    await of.mallory.post(f"{imports}/{begun['import']}/check")
    await of.mallory.post(f"{imports}/{begun['import']}/apply", {"confirm": None})


def fact(of: Tenant, login: str, email: str) -> hr_v1.PersonHired | hr_v1.PersonChanged:
    day = of.bench.clock.now().date()
    if login != "ann":
        return hr_v1.PersonChanged(external_id="4711", effective_date=day, sequence=1, login=login)
    return hr_v1.PersonHired(external_id="4711", effective_date=day, sequence=0, login="ann", email=email, department="Guests")


async def by_topic(of: Tenant, login: str, email: str) -> None:
    await of.bench.send(fact(of, login, email), of.id, source=of.bench.source(of.id))


async def by_hr_events(of: Tenant, login: str, email: str) -> None:
    stated = fact(of, login, email)
    event = {"type": type_of(type(stated)).rpartition(".")[2]} | stated.model_dump(mode="json", exclude_none=True)
    await of.mallory.post(f"/v1/tenants/{of.id}/hr-events", {"source": of.bench.source(of.id), "events": [event]})


async def by_scim(of: Tenant, login: str, email: str) -> None:
    connection = f"/v1/tenants/{of.id}/scim-connections/okta"
    await of.operator.put(connection, {})
    token = (await of.operator.post(f"{connection}/tokens", {}))["secret"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/scim+json"}
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "emails": [{"value": email, "primary": True}]}
    answer = await of.bench.http.put(f"/scim/v2/Users/{of.ann}", json=user, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("way", [by_import, by_topic, by_hr_events, by_scim])
async def test_a_link_goes_to_the_address_before_until_a_change_of_an_owner_is_confirmed(bench: Bench, way: Any) -> None:
    of = await made(bench)
    await way(of, "ann", of.evil)
    await of.until(email=of.evil)
    await way(of, "ann2", of.evil)
    person = await of.until(login="ann2", email=of.evil)
    assert person["sign_in"] == {"login": "ann", "email": of.email}, "the data are corrected, and sign-in does not follow"
    assert [(each.user, each.email, each.new_login, each.new_email) for each in await of.told(users_v1.SignInUnconfirmed, 2)] == [
        (of.ann, of.email, None, of.evil),
        (of.ann, of.email, "ann2", None),
    ]
    async with browser(bench) as client:
        assert await requested_link_or_none(bench, client, of.id, of.evil) is None
        secret = await requested_link(bench, client, of.id, of.email)
        page = await client.post("/sign-in/link", data={"secret": secret})
        assert of.evil in page.text
        form = {name: hidden(page.text, name) for name in ("login", "email")}
        assert (await client.post("/sign-in/confirm", data=form | {"email": "other@evil.example"})).status_code == 409
        confirmed = await client.post("/sign-in/confirm", data=form)
        assert (confirmed.status_code, "From now on" in confirmed.text) == (200, True)
        assert (await of.person())["sign_in"] is None
        assert await requested_link(bench, client, of.id, of.evil)
        assert await requested_link_or_none(bench, client, of.id, of.email) is None
    (done,) = await of.told(users_v1.SignInConfirmed, 1)
    assert (done.user, done.actor.id) == (of.ann, of.ann)


async def test_who_lacks_a_right_of_the_person_cannot_confirm(bench: Bench) -> None:
    of = await made(bench)
    await by_topic(of, "ann", EVIL)
    await of.until(email=EVIL)
    body = {"login": "ann", "email": EVIL}
    for rights in ("users:read users:manage", " ".join(right for right in TENANT_RIGHTS if right != "account:buy")):
        rest = await bench.rest(of.id, rights, "mallory")
        refused = await rest.call("POST", f"{of.path}/sign-in/confirm", body)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:seatpool:problem:wider-than-own")
    session = await signed_in(bench, of.id, of.ann)
    token = (await exchange(bench, session.secret)).json()["access_token"]
    own = Rest(bench.http, token, bench.check)
    assert await own.post(f"{of.path}/sign-in/confirm", body) == {"login": "ann", "email": EVIL}
    again = await own.call("POST", f"{of.path}/sign-in/confirm", body)
    assert (again.status_code, again.json()["type"]) == (409, "urn:seatpool:problem:nothing-to-confirm")


async def test_an_owner_confirms_a_change_of_another_person_and_requests_by_rest_are_confirmed_at_once(bench: Bench) -> None:
    of = await made(bench)
    other = await bench.rest(of.id, " ".join(TENANT_RIGHTS), "olga")
    await by_topic(of, "ann", f"ann.lund@{of.id}.example")
    await of.until(email=f"ann.lund@{of.id}.example")
    assert (await of.mallory.call("PATCH", of.path, {"email": EVIL}, if_match="*")).status_code == 403
    await other.patch(of.path, {"email": f"a.lund@{of.id}.example"})
    assert (await of.person())["sign_in"] is None
    given = await other.call("GET", f"{of.path}/roles")
    assert given.json()["sign_in"] == {"login": "ann", "email": f"a.lund@{of.id}.example"}, "who gives a role sees how the person signs in"


async def test_an_account_of_the_identity_provider_is_not_bound_by_a_login_or_address_that_nobody_confirmed(signing: Signing) -> None:
    await signing.configure()
    bench, tenant = signing.bench, signing.tenant
    bob = await owner(signing.operator, tenant, "bob")
    of = Tenant(bench, tenant, signing.operator, bob, signing.rest)
    day = bench.clock.now().date()
    first = hr_v1.PersonHired(external_id="1", effective_date=day, sequence=0, login="bob", email=EVIL, department="Guests")
    await bench.send(first, tenant, source=bench.source(tenant))
    await of.until(email=EVIL)
    await bench.send(
        hr_v1.PersonChanged(external_id="1", effective_date=day, sequence=1, login="mallory"), tenant, source=bench.source(tenant)
    )
    await of.until(login="mallory", email=EVIL)
    await signing.account("by-login", preferred_username="mallory")
    await signing.account("by-email", email=EVIL, email_verified=True)
    for sub in ("by-login", "by-email"):
        assert (await signing.sign_in(sub)).status_code == 403, sub
        assert (await exchanged(signing, sub)).status_code == 403, sub
    await signing.account("bob", preferred_username="bob")
    assert (await signing.sign_in("bob")).json()["user"] == bob, "the login before counts"
    assert (await signing.sign_in("sub-ann")).json()["user"] == signing.ann


async def exchanged(signing: Signing, sub: str) -> httpx.Response:
    """Exchange an ID token of the account for an access token."""
    form = {"grant_type": "authorization_code", "redirect_uri": "https://console.example/signed-in", "client_id": "seatpool"}
    query = httpx.QueryParams(response_type="code", client_id="seatpool", redirect_uri=form["redirect_uri"], scope="openid profile email")
    back = await signing.at_provider(f"{signing.issuer}/oauth2/authorize?{query}", sub)
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{signing.issuer}/oauth2/token", data=form | {"client_secret": "x", "code": back["code"]})
    given = {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "subject_token": answer.json()["id_token"]}
    return await signing.client.post("/v1/token", data=EXCHANGE | given | {"tenant": signing.tenant})


async def test_an_account_that_was_bound_before_the_first_role_is_bound_again(signing: Signing) -> None:
    await signing.configure()
    people = f"/v1/tenants/{signing.tenant}/people"
    eve = (await signing.operator.post(people, {"external_id": "eve", "login": "mallory", "email": EVIL}))["user"]
    await signing.account("sub-mallory", preferred_username="mallory")
    assert (await exchanged(signing, "sub-mallory")).status_code == 200
    await signing.operator.patch(f"{people}/{eve}", {"login": "eve", "email": f"eve@{signing.tenant}.example"})
    body = {"roles": ["reader"]}
    assert (await signing.operator.call("PUT", f"{people}/{eve}/roles", body, if_match="*")).status_code == 200
    assert (await signing.sign_in("sub-mallory")).status_code == 403
    await signing.account("sub-eve", preferred_username="eve")
    assert (await signing.sign_in("sub-eve")).json()["user"] == eve


async def test_only_somebody_with_all_rights_sets_an_identity_provider_or_makes_a_scim_token(signing: Signing) -> None:
    tenant, bench = signing.tenant, signing.bench
    lesser = await bench.rest(tenant, " ".join(right for right in TENANT_RIGHTS if right != "account:buy"), signing.ann)
    body = {"issuer": signing.issuer, "client_id": "seatpool"}
    connection = f"/v1/tenants/{tenant}/scim-connections/okta"
    await lesser.put(connection, {})
    await signing.configure()
    answers = [
        await lesser.call("PUT", signing.path(), body),
        await lesser.call("DELETE", signing.path()),
        await lesser.call("POST", f"{connection}/tokens", {}),
    ]
    assert [(each.status_code, each.json()["type"]) for each in answers] == [(403, "urn:seatpool:problem:wider-than-own")] * 3
    signing.rest, whole = lesser, signing.rest
    await whole.put(signing.path(), body)
    assert (await signing.test("sub-ann")).status_code == 403, "who has lost a right since cannot make it effective"
    assert (await whole.call("POST", f"{connection}/tokens", {})).status_code == 201


async def test_another_issuer_cannot_claim_the_accounts_of_the_present_one(signing: Signing) -> None:
    await signing.configure()
    bob = await owner(signing.operator, signing.tenant, "bob")
    await signing.account("sub-bob", preferred_username="bob")
    assert (await signing.sign_in("sub-bob")).json()["user"] == bob
    await of_another_issuer(signing, f"{signing.issuer}/other")
    await signing.account("sub-bob", preferred_username="nobody")
    assert (await signing.sign_in("sub-bob")).status_code == 403, "the same subject of another issuer is another account"


async def of_another_issuer(signing: Signing, issuer: str) -> None:
    """Let the accounts that are bound be of another issuer than the provider that is in use."""
    await signing.bench.execute("UPDATE identities SET issuer = $2 WHERE tenant_id = $1", signing.tenant, issuer)


async def test_T20_who_changed_an_identity_provider_or_a_scim_connection_is_in_the_log_and_no_secret_is(signing: Signing) -> None:
    bench, tenant = signing.bench, signing.tenant
    await signing.configure(client_secret="first-s3cret")
    await signing.configure(client_secret="second-s3cret", required=False)
    connection = f"/v1/tenants/{tenant}/scim-connections/okta"
    await signing.rest.put(connection, {})
    await signing.rest.put(connection, {})
    await signing.rest.put(connection, {"on_full": "refuse"})
    token = await signing.rest.post(f"{connection}/tokens", {})
    assert (await signing.rest.call("DELETE", f"{connection}/tokens/{token['token']}")).status_code == 204
    of = Tenant(bench, tenant, signing.operator, signing.ann, signing.rest)
    tokens = await of.told(users_v1.ScimTokenChanged, 2)
    providers = await bench.events(tenant, users_v1.IdentityProviderChanged)
    changed = [{change.field: (change.old, change.new) for change in event.changes} for event in providers]
    assert [each.what for each in providers] == ["entered", "effective"] * 2
    assert (changed[0]["issuer"], changed[3]["required"]) == ((None, signing.issuer), (True, False))
    assert set(changed[3]) == {"required", "client_secret"}
    connections = await bench.events(tenant, users_v1.ScimConnectionChanged)
    assert [(each.added, [(change.field, change.old, change.new) for change in each.changes]) for each in connections] == [
        (True, [("on_full", None, "create"), ("deactivation", None, "suspends")]),
        (False, [("on_full", "create", "refuse")]),
    ]
    assert [(each.what, each.token, each.actor.id) for each in tokens] == [
        (what, token["token"], signing.ann) for what in ("issued", "revoked")
    ]
    said = str([*providers, *connections, *tokens])
    assert [secret for secret in ("first-s3cret", "second-s3cret", token["secret"]) if secret in said] == []


async def test_people_list_and_end_their_own_sessions_and_nobody_elses(bench: Bench) -> None:
    of = await made(bench)
    other = await owner(of.operator, of.id, "olga")
    session = await signed_in(bench, of.id, of.ann)
    mine = await bench.rest(of.id, "account:read", of.ann)
    (listed,) = (await mine.get(f"{of.path}/sessions"))["sessions"]
    assert (await mine.call("GET", f"/v1/tenants/{of.id}/people/{other}/sessions")).status_code == 403
    assert (await mine.call("DELETE", f"/v1/tenants/{of.id}/people/{other}/sessions")).status_code == 403
    assert (await mine.call("DELETE", f"{of.path}/sessions/{listed['session_id']}")).status_code == 204
    assert (await exchange(bench, session.secret)).status_code == 400
    assert (await mine.call("DELETE", f"{of.path}/sessions")).status_code == 204
    async with browser(bench) as client:
        used = (await use(client, await requested_link(bench, client, of.id, of.email))).json()
    assert [each["user"] for each in used["choices"]] == [of.ann]
