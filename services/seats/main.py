"""The role `worker` of seats: it decides commands and serves REST."""

import asyncio
import gc
import sys

import uvloop

from services.seats.api import make_app
from services.seats.replay.log_reader import LogReader
from services.seats.settings import Settings
from services.seats.wiring import make_worker
from shared.observability.logs import configure_logging
from shared.runtime import run, serve, together
from shared.settings import load

SERVICE = "seats"
# There are many rows and they live long, and a fetch creates many thousands of objects that are freed without the garbage collector. The
# default thresholds (700, 10, 10) would scan all of them again and again. So the youngest generation is scanned after 300,000 new objects.
GC_THRESHOLDS = (300_000, 3, 100)
# How long a thread that answers a question (use_cases/what_if.py) keeps the event loop waiting when both want to run. With Python's
# default of 5 ms each turn of the loop takes 4 ms longer, with this 1 ms.
SWITCH_SECONDS = 0.001


async def worker(settings: Settings) -> None:
    """Decide commands and serve REST on one loop, until cancelled."""
    log = LogReader(settings)
    made = make_worker(settings, log)
    await together(serve(make_app(made, log), settings), made.run())


def tune_interpreter() -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


def run_worker() -> None:
    settings = load(Settings)
    configure_logging(SERVICE, settings)
    # Faust's consumer runs in its own thread with its own loop, which it creates through the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tune_interpreter()
    run(lambda: worker(settings))
