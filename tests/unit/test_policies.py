"""REST and seats accept the same policies and the same numbers of licences (shared/schemas/policies.py)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.invoicing.api.requests import QuoteItem, SubscribedModule
from services.seats.domain.rows import PoolRow
from shared.schemas.policies import LICENCES_MAX, POLICY_NAMES, UNSETTABLE
from shared.schemas.seats_v1 import OpenPool, OverLimit, ReduceAt, ReduceBelowUse
from tests.support.seats_harness import INVOICING, SeatsHarness

AROUND_LIMITS = (-1, 0, 1, LICENCES_MAX, LICENCES_MAX + 1, 10 * LICENCES_MAX, 2**63)
counts = st.sampled_from(AROUND_LIMITS) | st.integers(-2, 2 * LICENCES_MAX)
digits = st.integers(0, 4000).map(str) | st.sampled_from(["", "٣", "1.5", "-1", "0000001"])
graces = st.builds("P{}{}".format, digits, st.sampled_from("YMWDHS")) | st.builds(
    "P{}DT{}{}".format, digits, digits, st.sampled_from("HMS")
)
POLICIES: dict[str, st.SearchStrategy[Any]] = {
    "over_limit": st.sampled_from([*map(str, OverLimit), "maybe", "", "FLAG"]),
    "flag_cap": counts,
    "expand_cap": counts,
    "grace": graces | st.sampled_from(["PT0S", "PT0.5S", "PT1S", "P7D", "P522W", "P600W", "P3660D", "P3660DT1S", "", " P7D", "P7D\n"]),
    "reduce_below_use": st.sampled_from([*map(str, ReduceBelowUse), "ask"]),
    "warn_at": st.builds("{}{}".format, digits, st.sampled_from(["%", "", " %"])) | st.sampled_from(["100%", "101%", "0%"]),
    "terminate_reduces_pool": st.booleans() | st.sampled_from(["yes", 1]),
    "reduce_at": st.sampled_from([*map(str, ReduceAt), "later"]),
}


def test_each_policy_has_generated_values() -> None:
    assert tuple(POLICIES) == POLICY_NAMES


def test_a_pool_keeps_each_policy_and_those_that_can_be_unset_have_no_default() -> None:
    assert set(POLICY_NAMES) <= set(PoolRow._fields)
    assert tuple(name for name in POLICY_NAMES if PoolRow._field_defaults[name] is None) == UNSETTABLE


def rest_accepts(licences: int, policies: dict[str, Any]) -> bool:
    try:
        SubscribedModule.model_validate({"module": "plan", "licences": licences, "policies": policies})
    except ValidationError:
        return False
    return True


def seats_accepts(licences: int, policies: dict[str, Any]) -> bool:
    harness = SeatsHarness()
    body = {"number": harness.number(INVOICING), "module": "plan", "base": False, "licences": licences, "policies": policies}
    try:
        command = OpenPool.model_validate(body)
    except ValidationError:
        return False
    return harness.send(command)[0].startswith("pool_opened")


@settings(max_examples=400)
@given(st.data())
def test_M12_rest_accepts_exactly_the_policies_that_seats_accepts_but_expand_only_with_a_cap(data: st.DataObject) -> None:
    """An expansion is charged, so a subscription cannot grow without a limit."""
    names = data.draw(st.sets(st.sampled_from(POLICY_NAMES), min_size=1, max_size=2))
    policies = {name: data.draw(st.none() | POLICIES[name]) for name in sorted(names)}
    is_unlimited = policies.get("over_limit") == "expand" and policies.get("expand_cap") is None
    assert rest_accepts(1, policies) == (seats_accepts(1, policies) and not is_unlimited), policies


@pytest.mark.parametrize("licences", AROUND_LIMITS)
def test_rest_accepts_exactly_the_numbers_of_licences_that_seats_accepts(licences: int) -> None:
    assert rest_accepts(licences, {}) == seats_accepts(licences, {})


@pytest.mark.parametrize("total", [2, LICENCES_MAX, LICENCES_MAX + 1, 10 * LICENCES_MAX])
def test_rest_and_seats_allow_the_same_total_of_a_pool(total: int) -> None:
    harness = SeatsHarness()
    harness.pool("plan", 1)
    bought = harness.buy(plan=total - 1) == ["licences_added (ordered)"]
    try:
        QuoteItem(module="plan", total=total)
    except ValidationError:
        assert not bought
    else:
        assert bought
