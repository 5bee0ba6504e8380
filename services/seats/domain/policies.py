"""The policies of a pool: checked, merged and shown (docs/rules.md, Policies)."""

from collections.abc import Sequence
from typing import Any

from services.seats.domain.rows import PoolRow
from shared.schemas.policies import POLICY_NAMES, UNSETTABLE, wrong_expand, wrong_policy
from shared.schemas.seats_v1 import Policies, Reason


def wrong_policies(policies: Policies) -> tuple[Reason, str, str, str] | None:
    """Return (reason, field, value, what is allowed) of the first policy whose value is not allowed."""
    wrong = wrong_policy(policies)
    return None if wrong is None else (wrong.reason, f"policies.{wrong.field}", wrong.value, wrong.expected)


def wrong_together(row: PoolRow) -> tuple[Reason, str, str, str] | None:
    """Return the same of policies that a pool cannot have together."""
    wrong = wrong_expand(row.over_limit, row.expand_cap)
    return None if wrong is None else (wrong.reason, f"policies.{wrong.field}", wrong.value, wrong.expected)


def wrong_unset(unset: Sequence[str], policies: Policies) -> tuple[Reason, str, str, str] | None:
    """Return the same of the first policy that cannot be unset, or that the same command sets."""
    for field in unset:
        if field not in UNSETTABLE:
            return Reason.INVALID_POLICY, "unset", field, "one of " + ", ".join(UNSETTABLE)
        if getattr(policies, field) is not None:
            return Reason.INVALID_POLICY, "unset", field, "a policy that is not set by the same command"
    return None


def given_in(policies: Policies) -> dict[str, Any]:
    return {field: value for field in POLICY_NAMES if (value := getattr(policies, field)) is not None}


def merged(row: PoolRow, given: dict[str, Any]) -> PoolRow:
    """Return the row with these policies. A changed threshold counts as not crossed."""
    if given.get("warn_at", row.warn_at) != row.warn_at:
        given = {**given, "warned": False, "free_since": None}
    return row._replace(**given)


def shown(row: PoolRow) -> dict[str, Any]:
    return {field: value for field in POLICY_NAMES if (value := getattr(row, field)) is not None}
