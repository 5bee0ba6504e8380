"""HR facts in, needs out, decisions in, people shown: on the real broker and database, seats' worker played by the test."""

from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from shared.schemas.hr_v1 import PersonHired
from shared.settings import KafkaSettings
from tests.support.users import NOON, Bench, running_bench, settings_of

pytestmark = pytest.mark.stack
TODAY = date(2026, 3, 2)


@pytest.fixture
async def bench(make_database: Callable[[str], str], kafka_settings: KafkaSettings, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(settings_of(make_database("users"), kafka_settings, tmp_path)) as bench:
        yield bench


def hired(who: str, department: str | None = "Makers", **more: object) -> PersonHired:
    fields = {"external_id": who, "effective_date": TODAY, "login": who, "email": f"{who}@acme.example", "department": department}
    return PersonHired(**fields | more)  # type: ignore[arg-type]


async def test_a_hire_is_sent_to_seats_and_the_decision_is_shown(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await bench.send(hired("ann"), tenant, source=bench.source(tenant))
    (need,) = await bench.until_needs(tenant, 1)
    assert (need.modules, need.revision, need.reason, need.partial) == (("documents", "time"), 1, "hired", False)
    person = await bench.until_person(rest, tenant, "ann", status="active", modules={"documents": "pending", "time": "pending"})
    assert person["pending"]
    await bench.answer(await bench.last_need(tenant, need.user))
    person = await bench.until_person(rest, tenant, "ann", pending=False, modules={"documents": "active", "time": "active"})
    assert need.created_at == NOON
    assert timedelta(0) == NOON - need.created_at
