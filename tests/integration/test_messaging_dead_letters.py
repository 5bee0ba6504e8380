"""What cannot be handled is put aside with its bytes, and the rest goes on."""

import asyncio
import base64

import orjson
import pytest
from prometheus_client import REGISTRY

from shared.errors import Conflict, NotFound, Poison
from shared.messaging import DeadLetters
from shared.messaging import consumer as consumer_module
from shared.messaging.dead_letters import service as service_module
from shared.schemas import topics
from shared.schemas.envelope import Envelope
from shared.schemas.topics import Topic
from tests.support.messaging import Rig, envelope_of, facts, left, rows, settled
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack


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


async def test_a_handler_that_refuses_leaves_nothing_of_its_own_behind(rig: Rig) -> None:
    """Its rows are rolled back, those of the messages before and after it stay."""
    rig.handled.poison = {"bad"}
    for who in ("p1", "bad", "p2"):
        await rig.send(left(who))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(2) == ["p1", "p2"]
    (letter,) = await rows(rig.database, "dead_letters")
    assert (letter.reason, letter.detail) == ("test", "bad is refused")


async def test_what_waits_for_a_person_is_counted_until_it_is_done(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "WATCH_EVERY_S", 0.05)

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("seatpool_dead_letters_open", {"group": "test"})

    rig.handled.poison = {"bad"}
    await rig.send(left("bad"))
    consumer = rig.consumer()
    async with rig.running(consumer):
        await wait_until(lambda: waiting() == 1, what="the count")
        rig.handled.poison = set()
        (letter,) = await rows(rig.database, "dead_letters")
        assert (await DeadLetters(rig.database, [consumer]).retry(letter.id))["done"] == [letter.id]
        await wait_until(lambda: waiting() == 0, what="the count after the retry")


async def test_what_the_database_will_not_store_becomes_a_dead_letter(rig: Rig) -> None:
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


async def test_a_decision_without_a_position_becomes_a_dead_letter(rig: Rig) -> None:
    await rig.send(settled(0, 1), message_id="no-position")
    await rig.send(settled(0, 1), message_id="seats.commands.v1/3/5/0")  # another partition than it lies in
    await rig.send(settled(0, 1), message_id="seats.commands.v1/0/6/0")
    async with rig.running(rig.consumer(topics.SEATS_EVENTS)):
        assert await rig.until_facts(1) == ["seats.commands.v1/0/6/0"]
    assert [row.reason for row in await rows(rig.database, "dead_letters")] == ["position", "position"]


async def test_retry_runs_the_handler_on_the_stored_bytes(rig: Rig) -> None:
    rig.handled.poison = {"bad"}
    await rig.send(left("bad"), message_id="m1")
    await rig.send(left("p2"))
    consumer = rig.consumer()
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        await rig.until_facts(1)
        (listed,) = await dead_letters.list()
        assert (await dead_letters.retry(listed["id"]))["failed"] == listed["id"]  # still refused
        rig.handled.poison.clear()
        again = await dead_letters.retry(listed["id"])
        assert again == {
            "done": [listed["id"]],
            "failed": None,
            "reason": None,
            "detail": None,
            "next": None,
        }
        assert await facts(rig.database) == ["p2", "bad"]
        await rig.send(left("bad"), message_id="m1")  # the message repeated: the inbox knows it
        await rig.until_at_end(consumer)
    assert await facts(rig.database) == ["p2", "bad"]
    assert await dead_letters.list() == []
    assert [(row["status"], row["attempts"]) for row in await dead_letters.list(status="done")] == [("done", 2)]
    with pytest.raises(Conflict):
        await dead_letters.retry(listed["id"])
    with pytest.raises(NotFound):
        await dead_letters.retry(999_999)


async def test_a_blocked_tenant_waits_in_order_and_others_go_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what depends on order (invoices, the action log): nothing of the tenant passes its dead letter."""
    rig.handled.poison = {"a2"}
    for who, tenant in (("a1", "acme"), ("a2", "acme"), ("g1", "globex"), ("a3", "acme")):
        await rig.send(left(who), tenant)
    consumer = rig.consumer(blocks_tenant=True)
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        assert sorted(await rig.until_facts(2)) == ["a1", "g1"]
        await rig.send(left("a4"), "acme")  # in a later batch
        await rig.until_at_end(consumer)
        listed = await dead_letters.list("acme")
        assert [row["reason"] for row in listed] == ["test", "behind-dead-letter", "behind-dead-letter"]
        with pytest.raises(Conflict, match="retried first"):
            await dead_letters.retry(listed[1]["id"])
        rig.handled.poison = {"a4"}
        with monkeypatch.context() as patch:
            patch.setattr(service_module, "RETRIED_AT_ONCE", 1)
            answer = await dead_letters.retry(listed[0]["id"])
        assert (answer["done"], answer["next"]) == ([listed[0]["id"]], listed[1]["id"])
        answer = await dead_letters.retry(listed[1]["id"])  # one succeeds, the next is refused and keeps its place
        assert (answer["done"], answer["failed"]) == ([listed[1]["id"]], listed[2]["id"])
        await rig.send(left("a5"), "acme")
        await rig.until_at_end(consumer)
        rig.handled.poison.clear()
        await dead_letters.retry(listed[2]["id"])
        await rig.send(left("a6"), "acme")
        await rig.until_facts(7)
    assert [said for said in await facts(rig.database) if said.startswith("a")] == ["a1", "a2", "a3", "a4", "a5", "a6"]


async def test_retrying_while_messages_arrive_leaves_none_behind_an_empty_queue(rig: Rig) -> None:
    rig.handled.poison = {"a0"}
    await rig.send(left("a0"))
    consumer = rig.consumer(blocks_tenant=True, batch_max=2)
    dead_letters = DeadLetters(rig.database, [consumer])
    async with rig.running(consumer):
        await rig.until_at_end(consumer)
        (first,) = await dead_letters.list()
        rig.handled.poison.clear()

        async def arrive() -> None:
            for number in range(1, 40):
                await rig.send(left(f"a{number}"))

        await asyncio.gather(arrive(), dead_letters.retry(first["id"]))
        await rig.until_at_end(consumer)
    assert await dead_letters.list() == []
    assert await facts(rig.database) == [f"a{number}" for number in range(40)]
