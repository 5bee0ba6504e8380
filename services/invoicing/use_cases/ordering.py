"""How a tenant buys: by itself, or by request (A9, A11)."""

from typing import Final

from services.invoicing import store
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.purchase_settings import PurchaseSettings
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.price_lists import own_price_list
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.invoicing_v1 import PlanDefined

BY_REQUEST: Final = "by_request"
SELF_SERVICE: Final = "self_service"


async def ordering_of(uow: UnitOfWork, tenant_id: str, clock: Clock) -> str:
    """Return how the tenant buys: as the operator set it for the tenant, or else as its plan says."""
    settings = await store.purchase_settings.find(uow.connection, tenant_id)
    contract = await store.subscriptions.contract(uow.connection, tenant_id) if settings.ordering is None else None
    tenant = await store.tenants.find(uow.connection, tenant_id) if contract is not None else None
    if contract is None or tenant is None:
        return ordering_by(settings, None)
    return ordering_by(settings, await own_price_list(uow, contract, local_day(time_of(tenant, clock), contract.time_zone)))


def ordering_by(settings: PurchaseSettings, plan: PlanDefined | None) -> str:
    """Return how a tenant with these settings buys by the price list that it has on this day; None: it has none."""
    return settings.ordering or (plan.ordering if plan is not None else SELF_SERVICE)


async def check_direct_buying(uow: UnitOfWork, tenant_id: str, clock: Clock) -> None:
    """Raise Conflict if licences are added and reduced only by request."""
    if await ordering_of(uow, tenant_id, clock) == BY_REQUEST:
        raise Conflict(
            "by-request",
            f"Licences are added and reduced by request. Send what you need to POST /v1/tenants/{tenant_id}/purchase-requests; the vendor "
            "answers with an estimate, which you can approve.",
            instead=f"POST /v1/tenants/{tenant_id}/purchase-requests",
        )
