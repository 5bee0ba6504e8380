"""Test clocks: an advance goes in steps from one due item to the next, and continues after its process was killed at any time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from services.users.settings import Settings
from shared.idle import IdleCheck
from shared.schemas import seats_v1 as seats
from shared.schemas.base import format_instant
from shared.schemas.hr_v1 import PersonHired
from shared.schemas.users_v1 import ClockAdvancing, ClockReady, UsersEvent
from shared.settings import KafkaSettings
from tests.support.users import Bench, Rest, running_bench, settings_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Other:
    """A stand-in for another service, which has a due item at each instant of `due`, and stores a time of its own."""

    due: list[datetime] = field(default_factory=list)
    time: datetime | None = None
    idle: bool = True

    async def probe(self, tenant: str) -> IdleCheck:
        self.due = [due for due in self.due if self.time is None or due > self.time]
        return IdleCheck.of(self.time, () if self.idle else ("work",), min(self.due, default=None), self.time, len(self.due))


@pytest.fixture
def settings(make_database: Callable[[str], str], kafka_settings: KafkaSettings, tmp_path: Path) -> Settings:
    return settings_of(make_database("users"), kafka_settings, tmp_path)


async def opened(bench: Bench, **body: Any) -> tuple[str, Rest]:
    """Return a tenant with a test clock at START, opened by the stand-in for seats."""
    tenant, rest = await bench.open_tenant(**{"clock": "test", "at": format_instant(START)} | body)
    bench.tasks.append(asyncio.create_task(bench.keep_answering(tenant)))

    async def is_open() -> bool:
        return bool((await rest.get(f"/v1/tenants/{tenant}"))["status"] == "open")

    await wait_until(is_open, what="the tenant to open")
    return tenant, rest


async def advance(rest: Rest, tenant: str, to: datetime) -> Response:
    return await rest.call("POST", f"/v1/tenants/{tenant}/clock", {"to": format_instant(to)})


async def until_ready(rest: Rest, tenant: str) -> dict[str, Any]:
    async def ready() -> dict[str, Any] | None:
        clock: dict[str, Any] = await rest.get(f"/v1/tenants/{tenant}/clock")
        return clock if clock["state"] == "ready" else None

    return await wait_until(ready, seconds=60, what="the clock to be ready")


async def steps(bench: Bench, tenant: str) -> list[tuple[int, datetime]]:
    return [
        (sent.payload.number, sent.payload.to) for sent in await bench.commands(tenant) if isinstance(sent.payload, seats.ClockAdvanced)
    ]


async def test_a_week_advances_in_steps_from_one_due_item_to_the_next(settings: Settings) -> None:
    notifier = Other(due=[START + 3 * DAY, START + timedelta(hours=1), START + 30 * DAY], time=START)
    async with running_bench(settings, others={"notifier": notifier.probe}) as bench:
        tenant, rest = await opened(bench)
        due = await rest.get(f"/v1/tenants/{tenant}/clock/next-due")
        assert due == {"now": "2026-03-01T08:00:00.000Z", "next_due": "2026-03-01T09:00:00.000Z"}
        begun = await advance(rest, tenant, START + 7 * DAY)
        assert begun.status_code == 202
        assert begun.json()["state"] == "advancing"
        assert begun.headers["location"] == f"/v1/tenants/{tenant}/clock"

        async def follow() -> None:
            while True:
                if sent := await steps(bench, tenant):
                    notifier.time = sent[-1][1]
                await asyncio.sleep(0.01)

        bench.tasks.append(asyncio.create_task(follow()))
        assert (await until_ready(rest, tenant))["now"] == "2026-03-08T08:00:00.000Z"
        assert await steps(bench, tenant) == [(2, START + timedelta(hours=1)), (3, START + 3 * DAY), (4, START + 7 * DAY)]
        told = [event for event in await bench.events(tenant, UsersEvent) if isinstance(event, ClockAdvancing | ClockReady)]
        assert [(type(event), event.at) for event in told] == [(ClockAdvancing, START), (ClockReady, START + 7 * DAY)]


async def test_an_advance_of_seven_days_with_a_due_item_on_each_takes_seconds(settings: Settings) -> None:
    """A minute at most, as long as `until_ready` waits. A step that had to be sent again would take 20 s, and seven of them two minutes."""
    other = Other(due=[START + n * DAY for n in range(1, 8)], time=START)
    async with running_bench(settings, others={"notifier": other.probe}) as bench:
        tenant, rest = await opened(bench)

        async def follow() -> None:
            while True:
                other.time = max([START, *(to for _, to in await steps(bench, tenant))])
                await asyncio.sleep(0.01)

        bench.tasks.append(asyncio.create_task(follow()))
        await advance(rest, tenant, START + 7 * DAY)
        await until_ready(rest, tenant)
        assert len(await steps(bench, tenant)) == 7


async def test_facts_of_later_days_fall_due_at_local_midnight(settings: Settings) -> None:
    async with running_bench(settings) as bench:
        tenant, rest = await opened(bench)
        for who, day in (("tom", date(2026, 3, 5)), ("ann", date(2026, 3, 1)), ("una", date(2026, 3, 20))):
            fact = PersonHired(external_id=who, effective_date=day, login=who, email=f"{who}@acme.example", department="Makers")
            await bench.send(fact, tenant, source=bench.source(tenant))
        await bench.until_person(rest, tenant, "ann", status="active", pending=False)
        await bench.until_settled(tenant)
        assert await bench.person(rest, tenant, "tom") is None
        answer = await rest.get(f"/v1/tenants/{tenant}/idle")
        midnight = datetime(2026, 3, 4, 23, tzinfo=UTC)  # in Copenhagen
        assert answer["next_due"] == format_instant(midnight)
        await advance(rest, tenant, START + 7 * DAY)
        await until_ready(rest, tenant)
        assert [to for _, to in await steps(bench, tenant)] == [midnight, START + 7 * DAY]
        tom = await bench.until_person(rest, tenant, "tom", status="active", pending=False)
        assert tom["created_at"] == format_instant(midnight)
        assert await bench.person(rest, tenant, "una") is None


async def test_during_an_advance_changes_are_refused_and_facts_of_hr_systems_are_accepted(settings: Settings) -> None:
    busy = Other(idle=False)
    async with running_bench(settings, others={"invoicing": busy.probe}) as bench:
        tenant, rest = await opened(bench)
        await advance(rest, tenant, START + DAY)
        person = {"login": "bob", "email": "bob@acme.example"}
        for method, path, body in (
            ("POST", "people", person),
            ("PUT", "profiles/makers", {"name": "m", "modules": []}),
            ("PUT", "department-mapping", {}),
            ("POST", "hr-events", {"source": bench.source(tenant), "events": []}),
        ):
            refused = await rest.call(method, f"/v1/tenants/{tenant}/{path}", body)
            assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:clock-advancing"), path
        fact = PersonHired(external_id="ann", effective_date=date(2026, 3, 1), login="ann", email="ann@acme.example", department="Makers")
        await bench.send(fact, tenant, source=bench.source(tenant))
        await bench.until_person(rest, tenant, "ann", status="active")
        assert await steps(bench, tenant) == []
        busy.idle = True
        await until_ready(rest, tenant)
        await rest.post(f"/v1/tenants/{tenant}/people", person)


async def test_an_advance_continues_after_the_process_was_killed(settings: Settings) -> None:
    waiting = Other(due=[START + DAY], idle=True, time=START)
    async with running_bench(settings, others={"invoicing": waiting.probe}) as bench:
        tenant, rest = await opened(bench)
        await advance(rest, tenant, START + 7 * DAY)

        async def first_step() -> bool:
            return len(await steps(bench, tenant)) == 1

        await wait_until(first_step, what="the first step")
        # invoicing has not read the answer; here everything of users stops, with nothing said.
    waiting.time = START + DAY
    async with running_bench(settings, others={"invoicing": waiting.probe}) as bench:
        rest = await bench.rest()
        bench.tasks.append(asyncio.create_task(bench.keep_answering(tenant)))

        async def second_step() -> bool:
            return len(await steps(bench, tenant)) == 2

        await wait_until(second_step, what="the second step")
        waiting.time = START + 7 * DAY
        assert (await until_ready(rest, tenant))["now"] == format_instant(START + 7 * DAY)
        assert await steps(bench, tenant) == [(2, START + DAY), (3, START + 7 * DAY)]
        assert len(await bench.events(tenant, ClockReady)) == 1


async def test_an_invalid_advance_is_refused(settings: Settings) -> None:
    busy = Other(idle=False)
    async with running_bench(settings, others={"invoicing": busy.probe}) as bench:
        real, rest = await bench.open_tenant()
        assert (await advance(rest, real, START + DAY)).json()["type"] == "urn:seatpool:problem:not-a-test-clock"
        tenant, _ = await opened(bench)
        past = await advance(rest, tenant, START)
        assert (past.status_code, past.json()["errors"][0]["field"]) == (422, "body.to")
        slip = await advance(rest, tenant, START.replace(year=START.year + 36))
        assert (slip.status_code, slip.json()["errors"][0]["field"]) == (422, "body.to")
        assert (await advance(rest, tenant, START + DAY)).status_code == 202
        assert (await advance(rest, tenant, START + DAY)).status_code == 202
        other = await advance(rest, tenant, START + 2 * DAY)
        assert (other.status_code, other.json()["type"]) == (409, "urn:seatpool:problem:clock-advancing")
        assert (await advance(rest, "nobody", START)).status_code == 404
