"""The jars of the Kafka broker, and those that other locks name.

jgo fetches them once from Maven Central into the user's cache folder, by a lock with hashes.
jgo fetches file by file and resolves nothing: its resolver picks another kafka-clients than the broker was built with.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).with_name("kafka.lock")
FETCHERS = 8

Fetch = Callable[["Jar", Path], bytes]


class HashMismatch(Exception):
    """A file is not the one that the lock names. It is not used and not kept."""


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> list[Jar]:
    """Return the entries of the lock. Each line is: group:artifact:version sha256."""
    jars = []
    for line in path.read_text().splitlines():
        coordinates, sha256 = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def cache_folder() -> Path:
    """Return the user's cache folder (XDG on Linux), which all checkouts share."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = str(Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache"))
    return Path(base) / "seatpool"


def default_folder(lock: Path = LOCK) -> Path:
    """Return the folder for this lock: checkouts of different versions do not replace each other's jars."""
    return cache_folder() / f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"


def fetch_from_central(jar: Jar, scratch: Path) -> bytes:
    from jgo.maven import MavenContext  # takes half a second to import; needed on the first start only

    context = MavenContext(repo_cache=scratch, timeout=60)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    return Path(artifact.resolve()).read_bytes()


def _right(path: Path, jar: Jar) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def ensure(folder: Path | None = None, lock: Path = LOCK, fetch: Fetch = fetch_from_central) -> Path:
    """Return the folder with exactly the jars of the lock. Each is checked now. Raises HashMismatch."""
    jars = read_lock(lock)
    folder = folder or default_folder(lock)
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(FETCHERS) as pool:
        missing = [
            jar for jar, right in zip(jars, pool.map(lambda jar: _right(folder / jar.file_name, jar), jars), strict=True) if not right
        ]
        if missing:
            scratch = Path(tempfile.mkdtemp(prefix="fetch-", dir=folder.parent))
            try:
                list(pool.map(lambda jar: _fetch_one(jar, folder, scratch, fetch), missing))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _fetch_one(jar: Jar, folder: Path, scratch: Path, fetch: Fetch) -> None:
    data = fetch(jar, scratch)
    found = hashlib.sha256(data).hexdigest()
    if found != jar.sha256:
        raise HashMismatch(f"{jar.group}:{jar.artifact}:{jar.version} has sha256 {found}, the lock says {jar.sha256}")
    part = scratch / f"{jar.file_name}.part"
    part.write_bytes(data)
    part.replace(folder / jar.file_name)  # atomic: neither a killed fetch nor two at once leave half a jar


def missing_count(folder: Path | None = None, lock: Path = LOCK) -> int:
    """Return how many jars a start would have to fetch, by name only, which is cheap."""
    folder = folder or default_folder(lock)
    return sum(not (folder / jar.file_name).exists() for jar in read_lock(lock))
