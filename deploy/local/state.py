"""The folder of a stack (`.seatpool/`): the lock that says that it runs, its secrets, and `stack.json` for tools.

lock            held by the running stack; its content is the supervisor's process id
format          the format of everything in the folder
stack.json      addresses of everything that runs; removed at the stop
secrets.json    passwords and client secrets, made at the first start
ports.json      ports of last time
signing-keys/   the keys that users made and signs access tokens with
kafka/ postgres/ mailbox/ <service>/  data          logs/  what each part said since the last start
"""

import fcntl
import json
import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

# Raise it when a later version cannot read what an earlier one has written, other than through migrations.
FORMAT = 1


class OldState(Exception):
    """The folder was written by another version, in a format that this version does not read."""


class AlreadyRunning(Exception):
    """Another supervisor holds the lock of this folder."""


class State:
    """The folder with the data of one local stack: locks, secrets, process ids and addresses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock_file: int | None = None

    @property
    def stack_file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def signing_keys_folder(self) -> Path:
        return self.folder / "signing-keys"

    def lock(self) -> None:
        """Lock the folder. The kernel frees the lock when this process ends. Raises AlreadyRunning, OldState."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise AlreadyRunning(
                f"A stack is already running from {self.folder} (process {holder}). "
                "`seatpool status` shows its addresses. Stop it with Ctrl-C in its terminal."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock_file = descriptor
        self._check_format()

    def _check_format(self) -> None:
        path = self.folder / "format"
        if not path.exists() and not (self.folder / "secrets.json").exists():
            path.write_text(str(FORMAT))
        elif not path.exists() or path.read_text() != str(FORMAT):
            self.unlock()
            raise OldState(
                f"Another version of Seatpool wrote the data in {self.folder}, and this version cannot read it. "
                f"Delete {self.folder.name}/ and start again."
            )

    def unlock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def secrets(self, names: list[str]) -> dict[str, str]:
        """Return a secret for each name, the same at every start."""
        path = self.folder / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        for name in names:
            known.setdefault(name, secrets.token_urlsafe(24))
        write_atomically(path, known)
        return known

    def write_stack(self, content: dict[str, Any]) -> None:
        write_atomically(self.stack_file, content)

    def end_leftovers(self) -> list[str]:
        """End the processes that a killed supervisor left behind, where the kernel did not (macOS). Needs the lock, before the start.

        A process id may belong to somebody else by now: its start time has to be the noted one as well.
        """
        if not self.stack_file.exists():
            return []
        ended = []
        for name, noted in json.loads(self.stack_file.read_text()).get("processes", {}).items():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if abs(psutil.Process(noted["pid"]).create_time() - noted["started"]) < 1:
                    os.killpg(noted["pid"], signal.SIGKILL)
                    ended.append(name)
        self.stack_file.unlink()
        return ended

    def remove_stack(self) -> None:
        self.stack_file.unlink(missing_ok=True)


def note_of(pid: int) -> dict[str, float]:
    """Return the note by which `end_leftovers` recognises a process."""
    try:
        return {"pid": pid, "started": psutil.Process(pid).create_time()}
    except psutil.NoSuchProcess:
        return {"pid": pid, "started": 0.0}


def write_atomically(path: Path, content: dict[str, Any]) -> None:
    """Replace the file as a whole: readers see the old or the new one. Only this user may read it, because it contains secrets."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    part.replace(path)
