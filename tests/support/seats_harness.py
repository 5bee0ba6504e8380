"""A small company for the unit tests of the seats core: commands in, decisions out as short lines.

A line is `seats_assigned ada: time=flagged/over_limit docs=active/licence_free`, `seat_revoked ada time (grace_expired)` or
`licences_added (ordered)`; a seat that the person has already is shown without a reason. Every decision is compared with the schemas, the
invariants, evolve and the changed rows.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.seats import domain
from shared.schemas import registry, seats_v1
from shared.schemas.base import Payload

START = datetime(2013, 11, 15, 9, tzinfo=UTC)
USERS, INVOICING = "seatpool/users", "seatpool/invoicing"


def line(event: domain.Event) -> str:
    body, name = event.body, event.type.rpartition(".")[2]
    if name in ("seats_assigned", "seats_queued", "seats_refused", "seats_moved"):
        shown = [f"{m['module']}={m['state']}" + (f"/{m['reason']}" if "reason" in m else "") for m in body["modules"]]
        return " ".join([f"{name} {body['user']}:", *shown])
    words = [name, body.get("user"), body.get("module"), f"({body['reason']})"]
    return " ".join(word for word in words if word)


def counts(tenant: domain.Tenant | None) -> dict[str, tuple[int, int, int, int]]:
    """Return (active, flagged, held, waiting) of each pool."""
    pools = {} if tenant is None else tenant.pools
    return {module: (pool.active, pool.flagged, pool.held, pool.waiting) for module, pool in pools.items()}


def evolve(tenants: dict[str, domain.Tenant], tenant: str, event: domain.Event) -> None:
    """Evolve as a reader of the log does. The event must show every pool whose counts it changes."""
    before = counts(tenants.get(tenant))
    domain.evolve(tenants, tenant, event)
    changed = {module for module, _ in before.items() ^ counts(tenants.get(tenant)).items()}
    shown = {pool["module"] for pool in event.body["pools"]}
    assert changed <= shown, f"{event.type} changes {sorted(changed)} and shows {sorted(shown)}"


class SeatsHarness:
    """One tenant, `acme`, on a real clock that stands until `wait` moves it (or on a test clock)."""

    def __init__(self, *, test: bool = False, rules: int = 1) -> None:
        self.tenants: dict[str, domain.Tenant] = {}
        self.replica: dict[str, domain.Tenant] = {}
        self.rows: dict[str, domain.Row] = {}
        self.now, self.offset, self.rules, self.commands = START, 0, rules, 0
        self.numbers = {USERS: 0, INVOICING: 0}
        self.revisions: dict[str, int] = {}
        self.events: list[domain.Event] = []
        self.period: str | None = None
        self.sent: domain.Command | None = None
        self.send(seats_v1.OpenTenant(number=self.number(USERS), clock="test" if test else "real", at=START), USERS)

    @property
    def tenant(self) -> domain.Tenant:
        return self.tenants["acme"]

    def number(self, source: str) -> int:
        self.numbers[source] += 1
        return self.numbers[source]

    def send(self, payload: Payload, source: str = INVOICING, command: str | None = None) -> list[str]:
        self.commands += 1
        self.offset += 1
        self.sent = domain.Command(command or f"c{self.commands}", source, "acme", payload, 0, self.offset)
        return self.keep(domain.decide(self.tenants, self.sent, domain.to_ms(self.now), self.rules))

    def repeat(self) -> list[str]:
        """Send the last command again, at a later position of the log."""
        assert self.sent is not None
        assert self.sent.payload is not None
        return self.send(self.sent.payload, self.sent.source, self.sent.id)

    def keep(self, decision: domain.Decision) -> list[str]:
        for event in decision.events:
            value = orjson.dumps(event.body)
            registry.REGISTRY[event.type].model.model_validate_json(value)
            evolve(self.replica, "acme", domain.Event(event.type, orjson.loads(value), event.n))
        for key, row in decision.changed.items():
            if row is None:
                del self.rows[key]
            else:
                self.rows[key] = row
        domain.check_all(self.tenant)
        assert dict(self.tenant.rows()) == self.rows == dict(self.replica["acme"].rows())
        self.events = decision.events
        return [line(event) for event in decision.events]

    def event(self, name: str) -> dict[str, Any]:
        """Return the body of the only event of that name in the last decision."""
        (found,) = (event.body for event in self.events if event.type.endswith("." + name))
        return found

    # -- invoicing --------------------------------------------------------------------------------------------------------

    def pool(self, module: str, licences: int, *, base: bool = False, **policies: Any) -> list[str]:
        opened = seats_v1.Policies(**policies)
        return self.send(seats_v1.OpenPool(number=self.number(INVOICING), module=module, base=base, licences=licences, policies=opened))

    def policy(self, module: str, *unset: str, **policies: Any) -> list[str]:
        given = seats_v1.Policies(**policies)
        return self.send(seats_v1.SetPolicy(number=self.number(INVOICING), module=module, policies=given, unset=unset))

    def close(self, module: str, at: str = "now", *, ending: bool = False) -> list[str]:
        return self.send(seats_v1.ClosePool(number=self.number(INVOICING), module=module, at=at, ending=ending))

    def expected(self, items: dict[str, int], period: str | None = "as it is") -> seats_v1.Expected:
        pools = [(m, self.tenant.pools[m].row) for m in items if m in self.tenant.pools]
        named = tuple(seats_v1.ExpectedPool(module=m, licences=row.licences, next_period=row.next_period) for m, row in pools)
        return seats_v1.Expected(period=self.tenant.row.period if period == "as it is" else period, pools=named)

    @staticmethod
    def items(items: dict[str, int]) -> tuple[seats_v1.LicenceCount, ...]:
        return tuple(seats_v1.LicenceCount(module=module, quantity=quantity) for module, quantity in items.items())

    def buy(self, order: str = "", *, approved: datetime | None = None, expected: Any = None, **items: int) -> list[str]:
        number = self.number(INVOICING)
        return self.send(
            seats_v1.AddLicences(
                number=number,
                order=order or f"o{number}",
                items=self.items(items),
                expected=expected or self.expected(items),
                approved_at=approved or self.now,
            )
        )

    def reduce(self, order: str = "", *, expected: Any = None, **items: int) -> list[str]:
        number = self.number(INVOICING)
        fields: dict[str, Any] = {"number": number, "order": order or f"o{number}", "items": self.items(items)}
        return self.send(seats_v1.ReduceLicences(**fields, expected=expected or self.expected(items)))

    def next_period(self, *, expected: Any = None, **items: int) -> list[str]:
        fields: dict[str, Any] = {"number": self.number(INVOICING), "items": self.items(items)}
        return self.send(seats_v1.ScheduleReduction(**fields, expected=expected or self.expected(items)))

    def schedule(self, period: str, starts_at: datetime) -> list[str]:
        return self.send(seats_v1.SchedulePeriod(number=self.number(INVOICING), period=period, starts_at=starts_at))

    # -- people -----------------------------------------------------------------------------------------------------------

    def revision(self, user: str) -> int:
        self.revisions[user] = self.revisions.get(user, 0) + 1
        return self.revisions[user]

    def assign(self, user: str, *modules: str, revision: int | None = None, reason: str = "changed", **rest: Any) -> list[str]:
        """Send the modules that the person requires from now on."""
        fields: dict[str, Any] = {"created_at": START, **rest, "modules": modules, "reason": reason}
        return self.send(seats_v1.AssignSeats(user=user, revision=revision or self.revision(user), **fields), USERS)

    def replace(self, source_user: str, target_user: str, *modules: str, **rest: Any) -> list[str]:
        need = seats_v1.Need(modules=modules, **{"created_at": START, **rest})
        revisions = {"from_revision": self.revision(source_user), "to_revision": self.revision(target_user)}
        return self.send(seats_v1.ReplaceUser(from_user=source_user, to_user=target_user, to=need, reason="changed", **revisions), USERS)

    # -- time -------------------------------------------------------------------------------------------------------------

    def wait(self, **passed: int) -> list[str]:
        """Let time pass, then send a tick."""
        self.now += timedelta(**passed)
        return self.tick()

    def tick(self, limit: int = 10_000) -> list[str]:
        self.offset += 1
        clock = domain.to_ms(self.now)
        return self.keep(domain.decide_tick(self.tenant, f"t{self.offset}", 0, self.offset, clock, 0, limit, self.rules))

    def clock(self, to: datetime) -> list[str]:
        return self.send(seats_v1.ClockAdvanced(number=self.number(USERS), to=to), USERS)

    # -- looking ----------------------------------------------------------------------------------------------------------

    def seats(self, module: str) -> dict[str, str]:
        """Return the states of the seats of a pool by person, in the order of names."""
        return {user: row.seats[module].state for user, row in sorted(self.tenant.users.items()) if module in row.seats}

    def deadline(self, user: str, module: str) -> timedelta | None:
        """Return the time from now to the deadline."""
        deadline = self.tenant.users[user].seats[module].deadline
        return None if deadline is None else timedelta(milliseconds=deadline - domain.to_ms(self.now))

    def licences(self, module: str) -> tuple[int, int]:
        """Return the licences (now, next period)."""
        row = self.tenant.pools[module].row
        return row.licences, row.next_period
