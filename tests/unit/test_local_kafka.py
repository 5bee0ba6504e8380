"""Questions of the local stack to its broker."""

import asyncio
import gc

import pytest
from aiokafka.conn import AIOKafkaConnection

from deploy.local import kafka


async def test_a_question_to_a_broker_that_is_cancelled_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when another part does not start while the stack waits for the broker."""

    async def no_lookup(connection: AIOKafkaConnection) -> None:
        connection._versions = {3: (1, 1)}

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", no_lookup)
    monkeypatch.setattr(kafka, "ANSWER_SECONDS_MAX", 0.2)
    asked, closed = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):  # the first connection only looks whether anybody is there
            asked.set()
            await reader.read()
            closed.set()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        asking = asyncio.create_task(kafka.cluster_id_at(f"{host}:{port}"))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        gc.collect()  # an open connection is reported when it is collected, and would close then
        async with asyncio.timeout(10):
            await closed.wait()
