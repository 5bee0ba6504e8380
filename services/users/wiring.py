"""Composition root: the parts of a users process."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI

from services.users.api import make_app
from services.users.api.dependencies import Context, SignIn, SignInLimits, VendorsProvider
from services.users.consumers import GROUP, hr_events, invoicing_events, seats_events
from services.users.jobs import Job
from services.users.jobs.alarm import Alarm
from services.users.jobs.apply_imports import ApplyImports
from services.users.jobs.bulk_reevaluation import BulkReevaluation
from services.users.jobs.due_instants import DueInstants
from services.users.jobs.due_people import DuePeople
from services.users.jobs.held_statements import HeldStatements
from services.users.jobs.old_imports import OldImports
from services.users.jobs.retention import Retention
from services.users.jobs.scim_tokens import ScimTokens
from services.users.jobs.sign_in_links import SignInLinks
from services.users.jobs.test_clock import Coordinator, Probe
from services.users.jobs.unanswered_people import UnansweredPeople
from services.users.scim.activity import Activity
from services.users.scim.callers import Callers
from services.users.scim.creations import Creations
from services.users.settings import Settings
from services.users.sign_in.guarded_http import GuardedHttp
from services.users.sign_in.identity_providers import IdentityProviders
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.rate_limits import RateLimit
from services.users.sign_in.tokens import TokenIssuer
from services.users.store import hr_sources
from services.users.use_cases.idle import OwnIdleCheck
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.seats_questions import SeatsQuestions
from services.users.use_cases.sign_in_links import LinkSettings
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.errors import Transient
from shared.idle import IdleCheck
from shared.messaging import Consumer, DeadLetters, Relay
from shared.schemas.topics import Topic, hr_topic
from shared.signing_keys import KeyFolder
from shared.web import ServiceClient, create_app


class Users:
    """The parts of one process. A test can replace each of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        others: Mapping[str, Probe] | None = None,
        seats: SeatsQuestions | None = None,
    ) -> None:
        """`others` are the idle checks of the other services, and `seats` answers questions; without them, they are requested by REST."""
        self.settings = settings
        self.clock = clock or SystemClock()
        url = settings.database_url.get_secret_value()
        self.database = Database(url, application_name="seatpool-users", pool_size=settings.database_pool_size)
        self.tenants = Tenants(self.clock)
        self.alarm = Alarm()
        self.consumer = Consumer(
            group=GROUP,
            database=self.database,
            kafka=settings,
            topics=(*hr_events.HANDLED, *seats_events.HANDLED, *invoicing_events.HANDLED),
            more_topics=self._hr_topics,
            handlers={
                **hr_events.HrEvents(self.tenants).handlers(),
                **seats_events.SeatsEvents(self.tenants, self.alarm.wake).handlers(),
                **invoicing_events.InvoicingEvents(self.tenants, self.alarm.wake).handlers(),
            },
        )
        self.relay = Relay(database=self.database, kafka=settings)
        self.idle = OwnIdleCheck(self.database, self.tenants, self.consumer)
        self.client = ServiceClient(settings)
        self.guarded_http = GuardedHttp(settings.provider_networks())
        self.signing_keys = SigningKeys(KeyFolder(settings.signing_keys_folder), self.clock)
        others = self._probes() if others is None else others
        due_people = DuePeople(self.database, self.tenants, self.alarm)
        due_instants = DueInstants(self.database, self.tenants, self.alarm)
        retention = Retention(self.database, self.tenants, self.alarm)
        reevaluation = BulkReevaluation(self.database, self.tenants, self.alarm)
        self.coordinator = Coordinator(
            self.database, due_people, due_instants, retention, reevaluation, {"users": self.idle, **others}, self.clock
        )
        self.seats = seats or SeatsQuestions(self.client, settings.seats_url)
        apply_imports = ApplyImports(self.database, self.tenants, self.alarm)
        held_statements = HeldStatements(self.database, self.tenants, self.alarm)
        links = LinkSettings(settings.link_page_url(), settings.client_secret_notifier.get_secret_value())
        self.jobs: Sequence[Job] = [
            reevaluation,
            due_people,
            due_instants,
            retention,
            apply_imports,
            OldImports(self.database, self.alarm),
            held_statements,
            SignInLinks(self.database, self.alarm, self.clock, links),
            ScimTokens(self.database, self.alarm, self.clock),
            UnansweredPeople(self.database, self.alarm),
            self.coordinator,
        ]
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
                # The service has not read the events about the tenant yet, or it has an error that is in its log.
                raise Transient(f"idle check: {url} answered {response.status_code}")
            return IdleCheck.model_validate(response.json())

        return ask

    def app(self) -> FastAPI:
        """Return the application with all routes."""
        settings = self.settings
        self.signing_keys.open()
        issuer = TokenIssuer(self.signing_keys, settings.client_secrets(), settings.token_ttl_seconds, settings.wrong_secrets_per_minute)
        context = Context(
            database=self.database,
            tenants=self.tenants,
            clock=self.clock,
            issuer=issuer,
            keys=self.signing_keys,
            alarm=self.alarm,
            coordinator=self.coordinator,
            idle=self.idle,
            consumer=self.consumer,
            seats=self.seats,
            wrong_invitations=RateLimit(settings.wrong_secrets_per_minute),
            sign_in=self._sign_in(),
            scim_callers=Callers(self.database, self.clock),
            scim_activity=Activity(self.database, self.clock),
            scim_creations=Creations(),
            profiles_max=settings.profiles_max,
            reevaluations_per_day=settings.reevaluations_per_day,
        )
        return make_app(self.settings, context, self.dead_letters)

    def _sign_in(self) -> SignIn:
        settings = self.settings
        return SignIn(
            limits=SignInLimits(),
            providers=IdentityProviders(self.guarded_http, self.clock),
            link_page_url=settings.link_page_url(),
            redirect_urls=settings.redirect_urls(),
            secrets_keys=settings.secrets_keys(),
            vendors_provider=self._vendors_provider(),
            allows_local=any(network.is_loopback for network in settings.provider_networks()),
        )

    def _vendors_provider(self) -> VendorsProvider | None:
        settings = self.settings
        if not settings.operator_issuer or not settings.operator_client_id:
            return None
        return VendorsProvider(settings.operator_issuer, settings.operator_client_id, settings.operator_trust_email)

    def probes(self) -> FastAPI:
        """Return the application of a process without REST, which needs no signing keys."""
        return create_app(title="Seatpool users", settings=self.settings, ready=self.database.ready)

    async def close(self) -> None:
        await self.client.close()
        await self.guarded_http.close()
        await self.consumer.close()
        await self.database.dispose()
