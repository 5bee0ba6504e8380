"""Imports without garbage collection. This module imports nothing of the project, because it comes before everything else."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable the garbage collector for the block in which a process imports its modules.

    Modules, classes and models live as long as the process. Without this, the collector scans all of them many times during the imports,
    and again in each later full round, and finds nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
