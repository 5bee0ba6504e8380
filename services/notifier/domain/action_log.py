"""Entries of the action log (T20, M13): who, when, what, from, to, why.

One event makes an entry for each thing that it changed: a seat (person and module), a pool, a person, the account. `from` of a seat is
the state in the entry before of the same `subject`. It is looked up when the entries are stored: the log is read in order, so this is
the state before the decision. `from` of a pool's numbers is kept beside the log (`pool_numbers.py`). An answer that does not change a seat
makes no entry; a refusal always makes one.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from services.notifier.domain.pool_numbers import CHANGES_POOLS, Changed, PoolNumbers, policies_text
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor, Change, Payload, format_instant
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY
from shared.schemas.seats_v1 import Role, SeatState

RULES = Actor(kind="system", id="rules")  # for due items: the rules alone caused them

# These events change nothing of the account: they repeat a state that is known, or concern the machinery.
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

# Details with the ids of people besides the one whom the entry is about: a reader with a viewset does not see all of them. `people` of some
# types is a number.
PEOPLE: Final = ("people", "from_user", "moved_to")
HIDDEN: Final = "hidden"  # instead of the id of an actor whom the reader does not see

Scalar = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that one event changed."""

    type: str
    subject: str | None = None  # of `from` and `to`, e.g. `seat:<user>:<module>`; None: `changes` has both
    user: str | None = None
    module: str | None = None
    new: str | None = None
    only_if_changed: bool = False
    changes: tuple[tuple[str, Scalar, Scalar], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def entries_of(payload: Payload, envelope: Envelope, pools: Changed) -> list[Entry]:
    """Return all entries of one event. Their order is fixed, since (event id, place in this list) identifies an entry. `pools` are those
    that the event changed."""
    if isinstance(payload, _SILENT):
        return []
    match payload:
        case seats_v1.SeatsEvent():
            return list(_seats(payload, _name(envelope), pools))
        case users_v1.UsersEvent():
            return [_users(payload, _name(envelope))]
        case invoicing_v1.InvoicingEvent():
            return list(_invoicing(payload, _name(envelope)))
        case _:
            return []


def people_in(details: Mapping[str, Any]) -> set[str]:
    """Return the ids of the people whom the details name, also as actors."""
    return {user for name, value in details.items() for user in _people_of(name, value)}


def _people_of(name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [value["id"]] if value.get("kind") == "user" else []
    if name not in PEOPLE:
        return []
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def without_hidden(type_: str, details: Mapping[str, Any], seen: AbstractSet[str]) -> Mapping[str, Any]:
    """Return the details of an entry for a reader who sees only some people: the others are counted in `hidden`. What stood in a command
    that was rejected may be the id of a person in any form."""
    if type_ == "command_rejected":
        return dict(details) | {"value": None}
    number = len(people_in(details).difference(seen))
    if not number:
        return details
    return {name: _seen(name, value, seen) for name, value in details.items()} | {"hidden": number}


def _seen(name: str, value: Any, seen: AbstractSet[str]) -> Any:
    if seen >= set(_people_of(name, value)):
        return value
    if isinstance(value, Mapping):
        return {**value, "id": HIDDEN}
    return [each for each in value if each in seen] if isinstance(value, list) else None


def actor_of(payload: Payload) -> Actor | None:
    """Return who did it. None for a decision that answers a command: its actor is the one that began the chain (its correlation)."""
    match payload:
        case seats_v1.SeatsEvent():
            return RULES if payload.role == Role.DUE_ITEM else None
        case users_v1.UsersEvent() | invoicing_v1.InvoicingEvent():
            return payload.actor
        case _:
            return None


def _name(envelope: Envelope) -> str:
    """Return `seat_flagged` for `seatpool.seats.v1.seat_flagged`."""
    return REGISTRY[envelope.type].name.rpartition(".")[2]


# ------------------------------------------------------------------------------------------------------------------ seats


def _seats(payload: seats_v1.SeatsEvent, name: str, pools: Changed) -> Iterator[Entry]:
    if isinstance(payload, CHANGES_POOLS):
        yield from _pool_entries(payload, name, pools)
        return
    match payload:
        case seats_v1.NeedAnswered() | seats_v1.SeatsMoved():
            yield from _answer(payload, name)
        case seats_v1.SeatsReleased():
            for module in payload.released:
                yield _seat("seat_released", payload.user, module, "none", {"dated": True})
        case seats_v1.SeatEvent():
            new, details = _STATE_AFTER.get(type(payload), name), {}
            if isinstance(payload, seats_v1.SeatFlagged):
                details = {"deadline": format_instant(payload.deadline) if payload.deadline else None}
            yield _seat(name, payload.user, payload.module, new, details)
        case seats_v1.CommandRejected():
            yield Entry(name, user=payload.user, details=payload.model_dump(mode="json", include={"field", "value", "expected"}))
        case seats_v1.CommandFailed() | seats_v1.SettleFailed():
            yield Entry(name, details={"error_id": payload.error_id})
        case seats_v1.ReplacementRefused():
            yield Entry(name, user=payload.user, details={"from_user": payload.from_user})
        case seats_v1.TenantOpened():
            yield Entry(name, "tenant", new="open", details={"clock": payload.clock})
        case seats_v1.PeriodScheduled():
            yield Entry(name, details={"period": payload.next_period_id, "starts_at": format_instant(payload.starts_at)})
        case _:
            yield _plain(payload, name)


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
    """Make an entry for each module whose state the answer changed. Releases come first, as they were decided."""
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


def _pool_entries(payload: seats_v1.SeatsEvent, name: str, changed: Changed) -> Iterator[Entry]:
    """Make an entry for each pool, with each changed number before and after the event."""
    match payload:
        case seats_v1.PoolOpened():
            details: dict[str, Any] = {"base": payload.base, "policies": policies_text(payload.policies)}
        case seats_v1.LicencesAdded() | seats_v1.LicencesReduced():
            details = {"order": payload.order}
        case seats_v1.PoolExpanded():
            details = {"by": payload.by}
        case seats_v1.PoolReduced() | seats_v1.PoolRestored():
            details = {"by": payload.by, "reduce_at": payload.reduce_at}
        case seats_v1.PeriodStarted():
            details = {"reduction_limited": list(payload.reduction_limited)}
        case _:
            details = {}
    for module, (old, new) in changed.items():
        numbers = [(field, _shown(before), _shown(after)) for field, before, after in zip(PoolNumbers._fields, old, new, strict=True)]
        # The entry of a period that starts with the same number shows the number.
        changes = tuple(each for each in numbers if each[1] != each[2]) or tuple(numbers[:1])
        yield Entry(name, module=module, changes=changes, details=details)
    if not changed:
        yield Entry(name, details=details)


def _shown(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _plain(payload: seats_v1.SeatsEvent, name: str) -> Entry:
    """Make the entry of an event that changes no number that is kept here: a refused order, a warning, a type of a later version."""
    module = getattr(payload, "module", None)
    details = payload.model_dump(mode="json", include={"order", "must_free", "expected", "actual"}, exclude_none=True)
    return Entry(name, module=module, details=details)


# ------------------------------------------------------------------------------------------------------ users, invoicing


def _changes(changes: tuple[Change, ...]) -> tuple[tuple[str, Scalar, Scalar], ...]:
    return tuple((change.field, change.old, change.new) for change in changes)


_OF_A_PERSON = (
    users_v1.LastOwnerLost,
    users_v1.EmergencyLinkUsed,
    users_v1.PersonErased,
    users_v1.PersonInvited,
    users_v1.InvitationExpired,
    users_v1.HandOverDue,
    users_v1.SignInConfirmed,
)


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
        case users_v1.TenantOpenedByOperator():
            return Entry(
                name,
                changes=changes,
                details={"until": format_instant(payload.until)} | ({"operator": payload.operator} if payload.operator else {}),
            )
        case users_v1.RoleDefined() | users_v1.RoleDeleted():
            return Entry(name, changes=changes, details={"role": payload.role})
        case users_v1.ApiClientChanged() | users_v1.ApiClientRevoked():
            return Entry(name, changes=changes, details={"client": payload.client, "name": payload.name})
        case users_v1.GraceEnding():
            return Entry(name, user=payload.user, module=payload.module)
        case users_v1.ChangesStopped() | users_v1.LicencesFree() | users_v1.ScimEvent():
            excluded = {"at", "actor", "reason", "changes", "module"}
            details = payload.model_dump(mode="json", exclude=excluded, exclude_none=True)
            return Entry(name, module=getattr(payload, "module", None), changes=changes, details=details)
        case users_v1.SignInLinkRequested():
            return Entry(name, user=payload.user, details={"expires_at": format_instant(payload.expires_at)})
        case users_v1.SignInUnconfirmed():
            names = (("login", payload.new_login), ("email", payload.new_email))
            return Entry(name, user=payload.user, details={"fields": [name for name, value in names if value is not None]})
        case users_v1.IdentityProviderChanged():
            return Entry(name, changes=changes, details={"what": payload.what, "issuer": payload.issuer})
        case users_v1.ConflictFound() | users_v1.PossibleDuplicates() | users_v1.PersonLinked() | users_v1.PersonSeparated():
            # External ids are personal data, which are erased, and the log stays.
            details = payload.model_dump(mode="json", exclude={"at", "actor", "reason", "changes", "user", "external_id"})
            return Entry(name, user=getattr(payload, "user", None), details=details)
        case users_v1.ClockAdvancing():
            return Entry(name, changes=(("clock", format_instant(payload.at), format_instant(payload.to)),))
        case _:
            return Entry(name, user=payload.user if isinstance(payload, _OF_A_PERSON) else None, changes=changes)


def _invoicing(payload: invoicing_v1.InvoicingEvent, name: str) -> Iterator[Entry]:
    changes = _changes(payload.changes)
    match payload:
        case invoicing_v1.QuoteIssued() | invoicing_v1.OrderCompleted():
            # Each module gets an entry, so that the log of a module is complete.
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
        case invoicing_v1.TermsApplied(module=str()):
            pass  # the expansion has an entry of its own
        case invoicing_v1.InvoiceIssued():
            details = payload.model_dump(
                mode="json", include={"invoice", "kind", "number", "orders", "currency", "net_minor", "tax_minor", "gross_minor"}
            )
            yield Entry(name, changes=changes, details=details)
        case _:
            excluded = {"at", "actor", "reason", "changes"}
            module = getattr(payload, "module", None)
            yield Entry(name, module=module, changes=changes, details=payload.model_dump(mode="json", exclude=excluded))
