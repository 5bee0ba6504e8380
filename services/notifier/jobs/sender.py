"""The background job that makes digests into e-mails and sends them. One process does it at a time: the one that holds an advisory lock.

The lock belongs to a connection of its own and ends with it, so another process takes over as soon as a sender dies. The process that gets
the lock knows that no other has an e-mail in hand.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import stamina
import structlog
from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.email.delivery import Delivery
from services.notifier.email.digests import DigestSender
from services.notifier.settings import Settings
from services.notifier.store import emails, first_start, notifications
from shared.clock import Clock
from shared.database import Database
from shared.database.errors import translated
from shared.database.prune import prune
from shared.database.unit_of_work import lock_number
from shared.errors import Transient
from shared.web.client import ServiceClient

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
DETAILS_TIMEOUT_SECONDS = 5.0  # other digests wait meanwhile
FILE_ATTEMPTS = 2  # of a document that may not be made yet: other e-mails wait meanwhile, and this one is tried again later
DELETE_EVERY_SECONDS = 3600.0
TRY_LOCK_EVERY_SECONDS = 1.0
RETRY_MAX_SECONDS = 10.0
_LOCK = {"lock": lock_number("notifier", "sender")}
_TRY_LOCK = select(func.pg_try_advisory_lock(bindparam("lock", type_=BigInteger)))
_UNLOCK = select(func.pg_advisory_unlock(bindparam("lock", type_=BigInteger)))
_IS_CONNECTED = select(1)


class Sender:
    """Sends digests that are due and e-mails, until cancelled."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, client: ServiceClient) -> None:
        self._database, self._settings, self._clock, self._client = database, settings, clock, client
        self._digests = DigestSender(database, settings, clock, self.fetch_details)
        self._delivery = Delivery(database, settings, clock, self.fetch_files, self.fetch_invitation_token)

    async def run(self) -> None:
        """Run until cancelled. Transient errors are retried."""
        while True:
            async for attempt in stamina.retry_context(
                on=Transient, attempts=None, timeout=None, wait_initial=0.2, wait_max=RETRY_MAX_SECONDS
            ):
                with attempt:
                    await self._ask_to_republish()
                    async with self._lock() as lock:
                        await self._send_until_lost(lock)

    async def fetch_files(self, tenant: str, invoice: str) -> Mapping[str, bytes]:
        """Return the PDF of an invoice, and the XML if it is a file of its own. Raises Transient, also if they are not made yet."""
        url = f"/v1/tenants/{tenant}/invoices/{invoice}/pdf"
        pdf = await self._fetch_file(url)
        apart = pdf.links.get("alternate")
        return {"pdf": pdf.content} | ({"xml": (await self._fetch_file(apart["url"])).content} if apart else {})

    async def _fetch_file(self, path: str) -> httpx.Response:
        response = await self._client.get(f"{self._settings.invoicing_url}{path}", attempts=FILE_ATTEMPTS)
        if response.status_code != 200:
            raise Transient(f"invoicing answered the request for {path} with status {response.status_code}")
        return response

    async def fetch_details(self, tenant: str, path: str) -> Mapping[str, Any] | None:
        """Return billing details of the tenant, or a request for licences; None if there is none. Raises Transient."""
        url = f"{self._settings.invoicing_url}/v1/tenants/{tenant}/{path}"
        try:
            async with asyncio.timeout(DETAILS_TIMEOUT_SECONDS):
                response = await self._client.get(url)
        except TimeoutError as error:
            raise Transient(f"invoicing did not answer the request for {path} in time") from error
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise Transient(f"invoicing answered the request for {path} with status {response.status_code}")
        found: Mapping[str, Any] = response.json()
        return found

    async def fetch_invitation_token(self, tenant: str, user: str, email: str) -> str | None:
        """Return a new token for the invitation of this person; None if it is over, or the person has another address. Raises Transient."""
        path = f"{self._settings.users_url}/v1/tenants/{tenant}/people/{user}/invitation-token"
        response = await self._client.post(path, json={"email": email})
        if response.status_code in (404, 409):
            return None
        if response.status_code != 201:
            raise Transient(f"users answered the request for the token of an invitation with status {response.status_code}")
        token: str = response.json()["token"]
        return token

    async def _ask_to_republish(self) -> None:
        """Before the first e-mail of a new database, ask users to publish tenants and people again: its topic keeps 30 days."""
        async with self._database.unit_of_work(None) as uow:
            first = await first_start.first_start(uow.connection, self._clock.now())
        if first.republished_at is not None:
            return
        url = f"{self._settings.users_url}/v1/operator/republish"
        response = await self._client.post(url, json={}, headers={"idempotency-key": "notifier"})
        if response.status_code >= 300:
            raise Transient(f"users answered the republish request with status {response.status_code}")
        async with self._database.unit_of_work(None) as uow:
            await first_start.mark_republished(uow.connection, self._clock.now())
        log.info("tenants_and_people_republished")

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[AsyncConnection]:
        """Hold the sender's lock. Wait for it while another process has it."""
        with translated():
            async with self._database.engine.connect() as plain:
                # Without a transaction: the server ends an idle one.
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                await self._wait_for_lock(connection)
                try:
                    async with self._database.unit_of_work(None) as uow:
                        requeued = await emails.requeue_orphans(uow.connection)
                    log.info("sender_started", requeued=requeued)
                    yield connection
                finally:
                    # The connection goes back to the pool, and would keep the lock there.
                    if not connection.invalidated:
                        await connection.execute(_UNLOCK, _LOCK)

    @staticmethod
    async def _wait_for_lock(connection: AsyncConnection) -> None:
        """Ask again and again: one statement that waited would end with the server's statement timeout."""
        while True:
            if (await connection.execute(_TRY_LOCK, _LOCK)).scalar_one():
                return
            await asyncio.sleep(TRY_LOCK_EVERY_SECONDS)

    async def _send_until_lost(self, lock: AsyncConnection) -> None:
        delete_at = self._clock.monotonic()
        while True:
            await lock.execute(_IS_CONNECTED)  # a lost connection is a lost lock: this raises, and another process takes over
            if self._clock.monotonic() >= delete_at:
                await self._delete_old()
                delete_at = self._clock.monotonic() + DELETE_EVERY_SECONDS
            if not await self._digests.run_once() + await self._delivery.run_once():
                await asyncio.sleep(POLL_SECONDS)

    async def _delete_old(self) -> None:
        """Delete what need not be kept: rows of the messaging tables, texts of e-mails, notifications."""
        await prune(self._database)
        before = self._clock.now() - timedelta(days=self._settings.email_texts_kept_days)
        async with self._database.unit_of_work(None) as uow:
            await emails.delete_texts(uow.connection, before)
            await notifications.delete_old(uow.connection, before)
