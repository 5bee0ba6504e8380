"""A short chaos run as a test; `make chaos SECONDS=… SEED=…` for longer ones."""

from itertools import islice

import pytest

from tests.chaos.harness import ACTIONS, SESSION_SECONDS, schedule
from tests.chaos.run import VERDICT, run

SECONDS, RATE, SEED = 20.0, 100.0, 5


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.timeout(400)
async def test_nothing_is_lost_doubled_or_decided_otherwise_when_everything_fails() -> None:
    print(f"make chaos SECONDS={SECONDS:.0f} SEED={SEED}")
    verdict = await run(seconds=SECONDS, seed=SEED, rate=RATE)
    assert {law: verdict[law] for law in VERDICT} == dict.fromkeys(VERDICT, 0), verdict
    assert verdict["drained"], verdict
    assert verdict["commands"] > RATE * SECONDS / 4
    assert verdict["faults"]["kill"] > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_first_round_sees_every_kind_of_fault_and_a_kill_first(seed: int) -> None:
    acts = list(islice(schedule(seed, 3), 100))
    assert acts == list(islice(schedule(seed, 3), 100))
    first = acts[: len(ACTIONS)]
    assert first[0].what == "kill"
    assert {act.what for act in first} == set(ACTIONS)
    assert all(act.lasts > SESSION_SECONDS for act in acts if act.what == "pause")
    assert {act.worker for act in acts} == {0, 1, 2}
