"""`assign_seats` and `replace_user`: what a person requires from now on."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from services.seats.domain.decision import CONSEQUENCE, DecisionBuilder, grace_ms
from services.seats.domain.due_items import is_last_administrator, newest_active
from services.seats.domain.instants import INSTANT_MAX, to_ms
from services.seats.domain.reduction import reduce_for_leaver, take_reductions_back
from services.seats.domain.rows import ACTIVE, FLAGGED, HELD, REFUSED, REVOKED, WAITING, Flag, Seat, UserRow, shared_names
from services.seats.domain.state import Pool
from services.seats.domain.transitions import (
    Answered,
    Dated,
    GivenUp,
    Moved,
    Required,
    RevisionUsed,
    Shown,
    apply,
    seated,
    to_body,
    with_required,
)
from shared.schemas.seats_v1 import AssignSeats, Need, OverLimit, Reason, ReplaceUser


class Outcome(NamedTuple):
    """The outcome for one new module: active, flagged, held, waiting or refused."""

    state: str
    reason: str
    since: int = 0
    deadline: int | None = None
    expand: bool = False
    instead_of_me: str | None = None  # who is flagged instead of the last administrator


_NONE: frozenset[str] = frozenset()
_new = tuple.__new__  # a NamedTuple's own constructor takes several times as long
FREE = Outcome(ACTIVE, Reason.LICENCE_FREE)


def assign_seats(builder: DecisionBuilder, payload: AssignSeats) -> None:
    """Decide `assign_seats`: the person gets the required modules, waits for them, or is refused."""
    tenant, user = builder.tenant, payload.user
    old = tenant.users.get(user)
    if old is not None:
        if old.command == builder.command:
            return ignore(builder, Reason.DUPLICATE, user, old.revision)
        if payload.revision <= old.revision:
            return ignore(builder, Reason.STALE, user, old.revision)
    required = required_of(payload, builder.at)
    released = sorted(module for module in old.seats if module not in required.modules) if old is not None else []
    row = with_required(old, required, payload.revision, released, builder.when())
    reduced = reduce_for_leaver(builder, old, released) if old is not None and released and _is_leaver(payload, builder.at) else ()
    if old is not None and old.seats:
        tenant.put_user(user, row)
        builder.reallocate(Reason.SEAT_RELEASED)
        row = tenant.users[user]
    restored = False
    if old is not None and required.modules and payload.leaving_withdrawn:
        restored = take_reductions_back(builder, user, old.reduced)
    assignment = Assignment(builder, user, row, payload)
    name, reason = assignment.answer(payload.reason)
    change = Answered(user, payload.revision, required, assignment.seats(), tuple(released), reduced if payload.reversible else ())
    assignment.put(change)
    fields = to_body(change)
    fields |= {"blocked_by": assignment.blocked_by(), "released": fields.pop("released", None), "reduced": fields.pop("reduced", None)}
    if reason != payload.reason:
        fields["asked"] = payload.reason
    builder.answer(name, reason, assignment.touched(released, _no_longer_dated(old, required)), **fields)
    assignment.consequences()
    if restored:
        builder.reallocate(Reason.LICENCE_FREE)  # what the person did not take
    return None


def _no_longer_dated(old: UserRow | None, required: Required) -> list[str]:
    """Return the modules that the person would have given up at another time, or at all: the forecast of their pools changes."""
    if old is None or old.release is None or (required.release is not None and old.release[:3] == tuple(required.release)):
        return []
    return sorted(module for module in old.seats if module not in old.release.modules)


def ignore(builder: DecisionBuilder, reason: str, user: str, last_revision: int) -> None:
    builder.answer("command_ignored", reason, (), last_revision=last_revision)["user"] = user


def required_of(need: Need, at: int) -> Required:
    """Return what the person requires at `at`. A dated release whose time has come holds at once."""
    modules, created_at, hold, release = shared_names(need.modules), to_ms(need.created_at), need.hold_until, None
    if need.release is not None:
        release = Dated(to_ms(need.release.at), shared_names(need.release.modules), need.release.leaver)
        if release.at <= at:
            modules, release = shared_names(module for module in modules if module in release.modules), None
    hold_until = None if hold is None else to_ms(hold)
    rest = (need.reactivate, hold_until, need.suspended, release)
    return _new(Required, (modules, created_at, need.administrator, need.priority, need.partial, *rest))


def _is_leaver(payload: AssignSeats, at: int) -> bool:
    release = payload.release
    return payload.leaver or (release is not None and release.leaver and to_ms(release.at) <= at)


class Assignment:
    """The decision on what a person requires: what each new module gets, and the answer.

    All or nothing: one module that rejects refuses all new ones; otherwise one that waits makes all of them wait; otherwise they are
    granted. With `partial` the base modules are decided in this way first. If they are granted, each other module is decided separately.

    A hold is also tried in modules where the person waits. If it is refused, the person keeps the position in the queue. `moved` are the
    modules that `replace_user` has moved to the person, with their seats unchanged.
    """

    def __init__(self, builder: DecisionBuilder, user: str, row: UserRow, need: Need, moved: Sequence[str] = ()) -> None:
        self.builder, self.user, self.row, self.moved = builder, user, row, moved
        self.hold = to_ms(need.hold_until) if need.hold_until is not None else None
        self.revoked = {entry.module for entry in row.revoked if entry.module in builder.tenant.pools} if row.revoked else _NONE
        self.new = [module for module in row.required if module not in row.seats and module not in self.revoked]
        if self.hold is not None:
            waiting = [module for module, seat in row.seats.items() if seat.state == WAITING and module not in moved]
            self.new = [module for module in row.required if module in self.new or module in waiting]
        self.base_revoked = any(self._is_base(module) for module in self.revoked) if self.revoked else False
        self.outcomes: dict[str, Outcome] = {}
        self.claimed: list[str] = []
        if self.base_revoked:
            self._refuse_rest(self.new, Reason.BASE_MODULE_REFUSED)
        elif row.partial:
            self._decide_partial()
        elif self.new:
            self._decide_together(self.new, self._waiting())

    def _is_base(self, module: str) -> bool:
        pool = self.builder.tenant.pools.get(module)
        return pool is not None and pool.row.base

    def _waiting(self) -> list[str]:
        """Return the modules that make the new ones wait. A hold never waits, so nothing makes it wait."""
        return [] if self.hold is not None else [module for module, seat in self.row.seats.items() if seat.state == WAITING]

    def _refuse_rest(self, modules: list[str], reason: Reason) -> None:
        for module in modules:
            if module not in self.outcomes or self.outcomes[module].state != REFUSED:
                self.outcomes[module] = Outcome(REFUSED, reason)

    def _wait_rest(self, modules: list[str]) -> None:
        for module in modules:
            if self.outcomes[module].state != REFUSED:
                self.outcomes[module] = Outcome(WAITING, Reason.POOL_FULL, self.builder.at)

    def _decide_together(self, modules: list[str], waiting: list[str]) -> None:
        outcomes = self.outcomes
        for module in modules:
            outcomes[module] = self._outcome_of(module)
        refused = [module for module in modules if outcomes[module].state == REFUSED]
        if refused:
            base = any(self._is_base(module) for module in refused)
            self._refuse_rest(modules, Reason.BASE_MODULE_REFUSED if base else Reason.OTHER_MODULE_REFUSED)
        elif waiting or any(outcomes[module].state == WAITING for module in modules):
            self._wait_rest(modules)

    def _decide_partial(self) -> None:
        base = [module for module in self.new if self._is_base(module)]
        rest = [module for module in self.new if module not in base]
        waits = [module for module in self._waiting() if self._is_base(module)]
        self._decide_together(base, waits)
        for module in rest:
            self.outcomes[module] = self._outcome_of(module)
        if any(self.outcomes[module].state == REFUSED for module in base):
            self._refuse_rest(rest, Reason.BASE_MODULE_REFUSED)
        elif waits or any(self.outcomes[module].state == WAITING for module in base):
            self._wait_rest(rest)

    def _outcome_of(self, module: str) -> Outcome:
        builder = self.builder
        pool = builder.tenant.pools.get(module)
        if pool is None:
            return Outcome(REFUSED, Reason.UNKNOWN_MODULE)
        free = pool.free > 0
        if self.hold is not None:
            if self.hold <= builder.at or self.hold > INSTANT_MAX:
                return Outcome(REFUSED, Reason.HOLD_PAST)
            return Outcome(HELD, Reason.LICENCE_FREE, 0, self.hold) if free else Outcome(REFUSED, Reason.POOL_FULL)
        if free:
            return FREE
        policy = pool.row.over_limit
        if policy == OverLimit.FLAG:
            return self._flag_outcome(module, pool)
        if policy == OverLimit.WAIT:
            return Outcome(WAITING, Reason.POOL_FULL, builder.at)
        if policy == OverLimit.EXPAND:
            cap = pool.row.expand_cap
            if cap is not None and pool.row.licences < cap:
                return Outcome(ACTIVE, Reason.EXPANDED, expand=True)
            return Outcome(REFUSED, Reason.EXPAND_CAP)
        return Outcome(REFUSED, Reason.POOL_FULL)

    def _flag_outcome(self, module: str, pool: Pool) -> Outcome:
        """T6: a flag that was given up or ran out at most 30 days ago continues with its deadline; it is not renewed."""
        builder = self.builder
        kept: Flag | None = next((flag for flag in self.row.flags if flag.module == module), None)
        if kept is not None and kept.deadline <= builder.at:
            return Outcome(REFUSED, Reason.GRACE_USED)
        if pool.row.flag_cap is not None and pool.flagged >= pool.row.flag_cap:
            return Outcome(REFUSED, Reason.FLAG_CAP)
        if pool.row.base and is_last_administrator(builder, self.user, self.row.administrator):
            other = newest_active(builder, module, self.user)
            if other is not None:
                return Outcome(ACTIVE, Reason.LAST_ADMINISTRATOR, instead_of_me=other)
            return Outcome(FLAGGED, Reason.LAST_ADMINISTRATOR, builder.at)
        if kept is not None:
            return Outcome(FLAGGED, Reason.OVER_LIMIT, kept.since, kept.deadline)
        return Outcome(FLAGGED, Reason.OVER_LIMIT, builder.at, builder.at + grace_ms(pool.row))

    # -- the answer -----------------------------------------------------------------------------------------------------

    def answer(self, requested: str) -> tuple[str, str]:
        """Return the name and the reason of the event that answers."""
        if self.row.partial:
            return "seats_assigned", requested
        if self.base_revoked:
            return "seats_refused", Reason.REVOKED
        refused = [o.reason for o in self.outcomes.values() if o.state == REFUSED]
        if refused:
            own = [reason for reason in refused if reason not in (Reason.BASE_MODULE_REFUSED, Reason.OTHER_MODULE_REFUSED)]
            return "seats_refused", own[0]
        if any(seat.state == WAITING for seat in self.row.seats.values()) or any(o.state == WAITING for o in self.outcomes.values()):
            return "seats_queued", requested
        return "seats_assigned", requested

    def touched(self, *others: list[str]) -> Iterable[str]:
        """Return the pools that the answer shows: those of the new modules, those with a claimed hold, and others whose counts the command
        changed."""
        if not self.claimed and not any(others):
            return self.outcomes
        return dict.fromkeys(chain(self.outcomes, self.claimed, *others))

    def seats(self) -> tuple[Shown, ...]:
        """Return what the answer shows of each required module. An assignment without a hold claims the person's holds, and one with a
        later hold renews them."""
        row, outcomes, shown = self.row, self.outcomes, []
        if self.hold is None and any(seat.state == HELD for seat in row.seats.values()):
            self.claimed = sorted(module for module, seat in row.seats.items() if seat.state == HELD)
        for module in row.required:
            outcome, seat = outcomes.get(module), row.seats.get(module)
            reason = None if outcome is None else str(outcome.reason)
            order, again = (seat.seq, seat.again) if seat is not None and module in self.moved else (None, 0)
            if outcome is not None and outcome.state != REFUSED:
                shown.append(_new(Shown, (module, outcome.state, reason, outcome.since, outcome.deadline, None, 0)))
            elif seat is None:
                shown.append(Shown(module, REFUSED, reason) if outcome is not None else Shown(module, REVOKED, str(Reason.REVOKED)))
            elif module in self.claimed:
                shown.append(Shown(module, ACTIVE, reason, order=order, again=again))
            elif self._renews(module, seat):
                shown.append(Shown(module, HELD, reason, seat.since, self.hold, seat.seq, seat.again))
            else:
                shown.append(Shown(module, seat.state, reason, seat.since, seat.deadline, order, again))
        return tuple(shown)

    def _renews(self, module: str, seat: Seat) -> bool:
        """Tell whether the command renews the hold: it never ends one earlier. A hold that `replace_user` moves keeps its end."""
        if self.hold is None or seat.state != HELD or seat.deadline is None or module in self.moved:
            return False
        return seat.deadline < self.hold <= INSTANT_MAX

    def put(self, change: Answered | Moved) -> None:
        """Apply the answer, with the licences by which it expands pools."""
        tenant = self.builder.tenant
        for module, outcome in self.outcomes.items():
            if outcome.expand and outcome.state == ACTIVE:
                pool = tenant.pools[module].row
                following = pool.next_period + 1 if pool.next_period else 0
                tenant.put_pool(module, pool._replace(licences=pool.licences + 1, next_period=following))
        self.row = apply(self.row, change, self.builder.when())
        tenant.put_user(self.user, self.row)

    def blocked_by(self) -> list[str] | None:
        """Return the modules without a free licence that make the person wait; None if nothing waits."""
        pools = self.builder.tenant.pools
        waiting = [module for module, seat in self.row.seats.items() if seat.state == WAITING]
        if not waiting or self.row.partial or any(o.state == REFUSED for o in self.outcomes.values()) or self.base_revoked:
            return None
        return sorted(module for module in waiting if pools[module].free <= 0)

    def consequences(self) -> None:
        builder = self.builder
        builder.role = CONSEQUENCE
        instead: list[tuple[Pool, str]] = []
        for module, outcome in self.outcomes.items():
            if outcome.expand and outcome.state == ACTIVE:
                builder.emit("pool_expanded", Reason.EXPANDED, (module,), module=module, by=1)
            if outcome.instead_of_me is not None and outcome.state == ACTIVE:
                instead.append((builder.tenant.pools[module], outcome.instead_of_me))
        # Their graces end in this order. The order of the modules in the command does not matter: it may be that of their names.
        for pool, user in sorted(instead, key=lambda flagged: flagged[0].rank):
            builder.flag(user, pool.module, Reason.LAST_ADMINISTRATOR)


def replace_user(builder: DecisionBuilder, payload: ReplaceUser) -> None:
    """A17: move the seats of the source user to the target user, with their states, deadlines and positions in the queues. No pool
    changes. Other modules that the target user requires are assigned as by `assign_seats`, and modules that nobody requires any more
    are released. The source user of a flag is remembered with it as well (T6)."""
    tenant = builder.tenant
    source, target = tenant.users.get(payload.from_user), tenant.users.get(payload.to_user)
    for user, row, revision in ((payload.to_user, target, payload.to_revision), (payload.from_user, source, payload.from_revision)):
        if row is not None and row.command == builder.command:
            return ignore(builder, Reason.DUPLICATE, user, row.revision)
        if row is not None and revision <= row.revision:
            return ignore(builder, Reason.STALE, user, row.revision)
    refusal = _no_replacement(builder, payload, source, target)
    if refusal is not None or source is None:
        return _refuse_replacement(builder, payload, refusal or Reason.UNKNOWN_USER)
    required = required_of(payload.to, builder.at)
    moved = sorted(module for module in source.seats if module in required.modules)
    left = sorted(module for module in source.seats if module not in required.modules)
    given_up = GivenUp(payload.from_user, payload.from_revision, tuple(left))
    builder.put(given_up)
    released = sorted(module for module in target.seats if module not in required.modules) if target is not None else []
    row = with_required(target, required, payload.to_revision, released, builder.when())
    for module in moved:
        row = seated(row, module, source.seats[module], builder.offset)
    tenant.put_user(payload.to_user, row)
    builder.reallocate(Reason.SEAT_RELEASED)
    assignment = Assignment(builder, payload.to_user, tenant.users[payload.to_user], payload.to, moved)
    change = Moved(payload.to_user, payload.to_revision, required, assignment.seats(), tuple(moved), tuple(released))
    assignment.put(change)
    fields = to_body(given_up) | to_body(change)
    order = (
        "user",
        "from_user",
        "from_revision",
        "revision",
        "need",
        "moved",
        "released",
        "from_released",
    )  # the order in the recorded bytes
    first = {name: fields[name] for name in order}
    rest = {"asked": payload.reason, "from_prev": _from_prev(builder, payload.from_user), "modules": fields["modules"]}
    builder.answer("seats_moved", Reason.REPLACED, assignment.touched(released, moved, left), **first, **rest)
    assignment.consequences()
    return None


def _refuse_replacement(builder: DecisionBuilder, payload: ReplaceUser, reason: Reason) -> None:
    """Refuse the replacement and use up both revisions, so that the same command cannot succeed later."""
    source = RevisionUsed(payload.from_user, payload.from_revision)
    target = RevisionUsed(payload.to_user, payload.to_revision)
    from_prev = _from_prev(builder, payload.from_user)
    when = builder.when()
    first = {"from_prev": from_prev, "from_user": source.user, "from_revision": source.revision}
    builder.answer("replacement_refused", reason, (), **first, **to_body(target), asked=payload.reason)  # type: ignore[arg-type]
    for change in (source, target):
        builder.tenant.put_user(change.user, apply(builder.tenant.users.get(change.user), change, when))


def _from_prev(builder: DecisionBuilder, source: str) -> dict[str, int] | None:
    """Return the previous decision about the source user: by a command before this one, also if due items of this one changed the person
    first."""
    before = builder.tenant.before(source)
    return None if before is None else {"partition": builder.partition, "offset": before.offset}


def _no_replacement(builder: DecisionBuilder, payload: ReplaceUser, source: UserRow | None, target: UserRow | None) -> Reason | None:
    """Return why the replacement is refused. T6: a target user who is revoked in a required base module receives nothing."""
    if source is None or payload.from_user == payload.to_user:
        return Reason.UNKNOWN_USER
    if not source.seats:
        return Reason.NOTHING_TO_REPLACE
    if target is not None and any(module in target.seats and module in source.seats for module in payload.to.modules):
        return Reason.ALREADY_SEATED
    for entry in target.revoked if target is not None else ():
        module, pool = entry.module, builder.tenant.pools.get(entry.module)
        named = module in payload.to.modules and module not in payload.to.reactivate
        if named and module not in source.seats and pool is not None and pool.row.base:
            return Reason.REVOKED
    return None
