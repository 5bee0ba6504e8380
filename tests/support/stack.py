"""The whole local stack for end-to-end tests, on an event loop of its own, so that it lives across tests."""

import asyncio
import os
import secrets
import signal
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from deploy.local import postgres
from deploy.local.stack import SERVICES, VARIABLES, LocalStack, Service
from tests.support.backing import delete_topics

T = TypeVar("T")
START_SECONDS_MAX = 240
STOP_SECONDS_MAX = 60


class RunningStack:
    """Parts by name: kafka, postgres, mailbox, users, seats, invoicing, notifier. Made by the fixtures `stack` and `make_stack`."""

    def __init__(
        self, folder: Path, *, services: Sequence[Service] = SERVICES, extra: dict[str, str] | None = None, durable: bool = False
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stack", daemon=True)
        environment = dict(os.environ)
        # On a broker or server of the user's own, nothing else is touched.
        self._prefix = f"e{secrets.token_hex(3)}"
        if "SEATPOOL_KAFKA_BOOTSTRAP" in environment:
            environment["SEATPOOL_KAFKA_TOPIC_PREFIX"] = f"{self._prefix}."
        if "SEATPOOL_DATABASE_URL" in environment:
            environment["SEATPOOL_DATABASE_PREFIX"] = f"{self._prefix}_"
        self._stack = LocalStack(folder, services=services, durable=durable, environment=environment, extra=extra)

    def start(self) -> "RunningStack":
        self._thread.start()
        try:
            self._run(self._stack.__aenter__(), START_SECONDS_MAX)
        except BaseException:
            self._end_thread()
            raise
        return self

    def stop(self) -> None:
        try:
            self._run(self._stack.__aexit__(None, None, None), STOP_SECONDS_MAX)
            self._run(self._clean_up(), STOP_SECONDS_MAX)
        finally:
            self._end_thread()

    @property
    def addresses(self) -> dict[str, Any]:
        """Return the contents of stack.json."""
        return self._stack.addresses

    @property
    def folder(self) -> Path:
        """Return the state folder: SEATPOOL_STATE_DIR for the command `seatpool`."""
        return self._stack.state.folder

    def owns(self, part: str) -> bool:
        """Tell whether the part is a child, which a test can kill; an address from the environment or a container is none."""
        return part in self._stack.supervisor.pids()

    def pids(self) -> dict[str, int]:
        return self._stack.supervisor.pids()

    def starts(self, part: str) -> int:
        """Return how often the part was started."""
        return self._stack.supervisor.starts(part)

    def log(self, part: str) -> str:
        return (self.folder / "logs" / f"{part}.log").read_text()

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a part. It is started again after a moment; `await until_ready()` for that."""
        self._stack.kill(part, number)

    def pause(self, part: str) -> None:
        self._stack.pause(part)

    def resume(self, part: str) -> None:
        self._stack.resume(part)

    async def down(self, part: str) -> None:
        """Kill a part, and keep it down until `up`."""
        await self._await(self._stack.down(part))

    async def up(self, part: str) -> None:
        """Start a part, and return when it is ready again."""
        await self._await(self._stack.up(part))

    async def until_ready(self) -> None:
        """Wait until every part is up and ready, also after faults."""
        await self._await(self._all_ready())

    async def token(self, *, scope: str, **form: str) -> str:
        """Return an access token; without `tenant` it is for all tenants and needs the scope `operator`."""
        return await self._await(self._stack.token(scope=scope, **form))

    async def http(self, service: str, *, scope: str, **form: str) -> httpx.AsyncClient:
        """Return a client of the service's REST with an access token (`scope=`, `tenant=` as for `token`). Use it with `async with`."""
        headers = {"Authorization": f"Bearer {await self.token(scope=scope, **form)}"}
        return httpx.AsyncClient(base_url=self.addresses["services"][service], headers=headers, timeout=30)

    async def mails(self, **query: str) -> list[dict[str, Any]]:
        """Return the e-mails of the mailbox, newest first; `to` and `subject` filter them."""
        async with httpx.AsyncClient(base_url=self.addresses["mailbox_url"], timeout=30) as http:
            return list((await http.get("/api/messages", params=query)).raise_for_status().json())

    async def _all_ready(self) -> None:
        supervisor = self._stack.supervisor
        for part in supervisor.names():
            supervisor.up(part)
            if part in supervisor.pids():
                supervisor.send(part, signal.SIGCONT)
        for part in supervisor.names():
            await supervisor.until_ready(part)

    async def _clean_up(self) -> None:
        if VARIABLES["kafka"] in os.environ:
            await delete_topics(os.environ[VARIABLES["kafka"]], f"{self._prefix}.")
        if VARIABLES["postgres"] in os.environ:
            for name in self.addresses.get("database_urls", {}):
                await postgres.drop_database(os.environ[VARIABLES["postgres"]], f"{self._prefix}_{name}")

    async def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def _run(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
