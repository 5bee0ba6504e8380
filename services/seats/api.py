"""Reads of the owner's own memory. Every answer names the position that it reflects; `?after=` waits for one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Response

from services.seats import domain, views
from services.seats.agents import DomainDecider
from services.seats.engine.commands import partition_of_tenant
from services.seats.engine.engine import Live
from services.seats.engine.faust.worker import Worker
from services.seats.routing import OwnerRoute, OwnerRouting
from services.seats.statistics import Statistics
from services.seats.use_cases.what_if import Answer, Questions, forecast, what_if
from services.seats.why import Why, explain
from shared.errors import Invalid, NotFound, Refused, Transient
from shared.web.app import create_app
from shared.web.auth import OPERATOR, access
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_MAX, Cursor, Limit, Moment, decode_cursor, encode_cursor
from shared.web.tenant_limits import costly

AFTER_SECONDS_MAX = 10.0
READ, OPERATE = Depends(access("account:read")), Depends(access(OPERATOR))

After = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,9}-[0-9]{1,18}$",
        description="Wait until seats has decided the command at this position, `<partition>-<offset>`, for at most 10 seconds.",
    ),
]


def make_api(worker: Worker) -> FastAPI:
    async def ready() -> bool:
        return worker.ready

    app = create_app(title="Seatpool seats", settings=worker.settings, ready=ready)
    app.state.owner_routing = OwnerRouting(worker)
    reads = Reads(worker)
    app.include_router(reads.router())
    return app


class Reads:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._statistics = Statistics(worker.history)
        self._questions = Questions()

    def router(self) -> APIRouter:
        router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"])
        for path, summary, handler in (
            ("/pools", "List pools", self.pools),
            ("/pools/{module}", "Get a pool", self.pool),
            ("/seats", "List seats", self.seats),
            ("/access/{user}", "Get the seats of a person", self.person),
            ("/access/{user}/{module}", "Check a person's access", self.may_use),
            ("/position", "Get the position of the last decision", self.position),
            ("/statistics", "Get the statistics of a tenant", self.statistics),
            ("/why/{user}", "Explain the seats of a person", self.why),
        ):
            router.get(path, summary=summary, dependencies=[READ], responses=refusals(504))(handler)
        question: Any = {"dependencies": [READ], "response_model": dict[str, Any], "responses": refusals(413, 504)}
        router.get("/forecast", summary="Forecast the pools", **question)(self.forecast)
        router.post("/what-if", summary="Decide commands on a copy", **question)(self.what_if)
        router.get("/idle", summary="Check whether everything of a tenant is processed", dependencies=[OPERATE])(self.idle)
        return router

    # ------------------------------------------------------------------------------------------------------------ state

    def _live(self, tenant: str) -> Live:
        """The routing let the request through because this worker owns the partition; that may have changed while it waited."""
        partition = partition_of_tenant(tenant, self._worker.settings.seats_partitions)
        if partition is None:
            raise NotFound("tenant")
        live = self._worker.engine.live.get(partition)
        if live is None or not self._worker.ready:
            raise Transient("the partition is being taken over")
        return live

    async def _reached(self, tenant: str, after: str | None) -> Live:
        live = self._live(tenant)
        if after is not None:
            partition, offset = map(int, after.split("-"))
            if partition != live.number:
                raise Invalid("query.after", after, f"a position in partition {live.number}, which is the partition of this tenant")
            try:
                async with asyncio.timeout(AFTER_SECONDS_MAX):
                    await self._worker.engine.wait_for(partition, offset)
            except TimeoutError:
                detail = f"seats did not reach the position {after} within {AFTER_SECONDS_MAX:.0f} seconds. Please try again."
                raise Refused("position-not-reached", detail, position=views.position(live).model_dump()) from None
        return self._live(tenant)

    @asynccontextmanager
    async def _settled(self, tenant: str, after: str | None) -> AsyncIterator[tuple[Live, domain.Tenant]]:
        """The tenant between two batches: what is counted then is what is durable. Raises NotFound for a tenant that is not opened."""
        await self._reached(tenant, after)
        async with self._worker.engine.settled():
            live = self._live(tenant)
            decider = live.decider
            assert isinstance(decider, DomainDecider)
            state = decider.tenants.get(tenant)
            if state is None:
                raise NotFound("tenant")
            yield live, state

    # ------------------------------------------------------------------------------------------------------------ reads

    async def pools(self, tenant: str, cursor: Cursor = None, limit: Limit = LIMIT_MAX, after: After = None) -> views.Pools:
        """The pools are in order of their modules."""
        (start,) = decode_cursor(cursor, str) or ("",)
        async with self._settled(tenant, after) as (live, state):
            modules = sorted(module for module in state.pools if module > start)
            items = [views.pool(state.pools[module]) for module in modules[:limit]]
            following = encode_cursor(modules[limit - 1]) if len(modules) > limit else None
            return views.Pools(position=views.position(live), items=items, next=following)

    async def pool(self, tenant: str, module: str, after: After = None) -> views.PoolAnswer:
        async with self._settled(tenant, after) as (live, state):
            if module not in state.pools:
                raise NotFound("pool")
            return views.PoolAnswer(position=views.position(live), **views.pool(state.pools[module]).model_dump())

    async def seats(
        self,
        tenant: str,
        module: str | None = None,
        state: views.State | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
        after: After = None,
    ) -> views.Seats:
        """The seats are in order of user, then module. A page can have fewer than `limit` seats: it also ends after 5,000 people."""
        start = decode_cursor(cursor, str, str)
        async with self._settled(tenant, after) as (live, tenant_state):
            found, following = views.page_of_seats(tenant_state, module, state, start, limit)
            next_ = None if following is None else encode_cursor(*following)
            return views.Seats(position=views.position(live), items=found, next=next_)

    async def person(self, tenant: str, user: str, after: After = None) -> views.Person:
        """The answer shows all seats of the person, with their states and deadlines."""
        live = await self._reached(tenant, after)
        row = views.row_of(tenant, user, live)
        if row is None:
            raise NotFound("person")
        return views.person(user, row, live)

    async def may_use(self, tenant: str, user: str, module: str, after: After = None) -> views.Access:
        """`allowed` says whether the person may use the module now. It is also false for an unknown person."""
        live = await self._reached(tenant, after)
        row = views.row_of(tenant, user, live)
        return views.access(user, module, row, live)

    async def position(self, tenant: str, after: After = None) -> views.PositionAnswer:
        live = await self._reached(tenant, after)
        return views.PositionAnswer(position=views.position(live), rules=live.durable.marker.rules)

    async def statistics(self, tenant: str, after: After = None) -> dict[str, Any]:
        """`flagged` counts seats at present. `revoked` and `refused` count pairs of person and module since the tenant was opened.
        `decisions` counts the events of this tenant, each once."""
        async with self._settled(tenant, after) as (live, state):
            flagged = sum(pool.flagged for pool in state.pools.values())
            position = views.position(live)
        counted = await self._statistics.of(tenant, position.partition)
        return {"flagged": flagged, **counted, "position": position.model_dump()}

    async def idle(self, tenant: str) -> dict[str, Any]:
        """seats is idle if every command of the tenant is decided and nothing is due at its time. Test clocks use this check."""
        partition = self._live(tenant).number
        end = (await self._worker.ends([partition]))[partition]
        async with self._settled(tenant, None) as (live, state):
            return views.idle(live, state, end - self._worker.engine.position(partition))

    # ---------------------------------------------------------------------------------------------------------- futures

    @costly
    async def forecast(self, tenant: str, at: Moment, after: After = None) -> Response:
        """The answer shows each pool at that time, and what happens until then, if no command arrives. A forecast that needs more than
        20,000 changes of rows and events, or more than 4 MiB, is refused (413): then ask for an earlier time."""
        answer = partial(forecast, at_ms=domain.to_ms(at))
        return await self._ask(tenant, after, answer, "Ask for an earlier time.")

    @costly
    async def what_if(self, tenant: str, body: views.WhatIf, after: After = None) -> Response:
        """seats decides the commands on a copy and returns the decisions. Nothing changes. A question that needs more than 20,000 changes
        of rows and events, or more than 4 MiB, is refused (413): then send fewer commands."""
        split = "Send fewer commands in one request. If there is only one command, ask about a smaller change."
        return await self._ask(tenant, after, partial(what_if, asked=body), split)

    async def _ask(self, tenant: str, after: str | None, answer: Answer, split: str) -> Response:
        await self._reached(tenant, after)
        text = await self._questions.ask(tenant, self._settled(tenant, None), answer, split)
        return Response(text, media_type="application/json")

    async def why(self, tenant: str, user: str, limit: Limit = 100, after: After = None) -> Why:
        """The answer lists the decisions that led to the present state of this person, with their commands, newest first."""
        live = await self._reached(tenant, after)
        row = views.row_of(tenant, user, live)
        if row is None:
            raise NotFound("person")
        return await explain(self._worker.history, tenant, user, views.position(live), row.offset, limit)
