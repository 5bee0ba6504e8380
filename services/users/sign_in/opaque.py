"""Opaque secrets: random texts that their holder shows, and of which only a hash is stored."""

import hashlib
import secrets
from typing import Final

SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Return a new secret with 256 random bits, in letters that need no escaping in URLs."""
    return secrets.token_urlsafe(SECRET_BYTES)


def hash_of(secret: str) -> bytes:
    """Return the hash that is stored. A plain hash is enough, because nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
