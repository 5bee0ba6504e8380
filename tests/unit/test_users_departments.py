"""A change of the largest department mapping keeps no other request waiting. Its database is the integration tests' matter."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from services.users.api.requests import DEPARTMENTS_MAX
from services.users.store import departments as store
from services.users.use_cases import bulk_reevaluation
from services.users.use_cases.departments import put_mapping
from shared.database import UnitOfWork
from shared.schemas.base import Actor

PAUSE_SECONDS_MAX, SECONDS_MAX = 0.05, 1.0  # of processor time, so that a busy machine fails no test


async def test_every_department_is_renamed_within_a_second_while_other_requests_come_between(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 80
    before, after = ({f"{name}{letter}{number}": "makers" for number in range(DEPARTMENTS_MAX)} for letter in "ab")

    async def nothing(*_: object) -> None: ...

    async def mapping(*_: object) -> dict[str, str]:
        return before

    monkeypatch.setattr(store, "mapping", mapping)
    monkeypatch.setattr(store, "replace", nothing)
    monkeypatch.setattr(bulk_reevaluation, "request", nothing)
    pauses: list[float] = []

    async def probe() -> None:
        while True:
            last = time.process_time()
            await asyncio.sleep(0)
            pauses.append(time.process_time() - last)

    uow, row = UnitOfWork(None), None  # type: ignore[arg-type]
    actor, at = Actor(kind="user", id="ann"), datetime(2026, 1, 1, tzinfo=UTC)
    limits: Any = None
    probing = asyncio.create_task(probe())
    await asyncio.sleep(0)
    await put_mapping("acme", uow, row, after, actor, at, limits)  # type: ignore[arg-type]
    probing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await probing
    assert len(uow._outbox) == 2 * DEPARTMENTS_MAX
    assert len(pauses) >= 2 * DEPARTMENTS_MAX // 100
    assert max(pauses) < PAUSE_SECONDS_MAX
    assert sum(pauses) < SECONDS_MAX
