"""The stage of the demo: one tenant of a running deployment, which it reads and changes through REST only."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from cli.console import CliError
from cli.names import SERVICES
from cli.rest import Rest
from shared.clock import SystemClock
from shared.ids import new_id
from shared.schemas.base import format_instant

POLL_SECONDS = 0.2
STUCK_SECONDS = 90.0  # if nothing changes for so long, the stack is stuck, and the demo says so
QUIET_ROUNDS = 2  # idle and unchanged this often in a row: one round can fall between a read and its effects


@dataclass(frozen=True, slots=True)
class Flag:
    external_id: str
    login: str
    department: str | None
    module: str
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The company after one step, as seats (pools) and users (people) show it. Ids are those of the files."""

    title: str
    day: date
    pools: Mapping[str, Mapping[str, int]]  # module -> licences, active, flagged, waiting, available
    states: Mapping[str, Mapping[str, int]]  # module -> state in users' people -> how many
    flags: tuple[Flag, ...]
    refused: tuple[tuple[str, str], ...]  # module, external id
    withdrawn: tuple[tuple[str, str], ...]  # module, external id
    deactivated: tuple[str, ...]
    mails: int
    subjects: Mapping[str, int]  # of the e-mails sent so far


class Audience(Protocol):
    """The audience: the screen, or a test that only collects."""

    def chapter(self, day: date, title: str) -> None: ...

    def said(self, text: str) -> None: ...

    def waiting(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show progress. `total` 0: the length is unknown."""
        ...

    def company(self, snapshot: Snapshot) -> None: ...


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class Stage:
    """One tenant of a running deployment, and the calls that move it."""

    def __init__(self, rest: Rest, tenant: str, audience: Audience) -> None:
        self.rest, self.tenant, self.audience = rest, tenant, audience
        self._clock = SystemClock()

    def path(self, rest_of_it: str = "") -> str:
        return f"/v1/tenants/{self.tenant}" + (f"/{rest_of_it}" if rest_of_it else "")

    async def create(self, service: str, path: str, body: Mapping[str, Any]) -> Any:
        return await self.rest.post(service, path, body, headers={"Idempotency-Key": new_id()})

    async def statistics(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.rest.get(service, self.path("statistics"))
        return found

    async def until(self, what: str, check: Callable[[], Awaitable[tuple[bool, object]]]) -> None:
        """Wait until `check` returns (True, …). A change of the second part is progress. Raises CliError, which names what is stuck."""
        last, since = None, self._clock.monotonic()
        while True:
            done, seen = await check()
            if done:
                return
            if seen != last:
                last, since = seen, self._clock.monotonic()
            if self._clock.monotonic() - since > STUCK_SECONDS:
                raise CliError(f"waited {STUCK_SECONDS:.0f} s for {what}, without progress. The last state was: {seen}")
            await asyncio.sleep(POLL_SECONDS)

    async def until_idle(self) -> None:
        """Wait until every service has read the tenant's topics to the end, with nothing due and nothing unsent, twice in a row."""
        last, quiet = None, 0

        async def check() -> tuple[bool, object]:
            nonlocal last, quiet
            answers = await asyncio.gather(*(self.rest.get(service, self.path("idle")) for service in SERVICES))
            seen = tuple(answer["fingerprint"] for answer in answers)
            calm = all(answer["idle"] for answer in answers)
            quiet = quiet + 1 if calm and seen == last else int(calm)
            last = seen
            waiting_for = [f"{service}: {', '.join(answer['waiting_for'])}" for service, answer in zip(SERVICES, answers, strict=True)]
            return quiet >= QUIET_ROUNDS, (seen, waiting_for)

        await self.until("all services to be idle", check)

    async def advance(self, to: datetime) -> None:
        """Advance the test clock. The services apply the items that fall due on the way."""
        await self.until_idle()
        clock = await self.rest.get("users", self.path("clock"))
        if instant(clock["now"]) >= to:
            return
        await self.rest.post("users", self.path("clock"), {"to": format_instant(to)})

        async def check() -> tuple[bool, object]:
            clock = await self.rest.get("users", self.path("clock"))
            self.audience.waiting(f"test clock: {clock['now'][:16].replace('T', ' ')} UTC")
            return clock["state"] == "ready" and instant(clock["now"]) >= to, clock

        await self.until(f"the test clock to reach {format_instant(to)}", check)

    async def people(self) -> list[dict[str, Any]]:
        """Return all people, also the inactive ones and those who have left."""
        return await self.pages("users", "people", status="all")

    async def pages(self, service: str, what: str, **filters: str) -> list[dict[str, Any]]:
        return await self.rest.pages(service, self.path(what), **filters)

    async def snapshot(self, title: str, day: date) -> Snapshot:
        """Read the statistics of every service at this time."""
        pools = await self.rest.pages("seats", self.path("pools"))
        states: dict[str, Counter[str]] = defaultdict(Counter)
        by_state: dict[str, list[tuple[str, str]]] = defaultdict(list)
        flags: list[Flag] = []
        deactivated: list[str] = []
        for person in await self.people():
            key = person["external_id"]
            if person["status"] == "deactivated":
                deactivated.append(key)
            for seat in person["modules"]:
                states[seat["module"]][seat["state"]] += 1
                by_state[seat["state"]].append((seat["module"], key))
                if seat["state"] == "flagged":
                    deadline = instant(seat["deadline"]) if seat["deadline"] else None
                    flags.append(Flag(key, person["login"], person["department"], seat["module"], deadline))
        return Snapshot(
            title=title,
            day=day,
            pools={pool["module"]: pool for pool in pools},
            states=states,
            flags=tuple(sorted(flags, key=lambda flag: (flag.module, by_number(flag.external_id)))),
            refused=_in_order(by_state["refused"]),
            withdrawn=_in_order([*by_state["revoked"], *by_state["withdrawn"]]),
            deactivated=tuple(sorted(deactivated, key=by_number)),
            mails=(await self.statistics("notifier"))["emails"],
            subjects=Counter(email["subject"] for email in await self.pages("notifier", "emails", state="sent")),
        )


def by_number(external_id: str) -> tuple[int, str]:
    """Return a sort key with 9 before 10."""
    return int(external_id) if external_id.isdecimal() else 0, external_id


def _in_order(rows: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(rows, key=lambda row: (row[0], by_number(row[1]))))
