"""REST of seats. The owner of a tenant answers from its memory. Each answer names the position that it reflects; `?after=` waits for
one."""

from fastapi import FastAPI

from services.seats.api import access, forecast, idle, pools, position, seats, statistics, status, what_if, why
from services.seats.api.dependencies import OwnedTenants
from services.seats.api.owner_routing import OwnerRouting
from services.seats.engine.faust.worker import Worker
from services.seats.replay.log_reader import LogReader
from shared.web.app import create_app


def make_app(worker: Worker, log: LogReader) -> FastAPI:
    async def ready() -> bool:
        return worker.ready

    app = create_app(title="Seatpool seats", settings=worker.settings, ready=ready)
    app.state.owner_routing = OwnerRouting(worker)
    app.state.owned_tenants = OwnedTenants(worker, log)
    for module in (pools, seats, access, position, statistics, why, forecast, what_if, idle, status):
        app.include_router(module.router)
    return app
