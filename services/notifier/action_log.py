"""Entries of the action log (T20, M13): who, when, what, from, to, why. Pure.

One event makes an entry for each thing that it changed: a seat (person and module), a pool, a person, the account. `from` of a seat or a
pool is what the entry before it of the same `subject` said, looked up where entries are stored: the log is read in order, so it is the
state before the decision. An answer that changes nothing of a seat makes no entry; a refusal always makes one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor, Change, Payload, format_instant
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY
from shared.schemas.seats_v1 import Role, SeatState

RULES = Actor(kind="system", id="rules")  # what fell due by the rules alone

# Told once more, or of the machinery: nothing happened to the account.
_SILENT = (
    users_v1.TenantRepublished,
    users_v1.PersonRepublished,
    users_v1.ClockReady,
    seats_v1.ClockSettled,
    seats_v1.CommandIgnored,
)

_TYPE_OF_STATE = {
    SeatState.ACTIVE: "seat_granted",
    SeatState.FLAGGED: "seat_flagged",
    SeatState.HELD: "seat_held",
    SeatState.WAITING: "seat_queued",
    SeatState.REFUSED: "seat_refused",
    SeatState.REVOKED: "seat_revoked",
}

Scalar = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What one event says of one thing. `old` None: taken from the subject's entry before."""

    type: str
    subject: str | None = None  # what `from` and `to` are of, `seat:<user>:<module>`; None: `changes` says it
    user: str | None = None
    module: str | None = None
    old: str | None = None
    new: str | None = None
    only_if_changed: bool = False
    changes: tuple[tuple[str, Scalar, Scalar], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def entries_of(payload: Payload, envelope: Envelope) -> list[Entry]:
    """All entries of one event, in a fixed order: (event id, place in this list) names an entry for ever."""
    if isinstance(payload, _SILENT):
        return []
    match payload:
        case seats_v1.SeatsEvent():
            return list(_seats(payload, _name(envelope)))
        case users_v1.UsersEvent():
            return [_users(payload, _name(envelope))]
        case invoicing_v1.InvoicingEvent():
            return list(_invoicing(payload, _name(envelope)))
        case _:
            return []


def actor_of(payload: Payload) -> Actor | None:
    """Who did it. None for a decision that answers a command: then it is whoever began the command's chain (its correlation)."""
    match payload:
        case seats_v1.SeatsEvent():
            return RULES if payload.role == Role.SETTLED else None
        case users_v1.UsersEvent() | invoicing_v1.InvoicingEvent():
            return payload.actor
        case _:
            return None


def _name(envelope: Envelope) -> str:
    """`seat_flagged` of `seatpool.seats.v1.seat_flagged`."""
    return REGISTRY[envelope.type].name.rpartition(".")[2]


# ------------------------------------------------------------------------------------------------------------------ seats


def _seats(payload: seats_v1.SeatsEvent, name: str) -> Iterator[Entry]:
    match payload:
        case seats_v1.NeedAnswered() | seats_v1.SeatsMoved():
            yield from _answer(payload, name)
        case seats_v1.SeatEvent():
            new, details = _STATE_AFTER.get(type(payload), name), {}
            if isinstance(payload, seats_v1.SeatFlagged):
                details = {"deadline": format_instant(payload.deadline) if payload.deadline else None}
            yield _seat(name, payload.user, payload.module, new, details)
        case seats_v1.PolicyChanged():
            yield Entry(name, f"policies:{payload.module}", module=payload.module, new=_policies(payload.policies))
        case seats_v1.CommandRejected():
            yield Entry(name, details=payload.model_dump(mode="json", include={"field", "value", "expected"}))
        case seats_v1.CommandFailed() | seats_v1.SettleFailed():
            yield Entry(name, details={"error_id": payload.error_id})
        case seats_v1.TenantOpened():
            yield Entry(name, "tenant", new="open", details={"clock": payload.clock})
        case seats_v1.PeriodScheduled():
            yield Entry(name, details={"period": payload.next_period_id, "starts_at": format_instant(payload.starts_at)})
        case _:
            yield from _pools(payload, name)


_STATE_AFTER: dict[type[seats_v1.SeatEvent], str] = {
    seats_v1.SeatFlagged: "flagged",
    seats_v1.SeatFlagCleared: "active",
    seats_v1.SeatGranted: "active",
    seats_v1.SeatRevoked: "revoked",
    seats_v1.SeatReleased: "none",
    seats_v1.HoldExpired: "none",
    seats_v1.HoldCancelled: "none",
}


def _seat(type_: str, user: str, module: str, new: str, details: dict[str, Any], only_if_changed: bool = False) -> Entry:
    return Entry(type_, f"seat:{user}:{module}", user, module, new=new, details=details, only_if_changed=only_if_changed)


def _answer(payload: seats_v1.NeedAnswered | seats_v1.SeatsMoved, name: str) -> Iterator[Entry]:
    """One entry for each module whose state the answer changed. What is released comes first, as it was decided."""
    for module in payload.released:
        yield _seat("seat_released", payload.user, module, "none", {"answer": name})
    if isinstance(payload, seats_v1.SeatsMoved):
        for module in payload.from_released:
            yield _seat("seat_released", payload.from_user, module, "none", {"answer": name})
        for module in payload.moved:
            yield _seat("seat_moved", payload.from_user, module, "none", {"answer": name, "moved_to": payload.user})
    for seat in payload.modules:
        details = {"answer": name} | {
            key: value for key, value in seat.model_dump(mode="json", include={"deadline", "since", "reason"}).items() if value is not None
        }
        if isinstance(payload, seats_v1.SeatsQueued):
            details["blocked_by"] = list(payload.blocked_by)
        type_ = _TYPE_OF_STATE.get(seat.state, "seat_changed")  # type: ignore[call-overload]  # an open enum: any string may come
        yield _seat(type_, payload.user, seat.module, seat.state, details, only_if_changed=seat.state != SeatState.REFUSED)


def _policies(policies: seats_v1.Policies) -> str:
    return ", ".join(f"{key}={value}" for key, value in policies.model_dump(exclude_none=True).items())


def _pools(payload: seats_v1.SeatsEvent, name: str) -> Iterator[Entry]:
    """What changes a pool's licences: an entry for each pool with the number before and after."""
    counts = {pool.module: pool for pool in payload.pools}
    match payload:
        case seats_v1.PoolOpened():
            modules: tuple[str, ...] = (payload.module,)
            details: dict[str, Any] = {"base": payload.base, "policies": _policies(payload.policies)}
        case seats_v1.LicencesAdded() | seats_v1.LicencesReduced():
            modules, details = tuple(item.module for item in payload.items), {"order": payload.order}
        case seats_v1.PoolExpanded():
            modules, details = (payload.module,), {"by": payload.by}
        case seats_v1.PeriodStarted():
            modules, details = tuple(counts), {"reduction_limited": list(payload.reduction_limited)}
        case seats_v1.PoolClosed():
            yield Entry(name, f"licences:{payload.module}", module=payload.module, new="0")
            return
        case seats_v1.ReductionScheduled():
            for item in payload.items:
                yield Entry(name, f"next_period:{item.module}", module=item.module, new=str(item.quantity))
            return
        case _:
            yield _plain(payload, name)
            return
    for module in modules:
        new = str(counts[module].licences) if module in counts else None
        yield Entry(name, f"licences:{module}", module=module, new=new, details=details)
    if not modules:
        yield Entry(name, details=details)


def _plain(payload: seats_v1.SeatsEvent, name: str) -> Entry:
    """An event that changes no number that is kept here: refusals of orders, warnings, what a later version adds."""
    module = getattr(payload, "module", None)
    details = payload.model_dump(mode="json", include={"order", "must_free", "expected", "actual"}, exclude_none=True)
    return Entry(name, module=module, details=details)


# ------------------------------------------------------------------------------------------------------ users, invoicing


def _changes(changes: tuple[Change, ...]) -> tuple[tuple[str, Scalar, Scalar], ...]:
    return tuple((change.field, change.old, change.new) for change in changes)


def _users(payload: users_v1.UsersEvent, name: str) -> Entry:
    changes = _changes(payload.changes)
    match payload:
        case users_v1.PersonState():
            if not changes and isinstance(payload, users_v1.PersonAdded):
                changes = (("status", None, payload.status), ("modules", None, ", ".join(payload.modules)))
            return Entry(name, user=payload.user, changes=changes)
        case users_v1.ProfileDefined():
            return Entry(name, changes=changes or (("modules", None, ", ".join(payload.modules)),), details={"profile": payload.profile})
        case users_v1.DepartmentMapped():
            return Entry(name, changes=changes or (("profile", None, payload.profile),), details={"department": payload.department})
        case users_v1.ClockAdvancing():
            return Entry(name, changes=(("clock", None, format_instant(payload.to)),))
        case _:
            return Entry(name, changes=changes)


def _invoicing(payload: invoicing_v1.InvoicingEvent, name: str) -> Iterator[Entry]:
    changes = _changes(payload.changes)
    match payload:
        case invoicing_v1.QuoteIssued() | invoicing_v1.OrderCompleted():
            # An entry for each module, so that the log of a module is whole.
            shared = payload.model_dump(mode="json", include={"quote", "order", "currency", "net_minor", "tax_minor", "gross_minor"})
            for line in payload.lines:
                yield Entry(
                    name,
                    module=line.module,
                    changes=changes,
                    details=shared | {"quantity": line.quantity, "line_net_minor": line.net_minor},
                )
        case invoicing_v1.ChargeBooked():
            details = payload.model_dump(mode="json", include={"charge", "order", "decision", "currency", "quantity", "net_minor"})
            yield Entry(name, module=payload.module, changes=changes, details=details)
        case invoicing_v1.InvoiceIssued():
            details = payload.model_dump(
                mode="json", include={"invoice", "number", "orders", "currency", "net_minor", "tax_minor", "gross_minor"}
            )
            yield Entry(name, changes=changes, details=details)
        case _:
            excluded = {"at", "actor", "reason", "changes"}
            yield Entry(name, changes=changes, details=payload.model_dump(mode="json", exclude=excluded))
