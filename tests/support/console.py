"""The console in this process, with the REST of the other services in memory: one company with numbers that requests change.

async with console() as bench:
    browser = await bench.signed_in()
    page = await browser.get("/tenants/acme/licences")
"""

import html
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
from joserfc.jwk import KeySet
from pydantic import SecretStr

from services.console.pages import make_app
from services.console.settings import Settings
from services.console.wiring import Wiring, wired
from shared.clock import FixedClock
from shared.schemas.base import format_instant
from shared.schemas.rights import TENANT_RIGHTS
from shared.web.auth import Verifier
from tests.support.apps import KEY, forged
from tests.support.console_access import AccessRest
from tests.support.console_contract import ContractRest
from tests.support.console_invitations import InvitationsRest
from tests.support.console_money import MoneyRest
from tests.support.console_operator import OperatorRest
from tests.support.console_orders import OrdersRest
from tests.support.console_people import PeopleRest
from tests.support.console_rights import refused
from tests.support.console_settings import SettingsRest
from tests.support.console_tenant_money import TenantMoneyRest

NOW = datetime(2026, 3, 5, 9, tzinfo=UTC)
DEADLINE = "2026-03-09T09:00:00.000Z"
KEY_OF_CONSOLE = "a-key-of-the-console-for-tests-only"
ABOUT = re.compile(r'name="_about" value="([^"]*)"')
TOKEN = re.compile(r'name="_token" value="([^"]+)"')


@dataclass
class Module:
    name: str
    base: bool
    bought: int
    active: int
    flagged: int = 0
    held: int = 0
    waiting: int = 0
    refused: int = 0
    next_period: int = -1
    minimum: int = 1
    leavers: int = 0  # whose last working day is before the renewal
    pending: list[dict[str, Any]] = field(default_factory=list)

    @property
    def flagged_at_renewal(self) -> int:
        return max(0, self.active - self.leavers - self.next_period) if self.next_period > 0 else 0

    @property
    def cancelled_at_renewal(self) -> int:
        return max(0, min(self.held, self.active + self.held - self.leavers - self.next_period)) if self.next_period > 0 else 0

    def view(self, module: str) -> dict[str, Any]:
        return {
            "module": module,
            "name": self.name,
            "base": self.base,
            "bought": self.bought,
            "in_use": self.active + self.flagged + self.held,
            "active": self.active,
            "flagged": self.flagged,
            "held": self.held,
            "waiting": self.waiting,
            "available": max(0, self.bought - self.active - self.held),
            "next_period": self.bought if self.next_period < 0 else self.next_period,
            "unit_price_minor": 1200,
            "pending_orders": self.pending,
            "minimum": self.minimum,
        }


def alpenrose() -> dict[str, Module]:
    return {
        "projects": Module("Projects", True, 119, 119, flagged=3),
        "lab": Module("Laboratory", False, 27, 27, flagged=3, next_period=20),
        "planning": Module("Planning", False, 12, 9, held=1, refused=1),
        "documents": Module("Documents", False, 40, 31, next_period=0),
    }


@dataclass
class Company:
    """The services' REST about one tenant, `acme`, in memory. `down` and `answers` change what a service answers."""

    modules: dict[str, Module] = field(default_factory=alpenrose)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    answers: dict[str, httpx.Response] = field(default_factory=dict)  # by `METHOD service path`
    change_answer: Callable[[Any], Any] | None = None  # what a service of another release would answer instead
    requests: list[httpx.Request] = field(default_factory=list)
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    reductions: dict[str, dict[str, Any]] = field(default_factory=dict)
    emails: list[dict[str, Any]] = field(default_factory=list)
    undelivered: dict[str, Any] = field(default_factory=lambda: {"emails": 0, "recipients": 0, "addresses": []})
    status: str = "active"
    ends_on: str | None = None
    uses_known: bool = True  # False: seats does not answer invoicing
    unconfirmed: set[str] = field(default_factory=set)
    decides: bool = True  # seats decides orders and reductions at once
    needs_second: bool = False  # another person must approve a purchase as well
    names: dict[str, str] = field(default_factory=lambda: {"ann": "Ann Müller", "u1": "Zora Schmid", "u2": "Bruno Jovanović"})
    people: PeopleRest = field(default_factory=PeopleRest)
    money: MoneyRest = field(default_factory=MoneyRest)
    operator: OperatorRest = field(default_factory=OperatorRest)
    contract: ContractRest = field(default_factory=ContractRest)
    tenant_money: TenantMoneyRest = field(init=False)
    access: AccessRest = field(default_factory=AccessRest)
    ordering: OrdersRest = field(default_factory=OrdersRest)
    invitations: InvitationsRest = field(default_factory=InvitationsRest)
    settings: SettingsRest = field(default_factory=SettingsRest)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.tenant_money = TenantMoneyRest(self.money, self.contract.discounts)

    def begin_session(self, user: str = "ann", tenant: str | None = "acme", rights: tuple[str, ...] = TENANT_RIGHTS, **more: Any) -> str:
        """Return the secret of a new session."""
        secret = f"session-{user}-{tenant}-{next(self._numbers)}"
        self.sessions[secret] = {"subject": user, "tenant": tenant, "rights": rights} | more
        return secret

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as the service of that address would."""
        answer = await self._handle(request)
        if self.change_answer is None or not answer.headers.get("content-type", "").startswith("application/json"):
            return answer
        return reply(self.change_answer(answer.json()), answer.status_code)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        service, path = {8001: "users", 8002: "seats", 8003: "invoicing", 8004: "notifier"}[request.url.port or 0], request.url.path
        if service in self.down:
            raise httpx.ConnectError("down", request=request)
        if (given := self.answers.get(f"{request.method} {service} {path}")) is not None:
            return given
        if path in ("/v1/token", "/v1/token/revoke") or path.startswith("/v1/sign-in"):
            return self._sign_in(path, request)
        if path.startswith("/v1/invitations/"):
            return self.invitations.handle(path.rpartition("/")[2], orjson.loads(request.content)["token"])
        claims = self._claims(request)
        if claims is None:
            return problem(401, "invalid-token", "The access token is not valid or has expired.")
        if path == "/v1/me":
            return reply(self._me(claims))
        if (why := await refused(service, request.method, path, claims)) is not None:
            return problem(403, why.type, why.detail, **dict[str, Any](why.extra))
        for pattern, answer in self._routes().items():
            method, of, where = pattern.split(" ")
            if (method, of) == (request.method, service) and (found := re.fullmatch(where, path)):
                return answer(*found.groups(), request)
        return problem(404, "not-found", f"no {request.method} {service} {path}")

    def _claims(self, request: httpx.Request) -> Mapping[str, Any] | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return next((each for each in self.sessions.values() if each.get("token") == token), None)

    # ---------------------------------------------------------------------------------------------------------------- users

    def _sign_in(self, path: str, request: httpx.Request) -> httpx.Response:
        if path == "/v1/token":
            secret = parse_qs(request.content.decode())["subject_token"][0]
            session = self.sessions.get(secret)
            if session is None:
                return problem(400, "invalid_grant", "The session is unknown, has expired or was ended. Sign in again.")
            kind = "user" if session["tenant"] else "operator"
            claims = {"sub": session["subject"], "rights": list(session["rights"]), "kind": kind}
            claims |= {name: session[name] for name in ("departments", "tenant") if session.get(name)}
            at = int(NOW.timestamp())
            session["token"] = forged(**claims, iat=at, exp=at + 295, jti=str(next(self._numbers))).removeprefix("Bearer ")
            return reply({"access_token": session["token"], "expires_in": 295})
        if path == "/v1/token/revoke":
            self.sessions.pop(parse_qs(request.content.decode())["token"][0], None)
            return httpx.Response(200)
        body = orjson.loads(request.content)
        if path == "/v1/sign-in/links":
            return reply({"detail": "If …"}, 202)
        if path == "/v1/sign-in/links/use":
            choices = self.links.pop(body["secret"], None)
            if choices is None:
                return problem(409, "link-not-valid", "This sign-in link is unknown, was already used or has expired.")
            return reply({"ticket": "ticket", "choices": choices})
        if path == "/v1/sign-in/links/choose":
            rights = TENANT_RIGHTS if body.get("tenant") else ("operator",)
            return reply({"secret": self.begin_session(body["user"], body.get("tenant"), rights)}, 201)
        return problem(404, "not-found", "No identity provider.")

    def _me(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        tenant = {
            "tenant": "acme",
            "name": "Alpenrose AG",
            "time_zone": "Europe/Zurich",
            "locale": "de-CH",
            "clock": claims.get("clock", "real"),
            "now": "2026-03-05T09:00:00.000Z",
            "support_contact": "help@vendor.example",
        }
        own = {
            "login": claims["subject"],
            "email": f"{claims['subject']}@acme.example",
            "is_unconfirmed": claims["subject"] in self.unconfirmed,
            "digests": self.settings.digests if claims["tenant"] else None,
        }
        return {"name": self.names.get(claims["subject"], claims["subject"]), "tenant": tenant if claims["tenant"] else None} | own

    # ------------------------------------------------------------------------------------------------------------- licences

    def _routes(self) -> Mapping[str, Callable[..., httpx.Response]]:
        own = "/v1/tenants/acme"
        return {
            **self.access.routes(),
            **self.settings.routes(),
            **self.operator.routes(),
            **self.tenant_money.routes(),
            **self.people.routes(),
            **self.money.routes(),
            **self.contract.routes(self),
            f"GET invoicing {own}/licences": self._licences,
            **self.ordering.routes(self),
            f"GET invoicing {own}/licences/history": lambda request: reply({"items": self._history(), "next": None}),
            f"GET users {own}/statistics/modules": lambda request: reply({"modules": self._counts()}),
            f"POST users {own}/people/(.+)/sign-in/confirm": self._confirm,
            f"POST users {own}/operator-access": self._open,
            f"GET seats {own}/forecast": lambda request: reply({"pools": [], "events": self._events()}),
            f"GET notifier {own}/emails": lambda request: reply({"items": self.emails, "next": None}),
            f"GET notifier {own}/emails/undelivered": lambda request: reply(self.undelivered),
            f"POST invoicing {own}/quotes": self._quote,
            f"POST invoicing {own}/subscription/modules": self._quote_module,
            f"GET invoicing {own}/quotes/([^/]+)": self._one_quote,
            f"POST invoicing {own}/quotes/([^/]+)/withdraw": self._withdraw_quote,
            f"POST invoicing {own}/quotes/(.+)/approve": self._approve,
            f"GET invoicing {own}/orders/(.+)": lambda order, request: reply(self.orders[order]),
            f"POST invoicing {own}/reductions": self._reduce,
            f"POST invoicing {own}/reductions/(.+)/approve": self._approve_reduction,
            f"GET invoicing {own}/reductions/(.+)": lambda reduction, request: reply(self.reductions[reduction]),
        }

    def _open(self, request: httpx.Request) -> httpx.Response:
        at = int(NOW.timestamp())
        rights = ["account:read", "users:read", "log:read"]
        token = forged(sub="vera", tenant="acme", rights=rights, iat=at, exp=at + 1800).removeprefix("Bearer ")
        self.sessions[f"opened-{next(self._numbers)}"] = {"subject": "vera", "tenant": "acme", "rights": rights, "token": token}
        return reply({"access_token": token, "expires_in": 1800}, 201)

    def _licences(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params.get("forecast") == "true"
        body = {
            "subscription": "s1",
            "status": self.status,
            "plan": "standard",
            "plan_name": "Standard",
            "term": "monthly",
            "currency": "CHF",
            "period": {"start": "2026-03-01", "end": "2026-04-01"},
            "next_invoice_on": "2026-04-01",
            "following_renewal": None if self.ends_on else "2026-05-01",
            "ends_on": self.ends_on,
            "next_period_net_minor": 205_200,
            "position": "3/17" if self.uses_known else None,
            "buying": self.money.buying(),
            "modules": [
                module.view(name)
                | ({} if self.uses_known else dict.fromkeys(("in_use", "active", "flagged", "held", "waiting", "available")))
                | {
                    "flagged_at_renewal": module.flagged_at_renewal if asked else None,
                    "cancelled_at_renewal": module.cancelled_at_renewal if asked else None,
                    "may_reduce": self.ends_on is None or self.settings.policies.get(name, {}).get("reduce_at") == "now",
                }
                for name, module in self.modules.items()
            ],
        }
        return reply(body)

    def _history(self) -> list[dict[str, Any]]:
        def days(module: Module) -> list[dict[str, Any]]:
            first = NOW.date() - timedelta(days=60)
            use = module.active + module.flagged
            return [
                {
                    "day": (first + timedelta(days=n)).isoformat(),
                    "bought": module.bought - (4 if n < 57 else 0),
                    "highest_use": use - (60 - n) // 6,
                }
                for n in range(61)
            ]

        return [{"module": name, "days": days(module)} for name, module in self.modules.items()]

    def _events(self) -> list[dict[str, Any]]:
        def pool(name: str, module: Module, licences: int, flagged: int) -> dict[str, Any]:
            active = min(licences, module.active)
            return {"module": name, "licences": licences, "active": active, "flagged": flagged, "held": 0}

        return [
            {"type": "seat_revoked", "data": {"at": DEADLINE, "pools": [pool(name, each, each.bought, 0)]}}
            for name, each in self.modules.items()
            if each.flagged
        ] + [
            {"type": "period_started", "data": {"at": "2026-04-01T00:00:00Z", "pools": [pool(name, each, max(1, each.next_period), 0)]}}
            for name, each in self.modules.items()
            if each.next_period > 0
        ]

    def _counts(self) -> list[dict[str, Any]]:
        return [
            {
                "module": name,
                "flagged": module.flagged,
                "nearest_deadline": DEADLINE if module.flagged else None,
                "last_deadline": DEADLINE if module.flagged else None,
                "waiting": module.waiting,
                "refused": module.refused,
            }
            for name, module in self.modules.items()
            if module.flagged or module.waiting or module.refused
        ]

    def _confirm(self, user: str, request: httpx.Request) -> httpx.Response:
        self.unconfirmed.remove(user)
        return reply({"login": user, "email": f"{user}@acme.example"})

    def _quote_module(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        policies = body.get("policies") or {"over_limit": "reject", "expand_cap": None}
        return self._make_quote(body["module"], body["licences"], new_module=body["module"], policies=policies)

    def _quote(self, request: httpx.Request) -> httpx.Response:
        (item,) = orjson.loads(request.content)["items"]
        return self._make_quote(item["module"], item["add"])

    def _make_quote(self, module: str, add: int, **more: Any) -> httpx.Response:
        if add > 1000:
            fault = {"field": "body.items.0.add", "value": add, "expected": "at most 1,000 licences more"}
            return problem(422, "invalid", "These fields are not valid: body.items.0.add.", errors=[fault])
        quote = f"q{next(self._numbers)}"
        net = add * 1045
        line = {
            "module": module,
            "quantity": add,
            "days": 27,
            "days_of_period": 31,
            "net_minor": net,
            "unit_price_minor": 1200,
            "discount_minor": 0,
        }
        amounts = {"net_minor": 205_200, "tax_minor": 16_621, "gross_minor": 221_821}
        self.quotes[quote] = {
            "quote": quote,
            "currency": "CHF",
            "lines": [line | {"recurring_now_minor": 142_800, "recurring_then_minor": 142_800 + add * 1200}],
            "taxes": [{"category": "S", "rate_percent": "8.1", "basis_minor": net, "tax_minor": net * 81 // 1000}],
            "net_minor": net,
            "tax_minor": net * 81 // 1000,
            "gross_minor": net + net * 81 // 1000,
            "credit_net_minor": 0,
            "next_period": {
                "before": amounts,
                "after": {"net_minor": 205_200 + add * 1200, "tax_minor": 17_000, "gross_minor": 225_000 + add * 1200},
                "added_net_minor": add * 1200,
                "cancelled_reduction_net_minor": 0,
            },
            "charge": "next_invoice",
            "cancels_closing": [],
            "cancels_plan_change": None,
            "ends_on": self.ends_on,
            "expires_at": "2026-03-05T22:59:59.000Z",
            "priced_for": "2026-03-05",
            "state": "open",
            "requested_by": {"kind": "user", "id": "ann"},
            "approvals": [],
            "estimate": None,
            "new_module": None,
            "policies": None,
            "order": None,
            "replaces": None,
            "replaced_by": None,
            "your_approval": "waits" if self.needs_second else "orders",
            "history": [{"state": "open", "at": "2026-03-05T08:00:00.000Z", "by": {"kind": "user", "id": "ann"}, "detail": {}}],
        } | more
        return reply(self.quotes[quote], 201)

    def _withdraw_quote(self, quote: str, request: httpx.Request) -> httpx.Response:
        self.quotes[quote] |= {"state": "withdrawn", "your_approval": None}
        return reply(self.quotes[quote])

    def _one_quote(self, quote: str, request: httpx.Request) -> httpx.Response:
        return reply(self.quotes[quote]) if quote in self.quotes else problem(404, "not-found", "The service found no quote.")

    def _approve(self, quote: str, request: httpx.Request) -> httpx.Response:
        (line,) = self.quotes[quote]["lines"]
        if self.needs_second and not self.quotes[quote]["approvals"]:
            given = [{"by": {"kind": "user", "id": "ann"}, "at": "2026-03-05T09:00:00.000Z", "gross_minor": 1}]
            self.quotes[quote] |= {"state": "waiting_for_approval", "approvals": given, "your_approval": "not_possible"}
            return reply(self.quotes[quote], 202)
        self.quotes[quote] |= {"state": "activated", "your_approval": None}
        order = f"o{next(self._numbers)}"
        module = self.modules.setdefault(line["module"], Module(line["module"].capitalize(), False, 0, 0))
        self.orders[order] = {
            "order": order,
            "status": "pending",
            "decided_at": None,
            "module": line["module"],
            "add": line["quantity"],
        }
        module.pending.append({"order": order, "add": line["quantity"]})
        if self.decides:
            self.decide(order)
        return reply(self.orders[order], 202)

    def decide(self, order: str) -> None:
        """Let seats decide an order: the licences are added, and flags are cleared."""
        found = self.orders[order]
        module = self.modules[found["module"]]
        module.pending = [each for each in module.pending if each["order"] != order]
        module.bought += found["add"]
        if module.next_period >= 0:
            module.next_period = module.bought
        cleared = min(module.flagged, max(0, module.bought - module.active - module.held))
        module.flagged, module.active = module.flagged - cleared, module.active + cleared
        found |= {"status": "completed", "decided_at": format_instant(NOW)}

    def _reduce(self, request: httpx.Request) -> httpx.Response:
        (item,) = orjson.loads(request.content)["items"]
        name, total = item["module"], item["total"]
        module = self.modules[name]
        reduction = f"r{next(self._numbers)}"
        over = max(0, module.active - total)
        users = [each for each in self.names if each != "ann"][:over]
        ends = max(0, min(module.held, module.active + module.held - total))
        invited = [each for each in self.names if each not in ("ann", *users)][:ends]
        before = module.view(name)["next_period"]
        amounts = {"net_minor": 205_200, "tax_minor": 16_621, "gross_minor": 221_821}
        self.reductions[reduction] = {
            "reduction": reduction,
            "status": "offered",
            "decided_at": None,
            "takes_effect": "period_end",
            "items": [{"module": name, "before": before, "total": total}],
            "currency": "CHF",
            "next_period_before": amounts,
            "next_period_after": {**amounts, "net_minor": 205_200 + (total - before) * 1200},
            "credit_net_minor": 0,
            "unbilled_net_minor": 0,
            "would_flag": [{"module": name, "users": users, "count": over}] if over and total else [],
            "would_cancel": [{"module": name, "users": invited, "count": ends}] if ends and total else [],
        }
        return reply(self.reductions[reduction], 201)

    def _approve_reduction(self, reduction: str, request: httpx.Request) -> httpx.Response:
        found = self.reductions[reduction]
        (item,) = found["items"]
        self.modules[item["module"]].next_period = item["total"]
        found |= {"status": "completed", "decided_at": format_instant(NOW)}
        return reply(found, 202)


def reply(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(body), headers={"content-type": "application/json"})


def problem(status: int, type_: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> httpx.Response:
    body = {"type": f"urn:seatpool:problem:{type_}", "title": "", "status": status, "detail": detail} | extra
    return httpx.Response(status, content=orjson.dumps(body), headers={"content-type": "application/problem+json"} | (headers or {}))


@dataclass
class Browser:
    """A browser without scripts. It keeps cookies and sends the token of the last page's form, and what that form says it is about."""

    http: httpx.AsyncClient
    last: str = ""

    async def get(self, url: str, **headers: str) -> httpx.Response:
        response = await self.http.get(
            url, headers={name.replace("_", "-"): value for name, value in headers.items()}, follow_redirects=True
        )
        self.last = response.text or self.last
        return response

    async def post(
        self, url: str, *, follow: bool = True, headers: dict[str, str] | None = None, files: Any = None, **fields: Any
    ) -> httpx.Response:
        token = TOKEN.search(self.last)
        form: dict[str, Any] = {"_token": token[1]} if token and "_token" not in fields else {}
        sent = re.search(rf'<form (?=[^>]*method="post")[^>]*action="{re.escape(html.escape(url))}".*?</form>', self.last, re.DOTALL)
        form["_about"] = [html.unescape(each) for each in ABOUT.findall(sent[0])] if sent else []
        response = await self.http.post(url, data=form | fields, files=files, headers=headers or {}, follow_redirects=follow)
        self.last = response.text or self.last
        return response


@dataclass
class ConsoleBench:
    company: Company
    wiring: Wiring
    clock: FixedClock
    _transport: httpx.ASGITransport

    def browser(self, **cookies: str) -> Browser:
        return Browser(
            httpx.AsyncClient(
                transport=self._transport, base_url="http://127.0.0.1:8005", cookies=cookies, headers={"accept-language": "en"}
            )
        )

    def signed_in(self, user: str = "ann", tenant: str | None = "acme", rights: tuple[str, ...] = TENANT_RIGHTS, **more: Any) -> Browser:
        return self.browser(seatpool_session=self.company.begin_session(user, tenant, rights, **more))


@asynccontextmanager
async def console(company: Company | None = None, settings: Settings | None = None) -> AsyncIterator[ConsoleBench]:
    """Give the console and its company. Its clock stands still until a test moves it."""
    company = company or Company()
    clock = FixedClock(NOW)
    settings = settings or Settings(console_secret_key=SecretStr(KEY_OF_CONSOLE))
    verifier = Verifier(keys=lambda: KeySet([KEY]), clock=clock)
    async with wired(settings, clock=clock, transport=httpx.MockTransport(company.handle), verifier=verifier) as wiring:
        yield ConsoleBench(company, wiring, clock, httpx.ASGITransport(app=make_app(wiring)))
