"""Composition root: the parts of a seats worker. Tests replace any of them."""

from services.seats.decider import DomainDecider, RowCodec
from services.seats.engine.faust.worker import Worker
from services.seats.replay.log_reader import LogReader
from services.seats.settings import Settings
from shared.clock import SystemClock


def make_worker(settings: Settings, log: LogReader) -> Worker:
    url = settings.seats_advertised_url or f"http://{settings.host}:{settings.port}"
    return Worker(
        settings,
        advertised_url=url,
        make_decider=DomainDecider,
        codec=RowCodec(),
        read_decisions=log.read_decisions,
        clock=SystemClock(),
    )
