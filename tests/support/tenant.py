"""A tenant of a running stack for end-to-end tests: opened, subscribed, people imported, compared; all through REST."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from cli.demo.stage import Snapshot, Stage
from cli.hr.facts import CHUNK_EVENTS, Sent, send
from cli.rest import Addresses, Rest
from shared.ids import new_id
from shared.kafka import partition_of
from shared.schemas.base import format_instant
from shared.schemas.hr_v1 import HrFact, PersonHired
from shared.settings import KafkaSettings
from tests.support.stack import RunningStack

DAY = date(2026, 3, 2)
OPENED = datetime(2026, 3, 2, 8, tzinfo=UTC)
BASE, ADD_ON = "base", "extra"


class Silent:
    """An audience that shows nothing."""

    def chapter(self, day: date, title: str) -> None: ...

    def said(self, text: str) -> None: ...

    def waiting(self, text: str, done: int = 0, total: int = 0) -> None: ...

    def company(self, snapshot: Snapshot) -> None: ...


def kafka_of(stack: RunningStack) -> KafkaSettings:
    return kafka_at(stack.addresses)


def kafka_at(where: Mapping[str, Any]) -> KafkaSettings:
    """Return the settings of the broker that a stack.json names."""
    return KafkaSettings(
        kafka_bootstrap=where["kafka_bootstrap"], kafka_topic_prefix=where["kafka_topic_prefix"], seats_partitions=where["seats_partitions"]
    )


def new_tenant_id(kafka: KafkaSettings, like: str | None = None) -> str:
    """Return a new tenant id. `like`: it has the same partitions as that tenant."""
    while True:
        tenant = f"t-{new_id()[-12:]}"
        counts = {4, kafka.seats_partitions}
        if like is None or all(partition_of(tenant.encode(), n) == partition_of(like.encode(), n) for n in counts):
            return tenant


def people(count: int, domain: str, *, first: int = 1) -> list[HrFact]:
    return [
        PersonHired(
            external_id=str(number),
            effective_date=DAY,
            sequence=0,
            login=f"p{number}",
            email=f"p{number}@{domain}",
            department="Makers" if number % 10 == 0 else "Everybody",
        )
        for number in range(first, first + count)
    ]


@dataclass
class Tenant:
    rest: Rest
    stage: Stage

    @property
    def id(self) -> str:
        return self.stage.tenant

    @property
    def source(self) -> str:
        return f"hr/{self.id}"

    def people(self, count: int, *, first: int = 1) -> list[HrFact]:
        """Return people with unique e-mail addresses."""
        return people(count, f"{self.id}.example", first=first)

    async def send(self, facts: Sequence[HrFact], *, chunk_events: int = CHUNK_EVENTS) -> Sent:
        return await send(self.rest, self.id, self.source, facts, chunk_events=chunk_events)

    async def statistics(self) -> dict[str, dict[str, Any]]:
        return {service: await self.stage.statistics(service) for service in ("users", "seats", "invoicing", "notifier")}

    async def decided(self) -> int:
        return int((await self.stage.statistics("seats"))["decisions"])

    async def people_by_id(self) -> dict[str, dict[str, Any]]:
        return {person["external_id"]: person for person in await self.stage.people() if person["modules"]}

    async def seats(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return (user, module) -> seat, from the table of seats."""
        return {
            (seat["user"], module): seat for module in (BASE, ADD_ON) for seat in await self.stage.pages("seats", "seats", module=module)
        }


async def open_rest(stack: RunningStack) -> Rest:
    return Rest(Addresses(stack.addresses["services"], await stack.token(scope="operator", ttl_seconds="3600")))


async def open_tenant(
    stack: RunningStack, rest: Rest, *, licences: int, extra_licences: int = 1000, tenant: str | None = None, clock: str = "test"
) -> Tenant:
    """Open a tenant with a base module for everybody and an add-on for one in ten, which rejects. Its test clock is at `OPENED`."""
    tenant = tenant or new_tenant_id(kafka_of(stack))
    stage = Stage(rest, tenant, Silent())
    await _catalogue(rest)
    body = {"tenant": tenant, "name": f"Tenant {tenant}", "time_zone": "UTC", "clock": clock}
    body |= {"contact_email": f"admin@{tenant}.example", "support_contact": "support@seatpool.example"}
    if clock == "test":
        body["at"] = format_instant(OPENED)
    await stage.create("users", "/v1/tenants", body)

    async def is_open() -> tuple[bool, object]:
        status = (await rest.get("users", f"/v1/tenants/{tenant}"))["status"]
        return status == "open", status

    await stage.until("the tenant to open", is_open)
    await rest.put("users", f"/v1/operator/sources/hr/{tenant}", {"tenants": [tenant]})
    await rest.put("users", stage.path("profiles/everybody"), {"name": "Everybody", "modules": [BASE], "partial": False})
    await rest.put("users", stage.path("profiles/makers"), {"name": "Makers", "modules": [BASE, ADD_ON], "partial": True})
    await rest.put("users", stage.path("department-mapping"), {"Everybody": "everybody", "Makers": "makers"})
    await _subscribe(rest, stage, licences, extra_licences)
    return Tenant(rest, stage)


async def _catalogue(rest: Rest) -> None:
    await rest.put("invoicing", f"/v1/modules/{BASE}", {"name": "Base", "base": True, "requires": []})
    await rest.put("invoicing", f"/v1/modules/{ADD_ON}", {"name": "Extra", "base": False, "requires": []})
    prices = [{"module": module, "term": "monthly", "amount_minor": 1200} for module in (BASE, ADD_ON)]
    await rest.put("invoicing", "/v1/plans/e2e", {"name": "E2E", "currency": "EUR", "allows_extra_licences": True, "prices": prices})


async def _subscribe(rest: Rest, stage: Stage, licences: int, extra_licences: int) -> None:
    details = {"company": "Test", "street": "1 Street", "postcode": "10000", "city": "City", "country": "DE"}
    details |= {"email": f"admin@{stage.tenant}.example", "tax_category": "S", "tax_rate_percent": "19", "tax_reason": "a test"}
    await rest.put("invoicing", stage.path("billing-details"), details)
    modules: list[dict[str, Any]] = [
        {"module": BASE, "licences": licences, "policies": {"over_limit": "flag", "grace": "P7D"}},
        {"module": ADD_ON, "licences": extra_licences, "policies": {"over_limit": "reject"}},
    ]
    start = DAY.replace(day=1).isoformat()
    body = {"plan": "e2e", "term": "monthly", "period_start": start, "billed_until": "2026-04-01", "charge_when": "now", "modules": modules}
    await stage.create("invoicing", stage.path("subscription"), body)

    async def is_active() -> tuple[bool, object]:
        status = (await rest.get("invoicing", stage.path("subscription")))["status"]
        return status == "active", status

    await stage.until("the pools to open", is_active)
    await stage.until_idle()


async def until_decided(tenant: Tenant, at_least: int, seconds: float = 60) -> int:
    """Return as soon as seats has decided so many people, in the middle of an import. A service that is away is asked again."""
    async with asyncio.timeout(seconds):
        while (decided := await tenant.decided()) < at_least:
            await asyncio.sleep(0.01)
    return decided
