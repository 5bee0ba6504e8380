"""Logins, compared as people read them."""

import unicodedata

from services.users.domain.facts import Record


def login_key(login: str) -> str:
    """Return the same text for logins that differ only in case, in width or in how Unicode writes a letter."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold()).strip()


def claimed_login(before: Record | None, after: Record | None) -> str | None:
    """Return the key of a login that an employed person has after a change and did not have before it."""
    key = _held(after)
    return key if key is not None and key != _held(before) else None


def _held(record: Record | None) -> str | None:
    return (login_key(record.login) or None) if record is not None and record.employed else None
