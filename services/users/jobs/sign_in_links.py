"""Send sign-in links to the addresses for which they were requested."""

from services.users.jobs.alarm import Alarm
from services.users.use_cases import sign_in_links
from services.users.use_cases.sign_in_links import LinkSettings
from shared.clock import Clock
from shared.database import Database

LOOK_EVERY_SECONDS = 1  # the person waits for the e-mail; the process that took the request may be another one


class SignInLinks:
    def __init__(self, database: Database, alarm: Alarm, clock: Clock, settings: LinkSettings) -> None:
        self._database, self._alarm, self._clock, self._settings = database, alarm, clock, settings

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat(self._look, LOOK_EVERY_SECONDS)

    async def _look(self) -> None:
        more = True
        while more:
            async with self._database.unit_of_work(None) as uow:
                more = await sign_in_links.make_links(uow, self._settings, self._clock.now())
