"""REST as every service serves it: problems, tokens, limits, pages."""

import asyncio
import base64
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import date, timedelta
from typing import Annotated, Any

import httpx
import orjson
import pytest
import structlog
from fastapi import APIRouter, Depends, FastAPI
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey
from pydantic import AfterValidator, BaseModel, Field, model_validator

from services.invoicing.api import billing_details
from shared.clock import FixedClock
from shared.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Transient, Unauthenticated
from shared.schemas.faults import WrongFields
from shared.settings import CommonSettings
from shared.web import IfMatch, Principal, ServiceClient, Verifier, access, authenticated, create_app, operator, refusals
from shared.web import check_if_match as check
from shared.web.app import HUNG_UP
from shared.web.auth import FETCH_TIMEOUT_SECONDS
from shared.web.input_limits import BODY_MAX
from shared.web.problems import status_of
from shared.web.rest import answer, decode_cursor, encode_cursor, etag
from shared.web.route import AsideRoute
from tests.support.messaging import NOON
from tests.support.wait import wait_until

KEY = OKPKey.generate_key("Ed25519", {"kid": "k1"}, private=True)
OTHER = OKPKey.generate_key("Ed25519", {"kid": "k2"}, private=True)
CLOCK = FixedClock(NOON)


def token(*, key: Any = KEY, algorithm: str = "Ed25519", drop: str | None = None, **claims: Any) -> str:
    now = int(NOON.timestamp())
    defaults = {
        "iss": "seatpool", "aud": "seatpool", "sub": "ann", "tenant": "acme", "rights": ["account:read"], "kind": "user",
        "exp": now + 600, "iat": now, "jti": "t1",
    }  # fmt: skip
    body = {name: value for name, value in (defaults | claims).items() if name != drop}
    return jwt.encode({"alg": algorithm, "kid": getattr(key, "kid", None)}, body, key, algorithms=[algorithm])


class Item(BaseModel):
    module: str
    add: int = Field(ge=1)
    until: date | None = None
    secret: str | None = None

    @model_validator(mode="after")
    def _with_a_day(self) -> "Item":
        if self.secret is not None and self.until is not None:
            raise WrongFields({"until": self.until, "secret": self.secret}, "until or secret, not both")
        return self


class Order(BaseModel):
    model_config = {"extra": "forbid"}

    items: list[Item]


def make_app() -> FastAPI:
    async def ready() -> bool:
        return True

    async def support_contact(tenant: str) -> str | None:
        if tenant == "unlucky":
            raise Transient("database: gone")
        return f"support@{tenant}.example" if tenant != "new" else None

    verifier = Verifier(keys=lambda: KeySet([KEY]), clock=CLOCK)
    app = create_app(title="sample", settings=CommonSettings(), ready=ready, verifier=verifier, support_contact=support_contact)

    @app.get("/v1/tenants/{tenant}/things")
    async def things(tenant: str, principal: Annotated[Principal, Depends(access("account:read"))], email: str = "") -> dict[str, str]:
        return {"tenant": tenant, "subject": principal.subject}

    @app.post("/v1/tenants/{tenant}/things", dependencies=[Depends(access("account:buy"))])
    async def add_thing(tenant: str) -> None:
        pass

    @app.get("/v1/tenants/{tenant}/refuse/{name}", dependencies=[Depends(access("account:read"))])
    async def refuse(tenant: str, name: str) -> None:
        raise {"not-found": NotFound("thing"), "conflict": Conflict("busy", "No."), "invalid": Invalid("body.x", 1, "2")}[name]

    @app.get("/v1/operator/things")
    async def all_things(principal: Annotated[Principal, Depends(operator())]) -> dict[str, str]:
        return {"subject": principal.subject}

    @app.post("/v1/tenants/{tenant}/orders", dependencies=[Depends(access("account:read"))])
    async def order(tenant: str, body: Order) -> dict[str, int]:
        return {"items": len(body.items)}

    @app.get("/raise/{name}")
    async def raise_it(name: str, principal: Annotated[Principal, Depends(authenticated)]) -> None:
        raise {
            "refused": Refused("pool-full", "No licence is free.", module="time"),
            "not-found": NotFound("pool"),
            "conflict": Conflict("clock-advancing", "The clock is being advanced."),
            "invalid": Invalid("body.name", "x", "a name"),
            "transient": Transient("database: gone"),
            "bug": ZeroDivisionError("secret inside"),
        }[name]

    @app.put("/v1/tenants/{tenant}/edit", dependencies=[Depends(access("account:read"))], responses=refusals(412, 428))
    async def edit(tenant: str, if_match: IfMatch = None) -> Any:
        check(if_match, 3)
        return answer({"ok": True}, headers={"etag": etag(4)})

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"authorization": f"Bearer {token()}"}) as client:
        yield client


def assert_problem(response: httpx.Response, status: int, type_: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:seatpool:problem:{type_}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["correlation"] == response.headers["x-correlation-id"]
    return problem


# ------------------------------------------------------------------------------------------------------------------ rights


async def test_T22_M1_a_right_opens_the_tenants_own_route(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/tenants/acme/things")
    assert (response.status_code, response.json()) == (200, {"tenant": "acme", "subject": "ann"})


async def test_without_a_token_nothing_but_probes_and_documents_is_readable(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    response = await client.get("/v1/tenants/acme/things")
    assert_problem(response, 401, "no-token")
    assert response.headers["www-authenticate"].startswith("Bearer")
    open_paths = ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"]
    assert [(await client.get(path)).status_code for path in open_paths] == [200] * 5


async def test_the_page_of_the_api_documents_loads_nothing_from_the_internet(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len(addresses) == 3, "script, style, icon"
    assert "://" not in page
    assert {(await client.get(address)).status_code for address in [*addresses, "/openapi.json"]} == {200}


async def test_a_route_of_another_tenant_is_not_found(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/tenants/globex/things"), 404, "not-found")


async def test_T23_T24_without_the_right_it_is_forbidden(client: httpx.AsyncClient) -> None:
    client.headers["authorization"] = f"Bearer {token(rights=['users:read'])}"
    problem = assert_problem(await client.get("/v1/tenants/acme/things"), 403, "no-right")
    assert problem["right"] == "account:read"


@pytest.mark.parametrize(
    ("kind", "of_tenant", "of_vendor"),
    [
        ("operator", "For everything else, ask an administrator of the tenant.", "Use the token of your sign-in as an operator."),
        ("user", "Ask an owner of your company for a role with this right.", "Only the vendor can do this."),
        ("client", "Request a token with this right.", "Request such a token."),
    ],
)
async def test_who_lacks_a_right_reads_what_they_can_do(client: httpx.AsyncClient, kind: str, of_tenant: str, of_vendor: str) -> None:
    client.headers["authorization"] = f"Bearer {token(rights=['users:read'], kind=kind)}"
    for path, remedy in (("/v1/tenants/acme/things", of_tenant), ("/v1/operator/things", of_vendor)):
        assert assert_problem(await client.get(path), 403, "no-right")["detail"].endswith(remedy)


async def test_the_operator_of_all_tenants_has_every_right(client: httpx.AsyncClient) -> None:
    client.headers["authorization"] = f"Bearer {token(tenant=None, rights=['operator'], kind='operator')}"
    assert (await client.get("/v1/tenants/globex/things")).status_code == 200
    assert (await client.get("/v1/operator/things")).status_code == 200


@pytest.mark.parametrize("claims", [{"rights": ["account:read"]}, {"rights": ["operator"]}])
async def test_the_vendors_routes_are_for_an_operator_of_all_tenants(client: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    client.headers["authorization"] = f"Bearer {token(**claims)}"
    assert_problem(await client.get("/v1/operator/things"), 403, "no-right")


@pytest.mark.parametrize(
    ("claims", "path", "status", "contact"),
    [
        ({}, "/v1/tenants/acme/refuse/not-found", 404, "support@acme.example"),
        ({}, "/v1/tenants/acme/refuse/conflict", 409, "support@acme.example"),
        ({"rights": ["users:read"]}, "/v1/tenants/acme/things", 403, "support@acme.example"),
        ({"rights": ["operator"]}, "/v1/operator/things", 403, "support@acme.example"),
        ({}, "/v1/tenants/globex/things", 404, None),
        ({}, "/v1/tenants/acme/refuse/invalid", 422, None),
        ({}, "/v1/nothing", 404, None),
        ({"tenant": None, "rights": ["operator"], "kind": "client"}, "/v1/tenants/acme/refuse/not-found", 404, None),
        ({"tenant": None, "rights": ["operator"], "kind": "client"}, "/v1/tenants/acme/refuse/conflict", 409, None),
        ({"tenant": "new"}, "/v1/tenants/new/refuse/conflict", 409, None),
        ({"tenant": "unlucky"}, "/v1/tenants/unlucky/refuse/conflict", 409, None),
    ],
)
async def test_A13_a_refusal_names_the_support_contact_of_the_tokens_tenant_and_never_the_paths(
    client: httpx.AsyncClient, claims: dict[str, Any], path: str, status: int, contact: str | None
) -> None:
    client.headers["authorization"] = f"Bearer {token(**claims)}"
    response = await client.get(path)
    assert (response.status_code, response.json().get("support_contact")) == (status, contact)


def _unsigned() -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")

    claims = {"iss": "seatpool", "aud": "seatpool", "sub": "ann", "tenant": "acme", "rights": ["operator"], "iat": 1, "exp": 9_999_999_999}
    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims)}."


def _public_key_as_secret() -> str:
    """The old trick: the public key, which everybody has, as the secret of a symmetric algorithm."""
    secret = OctKey.import_key(orjson.dumps(KEY.as_dict(private=False)), {"kid": "k1"})
    return token(key=secret, algorithm="HS256")


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(exp=int(NOON.timestamp()) - 60),
        lambda: token(iat=int(NOON.timestamp()) + 3600),
        lambda: token(aud="another"),
        lambda: token(iss="another"),
        lambda: token(key=OTHER),
        lambda: token(drop="exp"),
        lambda: token(drop="sub"),
        lambda: token(drop="aud"),
        lambda: token(tenant=None),  # of a person, for all tenants
        lambda: token(rights="operator"),
        lambda: token()[:-4] + "AAAA",
        _unsigned,
        _public_key_as_secret,
        lambda: "nonsense",
        lambda: "a.b.c",
    ],
)
async def test_a_token_that_is_not_valid_is_refused(client: httpx.AsyncClient, make: Callable[[], str]) -> None:
    client.headers["authorization"] = f"Bearer {make()}"
    assert_problem(await client.get("/v1/tenants/acme/things"), 401, "invalid-token")


class Users(httpx.AsyncBaseTransport):
    """The part of users that publishes keys and gives tokens."""

    def __init__(self) -> None:
        self.keys, self.asked, self.unchanged, self.tokens, self.down = [KEY], 0, 0, 0, False
        self.statuses: list[int] = []
        self.requests: list[httpx.Request] = []
        self.until: asyncio.Event | None = None  # the keys are answered when it is set

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        if request.url.path == "/v1/token":
            assert b"scope=operator" in request.content, "a service names its right"
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}", "expires_in": 600})
        if request.url.path == "/.well-known/jwks.json":
            self.asked += 1
            if self.until is not None:
                await self.until.wait()
            etag = f'"{"-".join(str(key.kid) for key in self.keys)}"'
            if request.headers.get("if-none-match") == etag:
                self.unchanged += 1
                return httpx.Response(304, headers={"etag": etag})
            return httpx.Response(200, json=KeySet([*self.keys]).as_dict(private=False), headers={"etag": etag})
        self.requests.append(request)
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200, json={})


async def test_keys_are_fetched_once_and_again_for_an_unknown_key_but_not_at_will() -> None:
    users, clock = Users(), FixedClock(NOON)
    verifier = Verifier("http://users", clock=clock, transport=users)
    await asyncio.gather(*(verifier.verify(token()) for _ in range(5)))
    assert users.asked == 1
    users.keys = [OTHER]  # users has changed its key
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(key=OTHER))
    assert users.asked == 1
    clock.seconds += 1.1
    assert (await verifier.verify(token(key=OTHER))).subject == "ann"
    assert users.asked == 2


@pytest.mark.parametrize("before", [[], [OTHER]], ids=["no key is known", "another key is known"])
async def test_a_request_that_comes_while_the_keys_are_fetched_waits_for_them(before: list[OKPKey]) -> None:
    """In a process that has just started, and after a rotation: the fetch that the first request began has the key of the second, too."""
    users, clock, answers = Users(), FixedClock(NOON), asyncio.Event()
    verifier = Verifier("http://users", clock=clock, transport=users)
    if before:
        users.keys = before
        await verifier.verify(token(key=OTHER))
        clock.seconds += 1.1
    users.keys, users.until = [KEY], answers
    first = asyncio.create_task(verifier.verify(token()))
    await wait_until(lambda: users.asked == bool(before) + 1, what="the fetch")
    second = asyncio.create_task(verifier.verify(token(sub="bob")))
    await asyncio.sleep(0)
    answers.set()
    assert [(await first).subject, (await second).subject] == ["ann", "bob"]
    assert users.asked == bool(before) + 1


async def test_requests_without_a_key_wait_together_while_users_does_not_answer() -> None:
    """Each of them would otherwise wait for the time limits of all before it."""
    clock, asked = FixedClock(NOON), 0

    async def no_answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        clock.seconds += FETCH_TIMEOUT_SECONDS
        raise httpx.ReadTimeout("no answer")

    verifier = Verifier("http://users", clock=clock, transport=httpx.MockTransport(no_answer))
    found = await asyncio.gather(*(verifier.verify(token()) for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in found] == [Transient] * 10
    assert asked == 1


async def test_while_users_is_away_the_known_keys_stay_in_use_and_without_any_the_error_is_transient() -> None:
    users, clock = Users(), FixedClock(NOON)
    users.down = True
    verifier = Verifier("http://users", clock=clock, transport=users)
    with pytest.raises(Transient):
        await verifier.verify(token())
    users.down = False
    clock.seconds += 2
    await verifier.verify(token())
    users.down = True
    clock.seconds += 4000
    await verifier.verify(token())
    users.down = False
    clock.seconds += 9
    await verifier.verify(token())
    assert users.unchanged == 1, "a conditional request"


# A verified token is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was looked at."""
    looked_at: list[str] = []
    decode = jwt.decode

    def counted(token: str, *args: Any, **kwargs: Any) -> Any:
        looked_at.append(token)
        return decode(token, *args, **kwargs)

    monkeypatch.setattr(jwt, "decode", counted)
    return looked_at


async def test_a_token_is_verified_once_and_refused_after_it_expired(decoded: list[str]) -> None:
    keys, clock, given = KeySet([KEY]), FixedClock(NOON), token(rights=["account:read"])
    verifier = Verifier(keys=lambda: keys, clock=clock)
    first = await verifier.verify(given)
    clock.at = NOON + timedelta(seconds=604)  # within the leeway
    assert (await verifier.verify(given), decoded) == (first, [given])
    clock.at = NOON + timedelta(seconds=605)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await verifier.verify(given)
    other = token(rights=["account:read", "account:buy"], exp=int(NOON.timestamp()) + 700)
    assert (await verifier.verify(other)).may("account:buy"), "another token is another principal"


async def test_a_token_of_a_removed_key_is_refused_after_the_keys_are_fetched_again() -> None:
    users, clock = Users(), FixedClock(NOON)
    users.keys = [KEY, OTHER]
    verifier, given = Verifier("http://users", clock=clock, transport=users), token(exp=int(NOON.timestamp()) + 9000)
    await verifier.verify(given)
    users.keys = [OTHER]
    await verifier.verify(given)
    clock.seconds += 8.1  # longer than the background would ever leave them
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await verifier.verify(given)
    assert (await verifier.verify(token(key=OTHER))).subject == "ann"


async def test_a_key_that_is_not_published_any_more_is_dropped_in_the_background_and_no_access_check_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.web.auth.FETCH_EVERY_SECONDS", 0.01)
    users, clock, given = Users(), FixedClock(NOON), token(exp=int(NOON.timestamp()) + 9000)
    users.keys = [KEY, OTHER]
    verifier = Verifier("http://users", clock=clock, transport=users)
    await verifier.verify(given)
    running = asyncio.create_task(verifier.run())
    try:
        await wait_until(lambda: users.unchanged >= 2, what="two conditional requests")
        await verifier.verify(given)
        users.keys, asked = [OTHER], users.asked
        await wait_until(lambda: users.asked >= asked + 2, what="the keys without the revoked one")
        asked, clock.seconds = users.asked, 0.5
        with pytest.raises(Unauthenticated):
            await verifier.verify(given)
        assert users.asked == asked, "its key is not known, and the keys were fetched a moment ago"
        users.down = True
        await verifier.verify(token(key=OTHER))
    finally:
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [1]}', b'{"keys": [{"kty": "OKP"}]}', b"<html>"])
async def test_an_answer_that_is_no_set_of_keys_changes_nothing(answer: bytes) -> None:
    clock, answers = FixedClock(NOON), [httpx.Response(200, json=KeySet([KEY]).as_dict(private=False)), httpx.Response(200, content=answer)]
    verifier = Verifier("http://users", clock=clock, transport=httpx.MockTransport(lambda _: answers.pop(0)))
    await verifier.verify(token())
    clock.seconds += 9
    await verifier.verify(token())
    assert answers == []


async def test_a_limited_number_of_verified_tokens_is_remembered_and_no_refused_one(
    decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.web.auth.VERIFIED_MAX", 3)
    keys = KeySet([KEY])
    verifier = Verifier(keys=lambda: keys, clock=CLOCK)
    tokens = [token(jti=f"t{number}") for number in range(4)]
    for given in tokens:
        await verifier.verify(given)
    for _ in range(4):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(key=OTHER))
    assert len(verifier._verified) == 3
    decoded.clear()
    for given in (*tokens[1:], tokens[0]):
        await verifier.verify(given)
    assert decoded == [tokens[0]], "only the oldest was forgotten"


# ---------------------------------------------------------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("name", "status", "type_"),
    [
        ("refused", 409, "pool-full"),
        ("not-found", 404, "not-found"),
        ("conflict", 409, "clock-advancing"),
        ("invalid", 422, "invalid"),
        ("transient", 503, "unavailable"),
        ("bug", 500, "internal"),
    ],
)
async def test_each_error_of_the_tree_is_a_problem(client: httpx.AsyncClient, name: str, status: int, type_: str) -> None:
    problem = assert_problem(await client.get(f"/raise/{name}"), status, type_)
    assert problem.get("module") == ("time" if name == "refused" else None)
    assert "secret" not in json.dumps(problem)


def test_the_map_to_http_contains_the_error_tree() -> None:
    errors = [Refused("x", ""), NotFound("x"), Forbidden("x", ""), Unauthenticated("x", ""), Invalid("f", 1, "e"), Conflict("x", "")]
    assert [status_of(error) for error in errors] == [409, 404, 403, 401, 422, 409]
    assert status_of(Refused("precondition-failed", "")) == 412


async def test_a_bug_is_logged_under_the_id_that_the_caller_gets(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        problem = assert_problem(await client.get("/raise/bug"), 500, "internal")
    (line,) = [line for line in logs if line["event"] == "request_failed"]
    assert line["error_id"] == problem["error_id"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_an_answer_to_wrong_input_names_each_field_with_its_value_and_what_is_allowed(client: httpx.AsyncClient) -> None:
    body = {"items": [{"module": "time", "add": 0}, {"add": "many"}]}
    problem = assert_problem(await client.post("/v1/tenants/acme/orders", json=body), 422, "invalid")
    assert [(e["field"], e["value"]) for e in problem["errors"]] == [
        ("body.items.0.add", 0),
        ("body.items.1.module", None),
        ("body.items.1.add", "many"),
    ]
    assert problem["errors"][0]["expected"] == "a number greater than or equal to 1"


async def test_an_answer_to_fields_that_do_not_fit_names_them_with_their_values_and_not_the_body(client: httpx.AsyncClient) -> None:
    body = {"items": [{"module": "time", "add": 1}, {"module": "time", "add": 1, "until": "2026-03-31", "secret": "hunter2"}]}
    response = await client.post("/v1/tenants/acme/orders", json=body)
    problem = assert_problem(response, 422, "invalid")
    expected = "until or secret, not both"
    assert problem["errors"] == [
        {"field": "body.items.1.until", "value": "2026-03-31", "expected": expected},
        {"field": "body.items.1.secret", "value": None, "expected": expected},
    ]
    assert "hunter2" not in response.text


@pytest.mark.parametrize("body", [["hunter2"], "hunter2"])
async def test_a_body_of_another_kind_is_refused_without_showing_it(client: httpx.AsyncClient, body: object) -> None:
    response = await client.post("/v1/tenants/acme/orders", json=body)
    assert [(e["field"], e["value"]) for e in assert_problem(response, 422, "invalid")["errors"]] == [("body", None)]


async def test_the_value_of_a_field_that_does_not_exist_is_not_repeated_because_it_may_be_a_misspelt_secret(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/v1/tenants/acme/orders", json={"items": [], "client_sercet": "hunter2"})
    problem = assert_problem(response, 422, "invalid")
    assert [(e["field"], e["value"]) for e in problem["errors"]] == [("body.client_sercet", None)]
    assert "hunter2" not in response.text


@pytest.mark.parametrize("path", ["/nowhere", "/v1/tenants/acme/things/"])
async def test_a_path_that_does_not_exist_is_answered_with_a_problem(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404, "not-found")


async def test_a_method_that_does_not_exist_is_answered_with_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.delete("/v1/tenants/acme/things")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, POST, HEAD"


async def test_invented_methods_are_one_series_of_the_metrics(client: httpx.AsyncClient) -> None:
    for method in ("BREW", "WHEN"):
        assert (await client.request(method, "/v1/tenants/acme/things")).status_code in (404, 405)
    shown = (await client.get("/metrics")).text
    assert 'method="other"' in shown
    assert "BREW" not in shown


async def test_head_is_answered_wherever_get_is(client: httpx.AsyncClient) -> None:
    response = await client.head("/v1/tenants/acme/things")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert (await client.head("/v1/tenants/globex/things")).status_code == 404
    assert (await client.head("/v1/tenants/acme/edit")).status_code == 405


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 65_536


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_refused(client: httpx.AsyncClient, chunked: bool) -> None:
    content: Any = _chunks(17) if chunked else b" " * (BODY_MAX + 1)
    sent = await client.post("/v1/tenants/acme/orders", content=content, headers={"content-type": "application/json"})
    assert_problem(sent, 413, "too-large")


async def test_a_chunked_body_below_the_limit_is_read(client: httpx.AsyncClient) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b'{"items": [{"module":'
        yield b' "time", "add": 2}]}'

    response = await client.post("/v1/tenants/acme/orders", content=content(), headers={"content-type": "application/json"})
    assert response.json() == {"items": 1}


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"\xff", b'{"items": NaN}', b"1" * 5000])
async def test_a_body_that_breaks_the_parser_is_refused_as_invalid(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post("/v1/tenants/acme/orders", content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_change_needs_the_version_that_was_read(client: httpx.AsyncClient) -> None:
    assert_problem(await client.put("/v1/tenants/acme/edit"), 428, "precondition-required")
    assert_problem(await client.put("/v1/tenants/acme/edit", headers={"if-match": '"2"'}), 412, "precondition-failed")
    response = await client.put("/v1/tenants/acme/edit", headers={"if-match": '"3"'})
    assert (response.status_code, response.headers["etag"]) == (200, '"4"')
    for given, status in (('"2", "3"', 200), ("*", 200), ('W/"3"', 412), ('"2","4"', 412), ("", 412), ("3", 412)):
        assert (await client.put("/v1/tenants/acme/edit", headers={"if-match": given})).status_code == status, given


async def test_a_caller_who_hangs_up_is_information_and_no_error_of_ours() -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    path = "/v1/tenants/acme/orders"
    headers = [(b"authorization", f"Bearer {token()}".encode()), (b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "root_path": "", "scheme": "http"}
    with structlog.testing.capture_logs() as logs:
        await make_app()(scope | {"server": ("test", 80), "asgi": {}}, receive, send)
    (line,) = logs
    assert (line["event"], line["log_level"], line["status"], "exc_info" in line) == ("request", "info", HUNG_UP, False)


# ------------------------------------------------------------------------------------------------------ ids, pages, document


async def test_the_callers_correlation_goes_on_and_a_forged_one_does_not(client: httpx.AsyncClient) -> None:
    given = await client.get("/v1/tenants/acme/things", headers={"x-correlation-id": "order-7"})
    forged = await client.get("/v1/tenants/acme/things", headers={"x-correlation-id": 'a"} {"event": "forged'})
    assert given.headers["x-correlation-id"] == "order-7"
    assert "forged" not in forged.headers["x-correlation-id"]


async def test_each_request_is_logged_without_its_query(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        await client.get("/v1/tenants/acme/things?email=ann@example.com")
        await client.get("/livez")
    (line,) = [line for line in logs if line["event"] == "request"]
    assert (line["route"], line["status"]) == ("/v1/tenants/{tenant}/things", 200)
    assert "ann@example.com" not in str(logs)


async def test_long_values_of_a_caller_are_cut_in_the_log(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        await client.request("A" * 5_000, "/" + "a" * 60_000)
    assert len(str(logs)) < 1_000


def test_a_cursor_is_read_as_it_was_written() -> None:
    assert decode_cursor(encode_cursor("ann", 7), str, int) == ("ann", 7)
    assert decode_cursor(None, str) is None


@pytest.mark.parametrize("cursor", ["x", "%%%", encode_cursor(1), encode_cursor("a", "b"), "e30", "bnVsbA"])
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor, str)


async def test_the_openapi_document_describes_security_and_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/tenants/{tenant}/things"]["get"]
    assert operation["security"] == [{"access token": ["account:read"]}]
    assert [*operation["responses"]] == ["200", "401", "403", "404", "422", "429", "500", "503"]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert all(operation["responses"][status]["content"] == problem for status in operation["responses"] if status != "200")
    assert {"400", "413"} < document["paths"]["/v1/tenants/{tenant}/orders"]["post"]["responses"].keys()
    assert "413" in document["paths"]["/v1/tenants/{tenant}/things"]["post"]["responses"], "whatever it reads of a body"
    edit = document["paths"]["/v1/tenants/{tenant}/edit"]["put"]
    assert {"412", "428"} < edit["responses"].keys()
    assert "If-Match" in [parameter["name"] for parameter in edit["parameters"]]
    assert document["components"]["securitySchemes"]["access token"]["scheme"] == "bearer"
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_readiness_probe_says_why_a_process_is_not_ready() -> None:
    async def ready() -> bool:
        raise Transient("database: gone")

    app = create_app(title="sample", settings=CommonSettings(), ready=ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["why"]) == (503, "database: gone")
        assert (await client.get("/livez")).status_code == 200


# ---------------------------------------------------------------------------------------------------------- between services


async def test_a_service_sends_its_own_token_and_renews_it_in_time() -> None:
    users, clock = Users(), FixedClock(NOON)
    async with ServiceClient(CommonSettings(users_url="http://users"), clock=clock, transport=users) as client:
        await client.get("http://seats/v1/a")
        await client.get("http://seats/v1/b")
        clock.seconds += timedelta(minutes=10).total_seconds()
        await client.get("http://seats/v1/c")
    assert [request.headers["authorization"] for request in users.requests] == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_transient_error_is_retried_unless_the_request_could_be_done_twice() -> None:
    users = Users()
    async with ServiceClient(CommonSettings(users_url="http://users"), transport=users) as client:
        users.statuses = [503, 502]
        assert (await client.get("http://seats/v1/a")).status_code == 200
        users.statuses = [503]
        assert (await client.post("http://seats/v1/a", headers={"Idempotency-Key": "k"})).status_code == 200
        users.statuses = [503]
        with pytest.raises(Transient):
            await client.post("http://seats/v1/a")
        users.statuses = [503]
        with pytest.raises(Transient):
            await client.get("http://seats/v1/a", attempts=1)


async def test_a_token_that_is_refused_is_replaced_once() -> None:
    users = Users()
    async with ServiceClient(CommonSettings(users_url="http://users"), transport=users) as client:
        users.statuses = [401]
        assert (await client.get("http://seats/v1/a")).status_code == 200
        users.statuses = [401, 401]
        assert (await client.get("http://seats/v1/a")).status_code == 401


async def test_calls_that_need_a_token_wait_together_while_users_does_not_answer() -> None:
    """Each of them would otherwise wait for the time limits of all before it. A later call asks again."""
    asked, answers = 0, asyncio.Event()

    async def no_answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        await answers.wait()
        raise httpx.ReadTimeout("no answer")

    async with ServiceClient(CommonSettings(users_url="http://users"), transport=httpx.MockTransport(no_answer)) as client:
        calls = [asyncio.create_task(client.post("http://seats/v1/a")) for _ in range(10)]
        await wait_until(lambda: asked == 1, what="the request for a token")
        answers.set()
        assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [Transient] * 10
        assert asked == 1
        with pytest.raises(Transient):
            await client.post("http://seats/v1/a")
        assert asked == 2


async def test_a_service_that_gets_no_token_waits_for_one() -> None:
    """For example a wrong secret: the requests succeed when it is corrected, and nothing else ends."""
    refuses = httpx.MockTransport(lambda _: httpx.Response(401, json={"type": "urn:seatpool:problem:invalid-client"}))
    async with ServiceClient(CommonSettings(users_url="http://users", client_id="users"), transport=refuses) as client:
        with pytest.raises(Transient, match="'users': users answered 401"):
            await client.post("http://seats/v1/a")


async def test_a_body_that_takes_long_to_check_is_checked_in_a_thread() -> None:
    """Other requests are answered meanwhile."""
    checked_in: list[str] = []

    def check_slowly(value: str) -> str:
        checked_in.append(threading.current_thread().name)
        if value == "wrong":
            raise ValueError("expected another text")
        return value

    class Slow(BaseModel):
        text: Annotated[str, AfterValidator(check_slowly)]

    async def ready() -> bool:
        return True

    app = create_app(title="sample", settings=CommonSettings(), ready=ready)
    router = APIRouter(route_class=AsideRoute)

    @router.post("/v1/slow")
    async def slow(body: Slow) -> str:
        return body.text

    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.post("/v1/slow", json={"text": "right"})).json() == "right"
        assert [name != threading.main_thread().name for name in checked_in] == [True]
        refused = await client.post("/v1/slow", json={"text": "wrong"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.text")


def test_the_texts_that_documents_print_are_checked_in_a_thread() -> None:
    """typst takes 2 to 60 ms for a text that is not in Latin letters."""
    assert [type(route) for route in billing_details.router.routes if "PUT" in getattr(route, "methods", ())] == [AsideRoute]
