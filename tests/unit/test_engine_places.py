"""Which ids are decisions' ids: the events topic may hold a record that seats never wrote."""

import pytest

from services.seats.replay.log_reader import order_of


def test_decisions_are_ordered_by_the_offset_of_their_command_and_their_number() -> None:
    assert order_of("seats.commands.v1/3/1042/0", 3) == (1042, 0)


@pytest.mark.parametrize(
    "foreign", ["", "x", "seats.commands.v1/2/1042/0", "seats.commands.v1/3/1042", "seats.commands.v1/3/-1/0", "a/seats.commands.v1/3/1/0"]
)
def test_an_id_that_is_no_decision_of_this_partition_has_no_order(foreign: str) -> None:
    assert order_of(foreign, 3) is None
