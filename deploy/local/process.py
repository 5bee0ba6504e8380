"""A child process in a session of its own. It ends with its parent, and one function gets its output line by line."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.local.launch import PR_SET_PDEATHSIG

LAUNCH = Path(__file__).with_name("launch.py")
CHUNK_BYTES = 65_536

OnLine = Callable[[str], None]


def end_with_make() -> None:
    """If `make` runs this process, end with it (Linux): after a killed make nobody would stop this process. It outlives any other parent:
    a user who starts a stack in the background of a shell may close the shell."""
    with suppress(OSError):  # /proc shows no parent: another system, or another container's
        if Path(f"/proc/{os.getppid()}/comm").read_text().strip() in ("make", "gmake"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Child:
    """A child process in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, on_line: OnLine) -> None:
        self._process = process
        self._reader = asyncio.create_task(_read_lines(process, on_line))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: OnLine,
        orphan_signal: signal.Signals = signal.SIGKILL,
        drop_root: bool = False,
    ) -> "Child":
        """`orphan_signal` is what the kernel sends when this process dies; `drop_root`: run as nobody if this process is root."""
        drop = "1" if drop_root and os.geteuid() == 0 else "0"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(orphan_signal)), drop, *command),
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Its own session: Ctrl-C in the terminal reaches the supervisor alone, and the whole group can be ended at once.
            start_new_session=True,
        )
        return cls(process, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the end, and return the exit code after the last output was passed on; -9 for SIGKILL and so on."""
        code = await self._process.wait()
        # A grandchild may hold the pipe open for longer than the child lives: do not wait for it.
        await asyncio.wait({self._reader}, timeout=1)
        self._reader.cancel()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group. It is no error if the group is already gone."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    async def stop(self, number: signal.Signals, grace_seconds: float) -> int:
        """Stop with the signal `number`, and kill the group after the grace. A paused child is resumed first, or it could not react."""
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            code = await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            code = None
        self.send(signal.SIGKILL)  # what it may have left in its group
        return await self.wait() if code is None else code


async def _read_lines(process: asyncio.subprocess.Process, on_line: OnLine) -> None:
    """Read lines by chunks, because a line may be longer than any buffer."""
    assert process.stdout is not None
    rest = b""
    while chunk := await process.stdout.read(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace"))
        if len(rest) > CHUNK_BYTES:
            on_line(rest.decode(errors="replace"))
            rest = b""
    if rest:
        on_line(rest.decode(errors="replace"))
