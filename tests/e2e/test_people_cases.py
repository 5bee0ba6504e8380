"""Cases of people on the whole stack: an invitation with its e-mail, and a replacement."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from shared.database import Database
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, OPENED, Tenant, open_rest, open_tenant
from tests.support.traces import traces
from tests.support.wait import wait_until
from tests.support.wire import execute

pytestmark = [pytest.mark.stack, pytest.mark.slow]
RENEWAL = datetime(2026, 4, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cases:
    stack: RunningStack
    tenant: Tenant
    http: httpx.AsyncClient

    def fields(self, name: str, **more: Any) -> dict[str, Any]:
        email = f"{name}@{self.tenant.id}.example"
        return {"login": self.login(name), "email": email, "name": self.name(name), "profile": "everybody"} | more

    def login(self, name: str) -> str:
        return f"{name}.{self.tenant.id}"

    def name(self, name: str) -> str:
        return f"{name.title()} O'Neill-{self.tenant.id}"

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.http.request(method, f"/v1/tenants/{self.tenant.id}/people{path}", json=body)

    async def person(self, user: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call("GET", f"/{user}")).json()
        return found

    async def states(self, *users: str) -> list[tuple[str, list[str]]]:
        """Return the status of each person, and the states of the modules."""
        people = [await self.person(user) for user in users]
        return [(each["status"], [module["state"] for module in each["modules"]]) for each in people]

    async def pool(self) -> tuple[int, int, int]:
        """Return the licences of the base module, and its active and held seats."""
        (pool,) = [each for each in await self.tenant.stage.pages("seats", "pools") if each["module"] == BASE]
        return pool["licences"], pool["active"], pool["held"]

    async def mail(self, name: str, subject: str) -> str:
        """Return the text of the only e-mail to that person with that subject."""
        to = f"{name}@{self.tenant.id}.example"

        async def there() -> list[dict[str, Any]]:
            return await self.stack.mails(to=to, subject=subject)

        (found,) = await wait_until(there, what=f"the e-mail {subject!r} to {to}")
        async with httpx.AsyncClient(base_url=self.stack.addresses["mailbox_url"], timeout=30) as mailbox:
            text: str = (await mailbox.get(f"/api/messages/{found['id']}")).json()["text"]
        return text

    async def accept(self, name: str) -> str:
        """Accept by the link of the e-mail, as that person does; return the page that says what the person gets."""
        text = await self.mail(name, "you are invited")
        found = re.search(r"(http\S+/invitation)\?token=([\w-]+)", text)
        assert found is not None, text
        async with httpx.AsyncClient(follow_redirects=True, headers={"accept-language": "en"}, timeout=30) as stranger:
            page = await stranger.get(found[1], params={"token": found[2]})
            form = re.search(r'name="_token" value="([^"]+)"', page.text)
            assert form is not None, page.text
            accepted = await stranger.post(found[1], data={"_token": form[1], "token": found[2]})
            assert "You have accepted the invitation" in accepted.text
            await self.tenant.stage.until_idle()
            return (await stranger.get(found[1], params={"token": found[2]})).text


async def test_A6_A17_a_person_is_invited_accepts_by_the_link_of_the_e_mail_and_is_replaced_without_a_change_of_the_pool(
    stack: RunningStack,
) -> None:
    async with await open_rest(stack) as rest, await stack.http("users", scope="operator") as http:
        tenant = await open_tenant(stack, rest, licences=1)
        cases = Cases(stack, tenant, http)
        ann = (await cases.call("POST", "", cases.fields("ann", invitation={"days": 3}))).json()["user"]
        await tenant.stage.until_idle()
        assert (await cases.person(ann))["status"] == "invited"
        assert await cases.pool() == (1, 0, 1)
        full = await cases.call("POST", "", cases.fields("ben", invitation={}))
        assert (full.status_code, full.json()["pools"]) == (409, [{"module": BASE, "licences": 1, "in_use": 1}])

        assert "You have access now." in await cases.accept("ann")
        assert ((await cases.person(ann))["status"], await cases.pool()) == ("active", (1, 1, 0))

        ben = (await cases.call("POST", "", cases.fields("ben", may_log_in=False))).json()["user"]
        replaced = await cases.call("POST", f"/{ann}/replace", {"to": ben})
        assert replaced.status_code == 202, replaced.text
        await tenant.stage.until_idle()
        people = [await cases.person(user) for user in (ann, ben)]
        assert [(each["status"], each["pending"], [m["state"] for m in each["modules"]]) for each in people] == [
            ("left", False, []),
            ("active", False, ["active"]),
        ]
        assert await cases.pool() == (1, 1, 0)
        again = await cases.call("POST", f"/{ann}/replace", {"to": ben})
        assert (again.status_code, again.json()["reason"]) == (409, "nothing_to_replace")

        compared = (await http.get(f"/v1/tenants/{tenant.id}/differences")).json()
        assert (compared["with_seat"], compared["employed"], compared["items"]) == (1, 1, []), "users and seats agree about both"

        words = [f"ann@{tenant.id}.example", cases.login("ann"), cases.name("ann")]
        assert {service for service, _ in await found_in(stack, words)} == {"users", "notifier"}
        erased = await cases.call("POST", f"/{ann}/erase")
        assert erased.status_code == 200, erased.text
        await tenant.stage.until_idle()
        await wait_until(partial(is_gone, stack, words), what="the person to be erased everywhere")
        log = (await rest.get("notifier", tenant.stage.path("actions"), user=ann))["items"]
        assert {"person_added", "seat_granted", "person_erased"} <= {entry["type"] for entry in log}, "the log keeps the id"
        emails = (await rest.get("notifier", tenant.stage.path("emails"), user=ann))["items"]
        assert [email["state"] for email in emails] == ["sent"], "it is still known that an e-mail was sent"


async def found_in(stack: RunningStack, words: list[str]) -> list[tuple[str, tuple[str, str]]]:
    """Return where the databases of all services contain one of the words."""
    found = []
    for service, url in stack.addresses["database_urls"].items():
        database = Database(url, application_name="test", pool_size=1)
        try:
            found += [(service, trace) for trace in await traces(partial(execute, database), words)]
        finally:
            await database.dispose()
    return found


async def is_gone(stack: RunningStack, words: list[str]) -> bool:
    return not await found_in(stack, words)


async def test_M12_a_person_added_without_a_dry_run_expands_the_pool_which_is_told_by_e_mail_before_it_is_charged(
    stack: RunningStack,
) -> None:
    async with await open_rest(stack) as rest, await stack.http("users", scope="operator") as http:
        tenant = await open_tenant(stack, rest, licences=1)
        cases, stage = Cases(stack, tenant, http), tenant.stage
        policies = {"modules": {BASE: {"over_limit": "expand", "expand_cap": 5}}}
        await rest.call("PATCH", "invoicing", stage.path("subscription/policies"), json=policies)
        users = [(await cases.call("POST", "", cases.fields(name))).json()["user"] for name in ("ann", "ben")]
        await stage.until_idle()
        assert [each["state"] for user in users for each in (await cases.person(user))["modules"]] == ["active", "active"]
        assert await cases.pool() == (2, 2, 0)

        async def told() -> list[str]:
            """Return the texts of the e-mails to the administrator that name the expansion."""
            async with httpx.AsyncClient(base_url=stack.addresses["mailbox_url"], timeout=30) as mailbox:
                found = [
                    (await mailbox.get(f"/api/messages/{mail['id']}")).json()["text"]
                    for mail in await stack.mails(to=f"admin@{tenant.id}.example")
                ]
            return [text for text in found if "according to its over-limit policy" in text]

        (text,) = await wait_until(told, what="the e-mail about the expansion")
        assert ("by 1 licence" in text, "You will be charged for this" in text) == (True, True)
        assert await stage.pages("invoicing", "invoices") == [], "nothing is charged before the day has ended"
        await stage.advance(OPENED + timedelta(days=1))
        (invoice,) = await stage.pages("invoicing", "invoices")
        assert [(line["module"], line["quantity"], line["net_minor"]) for line in invoice["lines"]] == [(BASE, 1, 1161)]


async def test_T17_T18_M15_a_renewal_cancels_a_reservation_that_the_reduction_named_and_the_invitation_stays_valid(
    stack: RunningStack,
) -> None:
    async with await open_rest(stack) as rest, await stack.http("users", scope="operator") as http:
        tenant = await open_tenant(stack, rest, licences=2)
        cases, stage = Cases(stack, tenant, http), tenant.stage
        ann = (await cases.call("POST", "", cases.fields("ann"))).json()["user"]
        ivo = (await cases.call("POST", "", cases.fields("ivo", invitation={"days": 60}))).json()["user"]
        await stage.until_idle()
        assert await cases.pool() == (2, 1, 1)

        offer = await stage.create("invoicing", stage.path("reductions"), {"items": [{"module": BASE, "total": 1}]})
        foretold: tuple[list[Any], list[Any]] = ([], [{"module": BASE, "users": [ivo], "count": 1}])
        assert (offer["takes_effect"], offer["would_flag"], offer["would_cancel"]) == ("period_end", *foretold)
        await stage.create("invoicing", offer["approve_url"], {})
        await stage.until_idle()
        done = await rest.get("invoicing", offer["status_url"])
        assert (done["status"], done["would_flag"], done["would_cancel"]) == ("completed", *foretold)
        (module,) = [
            each for each in (await rest.get("invoicing", stage.path("licences"), forecast="true"))["modules"] if each["module"] == BASE
        ]
        assert (module["flagged_at_renewal"], module["cancelled_at_renewal"]) == (0, 1)
        assert await cases.pool() == (2, 1, 1), "the licence is reserved until the renewal"

        await stage.advance(RENEWAL)
        assert await cases.pool() == (1, 1, 0)
        assert await cases.states(ann, ivo) == [("active", ["active"]), ("invited", ["withdrawn"])]
        log = (await rest.get("notifier", stage.path("actions"), user=ivo))["items"]
        assert [entry["type"] for entry in log].count("hold_cancelled") == 1
        text = await cases.mail("admin", "reservations for invited people were cancelled")
        assert (cases.name("ivo") in text, cases.name("ann") in text, "Their invitations stay valid." in text) == (True, False, True)

        page = await cases.accept("ivo")
        assert "You have access, although all licences are in use." in page, "the over-limit policy decides: flag"
        assert await cases.states(ann, ivo) == [("active", ["active"]), ("over_limit", ["flagged"])]
        assert await cases.pool() == (1, 1, 0)
