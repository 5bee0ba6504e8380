"""The product on a broker that asks for names and lets each role do what `seatpool topics acls` prints: its work, and nothing else."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from deploy.local import ports
from deploy.local.kafka import ADMIN, Broker
from deploy.local.stack import LocalStack
from deploy.local.supervisor import Supervisor
from shared.ids import new_id
from shared.kafka import started
from shared.kafka_acls import acls
from shared.schemas.envelope import Envelope
from shared.schemas.hr_v1 import HrFact
from shared.schemas.registry import type_of
from shared.settings import KafkaSettings
from tests.support import kafka_acls
from tests.support.stack import RunningStack
from tests.support.tenant import OPENED, Tenant, open_rest, open_tenant

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.xdist_group("own stack"),
    pytest.mark.skipif(
        bool({"BACKEND", "SEATPOOL_KAFKA_BOOTSTRAP", "SEATPOOL_DATABASE_URL"} & set(os.environ)), reason="on a broker of its own"
    ),
]

HR, OWN, USERS, COMMANDS = "hr.events.v1", "hr.events.v1.acme", "users.events.v1", "seats.commands.v1"
SEATS, INVOICING, CHANGELOG = "seats.events.v1", "invoicing.events.v1", "seats-rows-changelog"
# What a role may read, write, and only look at.
RIGHTS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "users": ({HR, OWN, SEATS, INVOICING}, {HR, OWN, USERS, COMMANDS}, set()),
    "seats": ({COMMANDS, SEATS, CHANGELOG}, {COMMANDS, SEATS, CHANGELOG}, set()),
    "invoicing": ({USERS, SEATS}, {COMMANDS, INVOICING}, set()),
    "notifier": ({USERS, SEATS, INVOICING}, set(), {COMMANDS}),
    "operator": ({COMMANDS, SEATS, CHANGELOG}, {COMMANDS}, {HR, OWN, USERS, INVOICING}),
    "hr": (set(), {HR}, set()),
    "hr-acme": (set(), {OWN}, set()),
}
GROUPS = {"users": "users", "seats": "seats", "invoicing": "invoicing", "notifier": "notifier", "notifier-action-log": "notifier"}


@asynccontextmanager
async def secured_broker(folder: Path) -> AsyncIterator[Broker]:
    users = {name: secrets.token_hex(8) for name in (ADMIN, *(f"seatpool-{role}" for role in RIGHTS))}
    broker = Broker(folder, ports.pick(), ports.pick(), users)
    with folder.with_suffix(".log").open("a") as lines:
        supervisor = Supervisor([broker.part()], lambda name, line: print(name, line, file=lines))
        await supervisor.start()
        try:
            await kafka_acls.apply(broker.client_options(), acls(KafkaSettings(), ["acme"]))
            yield broker
        finally:
            await supervisor.stop()


def environment(broker: Broker, role: str) -> dict[str, str]:
    user = f"seatpool-{role}"
    return {
        "SEATPOOL_KAFKA_BOOTSTRAP": broker.bootstrap,
        "SEATPOOL_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SEATPOOL_KAFKA_SASL_USERNAME": user,
        "SEATPOOL_KAFKA_SASL_PASSWORD": broker.users[user],
    }


async def send(broker: Broker, role: str, topic: str, tenant: Tenant, fact: HrFact) -> None:
    envelope = Envelope(new_id(), tenant.source, type_of(type(fact)), OPENED, tenant=tenant.id)
    async with started(AIOKafkaProducer(**broker.client_options(f"seatpool-{role}"), enable_idempotence=True)) as producer:
        await producer.send_and_wait(topic, fact.model_dump_json().encode(), key=envelope.key, headers=envelope.headers())


def seatpool(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env={**os.environ, "SEATPOOL_STATE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_each_role_does_its_work_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with secured_broker(tmp_path / "kafka") as broker:
        for name, value in environment(broker, "operator").items():
            monkeypatch.setenv(name, value)
        own = {service: environment(broker, service) for service in ("users", "seats", "invoicing", "notifier")}
        async with LocalStack(tmp_path / "stack", durable=False, extra_of=own) as stack:
            async with await open_rest(cast(RunningStack, stack)) as rest:
                tenant = await open_tenant(cast(RunningStack, stack), rest, licences=1)
                first, second = tenant.people(2)
                await send(broker, "hr", HR, tenant, first)
                await tenant.stage.until_idle()
                seatpool(tmp_path / "stack", "hr", "bind", tenant.source, "--topic", "acme")
                await send(broker, "hr-acme", OWN, tenant, second)
                await tenant.stage.until_idle()
                figures = await tenant.statistics()
                assert {figures[service]["flagged"] for service in ("users", "seats", "notifier")} == {1}
                assert await rest.pages("users", "/v1/operator/dead-letters") == []
            seatpool(tmp_path / "stack", "verify", "--tenant", tenant.id)
            for role, rights in RIGHTS.items():
                await check_refusals(broker, role, *rights)
        await check_strangers(broker)


async def check_refusals(broker: Broker, role: str, readable: set[str], writable: set[str], visible: set[str]) -> None:
    options = broker.client_options(f"seatpool-{role}")
    async with started(AIOKafkaConsumer(**options)) as reader, started(AIOKafkaProducer(**options)) as writer:
        # What a role may not even look at, it can neither read nor write.
        found = await reader.topics()
        assert found == readable | writable | visible, role
        for topic in found - readable:
            reader.assign([TopicPartition(topic, 0)])
            reader.seek(TopicPartition(topic, 0), 0)
            with pytest.raises(TopicAuthorizationFailedError):
                await reader.getmany(timeout_ms=10_000)
        for topic in found - writable:
            with pytest.raises(TopicAuthorizationFailedError):
                await writer.send_and_wait(topic, b"forged", partition=0)
    async with started(AIOKafkaAdminClient(**options)) as admin:
        with pytest.raises(TransactionalIdAuthorizationFailed):
            await admin.find_coordinator("mine", 1)
        for group, owner in GROUPS.items():
            if owner != role:
                with pytest.raises(GroupAuthorizationFailedError):
                    await admin.find_coordinator(group)
        for name in ("mine", "hr.events.v1.mine") if role != "operator" else ("mine",):
            made = await admin.create_topics([NewTopic(name, 1, 1)])
            assert made.topic_errors[0][1] == TopicAuthorizationFailedError.errno, (role, made)


async def check_strangers(broker: Broker) -> None:
    known = broker.client_options("seatpool-users")
    nameless: dict[str, Any] = {"bootstrap_servers": broker.bootstrap}
    for options in (known | {"sasl_plain_password": "guessed"}, known | {"sasl_plain_username": "stranger"}, nameless):
        admin = AIOKafkaAdminClient(**options, request_timeout_ms=3_000)
        try:
            with pytest.raises(KafkaConnectionError):
                await admin.start()
        finally:
            await admin.close()
