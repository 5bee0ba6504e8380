"""The same decision by PostgreSQL: one guarded conditional UPDATE for each command, on one hot pool."""

import asyncio
import time
from pathlib import Path

import asyncpg

from deploy.local import ports
from deploy.local.postgres import Server
from deploy.local.supervisor import Supervisor

CONNECTIONS = 16
TABLE = "CREATE TABLE pool (module text PRIMARY KEY, licences bigint NOT NULL, active bigint NOT NULL)"
DECIDE = "UPDATE pool SET active = active + 1 WHERE module = 'time' AND active < licences"


async def guarded_updates(folder: Path, commands: int) -> dict[str, int]:
    """Commands/s with synchronous_commit on and off. The server is durable (fsync on)."""
    server = Server(folder / "postgres", ports.pick())
    supervisor = Supervisor([server.part()], lambda _part, _line: None)
    await supervisor.start()
    try:
        setup = await asyncpg.connect(server.url)
        await setup.execute(TABLE)
        await setup.execute("INSERT INTO pool VALUES ('time', 1000000000, 0)")
        await setup.close()
        return {f"synchronous_commit_{mode}": await _measure(server.url, commands, mode) for mode in ("on", "off")}
    finally:
        await supervisor.stop()


async def _measure(url: str, commands: int, mode: str) -> int:
    connections = await asyncio.gather(*[asyncpg.connect(url, server_settings={"synchronous_commit": mode}) for _ in range(CONNECTIONS)])
    each = commands // CONNECTIONS

    async def decide(connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(DECIDE)
        for _ in range(each):
            await statement.fetch()

    began = time.perf_counter()
    await asyncio.gather(*[decide(connection) for connection in connections])
    seconds = time.perf_counter() - began
    await asyncio.gather(*[connection.close() for connection in connections])
    return round(each * CONNECTIONS / seconds)
