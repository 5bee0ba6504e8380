"""The users service in this process, on the broker and PostgreSQL of the test run, with a stand-in for seats that a test controls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from services.users.jobs.test_clock import Probe
from services.users.settings import Settings
from services.users.store import catalogue, pools, reevaluations
from services.users.store.reevaluations import cause_of
from services.users.use_cases import subscription
from services.users.use_cases.seats_questions import PoolCounts, SeatsQuestions
from services.users.wiring import Users
from shared import ids
from shared.clock import FixedClock
from shared.kafka import partition_of
from shared.schemas import seats_v1, topics
from shared.schemas.base import Actor, Payload
from shared.schemas.invoicing_v1 import PlanDefined, UnitPrice
from shared.schemas.position import DecisionId, Position
from shared.schemas.registry import type_of
from shared.schemas.seats_v1 import ModuleSeat, Need
from shared.schemas.topics import Topic
from shared.settings import KafkaSettings
from tests.support.wait import wait_until
from tests.support.wire import P, Sent, Wire, background, execute, once, until_relayed

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "an-operator-secret"
REDIRECT_URL = "https://console.example/signed-in"
NOTIFIER_SECRET = "notifier-secret"
SOURCE = "hr/test"


@dataclass
class Rest:
    """Send requests as one caller."""

    http: httpx.AsyncClient
    token: str
    check: Callable[[], None]

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        self.check()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, path, json=body, headers={"authorization": f"Bearer {self.token}"} | named)

    async def get(self, path: str) -> Any:
        return _body(await self.call("GET", path))

    async def pages(self, path: str, limit: int = 200) -> list[list[dict[str, Any]]]:
        """Return all pages of a list."""
        found, cursor = [], ""
        while True:
            page = await self.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")
            found.append(page["items"])
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return _body(await self.call("POST", path, body, **headers))

    async def put(self, path: str, body: Any) -> Any:
        return _body(await self.call("PUT", path, body))

    async def patch(self, path: str, body: Any, if_match: str = "*") -> Any:
        return _body(await self.call("PATCH", path, body, if_match=if_match))


def _body(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
    return response.json()


class AskedSeats(SeatsQuestions):
    """Seats as an import asks it: two licences of each module, and each command is granted. `live` are the seats that it lists."""

    def __init__(self) -> None:
        self.live: Mapping[str, Mapping[str, str]] | None = {}

    async def seats(self, tenant: str, first: str, last: str | None) -> Mapping[str, Mapping[str, str]] | None:
        return self.live

    async def pools(self, tenant: str) -> Mapping[str, PoolCounts] | None:
        return {module: PoolCounts(licences=2, available=1) for module in ("documents", "planning", "time")}

    async def why(self, tenant: str, user: str, limit: int) -> Mapping[str, Any] | None:
        return {"user": user, "chain": [], "complete": True}

    async def what_if(
        self, tenant: str, commands: Sequence[seats_v1.AssignSeats | seats_v1.ReplaceUser]
    ) -> Sequence[Sequence[Mapping[str, Any]]] | None:
        required = [each.to.modules if isinstance(each, seats_v1.ReplaceUser) else each.modules for each in commands]
        answers = [{"revision": 1, "modules": [{"module": module, "state": "active"} for module in modules]} for modules in required]
        return [[{"type": "seats_assigned", "data": data}] for data in answers]


NOTHING_BACK: Final[Mapping[str, Any]] = {"reductions": [], "saving": None}  # of a preview in which no leaver gives a licence back


def expanding_by_one_each(bench: Any, monkeypatch: pytest.MonkeyPatch, leavers: str | None = None) -> list[Any]:
    """Let seats answer that each command which requires modules adds a licence of `time`, and, if `leavers` says when, that each other
    one reduces it. Return the commands of the last question."""
    asked: list[Any] = []

    async def what_if(_: str, commands: Sequence[Any]) -> Any:
        asked[:] = commands
        event = {"type": type_of(seats_v1.PoolExpanded), "data": {"module": "time", "by": 1}}
        reduced = {"type": type_of(seats_v1.PoolReduced), "data": {"module": "time", "by": 1, "reduce_at": leavers}}
        ended = [reduced] if leavers else []
        return [[event] if isinstance(each, seats_v1.ReplaceUser) or each.modules else ended for each in commands]

    monkeypatch.setattr(bench.users.seats, "what_if", what_if)
    return asked


async def with_price_of_time(bench: Any, tenant: str, amount_minor: int) -> None:
    """Give the tenant a plan with a price of `time` per month."""
    plan = PlanDefined(
        at=NOON,
        actor=Actor(kind="system", id="invoicing"),
        plan=f"plan-{tenant}",
        name="Plan",
        version=1,
        currency="EUR",
        prices=(UnitPrice(module="time", term="monthly", amount_minor=amount_minor),),
        allows_extra_licences=True,
    )
    async with bench.users.database.unit_of_work(tenant) as uow:
        await catalogue.save_plan(uow.connection, plan)
        await pools.save_terms(uow.connection, tenant, pools.TermsRow(plan.plan, plan.version, "monthly"))


@dataclass
class Bench:
    users: Users
    app: FastAPI
    http: httpx.AsyncClient
    wire: Wire
    clock: FixedClock
    tasks: list[asyncio.Task[None]]

    async def rest(self, tenant: str | None = None, scope: str = "operator", subject: str | None = None) -> Rest:
        form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": SECRET, "scope": scope}
        form |= {name: value for name, value in (("tenant", tenant), ("subject", subject)) if value}
        response = await self.http.post("/v1/token", data=form)
        return Rest(self.http, _body(response)["access_token"], self.check)

    def check(self) -> None:
        """Raise the error that ended a part of users, so that a test does not wait for it."""
        for task in self.tasks:
            if task.done():
                task.result()

    # ---------------------------------------------------------------------------------------------------------------- topics

    async def topic(self, topic: Topic, tenant: str | None = None) -> list[Sent]:
        self.check()
        return await self.wire.topic(topic, tenant)

    async def commands(self, tenant: str) -> list[Sent]:
        await until_relayed(self.users.database, tenant)
        return once(await self.topic(topics.SEATS_COMMANDS, tenant))

    async def needs(self, tenant: str) -> list[seats_v1.AssignSeats]:
        return [sent.payload for sent in await self.commands(tenant) if isinstance(sent.payload, seats_v1.AssignSeats)]

    async def until_needs(self, tenant: str, count: int) -> list[seats_v1.AssignSeats]:
        async def there() -> bool:
            return len(await self.needs(tenant)) >= count

        await wait_until(there, what=f"{count} needs")
        return await self.needs(tenant)

    async def events(self, tenant: str, model: type[P]) -> list[P]:
        await until_relayed(self.users.database, tenant)
        return await self.wire.events(topics.USERS_EVENTS, tenant, model)

    async def send(self, payload: Payload, tenant: str | None, *, source: str = SOURCE, **wrong: Any) -> None:
        await self.wire.send(payload, tenant, source=source, **wrong)

    # ------------------------------------------------------------------------------------------------------- seats, by hand

    async def tick(self, tenant: str) -> Position:
        return await self.wire.tick(tenant)

    async def decide(self, model: type[Payload], tenant: str, place: Position, reason: str = "test", **fields: Any) -> None:
        await self.wire.decide(model, tenant, place, **{"reason": reason} | fields)

    async def answer(self, command: Sent, *seats: ModuleSeat, model: type[Payload] = seats_v1.SeatsAssigned, **more: Any) -> None:
        """Answer an `assign_seats`: all modules are active, unless `seats` are given."""
        need = command.payload
        assert isinstance(need, seats_v1.AssignSeats)
        assert command.envelope.tenant is not None
        modules = seats or tuple(ModuleSeat(module=module, state="active") for module in need.modules)
        said = Need(**{name: getattr(need, name) for name in Need.model_fields})
        await self.decide(
            model,
            command.envelope.tenant,
            command.position,
            need.reason,
            user=need.user,
            revision=need.revision,
            need=said,
            modules=tuple(modules),
            command=command.envelope.id,
            **more,
        )

    async def last_need(self, tenant: str, user: str) -> Sent:
        found = [s for s in await self.commands(tenant) if isinstance(s.payload, seats_v1.AssignSeats) and s.payload.user == user]
        return found[-1]

    async def keep_answering(self, tenant: str) -> None:
        """Stand in for the seats worker until cancelled: open tenants and pools, advance clocks, grant everything."""
        answered = 0
        while True:
            commands = once(await self.topic(topics.SEATS_COMMANDS, tenant))  # as seats: what is there, not all that will be
            for command in commands[answered:]:
                match command.payload:
                    case seats_v1.OpenTenant() as opened:
                        await self.decide(seats_v1.TenantOpened, tenant, command.position, clock=opened.clock)
                    case seats_v1.ClockAdvanced() as advanced:
                        await self.decide(seats_v1.ClockSettled, tenant, command.position, at=advanced.to)
                    case seats_v1.AssignSeats():
                        await self.answer(command)
                    case _:
                        raise AssertionError(f"users sends no {type(command.payload).__name__}")
            answered = len(commands)
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def answering(self, tenant: str) -> AsyncIterator[None]:
        async with background(self.keep_answering(tenant)):
            yield

    # ------------------------------------------------------------------------------------------------------------- scenes

    async def open_tenant(
        self, tenant: str | None = None, subscribed: Sequence[str] = ("time", "documents", "planning"), **body: Any
    ) -> tuple[str, Rest]:
        """Create a tenant with the profiles `makers` (time, documents), `planners` (planning, time; partial) and `guests` (no module), with
        departments of the same names, and with an HR source. The stand-in for seats does not run."""
        tenant = tenant or f"t-{ids.new_id()[-12:]}"
        rest = await self.rest()
        described = {"tenant": tenant, "name": "Acme", "time_zone": "Europe/Copenhagen", "contact_email": "it@acme.example"}
        await rest.post("/v1/tenants", described | {"support_contact": "support@vendor.example"} | body)
        if subscribed:
            await self.subscribe(tenant, *subscribed)
        await rest.put(f"/v1/operator/sources/{SOURCE}/{tenant}", {"tenants": [tenant]})
        for name, modules, partial in (
            ("makers", ["time", "documents"], False),
            ("planners", ["time", "planning"], True),
            ("guests", [], False),
        ):
            await rest.put(f"/v1/tenants/{tenant}/profiles/{name}", {"name": name, "modules": modules, "partial": partial})
        await rest.put(
            f"/v1/tenants/{tenant}/department-mapping", {"Makers": "makers", "Planners": "planners", "Guests": "guests", "None": None}
        )
        return tenant, rest

    async def subscribe(self, tenant: str, *modules: str) -> None:
        await subscribe(self.users, tenant, *modules)

    def source(self, tenant: str) -> str:
        return f"{SOURCE}/{tenant}"

    async def person(self, rest: Rest, tenant: str, external_id: str) -> dict[str, Any] | None:
        page = await rest.get(f"/v1/tenants/{tenant}/people?status=all&external_id={external_id}")
        return page["items"][0] if page["items"] else None

    async def until_person(self, rest: Rest, tenant: str, external_id: str, **wanted: Any) -> dict[str, Any]:
        """Return the person as soon as these fields have these values; `modules` is {module: state}."""

        async def there() -> dict[str, Any] | None:
            await self.topic(topics.USERS_EVENTS)
            person = await self.person(rest, tenant, external_id)
            if person is None:
                return None
            seen = person | {"modules": states(person)}
            return person if all(seen[name] == value for name, value in wanted.items()) else None

        try:
            return await wait_until(there, what=f"{external_id} with {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {await self.person(rest, tenant, external_id)}") from error

    async def until_settled(self, tenant: str) -> None:
        async def settled() -> bool:
            found = await self.users.idle(tenant)
            if "due" in found.waiting_for:
                self.users.alarm.wake()  # otherwise the job looks after 15 seconds
            return found.idle

        await wait_until(settled, what="users to be settled")

    async def execute(self, statement: str, *parameters: Any) -> Sequence[Any]:
        return await execute(self.users.database, statement, *parameters)


def states(person: dict[str, Any]) -> dict[str, str]:
    return {module["module"]: module["state"] for module in person["modules"]}


async def subscribe(users: Users, tenant: str, *modules: str) -> None:
    """Let these modules be subscribed, without the messages about it; `time` is a base module."""
    cause = cause_of(Actor(kind="system", id="test"), None)
    async with users.database.unit_of_work(tenant) as uow:
        found = await users.tenants.for_read(tenant, uow)
        partition = partition_of(tenant.encode(), users.settings.partitions(topics.SEATS_COMMANDS))
        before_all = [DecisionId(partition, 0, n) for n in range(len(modules))]
        for module, decision_id in zip(modules, before_all, strict=True):
            await subscription.pool_opened(found, uow, module, module == "time", decision_id, cause)
        await subscription.activated(found, uow, before_all[-1], cause)
        await subscription.apply(tenant, uow)
        while (work := await reevaluations.lock_next(uow.connection, tenant)) is not None:
            await reevaluations.finish(uow.connection, tenant, work.reevaluation_id, 0)


def settings_of(url: str, kafka: KafkaSettings, folder: Path, **more: Any) -> Settings:
    return Settings(
        **kafka.model_dump(),
        database_url=SecretStr(url),
        database_pool_size=10,
        signing_keys_folder=folder / "signing-keys",
        operator_secret=SecretStr(SECRET),
        client_secret_users=SecretStr("users-secret"),
        client_secret_notifier=SecretStr(NOTIFIER_SECRET),
        sign_in_redirect_urls=REDIRECT_URL,
        secrets_key=SecretStr("a-key-of-32-characters-or-more-000"),
        identity_provider_networks="127.0.0.0/8",
        client_id="users",
        client_secret=SecretStr("users-secret"),
        **more,
    )


@asynccontextmanager
async def running_bench(
    settings: Settings,
    *,
    parts: Callable[[Users], Sequence[Any]] | None = None,
    clock: FixedClock | None = None,
    others: Mapping[str, Probe] | None = None,
) -> AsyncIterator[Bench]:
    """Run all parts of users but the server: requests go to the application in process. `others` are stand-ins for the services whose idle
    checks a test clock waits for."""
    clock = clock or FixedClock(NOON)
    async with AsyncExitStack() as stack:
        users = Users(settings, clock=clock, others=others or {}, seats=AskedSeats())
        stack.push_async_callback(users.close)
        app = users.app()
        http = await stack.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://users", timeout=30))
        read = (topics.SEATS_COMMANDS, topics.USERS_EVENTS, topics.HR_EVENTS)
        wire = await stack.enter_async_context(Wire.opened(settings, clock.now, *read))
        run: Sequence[Any] = parts(users) if parts else [users.consumer, users.relay, *users.jobs]
        tasks = await stack.enter_async_context(background(*(part.run() for part in run)))
        yield Bench(users, app, http, wire, clock, tasks)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    make_database: Callable[[str], str], make_kafka_settings: Callable[[], KafkaSettings], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    """Run one service for all tests of a file, since each test has tenants of its own.

    Between two files the event loop stands still, and the consumer would lose its membership of the group, so files do not share it.
    """
    async with running_bench(settings_of(make_database("users"), make_kafka_settings(), tmp_path_factory.mktemp("users"))) as bench:
        yield bench
