"""Composition root: the parts of an invoicing process. Tests replace any of them."""

from dataclasses import dataclass

from services.invoicing import store
from services.invoicing.consumers import GROUP, seats_events, users_events
from services.invoicing.settings import Settings
from services.invoicing.use_cases.seats_questions import Seats
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer


@dataclass(frozen=True, slots=True)
class Wiring:
    settings: Settings
    clock: Clock
    database: Database
    consumer: Consumer
    seats: Seats


def make_wiring(settings: Settings, clock: Clock, database: Database, seats: Seats) -> Wiring:
    # After a dead letter the tenant's later messages wait: an amount computed from an incomplete history would be wrong.
    consumer = Consumer(
        group=GROUP,
        database=database,
        kafka=settings,
        topics=(*seats_events.HANDLED, *users_events.HANDLED),
        handlers={**users_events.HANDLERS, **seats_events.handlers(settings)},
        tenant_exists=store.tenants.is_known,
        genuine=seats_events.LEDGER,
        together=True,  # so the renewals of a month-end are invoiced in sets
        clock=clock,
    )
    return Wiring(settings, clock, database, consumer, seats)
