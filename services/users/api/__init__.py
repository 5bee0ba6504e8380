"""The REST API of users: one module for each resource. None of them holds a rule."""

from functools import partial

from fastapi import FastAPI

from services.users.api import (
    api_clients,
    bulk_changes,
    clock,
    confirm_sign_in,
    differences,
    held_events,
    hr,
    hr_topics,
    identity_provider,
    idle,
    imports,
    invitations,
    linked_people,
    matches,
    me,
    operators,
    owned_items,
    people,
    profiles,
    reevaluations,
    republish,
    roles,
    scim_connections,
    sessions,
    sign_in_links,
    sign_in_pages,
    sources,
    statistics,
    tenants,
    timelines,
    token,
)
from services.users.api.dependencies import Context
from services.users.api.held_rights import check_held
from services.users.scim.routes import make_router
from services.users.settings import Settings
from services.users.store import tenants as store
from shared.messaging import DeadLetters
from shared.web import Verifier, create_app
from shared.web.dead_letters import dead_letters_router
from shared.web.service_status import service_status_router


def make_app(settings: Settings, context: Context, dead_letters: DeadLetters) -> FastAPI:
    """Return the application with all routes."""

    async def support_contact(tenant: str) -> str | None:
        async with context.database.unit_of_work(tenant) as uow:
            row = await store.get(uow.connection, tenant)
        return row.support_contact if row is not None else None

    app = create_app(
        title="Seatpool users",
        settings=settings,
        ready=context.database.ready,
        verifier=Verifier(keys=context.keys.public, clock=context.clock),
        support_contact=support_contact,
        check_rights=partial(check_held, context),
    )
    app.state.context = context
    # SCIM has the most requests, and a request is compared with one of the 140 routes after the other, until one fits.
    app.include_router(make_router())
    people_routers = (
        reevaluations,
        bulk_changes,
        people,
        differences,
        matches,
        linked_people,
        timelines,
        owned_items,
        invitations,
        sources,
        hr,
        held_events,
        imports,
        hr_topics,
    )
    sign_in_routers = (token, me, api_clients, operators, sessions, confirm_sign_in, sign_in_links, sign_in_pages, identity_provider)
    for module in (*sign_in_routers, tenants, profiles, roles, scim_connections, *people_routers, clock, statistics, idle, republish):
        app.include_router(module.router)
    app.include_router(scim_connections.stopped_router)
    app.include_router(sessions.forms)
    app.include_router(dead_letters_router(dead_letters))
    app.include_router(service_status_router("users", context.database, [context.consumer], dead_letters))
    return app
