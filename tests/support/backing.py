"""One broker and one PostgreSQL for a whole run of pytest, also under xdist, started when the first test needs them.

They belong to the controller (without xdist, pytest itself), because a worker may end before the others. Workers ask the controller
over a local socket: one JSON object a line, one line back.

They are, in this order: SEATPOOL_KAFKA_BOOTSTRAP and SEATPOOL_DATABASE_URL; containers with BACKEND=docker; else the local stack's own.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from deploy.local import containers, ports, postgres
from deploy.local.kafka import Broker
from deploy.local.postgres import Server
from deploy.local.settings import StackSettings
from deploy.local.supervisor import Part, Supervisor

START_SECONDS_MAX = 240
Address = tuple[str, int]


def description() -> str:
    """Return a line for the header of the run."""
    parts = []
    for name, variable, own in (
        ("Kafka", "SEATPOOL_KAFKA_BOOTSTRAP", "own broker"),
        ("PostgreSQL", "SEATPOOL_DATABASE_URL", "own server"),
    ):
        if variable in os.environ:
            where = os.environ[variable].rpartition("@")[2]  # without the password
            parts.append(f"{name} at {where} ({variable})")
        elif StackSettings.read(os.environ).backend == "docker":
            parts.append(f"{name} in a container (BACKEND=docker)")
        else:
            parts.append(f"{name}: {own}, started when a test needs it")
    return "stack: " + "; ".join(parts)


class Backing:
    """The servers of the run, in a thread with an event loop of the controller: children end with the thread that started them."""

    def __init__(self) -> None:
        self.run = f"t{secrets.token_hex(3)}"
        self._password = f"pw-{self.run}"
        self.address: Address | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="seatpool-tests-"))
        self._listening = threading.Event()
        self._supervisors: list[Supervisor] = []
        self._endings: list[Callable[[], None]] = []
        self._settings = StackSettings.read(os.environ)
        self._once: dict[str, asyncio.Task[Any]] = {}
        self._databases: list[str] = []
        self._numbers = iter(range(1, 1_000_000))
        self._migrating = asyncio.Lock()  # alembic keeps what it is doing in globals: one migration at a time in this process
        self._background: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="backing", daemon=True)

    def start(self) -> Address:
        if self.address is None:
            self._thread.start()
            self._listening.wait()
        assert self.address is not None
        return self.address

    def stop(self) -> None:
        if self.address is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()[:2]
        self._listening.set()
        await self._end.wait()
        server.close()
        unfinished = [*self._once.values(), *self._background]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if "SEATPOOL_DATABASE_URL" in os.environ:
            await self._drop_databases(os.environ["SEATPOOL_DATABASE_URL"])
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))
        for end in self._endings:
            await asyncio.to_thread(end)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        try:
            result: dict[str, Any] = {"result": await self._operations[request["operation"]](self, request)}
        except Exception as error:  # the test that asked fails with it
            result = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(result).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _first(self, key: str, make: Callable[[], Awaitable[str]]) -> str:
        """Make the value of the key once, even if many tests ask at the same time."""
        if key not in self._once:
            self._once[key] = asyncio.ensure_future(make())
        return await asyncio.shield(self._once[key])

    async def _kafka(self, _request: dict[str, Any]) -> str:
        return await self._first("kafka", self._make_kafka)

    async def _make_kafka(self) -> str:
        if external := os.environ.get("SEATPOOL_KAFKA_BOOTSTRAP"):
            return external
        if self._settings.backend == "docker":
            return await self._contain(partial(containers.start_kafka, self._settings.kafka_image))
        broker = Broker(self._folder / "kafka", ports.pick(), ports.pick())
        await self._supervise(broker.part())
        return broker.bootstrap

    async def _postgres(self, _request: dict[str, Any]) -> str:
        return await self._first("postgres", self._make_postgres)

    async def _make_postgres(self) -> str:
        if external := os.environ.get("SEATPOOL_DATABASE_URL"):
            return external
        if self._settings.backend == "docker":
            return await self._contain(partial(containers.start_postgres, self._settings.postgres_image))
        server = Server(self._folder / "postgres", ports.pick(), durable=False)
        await self._supervise(server.part())
        await postgres.close_to_public(server.url)
        return server.url

    async def _contain(self, start: Callable[[], tuple[str, Callable[[], None]]]) -> str:
        address, end = await asyncio.to_thread(start)
        self._endings.append(end)
        return address

    async def _supervise(self, part: Part) -> None:
        lines = (self._folder / f"{part.name}.log").open("a", buffering=1)
        supervisor = Supervisor([part], lambda _name, line: print(line, file=lines))
        self._supervisors.append(supervisor)
        await supervisor.start()

    async def _database(self, request: dict[str, Any]) -> str:
        """Make a database with the service's tables: a copy of one that was migrated once, which takes a tenth of the time."""
        server, service = await self._postgres({}), request["service"]
        role = f"{self.run}_{service}"
        template = await self._first(f"template {service}", lambda: self._make_template(server, service, role))
        name = f"{self.run}_{service}_{next(self._numbers)}"
        await postgres.ensure_database(server, name, f"{role}_owner", user=role, template=template)
        self._databases.append(name)
        return postgres.database_url(server, name, user=role, password=self._password)

    async def _make_template(self, server: str, service: str, role: str) -> str:
        name, owner = f"{role}_template", f"{role}_owner"
        await postgres.ensure_role(server, role, self._password)
        await postgres.ensure_role(server, owner, self._password)
        await postgres.ensure_database(server, name, owner, user=role)
        self._databases.insert(0, name)
        urls = [postgres.database_url(server, name, user=user, password=self._password) for user in (role, owner)]
        async with self._migrating:
            await asyncio.to_thread(migrate, service, *urls)
        return name

    async def _drop_databases(self, server: str) -> None:
        for name in reversed(self._databases):
            await postgres.drop_database(server, name)

    async def _forget_topics(self, request: dict[str, Any]) -> str:
        """Delete topics in the background: otherwise the small broker would have some thousand partitions at the end of a run."""
        task = asyncio.create_task(delete_topics(await self._kafka({}), request["prefix"]))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return ""

    _operations: dict[str, Callable[["Backing", dict[str, Any]], Awaitable[str]]] = {  # noqa: RUF012
        "kafka": _kafka,
        "postgres": _postgres,
        "database": _database,
        "forget_topics": _forget_topics,
    }


def ask(address: Address, operation: str, **details: str) -> str:
    """Ask the controller, from any process of the run."""
    with socket.create_connection(address, timeout=START_SECONDS_MAX) as connection:
        connection.sendall(json.dumps({"operation": operation, **details}).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    if "error" in answer:
        raise RuntimeError(f"the stack could not give {operation}: {answer['error']}")
    return str(answer["result"])


def owner_url(url: str) -> str:
    """Return the URL of the same database for the role that owns it, for a test that reads or changes it from outside."""
    parts = urlsplit(url)
    return postgres.database_url(url, parts.path[1:], user=f"{parts.username}_owner", password=parts.password)


def migrate(service: str, url: str, owner: str) -> None:
    from shared.database import migrate as migrations
    from shared.settings import DatabaseSettings

    migrations.upgrade(service, DatabaseSettings(database_url=SecretStr(url), migration_database_url=SecretStr(owner)))


async def delete_topics(bootstrap: str, prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        await client.delete_topics([name for name in await client.list_topics() if name.startswith(prefix)])
    finally:
        await client.close()
