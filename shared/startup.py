"""Imports without garbage collection. This module imports nothing of the project, because it comes before everything else."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """For the block in which a process imports what it is made of.

    Modules, classes and models live as long as the process. Without this the collector looks through all of them again and again while
    they are made, and at each of its later full rounds, and finds nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
