"""The registry of messages: type -> model -> topic -> permitted sources. `make schemas` writes a JSON Schema for each entry."""

import re
from dataclasses import dataclass

from pydantic import ValidationError

from shared.errors import Poison
from shared.schemas import hr_v1, invoicing_v1, seats_v1, topics, users_v1
from shared.schemas.base import Payload
from shared.schemas.faults import field_of, first_faults, place_of
from shared.schemas.topics import Topic


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    model: type[Payload]
    topic: Topic
    sources: tuple[str, ...]  # the permitted `ce_source`; none: the allow-list of HR sources decides


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _entries(subsystem: str, topic: Topic, sources: tuple[str, ...], *models: type[Payload]) -> list[Entry]:
    return [Entry(f"seatpool.{subsystem}.v1.{_snake(model.__name__)}", model, topic, sources) for model in models]


_FIELD = re.compile(r"[a-z_]{1,40}")
USERS, SEATS, INVOICING, CLI = "seatpool/users", "seatpool/seats", "seatpool/invoicing", "seatpool/cli"

_ENTRIES = [
    *_entries(
        "hr",
        topics.HR_EVENTS,
        (),
        hr_v1.PersonHired,
        hr_v1.PersonChanged,
        hr_v1.PersonLeft,
        hr_v1.PersonReported,
        hr_v1.PersonFactWithdrawn,
    ),
    *_entries(
        "users",
        topics.USERS_EVENTS,
        (USERS,),
        users_v1.TenantCreated,
        users_v1.TenantChanged,
        users_v1.TenantRepublished,
        users_v1.PersonAdded,
        users_v1.PersonChanged,
        users_v1.PersonLeft,
        users_v1.PersonRepublished,
        users_v1.ProfileDefined,
        users_v1.DepartmentMapped,
        users_v1.RoleDefined,
        users_v1.RoleDeleted,
        users_v1.TenantOpenedByOperator,
        users_v1.LastOwnerLost,
        users_v1.ScimTokenEnding,
        users_v1.ApiClientChanged,
        users_v1.ApiClientRevoked,
        users_v1.ScimConnectionChanged,
        users_v1.ScimConnectionRemoved,
        users_v1.ScimTokenChanged,
        users_v1.ScimGroupMapped,
        users_v1.ChangesStopped,
        users_v1.LicencesFree,
        users_v1.PersonInvited,
        users_v1.PersonErased,
        users_v1.InvitationExpired,
        users_v1.GraceEnding,
        users_v1.HandOverDue,
        users_v1.SignInLinkRequested,
        users_v1.OperatorLinkRequested,
        users_v1.IdentityProviderChanged,
        users_v1.EmergencyLinkUsed,
        users_v1.SignInUnconfirmed,
        users_v1.SignInConfirmed,
        users_v1.ConflictFound,
        users_v1.PossibleDuplicates,
        users_v1.PersonLinked,
        users_v1.PersonSeparated,
        users_v1.ClockAdvancing,
        users_v1.ClockReady,
    ),
    *_entries(
        "seats",
        topics.SEATS_COMMANDS,
        (USERS,),
        seats_v1.OpenTenant,
        seats_v1.AssignSeats,
        seats_v1.ReplaceUser,
        seats_v1.ClockAdvanced,
    ),
    *_entries(
        "seats",
        topics.SEATS_COMMANDS,
        (INVOICING,),
        seats_v1.OpenPool,
        seats_v1.SetPolicy,
        seats_v1.ClosePool,
        seats_v1.AddLicences,
        seats_v1.ReduceLicences,
        seats_v1.ScheduleReduction,
        seats_v1.SchedulePeriod,
    ),
    *_entries("seats", topics.SEATS_COMMANDS, (SEATS,), seats_v1.Tick),
    *_entries("seats", topics.SEATS_COMMANDS, (SEATS, CLI), seats_v1.RulesActivated),
    *_entries(
        "seats",
        topics.SEATS_EVENTS,
        (SEATS,),
        seats_v1.TenantOpened,
        seats_v1.PoolOpened,
        seats_v1.PolicyChanged,
        seats_v1.PoolClosed,
        seats_v1.PoolCloseScheduled,
        seats_v1.SeatsAssigned,
        seats_v1.SeatsQueued,
        seats_v1.SeatsRefused,
        seats_v1.SeatsMoved,
        seats_v1.ReplacementRefused,
        seats_v1.LicencesAdded,
        seats_v1.OrderRefused,
        seats_v1.LicencesReduced,
        seats_v1.ReductionRefused,
        seats_v1.ReductionScheduled,
        seats_v1.PeriodScheduled,
        seats_v1.ClockSettled,
        seats_v1.CommandIgnored,
        seats_v1.CommandRejected,
        seats_v1.CommandFailed,
        seats_v1.SeatFlagged,
        seats_v1.SeatFlagCleared,
        seats_v1.SeatGranted,
        seats_v1.SeatRevoked,
        seats_v1.SeatReleased,
        seats_v1.SeatsReleased,
        seats_v1.HoldExpired,
        seats_v1.HoldCancelled,
        seats_v1.PoolNearLimit,
        seats_v1.PoolAtLimit,
        seats_v1.WarningArmed,
        seats_v1.PoolExpanded,
        seats_v1.PoolReduced,
        seats_v1.PoolRestored,
        seats_v1.ReductionKept,
        seats_v1.PeriodStarted,
        seats_v1.SettleFailed,
    ),
    *_entries(
        "invoicing",
        topics.INVOICING_EVENTS,
        (INVOICING,),
        invoicing_v1.ModuleDefined,
        invoicing_v1.PlanDefined,
        invoicing_v1.PriceChangeAnnounced,
        invoicing_v1.PriceChangeWithdrawn,
        invoicing_v1.BillingDetailsChanged,
        invoicing_v1.SubscriptionStarted,
        invoicing_v1.SubscriptionActivated,
        invoicing_v1.SubscriptionEnding,
        invoicing_v1.SubscriptionEndingSoon,
        invoicing_v1.RenewalForecast,
        invoicing_v1.SubscriptionKept,
        invoicing_v1.SubscriptionEnded,
        invoicing_v1.TermsApplied,
        invoicing_v1.QuoteIssued,
        invoicing_v1.QuoteApproved,
        invoicing_v1.QuoteWithdrawn,
        invoicing_v1.SecondApprovalNeeded,
        invoicing_v1.QuoteExpired,
        invoicing_v1.PurchaseSettingsChanged,
        invoicing_v1.PurchaseRequestChanged,
        invoicing_v1.ExpansionLimited,
        invoicing_v1.OrderCompleted,
        invoicing_v1.OrderRefused,
        invoicing_v1.DayCharged,
        invoicing_v1.ReductionOrdered,
        invoicing_v1.ModuleAdded,
        invoicing_v1.PoliciesChanged,
        invoicing_v1.ContractChanged,
        invoicing_v1.PlanChangeScheduled,
        invoicing_v1.PlanChangeWithdrawn,
        invoicing_v1.PlanChangeDropped,
        invoicing_v1.TrialEndingSoon,
        invoicing_v1.DiscountGranted,
        invoicing_v1.DiscountWithdrawn,
        invoicing_v1.ChargeBooked,
        invoicing_v1.InvoiceIssued,
        invoicing_v1.PaymentRecorded,
        invoicing_v1.PaymentTakenBack,
        invoicing_v1.CreditSetOff,
        invoicing_v1.CreditKept,
        invoicing_v1.PaymentReminded,
        invoicing_v1.OverdueActionChanged,
        invoicing_v1.OverdueDecisionDue,
        invoicing_v1.PurchasesBlocked,
        invoicing_v1.PurchasesUnblocked,
    ),
]

REGISTRY: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
_BY_MODEL: dict[type[Payload], Entry] = {entry.model: entry for entry in _ENTRIES}
assert len(REGISTRY) == len(_ENTRIES) == len(_BY_MODEL), "a type or a model is registered twice"


def entry_of(model: type[Payload]) -> Entry:
    return _BY_MODEL[model]


def type_of(model: type[Payload]) -> str:
    return _BY_MODEL[model].name


def parse(type_: str, value: bytes | None) -> Payload:
    """Parse a message body as a reader: unknown fields are ignored.

    Raises KeyError for an unknown type (readers count and skip those) and Poison("body") naming each wrong field.
    """
    entry = REGISTRY[type_]
    if value is not None and len(value) > entry.topic.max_message_bytes:
        raise Poison(
            "body", f"{len(value)} bytes, expected at most {entry.topic.max_message_bytes}: it was compressed", rule="body: its size"
        )
    try:
        return entry.model.model_validate_json(value or b"", extra="ignore")
    except ValidationError as error:
        raise Poison("body", describe(error), rule=broken_rules(error)) from error


def broken_rules(error: ValidationError) -> str:
    """Return `field: rule` for each error, without values. A key of a mapping is a value too, unless it looks like a field."""
    return "; ".join(
        f"{'.'.join(map(_field, place_of(e))) or 'body'}: {e['type']}" for e in error.errors(include_url=False, include_input=False)
    )


def _field(part: str | int) -> str:
    return str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "?"


def describe(error: ValidationError) -> str:
    """Return `field: what is allowed (got value)` for the first errors."""
    parts = []
    for e in first_faults(error):
        field = field_of(e) or "body"
        got = "" if e["type"] in ("missing", "json_invalid") else f" (got {str(e['input'])[:100]!r})"
        parts.append(f"{field}: {e['msg']}{got}")
    return "; ".join(parts)
