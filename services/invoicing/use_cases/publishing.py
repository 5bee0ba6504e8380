"""Publish the events of invoicing, and keep those that the account is computed from."""

from services.invoicing import store
from shared.database import UnitOfWork
from shared.schemas import registry
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import InvoicingEvent

SOURCE = registry.INVOICING


def publish(uow: UnitOfWork, tenant: str, event: InvoicingEvent, *, cause: Envelope | None = None, subject: str | None = None) -> str:
    """Publish one of invoicing's events and return its id."""
    return uow.publish(event, source=SOURCE, tenant=tenant, time=event.at, subject=subject, cause=cause).id


async def publish_fact(
    uow: UnitOfWork, tenant: str, event: InvoicingEvent, *, cause: Envelope | None = None, subject: str | None = None
) -> None:
    """Publish an event that amounts depend on, and keep it as it is published: invoices can then be rebuilt from the topic."""
    await store.facts.add(uow.connection, tenant, publish(uow, tenant, event, cause=cause, subject=subject), event)


def publish_to_all(uow: UnitOfWork, event: InvoicingEvent, subject: str) -> None:
    """Publish an event of the catalogue, which belongs to no tenant."""
    uow.publish(event, source=SOURCE, tenant=None, time=event.at, subject=subject)
