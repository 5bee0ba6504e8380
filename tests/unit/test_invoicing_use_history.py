"""Decisions tell the use of pools: the highest use of a day, and whether the forecast of the renewal got worse."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.invoicing.store import pool_days, renewal_forecasts, tenants
from services.invoicing.use_cases.use_history import Use, note_use
from shared.schemas.seats_v1 import PoolState

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def use(licences: int, next_period: int, *, active: int = 0, flagged: int = 0, held: int = 0, confirmed: bool = False) -> Use:
    numbers: dict[str, Any] = {"active": active, "flagged": flagged, "held": held, "waiting": 0, "available": 0}
    return Use("acme", AT, 1, 0, [PoolState(module="time", licences=licences, next_period=next_period, **numbers)], confirmed)


@pytest.mark.parametrize(
    ("given", "of_plan", "excess"),
    [
        (use(10, 10, active=10, flagged=5), None, None),  # over the limit, but the renewal flags nobody
        (use(10, 6, active=6), None, None),
        (use(10, 6, active=8), None, 2),
        (use(10, 6, active=7, held=1), None, 2),
        (use(10, 6, active=6, flagged=3), None, None),  # they are flagged already
        (use(10, 6, active=8, confirmed=True), None, None),  # the reduction's own confirmation says it
        (use(10, 0, active=8), None, None),  # a pool that closes releases its seats
        (use(10, 10, active=8), 6, 2),  # the scheduled plan allows six licences
        (use(10, 7, active=8), 6, 2),
        (use(10, 5, active=8), 6, 3),
        (use(10, 10, active=6), 6, None),
    ],
)
async def test_M15_a_forecast_is_made_only_if_a_scheduled_reduction_would_flag_more_people(
    given: Use, of_plan: int | None, excess: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Any] = []
    days: list[Any] = []

    async def find(*_: object) -> None: ...

    async def note(_: object, _tenant: str, found: list[Any]) -> None:
        days.extend(found)

    async def note_excess(_: object, found: list[Any]) -> None:
        noted.extend(each.excess for each in found)

    async def limits(*_: object) -> dict[tuple[str, str], int]:
        return {} if of_plan is None else {("acme", "time"): of_plan}

    monkeypatch.setattr(tenants, "find", find)
    monkeypatch.setattr(renewal_forecasts, "limits", limits)
    monkeypatch.setattr(pool_days, "note", note)
    monkeypatch.setattr(renewal_forecasts, "note_excess", note_excess)
    uow: Any = type("UnitOfWork", (), {"connection": None})()
    await note_use(uow, [given])
    assert noted == ([] if excess is None else [excess])
    (pool,) = given.pools
    assert [(day.day, day.highest) for day in days] == [(date(2026, 3, 2), pool.active + pool.flagged + pool.held)]
