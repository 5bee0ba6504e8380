"""The REST application of invoicing."""

from fastapi import FastAPI

from services.invoicing import store
from services.invoicing.api import (
    billing_details,
    catalogue,
    catalogue_file,
    contract_changes,
    discounts,
    ending,
    exports,
    idle,
    invoices,
    licences,
    orders,
    payments,
    plan_changes,
    purchase_requests,
    purchase_settings,
    quotes,
    reductions,
    statistics,
    subscription,
)
from services.invoicing.wiring import Wiring
from shared.messaging import DeadLetters
from shared.web import Verifier, create_app
from shared.web.dead_letters import dead_letters_router
from shared.web.service_status import service_status_router


def make_app(wiring: Wiring, verifier: Verifier | None = None) -> FastAPI:
    """Return the application with all routes."""

    async def support_contact(tenant: str) -> str | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await store.tenants.find(uow.connection, tenant)
        return found.support_contact if found is not None else None

    app = create_app(
        title="Seatpool invoicing",
        settings=wiring.settings,
        ready=wiring.database.ready,
        verifier=verifier,
        support_contact=support_contact,
    )
    app.state.wiring = wiring
    for module in (
        catalogue,
        catalogue_file,
        billing_details,
        subscription,
        contract_changes,
        discounts,
        licences,
        plan_changes,
        ending,
        purchase_requests,
        purchase_settings,
        quotes,
        orders,
        reductions,
        invoices,
        payments,
        exports,
        statistics,
        idle,
    ):
        app.include_router(module.router)
    dead_letters = DeadLetters(wiring.database, [wiring.consumer])
    app.include_router(dead_letters_router(dead_letters))
    app.include_router(service_status_router("invoicing", wiring.database, [wiring.consumer], dead_letters))
    return app
