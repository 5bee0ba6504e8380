"""`Idempotency-Key` on creating POSTs: a client that repeats the request within 24 h gets the first answer, and 422 with
another body or query.

A key belongs to the tenant of the path and to the subject of the token.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Annotated

import orjson
from fastapi import Header, Request, Response
from sqlalchemy import Integer, bindparam, cast, extract, func, select
from sqlalchemy.dialects.postgresql import insert

from shared.database import UnitOfWork
from shared.database.tables import idempotency_keys as table
from shared.database.unit_of_work import lock_number
from shared.errors import Refused
from shared.web.auth import Principal

KEPT_HOURS = 24
ANSWER_MAX = 16 * 1024  # bytes of an answer that is kept, if its route says nothing else
KEYS_MAX = 1000  # new keys of one tenant in an hour
NO_TENANT = "-"
_HOUR = timedelta(hours=1)
_KEPT_HEADERS = ("location", "etag", "content-type")

# Two requests with one key at the same time: the second waits here until the first has committed, and then finds its answer. A lock and
# not the row itself, because the row comes with the answer.
_LOCK = "SELECT pg_advisory_xact_lock($1)"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    digest: bytes
    status: int
    headers: bytes
    body: bytes | None


_OWN = (table.c.tenant == bindparam("of_tenant"), table.c.subject == bindparam("of_subject"), table.c.key == bindparam("of_key"))
_FIND = select(*(table.c[field.name] for field in fields(KeptAnswer))).where(
    *_OWN, table.c.created_at > func.now() - timedelta(hours=KEPT_HOURS)
)
# Seconds until the oldest of the last thousand keys is an hour old; no row: there were fewer.
_WAIT = (
    select(cast(func.ceil(extract("epoch", table.c.created_at + _HOUR - func.now())), Integer))
    .where(table.c.tenant == bindparam("of_tenant"), table.c.created_at > func.now() - _HOUR)
    .order_by(table.c.created_at.desc())
    .offset(KEYS_MAX - 1)
    .limit(1)
)
_NEW = insert(table).values({column.name: bindparam(f"new_{column.name}") for column in table.c if column.name != "created_at"})
_KEEP = _NEW.on_conflict_do_update(
    index_elements=list(table.primary_key),
    set_={name: _NEW.excluded[name] for name in ("digest", "status", "headers", "body")} | {"created_at": func.now()},
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A request that is repeated with the same key takes effect once. For 24 hours, the repetition gets the first answer. "
        f"A tenant can use {KEYS_MAX} new keys an hour.",
    ),
]


Act = Callable[[], Awaitable[Response]]
Read = Callable[[str], Awaitable[Response]]


async def idempotent(
    uow: UnitOfWork,
    request: Request,
    principal: Principal,
    key: str | None,
    act: Act,
    read: Read,
    *,
    keep_body: bool = True,
    kept_max: int = ANSWER_MAX,
) -> Response:
    """Run `act` within the unit of work and keep its answer in the same transaction. Refusals (exceptions) changed nothing and are
    not kept.

    An answer above `kept_max` bytes is not kept: a repeated request then gets the first status and `Location` with what `read` answers.
    `read` takes the last part of that `Location`, which is the id of what was created. With `keep_body` false, no answer is kept: it has
    a secret.

    Raises Refused: "idempotency-key-reused" for another request under the same key, "too-many-requests".
    """
    if key is None:
        return await act()
    c = uow.connection
    digest = _digest(request.method, request.url.path, request.url.query, await request.body())
    tenant, subject = request.path_params.get("tenant", NO_TENANT), principal.subject
    await c.exec_driver_sql(_LOCK, (lock_number("idempotency", tenant, subject, key),))
    found = (await c.execute(_FIND, {"of_tenant": tenant, "of_subject": subject, "of_key": key})).one_or_none()
    if found is not None:
        kept_answer = KeptAnswer(*found)
        if bytes(kept_answer.digest) != digest:
            raise Refused(
                "idempotency-key-reused",
                "This Idempotency-Key was already used for a different request. Use a new key for each new request.",
            )
        return await _again(kept_answer, read)
    wait = (await c.execute(_WAIT, {"of_tenant": tenant})).scalar_one_or_none()
    if wait is not None:
        wait = max(wait, 1)
        detail = (
            f"The tenant used {KEYS_MAX} new values of Idempotency-Key in the last hour, which is the limit. Try again in {wait} seconds."
        )
        raise Refused("too-many-requests", detail, retry_after_seconds=wait)
    response = await act()
    body = bytes(response.body)
    is_kept = keep_body and len(body) <= kept_max
    kept = _KEPT_HEADERS if is_kept else ("location",)
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    row = {"tenant": tenant, "subject": subject, "key": key, "digest": digest, "status": response.status_code}
    row |= {"headers": orjson.dumps(headers), "body": body if is_kept else None}
    await c.execute(_KEEP, {f"new_{name}": value for name, value in row.items()})
    return response


def _digest(method: str, path: str, query: str, body: bytes) -> bytes:
    """Return what tells the request from others. Without a query, it is the one that earlier releases have stored."""
    digest = hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()
    return hashlib.sha256(digest + query.encode()).digest() if query else digest


async def _again(found: KeptAnswer, read: Read) -> Response:
    headers = orjson.loads(found.headers) | {"idempotency-replayed": "true"}
    if found.body is not None:
        return Response(found.body, found.status, headers=headers)
    response = await read(headers.get("location", "").rpartition("/")[2])
    response.status_code = found.status
    response.headers.update(headers)
    return response
