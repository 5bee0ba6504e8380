"""The files that never change while the process runs: the stylesheet, the scripts and the icons. Their addresses contain their check sum,
so a browser keeps them for a year."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "static"
PREFIX: Final = "/static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIGEST_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    zipped: bytes
    media_type: str


@cache
def files() -> dict[str, StaticFile]:
    """Return the files by their addresses."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            found[_url(path.name, content)] = StaticFile(content, gzip.compress(content, 9, mtime=0), _TYPES[path.suffix])
    return found


def _url(name: str, content: bytes) -> str:
    return f"{PREFIX}/{hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]}/{name}"


@cache
def url_of(name: str) -> str:
    """Return the address of a file. Raises KeyError."""
    for url in files():
        if url.rpartition("/")[2] == name:
            return url
    raise KeyError(name)
