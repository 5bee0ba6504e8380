"""The check of an import promises what the import then does: compared in random tenants with two HR systems and an identity system."""

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from services.users.jobs.apply_imports import ApplyImports
from services.users.jobs.due_people import DuePeople
from tests.support.scim import ENTERPRISE, PATCH, USER, Client, ScimBench, scim
from tests.support.users import Rest

__all__ = ["scim"]

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

Given = dict[str, Any]
SEEDS = (4, 16, 18, 41, 42)  # each of them found something


def human(random: Random, logins: int = 6) -> Given:
    """Return what a source says about somebody; logins, addresses and numbers are few, so people meet."""
    login = f"l{random.randrange(logins)}" if random.random() < 0.9 else ""
    email = f"e{random.randrange(logins)}@acme.example" if random.random() < 0.8 else ""
    number = str(random.randrange(6)) if random.random() < 0.3 else ""
    values = {"login": login, "email": email, "employee_number": number}
    return values | {"department": random.choice(["Makers", "Makers", "Elsewhere"]), "name": random.choice(["", "Ann", "Bob"])}


def report(random: Random, who: str, values: Given) -> Given:
    since, end = random.choice(["2020-01-01"] * 5 + ["2026-03-02", "2026-04-01"]), random.choice([None] * 5 + ["2026-02-01", "2026-05-01"])
    if end is not None and end < since:
        end = None
    changes = [{"since": "2026-04-15", "department": "Elsewhere"}] if random.random() < 0.1 else []
    known = {name: value for name, value in values.items() if name != "employee_number"}
    return {"external_id": who, "employment": [{"starts_on": since, "ends_on": end}], "attributes": [{"since": since} | known, *changes]}


@dataclass
class World:
    """A tenant that random statements have made."""

    bench: ScimBench
    tenant: str
    rest: Rest
    client: Client
    random: Random

    @classmethod
    async def open(cls, bench: ScimBench, seed: int) -> "World":
        random = Random(seed)
        tenant, rest = await bench.open_tenant()
        world = cls(bench, tenant, rest, await bench.connect(rest, tenant), random)
        for source in world.sources:
            await rest.put(f"/v1/operator/sources/{source}", {"tenants": [tenant]})
            await world.imported(source, world.people(4))
        for source in (*world.sources, "scim/okta"):
            methods = random.sample(["login", "employee_number", "email"], random.randrange(4))
            await rest.put(f"/v1/tenants/{tenant}/sources/{source}", {"match_by": methods, "duplicates": random.choice(["hold", "allow"])})
        return world

    @property
    def sources(self) -> list[str]:
        return [f"hr/first/{self.tenant}", f"hr/second/{self.tenant}"]

    def people(self, most: int) -> list[Given]:
        chosen = self.random.sample([str(number) for number in range(6)], self.random.randint(1, most))
        return [report(self.random, who, human(self.random)) for who in chosen]

    async def run(self, job: type[ApplyImports] | type[DuePeople]) -> None:
        found = next(each for each in self.bench.users.jobs if isinstance(each, job))
        while await found.run_chunk(self.tenant):
            pass

    async def begin(self, source: str, people: list[Given], **more: Any) -> tuple[str, Given]:
        path = f"/v1/tenants/{self.tenant}/imports"
        begun = await self.rest.post(path, {"source": source} | more)
        path = f"{path}/{begun['import']}"
        await self.rest.put(f"{path}/people/0", {"people": people})
        return path, await self.rest.post(f"{path}/check")

    async def apply(self, path: str, found: Given) -> None:
        needed = found["guard"]["would_end"] if found["guard"]["needs_confirmation"] else None
        await self.rest.post(f"{path}/apply", {"confirm": needed})
        await self.run(ApplyImports)
        assert (await self.rest.get(path))["status"] == "applied"

    async def imported(self, source: str, people: list[Given]) -> None:
        await self.apply(*await self.begin(source, people))

    async def everybody(self) -> dict[str, Given]:
        """Return status, login and conflict of all people, also of those who are only expected."""
        statement = (
            "SELECT user_id, status, login, conflict->>'reason' AS conflict FROM people WHERE tenant_id = $1 AND EXISTS"
            " (SELECT FROM timelines WHERE timelines.tenant_id = people.tenant_id AND timelines.user_id = people.user_id) ORDER BY arrival"
        )
        rows = await self.bench.execute(statement, self.tenant)
        return {row.user_id: {"status": row.status, "login": row.login or "", "conflict": row.conflict} for row in rows}

    async def step(self) -> None:
        random = self.random
        everybody = sorted(await self.everybody())
        path = f"/v1/tenants/{self.tenant}/people"
        match random.randrange(8):
            case 0 | 1:
                await self.imported(random.choice(self.sources), self.people(4))
            case 2 | 3:
                values = human(random)
                if values["login"]:
                    body = self._resource(values)
                    await self.client.call("POST", "/Users", body)
            case 4:
                found = (await self.client.get("/Users?count=100")).get("Resources", [])
                if found:
                    one = random.choice(found)["id"]
                    values = human(random)
                    change = random.choice(
                        [
                            {"op": "replace", "path": "active", "value": random.random() < 0.5},
                            {"op": "replace", "path": "userName", "value": values["login"] or "l1"},
                            {"op": "replace", "path": "emails", "value": [{"value": values["email"] or "e1@acme.example", "type": "work"}]},
                        ]
                    )
                    await self.client.call("PATCH", f"/Users/{one}", {"schemas": [PATCH], "Operations": [change]})
            case 5 if len(everybody) > 1:
                first, second = random.sample(everybody, 2)
                await self.rest.call("POST", f"{path}/{first}/link", {"to": second})
            case 6 if everybody:
                await self.rest.call("POST", f"{path}/{random.choice(everybody)}/separate", {})
            case 7:
                values = human(random)
                body = {"external_id": f"r{random.randrange(100)}", "login": values["login"] or None, "email": values["email"] or None}
                await self.rest.call("POST", path, body | {"department": values["department"]})
            case _:
                pass
        if random.random() < 0.7:
            await self.run(DuePeople)

    @staticmethod
    def _resource(values: Given) -> Given:
        body: Given = {"schemas": [USER], "userName": values["login"]}
        if values["email"]:
            body["emails"] = [{"value": values["email"], "type": "work", "primary": True}]
        if values["employee_number"]:
            body[ENTERPRISE] = {"employeeNumber": values["employee_number"]}
        return body


async def compare(world: World) -> list[str]:
    await world.run(DuePeople)
    random = world.random
    before = await world.everybody()
    more: dict[str, Any] = random.choice([{}, {"complete": True}, {"complete": True, "absent": "leave"}])
    path, found = await world.begin(random.choice(world.sources), world.people(5), **more)
    changes = (await world.rest.get(f"{path}/changes?limit=200"))["items"]
    await world.apply(path, found)
    await world.run(DuePeople)
    after = await world.everybody()
    wrong: list[str] = []
    promised: dict[str, Given] = {}
    for change in changes:
        if change["after"] is not None and change["kind"] in ("new", "changed", "absent"):
            promised[change["user"]] = change
    for user, change in promised.items():
        if change["kind"] == "absent" and more.get("absent") != "leave":
            continue
        there, shown = after.get(user), change["after"]
        if there is None:
            wrong.append(f"{change['external_id']}: promised {user} {shown['status']}, is nobody; {change}")
        elif (there["status"], there["login"]) != (shown["status"], shown.get("login") or ""):
            wrong.append(f"{change['external_id']}: promised {shown['status']} {shown.get('login')}, is {there}; {change}")
        if change["kind"] == "new" and user in before:
            wrong.append(f"{change['external_id']}: new, but known")
    others = {each["user"]: each["after"] for each in found["others"]}
    for user, person in after.items():
        if user not in promised and user not in others and before.get(user, {}).get("status") != person["status"]:
            wrong.append(f"unpromised {user}: {before.get(user)} became {person}")
    wrong += [
        f"promised {user} {status}, is {after.get(user)}" for user, status in others.items() if after.get(user, {}).get("status") != status
    ]
    new = len(set(after) - set(before))
    if new != found["counts"]["new"]:
        wrong.append(f"promised {found['counts']['new']} new people, there are {new}")
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_check_of_an_import_promises_what_the_import_does(scim: ScimBench, seed: int) -> None:
    world = await World.open(scim, seed)
    for _ in range(world.random.randint(2, 8)):
        await world.step()
    assert [wrong for _ in range(2) for wrong in await compare(world)] == []
