"""Count the people whose last command has had no answer."""

from datetime import timedelta

from prometheus_client import Gauge

from services.users.jobs.alarm import Alarm
from services.users.store import statistics
from shared.database import Database

COUNT_EVERY_SECONDS = 15
UNANSWERED = timedelta(seconds=60)
PEOPLE = Gauge("seatpool_users_unanswered_people", "People whose last command has had no answer for a minute")


class UnansweredPeople:
    def __init__(self, database: Database, alarm: Alarm) -> None:
        self._database, self._alarm = database, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat(self._count, COUNT_EVERY_SECONDS)

    async def _count(self) -> None:
        async with self._database.unit_of_work(None) as uow:
            PEOPLE.set(await statistics.unanswered(uow.connection, UNANSWERED))
