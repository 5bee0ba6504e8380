"""A change of the largest department mapping keeps no other request waiting. Its database is the integration tests' matter."""

import asyncio
import contextlib
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from services.users.api.requests import DEPARTMENTS_MAX
from services.users.store import departments as store
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.departments import put_mapping
from shared.database import UnitOfWork
from shared.schemas.base import Actor

MESSAGES_AT_ONCE_MAX = 1_000  # each takes some 16 µs


async def test_other_requests_are_served_while_every_department_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 80
    old, new = ({f"{name}{letter}{number}": "makers" for number in range(DEPARTMENTS_MAX)} for letter in "ab")

    async def nothing(*_: object) -> None: ...

    async def mapping(*_: object) -> dict[str, str]:
        return old

    monkeypatch.setattr(store, "mapping", mapping)
    monkeypatch.setattr(store, "replace", nothing)
    monkeypatch.setattr(bulk_reevaluation, "request", nothing)
    published = [0]  # at each turn of the loop

    uow, row = UnitOfWork(None), None  # type: ignore[arg-type]
    actor, at = Actor(kind="user", id="ann"), datetime(2026, 1, 1, tzinfo=UTC)
    limits: Any = None

    async def probe() -> None:
        while True:
            published.append(len(uow._outbox))
            await asyncio.sleep(0)

    probing = asyncio.create_task(probe())
    await asyncio.sleep(0)
    await put_mapping("acme", uow, row, new, actor, at, limits)  # type: ignore[arg-type]
    probing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await probing
    assert len(uow._outbox) == 2 * DEPARTMENTS_MAX
    assert max(after - before for before, after in pairwise([*published, len(uow._outbox)])) <= MESSAGES_AT_ONCE_MAX
