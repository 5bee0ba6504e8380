"""SCIM on a running stack: seats decides about the users that an identity provider creates, and about 500 people whom HR knows as well."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.bench.scim_bench import connect
from tests.support.scim import ENTERPRISE, SEATS, USER
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, Tenant, open_rest, open_tenant

pytestmark = pytest.mark.stack
PEOPLE, LICENCES = 500, 490


async def provision(http: httpx.AsyncClient, tenant: Tenant, numbers: range) -> list[str]:
    """Find or create users as an identity provider does, eight at a time; return their ids."""
    ids: dict[int, str] = {}
    left = iter(numbers)

    async def client() -> None:
        for number in left:
            name = f"p{number}@{tenant.id}.example"
            found = await http.get("/scim/v2/Users", params={"filter": f'userName eq "{name}"'})
            body: dict[str, Any] = {"schemas": [USER, ENTERPRISE], "userName": name, "emails": [{"value": name, "primary": True}]}
            body |= {"active": True, ENTERPRISE: {"employeeNumber": str(number), "department": "Everybody"}}
            known = [each["id"] for each in found.json()["Resources"]]
            made = await (http.put(f"/scim/v2/Users/{known[0]}", json=body) if known else http.post("/scim/v2/Users", json=body))
            assert made.status_code in (200, 201), made.text
            ids[number] = made.json()["id"]

    async with asyncio.TaskGroup() as clients:
        for _ in range(8):
            clients.create_task(client())
    return [ids[number] for number in numbers]


async def test_users_of_an_identity_provider_and_of_hr_are_one_person_each_and_seats_decides_about_all(stack: RunningStack) -> None:
    async with await open_rest(stack) as rest:
        tenant = await open_tenant(stack, rest, licences=LICENCES)
        url = stack.addresses["services"]["users"]
        async with httpx.AsyncClient(base_url=url, headers=await connect(tenant), timeout=60) as http:
            known = [fact.model_copy(update={"department": "Everybody", "login": ""}) for fact in tenant.people(PEOPLE // 2)]
            await tenant.send(known)  # HR knows half of them, and no logins
            ids = await provision(http, tenant, range(1, PEOPLE + 1))
            await tenant.stage.until_idle()
            seats = await tenant.seats()
            flagged = [user for (user, module), seat in seats.items() if seat["state"] == "flagged"]
            assert (len(set(ids)), len(seats), len(flagged)) == (PEOPLE, PEOPLE, PEOPLE - LICENCES), "one seat each"
            assert (await http.get("/scim/v2/Users?count=1")).json()["totalResults"] == PEOPLE
            shown = [(await http.get(f"/scim/v2/Users/{each}")).json()[SEATS] for each in (ids[0], ids[-1])]
            assert [(each["status"], each["modules"][0]["value"]) for each in shown] == [("active", BASE), ("over_limit", BASE)]
            off = {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "replace", "value": {"active": False}}],
            }
            assert (await http.patch(f"/scim/v2/Users/{ids[-2]}", json=off)).json()["active"] is False
            await tenant.stage.until_idle()
            assert len(await tenant.seats()) == PEOPLE - 1, "a deactivated user gives the seat back"
