"""Mails to the mail server: at least once, each as its own message, whatever happens in between.

A mail is `sending` before its first byte leaves and `sent` right after the server took it; a crash between the two sends that one mail
again, under the same Message-ID, by which mailboxes know it. What the server refuses for good (5xx) is marked failed and shown; what it or
the network refuses for now is tried again with backoff. Neither holds up any other mail.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
import stamina
import structlog
from prometheus_client import Counter

from services.notifier.email.message import Unsendable, build
from services.notifier.settings import Settings
from services.notifier.store import emails as mail_store
from services.notifier.store.emails import Mail
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

MAILS = Counter("seatpool_emails", "Attempts to send an e-mail", ["outcome"])
for _outcome in ("sent", "later", "failed"):
    MAILS.labels(_outcome)  # there from the start: of a series that begins at 1 Prometheus sees no increase
CLAIM_MAX = 40
MARK_TIMEOUT_S = 120
STOP_GRACE_S = 5
BACKOFF_FIRST_S, BACKOFF_MAX_S = 2.0, 900.0  # of one mail
AWAY_MAX_S = 15.0  # of the mail server as a whole: when it is back, nobody waits long
FetchPdf = Callable[[str, str], Awaitable[bytes]]  # (tenant, invoice) -> PDF; raises Transient


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails go; `SEATPOOL_SMTP_URL`."""

    host: str
    port: int
    tls: bool  # from the first byte; else STARTTLS when offered
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "Server":
        """`smtp://host:port` or `smtps://user:password@host:port`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError(
                "SEATPOOL_SMTP_URL must be smtp://host:port or smtps://host:port, with user:password@ before the host if needed"
            )
        tls = parts.scheme == "smtps"
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, parts.port or (465 if tls else 587 if user else 25), tls, user, unquote(parts.password or "") or None)

    def client(self, timeout_s: float) -> aiosmtplib.SMTP:
        # A password is never sent in the clear: with one, STARTTLS is needed and not merely used when offered.
        start_tls = None if self.tls or self.user is None else True
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.tls,
            start_tls=False if self.tls else start_tls,
            username=self.user,
            password=self.password,
            timeout=timeout_s,
        )


def backoff_s(attempts: int, jitter: float) -> float:
    """2 s, 4 s, 8 s ... 15 min, each up to a half longer. `jitter` in [0, 1): many mails do not come back at one moment."""
    return float(min(BACKOFF_FIRST_S * 2 ** min(attempts - 1, 20), BACKOFF_MAX_S) * (1 + jitter / 2))


def permanent(error: Exception) -> bool:
    """The server refused this mail for good (5xx), or it cannot carry the address."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return all(500 <= recipient.code < 600 for recipient in error.recipients)
        case aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPConnectError():
            return False  # of the connection, not of this mail
        case aiosmtplib.SMTPResponseException():
            return 500 <= error.code < 600
        case aiosmtplib.SMTPNotSupported():
            return True
        case _:
            return isinstance(error, Unsendable)


@dataclass(slots=True)
class Mailer:
    database: Database
    settings: Settings
    clock: Clock
    fetch_pdf: FetchPdf
    away: int = 0  # how often in a row no connection could be had
    away_until: float = 0.0  # monotonic

    async def run_once(self) -> int:
        """Send what is due; returns how many mails were tried. Raises Transient when the database is not there."""
        if self.clock.monotonic() < self.away_until:
            return 0
        async with self.database.unit_of_work(None) as uow:
            mails = await mail_store.claim(uow, self.clock.now(), CLAIM_MAX)
        lanes = [mails[i :: self.settings.email_connections] for i in range(self.settings.email_connections)]
        for result in await asyncio.gather(*(self._send_all(lane) for lane in lanes if lane), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return len(mails)

    async def _send_all(self, mails: list[Mail]) -> None:
        """One connection. When it cannot be had or breaks, the mails not yet tried go back: that is no fault of theirs."""
        server = Server.from_url(self.settings.smtp_url.get_secret_value())
        connection = server.client(self.settings.smtp_timeout_seconds)
        try:
            await connection.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            self.away += 1
            wait_s = min(backoff_s(self.away, random.random()), AWAY_MAX_S)  # noqa: S311 - jitter, not a secret
            self.away_until = self.clock.monotonic() + wait_s
            log.warning("mail_server_unavailable", host=server.host, port=server.port, error=repr(error), retry_in_seconds=round(wait_s, 1))
            await self._put_back(mails, f"cannot connect to the mail server: {describe(error)}")
            return
        self.away = 0
        try:
            for place, mail in enumerate(mails):
                if not connection.is_connected:
                    await self._put_back(mails[place:], "the connection to the mail server was lost")
                    return
                await _to_the_end(self._send(connection, mail))
        finally:
            if connection.is_connected:
                try:
                    await connection.quit()
                except (aiosmtplib.SMTPException, OSError):
                    connection.close()

    async def _send(self, connection: aiosmtplib.SMTP, mail: Mail) -> None:
        try:
            attachments = [
                (f"{re.sub('[^A-Za-z0-9._-]', '-', invoice['number'])}.pdf", await self.fetch_pdf(mail.tenant, invoice["invoice"]))
                for invoice in mail.invoices
            ]
            date = format_datetime(self.clock.now())
            finished = build(mail, self.settings.email_from, date, attachments)
            options = ["SMTPUTF8"] if finished.utf8 else []
            await connection.sendmail(finished.sender, [finished.recipient], finished.content, mail_options=options)
        except (aiosmtplib.SMTPException, OSError, Transient, Unsendable) as error:
            if permanent(error) or self._too_old(mail):
                MAILS.labels("failed").inc()
                log.warning("email_failed", tenant=mail.tenant, email=mail.mail, error=describe(error))
                async with self.database.unit_of_work(mail.tenant) as uow:
                    await mail_store.mark_failed(uow, mail, describe(error))
            else:
                await self._later(mail, error)
            return
        # The mail is out: this is written down however often the database has to be asked, or it would be sent again.
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=MARK_TIMEOUT_S):
            with attempt:
                async with self.database.unit_of_work(mail.tenant) as uow:
                    await mail_store.mark_sent(uow, mail, self.clock.now())
        MAILS.labels("sent").inc()

    def _too_old(self, mail: Mail) -> bool:
        return self.clock.now() - mail.queued_at > timedelta(hours=self.settings.email_give_up_hours)

    async def _later(self, mail: Mail, error: Exception) -> None:
        MAILS.labels("later").inc()
        wait = timedelta(seconds=backoff_s(mail.attempts, random.random()))  # noqa: S311 - jitter, not a secret
        async with self.database.unit_of_work(mail.tenant) as uow:
            await mail_store.mark_later(uow, mail, self.clock.now() + wait, describe(error))

    async def _put_back(self, mails: list[Mail], why: str) -> None:
        for mail in mails:
            async with self.database.unit_of_work(mail.tenant) as uow:
                await mail_store.mark_untried(uow, mail, why)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """A stop of the process lets the mail under way be sent and written down, or it would be sent again at the next start."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=STOP_GRACE_S)
        raise


def describe(error: Exception) -> str:
    """For the list of mails: the server's own words. Holds no address but the mail's own."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(f"{recipient.code} {recipient.message}" for recipient in error.recipients)[:500]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"[:500]
    return (str(error) or type(error).__name__)[:500]
