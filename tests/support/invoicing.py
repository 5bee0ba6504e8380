"""The invoicing service in this process, on the run's broker and PostgreSQL, with a stand-in for seats that a test can stop and control."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey
from pydantic import SecretStr

from deploy.local.stack import EXAMPLE_SELLER
from services.invoicing.api.app import make_app
from services.invoicing.jobs.due_actions import DueActions
from services.invoicing.jobs.render_pdfs import PdfRenderer
from services.invoicing.settings import Settings
from services.invoicing.use_cases.idle import check_idle
from services.invoicing.use_cases.seats_questions import Forecast, ReadPools
from services.invoicing.wiring import Wiring, make_wiring
from shared import ids
from shared.clock import FixedClock
from shared.database import Database
from shared.messaging import Relay
from shared.schemas import seats_v1, topics, users_v1
from shared.schemas.base import Actor, Payload
from shared.schemas.position import Position
from shared.schemas.seats_v1 import Expected, ExpectedPool, PoolState
from shared.settings import KafkaSettings
from shared.web import Verifier
from tests.support.wait import wait_until
from tests.support.wire import P, Sent, Wire, background, execute, until_relayed

ROOT = Actor(kind="client", id="operator")
KEY = OKPKey.generate_key("Ed25519", {"kid": "test"})


def token(tenant: str | None, rights: Sequence[str], subject: str, departments: Sequence[str] | None = None, kind: str = "user") -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": "seatpool", "aud": "seatpool", "iat": now, "exp": now + 600, "sub": subject, "rights": list(rights)}
    claims |= {"kind": kind, "tenant": tenant} if tenant else {"kind": "client"}
    claims |= {"departments": list(departments)} if departments is not None else {}
    return jwt.encode({"alg": "Ed25519", "kid": "test"}, claims, KEY, algorithms=["Ed25519"])


@dataclass
class Pools:
    """One tenant as the stand-in knows it."""

    at: datetime
    licences: dict[str, int] = field(default_factory=dict)
    next_period: dict[str, int] = field(default_factory=dict)
    former: dict[str, int] = field(default_factory=dict)  # of pools that end with the subscription
    period: str | None = None
    scheduled: list[tuple[datetime, str]] = field(default_factory=list)
    policies: dict[str, seats_v1.Policies] = field(default_factory=dict)

    def states(self, *modules: str) -> tuple[PoolState, ...]:
        return tuple(
            PoolState(
                module=module,
                licences=self.licences[module],
                next_period=self.next_period[module],
                former_next_period=self.former.get(module),
                active=0,
                flagged=0,
                held=0,
                waiting=0,
                available=self.licences[module],
            )
            for module in sorted(modules or self.licences)
        )

    def expected(self, modules: Sequence[str]) -> Expected:
        pools = tuple(ExpectedPool(module=m, licences=self.licences[m], next_period=self.next_period[m]) for m in sorted(modules))
        return Expected(period=self.period, pools=pools)


class Foreseen:
    """The stand-in for the REST API of seats: `reduction`, `renewal` and `read` are its answers, None if seats cannot answer."""

    reduction: Forecast | None = Forecast()
    renewal: Forecast | None = Forecast()
    read: ReadPools | None = None

    async def what_if(self, tenant: str, command: Payload) -> Forecast | None:
        return self.reduction

    async def forecast(self, tenant: str, at: datetime) -> Forecast | None:
        return self.renewal

    async def pools(self, tenant: str) -> ReadPools | None:
        return self.read


@dataclass
class Bench:
    wiring: Wiring
    http: httpx.AsyncClient
    wire: Wire
    foreseen: "Foreseen"
    pools: dict[str, Pools] = field(default_factory=dict)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    # Commands that the stand-in rejects, with the reason: all of a type, or those for a module.
    reject: dict[type[Payload] | tuple[type[Payload], str], str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    _answered: int = 0

    # ------------------------------------------------------------------------------------------------------------------- REST

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: str | None = None,
        rights: Sequence[str] = ("operator",),
        departments: Sequence[str] | None = None,
        subject: str = "ann",
        kind: str = "user",
        **headers: str,
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = token(tenant, rights, "operator" if tenant is None else subject, departments, kind)
        return await self.http.request(method, path, json=body, headers={"authorization": f"Bearer {bearer}"} | named)

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        response = await self.call(method, path, body, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    async def refused(self, method: str, path: str, body: Any = None, status: int = 409, **options: Any) -> dict[str, Any]:
        response = await self.call(method, path, body, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        assert response.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = response.json()
        return found | {"type": found["type"].removeprefix("urn:seatpool:problem:")}

    # ----------------------------------------------------------------------------------------------------------------- topics

    async def topic(self, topic: topics.Topic, tenant: str | None = None) -> list[Sent]:
        return await self.wire.topic(topic, tenant)

    async def events(self, tenant: str | None, model: type[P]) -> list[P]:
        await until_relayed(self.wiring.database, tenant)
        return await self.wire.events(topics.INVOICING_EVENTS, tenant, model)

    async def commands(self, tenant: str, model: type[P]) -> list[P]:
        await until_relayed(self.wiring.database, tenant)
        return await self.wire.events(topics.SEATS_COMMANDS, tenant, model)

    async def send(self, payload: Payload, tenant: str, *, message_id: str | None = None, source: str = "seatpool/users") -> None:
        await self.wire.send(payload, tenant, source=source, message_id=message_id)

    # ----------------------------------------------------------------------------------------------------- seats, by hand

    async def decide(self, model: type[Payload], tenant: str, place: tuple[int, int], command: str, reason: str, **fields: Any) -> None:
        pools = self.pools[tenant]
        shown = {"command": command, "reason": reason, "at": pools.at, "period": pools.period}
        await self.wire.decide(model, tenant, Position(partition=place[0], offset=place[1]), **shown | fields)

    async def new_place(self, tenant: str) -> tuple[int, int]:
        """Return a new place in the log of seats: decisions by hand come after the answers to all commands before it."""
        at = await self.wire.tick(tenant)
        return at.partition, at.offset

    async def use(self, tenant: str, module: str, active: int, at: datetime) -> None:
        """Publish a decision after which so many seats of the module are active."""
        place = await self.new_place(tenant)
        (state,) = self.pools[tenant].states(module)
        pools = (state.model_copy(update={"active": active, "available": max(0, state.licences - active)}),)
        fields = {"user": f"u{active}", "module": module, "pools": pools, "at": at}
        await self.decide(seats_v1.SeatGranted, tenant, place, "other", "queue", **fields)

    async def keep_answering(self) -> None:
        """Answer like the seats worker while `answering` is set, until cancelled."""
        while True:
            await self.answering.wait()
            found = await self.topic(topics.SEATS_COMMANDS)
            for read in found[self._answered :]:
                if not self.answering.is_set():
                    break
                await self.answer(read)
                self._answered += 1
            await asyncio.sleep(0.02)

    async def answer(self, read: Sent) -> None:
        tenant, command, place = read.envelope.tenant, read.payload, (read.partition, read.offset)
        if isinstance(command, seats_v1.Tick):
            return
        assert tenant is not None
        pools, decide = self.pools[tenant], self.decide
        if read.envelope.id in self.seen:
            await decide(seats_v1.CommandIgnored, tenant, place, read.envelope.id, "duplicate")
            return
        self.seen.add(read.envelope.id)
        rejected = self.reject.get(type(command)) or self.reject.get((type(command), getattr(command, "module", "")))
        if rejected:
            await decide(seats_v1.CommandRejected, tenant, place, read.envelope.id, rejected)
            return
        match command:
            case seats_v1.OpenTenant():
                await decide(seats_v1.TenantOpened, tenant, place, read.envelope.id, "opened", clock=command.clock)
            case seats_v1.OpenPool():
                pools.licences[command.module] = pools.next_period[command.module] = command.licences
                pools.policies[command.module] = command.policies
                fields = {"module": command.module, "base": command.base, "policies": command.policies}
                await decide(seats_v1.PoolOpened, tenant, place, read.envelope.id, "opened", pools=pools.states(command.module), **fields)
            case seats_v1.SetPolicy():
                removed: dict[str, Any] = dict.fromkeys(command.unset)
                changed = command.policies.model_dump(exclude_none=True) | removed
                pools.policies[command.module] = pools.policies[command.module].model_copy(update=changed)
                fields = {"module": command.module, "policies": pools.policies[command.module], "pools": pools.states(command.module)}
                await decide(seats_v1.PolicyChanged, tenant, place, read.envelope.id, "policy_set", **fields)
            case seats_v1.AddLicences():
                await self.add_licences(tenant, place, read.envelope.id, command)
            case seats_v1.ScheduleReduction():
                await self.schedule_reduction(tenant, place, read.envelope.id, command)
            case seats_v1.ReduceLicences():
                for item in command.items:
                    pools.licences[item.module] -= item.quantity
                    pools.next_period[item.module] = min(pools.next_period[item.module], pools.licences[item.module])
                fields = {"order": command.order, "items": command.items, "pools": pools.states()}
                await decide(seats_v1.LicencesReduced, tenant, place, read.envelope.id, "ordered", **fields)
            case seats_v1.ClosePool():
                await self.close_pool(tenant, place, read.envelope.id, command)
            case seats_v1.SchedulePeriod():
                pools.scheduled.append((command.starts_at, command.period))
                fields = {"next_period_id": command.period, "starts_at": command.starts_at}
                await decide(seats_v1.PeriodScheduled, tenant, place, read.envelope.id, "scheduled", **fields)
            case seats_v1.ClockAdvanced():
                await self.advance(tenant, place, read.envelope.id, command.to)
            case _:
                raise AssertionError(f"the stand-in has no answer to {type(command).__name__}")

    async def schedule_reduction(self, tenant: str, place: tuple[int, int], command: str, wanted: seats_v1.ScheduleReduction) -> None:
        pools = self.pools[tenant]
        if not pools.licences:
            module = wanted.items[0].module
            await self.decide(seats_v1.ReductionRefused, tenant, place, command, "unknown_module", module=module)
            return
        for item in wanted.items:
            pools.former.pop(item.module, None)
            pools.next_period[item.module] = item.quantity
        foreseen = self.foreseen.reduction or Forecast()
        taken = {"would_flag": tuple(foreseen.would_flag), "would_cancel": tuple(foreseen.would_cancel)}
        fields = {"items": wanted.items, **taken, "pools": pools.states()}
        await self.decide(seats_v1.ReductionScheduled, tenant, place, command, "scheduled", **fields)

    async def close_pool(self, tenant: str, place: tuple[int, int], command: str, wanted: seats_v1.ClosePool) -> None:
        pools, module = self.pools[tenant], wanted.module
        if module not in pools.licences:
            await self.decide(seats_v1.CommandRejected, tenant, place, command, "unknown_module", field="module", value=module)
        elif wanted.at == "now":
            await self.closed(tenant, place, command, module, "pool_closed")
        else:
            former = pools.former.pop(module, pools.next_period[module])
            pools.former |= {module: former} if wanted.ending else {}
            pools.next_period[module] = 0
            states = pools.states(module)
            await self.decide(seats_v1.PoolCloseScheduled, tenant, place, command, "scheduled", module=module, pools=states)

    async def closed(self, tenant: str, place: tuple[int, int], command: str, module: str, reason: str) -> None:
        pools = self.pools[tenant]
        for numbers in (pools.licences, pools.next_period, pools.former):
            numbers.pop(module, None)
        state = PoolState(module=module, licences=0, next_period=0, active=0, flagged=0, held=0, waiting=0, available=0)
        role = {"role": "settled"} if reason == "period_began" else {}
        await self.decide(seats_v1.PoolClosed, tenant, place, command, reason, module=module, pools=(state,), **role)

    async def add_licences(self, tenant: str, place: tuple[int, int], command: str, payload: seats_v1.AddLicences) -> None:
        pools, modules = self.pools[tenant], [item.module for item in payload.items]
        actual = pools.expected(modules)
        if actual != payload.expected:
            refused = {"order": payload.order, "expected": payload.expected, "actual": actual}
            await self.decide(seats_v1.OrderRefused, tenant, place, command, "expected_differs", **refused)
            return
        for item in payload.items:
            pools.licences[item.module] += item.quantity
            pools.next_period[item.module] = 0 if item.module in pools.former else pools.licences[item.module]
        fields: dict[str, Any] = {"order": payload.order, "items": payload.items, "approved_at": payload.approved_at}
        await self.decide(seats_v1.LicencesAdded, tenant, place, command, "ordered", pools=pools.states(*modules), **fields)

    async def advance(self, tenant: str, place: tuple[int, int], command: str, to: datetime) -> None:
        pools = self.pools[tenant]
        while pools.scheduled and pools.scheduled[0][0] <= to:
            pools.at, pools.period = pools.scheduled.pop(0)
            closing = [module for module, number in pools.next_period.items() if not number]
            licences = tuple(seats_v1.LicenceCount(module=m, quantity=q) for m, q in sorted(pools.next_period.items()) if q)
            pools.licences |= {item.module: item.quantity for item in licences}
            fields = {"starts_at": pools.at, "licences": licences, "pools": pools.states(*(item.module for item in licences))}
            await self.decide(seats_v1.PeriodStarted, tenant, place, command, "period_began", role="settled", **fields)
            for module in sorted(closing):
                await self.closed(tenant, place, command, module, "period_began")
        pools.at = to
        await self.decide(seats_v1.ClockSettled, tenant, place, command, "clock_advanced")

    # ------------------------------------------------------------------------------------------------------------ a tenant

    async def make_tenant(self, at: datetime, *, zone: str = "Europe/Copenhagen", clock: str = "test", locale: str = "en") -> str:
        """Publish a new tenant as users and seats do."""
        tenant = f"t-{ids.new_id()[-12:]}"
        self.pools[tenant] = Pools(at)
        await self.send(self.created(at, zone=zone, clock=clock, locale=locale), tenant)
        return tenant

    def created(self, at: datetime, *, zone: str, clock: str = "test", locale: str = "en") -> users_v1.TenantCreated:
        return users_v1.TenantCreated(
            at=at,
            actor=ROOT,
            contact_email="ann@acme.example",
            support_contact="help@vendor.example",
            name="Acme",
            time_zone=zone,
            locale=locale,
            clock=clock,
        )

    async def open(self, tenant: str, clock: str = "test") -> None:
        """Send the command of users; the stand-in answers it."""
        await self.send(seats_v1.OpenTenant(number=1, clock=clock, at=self.pools[tenant].at), tenant)

    async def advance_clock(self, tenant: str, to: datetime) -> None:
        await self.send(seats_v1.ClockAdvanced(number=1, to=to), tenant)
        await self.until_settled(tenant, at=to)

    async def catalogue(self, **prices: int) -> None:
        for name in prices:
            await self.ok("PUT", f"/v1/modules/{name}", {"name": name.title(), "base": name == "time"})
        await self.price("standard", prices)

    async def price(self, plan: str, prices: Mapping[str, int], *, extra: bool = True, **more: Any) -> dict[str, Any]:
        listed = [
            {"module": m, "term": term, "amount_minor": n * k} for m, n in prices.items() for term, k in (("monthly", 1), ("annual", 10))
        ]
        body = {"name": plan.title(), "currency": "EUR", "allows_extra_licences": extra, "prices": listed} | more
        return dict(await self.ok("PUT", f"/v1/plans/{plan}", body))

    async def subscribe(self, tenant: str, licences: dict[str, int], start: str, **more: Any) -> dict[str, Any]:
        modules = [{"module": module, "licences": count} for module, count in licences.items()]
        body = {"plan": "standard", "term": "monthly", "period_start": start, "charge_when": "now", "modules": modules} | more
        return dict(await self.ok("POST", f"/v1/tenants/{tenant}/subscription", body))

    async def bill(self, tenant: str, **more: Any) -> dict[str, Any]:
        return dict(await self.ok("PUT", f"/v1/tenants/{tenant}/billing-details", DETAILS | more))

    async def until_active(self, tenant: str) -> dict[str, Any]:
        async def active() -> dict[str, Any] | None:
            found: dict[str, Any] = await self.ok("GET", f"/v1/tenants/{tenant}/subscription")
            return found if found["status"] == "active" else None

        return await wait_until(active, what="an active subscription")

    async def until_settled(self, tenant: str, at: datetime | None = None) -> None:
        async def settled() -> bool:
            answered = self._answered  # before the question: then it saw what came of these answers, and after it nothing more was asked
            found = await check_idle(self.wiring.database, self.wiring.consumer, self.wiring.clock, tenant)
            caught_up = len(await self.topic(topics.SEATS_COMMANDS)) == answered or not self.answering.is_set()
            return found.idle and caught_up and at in (None, found.time)

        await wait_until(settled, what="invoicing to be settled")

    async def subscribed(self, at: datetime, licences: dict[str, int], start: str, **more: Any) -> str:
        """Return a tenant with an active subscription."""
        zone, clock = more.pop("zone", "Europe/Copenhagen"), more.pop("clock", "test")
        tenant = await self.make_tenant(at, zone=zone, clock=clock)
        await self.bill(tenant)
        await self.open(tenant, clock)
        await self.subscribe(tenant, licences, start, **more)
        await self.until_active(tenant)
        await self.until_settled(tenant)
        return tenant

    async def buy(self, tenant: str, *items: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Buy, and return the quote and the decided order."""
        quote = await self.ok("POST", f"/v1/tenants/{tenant}/quotes", {"items": list(items)}, tenant=tenant, rights=["account:buy"])
        path = f"/v1/tenants/{tenant}/quotes/{quote['quote']}/approve"
        order = await self.ok("POST", path, {}, tenant=tenant, rights=["account:buy"], prefer="wait=10")
        return quote, order

    async def statistics(self, tenant: str) -> dict[str, Any]:
        return dict(await self.ok("GET", f"/v1/tenants/{tenant}/statistics"))

    async def execute(self, statement: str, *parameters: Any) -> Sequence[Any]:
        return await execute(self.wiring.database, statement, *parameters)


DETAILS = {
    "company": "Acme A/S",
    "street": "Vesterbrogade 1",
    "postcode": "1620",
    "city": "København V",
    "country": "DK",
    "vat_id": "DK13585628",
    "email": "billing@acme.example",
    "tax_category": "S",
    "tax_rate_percent": "25",
    "tax_reason": "a test",
}
NOVEMBER = datetime(2013, 11, 15, 8, tzinfo=UTC)
A_DAY = timedelta(days=1)


def settings_of(url: str, kafka: KafkaSettings, **more: Any) -> Settings:
    seller = {name.removeprefix("SEATPOOL_").lower(): value for name, value in EXAMPLE_SELLER.items()}
    own = {"database_url": SecretStr(url), "client_id": "invoicing", "client_secret": SecretStr("x")}
    return Settings.model_validate(kafka.model_dump() | seller | own | more)


@asynccontextmanager
async def running_bench(settings: Settings, clock: FixedClock | None = None, *, address: str | None = None) -> AsyncIterator[Bench]:
    """Run all roles of invoicing but the server: requests go to the application in process. With `address` they run in another process."""
    clock = clock or TickingClock(NOVEMBER)
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url.get_secret_value(), application_name="invoicing-test", pool_size=8)
        stack.push_async_callback(database.dispose)
        foreseen = Foreseen()
        wiring = make_wiring(settings, clock, database, foreseen)
        stack.push_async_callback(wiring.consumer.close)
        transport = None if address else httpx.ASGITransport(make_app(wiring, Verifier(keys=lambda: KeySet([KEY]))))
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=address or "http://invoicing", timeout=30))
        read = (topics.SEATS_COMMANDS, topics.INVOICING_EVENTS, topics.SEATS_EVENTS)
        wire = await stack.enter_async_context(Wire.opened(settings, clock.now, *read))
        bench = Bench(wiring, http, wire, foreseen)
        bench.answering.set()
        here = [
            wiring.consumer.run,
            Relay(database=database, kafka=settings).run,
            PdfRenderer(database, settings.logo).run,
            DueActions(wiring).run,
        ]
        parts = [] if address else [run() for run in here]
        await stack.enter_async_context(background(*parts, bench.keep_answering()))
        yield bench


class TickingClock(FixedClock):
    """A clock that stands still but measures durations, so that waits with an end do end."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


__all__ = ["A_DAY", "DETAILS", "NOVEMBER", "Bench", "TickingClock", "running_bench", "settings_of"]
