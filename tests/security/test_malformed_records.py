"""A thousand records that nobody can use on every topic, while the services run and while they do not: no process ends of it, and what is
valid among them takes effect."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from cli.console import CliError
from shared.ids import new_id
from shared.kafka import make_producer, partition_of, started
from shared.schemas.base import Actor, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ModuleDefined
from shared.schemas.registry import entry_of
from shared.schemas.seats_v1 import AssignSeats
from shared.schemas.topics import HR_EVENTS, INVOICING_EVENTS, SEATS_CHANGELOG, SEATS_COMMANDS, SEATS_EVENTS, USERS_EVENTS, Topic
from shared.schemas.users_v1 import ProfileDefined
from shared.settings import KafkaSettings
from tests.support.malformed import Flood, foreign_rows
from tests.support.seats import verified
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, OPENED, Tenant, kafka_of, open_rest, open_tenant
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]
TOPICS = (HR_EVENTS, USERS_EVENTS, SEATS_COMMANDS, SEATS_EVENTS, INVOICING_EVENTS)
SERVICES = ("users", "seats", "invoicing", "notifier")
# Consumer groups of each service that read the topic; the notifier lists what seats rejects.
GROUPS: dict[Topic, dict[str, int]] = {
    HR_EVENTS: {"users": 1},
    USERS_EVENTS: {"invoicing": 1, "notifier": 2},
    SEATS_COMMANDS: {"notifier": 1},
    SEATS_EVENTS: {"users": 1, "invoicing": 1, "notifier": 2},
    INVOICING_EVENTS: {"users": 1, "notifier": 2},
}
ACTOR = Actor(kind="client", id="operator")
MALFORMED, FOREIGN, VALID = 1_000, 20, 10
EFFECT_SECONDS_MAX = 120


async def test_malformed_records_on_every_topic_end_no_process_and_hide_no_valid_one(make_stack: Callable[..., RunningStack]) -> None:
    stack = make_stack()
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=100)
        before = {service: stack.starts(service) for service in SERVICES}
        handled = await modules_handled(stack)
        unreadable = await flood(stack, tenant, 1)
        await until_valid_ones_took_effect(stack, tenant, 1, handled)
        ended = {service: stack.starts(service) - before[service] for service in SERVICES}
        assert ended.pop("seats") <= FOREIGN
        assert ended == dict.fromkeys(("users", "invoicing", "notifier"), 0)

        for service in SERVICES:
            await stack.down(service)
        before = {service: stack.starts(service) for service in SERVICES}
        unreadable += await flood(stack, tenant, 2)
        await asyncio.gather(*(stack.up(service) for service in SERVICES))
        await until_valid_ones_took_effect(stack, tenant, 2, 0)
        assert {service: stack.starts(service) - before[service] for service in SERVICES} == dict.fromkeys(SERVICES, 1)
        await until_every_unreadable_record_is_a_dead_letter(tenant, unreadable)
    report = await verified(kafka_of(stack))
    assert report["verified"], report
    assert report["foreign"] > 1.8 * MALFORMED, report


async def until_every_unreadable_record_is_a_dead_letter(tenant: Tenant, unreadable: Counter[Topic]) -> None:
    """Each group that reads a topic has one for each of its unreadable records, and none has one of the tenant."""
    expected = {
        (service, topic.name): groups * unreadable[topic] for topic, services in GROUPS.items() for service, groups in services.items()
    }
    assert all(count > 0 for count in unreadable.values())

    async def found() -> bool:
        counts: Counter[tuple[str, str]] = Counter()
        for service in ("users", "invoicing", "notifier"):
            letters = await tenant.rest.pages(service, "/v1/operator/dead-letters", status="all")
            assert not [letter for letter in letters if letter["tenant"] == tenant.id]
            for letter in letters:
                if letter["reason"] == "batch" or letter["detail"].startswith("batch:"):
                    counts[service, letter["topic"]] += letter.get("records", 1)
        assert all(counts[key] <= count for key, count in expected.items()), (counts, expected)
        return counts == expected

    await wait_until(found, seconds=EFFECT_SECONDS_MAX, what="a dead letter for each unreadable record")


async def flood(stack: RunningStack, tenant: Tenant, number: int) -> Counter[Topic]:
    """Return how many records of each topic are in batches that nobody can take apart."""
    kafka = kafka_of(stack)
    valid: dict[Topic, list[Payload]] = {topic: [] for topic in TOPICS}
    valid[HR_EVENTS] += tenant.people(VALID, first=100 * number)
    for n in range(VALID):
        user = f"direct-{number}-{n}"
        valid[SEATS_COMMANDS].append(AssignSeats(user=user, revision=1, reason="hired", modules=(BASE,), created_at=OPENED))
        valid[INVOICING_EVENTS].append(
            ModuleDefined(module=f"valid-{number}-{n}", name="Valid", base=False, at=OPENED, reason="test", actor=ACTOR)
        )
        valid[USERS_EVENTS].append(
            ProfileDefined(profile=f"valid-{number}-{n}", name="Valid", modules=(BASE,), partial=False, at=OPENED, actor=ACTOR)
        )
    # The valid records of the events topic of seats are the decisions about the valid commands.
    # Not idempotent: what the broker itself refuses would end an idempotent producer.
    async with started(make_producer(kafka, enable_idempotence=False, acks=1)) as strangers, started(make_producer(kafka)) as owners:
        _, *unreadable = await asyncio.gather(
            overwrite_rows(kafka, strangers, number),
            *(mix(kafka, topic, strangers, owners, tenant, valid[topic], number) for topic in TOPICS),
        )
    return Counter(dict(zip(TOPICS, unreadable, strict=True)))


async def mix(
    kafka: KafkaSettings,
    topic: Topic,
    strangers: AIOKafkaProducer,
    owners: AIOKafkaProducer,
    tenant: Tenant,
    valid: Sequence[Payload],
    number: int,
) -> int:
    """Return how many records the broker took in batches that nobody can take apart."""
    chance, name = random.Random(number), kafka.topic_name(topic)
    batches = list(Flood(topic, number).batches(MALFORMED))
    places = sorted(chance.sample(range(len(batches)), VALID))
    waiting, accepted, unreadable = list(valid), 0, 0
    sending: list[tuple[int, bool, asyncio.Future[object]]] = []
    for place, (batch, readable) in enumerate(batches):
        count = batch.record_count()
        sending.append((count, readable, await strangers.send_batch(batch, name, partition=chance.randrange(kafka.partitions(topic)))))
        if place in places and waiting:
            await send(kafka, owners, tenant, waiting.pop())
        if place % 50 == 0 or place == len(batches) - 1:
            answers = await asyncio.gather(*(future for *_, future in sending), return_exceptions=True)
            taken = [sent for sent, answer in zip(sending, answers, strict=True) if not isinstance(answer, BaseException)]
            accepted += sum(count for count, *_ in taken)
            unreadable += sum(count for count, readable, _ in taken if not readable)
            sending = []
    assert accepted > 0.9 * MALFORMED, f"the broker took {accepted} of {topic.name}"
    assert not waiting
    return unreadable


async def send(kafka: KafkaSettings, producer: AIOKafkaProducer, tenant: Tenant, payload: Payload) -> None:
    entry = entry_of(type(payload))
    source = entry.topic.source or (entry.sources[0] if entry.sources else tenant.source)
    of = None if isinstance(payload, ModuleDefined) else tenant.id
    envelope = Envelope(new_id(), source, entry.name, OPENED, tenant=of)
    partition = partition_of(envelope.key, kafka.partitions(entry.topic))
    value = payload.model_dump_json(exclude_unset=True).encode()
    await producer.send_and_wait(kafka.topic_name(entry.topic), value, key=envelope.key, headers=envelope.headers(), partition=partition)


async def overwrite_rows(kafka: KafkaSettings, producer: AIOKafkaProducer, number: int) -> None:
    name = kafka.topic_name(SEATS_CHANGELOG)
    for partition in range(kafka.seats_partitions):
        for key, value, headers in foreign_rows(number, partition, FOREIGN // kafka.seats_partitions):
            await producer.send_and_wait(name, value, key=key, headers=headers, partition=partition)


async def modules_handled(stack: RunningStack) -> int:
    """`module_defined` events that the notifier's first group has handled since it was started."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{stack.addresses['services']['notifier']}/metrics")).text
    start = 'seatpool_messages_handled_total{group="notifier",type="seatpool.invoicing.v1.module_defined"} '
    return sum(int(float(line.removeprefix(start))) for line in text.splitlines() if line.startswith(start))


async def until_valid_ones_took_effect(stack: RunningStack, tenant: Tenant, number: int, handled: int) -> None:
    direct, defined = ({f"{kind}-{number}-{n}" for n in range(VALID)} for kind in ("direct", "valid"))
    hired = {fact.external_id for fact in tenant.people(VALID, first=100 * number)}

    async def effects() -> bool:
        try:
            holders = {user for user, _ in await tenant.seats()}
            people = await tenant.people_by_id()
            modules = await modules_handled(stack)
            logged = await tenant.rest.pages("notifier", tenant.stage.path("actions"))
        except (CliError, httpx.HTTPError, OSError):
            return False  # a worker starts again
        shown = {key for key in hired if key in people and people[key]["modules"][0]["state"] == "active"}
        profiles = {entry["details"]["profile"] for entry in logged if entry["type"] == "profile_defined"}
        decided = {entry["user"] for entry in logged if entry["event"].endswith("seats_assigned")}
        seen = profiles >= defined and decided >= direct
        return direct <= holders and shown == hired and modules - handled >= VALID and seen

    await wait_until(effects, seconds=EFFECT_SECONDS_MAX, what="the valid records' effects")
