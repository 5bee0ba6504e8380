"""The limits and patterns of a pool's policies and of its licences, and the check that REST and seats both use: what one accepts, the other
accepts."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from shared.schemas.seats_v1 import OverLimit, Policies, Reason, ReduceAt, ReduceBelowUse

LICENCES_MAX = 10_000_000  # of one pool; with the largest price of a licence, amounts stay within 63 bits
POLICY_NAMES = tuple(Policies.model_fields)
UNSETTABLE = ("flag_cap", "expand_cap", "warn_at")  # a pool need not have them; the other policies always have a value
GRACE_MS_MAX = 3660 * 24 * 60 * 60 * 1000  # ten years

_WORDS: dict[str, type[StrEnum]] = {"over_limit": OverLimit, "reduce_below_use": ReduceBelowUse, "reduce_at": ReduceAt}
_CAPS = ("flag_cap", "expand_cap")
# A share of the licences in use, from 1% to 100%, or a number of licences that are left.
_WARN_AT = re.compile(r"[1-9][0-9]?%|100%|[1-9][0-9]{0,7}", re.ASCII)
_DURATION = re.compile(r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?", re.ASCII)


class WrongPolicy(NamedTuple):
    reason: Reason
    field: str
    value: str
    expected: str


def wrong_policy(policies: Policies) -> WrongPolicy | None:
    """Return the first policy whose value is not allowed."""
    return next(_wrong(policies), None)


def wrong_expand(over_limit: str | None, expand_cap: int | None) -> WrongPolicy | None:
    """Return what is wrong if a pool had these two policies: each expansion is charged, so somebody has to set their limit (M12)."""
    if over_limit != OverLimit.EXPAND or expand_cap is not None:
        return None
    expected = "the largest number of licences, because over_limit is expand and each expansion is charged"
    return WrongPolicy(Reason.INVALID_POLICY, "expand_cap", "none", expected)


def _wrong(policies: Policies) -> Iterator[WrongPolicy]:
    for field, words in _WORDS.items():
        word = getattr(policies, field)
        if word is not None and word not in tuple(words):
            yield WrongPolicy(Reason.INVALID_POLICY, field, word, "one of " + ", ".join(words))
    for field in _CAPS:
        cap = getattr(policies, field)
        if cap is not None and not 0 <= cap <= LICENCES_MAX:
            yield WrongPolicy(Reason.INVALID_POLICY, field, str(cap), f"a number from 0 to {LICENCES_MAX}")
    if policies.grace is not None and duration_ms(policies.grace) is None:
        expected = (
            "a duration of ISO 8601 in weeks, days, hours, minutes and seconds, from one second to ten years, such as P7D "
            "(months and years have no exact length)"
        )
        yield WrongPolicy(Reason.INVALID_DURATION, "grace", policies.grace, expected)
    if policies.warn_at is not None and _WARN_AT.fullmatch(policies.warn_at) is None:
        expected = "a percentage of licences in use from 1% to 100%, or a number of free licences that is at least 1"
        yield WrongPolicy(Reason.INVALID_POLICY, "warn_at", policies.warn_at, expected)


def duration_ms(text: str) -> int | None:
    """Return the milliseconds of an ISO 8601 duration in weeks to seconds, of one second to ten years; None for any other text.

    Months and years have no exact length.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000
    return total if 0 < total <= GRACE_MS_MAX else None
