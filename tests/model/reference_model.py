"""The rules of docs/rules.md as a list of seats and loops over it: slow, obvious, and without any import of services.seats.

A command is a dict with its `type` and plain values (times in ms). An event is a dict with `type`, `role`, `reason` and what matters of it.
"""

import copy
from collections.abc import Iterable
from typing import Any

DAY = 24 * 3600 * 1000
SEATED = ("active", "flagged", "held")
Command = dict[str, Any]
Event = dict[str, Any]
DEFAULTS = {
    "over_limit": "flag",
    "flag_cap": None,
    "expand_cap": None,
    "grace": 7 * DAY,
    "reduce_below_use": "flag_newest",
    "warn_at": None,
    "terminate_reduces_pool": False,
    "reduce_at": "period_end",
}
RENEWAL_TAKES = {"would_flag": "seat_flagged", "would_cancel": "hold_cancelled"}  # what an answer foretells: the events of the renewal


def took(events: Iterable[Event], type_: str, modules: list[str]) -> list[tuple[str, list[str]]]:
    """The people of the events of one type, by module."""
    taken = [(e["module"], e["user"]) for e in events if e["type"] == type_]
    return [(module, [user for of, user in taken if of == module]) for module in modules if any(of == module for of, _ in taken)]


class ReferenceModel:
    """One tenant, from before it is opened."""

    def __init__(self) -> None:
        self.open = self.test = False
        self.time = self.now = 0
        self.pools: dict[str, dict[str, Any]] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.seats: list[dict[str, Any]] = []
        self.orders: set[str] = set()
        self.numbers: dict[str, tuple[int, str]] = {}
        self.period: str | None = None
        self.scheduled: list[tuple[int, str, tuple[int, int]]] = []
        self.events: list[Event] = []
        self.role = "settled"
        self.offset = 0

    # -- looking ---------------------------------------------------------------------------------------------------------

    def count(self, module: str, *states: str) -> int:
        return sum(1 for s in self.seats if s["module"] == module and s["state"] in states)

    def free(self, module: str) -> int:
        return int(self.pools[module]["licences"]) - self.count(module, "active", "held")

    def in_use(self, module: str) -> int:
        return self.count(module, *SEATED)

    def seat(self, user: str, module: str) -> dict[str, Any] | None:
        return next((s for s in self.seats if s["user"] == user and s["module"] == module), None)

    def of(self, user: str) -> list[dict[str, Any]]:
        return [s for s in self.seats if s["user"] == user]

    def is_base(self, module: str) -> bool:
        return module in self.pools and bool(self.pools[module]["base"])

    def other_administrator(self, user: str) -> bool:
        return any(
            s["user"] != user
            and self.people[s["user"]]["administrator"]
            and self.is_base(s["module"])
            and s["state"] in ("active", "flagged")
            for s in self.seats
        )

    def newest_first(self, module: str) -> list[str]:
        active = [s for s in self.seats if s["module"] == module and s["state"] == "active"]
        active.sort(key=lambda s: (self.people[s["user"]]["created_at"], s["order"], s["again"]), reverse=True)
        return [s["user"] for s in active]

    def ranked(self) -> list[str]:
        """Base modules first, then in the order in which the pools were opened."""
        return sorted(self.pools, key=lambda module: not self.is_base(module))

    # -- changing --------------------------------------------------------------------------------------------------------

    def say(self, type_: str, reason: str, **fields: Any) -> None:
        self.events.append({"type": type_, "role": self.role, "reason": reason, **{k: v for k, v in fields.items() if v is not None}})

    def answer(self, type_: str, reason: str, **fields: Any) -> None:
        self.say(type_, reason, **fields)
        self.events[-1]["role"] = "answer"

    def here(self) -> tuple[int, int]:
        return self.offset, len(self.events)

    def put(
        self,
        user: str,
        module: str,
        state: str,
        order: tuple[int, int],
        since: int = 0,
        deadline: int | None = None,
        again: tuple[int, int] = (0, 0),
    ) -> None:
        self.seats = [s for s in self.seats if (s["user"], s["module"]) != (user, module)]
        seat = {"user": user, "module": module, "state": state, "order": order, "since": since, "deadline": deadline, "again": again}
        self.seats.append(seat)
        person = self.people[user]
        person["revoked"].pop(module, None)
        person["lost"].pop(module, None)
        if state in ("active", "flagged"):
            person["flags"].pop(module, None)

    def take(self, user: str, module: str) -> None:
        seat = self.seat(user, module)
        assert seat is not None
        if seat["state"] == "flagged" and seat["deadline"] is not None:
            self.people[user]["flags"][module] = (seat["since"], seat["order"], seat["deadline"])
        self.seats.remove(seat)

    def flag(self, user: str, module: str, reason: str) -> None:
        deadline = self.now + self.pools[module]["grace"]
        self.put(user, module, "flagged", self.here(), self.now, deadline)
        self.say("seat_flagged", reason, user=user, module=module, deadline=deadline)

    def clear(self, user: str, module: str, reason: str) -> None:
        seat = self.seat(user, module)
        assert seat is not None
        self.put(user, module, "active", seat["order"], again=seat["again"])
        self.say("seat_flag_cleared", reason, user=user, module=module)

    def grant(self, user: str, module: str, reason: str) -> None:
        self.put(user, module, "active", self.here())
        self.say("seat_granted", reason, user=user, module=module)

    # -- free licences ---------------------------------------------------------------------------------------------------

    def level(self, reason: str) -> None:
        for module in sorted(self.pools):
            while self.free(module) > 0 and self.count(module, "flagged"):
                flagged = [s for s in self.seats if s["module"] == module and s["state"] == "flagged"]
                oldest = min(flagged, key=lambda s: (s["since"], s["order"], s["again"]))
                self.clear(oldest["user"], module, reason)
        while (served := self.next_served()) is not None:
            for module in (m for m in self.ranked() if m in served[1]):
                self.grant(served[0], module, reason)

    def units(self, user: str) -> list[list[str]]:
        """The modules a person waits for, grouped as they are served."""
        waiting = sorted(s["module"] for s in self.of(user) if s["state"] == "waiting")
        if not self.people[user]["partial"]:
            return [waiting] if waiting else []
        base = [m for m in waiting if self.is_base(m)]
        return [base] if base else [[m] for m in waiting]

    def place(self, user: str, module: str) -> tuple[Any, ...]:
        seat = self.seat(user, module)
        assert seat is not None
        return -self.people[user]["priority"], seat["since"], seat["order"]

    def servable(self) -> list[tuple[str, list[str]]]:
        return [(user, unit) for user in self.people for unit in self.units(user) if all(self.free(m) > 0 for m in unit)]

    def queued_in(self, user: str, unit: list[str]) -> list[str]:
        """The modules of the unit, and those whose turn comes when the person has its base modules."""
        waiting = [s["module"] for s in self.of(user) if s["state"] == "waiting"]
        return [m for m in waiting if m in unit or (any(self.is_base(b) for b in unit) and self.free(m) > 0)]

    def next_served(self) -> tuple[str, list[str]] | None:
        servable = self.servable()
        if not servable:
            return None
        first = {
            module: min((self.place(user, module), user, unit) for user, unit in servable if module in self.queued_in(user, unit))
            for module in {m for user, unit in servable for m in self.queued_in(user, unit)}
        }
        for module in (m for m in self.ranked() if m in first):
            _, user, unit = first[module]
            if all(first[m][1] == user for m in unit):
                return user, unit
        _, user, unit = min(first.values())
        return user, unit

    # -- time ------------------------------------------------------------------------------------------------------------

    def due(self) -> list[tuple[Any, ...]]:
        """(instant, kind, log order, asked again, pool's opening, user, module) of everything that will fall due, in order."""
        opened = {module: n for n, module in enumerate(self.pools)}
        found: list[tuple[Any, ...]] = []
        for user, person in self.people.items():
            if person["release"] is not None:
                found.append((person["release"]["at"], 0, (person["release"]["offset"], 0), (0, 0), 0, user, ""))
        for s in self.seats:
            if s["deadline"] is not None:
                kind = 1 if s["state"] == "held" else 2
                found.append((s["deadline"], kind, s["order"], s["again"], opened[s["module"]], s["user"], s["module"]))
        for module, pool in self.pools.items():
            if pool["free_since"] is not None:
                found.append((pool["free_since"] + DAY, 3, (0, 0), (0, 0), opened[module], "", module))
        found += [(at, 4, order, (0, 0), 0, period, "") for at, period, order in self.scheduled]
        found.sort()
        if found and found[0][1] == 2 and self.is_base(found[0][6]):
            of_this_person = [d for d in found if (d[0], d[1], d[5]) == (found[0][0], 2, found[0][5]) and not self.is_base(d[6])]
            found = of_this_person[:1] + found
        return found

    def settle(self, limit: int = 1 << 60) -> None:
        while limit and (due := self.due()) and due[0][0] <= self.now:
            limit -= 1
            at, kind, order, _, _, user, module = due[0]
            if kind == 0:
                self.release(user)
            elif kind == 1:
                for held in sorted(d[6] for d in due if (d[0], d[1], d[2], d[5]) == (at, 1, order, user)):
                    self.take(user, held)
                    self.say("hold_expired", "hold_expired", user=user, module=held)
                self.level("licence_free")
            elif kind == 2:
                self.end_grace(user, module)
            elif kind == 3:
                self.pools[module] |= {"warned": False, "free_since": None}
                self.say("warning_armed", "free_for_a_day", module=module)
            else:
                self.start_period()

    def release(self, user: str) -> None:
        """A dated release: only some of the required modules are required from now on."""
        person = self.people[user]
        release = person["release"]
        was_active = [s["module"] for s in self.of(user) if s["state"] == "active"]
        needed = [m for m in person["need"] if m in release["modules"]]
        released = sorted(s["module"] for s in self.of(user) if s["module"] not in needed)
        for module in released:
            self.take(user, module)
        if release["leaver"]:
            person["reduced"] = self.shrink(released, was_active) or person["reduced"]
        person |= {"need": needed, "release": None}
        for memory in (person["revoked"], person["lost"]):
            for module in [m for m in memory if m not in needed]:
                del memory[module]
        self.forget(person)
        reason = "left" if release["leaver"] else "changed"
        self.say("seats_released", reason, user=user, required=needed, released=released)
        self.level("seat_released")

    def end_grace(self, user: str, module: str) -> None:
        seat = self.seat(user, module)
        assert seat is not None
        base = self.is_base(module)
        if base and self.people[user]["administrator"] and not self.other_administrator(user):
            others = [u for u in self.newest_first(module) if u != user]
            if others:
                self.clear(user, module, "last_administrator")
                self.flag(others[0], module, "last_administrator")
            else:
                seat["deadline"] = None
                self.say("seat_flagged", "last_administrator", user=user, module=module)
            return
        self.take(user, module)
        self.people[user]["revoked"][module] = (self.now, self.here())
        self.say("seat_revoked", "grace_expired", user=user, module=module, base=base, flagged_at=seat["since"])
        if base:
            for other in [m for m in self.ranked() if self.seat(user, m)]:
                self.take(user, other)
                self.people[user]["lost"][other] = (self.now, self.here())
                self.say("seat_released", "base_module_revoked", user=user, module=other)
        self.level("seat_released")

    def would_lose(self, module: str, licences: int) -> tuple[list[str], list[str], list[str]]:
        """(holds cancelled, flagged, flagged without a deadline) if the pool had that many licences."""
        over = self.count(module, "active", "held") - licences
        holds = sorted((s["order"], s["user"]) for s in self.seats if s["module"] == module and s["state"] == "held")
        cancelled = [user for _, user in reversed(holds)][: max(0, over)]
        over -= len(cancelled)
        flagged: list[str] = []
        spared: list[str] = []
        for user in self.newest_first(module):
            if len(flagged) >= over:
                break
            if self.is_base(module) and self.people[user]["administrator"] and not self.other_administrator(user):
                spared.append(user)
            else:
                flagged.append(user)
        return cancelled, flagged, spared if len(flagged) < over else []

    def cut(self, module: str) -> None:
        cancelled, flagged, spared = self.would_lose(module, self.pools[module]["licences"])
        for user in cancelled:
            self.take(user, module)
            self.say("hold_cancelled", "reduction", user=user, module=module)
        for user in flagged:
            self.flag(user, module, "reduction")
        for user in spared:
            self.put(user, module, "flagged", self.here(), self.now, None)
            self.say("seat_flagged", "last_administrator", user=user, module=module)

    def drop_pool(self, module: str) -> None:
        holders = sorted(s["user"] for s in self.seats if s["module"] == module)
        self.seats = [s for s in self.seats if s["module"] != module]
        del self.pools[module]
        for user in holders:
            self.say("seat_released", "pool_closed", user=user, module=module)
        if not self.pools:
            self.scheduled = []

    def start_period(self) -> None:
        at, period, _ = self.scheduled.pop(0)
        self.period = period
        limited = []
        for module in sorted(self.pools):
            pool = self.pools[module]
            if pool["next"] and pool["reduce_below_use"] == "block" and pool["next"] < min(self.in_use(module), pool["licences"]):
                pool["next"] = min(self.in_use(module), pool["licences"])
                limited.append(module)
        self.say("period_started", "reduction_limited" if limited else "period_began", starts_at=at, reduction_limited=limited)
        for pool in self.pools.values():
            if pool["next"]:
                pool |= {"licences": pool["next"], "numbered": self.offset}
        for module in sorted(m for m, pool in self.pools.items() if not pool["next"]):
            self.say("pool_closed", "period_began", module=module)
            self.drop_pool(module)
        for module in self.ranked():
            self.cut(module)
        self.level("licence_free")

    # -- commands --------------------------------------------------------------------------------------------------------

    def tick(self, offset: int, clock: int, limit: int) -> list[Event]:
        self.begin(offset, clock)
        if self.test:
            return []
        self.settle(limit)
        return self.end()

    def begin(self, offset: int, clock: int) -> None:
        self.events, self.offset, self.role = [], offset, "settled"
        self.now = self.time if self.test else clock
        self.available_before = {module: max(0, self.free(module)) for module in self.pools}

    def end(self) -> list[Event]:
        self.role = "consequence"
        for module in sorted(self.pools):
            pool = self.pools[module]
            if self.available_before.get(module, 0) > 0 and self.free(module) <= 0:
                self.say("pool_at_limit", "limit_reached", module=module)
            self.mark(module, pool)
        return self.events

    def mark(self, module: str, pool: dict[str, Any]) -> None:
        mark = pool["warn_at"]
        if mark is None:
            return
        past = self.in_use(module) * 100 >= int(mark[:-1]) * pool["licences"] if mark.endswith("%") else self.free(module) <= int(mark)
        if past and not pool["warned"]:
            pool["warned"] = True
            self.say("pool_near_limit", "mark_crossed", module=module)
        elif past:
            pool["free_since"] = None
        elif pool["warned"] and pool["free_since"] is None:
            pool["free_since"] = self.now

    def decide(self, c: Command, command: str, source: str, offset: int, clock: int) -> list[Event]:
        self.command = command
        self.begin(offset, clock)
        if not self.open:
            if c["type"] != "open_tenant":
                self.answer("command_rejected", "unknown_tenant", field="tenant", user=c.get("user"), order=c.get("order"))
                return self.events
            self.open, self.test = True, c["clock"] == "test"
            self.now = self.time = c["at"] if self.test else clock
            self.numbers[source] = (c["number"], command)
            self.answer("tenant_opened", "opened")
            return self.events
        self.settle()
        self.role = "consequence"
        if "number" not in c:
            getattr(self, c["type"])(c)
        elif source in self.numbers and c["number"] <= self.numbers[source][0]:
            last, its = self.numbers[source]
            self.answer("command_ignored", "duplicate" if its == command else "stale", last_number=last, order=c.get("order"))
        else:
            self.numbers[source] = (c["number"], command)
            getattr(self, c["type"])(c)
        self.settle()
        return self.end()

    def reject(self, reason: str, field: str, order: str | None = None) -> None:
        self.answer("command_rejected", reason, field=field, order=order)

    def open_tenant(self, c: Command) -> None:
        self.reject("tenant_exists", "tenant")

    def open_pool(self, c: Command) -> None:
        if c["module"] in self.pools:
            self.reject("pool_exists", "module")
        elif c["licences"] < 1:
            self.reject("invalid_count", "licences")
        elif not self.bad_policy(c["policies"]):
            pool = {**DEFAULTS, **c["policies"], "base": c["base"], "licences": c["licences"], "next": c["licences"]}
            if not self.expands_without_end(pool):
                self.pools[c["module"]] = {**pool, "warned": False, "free_since": None, "numbered": self.offset, "former": None}
                self.answer("pool_opened", "opened", module=c["module"], base=c["base"])

    def expands_without_end(self, pool: dict[str, Any]) -> bool:
        if pool["over_limit"] == "expand" and pool["expand_cap"] is None:
            self.reject("invalid_policy", "policies.expand_cap")
            return True
        return False

    def bad_policy(self, policies: dict[str, Any]) -> bool:
        """The test's generator sends a bad value as the string "bad", and a grace that is none as None."""
        for field in ("over_limit", "reduce_below_use", "reduce_at", "flag_cap", "expand_cap", "grace", "warn_at"):
            if field in policies and (policies[field] in ("bad", -1) or (field == "grace" and policies[field] is None)):
                self.reject("invalid_duration" if field == "grace" else "invalid_policy", f"policies.{field}")
                return True
        return False

    def set_policy(self, c: Command) -> None:
        if c["module"] not in self.pools:
            self.reject("unknown_module", "module")
        elif self.bad_policy(c["policies"]):
            pass
        elif any(field not in ("flag_cap", "expand_cap", "warn_at") or field in c["policies"] for field in c["unset"]):
            self.reject("invalid_policy", "unset")
        elif not self.expands_without_end(self.pools[c["module"]] | c["policies"] | dict.fromkeys(c["unset"])):
            pool = self.pools[c["module"]]
            if ("warn_at" in c["policies"] or "warn_at" in c["unset"]) and c["policies"].get("warn_at") != pool["warn_at"]:
                pool |= {"warned": False, "free_since": None}
            pool |= c["policies"]
            for field in c["unset"]:
                pool[field] = None
            self.answer("policy_changed", "policy_set", module=c["module"])

    def close_pool(self, c: Command) -> None:
        module = c["module"]
        if module not in self.pools:
            self.reject("unknown_module", "module")
        elif c["at"] not in ("now", "period_end"):
            self.reject("invalid_value", "at")
        elif self.is_base(module) and not c["ending"] and all(m == module or p["next"] == 0 for m, p in self.pools.items() if p["base"]):
            self.answer("reduction_refused", "last_base_module", module=module)
        elif c["at"] == "period_end":
            pool = self.pools[module]
            if not c["ending"]:
                pool["former"] = None
            elif pool["former"] is None:
                pool["former"] = pool["next"]
            pool |= {"next": 0, "numbered": self.offset}
            self.answer("pool_close_scheduled", "scheduled", module=module)
        else:
            self.answer("pool_closed", "pool_closed", module=module)
            self.drop_pool(module)
            self.level("seat_released")

    def expected_fails(self, c: Command) -> str | None:
        if any(module not in self.pools for module, _ in c["items"]):
            return "unknown_module"
        period, pools = c["expected"]
        fits = all(m in self.pools and (self.pools[m]["licences"], self.pools[m]["next"]) == (n, following) for m, n, following in pools)
        return None if period == self.period and fits else "expected_differs"

    def add_licences(self, c: Command) -> None:
        if c["order"] in self.orders:
            return self.answer("command_ignored", "duplicate", order=c["order"])
        if any(n < 1 for _, n in c["items"]):
            return self.reject("invalid_count", "items", c["order"])
        fails = self.expected_fails(c)
        if fails:
            return self.answer("order_refused", fails, order=c["order"])
        self.orders.add(c["order"])
        for module, n in c["items"]:
            self.pools[module]["licences"] += n
            ends = self.pools[module]["former"] is not None
            self.pools[module] |= {"next": 0 if ends else self.pools[module]["licences"], "numbered": self.offset}
        self.answer("licences_added", "ordered", order=c["order"])
        back: list[str] = []
        base, rest = [m for m in self.ranked() if self.is_base(m)], [m for m in self.ranked() if not self.is_base(m)]
        for module in base:
            self.restore(c, module, ["revoked"], ["revoked"], back)
        for module in base:
            self.restore(c, module, ["lost"], ["revoked"], back)
        for module in rest:
            self.restore(c, module, ["revoked", "lost"], ["revoked", "lost"], back)
        return self.level("licence_bought")

    def restore(self, c: Command, module: str, memories: list[str], hindrances: list[str], back: list[str]) -> None:
        """`back`: who got a base module back by this purchase; `hindrances`: where a base module that a person is out of stands."""
        out = sorted((p[memory][module], user) for user, p in self.people.items() for memory in memories if module in p[memory])
        for (at, _), user in out:
            bought = any(m == module for m, _ in c["items"]) and at >= c["approved_at"]
            hindered = any(m != module and self.is_base(m) for memory in hindrances for m in self.people[user][memory])
            if self.free(module) > 0 and (bought or user in back) and not hindered:
                self.grant(user, module, "restored")
                if self.is_base(module):
                    back.append(user)

    def reduction_fails(self, c: Command, totals: list[tuple[str, int]]) -> bool:
        fails = self.expected_fails(c)
        if fails:
            module = next((m for m, _ in c["items"] if m not in self.pools), None)
            self.answer("reduction_refused", fails, module=module, order=c.get("order"))
            return True
        for module, total in totals:
            if total == 0:
                self.answer("reduction_refused", "terminate_instead", module=module, order=c.get("order"))
                return True
            if total < 0 or total > self.pools[module]["licences"]:
                self.answer("reduction_refused", "above_licences", module=module, order=c.get("order"))
                return True
        return False

    def below_use_fails(self, c: Command, totals: list[tuple[str, int]], then: "ReferenceModel") -> bool:
        """Whether `block` refuses the numbers, if the seats are those of `then`."""
        for module, total in totals:
            used = then.in_use(module)
            blocks = self.pools[module]["reduce_below_use"] == "block" and self.pools[module]["former"] is None
            if blocks and total < used and total < then.pools[module]["licences"]:
                self.answer("reduction_refused", "below_use", module=module, order=c.get("order"), must_free=used - total)
                return True
        return False

    def at_renewal(self, numbers: list[tuple[str, int]]) -> "ReferenceModel":
        """A copy of everything with these numbers, right before the next period begins; of the present, if none is scheduled."""
        ahead = copy.deepcopy(self)
        for module, n in numbers:
            ahead.pools[module] |= {"next": n, "numbered": self.offset, "former": None}
        while ahead.scheduled and ahead.due()[0][1] != 4:
            ahead.now = max(ahead.now, ahead.due()[0][0])
            ahead.settle(1)
        return ahead

    def renewal(self, modules: list[str]) -> dict[str, list[tuple[str, list[str]]]]:
        """Let the period begin, and return whom it flags in these modules, and whose holds it cancels. If none is scheduled, it begins
        now."""
        self.now = self.scheduled[0][0] if self.scheduled else self.now
        self.scheduled = self.scheduled or [(self.now, "next", self.here())]
        first = len(self.events)
        self.start_period()
        return {field: took(self.events[first:], type_, modules) for field, type_ in RENEWAL_TAKES.items()}

    def reduce_licences(self, c: Command) -> None:
        if c["order"] in self.orders:
            return self.answer("command_ignored", "duplicate", order=c["order"])
        if any(n < 1 for _, n in c["items"]):
            return self.reject("invalid_count", "items", c["order"])
        totals = [(m, self.pools[m]["licences"] - n) for m, n in c["items"] if m in self.pools]
        if self.reduction_fails(c, totals) or self.below_use_fails(c, totals, self):
            return None
        self.orders.add(c["order"])
        for module, total in totals:
            self.pools[module]["licences"] = total
            self.pools[module] |= {"next": min(total, self.pools[module]["next"]), "numbered": self.offset}
        self.answer("licences_reduced", "ordered", order=c["order"])
        for module in [m for m in self.ranked() if m in dict(totals)]:
            self.cut(module)
        return None

    def schedule_reduction(self, c: Command) -> None:
        if any(n < 0 for _, n in c["items"]):
            return self.reject("invalid_count", "items")
        if self.reduction_fails(c, c["items"]):
            return None
        ahead = self.at_renewal(c["items"])
        if self.below_use_fails(c, c["items"], ahead):
            return None
        for module, n in c["items"]:
            self.pools[module] |= {"next": n, "numbered": self.offset, "former": None}
        return self.answer("reduction_scheduled", "scheduled", **ahead.renewal([module for module, _ in c["items"]]))

    def schedule_period(self, c: Command) -> None:
        others = [s for s in self.scheduled if s[1] != c["period"]]
        if c["period"] == self.period:
            self.reject("invalid_value", "period")
        elif any(s[0] == c["starts_at"] for s in others):
            self.reject("invalid_time", "starts_at")
        else:
            self.scheduled = sorted([*others, (c["starts_at"], c["period"], self.here())])
            self.answer("period_scheduled", "scheduled", starts_at=c["starts_at"])

    def clock_advanced(self, c: Command) -> None:
        if not self.test:
            return self.reject("not_a_test_clock", "to")
        if c["to"] < self.time:
            return self.reject("invalid_time", "to")
        self.time = self.now = c["to"]
        self.role = "settled"
        self.settle()
        return self.answer("clock_settled", "clock_advanced")

    # -- people ----------------------------------------------------------------------------------------------------------

    def known(self, user: str) -> dict[str, Any]:
        nobody = {"need": [], "revision": 0, "command": "", "created_at": self.now}
        nobody |= {"administrator": False, "priority": 0, "partial": False, "suspended": False}
        return self.people.setdefault(user, {**nobody, "revoked": {}, "flags": {}, "lost": {}, "release": None, "reduced": []})

    def overtaken(self, user: str, revision: int) -> bool:
        person = self.people.get(user)
        if person is None or revision > person["revision"]:
            return False
        reason = "duplicate" if person["command"] == self.command else "stale"
        self.answer("command_ignored", reason, user=user, last_revision=person["revision"])
        return True

    def still_needed(self, need: dict[str, Any]) -> list[str]:
        """The modules named, or those that a dated release leaves whose time has come."""
        release, modules = need.get("release"), list(dict.fromkeys(need["modules"]))
        if release is None or release["at"] > self.now:
            return modules
        return [module for module in modules if module in release["modules"]]

    def adopt(self, user: str, need: dict[str, Any], revision: int) -> list[str]:
        """Takes over the new need and gives up what it no longer names; returns that."""
        person, release = self.known(user), need.get("release")
        person |= {"need": self.still_needed(need), "revision": revision, "command": self.command, "release": None}
        if release is not None and release["at"] > self.now:
            person["release"] = {**release, "offset": self.offset}
        person |= {field: need[field] for field in ("created_at", "administrator", "priority", "partial", "suspended")}
        person["reduced"] = [] if person["need"] else person["reduced"]
        released = [s["module"] for s in self.of(user) if s["module"] not in person["need"]]
        for module in released:
            self.take(user, module)
        for memory in (person["revoked"], person["lost"]):
            for module in list(memory):
                if module not in person["need"] or module in need["reactivate"]:
                    del memory[module]
        self.forget(person)
        return released

    def forget(self, person: dict[str, Any]) -> None:
        for module, (since, _, _) in list(person["flags"].items()):
            if self.now - since > 30 * DAY:
                del person["flags"][module]

    def assign_seats(self, c: Command) -> None:
        user = c["user"]
        if self.overtaken(user, c["revision"]):
            return
        was_active = [s["module"] for s in self.of(user) if s["state"] == "active"]
        memory = list(self.known(user)["reduced"])
        released = self.adopt(user, c, c["revision"])
        release = c.get("release")
        if c.get("leaver") or (release is not None and release["leaver"] and release["at"] <= self.now):
            reduced = self.shrink(sorted(released), was_active)
            if c.get("reversible") and reduced:
                self.people[user]["reduced"] = reduced
        self.level("seat_released")
        back = bool(c.get("leaving_withdrawn") and self.people[user]["need"]) and self.restore_reduced(user, memory)
        got, after = self.get_new(user, c)
        self.answer_need(user, c, got, released)
        for event in after:
            event()
        if back:
            self.level("licence_free")

    def restore_reduced(self, user: str, memory: list[tuple[str, int, int, int]]) -> bool:
        more = False
        for module, licences, following, offset in memory:
            if module not in self.pools:
                continue
            pool, at = self.pools[module], "now" if licences else "period_end"
            if pool["numbered"] >= offset:
                self.say("reduction_kept", "leaving_withdrawn", user=user, module=module, by=1, reduce_at=at)
                continue
            pool["licences"] += licences
            pool["next"] = min(pool["next"] + following, pool["licences"])
            self.say("pool_restored", "leaving_withdrawn", module=module, by=1, reduce_at=at)
            more = more or licences > 0
        return more

    def shrink(self, released: list[str], was_active: list[str]) -> list[tuple[str, int, int, int]]:
        """A leaver's active seats take their licences along, where the policy says so."""
        reduced = []
        for module in released:
            pool = self.pools[module]
            if not pool["terminate_reduces_pool"] or module not in was_active:
                continue
            before = pool["licences"], pool["next"]
            if pool["reduce_at"] == "now" and pool["licences"] > 1:
                pool["licences"] -= 1
                pool["next"] = min(pool["next"], pool["licences"])
            elif pool["reduce_at"] == "period_end" and pool["next"] > 1:
                pool["next"] -= 1
            else:
                continue
            self.say("pool_reduced", "terminated", module=module, by=1, reduce_at=pool["reduce_at"])
            reduced.append((module, before[0] - pool["licences"], before[1] - pool["next"], self.offset))
        return reduced

    def get_new(self, user: str, need: dict[str, Any], moved: Iterable[str] = ()) -> tuple[dict[str, tuple[str, str]], list[Any]]:
        """Seats the person where that is possible. ({new module: (state, reason)}, what is to be said after the answer)"""
        person = self.people[user]
        new = [m for m in person["need"] if self.seat(user, m) is None and (m not in person["revoked"] or m not in self.pools)]
        if need["hold_until"] is not None:
            waits = [s["module"] for s in self.of(user) if s["state"] == "waiting" and s["module"] not in moved]
            new = [m for m in person["need"] if m in [*new, *waits]]
        base_revoked = any(self.is_base(m) for m in person["revoked"])
        waiting = [s["module"] for s in self.of(user) if s["state"] == "waiting"] if need["hold_until"] is None else []
        got = {m: self.ask(user, m, need["hold_until"]) for m in new}
        if base_revoked:
            got = dict.fromkeys(new, ("refused", "base_module_refused"))
        elif person["partial"]:
            base = [m for m in new if self.is_base(m)]
            self.together(got, base, any(self.is_base(m) for m in waiting))
            rest = [m for m in new if m not in base and got[m][0] != "refused"]
            if any(got[m][0] == "refused" for m in base):
                got |= dict.fromkeys(rest, ("refused", "base_module_refused"))
            elif any(got[m][0] == "waiting" for m in base) or any(self.is_base(m) for m in waiting):
                got |= dict.fromkeys(rest, ("waiting", "pool_full"))
        else:
            self.together(got, new, bool(waiting))
        after: list[tuple[int, Any]] = []
        if need["hold_until"] is None:
            for s in self.of(user):
                if s["state"] == "held":
                    self.put(user, s["module"], "active", s["order"])
        else:
            for s in self.of(user):
                if s["state"] == "held" and s["module"] not in moved:
                    s["deadline"] = max(s["deadline"], need["hold_until"])
        here = self.here()
        for module, (state, reason) in got.items():
            after += self.seat_new(user, module, state, reason, here, need["hold_until"])
        return got, [event for _, event in sorted(after, key=lambda ranked: ranked[0])]

    def together(self, got: dict[str, tuple[str, str]], modules: list[str], waits: bool) -> None:
        refused = [m for m in modules if got[m][0] == "refused"]
        if refused:
            why = "base_module_refused" if any(self.is_base(m) for m in refused) else "other_module_refused"
            got |= {m: ("refused", why) for m in modules if m not in refused}
        elif waits or any(got[m][0] == "waiting" for m in modules):
            got |= dict.fromkeys(modules, ("waiting", "pool_full"))

    def ask(self, user: str, module: str, hold: int | None) -> tuple[str, str]:
        if module not in self.pools:
            return "refused", "unknown_module"
        pool, person = self.pools[module], self.people[user]
        if hold is not None:
            if hold <= self.now:
                return "refused", "hold_past"
            return ("held", "licence_free") if self.free(module) > 0 else ("refused", "pool_full")
        if self.free(module) > 0:
            return "active", "licence_free"
        if pool["over_limit"] == "wait":
            return "waiting", "pool_full"
        if pool["over_limit"] == "expand":
            fits = pool["licences"] < pool["expand_cap"]
            return ("active", "expanded") if fits else ("refused", "expand_cap")
        if pool["over_limit"] == "reject":
            return "refused", "pool_full"
        if module in person["flags"] and person["flags"][module][2] <= self.now:
            return "refused", "grace_used"
        if pool["flag_cap"] is not None and self.count(module, "flagged") >= pool["flag_cap"]:
            return "refused", "flag_cap"
        if pool["base"] and person["administrator"] and not self.other_administrator(user):
            return ("active" if self.newest_first(module) else "flagged"), "last_administrator"
        return "flagged", "over_limit"

    def seat_new(self, user: str, module: str, state: str, reason: str, here: tuple[int, int], hold: int | None) -> list[tuple[int, Any]]:
        """Return the consequences after the answer: expansions, then flags in the order of the pools."""
        if state == "refused":
            return []
        pool, kept = self.pools[module], self.people[user]["flags"].get(module)
        if state == "waiting":
            self.put(user, module, state, here, self.now)
        elif state == "held":
            self.put(user, module, state, here, 0, hold)
        elif state == "flagged" and reason == "last_administrator":
            self.put(user, module, state, here, self.now)
        elif state == "flagged" and kept is not None:
            self.put(user, module, state, kept[1], kept[0], kept[2], again=here)
        elif state == "flagged":
            self.put(user, module, state, here, self.now, self.now + pool["grace"])
        elif reason == "last_administrator":
            victim = self.newest_first(module)[0]
            self.put(user, module, state, here)
            return [(self.ranked().index(module), lambda: self.flag(victim, module, "last_administrator"))]
        else:
            self.put(user, module, state, here)
            if reason == "expanded":
                pool["licences"] += 1
                pool["next"] += 1 if pool["next"] else 0
                return [(-1, lambda: self.say("pool_expanded", "expanded", module=module, by=1))]
        return []

    def shown(self, user: str, got: dict[str, tuple[str, str]]) -> list[tuple[Any, ...]]:
        modules = []
        for module in self.people[user]["need"]:
            s = self.seat(user, module)
            reason = got[module][1] if module in got else None
            if s is not None:
                modules.append((module, s["state"], s["deadline"], s["since"] or None, reason))
            elif module in got:
                modules.append((module, "refused", None, None, reason))
            else:
                modules.append((module, "revoked", None, None, "revoked"))
        return modules

    def answer_need(self, user: str, c: Command, got: dict[str, tuple[str, str]], released: list[str]) -> None:
        person = self.people[user]
        type_, reason, blocked = "seats_assigned", c["reason"], None
        refused = [why for state, why in got.values() if state == "refused"]
        waiting = [s["module"] for s in self.of(user) if s["state"] == "waiting"]
        if person["partial"]:
            pass
        elif any(self.is_base(m) for m in person["revoked"]):
            type_, reason = "seats_refused", "revoked"
        elif refused:
            type_, reason = "seats_refused", next(why for why in refused if why not in ("base_module_refused", "other_module_refused"))
        elif waiting:
            type_, blocked = "seats_queued", sorted(m for m in waiting if self.free(m) <= 0)
        modules = self.shown(user, got)
        self.answer(type_, reason, user=user, modules=modules, released=sorted(released), blocked_by=blocked)

    def replace_user(self, c: Command) -> None:
        source, target = c["from_user"], c["to_user"]
        if self.overtaken(target, c["to_revision"]) or self.overtaken(source, c["from_revision"]):
            return
        held = [s["module"] for s in self.of(source)]
        wrong = None
        if source not in self.people or source == target:
            wrong = "unknown_user"
        elif not held:
            wrong = "nothing_to_replace"
        elif any(self.seat(target, m) and m in held for m in c["to"]["modules"]):
            wrong = "already_seated"
        elif any(
            self.is_base(m) and m in c["to"]["modules"] and m not in c["to"]["reactivate"] and m not in held
            for m in self.people.get(target, {"revoked": {}})["revoked"]
        ):
            wrong = "revoked"
        if wrong:
            self.answer("replacement_refused", wrong, user=target)
            for user, revision in ((source, c["from_revision"]), (target, c["to_revision"])):
                self.known(user).update(revision=revision, command=self.command)
            return
        moved = {s["module"]: s for s in self.of(source) if s["module"] in self.still_needed(c["to"])}
        for module in held:
            self.take(source, module)
        self.people[source] |= {"need": [], "revision": c["from_revision"], "command": self.command, "suspended": False}
        self.people[source] |= {"revoked": {}, "lost": {}, "release": None}
        self.forget(self.people[source])
        released = self.adopt(target, c["to"], c["to_revision"])
        for module, s in moved.items():
            self.put(target, module, s["state"], s["order"], s["since"], s["deadline"], s["again"])
        self.level("seat_released")
        got, after = self.get_new(target, c["to"], moved)
        modules = self.shown(target, got)
        self.answer("seats_moved", "replaced", user=target, modules=modules, moved=sorted(moved), released=sorted(released))
        for event in after:
            event()
