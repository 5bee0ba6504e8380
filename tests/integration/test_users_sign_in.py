"""Sign-in to the console: sessions, links, and the identity provider of a tenant."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import unescape
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import event as engine_events

from deploy.local import ports
from deploy.local.stack import answers
from services.users.api import dependencies
from services.users.api.dependencies import VendorsProvider
from services.users.sign_in.opaque import hash_of
from services.users.sign_in.tokens import REVOCABLE_TTL_SECONDS
from services.users.use_cases import sessions, sign_in_links
from services.users.use_cases.sessions import Method, NewSession
from shared.clock import SystemClock
from shared.database import UnitOfWork
from shared.errors import Forbidden
from shared.schemas import hr_v1, topics, users_v1
from shared.schemas.rights import TENANT_RIGHTS
from shared.sealed import SIGN_IN_LINK, unseal
from shared.web.auth import AUDIENCE
from tests.support.users import NOTIFIER_SECRET, REDIRECT_URL, Bench, Rest
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:seatpool:token-type:session",
}


async def administrator(rest: Rest, tenant: str, name: str = "ann", **more: Any) -> str:
    """Add a person who may sign in to the console; return the user id."""
    body = {"external_id": name, "login": name, "email": f"{name}@{tenant}.example", "administrator": True}
    person = await rest.post(f"/v1/tenants/{tenant}/people", body | more)
    return str(person["user"])


async def signed_in(bench: Bench, tenant: str, user: str) -> NewSession:
    async with bench.users.database.unit_of_work(None) as uow:
        return await sessions.begin(uow, tenant, user, Method.LINK, bench.clock.now())


async def exchange(bench: Bench, secret: str) -> httpx.Response:
    return await bench.http.post("/v1/token", data=EXCHANGE | {"subject_token": secret})


async def test_a_session_is_exchanged_for_a_token_of_five_minutes_with_the_rights_of_its_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    session = await signed_in(bench, tenant, user)
    answer = (await exchange(bench, session.secret)).json()
    assert (answer["expires_in"], answer["token_type"]) == (REVOCABLE_TTL_SECONDS, "Bearer")
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    principal = await bench.app.state.verifier.verify(answer["access_token"])
    assert (principal.subject, principal.tenant, principal.kind, AUDIENCE) == (user, tenant, "user", "seatpool")
    assert "users:manage" in principal.rights
    assert "operator" not in principal.rights
    own = Rest(bench.http, answer["access_token"], bench.check)
    (listed,) = (await own.get(f"/v1/tenants/{tenant}/people/{user}/sessions"))["sessions"]
    assert (listed["session_id"], listed["method"]) == (session.row.session_id, "link")
    stored = await bench.execute("SELECT * FROM sessions WHERE tenant_id = $1", tenant)
    assert session.secret not in str([tuple(row) for row in stored]), "only a hash is stored"
    assert hash_of(session.secret) in [bytes(row.secret_hash) for row in stored]


async def test_every_token_can_read_whom_it_is_for(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    token = (await exchange(bench, (await signed_in(bench, tenant, user)).secret)).json()["access_token"]
    me = await Rest(bench.http, token, bench.check).get("/v1/me")
    assert (me["subject"], me["kind"], me["login"], me["email"]) == (user, "user", "ann", f"ann@{tenant}.example")
    assert (me["tenant"]["tenant"], me["tenant"]["clock"], me["departments"]) == (tenant, "real", None)
    assert "users:manage" in me["rights"]
    vendor = await (await bench.rest()).get("/v1/me")
    assert (vendor["kind"], vendor["name"], vendor["tenant"], vendor["rights"]) == ("client", None, None, ["operator"])
    gone = await (await bench.rest("nobody", "account:read")).get("/v1/me")
    assert gone["tenant"] is None
    assert (await bench.http.get("/v1/me")).status_code == 401


async def test_a_session_ends_after_eight_hours(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    session = await signed_in(bench, tenant, await administrator(rest, tenant))
    assert session.row.expires_at - session.row.created_at == timedelta(hours=8)
    async with bench.users.database.unit_of_work(None) as uow:
        just_before = session.row.expires_at - timedelta(seconds=1)
        assert (await sessions.rights(uow, session.secret, just_before))[0] == session.row
    for now in (session.row.expires_at, session.row.expires_at + timedelta(days=1)):
        async with bench.users.database.unit_of_work(None) as uow:
            with pytest.raises(Exception, match="Sign in again"):
                await sessions.rights(uow, session.secret, now)


async def test_unknown_ended_and_malformed_sessions_are_refused_alike(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    session = await signed_in(bench, tenant, await administrator(rest, tenant))
    assert (await bench.http.post("/v1/token/revoke", data={"token": session.secret})).status_code == 200
    assert (await bench.http.post("/v1/token/revoke", data={"token": session.secret})).status_code == 200
    bodies = [await exchange(bench, secret) for secret in (session.secret, "unknown", session.row.session_id, "ö\x01")]
    assert {each.status_code for each in bodies} == {400}
    assert {(each.json()["error"], each.json()["detail"]) for each in bodies} == {
        ("invalid_grant", "The session is unknown, has expired or was ended. Sign in again.")
    }
    wrong = await bench.http.post("/v1/token", data={**EXCHANGE, "subject_token_type": "x", "subject_token": session.secret})
    assert wrong.status_code == 422
    assert session.secret not in wrong.text


async def test_sessions_can_be_listed_and_ended_one_by_one_and_all_at_once(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    first, second, third = [await signed_in(bench, tenant, user) for _ in range(3)]
    path = f"/v1/tenants/{tenant}/people/{user}/sessions"
    assert len((await rest.get(path))["sessions"]) == 3
    assert (await rest.call("DELETE", f"{path}/{first.row.session_id}")).status_code == 204
    assert (await rest.call("DELETE", f"{path}/{first.row.session_id}")).status_code == 404
    assert [(await exchange(bench, each.secret)).status_code for each in (first, second, third)] == [400, 200, 200]
    assert (await rest.call("DELETE", path)).status_code == 204
    assert [(await exchange(bench, each.secret)).status_code for each in (second, third)] == [400, 400]
    assert (await rest.get(path))["sessions"] == []
    assert (await rest.call("GET", f"/v1/tenants/{tenant}/people/nobody/sessions")).status_code == 404


async def test_a_further_sign_in_ends_the_oldest_of_twenty_sessions(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    begun = [await signed_in(bench, tenant, user) for _ in range(sessions.SESSIONS_MAX + 1)]
    listed = (await rest.get(f"/v1/tenants/{tenant}/people/{user}/sessions"))["sessions"]
    assert {each["session_id"] for each in listed} == {each.row.session_id for each in begun[1:]}


@pytest.mark.parametrize(
    "change", [{"status": "left"}, {"may_log_in": False}, {"valid_to": "2026-03-01"}], ids=["left", "blocked", "login ended"]
)
async def test_sessions_end_at_once_when_the_person_leaves_or_is_blocked(bench: Bench, change: dict[str, Any]) -> None:
    tenant, rest = await bench.open_tenant()
    user, other = await administrator(rest, tenant), await administrator(rest, tenant, "bob")
    ended, kept = await signed_in(bench, tenant, user), await signed_in(bench, tenant, other)
    await rest.patch(f"/v1/tenants/{tenant}/people/{user}", {"name": "Ann"})
    assert (await exchange(bench, ended.secret)).status_code == 200, "another change ends nothing"
    await rest.patch(f"/v1/tenants/{tenant}/people/{user}", change)
    assert (await exchange(bench, ended.secret)).status_code == 400
    if "valid_to" in change:
        await rest.patch(f"/v1/tenants/{tenant}/people/{user}", {"valid_to": None})
    else:
        await rest.post(f"/v1/tenants/{tenant}/people/{user}/reactivate", {})
    assert await signed_in(bench, tenant, user), "the person may sign in again"
    assert (await exchange(bench, ended.secret)).status_code == 400, "an ended session stays ended"
    assert (await exchange(bench, kept.secret)).status_code == 200


async def test_T24_sessions_end_when_a_role_is_taken_away_and_an_added_role_counts_at_the_next_token(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    await owner(rest, tenant, "olga")  # the last owner could not be taken away
    session = await signed_in(bench, tenant, user)

    async def give(*roles: str) -> None:
        answer = await rest.call("PUT", f"/v1/tenants/{tenant}/people/{user}/roles", {"roles": list(roles)}, if_match="*")
        assert answer.status_code == 200, answer.text

    async def rights() -> frozenset[str]:
        token = (await exchange(bench, session.secret)).json()["access_token"]
        return frozenset((await bench.app.state.verifier.verify(token)).rights)

    assert "roles:manage" not in await rights()
    await give("licence-manager", "people-manager", "owner")
    assert "roles:manage" in await rights()
    await give("people-manager", "owner")
    assert (await exchange(bench, session.secret)).status_code == 400, "a role was taken away"
    again = await signed_in(bench, tenant, user)
    await give()
    assert (await exchange(bench, again.secret)).status_code == 400
    with pytest.raises(Forbidden):
        await signed_in(bench, tenant, user)


async def test_T24_the_last_access_token_of_somebody_who_lost_their_rights_makes_nothing_that_outlives_it(bench: Bench) -> None:
    """Another service accepts the token for five minutes. Here it could make an API client, a role or a token of SCIM that stays."""
    tenant, rest = await bench.open_tenant()
    await owner(rest, tenant, "olga")
    at, wanted = f"/v1/tenants/{tenant}", {"name": "Backdoor", "rights": ["users:manage", "roles:manage"]}
    people = {name: await owner(rest, tenant, name) for name in ("ann", "cid")} | {"bea": await administrator(rest, tenant, "bea")}
    client = await rest.post(f"{at}/clients", wanted)
    form = {"grant_type": "client_credentials", "client_id": client["client"], "client_secret": client["secret"]}
    tokens = {name: (await exchange(bench, (await signed_in(bench, tenant, user)).secret)).json() for name, user in people.items()}
    tokens["client"] = (await bench.http.post("/v1/token", data=form | {"scope": "users:manage roles:manage"})).json()
    callers = {name: Rest(bench.http, each["access_token"], bench.check) for name, each in tokens.items()}
    for name, caller in callers.items():
        await caller.post(f"{at}/people", {"login": f"added-by-{name}"})
    limited = {"roles": ["licence-manager", "people-manager"], "viewset": ["Makers"]}
    for name, body in (("ann", {"roles": ["reader"]}), ("bea", limited)):
        changed = await rest.call("PUT", f"{at}/people/{people[name]}/roles", body, if_match="*")
        assert changed.status_code == 200, changed.text
    await rest.patch(f"{at}/people/{people['cid']}", {"may_log_in": False})
    assert (await rest.call("DELETE", f"{at}/clients/{client['client']}")).status_code == 204
    made: list[tuple[str, dict[str, Any]]] = [("clients", wanted), ("people", {"login": "eve", "administrator": True})]
    for name, caller in callers.items():
        answers = [(await caller.call("POST", f"{at}/{path}", body)).status_code for path, body in made]
        assert answers == [401, 401], name
    assert (await callers["ann"].call("GET", f"{at}/people")).status_code == 200, "it reads until it ends"


async def test_sessions_end_when_an_hr_system_ends_the_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    source = bench.source(tenant)
    day = bench.clock.now().date()
    hired = hr_v1.PersonHired(external_id="7", effective_date=day, sequence=0, login="eve", email="eve@acme.example", department="Makers")
    await bench.send(hired, tenant, source=source)
    person = await bench.until_person(rest, tenant, "7")
    await rest.patch(f"/v1/tenants/{tenant}/people/{person['user']}", {"administrator": True})
    session = await signed_in(bench, tenant, person["user"])
    await bench.send(hr_v1.PersonLeft(external_id="7", effective_date=day, sequence=1), tenant, source=source)
    await bench.until_person(rest, tenant, "7", status="left")
    assert (await exchange(bench, session.secret)).status_code == 400
    assert await bench.execute("SELECT 1 FROM sessions WHERE tenant_id = $1", tenant) == []


async def test_no_session_survives_that_begins_while_the_person_leaves(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    for number in range(5):
        user = await administrator(rest, tenant, f"p{number}")
        leaving = rest.patch(f"/v1/tenants/{tenant}/people/{user}", {"status": "left"})
        await asyncio.gather(leaving, *(signed_in(bench, tenant, user) for _ in range(3)), return_exceptions=True)
    assert await bench.execute("SELECT 1 FROM sessions WHERE tenant_id = $1", tenant) == []


async def test_who_may_not_sign_in_gets_no_session(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    without_role = await administrator(rest, tenant, "eve", administrator=False)
    left = await administrator(rest, tenant, "lea")
    await rest.patch(f"/v1/tenants/{tenant}/people/{left}", {"status": "left"})
    for user in (without_role, left, "nobody"):
        with pytest.raises(Forbidden, match="may not sign in"):
            await signed_in(bench, tenant, user)


# --------------------------------------------------------------------------------------------------------------------- links

_ADDRESSES = count(1)


@asynccontextmanager
async def browser(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client at an address of its own: the clock of the bench stands still, so limits by address would never end."""
    number = next(_ADDRESSES)
    transport = httpx.ASGITransport(bench.app, client=(f"10.0.{number // 250}.{number % 250}", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://users", timeout=30) as client:
        yield client


async def link_events(bench: Bench, tenant: str, email: str) -> list[users_v1.SignInLinkRequested]:
    return [each for each in await bench.events(tenant, users_v1.SignInLinkRequested) if each.email == email]


async def requested_link(bench: Bench, client: httpx.AsyncClient, tenant: str, email: str) -> str:
    """Request a link for the address, and return its secret from the event that notifier gets."""
    before = len(await link_events(bench, tenant, email))
    assert (await client.post("/v1/sign-in/links", json={"email": email})).status_code == 202

    async def there() -> bool:
        return len(await link_events(bench, tenant, email)) > before

    await wait_until(there, what=f"a link for {email}")
    event = (await link_events(bench, tenant, email))[-1]
    link = unseal(event.sealed_link, ["another", NOTIFIER_SECRET], SIGN_IN_LINK)
    assert link is not None
    page, _, secret = link.partition("?secret=")
    assert page == "http://127.0.0.1:8001/sign-in/link"
    return secret


async def use(client: httpx.AsyncClient, secret: str) -> httpx.Response:
    return await client.post("/v1/sign-in/links/use", json={"secret": secret})


async def choose(client: httpx.AsyncClient, ticket: str, tenant: str, user: str) -> httpx.Response:
    return await client.post("/v1/sign-in/links/choose", json={"ticket": ticket, "tenant": tenant, "user": user})


async def test_a_person_signs_in_by_a_link_that_can_be_used_once(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    async with browser(bench) as client:
        secret = await requested_link(bench, client, tenant, f"ann@{tenant}.example")
        opened = [await client.request(method, f"/sign-in/link?secret={secret}") for method in ("GET", "HEAD") for _ in range(20)]
        assert {each.status_code for each in opened} == {200}
        used = await asyncio.gather(*(use(client, secret) for _ in range(20)))
        assert sorted(each.status_code for each in used) == [200] + [409] * 19
        (first,) = (each.json() for each in used if each.status_code == 200)
        assert first["choices"] == [{"tenant": tenant, "tenant_name": "Acme", "user": user, "login": "ann", "name": ""}]
        chosen = await asyncio.gather(*(choose(client, first["ticket"], tenant, user) for _ in range(5)))
        assert sorted(each.status_code for each in chosen) == [201] + [409] * 4
        (session,) = (each.json() for each in chosen if each.status_code == 201)
    assert (session["tenant"], session["user"], session["method"]) == (tenant, user, "link")
    assert (await exchange(bench, session["secret"])).status_code == 200
    stored = [tuple(row) for table in ("sign_in_links", "sessions", "outbox") for row in await bench.execute(f"SELECT * FROM {table}")]
    assert all(hidden not in str(stored) for hidden in (secret, first["ticket"], session["secret"])), "only hashes are stored"


async def test_known_and_unknown_addresses_are_answered_and_limited_alike(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await administrator(rest, tenant)
    await administrator(rest, tenant, "eve", administrator=False)
    answers = {}
    for name in ("ann", "eve", "nobody"):
        async with browser(bench) as client:
            body = {"email": f"{name}@{tenant}.example"}
            answers[name] = [await client.post("/v1/sign-in/links", json=body) for _ in range(6)]
    shown = {
        name: [(each.status_code, each.json()["detail"], sorted(each.json()), sorted(each.headers)) for each in found]
        for name, found in answers.items()
    }
    assert shown["ann"] == shown["eve"] == shown["nobody"]
    assert [status for status, *_ in shown["ann"]] == [202] * 5 + [429]

    async def done() -> bool:
        return not await bench.execute("SELECT 1 FROM sign_in_requests")

    await wait_until(done, what="all requests to be taken")
    events = await bench.events(tenant, users_v1.SignInLinkRequested)
    assert {each.email for each in events} == {f"ann@{tenant}.example"}


async def test_a_request_for_a_link_is_the_same_work_for_known_and_unknown_addresses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is counted, not timed. What the background job does later is no part of any answer."""
    tenant, rest = await bench.open_tenant()
    await administrator(rest, tenant)
    await administrator(rest, tenant, "eve", administrator=False)
    work: ContextVar[list[str] | None] = ContextVar("work", default=None)

    def note(what: str) -> None:
        if (found := work.get()) is not None:
            found.append(what)

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    def hashed(text: str) -> bytes:
        note("hash")
        return hash_of(text)

    monkeypatch.setattr(dependencies, "hash_of", hashed)
    done: dict[str, list[str]] = {}
    async with bench.users.database.unit_of_work(None) as uow:
        engine = uow.connection.engine.sync_engine
    engine_events.listen(engine, "before_cursor_execute", executed)
    try:
        for name in ("ann", "eve", "nobody"):
            async with browser(bench) as client:
                token = work.set([])
                assert (await client.post("/v1/sign-in/links", json={"email": f"{name}@{tenant}.example"})).status_code == 202
                done[name] = work.get() or []
                work.reset(token)
    finally:
        engine_events.remove(engine, "before_cursor_execute", executed)
    assert done["ann"] == done["eve"] == done["nobody"]
    assert (done["ann"].count("hash"), sum("INSERT INTO sign_in_requests" in each for each in done["ann"])) == (1, 1)
    assert not [each for each in done["ann"] if "people" in each], "nobody is looked up before the answer"


async def test_one_address_of_the_network_requests_a_limited_number_of_links(bench: Bench) -> None:
    async with browser(bench) as client:
        answers = [await client.post("/v1/sign-in/links", json={"email": f"p{n}@limits.example"}) for n in range(21)]
    assert [each.status_code for each in answers] == [202] * 20 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_link_expires_after_fifteen_minutes_and_its_ticket_after_five(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    async with browser(bench) as client:
        late = await requested_link(bench, client, tenant, f"ann@{tenant}.example")
        used = await requested_link(bench, client, tenant, f"ann@{tenant}.example")
        ticket = (await use(client, used)).json()["ticket"]
        now = bench.clock.now()
        monkeypatch.setattr(bench.clock, "now", lambda: now + timedelta(minutes=5))
        assert (await choose(client, ticket, tenant, user)).status_code == 409
        monkeypatch.setattr(bench.clock, "now", lambda: now + timedelta(minutes=15))
        assert (await use(client, late)).status_code == 409


async def test_a_request_that_fails_keeps_no_other_waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, rest = await bench.open_tenant()
    await administrator(rest, tenant)
    choices = sign_in_links._choices

    async def failing(uow: UnitOfWork, found: Any, email_key: str, now: datetime) -> Any:
        if email_key.startswith("bad@"):
            await uow.connection.exec_driver_sql("SELECT 1/0")
        return await choices(uow, found, email_key, now)

    monkeypatch.setattr(sign_in_links, "_choices", failing)
    async with browser(bench) as client:
        assert (await client.post("/v1/sign-in/links", json={"email": f"bad@{tenant}.example"})).status_code == 202
        assert await requested_link(bench, client, tenant, f"ann@{tenant}.example")


async def test_a_person_of_two_tenants_chooses_one_of_them(bench: Bench) -> None:
    (first, rest), (second, _) = await bench.open_tenant(), await bench.open_tenant(name="Other")
    email = f"Ann@{first}.example"
    users = {tenant: await administrator(rest, tenant, email=address) for tenant, address in ((first, email), (second, email.lower()))}
    async with browser(bench) as client:
        tenant = min(first, second)
        secret = await requested_link(bench, client, tenant, email)
        assert await bench.events(max(first, second), users_v1.SignInLinkRequested) == [], "one address gets one e-mail"
        used = (await use(client, secret)).json()
        assert {(each["tenant"], each["user"]) for each in used["choices"]} == set(users.items())
        session = (await choose(client, used["ticket"], second, users[second])).json()
    assert (session["tenant"], session["user"]) == (second, users[second])
    token = (await exchange(bench, session["secret"])).json()["access_token"]
    assert (await bench.app.state.verifier.verify(token)).tenant == second


async def test_two_people_with_one_address_choose_their_login(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    email = f"office@{tenant}.example"
    ann, bob = [await administrator(rest, tenant, name, email=email) for name in ("ann", "bob")]
    await administrator(rest, tenant, "eve", email=email, administrator=False)
    other = await administrator(rest, tenant, "lea")
    async with browser(bench) as client:
        used = (await use(client, await requested_link(bench, client, tenant, email))).json()
        assert [(each["user"], each["login"]) for each in used["choices"]] == [(ann, "ann"), (bob, "bob")]
        assert (await choose(client, used["ticket"], tenant, other)).status_code == 403, "not offered"
        used = (await use(client, await requested_link(bench, client, tenant, email))).json()
        assert (await choose(client, used["ticket"], tenant, bob)).json()["user"] == bob


async def test_who_got_the_address_after_the_link_was_made_is_not_offered(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    email = f"ann@{tenant}.example"
    ann, bob = await administrator(rest, tenant), await administrator(rest, tenant, "bob")
    async with browser(bench) as client:
        secret = await requested_link(bench, client, tenant, email)
        await rest.patch(f"/v1/tenants/{tenant}/people/{ann}", {"email": f"ann.lund@{tenant}.example", "login": "ann.lund"})
        await rest.patch(f"/v1/tenants/{tenant}/people/{bob}", {"email": email, "login": "ann"})
        used = (await use(client, secret)).json()
        assert used["choices"] == []
        for user in (ann, bob):
            assert (await choose(client, used["ticket"], tenant, user)).status_code in (403, 409)
        used = (await use(client, await requested_link(bench, client, tenant, email))).json()
        assert [each["user"] for each in used["choices"]] == [bob], "a new link is for the present holder"


async def test_who_was_blocked_after_the_link_was_used_gets_no_session(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    async with browser(bench) as client:
        used = (await use(client, await requested_link(bench, client, tenant, f"ann@{tenant}.example"))).json()
        await rest.patch(f"/v1/tenants/{tenant}/people/{user}", {"may_log_in": False})
        assert (await choose(client, used["ticket"], tenant, user)).status_code == 403


async def test_the_page_of_a_link_works_without_scripts_and_uses_nothing_when_it_is_opened(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    email = f"ann@{tenant}.example"
    await administrator(rest, tenant, name="ann")
    await administrator(rest, tenant, "bob", email=email)
    async with browser(bench) as client:
        secret = await requested_link(bench, client, tenant, email)
        page = await client.get("/sign-in/link", params={"secret": secret})
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
        assert "<script" not in page.text
        assert 'method="post"' in page.text
        chosen = await client.post("/sign-in/link", data={"secret": hidden(page.text, "secret")})
        values = [unescape(value) for value in re.findall(r'name="choice" value="([^"]*)"', chosen.text)]
        assert len(values) == 2
        signed_in = await client.post("/sign-in/choice", data={"ticket": hidden(chosen.text, "ticket"), "choice": values[1]})
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        again = await client.post("/sign-in/link", data={"secret": secret})
        assert (again.status_code, again.headers["content-type"]) == (409, "text/html; charset=utf-8")
        assert (await exchange(bench, signed_in.cookies["seatpool_session"])).status_code == 200
        hostile = await client.get("/sign-in/link", params={"secret": '"><script>alert(1)</script>'})
        assert "<script" not in hostile.text
        assert "not complete" in (await client.get("/sign-in/link")).text


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


async def test_no_log_line_has_a_secret_or_an_address(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    tenant, rest = await bench.open_tenant()
    user = await administrator(rest, tenant)
    capfd.readouterr()
    async with browser(bench) as client:
        secret = await requested_link(bench, client, tenant, f"ann@{tenant}.example")
        await client.get("/sign-in/link", params={"secret": secret})
        used = (await use(client, secret)).json()
        session = (await choose(client, used["ticket"], tenant, user)).json()
        await use(client, secret)
        token = (await exchange(bench, session["secret"])).json()["access_token"]
    printed = "".join(capfd.readouterr())
    assert "/v1/sign-in/links/use" in printed
    assert [word for word in (secret, used["ticket"], session["secret"], token, f"ann@{tenant}.example") if word in printed] == []


# --------------------------------------------------------------------------------------------------------- identity provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[str]:
    """Run the identity provider of the local stack, which takes any person and client; yield its issuer."""
    port = ports.pick()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "deploy.local.identity_provider", str(port), stderr=DEVNULL)
    try:
        await wait_until(answers(port, "/.well-known/openid-configuration"), what="the identity provider")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def owner(rest: Rest, tenant: str, name: str = "ann", **more: Any) -> str:
    user = await administrator(rest, tenant, name, **more)
    body = {"roles": ["owner"]}
    answer = await rest.call("PUT", f"/v1/tenants/{tenant}/people/{user}/roles", body, if_match="*")
    assert answer.status_code == 200, answer.text
    return user


@dataclass
class Signing:
    """A tenant with the identity provider, and an owner who configures it."""

    bench: Bench
    client: httpx.AsyncClient
    issuer: str
    tenant: str
    operator: Rest
    ann: str
    rest: Rest

    def path(self, last: str = "") -> str:
        return f"/v1/tenants/{self.tenant}/identity-provider{last}"

    async def account(self, sub: str, **claims: Any) -> None:
        """Set what the identity provider says about an account."""
        async with httpx.AsyncClient() as http:
            await http.put(f"{self.issuer}/users/{sub}", json=claims)

    async def at_provider(self, url: str, sub: str) -> dict[str, str]:
        """Sign in there, as a browser does; return what the address has to which the provider sends the browser."""
        async with httpx.AsyncClient() as http:
            sent_back = (await http.post(url, data={"sub": sub})).headers["location"]
        assert sent_back.startswith(REDIRECT_URL)
        return {name: values[0] for name, values in parse_qs(urlsplit(sent_back).query).items()}

    async def started(self) -> dict[str, Any]:
        body = {"tenant": self.tenant, "redirect_uri": REDIRECT_URL}
        answer = await self.client.post("/v1/sign-in/identity-provider", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def sign_in(self, sub: str) -> httpx.Response:
        started = await self.started()
        back = await self.at_provider(started["authorization_url"], sub)
        body = {"flow": started["flow"], "state": back["state"], "code": back["code"]}
        return await self.client.post("/v1/sign-in/identity-provider/complete", json=body)

    async def test(self, sub: str) -> httpx.Response:
        started = await self.rest.post(self.path("/test"), {"redirect_uri": REDIRECT_URL})
        back = await self.at_provider(started["authorization_url"], sub)
        body = {"flow": started["flow"], "state": back["state"], "code": back["code"]}
        return await self.rest.call("POST", self.path("/activate"), body)

    async def id_token(self, sub: str, client_id: str = "seatpool") -> str:
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URL, "client_id": client_id, "client_secret": "x"}
        query = urlencode({"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT_URL, "scope": "openid profile email"})
        back = await self.at_provider(f"{self.issuer}/oauth2/authorize?{query}", sub)
        async with httpx.AsyncClient() as http:
            return str((await http.post(f"{self.issuer}/oauth2/token", data=form | {"code": back["code"]})).json()["id_token"])

    async def exchange_id_token(self, token: str, **more: str) -> httpx.Response:
        form = EXCHANGE | {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "subject_token": token} | more
        return await self.client.post("/v1/token", data=form)

    async def enter(self, **more: Any) -> dict[str, Any]:
        body = {"issuer": self.issuer, "client_id": "seatpool", "client_secret": "a-client-s3cret"} | more
        return dict(await self.rest.put(self.path(), body))

    async def configure(self, **more: Any) -> None:
        """Make the identity provider effective; Ann's account there is `sub-ann`."""
        await self.account("sub-ann", preferred_username="ann")
        await self.enter(**more)
        answer = await self.test("sub-ann")
        assert answer.status_code == 200, answer.text


@pytest_asyncio.fixture(loop_scope="module")
async def signing(bench: Bench, provider: str) -> AsyncIterator[Signing]:
    # The provider signs with real time, and the clock of the bench stands still.
    bench.app.state.context.sign_in.providers._clock = SystemClock()
    tenant, operator = await bench.open_tenant()
    ann = await owner(operator, tenant)
    rest = await bench.rest(tenant=tenant, scope=" ".join(TENANT_RIGHTS), subject=ann)
    async with browser(bench) as client:
        yield Signing(bench, client, provider, tenant, operator, ann, rest)


async def test_a_configuration_is_used_after_a_test_sign_in_by_the_person_who_entered_it(signing: Signing) -> None:
    await signing.account("sub-ann", preferred_username="ann")
    await signing.account("sub-bob", preferred_username="bob")
    bob = await owner(signing.operator, signing.tenant, "bob")
    entered = await signing.enter()
    assert (entered["has_secret"], entered["entered_by"]) == (True, signing.ann)
    body = {"tenant": signing.tenant, "redirect_uri": REDIRECT_URL}
    assert (await signing.client.post("/v1/sign-in/identity-provider", json=body)).status_code == 404, "not yet"
    refused = await signing.test("sub-bob")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:seatpool:problem:identity-refused")
    assert (await signing.test("sub-ann")).status_code == 200
    shown = await signing.rest.get(signing.path())
    assert (shown["draft"], shown["effective"]["issuer"]) == (None, signing.issuer)
    session = (await signing.sign_in("sub-bob")).json()
    assert (session["user"], session["method"]) == (bob, "identity_provider")
    assert (await exchange(signing.bench, session["secret"])).status_code == 200
    await signing.enter(client_id="another")
    assert (await signing.sign_in("sub-bob")).status_code == 201, "a new draft changes nothing"
    events = await signing.bench.events(signing.tenant, users_v1.IdentityProviderChanged)
    assert [each.what for each in events] == ["entered", "effective", "entered"]
    stored = str([tuple(row) for row in await signing.bench.execute("SELECT * FROM identity_providers")])
    assert "a-client-s3cret" not in stored + str(shown) + str(entered)
    assert (await signing.rest.call("DELETE", signing.path())).status_code == 204
    assert (await signing.client.post("/v1/sign-in/identity-provider", json=body)).status_code == 404


async def test_a_sign_in_works_once_and_only_in_the_browser_in_which_it_began(signing: Signing) -> None:
    await signing.configure()
    path = "/v1/sign-in/identity-provider/complete"
    first, second = await signing.started(), await signing.started()
    back = await signing.at_provider(first["authorization_url"], "sub-ann")
    for flow, state in ((second["flow"], back["state"]), (first["flow"], "x"), ("x", back["state"])):
        wrong = await signing.client.post(path, json={"flow": flow, "state": state, "code": back["code"]})
        assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:seatpool:problem:sign-in-not-valid")
    unused = await signing.started()
    state = parse_qs(urlsplit(unused["authorization_url"]).query)["state"][0]
    invented = await signing.client.post(path, json={"flow": unused["flow"], "state": state, "code": "invented"})
    assert (invented.status_code, invented.json()["type"]) == (409, "urn:seatpool:problem:sign-in-not-valid")
    for error, status, type_ in (
        ("access_denied", 409, "sign-in-not-valid"),
        ("invalid_scope", 409, "identity-provider-refused"),
        ("server_error", 503, "identity-provider-failed"),
    ):
        sent_back = await signing.started()
        state = parse_qs(urlsplit(sent_back["authorization_url"]).query)["state"][0]
        body = {"flow": sent_back["flow"], "state": state, "error": error}
        refused, used = [await signing.client.post(path, json=body) for _ in range(2)]
        assert (refused.status_code, refused.json()["type"]) == (status, f"urn:seatpool:problem:{type_}")
        assert "was already completed" in used.json()["detail"]
        assert (await signing.client.post(path, json=body | {"code": "c"})).status_code == 422
    body = {"flow": first["flow"], "state": back["state"], "code": back["code"], "iss": signing.issuer}
    answers = await asyncio.gather(*(signing.client.post(path, json=body) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 4
    other = await signing.at_provider(second["authorization_url"], "sub-ann")
    # The nonce of the ID token is that of the other sign-in: somebody put in a code that was issued elsewhere.
    third = await signing.started()
    state = parse_qs(urlsplit(third["authorization_url"]).query)["state"][0]
    mixed = await signing.client.post(path, json={"flow": third["flow"], "state": state, "code": other["code"]})
    assert (mixed.status_code, mixed.json()["type"]) == (403, "urn:seatpool:problem:identity-refused")
    # Another provider sent the browser back, with a code for somebody's account there: this one must not get it.
    fourth = await signing.started()
    back = await signing.at_provider(fourth["authorization_url"], "sub-ann")
    body = {"flow": fourth["flow"], "state": back["state"], "code": back["code"], "iss": "https://login.example/other"}
    refused = await signing.client.post(path, json=body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:sign-in-not-valid")
    assert "another identity provider" in refused.json()["detail"]
    rows = str([tuple(row) for row in await signing.bench.execute("SELECT * FROM sign_in_flows")])
    assert first["flow"] not in rows


UNREADABLE = ("https://[", "https://a:port", "https://a\n.example", "https://:1/", "https://xn--a")


async def test_only_registered_redirect_addresses_and_known_issuers_are_accepted(signing: Signing) -> None:
    await signing.configure()
    for url in ("https://evil.example/signed-in", REDIRECT_URL + "/", REDIRECT_URL + "?x=1", "javascript:alert(1)"):
        answer = await signing.client.post("/v1/sign-in/identity-provider", json={"tenant": signing.tenant, "redirect_uri": url})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.redirect_uri")
    for issuer in (
        "http://login.example",
        "https://",
        "https://user@login.example",
        "https://login.example/?x",
        "ftp://x",
        "https://a b",
        *UNREADABLE,
    ):
        answer = await signing.rest.call("PUT", signing.path(), {"issuer": issuer, "client_id": "c"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.issuer"), issuer


async def test_a_login_that_moves_to_another_person_does_not_move_the_binding(signing: Signing) -> None:
    await signing.configure()
    people = f"/v1/tenants/{signing.tenant}/people"
    bob = await owner(signing.operator, signing.tenant, "bob")
    await signing.account("sub-new", preferred_username="ANN")
    taken = await signing.sign_in("sub-new")
    assert (taken.status_code, taken.json()["type"]) == (403, "urn:seatpool:problem:identity-refused"), "Ann has another account"
    await signing.operator.patch(f"{people}/{signing.ann}", {"login": "ann.lund"})
    await signing.operator.patch(f"{people}/{bob}", {"login": "ann"})
    assert (await signing.sign_in("sub-ann")).json()["user"] == signing.ann
    assert (await signing.sign_in("sub-new")).json()["user"] == bob
    (identity,) = (await signing.rest.get(f"{people}/{bob}/identities"))["identities"]
    assert (identity["issuer"], identity["subject"]) == (signing.issuer, "sub-new")
    for method in ("GET", "DELETE"):
        assert (await signing.rest.call(method, f"{people}/nobody/identities")).status_code == 404
    session = (await signing.sign_in("sub-new")).json()
    assert (await signing.rest.call("DELETE", f"{people}/{bob}/identities")).status_code == 204
    assert (await exchange(signing.bench, session["secret"])).status_code == 400, "the sessions end with the binding"
    await signing.operator.patch(f"{people}/{bob}", {"status": "left"})
    assert (await signing.sign_in("sub-new")).status_code == 403, "nobody has that login now"


async def test_the_account_of_a_person_who_is_linked_to_another_is_bound_again(signing: Signing) -> None:
    await signing.configure()
    people = f"/v1/tenants/{signing.tenant}/people"
    bob = await owner(signing.operator, signing.tenant, "bob")
    lea = await owner(signing.operator, signing.tenant, "lea")
    await signing.account("sub-bob", preferred_username="bob")
    session = (await signing.sign_in("sub-bob")).json()
    await signing.operator.post(f"{people}/{bob}/link", {"to": lea})
    assert (await exchange(signing.bench, session["secret"])).status_code == 400
    await signing.operator.patch(f"{people}/{lea}", {"login": "bob"})
    assert (await signing.sign_in("sub-bob")).json()["user"] == lea


async def test_email_counts_only_if_the_provider_has_verified_it_or_its_directory_is_trusted(signing: Signing) -> None:
    await signing.configure()
    eve = await owner(signing.operator, signing.tenant, "eve")
    email = f"eve@{signing.tenant}.example"
    await signing.account("verified", email=email.upper(), email_verified=True)
    refused_claims: dict[str, dict[str, Any]] = {
        "unverified": {"email": email, "email_verified": False},
        "unverified-text": {"email": email, "email_verified": "false"},
        "null": {"email": email, "email_verified": None},
        "no-answer": {"email": email, "email_verified": "no"},
        "zero": {"email": email, "email_verified": 0},
        "entra": {"email": email},
        "unknown": {"email": "nobody@acme.example", "email_verified": True},
        "odd": {"preferred_username": 7, "email": ["x"]},
        "both": {"preferred_username": "eve", "email": email, "email_verified": False},
    }
    for sub, claims in refused_claims.items():
        await signing.account(sub, **claims)
        refused = await signing.sign_in(sub)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:seatpool:problem:identity-refused"), sub
        assert email not in refused.text
    await signing.configure(trust_email=True)
    assert (await signing.sign_in("entra")).json()["user"] == eve
    other = await signing.sign_in("verified")
    assert other.status_code == 403, "Eve is bound to another account"
    for name in ("tim", "tom"):
        await administrator(signing.operator, signing.tenant, name, email=f"shared@{signing.tenant}.example")
    await signing.account("shared", email=f"shared@{signing.tenant}.example", email_verified=True)
    assert "several people" in (await signing.sign_in("shared")).json()["detail"]


async def test_sign_in_creates_nobody_and_lets_in_nobody_without_a_role(signing: Signing) -> None:
    await signing.configure()
    path = f"/v1/tenants/{signing.tenant}/people?status=all"
    await administrator(signing.operator, signing.tenant, "eve", administrator=False)
    before = await signing.operator.get(path)
    for sub, name in (("eve", "eve"), ("stranger", "stranger")):
        await signing.account(sub, preferred_username=name)
        assert (await signing.sign_in(sub)).status_code == 403
    assert await signing.operator.get(path) == before
    bound = await signing.bench.execute("SELECT subject FROM identities WHERE tenant_id = $1", signing.tenant)
    assert [row.subject for row in bound] == ["sub-ann"], "who may not sign in is not bound"


async def test_the_first_sign_in_accepts_an_open_invitation(signing: Signing) -> None:
    await signing.configure()
    invited = {"invitation": {"reserve": False}, "profile": "guests"}
    user = await administrator(signing.operator, signing.tenant, "ina", **invited)
    path = f"/v1/tenants/{signing.tenant}/people/{user}"
    assert (await signing.operator.get(path))["status"] == "invited"
    await signing.account("ina", preferred_username="ina")
    assert (await signing.sign_in("ina")).json()["user"] == user
    assert (await signing.operator.get(path))["status"] == "active"


async def test_only_a_person_enters_an_identity_provider(signing: Signing) -> None:
    body = {"issuer": signing.issuer, "client_id": "seatpool"}
    refused = await signing.operator.call("PUT", signing.path(), body)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:seatpool:problem:no-right")


async def test_a_tenant_that_requires_its_identity_provider_is_offered_by_link_to_owners_only(signing: Signing) -> None:
    bob = await administrator(signing.operator, signing.tenant, "bob")
    ann_email, bob_email = (f"{name}@{signing.tenant}.example" for name in ("ann", "bob"))
    bench, client, tenant = signing.bench, signing.client, signing.tenant
    made_before = await requested_link(bench, client, tenant, bob_email)
    await signing.configure()
    assert (await use(client, made_before)).json()["choices"] == []
    used = (await use(client, await requested_link(bench, client, tenant, ann_email))).json()
    assert (await choose(client, used["ticket"], tenant, signing.ann)).status_code == 201

    async def told() -> list[users_v1.EmergencyLinkUsed]:
        return await bench.events(tenant, users_v1.EmergencyLinkUsed)

    (event,) = await wait_until(told, what="the event for the owners")
    assert (event.user, event.owners) == (signing.ann, (ann_email,))
    await signing.configure(emergency_links=False)
    made = await requested_link_or_none(bench, client, tenant, ann_email)
    assert made is None
    await signing.configure(required=False)
    used = (await use(client, await requested_link(bench, client, tenant, bob_email))).json()
    assert (await choose(client, used["ticket"], tenant, bob)).status_code == 201
    assert len(await told()) == 1


async def requested_link_or_none(bench: Bench, client: httpx.AsyncClient, tenant: str, email: str) -> str | None:
    """Request a link, wait until the request was taken, and return the sealed link if one was made."""
    before = len(await link_events(bench, tenant, email))
    assert (await client.post("/v1/sign-in/links", json={"email": email})).status_code == 202

    async def taken() -> bool:
        return not await bench.execute("SELECT 1 FROM sign_in_requests")

    await wait_until(taken, what="the request to be taken")
    events = await link_events(bench, tenant, email)
    return events[-1].sealed_link if len(events) > before else None


async def test_an_id_token_of_the_tenants_provider_is_exchanged_for_an_access_token(signing: Signing) -> None:
    await signing.configure()
    eve = await administrator(signing.operator, signing.tenant, "eve", administrator=False)
    await signing.account("eve", preferred_username="eve")
    id_token = signing.id_token

    async def exchanged(token: str, tenant: str = signing.tenant) -> httpx.Response:
        return await signing.exchange_id_token(token, tenant=tenant)

    verify = signing.bench.app.state.verifier.verify
    principal = await verify((await exchanged(await id_token("sub-ann"))).json()["access_token"])
    assert (principal.subject, principal.tenant) == (signing.ann, signing.tenant)
    assert "roles:manage" in principal.rights
    token = await id_token("eve")
    answer = (await exchanged(token)).json()
    principal = await verify(answer["access_token"])
    assert (principal.subject, principal.rights, answer["expires_in"]) == (eve, frozenset(), REVOCABLE_TTL_SECONDS), (
        "the product learns who it is"
    )
    other, _ = await signing.bench.open_tenant()
    assert (await exchanged(token, other)).status_code == 404, "that tenant has no identity provider"
    assert (await exchanged(await id_token("eve", "another-client"))).status_code == 403
    assert (await exchanged(token[:-4] + "AAAA")).status_code == 403
    await signing.operator.patch(f"/v1/tenants/{signing.tenant}/people/{eve}", {"may_log_in": False})
    assert (await exchanged(token)).status_code == 403


async def test_an_identity_provider_that_is_down_gives_a_clear_answer(signing: Signing) -> None:
    await signing.enter(issuer="http://127.0.0.1:9", client_secret=None)
    started = await signing.rest.call("POST", signing.path("/test"), {"redirect_uri": REDIRECT_URL})
    assert (started.status_code, started.json()["type"]) == (503, "urn:seatpool:problem:identity-provider-failed")
    assert "127.0.0.1 cannot be reached" in started.json()["detail"]


# ----------------------------------------------------------------------------------------------------------------- operators


async def test_an_operator_signs_in_by_link_and_opens_a_tenant_in_their_own_name(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    email = f"vera@{tenant}.example"
    vera = (await rest.post("/v1/operators", {"email": email, "name": "Vera Vind"}))["operator"]
    twice = await rest.call("POST", "/v1/operators", {"email": email.upper(), "name": "Vera"})
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:seatpool:problem:operator-exists")
    assert [each["name"] for each in (await rest.get("/v1/operators"))["items"] if each["operator"] == vera] == ["Vera Vind"]
    ann = await administrator(rest, tenant, "vera")  # the same address: a person of a tenant, who is no operator there
    async with browser(bench) as client:
        secret = await requested_link(bench, client, tenant, email)
        used = (await use(client, secret)).json()
        assert [(each["tenant"], each["user"], each["name"]) for each in used["choices"]] == [(tenant, ann, ""), (None, vera, "Vera Vind")]
        chosen = await client.post("/v1/sign-in/links/choose", json={"ticket": used["ticket"], "user": vera})
    assert (chosen.status_code, chosen.json()["tenant"]) == (201, None)
    secret = chosen.json()["secret"]
    token = (await exchange(bench, secret)).json()["access_token"]
    principal = await bench.app.state.verifier.verify(token)
    assert (principal.subject, principal.tenant, principal.kind, principal.rights) == (vera, None, "operator", frozenset({"operator"}))
    own = Rest(bench.http, token, bench.check)
    opened = await own.post(f"/v1/tenants/{tenant}/operator-access", {"reason": "ticket 4711"})

    async def told() -> list[users_v1.TenantOpenedByOperator]:
        return await bench.events(tenant, users_v1.TenantOpenedByOperator)

    (event,) = await wait_until(told, what="the event for the tenant")
    assert (event.actor.kind, event.actor.id, event.operator, event.reason) == ("operator", vera, "Vera Vind", "ticket 4711")
    reader = Rest(bench.http, opened["access_token"], bench.check)
    assert (await reader.call("DELETE", f"/v1/operators/{vera}")).status_code == 403
    assert (await reader.get(f"/v1/tenants/{tenant}/people"))["items"]
    assert (await rest.call("DELETE", f"/v1/operators/{vera}")).status_code == 204
    assert (await rest.call("DELETE", f"/v1/operators/{vera}")).status_code == 404
    assert (await exchange(bench, secret)).status_code == 400, "a removed operator has no session"
    for path, body in ((f"/v1/tenants/{tenant}/operator-access", {"reason": "late"}), ("/v1/operators", {"email": email, "name": "Vera"})):
        assert (await own.call("POST", path, body)).status_code == 401, "the last access token makes nothing that outlives it"
    assert opened["expires_in"] == 30 * 60
    assert (await reader.get(f"/v1/tenants/{tenant}/people"))["items"], "a tenant that was opened can be read until its token ends"


async def test_a_link_of_an_operator_whom_no_tenant_knows_belongs_to_no_tenant(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    email = f"otto@strasse.{tenant}.example"
    otto = (await rest.post("/v1/operators", {"email": email, "name": "Otto"}))["operator"]

    async def events() -> list[users_v1.OperatorLinkRequested]:
        sent = await bench.wire.events(topics.USERS_EVENTS, None, users_v1.OperatorLinkRequested)
        return [each for each in sent if each.operator == otto]

    async def there() -> bool:
        return bool(await events())

    async with browser(bench) as client:
        for each in (email.replace("ss", "ß"), email):
            assert (await client.post("/v1/sign-in/links", json={"email": each})).status_code == 202
        await wait_until(there, what="a link for the operator")
        (event,) = await events()
        assert event.email == email, "strasse and straße are two domains"
        link = unseal(event.sealed_link, [NOTIFIER_SECRET], SIGN_IN_LINK)
        assert event.operator == otto
        assert link is not None
        page = await client.post("/sign-in/link", data={"secret": link.partition("?secret=")[2]})
    assert page.status_code == 200, page.text
    token = (await exchange(bench, page.cookies["seatpool_session"])).json()["access_token"]
    assert (await bench.app.state.verifier.verify(token)).subject == otto


async def test_operators_sign_in_with_the_identity_provider_of_the_vendor(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    context = signing.bench.app.state.context
    assert (await signing.exchange_id_token("x.y.z")).status_code == 404, "the vendor has none"
    provider = VendorsProvider(signing.issuer, "seatpool", trust_email=False)
    monkeypatch.setattr(signing.bench.app.state, "context", replace(context, sign_in=replace(context.sign_in, vendors_provider=provider)))
    email = f"vera@{signing.tenant}.example"
    vera = await signing.operator.post("/v1/operators", {"email": email, "name": "Vera Vind"})
    await signing.account("vera", email=email, email_verified=False)
    assert (await signing.exchange_id_token(await signing.id_token("vera"))).status_code == 403, "the address is not verified"
    await signing.account("vera", email=email, email_verified=True)
    answer = await signing.exchange_id_token(await signing.id_token("vera"))
    principal = await signing.bench.app.state.verifier.verify(answer.json()["access_token"])
    assert (principal.subject, principal.kind) == (vera["operator"], "operator")
    await signing.account("other", email=email, email_verified=True)
    assert (await signing.exchange_id_token(await signing.id_token("other"))).status_code == 403, "Vera is bound to her account"
    await signing.account("vera", email="new@vendor.example", email_verified=True)
    assert (await signing.exchange_id_token(await signing.id_token("vera"))).status_code == 200
    await signing.operator.call("DELETE", f"/v1/operators/{vera['operator']}")
    assert (await signing.exchange_id_token(await signing.id_token("vera"))).status_code == 403
