"""REST on top of the machinery: the same creating POST once, and the operator's list of dead letters."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from shared import ids
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import Conflict
from shared.messaging import Consumer, DeadLetters
from shared.settings import CommonSettings
from shared.web import Principal, Verifier, access, answer, create_app
from shared.web.dead_letters import dead_letters_router
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.service_status import service_status_router
from tests.support.messaging import Rig, facts, left

pytestmark = pytest.mark.stack

KEY = OKPKey.generate_key("Ed25519", {"kid": "k1"}, private=True)


def token(subject: str = "ann", tenant: str | None = "acme", rights: tuple[str, ...] = ("account:buy",), kind: str = "user") -> str:
    now = SystemClock().now()
    claims = {
        "iss": "seatpool", "aud": "seatpool", "sub": subject, "tenant": tenant, "rights": list(rights), "kind": kind,
        "iat": int(now.timestamp()), "exp": int((now + timedelta(minutes=5)).timestamp()), "jti": ids.new_id(),
    }  # fmt: skip
    return jwt.encode({"alg": "Ed25519", "kid": "k1"}, claims, KEY, algorithms=["Ed25519"])


def make_app(database: Database, dead_letters: DeadLetters | None = None, consumer: Consumer | None = None) -> FastAPI:
    app = create_app(title="sample", settings=CommonSettings(), ready=database.ready, verifier=Verifier(keys=lambda: KeySet([KEY])))
    if dead_letters is not None:
        app.include_router(dead_letters_router(dead_letters))
    if consumer is not None:
        app.include_router(service_status_router("sample", database, [consumer], dead_letters or DeadLetters(database, [consumer])))

    @app.post("/v1/tenants/{tenant}/facts", status_code=201)
    async def create(
        tenant: str, body: dict[str, Any], request: Request,
        principal: Annotated[Principal, Depends(access("account:buy"))], key: IdempotencyKey = None,
        dry_run: bool = False, at: int = 0,
    ) -> Response:  # fmt: skip
        async with database.unit_of_work(tenant) as uow:

            async def act() -> Response:
                if body["said"] == "refused":
                    raise Conflict("test", "refused")
                fact = ids.new_id()
                await uow.connection.exec_driver_sql(
                    "INSERT INTO facts (tenant_id, said, message_id) VALUES ($1, $2, $3)", (tenant, body["said"], fact)
                )
                await asyncio.sleep(body.get("pause", 0))
                return answer({"fact": fact, "note": "n" * body.get("bytes", 0)}, 201, {"location": f"/v1/tenants/{tenant}/facts/{fact}"})

            async def read(fact: str) -> Response:
                said = await uow.connection.exec_driver_sql("SELECT said FROM facts WHERE message_id = $1", (fact,))
                return answer({"fact": fact, "said": said.scalar_one()}, headers={"etag": '"2"'})

            return await idempotent(uow, request, principal, key, act, read)

    return app


@pytest.fixture
async def client(plain_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(plain_database))
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"authorization": f"Bearer {token()}"}) as client:
        yield client


PATH = "/v1/tenants/acme/facts"


async def test_a_repeated_request_gets_the_first_answer_and_is_done_once(client: httpx.AsyncClient, plain_database: Database) -> None:
    first = await client.post(PATH, json={"said": "once"}, headers={"idempotency-key": "k1"})
    again = await client.post(PATH, json={"said": "once"}, headers={"idempotency-key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert again.headers["idempotency-replayed"] == "true"
    assert await facts(plain_database) == ["once"]


async def test_without_a_key_each_request_is_its_own(client: httpx.AsyncClient, plain_database: Database) -> None:
    for _ in range(2):
        await client.post(PATH, json={"said": "each"})
    assert await facts(plain_database) == ["each", "each"]


async def test_the_same_key_with_another_body_is_refused(client: httpx.AsyncClient, plain_database: Database) -> None:
    await client.post(PATH, json={"said": "one"}, headers={"idempotency-key": "k1"})
    response = await client.post(PATH, json={"said": "other"}, headers={"idempotency-key": "k1"})
    assert (response.status_code, response.json()["type"]) == (422, "urn:seatpool:problem:idempotency-key-reused")
    assert await facts(plain_database) == ["one"]


@pytest.mark.parametrize(("first", "second"), [("", "?dry_run=true"), ("?dry_run=true", ""), ("?at=1", "?at=2")])
async def test_the_same_key_and_body_with_another_query_is_refused(
    client: httpx.AsyncClient, plain_database: Database, first: str, second: str
) -> None:
    """Else a request would get the answer of its own dry run, and do nothing."""
    body, key = {"said": "one"}, {"idempotency-key": "k1"}
    answers = [await client.post(PATH + query, json=body, headers=key) for query in (first, first, second)]
    assert [(answer.status_code, "idempotency-replayed" in answer.headers) for answer in answers] == [
        (201, False),
        (201, True),
        (422, False),
    ]
    assert answers[2].json()["type"] == "urn:seatpool:problem:idempotency-key-reused"
    assert await facts(plain_database) == ["one"]


async def test_a_key_that_an_earlier_release_has_stored_is_still_known(client: httpx.AsyncClient, plain_database: Database) -> None:
    body, key = b'{"said": "one"}', {"idempotency-key": "k1", "content-type": "application/json"}
    await client.post(PATH, content=body, headers=key)
    async with plain_database.unit_of_work("acme") as uow:
        digest = (await uow.connection.exec_driver_sql("SELECT digest FROM idempotency_keys")).scalar_one()
    assert digest == hashlib.sha256(b"POST\0" + PATH.encode() + b"\0" + body).digest()


async def test_keys_of_different_callers_never_meet(client: httpx.AsyncClient, plain_database: Database) -> None:
    await client.post(PATH, json={"said": "anns"}, headers={"idempotency-key": "k1"})
    await client.post(PATH, json={"said": "bobs"}, headers={"idempotency-key": "k1", "authorization": f"Bearer {token('bob')}"})
    assert await facts(plain_database) == ["anns", "bobs"]


async def test_keys_of_different_tenants_never_meet(client: httpx.AsyncClient, plain_database: Database) -> None:
    client.headers["authorization"] = f"Bearer {token('op', None, ('operator',), 'client')}"
    answers = [
        await client.post(f"/v1/tenants/{tenant}/facts", json={"said": tenant}, headers={"idempotency-key": "k1"})
        for tenant in ("acme", "globex")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert {answer.headers.get("idempotency-replayed") for answer in answers} == {None}


@pytest.mark.parametrize(("size", "kept"), [(16 * 1024 - 60, True), (16 * 1024, False)])
async def test_an_answer_above_16_kb_is_not_kept_and_a_repeat_reads_the_resource_again(
    client: httpx.AsyncClient, plain_database: Database, size: int, kept: bool
) -> None:
    first, again = [await client.post(PATH, json={"said": "large", "bytes": size}, headers={"idempotency-key": "k1"}) for _ in range(2)]
    assert (first.status_code, len(first.content) > 16 * 1024) == (201, not kept)
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])
    assert (again.headers["content-type"], again.headers["idempotency-replayed"]) == ("application/json", "true")
    assert again.json() == (first.json() if kept else {"fact": first.json()["fact"], "said": "large"})
    assert again.headers["content-length"] == str(len(again.content))
    assert await facts(plain_database) == ["large"]
    async with plain_database.unit_of_work(None) as uow:
        row = (await uow.connection.exec_driver_sql("SELECT headers, body FROM idempotency_keys")).one()
    assert (row.body is not None, b"etag" in row.headers, b"location" in row.headers) == (kept, False, True)
    other = await client.post(PATH, json={"said": "other"}, headers={"idempotency-key": "k1"})
    assert other.json()["type"] == "urn:seatpool:problem:idempotency-key-reused"


async def test_a_tenant_has_a_thousand_new_keys_an_hour(client: httpx.AsyncClient, plain_database: Database) -> None:
    async with plain_database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql(
            "INSERT INTO idempotency_keys (tenant, subject, key, digest, status, headers, body, created_at)"
            " SELECT 'acme', 's' || n % 7, 'k' || n, '', 201, '{}', '', now() - n * interval '1 second' FROM generate_series(1, 999) AS n"
        )
    last = await client.post(PATH, json={"said": "the thousandth"}, headers={"idempotency-key": "last"})
    refused = await client.post(PATH, json={"said": "one more"}, headers={"idempotency-key": "one-more"})
    assert (last.status_code, refused.status_code, refused.json()["type"]) == (201, 429, "urn:seatpool:problem:too-many-requests")
    assert 2590 <= int(refused.headers["retry-after"]) <= 2601, "when the oldest of them is an hour old"
    known = await client.post(PATH, json={"said": "the thousandth"}, headers={"idempotency-key": "last"})
    without = await client.post(PATH, json={"said": "without a key"})
    client.headers["authorization"] = f"Bearer {token('op', None, ('operator',), 'client')}"
    neighbour = await client.post("/v1/tenants/globex/facts", json={"said": "x"}, headers={"idempotency-key": "one-more"})
    assert [answer.status_code for answer in (known, without, neighbour)] == [201, 201, 201]
    assert await facts(plain_database) == ["the thousandth", "without a key", "x"]


async def test_of_concurrent_requests_with_one_key_one_executes(client: httpx.AsyncClient, plain_database: Database) -> None:
    body = {"said": "once", "pause": 0.2}
    responses = await asyncio.gather(*(client.post(PATH, json=body, headers={"idempotency-key": "k1"}) for _ in range(5)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["fact"] for response in responses}) == 1
    assert await facts(plain_database) == ["once"]


async def test_a_refusal_is_not_kept(client: httpx.AsyncClient) -> None:
    """It changed nothing, so the same request is decided again."""
    responses = [await client.post(PATH, json={"said": "refused"}, headers={"idempotency-key": "k1"}) for _ in range(2)]
    assert [response.status_code for response in responses] == [409, 409]
    assert "idempotency-replayed" not in responses[1].headers


async def test_after_a_day_the_key_is_free_again(client: httpx.AsyncClient, plain_database: Database) -> None:
    await client.post(PATH, json={"said": "yesterday"}, headers={"idempotency-key": "k1"})
    async with plain_database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    await client.post(PATH, json={"said": "today"}, headers={"idempotency-key": "k1"})
    assert await facts(plain_database) == ["yesterday", "today"]


@pytest.mark.parametrize("key", ["", "x" * 201, "with space"])
async def test_an_invalid_idempotency_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    response = await client.post(PATH, json={"said": "x"}, headers={"idempotency-key": key})
    assert response.status_code == 422


async def test_the_operator_lists_shows_retries_and_discards_dead_letters(rig: Rig) -> None:
    rig.handled.poison = {"bad-1", "bad-2"}
    for who in ("bad-1", "bad-2", "good"):
        await rig.send(left(who))
    consumer = rig.consumer()
    async with rig.running(consumer):
        await rig.until_facts(1)
        await rig.until_at_end(consumer)
    await rig.send(left("unread"))
    async with rig.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql(
            "INSERT INTO outbox (shard, topic, key, headers, value, created_at) VALUES (0, 'x', 'k', '[]', '{}', '2026-03-05T09:00:00Z')"
        )
    app = make_app(rig.database, DeadLetters(rig.database, [consumer]), consumer)
    operator = {"authorization": f"Bearer {token('op', None, ('operator',), 'operator')}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        path = "/v1/operator/dead-letters"
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"authorization": f"Bearer {token()}"})).status_code == 403
        assert (await client.get("/v1/operator/status", headers={"authorization": f"Bearer {token()}"})).status_code == 403
        status = (await client.get("/v1/operator/status", headers=operator)).json()
        assert [each["messages_behind"] for each in status["groups"]] == [1]
        assert status["unsent"] == {"messages": 1, "oldest_at": "2026-03-05T09:00:00.000Z"}
        assert status["dead_letters"] == {"open": 2, "waiting": 0}
        page: dict[str, Any] = (await client.get(path, headers=operator, params={"limit": 1})).json()
        rest: dict[str, Any] = (await client.get(path, headers=operator, params={"cursor": page["next"]})).json()
        first, second = page["items"] + rest["items"]
        assert [item["detail"] for item in (first, second)] == ["bad-1 is refused", "bad-2 is refused"]
        rig.handled.poison.clear()
        answered = await client.post(f"{path}/{second['id']}/retry", headers=operator)
        assert (answered.status_code, answered.json()["status"]) == (200, "done")
        assert (await client.post(f"{path}/{second['id']}/retry", headers=operator)).status_code == 409
        assert (await client.post(f"{path}/99999/retry", headers=operator)).status_code == 404
        shown = (await client.get(f"{path}/{first['id']}", headers=operator)).json()
        assert ("ce_source", "hr/test") in [tuple(header) for header in shown["headers"]]
        assert base64.b64decode(shown["value_base64"]) == left("bad-1").model_dump_json().encode()
        for wrong in ({}, {"reason": " "}, {"reason": "x", "genuine": 1}):
            assert (await client.post(f"{path}/{first['id']}/discard", headers=operator, json=wrong)).status_code == 422
        given_up = await client.post(f"{path}/{first['id']}/discard", headers=operator, json={"reason": "nobody's"})
        assert (given_up.json()["status"], given_up.json()["discarded_by"]) == ("discarded", "op")
        assert (await client.get(path, headers=operator)).json()["items"] == []
    assert await facts(rig.database) == ["good", "bad-2"]
