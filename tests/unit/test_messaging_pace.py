"""What comes rarely is done at once, and what always comes is done in sets."""

from shared.clock import FixedClock
from shared.messaging.pace import Pace
from tests.support.messaging import NOON


def test_a_few_turns_follow_each_other_at_once_and_many_come_at_even_intervals() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10)
    assert [round(pace.took_turn(), 6) for _ in range(10)] == [0.0] * 10
    begun = []
    for _ in range(20):
        clock.seconds += pace.took_turn()
        begun.append(round(clock.seconds, 2))
    assert begun == [round(0.05 * number, 2) for number in range(1, 21)]


def test_a_pause_gives_the_turns_back() -> None:
    clock = FixedClock(NOON)
    pace = Pace(clock, per_second=20, burst=10)
    for _ in range(30):
        clock.seconds += pace.took_turn()
    clock.seconds += 10
    assert [round(pace.took_turn(), 6) for _ in range(10)] == [0.0] * 10
