"""The story: a company's first weeks on a test clock, through REST only."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cli.console import CliError
from cli.demo.happenings import Happening, Kind, changes_after, hired_on, reported_on
from cli.demo.plan import Plan, money_words
from cli.demo.stage import Audience, Snapshot, Stage
from cli.hr.facts import send
from cli.names import ALL_RIGHTS
from cli.rest import Addresses, Rest
from cli.token import fetch_token
from shared.hr_files.company import Company
from shared.ids import new_id
from shared.schemas.base import format_instant
from shared.schemas.hr_v1 import PersonReported

TOKEN_SECONDS = 3600  # longer than any demo
ADMINISTRATOR_PROFILE = "licence-administrator"


@dataclass
class Outcome:
    tenant: str
    snapshots: list[Snapshot] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)


async def play(where: Addresses, company: Company, plan: Plan, audience: Audience) -> Outcome:
    token = await fetch_token(where, tenant=None, rights=ALL_RIGHTS, ttl_seconds=TOKEN_SECONDS)
    async with Rest(Addresses(where.urls, token)) as rest:
        story = Story(where, Stage(rest, company.name, audience), company, plan)
        await story.become_customer()
        await story.subscribe()
        await story.hire()
        for day in plan.days(company):
            await story.play_deadlines_before(plan.instant(day))
            await story.play_day(day)
        return story.outcome


class Story:
    """The steps of the demo, in order."""

    def __init__(self, where: Addresses, stage: Stage, company: Company, plan: Plan) -> None:
        self.where, self.stage, self.company, self.plan = where, stage, company, plan
        self.rest, self.path, self.audience = stage.rest, stage.path, stage.audience
        self.source = f"hr/{company.name}"
        self.price_list = f"standard-{stage.tenant}"  # a running stack may have a plan `standard` of its own
        self.administrator = ""
        self.outcome = Outcome(stage.tenant)

    async def become_customer(self) -> None:
        """Create the price list, the tenant, its profiles and its administrator."""
        plan, tenant = self.plan.tenant, self.stage.tenant
        self.audience.chapter(self.plan.opened_on, f"{plan.name} becomes a customer")
        await self._require_new_tenant()
        await self._catalogue()
        body = {
            "tenant": tenant,
            "name": plan.name,
            "time_zone": plan.time_zone,
            "clock": "test",
            "at": format_instant(self.plan.instant(self.plan.opened_on)),
            "contact_email": plan.contact_email,
            "support_contact": plan.support_contact,
        }
        await self.stage.create("users", "/v1/tenants", body)

        async def is_open() -> tuple[bool, object]:
            status = (await self.rest.get("users", f"/v1/tenants/{tenant}"))["status"]
            return status == "open", status

        await self.stage.until("the tenant to open", is_open)
        await self.rest.put("users", f"/v1/operator/sources/{self.source}", {"tenants": [tenant]})
        await self._profiles()
        administrator = {
            "login": "licences",
            "email": plan.contact_email,
            "name": "Licence Administrator",
            "profile": ADMINISTRATOR_PROFILE,
            "administrator": True,
        }
        self.administrator = (await self.stage.create("users", self.path("people"), administrator))["user"]
        self.audience.said("the profiles and the department mapping are set; the administrator takes no seat and may buy")

    async def _require_new_tenant(self) -> None:
        tenant = self.stage.tenant
        try:
            await self.rest.get("users", f"/v1/tenants/{tenant}")
        except CliError as error:
            if error.problem == "not-found":
                return
            raise
        raise CliError(
            f"the running stack has a tenant {tenant} already",
            f"Copy the folder {tenant} under another name and play that one, or stop the stack and remove its data (the folder .seatpool).",
        )

    async def _catalogue(self) -> None:
        """Create the vendor's modules and price list, which belong to no tenant. A module that others use already is left as it is."""
        known = {each["module"]: each["base"] for each in await self.rest.pages("invoicing", "/v1/modules")}
        for name, module in self.plan.modules.items():
            if known.get(name, module.base) != module.base:
                kind = "a base module" if known[name] else "no base module"
                raise CliError(f"the module {name} of the running stack is {kind}", "Start the demo with a stack of its own: `make demo`.")
            if name in known:
                continue
            await self.rest.put("invoicing", f"/v1/modules/{name}", {"name": module.title, "base": module.base, "requires": []})
        term = self.plan.subscription.term
        prices = [{"module": name, "term": term, "amount_minor": module.price_minor} for name, module in self.plan.modules.items()]
        body = {"name": "Standard", "currency": self.plan.tenant.currency, "allows_extra_licences": True, "prices": prices}
        await self.rest.put("invoicing", f"/v1/plans/{self.price_list}", body)

    async def _profiles(self) -> None:
        for name, profile in self.plan.profiles.items():
            body = {"name": profile.title, "modules": list(profile.modules), "partial": profile.partial}
            await self.rest.put("users", self.path(f"profiles/{name}"), body)
        body = {"name": "Licence administrator", "modules": [], "partial": False}
        await self.rest.put("users", self.path(f"profiles/{ADMINISTRATOR_PROFILE}"), body)
        await self.rest.put("users", self.path("department-mapping"), self.plan.mapping(self.company.departments))

    async def subscribe(self) -> None:
        """Send the billing details, subscribe to the modules of the plan, and wait until the subscription is active."""
        await self._bill("factur_x")
        subscription = self.plan.subscription
        modules = [
            {"module": name, "licences": module.licences, "policies": module.policies.model_dump(exclude_none=True)}
            for name, module in self.plan.modules.items()
        ]
        body = {"plan": self.price_list, "modules": modules, **subscription.model_dump(mode="json", exclude={"starts"}, exclude_none=True)}
        await self.stage.create("invoicing", self.path("subscription"), body | {"period_start": subscription.starts.isoformat()})

        async def is_active() -> tuple[bool, object]:
            status = (await self.rest.get("invoicing", self.path("subscription")))["status"]
            return status == "active", status

        await self.stage.until("the pools to open", is_active)
        bought = ", ".join(f"{module.licences} of {name}" for name, module in self.plan.modules.items())
        invoiced = f"; invoiced before, until {subscription.billed_until:%-d %B %Y}" if subscription.billed_until else ""
        self.audience.said(f"{subscription.term} subscription from {subscription.starts:%-d %B %Y}: licences for {bought}{invoiced}")

    async def _bill(self, document_format: str) -> None:
        """Send the billing details with the format of the documents to come."""
        plan = self.plan.tenant
        details = {
            "company": plan.name,
            "street": plan.street,
            "postcode": plan.postcode,
            "city": plan.city,
            "country": plan.country,
            "email": plan.contact_email,
            "document_format": document_format,
            "buyer_reference": plan.buyer_reference,
            "electronic_address": plan.electronic_address,
            "tax_category": "Z" if plan.is_untaxed else "S",
            "tax_rate_percent": plan.vat_percent,
            "tax_reason": "The plan of the demo names the tax.",
        }
        await self.rest.put("invoicing", self.path("billing-details"), details)

    async def hire(self) -> None:
        day = self.plan.dates.hired_on
        hires = hired_on(self.company, day)
        await self.stage.advance(self.plan.instant(day))
        self.audience.chapter(day, f"{len(hires)} people are hired, in order of hire date")
        await self._send(day, hires)
        await self._show(day, "after the import")

    async def play_day(self, day: date) -> None:
        """Play what happens on this day: purchases, each in the format that it names, and then changes of people."""
        purchases = [purchase for purchase in self.plan.purchases if purchase.on == day]
        happenings = [each for each in changes_after(self.company, self.plan.dates.hired_on, day) if each.day == day]
        words = [*(purchase_words(each.add) for each in purchases), *map(happening_words, happenings)]
        title = "; ".join(words) or self._quiet_day(self.plan.instant(day))
        await self.stage.advance(self.plan.instant(day))
        self.audience.chapter(day, title)
        for purchase in purchases:
            if purchase.document_format is not None:
                await self._bill(purchase.document_format)
                self.audience.said(f"documents from now on: {purchase.document_format}")
            await self._buy(purchase.add)
        if happenings:
            await self._send(day, happenings)
        await self._show(day, title)

    async def play_deadlines_before(self, end: datetime) -> None:
        """Stop at each deadline on the way, to show who loses a seat."""
        while deadlines := {flag.deadline for flag in self.outcome.snapshots[-1].flags if flag.deadline and flag.deadline < end}:
            at = min(deadlines)
            day = at.astimezone(ZoneInfo(self.plan.tenant.time_zone)).date()
            await self.stage.advance(at)
            self.audience.chapter(day, "a deadline is reached")
            await self._show(day, "a deadline is reached")

    def _quiet_day(self, at: datetime) -> str:
        flags = [flag for flag in self.outcome.snapshots[-1].flags if flag.deadline and flag.deadline <= at]
        return f"the deadline of {len(flags)} flags is reached" if flags else "nothing happens on the last day"

    async def _buy(self, items: Mapping[str, int]) -> None:
        """Buy as the company's administrator, with their token: request a quote, approve it, wait for the decision of seats."""
        rights = "account:read account:buy"
        token = await fetch_token(
            self.where, tenant=self.stage.tenant, rights=rights, ttl_seconds=TOKEN_SECONDS, subject=self.administrator
        )
        async with Rest(Addresses(self.where.urls, token)) as buyer:
            wanted = {"items": [{"module": module, "add": quantity} for module, quantity in items.items()]}
            quote = await buyer.post("invoicing", self.path("quotes"), wanted, headers={"Idempotency-Key": new_id()})
            approve = self.path(f"quotes/{quote['quote']}/approve")
            approved = await buyer.post("invoicing", approve, {}, headers={"Idempotency-Key": new_id(), "Prefer": "wait=5"})

            async def is_decided() -> tuple[bool, object]:
                order = await buyer.get("invoicing", self.path(f"orders/{approved['order']}"))
                if order["status"] == "refused":
                    raise CliError(f"the purchase of {purchase_words(items)} was refused: {order.get('reason')}")
                return order["status"] == "completed", order["status"]

            await self.stage.until("the decision on the purchase", is_decided)
            await self.stage.until_idle()
            self.outcome.orders.append(await buyer.get("invoicing", self.path(f"orders/{approved['order']}")))
        net, tax, gross = (money_words(quote[f"{part}_minor"]) for part in ("net", "tax", "gross"))
        self.audience.said(f"quote: {net} + tax {tax} = {gross} {self.plan.tenant.currency}, approved by the administrator")

    async def _send(self, day: date, happenings: Sequence[Happening]) -> None:
        """Report to whom something happens, show the progress, and return when everybody is decided and every e-mail is sent."""
        before = (await self.stage.statistics("seats"))["decisions"]
        people = {each.person.external_id: each.person for each in happenings}
        reports = [reported_on(person, self.plan.dates.hired_on, day) for person in people.values()]
        sending = asyncio.create_task(self._send_until_idle(reports))
        while not sending.done():
            done = (await self.stage.statistics("seats"))["decisions"] - before
            self.audience.waiting("decided", min(done, len(reports)), len(reports))
            await asyncio.wait({sending}, timeout=0.3)
        await sending

    async def _send_until_idle(self, reports: Sequence[PersonReported]) -> None:
        sent = await send(self.rest, self.stage.tenant, self.source, reports)
        if sent.rejected:
            raise CliError(f"users rejected {len(sent.rejected)} HR events, the first one because of: {sent.rejected[0].reason}")
        await self.stage.until_idle()

    async def _show(self, day: date, title: str) -> None:
        await self.stage.until_idle()
        snapshot = await self.stage.snapshot(title, day)
        self.outcome.snapshots.append(snapshot)
        self.audience.company(snapshot)


def happening_words(happening: Happening) -> str:
    login = happening.person.values_on(happening.day).get("login") or happening.person.external_id
    match happening.kind:
        case Kind.HIRED:
            return f"{login} is hired ({happening.department or 'no department'})"
        case Kind.MOVED:
            return f"{login} moves to {happening.department or 'no department'}"
        case Kind.LEFT:
            return f"{login} leaves"


def purchase_words(items: Mapping[str, int]) -> str:
    return "buys " + ", ".join(f"{quantity} of {module}" for module, quantity in items.items())
