"""A question of invoicing to seats: who would be flagged by a reduction, if nothing else changed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog

from shared.errors import Transient
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.registry import INVOICING, type_of
from shared.schemas.seats_v1 import ReductionRefused, ReductionScheduled, SeatFlagged, WouldFlag
from shared.web import ServiceClient

log = structlog.get_logger(__name__)

NAMED_MAX = 1000  # people of a module who are named; all are counted


@dataclass(frozen=True, slots=True)
class Forecast:
    """What seats would decide. `refused` is its refusal, if it would refuse."""

    would_flag: Sequence[WouldFlag] = ()
    refused: ReductionRefused | None = None


class Forecasts(Protocol):
    async def what_if(self, tenant: str, command: Payload) -> Forecast | None: ...


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


def forecast_of(events: Sequence[dict[str, Any]]) -> Forecast:
    """Return what the events of one decision say, each as REST shows it: its type and its data."""
    flagged: dict[str, list[str]] = defaultdict(list)
    for event in events:
        match registry.parse(event["type"], orjson.dumps(event["data"])):
            case ReductionRefused() as refused:
                return Forecast(refused=refused)
            case ReductionScheduled(would_flag=would_flag):
                return Forecast(would_flag)
            case SeatFlagged(module=module, user=user):
                flagged[module].append(user)
            case _:
                pass
    return Forecast([WouldFlag(module=module, users=tuple(users[:NAMED_MAX]), count=len(users)) for module, users in flagged.items()])
