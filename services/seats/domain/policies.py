"""A pool's policies: checked, merged, shown (rules.md, Policies)."""

from collections.abc import Sequence
from typing import Any

from services.seats.domain.rows import LICENCES_MAX, PoolRow
from shared.schemas.seats_v1 import WARN_AT, OverLimit, Policies, Reason, ReduceBelowUse, duration_ms

FIELDS = ("over_limit", "flag_cap", "expand_cap", "grace", "reduce_below_use", "warn_at", "terminate_reduces_pool", "reduce_at")
UNSETTABLE = ("flag_cap", "expand_cap", "warn_at")  # the others always have a value
_WORDS = {
    "over_limit": [str(word) for word in OverLimit],
    "reduce_below_use": [str(word) for word in ReduceBelowUse],
    "reduce_at": ["now", "period_end"],
}


def wrong_policy(policies: Policies) -> tuple[Reason, str, str, str] | None:
    """(reason, field, value, what would be right) of the first policy that makes no sense."""
    for field, words in _WORDS.items():
        value = getattr(policies, field)
        if value is not None and value not in words:
            return Reason.INVALID_POLICY, f"policies.{field}", value, "one of " + ", ".join(words)
    for field in ("flag_cap", "expand_cap"):
        value = getattr(policies, field)
        if value is not None and not 0 <= value <= LICENCES_MAX:
            return Reason.INVALID_POLICY, f"policies.{field}", str(value), f"0 to {LICENCES_MAX}"
    if policies.grace is not None and duration_ms(policies.grace) is None:
        expected = "weeks to seconds of ISO 8601, a second to ten years, such as P7D (months and years have no exact length)"
        return Reason.INVALID_DURATION, "policies.grace", policies.grace, expected
    if policies.warn_at is not None and WARN_AT.fullmatch(policies.warn_at) is None:
        expected = "1% to 100% of the licences in use, or a number of licences left, at least 1"
        return Reason.INVALID_POLICY, "policies.warn_at", policies.warn_at, expected
    return None


def wrong_unset(unset: Sequence[str], policies: Policies) -> tuple[Reason, str, str, str] | None:
    """As `wrong_policy`, of the policies that the pool is to be without."""
    for field in unset:
        if field not in UNSETTABLE:
            return Reason.INVALID_POLICY, "unset", field, "one of " + ", ".join(UNSETTABLE)
        if getattr(policies, field) is not None:
            return Reason.INVALID_POLICY, "unset", field, "a policy that is not set by the same command"
    return None


def given_in(policies: Policies) -> dict[str, Any]:
    return {field: value for field in FIELDS if (value := getattr(policies, field)) is not None}


def merged(row: PoolRow, given: dict[str, Any]) -> PoolRow:
    """What is given counts from now on. Another mark is a mark not yet crossed."""
    if given.get("warn_at", row.warn_at) != row.warn_at:
        given = {**given, "warned": False, "free_since": None}
    return row._replace(**given)


def shown(row: PoolRow) -> dict[str, Any]:
    return {field: value for field in FIELDS if (value := getattr(row, field)) is not None}
