"""The ways into the console after a demo: a one-time link for the company's administrator, and one for an operator."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cli.demo.stage import POLL_SECONDS
from cli.names import ALL_RIGHTS
from cli.owners import make_owner
from cli.rest import TIMEOUT_SECONDS, Addresses, Rest
from cli.token import fetch_token
from shared.clock import SystemClock
from shared.ids import new_id

OPERATOR = "operator@vendor.example"
LINK = re.compile(r"https?://\S+/sign-in/link\?secret=[\w-]+")
LINK_SECONDS_MAX = 30.0
TOKEN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Door:
    """Somebody who may use the console. `link` is empty if the e-mail cannot be read here."""

    who: str
    email: str
    link: str


async def doors(parts: Mapping[str, Any], tenant: str, administrator: str) -> list[Door]:
    """Make the administrator an owner of the tenant, add an operator, and return both with a sign-in link. `parts`: stack.json."""
    where = Addresses(urls=parts["services"], operator_secret=parts["operator_secret"])
    token = await fetch_token(where, tenant=None, rights=ALL_RIGHTS, ttl_seconds=TOKEN_SECONDS)
    async with Rest(Addresses(where.urls, token)) as rest:
        await make_owner(rest, tenant, administrator, "Licence Administrator")
        if OPERATOR not in [each["email"] for each in await rest.pages("users", "/v1/operators")]:
            await rest.post("users", "/v1/operators", {"email": OPERATOR, "name": "Olga Operator"}, {"Idempotency-Key": new_id()})
        people = (("the company's administrator", administrator), ("the vendor's operator", OPERATOR))
        return [Door(who, email, await _link(rest, parts.get("mailbox_url", ""), email)) for who, email in people]


async def _link(rest: Rest, mailbox: str, email: str) -> str:
    """Request a sign-in link as anybody does, and return it from the mailbox; empty if there is no mailbox, or no e-mail comes."""
    if not mailbox:
        return ""
    async with httpx.AsyncClient(base_url=mailbox, timeout=TIMEOUT_SECONDS) as http:
        seen = {mail["id"] for mail in await _mails(http, email)}
        await rest.post("users", "/v1/sign-in/links", {"email": email})
        clock = SystemClock()
        until = clock.monotonic() + LINK_SECONDS_MAX
        while clock.monotonic() < until:
            for mail in [mail for mail in await _mails(http, email) if mail["id"] not in seen]:
                seen.add(mail["id"])
                text = (await http.get(f"/api/messages/{mail['id']}")).raise_for_status().json()["text"]
                if found := LINK.search(text or ""):
                    return found[0]
            await asyncio.sleep(POLL_SECONDS)
    return ""


async def _mails(http: httpx.AsyncClient, to: str) -> list[dict[str, Any]]:
    return list((await http.get("/api/messages", params={"to": to})).raise_for_status().json())
