"""People whom time changes while their tenant's settings change as well, on the real database and without a broker."""

from datetime import timedelta

import pytest

from services.users.jobs.bulk_reevaluation import BulkReevaluation
from services.users.jobs.due_people import DuePeople
from services.users.store import people_lookups, tenants
from tests.support.scim import ScimBench, scim
from tests.support.users import NOON

__all__ = ["scim"]

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


async def test_a_conflict_ends_with_the_employment_of_the_other_person_also_if_settings_change_between_midnight_and_the_job(
    scim: ScimBench,
) -> None:
    tenant, rest = await scim.open_tenant()
    await scim.hr(tenant, "1", 1, NOON.date().isoformat(), login="ann", department="Makers")
    await scim.hr(tenant, "2", 1, login="ann", department="Makers")

    async def statuses() -> dict[str, str]:
        return {each["external_id"]: each["status"] for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]}

    assert await statuses() == {"1": "active", "2": "conflict"}
    sent = len(await scim.needs(tenant))
    try:
        scim.clock.at = NOON + timedelta(days=1)
        later = await scim.rest()
        await later.put(f"/v1/tenants/{tenant}/department-mapping", {"Makers": "makers", "Others": "makers"})
        settings = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
        while await settings.run_chunk(tenant):
            pass
        assert len(await scim.needs(tenant)) == sent, "the leaving is left to the other job, and the release that seats knows stays"
        due = DuePeople(scim.users.database, scim.users.tenants, scim.users.alarm)
        while await due.run_chunk(tenant):
            pass
    finally:
        scim.clock.at = NOON
    assert await statuses() == {"1": "left", "2": "active"}


async def test_a_change_of_settings_forgets_nobody_whose_conflict_the_job_is_to_look_at(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    await scim.hr(tenant, "1", 1, login="ann", department="Makers")
    await scim.hr(tenant, "2", 1, login="ann", department="Makers")
    async with scim.users.database.unit_of_work(tenant) as uow:
        await people_lookups.reconsider_of_source(uow.connection, tenant, "hr/test", NOON.date())
    await rest.put(f"/v1/tenants/{tenant}/department-mapping", {"Makers": "makers", "Others": "makers"})
    settings = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
    while await settings.run_chunk(tenant):
        pass
    async with scim.users.database.unit_of_work(None) as uow:
        assert tenant in await tenants.with_due_people(uow.connection, NOON)
