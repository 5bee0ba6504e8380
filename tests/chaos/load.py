"""Commands of every kind, in a mixture that a seed decides, as users and invoicing might send them on a bad day."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.schemas import seats_v1 as seats
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.schemas.seats_v1 import Expected, ExpectedPool, LicenceCount, Numbered, Policies

START = datetime(2026, 1, 1, tzinfo=UTC)
MODULES = ("core", "time", "documents", "planning")
USERS, INVOICING = "seatpool/users", "seatpool/invoicing"
REPEATABLE = 200  # commands remembered to be sent again


@dataclass(frozen=True, slots=True)
class Sent:
    """A record of the command topic in the making. `partition` None: by its key."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    partition: int | None = None


@dataclass(slots=True)
class Known:
    """What the decisions said last: senders price their orders on it."""

    pools: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    periods: dict[str, str] = field(default_factory=dict)

    def expected(self, tenant: str, *modules: str) -> Expected:
        pools = [(module, self.pools[tenant, module]) for module in modules if (tenant, module) in self.pools]
        shown = tuple(ExpectedPool(module=module, licences=numbers[0], next_period=numbers[1]) for module, numbers in pools)
        return Expected(period=self.periods.get(tenant), pools=shown)


@dataclass(slots=True)
class _Tenant:
    name: str
    people: int
    test_clock: bool
    time: datetime = START
    numbers: dict[str, int] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    periods: int = 0


class Load:
    """`next` gives one command after the other. Big tenants exist so that some decisions take several frames."""

    def __init__(
        self,
        seed: int,
        known: Known,
        now: Callable[[], datetime],
        *,
        tenants: int = 12,
        people: int = 25,
        big_people: int = 300,
        partitions: int = 4,
    ) -> None:
        self._random, self._known, self._now, self._partitions = random.Random(seed), known, now, partitions
        self._ids = 0
        self._seed = seed
        self._tenants = [
            _Tenant(f"tenant-{seed}-{number}", big_people if number < 2 else people, test_clock=number % 4 == 3)
            for number in range(tenants)
        ]
        self._first = [sent for tenant in self._tenants for sent in self._opening(tenant)]
        self._first.reverse()
        self._before: list[Sent] = []
        self._kinds: list[tuple[float, Callable[[_Tenant], Sent]]] = [
            (50, self._assign),
            (14, self._leave),
            (4, self._replace),
            (6, self._add),
            (5, self._reduce),
            (3, self._schedule_reduction),
            (3, self._set_policy),
            (0.6, self._close),
            (3, self._open),
            (3, self._schedule_period),
            (4, self._advance),
            (2, self._repeat),
            (2, self._stale),
            (2, self._poison),
        ]

    def next(self) -> Sent:
        if self._first:
            return self._first.pop()
        weights = [weight for weight, _ in self._kinds]
        ((_, make),) = self._random.choices(self._kinds, weights)
        clocks = [tenant for tenant in self._tenants if tenant.test_clock] if make == self._advance else self._tenants
        sent = make(self._random.choice(clocks))
        self._before = [*self._before[-REPEATABLE:], sent]
        return sent

    # -- making ---------------------------------------------------------------------------------------------------------

    def _sent(self, tenant: _Tenant, payload: Payload, source: str) -> Sent:
        self._ids += 1
        id_ = f"chaos-{self._seed}-{self._ids}"
        envelope = Envelope(id_, source, type_of(type(payload)), START, tenant=tenant.name, correlation=f"why-{self._ids}")
        return Sent(envelope.key, payload.model_dump_json().encode(), tuple(envelope.headers()))

    def _numbered(self, tenant: _Tenant, model: type[Numbered], source: str = INVOICING, **fields: Any) -> Sent:
        tenant.numbers[source] = tenant.numbers.get(source, 0) + 1
        return self._sent(tenant, model(number=tenant.numbers[source], **fields), source)

    def _opening(self, tenant: _Tenant) -> list[Sent]:
        at = START if tenant.test_clock else None
        sent = [self._numbered(tenant, seats.OpenTenant, USERS, clock="test" if tenant.test_clock else "real", at=at)]
        return sent + [self._pool(tenant, module) for module in MODULES]

    def _pool(self, tenant: _Tenant, module: str) -> Sent:
        licences = self._random.randint(1, max(2, tenant.people))
        return self._numbered(tenant, seats.OpenPool, module=module, base=module == "core", licences=licences, policies=self._policies())

    def _policies(self) -> Policies:
        chance = self._random
        over_limit = chance.choice(["flag", "flag", "reject", "expand", "wait"])
        return Policies(
            over_limit=over_limit,
            flag_cap=chance.choice([None, None, 2, 10]),
            expand_cap=chance.choice([None if chance.random() < 0.1 or over_limit != "expand" else 20, 30, 60]),
            grace=chance.choice(["PT1S", "PT3S", "PT8S", "P7D"]),
            reduce_below_use=chance.choice(["flag_newest", "flag_newest", "block"]),
            warn_at=chance.choice([None, "90%", "3"]),
            terminate_reduces_pool=chance.choice([None, True, False]),
            reduce_at=chance.choice([None, "now", "period_end"]),
        )

    def _need(self, tenant: _Tenant, user: str) -> dict[str, Any]:
        chance = self._random
        modules = tuple(chance.sample(MODULES, chance.choice([1, 1, 2, 3, 4])))
        hold = self._now() if not tenant.test_clock else tenant.time
        return {
            "modules": modules,
            "created_at": START + timedelta(minutes=hash_of(user)),
            "administrator": chance.random() < 0.1,
            "priority": chance.choice([0, 0, 0, 1, 5]),
            "reactivate": modules[:1] if chance.random() < 0.1 else (),
            "hold_until": hold + timedelta(seconds=chance.choice([-1, 2, 60])) if chance.random() < 0.07 else None,
            "partial": chance.random() < 0.3,
            "suspended": chance.random() < 0.1,
            "release": self._release(hold, modules) if chance.random() < 0.15 else None,
        }

    def _release(self, now: datetime, modules: tuple[str, ...]) -> seats.DatedRelease:
        chance = self._random
        kept = modules[: chance.choice([0, 0, 1])]
        at = (now + timedelta(seconds=chance.choice([-1, 1, 3, 30]))).replace(microsecond=0)
        return seats.DatedRelease(at=at, modules=kept, leaver=not kept and chance.random() < 0.7)

    def _user(self, tenant: _Tenant) -> str:
        return f"u{self._random.randrange(tenant.people)}"

    def _revision(self, tenant: _Tenant, user: str) -> int:
        tenant.revisions[user] = tenant.revisions.get(user, 0) + 1
        return tenant.revisions[user]

    # -- kinds ----------------------------------------------------------------------------------------------------------

    def _assign(self, tenant: _Tenant) -> Sent:
        user = self._user(tenant)
        fields, back = self._need(tenant, user), self._random.random() < 0.2
        return self._sent(
            tenant,
            seats.AssignSeats(user=user, revision=self._revision(tenant, user), reason="changed", **fields, leaving_withdrawn=back),
            USERS,
        )

    def _leave(self, tenant: _Tenant) -> Sent:
        user = self._user(tenant)
        payload = seats.AssignSeats(
            user=user, revision=self._revision(tenant, user), created_at=START, modules=(), leaver=True, reversible=True, reason="changed"
        )
        return self._sent(tenant, payload, USERS)

    def _replace(self, tenant: _Tenant) -> Sent:
        source, target = self._user(tenant), self._user(tenant)
        payload = seats.ReplaceUser(
            from_user=source,
            from_revision=self._revision(tenant, source),
            to_user=target,
            to_revision=self._revision(tenant, target),
            to=seats.Need(**self._need(tenant, target) | {"hold_until": None}),
            reason="changed",
        )
        return self._sent(tenant, payload, USERS)

    def _add(self, tenant: _Tenant) -> Sent:
        module, many = self._random.choice(MODULES), self._random.choice([1, 2, 5, tenant.people // 2])
        return self._numbered(
            tenant,
            seats.AddLicences,
            order=f"order-{self._ids}",
            items=(LicenceCount(module=module, quantity=many),),
            expected=self._known.expected(tenant.name, module),
            approved_at=self._now() - timedelta(seconds=self._random.choice([0, 5])) if not tenant.test_clock else tenant.time,
        )

    def _reduce(self, tenant: _Tenant) -> Sent:
        module = self._random.choice(MODULES)
        licences = self._known.pools.get((tenant.name, module), (2, 2))[0]
        many = self._random.choice([0, 1, max(1, licences // 2), max(1, licences - 1)])
        return self._numbered(
            tenant,
            seats.ReduceLicences,
            order=f"order-{self._ids}",
            items=(LicenceCount(module=module, quantity=many),),
            expected=self._known.expected(tenant.name, module),
        )

    def _schedule_reduction(self, tenant: _Tenant) -> Sent:
        module = self._random.choice(MODULES)
        licences = self._known.pools.get((tenant.name, module), (2, 2))[0]
        items = (LicenceCount(module=module, quantity=self._random.randint(0, licences + 1)),)
        return self._numbered(tenant, seats.ScheduleReduction, items=items, expected=self._known.expected(tenant.name, module))

    def _set_policy(self, tenant: _Tenant) -> Sent:
        policies = self._policies()
        unset = [field for field in ("flag_cap", "expand_cap", "warn_at") if getattr(policies, field) is None]
        chosen = tuple(self._random.sample(unset, self._random.randint(0, len(unset))))
        return self._numbered(tenant, seats.SetPolicy, module=self._random.choice(MODULES), policies=policies, unset=chosen)

    def _close(self, tenant: _Tenant) -> Sent:
        at, ending = self._random.choice(["now", "period_end"]), self._random.random() < 0.4
        # The base module is closed only at the end of a period: without it, nearly every later command would be refused.
        module = self._random.choice(MODULES if at == "period_end" else MODULES[1:])
        return self._numbered(tenant, seats.ClosePool, module=module, at=at, ending=ending)

    def _open(self, tenant: _Tenant) -> Sent:
        return self._pool(tenant, self._random.choice(MODULES))

    def _schedule_period(self, tenant: _Tenant) -> Sent:
        tenant.periods += 1
        now = tenant.time if tenant.test_clock else self._now()
        starts = (now + timedelta(seconds=self._random.choice([2, 5]))).replace(microsecond=0)
        return self._numbered(tenant, seats.SchedulePeriod, period=f"period-{tenant.periods}", starts_at=starts)

    def _advance(self, tenant: _Tenant) -> Sent:
        tenant.time += timedelta(seconds=self._random.choice([1, 2, 10, 86_400]))
        return self._numbered(tenant, seats.ClockAdvanced, USERS, to=tenant.time)

    def _repeat(self, tenant: _Tenant) -> Sent:
        return self._random.choice(self._before) if self._before else self._assign(tenant)

    def _stale(self, tenant: _Tenant) -> Sent:
        user = self._user(tenant)
        payload = seats.AssignSeats(user=user, revision=1, reason="hired", modules=MODULES[:1], created_at=START)
        return self._sent(tenant, payload, USERS)

    def _poison(self, tenant: _Tenant) -> Sent:
        sent = self._assign(tenant)
        bad = self._random.choice(["body", "envelope", "type", "tenant", "partition"])
        if bad == "body":
            return Sent(sent.key, b'{"user": 7', sent.headers)
        if bad == "envelope":
            return Sent(sent.key, sent.value, sent.headers[2:])
        if bad == "type":
            return Sent(sent.key, sent.value, _replaced(sent.headers, "ce_type", b"seatpool.seats.v1.dance"))
        if bad == "tenant":
            return Sent(sent.key, sent.value, _replaced(sent.headers, "ce_tenantid", b"a|b"))
        return Sent(sent.key, sent.value, sent.headers, partition=self._random.randrange(self._partitions))


def _replaced(headers: tuple[tuple[str, bytes], ...], name: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((key, value if key == name else old) for key, old in headers)


def hash_of(user: str) -> int:
    """When somebody was created, in minutes: the same at every command about them."""
    return int(user[1:]) * 37 % 1000
