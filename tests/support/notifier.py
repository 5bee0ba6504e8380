"""A notifier to test: the real one on the run's broker and PostgreSQL, a mail server that can refuse, and published events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic_settings import SettingsConfigDict

from services.notifier.jobs.sender import Sender
from services.notifier.settings import Settings
from services.notifier.store.first_start import first_start
from services.notifier.store.statistics import OpenWork, StatisticsRow, open_work, statistics
from services.notifier.wiring import Wiring, make_consumers
from shared import ids
from shared.clock import SystemClock
from shared.database import Database
from shared.kafka import make_producer, partition_of
from shared.messaging import Consumer
from shared.schemas import invoicing_v1, registry, seats_v1, users_v1
from shared.schemas.base import Actor, Payload
from shared.schemas.envelope import Envelope as Attributes
from shared.schemas.position import DecisionId, Position
from shared.settings import KafkaSettings
from shared.web import ServiceClient
from tests.support.messaging import fill
from tests.support.wait import wait_until

NOON = datetime(2013, 11, 15, 12, tzinfo=UTC)
ANNA = Actor(kind="user", id="anna")
NO_TENANT = "-"  # of events that belong to no tenant
COLLECTING_SECONDS = 100.0  # longer than a test waits: a digest is due when the test says that it has got everything
PDF = b"%PDF-1.7 an invoice"
XML = b"<Invoice/>"
BILLED: dict[str, Any] = {
    "company": "Acme",
    "street": "Main Street 1",
    "postcode": "1000",
    "city": "Copenhagen",
    "country": "DK",
    "vat_id": None,
    "organisation_number": None,
    "email": "billing@acme.example",
    "copy_to_administrators": True,
    "document_format": "factur_x",
    "buyer_reference": "",
    "purchase_order": "",
    "electronic_address": "",
    "tax_category": "S",
    "tax_rate_percent": "25",
}


class MailServer:
    """A mail server that keeps the e-mails it accepts. `refusals`: address -> replies before it accepts one (`550 no such user`)."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []
        self.refusals: dict[str, list[str]] = {}
        self.port = 0
        self.holds = asyncio.Event()  # an e-mail waits before it is accepted, while `go` is not set
        self.go = asyncio.Event()
        self.go.set()

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        if answers := self.refusals.get(address):
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.holds.set()
        await self.go.wait()
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.emails.append(message)
        return "250 kept"

    def to(self, address: str) -> list[EmailMessage]:
        return [email for email in self.emails if address in str(email["To"])]


def other_services(answers: dict[str, int] | None = None) -> httpx.MockTransport:
    """Answer what the notifier asks of users and invoicing. `answers` changes the status of a path's last part."""

    def answer(request: httpx.Request) -> httpx.Response:
        last = request.url.path.rsplit("/", 1)[-1]
        if last == "token":
            return httpx.Response(200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 600})
        if last == "invitation-token" and request.url.path.split("/")[-2] != "closed":
            assert "@" in orjson.loads(request.content)["email"]
            return httpx.Response(201, json={"token": f"secret-of-{request.url.path.split('/')[-2]}", "expires_at": "2013-11-22T09:00:00Z"})
        if last == "invitation-token":
            return httpx.Response(409, json={})
        if "billing-details" in request.url.path:
            return httpx.Response(200, json=BILLED | ({"before": None} if last != "billing-details" else {}))
        if "purchase-requests" in request.url.path:
            return httpx.Response(200, json={"contact": {"name": "Lee", "email": "lee@acme.example", "phone": ""}})
        status = (answers or {}).get(last, 202 if last == "republish" else 200)
        apart = {"link": f'<{request.url.path[:-3]}xml>; rel="alternate"; type="application/xml"'} if (answers or {}).get("xml") else {}
        return httpx.Response(status, content={"pdf": PDF, "xml": XML}.get(last, b"{}"), headers=apart)

    return httpx.MockTransport(answer)


class Changeable(Settings):
    """Settings of which a test changes how long digests are collected."""

    model_config = SettingsConfigDict(frozen=False)


@dataclass
class Notifier:
    settings: Changeable
    database: Database
    producer: AIOKafkaProducer
    server: MailServer
    tenant: str = "acme"
    answers: dict[str, int] = field(default_factory=dict)
    number: int = 0

    @asynccontextmanager
    async def running(self, *, mark: datetime | None = None, sending: bool = True) -> AsyncIterator[Wiring]:
        """Run consumers and sender in this process, until the end of the block."""
        clock = SystemClock()
        async with self.database.unit_of_work(None) as uow:
            first = await first_start(uow.connection, mark or clock.now() - timedelta(minutes=1))
        wiring = Wiring(self.settings, clock, self.database, make_consumers(self.settings, self.database, clock, first.started_at))
        async with ServiceClient(self.settings, transport=other_services(self.answers)) as client:
            parts = [consumer.run() for consumer in wiring.consumers]
            if sending:
                parts.append(Sender(self.database, self.settings, clock, client).run())
            tasks = [asyncio.create_task(part) for part in parts]
            try:
                yield wiring
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [error for error in ended if isinstance(error, Exception)]
        if failures:
            raise failures[0]

    async def until_collected(self, wiring: Wiring, tenant: str | None = None) -> None:
        """Wait until the topics are read to their end, and let digests be sent from then on, until the test sends more."""
        await self.until_read(list(wiring.consumers), tenant)
        self.settings.digest_quiet_seconds = 0

    async def until_idle(self, wiring: Wiring, tenant: str | None = None) -> StatisticsRow:
        """Wait until the topics are read to their end, no digest is being collected, and no e-mail waits to be sent."""
        tenant = tenant or self.tenant
        await self.until_collected(wiring, tenant)

        async def idle() -> StatisticsRow | None:
            if not all([await consumer.at_end(tenant) for consumer in wiring.consumers]):
                return None
            async with self.database.unit_of_work(tenant) as uow:
                left = await open_work(uow.connection, tenant)
                return None if left.collecting or left.emails else await statistics(uow.connection, tenant)

        return await wait_until(idle, what="the notifier to be idle")

    async def open_work(self, tenant: str = "acme") -> OpenWork:
        async with self.database.unit_of_work(tenant) as uow:
            return await open_work(uow.connection, tenant)

    async def until_read(self, consumers: list[Consumer], tenant: str | None = None) -> None:
        for consumer in consumers:
            await wait_until(partial(consumer.at_end, tenant or self.tenant), what="the end of the topics")

    async def send(
        self, *payloads: Payload, cause: str | None = None, tenant: str | None = None, timestamp_ms: int | None = None
    ) -> list[str]:
        """Publish the events as their owners do, and return their ids. `cause`: the chain's correlation."""
        self.settings.digest_quiet_seconds = COLLECTING_SECONDS
        found, last = [], None
        of_tenant = None if tenant == NO_TENANT else tenant or self.tenant
        for payload in payloads:
            entry = registry.entry_of(type(payload))
            event_id = ids.new_id()
            if isinstance(payload, seats_v1.SeatsEvent):
                event_id = str(DecisionId(payload.position.partition, payload.position.offset, 0))
                await fill(self.producer, self.settings, payload.position.partition, payload.position.offset)
            owner = entry.name.split(".")[1]
            attributes = Attributes(
                id=event_id, source=f"seatpool/{owner}", type=entry.name, time=NOON, tenant=of_tenant, correlation=cause
            )
            last = await self.producer.send(
                self.settings.topic_name(entry.topic),
                payload.model_dump_json().encode(),
                key=attributes.key,
                headers=attributes.headers(),
                timestamp_ms=timestamp_ms,
            )
            found.append(event_id)
        if last is not None:
            await last
        return found

    def decision(self, **given: Any) -> dict[str, Any]:
        """Return the fields that each decision of seats has; positions count up."""
        self.number += 1
        partition = partition_of(self.tenant.encode(), self.settings.seats_partitions)
        position = Position(partition=partition, offset=self.number)
        return {"command": ids.new_id(), "position": position, "role": "answer", "at": NOON, "rules": 1, "reason": "hired"} | given

    def assigned(self, user: str, *seats: seats_v1.ModuleSeat, released: tuple[str, ...] = (), **given: Any) -> seats_v1.SeatsAssigned:
        need = seats_v1.Need(modules=tuple(seat.module for seat in seats), created_at=NOON, partial=True)
        pools = tuple(pool_of(seat.module) for seat in seats)
        return seats_v1.SeatsAssigned(
            **self.decision(user=user, revision=1, need=need, modules=seats, released=released, pools=pools) | given
        )

    def revoked(self, user: str, module: str, *, base: bool, **given: Any) -> seats_v1.SeatRevoked:
        given = {"role": "settled", "reason": "grace_expired", "pools": (pool_of(module),)} | given
        return seats_v1.SeatRevoked(**self.decision(user=user, module=module, base=base, flagged_at=NOON, **given))


def pool_of(module: str, licences: int = 280, flagged: int = 0) -> seats_v1.PoolState:
    return seats_v1.PoolState(
        module=module, licences=licences, next_period=licences, active=licences, flagged=flagged, held=0, waiting=0, available=0
    )


def tenant_created(**given: Any) -> users_v1.TenantCreated:
    state = {
        "name": "Acme Bikes",
        "time_zone": "Europe/Copenhagen",
        "locale": "en_GB",
        "clock": "real",
        "contact_email": "office@acme.example",
        "support_contact": "Support <help@vendor.example>",
    }
    return users_v1.TenantCreated(at=NOON, actor=ANNA, **state | given)


def person_added(user: str, *, administrator: bool = False, kind: type[users_v1.PersonState] = users_v1.PersonAdded, **given: Any) -> Any:
    state: dict[str, Any] = {
        "user": user,
        "external_id": user,
        "login": user,
        "email": f"{user}@acme.example",
        "name": f"Person {user}",
        "job_title": "",
        "kind": "employee",
        "administrator": administrator,
        "status": "active",
        "modules": ("time",),
        "version": 1,
    }
    about: dict[str, Any] = {"at": NOON, "actor": Actor(kind="source", id="hr-acme"), "reason": "hired"}
    return kind(**about | state | given)


def subscribed(plan: str = "standard", *, extra_licences: bool = True, modules: tuple[str, ...] = ("time", "planning")) -> list[Payload]:
    """Return a subscription of a plan, and a larger plan that allows extra licences."""
    prices = tuple(invoicing_v1.UnitPrice(module=module, term="monthly", amount_minor=1200) for module in modules)
    catalogue = [
        invoicing_v1.PlanDefined(
            at=NOON, actor=ANNA, plan=name, name=name.title(), currency="EUR", prices=prices, allows_extra_licences=allows, version=1
        )
        for name, allows in ((plan, extra_licences), ("large", True))
    ]
    days: dict[str, Any] = {"period_start": NOON.date(), "period_end": NOON.date(), "billed_until": NOON.date()}
    licences = tuple(invoicing_v1.SubscriptionModule(module=module, licences=15) for module in modules)
    terms: dict[str, Any] = {"plan_version": 1, "term": "monthly", "currency": "EUR", "charge_when": "now", "billing_details": "b1"}
    started = invoicing_v1.SubscriptionStarted(at=NOON, actor=ANNA, subscription="s1", plan=plan, modules=licences, **days, **terms)
    return [*catalogue, started]


def flagged(module: str = "time", deadline: datetime = NOON + timedelta(days=7)) -> seats_v1.ModuleSeat:
    return seats_v1.ModuleSeat(module=module, state="flagged", deadline=deadline, since=NOON, reason="over_limit")


def refused(module: str = "planning") -> seats_v1.ModuleSeat:
    return seats_v1.ModuleSeat(module=module, state="refused", reason="pool_full")


def active(module: str = "time") -> seats_v1.ModuleSeat:
    return seats_v1.ModuleSeat(module=module, state="active")


def invoice_issued(invoice: str = "inv-1", number: str = "2013-0001") -> invoicing_v1.InvoiceIssued:
    line = invoicing_v1.InvoiceLine(
        text_key="proration",
        module="time",
        quantity=6,
        unit_price_minor=1200,
        from_day=NOON.date(),
        to_day=NOON.date() + timedelta(days=13),
        days=13,
        days_of_period=30,
        net_minor=3120,
        charges=("c1",),
    )
    tax = invoicing_v1.TaxLine(category="S", rate_percent="25", basis_minor=3120, tax_minor=780)
    return invoicing_v1.InvoiceIssued(
        at=NOON,
        actor=ANNA,
        invoice=invoice,
        number=number,
        issued_on=NOON.date(),
        due_on=NOON.date(),
        subscription="s1",
        orders=("o1",),
        currency="EUR",
        billing_details="b1",
        lines=(line,),
        taxes=(tax,),
        net_minor=3120,
        tax_minor=780,
        gross_minor=3900,
    )


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    server = MailServer()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: SMTP(server, enable_SMTPUTF8=True, hostname="mail.test", loop=loop), "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
async def notifier(make_database: Callable[[str], str], kafka_settings: KafkaSettings, mail_server: MailServer) -> AsyncIterator[Notifier]:
    settings = Changeable(
        **kafka_settings.model_dump(include={"kafka_bootstrap", "kafka_topic_prefix", "seats_partitions"}),
        database_url=make_database("notifier"),
        smtp_url=f"smtp://127.0.0.1:{mail_server.port}",
        email_from="Seatpool <seatpool@vendor.example>",
        digest_quiet_seconds=COLLECTING_SECONDS,
        digest_longest_seconds=COLLECTING_SECONDS,
    )
    database = Database(settings.database_url.get_secret_value(), application_name="test", pool_size=10)
    producer = make_producer(kafka_settings)
    await producer.start()
    yield Notifier(settings, database, producer, mail_server)
    await producer.stop()
    await database.dispose()
