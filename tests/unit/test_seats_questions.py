"""Questions to a worker that touch too much are refused with the limit, and what they touched is put back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from services.seats import api, domain, views, why
from services.seats.agents import DomainDecider
from services.seats.engine.frames import NOTHING
from shared.errors import Refused
from tests.support.seat_world import START, World


@asynccontextmanager
async def settled() -> AsyncIterator[None]:
    yield


def reads(world: World) -> api.Reads:
    decider = DomainDecider(0)
    decider.load(world.rows)
    clock = domain.to_ms(world.now)
    live = SimpleNamespace(
        number=0, decider=decider, clock_ms=clock, rules=1, decided=world.offset, durable=SimpleNamespace(marker=NOTHING)
    )
    worker: Any = SimpleNamespace(
        settings=SimpleNamespace(seats_partitions=1), ready=True, history=None, engine=SimpleNamespace(live={0: live}, settled=settled)
    )
    return api.Reads(worker)


@pytest.fixture
def world() -> World:
    world = World()
    world.pool("time", 1)
    for user in ("ada", "ben", "cid"):
        world.need(user, "time")
    return world


async def test_a_forecast_of_too_many_rows_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reads(world)
    seen = orjson.loads((await made.forecast("acme", START + timedelta(days=9))).body)
    assert [event["data"]["user"] for event in seen["events"]] == ["ben", "cid"]
    monkeypatch.setattr(api, "FORECAST_ROWS_MAX", 1)
    with pytest.raises(Refused) as refused:
        await made.forecast("acme", START + timedelta(days=9))
    assert (refused.value.type, refused.value.extra) == ("too-large", {"rows_max": 1})


async def test_a_what_if_of_too_many_rows_is_refused_and_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reads(world)
    close = views.WhatIf(commands=[views.WhatIfCommand(type="close_pool", data={"module": "time", "at": "now"})])
    before = await made.pools("acme")
    (decided,) = (await made.what_if("acme", close))["decisions"]
    assert len(decided) == 4
    monkeypatch.setattr(api, "WHAT_IF_ROWS_MAX", 1)
    with pytest.raises(Refused, match="more than 1 rows change"):
        await made.what_if("acme", close)
    assert await made.pools("acme") == before


async def test_why_ends_in_time_and_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def link(_: object, tenant: str, user: str, partition: int, offset: int) -> tuple[why.Link, int]:
        return why.Link(partition=partition, offset=offset, command={}, decisions=[]), offset - 1

    monkeypatch.setattr(why, "_link", link)
    history: Any = SimpleNamespace(kept=settled)

    async def offsets() -> tuple[list[int], bool]:
        found = await why.explain(history, "acme", "ada", views.PositionView(partition=0, offset=9), 9, 3)
        return [each.offset for each in found.chain], found.complete

    assert await offsets() == ([9, 8, 7], False)
    monkeypatch.setattr(why, "ANSWER_SECONDS_MAX", 0)
    assert await offsets() == ([9], False)
