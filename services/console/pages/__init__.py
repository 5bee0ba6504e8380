"""The pages: one module for each. None of them holds a rule; every number comes from the service that owns it."""

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from services.console.pages import (
    access,
    action_log,
    add_module,
    add_person,
    api_clients,
    billing,
    bulk_people,
    buy_licences,
    catalogue,
    change_person,
    change_plan,
    check_people,
    dead_letters,
    home,
    hr_sources,
    identity_provider,
    import_people,
    invitation,
    invoices,
    kept_form,
    licences,
    new_tenant,
    operator,
    operator_status,
    orders,
    people,
    person,
    plan,
    preferences,
    profiles,
    purchase_requests,
    purchase_settings,
    quotes,
    reduce_licences,
    requests,
    scim,
    scim_groups,
    settings,
    sign_in,
    static_files,
    tenant_money,
    test_clock,
)
from services.console.pages.errors import add_error_pages, unhandled
from services.console.pages.headers import SecurityHeaders
from services.console.wiring import Wiring
from shared.version import VERSION
from shared.web.app import Edge, add_probes

PAGES = (
    home,
    sign_in,
    kept_form,
    invitation,
    preferences,
    licences,
    buy_licences,
    reduce_licences,
    people,
    add_person,
    bulk_people,
    check_people,
    import_people,
    person,
    change_person,
    invoices,
    profiles,
    access,
    api_clients,
    scim,
    scim_groups,
    identity_provider,
    action_log,
    settings,
    billing,
    purchase_settings,
    test_clock,
    operator,
    tenant_money,
    new_tenant,
    hr_sources,
    dead_letters,
    operator_status,
    plan,
    change_plan,
    add_module,
    quotes,
    catalogue,
    requests,
    orders,
    purchase_requests,
)


def make_app(wiring: Wiring) -> FastAPI:
    """Return the application with all pages. There is no API: the pages use the REST of the other services."""
    pages = [route for module in PAGES for route in module.router.routes]
    app = FastAPI(
        title="Seatpool console",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The routes themselves: FastAPI analyses those of an included router a second time.
        routes=[*static_files.router.routes, *pages],
    )
    app.state.wiring, app.state.pages = wiring, pages

    async def ready() -> bool:
        return True  # a service that is down costs its part of a page

    add_probes(app, ready)
    add_error_pages(app)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(Edge, failed=unhandled)
    app.add_middleware(SecurityHeaders, is_secure=wiring.settings.is_secure)  # the last: around the page of an error as well
    return app
