"""How the parts of users are put together, and its roles."""

import asyncio
from collections.abc import Mapping

from fastapi import FastAPI

from services.users.api import make_app
from services.users.api.context import Context
from services.users.chores import Chores
from services.users.clock import Coordinator, Probe
from services.users.context import Tenants
from services.users.handlers import GROUP, TOPICS, Handlers
from services.users.idle import OwnIdleCheck
from services.users.settings import Settings
from services.users.sign_in.keys import SigningKeys
from services.users.store import hr_sources
from services.users.tokens import TokenIssuer
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.errors import Transient
from shared.idle import IdleCheck
from shared.messaging import Consumer, DeadLetters, Relay
from shared.runtime import serve, together
from shared.schemas.topics import Topic, hr_topic
from shared.signing_keys import KeyFolder
from shared.web import ServiceClient, create_app

ROLES = ("api", "consumer", "relay", "timers", "migrate", "all")


class Users:
    """The composition root: every part of one process, each replaceable by a test."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, others: Mapping[str, Probe] | None = None) -> None:
        """`others`: how the other services are asked whether they are idle; by REST, when not given."""
        self.settings = settings
        self.clock = clock or SystemClock()
        url = settings.database_url.get_secret_value()
        self.database = Database(url, application_name="seatpool-users", pool_size=settings.database_pool_size)
        self.tenants = Tenants(self.clock)
        self.chores = Chores(self.database, self.tenants)
        self.handlers = Handlers(self.tenants, self.chores.wake)
        self.consumer = Consumer(
            group=GROUP,
            database=self.database,
            kafka=settings,
            topics=TOPICS,
            more_topics=self._hr_topics,
            handlers=self.handlers.table(),
        )
        self.relay = Relay(database=self.database, kafka=settings)
        self.idle = OwnIdleCheck(self.database, self.tenants, self.consumer)
        self.client = ServiceClient(settings)
        self.signing_keys = SigningKeys(KeyFolder(settings.signing_keys_folder), self.clock)
        others = self._probes() if others is None else others
        self.coordinator = Coordinator(self.database, self.chores, {"users": self.idle, **others}, self.clock)
        self.dead_letters = DeadLetters(self.database, [self.consumer])

    async def _hr_topics(self) -> list[Topic]:
        async with self.database.unit_of_work(None) as uow:
            return [hr_topic(name) for name in await hr_sources.topics(uow.connection)]

    def _probes(self) -> dict[str, Probe]:
        urls = {"seats": self.settings.seats_url, "invoicing": self.settings.invoicing_url, "notifier": self.settings.notifier_url}
        return {name: self._probe(url) for name, url in urls.items()}

    def _probe(self, url: str) -> Probe:
        async def ask(tenant: str) -> IdleCheck:
            response = await self.client.get(f"{url}/v1/tenants/{tenant}/idle")
            if response.status_code != 200:
                # Not there yet, as a service knows a tenant only from the events that it has read; or a fault that its own log tells of.
                raise Transient(f"idle check: {url} answered {response.status_code}")
            return IdleCheck.model_validate(response.json())

        return ask

    def app(self) -> FastAPI:
        settings = self.settings
        self.signing_keys.open()
        issuer = TokenIssuer(self.signing_keys, settings.client_secrets(), settings.token_ttl_seconds, settings.wrong_secrets_per_minute)
        context = Context(
            database=self.database,
            tenants=self.tenants,
            clock=self.clock,
            issuer=issuer,
            keys=self.signing_keys,
            chores=self.chores,
            coordinator=self.coordinator,
            idle=self.idle,
            consumer=self.consumer,
            profiles_max=settings.profiles_max,
            reevaluations_per_day=settings.reevaluations_per_day,
        )
        return make_app(self.settings, context, self.dead_letters)

    def probes(self) -> FastAPI:
        """For a process without REST: it needs no signing keys."""
        return create_app(title="Seatpool users", settings=self.settings, ready=self.database.ready)

    async def close(self) -> None:
        await self.client.close()
        await self.consumer.close()
        await self.database.dispose()


async def start(settings: Settings, role: str) -> None:
    """Until cancelled; `migrate` returns."""
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "users", settings)
        if role == "migrate":
            return
    users = Users(settings)
    running = [serve(users.app() if role in ("api", "all") else users.probes(), settings)]
    if role in ("api", "all"):
        running.append(users.signing_keys.run())
    if role in ("consumer", "all"):
        running.append(users.consumer.run())
    if role in ("relay", "all"):
        running.append(users.relay.run())
    if role in ("timers", "all"):
        running += [users.chores.run(), users.coordinator.run()]
    try:
        await together(*running)
    finally:
        await users.close()
