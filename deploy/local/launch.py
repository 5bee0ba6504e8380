"""Start one child that cannot outlive its parent. This is a script (standard library, -I -S), so it starts in milliseconds.

usage: launch.py PARENT SIGNAL DROP COMMAND... (in the child's own folder)
PARENT: process id of the parent; SIGNAL: number of the signal the kernel sends the child once the parent is gone (Linux); DROP: 1 to
give up root first (PostgreSQL refuses to run as root). The child keeps this process's id: the command replaces the script.
"""

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


def drop_root(command: list[str]) -> list[str]:
    """Give up root. A user namespace maps root to nobody: no new user, no file with another owner. Without namespaces, setpriv does it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
        Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SystemExit(
            "PostgreSQL cannot run as root, and neither user namespaces nor setpriv (package util-linux) are available. Use another user."
        )
    give_away(Path.cwd())
    # The capability lets the folder be reached below folders that are closed to others.
    return [
        *(setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--pdeathsig", "keep", "--"),
        *command,
    ]


def give_away(folder: Path) -> None:
    """Give the child's working directory and its contents to the user nobody, so that the child may write there."""
    for path in [folder, *folder.rglob("*")]:
        if path.lstat().st_uid != NOBODY:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def main(arguments: list[str]) -> None:
    parent, number, drop, *command = arguments
    if drop == "1":
        command = drop_root(command)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the signal when credentials change.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != int(parent):  # the parent ended before the line above
            raise SystemExit("the parent is gone")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
