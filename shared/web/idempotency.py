"""`Idempotency-Key` on creating POSTs: the first answer for 24 h to whoever repeats the request, 422 for the same key with another body."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

import orjson
from fastapi import Header, Request, Response

from shared.database import UnitOfWork
from shared.database.unit_of_work import lock_number
from shared.errors import Refused
from shared.web.auth import Principal

KEPT_HOURS = 24
_KEPT_HEADERS = ("location", "etag")

# Two requests with one key at the same time: the second waits here until the first has committed, and then finds its answer. A lock and
# not the row itself, because the row comes with the answer.
_LOCK = "SELECT pg_advisory_xact_lock($1)"
_FIND = f"""
SELECT digest, status, headers, body FROM idempotency_keys
WHERE subject = $1 AND key = $2 AND created_at > now() - interval '{KEPT_HOURS} hours'
"""  # noqa: S608 - a constant
_KEEP = """
INSERT INTO idempotency_keys (subject, key, digest, status, headers, body) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (subject, key) DO UPDATE
SET digest = excluded.digest, status = excluded.status, headers = excluded.headers, body = excluded.body, created_at = now()
"""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeat a request with the same key and it is done once; the first answer is given again for 24 hours.",
    ),
]


async def idempotent(
    uow: UnitOfWork, request: Request, principal: Principal, key: str | None, act: Callable[[], Awaitable[Response]]
) -> Response:
    """Run `act` within the unit of work and keep its answer in the same transaction. Refusals (exceptions) changed nothing and are
    not kept.

    Raises Refused("idempotency-key-reused") for another request under the same key.
    """
    if key is None:
        return await act()
    digest = hashlib.sha256(b"\0".join((request.method.encode(), request.url.path.encode(), await request.body()))).digest()
    await uow.connection.exec_driver_sql(_LOCK, (lock_number("idempotency", principal.subject, key),))
    found = (await uow.connection.exec_driver_sql(_FIND, (principal.subject, key))).one_or_none()
    if found is not None:
        if bytes(found.digest) != digest:
            raise Refused("idempotency-key-reused", "This Idempotency-Key was used for another request.")
        return Response(found.body, found.status, headers=orjson.loads(found.headers) | {"idempotency-replayed": "true"})
    response = await act()
    headers = {name: response.headers[name] for name in (*_KEPT_HEADERS, "content-type") if name in response.headers}
    await uow.connection.exec_driver_sql(
        _KEEP, (principal.subject, key, digest, response.status_code, orjson.dumps(headers), bytes(response.body))
    )
    return response
