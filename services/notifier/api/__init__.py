"""REST of the notifier. Each resource has a module."""

from fastapi import FastAPI

from services.notifier.api import actions, emails, idle, statistics
from services.notifier.store import recipients
from services.notifier.use_cases.rejected_commands import DeadLettersWithRejected
from services.notifier.wiring import Wiring
from shared.web import Verifier, create_app
from shared.web.dead_letters import dead_letters_router
from shared.web.service_status import service_status_router


def make_app(wiring: Wiring, verifier: Verifier | None = None) -> FastAPI:
    """Return the application with all routes."""

    async def support_contact(tenant: str) -> str | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await recipients.tenant(uow.connection, tenant)
        return found.support_contact if found is not None else None

    app = create_app(
        title="Seatpool notifier",
        settings=wiring.settings,
        ready=wiring.database.ready,
        verifier=verifier,
        support_contact=support_contact,
    )
    app.state.wiring = wiring
    for module in (actions, emails, statistics, idle):
        app.include_router(module.router)
    dead_letters = DeadLettersWithRejected(wiring.database, wiring.consumers)
    app.include_router(dead_letters_router(dead_letters))
    app.include_router(service_status_router("notifier", wiring.database, wiring.consumers, dead_letters))
    return app
