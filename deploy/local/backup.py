"""Back up and restore the database of a service with PostgreSQL's own tools, in the way that docs/operating.md describes."""

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import postgres


async def dump(server_url: str, database: str, file: Path) -> None:
    """Write a backup of the database, while its service runs. Raises RuntimeError with the words of `pg_dump`."""
    await _run("pg_dump", server_url, database, "--format=custom", f"--file={file}")


async def restore(server_url: str, database: str, file: Path, *, owner: str, user: str) -> None:
    """Replace the database by its backup. Stop its service before. Both roles must exist; the backup gives them what they owned and were
    granted. Raises RuntimeError with the words of `pg_restore`."""
    await postgres.drop_database(server_url, database)
    await postgres.ensure_database(server_url, database, owner, user=user)
    await _run("pg_restore", server_url, database, "--exit-on-error", str(file))


async def _run(tool: str, server_url: str, database: str, *arguments: str) -> None:
    server = urlsplit(server_url)
    process = await asyncio.create_subprocess_exec(
        str(postgres.binaries() / tool),
        f"--host={server.hostname}",
        f"--port={server.port or 5432}",
        f"--username={server.username}",
        "--no-password",
        f"--dbname={database}",
        *arguments,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGPASSWORD": server.password or ""},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{tool} of {database} failed: {error.decode(errors='replace').strip()}")
