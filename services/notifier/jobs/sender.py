"""The role that gathers and sends. One process of all does it at a time: who holds an advisory lock of the database.

The lock lives on a connection of its own and ends with it, so a killed sender's mails are taken over at once: whoever gets the lock knows
that nobody else has a mail in hand.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.email.delivery import Mailer
from services.notifier.email.digests import Gatherer
from services.notifier.settings import Settings
from services.notifier.store import emails as mail_store
from shared.clock import Clock
from shared.database import Database
from shared.database.errors import translated
from shared.database.prune import prune
from shared.database.unit_of_work import lock_number
from shared.errors import Transient
from shared.web.client import ServiceClient

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.25
FORGET_EVERY_S = 3600.0
TRY_LOCK_EVERY_S = 1.0
RETRY_MAX_S = 10.0


class Sender:
    def __init__(self, database: Database, settings: Settings, clock: Clock, client: ServiceClient) -> None:
        self._database, self._settings, self._clock, self._client = database, settings, clock, client
        self._gatherer = Gatherer(database, settings, clock)
        self._mailer = Mailer(database, settings, clock, self.fetch_pdf)

    async def run(self) -> None:
        """Until cancelled. Faults of the moment are waited out."""
        while True:
            async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.2, wait_max=RETRY_MAX_S):
                with attempt:
                    await self._have_everything_told()
                    async with self._alone() as lock:
                        await self._send_until_lost(lock)

    async def fetch_pdf(self, tenant: str, invoice: str) -> bytes:
        """An invoice as invoicing keeps it. Raises Transient, also while it is not made yet."""
        url = f"{self._settings.invoicing_url}/v1/tenants/{tenant}/invoices/{invoice}/pdf"
        response = await self._client.get(url)
        if response.status_code != 200:
            raise Transient(f"invoicing answered the request for the PDF of invoice {invoice} with status {response.status_code}")
        return response.content

    async def _have_everything_told(self) -> None:
        """Before a new database sends its first mail, users is asked to tell tenants and people again: its topic keeps 30 days."""
        async with self._database.unit_of_work(None) as uow:
            _, told = await mail_store.start(uow, self._clock.now())
        if told:
            return
        url = f"{self._settings.users_url}/v1/operator/republish"
        response = await self._client.post(url, json={}, headers={"idempotency-key": "notifier"})
        if response.status_code >= 300:
            raise Transient(f"users answered the republish request with status {response.status_code}")
        async with self._database.unit_of_work(None) as uow:
            await mail_store.mark_republished(uow, self._clock.now())
        log.info("tenants_and_people_republished")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection]:
        """Holds the sender's lock. Waits for it as long as another process lives that has it."""
        with translated():
            async with self._database.engine.connect() as plain:
                # Without a transaction: the server ends one that stands idle.
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                number = lock_number("notifier", "sender")
                await self._wait_for_lock(connection, number)
                try:
                    async with self._database.unit_of_work(None) as uow:
                        orphans = await mail_store.requeue_orphans(uow)
                    log.info("sender_started", requeued=orphans)
                    yield connection
                finally:
                    # The connection goes back to the pool, and the lock would go with it.
                    if not connection.invalidated:
                        await connection.exec_driver_sql("SELECT pg_advisory_unlock($1)", (number,))

    @staticmethod
    async def _wait_for_lock(connection: AsyncConnection, number: int) -> None:
        """Asked again and again: waiting within one statement would end with the server's statement timeout."""
        while True:
            got = (await connection.exec_driver_sql("SELECT pg_try_advisory_lock($1)", (number,))).scalar_one()
            if got:
                return
            await asyncio.sleep(TRY_LOCK_EVERY_S)

    async def _send_until_lost(self, lock: AsyncConnection) -> None:
        forget_at = self._clock.monotonic()
        while True:
            # Whoever has lost the connection has lost the lock: this raises, and the turn is another's.
            await lock.exec_driver_sql("SELECT 1")
            if self._clock.monotonic() >= forget_at:
                await self._forget()
                forget_at = self._clock.monotonic() + FORGET_EVERY_S
            if not await self._gatherer.run_once() + await self._mailer.run_once():
                await asyncio.sleep(LOOK_EVERY_S)

    async def _forget(self) -> None:
        """What need not be kept, of the machinery and of the mails."""
        await prune(self._database)
        async with self._database.unit_of_work(None) as uow:
            await mail_store.forget(uow, self._clock.now() - timedelta(days=self._settings.email_texts_kept_days))
