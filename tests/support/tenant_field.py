"""Run with the code that has one more field of tenants: follow its value through REST, the event and both projections.

`python tenant_field.py JSON` in a copy of the code; the JSON has `databases` (service -> URL), `field` and a `folder` for the keys.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from services.invoicing.consumers import users_events
from services.invoicing.store import tenants as invoicing_tenants
from services.notifier.consumers import notifications
from services.notifier.store import recipients
from services.users.settings import Settings
from services.users.wiring import Users
from shared.database import Database, UnitOfWork
from shared.database.migrate import upgrade
from shared.messaging import Message
from shared.schemas import registry
from shared.schemas.envelope import Envelope
from shared.schemas.topics import USERS_EVENTS
from shared.settings import DatabaseSettings

TENANT = "acme"
BODY = {
    "tenant": TENANT,
    "name": "Acme",
    "time_zone": "Europe/Copenhagen",
    "contact_email": "it@acme.example",
    "support_contact": "support@vendor.example",
}


async def rest(url: str, folder: str, field: str) -> dict[str, Any]:
    """Create a tenant with the field `first`, change it to `second`, and return what users shows and publishes."""
    settings = Settings(database_url=SecretStr(url), signing_keys_folder=Path(folder), operator_secret=SecretStr("secret"))
    users = Users(settings, others={})
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(users.app()), base_url="http://users") as http:
            form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": "secret", "scope": "operator"}
            token = (await http.post("/v1/token", data=form)).raise_for_status().json()["access_token"]
            http.headers["authorization"] = f"Bearer {token}"
            created = (await http.post("/v1/tenants", json=BODY | {field: "first"})).raise_for_status().json()
            changed = await http.patch(f"/v1/tenants/{TENANT}", json={field: "second"}, headers={"if-match": "*"})
            changed.raise_for_status()
            shown = (await http.get(f"/v1/tenants/{TENANT}")).raise_for_status().json()
        async with users.database.unit_of_work(None) as uow:
            rows = await uow.connection.exec_driver_sql(
                "SELECT headers, value FROM outbox WHERE topic = $1 ORDER BY id", (USERS_EVENTS.name,)
            )
            sent = [(row.headers, row.value) for row in rows]
    finally:
        await users.close()
    return {"rest": [created[field], shown[field]], "sent": sent}


def message(headers: bytes, value: bytes, offset: int) -> Message[Any]:
    pairs = [(name, text.encode()) for name, text in orjson.loads(headers)]
    envelope = Envelope.from_headers(pairs, 0)
    return Message(envelope, registry.parse(envelope.type, value), USERS_EVENTS, 0, offset, 0)


async def projections(urls: dict[str, str], messages: list[Message[Any]], field: str) -> dict[str, list[str]]:
    """Return the value in each reading service after each message."""

    async def in_invoicing(uow: UnitOfWork) -> object:
        return await invoicing_tenants.find(uow.connection, TENANT)

    async def in_notifier(uow: UnitOfWork) -> object:
        return await recipients.tenant(uow.connection, TENANT)

    found: dict[str, list[str]] = {}
    for service, handle, look in (
        ("invoicing", users_events.on_tenant, in_invoicing),
        ("notifier", notifications.on_tenant, in_notifier),
    ):
        database = Database(urls[service], application_name="test")
        try:
            for each in messages:
                async with database.unit_of_work(TENANT) as uow:
                    await handle(uow, each)
                    found.setdefault(service, []).append(getattr(await look(uow), field))
        finally:
            await database.dispose()
    return found


async def follow(given: dict[str, Any]) -> dict[str, Any]:
    field, urls = given["field"], given["databases"]
    for service, url in urls.items():
        await asyncio.to_thread(upgrade, service, DatabaseSettings(database_url=SecretStr(url)))
    found = await rest(urls["users"], given["folder"], field)
    messages = [message(headers, value, offset) for offset, (headers, value) in enumerate(found["sent"])]
    events = [getattr(each.payload, field) for each in messages]
    changes = [change.model_dump() for each in messages for change in each.payload.changes]
    return {"rest": found["rest"], "events": events, "changes": changes} | await projections(urls, messages, field)


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asyncio.run(follow(orjson.loads(sys.argv[1])))).decode())
