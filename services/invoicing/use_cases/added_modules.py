"""A module that a running subscription gets as well: its quote, and the pool that seats opens after the approval."""

from datetime import datetime, timedelta
from functools import partial

from services.invoicing import store
from services.invoicing.api.requests import AddedModule
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.policies import wrong_for_plan
from services.invoicing.domain.quote import NewModule, Refusal, expected, price_new_module
from services.invoicing.settings import Settings
from services.invoicing.store.subscriptions import Module
from services.invoicing.use_cases.decided_policies import policies_of_new_module
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.opening_policies import opening_policies
from services.invoicing.use_cases.overdue import check_purchase
from services.invoicing.use_cases.publishing import publish, publish_fact
from services.invoicing.use_cases.quotes import refuse, situation_of
from services.invoicing.use_cases.seats_commands import send
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ModuleAdded, QuoteIssued
from shared.schemas.seats_v1 import OpenPool, PoolOpened

ADD_MODULE = "add_module"


async def quote_module(
    uow: UnitOfWork, tenant_id: str, body: AddedModule, actor: Actor, *, settings: Settings, clock: Clock
) -> QuoteIssued:
    """Price the licences of a module that the subscription does not have, and save the quote. Raises Conflict, Invalid."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    await check_purchase(uow, tenant_id)
    situation = await situation_of(uow, tenant, at)
    known = await store.catalogue.modules(uow.connection)
    if body.module not in known:
        raise Invalid("body.module", body.module, f"a module of the catalogue: {', '.join(sorted(known)) or 'none'}")
    policies = body.policies if body.policies is not None else await policies_of_new_module(uow, tenant_id)
    refused = wrong_for_plan(policies, situation.plan, body.module)
    if refused is not None:
        field, value, allowed = refused
        raise Invalid(f"body.policies.{field}", value, allowed)
    new = NewModule(body.module, body.licences, policies, known[body.module].requires)
    subscribed = [each.module for each in await store.subscriptions.modules(uow.connection, tenant_id)]
    valid = timedelta(seconds=settings.quote_valid_seconds)
    quote = price_new_module(situation, new, subscribed, quote=ids.new_id(), actor=actor, valid=valid)
    if isinstance(quote, Refusal):
        raise refuse(quote)
    await store.quotes.add(uow.connection, tenant_id, quote, expected(situation, [body.module]))
    publish(uow, tenant_id, quote, subject=quote.quote)
    return quote


async def open_new_pool(uow: UnitOfWork, tenant_id: str, order: str, quote: QuoteIssued, at: datetime) -> None:
    """Ask seats to open the pool of the module that an approved order adds. Raises Conflict."""
    assert quote.new_module is not None
    assert quote.policies is not None
    subscribed = {each.module for each in await store.subscriptions.modules(uow.connection, tenant_id)}
    if quote.new_module in subscribed:
        detail = f"Another order for {quote.new_module} was approved. Wait for the answer to that order."
        raise Conflict("module-pending", detail, module=quote.new_module)
    known = await store.catalogue.modules(uow.connection)
    licences = quote.lines[0].quantity
    row = Module(quote.new_module, known[quote.new_module].base, licences, quote.policies.model_dump_json())
    await store.subscriptions.add_modules(uow.connection, tenant_id, [row])
    await send_module(uow, tenant_id, ADD_MODULE, order, at)


async def send_module(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int = 0, cause: Envelope | None = None
) -> None:
    """Send the command for the pool of an order."""
    quote = await _quote_of(uow, tenant_id, reference)
    known = await store.catalogue.modules(uow.connection)
    (line,) = quote.lines
    policies = (await opening_policies(uow, tenant_id, [line.module], at))[line.module]
    make = partial(OpenPool, module=line.module, base=known[line.module].base, licences=line.quantity, policies=policies)
    await send(uow, tenant_id, make, kind=kind, reference=reference, time=at, above=above, cause=cause)


async def _quote_of(uow: UnitOfWork, tenant_id: str, order: str) -> QuoteIssued:
    found = await store.orders.find(uow.connection, tenant_id, order)
    assert found is not None
    quote = await store.quotes.find(uow.connection, tenant_id, found.quote)
    assert quote is not None
    return quote.issued


async def note_module(uow: UnitOfWork, tenant_id: str, order: str, event: PoolOpened, cause: Envelope) -> None:
    """Publish that the module of an order can be used, so that its price counts."""
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    assert contract is not None
    (line,) = (await _quote_of(uow, tenant_id, order)).lines
    added = ModuleAdded(
        at=event.at,
        actor=SYSTEM,
        reason="licences_bought",
        decision=cause.id,
        order=order,
        subscription=contract.subscription,
        module=event.module,
        licences=line.quantity,
    )
    await publish_fact(uow, tenant_id, added, cause=cause, subject=order)


async def forget_module(uow: UnitOfWork, tenant_id: str, order: str) -> None:
    """Remove the module of an order that seats rejected."""
    quote = await _quote_of(uow, tenant_id, order)
    assert quote.new_module is not None
    await store.subscriptions.remove_module(uow.connection, tenant_id, quote.new_module)
