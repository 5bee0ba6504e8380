"""A company on the whole local stack for the tests in a browser, set up by REST, with people who sign in by link."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
from playwright.async_api import expect

from shared.clock import SystemClock
from tests.support.browsers import Window
from tests.support.stack import RunningStack
from tests.support.wait import wait_until


class StackCompany:
    """A company on the stack, set up by REST as the operator."""

    def __init__(self, stack: RunningStack, tenant: str, http: httpx.AsyncClient) -> None:
        self.stack, self.tenant, self._http = stack, tenant, http
        self.email = f"ann@{tenant}.example"
        self._number = 0

    async def call(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request until it is accepted: the services learn of each other by messages."""
        url = f"{self.stack.addresses['services'][service]}{path.format(tenant=f'/v1/tenants/{self.tenant}')}"
        self._number += 1
        own = {"idempotency-key": f"{self.tenant}-{self._number}"} | {name.replace("_", "-"): value for name, value in headers.items()}

        async def accepted() -> httpx.Response | None:
            response = await self._http.request(method, url, json=body, headers=own)
            return response if response.is_success else None

        response = await wait_until(accepted, what=f"{method} {path}")
        return response.json() if response.content else None

    async def open(
        self, projects: int, lab: int, *, at: str | None = None, plan: str = "browser", modules: Mapping[str, int] | None = None
    ) -> None:
        """Create the tenant with a subscription and an owner. `at`: on a test clock that begins then. `modules`: the licences of another
        plan, which exists."""
        today = at[:10] if at else SystemClock().now().date().isoformat()
        for module, name, base in (("projects", "Projects", True), ("lab", "Laboratory", False)):
            await self.call("PUT", "invoicing", f"/v1/modules/{module}", {"name": name, "base": base})
        prices = [{"module": module, "term": "monthly", "amount_minor": price} for module, price in (("projects", 1200), ("lab", 700))]
        await self.call("PUT", "invoicing", "/v1/plans/browser", {"name": "Browser", "currency": "EUR", "prices": prices})
        owner = {"name": "Ann Owner", "email": self.email}
        described = {"tenant": self.tenant, "name": "Acme", "time_zone": "Europe/Copenhagen", "owner": owner}
        contacts = {"contact_email": f"it@{self.tenant}.example", "support_contact": "support@vendor.example"}
        clock = {"clock": "test", "at": at} if at else {}
        await self.call("POST", "users", "/v1/tenants", described | contacts | clock)
        await self.call("PUT", "users", "{tenant}/profiles/staff", {"name": "Staff", "modules": ["projects", "lab"]})
        address = {"company": "Acme ApS", "street": "1 Street", "postcode": "1000", "city": "Copenhagen", "country": "DK"}
        await self.call("PUT", "invoicing", "{tenant}/billing-details", address | {"email": f"billing@{self.tenant}.example"})
        wanted = modules or {"projects": projects, "lab": lab}
        bought = [{"module": module, "licences": licences} for module, licences in wanted.items()]
        subscription = {"plan": plan, "term": "monthly", "period_start": today, "modules": bought}
        await self.call("POST", "invoicing", "{tenant}/subscription", subscription)

    async def add_person(self, login: str) -> None:
        person = {"login": login, "name": login.capitalize(), "email": f"{login}@{self.tenant}.example", "profile": "staff"}
        await self.call("POST", "users", "{tenant}/people", person)

    async def add_owner(self, login: str) -> None:
        """Add another person with every right, who takes no seat."""
        person = {"login": login, "name": login.capitalize(), "email": f"{login}@{self.tenant}.example"}
        user = (await self.call("POST", "users", "{tenant}/people", person))["user"]
        await self.call("PUT", "users", "{tenant}/people/" + user + "/roles", {"roles": ["owner"]}, if_match="*")

    async def advance(self, to: str) -> None:
        """Move the test clock, and wait until everything on the way was done."""
        await self.call("POST", "users", "{tenant}/clock", {"to": to})

        async def ready() -> bool:
            return bool((await self.call("GET", "users", "{tenant}/clock"))["state"] == "ready")

        await wait_until(ready, seconds=120, what=f"the test clock at {to}")

    async def link(self, email: str = "") -> str:
        """Return the link of the newest e-mail, as soon as it is there."""

        async def there() -> str | None:
            for mail in await self.stack.mails(to=email or self.email, subject="sign-in"):
                whole = await self._http.get(f"{self.stack.addresses['mailbox_url']}/api/messages/{mail['id']}")
                if found := re.search(r"https?://\S+/sign-in/link(\?secret=[\w-]+)", whole.json()["text"]):
                    return found[1]
            return None

        return "/sign-in/link" + await wait_until(there, what="the sign-in link")

    async def sign_in(self, opened: Window, login: str = "ann", *, email: str = "", heading: str = "Licences") -> None:
        """Sign in by link, as a person does."""
        page, email = opened.page, email or f"{login}@{self.tenant}.example"
        await opened.open("/sign-in")
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_role("button", name="Send me a link").click()
        await expect(page.get_by_text("Check your e-mails")).to_be_visible()
        await opened.open(await self.link(email))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
