"""Digests that are due become e-mails. One process at a time does this (`jobs/sender.py`).

A person receives what happens to their own seats, all that is due at once in one e-mail. Of what concerns the administrators,
each receives what belongs to their rights (`domain/receivers.py`). Notifications and their e-mail change state in one
transaction, so a crash neither sends one twice nor loses one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.notifications import Audience, Kind, Notification, Stream, is_moot, still_valid
from services.notifier.domain.receivers import shares_of
from services.notifier.email import billed
from services.notifier.email.billed import Billed, DetailsUnavailable, FetchDetails
from services.notifier.email.rendering import HIDDEN, MARKER, Links, Names, Recipient, Rendered, render
from services.notifier.settings import Settings
from services.notifier.store import catalogue, emails, recipients
from services.notifier.store import notifications as store
from services.notifier.store.emails import NewEmail
from services.notifier.store.notifications import Digest
from services.notifier.store.recipients import PersonRow, TenantRow
from shared import ids
from shared.buying import Buying, Plan, buying_of, unit_price
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

INVOICING_RETRY_SECONDS = 10.0  # while invoicing does not say where e-mails about money go
RETRY_SECONDS = 60.0  # until a digest is tried again that could not be made into an e-mail
WITH_PDF = (Kind.INVOICE, Kind.PAYMENT_REMINDER)
DIGESTS_MAX = 50  # in one round: rendering takes CPU, and other roles of this process wait meanwhile
DUE_MAX = 5_000  # from which those are chosen: digests that wait until they are tried again must not keep the others from their turn


@dataclass(frozen=True, slots=True)
class DigestSender:
    """Make e-mails of digests, and queue them."""

    database: Database
    settings: Settings
    clock: Clock
    fetch_details: FetchDetails
    _retry_at: dict[object, float] = field(default_factory=dict)  # monotonic, of the digests that failed

    async def run_once(self) -> int:
        """Make e-mails of the digests that are due now, and return how many digests these were. Raises Transient."""
        now = self.clock.now()
        quiet, longest = timedelta(seconds=self.settings.digest_quiet_seconds), timedelta(seconds=self.settings.digest_longest_seconds)
        async with self.database.unit_of_work(None) as uow:
            await store.wake_waiting(uow.connection, now, timedelta(hours=self.settings.unknown_recipient_hours))
            due = await store.due_digests(uow.connection, now, quiet, longest, DUE_MAX)
        digests = [digest for digest in due if not self._waits(digest)][:DIGESTS_MAX]
        return sum([await self._try(digest) for digest in digests])

    def _waits(self, digest: Digest) -> bool:
        """Return whether the digest failed just now, or is about money while invoicing does not answer."""
        keys = (_key(digest), Audience.BILLED) if digest.audience in billed.ASKED else (_key(digest),)
        return self.clock.monotonic() < max(self._retry_at.get(key, 0) for key in keys)

    async def _try(self, digest: Digest) -> bool:
        """Send one digest, and return whether it was sent. One that fails is tried again after a while, and delays no other."""
        if self._waits(digest):
            return False
        key = _key(digest)
        try:
            found = await self._billed(digest)
            async with self.database.unit_of_work(digest.tenant_id) as uow:
                await self._send(uow.connection, digest, found)
        except (Transient, MemoryError):
            raise
        except DetailsUnavailable as error:
            log.warning("billing_details_unavailable", tenant=digest.tenant_id, error=str(error))
            self._retry_at[Audience.BILLED] = self.clock.monotonic() + INVOICING_RETRY_SECONDS
            return False
        except Exception:
            log.exception("digest_not_sent", tenant=digest.tenant_id, stream=digest.stream)
            self._retry_at[key] = self.clock.monotonic() + RETRY_SECONDS
            return False
        self._retry_at.pop(key, None)
        return True

    async def _billed(self, digest: Digest) -> Billed:
        """Ask invoicing for the receivers of a digest about money; outside of the transaction, which must not wait for another service."""
        if digest.audience not in billed.ASKED:
            return Billed()
        async with self.database.unit_of_work(digest.tenant_id) as uow:
            notifications = await store.notifications_of(uow.connection, digest)
        return await billed.fetch(digest.tenant_id, notifications, self.fetch_details)

    async def _send(self, connection: AsyncConnection, digest: Digest, found: Billed) -> None:
        notifications = await store.notifications_of(connection, digest)
        tenant = await recipients.tenant(connection, digest.tenant_id)
        if not notifications or tenant is None:
            return
        names = replace(await names_for(connection, digest.tenant_id, notifications), changes=found.changes or {})
        receivers: list[Recipient] | None = None  # None: the holders of rights, each with a share of the notifications
        if digest.audience is Audience.PERSON:
            person = await recipients.person(connection, digest.tenant_id, digest.user_id)
            if person is None:
                await store.set_state(connection, digest.tenant_id, notifications, "waiting", digest.now)
                return
            if person.status == recipients.LEFT:
                # A person who has left no longer has the mailbox, and the administrators are notified anyway.
                await store.set_state(connection, digest.tenant_id, notifications, "dropped")
                return
            if not person.email:
                await store.redirect(connection, digest.tenant_id, notifications, self.clock.now())
                return
            receivers = [recipient_of(person)]
        elif digest.audience in (Audience.CONTACT, Audience.OPERATOR):
            vendor = [Recipient(self.settings.operator_email, "")] if self.settings.operator_email else []
            contact = [Recipient(tenant.contact_email, tenant.name)] if digest.audience is Audience.CONTACT else []
            receivers = [*contact, *vendor]
        elif digest.audience is Audience.BILLED:
            receivers = billed.receivers(found, await recipients.holders(connection, digest.tenant_id))
            receivers = receivers or [Recipient(tenant.contact_email, tenant.name)]
        elif digest.audience is Audience.SUBSCRIPTION:
            owners = billed.owners(await recipients.holders(connection, digest.tenant_id))
            receivers = [Recipient(tenant.contact_email, tenant.name), *found.addresses, *owners]
        valid = [each for each in still_valid(notifications) if not is_moot(each, names.pools)]
        sent = await store.without_repeated(connection, digest.tenant_id, valid)
        if digest.audience is Audience.REQUEST_CONTACT:
            for named, share in billed.by_contact(found, sent, await recipients.holders(connection, digest.tenant_id)):
                await self._queue(connection, digest, tenant, [named], share, names)
        elif receivers is None:
            await self._share(connection, digest, tenant, sent, names)
        elif sent:
            await self._queue(connection, digest, tenant, receivers, sent, names)
        if len(sent) < len(notifications):
            await store.set_state(connection, digest.tenant_id, notifications, "dropped")
        await store.set_state(connection, digest.tenant_id, sent, "emailed")

    async def _share(
        self, connection: AsyncConnection, digest: Digest, tenant: TenantRow, sent: Sequence[Notification], names: Names
    ) -> None:
        """Queue for each holder of a right what concerns this right, without the names of people whom the holder does not see."""
        holders = await recipients.holders(connection, digest.tenant_id)
        departments = await recipients.departments(connection, digest.tenant_id, names.people)
        for share in shares_of(sent, holders):
            receivers = [recipient_of(holders[place]) for place in share.holders] or [Recipient(tenant.contact_email, tenant.name)]
            shown = names if share.departments is None else _masked(names, departments, share.departments)
            await self._queue(connection, digest, tenant, receivers, share.notifications, shown)

    async def _queue(
        self,
        connection: AsyncConnection,
        digest: Digest,
        tenant: TenantRow,
        receivers: Sequence[Recipient],
        notifications: Sequence[Notification],
        names: Names,
    ) -> None:
        invoices = [{"invoice": each.data["invoice"], "number": each.data["number"]} for each in notifications if each.kind in WITH_PDF]
        now, made = self.clock.now(), dict[bool, tuple[Rendered, str | None]]()
        for recipient in {each.email: each for each in receivers}.values():
            # All administrators get the same text, which may say that it is a copy; a person's e-mail has one recipient.
            if recipient.copy not in made:
                made[recipient.copy] = self._render(digest, tenant, recipient, notifications, names)
            rendered, error = made[recipient.copy]
            email = NewEmail(
                tenant_id=digest.tenant_id,
                email_id=ids.derived_id("email", digest.tenant_id, recipient.email, *(each.key for each in notifications)),
                stream=digest.stream,
                user_id=recipient.user,
                recipient=recipient.email,
                recipient_name=recipient.name,
                subject=rendered.subject,
                body_text=rendered.text,
                body_html=rendered.html,
                invoices=invoices,
                invitation=recipient.user if digest.stream is Stream.INVITATION else None,
                notifications=len(notifications),
                at=digest.now,
                state="failed" if error else "queued",
                error=error,
                next_attempt_at=now,
                queued_at=now,
            )
            await emails.queue(connection, email)

    def _render(
        self, digest: Digest, tenant: TenantRow, recipient: Recipient, notifications: Sequence[Notification], names: Names
    ) -> tuple[Rendered, str | None]:
        try:
            return render(digest.stream, tenant, recipient, notifications, names, self._links(digest.tenant_id), digest.now), None
        except Exception as error:
            # An e-mail that cannot be rendered delays no other: it is kept as failed, listed with the others, and logged as a bug.
            kinds = sorted({each.kind for each in notifications})
            log.exception("email_not_rendered", tenant=digest.tenant_id, stream=digest.stream, kinds=kinds)
            return Rendered(f"{tenant.name}: an e-mail that could not be rendered", "", ""), f"cannot be rendered: {error!r}"[:500]

    def _links(self, tenant_id: str) -> Links:
        settings = self.settings
        address = settings.console_url.rstrip("/")
        console = f"{address}/tenants/{tenant_id}" if address else ""
        return Links(
            console=console,
            operator_console=f"{address}/operator" if address else "",
            licences_page=settings.licences_page_url.replace("{tenant}", tenant_id) or (console and f"{console}/licences"),
            actions=f"{console}/log" if console else f"{settings.notifier_url}/v1/tenants/{tenant_id}/actions",
            held_events=f"{settings.users_url}/v1/tenants/{tenant_id}/held-events",
            scim_connections=f"{settings.users_url}/v1/tenants/{tenant_id}/scim-connections",
            people=f"{settings.users_url}/v1/tenants/{tenant_id}/people",
            possible_duplicates=f"{settings.users_url}/v1/tenants/{tenant_id}/possible-duplicates",
            accept_page=(settings.invitation_page_url or (address and f"{address}/invitation?token={{token}}")).replace("{token}", MARKER),
            accept=f"{settings.users_url}/v1/invitations/accept",
            ending=f"{settings.invoicing_url}/v1/tenants/{tenant_id}/subscription/ending",
            plan_changes=f"{settings.invoicing_url}/v1/tenants/{tenant_id}/subscription/plan-changes",
            quotes=f"{settings.invoicing_url}/v1/tenants/{tenant_id}/quotes",
            requests=f"{settings.invoicing_url}/v1/tenants/{tenant_id}/purchase-requests",
        )


def _key(digest: Digest) -> tuple[object, ...]:
    return digest.tenant_id, digest.audience, digest.stream, digest.user_id


def _masked(names: Names, departments: Mapping[str, str | None], visible: Collection[str]) -> Names:
    return replace(names, people={user: name if departments.get(user) in visible else HIDDEN for user, name in names.people.items()})


def people_in(notifications: Sequence[Notification]) -> set[str]:
    """Return the ids of all people whom these notifications name."""
    users = {each.user for each in notifications if each.user}
    for named in (item for each in notifications for name in ("would_flag", "may_be") for item in each.data.get(name, ())):
        users |= {named} if isinstance(named, str) else set(named["users"])  # the people of one module, or of each module
    users |= {each.data["heir"] for each in notifications if each.data.get("heir")}
    actors = ("actor", "requested_by", "approved_by")
    return users | {each.data[name]["id"] for each in notifications for name in actors if name in each.data}


async def names_for(connection: AsyncConnection, tenant_id: str, notifications: Sequence[Notification]) -> Names:
    """Return the names behind the ids in these notifications, the administrators, and what can be bought."""
    users = people_in(notifications)
    quotes = {each.data["quote"] for each in notifications if each.data.get("quote")}
    pools = {row.module: row.base for row in await catalogue.open_pools(connection, tenant_id)}
    plans = await catalogue.plans(connection)
    return Names(
        people=await recipients.names(connection, tenant_id, users),
        modules=await catalogue.module_names(connection),
        plans={row.plan: row.name for row in plans},
        administrators=[recipient_of(row) for row in await recipients.administrators(connection, tenant_id)],
        quotes=await catalogue.quotes(connection, tenant_id, quotes),
        buying=await _buying(connection, tenant_id, list(pools), plans),
        deactivated=await recipients.deactivated(connection, tenant_id)
        if any(each.kind is Kind.PURCHASED for each in notifications)
        else (),
        limits=await catalogue.limits(connection, tenant_id),
        pools=pools,
    )


async def _buying(connection: AsyncConnection, tenant_id: str, modules: Sequence[str], plans: Sequence[catalogue.PlanRow]) -> Buying:
    subscription = await catalogue.subscription(connection, tenant_id)
    if subscription is None:
        return Buying()
    own = await catalogue.plan(connection, subscription.plan, subscription.plan_version)
    return buying_of(None if own is None else _plan(own), subscription.term, [_plan(row) for row in plans], modules)


def _plan(row: catalogue.PlanRow) -> Plan:
    return Plan(row.plan, row.name, row.currency, row.allows_extra_licences, [unit_price(price) for price in row.prices])


def recipient_of(person: PersonRow) -> Recipient:
    return Recipient(person.email, person.name, person.user_id)
