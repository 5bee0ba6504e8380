"""Notices that are due become mails. Runs in one process at a time (`sending.py`), every quarter of a second.

Who gets what: a person what happens to their own seats, all that is due at once in one mail; the administrators (people with the flag who
have not left, else the tenant's contact address) the same mail each. Notices and their mail change state in one transaction, so a crash
sends none twice and loses none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.notifier.domain.notifications import Audience, Kind, Notice, is_moot, standing
from services.notifier.email.rendering import Links, Names, Recipient, Rendered, Tenant, render
from services.notifier.settings import Settings
from services.notifier.store import emails as mail_store
from services.notifier.store.emails import Gathering
from shared import ids
from shared.clock import Clock
from shared.database import Database, UnitOfWork

log = structlog.get_logger(__name__)

GATHERINGS_MAX = 50  # in one round: rendering is computing, and other roles of this process wait meanwhile


@dataclass(frozen=True, slots=True)
class Gatherer:
    database: Database
    settings: Settings
    clock: Clock

    async def run_once(self) -> int:
        """Mails made of what is due now; returns the number of gatherings, 0 when there is nothing to do. Raises Transient."""
        now = self.clock.now()
        quiet, longest = timedelta(seconds=self.settings.digest_quiet_seconds), timedelta(seconds=self.settings.digest_longest_seconds)
        async with self.database.unit_of_work(None) as uow:
            await mail_store.wake_waiting(uow, now, timedelta(hours=self.settings.unknown_recipient_hours))
            gatherings = await mail_store.due(uow, now, quiet, longest, GATHERINGS_MAX)
        for gathering in gatherings:
            async with self.database.unit_of_work(gathering.tenant) as uow:
                await self._mail(uow, gathering)
        return len(gatherings)

    async def _mail(self, uow: UnitOfWork, gathering: Gathering) -> None:
        notices = await mail_store.notices_of(uow, gathering)
        tenant = await mail_store.tenant_of(uow, gathering.tenant)
        if not notices or tenant is None:
            return
        names = await mail_store.names_for(uow, gathering.tenant, notices)
        if gathering.audience is Audience.PERSON:
            found = await mail_store.person(uow, gathering.tenant, gathering.user)
            if found is None:
                await mail_store.settle_notices(uow, gathering.tenant, notices, "waiting", gathering.now)
                return
            recipient, status = found
            if status == "left":
                # Whoever has left has no mailbox any more, and the administrators know.
                await mail_store.settle_notices(uow, gathering.tenant, notices, "dropped")
                return
            recipients = [recipient]
        else:
            contact = Recipient(tenant.contact_email, tenant.name)
            recipients = list(names.administrators) or [contact]
        told = [notice for notice in standing(notices) if not is_moot(notice, names.pools)]
        if told:
            await self._queue(uow, gathering, tenant, recipients, told, names)
        if len(told) < len(notices):
            await mail_store.settle_notices(uow, gathering.tenant, notices, "dropped")
        await mail_store.settle_notices(uow, gathering.tenant, told, "mailed")

    async def _queue(
        self, uow: UnitOfWork, gathering: Gathering, tenant: Tenant, recipients: Sequence[Recipient], notices: list[Notice], names: Names
    ) -> None:
        invoices = [
            {"invoice": notice.data["invoice"], "number": notice.data["number"]} for notice in notices if notice.kind is Kind.INVOICE
        ]
        rendered, error = None, None
        for recipient in {recipient.email: recipient for recipient in recipients}.values():
            # Administrators all get the same words; a person's mail has one recipient.
            if rendered is None:
                rendered, error = self._render(gathering, tenant, recipient, notices, names)
            mail = ids.derived_id("mail", gathering.tenant, recipient.email, *(notice.key for notice in notices))
            await mail_store.queue(
                uow, mail, gathering, recipient, rendered, invoices=invoices, notices=len(notices), now=self.clock.now(), error=error
            )

    def _render(
        self, gathering: Gathering, tenant: Tenant, recipient: Recipient, notices: list[Notice], names: Names
    ) -> tuple[Rendered, str | None]:
        try:
            return render(gathering.stream, tenant, recipient, notices, names, self._links(tenant.tenant), gathering.now), None
        except Exception as error:
            # One mail that cannot be written holds up nobody: it is kept as failed, shown with the others, and logged as the bug it is.
            log.exception("email_not_rendered", tenant=tenant.tenant, stream=gathering.stream, kinds=sorted({n.kind for n in notices}))
            return Rendered(f"{tenant.name}: an e-mail that could not be rendered", "", ""), f"cannot be rendered: {error!r}"[:500]

    def _links(self, tenant: str) -> Links:
        settings = self.settings
        return Links(
            licences_page=settings.licences_page_url.replace("{tenant}", tenant),
            actions=f"{settings.notifier_url}/v1/tenants/{tenant}/actions",
            quotes=f"{settings.invoicing_url}/v1/tenants/{tenant}/quotes",
        )
