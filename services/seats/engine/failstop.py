"""The exit of a worker that must not continue: one structured log line, then `os._exit`.

It is neither an exception nor `app.crash()`: both let Faust commit offsets and flush its buffers on the way out, and an `except`
somewhere could catch them. The supervisor restarts the worker each time. Each exit code names what happened.
"""

import os
import sys
from enum import IntEnum
from typing import NoReturn

import structlog

_log = structlog.get_logger("seats.engine")


class Exit(IntEnum):
    """Exit codes of the worker. 0 is a clean stop, 1 an error outside the engine."""

    DECISION = 70  # a batch could not be decided or written
    RESTORE = 71  # the state could not be restored
    METADATA = 73  # the group's leader lacks the metadata of a topic; its assignment would leave all workers idle
    FOREIGN_WRITE = 74  # another worker wrote to a changelog partition that is ours
    TOPICS = 75  # topics are missing or have the wrong number of partitions
    RANGE = 76  # a command topic lacks decided commands: it was recreated or truncated
    PAUSED = 77  # the process stood still; another worker may own its partitions by now
    GAP = 78  # the next command is not the one after the last decided
    RULES = 79  # a rules version that this release does not know
    CLOCK = 80  # a record far ahead of the worker's own clock
    INVARIANT = 81  # an invariant of the domain is violated
    STALLED = 82  # commands wait and nothing is decided
    CRASH = 83  # Faust itself gave up
    FAULT = 99  # forced by the chaos run


def fail_stop(exit_code: Exit, why: str, **details: object) -> NoReturn:
    """Log and end the process at once. It never returns and never runs a `finally` of a caller."""
    _log.critical("fail_stop", alert=True, exit=exit_code.name, exit_code=int(exit_code), why=why, **details)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(int(exit_code))
