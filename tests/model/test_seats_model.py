"""The seats core against a reference model: random commands of every kind, with duplicates, crashes and errors at any step.

SEATPOOL_EXAMPLES sets the number of sequences (`make model N=...`); a failure names its seed and the shortest sequence of commands that
fails.
"""

import os
import random
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from services.seats import domain
from shared.schemas import registry, topics
from shared.schemas.seats_v1 import OverLimit, Reason, ReduceBelowUse, SeatState
from tests.model.harness import TENANT, Action, Harness, payload
from tests.model.reference_model import DAY, RENEWAL_TAKES, Command
from tests.model.renaming import reversing

SEQUENCES = int(os.environ.get("SEATPOOL_EXAMPLES", "2000"))
STEPS_MIN, STEPS_MAX = 50, 52
SHARDS = 2
HOUR = 3600 * 1000
USERS = ["ada", "ben", "cid", "dan", "eve", "fay"]
MODULES = ["base", "core", "docs", "plan"]  # the first two are base modules
UNOPENED = "nowhere"
RENAMED = 0.2  # of the sequences are decided again with names in reverse order: names decide nothing
USERS_SOURCE, INVOICING = "seatpool/users", "seatpool/invoicing"
GOOD: dict[str, list[object]] = {
    "over_limit": [*map(str, OverLimit), "flag"],
    "flag_cap": [0, 1, 2],
    "expand_cap": [2, 3, 5],
    "grace": [1000, HOUR, 2 * DAY, 7 * DAY, 40 * DAY],
    "reduce_below_use": [*map(str, ReduceBelowUse)],
    "warn_at": ["50%", "90%", "1", "2"],
    "terminate_reduces_pool": [True, False],
    "reduce_at": ["now", "period_end"],
}
BAD: dict[str, object] = {"over_limit": "bad", "flag_cap": -1, "expand_cap": -1, "grace": None, "reduce_below_use": "bad", "warn_at": "bad"}
BAD |= {"reduce_at": "bad"}

UNSETTABLE = ["flag_cap", "expand_cap", "warn_at"]

# A tenant's pools mostly follow one of these, so that what needs several of them alike comes to pass.
THEMES: list[dict[str, object]] = [
    {},
    {"over_limit": "flag"},
    {"over_limit": "flag", "grace": 2 * DAY},
    {"over_limit": "flag", "reduce_below_use": "block"},
    {"over_limit": "flag", "terminate_reduces_pool": True, "reduce_at": "now"},
    {"over_limit": "wait"},
    {"over_limit": "wait", "terminate_reduces_pool": True, "reduce_at": "period_end"},
    {"over_limit": "expand", "expand_cap": 3},
]
# Small numbers, each mixed into the one before: of a large range Hypothesis draws the same favourites again and again, and five of six
# sequences it makes by repeating parts of another one, which would otherwise be the same steps once more.
SEEDS = st.integers(0, 255)

seen: Counter[tuple[str, str]] = Counter()


class Draw(random.Random):
    """What a step does is drawn from its number, with weights that keep the pools full: Hypothesis chooses the numbers, and which steps
    a failure can do without."""

    def often(self, usual: Any, *rare: Any) -> Any:
        return usual if self.random() < 0.85 else self.choice(rare)

    def crash(self) -> float | None:
        return self.choice([0.0, 0.3, 0.6, 0.9]) if self.random() < 0.35 else None

    def fail(self) -> int:
        return self.choice([0, 0, 0, 0, 0, 0, 1, 2, 3])

    def policies(self, *always: str) -> dict[str, object]:
        fields = {*always, *self.sample(list(GOOD), self.choice([0, 1, 2, 4]))}
        policies = {field: self.choice(GOOD[field]) for field in sorted(fields)}
        if self.random() < 0.08:
            field = self.choice(list(BAD))
            policies[field] = BAD[field]
        if policies.get("over_limit") == "expand" and "expand_cap" not in policies and self.random() < 0.9:
            policies["expand_cap"] = self.choice(GOOD["expand_cap"])
        return policies

    def modules(self, pools: list[str]) -> list[str]:
        """Mostly of pools that are open, and mostly with a base module."""
        known = MODULES if self.random() < 0.1 else pools
        base, rest = [m for m in known if m in MODULES[:2]], [m for m in known if m not in MODULES[:2]]
        wanted = [*self.sample(base, min(len(base), self.often(1, 0, 2))), *self.sample(rest, self.randint(0, len(rest)))]
        modules: list[str] = self.often(self.choice([wanted, pools]), [*wanted, *wanted[:1]], [*wanted, *wanted[:1]], [*wanted, UNOPENED])
        return modules


class SeatsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.harness = Harness(seen)
        self.sent: list[tuple[Command, str, str]] = []
        self.numbers: Counter[str] = Counter()
        self.revisions: Counter[str] = Counter()
        self.mixed = 0
        self.theme: dict[str, object] = {}

    def draw(self, seed: int) -> Draw:
        self.mixed = (self.mixed * 1_000_003 + seed + 1) % 2**61
        return Draw(self.mixed)

    # -- how a command is sent -----------------------------------------------------------------------------------------

    def send(self, c: Command, source: str = INVOICING, crash: float | None = None, fail: int = 0) -> None:
        if "number" in c:
            self.numbers[source] += c["number"]
            c["number"] = max(1, self.numbers[source])
        command = f"c{len(self.sent)}"
        self.sent.append((c, command, source))
        for field, value in c.get("policies", {}).items():
            seen[("policy", f"{field}={value}")] += 1
        self.harness.run(c, command, source, crash, fail)

    def revision(self, user: str, step: int) -> int:
        self.revisions[user] += step
        return max(1, self.revisions[user])

    def now(self) -> int:
        reference = self.harness.reference
        return reference.time if reference.test else self.harness.clock

    @initialize(seed=SEEDS)
    def open(self, seed: int) -> None:
        draw, clock = self.draw(seed), self.harness.clock
        self.theme = draw.choice(THEMES)
        if draw.random() < RENAMED:
            self.harness.rename(reversing(*MODULES, UNOPENED), reversing(*USERS))
            seen[("renamed", "all")] += 1
        if draw.random() < 0.1:
            self.send({"type": "close_pool", "number": 1, "module": "base", "at": "now", "ending": False})
            self.numbers.clear()
        kind = draw.choice(["test", "real", "real"])
        self.send({"type": "open_tenant", "number": 1, "clock": kind, "at": clock - DAY}, USERS_SOURCE)
        for module in draw.sample(MODULES, draw.choice([1, 3, 4, 4])):
            self.send(self.pool(module, draw))
        for user in draw.sample(USERS, draw.choice([0, 2, 4])):
            self.assign(draw, user, 1)

    @rule(seed=SEEDS)
    def step(self, seed: int) -> None:
        draw = self.draw(seed)
        (name,) = draw.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        getattr(self, name)(draw)
        seen[("steps", "all")] += 1

    def instant(self, draw: Draw) -> int:
        """Some time ahead; often one at which something else falls due as well."""
        due = [entry[0] for entry in self.harness.reference.due() if entry[0] > self.now()]
        ahead: int = draw.choice([self.now() + draw.choice([1000, HOUR, DAY, 9 * DAY]), *due[:3]])
        return ahead

    # -- people ---------------------------------------------------------------------------------------------------------

    def need(self, draw: Draw) -> Command:
        wanted, now = draw.modules(sorted(self.harness.reference.pools)), self.now()
        return {
            "modules": wanted,
            "created_at": now - draw.choice([0, 0, 1, 2]) * DAY,
            "administrator": draw.random() < 0.3,
            "priority": draw.often(0, 1, 2),
            "reactivate": draw.choice([[], [], wanted, ["base"]]),
            "hold_until": draw.often(None, None, self.instant(draw), now - draw.choice([0, HOUR])),
            "partial": draw.random() < 0.3,
            "suspended": draw.random() < 0.2,
            "release": draw.often(None, self.release(draw), self.release(draw, wanted)),
        }

    def release(self, draw: Draw, modules: Sequence[str] = ()) -> dict[str, Any]:
        """A dated release of all modules or of some; now and then one that is late."""
        at = draw.often(self.instant(draw), self.now() - draw.choice([0, HOUR]))
        kept = draw.sample([*dict.fromkeys(modules)], draw.randint(0, len(set(modules))))
        return {"at": at, "modules": kept, "leaver": draw.random() < 0.5}

    def assign(self, draw: Draw, user: str, step: int, reason: str = "changed", crash: float | None = None, fail: int = 0) -> None:
        c: Command = {"type": "assign_seats", "user": user, "revision": self.revision(user, step), "reason": reason, **self.need(draw)}
        self.send({**c, "leaving_withdrawn": draw.random() < 0.3}, USERS_SOURCE, crash, fail)

    def someone_needs(self, draw: Draw) -> None:
        self.assign(draw, draw.choice(USERS), draw.often(1, 3, 0, -1), draw.often("changed", "hired"), draw.crash(), draw.fail())

    def someone_is_invited(self, draw: Draw) -> None:
        user = draw.choice(USERS)
        c: Command = {"type": "assign_seats", "user": user, "revision": self.revision(user, 1), "reason": "hired", **self.need(draw)}
        self.send({**c, "hold_until": self.instant(draw)}, USERS_SOURCE, draw.crash(), draw.fail())

    def licence_is_reserved(self, draw: Draw) -> None:
        """A free licence, mostly until after the next period begins."""
        reference = self.harness.reference
        free = [module for module in sorted(reference.pools) if reference.free(module) > 0]
        if not free:
            return self.licences_are_bought(draw)
        module = draw.choice(free)
        user = draw.choice([user for user in USERS if reference.seat(user, module) is None] or USERS)
        c: Command = {"type": "assign_seats", "user": user, "revision": self.revision(user, 1), "reason": "hired", **self.need(draw)}
        c |= {"modules": [*dict.fromkeys([*(seat["module"] for seat in reference.of(user)), module])], "release": None}
        self.send({**c, "hold_until": self.now() + 40 * DAY}, USERS_SOURCE, draw.crash(), draw.fail())
        return None

    def someone_leaves(self, draw: Draw) -> None:
        user = draw.choice(USERS)
        c: Command = {"type": "assign_seats", "user": user, "revision": self.revision(user, 1), **self.need(draw)}
        c |= {"reason": draw.often("left", "changed"), "leaver": draw.often(True, False), "reversible": draw.often(True, False)}
        self.send({**c, "modules": [], "hold_until": None}, USERS_SOURCE, draw.crash(), draw.fail())

    def someone_will_leave(self, draw: Draw) -> None:
        user = draw.choice(USERS)
        c: Command = {"type": "assign_seats", "user": user, "revision": self.revision(user, 1), "reason": "changed", **self.need(draw)}
        self.send({**c, "release": self.release(draw, c["modules"])}, USERS_SOURCE, draw.crash(), draw.fail())

    def someone_takes_over(self, draw: Draw) -> None:
        seated = sorted({s["user"] for s in self.harness.reference.seats}) or USERS
        source, target = draw.often(draw.choice(seated), draw.choice(USERS)), draw.choice(USERS)
        c: Command = {
            "type": "replace_user",
            "from_user": source,
            "from_revision": self.revision(source, draw.often(1, 0)),
            "to_user": target,
        }
        c |= {"to_revision": self.revision(target, 1), "to": self.need(draw), "reason": "changed"}
        self.send(c, USERS_SOURCE, draw.crash(), draw.fail())

    # -- pools ----------------------------------------------------------------------------------------------------------

    def pool(self, module: str, draw: Draw) -> Command:
        licences = draw.often(draw.choice([1, 1, 2, 3, 4]), 0)
        c = {"type": "open_pool", "number": 1, "module": module, "base": module in MODULES[:2], "licences": licences}
        return {**c, "policies": draw.policies("over_limit", "reduce_below_use") | draw.often(self.theme, {})}

    def pool_is_opened(self, draw: Draw) -> None:
        closed = [module for module in MODULES if module not in self.harness.reference.pools]
        self.send(self.pool(draw.choice(closed or MODULES), draw), crash=draw.crash())

    def policy_is_set(self, draw: Draw) -> None:
        c = {"type": "set_policy", "number": 1, "module": draw.often(draw.choice(MODULES), UNOPENED), "policies": draw.policies()}
        c["unset"] = tuple(draw.sample(UNSETTABLE, draw.choice([0, 0, 1, 2])) if draw.random() < 0.95 else ["grace"])
        for field in c["unset"]:
            seen[("policy", f"{field} unset")] += 1
        self.send(c, crash=draw.crash())

    def pool_is_closed(self, draw: Draw) -> None:
        """Mostly one of several; now and then all of them, because the subscription ends."""
        when = draw.choice(["period_end", "period_end", "now", "later"])
        ending = draw.random() < 0.5
        modules = sorted(self.harness.reference.pools) if ending and draw.random() < 0.5 else [draw.choice(MODULES)]
        for module in modules:
            c = {"type": "close_pool", "number": 1, "module": module, "at": when, "ending": ending}
            self.send(c, crash=draw.crash(), fail=draw.fail())

    def ordered(self, draw: Draw, quantities: list[int], least: int = 1) -> Command:
        """`least`: of pools with so many licences, as far as there are any."""
        reference = self.harness.reference
        large = [module for module in sorted(reference.pools) if reference.pools[module]["licences"] >= least]
        if least > 1 and draw.random() < 0.5:
            large = [module for module in large if reference.count(module, "held")] or large  # a cut takes holds first, which are few
        known = draw.often(large, sorted(reference.pools)) or sorted(reference.pools) or MODULES
        chosen = draw.sample(known, min(len(known), draw.choice([1, 1, 2])))
        if draw.random() < 0.05:
            chosen.append(UNOPENED)
        items = [(module, draw.choice(quantities)) for module in chosen]
        pools = [(m, reference.pools[m]["licences"], reference.pools[m]["next"]) for m in chosen if m in reference.pools]
        period = draw.often(reference.period, reference.period, "P0")
        if draw.random() < 0.03:
            pools = [(m, n + 1, following) for m, n, following in pools]
        return {"items": items, "expected": (period, pools)}

    def licences_are_bought(self, draw: Draw) -> None:
        approved = self.now() - draw.choice([0, HOUR, 3 * DAY])
        c = {"type": "add_licences", "number": 1, "order": f"o{draw.randrange(60)}", "approved_at": approved}
        self.send(c | self.ordered(draw, [1, 1, 1, 1, 2, 3, 0]), crash=draw.crash(), fail=draw.fail())

    def licences_are_cut(self, draw: Draw) -> None:
        c = {"type": "reduce_licences", "number": 1, "order": f"o{draw.randrange(60)}"}
        self.send(c | self.ordered(draw, [1, 1, 1, 1, 2, 3, 0], 2), crash=draw.crash(), fail=draw.fail())

    def reduction_is_scheduled(self, draw: Draw) -> None:
        """Mostly with a period that begins, for which the answer says what the renewal does."""
        if not self.harness.reference.scheduled and draw.random() < 0.7:
            self.period_is_scheduled(draw)
        c = {"type": "schedule_reduction", "number": 1} | self.ordered(draw, [1, 1, 1, 2, 2, 3, 0, 9, -1], 2)
        self.send(c, crash=draw.crash(), fail=draw.fail())

    def period_is_scheduled(self, draw: Draw) -> None:
        starts_at = draw.choice([self.now() - draw.choice([0, HOUR]), self.instant(draw), self.instant(draw)])
        c = {"type": "schedule_period", "number": 1, "period": f"P{draw.randrange(30)}", "starts_at": starts_at}
        self.send(c, crash=draw.crash(), fail=draw.fail())

    # -- time -----------------------------------------------------------------------------------------------------------

    def time_passes(self, draw: Draw) -> None:
        """By a tick, or on a test clock by a command; now and then the wrong one of both, or a clock set back."""
        by, wrong = draw.choice([0, 1, 1000, HOUR, DAY, 2 * DAY, 7 * DAY, 31 * DAY]), draw.random() < 0.1
        if self.harness.reference.test is not wrong:
            to = self.now() + (-by if draw.random() < 0.1 else by)
            self.send({"type": "clock_advanced", "number": 1, "to": to}, USERS_SOURCE, draw.crash(), draw.fail())
        else:
            self.harness.tick(draw.choice([1, 2, 1000]), draw.crash(), draw.fail(), to=self.harness.clock + by)

    def something_falls_due(self, draw: Draw) -> None:
        """A millisecond before the next deadline it does not, at the deadline it does."""
        due = self.harness.live[TENANT].due()
        if due is None:
            return
        for at in (max(self.now(), due - 1), max(self.now(), due)):
            if self.harness.reference.test:
                self.send({"type": "clock_advanced", "number": 1, "to": at}, USERS_SOURCE, draw.crash())
            else:
                self.harness.tick(1000, draw.crash(), to=at)

    # -- trouble --------------------------------------------------------------------------------------------------------

    def out_of_order(self, draw: Draw) -> None:
        """Any command again, as it was, at a later place in the log; a number that was overtaken; a tenant opened twice."""
        kind = draw.choice(["again", "again", "again", "late", "tenant"])
        if kind == "again":
            c, command, source = draw.choice([*self.sent, self.sent[-1]])
            self.harness.run(dict(c), command, source)
        else:
            step = 1 if kind == "tenant" else -draw.randrange(3)
            self.send({"type": "open_tenant", "number": step, "clock": "real", "at": self.now()}, USERS_SOURCE)

    def worker_dies(self, draw: Draw) -> None:
        if draw.random() < 0.5:
            self.harness.restart_from_events()
        else:
            self.harness.restart()

    def question_is_asked(self, draw: Draw) -> None:
        """Ask a what-if question, and a forecast."""
        harness, commands = self.harness, list[domain.Command]()
        for n in range(draw.choice([1, 2, 3])):
            c = dict(draw.choice(self.sent)[0])
            for field in ("number", "revision", "from_revision", "to_revision"):
                if field in c:
                    c[field] += 10_000 + n
            commands.append(domain.Command(f"w{n}", INVOICING, TENANT, payload(c), 0, harness.offset + 1 + n))
        harness.ask(commands, harness.clock + draw.choice([HOUR, 8 * DAY, 40 * DAY]))


WEIGHTS = {
    "someone_needs": 40,
    "someone_is_invited": 10,
    "licence_is_reserved": 5,
    "someone_leaves": 8,
    "someone_will_leave": 8,
    "someone_takes_over": 5,
    "pool_is_opened": 3,
    "policy_is_set": 6,
    "pool_is_closed": 3,
    "licences_are_bought": 6,
    "licences_are_cut": 5,
    "reduction_is_scheduled": 5,
    "period_is_scheduled": 5,
    "time_passes": 8,
    "something_falls_due": 8,
    "out_of_order": 6,
    "worker_dies": 3,
    "question_is_asked": 3,
}


# What the core never says: the engine's answers, and the sender's words, which are only copied.
NOT_SAID = {Reason.UNREADABLE, Reason.UNKNOWN_TYPE, Reason.WRONG_PARTITION, Reason.WRONG_SOURCE, Reason.ERROR, Reason.TOO_LARGE}
NOT_SAID |= {Reason.REACTIVATED, Reason.REQUESTED_AGAIN, Reason.POOL_OPENED, Reason.NO_LONGER_REQUIRED}
NOT_MADE = {"command_failed", "settle_failed"}


def unseen() -> list[str]:
    types = {name.rpartition(".")[2] for name, entry in registry.REGISTRY.items() if entry.topic is topics.SEATS_EVENTS}
    wanted = [("renamed", "all")] + [("event", name) for name in types - NOT_MADE]
    wanted += [("reason", str(reason)) for reason in Reason if reason not in NOT_SAID]
    wanted += [("state", str(state)) for state in SeatState]
    wanted += [("policy", f"over_limit={value}") for value in OverLimit]
    wanted += [("policy", f"reduce_below_use={value}") for value in ReduceBelowUse]
    wanted += [("policy", f"reduce_at={value}") for value in ("now", "period_end")]
    wanted += [("policy", f"terminate_reduces_pool={value}") for value in (True, False)]
    wanted += [("policy", text) for text in ("warn_at=50%", "warn_at=1", "flag_cap=1", "expand_cap=3", f"grace={7 * DAY}")]
    wanted += [("policy", f"{field} unset") for field in UNSETTABLE]
    wanted += [("renewal", f"{field}{whom}") for field in RENEWAL_TAKES for whom in ("", " nobody")]
    return sorted(f"{what} {value}" for what, value in wanted if not seen[(what, value)])


@pytest.mark.timeout(max(3600, SEQUENCES))
@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_domain_decides_what_the_reference_model_decides(shard: int) -> None:
    seen.clear()
    examples = max(1, SEQUENCES // SHARDS)
    seed = int(os.environ.get("SEATS_MODEL_SEED", "0")) or random.SystemRandom().randrange(2**32)
    # Steps are mixed, so Hypothesis cannot shrink them: `shortest` does, on the commands themselves.
    steps = settings(max_examples=examples, stateful_step_count=STEPS_MAX, database=None, phases=[Phase.generate])
    try:
        machine = hypothesis_seed(seed)(type(f"SeatsModel{shard}", (SeatsModel,), {}))
        # Left to itself, Hypothesis ends some sequences early.
        run_state_machine_as_test(machine, settings=settings(steps, suppress_health_check=list(HealthCheck)), _min_steps=STEPS_MIN)
    except Exception as error:
        lines = "\n".join(map(repr, shortest(Harness.last_log)))
        # Hypothesis also draws constants of whatever modules are loaded, so a seed means the same for the same selection of tests only.
        raise AssertionError(f"SEATS_MODEL_SEED={seed}; shortest sequence that fails:\n{lines}") from error
    assert seen[("steps", "all")] >= examples * STEPS_MIN
    if examples >= 500:
        assert unseen() == [], f"nothing in this run reached these (SEATS_MODEL_SEED={seed})"
    events = sum(n for (what, _), n in seen.items() if what == "event")
    print(f"seed {seed}: {examples} sequences, {seen[('steps', 'all')]} steps, {events} events")


def failure(log: list[Action]) -> tuple[str, int] | None:
    """Return the place in the code where these actions fail; None if they do not."""
    harness = Harness(Counter())
    try:
        for action in log:
            harness.do(action)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return last.filename, last.lineno or 0
    return None


def shortest(log: list[Action]) -> list[Action]:
    """Leaves out what the failure does not need, action by action, from the end."""
    found = failure(log)
    if found is None:
        return log
    for index in reversed(range(len(log))):
        shorter = log[:index] + log[index + 1 :]
        if failure(shorter) == found:
            log = shorter
    return log
