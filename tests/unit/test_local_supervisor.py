"""The supervisor on children that are a line of Python each."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from deploy.local.supervisor import Part, StartFailed, Supervisor
from tests.support.wait import wait_until

SLEEP = "import time; time.sleep(600)"
MakeSupervisor = Callable[..., Supervisor]


class Lines:
    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def __call__(self, part: str, line: str) -> None:
        self.all.append((part, line))

    def of(self, part: str) -> list[str]:
        return [line for name, line in self.all if name == part]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
async def supervise(lines: Lines) -> AsyncIterator[MakeSupervisor]:
    made: list[Supervisor] = []

    def make(*parts: Part) -> Supervisor:
        made.append(Supervisor(parts, lines))
        return made[-1]

    yield make
    for supervisor in made:
        await supervisor.stop()


def python(name: str, code: str, **options: object) -> Part:
    return Part(name, command=[sys.executable, "-c", code], env=dict(os.environ), **options)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    """Ended, or a zombie that only its parent's next look will clear away."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_parts_start_in_the_order_of_what_they_need(supervise: MakeSupervisor, tmp_path: Path) -> None:
    health = {"one": False}
    order: list[str] = []

    async def one_is_ready() -> bool:
        return health["one"]

    async def step() -> None:
        order.append(f"step, one is {health['one']}")

    supervisor = supervise(
        python("one", SLEEP, ready=one_is_ready), Part("step", needs=["one"], prepare=step), python("two", SLEEP, needs=["step"])
    )
    starting = asyncio.create_task(supervisor.start())
    await wait_until(lambda: "one" in supervisor.pids(), what="one runs")
    assert set(supervisor.pids()) == {"one"}
    assert order == []
    health["one"] = True
    await starting
    assert order == ["step, one is True"]
    assert set(supervisor.pids()) == {"one", "two"}


async def test_parts_stop_in_reverse_order(supervise: MakeSupervisor) -> None:
    supervisor = supervise(python("one", SLEEP), python("two", SLEEP, needs=["one"]), python("three", SLEEP, needs=["two"]))
    await supervisor.start()
    pids = supervisor.pids()
    await supervisor.stop()
    assert supervisor.stopped == ["three", "two", "one"]
    assert supervisor.pids() == {}
    assert all(gone(pid) for pid in pids.values())


async def test_a_crashed_child_is_started_again(supervise: MakeSupervisor, lines: Lines) -> None:
    supervisor = supervise(python("one", SLEEP))
    await supervisor.start()
    first = supervisor.pids()["one"]
    supervisor.send("one", signal.SIGKILL)
    await supervisor.until_ready("one")
    assert supervisor.pids()["one"] != first
    assert supervisor.starts("one") == 2
    assert lines.of("one") == ["exited with code -9; restart in 0.2 s"]


async def test_a_child_that_never_gets_ready_ends_the_start_with_its_last_words(supervise: MakeSupervisor) -> None:
    supervisor = supervise(python("one", SLEEP), python("two", "raise SystemExit('no such database')", needs=["one"], ready=never))
    with pytest.raises(StartFailed, match=r"(?s)two did not start \(exit code 1 at the last of 3 attempts\).*no such database"):
        await supervisor.start()
    assert supervisor.pids() == {}
    assert supervisor.stopped == ["one"]


async def test_a_failed_step_ends_the_start(supervise: MakeSupervisor) -> None:
    async def fail() -> None:
        raise ValueError("no right to create databases")

    supervisor = supervise(python("one", SLEEP), Part("step", needs=["one"], prepare=fail))
    with pytest.raises(ValueError, match="no right to create databases"):
        await supervisor.start()
    assert supervisor.pids() == {}


async def never() -> bool:
    return False


async def test_a_dead_child_is_not_ready_though_another_answers_in_its_place(supervise: MakeSupervisor) -> None:
    async def another_answers() -> bool:
        await wait_until(lambda: supervisor.pids() == {}, what="the child's end")
        return True

    supervisor = supervise(python("one", "raise SystemExit(3)", ready=another_answers))
    with pytest.raises(StartFailed, match="exit code 3"):
        await supervisor.start()


async def test_a_child_that_ignores_the_signal_is_ended_by_force(supervise: MakeSupervisor, tmp_path: Path) -> None:
    mark = tmp_path / "ignores"
    code = (
        f"import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({str(mark)!r}).touch(); time.sleep(600)"
    )

    async def ignores() -> bool:
        return mark.exists()

    supervisor = supervise(python("one", code, ready=ignores, grace_seconds=0.3))
    await supervisor.start()
    pid = supervisor.pids()["one"]
    await supervisor.stop()
    assert gone(pid)


async def test_grandchildren_end_with_their_parent(supervise: MakeSupervisor, lines: Lines) -> None:
    code = f"import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); time.sleep(600)"
    supervisor = supervise(python("one", code))
    await supervisor.start()
    grandchild = int((await wait_until(lambda: lines.of("one"), what="it said its child's id"))[0])
    await supervisor.stop()
    await wait_until(lambda: gone(grandchild), what="the grandchild ended")


async def test_a_paused_child_can_be_stopped(supervise: MakeSupervisor) -> None:
    supervisor = supervise(python("one", SLEEP))
    await supervisor.start()
    pid = supervisor.pids()["one"]
    supervisor.send("one", signal.SIGSTOP)
    await wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="it is paused")
    await supervisor.stop()
    assert gone(pid)


async def test_a_part_that_is_held_down_stays_down_until_it_is_let_up(supervise: MakeSupervisor) -> None:
    supervisor = supervise(python("one", SLEEP))
    await supervisor.start()
    await supervisor.down("one")
    assert supervisor.pids() == {}
    await asyncio.sleep(0.5)  # longer than the first backoff: a restart would show
    assert supervisor.pids() == {}
    supervisor.up("one")
    await supervisor.until_ready("one")
    assert set(supervisor.pids()) == {"one"}


async def test_lines_of_any_length_are_passed_on(supervise: MakeSupervisor, lines: Lines) -> None:
    supervisor = supervise(python("one", "print('x' * 300_000); print('\\u00e9nd'); import time; time.sleep(600)"))
    await supervisor.start()
    await wait_until(lambda: "énd" in lines.of("one"), what="the last line came")
    assert sum(len(line) for line in lines.of("one")) == 300_000 + len("énd")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
async def test_nothing_is_left_behind_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
from deploy.local.supervisor import Part, Supervisor
async def main():
    part = Part("one", command=[sys.executable, "-c", {SLEEP!r}], env=dict(os.environ))
    supervisor = Supervisor([part], lambda name, line: None)
    await supervisor.start()
    print(supervisor.pids()["one"], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    assert not gone(child)
    process.kill()
    await process.wait()
    await wait_until(lambda: gone(child), what="the child ended")
