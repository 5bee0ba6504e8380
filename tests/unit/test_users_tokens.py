"""The issue of access tokens."""

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from pydantic import SecretStr

from services.users.api.forms import parse_form
from services.users.sign_in import opaque, rate_limits
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.tokens import Grant, TokenIssuer
from services.users.store.api_clients import KnownClient
from services.users.use_cases.rights import Granted
from shared.clock import FixedClock
from shared.errors import Invalid, Refused, Unauthenticated
from shared.signing_keys import KeyFolder
from shared.web import Verifier
from shared.web.problems import status_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLIENTS = {"operator": SecretStr("op"), "seats": SecretStr("se")}
AS_OPERATOR = Grant("operator", "op", scope=("operator",))
AS_SEATS = Grant("seats", "se", scope=("operator",))


def signing_keys(folder: Path) -> SigningKeys:
    keys = SigningKeys(KeyFolder(folder), FixedClock(NOW))
    keys.open()
    return keys


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return signing_keys(tmp_path / "keys")


@pytest.fixture
def issuer(keys: SigningKeys) -> TokenIssuer:
    return TokenIssuer(keys, CLIENTS, 900)


def verifier(keys: SigningKeys, at: datetime = NOW) -> Verifier:
    return Verifier(keys=keys.public, clock=FixedClock(at))


async def test_the_operator_gets_every_tenant_by_default(issuer: TokenIssuer, keys: SigningKeys) -> None:
    token, seconds = issuer.issue(AS_OPERATOR, NOW)
    principal = await verifier(keys).verify(token)
    assert (principal.subject, principal.tenant, principal.rights, principal.kind) == ("operator", None, frozenset({"operator"}), "client")
    assert seconds == 900


async def test_the_operator_may_request_a_tenant_a_subject_and_rights(issuer: TokenIssuer, keys: SigningKeys) -> None:
    token, _ = issuer.issue(Grant("operator", "op", "acme", "ann", ("account:read", "users:read"), 60), NOW)
    principal = await verifier(keys).verify(token)
    assert (principal.subject, principal.tenant, principal.kind) == ("ann", "acme", "user")
    assert principal.rights == {"account:read", "users:read"}
    assert principal.may("users:read")
    assert not principal.may("users:manage")
    with pytest.raises(Unauthenticated):
        await verifier(keys, NOW + timedelta(seconds=66)).verify(token)


async def test_a_service_gets_the_operators_rights_in_its_own_name_and_nothing_else(issuer: TokenIssuer, keys: SigningKeys) -> None:
    token, _ = issuer.issue(AS_SEATS, NOW)
    principal = await verifier(keys).verify(token)
    assert (principal.subject, principal.rights, principal.kind) == ("seats", frozenset({"operator"}), "service")
    refusals: list[dict[str, Any]] = [{"tenant": "acme"}, {"subject": "ann"}, {"scope": ("users:read",)}]
    for changed in [*refusals, {"scope": ("operator", "users:read")}]:
        (field,) = changed
        with pytest.raises(Invalid) as refused:
            issuer.issue(replace(AS_SEATS, **changed), NOW)
        assert refused.value.field == f"body.{field}"


@pytest.mark.parametrize("client", [("operator", "op"), ("seats", "se")])
@pytest.mark.parametrize("scope", [None, ()])
@pytest.mark.parametrize("tenant", [None, "acme"])
def test_no_client_gets_a_right_that_it_does_not_name(
    issuer: TokenIssuer, client: tuple[str, str], scope: tuple[str, ...] | None, tenant: str | None
) -> None:
    with pytest.raises(Refused) as refused:
        issuer.issue(Grant(*client, tenant=tenant if client[0] == "operator" else None, scope=scope), NOW)
    assert (refused.value.type, status_of(refused.value), refused.value.extra) == ("invalid_scope", 400, {"error": "invalid_scope"})


def test_a_token_for_all_tenants_needs_the_scope_operator(issuer: TokenIssuer) -> None:
    with pytest.raises(Refused) as refused:
        issuer.issue(Grant("operator", "op", scope=("users:read", "account:read")), NOW)
    assert refused.value.type == "invalid_scope"
    assert issuer.issue(Grant("operator", "op", scope=("users:read", "operator")), NOW)
    assert issuer.issue(Grant("operator", "op", tenant="acme", scope=("users:read",)), NOW)


@pytest.mark.parametrize("grant", [Grant("operator", "wrong"), Grant("nobody", "op"), Grant("operator", ""), Grant("operator", "ö")])
def test_a_wrong_secret_and_an_unknown_client_are_refused_alike(issuer: TokenIssuer, grant: Grant) -> None:
    with pytest.raises(Unauthenticated) as refused:
        issuer.issue(grant, NOW)
    assert refused.value.type == "invalid-client"


def test_only_the_caller_with_too_many_wrong_secrets_must_wait(issuer: TokenIssuer) -> None:
    for second in range(10):
        with pytest.raises(Unauthenticated):
            issuer.issue(Grant("operator", "guess"), NOW + timedelta(seconds=second), "10.0.0.1")
    for secret in ("guess", "op"):
        with pytest.raises(Refused) as refused:
            issuer.issue(replace(AS_OPERATOR, secret=secret), NOW + timedelta(seconds=10), "10.0.0.1")
        assert (refused.value.type, refused.value.extra) == ("too-many-requests", {"retry_after_seconds": 50})
    at = NOW + timedelta(seconds=10)
    assert issuer.issue(AS_OPERATOR, at, "10.0.0.2"), "the same client from elsewhere"
    assert issuer.issue(AS_SEATS, at, "10.0.0.1"), "another client from there"
    assert issuer.issue(AS_OPERATOR, NOW + timedelta(seconds=60), "10.0.0.1"), "when the minute is over"
    assert issuer.issue(AS_OPERATOR, NOW - timedelta(seconds=60), "10.0.0.1"), "a clock that was set back keeps nobody out"


def test_a_right_secret_does_not_count(issuer: TokenIssuer) -> None:
    for _ in range(100):
        issuer.issue(AS_OPERATOR, NOW, "10.0.0.1")


def test_wrong_secrets_of_many_addresses_use_limited_memory(issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "CALLERS_MAX", 5)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            issuer.issue(Grant(f"made-up-{number}", "x"), NOW, f"10.0.0.{number}")
    assert len(issuer._wrong._counts) == 5


def test_an_unknown_right_is_named(issuer: TokenIssuer) -> None:
    with pytest.raises(Invalid) as refused:
        issuer.issue(Grant("operator", "op", scope=("users:read", "root")), NOW)
    assert (refused.value.field, refused.value.value) == ("body.scope", "root")


async def test_tokens_of_another_key_or_algorithm_are_refused(issuer: TokenIssuer, keys: SigningKeys, tmp_path: Path) -> None:
    other = TokenIssuer(signing_keys(tmp_path / "others"), CLIENTS, 900)
    foreign, _ = other.issue(AS_OPERATOR, NOW)
    claims: dict[str, object] = {"iss": "seatpool", "aud": "seatpool", "sub": "x", "rights": ["operator"], "kind": "client"}
    claims |= {"iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 60}
    public = keys.public().keys[0]
    assert isinstance(public, OKPKey)
    symmetric = _with_hmac({"alg": "HS256", "kid": public.kid}, claims, public.as_pem(private=False))
    unsigned = _with_hmac({"alg": "none", "kid": public.kid}, claims, b"").rpartition(".")[0] + "."
    own, _ = issuer.issue(AS_OPERATOR, NOW)
    header, body, signature = own.split(".")
    tampered = ".".join([header, body[:-4] + ("A" * 4 if body[-4:] != "AAAA" else "BBBB"), signature])
    for token in (foreign, symmetric, unsigned, tampered, f"{header}.{body}.", "nonsense"):
        with pytest.raises(Unauthenticated):
            await verifier(keys).verify(token)


def _with_hmac(header: dict[str, object], claims: dict[str, object], secret: bytes) -> str:
    """Sign by hand, since no library makes a token whose secret is a public key."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_T22_the_token_of_a_person_or_api_client_ends_five_minutes_after_it_was_made(issuer: TokenIssuer, keys: SigningKeys) -> None:
    """Sessions, roles and API clients can be revoked; a token cannot."""
    granted = Granted(frozenset({"users:read"}), ("reader",), frozenset({"Makers"}), may_sign_in=True)
    secret = {"id": "s", "hash": opaque.hash_of("secret").hex(), "created_at": ""}
    client = KnownClient("c1", "Payroll", ("users:read",), [secret], NOW, 1, "acme")
    of_person, _ = issuer.issue_to_person("acme", "u1", granted, NOW)
    of_client, _ = issuer.issue(Grant("c1", "secret", scope=("users:read",), ttl_seconds=86_400), NOW, "", client)
    for token, departments in ((of_person, frozenset({"Makers"})), (of_client, None)):
        principal = await verifier(keys, NOW + timedelta(seconds=290)).verify(token)
        assert (principal.tenant, principal.rights, principal.departments) == ("acme", frozenset({"users:read"}), departments)
        with pytest.raises(Unauthenticated):
            await verifier(keys, NOW + timedelta(minutes=5, seconds=1)).verify(token)


def test_who_guesses_the_secret_of_an_api_client_must_wait(issuer: TokenIssuer) -> None:
    client = KnownClient("c1", "Payroll", ("users:read",), [], NOW, 1, "acme")
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            issuer.issue(Grant("c1", "guess", scope=("users:read",)), NOW, "10.0.0.1", client)
    with pytest.raises(Refused) as refused:
        issuer.issue(Grant("c1", "guess", scope=("users:read",)), NOW, "10.0.0.1", client)
    assert refused.value.type == "too-many-requests"


def test_a_form_with_a_text_that_cannot_be_stored_is_refused_by_field() -> None:
    with pytest.raises(Refused) as refused:
        parse_form(b"grant_type=client_credentials&client_id=%00&client_secret=x")
    expected = [{"field": "body.client_id", "value": None, "expected": "a text of Unicode characters without NUL"}]
    assert (refused.value.type, refused.value.extra["errors"]) == ("invalid", expected)
