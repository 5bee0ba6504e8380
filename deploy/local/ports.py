"""Free ports for the parts of the stack. After a restart they are the same, if they are still free."""

import fcntl
import json
import os
import random
import socket
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

# Below the range that Linux (32768 up) and macOS (49152 up) take outgoing connections' ports from, so that none of those can sit on a
# port between its choice and its use.
LOWEST, HIGHEST = 20_000, 32_000
TRIES_MAX = 200
_OWN: set[int] = set()  # reserved by this process


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


@cache
def _locks() -> int:
    """Open the file of reservations, which stays open: as soon as it is closed, the locks of this process are gone."""
    return os.open(Path(tempfile.gettempdir()) / f"seatpool-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _reserve(port: int) -> bool:
    """Reserve the port until this process ends, unless another one has. A part listens only seconds after its port was chosen, and
    meanwhile another stack may start. The lock is on the byte of that number in a file; the kernel removes it with the process."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _OWN.add(port)
    return True


def pick(taken: frozenset[int] = frozenset()) -> int:
    """Return a free port, which no other process of this user picks while this one runs."""
    source = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = source.randint(LOWEST, HIGHEST)
        if port not in taken | _OWN and is_free(port) and _reserve(port):
            return port
    raise OSError(f"there is no free port between {LOWEST} and {HIGHEST}")


class Ports:
    """The ports of one stack. A file keeps them, so that a client finds its part again after a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, wanted: int | None = None) -> int:
        """Return the port `wanted`, which must be free; without it the port of last time, or any free one."""
        if wanted is not None:
            if not is_free(wanted):
                raise OSError(f"another process uses port {wanted}, which is set for {name}. Free the port, or set another one")
            port = wanted
        else:
            port = self._known.get(name, 0)
            if not port or not is_free(port) or not _reserve(port):
                port = pick(frozenset(self._known.values()))
        self._known[name] = port
        self._path.write_text(json.dumps(self._known, indent=2, sort_keys=True))
        return port
