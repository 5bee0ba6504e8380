"""What cannot be handled is put aside with its bytes, and the rest goes on."""

import asyncio
import base64
import hashlib
import itertools
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from prometheus_client import REGISTRY
from sqlalchemy import Text, cast, column, insert, literal, select, table
from structlog.testing import capture_logs

from shared.database import UnitOfWork
from shared.database.row_classes import recordset
from shared.errors import Conflict, NotFound, Poison
from shared.messaging import Consumer, DeadLetters
from shared.messaging import consumer as consumer_module
from shared.messaging.batch_size import FIRST
from shared.messaging.consumer import BATCH_MAX
from shared.messaging.message import Message, Record
from shared.observability import metrics
from shared.schemas import registry, topics
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.hr_v1 import PersonLeft
from shared.schemas.topics import Topic
from tests.support.messaging import Rig, envelope_of, facts, fill, left, ready, rows, settled
from tests.support.statements import counted_statements
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack

ZSTD = 4  # as Kafka numbers its codecs

Headers = Sequence[tuple[str, bytes | None]]
Change = Callable[[Headers], Headers]


def without(name: str) -> Change:
    return lambda headers: [header for header in headers if header[0] != name]


def having(name: str, value: bytes) -> Change:
    return lambda headers: [*without(name)(headers), (name, value)]


def twice(name: str, value: bytes) -> Change:
    return lambda headers: [*headers, (name, value)]


async def test_a_message_that_cannot_be_read_becomes_a_dead_letter_with_its_bytes_and_the_rest_goes_on(rig: Rig) -> None:
    headers = [*envelope_of(left(), message_id="m-bad").headers(), ("x-odd", b"\xff\x00")]
    await rig.send(left("p1"))
    partition, offset = await rig.send_raw(topics.HR_EVENTS, b"acme", headers, b"\x00not json\xff")
    await rig.send_raw(topics.HR_EVENTS, b"acme", [("ce_id", b"\xff\xfe")], None)
    await rig.send(left("p2"))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(2) == ["p1", "p2"]
    body, envelope = await rows(rig.database, "dead_letters")
    assert (body.partition, body.record_offset, body.reason, body.tenant, body.message_id) == (partition, offset, "body", "acme", "m-bad")
    assert (bytes(body.key), bytes(body.value)) == (b"acme", b"\x00not json\xff")
    assert [(name, base64.b64decode(value)) for name, value in orjson.loads(bytes(body.headers))] == headers
    assert (envelope.reason, envelope.tenant, envelope.value) == ("envelope", "acme", None)


async def test_a_small_batch_of_very_many_records_costs_its_partition_a_few_statements_for_each_poll(rig: Rig) -> None:
    """One megabyte holds a million records. Equal ones are one dead letter, which says how many they are."""
    empty, odd = 5_000, 1_000
    builder = BatchBuilder(1 << 30, ZSTD)
    for _ in range(empty):
        builder.append(timestamp=None, key=None, value=None, headers=[])
    for number in range(odd):
        builder.append(timestamp=None, key=None, value=b"%d" % number, headers=[])
    for number in range(odd):
        headers = [("ce_id", b"%d" % number), ("ce_source", b"x")]
        builder.append(timestamp=None, key=None, value=None, headers=headers)
    partition, _ = await rig.send(left("first"))
    sent = await (await rig.producer.send_batch(builder, rig.kafka.topic_name(topics.HR_EVENTS), partition=partition))
    for number in range(9):
        await rig.send(left(f"p{number}"))
    consumer = rig.consumer()
    with counted_statements(rig.database) as statements:
        async with rig.running(consumer):
            assert await rig.until_facts(10) == ["first", *(f"p{number}" for number in range(9))]
    assert builder.size() < 30_000
    growing = math.log2(BATCH_MAX / FIRST)  # the first transactions, until one takes BATCH_MAX messages
    polls = (empty + 2 * odd) / BATCH_MAX + growing
    assert sum("dead_letters" in statement for statement in statements) <= 3 * polls
    assert len(statements) <= 12 * polls + 100, "the rest is the ten messages, and what is asked once in a while"

    letters = await rows(rig.database, "dead_letters")
    of_empty = [letter for letter in letters if letter.records > 1]
    assert len(of_empty) <= empty / BATCH_MAX + growing + 1
    offsets = [offset for letter in letters for offset in range(letter.record_offset, letter.record_offset + letter.records)]
    assert offsets == list(range(sent.offset, sent.offset + empty + 2 * odd)), "each offset is accounted for once"
    assert [bytes(letter.value) for letter in letters if letter.value is not None] == [b"%d" % number for number in range(odd)]
    assert [letter.message_id for letter in letters if letter.source == "x"] == [str(number) for number in range(odd)]

    dead_letters = DeadLetters(rig.database, [consumer])
    run = of_empty[0].id
    shown = await dead_letters.show(run)
    assert (shown["offset"], shown["records"], shown["headers"], shown["value_base64"]) == (sent.offset, of_empty[0].records, [], None)
    again = await dead_letters.retry(run)
    assert (again["status"], again["reason"], again["attempts"], again["records"]) == ("open", "envelope", 1, of_empty[0].records)
    assert (await dead_letters.discard(run, reason="test", by="ops"))["status"] == "discarded"


async def test_a_handler_that_refuses_leaves_nothing_of_its_own_behind(rig: Rig) -> None:
    """Its rows are rolled back, those of the messages before and after it stay."""
    rig.handled.poison = {"bad"}
    for who in ("p1", "bad", "p2"):
        await rig.send(left(who))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(2) == ["p1", "p2"]
    (letter,) = await rows(rig.database, "dead_letters")
    assert (letter.reason, letter.detail) == ("test", "bad is refused")


async def test_open_dead_letters_are_counted_until_they_are_done(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "WATCH_EVERY_SECONDS", 0.05)

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("seatpool_dead_letters_open", {"group": "test"})

    metrics.DEAD_LETTERS_OPEN.labels("test").set(0)  # another test may have left one
    rig.handled.poison = {"bad"}
    await rig.send(left("bad"))
    consumer = rig.consumer()
    async with rig.running(consumer):
        await wait_until(lambda: waiting() == 1, what="the count")
        rig.handled.poison = set()
        (letter,) = await rows(rig.database, "dead_letters")
        assert (await DeadLetters(rig.database, [consumer]).retry(letter.id))["status"] == "done"
        await wait_until(lambda: waiting() == 0, what="the count after the retry")


@dataclass(frozen=True, slots=True)
class NumberRow:
    number: int


_numbers = recordset(NumberRow)
_number_columns = (literal("acme"), cast(_numbers.c.number, Text), literal("x"))
KEEP_NUMBER = insert(table("facts", column("tenant_id"), column("said"), column("message_id"))).from_select(
    ["tenant_id", "said", "message_id"], select(*_number_columns)
)


async def overflow(uow: UnitOfWork) -> None:
    uow.defer(KEEP_NUMBER, NumberRow(2**63))  # JSON, and no bigint


async def no_json(uow: UnitOfWork) -> None:
    uow.defer(KEEP_NUMBER, NumberRow(2**64))


async def gathered(uow: UnitOfWork) -> None:
    async def fail(_uow: UnitOfWork, _items: Sequence[Any]) -> None:
        raise OverflowError("date value out of range")

    uow.gather(fail, None)


async def too_long_for_an_index(uow: UnitOfWork) -> None:
    await uow.connection.exec_driver_sql("CREATE INDEX ON facts (said)")
    said = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(1_000))
    await uow.connection.exec_driver_sql("INSERT INTO facts (tenant_id, said, message_id) VALUES ('acme', $1, 'x')", (said,))


async def at_once(_uow: UnitOfWork) -> None:
    raise KeyError("no such thing")


@pytest.mark.parametrize("fail", [overflow, no_json, gathered, too_long_for_an_index, at_once])
async def test_every_error_that_a_message_causes_makes_a_dead_letter_that_can_be_retried(
    rig: Rig, fail: Callable[[UnitOfWork], Awaitable[None]]
) -> None:
    """It would fail at every start again: at once, at the end of the message or at the end of the batch."""
    failing = {"bad-1", "bad-2"}

    async def handle(uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, PersonLeft)
        if message.payload.external_id in failing:
            await fail(uow)
        await rig.handled.on_left(uow, message)

    consumer = rig.consumer()
    consumer.group.handlers = dict.fromkeys(consumer.group.handlers, handle)
    for who in ("p1", "bad-1", "p2", "bad-2", "p3"):
        await rig.send(left(who))
    async with rig.running(consumer):
        assert await rig.until_facts(3) == ["p1", "p2", "p3"]
        first, second = await rows(rig.database, "dead_letters")
        operator = DeadLetters(rig.database, [consumer])
        assert (await operator.retry(first.id))["status"] == "open"
        failing.clear()
        assert (await operator.retry(second.id))["status"] == "done"
    assert await facts(rig.database) == ["p1", "p2", "p3", "bad-2"]


async def test_a_message_that_the_database_cannot_store_becomes_a_dead_letter(rig: Rig) -> None:
    """A NUL in a text is valid JSON, and PostgreSQL refuses it."""
    rig.handled.before = None

    async def store(uow, message) -> None:  # type: ignore[no-untyped-def]
        await uow.connection.exec_driver_sql(
            "INSERT INTO facts (tenant_id, said, message_id) VALUES ($1, $2, 'x')", (message.envelope.tenant, message.payload.reason)
        )

    consumer = rig.consumer()
    consumer.group.handlers = dict.fromkeys(consumer.group.handlers, store)
    await rig.send(left("p1").model_copy(update={"reason": "a\0b"}))
    await rig.send(left("p2").model_copy(update={"reason": "fine"}))
    async with rig.running(consumer):
        assert await rig.until_facts(1) == ["fine"]
    (letter,) = await rows(rig.database, "dead_letters")
    assert letter.reason == "database"


async def test_a_source_that_is_not_admitted_becomes_a_dead_letter(rig: Rig) -> None:
    async def admit(envelope: Envelope, _topic: Topic) -> None:
        if envelope.source != "hr/test":
            raise Poison("source", f"{envelope.source} is not on the list")

    foreign = envelope_of(left(), source="hr/elsewhere")
    await rig.send_raw(topics.HR_EVENTS, foreign.key, foreign.headers(), left("p1").model_dump_json().encode())
    await rig.send(left("p2"))
    async with rig.running(rig.consumer(admit=admit)):
        assert await rig.until_facts(1) == ["p2"]
    assert [row.reason for row in await rows(rig.database, "dead_letters")] == ["source"]


@pytest.mark.parametrize(
    ("headers", "key", "reason"),
    [
        ([], b"acme", "envelope"),
        (envelope_of(left(), "a|b").headers(), b"a|b", "envelope"),
        (envelope_of(left(), message_id="x" * 400).headers(), b"acme", "envelope"),
        (envelope_of(left(), "globex").headers(), b"acme", "key"),
        (envelope_of(settled(0, 1), "acme").headers(), b"acme", "topic"),
    ],
)
async def test_each_kind_of_broken_message_says_what_is_wrong(rig: Rig, headers: list[tuple[str, bytes]], key: bytes, reason: str) -> None:
    partition, _ = await rig.send_raw(topics.HR_EVENTS, key, headers, left().model_dump_json().encode())
    consumer = rig.consumer()
    async with rig.running(consumer):
        await rig.until_at_end(consumer, key.decode())
    (letter,) = await rows(rig.database, "dead_letters")
    assert (letter.partition, letter.reason) == (partition, reason)


def decision(offset: int, *, n: int = 0, message_id: str | None = None, change: Change | None = None, **more: Any) -> Record:
    """A record of partition 0 of seats' events; `at`, `value`, `key`: made up."""
    id_ = message_id or f"seats.commands.v1/0/{offset}/{n}"
    payload = settled(0, more.get("at", offset))
    headers = (change or list)(envelope_of(payload, message_id=id_).headers())
    return record(more.get("key", b"acme"), headers, more.get("value", payload.model_dump_json().encode()), topics.SEATS_EVENTS)


async def test_a_record_that_seats_cannot_have_written_moves_no_watermark_and_blocks_nobody(rig: Rig) -> None:
    """The commands of this partition end at 10. Were one of these believed, all later decisions would be skipped silently."""
    await fill(rig.producer, rig.kafka, 0, 9)
    consumer = rig.consumer(topics.SEATS_EVENTS, tenant_exists=rig.tenant_exists)
    false = [
        decision(5, message_id="x/2/9000000000/0", value=b"\xff"),
        decision(5, message_id="x/1/99999999999999999999999/0"),
        decision(5, message_id="no-position"),
        decision(5, message_id="seats.commands.v1/3/9/0"),  # another partition than it lies in
        decision(5, message_id="seats.commands.v1/0/9223372036854775808/0"),
        decision(9, message_id="seats.commands.v1/0/9/16777216"),
        decision(9, message_id="seats.commands.v1/0/09/0"),
        decision(9, at=8),  # the body says another one
        decision(9, n=2, key=b"globex"),
        decision(9, n=3, change=having("ce_tenantid", b"globex")),
        decision(9, n=4, change=having("ce_source", b"seatpool/users")),
        decision(9, n=5, change=having("ce_source", b"seatpool/seats "), value=b"{"),
        decision(10),  # above the end
        decision(2**62, n=2**24 - 1),
    ]
    await apply(rig, consumer, *false)
    letters = await rows(rig.database, "dead_letters")
    assert sorted((row.record_offset, row.status, row.blocks) for row in letters) == [(each.offset, "open", False) for each in false]
    await apply(rig, consumer, decision(5), decision(9), decision(9, n=2**24 - 1))
    assert await facts(rig.database) == [f"seats.commands.v1/0/{place}" for place in ("5/0", "9/0", "9/16777215")]
    (position,) = await rows(rig.database, "consumer_positions")
    assert (position.watermark_offset, position.watermark_n) == (9, 2**24 - 1)
    await consumer.close()


async def test_an_unreadable_decision_moves_no_watermark_and_blocks_its_tenant(rig: Rig) -> None:
    """Seats wrote it, and this version cannot read it: nothing of this tenant may be made of half a history."""
    await fill(rig.producer, rig.kafka, 0, 9)
    consumer = rig.consumer(topics.SEATS_EVENTS, tenant_exists=rig.tenant_exists)
    dead_letters = DeadLetters(rig.database, [consumer])
    await apply(rig, consumer, decision(5), decision(7, value=b"{}"), decision(7, value=b"{}"), decision(6, n=3))
    assert await facts(rig.database) == ["seats.commands.v1/0/5/0"]
    (letter,) = await dead_letters.list()
    assert (letter["reason"], letter["blocks"]) == ("body", True)
    assert [row["message_id"] for row in await dead_letters.list(status="waiting")] == ["seats.commands.v1/0/6/3"]
    await consumer.close()


async def test_a_message_that_is_processed_next_is_not_called_one_that_waits_behind_itself(rig: Rig) -> None:
    await fill(rig.producer, rig.kafka, 0, 9)
    consumer = rig.consumer(topics.SEATS_EVENTS, tenant_exists=rig.tenant_exists)
    dead_letters = DeadLetters(rig.database, [consumer])
    await apply(rig, consumer, decision(5, value=b"{}"), decision(6, value=b"{}"))
    (first,), (second,) = await dead_letters.list(), await dead_letters.list(status="waiting")
    await dead_letters.discard(first["id"], reason="test", by="operator", genuine=True)  # no consumer runs that processes the second
    for resolve in (dead_letters.retry, partial(dead_letters.discard, reason="test", by="operator", genuine=True)):
        with pytest.raises(Conflict, match=rf"processes message {second['id']} next") as refused:
            await resolve(second["id"])
        assert refused.value.type == "dead-letter-next"
    await consumer.close()


async def test_an_unreadable_decision_about_a_command_that_does_not_exist_blocks_nobody(rig: Rig) -> None:
    """Seats cannot have written it."""
    await fill(rig.producer, rig.kafka, 0, 9)
    consumer = rig.consumer(topics.SEATS_EVENTS, tenant_exists=rig.tenant_exists)
    await apply(rig, consumer, decision(10, value=b"{}"), decision(2**62, value=b"\xff"), decision(9))
    assert await facts(rig.database) == ["seats.commands.v1/0/9/0"]
    letters = await DeadLetters(rig.database, [consumer]).list()
    assert [(letter["reason"], letter["blocks"]) for letter in letters] == [("body", False), ("body", False)]
    await consumer.close()


async def test_a_position_that_no_command_has_yet_is_not_believed_after_a_retry_either(rig: Rig) -> None:
    await fill(rig.producer, rig.kafka, 0, 1)
    consumer = rig.consumer(topics.SEATS_EVENTS)
    dead_letters = DeadLetters(rig.database, [consumer])
    await apply(rig, consumer, decision(4))
    (letter,) = await dead_letters.list()
    assert (await dead_letters.retry(letter["id"]))["reason"] == "position"
    await fill(rig.producer, rig.kafka, 0, 4)
    assert (await dead_letters.retry(letter["id"]))["status"] == "done"
    await consumer.close()


async def test_retry_runs_the_handler_on_the_stored_bytes(rig: Rig) -> None:
    rig.handled.poison = {"bad"}
    await rig.send(left("bad"), message_id="m1")
    await rig.send(left("p2"))
    consumer = rig.consumer()
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        await rig.until_facts(1)
        (listed,) = await dead_letters.list()
        assert (await dead_letters.retry(listed["id"]))["status"] == "open"  # still refused
        rig.handled.poison.clear()
        again = await dead_letters.retry(listed["id"])
        assert (again["status"], again["attempts"]) == ("done", 2)
        assert await facts(rig.database) == ["p2", "bad"]
        await rig.send(left("bad"), message_id="m1")  # the message repeated: the inbox knows it
        await rig.until_at_end(consumer)
    assert await facts(rig.database) == ["p2", "bad"]
    assert await dead_letters.list() == []
    assert [row["id"] for row in await dead_letters.list(status="done")] == [listed["id"]]
    with pytest.raises(Conflict):
        await dead_letters.retry(listed["id"])
    for call in (dead_letters.retry, dead_letters.show):
        with pytest.raises(NotFound):
            await call(999_999)


async def test_a_blocked_tenant_waits_in_order_and_others_go_on(rig: Rig) -> None:
    """For what depends on order (invoices, the action log): nothing of the tenant passes its dead letter, and what waits behind it is
    processed by the consumer itself, up to the next one that fails."""
    rig.handled.poison = {"a2", "a4"}
    for who, tenant in (("a1", "acme"), ("a2", "acme"), ("g1", "globex"), ("a3", "acme")):
        await rig.send(ready(who), tenant)
    consumer = rig.in_order()
    dead_letters = DeadLetters(rig.database, [consumer])

    async def first() -> dict[str, Any]:
        (letter,) = await dead_letters.list("acme")
        return letter

    async with rig.running(consumer):
        assert sorted(await rig.until_facts(2)) == ["a1", "g1"]
        for who in ("a4", "a5"):
            await rig.send(ready(who), "acme")  # in a later batch
        await rig.until_at_end(consumer)
        assert (await dead_letters.show((await first())["id"]))["waiting_behind"] == 3
        waiting = await dead_letters.list("acme", "waiting")
        assert [row["reason"] for row in waiting] == ["behind-dead-letter"] * 3
        for call in (dead_letters.retry(waiting[0]["id"]), dead_letters.discard(waiting[0]["id"], reason="test", by="ops", genuine=True)):
            with pytest.raises(Conflict, match="Retry or discard"):
                await call
        rig.handled.poison = {"a4"}
        assert (await dead_letters.retry((await first())["id"]))["status"] == "done"
        await rig.until_facts(4)  # a2, and a3 behind it
        await wait_until(lambda: _is_open(dead_letters, "a4 is refused"), what="a4's dead letter")
        await rig.send(ready("a6"), "acme")
        await rig.until_at_end(consumer)
        await dead_letters.discard((await first())["id"], reason="test", by="ops", genuine=True)
        await rig.until_facts(6)
        await rig.until_at_end(consumer)
        await rig.send(ready("a7"), "acme")
        await rig.until_facts(7)
    assert [said for said in await facts(rig.database) if said.startswith("a")] == ["a1", "a2", "a3", "a5", "a6", "a7"]


async def _is_open(dead_letters: DeadLetters, detail: str) -> bool:
    return [row["detail"] for row in await dead_letters.list()] == [detail]


async def test_retrying_while_messages_arrive_leaves_none_behind_an_empty_queue(rig: Rig) -> None:
    rig.handled.poison = {"a0"}
    await rig.send(ready("a0"))
    consumer = rig.in_order(batch_max=2)
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        await wait_until(lambda: dead_letters.list(), what="the dead letter")
        (first,) = await dead_letters.list()
        rig.handled.poison.clear()

        async def arrive() -> None:
            for number in range(1, 40):
                await rig.send(ready(f"a{number}"))

        await asyncio.gather(arrive(), dead_letters.retry(first["id"]))
        await rig.until_at_end(consumer)
    assert await facts(rig.database) == [f"a{number}" for number in range(40)]
    assert [row["status"] for row in await dead_letters.list(status=None)].count("done") == len(await dead_letters.list(status=None))


async def test_a_discarded_dead_letter_stays_with_who_when_and_why(rig: Rig) -> None:
    headers = envelope_of(ready(), message_id="m1").headers()
    place = await rig.send_raw(topics.USERS_EVENTS, b"acme", headers, b"not json")
    await rig.send(ready("p2"))
    consumer = rig.in_order()
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        (letter,) = await wait_until(lambda: dead_letters.list(), what="the dead letter")
        await rig.until_at_end(consumer)
        before = await rows(rig.database, "consumer_positions")
        shown = await dead_letters.show(letter["id"])
        assert (shown["genuine"], shown["waiting_behind"], base64.b64decode(shown["value_base64"])) == (False, 1, b"not json")
        with capture_logs() as logs:
            answer = await dead_letters.discard(letter["id"], reason="written by a script", by="ops")
        assert await rig.until_facts(1) == ["p2"]
        await rig.send_raw(topics.USERS_EVENTS, b"acme", headers, b"not json")  # repeated: it stays given up, and blocks nobody again
        await rig.send(ready("p3"))
        assert await rig.until_facts(2) == ["p2", "p3"]
    assert (answer["status"], answer["discarded_by"], answer["discard_reason"]) == ("discarded", "ops", "written by a script")
    assert answer["discarded_at"] is not None
    assert (letter["partition"], letter["offset"]) == place
    (logged,) = [entry for entry in logs if entry["event"] == "dead_letter_discarded"]
    assert (logged["id"], logged["by"], logged["why"]) == (letter["id"], "ops", "written by a script")
    (after,) = (row for row in await rows(rig.database, "consumer_positions") if row.partition == place[0])
    assert after.next_offset == next(row.next_offset for row in before if row.partition == place[0]) + 2
    with pytest.raises(Conflict, match="already has the status discarded"):
        await dead_letters.retry(letter["id"])


async def test_a_genuine_message_is_discarded_only_if_the_request_says_genuine(rig: Rig) -> None:
    """One that the owner of its topic wrote and that this version can read, of a type that matters to the group."""
    consumer, other = rig.in_order(), rig.in_order(genuine=())
    other.group.name = "other"
    dead_letters = DeadLetters(rig.database, [consumer, other])
    rig.handled.poison = {"bad"}
    message = record_of(ready("bad"))
    for each in (consumer, other):
        await apply(rig, each, message)
    genuine, unimportant = await dead_letters.list()
    shown = await dead_letters.show(genuine["id"])
    assert shown["genuine"]
    assert "no longer matches the log" in shown["note"]
    with pytest.raises(Conflict, match="Remove the cause and retry the message"):
        await dead_letters.discard(genuine["id"], reason="test", by="ops")
    assert (await dead_letters.discard(genuine["id"], reason="test", by="ops", genuine=True))["status"] == "discarded"
    assert not (await dead_letters.show(unimportant["id"]))["genuine"]
    assert (await dead_letters.discard(unimportant["id"], reason="test", by="ops"))["status"] == "discarded"


UNREADABLE: tuple[tuple[Change, bytes | None], ...] = (
    (list, None),
    (list, b"\x00\xff"),
    (list, b"{}"),  # a field is missing
    (without("ce_time"), b"{}"),
    (having("ce_specversion", b"9"), b"{}"),
    (without("ce_type"), b"{}"),
    (having("ce_subject", b"\xff"), b"{}"),
)
DISAGREEING: tuple[tuple[bytes | None, Change], ...] = (
    (b"globex", list),
    (None, list),
    (b"acme", twice("ce_tenantid", b"globex")),
    (b"acme", twice("ce_source", b"seatpool/users")),
    (b"acme", having("ce_source", b"hr/x")),
    (b"acme", without("ce_tenantid")),
    (b"a|b", having("ce_tenantid", b"a|b")),
)


def unreadable(tenant: str, change: Change, value: bytes | None = b"{}", key: bytes | None = b"") -> Record:
    headers = change(envelope_of(ready(), tenant).headers())
    return record(tenant.encode() if key == b"" else key, headers, value)


async def test_an_unreadable_message_of_the_owner_blocks_an_existing_tenant_until_it_is_discarded(rig: Rig) -> None:
    consumer = rig.in_order()
    dead_letters = DeadLetters(rig.database, [consumer])
    cases = {f"t{number}": case for number, case in enumerate(UNREADABLE)}
    rig.tenants = {*cases, "globex"}
    for tenant, (change, value) in cases.items():
        await apply(rig, consumer, unreadable(tenant, change, value), record_of(ready(tenant), tenant))
    await apply(rig, consumer, record_of(ready("g1"), "globex"))
    assert await facts(rig.database) == ["g1"]
    for letter in await dead_letters.list():
        await dead_letters.discard(letter["id"], reason="test", by="ops")
    assert not await consumer._process_next("globex")
    for tenant in cases:
        assert await consumer._process_next(tenant)
        assert not await consumer._process_next(tenant)
    assert await facts(rig.database) == ["g1", *cases]


async def test_an_unreadable_message_does_not_block_a_tenant_that_is_created_later(rig: Rig) -> None:
    consumer = rig.in_order()
    cases = {f"t{number}": case for number, case in enumerate(UNREADABLE)}
    await apply(rig, consumer, *(unreadable(tenant, *case) for tenant, case in cases.items()))
    rig.tenants = set(cases)
    await apply(rig, consumer, *(record_of(ready(tenant), tenant) for tenant in cases))
    assert await facts(rig.database) == list(cases)
    assert {row.status for row in await rows(rig.database, "dead_letters")} == {"open"}


async def test_a_message_that_names_two_tenants_or_none_blocks_neither(rig: Rig) -> None:
    consumer = rig.in_order()
    await apply(rig, consumer, *(unreadable("acme", change, key=key) for key, change in DISAGREEING))
    await apply(rig, consumer, record_of(ready("p1")), record_of(ready("g1"), "globex"))
    assert await facts(rig.database) == ["p1", "g1"]
    assert [row.status for row in await rows(rig.database, "dead_letters")] == ["open"] * len(DISAGREEING)


async def test_a_repeated_dead_letter_is_kept_once(rig: Rig) -> None:
    """A relay or a seats worker that was stopped sends a message again, with the same source and id."""
    headers = envelope_of(ready(), message_id="m1").headers()
    for topic in (topics.USERS_EVENTS, topics.SEATS_EVENTS):
        consumer = rig.consumer(topic)
        for _ in range(2):
            await apply(rig, consumer, record(b"acme", headers, b"x", topic), record(b"acme", headers, b"x", topic))
    assert [row.topic for row in await rows(rig.database, "dead_letters")] == [topics.USERS_EVENTS.name, topics.SEATS_EVENTS.name]


async def test_an_event_of_another_source_than_its_topics_owner_becomes_a_dead_letter(rig: Rig) -> None:
    for topic in (topics.USERS_EVENTS, topics.SEATS_EVENTS):
        headers = envelope_of(ready(), source="seatpool/invoicing").headers()
        await apply(rig, rig.consumer(topic), record(b"acme", headers, ready().model_dump_json().encode(), topic))
    found = await rows(rig.database, "dead_letters")
    assert [(row.reason, row.source) for row in found] == [("wrong_source", "seatpool/invoicing")] * 2


async def test_the_log_names_the_field_and_the_rule_of_a_dead_letter_and_quotes_no_value(rig: Rig) -> None:
    """Values, which may be people's addresses, are in the row alone."""
    secret = "ada@acme.example"
    hired = f'{{"external_id":7,"effective_date":"2026-03-01","login":["{secret}"],"email":"{secret}","department":"D"}}'.encode()

    def headers(change: Change = list) -> Headers:
        return change(envelope_of(left()).headers())

    records = [
        record(b"acme", headers(), hired, topics.HR_EVENTS),
        record(secret.encode(), headers(), b"{}", topics.HR_EVENTS),
        record(b"acme", [("ce_id", secret.encode())], b"{}", topics.HR_EVENTS),
        record(b"acme", headers(having("ce_time", secret.encode())), hired, topics.HR_EVENTS),
    ]
    rig.handled.poison = {secret}
    records.append(record_of(left(secret)))
    with capture_logs() as logs:
        await apply(rig, rig.consumer(), *records)
    dead = [entry for entry in logs if entry["event"] == "dead_letter"]
    assert len(dead) == len(records)
    assert secret not in str(logs)
    assert "external_id: string_type" in str(dead[0]["rule"])
    assert any(secret in row.detail for row in await rows(rig.database, "dead_letters"))


def record_of(payload: Payload, tenant: str = "acme") -> Record:
    envelope = envelope_of(payload, tenant)
    topic = registry.entry_of(type(payload)).topic
    return record(envelope.key, envelope.headers(), payload.model_dump_json().encode(), topic)


def record(
    key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None, topic: Topic = topics.USERS_EVENTS
) -> Record:
    return Record(topic, 0, next(OFFSETS), 0, key, headers, value)


OFFSETS = itertools.count()


async def apply(rig: Rig, consumer: Consumer, *records: Record) -> None:
    """As one batch of partition 0, without a broker."""
    topic, first = records[0].topic, records[0].offset
    items = await consumer.read(records)
    async with rig.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql("DELETE FROM consumer_positions")
    await consumer._commit(topic, 0, items, first, records[-1].offset + 1)
