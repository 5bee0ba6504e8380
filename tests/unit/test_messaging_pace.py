"""What comes rarely is done at once, and what always comes is done in sets."""

import pytest

from shared.clock import FixedClock
from shared.messaging.pace import MANY, Pace
from tests.support.messaging import NOON


def test_a_few_turns_follow_each_other_at_once_and_many_come_at_even_intervals() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10, per_second_with_many=5)
    assert [round(pace.took_turn(1), 6) for _ in range(10)] == [0.0] * 10
    begun = []
    for _ in range(20):
        clock.seconds += pace.took_turn(1)
        begun.append(round(clock.seconds, 2))
    assert begun == [round(0.05 * number, 2) for number in range(1, 21)]


def test_while_many_come_the_turns_are_rarer_and_what_comes_alone_after_them_waits_no_longer_than_before() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10, per_second_with_many=5)
    pauses = []
    for items in (*[MANY] * 6, *[1] * 3):
        pauses.append(round(pace.took_turn(items), 2))
        clock.seconds += pauses[-1]
    assert pauses == [0, 0, 0.1, 0.2, 0.2, 0.2, 0.05, 0.05, 0.05]


def test_turns_that_were_taken_without_waiting_make_no_later_one_wait_longer() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10, per_second_with_many=5)
    assert max(pace.took_turn(MANY) for _ in range(100)) == pytest.approx(0.2)
    assert pace.took_turn(1) == pytest.approx(0.05)


def test_a_pause_gives_the_turns_back() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10, per_second_with_many=5)
    for _ in range(30):
        clock.seconds += pace.took_turn(1)
    clock.seconds += 10
    assert [round(pace.took_turn(1), 6) for _ in range(10)] == [0.0] * 10
