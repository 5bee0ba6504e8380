"""`python -m services.invoicing all` as its own process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson

from deploy.local.stack import EXAMPLE_SELLER
from shared.settings import KafkaSettings
from tests.support.invoicing import KEY
from tests.support.wait import wait_until


@asynccontextmanager
async def published_keys() -> AsyncIterator[str]:
    """What users publishes at its address."""
    keys = orjson.dumps({"keys": [KEY.as_dict(private=False) | {"kid": "test", "use": "sig", "alg": "Ed25519"}]})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(keys) + keys
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def environment_of(url: str, kafka: KafkaSettings, port: int, users_url: str) -> dict[str, str]:
    return EXAMPLE_SELLER | {
        "SEATPOOL_DATABASE_URL": url,
        "SEATPOOL_KAFKA_BOOTSTRAP": kafka.kafka_bootstrap,
        "SEATPOOL_KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "SEATPOOL_SEATS_PARTITIONS": str(kafka.seats_partitions),
        "SEATPOOL_PORT": str(port),
        "SEATPOOL_USERS_URL": users_url,
    }


async def start(environment: dict[str, str]) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.invoicing", "all", env=os.environ | environment, stdout=asyncio.subprocess.DEVNULL
    )

    async def ready() -> bool:
        assert process.returncode is None, "the process has ended"
        async with httpx.AsyncClient() as http:
            try:
                return (await http.get(f"http://127.0.0.1:{environment['SEATPOOL_PORT']}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    try:
        await wait_until(ready, what="the process to be ready")
    except BaseException:
        await kill(process)  # nobody else knows it
        raise
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the process, and wait for its end: only then does asyncio close the transport to it."""
    if process.returncode is None:
        process.kill()
    await process.wait()
