"""`Idempotency-Key` on creating POSTs: a client that repeats the request within 24 h gets the first answer, and 422 with another body.

A key belongs to the tenant of the path and to the subject of the token.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import Header, Request, Response
from sqlalchemy import Row

from shared.database import UnitOfWork
from shared.database.unit_of_work import lock_number
from shared.errors import Refused
from shared.web.auth import Principal

KEPT_HOURS = 24
ANSWER_MAX = 16 * 1024  # bytes of an answer that is kept
KEYS_MAX = 1000  # new keys of one tenant in an hour
NO_TENANT = "-"
_KEPT_HEADERS = ("location", "etag", "content-type")

# Two requests with one key at the same time: the second waits here until the first has committed, and then finds its answer. A lock and
# not the row itself, because the row comes with the answer.
_LOCK = "SELECT pg_advisory_xact_lock($1)"
_FIND = f"""
SELECT digest, status, headers, body FROM idempotency_keys
WHERE tenant = $1 AND subject = $2 AND key = $3 AND created_at > now() - interval '{KEPT_HOURS} hours'
"""  # noqa: S608 - a constant
# Seconds until the oldest of the last thousand keys is an hour old; no row: there were fewer.
_WAIT = f"""
SELECT ceil(extract(epoch FROM created_at + interval '1 hour' - now()))::int FROM idempotency_keys
WHERE tenant = $1 AND created_at > now() - interval '1 hour' ORDER BY created_at DESC OFFSET {KEYS_MAX - 1} LIMIT 1
"""  # noqa: S608 - a constant
_KEEP = """
INSERT INTO idempotency_keys (tenant, subject, key, digest, status, headers, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant, subject, key) DO UPDATE
SET digest = excluded.digest, status = excluded.status, headers = excluded.headers, body = excluded.body, created_at = now()
"""

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


async def idempotent(uow: UnitOfWork, request: Request, principal: Principal, key: str | None, act: Act, read: Read) -> Response:
    """Run `act` within the unit of work and keep its answer in the same transaction. Refusals (exceptions) changed nothing and are
    not kept.

    An answer above 16 kB is not kept: a repeated request then gets the first status and `Location` with what `read` answers. `read` takes
    the last part of that `Location`, which is the id of what was created.

    Raises Refused: "idempotency-key-reused" for another request under the same key, "too-many-requests".
    """
    if key is None:
        return await act()
    c = uow.connection
    digest = hashlib.sha256(b"\0".join((request.method.encode(), request.url.path.encode(), await request.body()))).digest()
    name = request.path_params.get("tenant", NO_TENANT), principal.subject, key
    await c.exec_driver_sql(_LOCK, (lock_number("idempotency", *name),))
    found = (await c.exec_driver_sql(_FIND, name)).one_or_none()
    if found is not None:
        if bytes(found.digest) != digest:
            raise Refused(
                "idempotency-key-reused",
                "This Idempotency-Key was already used for a different request. Use a new key for each new request.",
            )
        return await _again(found, read)
    wait = (await c.exec_driver_sql(_WAIT, name[:1])).scalar_one_or_none()
    if wait is not None:
        wait = max(wait, 1)
        detail = (
            f"The tenant used {KEYS_MAX} new values of Idempotency-Key in the last hour, which is the limit. Try again in {wait} seconds."
        )
        raise Refused("too-many-requests", detail, retry_after_seconds=wait)
    response = await act()
    body = bytes(response.body)
    is_kept = len(body) <= ANSWER_MAX
    kept = _KEPT_HEADERS if is_kept else ("location",)
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    await c.exec_driver_sql(_KEEP, (*name, digest, response.status_code, orjson.dumps(headers), body if is_kept else None))
    return response


async def _again(found: Row[Any], read: Read) -> Response:
    headers = orjson.loads(found.headers) | {"idempotency-replayed": "true"}
    if found.body is not None:
        return Response(found.body, found.status, headers=headers)
    response = await read(headers.get("location", "").rpartition("/")[2])
    response.status_code = found.status
    response.headers.update(headers)
    return response
