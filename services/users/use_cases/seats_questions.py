"""Questions of users to seats: the pools of a tenant, and what commands would lead to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from shared.errors import Transient
from shared.schemas.registry import USERS, type_of
from shared.schemas.seats_v1 import AssignSeats, ReplaceUser
from shared.web import ServiceClient
from shared.web.rest import LIMIT_MAX

log = structlog.get_logger(__name__)

_REVISIONS: Final = {"revision", "from_revision", "to_revision"}  # seats draws them itself
Command = AssignSeats | ReplaceUser
COMMANDS_MAX: Final = 100  # of one question (seats' what-if)


@dataclass(frozen=True, slots=True)
class PoolCounts:
    licences: int
    available: int


class SeatsQuestions:
    """Questions to the REST API of seats."""

    def __init__(self, client: ServiceClient, seats_url: str) -> None:
        self._client, self._url = client, seats_url

    async def pools(self, tenant: str) -> Mapping[str, PoolCounts] | None:
        """Return the pools by module; None if seats cannot answer now."""
        pools: dict[str, PoolCounts] = {}
        cursor: str | None = None
        while True:
            page = await self._ask("GET", f"{self._url}/v1/tenants/{tenant}/pools", params={"cursor": cursor} if cursor else {})
            if page is None:
                return None
            pools |= {each["module"]: PoolCounts(each["licences"], each["available"]) for each in page["items"]}
            if (cursor := page["next"]) is None:
                return pools

    async def seats(self, tenant: str, first: str, last: str | None) -> Mapping[str, Mapping[str, str]] | None:
        """Return the states of the seats by user and module, of the users from `first` to `last`; None if seats cannot answer now."""
        found: dict[str, dict[str, str]] = {}
        params: dict[str, Any] = {"limit": LIMIT_MAX, "from_user": first} | ({} if last is None else {"to_user": last})
        while True:
            page = await self._ask("GET", f"{self._url}/v1/tenants/{tenant}/seats", params=params)
            if page is None:
                return None
            for each in page["items"]:
                found.setdefault(each["user"], {})[each["module"]] = each["state"]
            if page["next"] is None:
                return found
            params["cursor"] = page["next"]

    async def what_if(self, tenant: str, commands: Sequence[Command]) -> Sequence[Sequence[Mapping[str, Any]]] | None:
        """Return the events of each command; None if seats cannot answer now, or the answer would be too large."""
        assert len(commands) <= COMMANDS_MAX
        proposed = [
            {"type": type_of(type(command)), "source": USERS, "data": command.model_dump(mode="json", exclude=_REVISIONS)}
            for command in commands
        ]
        answer = await self._ask("POST", f"{self._url}/v1/tenants/{tenant}/what-if", json={"commands": proposed})
        return None if answer is None else answer["decisions"]

    async def why(self, tenant: str, user: str, limit: int) -> Mapping[str, Any] | None:
        """Return the decisions that led to the seats of the person; None if there is none. Raises Transient."""
        response = await self._client.get(f"{self._url}/v1/tenants/{tenant}/why/{user}", params={"limit": limit})
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise Transient(f"why: seats answered {response.status_code}")
        found: Mapping[str, Any] = response.json()
        return found

    async def _ask(self, method: str, url: str, **options: Any) -> Any:
        try:
            response = await self._client.request(method, url, **options)
        except Transient as error:
            log.warning("seats_did_not_answer", error=str(error))
            return None
        if response.status_code != 200:
            log.warning("seats_did_not_answer", status=response.status_code)
            return None
        return response.json()


def states_in(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the states in the answer to one command."""
    for event in events:
        if "revision" in event["data"] and "modules" in event["data"]:
            return [
                {"module": each["module"], "state": each["state"], "deadline": each.get("deadline"), "reason": each.get("reason")}
                for each in event["data"]["modules"]
            ]
    return []
