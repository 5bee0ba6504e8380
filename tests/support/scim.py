"""SCIM against the real application of users in this process, with PostgreSQL and without a broker."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.users.domain.module_states import Decided, ModuleState
from services.users.domain.person import Cause, source_actor
from services.users.domain.timelines import Reported, report_of
from services.users.use_cases.people import Decision, Received, apply_decisions, apply_statements
from services.users.wiring import Users
from shared import ids
from shared.clock import FixedClock
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.hr_v1 import PersonReported
from shared.schemas.position import DecisionId
from shared.settings import KafkaSettings
from tests.support.users import NOON, AskedSeats, Rest, settings_of, subscribe
from tests.support.wire import execute

SCIM = "/scim/v2"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SEATS = "urn:ietf:params:scim:schemas:extension:seatpool:2.0:Seats"
Body = dict[str, Any]


@dataclass
class Client:
    """An identity provider: it sends requests with the token of one connection."""

    http: httpx.AsyncClient
    token: str
    tenant: str

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}", "content-type": "application/scim+json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, f"{SCIM}{path}", json=body, headers=sent)

    async def get(self, path: str) -> Body:
        return _body(await self.call("GET", path))

    async def create(self, user_name: str, **more: Any) -> Body:
        return _body(await self.call("POST", "/Users", {"schemas": [USER], "userName": user_name} | more))

    async def create_group(self, name: str, *members: str) -> Body:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": each} for each in members]}
        return _body(await self.call("POST", "/Groups", body))

    async def patch(self, path: str, *operations: Mapping[str, Any]) -> Body:
        return _body(await self.call("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}))

    async def found(self, scim_filter: str, endpoint: str = "Users", **parameters: str) -> Body:
        response = await self.http.get(
            f"{SCIM}/{endpoint}", params={"filter": scim_filter} | parameters, headers={"authorization": f"Bearer {self.token}"}
        )
        return _body(response)


def _body(response: httpx.Response) -> Body:
    assert response.is_success, f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
    found: Body = response.json() if response.content else {}
    return found


class WhatIf(AskedSeats):
    """Seats as it is asked what would happen: everything is granted unless `state` says otherwise; with None, seats does not answer."""

    state: str | None = "active"

    async def what_if(
        self, tenant: str, commands: Sequence[seats_v1.AssignSeats | seats_v1.ReplaceUser]
    ) -> Sequence[Sequence[Mapping[str, Any]]] | None:
        if self.state is None:
            return None
        modules = [
            [{"module": module, "state": self.state, "reason": "pool_full"} for module in each.modules]
            for each in commands
            if isinstance(each, seats_v1.AssignSeats)
        ]
        return [[{"type": "seats_assigned", "data": {"modules": each}}] for each in modules]


@dataclass
class ScimBench:
    users: Users
    app: FastAPI
    http: httpx.AsyncClient
    clock: FixedClock
    seats: "WhatIf"
    decisions: int = 0

    async def rest(self) -> Rest:
        form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": "an-operator-secret", "scope": "operator"}
        token = (await self.http.post("/v1/token", data=form)).json()["access_token"]
        return Rest(self.http, token, lambda: None)

    async def open_tenant(self) -> tuple[str, Rest]:
        """Create a tenant with a profile `makers` for a department of that name."""
        tenant, rest = f"t-{ids.new_id()[-12:]}", await self.rest()
        described = {"tenant": tenant, "name": "Acme", "time_zone": "Europe/Copenhagen", "contact_email": "it@acme.example"}
        await rest.post("/v1/tenants", described | {"support_contact": "support@vendor.example"})
        await subscribe(self.users, tenant, "time", "documents")
        await rest.put(f"/v1/tenants/{tenant}/profiles/makers", {"name": "makers", "modules": ["time", "documents"]})
        await rest.put(f"/v1/tenants/{tenant}/department-mapping", {"Makers": "makers"})
        return tenant, rest

    async def connect(self, rest: Rest, tenant: str, name: str = "okta", **settings: Any) -> Client:
        await rest.put(f"/v1/tenants/{tenant}/scim-connections/{name}", settings)
        issued = await rest.post(f"/v1/tenants/{tenant}/scim-connections/{name}/tokens", {})
        return Client(self.http, issued["secret"], tenant)

    async def client(self, **settings: Any) -> Client:
        tenant, rest = await self.open_tenant()
        return await self.connect(rest, tenant, **settings)

    async def hr(self, tenant: str, external_id: str, version: int, ends_on: str | None = None, **values: Any) -> None:
        """Let the HR system `hr/test` report a person."""
        report = PersonReported.model_validate_json(
            orjson.dumps(
                {
                    "external_id": external_id,
                    "version": version,
                    "employment": [{"starts_on": "2020-01-01", "ends_on": ends_on}],
                    "attributes": [{"since": "2020-01-01"} | values],
                }
            )
        )
        received = Received("hr/test", external_id, Reported(version, report_of(report)), Cause(source_actor("hr/test")), None)
        async with self.users.database.unit_of_work(tenant) as uow:
            await apply_statements(await self.users.tenants.for_write(tenant, uow), uow, [received])

    async def decide(self, tenant: str, user: str, revision: int = 0, **states: str) -> None:
        """Let seats decide about all modules of a person: `time="active"`. `revision` is the one that it answers."""
        self.decisions += 1
        decided = [Decided(module, ModuleState(state), revoked=state == "revoked") for module, state in states.items()]
        message = Envelope(id=ids.new_id(), source="seatpool/seats", type="seatpool.seats.v1.seats_assigned", time=NOON, tenant=tenant)
        decision = Decision(user, DecisionId(0, self.decisions, 0), decided, NOON, "test", message, revision, tuple(states))
        async with self.users.database.unit_of_work(tenant) as uow:
            await apply_decisions(await self.users.tenants.for_write(tenant, uow), uow, [decision])

    async def needs(self, tenant: str) -> list[tuple[str, list[str]]]:
        """Return the people about whom seats was asked, each with the modules, in this order."""
        return [(each["user"], each["modules"]) for each in await self.commands(tenant) if "modules" in each]

    async def commands(self, tenant: str) -> list[Body]:
        """Return the requests to seats that wait to be sent."""
        statement = "SELECT convert_from(value, 'UTF8') FROM outbox WHERE tenant = $1 AND topic LIKE '%seats.commands%' ORDER BY id"
        return await self.messages(tenant, statement)

    async def execute(self, statement: str, *parameters: Any) -> Sequence[Any]:
        return await execute(self.users.database, statement, *parameters)

    async def messages(self, tenant: str, statement: str) -> list[Body]:
        async with self.users.database.unit_of_work(None) as uow:
            rows = (await uow.connection.exec_driver_sql(statement, (tenant,))).scalars()
            return [orjson.loads(row) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scim(make_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ScimBench]:
    settings = settings_of(make_database("users"), KafkaSettings(), tmp_path_factory.mktemp("users"))
    clock, seats = FixedClock(NOON), WhatIf()
    users = Users(settings, clock=clock, others={}, seats=seats)
    app = users.app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://users", timeout=30) as http:
        yield ScimBench(users, app, http, clock, seats)
    await users.close()
