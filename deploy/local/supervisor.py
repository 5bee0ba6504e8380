"""The supervisor starts parts in the order of their needs, restarts those that crash, and stops all in reverse order."""

import asyncio
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.process import Child

POLL_SECONDS = 0.1
BACKOFF_FIRST_SECONDS, BACKOFF_LAST_SECONDS = 0.2, 10.0
STEADY_SECONDS = 20.0  # after a part ran this long, its backoff starts again at the beginning
START_ATTEMPTS_MAX = 3  # a part that never became ready after so many starts will not: report it instead of trying on
TAIL_LINES = 30

Log = Callable[[str, str], None]  # part, line


class StartFailed(Exception):
    """A part ended, or did not become ready in time, again and again. The message holds its last lines."""


async def _nothing() -> None:
    return


@dataclass(frozen=True)
class Part:
    """A process, or (without a command) a step, which is done when `prepare` is done."""

    name: str
    command: Sequence[str] = ()
    needs: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path.cwd)
    prepare: Callable[[], Awaitable[None]] = _nothing
    # Called repeatedly while the child lives, so a dead child never counts as ready because another process answers in its place.
    ready: Callable[[], Awaitable[bool]] | None = None
    ready_seconds_max: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 10.0
    drop_root: bool = False


class _Running:
    """The state of one part."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.child: Child | None = None
        self.ready = asyncio.Event()
        self.released = asyncio.Event()  # cleared while the part is held down
        self.released.set()
        self.failed: StartFailed | None = None
        self.starts = 0
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.task: asyncio.Task[None] | None = None


class Supervisor:
    """Starts the parts in the order of their needs, restarts those that end, and stops them in reverse order."""

    def __init__(self, parts: Sequence[Part], log: Log, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called after every start and end of a child. Each part comes after the parts that it needs."""
        self._running: dict[str, _Running] = {}
        for part in parts:
            unknown = [name for name in part.needs if name not in self._running]
            assert not unknown, f"{part.name} needs {unknown}, which are not listed before it"
            self._running[part.name] = _Running(part)
        self._log, self._on_change = log, on_change
        self._stopping = False
        self._changed = asyncio.Event()
        self.stopped: list[str] = []  # the order in which parts were stopped

    async def start(self) -> None:
        """Start the parts, and return when every part is ready. Raises StartFailed after it has stopped everything."""
        for running in self._running.values():
            running.task = asyncio.create_task(self._keep(running), name=f"keep {running.part.name}")
            running.task.add_done_callback(lambda _task: self._changed.set())
        try:
            while not all(running.ready.is_set() for running in self._running.values()):
                self._changed.clear()
                for running in self._running.values():
                    if running.failed:
                        raise running.failed
                    if running.task is not None and running.task.done() and running.task.exception():
                        running.task.result()
                await self._changed.wait()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop in reverse order: a part is stopped after all parts that need it have ended."""
        self._stopping = True
        gone = {name: asyncio.Event() for name in self._running}

        async def stop_one(running: _Running) -> None:
            name = running.part.name
            await asyncio.gather(*(gone[other.part.name].wait() for other in self._running.values() if name in other.part.needs))
            if running.task is not None:
                running.task.cancel()
                await asyncio.wait({running.task})
            if running.child is not None:
                await self._end(running, running.child)
            gone[name].set()

        await asyncio.gather(*(stop_one(running) for running in self._running.values()))

    async def _end(self, running: _Running, child: Child) -> None:
        code = await child.stop(running.part.stop_signal, running.part.grace_seconds)
        running.child = None
        running.ready.clear()
        self.stopped.append(running.part.name)
        self._log(running.part.name, f"stopped (exit code {code})")
        self._change()

    def kill_everything(self) -> None:
        """Kill everything without grace, for a second Ctrl-C."""
        for running in self._running.values():
            if running.child is not None:
                running.child.send(signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        return {name: running.child.pid for name, running in self._running.items() if running.child is not None and running.child.alive}

    def names(self) -> list[str]:
        return list(self._running)

    def starts(self, name: str) -> int:
        """Return how often the part was started."""
        return self._running[name].starts

    def is_ready(self, name: str) -> bool:
        return self._running[name].ready.is_set()

    async def until_ready(self, name: str) -> None:
        await self._running[name].ready.wait()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the part's whole process group: SIGKILL (it is started again), SIGSTOP and SIGCONT to pause it."""
        child = self._running[name].child
        if child is None:
            raise ProcessLookupError(f"{name} is not running")
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            # At once, not when its end is noticed: a caller who kills a part and waits until it is ready means the next process.
            self._running[name].ready.clear()
        child.send(number)

    async def down(self, name: str) -> None:
        """Kill the part at once and keep it down until `up`."""
        running = self._running[name]
        running.released.clear()
        running.ready.clear()
        if (child := running.child) is not None:
            child.send(signal.SIGKILL)
            await child.wait()

    def up(self, name: str) -> None:
        self._running[name].released.set()

    def _change(self) -> None:
        self._changed.set()
        self._on_change()

    async def _keep(self, running: _Running) -> None:
        part = running.part
        for name in part.needs:
            await self._running[name].ready.wait()
        if not part.command:
            await part.prepare()
            running.ready.set()
            self._change()
            return
        backoff, failures, loop = BACKOFF_FIRST_SECONDS, 0, asyncio.get_running_loop()
        while True:
            await running.released.wait()
            began = loop.time()
            try:
                code, was_ready = await self._run_once(running)
            except (OSError, RuntimeError) as error:
                if not running.starts:
                    raise  # at the very start: `start` tells it
                self._log(part.name, f"could not be started: {error}")
                code, was_ready = -1, False
            running.child = None
            running.ready.clear()
            failures = 0 if was_ready else failures + 1
            if failures >= START_ATTEMPTS_MAX:
                last = "\n".join(f"  {line}" for line in running.tail)
                running.failed = StartFailed(
                    f"{part.name} did not start (exit code {code} at the last of {failures} attempts). Its last lines:\n{last}"
                )
            self._change()
            if loop.time() - began > STEADY_SECONDS:
                backoff = BACKOFF_FIRST_SECONDS
            if running.released.is_set():
                self._log(part.name, f"exited with code {code}; restart in {backoff:.1f} s")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_LAST_SECONDS)

    async def _run_once(self, running: _Running) -> tuple[int, bool]:
        """Run the child once; return its exit code, and whether it was ever ready."""
        part = running.part

        def on_line(line: str) -> None:
            running.tail.append(line)
            self._log(part.name, line)

        await part.prepare()
        running.starts += 1
        child = running.child = await Child.start(
            part.command, env=part.env, cwd=part.cwd, on_line=on_line, orphan_signal=part.orphan_signal, drop_root=part.drop_root
        )
        self._change()
        ended = asyncio.create_task(child.wait())
        checked = asyncio.create_task(self._until_healthy(running, child))
        try:
            await asyncio.wait({ended, checked}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not checked.result():
                running.tail.append(f"not ready after {part.ready_seconds_max:.0f} s")
                self._log(part.name, f"not ready after {part.ready_seconds_max:.0f} s; stopping it")
                await child.stop(part.stop_signal, part.grace_seconds)
            return await ended, checked.done() and checked.result()
        finally:
            ended.cancel()
            checked.cancel()

    async def _until_healthy(self, running: _Running, child: Child) -> bool:
        part, loop = running.part, asyncio.get_running_loop()
        end = loop.time() + part.ready_seconds_max
        while loop.time() < end:
            if (part.ready is None or await part.ready()) and child.alive:
                running.ready.set()
                self._change()
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False
