"""The table with the rows of seats, and the manager that has it recovered."""

from typing import Any, ClassVar

import faust
from faust.tables import TableManager

from services.seats.engine.faust.recovery import FastLaneRecovery, SeatsRecovery
from services.seats.engine.faust.store import SeatsStore


class SeatsTable(faust.Table[bytes, bytes]):
    def _new_store(self) -> SeatsStore:
        """Return the own store. Not by the setting `store` and an entry point, because both would need an installed distribution, and the
        container image holds folders only."""
        return SeatsStore(self.app.conf.store, self.app, self, table_name=self.name, loop=self.loop, options=self.options)


class SeatsTables(TableManager):
    Recovery: ClassVar[type[SeatsRecovery]] = SeatsRecovery

    _recovery: Any = None

    @property
    def recovery(self) -> SeatsRecovery:
        """As Faust's, with the class above."""
        if self._recovery is None:
            self._recovery = self.Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        found: SeatsRecovery = self._recovery
        return found


class FastLaneTables(SeatsTables):
    Recovery = FastLaneRecovery
