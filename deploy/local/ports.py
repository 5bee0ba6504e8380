"""Free ports for the parts of the stack. After a restart they are the same, if they are still free."""

import json
import random
import socket
from contextlib import closing
from pathlib import Path

# Below the range that Linux (32768 up) and macOS (49152 up) take outgoing connections' ports from, so that none of those can sit on a
# port between its choice and its use.
LOWEST, HIGHEST = 20_000, 32_000
TRIES_MAX = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def pick(taken: frozenset[int] = frozenset()) -> int:
    source = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = source.randint(LOWEST, HIGHEST)
        if port not in taken and is_free(port):
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
            if not port or not is_free(port):
                port = pick(frozenset(self._known.values()))
        self._known[name] = port
        self._path.write_text(json.dumps(self._known, indent=2, sort_keys=True))
        return port
