"""A connection that breaks at a bad moment, and a client that is broken for good, stop nobody."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, KafkaTimeoutError
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest

from shared import kafka
from shared.errors import Transient
from shared.kafka import Ends
from shared.settings import KafkaSettings

TP = TopicPartition("some", 0)
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing sends a reset, as the end of a process with unread requests does


async def connect(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> AIOKafkaConnection:
    """Return a connection to a broker that knows one kind of request."""

    async def no_lookup(connection: AIOKafkaConnection) -> None:
        connection._versions = {3: (1, 1)}

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", no_lookup)
    connection = AIOKafkaConnection(*listener.getsockname())
    await connection.connect()
    return connection


async def lose(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> AIOKafkaConnection:
    """Return a connection that the other side has reset, at the moment when aiokafka has not noticed it yet."""
    connection = await connect(listener, monkeypatch)
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    accepted.close()
    while not repr(connection._writer.transport).startswith("<TCPTransport closed=True"):
        await asyncio.sleep(0)
    assert connection.connected(), "aiokafka has noticed it already"
    return connection


@pytest.mark.parametrize("send", [lambda c: c.send(MetadataRequest([])), lambda c: c._send_sasl_token(b"token")], ids=["request", "token"])
def test_a_request_in_the_moment_in_which_a_connection_breaks_fails_as_one_on_a_broken_connection(
    send: Callable[[AIOKafkaConnection], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the loop of the services: asyncio's own raises nothing there. aiokafka's tasks die of another error."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = await lose(listener, monkeypatch)
            with pytest.raises(KafkaConnectionError):
                await send(connection)
            assert not connection.connected()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    ("versions", "expected"), [({}, IncompatibleBrokerVersion), ({12: (90, 99)}, NotImplementedError)], ids=["none", "newer ones"]
)
async def test_a_request_that_the_broker_does_not_know_is_named_and_breaks_no_connection(
    versions: dict[int, tuple[int, int]], expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's errors are RuntimeErrors, as that of a broken connection is: repeated again and again, nobody would see the cause."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await connect(listener, monkeypatch)
        connection._versions |= versions
        with pytest.raises(expected):
            await connection.send(HeartbeatRequest("group", 1, "member"))
        assert connection.connected()
        connection.close()


class Client:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer, self.stopped = answer, False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        answer: Any = self._answer()
        if asyncio.iscoroutine(answer):
            answer = await answer
        found: dict[TopicPartition, int] = answer
        return found


def raises(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    "answer",
    [lambda: asyncio.Event().wait(), lambda: raises(KafkaTimeoutError()), lambda: raises(asyncio.CancelledError())],
    ids=["hangs", "gives up", "is cancelled"],
)
async def test_after_a_question_without_an_answer_the_next_one_has_a_new_client(
    answer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, works = Client(answer), Client(lambda: {TP: 7})
    clients = [works, broken]
    monkeypatch.setattr(kafka, "make_reader", lambda _: clients.pop())
    monkeypatch.setattr(kafka, "ENDS_TIMEOUT_SECONDS", 0.05)
    ends = Ends(KafkaSettings())
    with pytest.raises(Transient):
        await ends.of([TP])
    assert broken.stopped
    monkeypatch.setattr(kafka, "ENDS_TIMEOUT_SECONDS", 30)
    assert await ends.of([TP]) == {TP: 7}
    assert await ends.of([TP]) == {TP: 7}, "with the same client"


async def test_a_client_that_is_replaced_answers_the_questions_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slowly() -> dict[TopicPartition, int]:
        asked.set()
        await answered.wait()
        return {TP: 7}

    answers = [lambda: raises(KafkaTimeoutError()), slowly]
    client = Client(lambda: answers.pop()())
    monkeypatch.setattr(kafka, "make_reader", lambda _: client)
    ends = Ends(KafkaSettings())
    slow = asyncio.create_task(ends.of([TP]))
    await asked.wait()
    with pytest.raises(Transient):
        await ends.of([TP])
    assert not client.stopped
    answered.set()
    assert await slow == {TP: 7}
    assert client.stopped
