"""Commands to seats (`seats.commands.v1`) and its decisions (`seats.events.v1`), both kept without end: opaque ids only.

Counts are plain integers: a count that makes no sense (0, negative) is for the decision to answer with its reason. Reasons and policies
are open enums for readers (`str`), closed for writers (the `StrEnum`s below).
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.schemas.base import Id, Instant, Items, ModuleName, Payload
from shared.schemas.faults import reworded
from shared.schemas.position import Position

# The range of integers that a decision repeats: JSON writers refuse larger ones, so a larger one would end every worker that reads it.
INT64_MAX = 2**63 - 1
Int64 = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]

# ---------------------------------------------------------------------------------------------------------------- words


class Clock(StrEnum):
    REAL = "real"
    TEST = "test"


class SeatState(StrEnum):
    ACTIVE = "active"
    FLAGGED = "flagged"
    HELD = "held"
    WAITING = "waiting"
    # only in answers: why a module of the need is not there
    REFUSED = "refused"
    REVOKED = "revoked"


class OverLimit(StrEnum):
    FLAG = "flag"
    REJECT = "reject"
    EXPAND = "expand"
    WAIT = "wait"


class ReduceBelowUse(StrEnum):
    FLAG_NEWEST = "flag_newest"
    BLOCK = "block"


class ReduceAt(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


class CloseAt(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


class Role(StrEnum):
    """The role of an event for the command that it names."""

    DUE_ITEM = "settled"  # fell due before the command was decided
    ANSWER = "answer"  # exactly one for each command but ticks and rules_activated
    CONSEQUENCE = "consequence"  # for others, of the same decision


class Reason(StrEnum):
    """The reason of a decision. Readers accept any string, because a later version may add one."""

    # of the sender, copied into the decision
    HIRED = "hired"
    CHANGED = "changed"
    LEFT = "left"
    REACTIVATED = "reactivated"
    REQUESTED_AGAIN = "requested_again"  # the seats of a refused person, together with those of all others who were refused
    POOL_OPENED = "pool_opened"
    # granted, cleared, flagged
    LICENCE_FREE = "licence_free"
    OVER_LIMIT = "over_limit"
    LICENCE_BOUGHT = "licence_bought"
    SEAT_RELEASED = "seat_released"
    REDUCTION = "reduction"
    RESTORED = "restored"
    LAST_ADMINISTRATOR = "last_administrator"
    EXPANDED = "expanded"
    REPLACED = "replaced"
    TERMINATED = "terminated"
    LEAVING_WITHDRAWN = "leaving_withdrawn"
    PERIOD_BEGAN = "period_began"
    THRESHOLD_CROSSED = "mark_crossed"
    LIMIT_REACHED = "limit_reached"
    THRESHOLD_RESET = "free_for_a_day"
    # answers to invoicing and to the clock
    ORDERED = "ordered"
    OPENED = "opened"
    POLICY_SET = "policy_set"
    SCHEDULED = "scheduled"
    CLOCK_ADVANCED = "clock_advanced"
    ERROR = "error"
    TOO_LARGE = "too_large"  # a decision that no record of the log can hold
    # withdrawn
    GRACE_EXPIRED = "grace_expired"
    BASE_MODULE_REVOKED = "base_module_revoked"
    POOL_CLOSED = "pool_closed"
    HOLD_EXPIRED = "hold_expired"
    NO_LONGER_REQUIRED = "no_longer_needed"
    # refused
    POOL_FULL = "pool_full"
    FLAG_CAP = "flag_cap"
    EXPAND_CAP = "expand_cap"
    GRACE_USED = "grace_used"
    REVOKED = "revoked"
    BASE_MODULE_REFUSED = "base_module_refused"
    OTHER_MODULE_REFUSED = "other_module_refused"  # all or nothing
    HOLD_PAST = "hold_past"  # the reservation would have expired before it was decided
    UNKNOWN_TENANT = "unknown_tenant"
    UNKNOWN_MODULE = "unknown_module"
    UNKNOWN_USER = "unknown_user"
    NOTHING_TO_REPLACE = "nothing_to_replace"
    ALREADY_SEATED = "already_seated"
    POOL_EXISTS = "pool_exists"
    TENANT_EXISTS = "tenant_exists"
    EXPECTED_DIFFERS = "expected_differs"
    BELOW_USE = "below_use"
    TERMINATE_INSTEAD = "terminate_instead"
    LAST_BASE_MODULE = "last_base_module"  # its pool closes only with the whole subscription
    REDUCTION_LIMITED = "reduction_limited"
    ABOVE_LICENCES = "above_licences"
    # rejected: the command makes no sense
    UNREADABLE = "unreadable"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_VALUE = "invalid_value"
    INVALID_COUNT = "invalid_count"
    INVALID_DURATION = "invalid_duration"
    INVALID_POLICY = "invalid_policy"
    INVALID_TIME = "invalid_time"
    NOT_A_TEST_CLOCK = "not_a_test_clock"
    WRONG_PARTITION = "wrong_partition"
    WRONG_SOURCE = "wrong_source"  # a sender that may not send this type
    # ignored
    DUPLICATE = "duplicate"
    STALE = "stale"


class Policies(Payload):
    """The policies of a pool (docs/rules.md). A policy that is missing or null keeps its value; at `open_pool` it gets its default."""

    over_limit: str | None = None  # OverLimit, default flag
    flag_cap: int | None = None  # flagged at most at once; none by default
    expand_cap: int | None = None  # licences at most by expansion; none by default
    grace: str | None = None  # ISO 8601, weeks to seconds, default P7D
    reduce_below_use: str | None = None  # ReduceBelowUse, default flag_newest
    warn_at: str | None = None  # share of the licences in use ("90%") or licences left ("5"); none by default
    terminate_reduces_pool: bool | None = None  # default false
    reduce_at: str | None = None  # ReduceAt: what terminate_reduces_pool lowers


class LicenceCount(Payload):
    module: ModuleName
    quantity: int


class ExpectedPool(Payload):
    module: ModuleName
    licences: Int64
    next_period: Int64


class Expected(Payload):
    """The numbers that the sender assumed when it priced the order, as seats last reported them."""

    period: str | None = None
    pools: Items[ExpectedPool] = ()


# ------------------------------------------------------------------------------------------------------------- commands


class Numbered(Payload):
    """A numbered command. The sender draws the number under the tenant's row lock; seats ignores a number not above the last."""

    number: int = Field(ge=1, le=INT64_MAX)


class OpenTenant(Numbered):
    clock: str  # Clock
    at: Instant | None = None  # a test clock's first time


class OpenPool(Numbered):
    module: ModuleName
    base: bool
    licences: int
    policies: Policies = Policies()


class SetPolicy(Numbered):
    """Change policies. `unset` removes some of `flag_cap`, `expand_cap` and `warn_at`; null leaves a policy as it is."""

    module: ModuleName
    policies: Policies
    unset: Items[str] = ()


class ClosePool(Numbered):
    """Close a pool. `ending`: the whole subscription ends; without it, the last base pool is not closed."""

    module: ModuleName
    at: str  # CloseAt
    ending: bool = False


class DatedRelease(Payload):
    """From the instant `at` on, the person requires only `modules`: none for a leaver. It never adds a module."""

    at: Instant
    modules: Items[ModuleName] = Field(default=(), max_length=200)
    leaver: bool = False  # as in `assign_seats`: see the policy `terminate_reduces_pool`


class LeaverReduction(Payload):
    """What a leaver reduced in one pool (`pool_reduced`): its licences, the next period's number, or both."""

    module: ModuleName
    licences: int
    next_period: int


class Need(Payload):
    """The modules that a person needs from now on, also those already held."""

    modules: Items[ModuleName] = Field(max_length=200)
    created_at: Instant  # of the person: a cut flags the newest first
    administrator: bool = False
    priority: Int64 = 0  # higher is served first
    reactivate: Items[ModuleName] = Field(default=(), max_length=200)
    hold_until: Instant | None = None
    partial: bool = False
    suspended: bool = False  # the login has ended (`valid_to`): the seats stay and count, and no access check allows the person
    release: DatedRelease | None = None  # it replaces the release of the command before; none removes it


class AssignSeats(Need):
    user: Id
    revision: int = Field(ge=1, le=INT64_MAX)
    reason: str  # decides nothing
    leaver: bool = False  # the person's employment ended: see the policy `terminate_reduces_pool`
    reversible: bool = False  # of a leaver: remember what the leaving reduces, so that `leaving_withdrawn` can take it back
    leaving_withdrawn: bool = False  # the leaving that an earlier command stated was a mistake: take back what it reduced


class ReplaceUser(Payload):
    from_user: Id
    from_revision: int = Field(ge=1, le=INT64_MAX)
    to_user: Id
    to_revision: int = Field(ge=1, le=INT64_MAX)
    to: Need
    reason: str


class AddLicences(Numbered):
    order: Id
    items: Items[LicenceCount] = Field(max_length=200)
    expected: Expected
    approved_at: Instant


class ReduceLicences(Numbered):
    order: Id
    items: Items[LicenceCount] = Field(max_length=200)  # licences to take away
    expected: Expected


class ScheduleReduction(Numbered):
    items: Items[LicenceCount] = Field(max_length=200)  # the next period's number
    expected: Expected


class SchedulePeriod(Numbered):
    period: Id
    starts_at: Instant


class ClockAdvanced(Numbered):
    to: Instant


class Tick(Payload):
    """A tick: it is sent to one partition, without a tenant."""


class RulesActivated(Payload):
    """The command line sends it to each partition, without a tenant. A worker that does not know these rules stops until its release does,
    so a number that no release will ever have is refused."""

    rules: int = Field(ge=1, le=10_000)


# --------------------------------------------------------------------------------------------------------------- events


class PoolState(Payload):
    """A pool as it is after the decision."""

    module: ModuleName
    licences: int
    next_period: int
    active: int
    flagged: int
    held: int
    waiting: int
    available: int  # max(0, licences - active - held)
    warned: bool = False  # the mark `warn_at` was crossed and is not armed again
    free_since: Instant | None = None  # since when a licence above that mark has been free
    # Only while the pool is to close with the whole subscription: the next period's number that taking the ending back restores.
    former_next_period: int | None = None


class SeatsEvent(Payload):
    command: str  # id of the command
    position: Position
    role: str  # Role
    at: Instant  # the tenant's time at the decision
    rules: int
    reason: str
    pools: Items[PoolState] = ()  # those touched
    period: str | None = None  # in force in this tenant
    # Of an answer to a numbered command: its sender and number, so that state can be rebuilt from the decisions alone.
    source: str | None = None
    number: int | None = None


class PersonEvent(SeatsEvent):
    user: Id
    prev: Position | None = None  # of this person's previous decision


class ModuleSeat(Payload):
    """One module of a person's need, as answered."""

    module: ModuleName
    state: str  # SeatState
    deadline: Instant | None = None  # flagged: when it is revoked; held: when it expires
    since: Instant | None = None  # since when it is waited for, or flagged
    reason: str | None = None
    order: int | None = None  # of a seat that was taken over: its place in the log
    again: int | None = None  # and where its flag was asked for again, after it had been given up


# answers ---------------------------------------------------------------------------------------------------------------


class TenantOpened(SeatsEvent):
    clock: str


class PoolOpened(SeatsEvent):
    module: ModuleName
    base: bool
    policies: Policies  # all of them, defaults filled in


class PolicyChanged(SeatsEvent):
    module: ModuleName
    policies: Policies  # all of them, as they are now


class PoolClosed(SeatsEvent):
    """A pool was closed, by a command or at the begin of a period. Each of its seats has a `SeatReleased`."""

    module: ModuleName


class PoolCloseScheduled(SeatsEvent):
    module: ModuleName


class NeedAnswered(PersonEvent):
    """An answer about a person's modules. It repeats the command, so that state can be rebuilt from the decisions alone."""

    revision: int
    need: Need
    modules: Items[ModuleSeat]
    released: Items[ModuleName] = ()
    reduced: Items[LeaverReduction] = ()  # what is remembered of a leaver
    asked: str | None = None  # why, in the sender's words; `reason` is why it was decided so


class SeatsAssigned(NeedAnswered):
    """All modules are granted; with `partial`, `modules` has a state for each, also for refused ones."""


class SeatsQueued(NeedAnswered):
    blocked_by: Items[ModuleName]


class SeatsRefused(NeedAnswered):
    """Nothing new was granted. Seats that are still needed stay. `modules` says which modules were refused, and why."""


class SeatsMoved(PersonEvent):
    """Seats moved. `user` is the target user."""

    from_user: Id
    from_revision: int
    revision: int
    from_prev: Position | None = None
    need: Need
    moved: Items[ModuleName] = ()
    modules: Items[ModuleSeat]
    released: Items[ModuleName] = ()  # of `to`, no longer needed
    from_released: Items[ModuleName] = ()  # what `from` held and `to` does not need
    asked: str | None = None


class ReplacementRefused(PersonEvent):
    """A replacement was refused. `user` is the target user. Nothing moved; both revisions are used up."""

    from_user: Id
    from_revision: int
    revision: int
    from_prev: Position | None = None
    asked: str | None = None


class LicencesAdded(SeatsEvent):
    order: Id
    items: Items[LicenceCount]
    approved_at: Instant


class OrderRefused(SeatsEvent):
    order: Id
    expected: Expected
    actual: Expected


class LicencesReduced(SeatsEvent):
    order: Id
    items: Items[LicenceCount]


class ReductionRefused(SeatsEvent):
    order: Id | None = None
    module: ModuleName | None = None
    must_free: int | None = None  # seats to free first (B12)
    instead: str | None = None  # what to send instead: how a module is terminated
    expected: Expected | None = None
    actual: Expected | None = None


class WouldFlag(Payload):
    """The people whom a reduction would flag. `users`: the first of them, at most 1,000 in an answer, equally many for each module.
    `count`: how many in all."""

    module: ModuleName
    users: Items[Id]
    count: int


class WouldCancel(Payload):
    """The people whose reservations (held seats) a reduction would cancel, before it flags anybody. `users`: those whose reservation is the
    newest, at most 1,000 in an answer, equally many for each module. `count`: how many in all."""

    module: ModuleName
    users: Items[Id]
    count: int


class ReductionScheduled(SeatsEvent):
    items: Items[LicenceCount]
    would_flag: Items[WouldFlag] = ()
    would_cancel: Items[WouldCancel] = ()
    kept: Items[ModuleName] = ()  # pools that were to close with the whole subscription, and that go on


class PeriodScheduled(SeatsEvent):
    next_period_id: Id
    starts_at: Instant


class ClockSettled(SeatsEvent):
    """The answer to `clock_advanced`: the SQL services take their time for this tenant from its `at`."""


class CommandIgnored(SeatsEvent):
    user: Id | None = None
    order: Id | None = None
    last_revision: int | None = None
    last_number: int | None = None


class CommandRejected(SeatsEvent):
    """The command cannot be read or makes no sense; nothing was changed."""

    user: Id | None = None
    order: Id | None = None
    field: str | None = None
    value: str | None = None  # what stood there, cut to 200 characters
    expected: str | None = None  # what would be right

    def wrong(self) -> str:
        """Return the reason as a sentence for people. Without a value, it has the words of the reader that refused it."""
        field, expected = self.field or "command", self.expected or "a command that makes sense"
        if self.value is None:
            return f"{field}: {expected}"
        return f"{field} is {self.value!r}, expected {reworded(expected)}"


class CommandFailed(SeatsEvent):
    error_id: str  # made from the position; the worker's log has the rest under it


# consequences ----------------------------------------------------------------------------------------------------------


class SeatEvent(PersonEvent):
    module: ModuleName


class SeatFlagged(SeatEvent):
    deadline: Instant | None = None  # none: the last administrator, with nobody to take the flag


class SeatFlagCleared(SeatEvent):
    pass


class SeatGranted(SeatEvent):
    """A seat was granted from the queue, or restored by a purchase."""


class SeatRevoked(SeatEvent):
    base: bool
    flagged_at: Instant


class SeatReleased(SeatEvent):
    """A seat was released, because a base module was revoked or its pool was closed."""


class SeatsReleased(PersonEvent):
    """A dated release fell due: the person now requires only the modules in `required`, and gave up the seats in `released`."""

    required: Items[ModuleName]
    released: Items[ModuleName] = ()
    reduced: Items[LeaverReduction] = ()
    leaver: bool = False


class HoldExpired(SeatEvent):
    pass


class HoldCancelled(SeatEvent):
    """A hold was cancelled by a reduction: holds go first, newest first."""


class PoolNearLimit(SeatsEvent):
    module: ModuleName


class PoolAtLimit(SeatsEvent):
    module: ModuleName


class WarningArmed(SeatsEvent):
    module: ModuleName


class PoolExpanded(SeatsEvent):
    module: ModuleName
    by: int


class PoolReduced(SeatsEvent):
    """A leaver reduced the pool (`terminate_reduces_pool`): `now` its licences, `period_end` the next period's number."""

    module: ModuleName
    by: int
    reduce_at: str


class PoolRestored(SeatsEvent):
    """A leaving that reduced the pool was taken back, and the reduction with it: `now` the licences, `period_end` the next number."""

    module: ModuleName
    by: int
    reduce_at: str


class ReductionKept(PersonEvent):
    """A leaving that reduced the pool was taken back, but the numbers of the pool were set since: the reduction stays."""

    module: ModuleName
    by: int
    reduce_at: str


class PeriodStarted(SeatsEvent):
    """A period began. `licences` are those of each pool at its begin; `pools` shows them after the whole decision.
    `former` are those of before, of the pools whose number changed."""

    starts_at: Instant
    licences: Items[LicenceCount] = ()
    former: Items[LicenceCount] = ()
    reduction_limited: Items[ModuleName] = ()


class SettleFailed(SeatsEvent):
    error_id: str
