"""The next invoice of a tenant, before it is issued."""

from datetime import date

from services.invoicing import store
from services.invoicing.domain.upcoming import upcoming
from services.invoicing.use_cases.issue_invoices import read_facts
from services.invoicing.use_cases.price_lists import next_price_list
from services.invoicing.use_cases.quotes import ended
from services.invoicing.use_cases.scheduled_plans import plan_that_begins
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.schemas.invoicing_v1 import InvoiceIssued


async def upcoming_invoice(uow: UnitOfWork, tenant_id: str) -> tuple[date, str, InvoiceIssued | None]:
    """Return the day of the next invoice, its currency, and the document as it would be today. Raises NotFound, Conflict."""
    c = uow.connection
    found = await store.subscriptions.find(c, tenant_id)
    if found is None:
        raise NotFound("subscription")
    contract, ending = found.contract, await store.endings.find(c, tenant_id)
    if found.status == "ended" and ending is not None:
        raise ended(ending.ends_on)
    if found.status != "active":
        raise Conflict("subscription-pending", "The subscription is not active yet, so there is no next invoice. Try again when it is.")
    plan, details = await next_price_list(uow, tenant_id, contract, found.period_end), await store.billing_details.in_force(c, tenant_id)
    assert details is not None
    pools = await store.pools.reported(c, tenant_id)
    numbers = {module: pool.next_period for module, pool in pools.items()}
    following = await plan_that_begins(uow, tenant_id, contract, pools) if ending is None else None
    document = upcoming(await read_facts(uow, tenant_id), contract, numbers, plan.version, details.version, following)
    return found.period_end, contract.currency, document
