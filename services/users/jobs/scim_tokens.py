"""Remind of SCIM tokens that end soon: without another one, the identity provider reports nobody any more."""

from datetime import timedelta

from services.users.domain.scim_connections import WARNED_DAYS, due_warning
from services.users.jobs.alarm import Alarm
from services.users.store import scim_connections as store
from services.users.store import tenants
from shared.clock import Clock
from shared.database import Database
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ScimTokenEnding

LOOK_EVERY_SECONDS = 300
AT_ONCE = 100
ACTOR = Actor(kind="system", id="users")


class ScimTokens:
    """Publishes a reminder 30 and 7 days before a token ends. Tokens live by the real clock, also those of tenants with test clocks."""

    def __init__(self, database: Database, alarm: Alarm, clock: Clock) -> None:
        self._database, self._alarm, self._clock = database, alarm, clock

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat(self.look, LOOK_EVERY_SECONDS)

    async def look(self) -> None:
        """Publish the reminders that are due."""
        now = self._clock.now()
        async with self._database.unit_of_work(None) as uow:
            found = await store.expiring(uow.connection, now, now + timedelta(days=max(WARNED_DAYS)), AT_ONCE)
        for token in found:
            days = due_warning(token.expires_at, token.warned, now)
            if days is None:
                continue
            async with self._database.unit_of_work(token.tenant_id) as uow:
                if await store.set_warned(uow.connection, token, days):
                    tenant = await tenants.get(uow.connection, token.tenant_id)
                    at = tenant.at if tenant is not None and tenant.at is not None else now  # as all that is published of a tenant
                    event = ScimTokenEnding(
                        at=at, actor=ACTOR, connection=token.connection, token=token.token_id, expires_at=token.expires_at, days=days
                    )
                    uow.publish(event, source=USERS, tenant=token.tenant_id, time=at)
