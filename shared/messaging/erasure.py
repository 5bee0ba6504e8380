"""Remove a person from the messages and answers that a service keeps: dead letters, and answers to creating POSTs.

A message about the person holds one of the person's identifiers as a whole JSON string (an id, a login, an e-mail address). Messages of
seats and invoicing hold opaque ids only, and stay. So does `person_erased`: where it waits behind a dead letter, nobody is erased yet.
"""

import base64
import json
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Text, bindparam, func, select, update

from shared.database import UnitOfWork
from shared.database.tables import dead_letters, idempotency_keys
from shared.messaging.dead_letters import rows
from shared.schemas.registry import type_of
from shared.schemas.topics import HR_EVENTS, USERS_EVENTS
from shared.schemas.users_v1 import PersonErased

ERASED: Final = "This message was about a person whose data were erased."
_BY: Final = "erasure"
_AT_ONCE: Final = 200

_L = dead_letters.c
_LETTERS = (
    select(_L.id, _L.key, _L.headers, _L.value, _L.detail)
    .where(
        _L.tenant == bindparam("of_tenant", type_=Text),
        (_L.topic == USERS_EVENTS.name) | _L.topic.startswith(HR_EVENTS.name),
        _L.type.is_distinct_from(type_of(PersonErased)),
        _L.id > bindparam("after"),
    )
    .order_by(_L.id)
    .limit(bindparam("limit"))
)
_EMPTY = update(dead_letters).where(_L.id == bindparam("letter")).values(key=None, value=None, headers=b"[]", detail=ERASED)
_K = idempotency_keys.c
# The answer is read again from its `Location` when the request is repeated.
_FORGET = (
    update(idempotency_keys)
    .where(_K.tenant == bindparam("of_tenant", type_=Text), func.strpos(func.encode(_K.body, "hex"), bindparam("part", type_=Text)) > 0)
    .values(body=None)
)


async def erase_kept(uow: UnitOfWork, tenant: str, identifiers: Collection[str]) -> int:
    """Empty the kept messages and answers about a person; return the number of dead letters. Those still open are discarded."""
    words = [word for word in identifiers if word]
    for part in sorted({part for word in words for part in _quoted(word)}):
        await uow.connection.execute(_FORGET, {"of_tenant": tenant, "part": part.hex()})
    erased, after = 0, 0
    while found := (await uow.connection.execute(_LETTERS, {"of_tenant": tenant, "after": after, "limit": _AT_ONCE})).all():
        after = found[-1].id
        for letter in found:
            if is_about(words, letter.headers, letter.value, letter.detail):
                await _erase(uow, letter.id)
                erased += 1
    return erased


async def _erase(uow: UnitOfWork, letter_id: int) -> None:
    found = await rows.get(uow.connection, letter_id, lock=True)
    assert found is not None, "dead letters are never deleted"
    letter = found[0]
    if letter.blocks and letter.tenant is not None:
        await rows.lock_tenants(uow, letter.consumer_group, [letter.tenant])
    if letter.status not in (rows.Status.DONE, rows.Status.DISCARDED):
        await rows.mark_discarded(uow, letter, reason=ERASED, by=_BY)
    await uow.connection.execute(_EMPTY, {"letter": letter_id})


def _quoted(word: str) -> set[bytes]:
    """Return the word as JSON writes it, with and without escapes."""
    return {json.dumps(word).encode(), json.dumps(word, ensure_ascii=False).encode()}


def is_about(words: Sequence[str], headers: bytes, value: bytes | None, detail: str) -> bool:
    """Tell whether a kept message holds one of the identifiers. An e-mail address is also found in text that is no JSON."""
    body = value or b""
    for word in words:
        if any(part in body for part in _quoted(word)) or repr(word) in detail or base64.b64encode(word.encode()) in headers:
            return True
        if "@" in word and (word.encode() in body or word in detail):
            return True
    return False
