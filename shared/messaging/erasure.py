"""Remove a person from the messages and answers that a service keeps: dead letters, and answers to creating POSTs.

A message about the person holds one of the person's identifiers as a whole JSON string (an id, a login, an e-mail address), in any case of
letters and under any id of a source. A message that holds the name alone may be about a namesake: it is emptied if it is done or discarded
when the person is erased. While an operator has to decide about it, it stays, because a namesake's message must not be lost; it is pruned
like all others after the decision. Messages of seats and invoicing hold opaque ids only, and stay. So does
`person_erased`: where it waits behind a dead letter, nobody is erased yet.
"""

import base64
import binascii
import json
import unicodedata
from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import LargeBinary, Text, bindparam, func, select, update

from shared.database import UnitOfWork
from shared.database.tables import dead_letters, idempotency_keys
from shared.messaging.dead_letters import rows
from shared.schemas.registry import type_of
from shared.schemas.topics import HR_EVENTS, USERS_EVENTS
from shared.schemas.users_v1 import PersonErased

ERASED: Final = "This message was about a person whose data were erased."
_BY: Final = "erasure"
_AT_ONCE: Final = 200
_CLOSED: Final = (rows.Status.DONE, rows.Status.DISCARDED)

_L = dead_letters.c
_LETTERS = (
    select(_L.id, _L.status, _L.headers, _L.value, _L.detail)
    .where(
        # Of a message whose headers cannot be read, the key says for which tenant it was.
        (_L.tenant == bindparam("of_tenant", type_=Text)) | (_L.tenant.is_(None) & (_L.key == bindparam("key", type_=LargeBinary))),
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


async def erase_kept(uow: UnitOfWork, tenant: str, identifiers: Collection[str], names: Collection[str] = ()) -> int:
    """Empty the kept messages and answers about a person; return the number of dead letters. Those still open are discarded."""
    for part in sorted({part for word in identifiers if word for part in _quoted(word)}):
        await uow.connection.execute(_FORGET, {"of_tenant": tenant, "part": part.hex()})
    keys, closed_keys = _keys(identifiers), _keys((*identifiers, *names))
    erased, given = 0, {"of_tenant": tenant, "key": tenant.encode(), "after": 0, "limit": _AT_ONCE}
    while found := (await uow.connection.execute(_LETTERS, given)).all():
        given["after"] = found[-1].id
        for letter in found:
            if is_about(closed_keys if letter.status in _CLOSED else keys, letter.headers, letter.value, letter.detail):
                await _erase(uow, letter.id)
                erased += 1
    return erased


async def _erase(uow: UnitOfWork, letter_id: int) -> None:
    found = await rows.get(uow.connection, letter_id, lock=True)
    if found is None:  # it was old, and is deleted
        return
    letter = found[0]
    if letter.blocks and letter.tenant is not None:
        await rows.lock_tenants(uow, letter.consumer_group, [letter.tenant])
    if letter.status not in _CLOSED:
        await rows.mark_discarded(uow, letter, reason=ERASED, by=_BY)
    await uow.connection.execute(_EMPTY, {"letter": letter_id})


def _quoted(word: str) -> set[bytes]:
    """Return the word as JSON writes it, with and without escapes."""
    return {json.dumps(word).encode(), json.dumps(word, ensure_ascii=False).encode()}


def _key(text: str) -> str:
    """Return what two texts have in common that differ only in the case of letters or in how these are encoded."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _keys(words: Collection[str]) -> frozenset[str]:
    return frozenset(key for word in words if (key := _key(word)))


def is_about(keys: Collection[str], headers: bytes, value: bytes | None, detail: str) -> bool:
    """Tell whether a kept message holds one of the identifiers. An e-mail address is also found in text that is no JSON."""
    text = _key((value or b"").decode("utf-8", "replace"))
    texts = {_key(each) for each in (*_texts(value or b""), *_header_texts(headers))}
    shown = _key(detail)
    return any(
        key in texts or f'"{key}"' in text or repr(key) in shown or ("@" in key and any(key in each for each in (text, shown, *texts)))
        for key in keys
    )


def _texts(content: bytes) -> list[str]:
    """Return the texts in a JSON document; none if it is none."""
    try:
        return list(_strings(json.loads(content)))
    except (ValueError, RecursionError):
        return []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _header_texts(headers: bytes) -> list[str]:
    try:
        return [base64.b64decode(value or "").decode("utf-8", "replace") for _, value in json.loads(headers)]
    except (ValueError, TypeError, binascii.Error):
        return []
