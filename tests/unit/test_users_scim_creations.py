"""Users whom several SCIM requests create at the same time are stored together, and each request has the outcome of its own user."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from services.users.domain.scim_connections import ScimConnection
from services.users.scim.callers import Caller
from services.users.scim.creations import Creation, Creations

OKTA, ENTRA = Caller("acme", ScimConnection("okta")), Caller("acme", ScimConnection("entra"))
REQUEST: ContextVar[str] = ContextVar("request")


class Stored:
    """What was stored, in transactions that take a moment. A name in `broken` breaks its transaction, and `taken` are in use."""

    def __init__(self, *, broken: frozenset[str] = frozenset(), taken: frozenset[str] = frozenset()) -> None:
        self.transactions: list[list[str]] = []
        self.requests: dict[str, str] = {}
        self.go_on = asyncio.Event()
        self._broken, self._taken = broken, taken

    async def __call__(self, creations: Sequence[Creation]) -> Sequence[dict[str, Any] | Exception]:
        names = [each.document["userName"] for each in creations]
        await self.go_on.wait()
        if found := self._broken & set(names):
            raise RuntimeError(f"{sorted(found)} cannot be stored")
        self.transactions.append(names)
        self.requests |= {each.document["userName"]: each.context.run(REQUEST.get) for each in creations if each.context is not None}
        return [LookupError(name) if name in self._taken else {"id": name.upper()} for name in names]


async def create(creations: Creations, stored: Stored, name: str, caller: Caller = OKTA) -> str:
    REQUEST.set(f"request of {name}")
    return str((await creations.create(caller, {"userName": name}, stored))["id"])


async def together(stored: Stored, *names: str, caller: Caller = OKTA, creations: Creations | None = None) -> list[Any]:
    creations = creations or Creations()
    tasks = [asyncio.create_task(create(creations, stored, name, caller)) for name in names]
    await asyncio.sleep(0)
    stored.go_on.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_while_a_user_is_stored_is_stored_in_one_transaction() -> None:
    stored = Stored()
    creations = Creations()
    first = asyncio.create_task(create(creations, stored, "ann"))
    await asyncio.sleep(0)
    assert await together(stored, "bob", "cas", "dee", creations=creations) == ["BOB", "CAS", "DEE"]
    assert await first == "ANN"
    assert stored.transactions == [["ann"], ["bob", "cas", "dee"]]
    assert stored.requests == {name: f"request of {name}" for name in ("ann", "bob", "cas", "dee")}, "each in its own context"


async def test_a_user_who_cannot_be_stored_does_not_stop_the_others() -> None:
    stored = Stored(broken=frozenset({"bob"}), taken=frozenset({"cas"}))
    ann, bob, cas, dee = await together(stored, "ann", "bob", "cas", "dee")
    assert (ann, dee, type(bob), type(cas)) == ("ANN", "DEE", RuntimeError, LookupError)
    assert sorted(name for names in stored.transactions for name in names) == ["ann", "cas", "dee"], "each is stored once"


async def test_a_request_that_is_cancelled_leaves_the_others_to_the_next_one() -> None:
    stored, creations = Stored(), Creations()
    first = asyncio.create_task(create(creations, stored, "ann"))
    others = [asyncio.create_task(create(creations, stored, name)) for name in ("bob", "cas")]
    await asyncio.sleep(0)
    first.cancel()
    stored.go_on.set()
    assert await asyncio.gather(*others) == ["BOB", "CAS"]
    with pytest.raises(asyncio.CancelledError):
        await first
    assert stored.transactions == [["bob", "cas"]]


async def test_connections_do_not_wait_for_each_other() -> None:
    creations, slow, fast = Creations(), Stored(), Stored()
    waiting = asyncio.create_task(create(creations, slow, "ann"))
    await asyncio.sleep(0)
    assert await together(fast, "bob", caller=ENTRA, creations=creations) == ["BOB"]
    slow.go_on.set()
    assert await waiting == "ANN"


async def test_several_requests_at_a_time_are_stored_together_also_the_next_ones_of_their_clients() -> None:
    stored, creations = Stored(), Creations()

    async def client(number: int) -> None:
        for turn in range(4):
            await create(creations, stored, f"{number}.{turn}")

    clients = [asyncio.create_task(client(number)) for number in range(8)]
    await asyncio.sleep(0)
    stored.go_on.set()
    await asyncio.gather(*clients)
    assert [len(names) for names in stored.transactions] == [1, 8, 8, 8, 7]


async def test_one_request_at_a_time_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.users.scim.creations.MOMENT_SECONDS", 3600)
    stored, creations = Stored(), Creations()
    stored.go_on.set()
    assert [await create(creations, stored, name) for name in ("ann", "bob", "cas")] == ["ANN", "BOB", "CAS"]
