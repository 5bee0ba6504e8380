"""The seats worker's composition root: everything it is made of, each part replaceable in a test."""

import asyncio
import gc
import sys

import uvloop

from services.seats.agents import DomainDecider, RowCodec
from services.seats.api import make_api
from services.seats.engine.faust.worker import Worker
from services.seats.settings import Settings
from shared.clock import SystemClock
from shared.observability.logs import configure_logging
from shared.runtime import run, serve, together
from shared.settings import load

SERVICE = "seats"
# Rows are many and live long, and a fetch brings many thousands of objects that die of themselves: the defaults (700, 10, 10) would look
# through all of them again and again. So young ones are looked through after 300,000 more of them, and older ones after a million.
GC_THRESHOLDS = (300_000, 3, 100)
# How long a thread that answers a question (use_cases/what_if.py) keeps the event loop waiting when both want to run. With Python's 5 ms
# each turn of the loop takes 4 ms longer meanwhile, with this 1 ms.
SWITCH_SECONDS = 0.001


def make_worker(settings: Settings) -> Worker:
    url = settings.seats_advertised_url or f"http://{settings.host}:{settings.port}"
    return Worker(settings, advertised_url=url, make_decider=DomainDecider, codec=RowCodec(), clock=SystemClock())


async def worker(settings: Settings) -> None:
    """Decides and serves REST on one loop, until cancelled."""
    made = make_worker(settings)
    await together(serve(make_api(made), settings), made.run())


def tune_interpreter() -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


def run_worker() -> None:
    settings = load(Settings)
    configure_logging(SERVICE, settings)
    # Faust's consumer has a thread and a loop of its own, which it makes by the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tune_interpreter()
    run(lambda: worker(settings))
