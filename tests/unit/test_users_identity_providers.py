"""What identity providers answer: only ID tokens for this client count, and no provider can hold up or misuse the service."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, RSAKey

from services.users.api.identity_provider import provider_failed
from services.users.sign_in import guarded_http, identity_providers
from services.users.sign_in.guarded_http import GuardedHttp, RequestFailed, WrongAnswer
from services.users.sign_in.identity_providers import Client, IdentityProviders, TokenRefused
from services.users.sign_in.rate_limits import CALLERS_MAX, RateLimit, network_of
from shared.clock import SystemClock
from shared.errors import Refused
from shared.sealed import seal, unseal
from shared.web.problems import status_of
from tests.support.wait import wait_until

ISSUER = "https://login.example/acme"
CLIENT = Client("acme", ISSUER, "seatpool", "s3cret")
KEY = RSAKey.generate_key(2048, {"kid": "k1"}, private=True)
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1"}, private=True)
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}
Answer = Callable[[httpx.Request], httpx.Response]


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "aud": "seatpool", "sub": "1", "nonce": "n", "iat": now, "exp": now + 600} | changed
    times = {name: now + int(value.total_seconds()) for name, value in given.items() if isinstance(value, timedelta)}
    return {name: value for name, value in (given | times).items() if value is not None}


def token(key: RSAKey = KEY, alg: str = "RS256", **changed: Any) -> str:
    return jwt.encode({"alg": alg, "kid": "k1"}, claims(**changed), key, algorithms=[alg])


class Provider:
    """A provider whose answers a test replaces by their last part of the path. `asked` counts them."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"openid-configuration": METADATA, "keys": KeySet([KEY]).as_dict(private=False), **answers}
        self.asked: list[str] = []
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        last = request.url.path.rsplit("/", 1)[-1]
        self.asked.append(last)
        self.requests.append(request)
        answer = self.answers[last]
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = {}
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def ask(self) -> IdentityProviders:
        return IdentityProviders(GuardedHttp(transport=httpx.MockTransport(self)), SystemClock())


async def test_a_token_for_this_client_is_accepted() -> None:
    found = await Provider().ask().claims(CLIENT, token(email="ann@acme.example"), "n")
    assert (found["sub"], found["email"]) == ("1", "ann@acme.example")


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://login.example/other"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": ["seatpool", "another"]},  # for several, `azp` has to say for whom it was made
        {"aud": ["seatpool", "another"], "azp": "another"},
        {"aud": None},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"exp": timedelta(hours=-1)},
        {"exp": None},
        {"iat": timedelta(hours=1)},
        {"nbf": timedelta(hours=1)},
    ],
    ids=str,
)
async def test_a_token_with_another_issuer_audience_nonce_or_time_is_refused(changed: Mapping[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        await Provider().ask().claims(CLIENT, token(**changed), "n")


def _by_hand(header: Mapping[str, Any], secret: bytes) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims())]
    signature = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_a_token_that_the_provider_did_not_sign_is_refused() -> None:
    good = token()
    head, body, signature = good.split(".")
    symmetric = _by_hand({"alg": "HS256", "kid": "k1"}, KEY.as_pem(private=False))
    unsigned = _by_hand({"alg": "none"}, b"").rpartition(".")[0] + "."
    own_key = _by_hand({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b"\0\0\0")
    for wrong in (
        token(OTHER_KEY),
        symmetric,
        unsigned,
        own_key,
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        "x",
        "a.b.c",
        "ö" * 9,
    ):
        with pytest.raises(TokenRefused):
            await Provider().ask().claims(CLIENT, wrong, "n")
    with pytest.raises(TokenRefused, match="too long"):
        await Provider().ask().claims(CLIENT, "x" * 20_000, "n")


@pytest.mark.parametrize(
    "changed", [{"sub": "1\0"}, {"sub": "\ud800"}, {"preferred_username": "ann\0"}, {"email": "ann\udfff@acme.example"}], ids=repr
)
async def test_a_token_with_text_that_no_database_holds_is_refused(changed: Mapping[str, Any]) -> None:
    """The provider signed it, so nothing else refuses it before the database does."""
    with pytest.raises(TokenRefused, match="cannot be stored"):
        await Provider().ask().claims(CLIENT, _signed(json.dumps(claims(**changed)).encode()), "n")


async def test_a_token_that_is_nested_too_deeply_to_be_read_is_refused() -> None:
    with pytest.raises(TokenRefused, match="RecursionError"):
        await Provider().ask().claims(CLIENT, _signed(b"[" * 5000 + b"]" * 5000), "n")


def _signed(payload: bytes) -> str:
    """Return a token with any content that the provider signed."""
    content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"RS256","kid":"k1"}', payload))
    assert KEY.private_key is not None
    signature = KEY.private_key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    return (content + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_the_refusal_of_a_token_quotes_nothing_of_it() -> None:
    with pytest.raises(TokenRefused) as refused:
        await Provider().ask().claims(CLIENT, token(aud="another", email="ann@acme.example"), "n")
    assert str(refused.value) == "the ID token is not valid (aud)"


async def test_the_browser_is_sent_with_pkce_state_and_nonce() -> None:
    url = await Provider().ask().authorization_url(CLIENT, redirect_uri="https://c/cb", state="s", nonce="n", verifier="v" * 43)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).decode().rstrip("=")
    assert query == {
        "response_type": "code",
        "client_id": "seatpool",
        "redirect_uri": "https://c/cb",
        "scope": "openid profile email",
        "state": "s",
        "nonce": "n",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("methods", "secret", "shown"),
    [(None, "s3cret", "basic"), (["client_secret_post"], "s3cret", "post"), (["client_secret_basic"], None, "none")],
)
async def test_the_code_is_exchanged_with_the_verifier(methods: list[str] | None, secret: str | None, shown: str) -> None:
    metadata = METADATA | ({"token_endpoint_auth_methods_supported": methods} if methods else {})
    provider = Provider(**{"openid-configuration": metadata}, token={"id_token": "t", "access_token": "a"})
    client = Client("acme", ISSUER, "seatpool", secret)
    assert await provider.ask().id_token(client, code="c", redirect_uri="https://c/cb", verifier="v") == "t"
    request = provider.requests[-1]
    form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
    assert form | {"grant_type": "authorization_code", "code": "c", "redirect_uri": "https://c/cb", "code_verifier": "v"} == form
    assert ("authorization" in request.headers, "client_secret" in form) == (shown == "basic", shown == "post")


DOWN: list[Any] = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.Response(500, text="s3cret"),
    httpx.Response(503),
    httpx.Response(429, json={"error": "invalid_grant"}),
    httpx.Response(400, json={"error": "temporarily_unavailable"}),
]
WRONG: list[Any] = [
    httpx.Response(302, headers={"location": "http://169.254.169.254/"}),
    httpx.Response(404, text="s3cret"),
    httpx.Response(400, json={"error": "s3cret"}),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json=[]),
    httpx.Response(200, content=b'"' + b"x" * (guarded_http.ANSWER_BYTES_MAX + 1) + b'"'),
    httpx.Response(200, headers={"content-encoding": "gzip, gzip"}, stream=httpx.ByteStream(gzip.compress(gzip.compress(b" " * 10)))),
]
WRONG_DOCUMENTS: list[Any] = [
    httpx.Response(200, json={"issuer": ISSUER}),
    httpx.Response(200, json=METADATA | {"issuer": "https://other.example"}),
    httpx.Response(200, json=METADATA | {"token_endpoint": "http://login.example/token"}),
]


@pytest.mark.parametrize("answer", DOWN + WRONG + WRONG_DOCUMENTS, ids=lambda answer: str(getattr(answer, "status_code", answer)))
async def test_a_provider_that_does_not_answer_as_it_should_fails_clearly(answer: Any) -> None:
    """It is asked again later only if it is down or slow; else its configuration is wrong, and the refusal says so."""
    asked = [Provider(**{"openid-configuration": answer})]
    failures = []
    with pytest.raises(RequestFailed, match=r"login\.example") as failed:
        await asked[0].ask().claims(CLIENT, token(), "n")
    failures.append(failed.value)
    assert asked[0].asked == ["openid-configuration"], "no redirect is followed"
    if answer not in WRONG_DOCUMENTS:
        with pytest.raises(RequestFailed, match=r"login\.example") as failed:
            await Provider(token=answer).ask().id_token(CLIENT, code="c", redirect_uri="https://c/cb", verifier="v")
        failures.append(failed.value)
    for error in failures:
        refusal = provider_failed(error)
        expected = ("identity-provider-failed", 503) if answer in DOWN else ("identity-provider-refused", 409)
        assert (refusal.type, status_of(refusal)) == expected
        assert str(error) in refusal.detail
        assert "s3cret" not in refusal.detail


@pytest.mark.parametrize("address", ["https://[", "https://", "login", "", "https://l.example/?" + "a&" * 1000], ids=lambda url: url[:20])
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
async def test_a_discovery_document_with_an_address_that_cannot_be_read_is_refused_by_field(name: str, address: str) -> None:
    provider = Provider(**{"openid-configuration": METADATA | {name: address}})
    with pytest.raises(WrongAnswer, match=f"the discovery document of login.example is not valid: {name}"):
        await provider.ask().authorization_url(CLIENT, redirect_uri="https://c/cb", state="s", nonce="n", verifier="v" * 43)


@pytest.mark.parametrize(
    ("status", "code", "type_"),
    [
        (400, "invalid_grant", "sign-in-not-valid"),
        (200, "invalid_grant", "sign-in-not-valid"),
        (400, "access_denied", "sign-in-not-valid"),
        (401, "invalid_client", "identity-provider-refused"),
        (400, "unauthorized_client", "identity-provider-refused"),
        (200, "bad_verification_code", "identity-provider-refused"),
    ],
)
async def test_a_code_that_the_provider_refuses_is_a_refusal_and_no_outage(status: int, code: str, type_: str) -> None:
    answer = httpx.Response(status, json={"error": code, "error_description": "s3cret"})
    with pytest.raises(WrongAnswer) as failed:
        await Provider(token=answer).ask().id_token(CLIENT, code="c", redirect_uri="https://c/cb", verifier="v")
    refusal = provider_failed(failed.value)
    assert (refusal.type, status_of(refusal)) == (type_, 409)
    assert "s3cret" not in refusal.detail
    assert code in refusal.detail or type_ == "sign-in-not-valid"


@pytest.mark.parametrize("last", ["keys", "token"])
async def test_a_slow_provider_ends_after_a_short_time_and_holds_up_nobody(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "TOTAL_SECONDS", 0.05)
    slow = Provider(**{last: 60.0}).ask()
    asked = slow.claims(CLIENT, token(), "n") if last == "keys" else slow.id_token(CLIENT, code="c", redirect_uri="r", verifier="v")
    waiting = asyncio.ensure_future(asked)
    assert await Provider().ask().claims(CLIENT, token(), "n")
    with pytest.raises(RequestFailed, match="did not answer within"):
        await waiting


async def test_providers_that_take_requests_and_never_answer_leave_connections_to_those_of_other_tenants() -> None:
    silent_tenants = [f"t{number}" for number in range(20)]
    asked: list[asyncio.StreamWriter] = []

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    silent, other = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (never_answer, answer)]
    to_silent, to_other = (f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}/" for each in (silent, other))
    http = GuardedHttp([ip_network("127.0.0.0/8")])
    # Each at an address of its own: a tenant has several, and can change them.
    waiting = [
        asyncio.ensure_future(http.post(tenant, f"{to_silent}{number}", {}, "")) for number in range(12) for tenant in silent_tenants
    ]
    expected = guarded_http.AT_ONCE_OF_TENANT * len(silent_tenants)
    await wait_until(lambda: len(asked) >= expected, what="the requests that wait")
    answered = asyncio.ensure_future(http.get("acme", to_other))
    done, _ = await asyncio.wait([answered, *waiting], return_when=asyncio.FIRST_COMPLETED)
    assert (done, await answered, len(asked)) == ({answered}, {}, expected)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await http.close()
    for writer in asked:
        writer.close()
    silent.close()
    other.close()


async def test_a_name_that_is_slow_to_resolve_leaves_resolvers_to_the_names_of_other_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that resolves a name stays busy after the request was given up, so repeated sign-ins must not take another one each."""
    monkeypatch.setattr(guarded_http, "TOTAL_SECONDS", 0.02)
    goes_on, asked = threading.Event(), []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if host == "silent.example":
            goes_on.wait(30)
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    http = GuardedHttp()
    try:
        for _ in range(2):
            tries = [http.get("initech", f"https://silent.example/{number}") for number in range(guarded_http.RESOLVERS)]
            for failure in await asyncio.gather(*tries, return_exceptions=True):
                assert isinstance(failure, RequestFailed)
                assert "did not answer within" in str(failure)
        monkeypatch.setattr(guarded_http, "TOTAL_SECONDS", 20)
        with pytest.raises(RequestFailed, match=r"other\.example cannot be reached"):
            await http.get("acme", "https://other.example/x")
        assert asked == ["silent.example", "other.example"]
    finally:
        goes_on.set()
        await http.close()


async def test_discovery_and_keys_are_fetched_once_for_many_sign_ins() -> None:
    provider = Provider()
    providers = provider.ask()
    await asyncio.gather(*(providers.claims(CLIENT, token(), "n") for _ in range(20)))
    assert sorted(provider.asked) == ["keys", "openid-configuration"]
    unknown = jwt.encode({"alg": "RS256", "kid": "k9"}, claims(), KEY, algorithms=["RS256"])
    for _ in range(5):
        with pytest.raises(TokenRefused):
            await providers.claims(CLIENT, unknown, "n")
    assert provider.asked.count("keys") == 1, "an unknown key does not let anybody make requests to the provider"


async def test_new_keys_of_the_provider_are_found_and_a_failure_is_remembered_for_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_providers, "REFETCH_SECONDS_MIN", 0)
    provider = Provider()
    providers = provider.ask()
    await providers.claims(CLIENT, token(), "n")
    new = RSAKey.generate_key(2048, {"kid": "k2"}, private=True)
    signed = jwt.encode({"alg": "RS256", "kid": "k2"}, claims(), new, algorithms=["RS256"])
    provider.answers["keys"] = httpx.ConnectError("down")
    for _ in range(3):
        with pytest.raises(TokenRefused):
            await providers.claims(CLIENT, signed, "n")
    assert provider.asked.count("keys") == 2
    assert await providers.claims(CLIENT, token(), "n"), "the keys that were fetched stay in use"
    monkeypatch.setattr(identity_providers, "FAILED_SECONDS", 0)
    provider.answers["keys"] = KeySet([KEY, new]).as_dict(private=False)
    assert await providers.claims(CLIENT, signed, "n")


@pytest.mark.parametrize("count", [1, 2])
async def test_new_keys_are_found_for_tokens_that_name_no_key_or_an_old_one(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider()
    providers = provider.ask()
    await providers.claims(CLIENT, token(), "n")
    new = [RSAKey.generate_key(2048, {"kid": f"k{number}"}, private=True) for number in range(1, count + 1)]  # `k1` again
    provider.answers["keys"] = KeySet([*new]).as_dict(private=False)
    unnamed = [jwt.encode({"alg": "RS256"}, claims(), key, algorithms=["RS256"]) for key in new]
    with pytest.raises(TokenRefused):
        await providers.claims(CLIENT, unnamed[0], "n")
    assert provider.asked.count("keys") == 1, "a token that no key fits does not let anybody make requests to the provider"
    monkeypatch.setattr(identity_providers, "REFETCH_SECONDS_MIN", 0)
    for signed in [token(new[0]), *unnamed]:
        assert await providers.claims(CLIENT, signed, "n")
    with pytest.raises(TokenRefused):
        await providers.claims(CLIENT, token(), "n")


async def test_keys_that_cannot_be_used_do_not_hinder_the_others() -> None:
    (good,) = KeySet([KEY]).as_dict(private=False)["keys"]
    curve = {"kty": "EC", "crv": "brainpoolP256r1", "x": "AA", "y": "AA", "kid": "k2"}
    wrong: list[Any] = [
        curve,
        good | {"kid": 3},
        good | {"e": good["n"]},
        good | {"x5c": "none"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        {},
        None,
        "k1",
    ]
    assert await Provider(keys={"keys": [*wrong, good]}).ask().claims(CLIENT, token(), "n")
    for none in (wrong, [], None, {"k1": good}):
        with pytest.raises(WrongAnswer, match=r"the keys of login\.example cannot be read"):
            await Provider(keys={"keys": none}).ask().claims(CLIENT, token(), "n")


async def test_a_part_of_a_key_that_is_null_is_not_stated() -> None:
    (good,) = KeySet([KEY]).as_dict(private=False)["keys"]
    keys = [good | {"x5c": None, "x5t": None, "alg": None, "use": None, "key_ops": None, "d": None}]
    assert await Provider(keys={"keys": keys}).ask().claims(CLIENT, token(), "n")


async def test_at_most_a_hundred_keys_of_a_provider_are_read() -> None:
    (good,) = KeySet([KEY]).as_dict(private=False)["keys"]
    others = [good | {"kid": f"o{number}"} for number in range(identity_providers.KEYS_MAX)]
    assert await Provider(keys={"keys": [*others[1:], good]}).ask().claims(CLIENT, token(), "n")
    with pytest.raises(TokenRefused):
        await Provider(keys={"keys": [*others, good]}).ask().claims(CLIENT, token(), "n")


@pytest.mark.parametrize("secret", [KEY, ECKey.generate_key("P-256"), OctKey.generate_key()], ids=lambda key: key.key_type)
async def test_a_key_whose_secret_part_is_published_is_not_read(secret: Key) -> None:
    """Anybody can sign with it. And to check the secret part of RSA takes half a second: the 80 keys that an answer can hold took 40 s, in
    which users did nothing else."""
    published = secret.as_dict(private=True) | {"kid": "k2"}
    with pytest.raises(WrongAnswer, match=r"the keys of login\.example cannot be read"):
        await Provider(keys={"keys": [published]}).ask().claims(CLIENT, token(), "n")
    (good,) = KeySet([KEY]).as_dict(private=False)["keys"]
    assert await Provider(keys={"keys": [published, good]}).ask().claims(CLIENT, token(), "n")


async def test_the_cache_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_providers, "CACHED_MAX", 3)
    provider = Provider(**{"openid-configuration": httpx.ConnectError("down")})
    providers = provider.ask()
    for number in range(10):
        with pytest.raises(RequestFailed):
            await providers.claims(Client("acme", f"https://p{number}.example", "c", None), token(), "n")
    assert len(providers._metadata._entries) == 3
    assert providers._metadata._locks == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fd00::1]/x",
        "https://[fec0::1]/x",
        "https://[64:ff9b::a9fe:a9fe]/x",  # the four end with 169.254.169.254 or 127.0.0.1
        "https://[64:ff9b:1::7f00:1]/x",
        "https://[2002:a9fe:a9fe::1]/x",
        "https://[::7f00:1]/x",
        "https://2130706433/x",
        "http://93.184.216.34/x",
    ],
)
async def test_no_address_inside_the_network_and_no_plain_http_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    http = GuardedHttp([ip_network("192.0.2.0/24")])
    monkeypatch.setattr(http._client, "send", _never)
    with pytest.raises(RequestFailed, match="is not asked"):
        await http.get("acme", url)
    await http.close()


async def _never(*_: Any, **__: Any) -> httpx.Response:
    raise AssertionError("a request was sent")


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    http = GuardedHttp([ip_network("127.0.0.0/8")])
    request = await http._request("GET", httpx.URL("https://localhost:8443/x"), {}, None)
    assert (request.url.host, request.headers["host"], request.extensions["sni_hostname"]) == ("127.0.0.1", "localhost:8443", "localhost")
    await http.close()


def test_attempts_are_limited_in_a_window_and_in_memory() -> None:
    limit = RateLimit(2, 60)
    limit.take("a", 0)
    limit.take("a", 1)
    with pytest.raises(Refused) as refused:
        limit.take("a", 10.5)
    assert refused.value.extra == {"retry_after_seconds": 50}
    limit.take("b", 10)
    limit.take("a", 60)
    limit.take("b", -100)
    for number in range(CALLERS_MAX + 10):
        limit.take(str(number), 100)
    assert len(limit._counts) == CALLERS_MAX
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::4")
    assert network_of("10.0.0.1") != network_of("10.0.0.2")


def test_what_is_sealed_opens_only_with_its_key_and_for_its_purpose() -> None:
    sealed = seal("a text", "key", "one")
    assert "a text" not in sealed
    assert unseal(sealed, ["new key", "key"], "one") == "a text"
    assert [unseal(sealed, ["other"], "one"), unseal(sealed, ["key"], "two"), unseal("x.y", ["key"], "one"), unseal(sealed, [], "one")] == [
        None
    ] * 4
    assert unseal(sealed[:-2] + "AA", ["key"], "one") is None


@pytest.mark.parametrize(
    "url", ["https://login.example:port", "https://xn--", "https://xn--a", "https://[", "https://a..b", "https://" + "a" * 64]
)
async def test_an_address_that_cannot_be_read_is_a_failure_of_the_provider(url: str) -> None:
    http = GuardedHttp()
    with pytest.raises(WrongAnswer, match=r"is no (address|name) of a server"):
        await http.get("acme", f"{url}/.well-known/openid-configuration")
    await http.close()


async def test_a_compressed_answer_is_refused_before_it_is_read() -> None:
    """300 bytes stood for 3 GB: httpx decompresses all that it gets at once, whatever the limit of bytes is."""
    read: list[bytes] = []

    class Bomb(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read.append(b"")
            yield gzip.compress(gzip.compress(b" " * 1_000_000))

    provider = Provider(keys=httpx.Response(200, headers={"content-encoding": "gzip, gzip"}, stream=Bomb()))
    with pytest.raises(WrongAnswer, match="compressed"):
        await provider.ask().claims(CLIENT, token(), "n")
    assert not read
    assert {request.headers["accept-encoding"] for request in provider.requests} == {"identity"}
