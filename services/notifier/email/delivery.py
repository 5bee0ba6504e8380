"""Delivery to the mail server: at least once, each e-mail as its own message.

An e-mail is `sending` before its first byte is sent, and `sent` right after the server has accepted it. A crash between the two sends
that one e-mail again, with the same Message-ID, by which mailboxes recognise it. An e-mail that the server refuses permanently (5xx) is
marked as failed and listed. One that the server or the network refuses temporarily is retried with backoff. Neither delays any other.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
import stamina
import structlog
from prometheus_client import Counter

from services.notifier.email.message import Unsendable, build
from services.notifier.email.rendering import MARKER
from services.notifier.settings import Settings
from services.notifier.store import emails as store
from services.notifier.store.emails import ClaimedEmail
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient
from shared.sealed import SIGN_IN_LINK, unseal

log = structlog.get_logger(__name__)

EMAILS = Counter("seatpool_emails", "Attempts to send an e-mail", ["outcome"])
for _outcome in ("sent", "later", "failed"):
    EMAILS.labels(_outcome)  # from the start: Prometheus sees no increase in a series that begins at 1
CLAIM_MAX = 40
MARK_TIMEOUT_SECONDS = 120
STOP_GRACE_SECONDS = 5
BACKOFF_FIRST_SECONDS, BACKOFF_SECONDS_MAX = 2.0, 900.0  # of one e-mail
UNAVAILABLE_SECONDS_MAX = 15.0  # of the mail server: when it is back, nobody waits long
FetchToken = Callable[[str, str, str], Awaitable[str | None]]  # (tenant, invited person, address) -> token; raises Transient
# (tenant, invoice) -> the content of each file by the end of its name: pdf, and xml if that is a file of its own; raises Transient
FetchFiles = Callable[[str, str], Awaitable[Mapping[str, bytes]]]


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server of `SEATPOOL_SMTP_URL`."""

    host: str
    port: int
    tls: bool  # from the first byte; else STARTTLS when offered
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "Server":
        """Parse `smtp://host:port` or `smtps://user:password@host:port`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError(
                "SEATPOOL_SMTP_URL must be smtp://host:port or smtps://host:port, with user:password@ before the host if needed"
            )
        tls = parts.scheme == "smtps"
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, parts.port or (465 if tls else 587 if user else 25), tls, user, unquote(parts.password or "") or None)

    def client(self, timeout_seconds: float) -> aiosmtplib.SMTP:
        # A password is never sent in the clear: with one, STARTTLS is needed and not merely used when offered.
        start_tls = None if self.tls or self.user is None else True
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.tls,
            start_tls=False if self.tls else start_tls,
            username=self.user,
            password=self.password,
            timeout=timeout_seconds,
        )


def backoff_seconds(attempts: int, jitter: float) -> float:
    """Return 2 s, 4 s, 8 s ... 15 min, each up to a half longer. `jitter` in [0, 1) spreads the retries of many e-mails."""
    return float(min(BACKOFF_FIRST_SECONDS * 2 ** min(attempts - 1, 20), BACKOFF_SECONDS_MAX) * (1 + jitter / 2))


def permanent(error: Exception) -> bool:
    """Tell whether the server refused this e-mail permanently (5xx), or cannot transport the address."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return all(500 <= recipient.code < 600 for recipient in error.recipients)
        case aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPHeloError() | aiosmtplib.SMTPConnectError():
            return False  # concerns the connection, not this e-mail
        case aiosmtplib.SMTPResponseException():
            return 500 <= error.code < 600
        case aiosmtplib.SMTPNotSupported():
            return True
        case _:
            return isinstance(error, Unsendable)


@dataclass(slots=True)
class Delivery:
    """Claims e-mails that are due, sends them over a few connections to the mail server, and stores the outcome of each."""

    database: Database
    settings: Settings
    clock: Clock
    fetch_files: FetchFiles
    fetch_token: FetchToken
    failures: int = 0  # to connect, one after another
    retry_at: float = 0.0  # monotonic

    async def run_once(self) -> int:
        """Send the e-mails that are due, and return how many were tried. Raises Transient when the database is not available."""
        if self.clock.monotonic() < self.retry_at:
            return 0
        async with self.database.unit_of_work(None) as uow:
            emails = await store.claim(uow.connection, self.clock.now(), CLAIM_MAX)
        lanes = [emails[i :: self.settings.email_connections] for i in range(self.settings.email_connections)]
        for result in await asyncio.gather(*(self._send_all(lane) for lane in lanes if lane), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return len(emails)

    async def _send_all(self, emails: Sequence[ClaimedEmail]) -> None:
        """Send them over one connection. When it cannot be opened or is lost, the e-mails not yet tried are queued again as they were."""
        server = Server.from_url(self.settings.smtp_url.get_secret_value())
        connection = server.client(self.settings.smtp_timeout_seconds)
        try:
            await connection.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            self.failures += 1
            wait_seconds = min(backoff_seconds(self.failures, random.random()), UNAVAILABLE_SECONDS_MAX)  # noqa: S311 - jitter, not a secret
            self.retry_at = self.clock.monotonic() + wait_seconds
            log.warning(
                "mail_server_unavailable", host=server.host, port=server.port, error=repr(error), retry_in_seconds=round(wait_seconds, 1)
            )
            await self._put_back(emails, f"cannot connect to the mail server: {describe(error)}")
            return
        self.failures = 0
        try:
            for place, email in enumerate(emails):
                if not connection.is_connected:
                    await self._put_back(emails[place:], "the connection to the mail server was lost")
                    return
                await _finish(self._send(connection, email))
        finally:
            if connection.is_connected:
                try:
                    await connection.quit()
                except (aiosmtplib.SMTPException, OSError):
                    connection.close()

    async def _send(self, connection: aiosmtplib.SMTP, email: ClaimedEmail) -> None:
        try:
            attachments = [
                (f"{re.sub('[^A-Za-z0-9._-]', '-', invoice['number'])}.{kind}", content)
                for invoice in email.invoices
                for kind, content in (await self.fetch_files(email.tenant_id, invoice["invoice"])).items()
            ]
            date = format_datetime(self.clock.now())
            finished = build(await self._with_token(email), self.settings.email_from, date, attachments, self._link(email))
            options = ["SMTPUTF8"] if finished.utf8 else []
            await connection.sendmail(finished.sender, [finished.recipient], finished.content, mail_options=options)
        except (aiosmtplib.SMTPException, OSError, Transient, Unsendable) as error:
            if permanent(error) or self._too_old(email):
                EMAILS.labels("failed").inc()
                log.warning("email_failed", tenant=email.tenant_id, email=email.email_id, error=describe(error))
                async with self.database.unit_of_work(email.tenant_id) as uow:
                    await store.mark_failed(uow.connection, email, describe(error))
            else:
                await self._later(email, error)
            return
        # The e-mail is sent. Retry until this is recorded, or it would be sent again.
        async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=MARK_TIMEOUT_SECONDS):
            with attempt:
                async with self.database.unit_of_work(email.tenant_id) as uow:
                    await store.mark_sent(uow.connection, email, self.clock.now())
        EMAILS.labels("sent").inc()

    async def _with_token(self, email: ClaimedEmail) -> ClaimedEmail:
        """Return the e-mail with the token of its invitation, which is stored nowhere. Raises Unsendable if the invitation is over."""
        if email.invitation is None:
            return email
        token = await self.fetch_token(email.tenant_id, email.invitation, email.recipient)
        if token is None:
            raise Unsendable("the invitation was accepted or has expired, or the address was changed, before this e-mail was sent")
        body_text, body_html = (body.replace(MARKER, token) for body in (email.body_text, email.body_html))
        return replace(email, body_text=body_text, body_html=body_html)

    def _link(self, email: ClaimedEmail) -> str | None:
        """Return the link that users sealed for this service. Raises Unsendable if it cannot be opened."""
        if email.sealed_link is None:
            return None
        link = unseal(email.sealed_link, [self.settings.client_secret.get_secret_value()], SIGN_IN_LINK)
        if link is None:
            raise Unsendable("the link in it was sealed with another secret than SEATPOOL_CLIENT_SECRET")
        return link

    def _too_old(self, email: ClaimedEmail) -> bool:
        return self.clock.now() - email.queued_at > timedelta(hours=self.settings.email_give_up_hours)

    async def _later(self, email: ClaimedEmail, error: Exception) -> None:
        EMAILS.labels("later").inc()
        wait = timedelta(seconds=backoff_seconds(email.attempts, random.random()))  # noqa: S311 - jitter, not a secret
        async with self.database.unit_of_work(email.tenant_id) as uow:
            await store.mark_later(uow.connection, email, self.clock.now() + wait, describe(error))

    async def _put_back(self, emails: Sequence[ClaimedEmail], why: str) -> None:
        for email in emails:
            async with self.database.unit_of_work(email.tenant_id) as uow:
                await store.mark_untried(uow.connection, email, why)


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """When the process stops, the e-mail that is being sent is finished and recorded, or it would be sent again at the next start."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=STOP_GRACE_SECONDS)
        raise


def describe(error: Exception) -> str:
    """Return the server's own words, for the list of e-mails. They contain no address but that of the e-mail."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(f"{recipient.code} {recipient.message}" for recipient in error.recipients)[:500]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"[:500]
    return (str(error) or type(error).__name__)[:500]
