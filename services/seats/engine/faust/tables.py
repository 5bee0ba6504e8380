"""The table with the rows of seats, and the manager that has it recovered."""

from typing import Any

import faust
from faust.tables import TableManager

from services.seats.engine.faust.recovery import SeatsRecovery
from services.seats.engine.faust.store import SeatsStore


class SeatsTable(faust.Table[bytes, bytes]):
    def _new_store(self) -> SeatsStore:
        """Return the own store. Not by the setting `store` and an entry point, because both would need an installed distribution, and the
        container image holds folders only."""
        return SeatsStore(self.app.conf.store, self.app, self, table_name=self.name, loop=self.loop, options=self.options)


class SeatsTables(TableManager):
    _recovery: Any = None

    @property
    def recovery(self) -> SeatsRecovery:
        """As Faust's, with our class."""
        if self._recovery is None:
            self._recovery = SeatsRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        found: SeatsRecovery = self._recovery
        return found
