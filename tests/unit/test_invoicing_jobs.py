"""The background jobs of invoicing: what fails for one tenant or one document keeps no other waiting."""

from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from services.invoicing.jobs import end_days, render_pdfs
from services.invoicing.jobs.due_actions import RETRY_SECONDS, DueActions
from services.invoicing.store import due_actions, pdfs, subscriptions
from services.invoicing.store.due_actions import DueAction
from shared.errors import Poison, Transient


@asynccontextmanager
async def unit_of_work(_: object) -> Any:
    yield SimpleNamespace(connection=None)


DATABASE: Any = SimpleNamespace(unit_of_work=unit_of_work)


async def test_days_of_one_tenant_that_cannot_be_charged_keep_no_other_tenant_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {"acme": ValueError("a bug"), "globex": Poison("history", "it contradicts itself"), "initech": Transient("a lock")}
    charged: list[str] = []
    before, parked = {"umbrella": "an old reason"}, dict[str, str]()

    async def set_reason(_: object, tenant: str, reason: str) -> None:
        parked[tenant] = reason

    async def open_days(_: object) -> list[Any]:
        tenants = [*errors, "umbrella"]
        return [
            SimpleNamespace(tenant_id=tenant, open_day=date(2026, 3, 1), time_zone="UTC", reason=before.get(tenant, ""))
            for tenant in tenants
        ]

    async def charge(_: object, tenant: str, *__: object) -> None:
        if tenant in errors:
            raise errors[tenant]
        charged.append(tenant)

    monkeypatch.setattr(subscriptions, "open_days", open_days)
    monkeypatch.setattr(subscriptions, "set_reason", set_reason)
    monkeypatch.setattr(end_days, "end_days", charge)
    clock = SimpleNamespace(now=lambda: datetime(2026, 3, 2, 12, tzinfo=UTC))
    wiring: Any = SimpleNamespace(database=DATABASE, clock=clock, settings=None)
    await end_days.end_days_of_all(wiring)
    assert charged == ["umbrella"]
    assert parked == {"globex": "the changes of 2026-03-01 cannot be charged: history: it contradicts itself", "umbrella": ""}


async def test_an_invoice_whose_pdf_cannot_be_made_does_not_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def next_unrendered(_: object, failed: set[str]) -> Any:
        left = [each for each in ("bad", "good") if each not in failed and each not in made]
        return SimpleNamespace(tenant_id="acme", invoice=left[0], document=f'"{left[0]}"') if left else None

    async def render(document: str, logo: str | None) -> tuple[bytes, bytes | None, bool]:
        if document == "bad":
            raise TypeError("a bug of the layout")
        return b"%PDF", b"<Invoice/>", True

    async def add(_connection: object, _tenant: str, invoice: str, *_: object) -> None:
        made.append(invoice)

    monkeypatch.setattr(pdfs, "next_unrendered", next_unrendered)
    monkeypatch.setattr(pdfs, "add", add)
    monkeypatch.setattr(render_pdfs, "render_aside", render)
    renderer = render_pdfs.PdfRenderer(DATABASE, logo=None)
    assert [await renderer.render_one() for _ in range(3)] == [True, True, False]
    assert made == ["good"]


async def test_a_due_action_that_fails_keeps_no_other_waiting_and_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now, errors, done = datetime(2026, 3, 2, 12, tzinfo=UTC), {"acme": ValueError("a bug"), "globex": Transient("a lock")}, list[str]()
    left = [DueAction(tenant, "reminder", "1", now) for tenant in ("acme", "globex", "initech")]

    async def due(*_: object) -> list[DueAction]:
        return [each for each in left if each.tenant_id not in done]

    async def take(*_: object) -> bool:
        return True

    async def handle(_wiring: object, _uow: object, action: DueAction) -> None:
        if error := errors.get(action.tenant_id):
            raise error
        done.append(action.tenant_id)

    monkeypatch.setattr(due_actions, "due", due)
    monkeypatch.setattr(due_actions, "take", take)
    clock = SimpleNamespace(now=lambda: now, seconds=0.0)
    clock.monotonic = lambda: clock.seconds
    wiring: Any = SimpleNamespace(database=DATABASE, clock=clock)
    job = DueActions(wiring, {"reminder": handle})
    assert (await job.run_once(), done) == (1, ["initech"])
    errors.clear()
    assert await job.run_once() == 0, "not at once: a bug would be logged without end"
    clock.seconds += RETRY_SECONDS
    assert (await job.run_once(), done) == (2, ["initech", "acme", "globex"])
