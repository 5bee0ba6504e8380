"""Who can be the second approver of a purchase."""

from datetime import UTC, datetime

import pytest

from services.invoicing.domain.approvals import Approval, second_refusal
from shared.schemas.base import Actor

ANN, BO, BOT, ERP = (
    Actor(kind="user", id="ann"),
    Actor(kind="user", id="bo"),
    Actor(kind="client", id="bot"),
    Actor(kind="client", id="erp"),
)


@pytest.mark.parametrize(
    ("requested_by", "first", "second", "completes"),
    [
        (ANN, ANN, BO, True),
        (ANN, BO, ANN, True),  # bo is the second approver, in either order
        (BOT, ANN, BO, True),
        (ANN, BOT, BO, True),
        (BOT, ANN, BOT, True),
        (ANN, ANN, ANN, False),
        (ANN, BO, BO, False),
        (ANN, ANN, BOT, False),
        (ANN, BOT, ANN, False),
        (ANN, BOT, ERP, False),
    ],
)
def test_one_of_two_approvals_is_by_a_person_who_did_not_request_the_quote(
    requested_by: Actor, first: Actor, second: Actor, completes: bool
) -> None:
    given = [Approval(first, datetime(2013, 11, 15, tzinfo=UTC), "q1", 800)]
    assert (second_refusal(requested_by, given, second) is None) is completes


@pytest.mark.parametrize(
    ("second", "begin"),
    [
        (ANN, "The person who requested a purchase cannot be its second approver."),
        (ERP, "An API client cannot be its second approver."),
        (Actor(kind="operator", id="7"), "An operator of the vendor cannot be its second approver."),
    ],
)
def test_the_refusal_of_a_second_approver_says_who_it_is(second: Actor, begin: str) -> None:
    refusal = second_refusal(ANN, [Approval(BOT, datetime(2013, 11, 15, tzinfo=UTC), "q1", 800)], second)
    assert refusal is not None
    assert refusal.detail.startswith(begin)
