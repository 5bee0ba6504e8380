"""Erase a person whose data users has erased."""

import html
import re
from typing import Final

from services.notifier.store import erasures
from shared.database import UnitOfWork
from shared.messaging import Message
from shared.messaging.erasure import erase_kept
from shared.schemas.users_v1 import PersonErased

INSTEAD: Final = "[erased]"


def pattern_of(text: str) -> str:
    """Return a regular expression of PostgreSQL that finds the text as whole words, also as HTML writes it."""
    forms = {text, html.escape(text), text.replace("&", "&amp;"), html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")}
    return r"(?<!\w)(?:" + "|".join(sorted(map(_quoted, forms), key=len, reverse=True)) + r")(?!\w)"


def _quoted(text: str) -> str:
    return re.sub(r"([^\w\s])", r"\\\1", text)


async def erase_person(uow: UnitOfWork, message: Message[PersonErased]) -> None:
    """Erase the person from recipients, notifications, e-mails and kept messages."""
    user = message.payload.user
    await uow.run_pending()  # what earlier messages of this batch say about the person
    texts = await erasures.texts_of(uow.connection, message.tenant, user)
    await erase_kept(uow, message.tenant, [user, *(text for text in texts if "@" in text)])
    await erasures.erase(uow.connection, message.tenant, user, [pattern_of(text) for text in sorted(texts)], INSTEAD)
