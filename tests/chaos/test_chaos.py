"""A short chaos run as a test; `make chaos SECONDS=… SEED=…` for longer ones."""

import pytest

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
    assert verdict["kills"] > 0
