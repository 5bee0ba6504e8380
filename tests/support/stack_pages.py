"""Makes what the pages of the console are about in the sample company of a running stack, by REST, as the company and its vendor do."""

import asyncio
import re
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from cli.demo.stage import Stage
from cli.names import ALL_RIGHTS
from cli.rest import Addresses, Rest
from cli.token import fetch_token
from shared.hr_files.company import read_company
from shared.hr_files.reports import in_parts
from shared.ids import new_id
from shared.kafka import make_producer, started
from shared.schemas.hr_v1 import PersonLeft
from shared.schemas.topics import HR_EVENTS
from shared.settings import KafkaSettings
from tests.support.scim import GROUP, USER
from tests.support.tenant import Silent, Tenant, kafka_at
from tests.support.wait import wait_until

SAMPLE = Path(__file__).parents[2] / "examples" / "alpenrose"
ENDED = 6  # people: one more than the guard lets end at once in a company of 122
INVITED = "ivo@alpenrose.example"
Values = dict[str, str]


async def furnish(tenant: Tenant, where: Mapping[str, Any]) -> Values:
    """Make what the pages of `PAGES` are about, and return it by name. `tenant`: as the operator sees it; `where`: what stack.json says."""
    (administrator,) = [each["user"] for each in await tenant.stage.people() if each["login"] == "licences"]
    addresses, rights = Addresses(where["services"], operator_secret=where["operator_secret"]), ALL_RIGHTS.removesuffix(" operator")
    token = await fetch_token(addresses, tenant=tenant.id, rights=rights, ttl_seconds=3600, subject=administrator)
    async with Rest(Addresses(where["services"], token)) as rest:
        own = Tenant(rest, Stage(rest, tenant.id, Silent()))
        found = {"tenant": tenant.id, "module": "lab", "module_with_policies": "projects"}
        made = await asyncio.gather(
            _people(own, where["mailbox_url"]), _access(own, where), _money(tenant, own), _vendor(tenant.rest, kafka_at(where))
        )
        for each in made:
            found |= each
        return found


async def _people(own: Tenant, mailbox: str) -> Values:
    """Invite a person, check the import of a file, and send reports that the guard holds."""
    wanted = {"login": "ivo", "name": "Ivo Invited", "email": INVITED, "profile": "staff", "invitation": {}}
    invited = await own.stage.create("users", own.stage.path("people"), wanted)
    begun = await own.stage.create("users", own.stage.path("imports"), {"source": own.source})
    path = own.stage.path(f"imports/{begun['import']}")
    for first, part in in_parts(read_company(SAMPLE).people):
        await own.rest.put("users", f"{path}/people/{first}", {"people": part})
    await own.rest.post("users", f"{path}/check", None)
    people = [each for each in await own.stage.people() if each["source"] == own.source]
    leaving = [each["external_id"] for each in people if each["status"] == "active"][:ENDED]
    today = (await own.rest.get("users", own.stage.path("clock")))["now"][:10]
    await own.send([PersonLeft(external_id=each, effective_date=date.fromisoformat(today), sequence=1) for each in leaving])

    async def held() -> bool:
        return bool((await own.rest.get("users", own.stage.path("held-events")))["items"])

    await wait_until(held, what="the reports that wait for a confirmation")
    return {
        "person": next(each["user"] for each in people if each["status"] == "active"),
        "former_person": next(each["user"] for each in people if each["status"] == "left"),
        "invited_person": invited["user"],
        "invitation": await _in_mailbox(mailbox, INVITED, r"/invitation\?token=([\w-]+)"),
        "import_id": begun["import"],
        "held_source": own.source,
        "profile": "makers",
        "department": "Engineering",
    }


async def _in_mailbox(mailbox: str, to: str, pattern: str) -> str:
    """Return what the pattern finds in an e-mail to this address, as soon as it is there."""
    async with httpx.AsyncClient(base_url=mailbox, timeout=30) as http:

        async def there() -> str | None:
            for mail in (await http.get("/api/messages", params={"to": to})).json():
                if found := re.search(pattern, (await http.get(f"/api/messages/{mail['id']}")).json()["text"]):
                    return found[1]
            return None

        return await wait_until(there, what=f"the e-mail to {to}")


async def _access(own: Tenant, where: Mapping[str, Any]) -> Values:
    """Make a role, an API client, a SCIM connection that the guard stops, and an identity provider that is not in use."""
    stage, connection = own.stage, "okta"
    await stage.create("users", stage.path("roles"), {"role": "auditor", "name": "Auditor", "rights": ["users:read", "log:read"]})
    client = await stage.create("users", stage.path("clients"), {"name": "Reporting", "rights": ["account:read"]})
    path = stage.path(f"scim-connections/{connection}")
    await own.rest.put("users", path, {})
    token = await own.rest.post("users", f"{path}/tokens", {})
    headers = {"authorization": f"Bearer {token['secret']}", "content-type": "application/scim+json"}
    async with httpx.AsyncClient(base_url=f"{where['services']['users']}/scim/v2", headers=headers, timeout=30) as http:

        async def add(kind: str, **body: Any) -> str:
            answer = await http.post(f"/{kind}", json=body)
            assert answer.status_code == HTTPStatus.CREATED, answer.text
            return str(answer.json()["id"])

        names = [f"scim{number}" for number in range(ENDED)]
        people = [await add("Users", schemas=[USER], userName=each, displayName=each.capitalize(), active=True) for each in names]
        group = await add("Groups", schemas=[GROUP], displayName="Planners", members=[{"value": each} for each in people])
        answers = [(await http.delete(f"/Users/{each}")).status_code for each in people]
        assert answers[-1] >= HTTPStatus.BAD_REQUEST, "the guard stops the last one"
    given = {"issuer": where["identity_provider_url"], "client_id": "seatpool", "client_secret": "a-client-s3cret"}
    await own.rest.put("users", stage.path("identity-provider"), given)
    return {
        "role": "auditor",
        "client": client["client"],
        "secret": client["secrets"][0]["secret_id"],
        "connection": connection,
        "stopped_connection": connection,
        "token": token["token"],
        "group": group,
    }


async def _money(vendor: Tenant, own: Tenant) -> Values:
    """Request a price, and an estimate that the vendor sends; record a part of a payment, and grant a discount."""
    stage, as_vendor = own.stage, vendor.stage
    quote = await stage.create("invoicing", stage.path("quotes"), {"items": [{"module": "lab", "add": 2}]})
    contact = {"name": "Lia Licences", "email": "licences@alpenrose.example"}
    wanted = {
        "company": "Alpenrose Instruments",
        "contact": contact,
        "items": [{"module": "planning", "add": 3}],
        "message": "For the plant",
    }
    request = await stage.create("invoicing", stage.path("purchase-requests"), wanted)
    estimate = {"items": [{"module": "planning", "add": 3, "unit_price_minor": 850}], "note": "As discussed"}
    await vendor.rest.put("invoicing", stage.path(f"purchase-requests/{request['request']}/estimate"), estimate)
    invoices = await stage.pages("invoicing", "invoices")
    paid = {"invoice": invoices[0]["invoice"], "amount_minor": 100, "currency": "CHF", "paid_on": "2026-03-26", "reference": "Bank 17"}
    payment = await as_vendor.create("invoicing", stage.path("payments"), paid)
    discount = await as_vendor.create("invoicing", stage.path("subscription/discounts"), {"percent": "5", "text": "First year"})
    return {
        "quote": quote["quote"],
        "request": request["request"],
        "requesting_tenant": own.id,
        "estimated_request": request["request"],
        "invoice": invoices[0]["invoice"],
        "open_invoice": invoices[0]["invoice"],
        "payment": payment["payment"],
        "discount": discount["discount"],
        "plan": f"standard-{own.id}",
    }


async def _vendor(rest: Rest, kafka: KafkaSettings) -> Values:
    """Create a tenant without a subscription, and a message that users cannot read."""
    owner = {"name": "Olive Owner", "email": "olive@aspen.example"}
    described = {"tenant": "aspen", "name": "Aspen Ltd", "time_zone": "Europe/London", "owner": owner}
    contacts = {"contact_email": "it@aspen.example", "support_contact": "support@seatpool.example"}
    await rest.post("users", "/v1/tenants", described | contacts, headers={"Idempotency-Key": new_id()})
    async with started(make_producer(kafka)) as producer:
        await producer.send_and_wait(kafka.topic_name(HR_EVENTS), b"\xff\xfe not JSON", key=b"aspen", headers=[("ce_id", b"x")])

    async def letter() -> str | None:
        found = await rest.pages("users", "/v1/operator/dead-letters")
        return str(found[0]["id"]) if found else None

    return {"new_tenant": "aspen", "dead_letter": f"users/{await wait_until(letter, what='the dead letter')}"}
