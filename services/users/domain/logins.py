"""Logins, compared as people read them."""

import hashlib
import unicodedata
from functools import lru_cache
from typing import Final

from services.users.domain.facts import Record
from shared.text import without_unseen

KEY_BYTES_MAX: Final = 1000  # an index of PostgreSQL takes at most 2704 bytes


@lru_cache(maxsize=4_096)  # a change of a person compares the same login more than ten times
def login_key(login: str) -> str:
    """Return the same text for logins that differ only in case, in width, in characters that nobody sees or in how Unicode writes a letter.

    Unicode writes some letters as up to eighteen. A key that an index may not take is a digest instead.
    """
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", without_unseen(login)).casefold()).strip()
    content = key.encode()
    return key if len(content) <= KEY_BYTES_MAX else hashlib.blake2b(content).hexdigest()


def claimed_login(before: Record | None, after: Record | None) -> str | None:
    """Return the key of a login that an employed person has after a change and did not have before it."""
    key = _held(after)
    return key if key is not None and key != _held(before) else None


def _held(record: Record | None) -> str | None:
    return (login_key(record.login) or None) if record is not None and record.employed else None
