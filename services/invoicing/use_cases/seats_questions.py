"""The questions of invoicing to seats: whom a reduction would flag and whose reservations it would cancel, if nothing else changed; and how
the pools are used."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
import structlog

from shared.errors import Transient
from shared.schemas import registry
from shared.schemas.base import Payload, format_instant
from shared.schemas.position import Position
from shared.schemas.registry import INVOICING, type_of
from shared.schemas.seats_v1 import (
    HoldCancelled,
    PeriodStarted,
    PoolState,
    ReductionRefused,
    ReductionScheduled,
    SeatFlagged,
    WouldCancel,
    WouldFlag,
)
from shared.web import ServiceClient

log = structlog.get_logger(__name__)

POOLS_TIMEOUT_SECONDS = 3  # a reader waits for it, and gets the rest without them
NAMED_MAX = 1000  # people of a module who are named; all are counted
CONSEQUENCES = ("would_flag", "would_cancel")  # fields of events, offers and responses


@dataclass(frozen=True, slots=True)
class Forecast:
    """What seats would decide. `refused` is its refusal, if it would refuse. `period`: the period that begins until then."""

    would_flag: Sequence[WouldFlag] = ()
    would_cancel: Sequence[WouldCancel] = ()
    refused: ReductionRefused | None = None
    period: PeriodStarted | None = None


def consequences(found: Forecast | None) -> dict[str, list[dict[str, Any]] | None]:
    """Return what an offer says of people, as it is stored. None: seats could not answer."""
    if found is None:
        return dict.fromkeys(CONSEQUENCES)
    return {name: [each.model_dump() for each in getattr(found, name)] for name in CONSEQUENCES}


@dataclass(frozen=True, slots=True)
class ReadPools:
    """The pools of a tenant as seats knows them now, by module. `position`: the last decision that they reflect."""

    pools: Mapping[str, PoolState]
    position: Position


class Seats(Protocol):
    async def what_if(self, tenant: str, command: Payload) -> Forecast | None: ...
    async def pools(self, tenant: str) -> ReadPools | None: ...
    async def forecast(self, tenant: str, at: datetime) -> Forecast | None: ...


class SeatsQuestions:
    """Questions to the REST API of seats."""

    def __init__(self, client: ServiceClient, seats_url: str) -> None:
        self._client, self._url = client, seats_url

    async def what_if(self, tenant: str, command: Payload) -> Forecast | None:
        """Return what seats would decide; None if it cannot answer now, or the answer would be too large."""
        data = command.model_dump(mode="json", exclude={"number"})
        proposed = {"commands": [{"type": type_of(type(command)), "source": INVOICING, "data": data}]}
        try:
            response = await self._client.post(f"{self._url}/v1/tenants/{tenant}/what-if", json=proposed)
        except Transient as error:
            log.warning("seats_did_not_answer", error=str(error))
            return None
        if response.status_code != 200:
            log.warning("seats_did_not_answer", status=response.status_code)
            return None
        return forecast_of(response.json()["decisions"][0])

    async def forecast(self, tenant: str, at: datetime) -> Forecast | None:
        """Return whom the changes of the pools until this time would flag, and whose reservations end; None if seats cannot answer now, or
        has too much to answer."""
        try:
            response = await self._client.get(f"{self._url}/v1/tenants/{tenant}/forecast", params={"at": format_instant(at)})
        except Transient as error:
            log.warning("seats_did_not_answer", error=str(error))
            return None
        if response.status_code != 200:
            log.warning("seats_did_not_answer", status=response.status_code)
            return None
        return forecast_of(response.json()["events"])

    async def pools(self, tenant: str) -> ReadPools | None:
        """Return all pools of the tenant; None if seats cannot answer now, or does not know the tenant yet."""
        found: dict[str, PoolState] = {}
        query: dict[str, str] = {}
        try:
            async with asyncio.timeout(POOLS_TIMEOUT_SECONDS):
                while True:
                    response = await self._client.get(f"{self._url}/v1/tenants/{tenant}/pools", params=query)
                    if response.status_code != 200:
                        log.warning("seats_did_not_answer", status=response.status_code)
                        return None
                    answer = response.json()
                    found |= {item["module"]: _pool_of(item) for item in answer["items"]}
                    if not answer.get("next"):
                        return ReadPools(found, Position(**answer["position"]))
                    query = {"cursor": answer["next"]}
        except (Transient, TimeoutError) as error:
            log.warning("seats_did_not_answer", error=str(error))
            return None


def forecast_of(events: Sequence[dict[str, Any]]) -> Forecast:
    """Return what the events of one decision say, each as REST shows it: its type and its data."""
    flagged: dict[str, list[str]] = defaultdict(list)
    cancelled: dict[str, list[str]] = defaultdict(list)
    period: PeriodStarted | None = None
    for event in events:
        match registry.parse(event["type"], orjson.dumps(event["data"])):
            case ReductionRefused() as refused:
                return Forecast(refused=refused)
            case ReductionScheduled() as scheduled:
                return Forecast(scheduled.would_flag, scheduled.would_cancel)
            case PeriodStarted() as begun:
                period = begun
            case SeatFlagged(module=module, user=user):
                flagged[module].append(user)
            case HoldCancelled(module=module, user=user):
                cancelled[module].append(user)
            case _:
                pass
    would_flag = [WouldFlag(module=module, users=tuple(users[:NAMED_MAX]), count=len(users)) for module, users in flagged.items()]
    would_cancel = [WouldCancel(module=module, users=tuple(users[:NAMED_MAX]), count=len(users)) for module, users in cancelled.items()]
    return Forecast(would_flag, would_cancel, period=period)


def _pool_of(item: Mapping[str, Any]) -> PoolState:
    """Return the pool; the answer of seats says more about it."""
    return PoolState.model_validate_json(orjson.dumps({name: item[name] for name in PoolState.model_fields if name in item}))
