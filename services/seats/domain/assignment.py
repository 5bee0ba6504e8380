"""`assign_seats` and `replace_user`: what a person needs from now on."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from services.seats.domain.decision import CONSEQUENCE, DecisionBuilder, grace_ms
from services.seats.domain.due_items import is_last_administrator, newest_active
from services.seats.domain.instants import INSTANT_MAX, instant, to_ms
from services.seats.domain.rows import ACTIVE, FLAGGED, HELD, REFUSED, REVOKED, WAITING, Flag, Seat, UserRow, shared_names
from services.seats.domain.state import Pool
from services.seats.domain.transitions import remembered, revised, seated, still_out, unseated
from shared.schemas.seats_v1 import AssignSeats, Need, OverLimit, Reason, ReplaceUser


class Outcome(NamedTuple):
    """What a pool says to one newcomer. `state` active, flagged, held, waiting or refused."""

    state: str
    reason: str
    since: int = 0
    deadline: int | None = None
    seq: int | None = None  # of a flag that goes on
    expand: bool = False
    instead_of_me: str | None = None  # who is flagged for the last administrator

    def seat(self, seq: int) -> Seat:
        """`seq`: log order of the answer."""
        if self.seq is None:
            return Seat(self.state, seq, self.since, self.deadline)
        return Seat(self.state, self.seq, self.since, self.deadline, again=seq)


_NONE: frozenset[str] = frozenset()
FREE = Outcome(ACTIVE, Reason.LICENCE_FREE)


def assign_seats(builder: DecisionBuilder, payload: AssignSeats) -> None:
    tenant, user = builder.tenant, payload.user
    old = tenant.users.get(user)
    if old is not None:
        if old.command == builder.command:
            return ignore(builder, Reason.DUPLICATE, user, old.revision)
        if payload.revision <= old.revision:
            return ignore(builder, Reason.STALE, user, old.revision)
    row, released = _with_required(builder, user, old, payload, payload.revision)
    if released and payload.leaver:
        _shrink(builder, old, released)
    if old is not None and old.seats:
        tenant.put_user(user, row)
        builder.reallocate(Reason.SEAT_RELEASED)
        row = tenant.users[user]
    decided = Assignment(builder, user, row, payload)
    name, reason = decided.answer(payload.reason)
    fields = decided.apply()
    body = builder.answer(
        name, reason, decided.touched(released), user, revision=payload.revision, need=required_json(payload, row), **fields
    )
    if released:
        body["released"] = released
    if reason != payload.reason:
        body["asked"] = payload.reason
    decided.consequences()
    return None


def ignore(builder: DecisionBuilder, reason: str, user: str, last_revision: int) -> None:
    builder.answer("command_ignored", reason, (), last_revision=last_revision)["user"] = user


def required_json(need: Need, row: UserRow) -> dict[str, Any]:
    """The Need as evolve and readers need it; defaults are left out."""
    data: dict[str, Any] = {"modules": row.required, "created_at": instant(row.created_at)}
    if row.administrator:
        data["administrator"] = True
    if row.priority:
        data["priority"] = row.priority
    if row.partial:
        data["partial"] = True
    if need.reactivate:
        data["reactivate"] = need.reactivate
    if need.hold_until is not None:
        data["hold_until"] = instant(to_ms(need.hold_until))
    return data


def _with_required(builder: DecisionBuilder, user: str, old: UserRow | None, need: Need, revision: int) -> tuple[UserRow, list[str]]:
    """The person's row with the new need and without what is no longer needed; the modules that were released.

    A memory of a revocation ends when the module is no longer named, or `reactivate` names it.
    """
    modules = shared_names(need.modules)
    created_at = to_ms(need.created_at)
    if old is None:
        return UserRow(
            modules, {}, revision, builder.command, builder.offset, created_at, need.administrator, need.priority, need.partial
        ), []
    released = sorted(module for module in old.seats if module not in modules)
    row = unseated(old, released, builder.offset) if released else old
    return row._replace(
        required=modules,
        revision=revision,
        command=builder.command,
        offset=builder.offset,
        created_at=created_at,
        administrator=need.administrator,
        priority=need.priority,
        partial=need.partial,
        revoked=still_out(row.revoked, modules, need.reactivate),
        flags=remembered(row.flags, builder.at),
        lost=still_out(row.lost, modules, need.reactivate),
    ), released


def _shrink(builder: DecisionBuilder, old: UserRow | None, released: list[str]) -> None:
    """M9: a leaver's active seat takes its licence along, before flags and queue are served; never the last one."""
    tenant = builder.tenant
    for module in released:
        pool = tenant.pools[module]
        row = pool.row
        if not row.terminate_reduces_pool or old is None or old.seats[module].state != ACTIVE:
            continue
        if row.reduce_at == "now":
            if row.licences <= 1:
                continue
            licences = row.licences - 1
            changed = row._replace(licences=licences, next_period=min(row.next_period, licences))
        else:
            if row.next_period <= 1:
                continue
            changed = row._replace(next_period=row.next_period - 1)
        tenant.put_pool(module, changed)
        builder.emit("pool_reduced", Reason.TERMINATED, (module,), module=module, by=1, reduce_at=row.reduce_at)


class Assignment:
    """One person's need, decided: what each new module gets, and the answer made of it.

    All or nothing: any module that rejects refuses them all; else any that waits makes all new ones wait; else they are granted. With
    `partial`
    the base modules are decided so first, and if they are granted, each other module by itself.

    A hold is asked for where the person waits, too: refused, it leaves the place in the queue as it was. `moved`: modules that
    `replace_user` has given to the person, as they were.
    """

    def __init__(self, builder: DecisionBuilder, user: str, row: UserRow, need: Need, moved: Sequence[str] = ()) -> None:
        self.builder, self.user, self.row, self.need = builder, user, row, need
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
        """What makes the rest wait. A hold never waits, and is not made to."""
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
            if cap is None or pool.row.licences < cap:
                return Outcome(ACTIVE, Reason.EXPANDED, expand=True)
            return Outcome(REFUSED, Reason.EXPAND_CAP)
        return Outcome(REFUSED, Reason.POOL_FULL)

    def _flag_outcome(self, module: str, pool: Pool) -> Outcome:
        """T6: a flag given up, or run out, not more than 30 days ago goes on with its deadline; it is not renewed."""
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
            return Outcome(FLAGGED, Reason.OVER_LIMIT, kept.since, kept.deadline, kept.seq)
        return Outcome(FLAGGED, Reason.OVER_LIMIT, builder.at, builder.at + grace_ms(pool.row))

    # -- the answer -----------------------------------------------------------------------------------------------------

    def answer(self, asked: str) -> tuple[str, str]:
        """(event, reason)"""
        if self.row.partial:
            return "seats_assigned", asked
        if self.base_revoked:
            return "seats_refused", Reason.REVOKED
        refused = [o.reason for o in self.outcomes.values() if o.state == REFUSED]
        if refused:
            own = [reason for reason in refused if reason not in (Reason.BASE_MODULE_REFUSED, Reason.OTHER_MODULE_REFUSED)]
            return "seats_refused", own[0]
        if any(seat.state == WAITING for seat in self.row.seats.values()) or any(o.state == WAITING for o in self.outcomes.values()):
            return "seats_queued", asked
        return "seats_assigned", asked

    def touched(self, *others: list[str]) -> Iterable[str]:
        """Pools the answer shows: those asked, those in which a hold was taken up, and others whose counts the command changed."""
        if not self.claimed and not any(others):
            return self.outcomes
        return dict.fromkeys(chain(self.outcomes, self.claimed, *others))

    def apply(self) -> dict[str, Any]:
        """Seats the person as decided, with the log order of the answer; the answer's fields. A hold is taken up by a need without one."""
        builder, row = self.builder, self.row
        tenant, seq = builder.tenant, builder.next_seq()
        if self.hold is None and any(seat.state == HELD for seat in row.seats.values()):
            self.claimed = sorted(module for module, seat in row.seats.items() if seat.state == HELD)
            for module in self.claimed:
                row = seated(row, module, Seat(ACTIVE, row.seats[module].seq), builder.offset)
        free = Seat(ACTIVE, seq)
        simple = not row.flags and not row.revoked and not row.lost
        seats = dict(row.seats)
        for module, outcome in self.outcomes.items():
            if outcome.state == REFUSED:
                continue
            if outcome.expand:
                pool = tenant.pools[module].row
                following = pool.next_period + 1 if pool.next_period else 0
                tenant.put_pool(module, pool._replace(licences=pool.licences + 1, next_period=following))
            seat = free if outcome.state == ACTIVE else outcome.seat(seq)
            if simple:
                seats[module] = seat
            else:
                row = seated(row, module, seat, builder.offset)
        if simple:
            row = row._replace(seats=seats) if self.outcomes else row
        if tenant.users.get(self.user) is not row:
            tenant.put_user(self.user, row)
        self.row = row
        return {"modules": self._modules(), "blocked_by": self._blocked()}

    def _modules(self) -> list[dict[str, Any]]:
        modules = []
        for module in self.row.required:
            seat = self.row.seats.get(module)
            outcome = self.outcomes.get(module)
            shown: dict[str, Any] = {"module": module}
            if seat is None:
                shown["state"] = REVOKED if outcome is None else REFUSED
                shown["reason"] = str(Reason.REVOKED if outcome is None else outcome.reason)
            else:
                shown["state"] = seat.state
                if seat.deadline is not None:
                    shown["deadline"] = instant(seat.deadline)
                if seat.since:
                    shown["since"] = instant(seat.since)
                if outcome is not None:
                    shown["reason"] = str(outcome.reason)
            modules.append(shown)
        return modules

    def _blocked(self) -> list[str] | None:
        """Of a queued need: the modules waited for that have no free licence."""
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
        # Their graces end in this order: not that in which the need names its modules, which may be that of names.
        for pool, user in sorted(instead, key=lambda flagged: flagged[0].rank):
            builder.flag(user, pool.module, Reason.LAST_ADMINISTRATOR)


def replace_user(builder: DecisionBuilder, payload: ReplaceUser) -> None:
    """A17: one person's seats go to another with their states, deadlines and places; no pool changes. What the other needs besides is asked
    for as by `assign_seats`; what nobody needs any more is released. Of a flag that moved, its source is remembered as well (T6)."""
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
    moved = sorted(module for module in source.seats if module in payload.to.modules)
    left = sorted(module for module in source.seats if module not in payload.to.modules)
    gone = unseated(source, source.seats, builder.offset)
    flags = remembered(gone.flags, builder.at)
    tenant.put_user(
        payload.from_user,
        gone._replace(required=(), revision=payload.from_revision, command=builder.command, revoked=(), flags=flags, lost=()),
    )
    row, released = _with_required(builder, payload.to_user, target, payload.to, payload.to_revision)
    for module in moved:
        row = seated(row, module, source.seats[module], builder.offset)
    tenant.put_user(payload.to_user, row)
    builder.reallocate(Reason.SEAT_RELEASED)
    decided = Assignment(builder, payload.to_user, tenant.users[payload.to_user], payload.to, moved)
    fields = decided.apply()
    del fields["blocked_by"]
    for shown in fields["modules"]:
        if shown["module"] in moved:
            seat = decided.row.seats[shown["module"]]
            shown["order"] = seat.seq
            if seat.again:
                shown["again"] = seat.again
    builder.answer(
        "seats_moved",
        Reason.REPLACED,
        decided.touched(released, moved, left),
        payload.to_user,
        from_user=payload.from_user,
        from_revision=payload.from_revision,
        revision=payload.to_revision,
        need=required_json(payload.to, decided.row),
        moved=moved,
        released=released,
        from_released=left,
        asked=payload.reason,
        from_prev=_from_prev(builder, payload.from_user),
        **fields,
    )
    decided.consequences()
    return None


def _refuse_replacement(builder: DecisionBuilder, payload: ReplaceUser, reason: Reason) -> None:
    """Nothing moves, but both revisions are used up: the same command read again must not succeed later."""
    tenant = builder.tenant
    fields = {
        "from_user": payload.from_user,
        "from_revision": payload.from_revision,
        "revision": payload.to_revision,
        "asked": payload.reason,
    }
    builder.answer("replacement_refused", reason, (), payload.to_user, from_prev=_from_prev(builder, payload.from_user), **fields)
    for user, revision in ((payload.from_user, payload.from_revision), (payload.to_user, payload.to_revision)):
        tenant.put_user(user, revised(tenant.users.get(user), revision, builder.command, builder.offset, builder.at))


def _from_prev(builder: DecisionBuilder, source: str) -> dict[str, int] | None:
    """The source's previous decision: of a command before this one, also if this one settled something of theirs first."""
    before = builder.tenant.before(source)
    return None if before is None else {"partition": builder.partition, "offset": before.offset}


def _no_replacement(builder: DecisionBuilder, payload: ReplaceUser, source: UserRow | None, target: UserRow | None) -> Reason | None:
    """T6: who is out of a base module, and stays so, takes nothing over."""
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
