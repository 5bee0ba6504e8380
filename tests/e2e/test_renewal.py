"""A known leaver and a scheduled reduction on the whole stack: the confirmation, the e-mails, the renewal and its invoice."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from cli.rest import Rest
from tests.support.stack import RunningStack
from tests.support.tenant import BASE, Tenant, open_rest, open_tenant
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]
LAST_DAY = "2026-03-31"
BEFORE, RENEWAL = datetime(2026, 3, 25, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)  # the clock stops at each instant between them
FORECAST, FLAGGED = "PEOPLE OVER THE LIMIT AT THE NEXT RENEWAL", "during a grace period"


async def test_T18_M15_B12_a_leaver_of_the_last_day_frees_the_licence_of_a_reduction_and_nobody_is_flagged(stack: RunningStack) -> None:
    """Three companies: `block`, `flag_newest`, and `flag_newest` where the leaving is taken back after the reduction was scheduled."""
    async with await open_rest(stack) as rest:
        companies = await asyncio.gather(*(_company(stack, rest, policy) for policy in ("block", "flag_newest", "flag_newest")))
        blocking, flagging, kept = companies
        await asyncio.gather(*(_reduced(company, is_taken_back=company is kept) for company in companies))
        for company in (blocking, flagging):
            assert await _states(company) == {"Ann": "active", "Cy": "active", "Neumann": "active"}
            assert await _renewal(company) == (3, 3600)
            assert [text for text in await _mails(stack, company) if FORECAST in text or FLAGGED in text] == [], "nobody is mailed"
        assert await _states(kept) == {"Ann": "active", "Bob": "active", "Cy": "active", "Neumann": "flagged"}
        assert await _renewal(kept) == (3, 3600)
        mails = await _mails(stack, kept)
        assert any(FLAGGED in text for text in mails)
        at_once, *later = [text for text in reversed(mails) if FORECAST in text]
        assert ("30 days" in at_once, "Neumann" in at_once, len(later)) == (True, True, 2), "at once, and 7 days and 1 day before"


async def _company(stack: RunningStack, rest: Rest, reduce_below_use: str) -> Tenant:
    """Four people with four licences, who came one after the other."""
    tenant = await open_tenant(stack, rest, licences=4, extra_licences=1)
    policies = {"modules": {BASE: {"reduce_below_use": reduce_below_use}}}
    await rest.call("PATCH", "invoicing", tenant.stage.path("subscription/policies"), json=policies)
    for name in ("Ann", "Bob", "Cy", "Neumann"):
        body = {"login": f"{name}.{tenant.id}", "email": f"{name.lower()}@{tenant.id}.example", "name": name, "profile": "everybody"}
        await tenant.stage.create("users", tenant.stage.path("people"), body)
    await tenant.stage.until_idle()
    return tenant


async def _reduced(tenant: Tenant, *, is_taken_back: bool) -> None:
    """Bob's last working day is the last day of March, and from April on there are three licences."""
    stage, rest = tenant.stage, tenant.rest
    people = {person["name"]: person["user"] for person in await stage.people()}
    ending = stage.path(f"people/{people['Bob']}/terminate")
    body = (await stage.create("users", ending, {"last_day": LAST_DAY}))["reduction"]
    await stage.until_idle()
    offer = await stage.create("invoicing", stage.path("reductions"), body)
    assert (offer["items"], offer["takes_effect"], offer["would_flag"]) == ([{"module": BASE, "before": 4, "total": 3}], "period_end", [])
    await stage.create("invoicing", offer["approve_url"], {})
    await stage.until_idle()
    done = await rest.get("invoicing", offer["status_url"])
    assert (done["status"], done["would_flag"]) == ("completed", [])
    if is_taken_back:
        await rest.delete("users", ending)
    await stage.advance(BEFORE)
    shown = await rest.get("invoicing", stage.path("licences"), forecast="true")
    assert shown["modules"][0]["flagged_at_renewal"] == int(is_taken_back)
    upcoming = await rest.get("invoicing", stage.path("invoices/upcoming"))
    assert {line["module"]: line["quantity"] for line in upcoming["lines"]}[BASE] == 3
    await stage.advance(RENEWAL)
    await stage.until_idle()


async def _states(tenant: Tenant) -> dict[str, Any]:
    names = {person["user"]: person["name"] for person in await tenant.stage.people()}
    return {names[user]: seat["state"] for (user, module), seat in sorted((await tenant.seats()).items()) if module == BASE}


async def _renewal(tenant: Tenant) -> tuple[int, int]:
    """Return the licences and the net amount of the base module on the invoice of April."""
    (invoice,) = await tenant.stage.pages("invoicing", "invoices")
    (line,) = [line for line in invoice["lines"] if line["module"] == BASE]
    return line["quantity"], line["net_minor"]


async def _mails(stack: RunningStack, tenant: Tenant) -> list[str]:
    """Return the texts of all e-mails to the tenant, newest first, as soon as the last one, about the invoice, has arrived."""
    async with httpx.AsyncClient(base_url=stack.addresses["mailbox_url"], timeout=30) as mailbox:

        async def arrived() -> list[dict[str, Any]]:
            found = [mail for mail in await stack.mails() if f"@{tenant.id}.example" in str(mail["recipients"])]
            return found if any("nvoice" in mail["subject"] for mail in found) else []

        found = await wait_until(partial(arrived), what="the e-mail about the invoice")
        return [(await mailbox.get(f"/api/messages/{mail['id']}")).json()["text"] for mail in found]
