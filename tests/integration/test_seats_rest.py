"""The reads of two real workers: whichever is asked, the owner answers; a position can be waited for; strangers get nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.schemas import seats_v1
from shared.settings import KafkaSettings
from tests.support.keys import bearer, published_keys
from tests.support.seats import NOON, Commands, WorkerProcess, answered, commands_to, supervised, tenant_in
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
TENANTS = [tenant_in(partition, 4) for partition in range(4)]
PATHS = (
    "pools",
    "pools/time",
    "seats",
    "access/u1",
    "access/u1/time",
    "position",
    "statistics",
    "forecast?at=2100-01-01T00:00:00Z",
    "why/u1",
)


class Stand:
    """Two workers that share four partitions, one tenant in each."""

    def __init__(self, workers: list[WorkerProcess], client: httpx.AsyncClient, commands: Commands) -> None:
        self.workers, self.client, self.commands = workers, client, commands

    async def ask(
        self, method: str, worker: int, tenant: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Ask again as a client would: a worker that noticed a pause is started again, and its share moves meanwhile."""
        url = f"{self.workers[worker].url}/v1/tenants/{tenant}/{path}"
        headers = bearer(tenant, "account:read") if headers is None else headers

        async def answer() -> httpx.Response | None:
            try:
                response = await self.client.request(method, url, headers=headers, **options)
            except httpx.TransportError:
                return None
            return None if response.status_code == 503 and "retry-after" in response.headers else response

        return await wait_until(answer, what=f"an answer of {url}")

    async def get(self, worker: int, tenant: str, path: str, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        return await self.ask("GET", worker, tenant, path, headers, params=query or None)

    async def json(self, worker: int, tenant: str, path: str, **query: Any) -> Any:
        response = await self.get(worker, tenant, path, **query)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
async def stand(kafka_settings: KafkaSettings, tmp_path: Path) -> AsyncIterator[Stand]:
    with published_keys() as users_url:
        workers = [WorkerProcess.make(kafka_settings, tmp_path, name, users_url=users_url) for name in ("one", "two")]
        try:
            async with supervised(*workers), httpx.AsyncClient(timeout=30) as client, commands_to(kafka_settings) as commands:
                await wait_until(lambda: all(worker.owns(2) for worker in workers), seconds=120, what="a half each")
                yield Stand(workers, client, commands)
        finally:
            for worker in workers:
                worker.kill()


async def test_T9_E5_T22_every_read_names_its_position_and_asks_for_a_token(stand: Stand, kafka_settings: KafkaSettings) -> None:
    """One story read through both workers; one test, because two workers take a while to share their work."""
    for tenant in TENANTS:
        await stand.commands.open(tenant, licences=2, grace="P7D")
        for user in ("u1", "u2", "u3"):
            position = await stand.commands.assign(tenant, user, "time")
        await answered(kafka_settings, position)
    await _pools_seats_and_access(stand)
    await _positions(stand)
    await _futures(stand)
    await _why_and_statistics(stand)
    await _refusals(stand)


async def _pools_seats_and_access(stand: Stand) -> None:
    for tenant in TENANTS:
        one, two = [await stand.json(worker, tenant, "pools") for worker in (0, 1)]
        assert one == two
        (pool,) = one["items"]
        assert {name: pool[name] for name in ("module", "licences", "active", "flagged", "available", "base")} == {
            "module": "time",
            "licences": 2,
            "active": 2,
            "flagged": 1,
            "available": 0,
            "base": True,
        }
        assert pool["policies"]["over_limit"] == "flag"
        assert (await stand.json(0, tenant, "pools/time"))["flagged"] == 1
        first = await stand.json(1, tenant, "seats", limit=2)
        rest = await stand.json(0, tenant, "seats", limit=2, cursor=first["next"])
        assert [seat["user"] for seat in first["items"] + rest["items"]] == ["u1", "u2", "u3"]
        assert rest["next"] is None
        flagged = await stand.json(0, tenant, "seats", state="flagged", module="time")
        assert [seat["user"] for seat in flagged["items"]] == ["u3"]
        assert flagged["items"][0]["deadline"] is not None
        person = await stand.json(1, tenant, "access/u1")
        assert (person["need"], person["revision"], person["modules"][0]["state"]) == (["time"], 1, "active")
        for user, module, allowed in (("u1", "time", True), ("u3", "time", True), ("u1", "documents", False), ("nobody", "time", False)):
            assert (await stand.json(0, tenant, f"access/{user}/{module}"))["allowed"] is allowed


async def _positions(stand: Stand) -> None:
    """E5 T9: a read says which position it reflects, and can wait for one."""
    tenant = TENANTS[0]
    now = (await stand.json(0, tenant, "position"))["position"]
    waiting = asyncio.create_task(stand.json(1, tenant, "access/u9/time", after=f"{now['partition']}-{now['offset'] + 1}"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await stand.commands.assign(tenant, "u9", "time")
    answer = await waiting
    assert answer["allowed"] is True
    assert answer["position"]["offset"] > now["offset"]
    late = await stand.get(0, tenant, "pools", after=f"{now['partition']}-{now['offset'] + 1000}")
    assert (late.status_code, late.json()["type"]) == (504, "urn:seatpool:problem:position-not-reached")
    assert late.json()["position"]["partition"] == now["partition"]
    wrong = await stand.get(0, tenant, "pools", after=f"{now['partition'] + 1}-0")
    assert wrong.status_code == 422


async def _futures(stand: Stand) -> None:
    tenant = TENANTS[1]
    before = await stand.json(0, tenant, "pools")
    seen = await stand.json(0, tenant, "forecast", at="2100-01-01T00:00:00Z")
    assert [(event["type"].rpartition(".")[2], event["data"]["user"]) for event in seen["events"]] == [("seat_revoked", "u3")]
    assert seen["pools"][0]["flagged"] == 0
    expected = {"pools": [{"module": "time", "licences": 2, "next_period": 2}]}
    order = {"order": "o1", "items": [{"module": "time", "quantity": 1}], "expected": expected, "approved_at": "2026-03-01T00:00:00Z"}
    commands = [
        {"type": "add_licences", "data": order},
        {"type": "assign_seats", "data": {"user": "u8", "modules": ["time"], "reason": "hired", "created_at": "2026-03-01T00:00:00Z"}},
    ]
    answer = await stand.ask("POST", 1, tenant, "what-if", json={"commands": commands})
    assert answer.status_code == 200, answer.text
    bought, hired = answer.json()["decisions"]
    assert {event["type"].rpartition(".")[2] for event in bought} >= {"licences_added", "seat_flag_cleared"}
    assert hired[0]["data"]["modules"][0]["state"] == "flagged"
    wrong = await stand.ask("POST", 1, tenant, "what-if", json={"commands": [{"type": "tick", "data": {}}]})
    assert wrong.status_code == 422
    await _bad_input(stand, tenant, order)
    after = await stand.json(0, tenant, "pools")
    assert after["items"] == before["items"]


async def _bad_input(stand: Stand, tenant: str, order: dict[str, Any]) -> None:
    """What makes no sense is answered with its reason, as it would be by a decision; what cannot be read names its field."""
    expected = order["expected"]

    def items(quantity: int, module: str = "time") -> dict[str, Any]:
        return {"items": [{"module": module, "quantity": quantity}], "expected": expected}

    other = {"pools": [{"module": "time", "licences": 9, "next_period": 9}]}
    replaced = {"from_user": "u1", "to_user": "u1", "to": {"modules": [], "created_at": order["approved_at"]}, "reason": "changed"}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("add_licences", order | items(0), "invalid_count"),
        ("reduce_licences", {"order": "o2"} | items(-1), "invalid_count"),
        ("add_licences", order | items(1, "nothing"), "unknown_module"),
        ("add_licences", order | {"expected": other}, "expected_differs"),
        ("schedule_reduction", items(3), "above_licences"),
        ("schedule_reduction", items(0), "terminate_instead"),
        ("set_policy", {"module": "time", "policies": {"grace": "P1M"}}, "invalid_duration"),
        ("schedule_period", {"period": "far", "starts_at": "9999-12-31T00:00:00Z"}, "invalid_time"),
        ("replace_user", replaced, "unknown_user"),
    ]
    url = f"{stand.workers[0].url}/v1/tenants/{tenant}/what-if"
    commands = [{"type": type_, "data": data} for type_, data, _ in wrong]
    answer = await stand.client.post(url, json={"commands": commands}, headers=bearer(tenant, "account:read"))
    assert answer.status_code == 200, answer.text
    answers = [events[0]["data"] for events in answer.json()["decisions"]]
    assert [answer["reason"] for answer in answers] == [reason for _, _, reason in wrong]
    assert "close_pool" in answers[5]["instead"]
    for field, value in (("approved_at", "2026-02-30T00:00:00Z"), ("approved_at", "2026-02-03"), ("order", 10**30), ("colour", "red")):
        commands = [{"type": "add_licences", "data": order | {field: value}}]
        answer = await stand.client.post(url, json={"commands": commands}, headers=bearer(tenant, "account:read"))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"body.commands.0.data.{field}"), answer.text


async def _why_and_statistics(stand: Stand) -> None:
    tenant = TENANTS[2]
    position = await stand.commands.send(tenant, seats_v1.AssignSeats(user="u1", revision=2, reason="left", modules=(), created_at=NOON))
    why = await stand.json(1, tenant, "why/u3", after=f"{position[0]}-{position[1]}")
    names = [[decision["type"].rpartition(".")[2] for decision in link["decisions"]] for link in why["chain"]]
    assert names == [["seat_flag_cleared"], ["seats_assigned"]]
    assert why["chain"][0]["command"]["data"]["reason"] == "left"
    assert why["complete"] is True
    figures = await stand.json(0, tenant, "statistics")
    assert (figures["flagged"], figures["revoked"], figures["refused"]) == (0, 0, 0)
    assert figures["decisions"] >= 6
    operator = bearer(None, "operator")
    idle = await wait_until(lambda: _idle(stand, tenant, operator), what="seats to be idle")
    assert idle["waiting_for"] == []
    assert (await stand.get(0, tenant, "idle")).status_code == 403


async def _idle(stand: Stand, tenant: str, headers: dict[str, str]) -> Any:
    answer = (await stand.get(0, tenant, "idle", headers=headers)).json()
    return answer if answer["idle"] else None


async def _refusals(stand: Stand) -> None:
    """T22: every route asks for a token and checks its tenant."""
    tenant, other = TENANTS[3], TENANTS[0]
    for worker in (0, 1):
        for path in PATHS:
            assert (await stand.get(worker, tenant, path, headers={})).status_code == 401, path
            assert (await stand.get(worker, tenant, path, headers=bearer(other, "account:read"))).status_code == 404, path
            assert (await stand.get(worker, tenant, path, headers=bearer(tenant, "log:read"))).status_code == 403, path
            answer = await stand.get(worker, tenant, path)
            assert (answer.status_code, answer.json()["position"]["partition"]) == (200, TENANTS.index(tenant)), path
        rows = ("access/%23tenant", "why/%23tenant", "access/%23pool%7Ctime")  # beside the people's, under names that no person has
        for path in ("pools/none", "access/nobody", "why/nobody", *rows):
            assert (await stand.get(worker, tenant, path)).status_code == 404, path
        assert (await stand.get(worker, "no-such-tenant", "pools", headers=bearer("no-such-tenant", "account:read"))).status_code == 404
        assert (await stand.json(worker, tenant, "access/%23tenant/time"))["allowed"] is False
        assert (await stand.get(worker, tenant, "seats", limit=0)).status_code == 422
        assert (await stand.get(worker, tenant, "seats", state="actve")).json()["errors"][0]["field"] == "query.state"
        assert (await stand.get(worker, tenant, "forecast", at="tomorrow")).status_code == 422
